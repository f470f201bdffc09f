"""Vectors of mean 0 and deviation 1 over the training rows: an option, and a departure from the recipe.

    source, padding = standardized(source, train_rows, padding)
    source.read([3, 1, 4])                  # (x − mean) / deviation, float32

A head's first layer starts for inputs of deviation 1 or so. Vectors far from that (layers in front of a model's last
normalisation) train slowly or not at all; this puts them there. Mean and deviation of each dimension are taken over the
nucleotides of the *training* rows, as the head sees them: a token counts as often as it is long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import Tensor

from bend_hf.embed.interface import Tokens
from bend_hf.files import digest_of
from bend_hf.train.processes import process_state, together

if TYPE_CHECKING:
    from bend_hf.embed.vectors import VectorSource

ROWS = 64  # read at once


class Standardized:
    """A source whose vectors are shifted and scaled.

    Args:
        source: Where they come from.
        mean: (D,) float64.
        deviation: (D,) float64, above 0.
    """

    def __init__(self, source: VectorSource, mean: Tensor, deviation: Tensor) -> None:
        self._source, self._mean, self._deviation = source, mean.float(), deviation.float()
        self.dim, self.lengths_in_tokens = source.dim, source.lengths_in_tokens
        # Vectors and rows are in the digests of what is trained on; sources without a key are read for theirs.
        key = getattr(source, "key", "")
        self.key = key and digest_of([key, "standardized", mean.tolist(), deviation.tolist()])

    def __len__(self) -> int:
        return len(self._source)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Return (…, D) vectors standardised, float32."""
        return (vectors.float() - self._mean) / self._deviation

    def read(self, rows: Sequence[int]) -> list[Tokens]:
        """Return the vectors and run lengths of some rows, in the order asked for."""
        return [Tokens(self(vectors), lengths) for vectors, lengths in self._source.read(rows)]


def standardized(
    source: VectorSource, rows: np.ndarray, padding: Tensor | None = None
) -> tuple[Standardized, Tensor | None]:
    """Return a source whose vectors have mean 0 and deviation 1 over some rows, and what it is padded with.

    Processes share the reading. A dimension that does not vary is shifted only.

    Args:
        source: Vectors of all rows.
        rows: The training rows.
        padding: (D,) what shorter sequences are padded with, or None.
    """
    state = process_state()
    with together("the training rows' mean and deviation were taken"):
        mine = moments(source, rows[state.process_index :: state.num_processes])
    count, mean, spread = merged(gather_object([mine]))
    deviation = (spread / count).sqrt()
    result = Standardized(source, mean, torch.where(deviation > 0, deviation, 1.0))
    return result, None if padding is None else result(padding)


def moments(source: VectorSource, rows: np.ndarray) -> tuple[int, Tensor, Tensor]:
    """Return the nucleotides of some rows, the mean of their vectors, and the sum of squares around it (float64)."""
    parts = [(0, torch.zeros(source.dim, dtype=torch.float64), torch.zeros(source.dim, dtype=torch.float64))]
    for start in range(0, len(rows), ROWS):
        for vectors, lengths in source.read([int(row) for row in rows[start : start + ROWS]]):
            values, weights = vectors.double(), torch.from_numpy(np.asarray(lengths, np.float64))
            count = int(lengths.sum())
            mean = weights @ values / count
            parts.append((count, mean, weights @ (values - mean).square()))
        parts = [merged(parts)]
    return parts[0]


def merged(parts: Sequence[tuple[int, Tensor, Tensor]]) -> tuple[int, Tensor, Tensor]:
    """Merge counts, means and sums of squares (Chan, Golub and LeVeque 1979)."""
    count, mean, spread = parts[0]
    for number, centre, around in parts[1:]:
        if number:
            shift, total = centre - mean, count + number
            mean = mean + shift * (number / total)
            spread = spread + around + shift.square() * (count * number / total)
            count = total
    return count, mean, spread
