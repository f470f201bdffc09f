"""Metrics at the benchmark's sizes: scikit-learn, and `evaluate`'s own way of collecting, against this package.

    python tests/benchmarks/scoring.py                  # 10,000,000 labels, 100,000 x 125 scores
    python tests/benchmarks/scoring.py --size tiny

What the reference implementation calls is scikit-learn: MCC, recall and precision each over all labels, AUROC of every
label, average precision. `evaluate`'s own accumulation is that of its `Metric` class, which writes every batch to an
Arrow file and reads it back. Both results are compared to 1e-12 before anything is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn import metrics as sklearn_metrics
from table import Row, main

import bend_hf
from bend_hf.resources import load_module

LABELS = {"tiny": 100_000, "small": 10_000_000, "medium": 10_000_000}
ROWS = {"tiny": 1_000, "small": 100_000, "medium": 200_000}
BATCH = 100_000


class Collected(evaluate.Metric):
    """A metric as `evaluate` documents it: the base class collects, `_compute` gets everything at once."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="",
            citation="",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
            format="numpy",
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return {"mcc": load_module("metrics", "mcc").confusion_matrix(references, predictions, 9).sum()}


def timed(function: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Return the best wall time in seconds and the last result."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def collect(metric: Any, predictions: np.ndarray, references: np.ndarray) -> Any:
    for start in range(0, len(references), BATCH):
        metric.add_batch(predictions=predictions[start : start + BATCH], references=references[start : start + BATCH])
    return metric.compute()


def run(size: str = "small") -> list[Row]:
    """Return rows of (what, reference's value, ours, unit)."""
    mcc, auroc, auprc = (load_module("metrics", name) for name in ("mcc", "auroc", "auprc"))
    rng = np.random.default_rng(0)
    rows: list[Row] = []

    references = rng.choice(9, LABELS[size], p=[0.06, 0.01, 0.25, 0.01, 0.06, 0.01, 0.25, 0.01, 0.34])
    predictions = np.where(rng.random(len(references)) < 0.6, references, rng.integers(0, 9, len(references)))
    theirs, expected = timed(
        lambda: [
            sklearn_metrics.matthews_corrcoef(references, predictions),
            *sklearn_metrics.recall_score(references, predictions, average=None),
            *sklearn_metrics.precision_score(references, predictions, average=None),
        ]
    )
    ours, found = timed(lambda: mcc.scores_from_confusion(mcc.confusion_matrix(references, predictions, 9)), 5)
    np.testing.assert_allclose([found["mcc"], *found["recall"], *found["precision"]], expected, atol=1e-12)
    rows.append((f"MCC, recall, precision of {len(references):,} labels", theirs, ours, "s"))
    theirs, _ = timed(lambda: collect(Collected(), predictions, references))
    ours, _ = timed(lambda: collect(bend_hf.load_metric("mcc"), predictions, references), 3)
    rows.append((f"… collected by evaluate in batches of {BATCH:,}", theirs, ours, "s"))

    labels = (rng.random((ROWS[size], 125)) < 0.04).astype(np.int8)
    scores = (rng.normal(size=labels.shape) + labels).astype(np.float32)
    theirs, each = timed(lambda: sklearn_metrics.roc_auc_score(labels, scores, average=None))
    ours, found = timed(lambda: auroc.auroc(labels, scores), 5)
    np.testing.assert_allclose(found["per_label"], each, atol=1e-12)
    rows.append((f"AUROC of {len(labels):,} x 125, 4 % positive", theirs, ours, "s"))
    coarse = np.round(scores, 2)
    theirs, each = timed(lambda: sklearn_metrics.roc_auc_score(labels, coarse, average=None))
    ours, found = timed(lambda: auroc.auroc(labels, coarse), 5)
    np.testing.assert_allclose(found["per_label"], each, atol=1e-12)
    rows.append(("… with many ties", theirs, ours, "s"))

    bins = (rng.random((ROWS[size] // 100, 782)) < 0.012).astype(np.int64)
    values = (rng.normal(size=bins.shape) + 2 * bins).astype(np.float32)
    theirs, expected = timed(lambda: sklearn_metrics.average_precision_score(bins.ravel(), values.ravel()), 3)
    ours, found = timed(lambda: auprc.average_precision(bins, values), 5)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    rows.append((f"AUPRC of {bins.size:,} bins", theirs, ours, "s"))
    return rows


if __name__ == "__main__":
    main(run)
