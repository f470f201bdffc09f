"""Code blocks of the documentation, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
NOT_RUN = re.compile(r"<!-- code: checked, not run: (.+?) -->")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language (``""`` for none), its text, and the line of the page it begins at."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(found[1], found[2], text[: found.start()].count("\n") + 1) for found in _BLOCK.finditer(text)]


def commands(block: Block) -> list[list[str]]:
    """Return the `bend-hf` commands of a block of the shell, as lists of words."""
    text = re.sub(r"\s#.*", "", block.text.replace("\\\n", " "))
    text = re.sub(r"\$\w+_COUNT", "2", text)
    text = re.sub(r"\$\w+|\$\{\w+\}", "1", text)  # whatever a variable holds
    found = []
    for line in re.split(r"\n|&&|;", re.sub(r"> *\S+", "", text)):
        before, name, after = line.partition("bend-hf ")
        if name and not before.lstrip().startswith(("#", "|", "python")):
            found.append([word for word in shlex.split(after) if word != "…"])
    return found
