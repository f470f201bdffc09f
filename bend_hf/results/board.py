"""Rows of a leaderboard: results of one model on one task under one protocol, brought together over training seeds.

    for row in board(read_results("results")):
        row.model, row.task, row.score, row.interval, row.spread, row.centred

Every table, the report and the comparison start from these rows. Scores of different protocols, or of toy and real
data, are different rows; supervised and zero-shot tasks are never averaged together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bend_hf.protocols import PROTOCOLS
from bend_hf.results.apart import told_apart
from bend_hf.results.conditions import departures, of_all_rows, trained
from bend_hf.results.drawing import error_of_mean
from bend_hf.results.record import Result
from bend_hf.results.seeds import spread, whole_interval
from bend_hf.results.statistics import centred
from bend_hf.tasks import BEND, TASKS, Task

BASELINES = {
    "onehot": "one-hot CNN",
    "composition": "composition",
    "resnet-supervised": "supervised ResNet",
    "basset": "Basset",
}
"""Names of the baselines, as given to `evaluate`, and their titles."""


def titled(label: str) -> str:
    """A model's name for people: a baseline's title, with what tells this run of it from others."""
    name, bracket, variant = label.partition(" [")
    return f"{BASELINES.get(name, name)}{bracket}{variant}"


Kind = Literal["model", "baseline", "published"]


@dataclass(frozen=True)
class Row:
    """One cell of a leaderboard with what belongs to it.

    Attributes:
        model: As in the records, with what tells runs of one model apart; or the name of a published entry.
        task: Name of the task.
        protocol: ``"default"``, ``"bend-2024"``, or the protocol a published value states.
        kind: A model, one of `BASELINES`, or a published value.
        toy: Whether the data is the toy data.
        score: Mean over seeds; None where the task failed or the metric is undefined.
        interval: 95 % interval: with several seeds over test rows and training, else over test rows alone.
        sampling: 95 % interval over test rows alone; with several seeds the mean of their ends.
        spread: Mean, deviation and range over seeds; None for one seed.
        trained: Whether another seed of training would give another score; None for published values.
        chance: What no knowledge scores; None where nothing is scored, and for published values of AUPRC.
        chance_interval: Central 95 % of random scores; None where chance is exact.
        seconds: Durations over all stages, and over seeds that were trained apart; None where not recorded.
        memory: Highest peak memory in bytes.
        stored: Bytes of token vectors stored.
        failure: Why there is no score.
        departures: Where its settings are not those of the task's recipe and the protocol, in words; else empty.
        source: Where a published value was read.
        variant: The end of `model` that tells runs of one model apart; else empty.
        results: The records behind the row, by seed.
    """

    model: str
    task: str
    protocol: str
    kind: Kind
    toy: bool
    score: float | None
    interval: list[float] | None
    sampling: list[float] | None
    spread: dict[str, float] | None
    trained: bool | None
    chance: float | None
    chance_interval: list[float] | None = None
    seconds: float | None = None
    memory: float | None = None
    stored: float | None = None
    failure: str | None = None
    departures: str = ""
    source: str | None = None
    variant: str = ""
    results: tuple[Result, ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """The model's name for people."""
        return titled(self.model)

    @property
    def at_chance(self) -> bool:
        """Whether the score is no better than chance: not above its interval, or its own interval not above it."""
        if self.score is None:
            return False
        if self.chance_interval is not None:
            return self.score <= self.chance_interval[1]
        return self.interval is not None and self.chance is not None and self.interval[0] <= self.chance

    @property
    def centred(self) -> float | None:
        """The score on the scale where chance is 0 and perfect is 1."""
        return None if self.score is None or self.chance is None else centred(self.score, self.chance)


def board(results: Iterable[Result]) -> list[Row]:
    """Group results by model, task, protocol and toy; rows are in the order of tasks, baselines last, best first."""
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in told_apart(results):
        groups.setdefault((result.label, result.task, result.protocol, result.toy), []).append(result)
    return sort_rows([_row(group) for group in groups.values()])


def sort_rows(rows: Sequence[Row], *, last: Callable[[Row], bool] = lambda row: False) -> list[Row]:
    """By task in the order of declaration, then by falling score, baselines among models; published values behind.

    Rows for which `last` holds stand behind the others of their kind.
    """
    tasks, protocols = list(TASKS), list(PROTOCOLS)
    return sorted(
        rows,
        key=lambda row: (
            tasks.index(row.task),
            protocols.index(row.protocol) if row.protocol in protocols else len(protocols),
            row.kind == "published",
            last(row),
            np.inf if row.score is None else -row.score,
            row.model,
        ),
    )


def _row(group: list[Result]) -> Row:
    group = sorted(group, key=lambda result: -1 if result.seed is None else result.seed)
    if not trained(group[0]):
        group = group[:1]  # seeds that earlier versions recorded of what has none are copies
    scored = [result for result in group if result.score is not None]
    scores = [result.score for result in scored if result.score is not None]
    intervals = [result.interval for result in scored if result.interval is not None]
    failures = [result.failure for result in group if result.failure]
    first = group[0]
    sampling = np.mean(intervals, axis=0).tolist() if intervals and len(intervals) == len(scored) else None
    return Row(
        model=first.label,
        variant=first.variant,
        task=first.task,
        protocol=first.protocol,
        kind="baseline" if first.model in BASELINES else "model",
        toy=first.toy,
        score=float(np.mean(scores)) if scores else None,
        interval=_whole(scored) or sampling,
        sampling=sampling,
        spread=spread(scores),
        trained=trained(first),
        chance=float(np.mean([result.chance for result in scored])) if scored else None,
        chance_interval=scored[0].secondary.get("chance_interval") if scored else None,
        seconds=_total(group, "seconds", sum),
        memory=_total(group, "peak_memory", max),
        stored=_total(group, "bytes_stored", max),
        failure="; ".join(dict.fromkeys(failures)) or None,
        departures=departures(scored),
        results=tuple(group),
    )


def _whole(scored: list[Result]) -> list[float] | None:
    """The interval over test rows and training; None for one seed, and where records do not hold their errors."""
    made = [result.secondary.get("interval") or {} for result in scored]
    known = [(entry["error"], entry["freedom"]) for entry in made if entry.get("error") and entry.get("freedom")]
    if len(scored) < 2 or len(known) < len(scored):
        return None
    scores = [result.score for result in scored if result.score is not None]
    errors, freedoms = ([entry[k] for entry in known] for k in (0, 1))
    error = error_of_mean(scored)
    return whole_interval(scored[0].metric, scores, float(np.mean(errors)) if error is None else error, min(freedoms))


def _total(group: list[Result], key: str, over: Any) -> float | None:
    """Of a number in the provenance, or of a dictionary of numbers (stage → seconds), summed.

    Seeds trained side by side share their durations: equal entries count once.
    """
    found = [result.provenance.get(key) for result in group]
    distinct = [value for i, value in enumerate(found) if value is not None and value not in found[:i]]
    numbers = [sum(value.values()) if isinstance(value, dict) else value for value in distinct]
    return float(over(numbers)) if numbers else None


def mean_of(task: Task) -> str:
    """Return the mean of `group_means` that a task enters."""
    if task not in BEND:
        return "own"
    return "zero_shot" if task.recipe is None else "supervised"


def group_means(rows: Sequence[Row]) -> dict[tuple[str, str, bool], dict[str, float | None]]:
    """Mean centred scores by (model, protocol, toy).

    Returns:
        ``supervised`` (five tasks) and ``zero_shot`` (two) of BEND, and ``own`` (tasks among the rows that are none of
        BEND's, where there are some), never averaged together; None where a task is missing, or of a part of its rows.
    """
    own = [task for name, task in TASKS.items() if task not in BEND and any(row.task == name for row in rows)]
    means: dict[tuple[str, str, bool], dict[str, float | None]] = {}
    for key in dict.fromkeys((row.model, row.protocol, row.toy) for row in rows if row.kind != "published"):
        whole = [
            row for row in rows if (row.model, row.protocol, row.toy) == key and all(map(of_all_rows, row.results))
        ]
        mine = {row.task: row.centred for row in whole}
        means[key] = {}
        for name in ("supervised", "zero_shot", "own") if own else ("supervised", "zero_shot"):
            values = [mine.get(task.name) for task in (*BEND, *own) if mean_of(task) == name]
            numbers = [value for value in values if value is not None]
            means[key][name] = float(np.mean(numbers)) if len(numbers) == len(values) else None
    return means
