"""What a command has to say, and the one place that prints it: for people, as JSON, or names alone.

    show(Answer("a table", data=[{"name": "a"}], names=["a"]), "quiet")     # prints: a

Every command returns an `Answer`; none prints.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bend_hf.console import watched
from bend_hf.errors import printable

FORMS = ("human", "json", "quiet")


@dataclass(frozen=True)
class Answer:
    """What a command has to say.

    Attributes:
        text: For people: an object whose `str` is shown, made only where it is.
        data: The same as JSON-able values; what JSON does not know, such as a path, stands there as its text.
        names: What a script goes on with, one a line: names, paths, or the one value asked for.
        code: Exit code.
        next: Commands that may follow.
    """

    text: Any
    data: Any
    names: Iterable[Any] = ()
    code: int = 0
    next: tuple[str, ...] = ()


def show(answer: Answer, form: str) -> None:
    """Print an answer on standard output, and the next commands on standard error where a person is looking."""
    if form == "json":
        print(json.dumps(answer.data, indent=1, default=str))
    elif lines := [str(answer.text)] if form == "human" else [str(name) for name in dict.fromkeys(answer.names)]:
        print(printable("\n".join(lines)))
    if answer.next and form == "human" and watched():
        print("Next: " + "   ".join(answer.next), file=sys.stderr)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def files(paths: Iterable[Path]) -> Answer:
    """Return the answer of a command that wrote files."""
    found = [str(path) for path in paths]
    return Answer("\n".join(found), {"files": found}, found)
