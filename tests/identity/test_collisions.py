"""A sample of the pairs of `collisions.py`, which tries them all: every tenth, and those that broke before."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import collisions

ALWAYS = ("changed code", "one embedding", "two functions")


@pytest.fixture(scope="module", autouse=True)
def _made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        scratch = tmp_path_factory.mktemp("collisions")
        model = scratch / "run1" / "checkpoint-500"
        for name, value in (("SCRATCH", scratch), ("DATA", scratch / "toy"), ("MODEL", model)):
            patch.setattr(collisions, name, value)
        collisions.prepare()
        yield


def sample(pairs: Iterator[collisions.Pair]) -> list[collisions.Pair]:
    return [pair for number, pair in enumerate(pairs) if number % 10 == 0 or any(word in pair[0] for word in ALWAYS)]


def test_what_must_share_nothing() -> None:
    pairs = sample(collisions.unlike())
    assert len(pairs) >= 6
    assert [pair[0] for pair in pairs if not collisions.judge(pair, True)[1]] == []


def test_what_must_share_all() -> None:
    assert [pair[0] for pair in sample(collisions.alike()) if not collisions.judge(pair, False)[1]] == []
