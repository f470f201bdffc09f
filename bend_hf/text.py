"""Numbers as text: columns for a terminal, scores, intervals, durations, sizes.

aligned([["model", "score"], ["a", number(0.5)]], left=1)
"""

from __future__ import annotations

from collections.abc import Sequence


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


def counted(number: float, one: str, several: str | None = None, *, form: str = ",") -> str:
    """A number of things as text: ``1 row``, ``2,500 rows``; `several` is the plural that is not one ``s`` more."""
    shown = f"{number:{form}}"
    return f"{shown} {one if shown == '1' else several or one + 's'}"


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


def p_value(p: float | None) -> str:
    """A p-value as text, ``<0.0001`` below that, ``-`` for none."""
    if p is None:
        return "-"
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"
