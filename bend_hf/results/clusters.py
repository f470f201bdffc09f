"""Clusters of test rows that are resampled as one, how many there are in effect, and their weights in a resample.

    found = clusters(predictions)           # the coarsest unit with clusters enough: chromosome, 1 Mb block or row
    found.unit, found.count, found.effective
    found.lack                              # why there is no interval and no test, or None

Test rows are not independent: neighbours on a chromosome share sequence and biology. So whole clusters are resampled.
What a rank statistic knows is limited by its rarer class: of n rows on ten chromosomes with three positives on two, two
clusters matter. So clusters are counted in the rarer class of every label, by the effective number (sum x)² / sum x²
over entries x per cluster (Kish 1965, Survey Sampling, 8.2): a chromosome with one row is no cluster among large ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bend_hf.errors import unknown
from bend_hf.results.predictions import Predictions
from bend_hf.text import counted

CLUSTERS = 10
"""Fewest clusters, by rows, of a unit; with fewer a finer unit is taken."""
FEWEST = 5
"""Fewest entries, and effective clusters of entries, of the rarer class of every label: below it a coarser unit is not
taken, and below it in every unit there is no interval and no test."""
BLOCK = 1_000_000
"""Width of a block in bp."""
UNITS = ("chromosome", "1 Mb block", "row")
"""Units of resampling, the coarsest first."""


@dataclass(frozen=True)
class Clusters:
    """A division of test rows.

    Attributes:
        unit: One of `UNITS`, or ``"fold"``.
        of_row: (rows,) int64, the cluster of every row, from 0.
        count: Number of clusters.
        effective: (labels,) float, effective clusters in the rarer class; NaN for a label with one class only.
        lack: Why these rows bear no interval and no test; None where they do.
    """

    unit: str
    of_row: np.ndarray
    count: int
    effective: np.ndarray
    lack: str | None


def clusters(predictions: Predictions, unit: str | None = None) -> Clusters:
    """Divide test rows by the coarsest unit that has `CLUSTERS` by rows and `FEWEST` by the rarer class.

    Args:
        predictions: Their keys and labels decide, not their scores: all models of a comparison get the same clusters.
        unit: One of `UNITS` instead. Where there are folds, they are the clusters.
    """
    if unit not in (None, *UNITS):
        raise unknown("unit of resampling", str(unit), list(UNITS))
    if predictions.task.folds:
        return _folds(predictions)
    chromosome = np.unique(predictions.column("chromosome").astype(str), return_inverse=True)[1]
    block = predictions.column("start") // BLOCK
    block = np.unique(chromosome * (int(block.max()) + 1) + block, return_inverse=True)[1]
    binary = predictions.task.kind.binary(predictions.task)
    rarer = class_counts(predictions).min(axis=1) if binary else None
    for name, of_row in zip(UNITS, (chromosome, block, np.arange(len(predictions))), strict=True):
        size = np.bincount(of_row, weights=predictions.lengths)
        found = _effective_of_rarer(predictions, of_row)
        judged = found if rarer is None else found[rarer >= FEWEST]  # of scarcer labels nothing is said in any unit
        enough = effective(size) >= CLUSTERS and not (judged < FEWEST).any()
        if name == unit or (unit is None and (enough or name == "row")):
            break
    return Clusters(name, of_row, len(size), found, _lack(predictions, found, name))


def effective(sizes: np.ndarray) -> float:
    """(sum x)² / sum x²: as many clusters of equal size tell as much; 0 without any."""
    sizes = np.asarray(sizes, dtype=float)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0


def weights(count: int, resamples: int, seed: int) -> np.ndarray:
    """(resamples, count) float weights of clusters, standard exponential: the Bayesian bootstrap.

    Every cluster has some weight in every resample, so that none lacks a class or a rare label (Rubin 1981,
    10.1214/aos/1176345338). They depend on nothing else: models tested on the same rows get the same resamples.
    """
    return np.random.default_rng(seed).exponential(size=(resamples, count))


def _folds(predictions: Predictions) -> Clusters:
    """Folds that hold a positive are clusters of equal size: the score is the mean over them."""
    part = predictions.column("part")
    of_row = np.unique(part, return_inverse=True)[1]
    positives = np.bincount(np.repeat(of_row, predictions.lengths), weights=predictions.labels)
    scored = int((positives > 0).sum())
    found = np.array([scored if scored else np.nan], dtype=float)
    return Clusters("fold", of_row, scored, found, _lack(predictions, found, "fold"))


def _effective_of_rarer(predictions: Predictions, of_row: np.ndarray) -> np.ndarray:
    """(labels,) the smaller effective number of both classes; of all entries where classes are many or values real."""
    size = np.bincount(of_row, weights=predictions.lengths)
    if not predictions.task.kind.binary(predictions.task):
        return np.array([effective(size)])
    of_entry = np.repeat(of_row, predictions.lengths)
    labels = predictions.labels.reshape(len(of_entry), -1)
    found = np.full(labels.shape[1], np.nan)
    for k, column in enumerate(labels.T):
        positives = np.bincount(of_entry, weights=column, minlength=len(size))
        if 0 < positives.sum() < len(labels):
            found[k] = min(effective(positives), effective(size - positives))
    return found


def class_counts(predictions: Predictions) -> np.ndarray:
    """(labels, 2) positives and negatives of every label."""
    labels = predictions.labels
    labels = labels.reshape(-1, labels.shape[1] if labels.ndim == 2 else 1)
    positives = labels.sum(axis=0, dtype=np.int64)
    return np.stack([positives, len(labels) - positives], axis=1)


def _lack(predictions: Predictions, found: np.ndarray, unit: str) -> str | None:
    """Say in one sentence why rows bear no interval, from their labels alone."""
    if predictions.task.kind.binary(predictions.task):
        counts = class_counts(predictions)
        rarer = counts.min(axis=1)
        if not rarer.any():
            return "the test rows hold one class only"
        least = int(np.argmin(np.where(rarer > 0, rarer, counts.sum())))
        if rarer[least] < FEWEST:
            of = f" of the label {predictions.task.label_names[least]}" if len(counts) > 1 else ""
            what = ("positives", "negatives")[int(counts[least].argmin())]
            return f"the test rows hold {rarer[least]} {what}{of}, and an interval needs {FEWEST}"
    smallest = float(np.nanmin(found))
    if smallest < FEWEST:
        return f"the test rows are {counted(smallest, unit, form='.3g')} in effect, and an interval needs {FEWEST}"
    return None
