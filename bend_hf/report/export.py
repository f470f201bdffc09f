"""The report's other formats, for papers and programs: `markdown`, `csv`, `latex` and `json`.

Each takes the groups of `bend_hf.report.groups` and the published rows, and returns the text of a file. Tables of
different protocols are different tables; published values stand in a table of their own.
"""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
import re
from collections.abc import Sequence
from typing import Any

from bend_hf.report.groups import Group, title_of
from bend_hf.report.table import AT_CHANCE, METRICS, NO_BETTER, TOY, chance_of
from bend_hf.results.board import Row, group_means
from bend_hf.tasks import TASKS
from bend_hf.templates import renderer

NOTE = (
    "Scores with 95 % intervals, over test rows (clusters resampled) and, with several seeds, over training; ± is the "
    "deviation over training seeds. In brackets the interval of a rank: from 1 + the number of models that are "
    f"significantly better to n - the number that are significantly worse. {AT_CHANCE}: {NO_BETTER}."
)


_FILL = {ending: renderer("bend_hf.report", ending, constants={"AT_CHANCE": AT_CHANCE}) for ending in ("md", "tex")}


def markdown(groups: Sequence[Group], references: Sequence[Row]) -> str:
    """Tables of GitHub's Markdown: one per group, and one of published values."""
    return _FILL["md"]("export.md", note=NOTE, toy=TOY, **_tables(groups, references))


def latex(groups: Sequence[Group], references: Sequence[Row]) -> str:
    r"""Tables for ``\input`` in a document that loads booktabs and graphicx: one per group, one of published values."""
    return _FILL["tex"]("export.tex", **_tables(groups, references))


def _tables(groups: Sequence[Group], references: Sequence[Row]) -> dict[str, Any]:
    """What the tables hold, by the names that their templates have for it."""
    return {
        "title": title_of(groups),
        "tables": [_table(group) for group in groups],
        "references": [(row, TASKS[row.task].title) for row in references],
    }


def _table(group: Group) -> dict[str, Any]:
    """A group's table: tasks and metrics, and for every model its name, and its row and rank by task."""
    lines = []
    for model in group.models:
        rows = [group.row(model, task) for task in group.tasks]
        title = next(row.title for row in rows if row is not None)
        lines.append((title, [(row, None if row is None else group.rank(row)) for row in rows]))
    notes = "".join(f" ({letter}) {text}." for text, letter in group.marks.items())
    return {
        "group": group,
        "heads": [(TASKS[task].title, METRICS[TASKS[task].metric]) for task in group.tasks],
        "lines": lines,
        "chance": [_chance(group, task) for task in group.tasks],
        "caption": f"{title_of([group])}. {group.title}. {TOY + ' ' if group.toy else ''}{NOTE}{notes}",
    }


def _chance(group: Group, task: str) -> str:
    return next((chance_of(row) for row in group.rows if row.task == task and row.chance is not None), "-")


def _record(row: Row, rank: str | None) -> dict[str, Any]:
    low, high = row.interval or (None, None)
    sampling_low, sampling_high = row.sampling or (None, None)
    chance_low, chance_high = row.chance_interval or (None, None)
    spread: dict[str, Any] = row.spread or {}
    return {
        "model": row.model,
        "kind": row.kind,
        "task": row.task,
        "protocol": row.protocol,
        "toy": row.toy,
        "metric": TASKS[row.task].metric,
        "score": row.score,
        "low": low,
        "high": high,
        "sampling_low": sampling_low,
        "sampling_high": sampling_high,
        "rank": rank,
        "seeds": 0 if row.trained is False else len(row.results),
        "seed_deviation": spread.get("deviation"),
        "chance": row.chance,
        "chance_low": chance_low,
        "chance_high": chance_high,
        "at_chance": row.at_chance,
        "centred": row.centred,
        "seconds": row.seconds,
        "peak_memory": row.memory,
        "bytes_stored": row.stored,
        "failure": row.failure,
        "departures": row.departures,
        "source": row.source,
    }


def _records(groups: Sequence[Group], references: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        *(_record(row, group.rank(row)) for group in groups for row in group.rows),
        *(_record(row, None) for row in references),
    ]


def csv(groups: Sequence[Group], references: Sequence[Row]) -> str:
    """One line per model, task and protocol; published values have ``published`` in the column ``kind``."""
    records = _records(groups, references)
    text = io.StringIO()
    writer = csv_module.DictWriter(text, records[0] if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(value) for name, value in record.items()} for record in records)
    return text.getvalue()


# Signs of full width begin a formula too, unseen letters before them are left out, and where the comma is the decimal
# point a semicolon ends the cell.
_FORMULA = re.compile("(^|[;\t\r\n])([\\s\x00\u200b-\u200f\u2060\ufeff]*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])")


def inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that would begin one is led by an apostrophe."""
    if not isinstance(value, str):
        return value
    marked = _FORMULA.sub(r"\1'\2", value)
    return f"'{marked}" if marked.startswith(("\t", "\r", "\n")) else marked


def json(groups: Sequence[Group], references: Sequence[Row]) -> str:
    """Rows as in `csv`, the comparisons, and the means of centred scores."""
    document = {
        "rows": _records(groups, references),
        "groups": [
            {
                "protocol": group.protocol,
                "toy": group.toy,
                "comparison": group.comparison.to_json(),
                "mean_centred": {model: means for (model, *_), means in group_means(group.rows).items()},
            }
            for group in groups
        ],
    }
    return json_module.dumps(document, indent=1, allow_nan=False) + "\n"
