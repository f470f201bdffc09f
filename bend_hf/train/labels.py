"""Labels of a dataset's rows as numpy arrays, in the shape a head is trained on.

labels = labels_of(task, dataset)
labels[7]      # per nucleotide: (L,) int8 classes; per bin: (bins,) int8; multilabel: (labels,) int8 of 0 and 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from bend_hf.errors import BendError
from bend_hf.kinds import LabelError, Labels
from bend_hf.tasks import Task

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
