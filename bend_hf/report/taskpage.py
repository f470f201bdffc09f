"""One task's page of the report: ranking, differences, curves, labels, folds, parts, pictures and provenance."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from bend_hf.report.charts import Line, interval_bar, line_chart, strips
from bend_hf.report.elements import (
    cost_chart,
    departure_of,
    ends_text,
    figure,
    header,
    key,
    legend,
    mark_of,
    model_cell,
    row_start,
    short,
    span_of,
    table,
)
from bend_hf.report.groups import Group
from bend_hf.report.plot import draw, has_picture
from bend_hf.report.scores import scores_table
from bend_hf.report.sweeps import sweeps
from bend_hf.report.table import AT_CHANCE, METRICS, NO_BETTER, chance_of, seeds_of
from bend_hf.results.board import Row
from bend_hf.results.breakdown import TOO_FEW, Part, breakdowns
from bend_hf.results.curves import Curve, confusion, learning_curve, precision_recall_curve, roc_curve
from bend_hf.results.record import Predictions, read_predictions
from bend_hf.tasks import Task
from bend_hf.text import duration, number, p_value

PAIRS = 45
"""Most differences shown; beyond it, only those to the best model."""


@dataclass(frozen=True)
class Detail:
    """What a page shows of one row's predictions (of its first seed)."""

    roc: Curve | None = None
    precision_recall: Curve | None = None
    confusion: np.ndarray | None = None
    parts: dict[str, list[Part]] = field(default_factory=dict)
    picture: str = ""


CURVES: dict[str, dict[str, Callable[[Predictions], Any]]] = {
    "per_nucleotide_class": {"confusion": confusion},
    "per_bin_binary": {"precision_recall": precision_recall_curve},
    "multilabel": {"roc": roc_curve},
    "variant_binary": {"roc": roc_curve, "precision_recall": precision_recall_curve},
    "window_class": {"confusion": confusion},
    "window_value": {},
}
"""Kind of labels → what is drawn of its predictions, by field of `Detail`."""


def detail(row: Row) -> Detail | None:
    """Read a row's predictions and take from them what the page shows; None where there are none."""
    result = next((r for r in row.results if r.predictions is not None and r.path is not None), None)
    if result is None:
        return None
    predictions = read_predictions(result)
    drawn = has_picture(predictions.task)
    return Detail(
        **{name: curve(predictions) for name, curve in CURVES.get(predictions.task.label_kind, {}).items()},
        parts=breakdowns(predictions),
        picture=draw(predictions, 0, title=row.title, style=False) if drawn else "",
    )


def task_page(task: Task, groups: Sequence[Group], references: Sequence[Row], series: dict[str, int]) -> str:
    """Return the section of a task."""
    parts = [f'<section class="page" id="{task.name}"><h2 tabindex="-1">{escape(task.title)}</h2>{_facts(task)}']
    for group in groups:
        rows = [row for row in group.rows if row.task == task.name]
        if not rows:
            continue
        details = {row.model: found for row in rows if (found := detail(row)) is not None}
        title = f"<h3>{escape(group.title)}</h3>" if len(groups) > 1 else ""
        elsewhere = [] if group.toy else [row for row in references if row.task == task.name]
        inside = [
            _ranking(task, group, rows, elsewhere, series),
            _differences(task, group),
            _charts(task, rows, details, series),
            sweeps(task, rows),
            _pictures(rows, details),
            _classes(task, rows),
            _labels(task, rows),
            scores_table(rows),
            _folds(rows),
            *(_parts(name, rows, details) for name in dict.fromkeys(n for d in details.values() for n in d.parts)),
            _provenance(rows),
        ]
        parts.append(f'<div data-group="{key(group)}">{title}{"".join(inside)}</div>')
    return "".join([*parts, "</section>"])


def _facts(task: Task) -> str:
    """What a task is: a summary, its metric and its caveats."""
    caveats = "".join(f"<li>{escape(caveat)}</li>" for caveat in task.caveats)
    return f'<p>{escape(task.summary)}</p><ul class="soft small">{caveats}</ul>'


def _ranking(task: Task, group: Group, rows: list[Row], elsewhere: Sequence[Row], series: dict[str, int]) -> str:
    span = span_of([*rows, *elsewhere])
    titles = ["Model", "Rank", METRICS[task.metric], "95 % interval", "", "Seeds", "Centred", "Time"]
    body = []
    for row in rows:
        rank = group.rank(row)
        cells = [
            _cell("" if rank is None else rank.partition("–")[0], rank or "–"),
            _cell(row.score, number(row.score) + mark_of(row), strong=True),
            _cell(None if row.interval is None else row.interval[0], ends_text(row)),
            f"<td>{interval_bar(row.score, row.interval, row.chance, *span, series[row.model])}</td>",
            _cell(row.spread["deviation"] if row.spread else "", seeds_of(row)),
            _cell(row.centred, number(row.centred)),
            _cell(row.seconds, duration(row.seconds)),
        ]
        name = model_cell(row, series[row.model], departure_of(group, row))
        body.append(f"{row_start(row)}{name}{''.join(cells)}</tr>")
    chance = next((chance_of(row) for row in rows if row.chance is not None), "-")
    last = (
        f'<tr><th scope="row">chance</th><td></td><td class="none">{chance}</td>'
        '<td></td><td></td><td></td><td class="none">0.000</td><td></td></tr>'
    )
    apart = f'<tbody class="apart">{last}</tbody>'
    if elsewhere:
        note = (
            f'<tr class="note"><td colspan="{len(titles)}"><span>Published or run elsewhere: other protocols and '
            "test rows, not computed here.</span></td></tr>"
        )
        apart += f'<tbody class="apart">{note}{"".join(_published(row, span) for row in elsewhere)}</tbody>'
    return table(_caption(task, rows), header(titles), "".join(body), apart)


def _published(row: Row, span: tuple[float, float]) -> str:
    source = f'<span class="ends">{escape(row.source or "")}; protocol: {escape(row.protocol)}</span>'
    return (
        f"{row_start(row)}{model_cell(row, None, source)}<td></td>{_cell(row.score, number(row.score), strong=True)}"
        f"<td></td><td>{interval_bar(row.score, None, row.chance, *span, 0)}</td><td></td>"
        f"{_cell(row.centred, number(row.centred))}<td></td></tr>"
    )


def _caption(task: Task, rows: Sequence[Row]) -> str:
    counts = next((row.results[0].counts for row in rows if row.score is not None), {})
    declared = sum(task.rows.values()) if task.folds else task.rows["test"]
    tested = counts.get("rows")
    text = "" if tested is None else f"{tested:,} test rows"
    if tested is not None and tested != declared:
        text += f" of the released {declared:,}: scores are not comparable with published ones"
    if counts.get("clusters"):
        unit = next(row.results[0].secondary.get("interval", {}).get("unit") for row in rows if row.score is not None)
        text += f"; intervals from {counts['clusters']} {unit}s" if unit else ""
    seeds = " Seeds: deviation over training seeds (number of them), part of the interval."
    low = f" {AT_CHANCE}: {NO_BETTER}."
    return f"{text}.{seeds if any(row.spread for row in rows) else ''}{low if any(r.at_chance for r in rows) else ''}"


def _cell(value: Any, text: str, *, strong: bool = False) -> str:
    shown = f'<span class="score">{text}</span>' if strong else text
    return f'<td data-v="{"" if value is None else value}">{shown}</td>'


def _differences(task: Task, group: Group) -> str:
    found = [item for item in group.comparison.differences if item.task == task.name]
    if not found:
        return ""
    best = found[0].a
    shown = found if len(found) <= PAIRS else [item for item in found if best in (item.a, item.b)]
    titles = {row.model: row.title for row in group.rows}
    body = ""
    for item in shown:
        ends = "–" if item.interval is None else f"{item.interval[0]:+.4f} to {item.interval[1]:+.4f}"
        alone = "*" if item.interval is not None and item.training == "unknown" else ""
        cells = _cell(item.difference, f"{item.difference:+.4f}")
        cells += _cell(None if item.interval is None else item.interval[0], ends + alone)
        cells += _cell(item.p, p_value(item.p))
        apart = item.corrected is not None and item.corrected < 1 - group.comparison.level
        cells += _cell(item.corrected, p_value(item.corrected), strong=apart)
        body += f'<tr><th scope="row">{escape(titles[item.a])} − {escape(titles[item.b])}</th>{cells}</tr>'
    head = header(["Difference", METRICS[task.metric], "95 % interval", "p", "Corrected p"])
    caption = f"Paired differences on the same test rows ({found[0].clusters} {found[0].unit}s drawn again)."
    if any(item.training == "unknown" and item.interval for item in shown):
        caption += " * over test rows alone: one seed does not tell what training again would change."
    if len(shown) < len(found):
        caption += f" {len(found)} pairs: only those with the best model are shown."
    return f"<details><summary>Differences between models</summary>{table(caption, head, body)}</details>"


def _charts(task: Task, rows: list[Row], details: dict[str, Detail], series: dict[str, int]) -> str:
    figures = []
    names = {row.model: row.title for row in rows}
    chance = next((row.chance for row in rows if row.chance is not None), None)

    def add(title: str, curves: dict[str, Curve | None], note: str, **options: Any) -> None:
        lines = [Line(names[model], series[model], *curve) for model, curve in curves.items() if curve is not None]
        if lines:
            svg = line_chart(lines, title=f"{title}, {task.title}", **options)
            figures.append(figure(title, svg, legend([(line.name, line.series) for line in lines]), note=note))

    unit = (0.0, 1.0)
    several = task.kind.label_columns(task) > 1
    mean = "mean over labels" if several else ""
    add(
        "ROC curve",
        {model: found.roc for model, found in details.items()},
        mean,
        x_label="false positive rate",
        y_label="true positive rate",
        x_range=unit,
        y_range=unit,
        diagonal=True,
    )
    add(
        "Precision-recall curve",
        {model: found.precision_recall for model, found in details.items()},
        "mean over folds" if task.folds else "",
        x_label="recall",
        y_label="precision",
        x_range=unit,
        y_range=unit,
    )
    for title, name, y_label in (
        ("Learning curve", "validation_score", f"validation {METRICS[task.metric]}"),
        ("Training loss", "train_loss", "training loss"),
    ):
        curves = {row.model: learning_curve(row.results, name) for row in rows}
        add(title, curves, "mean over seeds and folds", x_label="epoch", y_label=y_label, dots=_short(curves))
    strip_rows: list[tuple[str, int, Sequence[float | None], Sequence[str]]] = []
    for row in rows:
        first = row.results[0]
        if several and "per_label" in first.secondary:
            strip_rows.append((row.title, series[row.model], first.secondary["per_label"], task.label_names))
        elif first.folds:
            scores = [fold.get("score") for fold in first.folds]
            strip_rows.append((row.title, series[row.model], scores, [fold["part"] for fold in first.folds]))
    if strip_rows:
        what = "label" if several else "fold"
        svg = strips(strip_rows, title=f"Score of every {what}", x_label=METRICS[task.metric], chance=chance)
        figures.append(figure(f"Every {what}", svg, note=f"one dot per {what}, the bar is their mean"))
    points = [
        (row.title, series[row.model], row.seconds, row.score) for row in rows if row.seconds and row.score is not None
    ]
    if len(points) > 1:
        figures.append(cost_chart(points, METRICS[task.metric]))
    matrices = []
    for row in rows:
        matrix = details[row.model].confusion if row.model in details else None
        if matrix is not None:
            note = "per cent of each true class"
            matrices.append(figure(f"Confusion of {short(row.title)}", _confusion(task, matrix), note=note))
    wide = f'<div class="grid wide">{"".join(matrices)}</div>' if matrices else ""
    return (f'<div class="grid">{"".join(figures)}</div>' if figures else "") + wide


def _short(curves: dict[str, Curve | None]) -> bool:
    return all(curve is None or len(curve[0]) <= 30 for curve in curves.values())


def _confusion(task: Task, matrix: np.ndarray) -> str:
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    names = [escape(name.replace("_", " ")) for name in task.label_names]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = ""
    for name, line, counts in zip(names, share, matrix, strict=True):
        cells = "".join(
            f'<td style="--v:{value:.0f}" title="{count:,} nucleotides">{value:.0f}</td>'
            if counts.sum()
            else "<td>–</td>"
            for value, count in zip(line, counts, strict=True)
        )
        body += f'<tr><th scope="row">{name}</th>{cells}</tr>'
    return (
        '<table class="confusion"><thead><tr><td></td>' + head + f"</tr></thead><tbody>{body}</tbody></table>"
        '<p class="soft small">Rows are true classes, columns predicted ones.</p>'
    )


def _pictures(rows: Sequence[Row], details: dict[str, Detail]) -> str:
    shown = next(
        (details[row.model].picture for row in rows if row.model in details and details[row.model].picture), ""
    )
    if not shown:
        return ""
    note = "the first test row; for others: bend-hf plot RESULT.json --row N"
    return f'<div class="grid">{figure("Predicted and true", shown, note=note, wide=True)}</div>'


def _columns(rows: Sequence[Row]) -> list[str]:
    return [escape(short(row.title)) for row in rows]


def _classes(task: Task, rows: Sequence[Row]) -> str:
    scored = [row for row in rows if "recall" in row.results[0].secondary]
    if not scored:
        return ""
    support = scored[0].results[0].secondary.get("support")
    titles = [
        "Class",
        "Nucleotides",
        *(f"{name}<br>{what}" for name in _columns(scored) for what in ("recall", "precision")),
    ]
    body = ""
    for k, name in enumerate(task.label_names):
        cells = _cell(support[k], f"{support[k]:,}") if support else "<td>–</td>"
        for row in scored:
            for what in ("recall", "precision"):
                value = row.results[0].secondary[what][k]
                cells += _cell(value, number(value))
        body += f'<tr><th scope="row">{escape(name.replace("_", " "))}</th>{cells}</tr>'
    caption = "Recall and precision of every class (first seed)."
    return f"<details open><summary>Classes</summary>{table(caption, header(titles), body)}</details>"


def _labels(task: Task, rows: Sequence[Row]) -> str:
    several = task.kind.label_columns(task) > 1
    scored = [row for row in rows if several and "per_label" in row.results[0].secondary]
    if not scored:
        return ""
    first = scored[0].results[0]
    positives = first.secondary.get("positives", [None] * len(task.label_names))
    total = first.counts["rows"]
    body = ""
    for k, name in enumerate(task.label_names):
        count = positives[k]
        few = count is not None and min(count, total - count) < TOO_FEW
        cells = _cell(count, "–" if count is None else f"{count:,}")
        for row in scored:
            value = row.results[0].secondary["per_label"][k]
            ends = row.results[0].secondary.get("per_label_interval", [None] * (k + 1))[k]
            title = f' title="{ends[0]:.3f} to {ends[1]:.3f}"' if ends else ""
            if few or value is None:
                cells += f'<td class="none" data-v="">{"one class only" if value is None else "too few"}</td>'
            else:
                cells += f'<td data-v="{value}"{title}>{value:.3f}</td>'
        body += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    naming = {"inferred": " Label names are inferred.", "unnamed": " The released files carry no label names."}
    caption = f"AUROC of every label (first seed); hover for the interval.{naming.get(task.label_naming, '')}"
    titles = ["Label", "Positives", *_columns(scored)]
    return f"<details><summary>Labels</summary>{table(caption, header(titles), body)}</details>"


def _folds(rows: Sequence[Row]) -> str:
    scored = [row for row in rows if row.results[0].folds]
    if not scored:
        return ""
    folds = scored[0].results[0].folds or []
    body = ""
    for k, fold in enumerate(folds):
        cells = _cell(fold.get("rows"), str(fold.get("rows", "–"))) + _cell(
            fold.get("positives"), str(fold.get("positives", "–"))
        )
        cells += _cell(fold.get("chance"), number(fold.get("chance")))
        for row in scored:
            mine = (row.results[0].folds or [])[k]
            ends = mine.get("interval")
            under = f'<span class="ends">{ends[0]:.3f} to {ends[1]:.3f}</span>' if ends else ""
            cells += _cell(mine.get("score"), number(mine.get("score")) + under)
        body += f'<tr><th scope="row">{escape(fold["part"])}</th>{cells}</tr>'
    last = '<tr><th scope="row">mean ± deviation</th><td></td><td></td><td></td>'
    for row in scored:
        deviation = row.results[0].secondary.get("folds_deviation")
        last += f"<td>{number(row.results[0].score)} ± {number(deviation)}</td>"
    caption = "The ten folds (first seed), each with its interval over windows."
    head = header(["Fold", "Windows", "Positive bins", "Chance", *_columns(scored)])
    inside = table(caption, head, body, f'<tbody class="apart">{last}</tr></tbody>')
    return f"<details open><summary>Folds</summary>{inside}</details>"


def _parts(title: str, rows: Sequence[Row], details: dict[str, Detail]) -> str:
    scored = [row for row in rows if row.model in details and title in details[row.model].parts]
    reference = details[scored[0].model].parts[title]
    multilabel = scored[0].results[0].metric == "auroc" and scored[0].results[0].seed is not None
    counted = [] if reference[0].positives is None else ["Labels scored" if multilabel else "Positives"]
    body = ""
    for k, part in enumerate(reference):
        cells = _cell(part.rows, f"{part.rows:,}")
        if counted:
            cells += _cell(part.positives, f"{part.positives:,}")
        cells += _cell(part.chance, number(part.chance))
        for row in scored:
            value = details[row.model].parts[title][k].score
            cells += '<td class="none" data-v="">too few</td>' if value is None else _cell(value, number(value))
        body += f'<tr><th scope="row">{escape(part.name)}</th>{cells}</tr>'
    head = header(
        [title.capitalize(), "Rows" if "distance" not in title else "Positions", *counted, "Chance", *_columns(scored)]
    )
    caption = f"By {title} (first seed)."
    return f"<details><summary>By {escape(title)}</summary>{table(caption, head, body)}</details>"


def _provenance(rows: Sequence[Row]) -> str:
    parts = []
    for row in rows:
        seeds = [str(result.seed) for result in row.results if result.seed is not None]
        which = f" (seeds {', '.join(seeds)}; that of {seeds[0]} is shown)" if len(seeds) > 1 else ""
        provenance = dict(row.results[0].provenance)
        command = provenance.pop("command", None)
        facts = "".join(
            f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_plain(value))}</dd>"
            for name, value in provenance.items()
            if value not in (None, {}, [])
        )
        line = command if isinstance(command, str) else shlex.join(command or [])
        shown = f"<pre>{escape(line)}</pre>" if line else ""
        parts.append(
            f'<details data-model="{escape(row.title)}" data-kind="{row.kind}"><summary>Provenance: '
            f'{escape(row.title)}{which}</summary>{shown}<dl class="facts">{facts}</dl></details>'
        )
    return f'<h3>Where the numbers come from</h3><div class="provenance">{"".join(parts)}</div>'


def _plain(value: Any) -> str:
    if isinstance(value, str | int | float):
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(item)}" for name, item in value.items() if item is not None)
    return json.dumps(value)
