"""Pictures of single test windows: predicted against true genes, and the 782 bins around a gene's start.

    plot(read_result("results/model/gene_finding.default.seed0.1a2b3c4d.json"), row=3, output="window.svg")

A picture is one SVG file, without scripts or fonts from elsewhere, in light or dark after the viewer's setting.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np

from bend_hf import files
from bend_hf.checks import path_of
from bend_hf.errors import BendError
from bend_hf.report.charts import ticks
from bend_hf.results.predictions import Predictions
from bend_hf.results.record import Result, read_predictions
from bend_hf.tasks import BEND, TASKS, Task

WIDTH, LEFT = 960, 96
COLUMNS = WIDTH - LEFT - 28


def plot(result: Result, *, row: int = 0, output: str | Path | None = None) -> Path:
    """Draw one test window of a result.

    Args:
        result: Of gene finding or enhancer annotation, read from its file (its predictions lie beside it).
        row: Test row, from 0, in the order of the predictions.
        output: File to write, ending in ``.svg``; None for a name made of the record's and the row, beside the record.

    Raises:
        BendError: The task has no windows to draw, the row does not exist, or the file's ending is another.
    """
    if not isinstance(result, Result):
        raise BendError(f"{result!r} is no result: read one with read_result.")
    name = str(result.path).removesuffix(".json") + f".row{row}.svg"
    path = path_of("output", name if output is None else output)
    if files.ending(path) != ".svg":
        raise BendError(f"{path}: pictures are SVG files; give a name that ends in .svg.")
    picture = draw(read_predictions(result), row, title=result.model, style=True)
    with files.atomic(path) as temporary:
        temporary.write_text(picture, encoding="utf-8")
    return path


def draw(predictions: Predictions, row: int, *, title: str, style: bool) -> str:
    """Return the picture of a row as SVG text; `style` puts the style sheet in it, for a file of its own."""
    if not has_picture(predictions.task):
        raise BendError(f"{predictions.task.name} has neither genes nor bins: there is no window to draw.")
    if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < len(predictions):
        raise BendError(f"Row {row!r} does not exist: the predictions have rows 0 to {len(predictions) - 1}.")
    one = Predictions(predictions.task, predictions.table.slice(row, 1))
    chromosome, start, end = (one.column(name)[0] for name in ("chromosome", "start", "end"))
    names = [str(one.column(extra)[0]) for extra in ("transcript_id", "gene") if extra in one.table.column_names]
    place = " · ".join([*names, f"{chromosome}:{start:,}–{end:,}", title])
    body, height = PICTURES[predictions.task.label_kind](one)
    text = (package_files("bend_hf.report") / "assets" / "picture.css").read_text(encoding="utf-8")
    dark = (
        "@media (prefers-color-scheme: dark) { svg.picture { --ink: #e7ebf0; --soft: #9aa7b6; --rule: #34404d; "
        "--forward: #6db1ff; --reverse: #f0935f; --donor: #4fce8a; --acceptor: #d78bf0; background: #12171d; } }"
    )
    sheet = f"<style>{text}{dark}</style>" if style else ""
    label = f"{predictions.task.title}: predicted and true labels of {place}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" viewBox="0 0 {WIDTH} {height + 34}" role="img" '
        f'aria-label="{escape(label)}">{sheet}<title>{escape(label)}</title>'
        f'<text class="name" x="8" y="18">{escape(place)}</text><g transform="translate(0 34)">{body}</g></svg>'
    )


def _columns(length: int) -> np.ndarray:
    """Column of the picture of every position, so that a long window takes no more room than a short one."""
    return np.arange(length) * COLUMNS // length


def _genes(one: Predictions) -> tuple[str, int]:
    """Labels and predictions as gene models, the probabilities of coding sequence, and where the two differ."""
    labels, called, length = one.labels, one.scores.argmax(axis=1), len(one.labels)
    start = int(one.column("start")[0])
    column = _columns(length)
    tracks = [_track("true", _gene_track(labels, column), 0), _track("predicted", _gene_track(called, column), 44)]
    coding = [one.scores[:, k] for k in (0, 4)]
    tracks.append(
        _track("p(exon)", _area(coding[0], column, 36, 1.0) + _area(coding[1], column, 36, 1.0, "area second"), 88)
    )
    tracks.append(_track("", _axis(start, start + length, start, length, "{:,.0f}"), 132))
    agreement = float((labels == called).mean())
    legend = [("exon_forward", "forward strand"), ("exon_reverse", "reverse strand")]
    legend += [("donor", "donor"), ("acceptor", "acceptor")]
    keys = "".join(
        f'<rect class="{name}" x="{LEFT + 130 * k}" y="0" width="10" height="10"/>'
        f'<text x="{LEFT + 130 * k + 16}" y="10">{text}</text>'
        for k, (name, text) in enumerate(legend)
    )
    keys += f'<text x="{WIDTH - 12}" y="10" text-anchor="end">{agreement:.1%} of {length:,} nucleotides agree</text>'
    return "".join([*tracks, f'<g transform="translate(0 164)">{keys}</g>']), 186


def _gene_track(classes: np.ndarray, column: np.ndarray) -> str:
    """Exons as boxes, introns as lines, donors and acceptors as ticks; a column shows its most frequent class."""
    count = np.zeros((column[-1] + 1, 9), dtype=np.int64)
    np.add.at(count, (column, classes), 1)
    majority = count[:, [0, 2, 4, 6, 8]].argmax(axis=1)
    borders = np.flatnonzero(np.diff(majority)) + 1
    parts = [f'<line class="rule" x1="{LEFT}" x2="{LEFT + COLUMNS}" y1="18" y2="18"/>']
    scale = COLUMNS / len(count)
    for first, last in zip([0, *borders], [*borders, len(majority)], strict=True):
        name = ("exon_forward", "intron_forward", "exon_reverse", "intron_reverse", "intergenic")[majority[first]]
        if name != "intergenic":
            y, height = (8, 20) if name.startswith("exon") else (16.5, 3)
            x, width = LEFT + first * scale, (last - first) * scale
            parts.append(f'<rect class="{name}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}"/>')
    for name, members in (("donor", (1, 5)), ("acceptor", (3, 7))):
        for k in np.flatnonzero(count[:, members].sum(axis=1)):
            parts.append(f'<rect class="{name}" x="{LEFT + k * scale - 0.5:.1f}" y="3" width="2" height="30"/>')
    return "".join(parts)


def _bins(one: Predictions) -> tuple[str, int]:
    """Labels as blocks over the scores of the bins, around the gene's start in the middle."""
    labels, scores, size = one.labels, one.scores, one.task.bin_size or 1
    width = COLUMNS / len(labels)
    blocks = [f'<line class="rule" x1="{LEFT}" x2="{LEFT + COLUMNS}" y1="18" y2="18"/>']
    for k in np.flatnonzero(labels):
        x = LEFT + k * width
        blocks.append(f'<rect class="enhancer" x="{x:.1f}" y="6" width="{max(width, 1.5):.1f}" height="24"/>')
    half = len(labels) * size / 2
    middle = LEFT + COLUMNS / 2
    centre = "transcription start" if one.task in BEND else "middle of the window"
    start = (
        f'<line class="start" x1="{middle}" x2="{middle}" y1="0" y2="144"/>'
        f'<text x="{middle}" y="-5" text-anchor="middle">{centre}</text>'
    )
    tracks = [
        _track("enhancers", "".join(blocks), 0),
        _track("predicted", _area(scores, np.arange(len(scores)), 90, max(float(scores.max()), 1e-12)), 46),
        _track("", _axis(-half / 1000, half / 1000, -half / 1000, 2 * half / 1000, "{:g} kb"), 146),
    ]
    top = f'<text x="{LEFT - 8}" y="54" text-anchor="end">{scores.max():.3g}</text>'
    return "".join([*tracks, start, top]), 178


def _track(name: str, body: str, y: float) -> str:
    label = f'<text class="name" x="8" y="22">{escape(name)}</text>' if name else ""
    return f'<g transform="translate(0 {y:g})">{label}{body}</g>'


def _area(values: np.ndarray, column: np.ndarray, height: float, top: float, name: str = "area") -> str:
    """Mean value per column as an area whose full height is `top`."""
    count = np.bincount(column)
    mean = np.bincount(column, weights=values) / np.maximum(count, 1)
    scale = COLUMNS / len(mean)
    points = [f"{LEFT + (k + 0.5) * scale:.1f},{height - height * value / top:.1f}" for k, value in enumerate(mean)]
    ends = f"{LEFT},{height} {' '.join(points)} {LEFT + COLUMNS},{height}"
    return f'<polygon class="{name}" points="{ends}"/>'


def _axis(low: float, high: float, first: float, length: float, form: str) -> str:
    parts = [f'<line class="rule" x1="{LEFT}" x2="{LEFT + COLUMNS}" y1="2" y2="2"/>']
    for tick in ticks(low, high, 6):
        x = LEFT + COLUMNS * (tick - first) / length
        parts.append(f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="8"/>')
        parts.append(f'<text x="{x:.1f}" y="21" text-anchor="middle">{form.format(tick)}</text>')
    return "".join(parts)


PICTURES = {"per_nucleotide_class": _genes, "per_bin_binary": _bins}
"""Kind of labels → picture of one row, and its height."""


def has_picture(task: Task) -> bool:
    """Whether windows of a task can be drawn: those with bins, and those with gene finding's classes."""
    genes = TASKS["gene_finding"]
    return task.label_kind in PICTURES and (not task.kind.classes or task.label_names == genes.label_names)
