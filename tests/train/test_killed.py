"""SIGKILL at random moments of training, then resumed: the result is the undisturbed run's, bit for bit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TRIALS = int(os.environ.get("BEND_HF_KILL_TRIALS", "4"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments_and_resumed(tmp_path: Path) -> None:
    """Set BEND_HF_KILL_TRIALS=100 for the long version."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, str(HERE / "killed_fit.py"), str(tmp_path), str(TRIALS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    trials = re.findall(r"trial \d+ killed (\d+) (\w+)", done.stdout)
    assert len(trials) == TRIALS, done.stdout + done.stderr[-2000:]
    assert {outcome for _, outcome in trials} == {"equal"}, done.stdout
    assert sum(int(kills) for kills, _ in trials) >= TRIALS
