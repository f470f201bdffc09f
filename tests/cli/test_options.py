"""Values of options: what each kind of value takes, at its bounds, and what it refuses."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from bend_hf.cli import options


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (options.positive, "1", 1),
        (options.positive, "12", 12),
        (options.whole_number, "0", 0),
        (options.whole_number, "7", 7),
        (options.level, "0.95", 0.95),
        (options.seeds, "3", 3),
        (options.seeds, "0,7", [0, 7]),
        (options.seeds, "42,", [42]),
        (options.seeds, "0,", [0]),
        (options.share, "0/1", (0, 1)),
        (options.share, "2/3", (2, 3)),
        (options.layers, "last", "last"),
        (options.layers, "4", 4),
        (options.layers, "-1", -1),
        (options.layers, "4,8,-1", [4, 8, -1]),
    ],
)
def test_a_value_is_read(kind: Callable[[str], Any], text: str, value: Any) -> None:
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (options.positive, "0"),
        (options.positive, "-1"),
        (options.positive, "1.5"),
        (options.whole_number, "-1"),
        (options.level, "0"),
        (options.level, "1"),
        (options.level, "95"),
        (options.level, "nan"),
        (options.seeds, "0"),
        (options.seeds, "1,-1"),
        (options.seeds, "1,b"),
        (options.share, "1/1"),
        (options.share, "-1/2"),
        (options.share, "1"),
        (options.share, "/2"),
        (options.layers, "first"),
        (options.layers, "1,last"),
    ],
)
def test_a_value_that_is_none_is_refused(kind: Callable[[str], Any], text: str) -> None:
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        kind(text)
