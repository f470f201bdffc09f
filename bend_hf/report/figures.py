"""Figures of a task's page: curves, learning, single labels and folds, cost, and confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bend_hf.report.charts import Line, line_chart, strips
from bend_hf.report.details import Detail
from bend_hf.report.elements import Figure, cost_chart, html, short
from bend_hf.report.table import METRICS
from bend_hf.results.board import Row
from bend_hf.results.curves import Curve, learning_curve
from bend_hf.tasks import Task
from bend_hf.templates import Markup

UNIT = (0.0, 1.0)


def figures(task: Task, rows: Sequence[Row], details: Mapping[str, Detail], series: Mapping[str, int]) -> list[Figure]:
    """Return the charts of a task's models; those without data are left out."""
    names = {row.model: row.title for row in rows}
    drawn = []

    def add(title: str, curves: Mapping[str, Curve | None], note: str, **options: Any) -> None:
        lines = [Line(names[model], series[model], *curve) for model, curve in curves.items() if curve is not None]
        if lines:
            svg = line_chart(lines, title=f"{title}, {task.title}", **options)
            drawn.append(Figure(title, Markup(svg), [(line.name, line.series) for line in lines], note))

    add(
        "ROC curve",
        {model: found.roc for model, found in details.items()},
        "mean over labels" if task.kind.label_columns(task) > 1 else "",
        x_label="false positive rate",
        y_label="true positive rate",
        x_range=UNIT,
        y_range=UNIT,
        diagonal=True,
    )
    add(
        "Precision-recall curve",
        {model: found.precision_recall for model, found in details.items()},
        "mean over folds" if task.folds else "",
        x_label="recall",
        y_label="precision",
        x_range=UNIT,
        y_range=UNIT,
    )
    for title, name, y_label in (
        ("Learning curve", "validation_score", f"validation {METRICS[task.metric]}"),
        ("Training loss", "train_loss", "training loss"),
    ):
        curves = {row.model: learning_curve(row.results, name) for row in rows}
        add(title, curves, "mean over seeds and folds", x_label="epoch", y_label=y_label, dots=_short(curves))
    drawn += _strips(task, rows, series)
    points = [
        (row.title, series[row.model], row.seconds, row.score) for row in rows if row.seconds and row.score is not None
    ]
    return [*drawn, cost_chart(points, METRICS[task.metric])] if len(points) > 1 else drawn


def _short(curves: Mapping[str, Curve | None]) -> bool:
    return all(curve is None or len(curve[0]) <= 30 for curve in curves.values())


def _strips(task: Task, rows: Sequence[Row], series: Mapping[str, int]) -> list[Figure]:
    """Dots of single labels, or of folds."""
    several = task.kind.label_columns(task) > 1
    found: list[tuple[str, int, Sequence[float | None], Sequence[str]]] = []
    for row in rows:
        first = row.results[0]
        if several and "per_label" in first.secondary:
            found.append((row.title, series[row.model], first.secondary["per_label"], task.label_names))
        elif first.folds:
            scores = [fold.get("score") for fold in first.folds]
            found.append((row.title, series[row.model], scores, [fold["part"] for fold in first.folds]))
    if not found:
        return []
    what = "label" if several else "fold"
    chance = next((row.chance for row in rows if row.chance is not None), None)
    svg = strips(found, title=f"Score of every {what}", x_label=METRICS[task.metric], chance=chance)
    return [Figure(f"Every {what}", Markup(svg), note=f"one dot per {what}, the bar is their mean")]


def confusions(task: Task, rows: Sequence[Row], details: Mapping[str, Detail]) -> list[Figure]:
    """Return a table of true by predicted classes for every model that has one."""
    found = [(row, details[row.model].confusion) for row in rows if row.model in details]
    return [
        Figure(f"Confusion of {short(row.title)}", _confusion(task, matrix), note="per cent of each true class")
        for row, matrix in found
        if matrix is not None
    ]


def _confusion(task: Task, matrix: np.ndarray) -> Markup:
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = [name.replace("_", " ") for name in task.label_names]
    lines = [
        (
            name,
            [
                (f"{value:.0f}" if counts.sum() else None, f"{count:,} {task.kind.unit}s")
                for value, count in zip(line, counts, strict=True)
            ],
        )
        for name, line, counts in zip(names, share, matrix, strict=True)
    ]
    return html("confusion.html", names=names, lines=lines)
