"""Draws the table of docs/comparison.md from the parser: ``python tests/comparison_page.py`` writes it anew."""

from __future__ import annotations

import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

from bend_hf.cli import build_parser

PAGE = Path(__file__).resolve().parents[1] / "docs" / "comparison.md"
OTHERS = {
    "tasks ls": ("`datasets list`", "`available-tasks`, `available-benchmarks`", "`ls tasks`, `ls groups`"),
    "models ls": ("`models list`", "", ""),
    "models info": ("`models info`", "", ""),
    "evaluate": ("", "`run`", "`run`"),
    "doctor": ("", "`mock-run`", ""),
    "publish": ("`upload`", "", ""),
    "report": ("", "`leaderboard`", ""),
    "cache ls": ("`cache list`", "", ""),
    "cache rm": ("`cache rm`, `cache prune`", "", ""),
    "cache verify": ("`cache verify`", "", ""),
    "version": ("`version`, `env`", "", ""),
    "completion": ("`--show-completion`, `--install-completion`", "", ""),
}
"""Our verb → the nearest of hf, mteb and lm_eval; what is not here has no counterpart there."""


def verbs(parser: ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield each verb and what it does, as its help has it."""
    groups = [action for action in parser._actions if isinstance(action, _SubParsersAction)]
    for group in groups:
        for name, sub in group.choices.items():
            yield from verbs(sub, (*path, name))
    if not groups:
        yield " ".join(path), (parser.description or "").rstrip(".").replace("|", r"\|")


def table() -> str:
    """Return the table."""
    lines = ["| `bend-hf` | what it does | `hf` | `mteb` | `lm_eval` |", "| --- | --- | --- | --- | --- |"]
    for verb, summary in verbs(build_parser()):
        others = " | ".join(other or "–" for other in OTHERS.get(verb, ("", "", "")))
        lines.append(f"| `{verb}` | {summary} | {others} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page with its table as it is now."""
    block = f"<!-- verbs -->\n\n{table()}\n\n<!-- /verbs -->"
    return re.sub("<!-- verbs -->.*?<!-- /verbs -->", lambda _: block, text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
