"""``window_class``: one of several classes for every window (promoters, splice sites, species).

The label column holds a class's name, or its index (names alone where one is another class's index). Scored by the MCC
of the most probable classes, or by macro F1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bend_hf.kinds import resampling
from bend_hf.kinds.arrays import LabelError, check_range
from bend_hf.kinds.kind import WINDOW_KEYS, Kind
from bend_hf.kinds.scores import macro_f1, mcc
from bend_hf.kinds.window import fixed_window, nucleotides

if TYPE_CHECKING:
    from bend_hf.tasks.task import Task


def _classes(task: Task) -> int:
    return len(task.label_names)


def _problem(task: Task) -> str | None:
    return "label_names are one class, and there is nothing to tell apart" if _classes(task) < 2 else fixed_window(task)


def _feature(task: Task) -> Any:
    import datasets

    return datasets.ClassLabel(names=list(task.label_names))


def _parse(task: Task, texts: pa.ChunkedArray, counts: np.ndarray) -> pa.ChunkedArray:
    encoded = texts.combine_chunks().dictionary_encode()
    indices = {str(index): index for index in range(_classes(task))}
    known = {name: index for index, name in enumerate(task.label_names)}
    if all(indices.get(name, index) == index for name, index in known.items()):
        known = indices | known
    written = encoded.dictionary.to_pylist()
    rows = encoded.indices.to_numpy()
    for place, text in enumerate(written):
        if text not in known:
            names = ", ".join(task.label_names)
            or_index = f", or 0 to {_classes(task) - 1}" if indices.keys() <= known.keys() else ""
            raise LabelError(int(np.argmax(rows == place)), f"is no class: {names}{or_index}.")
    return pa.chunked_array([pa.array(np.array([known[text] for text in written], np.int64)[rows])])


def _arrays(task: Task, column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.to_numpy()
    check_range(values, np.ones(len(values), np.int64), _classes(task))
    return values.astype(np.int16)[:, None]


def _score(task: Task, labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    return mcc(task, labels, scores) | macro_f1(task, labels, scores)


def _describe(task: Task, labels: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {"support": np.bincount(labels, minlength=_classes(task)).tolist()}


def _resampled(
    task: Task, labels: np.ndarray, scores: np.ndarray, cluster: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    statistic = {"mcc": resampling.mcc, "macro_f1": resampling.macro_f1}[task.metric]
    return statistic(scores.argmax(axis=1), labels, _classes(task), cluster, weights)


WINDOW_CLASS = Kind(
    name="window_class",
    unit="window",
    metrics=("mcc", "macro_f1"),
    losses=("cross_entropy",),
    schemes=("fixed",),
    column="label",
    keys=WINDOW_KEYS,
    recipe={
        "hidden": 64,
        "loss": "cross_entropy",
        "positive_weight": None,
        "learning_rate": 0.003,
        "batch_size": 256,
    },
    variants=False,
    single=True,
    classes=True,
    spans=(),
    problem=_problem,
    feature=_feature,
    count=lambda task, lengths: np.ones_like(lengths),
    values=_classes,
    parse=_parse,
    turn=lambda task, labels, minus: labels,
    arrays=_arrays,
    nucleotides=nucleotides,
    per_row=lambda task: 1,
    label_columns=lambda task: 1,
    score_columns=_classes,
    pool=lambda task: task.window,
    by_row=lambda values, offsets: list(values),
    score=_score,
    resampled=_resampled,
    describe=_describe,
)
