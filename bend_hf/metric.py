"""The package's own metrics: as `evaluate` modules without cache or Hub, and as the score of a task.

    metric = bend_hf.load_metric("mcc")
    metric.compute(predictions=[0, 1, 1], references=[0, 1, 0])

The numerics live in ``metrics/<name>/<name>.py`` alone; `score` calls them there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bend_hf.resources import folder, load_module
from bend_hf.tasks import Task


def load_metric(name: str, **options: Any) -> Any:
    """Load one of the metrics in ``metrics/`` as an `evaluate.EvaluationModule`.

    Args:
        name: ``"mcc"``, ``"auroc"`` or ``"auprc"``, with or without a namespace (``"bend/mcc"``).
        **options: Passed to `evaluate.load`.

    Raises:
        BendError: There is no such metric; the message lists those there are.
    """
    import evaluate

    name = name.rpartition("/")[2]
    load_module("metrics", name)
    return evaluate.load(str(folder("metrics") / name / f"{name}.py"), **options)


def score(
    task: Task, labels: Sequence[np.ndarray] | np.ndarray, scores: Sequence[np.ndarray] | np.ndarray
) -> dict[str, Any]:
    """Return a task's metric with its secondary values, as the metric's module returns them.

    Args:
        task: The task; its `metric` is the key of the headline value.
        labels: Per row: classes (L,), bins (B,), or labels (n_labels,) as integers; for variants one array (n,).
        scores: Per row: class scores (L, classes), bin scores (B,), or label scores (n_labels,); for variants
            one array (n,).

    Returns:
        ``{task.metric: value or None, …}``; None where the labels do not define it (one class only).
    """
    module = load_module("metrics", task.metric)
    if task.label_kind == "per_nucleotide_class":
        classes = len(task.label_names)
        confusion = np.zeros((classes, classes), dtype=np.int64)
        for truth, row in zip(labels, scores, strict=True):
            confusion += module.confusion_matrix(truth, row.argmax(axis=1), classes)
        return dict(module.scores_from_confusion(confusion))
    if task.label_kind == "per_bin_binary":
        return {task.metric: module.average_precision(np.concatenate(labels), np.concatenate(scores))}
    return dict(module.auroc(np.asarray(labels), np.asarray(scores)))
