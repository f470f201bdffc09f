"""Panels of a task's page on runs that differ in one thing: score by layer, and by the number of training rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bend_hf.report.charts import Line, line_chart
from bend_hf.report.elements import Figure, ends_text
from bend_hf.report.table import METRICS
from bend_hf.results.board import Row
from bend_hf.results.sweeps import Sweep, by_layer, by_training_rows
from bend_hf.tasks import Task
from bend_hf.templates import Markup
from bend_hf.text import number

MARKS = 12
"""Most marks of an axis."""


def sweeps(task: Task, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the panels of a task; none where no model was run at several layers or on several numbers of rows."""
    layers, sizes = by_layer(rows), by_training_rows(rows)
    parts = []
    if layers:
        panel = _panel(task, layers, "Score by layer", "layer (0: embeddings)", lambda at: at)
        parts.append(panel | {"chosen": [_chosen(sweep) for sweep in layers]})
    if sizes:
        parts.append(_panel(task, sizes, "Score against training rows", "training rows", math.log10))
    return parts


def _panel(
    task: Task, found: Sequence[Sweep], title: str, what: str, scale: Callable[[float], float]
) -> dict[str, Any]:
    """A chart with intervals, and its numbers for a table."""
    metric = METRICS[task.metric]
    drawn = []
    marks: dict[float, str] = {}
    for k, sweep in enumerate(found):
        x = [scale(point.at) for point in sweep.points]
        marks |= dict(zip(x, (point.name for point in sweep.points), strict=True))
        ends = [point.row.interval for point in sweep.points]
        drawn.append(Line(sweep.title, k, x, [point.row.score or 0.0 for point in sweep.points], ends))
    marks = dict(sorted(marks.items())[:: math.ceil(len(marks) / MARKS)])
    svg = line_chart(drawn, title=title, x_label=what, y_label=metric, x_names=marks, dots=True)
    legend = [(sweep.title, k) for k, sweep in enumerate(found)]
    return {
        "figure": Figure(title, Markup(svg), legend, note="test rows, with intervals"),
        "caption": f"{title}: the numbers.",
        "titles": ["Model", what.partition(" (")[0].capitalize(), "Validation", metric, "95 % interval"],
        "lines": [(sweep.title, point.name, point.validation, point.row) for sweep in found for point in sweep.points],
        "chosen": [],
    }


def _chosen(sweep: Sweep) -> str:
    """Say which layer validation chooses, and what that one scores."""
    best = sweep.best
    if best is None:
        return (
            f"{sweep.title}: nothing is trained, so that no layer is chosen: the highest point is picked on the test "
            "rows."
        )
    ends = f" ({ends_text(best.row)})" if best.row.interval else ""
    return (
        f"{sweep.title}: chosen on validation: layer {best.name} (validation {number(best.validation)}), which scores "
        f"{number(best.row.score)}{ends} on the test rows."
    )
