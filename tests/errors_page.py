"""Draws the tables of docs/errors.md from `bend_hf.errors`: ``python tests/errors_page.py`` writes them anew."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from bend_hf import errors

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"
STATUSES = (401, 403, 404, 407, 409, 429, 500)


def codes() -> list[list[str]]:
    """Code, what it says, and the exception of each type."""
    said = dict(re.findall(r"^    (\w+) +(\S.*)$", errors.__doc__ or "", re.MULTILINE))
    kinds = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")}
    names = {code: f"`{kind.__name__}`" for code, kind in kinds.items()} | {"interrupted": "`KeyboardInterrupt`"}
    names["input"] = "`BendError`, a `ValueError`"
    names["disk"] = "`DiskError`, an `OSError`; `MissingError`, a `FileNotFoundError`"
    names["memory"] += ", a `MemoryError`"
    exits = {"interrupted": "130", "internal": "70"}
    return [["code", "what", "in Python", "exit code"]] + [
        [f"`{code}`", text.rstrip("."), names[code], exits.get(code, "1")] for code, text in said.items()
    ]


def disk() -> list[list[str]]:
    """What the operating system says, and what is said here."""
    rows = [[f"`{errno.errorcode[number]}`", text] for number, (_, text) in errors._ERRNO.items()]
    return [["the system's", "what is said, after the file's name"], *rows]


def hub() -> list[list[str]]:
    """What the Hub answers, and what is said here."""
    rows = [[str(status), errors._of_status(status, "", {"retry-after": "30"}, False)] for status in STATUSES]
    return [["answer", "what is said"], *rows]


def drawn(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(text: str) -> str:
    """Return the page with its tables as they are now."""
    for name, table in (("codes", codes), ("disk", disk), ("hub", hub)):
        block = f"<!-- {name} -->\n\n{drawn(table())}\n\n<!-- /{name} -->"
        text = re.sub(f"<!-- {name} -->.*?<!-- /{name} -->", lambda found, block=block: block, text, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
