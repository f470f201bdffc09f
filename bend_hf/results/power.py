"""The smallest difference between two models that a task's test rows can show.

    found = smallest_difference(task, rows, labels, results)
    found.value, found.source          # 0.021, "predictions of 3 models on these rows"

A difference d with standard error e is found at the 5 % level with probability 80 % where
d = (t(0.975, f) + t(0.8, f)) · e, the usual sum of two quantiles (Bloom 1995, 10.1177/0193841X9501900504: the minimum
detectable effect). The error is, from the best there is:

* that of the differences between models that were tested on these rows already, over test rows and training (the
  middle one of all pairs);
* of one such model alone: √(2 (1 - r)) times its own, r being the assumed correlation of two models' scores over
  resamples of the test rows;
* that of made-up models of middling worth, resampled on the task's own clusters, and r again. Their noise has a part
  that all labels of a row share (`WITHIN`), and none that rows of a cluster share: real models' errors are larger
  where neighbours are hard together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.errors import BendError
from bend_hf.results.apart import told_apart
from bend_hf.results.conditions import of_all_rows
from bend_hf.results.drawing import draw
from bend_hf.results.predictions import Predictions, make_predictions
from bend_hf.results.ranks import Drawn, differences
from bend_hf.results.record import Result, read_predictions
from bend_hf.results.seeds import training
from bend_hf.results.statistics import bootstrap
from bend_hf.tasks import Task
from bend_hf.text import counted

if TYPE_CHECKING:
    import datasets


POWER, LEVEL = 0.8, 0.95
CORRELATION = 0.5
"""Assumed of two models' scores over resamples of the same test rows."""
WITHIN = 0.5
"""Share of the made-up model's noise that all labels of a row have in common."""
SIGNAL = 1.0
"""Of the made-up model, in deviations of its noise: an AUROC of about 0.76."""
CLASS_SIGNAL = 2.0
"""The same where classes are told apart: an MCC of about 0.5."""
LEVELS = 50
"""Steps per deviation that the made-up scores are rounded to: few distinct scores are resampled fast."""
RESAMPLES = 400
DRAWS, FEWEST_DRAWS, ENTRIES = 10, 3, 2_000_000
"""Made-up models whose variances are averaged: fewer where they have so many labels together."""


@dataclass(frozen=True)
class Smallest:
    """The smallest difference that test rows can show.

    Attributes:
        value: In units of the metric; None where the rows bear no test.
        source: What it is computed from, for people.
        training: Whether the error over training seeds is in it.
        clusters: Number of clusters resampled.
        unit: What they are.
        lack: Why there is none.
    """

    value: float | None
    source: str
    training: bool
    clusters: int
    unit: str
    lack: str | None = None


def smallest_difference(
    task: Task, rows: datasets.Dataset, labels: Sequence[Any], results: Sequence[Result] = (), *, seeds: int = 1
) -> Smallest:
    """Return the smallest difference between two models that shows with 80 % power at the 5 % level.

    Args:
        task: The task.
        rows: Its test rows; for folds of all parts, with the column ``part``.
        labels: Of each of these rows, as arrays or numbers.
        results: Records that may be of these rows; those that are not, or of a part of the training rows, are left out.
        seeds: Heads that will be trained of each model; 0 where nothing is trained.
    """
    made_up = _made_up(task, rows, labels, 0)
    known = _drawn(task, made_up, results)
    if len(known) > 1:
        return _of_pairs(task, known)
    first = next(iter(known.values())).bootstrap if known else bootstrap(made_up, resamples=RESAMPLES)
    if first.lack is not None:
        return Smallest(None, "the test rows", False, first.clusters, first.unit, first.lack)
    assumed = f"an assumed correlation of {CORRELATION} between two models' scores"
    variance, own = first.error**2, task.recipe is None or not seeds
    if known:
        [(model, one), *_] = known.items()
        source = f"predictions of {model} on these rows, and {assumed}"
        over = training(one.seeds)
        own = own or over is not None or not one.seeds
    else:
        draws = max(FEWEST_DRAWS, min(DRAWS, ENTRIES // len(made_up.labels)))
        more = [bootstrap(_made_up(task, rows, labels, seed), resamples=RESAMPLES) for seed in range(1, draws)]
        variance = float(np.mean([variance, *(boot.error**2 for boot in more)]))
        source = f"made-up models on the test rows' {first.clusters} {first.unit}s, and {assumed}"
        over = None
    variance *= 2 * (1 - CORRELATION)
    if over is not None and seeds:  # of each of two models, with as many seeds as will be trained
        variance += 2 * over.variance * len(one.seeds) / seeds
    return Smallest(_detectable(variance, first.freedom), source, own, first.clusters, first.unit)


def _detectable(variance: float, freedom: float) -> float:
    from scipy import stats

    quantiles = stats.t.ppf((1 + LEVEL) / 2, freedom) + stats.t.ppf(POWER, freedom)
    return float(quantiles * np.sqrt(variance))


def _of_pairs(task: Task, known: dict[str, Drawn]) -> Smallest:
    """The middle one of all pairs of models."""
    pairs = differences(task.name, known)
    sizes = []
    for pair in pairs:
        assert pair.sampling_error is not None
        variance = pair.sampling_error**2 + (pair.training_error or 0.0) ** 2
        sizes.append(_detectable(variance, pair.freedom or np.inf))
    middle = f" (the middle one of {len(pairs)} pairs)" if len(pairs) > 1 else ""
    source = f"predictions of {counted(len(known), 'model')} on these rows{middle}"
    known_training = all(pair.training != "unknown" for pair in pairs)
    return Smallest(float(np.median(sizes)), source, known_training, pairs[0].clusters, pairs[0].unit)


def _drawn(task: Task, rows: Predictions, results: Sequence[Result]) -> dict[str, Drawn]:
    """Return the models with an error on these rows, trained on all of theirs, resampled alike."""
    models: dict[str, list[Result]] = {}
    for result in told_apart([one for one in results if one.task == task.name and one.score is not None]):
        if of_all_rows(result):
            models.setdefault(result.label, []).append(result)
    found: dict[str, Drawn] = {}
    for model, mine in models.items():
        try:
            if read_predictions(mine[0]).keys_digest == rows.keys_digest:
                drawn = draw(mine, RESAMPLES, 0)
                found |= {} if drawn.lack else {model: drawn}
        except BendError:  # a damaged record tells nothing
            continue
    return found


def _made_up(task: Task, rows: datasets.Dataset, labels: Sequence[Any], seed: int) -> Predictions:
    """Return what a model of middling worth may say: the label, and noise that labels of a row share in part."""
    random = np.random.default_rng(seed)
    truth = [np.asarray(one).reshape(-1) for one in labels]
    flat, of_row = np.concatenate(truth), np.repeat(np.arange(len(truth)), [len(one) for one in truth])
    columns = task.kind.score_columns(task) // task.kind.label_columns(task)
    if task.kind.classes:
        signal = CLASS_SIGNAL * np.eye(columns, dtype=np.float32)[flat]
    else:
        deviation = 1.0 if task.kind.values(task) is not None else float(flat.std()) or 1.0
        signal = (SIGNAL / deviation * flat.astype(np.float32))[:, None]
    shared = random.standard_normal((len(truth), columns), np.float32)
    scores = np.sqrt(1 - WITHIN, dtype=np.float32) * random.standard_normal((len(flat), columns), np.float32)
    scores += signal + np.sqrt(WITHIN, dtype=np.float32) * shared[of_row]
    ends = np.cumsum([len(one) for one in truth])[:-1]
    by_row = [one.reshape(-1) for one in np.split(np.round(scores * LEVELS) / LEVELS, ends)]
    return make_predictions(task, rows, by_row, truth)
