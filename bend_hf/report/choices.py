"""Which choice matters: the scores of a variant task by layer of a model, as a table of colours with marks.

    for figure in choices(rows):
        figure.drawing                 # a line per score, a column per layer

Drawn for a model that was scored at several layers, by one run (``--scores distances@all``) or by several
(``--layers``). The numbers with their intervals are in the panel of all scores.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bend_hf.report.elements import Figure, html
from bend_hf.report.table import AT_CHANCE
from bend_hf.results.board import Row
from bend_hf.results.record import Result
from bend_hf.results.statistics import centred
from bend_hf.results.sweeps import by_layer, layer_of, title_of
from bend_hf.text import interval, number

HEADLINE, CHOSEN = "H", "X"
MARKS = HEADLINE + CHOSEN + AT_CHANCE
"""Marks of a result's headline, of what a half of the chromosomes chose, and of intervals that are not above chance."""
_NAME = re.compile(r"(?P<stem>.+?)(?:@(?P<layer>\d+))?(?P<strand>\.forward|\.reverse)?")


@dataclass(frozen=True)
class _Cell:
    """A score at a layer."""

    value: float
    ends: Sequence[float] | None
    chance: float
    marks: str

    @property
    def centred(self) -> float | None:
        return centred(self.value, self.chance)


def marks(result: Result, name: str) -> str:
    """Return which of `MARKS` one of a result's scores bears."""
    scores, second = _scores(result), result.secondary
    value, ends = (second.get(key, {}).get(name) for key in ("by_score", "by_score_interval"))
    found = HEADLINE if scores and name == scores[0] else ""
    found += CHOSEN if name in ((second.get("cross_fitted") or {}).get("chosen") or ()) else ""
    low = value if ends is None else ends[0]
    return found + (AT_CHANCE if low is not None and low <= result.chance else "")


def choices(rows: Sequence[Row]) -> list[Figure]:
    """Return a figure for each model among a task's rows whose scores are of several layers."""
    sweeps = [[point.row for point in sweep.points] for sweep in by_layer(rows)]
    swept = {row.model for group in sweeps for row in group}
    groups = [*sweeps, *([row] for row in rows if row.model not in swept)]
    return [figure for group in groups if (figure := _figure(group)) is not None]


def _scores(result: Result) -> list[str]:
    """The model's own scores among those of a result, which has those of controls too; the headline first."""
    return (result.provenance.get("settings") or {}).get("scores") or []


def _figure(rows: Sequence[Row]) -> Figure | None:
    """Draw the scores of one model's results, which differ in their layer alone."""
    results = [row.results[0] for row in rows if row.score is not None]
    found: dict[str, dict[int, _Cell]] = {}
    names: dict[int, str] = {}
    for result in results:
        _add(result, found, names)
    layers = sorted(names)
    if len(layers) < 2:
        return None
    whole = _of_whole_models()
    lines = [
        (name, [cells[min(cells)]] if name.partition(".")[0] in whole else [cells.get(at) for at in layers])
        for name, cells in found.items()
    ]
    drawing = html(
        "choices.html",
        layers=[names[at] for at in layers],
        lines=lines,
        headline=HEADLINE,
        chosen=CHOSEN,
        several=len(results) > 1,
    )
    return Figure(f"Which choice matters: {title_of(rows[0])}", drawing, note=_said(results, found))


def _add(result: Result, found: dict[str, dict[int, _Cell]], names: dict[int, str]) -> None:
    """Put the scores of a result where they belong, by score and layer, and the names of its layers beside."""
    own, second = _scores(result), result.secondary
    place = layer_of(result)
    if place is None:
        return
    last = (result.provenance.get("model") or {}).get("layers")
    for name, value in second.get("by_score", {}).items():
        part: Any = _NAME.fullmatch(name)
        strand = part["strand"] or ""
        if name.removesuffix(strand) not in own or value is None:
            continue
        at = place[0] if part["layer"] is None else int(part["layer"])
        names.setdefault(at, "last" if at == last else str(at))
        ends = second.get("by_score_interval", {}).get(name)
        cell = _Cell(value, ends, result.chance, marks(result, name))
        there = found.setdefault(part["stem"] + strand, {})
        if at in there:  # the headline may have been named by its layer too
            both = there[at].marks + cell.marks
            cell = replace(cell, marks="".join(mark for mark in MARKS if mark in both))
        there[at] = cell


def _of_whole_models() -> set[str]:
    """Names of scores that are of no layer."""
    from bend_hf.zero_shot.likelihood import LIKELIHOODS  # imports PyTorch

    return {likelihood.name for likelihood in LIKELIHOODS}


def _said(results: Sequence[Result], found: dict[str, dict[int, _Cell]]) -> str:
    """Say how far the choice moves the score, and what a choice that has not looked comes to."""
    values = [cell.value for cells in found.values() for cell in cells.values()]
    text = f"From {number(min(values))} to {number(max(values))} with the score and layer that are taken"
    if len(results) > 1:
        return f"{text}. Each layer is a result of its own: none chooses among layers (--scores distances@all does)."
    [result] = results
    fitted = result.secondary.get("cross_fitted") or {}
    text += f"; the headline is {number(result.score)}"
    if fitted.get("score") is None:
        return f"{text}."
    ends = f" ({interval(fitted['interval'])})" if fitted.get("interval") else ""
    return f"{text}, the cross-fitted best {number(fitted['score'])}{ends}."
