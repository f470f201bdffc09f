"""Sequences to token ids and run lengths, for every family of tokenizer, exactly and fast.

    scheme = read_scheme(tokenizer, "zhihan1996/DNA_bert_6")
    ids, lengths = scheme.encode(["ACGTACGTTT"])[0]      # no special tokens; lengths sum to 10

Every nucleotide belongs to exactly one token: `lengths` is a partition of the sequence into runs. Families whose
rule is known (characters, k-mers, overlapping k-mers) are read from tables in numpy, after the rule was found to give
the tokenizer's own ids on probe sequences; a tokenizer that differs is used itself, and the log says so.

Sequences may be in lower case; IUPAC codes other than A, C, G, T become N; anything else is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from bend_hf.console import log
from bend_hf.errors import BendError

LETTERS = "ACGTN"
N = 4
UNKNOWN_SHARE = 0.05
"""Share of plain DNA that may fall on unknown tokens before a tokenizer is refused."""

_CODES = np.full(256, 255, np.uint8)
for _code, _letters in enumerate(("A", "C", "G", "T", "NRYSWKMBDHV")):
    for _letter in _letters + _letters.lower():
        _CODES[ord(_letter)] = _code

Family = Literal["characters", "k-mers", "k-mer blocks", "overlapping k-mers", "subwords"]


class Encoded(NamedTuple):
    """One sequence as tokens, without special tokens: `ids` (T,) int64 and `lengths` (T,) int64 > 0, summing to L."""

    ids: np.ndarray
    lengths: np.ndarray


class Bases(NamedTuple):
    """Sequences end to end: `codes` uint8 (A C G T N = 0 … 4), sequence i at ``offsets[i]:offsets[i + 1]``."""

    codes: np.ndarray
    offsets: np.ndarray


Rule = Callable[[Bases, int], list[Encoded]]


def read_bases(sequences: Sequence[str], first: int = 0) -> Bases:
    """Read sequences as numbers.

    Args:
        sequences: DNA in either case, with IUPAC codes.
        first: Number of the first sequence in messages.

    Raises:
        BendError: A sequence is empty or holds a character that is no nucleotide code; both are named.
    """
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    if (lengths == 0).any():
        raise BendError(f"Sequence {first + int(np.argmin(lengths))} is empty: there is nothing to embed.")
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    codes = _CODES[np.frombuffer("".join(sequences).encode("ascii", "replace"), np.uint8)]
    if codes.size and codes.max() == 255:
        position = int(np.argmax(codes))
        row = int(np.searchsorted(offsets, position, "right")) - 1
        position -= int(offsets[row])
        raise BendError(
            f"Sequence {first + row} holds {sequences[row][position]!r} at position {position} (0-based), which is no "
            "nucleotide: only A, C, G, T, N and the IUPAC codes are (for RNA, write T for U)."
        )
    return Bases(codes, offsets)


def write_bases(bases: Bases, lower: bool = False) -> list[str]:
    """Return the sequences as text of the letters A C G T N, in upper or lower case."""
    letters = np.frombuffer((LETTERS.lower() if lower else LETTERS).encode(), np.uint8)
    text = letters[bases.codes].tobytes().decode()
    return [text[a:b] for a, b in pairwise(bases.offsets)]


def reverse_complement(sequence: str) -> str:
    """Return the reverse complement; case and IUPAC codes are kept."""
    return sequence.translate(_COMPLEMENT)[::-1]


_COMPLEMENT = str.maketrans("ACGTNRYSWKMBDHVacgtnryswkmbdhv", "TGCANYRSWMKVHDBtgcanyrswmkvhdb")


# The rules: tables and Bases in, one Encoded per sequence out.


def _split(ids: np.ndarray, lengths: np.ndarray, starts: np.ndarray, bases: Bases) -> list[Encoded]:
    """Cut flat tokens, of which those of sequence i begin at the nucleotides ``offsets[i]`` …, into sequences."""
    cuts = np.searchsorted(starts, bases.offsets)
    return [Encoded(ids[a:b], lengths[a:b]) for a, b in pairwise(cuts)]


def _words(codes: np.ndarray, starts: np.ndarray | slice, k: int) -> np.ndarray:
    """Return k-mers as numbers in base 5, first base most significant; `starts` is a slice for all of them."""
    if isinstance(starts, slice):
        size = max(0, len(codes) - k + 1)
        value = codes[:size].astype(np.int32)
        for j in range(1, k):
            value *= 5
            value += codes[j : j + size]
        return value
    value = codes[starts].astype(np.int32)
    for j in range(1, k):
        value *= 5
        value += codes[starts + j]
    return value


def _characters(bases: Bases, first: int, *, table: np.ndarray) -> list[Encoded]:
    ids, ones = table[bases.codes], np.ones(len(bases.codes), np.int64)
    return [Encoded(ids[a:b], ones[a:b]) for a, b in pairwise(bases.offsets)]


def _kmers(bases: Bases, first: int, *, k: int, table: np.ndarray, singles: np.ndarray) -> list[Encoded]:
    """Greedy from the left: a k-mer where the next k bases are plain, else one nucleotide."""
    codes, offsets = bases
    begins = np.zeros(len(codes), bool)
    begins[offsets[:-1]] = True
    unknown = np.flatnonzero(codes == N)
    if unknown.size:  # every N is a run of its own
        begins[unknown] = True
        begins[unknown[unknown < len(codes) - 1] + 1] = True
    runs = np.flatnonzero(begins)
    sizes = np.diff(runs, append=len(codes))
    whole = np.where(codes[runs] == N, 0, sizes // k)
    tokens = whole + sizes - whole * k
    # Within a run: `whole` k-mers, then single nucleotides.
    number = np.arange(tokens.sum()) - np.repeat(np.cumsum(tokens) - tokens, tokens)
    whole = np.repeat(whole, tokens)
    single = number >= whole
    starts = np.repeat(runs, tokens) + np.where(single, whole * (k - 1) + number, number * k)
    ids = singles[codes[starts]]
    ids[~single] = table[_words(codes, starts[~single], k)]
    return _split(ids, np.where(single, 1, k), starts, bases)


def _blocks(bases: Bases, first: int, *, k: int, table: np.ndarray, unknown: int) -> list[Encoded]:
    """Blocks of k from the left; a block with an N, or a last one that is too short, is the unknown token."""
    sizes = np.diff(bases.offsets)
    tokens = -(-sizes // k)
    number = np.arange(tokens.sum()) - np.repeat(np.cumsum(tokens) - tokens, tokens)
    starts = np.repeat(bases.offsets[:-1], tokens) + number * k
    lengths = np.minimum(k, np.repeat(bases.offsets[1:], tokens) - starts)
    ids = np.full(len(starts), unknown, np.int64)
    ids[lengths == k] = table[_words(bases.codes, starts[lengths == k], k)]
    return _split(ids, lengths, starts, bases)


def _overlapping(bases: Bases, first: int, *, k: int, table: np.ndarray) -> list[Encoded]:
    """All k-mers at stride 1; position p belongs to the k-mer that starts at p - (k - 1) // 2, within bounds."""
    sizes = np.diff(bases.offsets)
    if (sizes < k).any():
        row = int(np.argmax(sizes < k))
        raise BendError(
            f"Sequence {first + row} has {int(sizes[row])} nucleotides, fewer than the {k} of this model's k-mers: "
            "leave it out, or use a model that reads single nucleotides."
        )
    ids = table[_words(bases.codes, slice(None), k)]
    return [Encoded(ids[a : b - k + 1], overlap_lengths(int(b - a), k)) for a, b in pairwise(bases.offsets)]


def overlap_lengths(length: int, k: int) -> np.ndarray:
    """Return the run lengths of the ``length - k + 1`` overlapping k-mers of a sequence."""
    lengths = np.ones(length - k + 1, np.int64)
    lengths[0] += (k - 1) // 2
    lengths[-1] += k - 1 - (k - 1) // 2
    return lengths


def reference_overlap(k: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how the BEND reference upsamples overlapping k-mers: order of the vectors, and their run lengths.

    For k of 5 and more the second copy of the first vector lies behind the sequence (``embedders.py:298-300`` at
    ac6e80c): 12 nucleotides in 6-mers read ``0 0 1 2 3 4 5 6 0 6 6 6``.
    """
    if k < 5:
        return np.arange(tokens), overlap_lengths(tokens + k - 1, k)
    lengths = np.ones(tokens + 2, np.int64)
    lengths[0] = (k - 1) // 2
    lengths[-1] = k - 1 - (k - 1) // 2
    return np.concatenate((np.arange(tokens), [0, tokens - 1])), lengths


# Tokenizers that are used themselves.


def _surface(token: str) -> str:
    """The letters of a vocabulary entry without the marks of WordPiece, byte-level BPE and SentencePiece."""
    return token.removeprefix("##").lstrip("Ġ▁")


def owners(offsets: Sequence[tuple[int, int]], length: int) -> np.ndarray:
    """Return run lengths from character offsets: a token owns from the end of the one before to its own end."""
    ends = np.fromiter((end for _, end in offsets), np.int64, len(offsets))
    if len(ends):
        ends[-1] = length
    return np.diff(ends, prepend=0)


def walk(text: str, surfaces: Sequence[str]) -> np.ndarray:
    """Return run lengths by finding each token's letters in the text; unknown ones share what lies between.

    Args:
        text: The sequence.
        surfaces: The tokens as the tokenizer writes them, specials left out.
    """
    lengths = np.zeros(len(surfaces), np.int64)
    position, folded = 0, text.upper()
    waiting: list[int] = []

    def share(end: int) -> None:
        for rank, index in enumerate(waiting):
            lengths[index] = (end - position) * (rank + 1) // len(waiting) - (end - position) * rank // len(waiting)

    for index, token in enumerate(surfaces):
        letters = _surface(token).upper()
        at = folded.find(letters, position + len(waiting)) if letters and set(letters) <= set(LETTERS) else -1
        if at < 0:
            waiting.append(index)
            continue
        share(at)
        lengths[index] = at + len(letters) - (at if waiting else position)
        position, waiting = at + len(letters), []
    share(len(text))
    return lengths


class _Fast:
    """A Rust tokenizer: ids and, only where the letters of the tokens do not add up to the sequence, offsets."""

    def __init__(self, tokenizer: Any):
        self.backend = tokenizer.backend_tokenizer
        self.backend.no_truncation()
        self.backend.no_padding()
        vocabulary = tokenizer.get_vocab()
        self.letters = np.zeros(max(vocabulary.values()) + 1, np.int64)
        for token, number in vocabulary.items():
            plain = _surface(token).upper()
            if plain and set(plain) <= set(LETTERS):
                self.letters[number] = len(plain)

    def __call__(self, texts: Sequence[str]) -> list[Encoded]:
        found: list[Encoded] = []
        for text, encoding in zip(
            texts, self.backend.encode_batch_fast(list(texts), add_special_tokens=False), strict=True
        ):
            ids = np.array(encoding.ids, np.int64)
            lengths = self.letters[ids]
            if lengths.sum() != len(text) or not lengths.all():
                lengths = owners(self.backend.encode(text, add_special_tokens=False).offsets, len(text))
            found.append(Encoded(ids, lengths))
        return found


class _Slow:
    """A tokenizer in Python: the pieces before unknown ones are replaced, else a walk along the sequence."""

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer

    def __call__(self, texts: Sequence[str]) -> list[Encoded]:
        found = []
        for text in texts:
            pieces = self.tokenizer.tokenize(text)
            ids = np.array(self.tokenizer.convert_tokens_to_ids(pieces), np.int64)
            exact = "".join(pieces).upper() == text.upper()
            found.append(Encoded(ids, np.array([len(p) for p in pieces]) if exact else walk(text, pieces)))
        return found


# What is found out about a tokenizer.


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
        return not any("A" in token and set(token) <= set(LETTERS) for token in map(_surface, self.vocabulary)) and any(
            "a" in token and set(token) <= set(LETTERS.lower()) for token in map(_surface, self.vocabulary)
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
        candidates.append(("overlapping k-mers", k, partial(_overlapping, k=k, table=table), top))
        if singles is not None:
            rule: Rule = partial(_kmers, k=k, table=table, singles=singles)
            candidates.append(("k-mers", k, rule, max(top, int(singles.max()))))
        if unknown is not None:
            candidates.append(("k-mer blocks", k, partial(_blocks, k=k, table=table, unknown=unknown), top))
        break
    singles = known.table(1, unknown)
    if singles is not None:
        candidates.append(("characters", 1, partial(_characters, table=singles), int(singles.max())))
    doubtful = None
    for family, k, rule, top in candidates:
        if family == "overlapping k-mers" and unknown not in known.ids("ACGTTGCA" * k):
            continue  # it reads unspaced DNA too, so it is not fed k-mers
        verdict = agrees(family, k, rule)
        if verdict:
            return build(family, k, rule, top, "tables, equal to the model's tokenizer on all probes")
        if verdict is None:
            doubtful = doubtful or family

    own = _Fast(tokenizer) if tokenizer.is_fast else _Slow(tokenizer)

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
    dna = [i for t, i in vocabulary.items() if _surface(t) and set(_surface(t).upper()) <= set(LETTERS)]
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
        partial(_characters, table=table),
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
        partial(_blocks, k=k, table=table, unknown=unknown),
        tuple(prefix),
        tuple(suffix),
        pad,
        mask,
        unknown,
        True,
        max(int(table.max()), unknown, pad, *prefix, *suffix),
        "tables, by the tokenizer's vocabulary and configuration",
    )
