"""The package's own metrics as `evaluate` modules, without cache or Hub.

    metric = bend_hf.load_metric("mcc")
    metric.compute(predictions=[0, 1, 1], references=[0, 1, 0])

The numerics live in ``metrics/<name>/<name>.py`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bend_hf.errors import unknown
from bend_hf.resources import folder, load_module


@dataclass(frozen=True)
class Metric:
    """What is known of a metric without computing it.

    Attributes:
        name: A folder of ``metrics/``, and the key of its value.
        title: Short, for tables.
        words: In full.
        low: Its lowest value.
        high: Its highest.
        chance: What no knowledge scores; None where that depends on the labels.
    """

    name: str
    title: str
    words: str
    low: float
    high: float
    chance: float | None


METRICS = {
    metric.name: metric
    for metric in (
        Metric("mcc", "MCC", "Matthews correlation coefficient (MCC)", -1, 1, 0.0),
        Metric("auroc", "AUROC", "area under the ROC curve (AUROC)", 0, 1, 0.5),
        Metric("macro_f1", "macro F1", "macro F1", 0, 1, None),
        Metric("pearson", "Pearson r", "Pearson correlation", -1, 1, 0.0),
        Metric("spearman", "Spearman ρ", "Spearman rank correlation", -1, 1, 0.0),
        Metric("auprc", "AUPRC", "area under the precision-recall curve (AUPRC, average precision)", 0, 1, None),
    )
}


def load_metric(name: str, **options: Any) -> Any:
    """Load one of the metrics in ``metrics/`` as an `evaluate.EvaluationModule`.

    Args:
        name: One of `METRICS`, with or without a namespace (``"bend/mcc"``).
        **options: Passed to `evaluate.load`.

    Raises:
        BendError: There is no such metric; the message lists those there are.
    """
    import evaluate

    if not isinstance(name, str):
        raise unknown("metric", str(name), METRICS)
    name = name.rpartition("/")[2]
    load_module("metrics", name)
    return evaluate.load(str(folder("metrics") / name / f"{name}.py"), **options)
