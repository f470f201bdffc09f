"""One flipped bit in vectors, states, records or predictions leads to the undisturbed numbers, or to one error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from faults import corrupt_results

from bend_hf.data import toy
from bend_hf.embed import layout


@pytest.fixture(scope="module", autouse=True)
def scratch() -> Iterator[None]:
    toy.make(corrupt_results.DATA)
    yield
    shutil.rmtree(corrupt_results.SCRATCH, ignore_errors=True)


@pytest.mark.parametrize("name", corrupt_results.KINDS)
def test_a_flipped_bit_changes_no_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "SMALLEST_SHARD", 2048)
    ends = corrupt_results.trials(name, places=2)
    assert sum(ends.values()) == 2
    assert set(ends) <= {"undisturbed", "one error"}, ends
