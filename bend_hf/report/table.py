"""`table`: results as plain text for a terminal.

    print(table(read_results("bend-results")))

Under each task's title and chance level stands one line per model: the score with its interval, its deviation over
seeds, the one-hot baseline and the time; a terminal of 80 columns holds it, if names are short. Toy data is announced
above everything else. Models that were not trained by the task's recipe bear a letter, which a line below explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from bend_hf import metric
from bend_hf.results.board import Row, board
from bend_hf.results.conditions import explained, footnotes, marked
from bend_hf.results.record import Result
from bend_hf.tasks import TASKS
from bend_hf.text import aligned, duration, interval, number

TOY = "TOY DATA: these numbers show that every part works; they say nothing about a model."
METRICS = {metric.name: metric.title for metric in metric.METRICS.values()}
"""Metrics, for headings."""
AT_CHANCE = "°"
NO_BETTER = "no better than chance: not above the interval of random scores, or its own interval not above chance"
"""The mark of a score that is no better than chance, and what it says."""
HEADER = ("model", "score", "95 % interval", "seeds", "one-hot", "time")


def table(results: Iterable[Result]) -> str:
    """Return a table of results; failures are lines of it, with their reason."""
    rows = board(results)
    if not rows:
        return "No results."
    blocks = []
    for protocol, toy in dict.fromkeys((row.protocol, row.toy) for row in rows):
        chosen = [row for row in rows if (row.protocol, row.toy) == (protocol, toy)]
        marks = footnotes([row.departures for row in chosen])
        lines = aligned([list(HEADER), *(_cells(row, _onehot(row, chosen), marks) for row in chosen)], left=1)
        body, below = lines[:2], iter(lines[2:])
        for task, group in groupby(chosen, key=lambda row: row.task):
            of_task = list(group)
            levels = dict.fromkeys(chance_of(row) for row in of_task if row.chance is not None)
            chance = f"; chance {' or '.join(levels)}" if levels else ""
            body += [f"{TASKS[task].title} ({TASKS[task].metric}{chance})", *(next(below) for _ in of_task)]
        failed = [f"FAILED {row.title} on {row.task}: {row.failure}" for row in chosen if row.failure]
        head = [TOY] if toy else []
        low = [f"{AT_CHANCE} {NO_BETTER}."] if any(row.at_chance for row in chosen) else []
        notes = [*explained(marks), *low, *_excluded(chosen), *failed]
        blocks.append("\n".join([*head, f"protocol: {protocol}", "", *body, *([""] if notes else []), *notes]))
    return "\n\n".join(blocks)


def _onehot(row: Row, rows: Iterable[Row]) -> Row | None:
    """Return the one-hot baseline of a row's task: of its own settings, else of the recipe's, else any."""
    found = [one for one in rows if one.task == row.task and one.results[0].model == "onehot"]
    return min(found, key=lambda one: (one.departures != row.departures, bool(one.departures)), default=None)


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


def seeds_of(row: Row) -> str:
    """Training seeds for a cell: their number and deviation; none for what is not trained at random."""
    if row.trained is False:
        return "no seeds"
    return f"±{row.spread['deviation']:.3f} (n={len(row.results)})" if row.spread else str(len(row.results))


def chance_of(row: Row) -> str:
    """The chance level for a cell, with its interval where it has one."""
    return number(row.chance) + (f" ({interval(row.chance_interval)})" if row.chance_interval else "")


def _cells(row: Row, onehot: Row | None, marks: Mapping[str, str]) -> list[str]:
    return [
        f"  {row.title}{marked(row.departures, marks)}",
        "failed" if row.score is None and row.failure else number(row.score) + (AT_CHANCE if row.at_chance else ""),
        interval(row.interval),
        seeds_of(row),
        "-" if onehot is None else number(onehot.score) + marked(onehot.departures, marks),
        duration(row.seconds),
    ]
