"""What a record must hold: its fields, what each may be, and how they go together.

validate(record, "results/a.json")       # a BendError names the file, the field, its value and what was expected
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from bend_hf.checks import SEEDS
from bend_hf.errors import BendError, unknown
from bend_hf.identity import PARTS
from bend_hf.metric import METRICS
from bend_hf.protocols import PROTOCOLS
from bend_hf.results.shapes import (
    anything,
    ends,
    epoch,
    file_beside,
    leaves,
    list_of,
    nullable,
    number,
    object_of,
    one_of,
    text,
    whole,
)
from bend_hf.tasks import TASKS, from_document, register

UNSEEDED = ("composition",)
"""Models whose heads are not trained at random: their results have no seed."""

_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "model": (lambda v: isinstance(v, str) and bool(v.strip()), "a non-empty string"),
    "task": (lambda v: isinstance(v, str) and v in TASKS, f"one of {', '.join(TASKS)}, or declared in provenance"),
    "protocol": (one_of(PROTOCOLS), f"one of {', '.join(PROTOCOLS)}"),
    "seed": (nullable(lambda v: whole(v) and v < SEEDS), "an integer from 0 to 2**32 - 1, or null"),
    "metric": (one_of(METRICS), f"one of {', '.join(METRICS)}"),
    "score": (nullable(number), "a finite number or null"),
    "interval": (nullable(ends), "[low, high] with low <= high, or null"),
    "chance": (number, "a finite number"),
    "toy": (lambda v: isinstance(v, bool), "true or false"),
    "secondary": (object_of(leaves), "an object of numbers, and of lists and objects of them"),
    "counts": (object_of(nullable(number)), "an object of numbers"),
    "folds": (nullable(list_of(object_of(leaves))), "a list of objects of numbers, or null"),
    "history": (list_of(epoch), "a list of objects of numbers, each with its epoch"),
    "provenance": (object_of(anything), "an object"),
    "failure": (nullable(lambda v: isinstance(v, str) and bool(v.strip())), "a non-empty string or null"),
    "key": (
        nullable(lambda v: isinstance(v, dict) and set(v) == set(PARTS["result"])),
        f"an object with {', '.join(PARTS['result'])}, or null",
    ),
    "predictions": (nullable(file_beside), "an object with file (a name without folders), sha256 and rows, or null"),
}
_PROVENANCE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "dataset_digest": (text, "a string"),
    "created": (text, "a string"),
    "packages": (object_of(nullable(text)), "an object of strings"),
    "model": (object_of(anything), "an object"),
    "settings": (nullable(object_of(anything)), "an object or null"),
    "protocol": (nullable(object_of(anything)), "an object or null"),
    "recipe": (nullable(object_of(anything)), "an object or null"),
    "files": (nullable(object_of(anything)), "an object or null"),
    "hardware": (nullable(object_of(anything)), "an object or null"),
    "seconds": (nullable(lambda v: number(v) or object_of(number)(v)), "a number, an object of numbers, or null"),
    "bytes_stored": (nullable(number), "a number or null"),
    "peak_memory": (nullable(number), "a number or null"),
    "command": (nullable(lambda v: text(v) or list_of(text)(v)), "a string, a list of strings, or null"),
}
"""Parts of the provenance that are read again; others are only shown. Those of a failed run may be missing."""


def validate(record: Mapping[str, Any], where: str) -> None:
    """Check a record of the present schema.

    Raises:
        BendError: A field is missing, unknown, of the wrong type, out of range or at odds with another; the message
            names `where`, the field, its value and what was expected.
    """
    _declare(record, where)
    for name in record:
        if name not in (*_FIELDS, "schema"):
            raise BendError(f"{where}: {unknown('field', name, _FIELDS)}")
    for name, (fits, expected) in _FIELDS.items():
        if name not in record:
            raise BendError(f"{where}: field {name!r} is missing; expected {expected}.")
        if not fits(record[name]):
            raise BendError(f"{where}: field {name!r} is {_short(record[name])}; expected {expected}.")
    task = TASKS[record["task"]]
    if record["metric"] != task.metric:
        raise BendError(f"{where}: field 'metric' is {record['metric']!r}; {task.name} is scored by {task.metric!r}.")
    low, high = METRICS[task.metric].low, METRICS[task.metric].high
    for name, value in (("score", record["score"]), *(("interval", end) for end in record["interval"] or ())):
        if value is not None and not low <= value <= high:
            raise BendError(f"{where}: field {name!r} is {value}; {task.metric} lies in [{low:g}, {high:g}].")
    for name, (fits, expected) in _PROVENANCE.items():
        found = record["provenance"].get(name)
        if not fits(found) and not (found is None and record["failure"] is not None):
            raise BendError(f"{where}: provenance.{name} is {_short(found)}; expected {expected}.")
    if record["failure"] is not None:
        if record["score"] is not None:
            raise BendError(f"{where}: has both a score ({record['score']}) and a failure ({record['failure']!r}).")
        return
    rows = record["counts"].get("rows")
    if not (isinstance(rows, int) and rows > 0):
        raise BendError(f"{where}: counts.rows is {_short(rows)}; expected the number of test rows, above 0.")
    if (task.recipe is None) != (record["seed"] is None) and record["model"] not in UNSEEDED:
        expected = "null: nothing is trained" if task.recipe is None else "the seed of the head's training"
        raise BendError(f"{where}: field 'seed' is {record['seed']}; for {task.name} expected {expected}.")
    if task.folds and not record["folds"]:
        raise BendError(f"{where}: field 'folds' is empty; {task.name} has one entry per fold.")


def _declare(record: Mapping[str, Any], where: str) -> None:
    """Make the task known that a record of a task of one's own declares."""
    provenance = record.get("provenance")
    declared = provenance.get("declaration") if isinstance(provenance, Mapping) else None
    if declared is not None:
        task = register(from_document(declared, f"{where}: provenance.declaration"))
        if task.name != record.get("task"):
            raise BendError(f"{where}: the task is {_short(record.get('task'))}, and {task.name} is declared.")


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
