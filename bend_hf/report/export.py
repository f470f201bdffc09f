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

from bend_hf.report.groups import Group
from bend_hf.report.table import AT_CHANCE, METRICS, NO_BETTER, TOY, chance_of
from bend_hf.results.board import Row, group_means
from bend_hf.tasks import TASKS
from bend_hf.text import number

NOTE = (
    "Scores with 95 % intervals, over test rows (clusters resampled) and, with several seeds, over training; ± is the "
    "deviation over training seeds. In brackets the interval of a rank: from 1 + the number of models that are "
    f"significantly better to n - the number that are significantly worse. {AT_CHANCE}: {NO_BETTER}."
)


def _cells(group: Group, model: str) -> list[tuple[Row | None, str | None]]:
    rows = [group.row(model, task) for task in group.tasks]
    return [(row, None if row is None else group.rank(row)) for row in rows]


def markdown(groups: Sequence[Group], references: Sequence[Row]) -> str:
    """Tables of GitHub's Markdown: one per group, and one of published values."""
    blocks = ["# BEND results", NOTE]
    for group in groups:
        head = ["model", *(f"{literal(TASKS[task].title)} ({METRICS[TASKS[task].metric]})" for task in group.tasks)]
        lines = [head, ["---", *("---:" for _ in group.tasks)]]
        for model in group.models:
            cells = [_markdown_cell(row, rank, group.marks) for row, rank in _cells(group, model)]
            lines.append([literal(_title(group, model)), *cells])
        lines.append(["chance", *(_chance(group, task) for task in group.tasks)])
        blocks += [f"## {group.title}", *([f"**{TOY}**"] if group.toy else []), _pipes(lines)]
        blocks += [f"- <sup>{letter}</sup> {literal(text)}" for text, letter in group.marks.items()]
        blocks += [f"- {literal(note)}" for note in group.comparison.notes]
    if references:
        lines = [["model", "task", "score", "protocol", "source"], ["---", "---", "---:", "---", "---"]]
        lines += [
            [literal(cell) for cell in (r.model, TASKS[r.task].title, number(r.score), r.protocol, r.source or "")]
            for r in references
        ]
        blocks += ["## Published or run elsewhere", "Other protocols and test rows; not computed here.", _pipes(lines)]
    return "\n\n".join(blocks) + "\n"


def _pipes(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def literal(text: str) -> str:
    """Text that Markdown shows as it is: no HTML, link, picture, code, emphasis or cell begins in it.

    Names of models, titles of tasks and reasons of failures may be strangers'.
    """
    plain = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|!])", r"\\\1", plain)


def one_line(text: str) -> str:
    """Text without line breaks and other control characters, which end a row of every kind of table."""
    return "".join(character if character.isprintable() else " " for character in text)


def _markdown_cell(row: Row | None, rank: str | None, marks: dict[str, str]) -> str:
    if row is None:
        return ""
    if row.score is None:
        return "failed" if row.failure else "undefined"
    place = f" ({rank})" if rank else ""
    ends = f" [{row.interval[0]:.3f}, {row.interval[1]:.3f}]" if row.interval else ""
    spread = f" ±{row.spread['deviation']:.3f}" if row.spread else ""
    mark = f"<sup>{marks[row.departures]}</sup>" if row.departures else ""
    low = AT_CHANCE if row.at_chance else ""
    return f"{row.score:.3f}{low}{mark}{ends}{spread}{place}"


def _title(group: Group, model: str) -> str:
    return next(row.title for row in group.rows if row.model == model)


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
    writer = csv_module.DictWriter(text, records[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(value) for name, value in record.items()} for record in records)
    return text.getvalue()


def inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that would begin one is led by an apostrophe."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else value


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


_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "−": "$-$",
    AT_CHANCE: r"$^\circ$",
}


def escape(text: str) -> str:
    """Text in one line with LaTeX's special characters escaped; other characters outside ASCII become ``?``."""
    escaped = "".join(_SPECIAL.get(character, character) for character in one_line(text))
    return escaped.encode("ascii", "replace").decode()


def latex(groups: Sequence[Group], references: Sequence[Row]) -> str:
    r"""Tables for ``\input`` in a document that loads booktabs and graphicx: one per group, one of published values."""
    blocks = ["% needs \\usepackage{booktabs,graphicx}"]
    for group in groups:
        head = ["Model", *(f"{escape(TASKS[task].title)}" for task in group.tasks)]
        under = ["", *(METRICS[TASKS[task].metric] for task in group.tasks)]
        lines = [
            [escape(_title(group, model)), *(_latex_cell(row, rank, group.marks) for row, rank in _cells(group, model))]
            for model in group.models
        ]
        chance = ["chance", *(_chance(group, task) for task in group.tasks)]
        notes = "".join(f" ({letter}) {text}." for text, letter in group.marks.items())
        caption = f"BEND results. {group.title}. {TOY + ' ' if group.toy else ''}{NOTE}{notes}"
        blocks.append(_tabular([head, under], lines, [chance], caption, "l" + "r" * len(group.tasks)))
    if references:
        lines = [
            [escape(cell) for cell in (r.model, TASKS[r.task].title, number(r.score), r.protocol, r.source or "")]
            for r in references
        ]
        caption = "Values published or run elsewhere; other protocols and test rows."
        blocks.append(_tabular([["Model", "Task", "Score", "Protocol", "Source"]], lines, [], caption, "llrll"))
    return "\n\n".join(blocks) + "\n"


def _latex_cell(row: Row | None, rank: str | None, marks: dict[str, str]) -> str:
    if row is None or row.score is None:
        return "--"
    value = rf"\textbf{{{row.score:.3f}}}" if rank == "1" else f"{row.score:.3f}"
    value += escape(AT_CHANCE) if row.at_chance else ""
    ends = rf" {{\scriptsize [{row.interval[0]:.3f}, {row.interval[1]:.3f}]}}" if row.interval else ""
    spread = rf" {{\scriptsize $\pm${row.spread['deviation']:.3f}}}" if row.spread else ""
    mark = rf"\textsuperscript{{{marks[row.departures]}}}" if row.departures else ""
    return f"{value}{mark}{ends}{spread}{f' ({escape(rank)})' if rank else ''}"


def _tabular(
    head: Sequence[Sequence[str]],
    lines: Sequence[Sequence[str]],
    last: Sequence[Sequence[str]],
    caption: str,
    form: str,
) -> str:
    def joined(rows: Sequence[Sequence[str]]) -> list[str]:
        return [" & ".join(row) + r" \\" for row in rows]

    end = [r"\midrule", *joined(last)] if last else []
    body = [r"\toprule", *joined(head), r"\midrule", *joined(lines), *end, r"\bottomrule"]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(caption)}}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{{form}}}",
            *body,
            r"\end{tabular}}",
            r"\end{table}",
        ]
    )
