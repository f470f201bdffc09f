"""Models outside transformers: any callable from sequences to vectors and run lengths becomes an embedder.

def my_model(sequences):                                   # a list of DNA strings
    vectors = [array of shape (T, D) for each sequence]
    lengths = [T integers that sum to len(sequence) for each sequence]
    return vectors, lengths                                # lengths=None: one vector per nucleotide

bend_hf.evaluate(my_model)                                 # or CallableEmbedder(my_model, name="evo2", causal=True)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from bend_hf.embed.interface import Tokens
from bend_hf.errors import BendError

PROBE = "ACGTTGCAAGGTCCATTGCACGTA" * 4


class CallableEmbedder:
    """A callable as an embedder.

    Args:
        function: Takes a list of sequences; returns ``(vectors, lengths)``: per sequence an array or tensor (T, D) of
            floats, and T positive integers that sum to the sequence's length (None: T is its length).
        name: As recorded in results; by default the callable's own.
        causal: Whether a vector depends on what stands to its left only (variants are then last in their window).
        version: Enters the provenance: change it when the callable's vectors change, so that no stored ones are reused.
        batch: Sequences per call.

    Raises:
        BendError: What the callable gives for a short probe is not as described.
    """

    def __init__(
        self,
        function: Callable[[list[str]], tuple[Sequence[Any], Sequence[Any] | None]],
        *,
        name: str | None = None,
        causal: bool | None = None,
        version: str = "1",
        batch: int = 16,
    ) -> None:
        self.function, self.version, self.batch = function, version, batch
        self.name: str = name or str(getattr(function, "__name__", type(function).__name__))
        self.causal = bool(getattr(function, "causal", False)) if causal is None else causal
        self.dim = 0
        probe = next(self.embed([PROBE]))
        self.dim = int(probe.vectors.shape[1])
        self._per_nucleotide = len(probe.lengths) / len(PROBE)

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        """Give the callable's vectors of each sequence, in order.

        Raises:
            BendError: Shapes, run lengths or values are not as described; the sequence is named.
        """
        if isinstance(sequences, str):
            raise BendError("embed() takes several sequences: put the one you have into a list.")
        stream, row = iter(sequences), 0
        while chunk := list(itertools.islice(stream, self.batch)):
            result = self.function(chunk)
            if not isinstance(result, tuple) or len(result) != 2 or len(result[0]) != len(chunk):
                raise BendError(f"{self.name}: want (vectors, lengths) for {len(chunk)} sequences, one of each.")
            vectors, lengths = result
            for sequence, found, runs in zip(chunk, vectors, lengths or [None] * len(chunk), strict=True):
                yield self._checked(sequence, found, runs, row)
                row += 1

    def _checked(self, sequence: str, found: Any, runs: Any, row: int) -> Tokens:
        vectors = torch.as_tensor(found).detach().cpu()
        if vectors.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            vectors = vectors.float()
        partition = np.ones(len(vectors), np.int64) if runs is None else np.asarray(runs).astype(np.int64)
        width = self.dim or (vectors.shape[-1] if vectors.ndim == 2 else -1)
        if vectors.shape != (len(partition), width) or partition.sum() != len(sequence) or (partition < 1).any():
            raise BendError(
                f"{self.name}: sequence {row} ({len(sequence)} nucleotides) gave vectors of shape "
                f"{tuple(vectors.shape)} and {len(partition)} run lengths that sum to {int(partition.sum())}."
            )
        if not torch.isfinite(vectors).all():
            raise BendError(f"{self.name} gives NaN or infinite vectors ({vectors.dtype}) for sequence {row}.")
        return Tokens(vectors, partition)

    def count_tokens(self, sequences: Iterable[str]) -> np.ndarray:
        """Return tokens per sequence, (n,) int64, estimated from those of a probe."""
        return np.array([max(1, round(len(sequence) * self._per_nucleotide)) for sequence in sequences], np.int64)

    def provenance(self) -> dict[str, Any]:
        """Return what determines the vectors, as far as it can be known: name and version."""
        return {"key": {"model": self.name, "version": self.version, "adapter": 1}, "name": self.name}
