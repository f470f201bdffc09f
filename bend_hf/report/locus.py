"""The browser of a task's page: truth and predictions along any test row, packed here and drawn by ``locus.js``.

    mine = pack(predictions, room=100_000)            # of one model; the same rows for every model of the task
    browser(task, [("model-a", 0, mine, ""), …])      # a figure of the page

Classes of nucleotides are packed as runs, a letter for the class and the length in base 36 (``i4Ga1`` for 160 times
class 8 and one of class 0); probabilities as bytes of 0 to 255 of the row's highest. Where not all rows find room,
those that do are spread over the test rows, in the same order for every model.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bend_hf.report.elements import html
from bend_hf.results.predictions import Predictions
from bend_hf.tasks import TASKS, Task
from bend_hf.templates import Markup

BYTES = 400_000
"""Of a page, for the rows of all of its models and tasks."""
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ABSENT = "z"
"""Letter of a label that is not known."""
GENES = (
    *(("box", "exon_forward"), ("tick", "donor"), ("line", "intron_forward"), ("tick", "acceptor")),
    *(("box", "exon_reverse"), ("tick", "donor"), ("line", "intron_reverse"), ("tick", "acceptor")),
    None,
)
"""How gene finding's classes are drawn: shape and style."""
BUTTONS = (
    ("previous", "‹ row", "previous row (page up)"),
    ("next", "row ›", "next row (page down)"),
    ("left", "←", "to the left (arrow left)"),
    ("right", "→", "to the right (arrow right)"),
    ("in", "+", "zoom in (+)"),
    ("out", "−", "zoom out (-)"),
    ("whole", "whole", "the whole row (0)"),
)
"""Action, text and name of the browser's buttons; in brackets the keys that do the same while it has the focus."""


@dataclass(frozen=True)
class Packed:
    """Rows of one model's predictions.

    Attributes:
        digest: Of the test rows and their labels.
        total: Number of test rows.
        rows: Number, title, coordinate of the first entry, bp from entry to entry, and true labels, of each row packed.
        said: What the model said of each.
    """

    digest: str
    total: int
    rows: list[tuple[int, str, int, int, str]]
    said: list[str]


def can_browse(task: Task) -> bool:
    """Whether the rows of a task have several entries to be drawn side by side, and names for them all."""
    kind = task.kind
    if kind.values(task) is None or (kind.per_row(task) == 1 and not kind.classes):
        return False
    return not _classes_along(task) or len(task.label_names) < len(LETTERS)


def pack(predictions: Predictions, room: int, rows: int | None = None) -> Packed:
    """Pack rows of one model: as many as `rows`, or until `room` bytes are full, at least one."""
    task = predictions.task
    labels, scores = _by_row(predictions)
    packed: list[tuple[tuple[int, str, int, int, str], str]] = []
    for row in spread(len(predictions))[:rows]:
        called = runs(scores[row].argmax(1)) if _classes_along(task) else levels(scores[row])
        line = (row, *_place(predictions, row), runs(labels[row]))
        packed.append((line, called))
        room -= len(called) + len(line[-1]) + len(line[1])
        if rows is None and room <= 0:
            break
    return Packed(
        predictions.keys_digest, len(predictions), [line for line, _ in packed], [called for _, called in packed]
    )


def spread(count: int) -> list[int]:
    """Numbers from 0 to `count` in an order whose every beginning is spread over them: by their bits, back to front."""
    width = max(count - 1, 1).bit_length()
    return sorted(range(count), key=lambda number: int(f"{number:0{width}b}"[::-1], 2))


def runs(values: np.ndarray) -> str:
    """Pack small whole numbers as runs; negative ones are not known."""
    borders = np.flatnonzero(np.diff(values)) + 1
    lengths = np.diff(np.concatenate([[0], borders, [len(values)]]))
    first = values[np.concatenate([[0], borders])]
    return "".join(
        (LETTERS[value] if value >= 0 else ABSENT) + _base36(length)
        for value, length in zip(first.tolist(), lengths.tolist(), strict=True)
    )


def levels(values: np.ndarray) -> str:
    """Pack probabilities: the highest, and of each its 255ths of that as a byte, in base64."""
    top = float(values.max()) or 1.0
    return f"{top:.6g}:{base64.b64encode(np.round(values / top * 255).astype(np.uint8).tobytes()).decode()}"


def _base36(number: int) -> str:
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = DIGITS[rest] + text
    return text


def _classes_along(task: Task) -> bool:
    """Whether a row has a class for each of its places, not a probability."""
    return task.kind.classes and task.kind.per_row(task) is None


def _by_row(predictions: Predictions) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Labels and scores of each row, one beside the other: by nucleotide, bin, label or class."""
    task = predictions.task
    if task.kind.per_row(task) is None:
        ends = np.cumsum(predictions.lengths)[:-1]
        return np.split(predictions.labels, ends), np.split(predictions.scores, ends)
    if task.kind.classes:
        return list(np.eye(len(task.label_names), dtype=np.int8)[predictions.labels]), list(predictions.scores)
    shape = (len(predictions), -1)
    return list(predictions.labels.reshape(shape)), list(predictions.scores.reshape(shape))


def _place(predictions: Predictions, row: int) -> tuple[str, int, int]:
    """Title of a row, coordinate of its first entry, and bp from one to the next (negative on the other strand)."""
    table, task = predictions.table, predictions.task
    keys = {name: table[name][row].as_py() for name in table.column_names if name not in ("labels", "scores")}
    start, end = keys["start"], keys["end"]
    names = [str(keys[name]) for name in ("transcript_id", "gene") if keys.get(name)]
    title = " · ".join([*names, f"{keys['chromosome']}:{start:,}–{end:,}"])
    size = 0 if task.kind.per_row(task) is not None else task.bin_size or 1
    turned = size > 0 and task.stranded and keys.get("strand") == "-"
    return title, (end - 1 if turned else start), (-size if turned else size)


def browser(task: Task, models: Sequence[tuple[str, int, Packed, str]]) -> Markup | None:
    """Return the figure in which the rows of a task are browsed; None where there is nothing to browse.

    Args:
        task: The task.
        models: Title, number of the colour, rows, and picture of the first row ("" for none), which is shown where no
            script runs. Models of other test rows than the first's are left out, and named.
    """
    if not models:
        return None
    first = models[0][2]
    same = [(title, number, packed) for title, number, packed, _ in models if packed.digest == first.digest]
    count = min(len(packed.said) for _, _, packed in same)
    order = sorted(range(count), key=lambda k: first.rows[k][0])
    along = _classes_along(task)
    document: dict[str, Any] = {
        "classes": list(task.label_names) if along else None,
        "looks": _looks(task) if along else None,
        "labels": list(task.label_names) if task.kind.per_row(task) is not None else None,
        "names": "classes" if task.kind.classes else "labels",
        "rows": [first.rows[k] for k in order],
        "models": [
            {"name": title, "series": number, "said": [packed.said[k] for k in order]} for title, number, packed in same
        ],
    }
    note = (
        f"{count:,} of {first.total:,} test rows, spread over them; for others: bend-hf report --browse {first.total}"
    )
    left = [title for title, _, packed, _ in models if packed.digest != first.digest]
    return html(
        "locus.html",
        title="Along a test row",
        note=("every test row" if count == first.total else note)
        + (f"; other test rows: {', '.join(left)}" if left else ""),
        still=Markup(next((still for *_, still in models if still), "")),
        buttons=BUTTONS,
        data=Markup(json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")),
    )


def _looks(task: Task) -> list[Any]:
    if task.label_names == TASKS["gene_finding"].label_names:
        return list(GENES)
    return [("box", f"c{k % 8}") for k in range(len(task.label_names))]
