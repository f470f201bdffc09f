"""The benchmark of training runs, and says what it has measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "training.py"
PLACES = [str(BENCHMARK.parent), str(BENCHMARK.parents[2])]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(PLACES), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("native", [None, "bfloat16"])
def test_the_benchmark_of_training_runs(native: str | None) -> None:
    """In bfloat16 where the processor computes in it, and five seeds whatever it computes in."""
    code = (
        f"import json, torch, training; training.native_half = lambda device: {native and f'torch.{native}'}; "
        "print(json.dumps(training.run('tiny')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=500
    )
    rows = {what: values for what, *values in json.loads(done.stdout.splitlines()[-1])}
    precisions = ["fp32"] if native is None else ["fp32", "bf16"]
    assert {what.rpartition(", ")[2] for what in rows} == set(precisions)
    assert len(rows) == 21 * len(precisions)
    epochs = [what for what in rows if what.startswith("epoch, ")]
    assert len(epochs) == 5 * len(precisions)
    for what in epochs:
        _, *name, _, precision = what.split(", ")
        case = ", ".join([*name, precision])
        one = rows[what][1]
        five = rows[f"five seeds beside five runs of one, {case}"]
        assert five[0] == pytest.approx(5 * one)
        assert rows[f"five seeds beside one, {case}"] == [5.0, pytest.approx(five[1] / one), "epochs of one"]
        assert 0 < rows[f"… if all were products at the ceiling, {case}"][1] < five[1] / one


def measured(code: str, threads: int = 1) -> list[str]:
    """What code prints that has the benchmark as `training`."""
    command = [sys.executable, "-c", f"import training\n{code}"]
    environment = ENVIRONMENT | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.splitlines()


@pytest.mark.parametrize("what", ["1-nt", "genes"])
def test_the_arithmetic_of_a_head_is_that_which_is_counted(what: str) -> None:
    """A pass forward and one backward, by torch's own counter; it knows nothing of the lookups of token vectors."""
    code = f"""
import numpy as np, torch
from torch.utils.flop_counter import FlopCounterMode
from bend_hf.protocols import get_protocol
from bend_hf.train.head import Batch, cnn_head
case = training.PROFILED[{what!r}]
[(vectors, lengths)], _ = training.make(case, 1, np.random.default_rng(0))
head = cnn_head(case.task, case.dim, get_protocol("default"))
batch = Batch(torch.from_numpy(vectors)[None], torch.from_numpy(lengths)[None])
for work in (lambda: head(batch), lambda: found.sum().backward()):
    with FlopCounterMode(display=False) as counted:
        found = work()
    print(counted.get_total_flops())
print(*training.arithmetic(case, [lengths]), sep="\\n")
"""
    forward, backward, *ours = map(int, measured(code))
    assert ours == [pytest.approx(forward, rel=0.01), pytest.approx(backward, rel=0.01)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_profile_accounts_for_the_time_of_all_lanes(threads: int) -> None:
    _, lanes, *parts, products, beside = measured("print(training.profile('genes', 2, 'tiny'))", threads)
    assert lanes.startswith(f"{threads} lanes for ")
    shares = {part[: part.index("  ")]: int(part.split()[-1].rstrip("%")) for part in parts}
    assert set(shares) >= {
        "products of matrices",
        "tokens to positions",
        "optimiser",
        "waiting",
        "batches put together",
    }
    assert min(shares.values()) >= 0
    assert sum(shares.values()) == pytest.approx(100, abs=6)
    assert products.startswith("products reach ")
    assert "reading 0 s" not in beside
