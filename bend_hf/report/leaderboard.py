"""The report's first section: leaderboard, scores above chance, cost and failures of every group."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bend_hf.report.charts import interval_bar
from bend_hf.report.elements import (
    cost_chart,
    ends_text,
    header,
    key,
    mark_of,
    marks_of,
    model_cell,
    row_start,
    span_of,
    table,
)
from bend_hf.report.groups import Group
from bend_hf.report.table import AT_CHANCE, METRICS, NO_BETTER, chance_of
from bend_hf.results.board import BASELINES, Row, group_means, mean_of
from bend_hf.tasks import TASKS
from bend_hf.text import duration, number, size


def overview(groups: Sequence[Group], series: dict[str, int]) -> str:
    """Return the section."""
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
        for name, title in (("supervised", "5 trained"), ("zero_shot", "2 zero-shot"), ("own", "own tasks"))
        if any(means[model, group.protocol, group.toy].get(name) is not None for model in group.models)
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
            averaged = [row for task, row in rows.items() if name == mean_of(TASKS[task])]
            mark = "" if value is None else marks_of(group, *averaged)
            cells.append(f'<td data-v="{"" if value is None else value}">{number(value)}{mark}</td>')
        body.append(f"{row_start(first)}{model_cell(first, series[model])}{''.join(cells)}</tr>")
    chance = ['<tr><th scope="row">chance</th>']
    for task in tasks:
        known = [chance_of(row) for row in group.rows if row.task == task.name and row.chance is not None]
        chance.append(f'<td class="none">{known[0] if known else "-"}</td>')
    chance += ['<td class="none">0.000</td>' for _ in shown]
    caption = (
        f"{group.title}: score with its 95 % interval, over test rows and (with several seeds) training. Small numbers "
        f"before a score are the interval of its rank. {AT_CHANCE}: {NO_BETTER}."
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
    best = ' class="best"' if rank == "1" else ""
    bar = interval_bar(row.score, row.interval, row.chance, *span, series).replace(
        'class="bar ', 'class="bar under ', 1
    )
    ends = f'<span class="ends">{ends_text(row)}</span>' if row.interval else ""
    score = f'<span class="score">{row.score:.3f}{mark_of(row)}</span>{marks_of(group, row)}'
    return f'<td{best} data-v="{row.score}">{place}{score}{bar}{ends}</td>'


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
