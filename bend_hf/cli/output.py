"""What a command has to say, and the one place that prints it: for people, as JSON, or names alone.

    show(Answer("a table", data=[{"name": "a"}], names=["a"]), "quiet")     # prints: a

Every command returns an `Answer`; none prints.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
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
        text: For people: an object whose `str` is shown, made only where it is. What is no text itself is folded
            between words where a terminal is narrower; a text, which may be a command or a script, is not.
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
    elif form == "human":
        text = printable(str(answer.text))
        print(_folded(text) if sys.stdout.isatty() and not isinstance(answer.text, str) else text)
    elif names := [str(name) for name in dict.fromkeys(answer.names)]:
        print(printable("\n".join(names)))
    if answer.next and form == "human" and watched():
        print("Next: " + "   ".join(answer.next), file=sys.stderr)


def _folded(text: str) -> str:
    """Break lines that are longer than the terminal between words; a terminal would break within them."""
    width = shutil.get_terminal_size().columns
    lines = []
    for line in text.split("\n"):
        space = line[: len(line) - len(line.lstrip())] + "  "
        parts = textwrap.wrap(line, width, subsequent_indent=space, break_long_words=False, break_on_hyphens=False)
        lines += parts if len(line) > width else [line]
    return "\n".join(lines)


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
