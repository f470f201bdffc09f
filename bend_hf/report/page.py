"""The report's page: leaderboard, heat map, cost, one page per task, and how to read it.

`page` puts the parts together; what a single task shows is in `bend_hf.report.taskpage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files as package_files

from bend_hf import __version__
from bend_hf.report.elements import key
from bend_hf.report.groups import Group
from bend_hf.report.leaderboard import overview
from bend_hf.report.table import TOY
from bend_hf.report.taskpage import task_page
from bend_hf.results.board import BASELINES, Row
from bend_hf.tasks import TASKS


def page(groups: Sequence[Group], references: Sequence[Row]) -> str:
    """Return the whole page.

    Args:
        groups: Results, by what may stand in one table.
        references: Published values.
    """
    package = package_files("bend_hf.report") / "assets"
    style, picture, script, reading = (
        (package / name).read_text(encoding="utf-8")
        for name in ("report.css", "picture.css", "report.js", "reading.html")
    )
    series = number_models(groups)
    tasks = [task for task in TASKS.values() if any(task.name in group.tasks for group in groups)]
    links = [("overview", "Overview"), *((task.name, task.title) for task in tasks), ("reading", "Guide")]
    navigation = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in links)
    records = [result for group in groups for row in group.rows for result in row.results]
    date = datetime.now(UTC).date().isoformat()
    summary = (
        f"{_count(len(series), 'model')} on {_count(len(tasks), 'task')}, {_count(len(records), 'record')} · "
        f"made {date} with bend_hf {__version__}"
    )
    pages = [overview(groups, series), *(task_page(task, groups, references, series) for task in tasks), reading]
    toy = f'<p class="toy" role="note">{escape(TOY)}</p>' if any(group.toy for group in groups) else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>BEND results</title>
<link rel="icon" href="data:,">
<style>
{picture}{style}</style>
</head>
<body>
<a class="skip" href="#overview">To the leaderboard</a>
<header class="top"><div class="wrap">
<h1>BEND results <small>DNA language models on biologically meaningful tasks (BEND, 2024 tasks) · {summary}</small></h1>
<button type="button" class="plain theme" hidden>Light or dark</button>
</div></header>
<nav class="pages" aria-label="Pages"><div class="wrap"><ul>{navigation}</ul></div></nav>
<div class="wrap">
{_filter(groups, bool(references))}
<p id="status" class="soft small" role="status"></p>
{toy}
<main>
{"".join(pages)}
</main>
<footer>Made by bend_hf {__version__}. Every number has a record; the task pages show where it comes from.</footer>
</div>
<script>
{script}</script>
</body>
</html>
"""


def number_models(groups: Sequence[Group]) -> dict[str, int]:
    """A number per model, the same in every table and chart: models first, then baselines."""
    names = dict.fromkeys(row.model for group in groups for row in group.rows)
    return {name: k for k, name in enumerate(sorted(names, key=lambda name: name in BASELINES))}


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _filter(groups: Sequence[Group], references: bool) -> str:
    choice = ""
    if len(groups) > 1:
        options = "".join(f'<option value="{key(group)}">{escape(group.title)}</option>' for group in groups)
        choice = f'<label>Show <select name="group"><option value="">every protocol</option>{options}</select></label>'
    kinds = [("baseline", "baselines")] + ([("published", "published values")] if references else [])
    boxes = "".join(
        f'<label><input type="checkbox" name="kind" value="{kind}" checked> {title}</label>' for kind, title in kinds
    )
    return (
        '<form class="filter" role="search" hidden>'
        '<label>Model <input type="search" name="model" placeholder="part of a name" autocomplete="off"></label>'
        f"{choice}{boxes}</form>"
    )
