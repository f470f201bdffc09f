"""One task's page of the report: ranking, differences, figures, tables and provenance of every group."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from bend_hf.report.choices import choices
from bend_hf.report.details import Detail, detail
from bend_hf.report.elements import html, span_of
from bend_hf.report.figures import confusions, figures
from bend_hf.report.groups import Group
from bend_hf.report.locus import BYTES, browser, can_browse
from bend_hf.report.panels import differences, panels
from bend_hf.report.sweeps import sweeps
from bend_hf.report.table import AT_CHANCE, METRICS, NO_BETTER, chance_of
from bend_hf.results.board import Row
from bend_hf.tasks import BEND, TASKS, Task
from bend_hf.templates import Markup


def task_page(
    task: Task, groups: Sequence[Group], references: Sequence[Row], series: dict[str, int], browse: int | None = None
) -> Markup:
    """Return the section of a task; `browse` is the number of test rows to browse, None for as many as find room."""
    browsed = sum(can_browse(TASKS[row.task]) for group in groups for row in group.rows)
    published = [row for row in references if row.task == task.name]
    room = BYTES // max(browsed, 1)
    parts = [
        _part(task, group, [] if group.toy else published, series, lambda row: detail(row, room, browse))
        for group in groups
        if task.name in group.tasks
    ]
    return html(
        "task.html", task=task, parts=parts, several=len(groups) > 1, metric=METRICS[task.metric], series=series
    )


def _part(
    task: Task,
    group: Group,
    elsewhere: Sequence[Row],
    series: dict[str, int],
    read: Callable[[Row], Detail | None],
) -> dict[str, Any]:
    """What the section shows of a group, by the names that its template has for it; `read` is `detail`."""
    rows = [row for row in group.rows if row.task == task.name]
    details = {row.model: found for row in rows if (found := read(row)) is not None}
    return {
        "group": group,
        "rows": rows,
        "audits": group.audits(task.name),
        "elsewhere": elsewhere,
        "span": span_of([*rows, *elsewhere]),
        "caption": _caption(task, rows),
        "chance": next((chance_of(row) for row in rows if row.chance is not None), "-"),
        "differences": differences(task, group),
        "figures": figures(task, rows, details, series),
        "matrices": confusions(task, rows, details),
        "sweeps": sweeps(task, rows),
        "choices": choices(rows),
        "browser": browser(
            task,
            [
                (row.title, series[row.model], found.packed, found.picture)
                for row in rows
                if (found := details.get(row.model)) is not None and found.packed is not None
            ],
        ),
        "panels": panels(task, rows, details),
        "provenance": [_provenance(row) for row in rows],
    }


def _caption(task: Task, rows: Sequence[Row]) -> str:
    counts = next((row.results[0].counts for row in rows if row.score is not None), {})
    declared = sum(task.rows.values()) if task.folds else task.rows["test"]
    tested = counts.get("rows")
    text = "" if tested is None else f"{tested:,} test rows"
    if tested is not None and tested != declared:
        whole = f"the released {declared:,}" if task in BEND else f"{declared:,} declared"
        text += f" of {whole}: scores are not comparable with {'published ones' if task in BEND else 'those on all'}"
    if counts.get("clusters"):
        unit = next(row.results[0].secondary.get("interval", {}).get("unit") for row in rows if row.score is not None)
        text += f"; intervals from {counts['clusters']} {unit}s" if unit else ""
    seeds = " Seeds: deviation over training seeds (number of them), part of the interval."
    low = f" {AT_CHANCE}: {NO_BETTER}."
    return f"{text}.{seeds if any(row.spread for row in rows) else ''}{low if any(r.at_chance for r in rows) else ''}"


def _provenance(row: Row) -> dict[str, Any]:
    """Where a row's numbers come from: its command, and the facts of its first record."""
    seeds = [str(result.seed) for result in row.results if result.seed is not None]
    provenance = dict(row.results[0].provenance)
    command = provenance.pop("command", None)
    return {
        "row": row,
        "seeds": f" (seeds {', '.join(seeds)}; that of {seeds[0]} is shown)" if len(seeds) > 1 else "",
        "command": command if isinstance(command, str) else shlex.join(command or []),
        "facts": [
            (name.replace("_", " "), _plain(value)) for name, value in provenance.items() if value not in (None, {}, [])
        ],
    }


def _plain(value: Any) -> str:
    if isinstance(value, str | int | float):
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(item)}" for name, item in value.items() if item is not None)
    return json.dumps(value)
