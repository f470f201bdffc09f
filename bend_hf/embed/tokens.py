"""How a model reads DNA: found out from its tokenizer, exactly and fast.

    scheme = read_scheme(tokenizer, "zhihan1996/DNA_bert_6")
    ids, lengths = scheme.encode(["ACGTACGTTT"])[0]      # no special tokens; lengths sum to 10

Every nucleotide belongs to exactly one token: `lengths` is a partition of the sequence into runs. Families whose
rule is known (characters, k-mers, overlapping k-mers) are read from tables (`rules`), after the rule was found to give
the tokenizer's own ids on probe sequences; a tokenizer that differs is used itself (`own_tokenizer`), and the log says
so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np

from bend_hf.console import log
from bend_hf.embed.own_tokenizer import Fast, Slow, surface
from bend_hf.embed.rules import (
    LETTERS,
    Bases,
    Encoded,
    N,
    Rule,
    read_bases,
    read_blocks,
    read_characters,
    read_kmers,
    read_overlapping,
    write_bases,
)
from bend_hf.errors import BendError

UNKNOWN_SHARE = 0.05
"""Share of plain DNA that may fall on unknown tokens before a tokenizer is refused."""

Family = Literal["characters", "k-mers", "k-mer blocks", "overlapping k-mers", "subwords"]


@dataclass(frozen=True)
class Scheme:
    """How a model reads DNA.

    Attributes:
        family: The rule.
        k: Length of its k-mers; 1 for characters and subwords.
        rule: Bases (and the number of the first sequence) to one `Encoded` per sequence.
        prefix: Ids of the special tokens in front.
        suffix: Ids of the special tokens behind.
        pad: Id to pad with on the right.
        mask: Id of the mask token, None where there is none.
        unknown: Id of the unknown token, None where there is none.
        vectorised: Whether the rule runs in numpy (else in the tokenizer itself).
        largest: The largest id the scheme can give.
        origin: Where the rule comes from, for reports.
    """

    family: Family
    k: int
    rule: Rule
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int
    mask: int | None
    unknown: int | None
    vectorised: bool
    largest: int
    origin: str

    @property
    def specials(self) -> int:
        """Number of special tokens around a sequence."""
        return len(self.prefix) + len(self.suffix)

    def encode(self, sequences: Sequence[str], first: int = 0) -> list[Encoded]:
        """Return the tokens of each sequence; `first` is the number of the first one in messages.

        Raises:
            BendError: An empty sequence, a character that is no nucleotide code, a sequence shorter than an
                overlapping k-mer, or tokens that do not cover the sequence.
        """
        bases = read_bases(sequences, first)
        found = self.rule(bases, first)
        if not self.vectorised:
            for row, (tokens, size) in enumerate(zip(found, np.diff(bases.offsets), strict=True)):
                if not tokens.lengths.all() or (tokens.lengths < 0).any() or tokens.lengths.sum() != size:
                    raise BendError(
                        f"Sequence {first + row} ({int(size)} nucleotides) comes back from the tokenizer as "
                        f"{len(tokens.ids)} tokens that cover {int(tokens.lengths.sum())}: it cannot be mapped to "
                        "tokens without a gap. Use a tokenizer that gives offsets, or the adapter for callables."
                    )
        return found

    def count(self, sequences: Sequence[str], most: int = 4096) -> np.ndarray:
        """Return the number of tokens per sequence (without specials), int64.

        Exact for characters, blocks and overlapping k-mers. For the others it is exact up to `most` sequences; of
        more, `most` are tokenised and the rest estimated from their tokens per nucleotide.
        """
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        if self.family == "characters":
            return lengths
        if self.family == "overlapping k-mers":
            return np.maximum(lengths - self.k + 1, 1)
        if self.family == "k-mer blocks":
            return -(-lengths // self.k)
        if len(lengths) <= most:
            return np.array([len(tokens.ids) for tokens in self.encode(sequences)], np.int64)
        drawn = np.linspace(0, len(lengths) - 1, most).astype(np.int64)
        tokens = sum(len(tokens.ids) for tokens in self.encode([sequences[row] for row in drawn]))
        return np.maximum(np.ceil(lengths * (tokens / lengths[drawn].sum())).astype(np.int64), 1)


@dataclass(frozen=True)
class _Tokenizer:
    """A tokenizer of transformers and the facts that the rules need."""

    tokenizer: Any
    name: str

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        return self.tokenizer.get_vocab()

    @cached_property
    def lower(self) -> bool:
        """Whether the vocabulary holds DNA in lower case only."""
        return not any("A" in token and set(token) <= set(LETTERS) for token in map(surface, self.vocabulary)) and any(
            "a" in token and set(token) <= set(LETTERS.lower()) for token in map(surface, self.vocabulary)
        )

    def ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def table(self, k: int, missing: int | None) -> np.ndarray | None:
        """Ids of all k-mers over A C G T N, by their number in base 5; None where the 4^k plain ones are not there."""
        letters = LETTERS.lower() if self.lower else LETTERS
        words = np.array(list(letters))
        names = words if k == 1 else None
        if names is None:
            grid = np.stack(np.unravel_index(np.arange(5**k), (5,) * k), 1)
            names = np.array(["".join(row) for row in words[grid]])
        found = [self.vocabulary.get(str(name)) for name in names]
        if any(number is None and letters[N] not in name for name, number in zip(names, found, strict=True)):
            return None
        if missing is None and any(number is None for number in found):
            return None
        return np.array([missing if number is None else number for number in found], np.int64)


def _unknown(tokenizer: Any) -> int | None:
    """The id that stands for what a tokenizer does not know.

    GROVER's files on the Hub name it in the byte pairs only, not among the special tokens.
    """
    if tokenizer.unk_token_id is not None or not tokenizer.is_fast:
        return tokenizer.unk_token_id
    token = getattr(tokenizer.backend_tokenizer.model, "unk_token", None)
    return None if token is None else tokenizer.backend_tokenizer.token_to_id(token)


PROBES = 24


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


def read_scheme(tokenizer: Any, name: str) -> Scheme:
    """Find out how a tokenizer reads DNA.

    Args:
        tokenizer: A tokenizer of transformers, fast or not.
        name: The model's name, for messages.

    Raises:
        BendError: The tokenizer is one of proteins or text, or gives nothing that can be mapped to nucleotides.
    """
    known = _Tokenizer(tokenizer, name)
    vocabulary = known.vocabulary
    unknown = _unknown(tokenizer)
    amino = set("LKEIFPQWYVRDH")
    if amino <= vocabulary.keys() and len(vocabulary) < 128:
        raise BendError(
            f"{name} is a protein model: its vocabulary has the amino acids {' '.join(sorted(amino))} as tokens, so "
            "A, C, G and T would be read as alanine, cysteine, glycine and threonine. Use a model of DNA."
        )

    def specials(joined: str, content: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        full = list(tokenizer(joined)["input_ids"])
        for front in range(len(full) - len(content) + 1):
            if full[front : front + len(content)] == list(content):
                return tuple(full[:front]), tuple(full[front + len(content) :])
        raise BendError(f"{name}: its tokenizer gives other tokens with special tokens than without them.")

    def spaced(text: str, k: int) -> str:
        return " ".join(text[i : i + k] for i in range(len(text) - k + 1))

    def build(family: Family, k: int, rule: Rule, largest: int, origin: str) -> Scheme:
        probe = probes(max(k, 6))[-5].replace("N", "A")
        text = write_bases(read_bases([probe]), known.lower)[0]
        content = [int(i) for i in rule(read_bases([probe]), 0)[0].ids]
        prefix, suffix = specials(spaced(text, k) if family == "overlapping k-mers" else text, content)
        pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, unknown) if i is not None), 0)
        largest = max(largest, pad, unknown or 0, *prefix, *suffix)
        return Scheme(
            family,
            k,
            rule,
            prefix,
            suffix,
            pad,
            tokenizer.mask_token_id,
            unknown,
            family != "subwords",
            largest,
            origin,
        )

    def agrees(family: Family, k: int, rule: Rule) -> bool | None:
        """True: on all probes. None: only without N. False: not even there."""
        same = True
        for text in probes(max(k, 2)):
            cased = text.lower() if known.lower else text
            if rule(read_bases([text]), 0)[0].ids.tolist() != known.ids(
                spaced(cased, k) if family == "overlapping k-mers" else cased
            ):
                if "N" not in text:
                    return False
                same = False
        return True if same else None

    candidates: list[tuple[Family, int, Rule, int]] = []
    for k in range(8, 1, -1):
        if sum(len(t) == k and set(t.upper()) <= set("ACGT") for t in vocabulary) < 4**k:
            continue
        table, singles = known.table(k, unknown), known.table(1, unknown)
        if table is None:
            continue
        top = int(table.max())
        candidates.append(("overlapping k-mers", k, partial(read_overlapping, k=k, table=table), top))
        if singles is not None:
            rule: Rule = partial(read_kmers, k=k, table=table, singles=singles)
            candidates.append(("k-mers", k, rule, max(top, int(singles.max()))))
        if unknown is not None:
            candidates.append(("k-mer blocks", k, partial(read_blocks, k=k, table=table, unknown=unknown), top))
        break
    singles = known.table(1, unknown)
    if singles is not None:
        candidates.append(("characters", 1, partial(read_characters, table=singles), int(singles.max())))
    doubtful = None
    for family, k, rule, top in candidates:
        if family == "overlapping k-mers" and unknown not in known.ids("ACGTTGCA" * k):
            continue  # it reads unspaced DNA too, so it is not fed k-mers
        verdict = agrees(family, k, rule)
        if verdict:
            return build(family, k, rule, top, "tables, equal to the model's tokenizer on all probes")
        if verdict is None:
            doubtful = doubtful or family

    own = Fast(tokenizer) if tokenizer.is_fast else Slow(tokenizer)

    def own_rule(bases: Bases, first: int) -> list[Encoded]:
        return own(write_bases(bases, known.lower))

    if doubtful:
        log.warning(
            "%s: its tokenizer reads N in a way of its own, so it is used itself instead of tables for %s (slower).",
            name,
            doubtful,
        )
    probe = "".join(np.random.default_rng(1).choice(list("ACGT"), 1000))
    try:
        tokens = own_rule(read_bases([probe]), 0)[0]
    except Exception as error:
        raise BendError(f"{name}: its tokenizer cannot read DNA ({error}).") from error
    share = float(tokens.lengths[tokens.ids == unknown].sum()) / len(probe) if unknown is not None else 0.0
    if share > UNKNOWN_SHARE:
        raise BendError(
            f"{name} is no model of DNA: its tokenizer turns {share:.0%} of plain A, C, G and T into the unknown token "
            f"{tokenizer.unk_token!r} (a protein or text model, or a tokenizer of another model)."
        )
    dna = [i for t, i in vocabulary.items() if surface(t) and set(surface(t).upper()) <= set(LETTERS)]
    if len(dna) < len(vocabulary) / 10:
        log.warning(
            "%s: only %.1f %% of its vocabulary are DNA strings; is it a model of text?",
            name,
            100 * len(dna) / len(vocabulary),
        )
    return build(
        "subwords", 1, own_rule, max(dna, default=0), f"the model's own tokenizer ({type(tokenizer).__name__})"
    )


def character_scheme(
    characters: Sequence[str] = LETTERS, *, prefix: Sequence[int] = (), suffix: Sequence[int] = (1,)
) -> Scheme:
    """Return the scheme of HyenaDNA's and Caduceus' character tokenizers, whose code is not needed.

    Their ids are [CLS] 0, [SEP] 1, [BOS] 2, [MASK] 3, [PAD] 4, [RESERVED] 5, [UNK] 6, then the characters.
    """
    table = np.array([7 + list(characters).index(c) if c in characters else 6 for c in LETTERS], np.int64)
    return Scheme(
        "characters",
        1,
        partial(read_characters, table=table),
        tuple(prefix),
        tuple(suffix),
        4,
        3,
        6,
        True,
        int(table.max()),
        "tables, by the tokenizer's published configuration",
    )


def block_scheme(
    vocabulary: Mapping[str, int],
    k: int,
    *,
    unknown: int,
    pad: int,
    mask: int | None = None,
    prefix: Sequence[int] = (),
    suffix: Sequence[int] = (),
) -> Scheme:
    """Return the scheme of GENERator's tokenizer, whose code is not needed.

    It cuts DNA into k-mers from the left; a k-mer with an N and a shorter rest behind are `unknown`.

    Raises:
        BendError: The vocabulary lacks a k-mer of A, C, G and T.
    """
    words = np.stack(np.unravel_index(np.arange(5**k), (5,) * k), 1)
    names = ["".join(LETTERS[letter] for letter in word) for word in words]
    missing = [name for name in names if "N" not in name and name not in vocabulary]
    if missing:
        raise BendError(f"{len(missing)} of the {4**k} {k}-mers of A, C, G and T are missing, first {missing[0]!r}.")
    table = np.array([vocabulary.get(name, unknown) for name in names], np.int64)
    return Scheme(
        "k-mer blocks",
        k,
        partial(read_blocks, k=k, table=table, unknown=unknown),
        tuple(prefix),
        tuple(suffix),
        pad,
        mask,
        unknown,
        True,
        max(int(table.max()), unknown, pad, *prefix, *suffix),
        "tables, by the tokenizer's vocabulary and configuration",
    )
