"""Architectures of transformers: what AutoModel computes, to the bit, at every length, alone and in company."""

from __future__ import annotations

from pathlib import Path

import architectures
import pytest

from bend_hf.errors import BendError

EQUAL_TO_ROUNDING = {"esm": 1e-5}
"""ESM's GELU is computed in one step; see `stock.fuse_gelu`."""


REFUSED = {"mra": "mra has attention, but no token's vector depends on any other token"}
"""Which transformers runs without a word where their kernels are missing."""


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_what_cannot_be_right_is_refused(kind, tmp_path):
    with pytest.raises(BendError, match=REFUSED[kind]):
        architectures.examine(architectures.build(kind, tmp_path / kind))


@pytest.mark.parametrize("kind", sorted(architectures.ARCHITECTURES.keys() - REFUSED.keys()))
def test_vectors_are_those_of_automodel(kind, tmp_path):
    found = architectures.examine(architectures.build(kind, tmp_path / kind))
    assert "transformers'" in found.how
    assert found.difference[0] <= EQUAL_TO_ROUNDING.get(kind, 0.0)
    assert found.difference[1] <= 1e-5  # the longest, and one longer than it, among them
    assert found.how.startswith("the encoder of") == (kind in HALVES)


HALVES = {
    "bart",
    "bigbird_pegasus",
    "led",
    "longt5",
    "m2m_100",
    "marian",
    "mbart",
    "mt5",
    "pegasus",
    "plbart",
    "prophetnet",
    "switch_transformers",
    "t5",
    "umt5",
}


def test_the_documentation_lists_them():
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    listed = page.partition(architectures.BEGIN)[2].partition(architectures.END)[0]
    assert [line.split(" | ")[0].removeprefix("| ") for line in listed.strip().splitlines()[2:]] == sorted(
        architectures.ARCHITECTURES
    )
