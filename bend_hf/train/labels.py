"""Labels of a dataset's rows as numpy arrays, in the shape a head is trained on.

labels = labels_of(task, dataset)
labels[7]      # per nucleotide: (L,) int8 classes; per bin: (bins,) int8; multilabel: (labels,) int8 of 0 and 1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bend_hf.errors import BendError
from bend_hf.tasks import Task

if TYPE_CHECKING:
    import datasets

Labels = Sequence[np.ndarray] | np.ndarray


class Ragged(Sequence[np.ndarray]):
    """Arrays of different lengths in one flat array: row i is ``values[offsets[i]:offsets[i + 1]]``."""

    def __init__(self, values: np.ndarray, lengths: np.ndarray) -> None:
        self.values = values
        self.offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override]
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.values[self.offsets[row] : self.offsets[row + 1]]


def labels_of(task: Task, dataset: datasets.Dataset) -> Labels:
    """Read the ``labels`` column of a supervised task.

    Args:
        task: A task with per-nucleotide, per-bin or multilabel labels.
        dataset: Rows of that task.

    Returns:
        One int8 array per row: `Ragged` for labels per nucleotide or bin, a dense (rows, labels) array for multilabel.

    Raises:
        BendError: A label is missing or outside the task's range.
    """
    values, lengths = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for table in dataset.select_columns("labels").with_format("arrow").iter(batch_size=4096):
        column = table.column("labels")
        if column.null_count:
            raise BendError(f"{task.name}: {column.null_count} rows have no labels; build the dataset again.")
        for chunk in column.chunks:
            values.append(chunk.flatten().to_numpy(zero_copy_only=False))
            lengths.append(np.diff(chunk.offsets.to_numpy()))
    flat, counts = np.concatenate(values[1:] or values), np.concatenate(lengths).astype(np.int64)
    limit = 2 if task.label_kind == "per_bin_binary" else len(task.label_names)
    wrong = np.flatnonzero((flat < 0) | (flat >= limit))
    if len(wrong):
        row = int(np.searchsorted(np.cumsum(counts), wrong[0], side="right"))
        raise BendError(
            f"{task.name}: row {row} has label {flat[wrong[0]]}; labels are 0 to {limit - 1}. Build the dataset again."
        )
    if task.label_kind != "multilabel":
        return Ragged(flat.astype(np.int8, copy=False), counts)
    dense = np.zeros((len(counts), limit), np.int8)
    dense[np.repeat(np.arange(len(counts)), counts), flat] = 1
    return dense
