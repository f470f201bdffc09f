"""Scores with their uncertainty, from recorded predictions.

    summary = summarise(predictions)                 # score, 95 % interval, chance, secondary scores, counts, folds
    one, other = bootstrap(a), bootstrap(b)          # the same resamples where the test rows are the same:
    one.scores - other.scores                        # … a paired bootstrap

Read with `bend_hf.results.clusters` (what is resampled), `bend_hf.kinds.resampling` (how a resample is scored),
`chance` and `ranks` (training seeds, tests, correction). In short:

* Estimand: the metric that a model's recipe reaches on test rows like these, from the same genome, as an expectation
  over training seeds. For folds the mean over folds; for several labels the mean over labels.
* Estimator: the metric of all test rows, by the metric's own module; over seeds the mean.
* Resampling: clusters of rows (chromosomes, else blocks of 1 Mb, else rows; folds where there are some) get weights of
  a Bayesian bootstrap (Rubin 1981), so that no resample lacks a class or a rare label.
* Error: the deviation of the resampled scores, times √((f + 2) / f), which makes it unbiased for a mean over f + 1
  clusters; f is the effective number of clusters in the rarer class, less one. For folds it is widened by `SHARED`.
* Interval: Student's t with f degrees of freedom on the logit scale (for MCC its Fisher transform, which is the same on
  [-1, 1]). A single AUROC has Newcombe's (2006, 10.1002/sim.2324) with a moderated variance, see `_auroc_interval`: few
  positives that all rank high say little about the next one.
* None where there is too little to say: one class, fewer than five entries or clusters of the rarer class, the same
  score for every row, a perfect score (but for AUROC).

tests/benchmarks/coverage.py measures how often the intervals hold the truth; docs/results.md shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bend_hf.metric import METRICS
from bend_hf.results.chance import chance, expected_average_precision
from bend_hf.results.clusters import FEWEST, class_counts, clusters, effective, weights
from bend_hf.results.predictions import Predictions

FEWEST_RESAMPLES = 10
"""Fewer tell a deviation so badly that a test on them would find what is not there."""

SHARED = 1.2
"""Factor on the error of a mean over folds: their heads share training data, so that folds differ less from each other
than their mean differs from the truth. No estimate of it is unbiased (Bengio and Grandvalet 2004, JMLR 5, 1089); this
value is chosen by simulation, between 1 and the 1.45 of Nadeau and Bengio (2003, 10.1023/A:1024068626366)."""

INDEPENDENT = 20.0
"""Degrees of freedom for which the variance of independent rows counts where all of the rarer class lie in clusters of
their own; chosen by simulation, as are the other constants here."""


@dataclass(frozen=True)
class Bootstrap:
    """A score and its resamples.

    Attributes:
        metric: Of the score.
        score: On the test rows; None where the metric is undefined.
        scores: (resamples,) the score of every resample; NaN where it is undefined.
        per_label: (resamples, labels) AUROC of every label; None for other tasks.
        counts: (labels, 2) positives and negatives of every label; None for classes, values and folds.
        clusters: Number of clusters (or folds) resampled.
        unit: What they are: ``"chromosome"``, ``"1 Mb block"``, ``"row"`` or ``"fold"``.
        effective: (labels,) effective clusters in the rarer class.
        freedom: Degrees of freedom of `error`.
        lack: Why there is no interval and no test; None where there are.
    """

    metric: str
    score: float | None
    scores: np.ndarray
    per_label: np.ndarray | None
    counts: np.ndarray | None
    clusters: int
    unit: str
    effective: np.ndarray
    freedom: float
    lack: str | None

    @property
    def error(self) -> float:
        """Standard error of the score over test rows."""
        return self.error_of(self.scores)

    def error_of(self, drawn: np.ndarray) -> float:
        """Standard error of something that was computed on these resamples, such as a difference of scores."""
        return standard_error(drawn, self.freedom, shared=self.unit == "fold")

    def interval(self, level: float = 0.95) -> list[float] | None:
        """Confidence interval of the score over test rows; None where there is too little to say."""
        if self.lack is not None or self.score is None:
            return None
        if self.counts is None or self.per_label is not None or self.metric not in BY_COUNTS:
            return interval(self.metric, self.score, self.error, self.freedom, level)
        return BY_COUNTS[self.metric](self.score, self.error, self.freedom, self.counts[0], level)

    def label_intervals(self, values: Sequence[float | None], level: float = 0.95) -> list[list[float] | None]:
        """Confidence intervals of every label's AUROC."""
        assert self.per_label is not None
        assert self.counts is not None
        found: list[list[float] | None] = []
        for value, drawn, size, pair in zip(values, self.per_label.T, self.effective, self.counts, strict=True):
            if value is None or pair.min() < FEWEST or size < FEWEST:
                found.append(None)
            else:
                found.append(_auroc_interval(value, standard_error(drawn, size - 1), size - 1, pair, level))
        return found


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
    known = drawn.lack is None and drawn.score is not None
    secondary["interval"] = {
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "unit": drawn.unit,
        "error": drawn.error if known else None,
        "freedom": drawn.freedom if known else None,
        "lack": drawn.lack,
    }
    nothing = chance(predictions)
    if nothing.interval is not None:
        secondary["chance_interval"] = nothing.interval
    folds = None
    counted, described = task.kind.describe(task, labels)
    counts |= counted
    secondary |= described
    if drawn.per_label is not None:
        secondary["per_label_interval"] = drawn.label_intervals(values["per_label"], level)
    if "folds" in values:
        folds = [_fold(predictions, part, value, resamples, seed, level) for part, value in values["folds"].items()]
        defined = [fold["score"] for fold in folds if fold["score"] is not None]
        secondary["folds_scored"] = len(defined)
        secondary["folds_deviation"] = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
    return Summary(values[task.metric], drawn.interval(level), nothing.value, secondary, counts, folds)


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


def bootstrap(predictions: Predictions, *, resamples: int = 1000, seed: int = 0, unit: str | None = None) -> Bootstrap:
    """Resample the headline score; the resamples depend on test rows, labels and `seed`, not on the scores.

    Args:
        predictions: Of one model on one task.
        resamples: How many.
        seed: Of the resampling.
        unit: ``"chromosome"``, ``"1 Mb block"`` or ``"row"`` instead of the rule (ignored where there are folds).
    """
    task, labels, scores = predictions.task, predictions.labels, predictions.scores
    found = clusters(predictions, unit)
    drawn = weights(found.count, resamples, seed)
    values = score(predictions)
    per_label = counts = None
    freedom = max(float(np.nanmin(found.effective, initial=np.inf)), 1.0) - 1
    if task.folds:
        by_fold = np.array([value for value in values["folds"].values() if value is not None])
        headline = drawn @ by_fold / drawn.sum(axis=1) if len(by_fold) else np.full(resamples, np.nan)
    elif labels.ndim == 1:
        of_entry = np.repeat(found.of_row, predictions.lengths)
        headline = task.kind.resampled(task, labels, scores, of_entry, drawn)
        counts = class_counts(predictions) if task.kind.binary(task) else None
    else:

        def one_label(label: int) -> np.ndarray:
            return task.kind.resampled(task, labels[:, label], scores[:, label], found.of_row, drawn)

        with ThreadPoolExecutor() as pool:
            per_label = np.stack(list(pool.map(one_label, range(labels.shape[1]))), axis=1)
        counts = class_counts(predictions)
        scored = counts.min(axis=1) > 0
        headline = per_label[:, scored].mean(axis=1) if scored.any() else np.full(resamples, np.nan)
        freedom = _freedom_of_mean(per_label[:, scored].var(axis=0), found.effective[scored] - 1)
    lack = found.lack or _flat(predictions)
    return Bootstrap(
        metric=task.metric,
        score=values[task.metric],
        scores=headline,
        per_label=per_label,
        counts=counts,
        clusters=found.count,
        unit=found.unit,
        effective=found.effective,
        freedom=freedom,
        lack=lack,
    )


def _flat(predictions: Predictions) -> str | None:
    """Say that every row has the same score (is called the same class), if so."""
    if predictions.task.kind.classes:
        called = predictions.scores.argmax(axis=1)
        return f"every {predictions.task.kind.unit} is called the same class" if (called == called[0]).all() else None
    return "every row has the same score" if (predictions.scores == predictions.scores[0]).all() else None


def _freedom_of_mean(variances: np.ndarray, freedoms: np.ndarray) -> float:
    """Degrees of freedom of a mean's error: those of its parts, each by its share of the variance (harmonic mean).

    Rare labels vary most and have the fewest clusters, so that they count most.
    """
    if not variances.sum() > 0:
        return float(freedoms.min(initial=np.inf)) if len(freedoms) else 0.0
    return float(variances.sum() / (variances / np.maximum(freedoms, 1e-9)).sum())


def standard_error(drawn: np.ndarray, freedom: float, *, shared: bool = False) -> float:
    """Deviation of resampled values, unbiased for a mean over ``freedom + 1`` clusters; NaN without any freedom.

    The exponential weights of n clusters make the variance of a mean (n - 1) / (n + 1) of what it should be.

    Args:
        drawn: (resamples,).
        freedom: Effective clusters, less one.
        shared: Whether the clusters are folds whose heads share training data.
    """
    if not freedom > 0:
        return float("nan")
    return float(np.std(drawn, ddof=1) * np.sqrt((freedom + 2) / freedom) * (SHARED if shared else 1.0))


def interval(metric: str, value: float, error: float, freedom: float, level: float = 0.95) -> list[float] | None:
    """Student's t interval on the logit scale of the metric's range; None for a bound of the range or without error."""
    from scipy import special, stats

    low, high = METRICS[metric].low, METRICS[metric].high
    if not (low < value < high and error > 0):
        return None
    place = (value - low) / (high - low)
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error / (high - low) / (place * (1 - place))
    ends = special.expit(special.logit(place) + np.array([-half, half]))
    return [float(low + end * (high - low)) for end in ends]


def _auroc_interval(value: float, error: float, freedom: float, counts: np.ndarray, level: float) -> list[float] | None:
    """Newcombe's interval, its variance moderated: the mean of the resampled one and that of independent rows.

    Clusters so few estimate a variance badly, and lowest where the score happens to be highest. So the ratio of both
    variances is drawn towards 1, with a weight of `INDEPENDENT` degrees of freedom times the share of the rarer class
    that lies in clusters of its own (compare Smyth 2004, 10.2202/1544-6115.1027, who moderates those of genes). The
    degrees of freedom of Student's t are those of the resampled part (Satterthwaite).
    """
    from scipy import stats

    if value in (0, 1):
        return newcombe(value, int(counts[0]), int(counts[1]), level)
    if not error > 0:
        return None
    ratio = error**2 / _variance_of_independent(value, *counts)
    weight = INDEPENDENT * (freedom + 1) / counts.min()
    share = freedom * ratio / (freedom * ratio + weight)
    moderated = (freedom * ratio + weight) / (freedom + weight)
    quantile = float(stats.t.ppf((1 + level) / 2, freedom / share**2))
    return _all_within(value, moderated * quantile**2, *counts)


BY_COUNTS: dict[str, Callable[[float, float, float, np.ndarray, float], list[float] | None]] = {
    "auroc": _auroc_interval
}
"""Metric whose interval, for one label, depends on its positives and negatives → how."""


def newcombe(value: float, positives: int, negatives: int, level: float = 0.95) -> list[float]:
    """Newcombe's Method 5 for an AUROC of independent rows (2006, 10.1002/sim.2324): all θ within z errors of it."""
    from scipy import stats

    return _all_within(value, float(stats.norm.ppf((1 + level) / 2)) ** 2, positives, negatives)


def _variance_of_independent(theta: float, positives: int, negatives: int) -> float:
    """Hanley and McNeil's variance (1982, 10.1148/radiology.143.1.7063747), both class sizes set to their mean."""
    others = (positives + negatives) / 2 - 1
    spread = 1 + others * (1 - theta) / (2 - theta) + others * theta / (1 + theta)
    return float(theta * (1 - theta) * spread / (positives * negatives))


def _all_within(value: float, squares: float, positives: int, negatives: int) -> list[float]:
    """Ends of all θ whose squared distance from the value is at most `squares` variances at θ."""
    from scipy import optimize

    def outside(theta: float) -> float:
        return (value - theta) ** 2 - squares * _variance_of_independent(theta, positives, negatives)

    edge = 1e-9
    low = optimize.brentq(outside, 0.0, min(value, 1 - edge)) if value > 0 else 0.0
    high = optimize.brentq(outside, max(value, edge), 1.0) if value < 1 else 1.0
    return [float(low), float(high)]


def _fold(
    predictions: Predictions, part: str, value: float | None, resamples: int, seed: int, level: float
) -> dict[str, Any]:
    """One fold, with an interval over its windows."""
    inside = predictions.column("part") == part
    fold = Predictions(predictions.task, predictions.table.filter(inside))
    window = np.repeat(np.arange(len(fold)), fold.lengths)
    drawn = fold.task.kind.resampled(fold.task, fold.labels, fold.scores, window, weights(len(fold), resamples, seed))
    positives = np.bincount(window, weights=fold.labels)
    freedom = effective(positives) - 1
    enough = freedom + 1 >= FEWEST
    return {
        "part": part,
        "score": value,
        "interval": interval("auprc", value, standard_error(drawn, freedom), freedom, level)
        if enough and value is not None
        else None,
        "chance": expected_average_precision(len(fold.labels), int(positives.sum())),
        "rows": len(fold),
        "positives": int(positives.sum()),
    }


def centred(value: float, chance: float) -> float | None:
    """A score on the scale where chance is 0 and perfect is 1; None where chance is perfect: rows of one class."""
    return (value - chance) / (1 - chance) if chance < 1 else None
