"""What the fields of a record may hold, as predicates that any JSON value can be asked.

list_of(number)([0.5, 1])          # True
object_of(nullable(text))({"a": 3})  # False
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from pathlib import PurePosixPath
from typing import Any

Shape = Callable[[Any], bool]


def anything(value: Any) -> bool:
    """Whatever JSON has."""
    return True


def number(value: Any) -> bool:
    """A finite number; an integer of hundreds of digits, which no arithmetic takes, is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def whole(value: Any) -> bool:
    """A whole number, 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def text(value: Any) -> bool:
    """A string."""
    return isinstance(value, str)


def ends(value: Any) -> bool:
    """The two ends of an interval."""
    return isinstance(value, list) and len(value) == 2 and all(map(number, value)) and value[0] <= value[1]


def nullable(shape: Shape) -> Shape:
    """The shape, or null."""
    return lambda value: value is None or shape(value)


def one_of(choices: Container[str]) -> Shape:
    """One of some strings."""
    return lambda value: isinstance(value, str) and value in choices


def list_of(shape: Shape) -> Shape:
    """A list whose items all have the shape."""
    return lambda value: isinstance(value, list) and all(map(shape, value))


def object_of(shape: Shape) -> Shape:
    """An object whose values all have the shape."""
    return lambda value: isinstance(value, dict) and all(map(shape, value.values()))


def leaves(value: Any) -> bool:
    """A number, a string, true, false or null, or lists and objects of such."""
    if isinstance(value, dict | list):
        return all(map(leaves, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, bool | str) or number(value)


def epoch(value: Any) -> bool:
    """An epoch of a history: its number, and what was measured; ``part`` says of which fold."""
    own = ("epoch", "part")
    return (
        isinstance(value, dict)
        and whole(value.get("epoch"))
        and nullable(text)(value.get("part"))
        and all(item is None or number(item) for name, item in value.items() if name not in own)
    )


def file_beside(value: Any) -> bool:
    """The predictions' file, which lies in the folder of its record, with its digest and rows."""
    if not isinstance(value, dict) or set(value) != {"file", "sha256", "rows"}:
        return False
    name = value["file"]
    inside = text(name) and len(name.encode("utf-8", "replace")) < 256 and "\0" not in name and "\\" not in name
    inside = inside and PurePosixPath(name).name == name not in ("", "..")
    return inside and text(value["sha256"]) and whole(value["rows"])
