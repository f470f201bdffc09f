"""A network like Enformer: one-hot DNA in, a vector for every 128 nucleotides out, fixed shapes, a long context.

    python examples/binned_model.py
    bend-hf evaluate examples/binned_model.py:Binned

Three attributes say what it needs: ``context`` (longer sequences are cut into windows that overlap), ``multiple_of``
(shorter ones are filled up with N), and the run lengths beside the vectors. Published networks of the kind are in
`bend_hf.embed.outside`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import bend_hf
from bend_hf.data import toy
from bend_hf.embed.outside.onehot import in_bins, one_hot

BIN = 128


class Binned:
    """Seven halvings by convolution, with random weights; called without arguments by the command line."""

    name = "binned-by-128"
    context = 8_192
    multiple_of = BIN

    def __init__(self) -> None:
        torch.manual_seed(0)
        halvings = [nn.Sequential(nn.Conv1d(32, 32, 5, padding=2), nn.GELU(), nn.MaxPool1d(2)) for _ in range(7)]
        self.network = nn.Sequential(nn.Conv1d(4, 32, 15, padding=7), *halvings)

    def __call__(self, sequences: list[str]) -> tuple[list[Tensor], list[np.ndarray]]:
        """Return (L / 128, 32) vectors, and 128 for each, of every sequence."""
        return in_bins(self.network, sequences, self.bins, BIN)

    def bins(self, codes: Tensor) -> Tensor:
        """Return vectors (n, bins, 32) of sequences of one length, (n, L)."""
        vectors: Tensor = self.network(one_hot(codes).transpose(1, 2)).transpose(1, 2)
        return vectors


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        data, output = toy.make(Path(folder) / "toy"), Path(folder) / "results"
        print(bend_hf.evaluate(Binned(), ["enhancer_annotation"], data_dir=data, epochs=2, batch_size=4, output=output))
