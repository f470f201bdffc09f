"""The store's benchmark runs, and the table says what is better by how much."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def test_the_benchmark_of_the_store_runs_and_the_store_is_small() -> None:
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS.parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(BENCHMARKS), "store", "--size", "tiny"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=500)
    assert "bytes beside upsampled float32, 6-mers" in done.stdout
    command = [sys.executable, str(BENCHMARKS), "nonsense"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 2
    assert "choose of" in done.stderr


def test_ratios_follow_the_unit() -> None:
    code = (
        "import json, table; print(json.dumps([table.ratio(('a', 2.0, 6.0, 'rows/s')), "
        "table.ratio(('b', 6.0, 2.0, 's')), table.text([('b', 6.0, 2.0, 'MB')])]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    more, less, text = json.loads(done.stdout)
    assert (more, less) == (3.0, 3.0)
    assert text.splitlines()[1].split() == ["b", "6", "2", "MB", "3.0x"]
