"""What an audit said of a task's rows, kept beside them (`bend_hf.build.audit` makes it).

    found = audited(files)
    found.line, found.table          # one line for reports, the whole for cards; None where there is no audit

An audit names the files that it read by their SHA-256; of other files it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bend_hf.data.sources import TaskFiles
from bend_hf.errors import BendError
from bend_hf.files import read_json, write_json

CLEAR = "no problem found"


@dataclass(frozen=True)
class Audited:
    """What an audit said: in one line, and in whole."""

    line: str
    table: str


def audit_path(bed: Path) -> Path:
    """Return where the audit of a label file lies: ``audit.json`` in a task's own folder, else named as the file is."""
    own = (bed.parent / "task.json").is_file()
    return bed.with_name("audit.json") if own else bed.with_suffix(".audit.json")


def write_audit(files: TaskFiles, found: Mapping[str, Any], table: str) -> Path:
    """Write an audit beside the rows it is of.

    Args:
        files: The files that were audited.
        found: What was found, as JSON-able values.
        table: The same, for people.
    """
    path = audit_path(files.bed)
    write_json(path, dict(found) | {"text": table, "sha256": files.digests})
    return path


def audited(files: TaskFiles) -> Audited | None:
    """Return what the audit beside a task's rows says, or None where there is none.

    An audit of other files, or one that cannot be read, is told in the line; its table is empty.
    """
    path = audit_path(files.bed)
    if not path.is_file():
        return None
    again = f"audit the task again (bend-hf audit --write {files.task.name})"
    try:
        found = read_json(path, again)
        problems, table, digests = found["problems"] + found.get("warnings", []), found["text"], found["sha256"]
        if not (isinstance(problems, list) and isinstance(table, str) and isinstance(digests, dict)):
            raise TypeError
    except (BendError, KeyError, TypeError):
        return Audited(f"{path.name} cannot be read: {again}", "")
    if digests != files.digests:
        return Audited(f"{path.name} is of other files: {again}", "")
    return Audited("; ".join(map(str, problems)) or CLEAR, table)
