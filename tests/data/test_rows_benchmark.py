from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "rows.py"


def test_the_benchmark_of_rows_runs() -> None:
    arguments = ["--rows", "3000", "--reference-rows", "300", "--num-proc", "1"]
    run = subprocess.run([sys.executable, str(BENCHMARK), *arguments], capture_output=True, text=True, check=True)
    table = run.stdout.splitlines()
    assert table[0].split() == ["rows", "seconds", "rows/s", "ratio", "peak", "GB"]
    assert table[1].split()[:2] == ["reference", "300"]
    assert table[2].split()[:3] == ["bend_hf,", "num_proc=1", "3,000"]


def test_the_profile_counts_what_threads_take_each_by_itself() -> None:
    run = subprocess.run(
        [sys.executable, str(BENCHMARK), "--rows", "3000", "--profile"], capture_output=True, text=True, check=True
    )
    stages = [line.rsplit(maxsplit=3) for line in run.stdout.splitlines() if line.startswith("  ")]
    assert len(stages) == 2 * 9
    assert all(float(seconds) >= 0 for _, seconds, *_ in stages)
    taken = {name.strip() for name, seconds, *_ in stages[:9] if float(seconds) > 0}
    assert taken >= {"digests (SHA-256)", "sequences", "datasets, waiting and the rest"}
