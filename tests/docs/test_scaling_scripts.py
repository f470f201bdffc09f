"""The scripts for SLURM in docs/scaling.md do what the page says, on made-up nodes with SLURM's variables."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from blocks import ROOT, blocks

from bend_hf.demo import write_untrained_model
from bend_hf.results.record import read_results

SCALING = ROOT / "docs" / "scaling.md"
PROGRAMS = {
    "bend-hf": f'exec {sys.executable} -m bend_hf "$@"',
    "accelerate": f'exec {sys.executable} -m accelerate.commands.accelerate_cli "$@"',
    "scontrol": '[ "$1 $2" = "show hostnames" ] && printf "%s\\n" 127.0.0.1 other',
    # Starts a task on every node, as --ntasks-per-node=1 has it; one that fails makes it fail.
    "srun": """tasks=()
for ((node = 0; node < SLURM_NNODES; node++)); do SLURM_NODEID=$node "$@" & tasks+=($!); done
for task in "${tasks[@]}"; do wait "$task" || failed=1; done
exit ${failed:-0}""",
}


@pytest.fixture
def submit(tmp_path, toy_dir):
    """Run the script of the page that holds a text, with a tiny model and the toy for what its names stand for."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    model = write_untrained_model(tmp_path / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    stands_for = {
        "embed MODEL": f"embed {model} --tasks cpg_methylation",
        "evaluate MODEL": f"evaluate {model} --tasks cpg_methylation --epochs 1 --seeds 1 --limit 40",
        "--data-dir DATA --genome GRCh38=GRCh38.fa GRCh37=GRCh37.fa": "",
        "/shared": str(tmp_path),
        "29500": port,
    }

    def run(part: str, **variables: str) -> subprocess.CompletedProcess[str]:
        [script] = [block.text for block in blocks(SCALING) if part in block.text and "#SBATCH" in block.text]
        for name, value in stands_for.items():
            script = script.replace(name, value)
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        environment |= {"BEND_HF_DATA": str(toy_dir), "OMP_NUM_THREADS": "1"} | variables
        return subprocess.run(
            ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


def test_the_array_fills_one_store_whichever_job_ends_last(submit, tmp_path):
    for job, complete in (("1", False), ("0", True)):
        done = submit("--array", SLURM_ARRAY_TASK_ID=job, SLURM_ARRAY_TASK_COUNT="2")
        assert done.returncode == 0, done.stderr
        assert ("incomplete" not in done.stdout) == complete
        assert bool(list((tmp_path / "vectors").glob("*/manifest.json"))) == complete


def test_two_nodes_of_a_process_each_make_one_result(submit, tmp_path):
    nodes = {"SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "1", "SLURM_JOB_NODELIST": "node[1-2]"}
    done = submit("accelerate launch", **nodes)
    assert done.returncode == 0, done.stderr
    [result] = read_results(tmp_path / "results")
    assert result.failure is None
    assert result.provenance["hardware"]["processes"] == 2
    assert done.stdout.count("CpG methylation") == 1
    assert list((tmp_path / "vectors").iterdir())
