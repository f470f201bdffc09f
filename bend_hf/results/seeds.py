"""What training again with another seed does to a score, and how it joins the error over test rows.

    training(scores)                                   # variance of their mean, degrees of freedom; None: unknown
    whole_interval("mcc", scores, error, freedom)      # over test rows and training

A trained model's score varies with the test rows and with training (initialisation, order of samples). Seeds and
clusters are crossed: every seed is tested on the same rows. The mean of k seeds has the variance V + s²/k: V is that of
the mean over clusters, s² the variance of the k scores. s² holds what seeds and rows do together as well, so that the
sum is a little too large rather than too small. Its degrees of freedom are Satterthwaite's (1946, 10.2307/3002019).

One seed says nothing about s². It may be borrowed from other models' seeds on the same task (`pooled`), which is said
wherever it is used. Zero-shot scores and the composition baseline are not trained at random: their s² is 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bend_hf.results.statistics import interval


@dataclass(frozen=True)
class Component:
    """A variance and the degrees of freedom of its estimate (infinite for a variance that is known to be 0)."""

    variance: float
    freedom: float = np.inf


NONE = Component(0.0)
"""The training variance of what is not trained at random."""


def training(scores: Sequence[float]) -> Component | None:
    """Variance of a mean over training seeds from the scores of every seed; None for fewer than two."""
    if len(scores) < 2:
        return None
    return Component(float(np.var(scores, ddof=1)) / len(scores), len(scores) - 1)


def pooled(models: Iterable[Sequence[float]]) -> Component | None:
    """Variance of one seed's score from several models' seeds, as if training moved all alike; None without any."""
    several = [scores for scores in models if len(scores) > 1]
    freedom = sum(len(scores) - 1 for scores in several)
    if not freedom:
        return None
    return Component(sum(float(np.var(scores, ddof=1)) * (len(scores) - 1) for scores in several) / freedom, freedom)


def total(components: Sequence[Component]) -> Component:
    """Sum of independent variances, with Satterthwaite's degrees of freedom."""
    variance = sum(part.variance for part in components)
    spread = sum(part.variance**2 / part.freedom for part in components)
    return Component(variance, variance**2 / spread if spread > 0 else min(part.freedom for part in components))


def whole_interval(
    metric: str, scores: Sequence[float], error: float, freedom: float, level: float = 0.95
) -> list[float] | None:
    """Interval of a mean over seeds, over test rows and training.

    Args:
        metric: Of the scores.
        scores: Of every seed, at least two.
        error: Standard error of their mean over test rows. Errors of several seeds are not independent: where only
            those are known, their mean stands for it, which it never is below.
        freedom: Its degrees of freedom.
        level: Of the interval.
    """
    found = training(scores)
    if found is None:
        raise ValueError("an interval over training needs two seeds")
    whole = total([Component(error**2, freedom), found])
    return interval(metric, float(np.mean(scores)), float(np.sqrt(whole.variance)), whole.freedom, level)


def spread(scores: Sequence[float]) -> dict[str, float] | None:
    """Mean, deviation, lowest and highest over training seeds; None for fewer than two."""
    if len(scores) < 2:
        return None
    values = np.asarray(scores, dtype=float)
    return {
        "mean": float(values.mean()),
        "deviation": float(values.std(ddof=1)),
        "lowest": float(values.min()),
        "highest": float(values.max()),
    }
