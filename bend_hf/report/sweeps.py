"""Panels of a task's page on runs that differ in one thing: score by layer, and by the number of training rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from bend_hf.report.charts import Line, line_chart
from bend_hf.report.elements import ends_text, figure, header, legend, table
from bend_hf.report.table import METRICS
from bend_hf.results.board import Row
from bend_hf.results.sweeps import Sweep, by_layer, by_training_rows
from bend_hf.tasks import Task
from bend_hf.text import number

MARKS = 12
"""Most marks of an axis."""


def sweeps(task: Task, rows: Sequence[Row]) -> str:
    """Return the panels of a task; nothing where no model was run at several layers or on several numbers of rows."""
    layers, sizes = by_layer(rows), by_training_rows(rows)
    parts = []
    if layers:
        parts.append(_panel(task, layers, "Score by layer", "layer (0: embeddings)", lambda at: at) + _chosen(layers))
    if sizes:
        parts.append(_panel(task, sizes, "Score against training rows", "training rows", math.log10))
    return "".join(parts)


def _panel(task: Task, found: Sequence[Sweep], title: str, what: str, scale: Callable[[float], float]) -> str:
    """A chart with intervals, and its numbers in a table."""
    metric = METRICS[task.metric]
    lines, body = [], ""
    marks: dict[float, str] = {}
    for k, sweep in enumerate(found):
        points = sweep.points
        x = [scale(point.at) for point in points]
        marks |= dict(zip(x, (point.name for point in points), strict=True))
        ends = [point.row.interval for point in points]
        lines.append(Line(sweep.title, k, x, [point.row.score or 0.0 for point in points], ends))
        for point in points:
            cells = f"<td>{escape(point.name)}</td><td>{number(point.validation)}</td>"
            cells += f"<td>{number(point.row.score)}</td><td>{ends_text(point.row)}</td>"
            body += f'<tr><th scope="row">{escape(sweep.title)}</th>{cells}</tr>'
    marks = dict(sorted(marks.items())[:: math.ceil(len(marks) / MARKS)])
    svg = line_chart(lines, title=title, x_label=what, y_label=metric, x_names=marks, dots=True)
    drawn = figure(
        title, svg, legend([(sweep.title, k) for k, sweep in enumerate(found)]), note="test rows, with intervals"
    )
    head = header(["Model", what.partition(" (")[0].capitalize(), "Validation", metric, "95 % interval"])
    return f'<div class="grid">{drawn}</div>{table(f"{title}: the numbers.", head, body)}'


def _chosen(found: Sequence[Sweep]) -> str:
    """Say which layer validation chooses, and what that one scores."""
    said = ""
    for sweep in found:
        best = sweep.best
        if best is None:
            text = "nothing is trained, so that no layer is chosen: the highest point is picked on the test rows."
        else:
            ends = f" ({ends_text(best.row)})" if best.row.interval else ""
            text = (
                f"chosen on validation: layer {best.name} (validation {number(best.validation)}), which scores "
                f"{number(best.row.score)}{ends} on the test rows."
            )
        said += f"<p>{escape(sweep.title)}: {escape(text)}</p>"
    return said
