"""Published and independently re-run values, for rows of their own beside results: the entries of ``reference.json``.

rows = published(["gene_finding"])
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.resources import files as package_files
from typing import Any

from bend_hf.metric import METRICS
from bend_hf.results.board import Row, sort_rows
from bend_hf.tasks import TASKS


def references() -> list[dict[str, Any]]:
    """Published and independently re-run values: the entries of ``reference.json``."""
    text = (package_files("bend_hf.report") / "reference.json").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = json.loads(text)["entries"]
    return entries


def published(tasks: Iterable[str]) -> list[Row]:
    """Rows of the reference values of some tasks."""
    wanted = set(tasks)
    rows = [
        Row(
            model=entry["model"],
            task=entry["task"],
            protocol=entry["protocol"],
            kind="published",
            toy=False,
            score=entry["score"],
            interval=None,
            sampling=None,
            spread=None,
            trained=None,
            chance=METRICS[TASKS[entry["task"]].metric].chance,
            source=f"{entry['source']} ({entry['status']})",
        )
        for entry in references()
        if entry["task"] in wanted
    ]
    return sort_rows(rows)
