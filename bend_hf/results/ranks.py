"""Which models can be told apart on a task, and what ranks follow.

    ranking = rank(models, differences, level=0.95)      # [("1", "a"), ("2–3", "b"), ("2–3", "c")]

Test: a pair of models is scored on the same resamples of the test rows, so that what makes rows hard for both cancels.
The difference of means over seeds has the variance V + s²a/ka + s²b/kb (see `bend_hf.results.seeds`); divided by its
error it is compared with Student's t. No test where training variance is unknown or rows are too few.

Correction: Holm's (1979, Scandinavian Journal of Statistics 6, 65), over all pairs that are tested on one task. A task
is a family of its own, so that no other task moves its ranks.

Rank: an interval, from 1 + the number of models that are significantly better to n - the number that are significantly
worse (Al Mohamad, Goeman and van Zwet 2022, Biometrics 78, 238): with the level's probability all of them hold the true
places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bend_hf.results.seeds import NONE, Component, pooled, total, training
from bend_hf.results.statistics import Bootstrap

ROUNDING = 1e-12
"""Below it an error is that of sums in floating point: every resample gives the same difference."""


@dataclass(frozen=True)
class Drawn:
    """A model's score on a task and its resamples, means over seeds.

    Attributes:
        bootstrap: Of the first seed, with the means of score and resamples over seeds.
        seeds: Score of every training seed; empty where nothing is trained at random.
        rows: Number of test rows.
        keys: Digest of the test rows and labels.
        lack: Why there is no test; None where there is one.
    """

    bootstrap: Bootstrap
    seeds: tuple[float, ...] = ()
    rows: int = 0
    keys: str = ""
    lack: str | None = None

    @property
    def score(self) -> float:
        """Mean over seeds."""
        return float(self.bootstrap.score or 0.0)


def over_seeds(boots: Sequence[Bootstrap], *, random: bool = True, rows: int = 0, keys: str = "") -> Drawn:
    """Bring the seeds of one model together, resampled alike; `random`: whether its training depends on the seed."""
    scores = [float(boot.score or 0.0) for boot in boots]
    mean = dataclasses.replace(
        boots[0],
        score=float(np.mean(scores)),
        scores=np.mean([boot.scores for boot in boots], axis=0),
        freedom=min(boot.freedom for boot in boots),
    )
    lack = next((boot.lack for boot in boots if boot.lack), None)
    return Drawn(mean, tuple(scores) if random else (), rows, keys, lack)


@dataclass(frozen=True)
class Difference:
    """`a` minus `b` on one task.

    Attributes:
        task: Name of the task.
        a: The better model.
        b: The other one.
        difference: Of the scores (means over seeds).
        interval: Confidence interval of the difference: over test rows and training, or over test rows alone where
            `training` is ``"unknown"``; None where rows are too few, or where two scores differ alike in every resample
            (1 and 0), which tells no error.
        sampling_error: Standard error over test rows.
        training_error: Standard error over training; None where unknown.
        training: Where `training_error` comes from: ``"none"`` (nothing is trained at random), ``"seeds"``,
            ``"prior"`` (for a model with one seed, the other models' seeds), ``"unknown"``.
        freedom: Degrees of freedom of the interval and the test.
        p: Two-sided p-value of no difference; None where there is no test.
        corrected: The same, corrected over all differences of the task.
        clusters: Number of clusters resampled.
        unit: What they are.
    """

    task: str
    a: str
    b: str
    difference: float
    interval: list[float] | None
    sampling_error: float | None
    training_error: float | None
    training: str
    freedom: float | None
    p: float | None
    corrected: float | None
    clusters: int
    unit: str


def differences(task: str, drawn: Mapping[str, Drawn], *, level: float = 0.95) -> list[Difference]:
    """All pairs of models on one task, with p-values corrected over those that are tested."""
    prior = pooled([one.seeds for one in drawn.values()])
    models = sorted(drawn, key=lambda model: -drawn[model].score)
    found = [
        _difference(task, a, b, drawn[a], drawn[b], prior, level) for i, a in enumerate(models) for b in models[i + 1 :]
    ]
    tested = [item for item in found if item.p is not None]
    corrected = dict(
        zip(((item.a, item.b) for item in tested), holm([item.p for item in tested if item.p is not None]), strict=True)
    )
    return [dataclasses.replace(item, corrected=corrected.get((item.a, item.b))) for item in found]


def training_of(one: Drawn, prior: Component | None) -> tuple[Component | None, str]:
    """A model's training variance and where it comes from (see `Difference`)."""
    if not one.seeds:
        return NONE, "none"
    own = training(one.seeds)
    if own is not None:
        return own, "seeds"
    return (prior, "unknown") if prior is None else (prior, "prior")


def _difference(
    task: str, a: str, b: str, first: Drawn, second: Drawn, prior: Component | None, level: float
) -> Difference:
    from scipy import stats

    boot, value = first.bootstrap, first.score - second.score
    nothing = Difference(task, a, b, value, None, None, None, "unknown", None, None, None, boot.clusters, boot.unit)
    if first.lack or second.lack:
        return nothing
    freedom = min(boot.freedom, second.bootstrap.freedom)
    sampling = Component(boot.error_of(boot.scores - second.bootstrap.scores) ** 2, freedom)
    pairs = [training_of(one, prior) for one in (first, second)]
    order = ("unknown", "prior", "seeds", "none")
    source = min((name for _, name in pairs), key=order.index)
    parts = [part for part, _ in pairs if part is not None]
    whole = total([sampling, *parts]) if source != "unknown" else sampling
    error = float(np.sqrt(whole.variance))
    interval, p = None, None
    same = error <= ROUNDING and abs(value) <= ROUNDING
    if error > ROUNDING or same:  # an error that is NaN is neither
        half = float(stats.t.ppf((1 + level) / 2, whole.freedom)) * error
        interval = [value - half, value + half]
        p = 1.0 if same else float(2 * stats.t.sf(abs(value) / error, whole.freedom))
    return dataclasses.replace(
        nothing,
        interval=interval,
        sampling_error=float(np.sqrt(sampling.variance)),
        training_error=None if source == "unknown" else float(np.sqrt(sum(part.variance for part in parts))),
        training=source,
        freedom=float(whole.freedom),
        p=None if source == "unknown" else p,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: the k-th smallest of m times m - k + 1, and never below an earlier one."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in corrected]


def rank(models: Sequence[str], found: Sequence[Difference], *, level: float = 0.95) -> list[tuple[str, str]]:
    """Give each model the interval of its rank.

    Args:
        models: Those that are ranked, best first: every pair of them is tested.
        found: Differences of one task.
        level: Corrected p-values below 1 - level tell models apart.

    Returns:
        (``"1"`` or ``"2–4"``, model), in the order of `models`.
    """
    significant = [(item.a, item.b) for item in found if item.corrected is not None and item.corrected < 1 - level]
    places = []
    for model in models:
        first = 1 + sum(worse == model and better in models for better, worse in significant)
        last = len(models) - sum(better == model and worse in models for better, worse in significant)
        places.append((str(first) if first == last else f"{first}–{last}", model))
    return places
