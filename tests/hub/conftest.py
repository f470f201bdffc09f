from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of all datasets (toy) and metrics under the namespace `bend`; treat it as read-only."""
    from bend_hf.hub.prepare import prepare

    folder = tmp_path_factory.mktemp("mirror")
    prepare(toy=True, to=folder)
    return folder


@pytest.fixture(scope="session")
def plain_data(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Two data folders of different content that do not call themselves toys; by seed; treat them as read-only."""
    from bend_hf.data import toy

    folders = {}
    for seed in (0, 1):
        folders[seed] = toy.make(
            tmp_path_factory.mktemp("plain") / "data", seed=seed, genes=2, chromatin=8, histone=8, cpgs=8, variants=20
        )
        (folders[seed] / toy.MANIFEST).unlink()
    return folders


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Hugging Face caches of the test's own, in this process."""
    import datasets
    import evaluate

    def forget_metrics() -> None:  # `evaluate` imports them as a package that stays where it was first found
        for name in [name for name in sys.modules if name.partition(".")[0] == "evaluate_modules"]:
            del sys.modules[name]

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf" / "datasets")
    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", str(tmp_path / "hf" / "modules"))
    elsewhere = [folder for folder in sys.path if not (Path(folder) / "evaluate_modules").is_dir()]
    monkeypatch.setattr(sys, "path", elsewhere)
    forget_metrics()
    yield tmp_path / "hf"
    forget_metrics()
