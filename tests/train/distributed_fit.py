"""Fits every label kind under ``accelerate launch`` and writes what each process got; a script, run by a test."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from test_fit import KINDS, Small, trained

from bend_hf.protocols import get_protocol
from bend_hf.train.processes import process_state


class Watched(Small):
    """Keeps its instances, to look at their running statistics."""

    made: ClassVar[list[Watched]] = []

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made.append(self)


def numbers(folder: Path) -> None:
    """Write histories and scores of one fit per kind, and of a network with batch norm."""
    torch.set_num_threads(1)
    rank = process_state().process_index
    cases = [(f"{name}-{unit}", name, {"unit": unit}) for name, unit in KINDS]
    cases.append(("reference", "gene_finding", {"unit": 3, "protocol": get_protocol("bend-2024")}))
    cases.append(("network", "histone_modification", {"network": Watched, "epochs": 1}))
    for label, name, options in cases:
        # 38 rows to train on in steps of 37: the last step has one row, for one process
        fitted = trained(name, count=57, **({"batch_size": 37, "seeds": (0, 1), "checkpoint_dir": folder} | options))
        np.savez(folder / f"{label}.{rank}.npz", *(scores for one in fitted for scores in one.scores))
        histories = [[one.best_epoch, one.validation_score, one.history] for one in fitted]
        (folder / f"{label}.{rank}.json").write_text(json.dumps(histories))
    statistics = [buffer.numpy() for network in Watched.made for buffer in network.buffers()]
    np.savez(folder / f"statistics.{rank}.npz", *statistics)


if __name__ == "__main__":
    numbers(Path(sys.argv[1]))
