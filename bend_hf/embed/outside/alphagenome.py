"""AlphaGenome (Avsec et al. 2026, doi 10.1038/s41586-025-10014-0) by `alphagenome-pytorch`: vectors of 1 or 128 bp.

bend_hf.evaluate(AlphaGenome(model))                          # an alphagenome_pytorch.AlphaGenome with its weights
bend_hf.evaluate(AlphaGenome(model, resolution=128))

Its weights are given out under terms of their own, so that none are loaded here. The vectors are those that its heads
read at that resolution (1,536 or 3,072 wide), with the embedding of an organism (0 is human, 1 is mouse). It was
trained on 1,048,576 bp; shorter sequences are seen alone, filled up with N to a multiple of 2,048, for which its
attention has pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bend_hf.embed.outside.onehot import in_bins


@dataclass
class AlphaGenome:
    """A callable; its fields are what `bend_hf.embed.adapters` asks of one."""

    model: Any
    resolution: int = 1
    organism: int = 0
    name: str = "alphagenome"
    context: int = 1_048_576
    multiple_of: int = 2_048

    def __call__(self, sequences: Sequence[str]) -> tuple[list[Tensor], list[np.ndarray]]:
        """Return vectors (L / resolution, D) and run lengths for each sequence."""
        return in_bins(self.model, sequences, self._bins, self.resolution)

    def _bins(self, codes: Tensor) -> Tensor:
        # Its norms go on learning from every input, also in evaluation mode, unless told otherwise.
        learning = [part for part in self.model.modules() if getattr(part, "update_running_var", False)]
        for norm in learning:
            norm.update_running_var = False
        try:
            return self._embeds(codes)
        finally:
            for norm in learning:
                norm.update_running_var = True

    def _embeds(self, codes: Tensor) -> Tensor:
        organisms = torch.full((len(codes),), self.organism, device=codes.device)
        single, coarse, _ = self.model.get_embeds(codes, organisms)
        vectors: Tensor = {1: single, 128: coarse}[self.resolution]
        return vectors
