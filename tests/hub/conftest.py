from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of all datasets (toy) and metrics under the namespace `bend`; treat it as read-only."""
    from bend_hf.hub.prepare import prepare

    folder = tmp_path_factory.mktemp("mirror")
    prepare(toy=True, to=folder)
    return folder
