"""What a model that knows nothing scores.

    level = chance(predictions)
    level.value, level.interval

0 for MCC and 0.5 for AUROC, whatever the rows. The expected AUPRC of random scores is more than the share of positives
where rows are few, and scatters widely where positives are few: it is computed for the counts of the test rows, over
the same folds as the score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bend_hf.metric import METRICS
from bend_hf.results.predictions import Predictions

PERMUTATIONS = 2000
"""Random orders behind the interval of AUPRC's chance."""


@dataclass(frozen=True)
class Chance:
    """What no knowledge scores: its expectation, and the central 95 % of random scores (None: the value is exact)."""

    value: float
    interval: list[float] | None = None


def chance(predictions: Predictions) -> Chance:
    """Return the chance level of a score; for AUPRC the mean over the folds that hold a positive."""
    metric = predictions.task.metric
    known = METRICS[metric].chance
    return BY_LABELS[metric](predictions) if known is None else Chance(known)


def _macro_f1(predictions: Predictions) -> Chance:
    """Of classes called at random in their shares p: each F1 is p, and their mean 1 / classes."""
    return Chance(1 / len(np.unique(predictions.labels)))


def _average_precision(predictions: Predictions) -> Chance:
    part = np.zeros(len(predictions), np.int64)
    if predictions.task.folds:
        part = np.unique(predictions.column("part"), return_inverse=True)[1]
    entry = np.repeat(part, predictions.lengths)
    positives = np.bincount(entry, weights=predictions.labels).astype(int)
    counts = [(int(n), int(p)) for n, p in zip(np.bincount(entry), positives, strict=True) if p]
    if not counts:
        return Chance(0.0)
    drawn = np.mean([_random_average_precision(n, p, k) for k, (n, p) in enumerate(counts)], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Chance(float(np.mean([expected_average_precision(*pair) for pair in counts])), [float(low), float(high)])


def expected_average_precision(n: int, positives: int) -> float:
    """Mean average precision over all orders of `n` entries with `positives` positives, without ties; 0 without any.

    Entry k is positive with probability p/n and then has (k - 1)(p - 1)/(n - 1) others before it on average, so the
    mean is (1/n) sum over k of (1 + (k - 1)(p - 1)/(n - 1)) / k (Bestgen 2015, Prague Bulletin of
    Mathematical Linguistics 103, 131).
    """
    if not positives:
        return 0.0
    harmonic = float((1 / np.arange(1, n + 1)).sum())
    return (harmonic + (positives - 1) / max(n - 1, 1) * (n - harmonic)) / n


BY_LABELS: dict[str, Callable[[Predictions], Chance]] = {"auprc": _average_precision, "macro_f1": _macro_f1}
"""Metric whose chance depends on the labels → how."""


@lru_cache(maxsize=64)
def _random_average_precision(n: int, positives: int, seed: int) -> np.ndarray:
    """(PERMUTATIONS,) average precision of random orders, from the distinct random ranks of the positives."""
    rng = np.random.default_rng(seed)
    ranks = np.stack([rng.choice(n, positives, replace=False, shuffle=False) for _ in range(PERMUTATIONS)]) + 1
    ranks.sort(axis=1)
    return np.asarray((np.arange(1, positives + 1) / ranks).mean(axis=1))
