"""Labels of a dataset's rows as numpy arrays, in the shape a head is trained on.

labels = labels_of(task, dataset)
labels[7]      # per nucleotide: (L,) int8 classes; per bin: (bins,) int8; multilabel: (labels,) int8 of 0 and 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bend_hf.console import log
from bend_hf.errors import BendError
from bend_hf.kinds import LabelError, Labels
from bend_hf.tasks import Task
from bend_hf.train.losses import LOSSES

if TYPE_CHECKING:
    import datasets


def labels_of(task: Task, dataset: datasets.Dataset) -> Labels:
    """Read the labels' column of a supervised task.

    Args:
        task: A supervised task.
        dataset: Rows of that task.

    Returns:
        Labels by row, as the task's kind has them as arrays.

    Raises:
        BendError: A label is missing or outside the task's range.
    """
    column = task.kind.column
    tables = [
        table.column(column) for table in dataset.select_columns(column).with_format("arrow").iter(batch_size=4096)
    ]
    chunks = [chunk for table in tables for chunk in table.chunks]
    try:
        return task.kind.arrays(task, pa.chunked_array(chunks, dataset.features.arrow_schema.field(column).type))
    except LabelError as error:
        raise BendError(f"{task.name}: row {error.row} {error.problem}. Build the dataset again.") from error


def references(task: Task, labels: Labels, rows: np.ndarray) -> np.ndarray:
    """Return the labels of some rows one after another: (positions,) classes, or (positions, outputs)."""
    assert task.recipe is not None
    flat = labels[rows] if isinstance(labels, np.ndarray) else np.concatenate([labels[int(row)] for row in rows])
    return flat.reshape(-1, task.recipe.outputs) if LOSSES[task.recipe.loss].columns else flat.ravel()


def check_learnable(task: Task, labels: Labels, rows: np.ndarray) -> None:
    """Check that rows to train on have every class, and labels or values that differ.

    Of many labels some may be on in none of them (or in all): that is said, and they are scored all the same.

    Raises:
        BendError: A class is missing, or every row has the same labels.
    """
    values = references(task, labels, rows)
    if task.kind.classes:
        seen = np.bincount(values, minlength=len(task.label_names))
        missing = [name for name, count in zip(task.label_names, seen, strict=True) if not count]
        if missing:
            raise BendError(f"{task.name}: no training row has the label {', '.join(missing)}: nothing can learn it.")
        return
    columns = values.reshape(len(values), -1)
    same = columns.min(axis=0) == columns.max(axis=0)
    if same.all():
        raise BendError(f"{task.name}: all training rows are labelled alike: there is nothing to learn.")
    if same.any():
        names = [name for name, flat in zip(task.label_names, same, strict=True) if flat]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        log.warning("%s: %s: on in no training row, or in all of them: nothing can learn that.", task.name, shown)


@dataclass(frozen=True)
class Scale:
    """Values on the scale where those of the training rows have mean 0 and deviation 1; other labels stay.

    Attributes:
        mean: Of the training rows.
        deviation: Of the training rows; 1 where they are all equal.
    """

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, task: Task, labels: Labels, rows: np.ndarray) -> Scale:
        """Return the scale of a task's training rows."""
        if task.kind.values(task) is not None:
            return cls()
        values = references(task, labels, rows).astype(np.float64)
        return cls(float(values.mean()), float(values.std()) or 1.0)

    def applied(self, labels: Labels) -> Labels:
        """Return labels on this scale."""
        if self == Scale():
            return labels
        assert isinstance(labels, np.ndarray)
        return ((labels - self.mean) / self.deviation).astype(np.float32)

    def undone(self, scores: np.ndarray) -> np.ndarray:
        """Return predictions made on this scale as values."""
        return scores if self == Scale() else scores * np.float32(self.deviation) + np.float32(self.mean)
