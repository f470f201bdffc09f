"""Scores with their uncertainty, from recorded predictions.

    summary = summarise(predictions)                 # score, 95 % interval, secondary scores, counts, folds
    one, other = bootstrap(a), bootstrap(b)          # the same resamples where the test rows are the same:
    one.scores - other.scores                        # … a paired bootstrap

Test rows are not independent: neighbours on a chromosome share sequence and biology. So whole clusters are resampled,
not rows: chromosomes where the test set covers at least ten of them, else blocks of 1 Mb, else (a short region) rows.
The enhancer task resamples its ten folds, whose chromosomes are disjoint. Each resample is a vector of cluster weights
applied to sufficient statistics: confusion matrices per cluster (MCC), or counts of positives and negatives per
distinct score and cluster (AUROC, AUPRC), so that nothing is sorted more than once and ties stay exact.

Percentiles are expanded for few clusters (Hesterberg 2015, 10.1080/00031305.2015.1089789): without that, intervals
from ten clusters are too narrow. tests/benchmarks/coverage.py measures how often the intervals hold the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.errors import unknown
from bend_hf.resources import load_module
from bend_hf.results.predictions import Predictions
from bend_hf.tasks import Task

if TYPE_CHECKING:
    from scipy import sparse

CLUSTERS = 10
"""Fewest clusters (effective number) that are resampled; with fewer, a finer unit is taken."""
BLOCK = 1_000_000
"""Width of a block in bp."""
RARE = 30
"""With positives in fewer clusters than this, clusters with and without positives are resampled apart."""
TOO_FEW = 10
"""Fewest positives, and negatives, for a score of a subset to be shown as a number."""


@dataclass(frozen=True)
class Bootstrap:
    """Resampled scores.

    Attributes:
        scores: (resamples,) the headline score of every resample; NaN where a resample lacks a class.
        per_label: (resamples, labels) AUROC of every label; None for other tasks.
        clusters: Number of clusters (or folds) resampled.
        unit: What they are: ``"chromosome"``, ``"1 Mb block"``, ``"row"`` or ``"fold"``.
    """

    scores: np.ndarray
    per_label: np.ndarray | None
    clusters: int
    unit: str

    def interval(self, level: float = 0.95) -> list[float] | None:
        """Confidence interval of the headline score."""
        return expanded_percentiles(self.scores, self.clusters, level)


@dataclass(frozen=True)
class Summary:
    """What a record holds of a test: the fields of the same names of `Result`."""

    score: float | None
    interval: list[float] | None
    chance: float
    secondary: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    folds: list[dict[str, Any]] | None = None


def summarise(predictions: Predictions, *, resamples: int = 1000, seed: int = 0, level: float = 0.95) -> Summary:
    """Score predictions, with intervals.

    Args:
        predictions: Of one model on one task; for folds, of all of them.
        resamples: Bootstrap resamples.
        seed: Of the resampling.
        level: Of the intervals.
    """
    task, labels = predictions.task, predictions.labels
    values = score(predictions)
    drawn = bootstrap(predictions, resamples=resamples, seed=seed)
    counts: dict[str, Any] = {"rows": len(predictions), "clusters": drawn.clusters}
    secondary = {name: value for name, value in values.items() if name not in (task.metric, "folds")}
    secondary["interval"] = {"level": level, "resamples": resamples, "seed": seed, "unit": drawn.unit}
    folds = None
    counted, described = task.kind.describe(task, labels)
    counts |= counted
    secondary |= described
    if drawn.per_label is not None:
        secondary["per_label_interval"] = [
            expanded_percentiles(column, drawn.clusters, level) for column in drawn.per_label.T
        ]
    if "folds" in values:
        folds = [_fold(predictions, part, value, resamples, seed, level) for part, value in values["folds"].items()]
        defined = [fold["score"] for fold in folds if fold["score"] is not None]
        secondary["folds_scored"] = len(defined)
        secondary["folds_deviation"] = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
    return Summary(values[task.metric], drawn.interval(level), chance(predictions), secondary, counts, folds)


def _fold(
    predictions: Predictions, part: str, value: float | None, resamples: int, seed: int, level: float
) -> dict[str, Any]:
    """One fold, with an interval over its windows."""
    inside = predictions.column("part") == part
    fold = Predictions(predictions.task, predictions.table.filter(inside))
    rows, cluster = np.unique(np.repeat(np.arange(len(fold)), fold.lengths), return_inverse=True)
    weights = cluster_weights(cluster, len(rows), fold.labels, resamples, seed)
    drawn = _resampled(_average_precision, fold.scores, fold.labels, cluster, weights)
    return {
        "part": part,
        "score": value,
        "interval": expanded_percentiles(drawn, len(rows), level),
        "chance": float(fold.labels.mean()),
        "rows": len(fold),
        "positives": int(fold.labels.sum()),
    }


def score(predictions: Predictions) -> dict[str, Any]:
    """The headline and secondary values, by the metric's own module; for folds their mean, and ``folds`` by part."""
    task, labels, scores = predictions.task, predictions.labels, predictions.scores
    if not task.folds:
        return task.kind.score(task, labels, scores)
    part = np.repeat(predictions.column("part"), predictions.lengths)
    names = list(dict.fromkeys(predictions.column("part").tolist()))
    folds = {name: task.kind.score(task, labels[part == name], scores[part == name])[task.metric] for name in names}
    defined = [value for value in folds.values() if value is not None]
    return {task.metric: float(np.mean(defined)) if defined else None, "folds": folds}


def chance(predictions: Predictions) -> float:
    """What no knowledge scores: 0 (MCC), 0.5 (AUROC), the share of positives (AUPRC; mean over folds)."""
    if predictions.task.metric == "mcc":
        return 0.0
    if predictions.task.metric == "auroc":
        return 0.5
    part = np.repeat(predictions.column("part"), predictions.lengths)
    return float(np.mean([predictions.labels[part == name].mean() for name in np.unique(part)]))


def bootstrap(predictions: Predictions, *, resamples: int = 1000, seed: int = 0, unit: str | None = None) -> Bootstrap:
    """Resample the headline score; the resamples depend on test rows, labels and `seed`, not on the scores.

    Args:
        predictions: Of one model on one task.
        resamples: How many.
        seed: Of the resampling.
        unit: ``"chromosome"``, ``"1 Mb block"`` or ``"row"`` instead of the rule above (ignored where there are folds).
    """
    task = predictions.task
    if task.folds:
        by_fold = [np.nan if value is None else value for value in score(predictions)["folds"].values()]
        values = np.array([value for value in by_fold if not np.isnan(value)])
        draws = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values))) if len(values) else None
        scores = np.full(resamples, np.nan) if draws is None else values[draws].mean(axis=1)
        return Bootstrap(scores, None, len(values), "fold")
    unit, cluster = clusters(predictions, unit)
    n = int(cluster.max()) + 1
    if task.label_kind == "per_nucleotide_class":
        weights = cluster_weights(cluster, n, None, resamples, seed)
        return Bootstrap(_resampled_mcc(predictions, cluster, weights), None, n, unit)
    if task.label_kind == "variant_binary":
        weights = cluster_weights(cluster, n, predictions.labels, resamples, seed)
        return Bootstrap(_resampled(_auroc, predictions.scores, predictions.labels, cluster, weights), None, n, unit)
    weights = cluster_weights(cluster, n, None, resamples, seed)

    def one_label(label: int) -> np.ndarray:
        return _resampled(_auroc, predictions.scores[:, label], predictions.labels[:, label], cluster, weights)

    with ThreadPoolExecutor() as pool:
        per_label = np.stack(list(pool.map(one_label, range(predictions.labels.shape[1]))), axis=1)
    defined = ~np.isnan(per_label)
    count = defined.sum(axis=1)
    scores = np.where(count > 0, np.where(defined, per_label, 0).sum(axis=1) / np.maximum(count, 1), np.nan)
    return Bootstrap(scores, per_label, n, unit)


def clusters(predictions: Predictions, unit: str | None = None) -> tuple[str, np.ndarray]:
    """Return the unit of resampling and the cluster of every row, (rows,) int64 from 0.

    The coarsest unit is taken whose effective number of clusters, (sum n)² / sum n² over rows per cluster, is at least
    `CLUSTERS`: a chromosome with a single row is no cluster among large ones.
    """
    if unit not in (None, "chromosome", "1 Mb block", "row"):
        raise unknown("unit of resampling", str(unit), ["chromosome", "1 Mb block", "row"])
    chromosome = np.unique(predictions.column("chromosome").astype(str), return_inverse=True)[1]
    block = predictions.column("start") // BLOCK
    block = np.unique(chromosome * (int(block.max()) + 1) + block, return_inverse=True)[1]
    for name, cluster in (("chromosome", chromosome), ("1 Mb block", block)):
        size = np.bincount(cluster).astype(float)
        if name == unit or (unit is None and size.sum() ** 2 / (size**2).sum() >= CLUSTERS):
            return name, cluster
    return "row", np.arange(len(predictions))


def cluster_weights(cluster: np.ndarray, n: int, labels: np.ndarray | None, resamples: int, seed: int) -> np.ndarray:
    """How often every cluster is drawn: (resamples, n) integers.

    Args:
        cluster: Cluster of every entry of `labels`.
        n: Number of clusters.
        labels: 0/1; where positives lie in fewer than `RARE` clusters, clusters with and without them are drawn
            apart, each as often as there are. None for no strata.
        resamples: Rows of the result.
        seed: Of the generator.
    """
    strata = np.zeros(n, bool)
    if labels is not None:
        strata[cluster[labels > 0]] = True
        if strata.sum() >= RARE:
            strata[:] = False
    rng = np.random.default_rng(seed)
    weights = np.zeros((resamples, n), np.int32)
    for value in np.unique(strata):
        inside = np.flatnonzero(strata == value)
        drawn = rng.integers(0, len(inside), (resamples, len(inside)))
        drawn += np.arange(resamples)[:, None] * len(inside)
        counts = np.bincount(drawn.ravel(), minlength=resamples * len(inside))
        weights[:, inside] = counts.reshape(resamples, -1)
    return weights


def _resampled_mcc(predictions: Predictions, cluster: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) MCC from one confusion matrix per cluster."""
    module = load_module("metrics", "mcc")
    classes = len(predictions.task.label_names)
    per_nucleotide = np.repeat(cluster, predictions.lengths)
    cell = (per_nucleotide * classes + predictions.labels) * classes + predictions.scores.argmax(axis=1)
    confusion = np.bincount(cell, minlength=weights.shape[1] * classes**2).reshape(-1, classes**2)
    resampled = (weights.astype(np.float64) @ confusion).reshape(-1, classes, classes)
    return np.asarray(module.scores_from_confusion(resampled.astype(np.int64))["mcc"], dtype=float)


def _resampled(
    statistic: Any, scores: np.ndarray, labels: np.ndarray, cluster: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(resamples,) of a rank statistic of binary labels under cluster weights; exact, ties included.

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
    precision = np.where(called > 0, found / np.maximum(called, 1), 0.0)
    return np.asarray(np.einsum("lr,lr->r", positives[::-1], precision) / positives.sum(0))


def expanded_percentiles(drawn: np.ndarray, n: int, level: float = 0.95) -> list[float] | None:
    """Percentile interval with the tail area of a t interval of n - 1 degrees of freedom; None where it is undefined.

    Args:
        drawn: Resampled values; NaN are left out, and with more than half of them there is no interval.
        n: Number of clusters resampled; below 2 there is no interval.
        level: Nominal coverage.
    """
    from scipy import stats

    drawn = np.asarray(drawn, dtype=float)
    finite = drawn[np.isfinite(drawn)]
    if n < 2 or len(finite) <= len(drawn) / 2:
        return None
    tail = float(stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf((1 - level) / 2, n - 1)))
    low, high = np.quantile(finite, [tail, 1 - tail])
    return [float(low), float(high)]


def centred(value: float, chance: float) -> float:
    """A score on the scale where chance is 0 and perfect is 1."""
    return (value - chance) / (1 - chance)


def seed_spread(scores: Sequence[float]) -> dict[str, float] | None:
    """Mean, deviation, lowest and highest over training seeds; None for fewer than two. It is not a sampling error."""
    if len(scores) < 2:
        return None
    values = np.asarray(scores, dtype=float)
    return {
        "mean": float(values.mean()),
        "deviation": float(values.std(ddof=1)),
        "lowest": float(values.min()),
        "highest": float(values.max()),
    }


def enough(task: Task, positives: int, negatives: int) -> bool:
    """Whether a subset has positives and negatives enough for its score to be shown."""
    return task.metric == "mcc" or min(positives, negatives) >= TOO_FEW
