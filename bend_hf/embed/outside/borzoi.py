"""Borzoi (Linder et al. 2025, doi 10.1038/s41588-024-02053-6) by `borzoi-pytorch`: a vector for every 32 bp.

bend-hf evaluate bend_hf.embed.outside.borzoi:Borzoi          # johahi/borzoi-replicate-0
bend_hf.evaluate(Borzoi(model, name="mine"))                  # a borzoi_pytorch.Borzoi of one's own

The vectors are what its heads read (1,920 wide), of all bins: the crop to the central ones is left out. It was trained
on 524,288 bp; shorter sequences are seen alone, filled up with N to a multiple of 128, by which it shortens its input
on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from bend_hf.embed.outside.onehot import best_device, in_bins, one_hot

BIN = 32


def published() -> Any:
    """Return Borzoi with the published weights of its first replicate."""
    import borzoi_pytorch

    return borzoi_pytorch.Borzoi.from_pretrained("johahi/borzoi-replicate-0").to(best_device())


@dataclass
class Borzoi:
    """A callable; its fields are what `bend_hf.embed.adapters` asks of one."""

    model: Any = field(default_factory=published)
    name: str = "borzoi"
    context: int = 524_288
    multiple_of: int = 128

    def __call__(self, sequences: Sequence[str]) -> tuple[list[Tensor], list[np.ndarray]]:
        """Return (L / 32, 1920) vectors and run lengths of 32 for each sequence."""
        return in_bins(self.model, sequences, self._bins, BIN)

    def _bins(self, codes: Tensor) -> Tensor:
        letters = one_hot(codes).transpose(1, 2)
        crop, self.model.crop = self.model.crop, nn.Identity()
        # It keeps the distances of the first input's length, which are wrong for any other.
        keeping = [(part, part.positions) for part in self.model.modules() if hasattr(part, "positions")]
        for part, _ in keeping:
            part.positions = None
        try:
            vectors: Tensor = self.model.final_joined_convs(self.model.get_embs_after_crop(letters))
        finally:
            self.model.crop = crop
            for part, positions in keeping:
                part.positions = positions
        return vectors.transpose(1, 2)
