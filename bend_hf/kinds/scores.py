"""Scores that kinds are scored by: the metric's own module, on labels and scores of all rows one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.resources import load_module

if TYPE_CHECKING:
    from bend_hf.tasks.task import Task


def mcc(task: Task, labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """MCC, recall and precision of classes; the MCC is None where all labels are of one class.

    Args:
        task: Whose label names are the classes.
        labels: (n,) classes.
        scores: (n, classes), the highest of which is called, or the (n,) classes called.
    """
    module = load_module("metrics", "mcc")
    called = scores.argmax(axis=1) if scores.ndim == 2 else scores
    confusion = module.confusion_matrix(labels, called, len(task.label_names))
    values = dict(module.scores_from_confusion(confusion))
    return values if np.count_nonzero(confusion.sum(axis=1)) > 1 else {**values, "mcc": None}


def auroc(task: Task, labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """AUROC of (n,) labels, or the mean and each label's own of (n, labels)."""
    return dict(load_module("metrics", "auroc").auroc(labels, scores))


def average_precision(task: Task, labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Average precision of all labels pooled."""
    return {"auprc": load_module("metrics", "auprc").average_precision(labels.ravel(), scores.ravel())}


def positives(task: Task, labels: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """Count labels that are on, and all; nothing beside the score."""
    return {"positives": int(labels.sum()), "labels": int(labels.size)}, {}


def macro_f1(task: Task, labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Macro F1, accuracy and each class's F1; arguments are those of `mcc`."""
    module = load_module("metrics", "macro_f1")
    called = scores.argmax(axis=1) if scores.ndim == 2 else scores
    return dict(module.scores_from_confusion(module.confusion_matrix(labels, called, len(task.label_names))))


def correlations(task: Task, labels: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Pearson's correlation, R² and Spearman's correlation of values."""
    pearson, spearman = (load_module("metrics", name) for name in ("pearson", "spearman"))
    return dict(pearson.pearson(labels.ravel(), scores.ravel()) | spearman.spearman(labels.ravel(), scores.ravel()))
