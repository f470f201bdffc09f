"""Pages of the site that are made from the code: the command line, the Python names, records, tasks, the changes.

Links from pages to files beside `docs/` (examples, scripts) become plain text, since the site does not hold them.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)[^)]+\)")
CLASSES = (
    ("bend_hf.report.collection.Results", "of, to_pandas, to_polars, summary, scores, genes, plot, tracks"),
    ("bend_hf.results.record.Result", ""),
    ("bend_hf.results.predictions.Predictions", "to_pandas, by, scores, labels"),
    ("bend_hf.results.compare.Comparison", "to_pandas, to_json"),
)


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    pages = {
        "reference/cli.md": _command_line(),
        "reference/api.md": _names(),
        "reference/schemas.md": _schemas(),
        "reference/changes.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "](../"),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Take links out of `docs/` away, and leave their text."""
    return OUTSIDE.sub(r"\1", markdown) if "reference" not in str(_["page"].file.src_path) else markdown


def _command_line() -> str:
    from bend_hf.cli import build_parser

    parts = ["# Command line", "What `--help` prints, verb by verb."]
    for name, parser in _parsers(build_parser(), "bend-hf"):
        parts.append(f"## {name}\n\n```text\n{parser.format_help().rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def _parsers(parser: ArgumentParser, name: str) -> Iterator[tuple[str, ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for word, sub in action.choices.items():
                yield from _parsers(sub, f"{name} {word}")


def _names() -> str:
    import bend_hf

    names = [name for name in bend_hf.__all__ if name in bend_hf._WHERE and name not in ("TASKS", "Task")]
    parts = ["# Python", "Names of `bend_hf`, and what its functions return."]
    for name in names:
        members = "\n    options:\n      members: [embed, nucleotides, embed_layers]" if name == "Embedder" else ""
        parts.append(f"::: {bend_hf._WHERE[name]}.{name}{members}")
    for path, members in CLASSES:
        parts.append(f"::: {path}" + (f"\n    options:\n      members: [{members}]" if members else ""))
    return "\n\n".join(parts) + "\n"


def _schemas() -> str:
    from bend_hf.results.record import SCHEMA
    from bend_hf.results.schema import _FIELDS, _PROVENANCE

    fields = "\n".join(f"| `{name}` | {expected} |" for name, (_, expected) in _FIELDS.items())
    provenance = "\n".join(f"| `{name}` | {expected} |" for name, (_, expected) in _PROVENANCE.items())
    return (
        "# Records and tasks\n\n## Fields of a record\n\n"
        f"Schema {SCHEMA}. Beside them: `schema`, and `digest` over all.\n\n"
        f"| field | what it may hold |\n|---|---|\n{fields}\n\n"
        f"## Provenance that is read again\n\n| field | what it may hold |\n|---|---|\n{provenance}\n\n"
        "::: bend_hf.tasks.task.Task\n\n::: bend_hf.tasks.task.Recipe\n\n::: bend_hf.tasks.task.Source\n\n"
        "::: bend_hf.kinds.kind.Kind\n"
    )
