"""Charts of the report as SVG text: no library, colours from the page's style sheet, readable by screen readers.

    lines = [Line("model-a", 0, x, y), Line("one-hot CNN", 1, x2, y2)]
    svg = line_chart(lines, title="ROC curve", x_label="false positive rate", y_label="true positive rate")

Every function returns one ``<svg>`` whose ``aria-label`` says what it shows; the numbers are in tables beside it.
Series k is drawn with the classes ``s0`` … ``s7`` (colours) and, beyond eight, dashed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

COLOURS = 8
WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 14, 14, 44


@dataclass(frozen=True)
class Line:
    """A series: its name, its number (colour), its points, and their intervals where they have any."""

    name: str
    series: int
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    ends: Sequence[Sequence[float] | None] = ()


def series_class(series: int) -> str:
    """CSS classes of a series."""
    return f"s{series % COLOURS}" + (" dashed" if series // COLOURS % 2 else "")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values between two ends, about `count` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def interval_bar(
    score: float | None, interval: Sequence[float] | None, chance: float | None, low: float, high: float, series: int
) -> str:
    """A dot with its interval on a track from `low` to `high`, chance as a tick; the numbers stand beside it."""

    def place(value: float) -> float:
        return round(4 + 112 * (min(max(value, low), high) - low) / ((high - low) or 1), 1)

    parts = ['<line class="track" x1="4" x2="116" y1="7" y2="7"/>']
    if chance is not None:
        parts.append(f'<line class="chance" x1="{place(chance)}" x2="{place(chance)}" y1="1" y2="13"/>')
    if interval is not None:
        ends = [place(end) for end in interval]
        parts.append(f'<line class="interval" x1="{ends[0]}" x2="{ends[1]}" y1="7" y2="7"/>')
    if score is not None:
        parts.append(f'<circle class="dot" cx="{place(score)}" cy="7" r="3.5"/>')
    body = "".join(parts)
    return f'<svg class="bar {series_class(series)}" viewBox="0 0 120 14" aria-hidden="true">{body}</svg>'


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    diagonal: bool = False,
    level: float | None = None,
    dots: bool = False,
    x_names: dict[float, str] | None = None,
) -> str:
    """Lines over two axes.

    Args:
        lines: The series.
        title: For screen readers.
        x_label: Under the x axis.
        y_label: Above the y axis.
        x_range: Ends of the x axis; None for those of the points.
        y_range: Ends of the y axis; None for those of the points, with a margin.
        diagonal: Draw chance as the diagonal.
        level: Draw chance as a horizontal line.
        dots: Mark the points.
        x_names: Where the x axis is marked, and how; None for round values.
    """
    x_low, x_high = x_range or _ends([line.x for line in lines], margin=0.0)
    bars = [interval for line in lines for interval in line.ends if interval is not None]
    y_low, y_high = y_range or _ends([*(line.y for line in lines), *bars], margin=0.06)
    x_at = _scale(x_low, x_high, LEFT, WIDTH - RIGHT)
    y_at = _scale(y_low, y_high, HEIGHT - BOTTOM, TOP)
    marks = ticks(x_low, x_high) if x_names is None else list(x_names)
    body = [_axes(marks, ticks(y_low, y_high), x_at, y_at, x_label, y_label, names=x_names)]
    if diagonal:
        ends = (x_at(x_low), y_at(y_low), x_at(x_high), y_at(y_high))
        body.append('<line class="chance" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*ends))
    if level is not None and y_low <= level <= y_high:
        body.append(
            f'<line class="chance" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_at(level):.1f}" y2="{y_at(level):.1f}"/>'
        )
    for line in lines:
        points = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in zip(line.x, line.y, strict=True))
        points_shown = "".join(
            f'<line x1="{x_at(x):.1f}" x2="{x_at(x):.1f}" y1="{y_at(ends[0]):.1f}" y2="{y_at(ends[1]):.1f}"/>'
            for x, ends in zip(line.x, line.ends, strict=False)
            if ends is not None
        )
        if dots:
            points_shown += "".join(
                f'<circle cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="2.4"/>' for x, y in zip(line.x, line.y, strict=True)
            )
        body.append(
            f'<g class="line {series_class(line.series)}" data-model="{escape(line.name)}">'
            f'<title>{escape(line.name)}</title><polyline points="{points}"/>{points_shown}</g>'
        )
    return _svg("".join(body), title, WIDTH, HEIGHT)


def scatter(
    points: Sequence[tuple[str, int, float, float]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_ticks: dict[float, str],
) -> str:
    """Named points over a logarithmic x axis.

    Args:
        points: Name, series, x (positive), y.
        title: For screen readers.
        x_label: Under the x axis.
        y_label: Above the y axis.
        x_ticks: Where the x axis is marked, and how.
    """
    logs = [math.log10(x) for _, _, x, _ in points]
    middle = (min(logs) + max(logs)) / 2
    half = max((max(logs) - min(logs)) / 2 * 1.15, 0.35)
    x_at = _scale(middle - half, middle + half, LEFT, WIDTH - RIGHT)
    y_low, y_high = _ends([[y for *_, y in points]], margin=0.15)
    y_at = _scale(y_low, y_high, HEIGHT - BOTTOM, TOP)
    inside = {math.log10(x): name for x, name in x_ticks.items() if middle - half <= math.log10(x) <= middle + half}
    inside = dict(list(inside.items())[:: max(1, math.ceil(len(inside) / 6))])
    body = [_axes(list(inside), ticks(y_low, y_high), x_at, y_at, x_label, y_label, names=inside)]
    for name, series, x, y in points:
        body.append(
            f'<g class="point {series_class(series)}" data-model="{escape(name)}">'
            f"<title>{escape(name)}: {y:.3f}</title>"
            f'<circle cx="{x_at(math.log10(x)):.1f}" cy="{y_at(y):.1f}" r="6"/></g>'
        )
    return _svg("".join(body), title, WIDTH, HEIGHT)


def strips(
    rows: Sequence[tuple[str, int, Sequence[float | None], Sequence[str]]],
    *,
    title: str,
    x_label: str,
    chance: float | None = None,
) -> str:
    """One line of dots per model: the values of its labels or folds, with their mean as a bar.

    Args:
        rows: Model, series, values (None is left out), and a name per value, shown on hover.
        title: For screen readers.
        x_label: Under the axis.
        chance: Marked on the axis.
    """
    height, left, step = 40 * len(rows) + 44, 8, 40
    low, high = _ends([[v for v in values if v is not None] for _, _, values, _ in rows], margin=0.04, also=chance)
    x_at = _scale(low, high, left, WIDTH - RIGHT)
    body = []
    for tick in ticks(low, high):
        x = f"{x_at(tick):.1f}"
        body.append(f'<line class="grid" x1="{x}" x2="{x}" y1="4" y2="{height - 36}"/>')
        body.append(f'<text x="{x}" y="{height - 22}" text-anchor="middle">{tick:g}</text>')
    if chance is not None:
        x = f"{x_at(chance):.1f}"
        body.append(f'<line class="chance" x1="{x}" x2="{x}" y1="4" y2="{height - 36}"/>')
    for k, (model, series, values, names) in enumerate(rows):
        middle = 20 + step * k
        found = [(value, name) for value, name in zip(values, names, strict=True) if value is not None]
        body.append(f'<g class="strip {series_class(series)}" data-model="{escape(model)}">')
        body.append(
            f'<text class="name" x="{left}" y="{middle - 8}">{escape(model.rpartition("/")[2] or model)}</text>'
        )
        for i, (value, name) in enumerate(found):
            jitter = 3 * math.sin(i * 2.4)
            body.append(
                f'<circle cx="{x_at(value):.1f}" cy="{middle + 7 + jitter:.1f}" r="3">'
                f"<title>{escape(name)}: {value:.3f}</title></circle>"
            )
        if found:
            mean = x_at(float(np.mean([value for value, _ in found])))
            body.append(f'<line class="mean" x1="{mean:.1f}" x2="{mean:.1f}" y1="{middle - 1}" y2="{middle + 15}"/>')
        body.append("</g>")
    body.append(f'<text class="axis" x="{WIDTH / 2}" y="{height - 5}" text-anchor="middle">{escape(x_label)}</text>')
    return _svg("".join(body), title, WIDTH, height)


def forest(
    rows: Sequence[tuple[str, int, float, Sequence[float] | None]],
    *,
    title: str,
    x_label: str,
    chance: float | None = None,
) -> str:
    """One line per model: its score, as a dot with its number, on its interval.

    Args:
        rows: Model, series, score, interval (None: a dot alone).
        title: For screen readers, and above the lines.
        x_label: Under the axis.
        chance: Marked on the axis.
    """
    top, step, left = 24, 40, 8
    height = top + step * len(rows) + 44
    values = [[score, *(interval or ())] for _, _, score, interval in rows]
    low, high = _ends(values, margin=0.06, also=chance)
    x_at = _scale(low, high, 3 * left, WIDTH - 60)
    body = [f'<text class="name" x="{left}" y="14">{escape(title)}</text>']
    for tick in ticks(low, high):
        x = f"{x_at(tick):.1f}"
        body.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{height - 36}"/>')
        body.append(f'<text x="{x}" y="{height - 22}" text-anchor="middle">{tick:g}</text>')
    if chance is not None:
        x = f"{x_at(chance):.1f}"
        body.append(f'<line class="chance" x1="{x}" x2="{x}" y1="{top}" y2="{height - 36}"/>')
    for k, (model, series, score, interval) in enumerate(rows):
        y = top + 26 + step * k
        body.append(f'<g class="{series_class(series)}"><title>{escape(model)}: {score:.3f}</title>')
        body.append(f'<text x="{left}" y="{y - 10}">{escape(model.rpartition("/")[2] or model)}</text>')
        if interval is not None:
            first, last = (x_at(end) for end in interval)
            body.append(f'<line class="forest" x1="{first:.1f}" x2="{last:.1f}" y1="{y}" y2="{y}"/>')
        body.append(f'<circle class="score" cx="{x_at(score):.1f}" cy="{y}" r="4.5"/>')
        body.append(f'<text class="name" x="{WIDTH - 4}" y="{y + 4}" text-anchor="end">{score:.3f}</text></g>')
    body.append(
        f'<text class="axis" x="{(WIDTH - 60) / 2}" y="{height - 5}" text-anchor="middle">{escape(x_label)}</text>'
    )
    return _svg("".join(body), title, WIDTH, height)


def _ends(
    groups: Sequence[Sequence[float] | np.ndarray], *, margin: float, also: float | None = None
) -> tuple[float, float]:
    """Lowest and highest of all values, with a margin; equal ends are moved apart."""
    values = [float(value) for group in groups for value in group] + ([] if also is None else [also])
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = (high - low) * margin if high > low else 0.5
    return low - room, high + room


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    """A linear map from values to pixels."""
    factor = (last - first) / ((high - low) or 1)
    return lambda value: first + (value - low) * factor


def _axes(
    xs: Sequence[float],
    ys: Sequence[float],
    x_at: Callable[[float], float],
    y_at: Callable[[float], float],
    x_label: str,
    y_label: str,
    names: dict[float, str] | None = None,
) -> str:
    bottom = HEIGHT - BOTTOM
    body = []
    for x in xs:
        at = f"{x_at(x):.1f}"
        name = names[x] if names else f"{x:g}"
        body.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}"/>')
        body.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{escape(name)}</text>')
    for y in ys:
        at = f"{y_at(y):.1f}"
        body.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        body.append(f'<text x="{LEFT - 7}" y="{at}" dy="0.35em" text-anchor="end">{y:g}</text>')
    body.append(
        f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    body.append(
        f'<text class="axis" transform="translate(12 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    return "".join(body)


def _svg(body: str, title: str, width: float, height: float) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )
