"""``multilabel``: any number of labels for a window (chromatin, histone marks, methylation).

Rows carry the indices of the labels that are on; as arrays they are (rows, labels) int8 of 0 and 1. Scored by the mean
AUROC over the labels that have both classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bend_hf.kinds import resampling
from bend_hf.kinds.arrays import check_range, flat, index_lists
from bend_hf.kinds.kind import WINDOW_KEYS, Kind
from bend_hf.kinds.scores import auroc, positives
from bend_hf.kinds.window import fixed_window, nucleotides

if TYPE_CHECKING:
    from bend_hf.tasks.task import Task


def _feature(task: Task) -> Any:
    import datasets

    return datasets.List(datasets.ClassLabel(names=list(task.label_names)))


def _labels(task: Task) -> int:
    return len(task.label_names)


def _arrays(task: Task, column: pa.ChunkedArray) -> np.ndarray:
    values, counts = flat(column)
    check_range(values, counts, _labels(task))
    dense = np.zeros((len(counts), _labels(task)), np.int8)
    dense[np.repeat(np.arange(len(counts)), counts), values] = 1
    return dense


def _describe(task: Task, labels: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    counts, _ = positives(task, labels)
    return counts, {"positives": labels.reshape(-1, _labels(task)).sum(0, dtype=np.int64).tolist()}


MULTILABEL = Kind(
    name="multilabel",
    unit="window",
    metrics=("auroc",),
    losses=("binary",),
    schemes=("fixed",),
    column="labels",
    keys=WINDOW_KEYS,
    recipe={"hidden": 64, "loss": "binary", "positive_weight": None, "learning_rate": 0.003, "batch_size": 256},
    variants=False,
    single=False,
    classes=False,
    spans=(),
    problem=fixed_window,
    feature=_feature,
    count=lambda task, lengths: np.full(len(lengths), _labels(task)),
    values=lambda task: 2,
    parse=lambda task, texts, counts: index_lists(texts, _labels(task)),
    turn=lambda task, labels, minus: labels,
    arrays=_arrays,
    nucleotides=nucleotides,
    per_row=_labels,
    label_columns=_labels,
    score_columns=_labels,
    pool=lambda task: task.window,
    by_row=lambda values, offsets: list(values),
    score=auroc,
    resampled=lambda task, labels, scores, cluster, weights: resampling.auroc(scores, labels, cluster, weights),
    describe=_describe,
)
