"""The reference implementation's data flow, written here in plain form, for side-by-side measurements.

What it does, step by step, and with the same libraries: pandas rows one by one, one FASTA read per row, one sequence
per forward pass in float32, vectors upsampled to nucleotides, float32 .npy files in a tar.gz (level 9), read in order
through a small shuffling buffer, convolved at full width, scored label by label with scikit-learn.
"""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


def rows(bed: Path, fasta: Path, n_labels: int, count: int | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """Walk a BED file of windows with comma-separated labels: sequence and multi-hot labels of each row."""
    import pandas as pd
    import pyfaidx

    genome = pyfaidx.Faidx(str(fasta))
    frame = pd.read_csv(bed, sep="\t", nrows=count, low_memory=False)
    for _, line in frame.iterrows():
        sequence = genome.fetch(str(line["chromosome"]), int(line["start"]) + 1, int(line["end"])).seq.upper()
        if line["strand"] == "-":
            sequence = "".join(reversed([COMPLEMENT.get(base, "N") for base in sequence]))
        on = [int(index) for index in line["label"].split(",")] if isinstance(line["label"], str) else []
        yield sequence, np.eye(n_labels, dtype=np.int64)[on].sum(axis=0)


def embed(embedder: Any, sequences: Iterable[str]) -> Iterator[np.ndarray]:
    """Embed one sequence at a time and upsample: (L, D) float32 each.

    Args:
        embedder: A `bend_hf.Embedder` that computes in float32, so that both sides run the same model.
        sequences: DNA.
    """
    for sequence in sequences:
        for vectors, lengths in embedder.embed([sequence]):
            yield np.repeat(vectors.float().numpy(), lengths, axis=0)


def write_tar(path: Path, samples: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write upsampled vectors and labels: two .npy per sample in a gzipped tar."""
    with tarfile.open(path, "w:gz", compresslevel=9) as tar:
        for number, (vectors, labels) in enumerate(samples):
            for name, array in (("input", vectors.astype(np.float32, copy=False)), ("output", labels)):
                buffer = io.BytesIO()
                np.save(buffer, array)
                info = tarfile.TarInfo(f"sample_{number}.{name}.npy")
                info.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(info, buffer)


def read_tar(path: Path, buffer_size: int = 1000) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Stream samples in order through a small shuffling buffer."""
    held: list[tuple[torch.Tensor, ...]] = []
    with tarfile.open(path, "r|gz") as tar:
        sample: list[torch.Tensor] = []
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            sample.append(torch.from_numpy(np.load(io.BytesIO(file.read()))))
            if len(sample) == 2:
                held.append(tuple(sample))
                sample = []
            if len(held) >= buffer_size:
                yield held.pop(random.randrange(len(held)))  # type: ignore[misc]
    random.shuffle(held)
    yield from held  # type: ignore[misc]


class Head(torch.nn.Module):
    """The CNN head over (B, L, D): both convolutions at full width, every nucleotide on its own."""

    def __init__(self, dim: int, hidden: int, outputs: int, pool: int | None) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv1d(dim, hidden, 3, padding=1)
        self.conv2 = torch.nn.Conv1d(hidden, hidden, 3, padding=1)
        self.pool = None if pool is None else torch.nn.AvgPool1d(pool, pool)
        self.linear = torch.nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits, (B, positions, outputs)."""
        gelu = torch.nn.functional.gelu
        x = gelu(self.conv1(x.transpose(1, 2)).transpose(1, 2))
        x = gelu(self.conv2(x.transpose(1, 2)).transpose(1, 2))
        if self.pool is not None:
            x = self.pool(x.transpose(1, 2)).transpose(1, 2)
        return self.linear(x)


def auroc(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """AUROC of each label, one after the other."""
    from sklearn.metrics import roc_auc_score

    return np.array([roc_auc_score(labels[:, k], scores[:, k]) for k in range(labels.shape[1])])


def mcc(labels: Sequence[int], predictions: Sequence[int]) -> tuple[float, np.ndarray, np.ndarray]:
    """MCC, recall and precision of each class."""
    from sklearn.metrics import matthews_corrcoef, precision_score, recall_score

    return (
        float(matthews_corrcoef(labels, predictions)),
        recall_score(labels, predictions, average=None, zero_division=0),
        precision_score(labels, predictions, average=None, zero_division=0),
    )
