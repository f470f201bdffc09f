"""Kills a training run at random moments and resumes it, many times over; a script, run by a test.

    python tests/train/killed_fit.py FOLDER TRIALS

This process imports and waits; every fit is in a forked child, so that a trial costs no imports. Prints one line per
trial: how often the run was killed before it came to its end, and whether it ended as the run that nobody touched.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_data import make, splits

from bend_hf.protocols import get_protocol
from bend_hf.train.fit import fit

TASK, SOURCE, LABELS = make("gene_finding", 30)


def run(folder: Path) -> None:
    """Fit two seeds, and write the histories (without times) and scores."""
    torch.set_num_threads(1)
    options: dict[str, Any] = {"protocol": get_protocol("default"), "epochs": 4, "batch_size": 4, "seeds": (0, 1)}
    fitted = fit(TASK, checkpoint_dir=folder / "state", checkpoint_seconds=0, **options, **splits(SOURCE, LABELS))
    history = [[value for name, value in entry.items() if name != "seconds"] for one in fitted for entry in one.history]
    arrays = [np.array(history), *(scores for one in fitted for scores in one.scores)]
    with (folder / "partial").open("wb") as file:
        np.savez(file, *arrays)
    (folder / "partial").rename(folder / "result.npz")


def attempt(folder: Path, patience: float) -> bool:
    """Run in a child, killed after `patience` seconds; return whether it came to its end."""
    child = os.fork()
    if not child:
        os.close(2)
        run(folder)
        os._exit(0)
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def equal(one: Path, other: Path) -> bool:
    """Whether two results are the same, bit for bit."""
    if not other.is_file():
        return False
    a, b = np.load(one), np.load(other)
    return a.files == b.files and all(np.array_equal(a[name], b[name]) for name in a.files)


def main(folder: Path, trials: int) -> None:
    """Compare every trial with an undisturbed run."""
    whole = folder / "whole"
    whole.mkdir()
    start = time.monotonic()
    attempt(whole, 600)
    took = time.monotonic() - start
    for trial in range(trials):
        draw, kills = random.Random(trial), 0
        while not kills:  # a run that came to its end before it was killed says how long one takes now, and no more
            place = folder / f"{trial}-{draw.random()}"
            place.mkdir()
            start = time.monotonic()
            while kills < 4 and not attempt(place, draw.uniform(0.1, 0.9) * took):
                kills += 1
            took = took if kills else min(took, time.monotonic() - start)
        if kills == 4:
            attempt(place, 600)
        same = equal(whole / "result.npz", place / "result.npz")
        print(f"trial {trial} killed {kills} {'equal' if same else 'DIFFERS'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
