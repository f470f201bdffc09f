"""How a model reads DNA: its `Scheme`, exact and fast.

    scheme = character_scheme()                          # or `reading.read_scheme` of any tokenizer
    ids, lengths = scheme.encode(["ACGTACGTTT"])[0]      # no special tokens; lengths sum to 10

Every nucleotide belongs to exactly one token: `lengths` is a partition of the sequence into runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np

from bend_hf.embed.rules import LETTERS, Encoded, Rule, read_bases, read_blocks, read_characters, read_overlapping
from bend_hf.errors import BendError

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
        stride: Nucleotides from one overlapping k-mer to the next.
        mark: Text in front of every sequence, whose tokens are part of `prefix`.
        marks: Ids of tokens that own no nucleotide (SentencePiece's ``▁`` alone); their vectors are left out.
        size: Number of tokens the tokenizer has; None where it is not known.
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
    stride: int = 1
    mark: str = ""
    marks: tuple[int, ...] = ()
    size: int | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What decides how DNA is read, beside the tokenizer's files; JSON-able."""
        return {
            "family": self.family,
            "k": self.k,
            "stride": self.stride,
            "prefix": list(self.prefix),
            "suffix": list(self.suffix),
        }

    @property
    def specials(self) -> int:
        """Number of special tokens around a sequence."""
        return len(self.prefix) + len(self.suffix)

    def encode(self, sequences: Sequence[str], first: int = 0) -> list[Encoded]:
        """Return the tokens of each sequence; `first` is the number of the first one in messages.

        Tokens whose length is 0 (`marks`) own no nucleotide: the model sees them, their vectors stand for nothing.

        Raises:
            BendError: An empty sequence, a character that is no nucleotide code, a sequence shorter than an
                overlapping k-mer, or tokens that do not cover the sequence.
        """
        bases = read_bases(sequences, first)
        found = self.rule(bases, first)
        if not self.vectorised:
            for row, (tokens, size) in enumerate(zip(found, np.diff(bases.offsets), strict=True)):
                owning = ~np.isin(tokens.ids, self.marks)
                if (tokens.lengths[owning] < 1).any() or not owning.any() or tokens.lengths.sum() != size:
                    raise BendError(
                        f"Sequence {first + row} ({int(size)} nucleotides) comes back from the tokenizer as "
                        f"{len(tokens.ids)} tokens that cover {int(tokens.lengths.sum())}: it cannot be mapped to "
                        "tokens without a gap. Use a tokenizer that gives offsets, or the adapter for callables."
                    )
        return found

    def count(self, sequences: Sequence[str], most: int = 4096) -> np.ndarray:
        """Return the number of tokens per sequence that own nucleotides (without specials), int64.

        Exact for characters, blocks and overlapping k-mers. For the others it is exact up to `most` sequences; of
        more, `most` are tokenised and the rest estimated from their tokens per nucleotide.
        """
        lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
        if self.family == "characters":
            return lengths
        if self.family == "overlapping k-mers":
            return np.maximum((lengths - self.k) // self.stride + 1, 1)
        if self.family == "k-mer blocks":
            return -(-lengths // self.k)
        if len(lengths) <= most:
            return np.array([np.count_nonzero(tokens.lengths) for tokens in self.encode(sequences)], np.int64)
        drawn = np.linspace(0, len(lengths) - 1, most).astype(np.int64)
        tokens = sum(np.count_nonzero(tokens.lengths) for tokens in self.encode([sequences[row] for row in drawn]))
        estimated: np.ndarray = np.maximum(np.ceil(lengths * (tokens / lengths[drawn].sum())).astype(np.int64), 1)
        return estimated


def character_scheme(
    characters: Sequence[str] = LETTERS, *, prefix: Sequence[int] = (), suffix: Sequence[int] = (1,)
) -> Scheme:
    """Return the scheme of HyenaDNA's and Caduceus' character tokenizers, whose code is not needed.

    Their ids are [CLS] 0, [SEP] 1, [BOS] 2, [MASK] 3, [PAD] 4, [RESERVED] 5, [UNK] 6, then the characters.

    Raises:
        BendError: A, C, G or T is not among the characters.
    """
    if missing := [letter for letter in "ACGT" if letter not in characters]:
        raise BendError(
            f"Of the nucleotides, {', '.join(missing)} would be unknown: the characters are {' '.join(characters)}."
        )
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
    table = _table(vocabulary, k, unknown)
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


def overlapping_scheme(
    vocabulary: Mapping[str, int],
    k: int,
    stride: int,
    *,
    unknown: int,
    pad: int,
    mask: int | None,
    prefix: Sequence[int],
    suffix: Sequence[int],
) -> Scheme:
    """Return the scheme of ProkBERT's tokenizer, whose code is not needed: k-mers every `stride` nucleotides.

    Raises:
        BendError: The vocabulary lacks a k-mer of A, C, G and T, or the stride is none.
    """
    if not 1 <= stride <= k:
        raise BendError(f"A stride of {stride} leaves nucleotides between {k}-mers out.")
    table = _table(vocabulary, k, unknown)
    single = k == 1
    return Scheme(
        "characters" if single else "overlapping k-mers",
        k,
        partial(read_characters, table=table) if single else partial(read_overlapping, k=k, table=table, stride=stride),
        tuple(prefix),
        tuple(suffix),
        pad,
        mask,
        unknown,
        True,
        max(int(table.max()), unknown, pad, *prefix, *suffix),
        "tables, by the tokenizer's vocabulary and configuration",
        stride=stride,
        size=len(vocabulary),
    )


def _table(vocabulary: Mapping[str, int], k: int, unknown: int) -> np.ndarray:
    """Ids of all k-mers over A C G T N by their number in base 5; those with an N may be unknown.

    Raises:
        BendError: One without an N is not in the vocabulary.
    """
    names = words_of(k)
    missing = [name for name in names if "N" not in name and name not in vocabulary]
    if missing:
        raise BendError(f"{len(missing)} of the {4**k} {k}-mers of A, C, G and T are missing, first {missing[0]!r}.")
    return np.array([vocabulary.get(name, unknown) for name in names], np.int64)


def words_of(k: int, letters: str = LETTERS) -> list[str]:
    """Return all k-mers over five letters, in the order of their numbers in base 5."""
    return ["".join(word) for word in product(letters, repeat=k)]
