"""Windows and bins that are called, and those that are true, as BED; and windows and nucleotides by their class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bend_hf.results.predictions import Predictions
from bend_hf.tracks.places import Places, on_plus_strand, positions
from bend_hf.tracks.signal import Cover

THRESHOLD = 0.5
"""A label is called where the mean probability of the windows there is at least this."""

Row = tuple[str, int, int, str, int, str]
"""A row of BED: chromosome, start, end, name, score of 0 to 1000, strand."""


def peaks(predictions: Predictions, cover: Cover, names: tuple[str, ...], *, true: bool) -> list[Row]:
    """Return stretches where a label is called, or true of any window; those of one label are joined where they touch.

    The score is a thousand times the highest mean probability in the stretch.
    """
    values = (predictions.labels if true else predictions.scores).reshape(-1, len(names))
    rows = []
    for name, column in zip(names, values.T, strict=True):
        rows += list(_joined(name, cover, column, 0.0 if true else THRESHOLD, true=true))
    return rows


def _joined(name: str, cover: Cover, column: np.ndarray, least: float, *, true: bool) -> Iterator[Row]:
    now: Row | None = None
    for chromosome, start, end, value in cover.mean(column, digits=None):
        if value < least or (true and value == 0):
            continue
        score = 1000 if true else round(1000 * min(value, 1.0))
        if now is not None and (now[0], now[2]) == (chromosome, start):
            now = (chromosome, now[1], end, name, max(now[4], score), ".")
            continue
        if now is not None:
            yield now
        now = (chromosome, start, end, name, score, ".")
    if now is not None:
        yield now


def segments(predictions: Predictions, places: Places, *, true: bool) -> list[Row]:
    """Return windows, or runs of nucleotides in them, by class; the score is a thousand times its mean probability."""
    forward = on_plus_strand(predictions)
    row, start, end = positions(forward)
    called = forward.scores.argmax(axis=1)
    classes = forward.labels if true else called
    probability = np.ones(len(classes)) if true else forward.scores[np.arange(len(classes)), called].astype(np.float64)
    chromosomes = forward.column("chromosome").astype(str)
    strands = forward.column("strand").astype(str) if forward.task.kind.per_row(forward.task) is not None else None
    border = np.flatnonzero((np.diff(classes) != 0) | (np.diff(row) != 0)) + 1
    rows: list[Row] = []
    for a, b in zip([0, *border], [*border, len(classes)], strict=True):
        strand = "." if strands is None or strands[row[a]] not in "+-" else str(strands[row[a]])
        score = round(1000 * float(probability[a:b].mean()))
        name = forward.task.label_names[classes[a]]
        rows.append((places.names[chromosomes[row[a]]], int(start[a]), int(end[b - 1]), name, score, strand))
    return rows
