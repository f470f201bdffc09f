"""``window_value``: a number for every window (expression, activity).

The label column holds it. Heads learn it by squared error, on the scale where training rows have mean 0 and deviation
1, and predict it on its own scale. Scored by Pearson's correlation, or Spearman's; R² stands beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bend_hf.kinds import resampling
from bend_hf.kinds.arrays import LabelError, first
from bend_hf.kinds.kind import WINDOW_KEYS, Kind
from bend_hf.kinds.scores import correlations
from bend_hf.kinds.window import fixed_window, nucleotides

if TYPE_CHECKING:
    from bend_hf.tasks.task import Task

NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"


def _problem(task: Task) -> str | None:
    return "label_names are several, and a window has one value" if len(task.label_names) != 1 else fixed_window(task)


def _feature(task: Task) -> Any:
    import datasets

    return datasets.Value("float32")


def _parse(task: Task, texts: pa.ChunkedArray, counts: np.ndarray) -> pa.ChunkedArray:
    if (row := first(pc.invert(pc.match_substring_regex(texts, NUMBER)))) is not None:
        raise LabelError(row, "is no number.")
    values = pc.cast(pc.cast(texts, pa.float64()), pa.float32())
    if (row := first(pc.invert(pc.is_finite(values)))) is not None:
        raise LabelError(row, "is too large for 32 bits.")
    return values


def _describe(task: Task, labels: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {"mean": float(labels.mean(dtype=np.float64)), "deviation": float(labels.std(dtype=np.float64))}


def _resampled(
    task: Task, labels: np.ndarray, scores: np.ndarray, cluster: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    statistic = {"pearson": resampling.pearson, "spearman": resampling.spearman}[task.metric]
    return statistic(scores, labels, cluster, weights)


WINDOW_VALUE = Kind(
    name="window_value",
    unit="window",
    metrics=("pearson", "spearman"),
    losses=("squared",),
    schemes=("fixed",),
    column="label",
    keys=WINDOW_KEYS,
    recipe={"hidden": 64, "loss": "squared", "positive_weight": None, "learning_rate": 0.003, "batch_size": 256},
    variants=False,
    single=True,
    classes=False,
    spans=(),
    problem=_problem,
    feature=_feature,
    count=lambda task, lengths: np.ones_like(lengths),
    values=lambda task: None,
    parse=_parse,
    turn=lambda task, labels, minus: labels,
    arrays=lambda task, column: column.to_numpy().astype(np.float32)[:, None],
    nucleotides=nucleotides,
    per_row=lambda task: 1,
    label_columns=lambda task: 1,
    score_columns=lambda task: 1,
    pool=lambda task: task.window,
    by_row=lambda values, offsets: list(values[:, 0]),
    score=correlations,
    resampled=_resampled,
    describe=_describe,
)
