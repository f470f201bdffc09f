"""What happens to one process happens to all: none is left waiting for gradients that never come."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import tiny_models
from faults.corrupt_caches import SIZES

from bend_hf.data import toy

HERE = Path(__file__).parent


def test_stops_errors_and_states_are_everybody_s(tmp_path: Path) -> None:
    """Nine scenes, one after the other, in two processes; who waited for the other would wait for ever."""
    toy.make(tmp_path / "toy", **SIZES)
    tiny_models.gpt2(tmp_path / "sound", layers=1, width=8)
    shutil.copytree(tmp_path / "sound", tmp_path / "without")
    (tmp_path / "without" / "model.safetensors").unlink()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    command += [str(HERE / "parted_fit.py"), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not re.search("terminate called|Aborted|SIGABRT", done.stderr)
    written = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    ends = {scene: [of[scene] for of in written] for scene in written[0]}

    def trained(scene: str) -> list[tuple[str, int]]:
        found = [re.fullmatch(r"trained to (\S+) in (\d+) reads", end) for end in ends[scene]]
        return [(match[1], int(match[2])) for match in found if match]

    whole, resumed = trained("undisturbed"), trained("going on")
    assert ends["Ctrl-C on 1"] == ["stopped", "stopped"]
    assert [loss for loss, _ in resumed] == [loss for loss, _ in whole] == [whole[0][0]] * 2
    assert all(few < many for (_, few), (_, many) in zip(resumed, whole, strict=True))
    assert trained("1 cannot read the state") == whole  # none goes on from what only one can read

    def heard(rank: int, doing: str) -> str:
        return f"told: Process {rank} failed while {doing}; its own message says why."

    training = "histone_modification's heads were trained"
    assert ends["1 cannot read a row"] == [heard(1, training), "failed: no such shard"]
    saving = "the state of histone_modification's training was saved"
    assert ends["0 cannot write the state"] == ["failed: no space left", heard(0, saving)]
    assert ends["1 has no data"][0] == heard(1, "the run was checked")
    assert f"{tmp_path / 'nowhere'} (data_dir) is no folder" in ends["1 has no data"][1]
    assert ends["1 has no weights"][0] == heard(1, "the model was opened")
    assert "without holds no weights: none of" in ends["1 has no weights"][1]
    assert ends["0 fails where it goes first"] == ["failed: no such genome", heard(0, "the main process went first")]
