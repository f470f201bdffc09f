"""Bootstrap of AUROC, AUPRC and MCC: resamples as weights on sufficient statistics against scoring drawn rows anew.

    python tests/benchmarks/bootstrap.py                  # ratios
    python tests/benchmarks/bootstrap.py --size medium    # … and all of chromatin, 1,000 resamples

The plain way draws clusters, gathers their rows and calls scikit-learn; it is measured on a few resamples, as a rate.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from table import Row, main

from bend_hf.kinds import resampling
from bend_hf.results import statistics
from bend_hf.results.clusters import clusters
from bend_hf.results.record import Predictions, make_predictions
from bend_hf.tasks import TASKS

ROWS = {"tiny": 2_000, "small": 50_000, "medium": 372_153}
RESAMPLES = {"tiny": 20, "small": 200, "medium": 1000}


def chromatin(rows: int) -> Predictions:
    """Simulated probabilities for the 125 labels of windows on chr1, chr8 and chr9."""
    task = TASKS["chromatin_accessibility"]
    rng = np.random.default_rng(0)
    labels = (rng.random((rows, 125)) < rng.uniform(0.02, 0.3, 125)).astype(np.int8)
    scores = rng.normal(size=labels.shape).astype(np.float32)
    scores += labels
    scores = (1 / (1 + np.exp(1 - scores))).astype(np.float32)
    share = np.array([248, 145, 138]) / 531
    chromosome = np.repeat(np.array(["chr1", "chr8", "chr9"]), rng.multinomial(rows, share))
    start = rng.integers(0, 138_000_000, rows)
    keys = {"chromosome": chromosome, "start": start, "end": start + 512, "strand": ["+"] * rows}
    return make_predictions(task, keys, scores, labels)


def run(size: str = "small") -> list[Row]:
    """Resamples per second of one label, plain and weighted; for medium also the whole task."""
    predictions = chromatin(ROWS[size])
    division = clusters(predictions)
    cluster, n = division.of_row, division.count
    labels, scores = predictions.labels[:, 0], predictions.scores[:, 0]
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES[size])
    members = [np.flatnonzero(cluster == k) for k in range(n)]
    rows: list[Row] = []
    for name, plain, weighted in (
        ("AUROC", roc_auc_score, resampling.auroc),
        ("AUPRC", average_precision_score, resampling.average_precision),
    ):
        few = min(5, RESAMPLES[size])
        begin = time.perf_counter()
        expected = []
        for w in weights[:few]:
            drawn = np.concatenate([np.tile(members[k], w[k]) for k in np.flatnonzero(w)])
            expected.append(plain(labels[drawn], scores[drawn]))
        middle = time.perf_counter()
        found = weighted(scores, labels, cluster, weights)
        end = time.perf_counter()
        np.testing.assert_allclose(found[:few], expected, atol=1e-10)
        rows.append(
            (f"{name} of {len(labels):,} rows", few / (middle - begin), len(found) / (end - middle), "resamples/s")
        )
    if size == "medium":
        begin = time.perf_counter()
        statistics.bootstrap(predictions, resamples=RESAMPLES[size])
        seconds = time.perf_counter() - begin
        print(
            f"{len(labels):,} x 125, {RESAMPLES[size]:,} resamples of {n} {division.unit}s: {seconds:.1f} s",
            file=sys.stderr,
        )
    return rows


if __name__ == "__main__":
    main(run)
