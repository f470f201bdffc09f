"""What a run will take, and what it can show, before it is done: measured on a few rows.

    plan = measured(ready(…))
    print(plan)                      # per task rows, tokens, time, disk, memory, smallest difference; and the total
    plan.to_json()

Time is that of a probe, times the rows there are: some sequences are embedded, heads are trained for an epoch or two
on made-up vectors of the model's width, some variants are scored. What is there already costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.bars import steps
from bend_hf.errors import described
from bend_hf.probe import Rates, probe
from bend_hf.recording import runs_there
from bend_hf.results.power import Smallest, smallest_difference
from bend_hf.tasks import TASKS, Task
from bend_hf.text import aligned, duration, number, size
from bend_hf.walk import Road, folds, in_fold_order, merged, numbered
from bend_hf.work import Work

if TYPE_CHECKING:
    from bend_hf.results.record import Result

STAGES = ("embedding", "training")
BESIDE = 24
"""Columns of scores beside a variant's headline, about."""


@dataclass(frozen=True)
class TaskPlan:
    """What one task will take.

    Attributes:
        task: Its name.
        rows: Of each split.
        limit: Most rows of each split, where that is limited.
        layers: Layers, a result each; None for the model's one.
        results: Results there will be.
        there: Of these, those that are there already.
        tokens: That the model reads in a pass.
        seconds: By stage, of what is missing; at most where heads may stop early.
        vectors: Where token vectors will be, in words.
        disk: Bytes of vectors and predictions.
        memory: Bytes of the process, about.
        device_memory: Bytes on the accelerator, about; None without one.
        smallest: The smallest difference that the test rows can show.
        failure: Why the task cannot be done; the rest is then empty.
    """

    task: str
    rows: dict[str, int] = field(default_factory=dict)
    limit: int | None = None
    layers: tuple[int, ...] | None = None
    results: int = 0
    there: int = 0
    tokens: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    vectors: str = ""
    disk: int = 0
    memory: int = 0
    device_memory: int | None = None
    smallest: Smallest | None = None
    failure: str | None = None

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Plan:
    """What a run will take.

    Attributes:
        model: The model's name.
        device: Where it was measured.
        tasks: One plan each.
        notes: What a budget has left out, and at what price.
    """

    model: str
    device: str
    tasks: tuple[TaskPlan, ...]
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Of all tasks."""
        return sum(task.total for task in self.tasks)

    @property
    def disk(self) -> int:
        """Bytes of all tasks."""
        return sum(task.disk for task in self.tasks)

    @property
    def memory(self) -> int:
        """Bytes of the task that takes most."""
        return max((task.memory for task in self.tasks), default=0)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        tasks = [asdict(task) | {"total_seconds": task.total} for task in self.tasks]
        total = {"seconds": self.seconds, "disk": self.disk, "memory": self.memory}
        return {
            "model": self.model,
            "device": self.device,
            "tasks": tasks,
            "total": total,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [
            ["task", "rows", "tokens", "results", "embedding", "training", "disk", "memory", "smallest difference"]
        ]
        for task in self.tasks:
            if task.failure is not None:
                continue
            there = f" ({task.there} there)" if task.there else ""
            found = task.smallest.value if task.smallest else None
            lines.append(
                [
                    task.task,
                    f"{sum(task.rows.values()):,}",
                    f"{task.tokens:,}",
                    f"{task.results}{there}",
                    duration(task.seconds.get("embedding")),
                    duration(task.seconds.get("training")),
                    size(task.disk),
                    size(task.memory),
                    f"{number(found)} {TASKS[task.task].metric}",
                ]
            )
        embedding, training = (sum(task.seconds.get(stage, 0) for task in self.tasks) for stage in STAGES)
        whole = ["total", "", "", "", duration(embedding), duration(training), size(self.disk), size(self.memory), ""]
        text = [f"{self.model} on {self.device}: about {duration(self.seconds)}", *aligned([*lines, whole], left=1), ""]
        text.append("The smallest difference between two models shows with 80 % power at the 5 % level:")
        for about in (_about, lambda task: f"token vectors {task.vectors}" if task.vectors else ""):
            said: dict[str, list[str]] = {}
            for task in self.tasks:
                said.setdefault(about(task), []).append(task.task)
            text += [f"  {', '.join(names)}: {words}." for words, names in said.items() if words]
        return "\n".join([*text, *self.notes])

    __repr__ = __str__


def _about(task: TaskPlan) -> str:
    """Say where a task's numbers come from."""
    if task.failure is not None:
        return f"cannot be done: {task.failure.rstrip('.')}"
    assert task.smallest is not None
    if task.smallest.lack is not None:
        return f"no difference can be shown: {task.smallest.lack}"
    over = "" if task.smallest.training else "; training seeds, not known yet, add to it"
    return f"from {task.smallest.source}{over}"


def measured(work: Work, results: Sequence[Result] = ()) -> tuple[Plan, dict[str, Rates]]:
    """Measure what a run will take.

    Args:
        work: The run.
        results: Records whose predictions may tell how much models differ.

    Returns:
        The plan, and the rates of each task that can be done.
    """
    plans, rates = [], {}
    for task in steps(work.tasks, "task", name=lambda task: task.name):
        try:
            found = probe(work, task)
            plans.append(planned(work, task, found, results))
            rates[task.name] = found
        except Exception as error:  # one task's files harm no other task
            if len(work.tasks) == 1:
                raise
            plans.append(TaskPlan(task.name, failure=str(described(error))))
    embedder: Any = work.road.embedder
    device = str(getattr(getattr(embedder, "network", None), "device", "cpu"))
    return Plan(work.road.name, device, tuple(plans)), rates


def planned(work: Work, task: Task, rates: Rates, results: Sequence[Result] = ()) -> TaskPlan:
    """Return what a task will take at its rates, and what its test rows can show."""
    data, share, road = work.rows_or_error(task), work.shares[task.name], work.road_of(task)
    same = [result for result in results if result.protocol == road.protocol.name]
    total, missing = _runs(work, task, road)
    rows = {name: len(split) for name, split in data.items()}
    layers = 1 if share.layers is None else len(share.layers)
    if task.recipe is None:
        [table] = data.values()
        truth = list(np.asarray(table.with_format("numpy")["label"][:]))
        vectors, held, stored = "are not kept", 0, 0
        predictions = len(table) * 4 * BESIDE
    else:
        from bend_hf.train.labels import labels_of

        whole = merged(data)
        labels = labels_of(task, whole)
        tested, table = in_fold_order(folds(task, numbered(data)), whole)
        truth = [labels[int(row)] for row in tested]
        predictions = 4 * sum(map(np.size, truth)) * task.kind.score_columns(task) // task.kind.label_columns(task)
        kept = _kept(rates, rows, layers, road)
        vectors, held, stored = kept.words, kept.held, kept.stored
    part = missing / total if total else 0.0
    seconds = {stage: part * value for stage, value in seconds_of(work, task, rates, rows, layers).items()}
    if missing and "embedding" in seconds:  # one pass makes the vectors of all results that are missing
        seconds["embedding"] = seconds["embedding"] / part
    return TaskPlan(
        task=task.name,
        rows=rows,
        limit=share.limit,
        layers=share.layers,
        results=total,
        there=total - missing,
        tokens=round(rates.tokens * sum(rows.values())),
        seconds=seconds,
        vectors=vectors,
        disk=missing * predictions + (stored if missing else 0),
        memory=rates.memory + held + 2 * predictions * len(work.seeds),
        device_memory=rates.device_memory,
        smallest=smallest_difference(task, table, truth, same, seeds=0 if road.embedder is None else len(work.seeds)),
    )


def seconds_of(work: Work, task: Task, rates: Rates, rows: Mapping[str, int], layers: int) -> dict[str, float]:
    """Return the seconds by stage of a number of rows of each split at a number of layers, if nothing is there.

    Every epoch counts, though heads may stop early.
    """
    road, count = work.road_of(task), sum(rows.values())
    if task.recipe is None:
        return {"embedding": rates.fixed + rates.embedding * count}  # of all layers, as it was measured
    epochs = 1 if road.embedder is None else road.epochs or task.recipe.epochs
    numbers = {name: np.arange(split) for name, split in rows.items()}
    training = 0.0
    for asked in work.sizes:
        for fold in folds(task, numbers):
            trained = len(fold.train) if asked is None else min(asked, len(fold.train))
            training += epochs * (trained * rates.training + len(fold.validation) * rates.predicting)
            training += len(fold.test) * rates.predicting
    kept = _kept(rates, rows, layers, road)
    return {"embedding": count * rates.embedding * (kept.passes or epochs), "training": layers * training}


@dataclass(frozen=True)
class _Kept:
    """Where vectors will be, in words; bytes in memory and on disk; passes that make them, None for every epoch."""

    words: str
    held: int = 0
    stored: int = 0
    passes: int | None = 1


def _kept(rates: Rates, rows: Mapping[str, int], layers: int, road: Road) -> _Kept:
    from bend_hf.embed.estimate import size_text, spare_memory
    from bend_hf.embed.onehot import OneHotEmbedder
    from bend_hf.embed.store import SMALL

    if road.embedder is None:
        return _Kept("")
    if rates.stored:
        return _Kept("are stored already", passes=0)
    needed, limit = round(rates.vectors * layers * sum(rows.values())), road.store_limit
    storable = not isinstance(road.embedder, OneHotEmbedder)
    memory = (0 if road.stored else SMALL) if storable else spare_memory()
    if needed <= min(memory, limit or memory):
        return _Kept(f"of {size_text(needed)} are held in memory", held=needed)
    each = layers if limit is None else max(1, int(limit * layers / needed))
    passes = -(-layers // each)
    if not storable or (limit is not None and needed * each / layers > limit):
        return _Kept(f"of {size_text(needed)} are more than may be kept, and made again in every epoch", passes=None)
    if passes == 1:
        return _Kept(f"of {size_text(needed)} are stored on disk", stored=needed)
    words = f"of {size_text(needed)} are stored on disk in {passes} passes, one after the other"
    return _Kept(words, stored=needed * each // layers, passes=passes)


def _runs(work: Work, task: Task, road: Road) -> tuple[int, int]:
    """Number of a task's results, and of those that are not there."""
    from bend_hf.zero_shot.variants import offered

    layers = work.shares[task.name].layers
    views: list[Any] = [road.embedder] if layers is None else [road.embedder.at(layer) for layer in layers]  # type: ignore[union-attr]
    total = missing = 0
    for view in views:
        for asked in work.sizes if task.recipe else (None,):
            scores = [] if view is None or task.recipe else offered(work.scores, view)
            one = replace(road, embedder=view, scores=scores, train_rows=asked)
            seeds, there = runs_there(task, work.files[task.name], one, work.seeds, work.output)
            total += len(seeds)
            missing += len(seeds) - (0 if work.overwrite else len(there))
    return total, missing
