"""The benchmark of training runs, and says what it has measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "training.py"


def test_the_benchmark_of_training_runs() -> None:
    environment = os.environ | {"PYTHONPATH": str(BENCHMARK.parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARK), "--size", "tiny"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=500)
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["reference", "bend_hf", "unit", "ratio"]
    assert len(rows) == 16
    assert sum(row.startswith("epoch, ") for row in rows) == 9
    assert all(row.endswith("x") for row in rows)
