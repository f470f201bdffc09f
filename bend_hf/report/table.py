"""`table`: results as plain text for a terminal.

    print(table(read_results("bend-results")))

One line per task and model: the score with its interval over test rows, its deviation over seeds, chance, the one-hot
baseline and the time. Toy data is announced above everything else. Models that were not trained by the task's recipe
bear a letter, which a line below explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from bend_hf.results.board import Row, board
from bend_hf.results.conditions import footnotes
from bend_hf.results.record import Result
from bend_hf.tasks import TASKS

TOY = "TOY DATA: these numbers show that every part works; they say nothing about a model."
HEADER = ("task", "metric", "model", "score", "95 % interval", "seeds", "chance", "one-hot", "time")


def table(results: Iterable[Result]) -> str:
    """Return a table of results; failures are lines of it, with their reason."""
    rows = board(results)
    if not rows:
        return "No results."
    blocks = []
    for protocol, toy in dict.fromkeys((row.protocol, row.toy) for row in rows):
        chosen = [row for row in rows if (row.protocol, row.toy) == (protocol, toy)]
        onehot = {row.task: row for row in chosen if row.model == "onehot"}
        marks = footnotes([row.departures for row in chosen])
        lines = [_cells(row, onehot.get(row.task), marks) for row in chosen]
        for above, line in reversed(list(pairwise(lines))):
            if above[0] == line[0]:
                line[0] = line[1] = ""
        failed = [f"FAILED {row.title} on {row.task}: {row.failure}" for row in chosen if row.failure]
        head = [TOY] if toy else []
        body = [*aligned([list(HEADER), *lines], left=3), *explained(marks), *_excluded(chosen), *failed]
        blocks.append("\n".join([*head, f"protocol: {protocol}", "", *body]))
    return "\n\n".join(blocks)


def _excluded(rows: Iterable[Row]) -> list[str]:
    """Say of each task how many labels are left out of its mean AUROC, because the test rows lack one class."""
    counts = {
        row.task: (result.secondary["n_labels_excluded"], result.secondary["n_labels_scored"])
        for row in rows
        for result in row.results
        if result.secondary.get("n_labels_excluded")
    }
    return [
        f"{TASKS[task].title}: mean over {scored} labels; {excluded} with one class only in the test rows are left out."
        for task, (excluded, scored) in counts.items()
    ]


def marked(row: Row, marks: Mapping[str, str]) -> str:
    """What follows a row's name or score where it departs from the recipe: its letter in ``marks``, in brackets."""
    return f" [{marks[row.departures]}]" if row.departures else ""


def explained(marks: Mapping[str, str]) -> list[str]:
    """The lines that say what the letters mean."""
    return [f"[{letter}] {text}" for text, letter in marks.items()]


def _cells(row: Row, onehot: Row | None, marks: Mapping[str, str]) -> list[str]:
    return [
        TASKS[row.task].title,
        TASKS[row.task].metric,
        row.title + marked(row, marks),
        "failed" if row.score is None and row.failure else number(row.score),
        interval(row.interval),
        f"±{row.spread['deviation']:.3f} (n={len(row.results)})" if row.spread else str(len(row.results)),
        number(row.chance),
        "-" if onehot is None else number(onehot.score) + marked(onehot, marks),
        duration(row.seconds),
    ]


def aligned(lines: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Lines of text in columns, the first of them the header; the first `left` columns are flushed left."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return [text[0].rstrip(), "  ".join("-" * width for width in widths), *(line.rstrip() for line in text[1:])]


def number(value: float | None, digits: int = 3) -> str:
    """A score as text, ``-`` for none."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(ends: Sequence[float] | None, digits: int = 3) -> str:
    """An interval as text, ``-`` for none."""
    return "-" if ends is None else f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}"


def duration(seconds: float | None) -> str:
    """A duration as text: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float | None) -> str:
    """Bytes as text, in units of 1,000."""
    if count is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
