"""The report's first section: leaderboard, scores above chance, cost and failures of every group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bend_hf.data.audited import CLEAR
from bend_hf.report.elements import cost_chart, html, span_of
from bend_hf.report.groups import Group
from bend_hf.report.table import AT_CHANCE, METRICS, NO_BETTER, chance_of
from bend_hf.results.board import BASELINES, Row, group_means, mean_of
from bend_hf.tasks import TASKS
from bend_hf.templates import Markup, one_line
from bend_hf.text import duration, size

MEANS = {"supervised": "5 trained", "zero_shot": "2 zero-shot", "own": "own tasks"}
"""Means over tasks, and what they are over."""


def overview(groups: Sequence[Group], series: dict[str, int]) -> Markup:
    """Return the section."""
    return html("leaderboard.html", boards=[_board(group, series) for group in groups], series=series)


def _board(group: Group, series: dict[str, int]) -> dict[str, Any]:
    """What the section shows of a group, by the names that its template has for it."""
    tasks = [TASKS[name] for name in group.tasks]
    means = {model: of for (model, *_), of in group_means(group.rows).items()}
    shown = {name: title for name, title in MEANS.items() if any(of.get(name) is not None for of in means.values())}
    models = [_model(group, model, {name: means[model][name] for name in shown}) for model in group.models]
    of_task = [[row for row in group.rows if row.task == task.name] for task in tasks]
    chance = [next((chance_of(row) for row in rows if row.chance is not None), "-") for rows in of_task]
    points = []
    for model in models:
        (seconds, _), mean = model["costs"][0], means[model["name"]]["supervised"]
        if mean is not None and seconds:
            points.append((model["first"].title, series[model["name"]], seconds, mean))
    return {
        "group": group,
        "models": models,
        "titles": [
            "Model",
            *(f"{one_line(task.title)}\n{METRICS[task.metric]}" for task in tasks),
            *(f"Mean of\n{title},\ncentred" for title in shown.values()),
        ],
        "spans": [span_of(rows) for rows in of_task],
        "chance": [*chance, *("0.000" for _ in shown)],
        "caption": (
            f"{group.title}: score with its 95 % interval, over test rows and (with several seeds) training. Small "
            f"numbers before a score are the interval of its rank. {AT_CHANCE}: {NO_BETTER}."
        ),
        "notes": [*_missing(group), *_audited(group), *group.comparison.notes],
        "heat_titles": ["Model", *(task.title for task in tasks)],
        "cost": cost_chart(points, "mean centred score, 5 trained tasks") if len(points) > 1 else None,
        "failed": [(row, TASKS[row.task].title) for row in group.rows if row.failure],
    }


def _model(group: Group, model: str, means: dict[str, float | None]) -> dict[str, Any]:
    """A model's line: rows by task, each mean with the rows it is over, and what the results took."""
    rows = [group.row(model, task) for task in group.tasks]
    there = [row for row in rows if row is not None]

    def of(value: Callable[[Row], float | None]) -> list[float]:
        return [found for row in there if (found := value(row)) is not None]

    seconds, memory, stored = of(lambda row: row.seconds), of(lambda row: row.memory), of(lambda row: row.stored)
    total = sum(seconds) if seconds else None
    peak, largest = max(memory, default=None), max(stored, default=None)
    return {
        "name": model,
        "rows": rows,
        "there": there,
        "first": there[0],
        "means": [(value, [row for row in there if mean_of(TASKS[row.task]) == name]) for name, value in means.items()],
        "costs": [(total, duration(total)), (peak, size(peak)), (largest, size(largest))],
    }


def _audited(group: Group) -> list[str]:
    """What audits found in the rows of tasks."""
    said = {TASKS[name].title: group.audits(name) for name in group.tasks}
    return [f"Audit of {title}: {text}." for title, texts in said.items() for text in texts if text != CLEAR]


def _missing(group: Group) -> list[str]:
    lacking = [BASELINES[name] for name in ("onehot", "composition") if name not in group.models]
    if not lacking:
        return []
    return [f"The {' and '.join(lacking)} baseline{'s are' if len(lacking) > 1 else ' is'} not among these results."]
