"""``task.json``: a task as a document, written with every field and read strictly.

    write_document(Path("my_task/task.json"), task)
    task = read_document(Path("my_task/task.json"))

An unknown, missing or ill-typed field is an error that names it: a task means the same to everyone who reads it.
``"recipe": "default"`` stands for the recipe that tasks of its kind have.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bend_hf import files
from bend_hf.errors import BendError, DiskError, unknown
from bend_hf.kinds import get_kind
from bend_hf.tasks.task import Recipe, Task, default_recipe

SCHEMA = 1
"""Version of the document. A change that old readers would misread adds 1."""

NAME = "task.json"
NO_FIELDS = ("folder",)
"""What a `Task` knows and its document does not say."""


def to_document(task: Task) -> dict[str, Any]:
    """Return a task as a JSON-able document."""
    fields = dataclasses.asdict(task)
    for name in NO_FIELDS:
        del fields[name]
    document: dict[str, Any] = json.loads(json.dumps({"schema": SCHEMA, **fields}))
    return document


def write_document(path: Path, task: Task) -> None:
    """Write a task as a document."""
    files.write_json(path, to_document(task))


def read_document(path: Path) -> Task:
    """Read a task from its document; its folder is where its files are looked for.

    Raises:
        BendError: The file is missing, no JSON, or no task; the message names the field and what it should be.
    """
    try:
        document = files.read_json(path, "mend it, or take it from where it came from", object_pairs_hook=_once)
    except DiskError as error:
        raise BendError(f"{error} A task's folder holds a {NAME}.") from error
    return dataclasses.replace(from_document(document, str(path)), folder=path.parent.absolute())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field stands there twice")
    return found


def from_document(document: Any, where: str) -> Task:
    """Return the task that a document describes.

    Args:
        document: As `to_document` returns it.
        where: What the document is, for messages.

    Raises:
        BendError: It is no task; the message names the field and what it should be.
    """
    if not isinstance(document, dict):
        raise BendError(f"{where}: is no object with the fields of a task.")
    schema = document.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise BendError(f"{where}: field 'schema' is {_shown(schema)}; expected {SCHEMA}.")
    if schema > SCHEMA:
        raise BendError(f"{where}: schema {schema} is newer than this bend_hf, which reads {SCHEMA}: upgrade bend_hf.")
    fields = {name: value for name, value in document.items() if name != "schema"}
    if fields.get("recipe") == "default":
        fields["recipe"] = _default(fields, where)
    task: Task = _object(Task, fields, where, "")
    return task


def _default(fields: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """Return the recipe of a kind for what else a document says; of wrong fields `_object` tells more."""
    shape = types.SimpleNamespace(**{name: fields.get(name) for name in ("label_names", "window", "bin_size")})
    try:
        recipe = default_recipe(get_kind(fields.get("label_kind", "")), shape)
    except TypeError as error:
        raise BendError(f"{where}: label_kind or label_names are missing: there is no default recipe.") from error
    return None if recipe is None else dataclasses.asdict(recipe)


def _object(kind: Any, fields: Any, where: str, path: str) -> Any:
    """Return a dataclass of the fields, each checked against its declared type."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name not in NO_FIELDS}
    if not isinstance(fields, dict):
        raise BendError(f"{where}: field {path!r} is {_shown(fields)}; expected an object with {', '.join(hints)}.")
    prefix = f"{path}." if path else ""
    for name in fields:
        if name not in hints:
            raise BendError(f"{where}: {unknown('field', f'{prefix}{name}', [f'{prefix}{hint}' for hint in hints])}")
    for name, hint in hints.items():
        if name not in fields:
            raise BendError(f"{where}: field '{prefix}{name}' is missing; expected {_words(hint)}.")
    values = {name: _value(hint, fields[name], where, f"{prefix}{name}") for name, hint in hints.items()}
    try:
        return kind(**values)
    except BendError as error:
        raise BendError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str, path: str, words: str = "") -> Any:
    """Return a JSON value as the declared type (in words, where they are not its own) has it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        if value is None:
            return None
        [inner] = (argument for argument in arguments if argument is not type(None))
        return _value(inner, value, where, path, _words(hint))
    if dataclasses.is_dataclass(hint):
        return _object(hint, value, where, path)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(arguments[0], item, where, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {name: _value(arguments[1], item, where, f"{path}.{name}") for name, item in value.items()}
    if origin is Literal:
        if value not in arguments:
            raise BendError(f"{where}: field {path!r} is {_shown(value)}; choices: {', '.join(arguments)}.")
        return value
    number = isinstance(value, int | float) and abs(value) <= sys.float_info.max  # of a float; JSON's have any length
    fits = number if hint is float else isinstance(value, hint) if origin is None else False
    if not fits or (isinstance(value, bool) and hint is not bool):
        raise BendError(f"{where}: field {path!r} is {_shown(value)}; expected {words or _words(hint)}.")
    return hint(value)


def _words(hint: Any) -> str:
    """Return a type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return " or ".join("null" if argument is type(None) else _words(argument) for argument in arguments)
    if origin is Literal:
        return f"one of {', '.join(arguments)}"
    if origin is tuple:
        return f"a list, each {_words(arguments[0])}"
    if origin is Mapping:
        return f"an object, each value {_words(arguments[1])}"
    plain = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", Recipe: "a recipe"}
    return plain.get(hint, "an object")


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
