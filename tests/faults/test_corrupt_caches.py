"""One flipped bit in anything that is kept leads to the undisturbed rows, or to one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults import corrupt_caches


@pytest.mark.parametrize("name", corrupt_caches.KINDS)
def test_a_flipped_bit_changes_no_row(tmp_path: Path, name: str) -> None:
    ends = list(corrupt_caches.trials(corrupt_caches.KINDS[name], tmp_path, places=2))
    assert len(ends) == 2
    assert set(ends) <= set(corrupt_caches.GOOD), ends
