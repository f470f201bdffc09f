"""What the sections of the report's page share: cells, panels and figures as data, and the templates that show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bend_hf.report.charts import interval_bar, scatter, series_class
from bend_hf.report.table import AT_CHANCE, NO_BETTER, seeds_of
from bend_hf.results.board import Row
from bend_hf.templates import Markup, renderer

UNSORTED = "?"
"""Value of a cell that is sorted by its text."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        value: What its column is sorted by; None behind all others.
        text: What is shown.
        under: What is shown under it, smaller.
        title: What is shown on hover.
        look: ``strong`` for a score, ``none`` where there is no value.
    """

    value: Any
    text: str
    under: str = ""
    title: str = ""
    look: str = ""


BLANK = Cell(UNSORTED, "")
DASH = Cell(UNSORTED, "–")


@dataclass(frozen=True)
class Panel:
    """A table that can be folded away.

    Attributes:
        title: Its name, always shown.
        caption: What its numbers are.
        titles: Of the columns, the lines' names first; a line break stands where a title may break.
        lines: Name and cells of every line.
        last: A line that stays below the others, however they are sorted.
        open: Whether it is unfolded at first.
    """

    title: str
    caption: str
    titles: Sequence[str]
    lines: Sequence[tuple[str, Sequence[Cell]]]
    last: tuple[str, Sequence[Cell]] | None = None
    open: bool = False


@dataclass(frozen=True)
class Figure:
    """A captioned drawing; `legend` names the models drawn and their numbers."""

    title: str
    drawing: Markup
    legend: Sequence[tuple[str, int]] = ()
    note: str = ""


def cost_chart(points: Sequence[tuple[str, int, float, float]], y_label: str) -> Figure:
    """Score over time as a figure."""
    steps = (
        (1, "s", (1, 3, 10, 30)),
        (60, "min", (1, 3, 10, 30)),
        (3600, "h", (1, 3, 10)),
        (86400, "d", (1, 3, 10, 30)),
    )
    marks = {float(unit * n): f"{n} {name}" for unit, name, counts in steps for n in counts}
    svg = scatter(points, title="Score against time", x_label="time, all stages", y_label=y_label, x_ticks=marks)
    return Figure("Score against cost", Markup(svg), [(name, k) for name, k, *_ in points])


def span_of(rows: Sequence[Row]) -> tuple[float, float]:
    """Lowest and highest of scores, intervals and chance: the ends of the bars in a column."""
    values = [v for row in rows for v in (row.score, row.chance, *(row.interval or ())) if v is not None]
    return (min(values), max(values)) if values else (0.0, 1.0)


def ends_text(row: Row) -> str:
    """An interval for a cell."""
    return "–" if row.interval is None else f"{row.interval[0]:.3f} to {row.interval[1]:.3f}"


def short(title: str) -> str:
    """A model's name without organisation or folder, for charts and narrow columns."""
    return title.rpartition("/")[2] or title


def _bar(row: Row, span: tuple[float, float], series: int, under: bool = False) -> Markup:
    """A row's score with its interval and chance, as a bar from end to end of a column's span."""
    svg = interval_bar(row.score, row.interval, row.chance, *span, series)
    return Markup(svg.replace('class="bar ', 'class="bar under ', 1) if under else svg)


def _warmth(centred: float) -> int:
    """Per cent of a cell's colour: how far a centred score is from 0."""
    share: float = abs(centred) ** 0.7
    return round(60 * min(share, 1))


def _breakable(name: str) -> Markup:
    """A name that may break after hyphens and slashes."""
    return Markup.escape(name).replace("-", Markup("-<wbr>")).replace("/", Markup("/<wbr>"))


def _lines(title: str) -> Markup:
    """A title whose line breaks are kept."""
    return Markup("<br>").join(title.split("\n"))


html = renderer(
    "bend_hf.report",
    "html",
    filters={
        "bar": _bar,
        "breakable": _breakable,
        "ends": ends_text,
        "lines": _lines,
        "seeds": seeds_of,
        "series_class": series_class,
        "short": short,
        "warmth": _warmth,
    },
    constants={"AT_CHANCE": AT_CHANCE, "NO_BETTER": NO_BETTER},
)
"""Fills in a template of the page."""
