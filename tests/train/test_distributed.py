"""Two processes under ``accelerate launch`` give what one gives, up to the order of summation (1e-4 in two epochs)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(processes: int, folder: Path) -> None:
    folder.mkdir()
    command = [sys.executable, str(HERE / "distributed_fit.py"), str(folder)]
    if processes > 1:
        # --multi_gpu is how Accelerate is told to start several processes itself; without GPUs they use CPUs and gloo.
        options = f"--multi_gpu --num_processes {processes} --num_machines 1 --mixed_precision no --dynamo_backend no"
        command = [sys.executable, "-m", "accelerate.commands.launch", *options.split(), *command[1:]]
        command[3:3] = ["--main_process_port", str(free_port())]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("distributed")
    launch(1, folder / "one")
    launch(2, folder / "two")
    return folder / "one", folder / "two"


CASES = ["histone_modification-1", "histone_modification-6", "gene_finding-3", "enhancer_annotation-1", "reference"]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(folders: tuple[Path, Path], case: str) -> None:
    one, two = folders
    alone = json.loads((one / f"{case}.0.json").read_text())
    first, second = (json.loads((two / f"{case}.{rank}.json").read_text()) for rank in (0, 1))
    for (epoch, score, history), (epoch_0, score_0, history_0), (epoch_1, score_1, history_1) in zip(
        alone, first, second, strict=True
    ):
        assert epoch == epoch_0 == epoch_1
        assert score == pytest.approx(score_0, abs=1e-3)
        assert score_0 == score_1
        for entry, entry_0, entry_1 in zip(history, history_0, history_1, strict=True):
            for name in ("train_loss", "validation_loss"):
                assert entry[name] == pytest.approx(entry_0[name], abs=1e-4)
                assert entry_0[name] == entry_1[name]
    scores, scores_0, scores_1 = (
        np.load(path) for path in (one / f"{case}.0.npz", two / f"{case}.0.npz", two / f"{case}.1.npz")
    )
    assert scores.files == scores_0.files == scores_1.files
    for name in scores.files:  # one array per test row and seed: none is lost, none comes twice
        np.testing.assert_allclose(scores[name], scores_0[name], atol=1e-4)
        assert np.array_equal(scores_0[name], scores_1[name])


def test_a_network_with_batch_norm_is_one_network_on_all_processes(folders: tuple[Path, Path]) -> None:
    for kind in ("network", "statistics"):
        values_0, values_1 = (np.load(folders[1] / f"{kind}.{rank}.npz") for rank in (0, 1))
        assert values_0.files
        for name in values_0.files:
            np.testing.assert_allclose(values_0[name], values_1[name], atol=1e-6)
