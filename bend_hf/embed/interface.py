"""What the rest of the package asks of an embedder, and what an embedder gives: token vectors and run lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch


class Tokens(NamedTuple):
    """One embedded sequence.

    Attributes:
        vectors: (T, D) on CPU, float32, bfloat16 or float16.
        lengths: (T,) int64, positive; they sum to the length of the sequence. Token i's vector stands for
            ``lengths[i]`` nucleotides.
    """

    vectors: torch.Tensor
    lengths: np.ndarray


class SequenceEmbedder(Protocol):
    """What the rest of the package asks of an embedder."""

    name: str
    dim: int
    causal: bool

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        """Give the vectors of each sequence, in order, in bounded memory."""
        ...

    def count_tokens(self, sequences: Iterable[str]) -> np.ndarray:
        """Return tokens per sequence, (n,) int64, for estimates of size."""
        ...

    def provenance(self) -> dict[str, Any]:
        """Return what determines the vectors, JSON-able; equal ``["key"]`` means interchangeable vectors."""
        ...
