"""The package's own metrics as `evaluate` modules, without cache or Hub.

    metric = bend_hf.load_metric("mcc")
    metric.compute(predictions=[0, 1, 1], references=[0, 1, 0])

The numerics live in ``metrics/<name>/<name>.py`` alone.
"""

from __future__ import annotations

from typing import Any

from bend_hf.resources import folder, load_module


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
