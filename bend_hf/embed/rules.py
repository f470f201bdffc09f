"""DNA as numbers, and the rules of tokenizers whose rule is known: tables in, ids and run lengths out.

    bases = read_bases(["ACGTNACGT"])
    read_overlapping(bases, 0, k=3, table=table)[0].lengths         # array([2, 1, 1, 1, 1, 1, 2])

Rules work on all sequences at once, laid end to end. Sequences may be in lower case; the U of RNA becomes T, which is
said; other IUPAC codes than A, C, G, T become N; anything else is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from bend_hf.console import log
from bend_hf.errors import BendError

LETTERS = "ACGTN"
N = 4
_CODES = np.full(256, 255, np.uint8)
_U = 5
for _code, _letters in enumerate(("A", "C", "G", "T", "NRYSWKMBDHV", "U")):
    for _letter in _letters + _letters.lower():
        _CODES[ord(_letter)] = _code


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
            "nucleotide: only A, C, G, T, U, N and the IUPAC codes are."
        )
    if codes.size and codes.max() == _U:
        _say_rna()
        codes[codes == _U] = LETTERS.index("T")
    return Bases(codes, offsets)


@cache
def _say_rna() -> None:
    log.warning("There are sequences with U (RNA): it is read as T.")


def check_several(sequences: object) -> None:
    """Refuse what is no row of sequences: one alone, whose letters would be taken for them, or a set without order."""
    if isinstance(sequences, str):
        raise BendError("embed() takes several sequences: put the one you have into a list.")
    if isinstance(sequences, bytes | Set | Mapping) or not isinstance(sequences, Iterable):
        raise BendError(f"A {type(sequences).__name__} is no row of sequences in order: give a list of DNA as text.")


def check_text(sequence: object, row: int) -> None:
    """Refuse what is no text, as sequence number `row`."""
    if not isinstance(sequence, str):
        raise BendError(f"Sequence {row} is of type {type(sequence).__name__}: give DNA as text, such as 'ACGT'.")


def write_bases(bases: Bases, letters: str = LETTERS) -> list[str]:
    """Return the sequences as text, with `letters` for A C G T N: lower case, or U for T, as a tokenizer wants it."""
    text = np.frombuffer(letters.encode(), np.uint8)[bases.codes].tobytes().decode()
    return [text[a:b] for a, b in pairwise(bases.offsets)]


def reverse_complement(sequence: str) -> str:
    """Return the reverse complement; case and IUPAC codes are kept."""
    return sequence.translate(_COMPLEMENT)[::-1]


_COMPLEMENT = str.maketrans("ACGTUNRYSWKMBDHVacgtunryswkmbdhv", "TGCAANYRSWMKVHDBtgcaanyrswmkvhdb")


# The rules: tables and Bases in, one Encoded per sequence out.


def _split(ids: np.ndarray, lengths: np.ndarray, starts: np.ndarray, bases: Bases) -> list[Encoded]:
    """Cut flat tokens, of which those of sequence i begin at the nucleotides ``offsets[i]`` …, into sequences."""
    cuts = np.searchsorted(starts, bases.offsets)
    return [Encoded(ids[a:b], lengths[a:b]) for a, b in pairwise(cuts)]


def _words(codes: np.ndarray, starts: np.ndarray | slice, k: int) -> np.ndarray:
    """Return k-mers as numbers in base 5, first base most significant; `starts` is a slice for all of them."""
    if isinstance(starts, slice):
        size = max(0, len(codes) - k + 1)
        value: np.ndarray = codes[:size].astype(np.int32)
        for j in range(1, k):
            value *= 5
            value += codes[j : j + size]
        return value
    value = codes[starts].astype(np.int32)
    for j in range(1, k):
        value *= 5
        value += codes[starts + j]
    return value


def read_characters(bases: Bases, first: int, *, table: np.ndarray) -> list[Encoded]:
    """Every nucleotide is a token."""
    ids, ones = table[bases.codes], np.ones(len(bases.codes), np.int64)
    return [Encoded(ids[a:b], ones[a:b]) for a, b in pairwise(bases.offsets)]


def read_kmers(bases: Bases, first: int, *, k: int, table: np.ndarray, singles: np.ndarray) -> list[Encoded]:
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


def read_blocks(
    bases: Bases, first: int, *, k: int, table: np.ndarray, unknown: int, fill: int | None = None
) -> list[Encoded]:
    """Blocks of k from the left; a block with an N is the unknown token, and so is a last one that is too short.

    With `fill`, a base's code, the last one is filled up with it instead (Carbon's tokenizer fills with A).
    """
    sizes = np.diff(bases.offsets)
    tokens = -(-sizes // k)
    number = np.arange(tokens.sum()) - np.repeat(np.cumsum(tokens) - tokens, tokens)
    starts = np.repeat(bases.offsets[:-1], tokens) + number * k
    lengths = np.minimum(k, np.repeat(bases.offsets[1:], tokens) - starts)
    ids = np.full(len(starts), unknown, np.int64)
    ids[lengths == k] = table[_words(bases.codes, starts[lengths == k], k)]
    short = np.flatnonzero(lengths < k)
    if fill is not None and short.size:
        offsets = np.arange(k)
        there = offsets < lengths[short, None]
        codes = bases.codes[np.minimum(starts[short, None] + offsets, len(bases.codes) - 1)]
        ids[short] = table[_words(np.where(there, codes, fill).ravel(), np.arange(len(short)) * k, k)]
    return _split(ids, lengths, starts, bases)


def read_overlapping(bases: Bases, first: int, *, k: int, table: np.ndarray, stride: int = 1) -> list[Encoded]:
    """k-mers every `stride` bases; each owns the `stride` nucleotides in its middle, the first and last also the ends.

    With a stride of 1, position p belongs to the k-mer that starts at p - (k - 1) // 2, within bounds. Up to
    ``stride - 1`` nucleotides behind the last k-mer are in no token; they belong to the last one.
    """
    sizes = np.diff(bases.offsets)
    if (sizes < k).any():
        row = int(np.argmax(sizes < k))
        raise BendError(
            f"Sequence {first + row} has {int(sizes[row])} nucleotides, fewer than the {k} of this model's k-mers: "
            "leave it out, or use a model that reads single nucleotides."
        )
    ids = table[_words(bases.codes, slice(None), k)]
    return [
        Encoded(ids[a : b - k + 1 : stride], overlap_lengths(int(b - a), k, stride)) for a, b in pairwise(bases.offsets)
    ]


def overlap_lengths(length: int, k: int, stride: int = 1) -> np.ndarray:
    """Return the run lengths of the ``(length - k) // stride + 1`` k-mers that begin every `stride` bases."""
    lengths = np.full((length - k) // stride + 1, stride, np.int64)
    lengths[0] += (k - stride) // 2
    lengths[-1] += length - lengths.sum()
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
