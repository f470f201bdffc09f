"""Enformer (Avsec et al. 2021, doi 10.1038/s41592-021-01252-x) by `enformer-pytorch`: a vector for every 128 bp.

bend-hf evaluate bend_hf.embed.outside.enformer:Enformer      # EleutherAI/enformer-official-rough
bend_hf.evaluate(Enformer(model, name="mine"))                # an enformer_pytorch.Enformer of one's own

The vectors are what its heads read (3,072 wide), of all bins: the crop to the central 896 is left out. It was trained
on 196,608 bp; shorter sequences are seen alone, filled up with N to a multiple of 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from bend_hf.embed.outside.onehot import best_device, in_bins, one_hot


def published() -> Any:
    """Return Enformer with its published weights."""
    from enformer_pytorch import from_pretrained

    return from_pretrained("EleutherAI/enformer-official-rough").to(best_device())


@dataclass
class Enformer:
    """A callable; its fields are what `bend_hf.embed.adapters` asks of one."""

    model: Any = field(default_factory=published)
    name: str = "enformer"
    context: int = 196_608
    multiple_of: int = 128

    def __call__(self, sequences: Sequence[str]) -> tuple[list[Tensor], list[np.ndarray]]:
        """Return (L / 128, 3072) vectors and run lengths of 128 for each sequence."""
        return in_bins(self.model, sequences, self._bins, self.multiple_of)

    def _bins(self, codes: Tensor) -> Tensor:
        crop = self.model.crop_final.target_length
        self.model.set_target_length(-1)  # which keeps all bins
        try:
            vectors: Tensor = self.model(one_hot(codes), return_only_embeddings=True)
        finally:
            self.model.set_target_length(crop)
        return vectors
