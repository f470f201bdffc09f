"""A model that is no checkpoint: any callable from sequences to token vectors and run lengths can be evaluated.

    python examples/callable_model.py

Here each token is ten nucleotides, and its vector the composition of the hundred around it. Evaluated on toy data.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import bend_hf
from bend_hf.data import toy
from bend_hf.embed.adapters import CallableEmbedder
from bend_hf.report.table import table

STRIDE, AROUND = 10, 100


def composition(sequences: list[str]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return a (T, 5) float32 array per sequence, and T run lengths that sum to the sequence's length."""
    vectors, lengths = [], []
    for sequence in sequences:
        letters = np.frombuffer(sequence.encode(), np.uint8)[:, None] == np.frombuffer(b"ACGTN", np.uint8)
        totals = np.concatenate([np.zeros((1, 5), int), letters.cumsum(0)])
        starts = np.arange(0, len(sequence), STRIDE)
        left, right = np.maximum(starts - AROUND // 2, 0), np.minimum(starts + AROUND // 2, len(sequence))
        vectors.append(((totals[right] - totals[left]) / (right - left)[:, None]).astype(np.float32))
        lengths.append(np.diff(starts, append=len(sequence)))
    return vectors, lengths


if __name__ == "__main__":
    model = CallableEmbedder(composition, name="composition-of-100", causal=False, version="1")
    with tempfile.TemporaryDirectory() as folder:
        data = toy.make(Path(folder) / "toy")
        tasks = ["cpg_methylation", "histone_modification"]
        print(
            table(bend_hf.evaluate(model, tasks, data_dir=data, epochs=10, batch_size=16, output=f"{folder}/results"))
        )
