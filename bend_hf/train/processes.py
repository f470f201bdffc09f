"""Which of the processes this one is, under ``accelerate launch`` or ``torchrun``, on GPUs or on CPUs.

Accelerate takes several processes on CPUs for one another's copies unless it is told that CPUs are meant; asked first
through `process_state`, it knows.
"""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator, PartialState

from bend_hf.errors import BendError


def _several_on_cpus() -> bool:
    return "LOCAL_RANK" in os.environ and not torch.accelerator.is_available()


def process_state() -> PartialState:
    """Return Accelerate's state of the processes, with several processes on CPUs as such (gloo)."""
    return PartialState(cpu=_several_on_cpus())


def make_accelerator(trackers: list[str], project_dir: str | os.PathLike[str]) -> Accelerator:
    """Return an accelerator that knows all processes.

    Raises:
        BendError: Several processes were launched, but each believes to be the only one.
    """
    process_state()
    accelerator = Accelerator(cpu=_several_on_cpus(), log_with=trackers or None, project_dir=project_dir)
    launched = int(os.environ.get("WORLD_SIZE", 1))
    if launched != accelerator.num_processes:
        raise BendError(
            f"{launched} processes were launched, but Accelerate knows of {accelerator.num_processes}: make no "
            "Accelerator or PartialState before bend_hf, or make it with cpu=True where there is no GPU."
        )
    return accelerator
