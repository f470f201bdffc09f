"""Several scores of the same test rows, and the best of them without having looked.

    beside = compare_scores(predictions)                # every score on all rows, with its interval
    found = cross_fit(predictions, ["cosine", "mean_l2", …])
    found.score, found.interval, found.chosen           # 0.71, [0.66, 0.75], ["mean_l2", "mean_l2"]

The highest of many scores on the test rows is no score: it is above chance for models that know nothing. Here each
half of the chromosomes chooses the score (and layer) with the highest AUROC, which is then tested on the other half,
and the two tests are averaged. Where the rows lie on one chromosome, blocks of 1 Mb take the chromosomes' place. How
often the interval holds what the chosen scores are worth is measured by tests/benchmarks/crossfit.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bend_hf.results.clusters import BLOCK
from bend_hf.results.predictions import Predictions
from bend_hf.results.statistics import bootstrap, interval, score


def compare_scores(predictions: Predictions, *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Return the metric of every score beside the headline, with intervals from the same resamples.

    Returns:
        ``by_score`` and ``by_score_interval``, by name; an interval is None where there is too little to say.
    """
    drawn = {name: bootstrap(predictions.by(name), resamples=resamples, seed=seed) for name in predictions.beside}
    return {
        "by_score": {name: one.score for name, one in drawn.items()},
        "by_score_interval": {name: one.interval() for name, one in drawn.items()},
    }


@dataclass(frozen=True)
class CrossFit:
    """A cross-fitted score.

    Attributes:
        score: Mean of the two tests; None where the rows cannot be halved.
        interval: 95 % confidence interval of what the chosen scores reach on rows like those they were tested on; None
            where a half is too small for one.
        chosen: What each half chose.
        tests: What each choice scored on the other half.
        unit: What was halved: ``"chromosome"`` or ``"1 Mb block"``.
        lack: Why there is no score or no interval; None where there are both.
    """

    score: float | None
    interval: list[float] | None
    chosen: list[str]
    tests: list[float]
    unit: str | None
    lack: str | None


def cross_fit(predictions: Predictions, names: Sequence[str], *, resamples: int = 1000, seed: int = 0) -> CrossFit:
    """Choose among scores on each half of the rows, and test the choice on the other.

    Args:
        predictions: Of variants, with the scores beside.
        names: Those to choose from; of equals the first is chosen.
        resamples: Of the interval's bootstrap.
        seed: Of the resampling.
    """
    second, unit = halves(predictions.column("chromosome"), predictions.column("start"), predictions.labels)
    if unit is None:
        return CrossFit(None, None, [], [], None, "no division of chromosomes or blocks has both classes on both sides")
    chosen, tests, drawn = [], [], []
    for choose, test in ((~second, second), (second, ~second)):
        values = {name: score(_rows(predictions.by(name), choose))[predictions.task.metric] for name in names}
        best = max(values, key=values.__getitem__)
        tested = bootstrap(_rows(predictions.by(best), test), resamples=resamples, seed=seed)
        assert tested.score is not None  # both halves have both classes
        chosen.append(best)
        tests.append(tested.score)
        drawn.append(tested)
    value = float(np.mean(tests))
    lack = next((f"of one half, {half.lack}" for half in drawn if half.lack is not None), None)
    if lack is not None:
        return CrossFit(value, None, chosen, tests, unit, lack)
    variances = np.array([half.error**2 for half in drawn]) / 4
    freedom = variances.sum() ** 2 / sum(variances**2 / [half.freedom for half in drawn])  # Welch and Satterthwaite
    ends = interval(predictions.task.metric, value, float(np.sqrt(variances.sum())), float(freedom))
    return CrossFit(value, ends, chosen, tests, unit, None)


def _rows(predictions: Predictions, chosen: np.ndarray) -> Predictions:
    return Predictions(predictions.task, predictions.table.filter(chosen))


def halves(chromosomes: np.ndarray, start: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Divide test rows into two halves that share no chromosome, or no block of 1 Mb.

    Units are dealt out from the one with the most positives down, each to the half with fewer of them so far.

    Args:
        chromosomes: (rows,) names.
        start: (rows,) positions.
        labels: (rows,) 0 or 1.

    Returns:
        (rows,) bool, and the unit; None, with all rows in one half, where neither gives both halves both classes.
    """
    chromosome = np.unique(chromosomes.astype(str), return_inverse=True)[1]
    block = start // BLOCK
    block = np.unique(chromosome * (int(block.max()) + 1) + block, return_inverse=True)[1]
    for unit, of_row in (("chromosome", chromosome), ("1 Mb block", block)):
        positives, rows = np.bincount(of_row, weights=labels), np.bincount(of_row)
        sizes = np.zeros((2, 2))  # positives and rows so far
        second = np.zeros(len(rows), bool)
        for number in np.lexsort((np.arange(len(rows)), -rows, -positives)):
            half = int(tuple(sizes[1]) < tuple(sizes[0]))
            second[number] = half
            sizes[half] += positives[number], rows[number]
        if (sizes[:, 0] > 0).all() and (sizes[:, 0] < sizes[:, 1]).all():
            return second[of_row], unit
    return np.zeros(len(labels), bool), None


def class_rates(classes: np.ndarray, labels: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the share of positives of each row's class on the other half of the rows, (n,) float64.

    What is known of a variant from its class alone. A class counts as if it had one row more, of the average kind.

    Args:
        classes: (n,) such as consequences.
        labels: (n,) 0 or 1.
        second: (n,) bool, the half of every row.
    """
    found = np.empty(len(labels), np.float64)
    names, of_row = np.unique(classes.astype(str), return_inverse=True)
    for learn, apply in ((~second, second), (second, ~second)):
        positives = np.bincount(of_row[learn], weights=labels[learn], minlength=len(names))
        rows = np.bincount(of_row[learn], minlength=len(names))
        found[apply] = ((positives + labels[learn].mean()) / (rows + 1))[of_row[apply]]
    return found
