"""One task's walk: rows → token vectors → heads or distances → predictions. `bend_hf.evaluation` walks all tasks.

outcomes = supervised(task, data, road, seeds=(0, 1, 2))     # one Outcome per seed
[outcome] = zero_shot(task, data, road)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.console import log
from bend_hf.errors import BendError
from bend_hf.protocols import Protocol
from bend_hf.tasks import Task

if TYPE_CHECKING:
    import datasets

    from bend_hf.embed.interface import SequenceEmbedder
    from bend_hf.embed.layers import Shared
    from bend_hf.embed.vectors import VectorSource
    from bend_hf.results.record import Predictions
    from bend_hf.zero_shot.variants import VariantScores


VARY = ("init", "order", "both")
"""What may differ from seed to seed: the head's initialisation, the order in which it sees samples, or both."""


@dataclass
class Road:
    """One model on its way through the tasks.

    Attributes:
        name: The model's name in results.
        embedder: None for the composition baseline, which sees letters only.
        network: Builder of a network to train in the CNN head's place, or None.
        protocol: Default, or the reference's own.
        epochs: Instead of the recipe's.
        batch_size: Instead of the recipe's.
        patience: Epochs without a better validation score after which a head stops.
        precision: Of head training.
        sampling_seed: Seed of the order of samples.
        vary: What differs from seed to seed: ``init``, ``order`` or ``both``.
        standardize: Whether vectors are given mean 0 and deviation 1 over the training rows.
        scores: Of variants, the headline's first.
        track: bigWig whose values at variants stand beside the scores, or None.
        vectors: How token vectors are kept.
        device: Torch device, or None.
        trackers: Names of Accelerate's trackers.
        store: Folder for token vectors that do not fit in memory.
        stored: Whether those that fit go there too, because somebody named the folder.
        store_limit: Bytes they may take there for one task.
        states: Folder for the states of interrupted trainings.
        limit: Most rows of each split, for smoke tests; None for all.
        train_rows: Rows that heads are trained on, in every fold; None for all.
        budget: Seconds that the run was cut to, which is why rows or layers are left out; None where nobody cut it.
        views: Embedders of single layers whose vectors one pass makes, `embedder` one of them; none for it alone.
        shared: What that pass made, while runs need it.
        scored: The same of variants, by view.
        seconds: Seconds that each stage of the present task took.
        bytes: Bytes of the present task's token vectors.
        trained_rows: Rows that the present task's heads were trained on, the mean over folds.
        trained_in: What the present task's heads were trained in, whatever `precision` asked for.
    """

    name: str
    embedder: SequenceEmbedder | None
    network: Callable[..., Any] | None
    protocol: Protocol
    epochs: int | None
    batch_size: int | None
    patience: int | None
    precision: Any
    sampling_seed: int
    vary: Any
    standardize: bool
    scores: Sequence[str]
    vectors: Any
    device: str | None
    trackers: Sequence[str]
    store: Path
    stored: bool
    store_limit: int | None
    states: Path
    track: Path | None = None
    limit: int | None = None
    train_rows: int | None = None
    budget: float | None = None
    views: Sequence[SequenceEmbedder] = ()
    shared: Shared | None = None
    scored: list[VariantScores] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    bytes: int = 0
    trained_rows: int | None = None
    trained_in: str | None = None

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent in the block to the stage's seconds."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
            log.debug("%s: %s took %.1f s.", self.name, stage, seconds)


@dataclass(frozen=True)
class Outcome:
    """What a walk ends with.

    Attributes:
        predictions: Those of the test rows; None where the head failed.
        history: That of training.
        secondary: Scores beside the headline.
        failure: Why there are no predictions.
    """

    predictions: Predictions | None
    history: list[dict[str, Any]] = field(default_factory=list)
    secondary: dict[str, Any] = field(default_factory=dict)
    failure: str | None = None


@dataclass(frozen=True)
class Fold:
    """Rows to train on, to choose the epoch by and to test on; `part` names the fold, None where there is one.

    `parts` are the numbers of rows of the parts that are trained on.
    """

    part: str | None
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    parts: tuple[int, ...] = ()


def check_splits(task: Task, rows: Mapping[str, Sized]) -> None:
    """Check that every split has rows.

    Raises:
        BendError: One has none.
    """
    for split in task.rows:
        if not len(rows.get(split, ())):
            raise BendError(f"{task.name}: split {split!r} has no rows, and training and testing need all of them.")


def folds(task: Task, rows: dict[str, np.ndarray]) -> list[Fold]:
    """Return how a task's splits are used.

    Where there are folds, fold k tests on part k, validates on part k+1 (cyclic) and trains on the others.

    Args:
        task: A supervised task.
        rows: Rows of each split.

    Raises:
        BendError: A split that is needed has no rows.
    """
    check_splits(task, rows)
    if not task.folds:
        return [Fold(None, rows["train"], rows["validation"], rows["test"])]
    parts = list(task.rows)
    plans = []
    for k, part in enumerate(parts):
        following = parts[(k + 1) % len(parts)]
        others = [rows[name] for name in parts if name not in (part, following)]
        plans.append(Fold(part, np.concatenate(others), rows[following], rows[part], tuple(map(len, others))))
    return plans


def merged(data: datasets.DatasetDict) -> datasets.Dataset:
    """Return the rows of all splits, one split after another: the rows that a store of token vectors is made for."""
    import datasets

    return datasets.concatenate_datasets(list(data.values()))


def numbered(data: datasets.DatasetDict) -> dict[str, np.ndarray]:
    """Return the numbers that the rows of each split have among those of all splits (`merged`)."""
    ends = np.cumsum([len(split) for split in data.values()])
    return {name: np.arange(end - len(split), end) for (name, split), end in zip(data.items(), ends, strict=True)}


def in_fold_order(plans: Sequence[Fold], whole: datasets.Dataset) -> tuple[np.ndarray, datasets.Dataset]:
    """Return the test rows of all folds, one fold after another: their numbers, and a table, with ``part`` of folds."""
    tested = np.concatenate([plan.test for plan in plans])
    table = whole.select(tested)
    if plans[0].part is not None:
        table = table.add_column("part", np.repeat([plan.part for plan in plans], [len(plan.test) for plan in plans]))
    return tested, table


def supervised(task: Task, data: datasets.DatasetDict, road: Road, seeds: Sequence[int]) -> list[Outcome]:
    """Train heads on a task's token vectors (or the composition baseline on its letters), one outcome per seed."""
    from bend_hf.results.record import make_predictions
    from bend_hf.subsets import trained_on
    from bend_hf.train.labels import Scale, check_learnable, labels_of
    from bend_hf.train.processes import together

    whole = merged(data)
    labels = labels_of(task, whole)
    plans = [trained_on(task, labels, fold, road.train_rows) for fold in folds(task, numbered(data))]
    road.trained_rows = round(float(np.mean([len(plan.train) for plan in plans])))
    for plan in plans:
        check_learnable(task, labels, plan.train)
    with together(f"{task.name}'s vectors were made"):
        source = None if road.embedder is None else _vectors(whole, road)
    scores: dict[int, list[np.ndarray]] = {seed: [] for seed in seeds}
    histories: dict[int, list[dict[str, Any]]] = {seed: [] for seed in seeds}
    failures: dict[int, str] = {}
    for plan in plans:
        log.info("%s: training%s", task.name, f", testing on {plan.part}" if plan.part else "")
        left = [seed for seed in seeds if seed not in failures]
        with road.timed("training"):
            scale = Scale.of(task, labels, plan.train)
            heads = fitted(task, plan, whole, scale.applied(labels), source, road, left) if left else []
        for seed, head in zip(left, heads, strict=True):
            road.trained_in = head.precision
            scores[seed] += [scale.undone(row) for row in head.scores]
            histories[seed] += [entry | ({"part": plan.part} if plan.part else {}) for entry in head.history]
            if head.failure is not None:
                failures[seed] = f"{head.failure} (testing on {plan.part})" if plan.part else head.failure
    tested, table = in_fold_order(plans, whole)
    truth = [labels[int(row)] for row in tested]
    return [
        Outcome(None, histories[seed], failure=failures[seed])
        if seed in failures
        else Outcome(make_predictions(task, table, scores[seed], truth), histories[seed])
        for seed in seeds
    ]


def _vectors(whole: datasets.Dataset, road: Road) -> VectorSource:
    """Return the vectors of all rows; those of several layers are made in one pass, whose time each run records."""
    from bend_hf.embed.layers import Shared

    assert road.embedder is not None
    if road.shared is None:
        road.shared = Shared(
            road.views or [road.embedder],
            whole["sequence"],
            store_dir=road.store,
            limit_bytes=road.store_limit,
            memory_bytes=0 if road.stored else None,
            precision=road.vectors,
        )
    source = road.shared.source(road.embedder)
    road.seconds["embedding"] = road.shared.seconds
    width = {"float32": 4, "int8": 1}.get(road.vectors, 2)
    road.bytes = int(source.lengths_in_tokens.sum()) * (source.dim * width + 2)
    return source


def fitted(
    task: Task,
    plan: Fold,
    whole: datasets.Dataset,
    labels: Any,
    source: VectorSource | None,
    road: Road,
    seeds: Sequence[int],
) -> list[Any]:
    """Train on one fold; the composition baseline has no seeds."""
    if source is None:
        from bend_hf.train.composition import Texts, composition

        texts = [Texts(whole["sequence"], labels, rows) for rows in (plan.train, plan.validation, plan.test)]
        return [composition(task, train=texts[0], validation=texts[1], test=texts[2])]
    from bend_hf.embed.onehot import OneHotEmbedder
    from bend_hf.train.fit import Split, fit

    padding = None
    if road.protocol.onehot_padding and isinstance(road.embedder, OneHotEmbedder):
        padding = next(road.embedder.embed([road.protocol.onehot_padding])).vectors[0]
    train = Split(source, labels, plan.train, plan.parts)
    validation, test = Split(source, labels, plan.validation), Split(source, labels, plan.test)
    return fit(
        task,
        train=train,
        validation=validation,
        test=test,
        protocol=road.protocol,
        network=road.network,
        epochs=road.epochs,
        batch_size=road.batch_size,
        seeds=seeds,
        precision=road.precision,
        patience=road.patience,
        checkpoint_dir=road.states / (plan.part or ""),
        trackers=road.trackers,
        device=road.device,
        sampling_seed=road.sampling_seed,
        vary=road.vary,
        padding=padding,
        standardize=road.standardize,
    )


def _scored(road: Road, rows: datasets.Dataset) -> VariantScores:
    """Score variants; those of several layers in one pass, when the first of them is asked for."""
    from bend_hf.zero_shot.variants import score_layers, score_variants

    assert road.embedder is not None
    if not road.views:
        return score_variants(road.embedder, rows, protocol=road.protocol, scores=road.scores)
    if road.scored is None:
        road.scored = score_layers(road.views, rows, protocol=road.protocol, scores=road.scores)
    return road.scored[[*road.views].index(road.embedder)]


def zero_shot(task: Task, data: datasets.DatasetDict, road: Road) -> list[Outcome]:
    """Score variants by the distance between the vectors of both alleles, each process its share of them.

    Beside the headline stand the model's other scores and those of controls that need no model.
    """
    from accelerate.utils import gather_object

    from bend_hf.results.crossfit import class_rates, compare_scores, cross_fit, halves
    from bend_hf.results.record import make_predictions
    from bend_hf.train.processes import process_state, together
    from bend_hf.zero_shot.controls import control_scores
    from bend_hf.zero_shot.tracks import TrackValues

    state = process_state()
    [rows] = data.values()
    share = rows.shard(state.num_processes, state.process_index, contiguous=True)
    facts: dict[str, int] = {}
    own: list[str] = []
    with together(f"{task.name}'s variants were scored"):
        found = control_scores(share)
        if road.embedder is not None:
            with road.timed("embedding"):
                scored = _scored(road, share)
            found, own = dict(scored) | found, list(scored)
            facts |= {name: scored.provenance[name] for name in ("unmoved", "same_by_definition")}
    gathered = gather_object([(found, facts)])
    found = {name: np.concatenate([part[name] for part, _ in gathered]) for name in found}
    facts = {name: sum(part[name] for _, part in gathered) for name in facts}
    if road.track is not None:  # of all rows: a share may lie where the track has nothing
        places = rows.select_columns(["chromosome", "start"]).with_format("numpy")[:]
        found["track"], facts["track_uncovered"] = TrackValues(road.track).at(places["chromosome"], places["start"])
    truth = np.asarray(rows.with_format("numpy")["label"][:])
    if "consequence" in rows.column_names:
        chromosomes, start, classes = (np.asarray(rows[name]) for name in ("chromosome", "start", "consequence"))
        half, unit = halves(chromosomes, start, truth)
        if unit is not None:
            found["consequence_class"] = class_rates(classes, truth, half)
    headline = "gc_change" if road.embedder is None else road.scores[0]
    predictions = make_predictions(task, rows, found[headline], truth, found)
    with road.timed("scoring"):
        compared = compare_scores(predictions)
        if road.embedder is not None:
            fitted_across = cross_fit(predictions, own)
            compared["cross_fitted"] = asdict(fitted_across)
            if fitted_across.unit not in (None, "chromosome"):
                log.info(
                    "%s: scores are chosen on half of the %ss: too few chromosomes.", task.name, fitted_across.unit
                )
    return [Outcome(predictions, [], compared | facts)]
