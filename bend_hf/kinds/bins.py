"""``per_bin_binary``: yes or no for every bin of a window (enhancer annotation).

Labels are int8, 0 or 1, in the order of the sequence. Scored by the average precision of all bins pooled.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bend_hf.kinds import resampling
from bend_hf.kinds.arrays import LabelError, Labels, Ragged, check_range, first, flat, lists, reversed_rows, run_lengths
from bend_hf.kinds.kind import WINDOW_KEYS, Kind
from bend_hf.kinds.scores import average_precision, positives

if TYPE_CHECKING:
    from bend_hf.tasks.task import Task


def _problem(task: Task) -> str | None:
    if len(task.label_names) != 1:
        return "label_names are several, and a bin is positive or not: name what is positive"
    if task.bin_size is None:
        return "bin_size is missing, and labels are per bin"
    if task.window is not None and task.window % task.bin_size:
        return f"window {task.window} is no multiple of bin_size {task.bin_size}"
    return None


def _feature(task: Task) -> Any:
    import datasets

    return datasets.List(datasets.Value("int8"))


def _count(task: Task, lengths: np.ndarray) -> np.ndarray:
    size = task.bin_size or 1
    if (row := first(lengths % size != 0)) is not None:
        raise LabelError(row, f"leaves a window of {lengths[row]:,} bp, no multiple of the bin size {size}.")
    return lengths // size


def _turn(task: Task, labels: pa.ListArray, minus: np.ndarray) -> pa.ListArray:
    values, counts, _ = reversed_rows(labels, minus)
    return lists(values, counts, np.int8).combine_chunks()


def _arrays(task: Task, column: pa.ChunkedArray) -> Ragged:
    values, counts = flat(column)
    check_range(values, counts, 2)
    return Ragged(values.astype(np.int8, copy=False), counts)


def _nucleotides(task: Task, labels: Labels, rows: np.ndarray) -> np.ndarray:
    return np.array([len(labels[int(row)]) for row in rows], np.int64) * (task.bin_size or 1)


BINS = Kind(
    name="per_bin_binary",
    unit="bin",
    metrics=("auprc",),
    losses=("binary",),
    schemes=("fixed", "folds"),
    column="labels",
    keys=WINDOW_KEYS,
    recipe={"hidden": 2, "loss": "binary", "positive_weight": None, "learning_rate": 0.001, "batch_size": 8},
    variants=False,
    single=False,
    classes=False,
    spans=(384, 4_096),
    problem=_problem,
    feature=_feature,
    count=_count,
    values=lambda task: 2,
    parse=lambda task, texts, counts: run_lengths(texts, counts, 2, "bin"),
    turn=_turn,
    arrays=_arrays,
    nucleotides=_nucleotides,
    per_row=lambda task: None,
    label_columns=lambda task: 1,
    score_columns=lambda task: 1,
    pool=lambda task: task.bin_size,
    by_row=lambda values, offsets: [values[start:end, 0] for start, end in pairwise(offsets)],
    score=average_precision,
    resampled=lambda task, labels, scores, cluster, weights: resampling.average_precision(
        scores, labels, cluster, weights
    ),
    describe=positives,
)
