from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "training.py"


def test_the_benchmark_of_training_runs() -> None:
    command = [sys.executable, str(BENCHMARK), "--size", "tiny", "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    rows = json.loads(run.stdout.splitlines()[-1])
    assert len(rows) == 14
    assert all(reference > 0 and ours > 0 and unit == "s" for _, reference, ours, unit in rows)
