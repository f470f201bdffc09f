"""`write_report`: results as one HTML page, or as Markdown, CSV, LaTeX or JSON for papers and programs.

    write_report("bend-results", "report.html")
    write_report(["run-a", "run-b"], "table.tex")          # the format follows the file's ending

The page is one file without network access, under 2 MB, readable on a phone, in print and by screen readers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bend_hf import files
from bend_hf.console import log
from bend_hf.errors import BendError, unknown
from bend_hf.results.board import BASELINES, Row, board, published, sort_rows
from bend_hf.results.compare import Comparison, compare
from bend_hf.results.conditions import footnotes
from bend_hf.results.record import Result, read_results
from bend_hf.tasks import TASKS

FORMATS = {"html": ".html", "markdown": ".md", "csv": ".csv", "latex": ".tex", "json": ".json"}
LIMIT = 2_000_000
"""Bytes that the HTML page should stay under."""


@dataclass(frozen=True)
class Group:
    """Rows that may stand in one table: of one protocol, on toy or on real data.

    Attributes:
        protocol: Their protocol.
        toy: Whether the data is the toy data.
        rows: By task, models before baselines, those that are ranked first.
        comparison: Differences and ranks between them, where they may be compared.
    """

    protocol: str
    toy: bool
    rows: list[Row]
    comparison: Comparison

    @property
    def marks(self) -> dict[str, str]:
        """Letters for what the rows say of departures from their task's recipe: text → letter."""
        return footnotes([row.departures for row in self.rows])

    @property
    def title(self) -> str:
        """For headings."""
        name = {"default": "Default protocol", "bend-2024": "Protocol bend-2024 (the reference code's)"}[self.protocol]
        return f"{name}, toy data" if self.toy else name

    @property
    def models(self) -> list[str]:
        """Models in their order on the first task that has them, models before baselines."""
        names = dict.fromkeys(row.model for row in self.rows)
        return sorted(names, key=lambda name: name in BASELINES)

    @property
    def tasks(self) -> list[str]:
        """Tasks that have a row, in the order of declaration."""
        return list(dict.fromkeys(row.task for row in self.rows))

    def row(self, model: str, task: str) -> Row | None:
        """The row of a model on a task."""
        return next((row for row in self.rows if (row.model, row.task) == (model, task)), None)

    def unlike(self, row: Row) -> bool:
        """Whether a row is kept out of its task's ranking, having been made with other settings than those in it."""
        return bool(row.departures and row.task in self.comparison.ranking and self.rank(row) is None)

    def rank(self, row: Row) -> str | None:
        """The place of a row among the compared, with ties (``"2–4"``)."""
        places = {model: place for place, model in self.comparison.ranking.get(row.task, [])}
        return places.get(row.model)


def write_report(
    results: str | Path | Iterable[str | Path | Result],
    output: str | Path,
    *,
    format: str | None = None,
    references: bool = True,
    resamples: int = 1000,
) -> Path:
    """Write a report of results.

    Args:
        results: A folder or file of records, several of them, or records.
        output: File to write.
        format: ``html``, ``markdown``, ``csv``, ``latex`` or ``json``; None for the one of `output`'s ending.
        references: Whether published values stand beside results on real data, in rows of their own.
        resamples: Bootstrap resamples of the paired comparison.

    Returns:
        `output`.

    Raises:
        BendError: There are no results, a record or its predictions cannot be trusted, or the format is unknown.
    """
    output = Path(output)
    kind = format or next((name for name, ending in FORMATS.items() if ending == output.suffix), None)
    if kind is None:
        raise BendError(f"{output}: no format has this ending; choose one with format= of {', '.join(FORMATS)}.")
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    found = _read(results)
    groups = grouped(found, resamples=resamples)
    tasks = [task for task in TASKS if any(task in group.tasks for group in groups if not group.toy)]
    elsewhere = published(tasks) if references else []
    if kind == "html":
        from bend_hf.report.page import page

        text = page(groups, elsewhere)
        if len(text.encode()) > LIMIT:
            log.warning("%s is larger than %d MB: report fewer models at once.", output, LIMIT // 10**6)
    else:
        from bend_hf.report import export

        text = getattr(export, kind)(groups, elsewhere)
    with files.atomic(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return output


def _read(results: str | Path | Iterable[str | Path | Result]) -> list[Result]:
    if isinstance(results, str | Path):
        return read_results(results)
    items = list(results)
    paths = [item for item in items if not isinstance(item, Result)]
    found = [item for item in items if isinstance(item, Result)] + (read_results(paths) if paths else [])
    if not found:
        raise BendError("There are no results to report.")
    return found


def grouped(results: Sequence[Result], *, resamples: int = 1000) -> list[Group]:
    """Divide results into groups that may stand in one table, and compare within each; real data first."""
    rows = board(results)
    keys = sorted(dict.fromkeys((row.toy, row.protocol) for row in rows), key=lambda key: (key[0], key[1] != "default"))
    groups = []
    for toy, protocol in keys:
        # records without predictions cannot be compared; they are shown without ranks
        inside = [result for result in results if (result.toy, result.protocol) == (toy, protocol)]
        able = [result for result in inside if result.predictions is not None and result.path is not None]
        comparison = compare(able, resamples=resamples, strict=False)
        group = Group(protocol, toy, [row for row in rows if (row.toy, row.protocol) == (toy, protocol)], comparison)
        # what is not ranked stands behind what is, whatever its score
        groups.append(dataclasses.replace(group, rows=sort_rows(group.rows, last=group.unlike)))
    return groups
