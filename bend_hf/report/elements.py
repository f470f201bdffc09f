"""Parts of the report's page that its sections share: cells and tables, figures and legends, as HTML text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bend_hf.report.charts import scatter, series_class
from bend_hf.report.groups import Group
from bend_hf.report.table import AT_CHANCE, NO_BETTER
from bend_hf.results.board import Row


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


def mark_of(row: Row) -> str:
    """The mark of a score that is no better than chance."""
    return f'<sup title="{escape(NO_BETTER)}">{AT_CHANCE}</sup>' if row.at_chance else ""


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


def ends_text(row: Row) -> str:
    """An interval for a cell."""
    return "–" if row.interval is None else f"{row.interval[0]:.3f} to {row.interval[1]:.3f}"


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
