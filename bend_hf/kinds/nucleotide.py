"""``per_nucleotide_class``: one of several classes for every nucleotide of a window (gene finding).

Labels are int8 classes, as many as the window has nucleotides. Scored by the MCC of the most probable classes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bend_hf.kinds import resampling
from bend_hf.kinds.arrays import Ragged, check_range, flat, lists, reversed_rows, run_lengths
from bend_hf.kinds.kind import WINDOW_KEYS, Kind
from bend_hf.kinds.scores import mcc

if TYPE_CHECKING:
    from bend_hf.tasks.task import Task


def _problem(task: Task) -> str | None:
    if task.bin_size is not None:
        return "bin_size is set, and labels are per nucleotide"
    if task.stranded and task.turned_labels is None:
        return "it is stranded, and turned_labels does not say what each label is on the other strand"
    return None if task.turned_labels is None else _problem_of_turned(task.label_names, task.turned_labels)


def _problem_of_turned(names: tuple[str, ...], turned: tuple[str, ...]) -> str | None:
    if sorted(turned) != sorted(names):
        return "turned_labels are not the label_names, each once"
    for name, other in zip(names, turned, strict=True):
        if turned[names.index(other)] != name:
            back = turned[names.index(other)]
            return f"turned_labels make {name!r} {other!r}, and {other!r} {back!r}: turned twice, a label is itself"
    return None


def _feature(task: Task) -> Any:
    import datasets

    return datasets.List(datasets.Value("int8"))


def _values(task: Task) -> int:
    return len(task.label_names)


def _turn(task: Task, labels: pa.ListArray, minus: np.ndarray) -> pa.ListArray:
    """Read windows back to front, and every label as the one it is on the other strand."""
    assert task.turned_labels is not None
    values, counts, moved = reversed_rows(labels, minus)
    other = np.array([task.label_names.index(name) for name in task.turned_labels], np.int8)
    return lists(np.where(moved, other[values], values), counts, np.int8).combine_chunks()


def _arrays(task: Task, column: pa.ChunkedArray) -> Ragged:
    values, counts = flat(column)
    check_range(values, counts, _values(task))
    return Ragged(values.astype(np.int8, copy=False), counts)


def _describe(task: Task, labels: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"positions": len(labels)}, {"support": np.bincount(labels, minlength=_values(task)).tolist()}


def _resampled(
    task: Task, labels: np.ndarray, scores: np.ndarray, cluster: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    return resampling.mcc(scores.argmax(axis=1), labels, _values(task), cluster, weights)


NUCLEOTIDE = Kind(
    name="per_nucleotide_class",
    unit="nucleotide",
    metrics=("mcc",),
    losses=("cross_entropy",),
    schemes=("fixed",),
    column="labels",
    keys=WINDOW_KEYS,
    recipe={"hidden": 64, "loss": "cross_entropy", "positive_weight": None, "learning_rate": 0.003, "batch_size": 64},
    variants=False,
    single=False,
    classes=True,
    spans=(48, 384),
    problem=_problem,
    feature=_feature,
    count=lambda task, lengths: lengths,
    values=_values,
    parse=lambda task, texts, counts: run_lengths(texts, counts, _values(task), "nucleotide"),
    turn=_turn,
    arrays=_arrays,
    nucleotides=lambda task, labels, rows: np.array([len(labels[int(row)]) for row in rows], np.int64),
    per_row=lambda task: None,
    label_columns=lambda task: 1,
    score_columns=_values,
    pool=lambda task: None,
    by_row=lambda values, offsets: [values[start:end] for start, end in pairwise(offsets)],
    score=mcc,
    resampled=_resampled,
    describe=_describe,
)
