"""Runs that differ in one thing: a model's score by layer, or by the number of rows its heads were trained on.

    for sweep in by_layer(board(results)):
        sweep.best.at           # the layer chosen on validation: never on test

A score picked by looking at the test rows is no score. The best layer is that of the highest validation score, the mean
over seeds and folds of the epoch that was kept; where nothing is trained there is none, and `crossfit` chooses instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bend_hf.files import digest_of
from bend_hf.results.board import Row
from bend_hf.results.record import Result

SWEPT = ("layer ", "train rows ", "all training rows")
"""Beginnings of what tells the runs of a sweep apart."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        at: Where it stands: its layer (the output where its number is, after all others), or its training rows.
        name: For people: ``"6"``, ``"last"``, ``"1,000"``.
        row: Its score on the test rows, with interval and records.
        validation: Its validation score; None where there is none.
    """

    at: int
    name: str
    row: Row
    validation: float | None


@dataclass(frozen=True)
class Sweep:
    """Runs of one model on one task that differ in one thing, in its order."""

    points: tuple[Point, ...]

    @property
    def title(self) -> str:
        """The model's name for people, without what tells the runs apart."""
        return title_of(self.points[0].row)

    @property
    def best(self) -> Point | None:
        """The run with the highest validation score, the first of equal ones; None where one of them has none."""
        found = {point.validation: point for point in reversed(self.points) if point.validation is not None}
        return found[max(found)] if all(point.validation is not None for point in self.points) else None


def title_of(row: Row) -> str:
    """The model's name of a row for people, without what tells the runs of a sweep apart."""
    apart = [part for part in row.variant.strip(" []").split(", ") if part and not part.startswith(SWEPT)]
    return row.title.removesuffix(row.variant) + (f" [{', '.join(apart)}]" if apart else "")


def by_layer(rows: Sequence[Row]) -> list[Sweep]:
    """Return the sweeps over layers among the rows of a board."""
    return _sweeps(rows, _without_layer, layer_of)


def by_training_rows(rows: Sequence[Row]) -> list[Sweep]:
    """Return the sweeps over numbers of training rows among the rows of a board."""
    return _sweeps(rows, _without_train_rows, _trained_rows)


def _sweeps(
    rows: Sequence[Row],
    rest: Callable[[dict[str, Any]], dict[str, Any] | None],
    place: Callable[[Result], tuple[int, str] | None],
) -> list[Sweep]:
    """Put rows together whose keys are equal but for one part."""
    groups: dict[str, list[Point]] = {}
    for row in rows:
        first = row.results[0] if row.results else None
        if first is None or first.key is None or row.score is None:
            continue
        others = rest(first.key)
        at = None if others is None else place(first)
        if at is not None:
            seeds = sorted(result.seed or 0 for result in row.results)
            key = digest_of([first.model, first.toy, others, seeds])
            groups.setdefault(key, []).append(Point(*at, row, _validation(row)))
    found = [sorted(group, key=lambda point: (point.at, point.name)) for group in groups.values()]
    return [Sweep(tuple(group)) for group in found if len({point.name for point in group}) > 1]


def _without_layer(key: dict[str, Any]) -> dict[str, Any] | None:
    embedder = key.get("embedder")
    if not isinstance(embedder, dict) or len(embedder.get("layer") or []) != 1:
        return None
    return {**key, "embedder": {**embedder, "layer": None}}


def layer_of(result: Result) -> tuple[int, str] | None:
    """The one layer that a result was read at, and its name; None where that is unknown or they are several."""
    if result.key is None or _without_layer(result.key) is None:
        return None
    [layer] = result.key["embedder"]["layer"]
    if layer != -1:
        return int(layer), str(layer)
    last = (result.provenance.get("model") or {}).get("layers")
    return None if last is None else (int(last), "last")


def _without_train_rows(key: dict[str, Any]) -> dict[str, Any] | None:
    return {**key, "settings": {**key["settings"], "train_rows": None}} if "train_rows" in key["settings"] else None


def _trained_rows(result: Result) -> tuple[int, str] | None:
    count = result.provenance.get("trained_rows")
    return None if count is None else (int(count), f"{count:,}")


def _validation(row: Row) -> float | None:
    """The mean over seeds and folds of the validation score of the epoch that was kept."""
    kept: dict[tuple[int | None, str | None], list[float | None]] = {}
    for result in row.results:
        for entry in result.history:
            kept.setdefault((result.seed, entry.get("part")), []).append(entry.get("validation_score"))
    runs = list(kept.values())
    if not runs or any(score is None for run in runs for score in run):
        return None
    return float(np.mean([max(score for score in run if score is not None) for run in runs]))
