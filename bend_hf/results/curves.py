"""Curves behind a headline number, from recorded predictions: ROC, precision-recall, learning, confusion.

    x, y = roc_curve(predictions)       # for several labels the mean over labels

Curves of several labels or folds are averaged vertically, on a grid of 101 false positive rates or recalls, so that
the mean curve belongs to the mean score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from bend_hf.resources import load_module
from bend_hf.results.predictions import Predictions
from bend_hf.results.record import Result

Curve = tuple[np.ndarray, np.ndarray]
GRID = np.linspace(0, 1, 101)


def roc_curve(predictions: Predictions) -> Curve | None:
    """False positive rates from (0, 0) on and the mean true positive rate at each; None without both classes."""

    def one(true: np.ndarray, false: np.ndarray) -> np.ndarray:
        return np.interp(GRID, np.r_[0, false / false[-1]], np.r_[0, true / true[-1]])

    mean = _mean(_columns(predictions), one)
    return None if mean is None else (np.r_[0, mean[0]], np.r_[0, mean[1]])


def precision_recall_curve(predictions: Predictions) -> Curve | None:
    """Recalls and the mean precision at each (that of the first threshold that reaches it); None without positives."""

    def one(true: np.ndarray, false: np.ndarray) -> np.ndarray:
        first = np.searchsorted(true / true[-1], GRID - 1e-12)
        reached = np.maximum(first, int(np.searchsorted(true, 1)))  # a recall of 0 is that of the first positive
        return np.asarray((true / (true + false))[reached])

    return _mean(_columns(predictions), one)


def _columns(predictions: Predictions) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Labels and scores whose curves are averaged: every label's, or every fold's."""
    labels, scores = predictions.labels, predictions.scores
    if labels.ndim == 2:
        return zip(labels.T, scores.T, strict=True)
    if "part" in predictions.table.column_names:
        part = np.repeat(predictions.column("part"), predictions.lengths)
        return [(labels[part == name], scores[part == name]) for name in np.unique(part)]
    return [(labels, scores)]


def _mean(
    columns: Iterable[tuple[np.ndarray, np.ndarray]], one: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Curve | None:
    curves = []
    for labels, scores in columns:
        order = np.argsort(-scores, kind="stable")
        ends = np.r_[np.flatnonzero(np.diff(scores[order])), len(order) - 1]  # ties enter together
        true = np.cumsum(labels[order], dtype=np.int64)[ends]
        if 0 < true[-1] < len(labels):
            curves.append(one(true, ends + 1 - true))
    return (GRID, np.mean(curves, axis=0)) if curves else None


def confusion(predictions: Predictions) -> np.ndarray:
    """(classes, classes) counts of nucleotides by true (row) and predicted (column) class."""
    module = load_module("metrics", "mcc")
    called = predictions.scores.argmax(axis=1)
    return np.asarray(module.confusion_matrix(predictions.labels, called, len(predictions.task.label_names)))


def learning_curve(results: Iterable[Result], key: str) -> Curve | None:
    """Epochs and the mean of a value of the history over seeds and folds; epochs that not all reached are left out."""
    runs: dict[tuple[int | None, str | None], dict[int, float]] = {}
    for result in results:
        for entry in result.history:
            if entry.get(key) is not None:
                runs.setdefault((result.seed, entry.get("part")), {})[entry["epoch"]] = entry[key]
    if not runs:
        return None
    epochs = sorted(set.intersection(*(set(run) for run in runs.values())))
    values = np.array([[run[epoch] for epoch in epochs] for run in runs.values()])
    return (np.array(epochs), values.mean(axis=0)) if epochs else None
