"""Scores of results as one picture: every task's models, with intervals and chance, in the report's own drawing.

    picture = results.plot()         # in a notebook it is shown
    picture.save("scores.svg")

It is one SVG without scripts, fonts or files from elsewhere, in light or dark after the viewer's setting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

from bend_hf import files
from bend_hf.checks import path_of
from bend_hf.errors import BendError
from bend_hf.report.charts import WIDTH, forest
from bend_hf.report.table import METRICS, TOY
from bend_hf.results.board import board
from bend_hf.results.record import Result
from bend_hf.tasks import TASKS
from bend_hf.text import counted

ROOM = 12
"""Pixels between two tasks."""


@dataclass(frozen=True, repr=False)
class Picture:
    """An SVG; a notebook shows it.

    Attributes:
        svg: Its text.
        what: What it shows, in words.
    """

    svg: str
    what: str

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Picture({self.what!r}, {len(self.svg):,} characters of SVG)"

    def save(self, path: str | Path) -> Path:
        """Write it, whole or not at all, and return the path.

        Raises:
            BendError: The file's name does not end in ``.svg``.
        """
        output = path_of("path", path)
        if output.suffix != ".svg":
            raise BendError(f"{output}: pictures are SVG files; give a name that ends in .svg.")
        with files.atomic(output) as temporary:
            temporary.write_text(self.svg, encoding="utf-8")
        return output


def scores(results: Iterable[Result]) -> Picture:
    """Draw the scores of results, a panel for each task and protocol, best first; over seeds the mean.

    Raises:
        BendError: None of the results has a score.
    """
    rows = [row for row in board(results) if row.score is not None]
    if not rows:
        raise BendError("None of these results has a score that could be drawn.")
    series = {model: k for k, model in enumerate(dict.fromkeys(row.model for row in rows))}
    parts, y = [], 0.0
    for key in dict.fromkeys((row.task, row.protocol, row.toy) for row in rows):
        task, protocol, toy = key
        mine = sorted(
            (row for row in rows if (row.task, row.protocol, row.toy) == key), key=lambda row: -(row.score or 0.0)
        )
        said = [TASKS[task].title, *([] if protocol == "default" else [protocol]), *(["toy data"] if toy else [])]
        drawn = forest(
            [(row.title, series[row.model], row.score or 0.0, row.interval) for row in mine],
            title=" · ".join(said),
            x_label=METRICS[TASKS[task].metric],
            chance=mine[0].chance,
        )
        height = float(re.search(r'viewBox="0 0 \S+ (\S+)"', drawn)[1])  # type: ignore[index]
        parts.append(drawn.replace("<svg ", f'<svg y="{y:g}" width="{WIDTH}" height="{height:g}" ', 1))
        y += height + ROOM
    what = f"scores of {counted(len(series), 'model')} on {counted(len(parts), 'task')}" + (
        f". {TOY}" if any(row.toy for row in rows) else ""
    )
    return Picture(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="scores" viewBox="0 0 {WIDTH} {y - ROOM:g}" width="{WIDTH}" '
        f'role="img" aria-label="{what}"><style>{_style()}</style>{"".join(parts)}</svg>',
        what,
    )


def _style() -> str:
    """The report's colours and those of its charts, which reach this picture alone."""
    assets = package_files("bend_hf.report") / "assets"
    colours, chart = ((assets / name).read_text(encoding="utf-8") for name in ("colours.css", "chart.css"))
    own = colours.replace(":root:not([data-theme])", "svg.scores").replace(":root", "svg.scores")
    named = re.sub(r"^(svg|\.s\d)", r"svg.scores \1", chart, flags=re.MULTILINE)
    return f"{own}{named}svg.scores {{ background: var(--paper); }}"
