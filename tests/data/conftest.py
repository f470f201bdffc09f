from __future__ import annotations

from pathlib import Path

import pytest
from data_folder import DataFolder, make


@pytest.fixture
def data(tmp_path: Path) -> DataFolder:
    """A folder of its own for every test, to be changed at will."""
    return make(tmp_path / "data")


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches for one test; returns the root of built datasets."""
    monkeypatch.setenv("BEND_HF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "datasets"
