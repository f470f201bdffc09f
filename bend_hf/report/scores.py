"""The table of all scores of variants: which distance, layer or likelihood is taken can matter more than the model."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bend_hf.report.elements import header, short, table
from bend_hf.results.board import Row
from bend_hf.text import number


def scores_table(rows: Sequence[Row]) -> str:
    """Return a table of scores by models, each with its interval; nothing where no record has any."""
    scored = [row for row in rows if row.results[0].secondary.get("by_score")]
    names = dict.fromkeys(name for row in scored for name in row.results[0].secondary["by_score"])
    if not names:
        return ""
    body = ""
    for name in names:
        cells = ""
        for row in scored:
            secondary = row.results[0].secondary
            value, ends = (secondary.get(key, {}).get(name) for key in ("by_score", "by_score_interval"))
            under = f'<span class="ends">{ends[0]:.3f} to {ends[1]:.3f}</span>' if ends else ""
            cells += f'<td data-v="{"" if value is None else value}">{number(value)}{under}</td>'
        body += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    last = '<tr><th scope="row">cross-fitted best</th>'
    for row in scored:
        fitted = row.results[0].secondary.get("cross_fitted") or {}
        value, ends, chosen = (fitted.get(key) for key in ("score", "interval", "chosen"))
        under = f"{ends[0]:.3f} to {ends[1]:.3f}; " if ends else ""
        under += escape(", ".join(dict.fromkeys(chosen or [])) or str(fitted.get("lack") or ""))
        last += f'<td>{number(value)}<span class="ends">{under}</span></td>'
    caption = "AUROC of every score and control, with intervals. The highest is no score; cross-fitted is one."
    head = header(["Score", *(escape(short(row.title)) for row in scored)])
    inside = table(caption, head, body, f'<tbody class="apart">{last}</tr></tbody>')
    return f"<details open><summary>All scores</summary>{inside}</details>"
