"""The report's page: leaderboard, heat map, cost, one page per task, and how to read it.

`page` puts the parts together; what a single task shows is in `bend_hf.report.taskpage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files as package_files

from bend_hf import __version__
from bend_hf.report.charts import interval_bar, scatter, series_class
from bend_hf.report.table import TOY, duration, number, size
from bend_hf.report.write import Group
from bend_hf.results.board import BASELINES, Row, group_means
from bend_hf.tasks import TASKS, Task

METRICS = {"mcc": "MCC", "auroc": "AUROC", "auprc": "AUPRC"}


def page(groups: Sequence[Group], references: Sequence[Row]) -> str:
    """Return the whole page.

    Args:
        groups: Results, by what may stand in one table.
        references: Published values.
    """
    from bend_hf.report.taskpage import task_page

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
    pages = [_overview(groups, series), *(task_page(task, groups, references, series) for task in tasks), reading]
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


def key(group: Group) -> str:
    """A group's name in the page's markup."""
    return f"{group.protocol}{'-toy' if group.toy else ''}"


def model_cell(row: Row, series: int | None, extra: str = "") -> str:
    """The header cell of a row: the model, its colour and what kind of row it is."""
    mark = "" if series is None else f'<span class="key {series_class(series)}" aria-hidden="true"></span>'
    tag = "" if row.kind == "model" else f'<span class="tag">{row.kind}</span>'
    return f'<th scope="row" data-v="{escape(row.title)}">{mark}{name_of(row.title)}{tag}{extra}</th>'


def marks_of(group: Group, *rows: Row | None) -> str:
    """Letters of what departs from the recipe in some rows; the list under the leaderboard explains them."""
    letters = group.marks
    texts = dict.fromkeys(row.departures for row in rows if row is not None and row.departures)
    return "".join(f'<sup class="off" title="{escape(text)}">{letters[text]}</sup>' for text in texts)


def departure_of(group: Group, row: Row) -> str:
    """What departs from the recipe, for under a model's name, and whether that keeps it out of the ranking."""
    if not row.departures:
        return ""
    return f'<span class="off">{escape(row.departures)}{"; not ranked" if group.unlike(row) else ""}</span>'


def name_of(title: str) -> str:
    """A model's name that breaks after hyphens and slashes, with its organisation or folder set back."""
    folder, slash, name = title.rpartition("/")
    before, after = (escape(part).replace("-", "-<wbr>").replace("/", "/<wbr>") for part in (folder, name))
    return f'<span class="org">{before}{slash}</span><wbr>{after}' if slash else after


def row_start(row: Row) -> str:
    """The start of a table row that the filter knows."""
    return f'<tr data-model="{escape(row.title)}" data-kind="{row.kind}">'


def header(titles: Sequence[str], *, text: Sequence[int] = (0,)) -> str:
    """The header of a sortable table; columns in `text` hold words, one without a title holds bars."""
    cells = []
    for k, title in enumerate(titles):
        mark = ' data-text="" class="text"' if k in text else ""
        if title:
            cells.append(f'<th scope="col" aria-sort="none"{mark}><button type="button">{title}</button></th>')
        else:
            cells.append('<td class="head"></td>')
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def table(caption: str, head: str, *bodies: str, name: str = "") -> str:
    """A table that scrolls sideways in its frame where it is too wide; bodies are rows or whole ``<tbody>``."""
    inside = "".join(body if body.startswith("<tbody") else f"<tbody>{body}</tbody>" for body in bodies if body)
    mark = f' class="{name}"' if name else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table{mark}><caption><span>{escape(caption)}</span></caption>{head}{inside}</table></div>"
    )


def span_of(rows: Sequence[Row]) -> tuple[float, float]:
    """Lowest and highest of scores, intervals and chance: the ends of the bars in a column."""
    values = [v for row in rows for v in (row.score, row.chance, *(row.interval or ())) if v is not None]
    return (min(values), max(values)) if values else (0.0, 1.0)


def _overview(groups: Sequence[Group], series: dict[str, int]) -> str:
    parts = ['<section class="page" id="overview"><h2 tabindex="-1">Leaderboard</h2>']
    for group in groups:
        title = f"<h3>{escape(group.title)}</h3>" if len(groups) > 1 else ""
        parts.append(
            f'<div data-group="{key(group)}">{title}{_leaderboard(group, series)}{_departures(group)}{_missing(group)}'
            f"{_heat(group, series)}{_cost(group, series)}{_failures(group)}</div>"
        )
    return "".join([*parts, "</section>"])


def _leaderboard(group: Group, series: dict[str, int]) -> str:
    tasks = [TASKS[name] for name in group.tasks]
    means = group_means(group.rows)
    shown = [
        (name, title)
        for name, title in (("supervised", "5 trained"), ("zero_shot", "2 zero-shot"))
        if any(means[model, group.protocol, group.toy][name] is not None for model in group.models)
    ]
    titles = ["Model", *(f"{escape(task.title)}<br>{METRICS[task.metric]}" for task in tasks)]
    titles += [f"Mean of<br>{title},<br>centred" for _, title in shown]
    spans = {task.name: span_of([row for row in group.rows if row.task == task.name]) for task in tasks}
    body = []
    for model in group.models:
        rows = {task.name: group.row(model, task.name) for task in tasks}
        first = next(row for row in rows.values() if row is not None)
        cells = [_score_cell(group, row, spans[name], series[model]) for name, row in rows.items()]
        for name, _ in shown:
            value = means[model, group.protocol, group.toy][name]
            averaged = [row for task, row in rows.items() if (TASKS[task].recipe is None) == (name == "zero_shot")]
            mark = "" if value is None else marks_of(group, *averaged)
            cells.append(f'<td data-v="{"" if value is None else value}">{number(value)}{mark}</td>')
        body.append(f"{row_start(first)}{model_cell(first, series[model])}{''.join(cells)}</tr>")
    chance = ['<tr><th scope="row">chance</th>']
    for task in tasks:
        known = [row.chance for row in group.rows if row.task == task.name and row.chance is not None]
        chance.append(f'<td class="none">{number(known[0] if known else None)}</td>')
    chance += ['<td class="none">0.000</td>' for _ in shown]
    caption = (
        f"{group.title}: score with its 95 % interval over test rows. Small numbers before a score are ranks; models "
        "that cannot be told apart share one."
    )
    last = f'<tbody class="apart">{"".join(chance)}</tr></tbody>'
    return table(caption, header(titles), "".join(body), last, name="board")


def _score_cell(group: Group, row: Row | None, span: tuple[float, float], series: int) -> str:
    if row is None:
        return '<td class="none" data-v="">–</td>'
    if row.score is None:
        word = '<a href="#failures">failed</a>' if row.failure else "undefined"
        return f'<td class="none" data-v="">{word}</td>'
    rank = group.rank(row)
    place = f'<span class="rank" title="rank">{rank}</span>' if rank else ""
    best = ' class="best"' if rank and rank.startswith("1") and rank[1:2] in ("", "–") else ""
    bar = interval_bar(row.score, row.interval, row.chance, *span, series).replace(
        'class="bar ', 'class="bar under ', 1
    )
    ends = f'<span class="ends">{ends_text(row)}</span>' if row.interval else ""
    score = f'<span class="score">{row.score:.3f}</span>{marks_of(group, row)}'
    return f'<td{best} data-v="{row.score}">{place}{score}{bar}{ends}</td>'


def ends_text(row: Row) -> str:
    """An interval for a cell."""
    return "–" if row.interval is None else f"{row.interval[0]:.3f} to {row.interval[1]:.3f}"


def _departures(group: Group) -> str:
    """What the letters mean."""
    if not group.marks:
        return ""
    items = "".join(f'<li><sup class="off">{letter}</sup> {escape(text)}</li>' for text, letter in group.marks.items())
    return f'<div class="off small"><p>Settings other than the benchmark\'s:</p><ul>{items}</ul></div>'


def _missing(group: Group) -> str:
    lacking = [
        title for name, title in BASELINES.items() if name in ("onehot", "composition") and name not in group.models
    ]
    notes = (
        [f"The {' and '.join(lacking)} baseline{'s are' if len(lacking) > 1 else ' is'} not among these results."]
        if lacking
        else []
    )
    notes += group.comparison.notes
    return "".join(f'<p class="soft small">{escape(note)}</p>' for note in notes)


def _heat(group: Group, series: dict[str, int]) -> str:
    if len(group.models) < 2 and len(group.tasks) < 2:
        return ""
    body = []
    for model in group.models:
        rows = [group.row(model, task) for task in group.tasks]
        first = next(row for row in rows if row is not None)
        cells = []
        for row in rows:
            value = None if row is None else row.centred
            if row is None or value is None:
                cells.append('<td class="none" data-v="">–</td>')
            else:
                warmth = "warm" if value >= 0 else "cool"
                strength = round(60 * min(abs(value) ** 0.7, 1))
                text = f"{value:+.3f}{marks_of(group, row)}"
                cells.append(f'<td class="{warmth}" style="--v:{strength}" data-v="{value}">{text}</td>')
        body.append(f"{row_start(first)}{model_cell(first, series[model])}{''.join(cells)}</tr>")
    caption = "Centred scores, (score - chance) / (1 - chance): 0 is chance, 1 is perfect; orange is below chance."
    titles = ["Model", *(escape(TASKS[task].title) for task in group.tasks)]
    return f"<h2>How far above chance</h2>{table(caption, header(titles), ''.join(body), name='heat')}"


def _cost(group: Group, series: dict[str, int]) -> str:
    body, points = [], []
    means = group_means(group.rows)
    for model in group.models:
        rows = [row for row in group.rows if row.model == model]
        seconds = [row.seconds for row in rows if row.seconds is not None]
        memory = [row.memory for row in rows if row.memory is not None]
        stored = [row.stored for row in rows if row.stored is not None]
        total = sum(seconds) if seconds else None
        peak = max(memory) if memory else None
        largest = max(stored) if stored else None
        cells = [
            f'<td data-v="{"" if value is None else value}">{text}</td>'
            for value, text in (
                (len(rows), str(len(rows))),
                (total, duration(total)),
                (peak, size(peak)),
                (largest, size(largest)),
            )
        ]
        name = model_cell(rows[0], series[model], marks_of(group, *rows))
        body.append(f"{row_start(rows[0])}{name}{''.join(cells)}</tr>")
        mean = means[model, group.protocol, group.toy]["supervised"]
        if mean is not None and total:
            points.append((rows[0].title, series[model], total, mean))
    caption = "What the results took. Times and memory depend on the machine, which each provenance panel names."
    head = header(["Model", "Tasks", "Time, all stages", "Peak memory", "Largest store of vectors"])
    chart = cost_chart(points, "mean centred score, 5 trained tasks") if len(points) > 1 else ""
    return f'<h2>Cost</h2>{table(caption, head, "".join(body))}<div class="grid">{chart}</div>'


def cost_chart(points: Sequence[tuple[str, int, float, float]], y_label: str) -> str:
    """Score over time as a figure."""
    steps = (
        (1, "s", (1, 3, 10, 30)),
        (60, "min", (1, 3, 10, 30)),
        (3600, "h", (1, 3, 10)),
        (86400, "d", (1, 3, 10, 30)),
    )
    marks = {float(unit * n): f"{n} {name}" for unit, name, counts in steps for n in counts}
    svg = scatter(points, title="Score against time", x_label="time, all stages", y_label=y_label, x_ticks=marks)
    return figure("Score against cost", svg, legend([(name, k) for name, k, *_ in points]))


def figure(title: str, *inside: str, note: str = "", wide: bool = False) -> str:
    """A captioned figure."""
    under = f"<span>{escape(note)}</span>" if note else ""
    mark = ' class="wide"' if wide else ""
    return f"<figure{mark}><figcaption>{escape(title)}{under}</figcaption>{''.join(inside)}</figure>"


def short(title: str) -> str:
    """A model's name without organisation or folder, for charts and narrow columns."""
    return title.rpartition("/")[2] or title


def legend(entries: Sequence[tuple[str, int]]) -> str:
    """Which colour is which model."""
    items = "".join(
        f'<li data-model="{escape(name)}"><span class="key {series_class(k)}"></span>{escape(short(name))}</li>'
        for name, k in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _failures(group: Group) -> str:
    failed = [row for row in group.rows if row.failure]
    if not failed:
        return ""
    body = "".join(
        f'{row_start(row)}{model_cell(row, None)}<td class="text">{escape(TASKS[row.task].title)}</td>'
        f'<td class="text">{escape(row.failure or "")}</td></tr>'
        for row in failed
    )
    head = header(["Model", "Task", "Reason"], text=(0, 1, 2))
    return f'<h2 id="failures">Failures</h2>{table("Tasks without a score, and why.", head, body)}'


def task_facts(task: Task) -> str:
    """What a task is: a summary, its metric and its caveats."""
    caveats = "".join(f"<li>{escape(caveat)}</li>" for caveat in task.caveats)
    return f'<p>{escape(task.summary)}</p><ul class="soft small">{caveats}</ul>'
