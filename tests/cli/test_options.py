"""Values of options: what each kind of value takes, at its bounds, and what it refuses."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from bend_hf.cli import main, options
from bend_hf.cli.parser import build_parser


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


@pytest.mark.parametrize(
    ("words", "option", "choices"),
    [
        ("build control gene_finding --genome g -o o", "--kind", ("permuted", "shuffled", "matched")),
        ("build methylation a b --genome g -o o", "--scale", ("percent", "fraction")),
        ("build peaks a b --genome g -o o", "--center", ("middle", "summit")),
    ],
)
def test_a_word_that_is_none_of_the_choices_is_wrong_usage(
    words: str, option: str, choices: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Said by the parser, with all of them, and with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        main([*words.split(), option, "another"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert f"argument {option}: invalid choice: 'another'" in said
    assert [choice for choice in choices if choice in said.partition("invalid choice")[2]] == list(choices)


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("evaluate", "model"),
        ("build control", "task, --kind, --genome, -o/--output"),
        ("build methylation a", "--genome, --build, -o/--output"),
    ],
)
def test_what_is_missing_is_wrong_usage(words: str, missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words.split())
    assert stop.value.code == 2
    assert f"the following arguments are required: {missing}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "defaults"),
    [
        ("build methylation a", {"scale": "percent"}),
        ("build peaks a", {"center": "middle"}),
        ("build enhancers --links a --tss t", {"bins": 782, "bin_size": 128, "min_score": 0}),
    ],
)
def test_what_is_not_asked_for_is_as_the_help_says(words: str, defaults: dict[str, Any]) -> None:
    found = build_parser().parse_args([*words.split(), "--genome", "g", "--build", "b", "-o", "o"])
    assert {name: getattr(found, name) for name in defaults} == defaults
