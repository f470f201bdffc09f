"""`write_report`: results as one HTML page, or as Markdown, CSV, LaTeX or JSON for papers and programs.

    write_report("bend-results", "report.html")
    write_report(["run-a", "run-b"], "table.tex")          # the format follows the file's ending

The page is one file without network access, under 2 MB, readable on a phone, in print and by screen readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bend_hf import files
from bend_hf.checks import path_of, switch, whole
from bend_hf.console import log
from bend_hf.errors import BendError, unknown
from bend_hf.report import export
from bend_hf.report.groups import grouped
from bend_hf.report.page import page
from bend_hf.report.published import published
from bend_hf.results.apart import gather
from bend_hf.results.record import Result
from bend_hf.results.statistics import FEWEST_RESAMPLES
from bend_hf.tasks import TASKS

FORMATS = {"html": ".html", "markdown": ".md", "csv": ".csv", "latex": ".tex", "json": ".json"}
LIMIT = 2_000_000
"""Bytes that the HTML page should stay under."""


def write_report(
    results: str | Path | Iterable[str | Path | Result],
    output: str | Path,
    *,
    format: str | None = None,
    references: bool = True,
    resamples: int = 1000,
    browse: int | None = None,
) -> Path:
    """Write a report of results.

    Args:
        results: A folder or file of records, several of them, or records. Runs of one model are
            told apart by what differs, in the end by their folders.
        output: File to write.
        format: ``html``, ``markdown``, ``csv``, ``latex`` or ``json``; None for the one of `output`'s ending.
        references: Whether published values stand beside results on real data, in rows of their own.
        resamples: Bootstrap resamples of the paired comparison, ten at least.
        browse: Test rows of every task that the page holds, to be looked at one by one; None for as many as find room.

    Returns:
        `output`.

    Raises:
        BendError: There are no results, a record or its predictions cannot be trusted, the format is unknown, or
            `browse` is no number of rows.
    """
    output, browse = path_of("output", output), whole("browse", browse)
    switch("references", references)
    whole("resamples", resamples, FEWEST_RESAMPLES)
    ending = files.ending(output)
    kind = format if format is not None else next((name for name, known in FORMATS.items() if known == ending), None)
    if kind is None:
        raise BendError(f"{output}: no format has this ending; choose one with format= of {', '.join(FORMATS)}.")
    if not isinstance(kind, str) or kind not in FORMATS:
        raise unknown("format", str(kind), FORMATS)
    found = gather(results)
    if not found:
        raise BendError("There are no results to report.")
    groups = grouped(found, resamples=resamples)
    tasks = [task for task in TASKS if any(task in group.tasks for group in groups if not group.toy)]
    elsewhere = published(tasks) if references else []
    if kind == "html":
        text = page(groups, elsewhere, browse)
        if len(text.encode()) > LIMIT:
            log.warning("%s is larger than %d MB: report fewer models at once.", output, LIMIT // 10**6)
    else:
        text = getattr(export, kind)(groups, elsewhere)
    with files.atomic(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return output
