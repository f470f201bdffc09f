"""``variant_binary``: effect or none of a single-nucleotide variant, scored without training (zero-shot).

A row has one label, int8, and two sequences. Scored by the AUROC of a distance between their embeddings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bend_hf.kinds import resampling
from bend_hf.kinds.arrays import LabelError, first, integers
from bend_hf.kinds.kind import VARIANT_KEYS, Kind
from bend_hf.kinds.scores import auroc, positives

if TYPE_CHECKING:
    from bend_hf.tasks.task import Task

CONTEXT = 1_024
"""Nucleotides of both sequences of a row, the variant in the middle."""
DISTANCES = ("splice_distance", "tss_distance")
"""Columns that a task may have: bp from a variant to the nearest splice site, and transcription start."""


def _problem(task: Task) -> str | None:
    if task.window != CONTEXT:
        return f"window is {task.window}, and the context of a variant in its rows is {CONTEXT:,} bp"
    if len(task.label_names) != 2:
        return "label_names are not two, of no effect and of an effect"
    return "it is stranded, and variants are read on the forward strand" if task.stranded else None


def _feature(task: Task) -> Any:
    import datasets

    return datasets.ClassLabel(names=list(task.label_names))


def _values(task: Task) -> int:
    return len(task.label_names)


def _parse(task: Task, texts: pa.ChunkedArray, counts: np.ndarray) -> pa.ChunkedArray:
    labels = integers(texts)
    if (row := first((labels < 0) | (labels >= _values(task)))) is not None:
        raise LabelError(row, f"is out of range: labels are 0 to {_values(task) - 1}.")
    return pa.chunked_array([pa.array(labels)])


VARIANT = Kind(
    name="variant_binary",
    unit="variant",
    metrics=("auroc",),
    losses=(),
    schemes=("none",),
    column="label",
    keys=VARIANT_KEYS,
    recipe=None,
    variants=True,
    single=True,
    classes=False,
    spans=(),
    problem=_problem,
    feature=_feature,
    count=lambda task, lengths: np.ones_like(lengths),
    values=_values,
    parse=_parse,
    turn=lambda task, labels, minus: labels,
    arrays=lambda task, column: column.to_numpy().astype(np.int8),
    nucleotides=lambda task, labels, rows: np.full(len(rows), task.window, np.int64),
    per_row=lambda task: 1,
    label_columns=lambda task: 1,
    score_columns=lambda task: 1,
    pool=lambda task: None,
    by_row=lambda values, offsets: list(values),
    score=auroc,
    resampled=lambda task, labels, scores, cluster, weights: resampling.auroc(scores, labels, cluster, weights),
    describe=positives,
)
