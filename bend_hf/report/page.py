"""The report's page: leaderboard, heat map, cost, one page per task, and how to read it.

`page` puts the parts together; what a single task shows is in `bend_hf.report.taskpage`. How things are marked up is in
``templates/``, how they look in ``assets/``.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files as package_files

from bend_hf import __version__
from bend_hf.report import export
from bend_hf.report.elements import html
from bend_hf.report.groups import Group, title_of
from bend_hf.report.leaderboard import overview
from bend_hf.report.table import TOY
from bend_hf.report.taskpage import task_page
from bend_hf.results.board import BASELINES, Row
from bend_hf.tasks import BEND, TASKS
from bend_hf.templates import Markup


def page(groups: Sequence[Group], references: Sequence[Row], browse: int | None = None) -> str:
    """Return the whole page.

    Args:
        groups: Results, by what may stand in one table.
        references: Published values.
        browse: Test rows of every task to browse; None for as many as find room.
    """
    package = package_files("bend_hf.report") / "assets"
    colours, style, chart, picture, browser, script, browsing, reading = (
        Markup((package / name).read_text(encoding="utf-8"))
        for name in (
            *("colours.css", "report.css", "chart.css", "picture.css", "locus.css"),
            *("report.js", "locus.js", "reading.html"),
        )
    )
    series = number_models(groups)
    tasks = [task for task in TASKS.values() if any(task.name in group.tasks for group in groups)]
    return html(
        "page.html",
        title=title_of(groups),
        what="biologically meaningful tasks (BEND, 2024 tasks)" if set(tasks) & set(BEND) else "tasks of one's own",
        pages=[("overview", "Overview"), *((task.name, task.title) for task in tasks), ("reading", "Guide")],
        sections=[
            overview(groups, series),
            *(task_page(task, groups, references, series, browse) for task in tasks),
            reading,
        ],
        groups=groups,
        references=references,
        series=series,
        tasks=tasks,
        records=sum(len(row.results) for group in groups for row in group.rows),
        downloads=_downloads(groups, references),
        toy=TOY if any(group.toy for group in groups) else "",
        date=datetime.now(UTC).date().isoformat(),
        version=__version__,
        style=colours + chart + picture + style + browser,
        script=script + browsing,
    )


def number_models(groups: Sequence[Group]) -> dict[str, int]:
    """A number per model, the same in every table and chart: models first, then baselines."""
    names = dict.fromkeys(row.model for group in groups for row in group.rows)
    return {name: k for k, name in enumerate(sorted(names, key=lambda name: name in BASELINES))}


def _downloads(groups: Sequence[Group], references: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Return title, file name and address of what the page offers to save: the tables as CSV and as JSON, in itself."""
    found = []
    for title, ending, kind, make in (
        ("CSV", "csv", "text/csv", export.csv),
        ("JSON", "json", "application/json", export.json),
    ):
        content = base64.b64encode(make(groups, references).encode()).decode()
        found.append((title, f"bend-results.{ending}", f"data:{kind};charset=utf-8;base64,{content}"))
    return found
