"""One of several processes that train together until something happens to one of them; a script, run by a test.

    torchrun --nproc-per-node 2 tests/train/parted_fit.py FOLDER

Writes how each of `SCENES` and `EVALUATIONS` ended for this process into ``FOLDER/<rank>.json``.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from training_data import Memory, make, splits

import bend_hf
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.train import checkpoint
from bend_hf.train.fit import fit
from bend_hf.train.processes import main_first, process_state

SCENES = {
    "undisturbed": "a",
    "Ctrl-C on 1": "b",
    "going on": "b",
    "1 cannot read the state": "b",
    "1 cannot read a row": "c",
    "0 cannot write the state": "d",
    "0 fails where it goes first": "e",
}
"""What happens, and the folder of the state it happens to."""
EVALUATIONS = {"1 has no data": ("nowhere", "sound"), "1 has no weights": ("toy", "without")}
"""What happens, and the folders of the data and of the model that process 1 is given."""


def evaluate(what: str, folder: Path) -> str:
    """Evaluate a model, process 1 with something missing, and return what came of it."""
    data, model = EVALUATIONS[what] if process_state().process_index == 1 else ("toy", "sound")
    options = {"epochs": 1, "seeds": 1, "data_dir": folder / data, "output": folder / "results", "device": "cpu"}
    try:
        return f"{len(bend_hf.evaluate(str(folder / model), 'cpg_methylation', **options))} results"
    except BendError as error:
        return f"told: {error}"


def play(what: str, folder: Path) -> str:
    """Train, and return what came of it."""
    rank, reads = process_state().process_index, 0
    task, source, labels = make("histone_modification", 57)
    save, read = checkpoint.save, checkpoint.read

    def before() -> None:
        nonlocal reads
        reads += 1
        if rank == 1 and reads == 12 and what == "1 cannot read a row":
            raise OSError("no such shard")
        if rank == 1 and reads == 12 and what == "Ctrl-C on 1":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def fail(*_: Any) -> Any:
        raise OSError("no space left")

    def first() -> None:
        if rank == 0:
            raise OSError("no such genome")

    options: dict[str, Any] = {"protocol": get_protocol("default"), "epochs": 3, "batch_size": 8, "seeds": (0, 1)}
    options |= {"checkpoint_dir": folder, "checkpoint_seconds": 0} | splits(Memory(source.tokens, before), labels)
    if what == "0 cannot write the state" and rank == 0:
        checkpoint.save = fail
    if what == "1 cannot read the state" and rank == 1:
        checkpoint.read = lambda *_: None
    try:
        if what == "0 fails where it goes first":
            main_first(first)
        loss = fit(task, **options)[0].history[-1]["train_loss"]
        return f"trained to {loss:.6f} in {reads} reads"
    except KeyboardInterrupt:
        return "stopped"
    except BendError as error:
        return f"told: {error}"
    except OSError as error:
        return f"failed: {error}"
    finally:
        checkpoint.save, checkpoint.read = save, read


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    ends = {scene: play(scene, folder / name) for scene, name in SCENES.items()}
    ends |= {scene: evaluate(scene, folder) for scene in EVALUATIONS}
    (folder / f"{process_state().process_index}.json").write_text(json.dumps(ends))  # a shared stdout mixes lines
