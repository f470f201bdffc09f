"""SpliceAI and its like (OpenSpliceAI, spliceai-pytorch): convolutions over one-hot DNA, a vector per nucleotide.

bend_hf.evaluate(SpliceAI(model, last="final_conv", flank=5_000, name="openspliceai-10000nt"))
bend_hf.evaluate(SpliceAI(model, last="conv_last", name="spliceai-10k"))      # spliceai-pytorch, which crops behind it

The vectors are what the last layer reads, as many as it has channels (32 in the published ones). Their scale is far
from one: `--standardize` is worth a try. On either side stands as much N as the network crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from bend_hf.embed.outside.onehot import in_bins, one_hot


@dataclass
class SpliceAI:
    """A callable; its fields are what `bend_hf.embed.adapters` asks of one.

    Attributes:
        model: Takes (n, 4, L + 2 flank).
        last: Name of the layer whose input is taken, (n, channels, L).
        flank: Nucleotides that the network crops on either side before that layer.
        name: In results.
    """

    model: Any
    last: str = "final_conv"
    flank: int = 0
    name: str = "spliceai"

    def __call__(self, sequences: Sequence[str]) -> tuple[list[Tensor], list[np.ndarray]]:
        """Return (L, channels) vectors and run lengths of 1 for each sequence."""
        return in_bins(self.model, sequences, self._positions, 1)

    def _positions(self, codes: Tensor) -> Tensor:
        letters = functional.pad(one_hot(codes).transpose(1, 2), (self.flank, self.flank))
        read: list[Tensor] = []
        hook = self.model.get_submodule(self.last).register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
        try:
            self.model(letters)
        finally:
            hook.remove()
        return read[-1].transpose(1, 2)
