"""Killed at random moments, its newest files damaged, run again: the numbers are the undisturbed run's, bit for bit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_and_corrupt.py")
TRIALS = int(os.environ.get("BEND_HF_CORRUPT_TRIALS", "20"))


@pytest.mark.timeout(600 + 30 * TRIALS)
@pytest.mark.skipif(sys.platform != "linux", reason="needs fork, and Linux's clocks of processes")
def test_killed_damaged_and_run_again() -> None:
    """Set BEND_HF_CORRUPT_TRIALS=300 for the long version."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--trials", str(TRIALS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    trials = re.findall(r"^trial \d+: killed (\d) times, (\d+) files damaged: (.*)$", done.stdout, re.MULTILINE)
    assert len(trials) == TRIALS, done.stdout + done.stderr[-2000:]
    assert all(end.startswith("equal") for _, _, end in trials), done.stdout
    assert done.returncode == 0
    assert sum(int(kills) for kills, _, _ in trials) >= TRIALS / 2
    assert sum(int(files) for _, files, _ in trials) >= TRIALS / 2
