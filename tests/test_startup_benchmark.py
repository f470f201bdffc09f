"""The benchmark of start-up: it measures processor time, and what it runs gives vectors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tiny_models


@pytest.fixture
def startup(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent / "benchmarks"))
    import startup

    return startup


def test_work_counts_and_waiting_does_not(startup):
    work = startup.seconds(["-c", "import time\nwhile time.process_time() < 0.3: pass"], 1)
    assert work >= 0.3
    assert startup.seconds(["-c", "import time; time.sleep(0.3)"], 1) < 0.25


def test_its_code_embeds_a_row(startup, toy_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["-c", str(toy_dir), str(tiny_models.esm(tmp_path))])
    names: dict = {}
    exec(startup.ROWS + startup.VECTORS + "made = next(embedder.embed([row['sequence']]))", names)
    assert names["made"].lengths.sum() == len(names["row"]["sequence"]) == 512
