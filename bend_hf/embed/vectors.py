"""Token vectors by row, wherever they are: in memory, computed on the fly, or in a store on disk.

    source = InMemory(embedder, sequences)
    for vectors, lengths in source.read([3, 1, 4]):     # (T, D) of bfloat16 or float16; (T,) summing to the sequence
        ...

All sources round alike (`pack`), so that it does not matter to a score where the vectors came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np
import torch

from bend_hf.embed.interface import SequenceEmbedder, Tokens
from bend_hf.embed.rules import check_several, check_text
from bend_hf.errors import BendError, unknown
from bend_hf.files import digest_of
from bend_hf.text import counted

Precision = Literal["auto", "bfloat16", "float16", "float32", "int8"]
FLOATS = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


class VectorSource(Protocol):
    """Random access to the token vectors of a list of sequences.

    Attributes:
        dim: Width D of a vector.
        lengths_in_tokens: (n,) int64, tokens of each row (`OnTheFly`: as the embedder counts them beforehand).
        key: Digest of what decides every row's vectors, wherever they are. A source of one's own may go without:
            whoever has to know is then to read the vectors.
    """

    dim: int
    key: str
    lengths_in_tokens: np.ndarray

    def __len__(self) -> int:
        """Rows."""
        ...

    def read(self, rows: Sequence[int]) -> list[Tokens]:
        """Return the vectors and run lengths of some rows, in the order asked for."""
        ...


class Packed(NamedTuple):
    """Vectors as they are kept: (T, D) of 1, 2 or 4 bytes, and for int8 one float32 scale per token."""

    vectors: torch.Tensor
    scales: torch.Tensor | None


def check_precision(precision: str) -> None:
    """Refuse an unknown precision; the error lists those there are."""
    if precision not in get_args(Precision):
        raise unknown("precision of vectors", precision, get_args(Precision))


def pack(vectors: torch.Tensor, precision: Precision, where: str) -> Packed:
    """Round vectors to what is kept of them.

    ``auto`` keeps half-precision vectors as they are (what a model computed in bfloat16 is stored without loss) and
    rounds float32 to float16, whose 11 significant bits are eight times finer than bfloat16's 8.

    Args:
        vectors: (T, D), float32, bfloat16 or float16.
        precision: ``auto``, the name of a floating type, or ``int8``: 255 levels between minus and plus the largest
            magnitude of each token.
        where: What the vectors belong to, for the error.

    Raises:
        BendError: A value is infinite or NaN, or leaves the range of float16 (65,504).
    """
    check_precision(precision)
    if precision == "int8":
        exact = vectors.float()
        scales = exact.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        packed = Packed(torch.round(exact / scales[:, None]).to(torch.int8), scales)
        finite = bool((scales * 127 <= torch.finfo(torch.float16).max).all())
    else:
        kept = FLOATS.get(precision, torch.float16 if vectors.dtype == torch.float32 else vectors.dtype)
        # A copy in any case: an embedder of somebody else's may write its next vectors into the same memory.
        packed = Packed(vectors.to(kept, copy=True, memory_format=torch.contiguous_format), None)
        # One pass: a NaN or an infinity survives the sum. Only a sum that overflows by itself needs the second look.
        finite = bool(packed.vectors.sum(dtype=torch.float32).isfinite()) or bool(packed.vectors.isfinite().all())
    if not finite:
        if not bool(vectors.isfinite().all()):
            raise BendError(
                f"{where}: the model gives NaN or infinite values; check the checkpoint, or run it with dtype fp32."
            )
        raise BendError(
            f"{where}: values up to {float(vectors.abs().max()):.4g} do not fit in float16 (65,504); "
            "keep the vectors in bfloat16 (--vectors bfloat16)."
        )
    return packed


def unpack(packed: Packed) -> torch.Tensor:
    """Return (T, D) vectors of a floating type; int8 becomes float16."""
    if packed.scales is None:
        return packed.vectors
    return (packed.vectors.float() * packed.scales[:, None]).half()


def embed_checked(embedder: SequenceEmbedder, sequences: Sequence[str]) -> Iterator[Tokens]:
    """Embed, and check that every sequence comes back as a partition of itself.

    Raises:
        BendError: A sequence is missing, its vectors or run lengths do not fit it, or they are of another type than
            those before: a batch would be rounded to the type of its first row.
    """
    count = 0
    kind: torch.dtype | None = None
    for tokens in embedder.embed(sequences):
        if count == len(sequences):
            raise BendError(
                f"{embedder.name}: embed() gave more than the {counted(len(sequences), 'sequence')} it was asked for."
            )
        sequence = sequences[count]
        shape, lengths = tuple(tokens.vectors.shape), tokens.lengths
        if shape != (len(lengths), embedder.dim) or lengths.sum() != len(sequence) or (lengths < 1).any():
            raise BendError(
                f"{embedder.name}: a sequence of {len(sequence)} nucleotides gave vectors of shape {shape} and "
                f"{len(lengths)} run lengths that sum to {lengths.sum()}; want ({len(lengths)}, {embedder.dim}) and "
                f"positive lengths that sum to {len(sequence)}. The sequence begins {sequence[:24]}."
            )
        kind = kind or tokens.vectors.dtype
        if tokens.vectors.dtype != kind:
            one, other = (str(each).removeprefix("torch.") for each in (tokens.vectors.dtype, kind))
            raise BendError(
                f"{embedder.name}: the vectors of a sequence of {len(sequence)} nucleotides are {one}, those before "
                f"{other}: give one type throughout. The sequence begins {sequence[:24]}."
            )
        count += 1
        yield tokens
    if count != len(sequences):
        raise BendError(f"{embedder.name}: embed() gave {count:,} of {counted(len(sequences), 'sequence')}.")


class Distinct(NamedTuple):
    """The distinct sequences of a list, in order of first appearance.

    Attributes:
        first: (u,) int64, where each distinct sequence first appears.
        inverse: (n,) int64, the distinct sequence of each row.
        digests: (u, 16) uint8, BLAKE2b of each distinct sequence.
        nucleotides: (u,) int64, their lengths.
    """

    first: np.ndarray
    inverse: np.ndarray
    digests: np.ndarray
    nucleotides: np.ndarray


def distinct(sequences: Iterable[str]) -> Distinct:
    """Find the distinct sequences by their digests.

    Raises:
        BendError: They are no row of texts.
    """
    check_several(sequences)
    seen: dict[bytes, int] = {}
    inverse: list[int] = []
    first: list[int] = []
    nucleotides: list[int] = []
    for row, sequence in enumerate(sequences):
        check_text(sequence, row)
        digest = hashlib.blake2b(sequence.encode(), digest_size=16).digest()
        number = seen.setdefault(digest, len(seen))
        if number == len(first):
            first.append(row)
            nucleotides.append(len(sequence))
        inverse.append(number)
    digests = np.frombuffer(b"".join(seen), dtype=np.uint8).reshape(-1, 16)
    return Distinct(np.array(first, np.int64), np.array(inverse, np.int64), digests, np.array(nucleotides, np.int64))


def take(sequences: Sequence[str], rows: np.ndarray) -> list[str]:
    """Pick sequences out of a list or tuple, or at once out of what takes a list of indices (a `datasets` column)."""
    wanted = rows.tolist()
    return [sequences[row] for row in wanted] if isinstance(sequences, list | tuple) else list(sequences[wanted])


def run_length_type(longest: int) -> type[np.unsignedinteger]:
    """The type run lengths are kept in: uint16, or uint32 where a token covers more than 65,535 nucleotides."""
    return np.uint16 if longest <= np.iinfo(np.uint16).max else np.uint32


def source_key(embedder_key: Any, found: Distinct, precision: Precision) -> str:
    """Return the digest of what decides every row's vectors: the model, the sequences in their order, the rounding."""
    rows = [hashlib.sha256(array.tobytes()).hexdigest() for array in (found.digests, found.inverse)]
    return digest_of([embedder_key, rows, precision])


class InMemory:
    """Vectors of all sequences, embedded at once and held in memory; a sequence that occurs again is held once."""

    def __init__(self, embedder: SequenceEmbedder, sequences: Sequence[str], precision: Precision = "auto") -> None:
        from bend_hf.console import progress

        found = distinct(sequences)
        self.dim = embedder.dim
        self.key = source_key(embedder.provenance()["key"], found, precision)
        self._inverse = found.inverse
        self._kept: list[tuple[Packed, np.ndarray]] = []
        embedded = embed_checked(embedder, take(sequences, found.first))
        bar = progress(embedded, name="bend_hf.embed", desc="embedding", total=len(found.first), unit="seq")
        for row, (vectors, lengths) in zip(found.first, bar, strict=True):
            packed = pack(vectors, precision, f"{embedder.name}, sequence {row}")
            if packed.vectors.untyped_storage().nbytes() > packed.vectors.nbytes:  # a slice would keep its whole batch
                packed = Packed(packed.vectors.clone(), packed.scales)
            self._kept.append((packed, lengths.astype(run_length_type(lengths.max(initial=0)))))
        tokens = np.array([len(lengths) for _, lengths in self._kept], np.int64)
        self.lengths_in_tokens = tokens[self._inverse]

    def __len__(self) -> int:
        return len(self._inverse)

    def read(self, rows: Sequence[int]) -> list[Tokens]:
        """Return the vectors and run lengths of some rows, in the order asked for."""
        kept = (self._kept[self._inverse[row]] for row in rows)
        return [Tokens(unpack(packed), lengths.astype(np.int64)) for packed, lengths in kept]


class OnTheFly:
    """Vectors that are computed whenever they are read: no memory, no disk, and the model runs in every epoch."""

    def __init__(self, embedder: SequenceEmbedder, sequences: Sequence[str], precision: Precision = "auto") -> None:
        self.dim = embedder.dim
        self.key = source_key(embedder.provenance()["key"], distinct(sequences), precision)
        self._embedder, self._sequences, self._precision = embedder, sequences, precision
        self.lengths_in_tokens = np.asarray(embedder.count_tokens(sequences), np.int64)

    def __len__(self) -> int:
        return len(self._sequences)

    def read(self, rows: Sequence[int]) -> list[Tokens]:
        """Embed some rows, in the order asked for; a sequence that occurs more than once is embedded once."""
        wanted = take(self._sequences, np.asarray(rows, np.int64))
        unique = list(dict.fromkeys(wanted))
        name = self._embedder.name
        made = {
            sequence: Tokens(unpack(pack(vectors, self._precision, f"{name}, sequence {sequence[:24]}…")), lengths)
            for sequence, (vectors, lengths) in zip(unique, embed_checked(self._embedder, unique), strict=True)
        }
        return [made[sequence] for sequence in wanted]
