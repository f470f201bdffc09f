"""Which of the processes this one is, under ``accelerate launch`` or ``torchrun``, and how they decide as one.

    with together("training"):      # an error or Ctrl-C on one process ends the block on all
        …
    same_on_all(epoch)              # the same answer everywhere

Accelerate takes several processes on CPUs for one another's copies unless it is told that CPUs are meant; asked first
through `process_state`, it knows. Between two exchanges of gradients a process that leaves would let the others wait
for ever, so what may fail or be stopped on one of them is followed by a word to the others.
"""

from __future__ import annotations

import atexit
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator, PartialState

from bend_hf.checks import launched
from bend_hf.embed.devices import pick_device
from bend_hf.errors import BendError, unknown
from bend_hf.protocols import Protocol

Made = TypeVar("Made")
FINE, STOPPED, FAILED = 0, 1, 2


class Stopped(KeyboardInterrupt):
    """Ctrl-C was pressed, here or on another process; where heads are trained, a step was finished first."""


def _several_on_cpus() -> bool:
    return "LOCAL_RANK" in os.environ and not torch.accelerator.is_available()


def process_state() -> PartialState:
    """Return Accelerate's state of the processes, with several processes on CPUs as such (gloo)."""
    state = PartialState(cpu=_several_on_cpus())
    if state.num_processes > 1:
        _leave_in_order()
    return state


@cache
def _leave_in_order() -> None:
    """End the group of processes before the interpreter takes its threads apart, which would abort it."""

    def leave() -> None:
        if dist.is_initialized():
            dist.destroy_process_group()

    atexit.register(leave)


def make_accelerator(trackers: list[str], project_dir: str | os.PathLike[str]) -> Accelerator:
    """Return an accelerator that knows all processes.

    Raises:
        BendError: Several processes were launched, but each believes to be the only one.
    """
    process_state()
    accelerator = Accelerator(cpu=_several_on_cpus(), log_with=trackers or None, project_dir=project_dir)
    there = launched("WORLD_SIZE", 1, 1)
    if there != accelerator.num_processes:
        raise BendError(
            f"{there} processes were launched, but Accelerate knows of {accelerator.num_processes}: make no "
            "Accelerator or PartialState before bend_hf, or make it with cpu=True where there is no GPU."
        )
    return accelerator


def numbered(device: torch.device) -> torch.device:
    """Return which card ``cuda`` is in this thread: in another thread it would be the first, and random states ask."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


@cache
def _words() -> Any:
    """The group in which processes exchange decisions: on CPUs, so that no GPU has to be waited for."""
    return dist.new_group(backend="gloo")


def _exchange(word: int) -> list[int]:
    """Return every process's word."""
    if process_state().num_processes == 1:
        return [word]
    words = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size())]
    dist.all_gather(words, torch.tensor([word]), group=_words())
    return [int(other) for other in words]


def same_on_all(value: Any) -> bool:
    """Whether all processes, which must all ask, hold an equal value."""
    number = int.from_bytes(hashlib.sha256(repr(value).encode()).digest()[:7])
    return len(set(_exchange(number))) == 1


@contextmanager
def together(doing: str) -> Iterator[None]:
    """Leave the block on all processes as on the worst of them; all must enter it.

    Args:
        doing: What is done in the block, for the error's words.

    Raises:
        BendError: Another process failed in it.
        Stopped: Another process was stopped in it.
    """
    word = FAILED
    try:
        yield
        word = FINE
    except KeyboardInterrupt:
        word = STOPPED
        raise
    finally:
        words = _exchange(word)
    if FAILED in words:
        raise BendError(f"Process {words.index(FAILED)} failed while {doing}; its own message says why.")
    if STOPPED in words:
        raise Stopped


def main_first(make: Callable[[], Made]) -> Made:
    """Call a function on the main process and then, when that has gone well, on the others (which find its files)."""
    state = process_state()
    with together("the main process went first"):
        made = make() if state.is_main_process else None
    with together("the other processes followed the main one"):
        return make() if made is None else made


def trained_in(precision: str, device: str | torch.device | None, protocol: Protocol) -> str:
    """Return what a head is trained in here: ``"fp32"``, ``"bf16"`` or ``"fp16"``.

    Args:
        precision: As asked for; ``"auto"`` takes what ``accelerate launch`` was told, else what the protocol trains in
            on a GPU (its ``"auto"``: bf16 where the GPU has it, fp16 on others), and fp32 on a CPU.
        device: Where it is trained; None for the best there is.
        protocol: Default, or the reference's own.

    Raises:
        BendError: The precision is unknown, the device not there, or fp16 is asked for on a CPU.
    """
    gpu = torch.cuda.is_available() if device is None else pick_device(device).type == "cuda"
    told = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision == "auto" and told in ("bf16", "fp16"):
        precision = told
    elif precision == "auto" and gpu and protocol.gpu_precision != "auto":
        precision = protocol.gpu_precision
    elif precision == "auto":
        bf16 = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "fp32" if not gpu else "bf16" if bf16 else "fp16"
    if precision not in ("fp32", "bf16", "fp16"):
        raise unknown("precision", precision, ["auto", "fp32", "bf16", "fp16"])
    if precision == "fp16" and not gpu:
        raise BendError("fp16 is for GPUs; on a CPU train in bf16 or fp32.")
    return precision
