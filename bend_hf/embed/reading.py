"""How a tokenizer reads DNA, found out by asking it.

    scheme = read_scheme(tokenizer, "zhihan1996/DNA_bert_6")

Families whose rule is known (characters, k-mers, blocks, overlapping k-mers of any stride) are read from tables
(`rules`), after the rule was found to give the tokenizer's own ids on probe sequences; a tokenizer that differs is used
itself (`own_tokenizer`), and the log says so. A tokenizer that reads DNA as text is refused unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple, get_args

import numpy as np

from bend_hf.console import log
from bend_hf.embed.own_tokenizer import Fast, Slow, is_mark, surface
from bend_hf.embed.rules import (
    LETTERS,
    Encoded,
    Rule,
    read_bases,
    read_blocks,
    read_characters,
    read_kmers,
    read_overlapping,
    write_bases,
)
from bend_hf.embed.tokens import Family, Scheme, words_of
from bend_hf.errors import BendError, unknown

UNKNOWN_SHARE = 0.05
"""Share of plain DNA that may fall on unknown tokens before a tokenizer is refused."""
DNA_SHARE = 0.1
"""Share of a vocabulary of subwords that must be strings of DNA: those of text hold about one in a hundred."""
IUPAC = set("ACGTUNRYSWKMBDHV")
AMINO_ACIDS = set("LKEIFPQWYVRDH")
"""Letters of amino acids that are no nucleotides."""
LETTERS_ONLY = 128
"""Vocabularies of single letters have fewer tokens, those of bytes more."""
MARKS = ("<dna>", "<+>", "[START_DNA]")
"""Marks after which a tokenizer of several languages reads DNA, where its vocabulary has them: Carbon's (6-mers;
without it DNA is English to it), gLM2's for the forward strand, Galactica's."""
SCHEMES = (*get_args(Family), "text")
PROBES = 24


class _Candidate(NamedTuple):
    """A rule to try: its family, and how DNA is fed to the tokenizer (as k-mers `spacing` apart, or as it is)."""

    family: Family
    k: int
    stride: int
    rule: Rule
    largest: int
    spacing: int | None = None


@dataclass(frozen=True)
class _Tokenizer:
    """A tokenizer of transformers and the facts that the rules need."""

    tokenizer: Any
    name: str
    mark: str
    asked: dict[str, list[int]] = field(default_factory=dict)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        ids: dict[str, int] = self.tokenizer.get_vocab()
        return ids

    @cached_property
    def letters(self) -> str:
        """A C G T N as the vocabulary writes them: in lower case, or with U for T."""
        pieces = {surface(token) for token in self.vocabulary}
        forms = [LETTERS, "ACGUN", LETTERS.lower(), "acgun"]
        if pieces >= AMINO_ACIDS and pieces >= set("acgt") and len(self.vocabulary) < LETTERS_ONLY:
            return LETTERS.lower()  # of proteins and DNA: upper case are amino acids
        several = {piece for piece in pieces if len(piece) > 1}  # of bytes, every single letter is a piece
        for kept in (several, pieces):
            for form in forms:
                if any(form[3] in piece and set(piece) <= set(form) for piece in kept):
                    return form
        return LETTERS

    @cached_property
    def front(self) -> list[int]:
        """Ids of the mark."""
        return self._ids(self.mark) if self.mark else []

    def _ids(self, text: str) -> list[int]:
        try:
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        except Exception as error:  # tokenizers raise plain Exception for letters that they have no token for
            raise BendError(
                f"{self.name}: its tokenizer fails on {text[:24]!r} ({error}). Genomes have N: it needs a token "
                "for it, or one for what it does not know (unk_token)."
            ) from error

    def ids(self, text: str) -> list[int]:
        """Ids of a text behind the mark, without special tokens.

        Raises:
            BendError: The mark runs into the text.
        """
        if text not in self.asked:
            whole = self._ids(self.mark + text)
            if whole[: len(self.front)] != self.front:
                raise BendError(f"{self.name}: its tokenizer joins the prefix {self.mark!r} with the DNA behind it.")
            self.asked[text] = whole[len(self.front) :]
        return self.asked[text]

    def write(self, text: str, candidate: _Candidate | None = None) -> str:
        """A sequence as the tokenizer is fed with it."""
        cased = write_bases(read_bases([text]), self.letters)[0]
        if candidate is None or candidate.spacing is None:
            return cased
        rest = candidate.family == "k-mer blocks"  # whose last one may be shorter
        stop = len(cased) if rest else len(cased) - candidate.k + 1
        return " ".join(cased[i : i + candidate.k] for i in range(0, stop, candidate.spacing))

    def table(self, k: int, missing: int | None) -> np.ndarray | None:
        """Ids of all k-mers over A C G T N, by their number in base 5; None where the 4^k plain ones are not there."""
        names = words_of(k, self.letters)
        found = [self.vocabulary.get(name) for name in names]
        absent = [name for name, number in zip(names, found, strict=True) if number is None]
        if absent and (missing is None or any(self.letters[-1] not in name for name in absent)):
            return None
        return np.array([missing if number is None else number for number in found], np.int64)

    def blocks(self) -> tuple[int, np.ndarray, int] | None:
        """The length of blocks, their ids and that of a block with N, asked of a tokenizer without looking at names."""
        size = 840  # divisible by every k
        count = len(self.ids(self.write(_random(size, 3))))
        k = size // count if count else 0
        if not 2 <= k <= 8 or k * count != size:
            return None
        plain = [word for word in words_of(k, self.letters) if self.letters[-1] not in word]
        ids, broken = self.ids("".join(plain)), self.ids(self.letters[-1] * k)
        if len(ids) != len(plain) or len(set(ids)) != len(plain) or len(broken) != 1:
            return None
        known = dict(zip(plain, ids, strict=True))
        table = np.array([known.get(word, broken[0]) for word in words_of(k, self.letters)], np.int64)
        return k, table, broken[0]

    @cached_property
    def unknown(self) -> int | None:
        """The id that stands for what the tokenizer does not know.

        GROVER's files on the Hub name it in the byte pairs only, not among the special tokens.
        """
        known: int | None = self.tokenizer.unk_token_id
        if known is not None or not self.tokenizer.is_fast:
            return known
        token = getattr(self.tokenizer.backend_tokenizer.model, "unk_token", None)
        return None if token is None else self.tokenizer.backend_tokenizer.token_to_id(token)

    def specials(self, fed: str, content: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids before and behind those of a text, of the mark and of special tokens."""
        full = list(self.tokenizer(self.mark + fed)["input_ids"])
        for front in range(len(full) - len(content) + 1):
            if full[front : front + len(content)] == list(content):
                return tuple(full[:front]), tuple(full[front + len(content) :])
        raise BendError(f"{self.name}: its tokenizer gives other tokens with special tokens than without them.")

    def agrees(self, candidate: _Candidate) -> bool | None:
        """Whether a rule gives the tokenizer's ids: True on all probes, None without N only, False not even there."""
        same = True
        for text in probes(max(candidate.k, 2)):
            fed = self.write(text, candidate)
            if candidate.rule(read_bases([text]), 0)[0].ids.tolist() != self.ids(fed):
                if "N" not in text:
                    return False
                same = False
        return True if same else None


def _random(size: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), size))


def probes(k: int) -> list[str]:
    """Return sequences that try a rule: every length around multiples of k, runs of N in front, inside and behind."""
    random = np.random.default_rng(2024)
    plain = ["".join(random.choice(list("ACGT"), size)) for size in [*range(k, 3 * k + 2), 97, 130]]
    broken = []
    for text in plain[-PROBES:]:
        letters = np.array(list(text))
        start = int(random.integers(0, len(text)))
        letters[start : start + int(random.integers(1, 14))] = "N"
        broken.append("".join(letters))
    return [*plain, *broken, "N" * k, "N" * (3 * k + 1), plain[-1] + "N" * 12 + plain[-2] + "N", "NN" + plain[-1]]


def read_scheme(tokenizer: Any, name: str, *, prefix: str | None = None, scheme: str | None = None) -> Scheme:
    """Find out how a tokenizer reads DNA.

    Args:
        tokenizer: A tokenizer of transformers, fast or not.
        name: The model's name, for messages.
        prefix: Text before every sequence; None for the mark of `MARKS` that the tokenizer knows, if any, and ``""``
            for none.
        scheme: The family of the rule, instead of the one that is found (one of `SCHEMES`); ``"overlapping
            k-mers/2"`` for a stride of 2; ``"text"`` to take whatever pieces the tokenizer makes.

    Raises:
        BendError: The tokenizer is one of proteins or text, gives nothing that can be mapped to nucleotides, or does
            not read as `scheme` says.
    """
    wanted, stride = _wanted(scheme)
    known = _Tokenizer(tokenizer, name, _mark(tokenizer) if prefix is None else prefix)
    if known.mark and known.unknown in known.front:
        raise BendError(
            f"{name}: prefix={prefix!r} (--prefix) is no token of its tokenizer, which reads it as unknown: give one "
            "that it knows, or none."
        )
    if known.mark:
        log.info("%s: %r is put before every sequence (prefix=).", name, known.mark)
    if known.vocabulary.keys() >= AMINO_ACIDS and len(known.vocabulary) < LETTERS_ONLY and known.letters == LETTERS:
        raise BendError(
            f"{name} is a protein model: its vocabulary has the amino acids {' '.join(sorted(AMINO_ACIDS))} as tokens, "
            "so A, C, G and T would be read as alanine, cysteine, glycine and threonine. Use a model of DNA."
        )
    doubtful = None
    if wanted != "text":
        for candidate in _candidates(known, wanted, stride):
            if wanted not in (None, candidate.family) or (stride is not None and candidate.stride != stride):
                continue
            verdict = known.agrees(candidate)
            if verdict:
                return _build(known, candidate)
            if verdict is None:
                doubtful = doubtful or candidate.family
        if wanted not in (None, "subwords"):
            raise BendError(
                f"{name}: its tokenizer does not read DNA as scheme={scheme!r} says. Leave scheme= (--scheme) out to "
                "let it be found, or give another."
            )
    if doubtful:
        log.warning(
            "%s: its tokenizer reads N in a way of its own, so it is used itself instead of tables for %s (slower).",
            name,
            doubtful,
        )
    return _own(known, as_text=wanted == "text")


def _wanted(scheme: str | None) -> tuple[str | None, int | None]:
    """A scheme as users write it: its family, and the stride behind a slash."""
    if scheme is None:
        return None, None
    family, _, stride = scheme.partition("/")
    if family not in SCHEMES:
        raise unknown("scheme", family, SCHEMES)
    if stride and (family != "overlapping k-mers" or not stride.isdecimal() or int(stride) < 1):
        raise BendError(f"scheme={scheme!r} is none: only overlapping k-mers have a stride (overlapping k-mers/2).")
    return family, int(stride) if stride else None


def _mark(tokenizer: Any) -> str:
    """The mark of DNA that a tokenizer knows as one token; empty where there is none."""
    unknown = tokenizer.unk_token_id
    for mark in MARKS:
        try:
            ids = list(tokenizer(mark, add_special_tokens=False)["input_ids"])
        except Exception:  # tokenizers raise plain Exception for letters that they have no token for
            continue
        if len(ids) == 1 and ids[0] != unknown:
            return mark
    return ""


def _candidates(known: _Tokenizer, wanted: str | None, stride: int | None) -> Iterator[_Candidate]:
    """Rules whose tables can be filled, in the order in which they are tried."""
    missing = known.unknown
    sizes = [k for k in range(8, 1, -1) if _count(known, k) >= 4**k]
    table = known.table(sizes[0], missing) if sizes else None
    singles = known.table(1, missing)
    if table is not None:
        k, top = sizes[0], int(table.max())
        overlapping = partial(read_overlapping, k=k, table=table)
        if missing in known.ids(known.write("ACGTTGCA" * k)):  # else it reads unspaced DNA: none of k-mers
            step = stride or 1
            yield _Candidate("overlapping k-mers", k, step, partial(overlapping, stride=step), top, spacing=step)
            if wanted == "k-mer blocks" and missing is not None:
                yield _Candidate(
                    "k-mer blocks", k, 1, partial(read_blocks, k=k, table=table, unknown=missing), top, spacing=k
                )
        for step in range(1, k):
            yield _Candidate("overlapping k-mers", k, step, partial(overlapping, stride=step), top)
        if singles is not None:
            mixed: Rule = partial(read_kmers, k=k, table=table, singles=singles)
            yield _Candidate("k-mers", k, 1, mixed, max(top, int(singles.max())))
        if missing is not None:
            yield _Candidate("k-mer blocks", k, 1, partial(read_blocks, k=k, table=table, unknown=missing), top)
    if singles is not None:
        yield _Candidate("characters", 1, 1, partial(read_characters, table=singles), int(singles.max()))
    asked = known.blocks()
    if asked is not None:
        k, table, broken = asked
        for fill in (None, 0):  # what becomes of a rest: unknown, or filled up with A
            read: Rule = partial(read_blocks, k=k, table=table, unknown=broken, fill=fill)
            yield _Candidate("k-mer blocks", k, 1, read, int(table.max()))


def _count(known: _Tokenizer, k: int) -> int:
    """How many k-mers of four letters a vocabulary has."""
    letters = set(known.letters[:4])
    return sum(len(token) == k and set(token) <= letters for token in known.vocabulary)


def _own(known: _Tokenizer, *, as_text: bool) -> Scheme:
    """The scheme of a tokenizer that is used itself.

    Raises:
        BendError: It cannot read DNA, turns it into unknown tokens, or reads it as text without being asked to.
    """
    tokenizer, name = known.tokenizer, known.name
    own = (Fast if tokenizer.is_fast else Slow)(tokenizer, known.mark, len(known.front))

    def rule(bases: Any, first: int) -> list[Encoded]:
        return own(write_bases(bases, known.letters))

    probe = _random(1000, 1)
    try:
        tokens, few = (rule(read_bases([text]), 0)[0] for text in (probe, probe[:24]))
    except BendError:
        raise
    except Exception as error:
        raise BendError(f"{name}: its tokenizer cannot read DNA ({error}).") from error
    if any(not np.array_equal(rule(read_bases([probe]), 0)[0].ids, tokens.ids) for _ in range(9)):
        raise BendError(
            f"{name}: its tokenizer reads one sequence in two ways: something random is on in it, such as the dropout "
            'of byte pairs. Switch it off ("dropout": null in tokenizer.json).'
        )
    known.ids(known.write("ACGTNNACGT"))  # an error where it has no token for N
    if _lost(tokens, known) > UNKNOWN_SHARE:
        why = "a protein or text model, or a tokenizer of another model"
        if _lost(few, known) <= UNKNOWN_SHARE:
            why = "not of short ones: it takes words of limited length only, max_input_chars_per_word of its file"
        raise BendError(
            f"{name} is no model of DNA: its tokenizer turns {_lost(tokens, known):.0%} of plain A, C, G and T into "
            f"the unknown token {tokenizer.unk_token!r} ({why})."
        )
    pieces = {token: surface(token) for token in known.vocabulary}
    dna = [known.vocabulary[token] for token, piece in pieces.items() if piece and set(piece.upper()) <= IUPAC]
    share = len(dna) / len(known.vocabulary)
    if share < DNA_SHARE and tokens.lengths.max() > 1 and not as_text:
        shown = " ".join(repr(piece) for piece in tokenizer.convert_ids_to_tokens(tokens.ids[:6].tolist()))
        raise BendError(
            f"{name} reads DNA as text: {len(tokens.ids)} tokens per kilobase ({shown} …), and {share:.1%} of its "
            "vocabulary are strings of DNA. If it reads DNA behind a mark, give that: prefix= (--prefix '<dna>'); to "
            'read text all the same: scheme="text" (--scheme text).'
        )
    marks = tuple(sorted(known.vocabulary[token] for token in pieces if is_mark(token)))
    origin = f"the model's own tokenizer ({type(tokenizer).__name__})"
    largest = max([*dna, *tokens.ids.tolist()])
    return _build(known, _Candidate("subwords", 1, 1, rule, largest), vectorised=False, origin=origin, marks=marks)


def _lost(tokens: Encoded, known: _Tokenizer) -> float:
    """Share of the nucleotides that fall on the unknown token."""
    if known.unknown is None:
        return 0.0
    return float(tokens.lengths[tokens.ids == known.unknown].sum()) / int(tokens.lengths.sum())


def _build(
    known: _Tokenizer,
    candidate: _Candidate,
    vectorised: bool = True,
    origin: str = "tables, equal to the model's tokenizer on all probes",
    marks: tuple[int, ...] = (),
) -> Scheme:
    """The scheme of a rule, with the special tokens that the tokenizer puts around it."""
    tokenizer, missing = known.tokenizer, known.unknown
    probe = probes(max(candidate.k, 6))[-5].replace("N", "A")
    content = [int(i) for i in candidate.rule(read_bases([probe]), 0)[0].ids]
    prefix, suffix = known.specials(known.write(probe, candidate), content)
    pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, missing) if i is not None), 0)
    if known.letters != LETTERS:
        origin += f"; written with {known.letters}"
    return Scheme(
        candidate.family,
        candidate.k,
        candidate.rule,
        prefix,
        suffix,
        pad,
        tokenizer.mask_token_id,
        missing,
        vectorised,
        max(candidate.largest, pad, missing or 0, *prefix, *suffix),
        origin,
        stride=candidate.stride,
        mark=known.mark,
        marks=marks,
        size=max(len(known.vocabulary), max(known.vocabulary.values(), default=0) + 1),
    )
