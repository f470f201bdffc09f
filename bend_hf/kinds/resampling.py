"""Statistics of weighted clusters: the numbers behind every resample, exact, with ties, without sorting again.

    auroc(scores, labels, cluster, weights)        # (resamples,)

A resample is a vector of weights, one per cluster, applied to what a cluster contributes: a confusion matrix (MCC), or
its positives and negatives at every distinct score (AUROC, average precision), or moments (correlations).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bend_hf.resources import load_module

if TYPE_CHECKING:
    from scipy import sparse


def mcc(called: np.ndarray, labels: np.ndarray, classes: int, cluster: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) MCC.

    Args:
        called: (entries,) predicted classes.
        labels: (entries,) true classes.
        classes: How many there are.
        cluster: (entries,) cluster of every entry.
        weights: (resamples, clusters).
    """
    return _of_confusion("mcc", called, labels, classes, cluster, weights)


def macro_f1(
    called: np.ndarray, labels: np.ndarray, classes: int, cluster: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(resamples,) macro F1; arguments are those of `mcc`."""
    return _of_confusion("macro_f1", called, labels, classes, cluster, weights)


def _of_confusion(
    metric: str, called: np.ndarray, labels: np.ndarray, classes: int, cluster: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    cell = (cluster.astype(np.int64) * classes + labels) * classes + called
    confusion = np.bincount(cell, minlength=weights.shape[1] * classes**2).reshape(-1, classes**2)
    resampled = (weights @ confusion).reshape(-1, classes, classes)
    return np.asarray(load_module("metrics", metric).scores_from_confusion(resampled)[metric], dtype=float)


def pearson(scores: np.ndarray, labels: np.ndarray, cluster: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) Pearson's correlation of (entries,) values; NaN where one side has no spread.

    Moments are about the means of all entries, so that no large numbers cancel.
    """
    x, y = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (scores, labels))
    columns = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
    clusters = weights.shape[1]
    moments = np.stack([np.bincount(cluster, weights=column, minlength=clusters) for column in columns], axis=1)
    n, sx, sy, sxx, syy, sxy = (weights @ moments).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((n * sxy - sx * sy) / np.sqrt((n * sxx - sx**2) * (n * syy - sy**2)))


def spearman(scores: np.ndarray, labels: np.ndarray, cluster: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) Spearman's correlation of (entries,) values: Pearson's of weighted ranks, ties sharing theirs."""
    levels = [np.unique(values, return_inverse=True)[1] for values in (scores, labels)]
    out = np.empty(len(weights))
    for i, drawn in enumerate(weights):
        w = drawn[cluster]
        ranks = []
        for level in levels:
            of_level = np.bincount(level, weights=w)
            ranks.append((np.cumsum(of_level) - of_level / 2)[level])
        x, y = (rank - np.average(rank, weights=w) for rank in ranks)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[i] = (w * x) @ y / np.sqrt(((w * x) @ x) * ((w * y) @ y))
    return out


def auroc(scores: np.ndarray, labels: np.ndarray, cluster: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) AUROC of (entries,) scores and 0/1 labels; NaN where a class is missing."""
    return _ranked(_auroc, scores, labels, cluster, weights)


def average_precision(scores: np.ndarray, labels: np.ndarray, cluster: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) average precision of (entries,) scores and 0/1 labels; NaN without positives."""
    return _ranked(_average_precision, scores, labels, cluster, weights)


def _ranked(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    scores: np.ndarray,
    labels: np.ndarray,
    cluster: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """(resamples,) of a statistic of the order of scores.

    Equal scores are one level. With P and N the counts of positives and negatives per level and cluster, the counts of
    a resample with weights w are P·w and N·w; the levels are sorted once. A few resamples at a time, so that the
    products stay in the processor's cache.
    """
    from scipy import sparse

    levels, level = np.unique(scores, return_inverse=True)
    positive = labels > 0

    def counts(rows: np.ndarray) -> sparse.csr_matrix:
        cells = (np.ones(int(rows.sum())), (level[rows], cluster[rows]))
        return sparse.csr_matrix(cells, shape=(len(levels), weights.shape[1]))

    p, n = counts(positive), counts(~positive)
    step = max(1, 2**19 // len(levels))
    out = np.empty(len(weights))
    for first in range(0, len(weights), step):
        w = np.ascontiguousarray(weights[first : first + step].T, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[first : first + step] = statistic(p @ w, n @ w)
    return out


def _auroc(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """(resamples,) share of pairs in which the positive is above, ties half; from (levels, resamples) ascending."""
    below = np.cumsum(negatives, axis=0)
    below -= negatives / 2
    return np.asarray(np.einsum("lr,lr->r", positives, below) / (positives.sum(0) * negatives.sum(0)))


def _average_precision(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """(resamples,) sum over levels of recall gained × precision there; from (levels, resamples) ascending."""
    found = np.cumsum(positives[::-1], axis=0)
    called = found + np.cumsum(negatives[::-1], axis=0)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return np.asarray(np.einsum("lr,lr->r", positives[::-1], precision) / positives.sum(0))
