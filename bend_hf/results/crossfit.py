"""Several scores of the same test rows, and what is learned on one half of them to be tested on the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from bend_hf.results.predictions import Predictions
from bend_hf.results.statistics import bootstrap, score

BLOCK = 1_000_000
"""Width in bp of the blocks that take the place of chromosomes where there is one only."""


def compare_scores(predictions: Predictions, *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Return the metric of every score beside the headline, with intervals from the same resamples.

    Returns:
        ``by_score`` and ``by_score_interval``, by name; an interval is None where there is too little to say.
    """
    each = {name: predictions.by(name) for name in predictions.beside}
    return {
        "by_score": {name: score(one)[predictions.task.metric] for name, one in each.items()},
        "by_score_interval": {
            name: bootstrap(one, resamples=resamples, seed=seed).interval() for name, one in each.items()
        },
    }


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
