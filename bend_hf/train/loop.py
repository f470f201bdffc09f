"""The inner loop of `fit`: one epoch of training, one pass of prediction, and the score that chooses an epoch.

An optimiser step's loss is a sum over its targets divided by their number, taken over all micro-batches and processes,
so that how the step was cut changes nothing but the order of summation. Gradients are summed once per step.

Heads share what is read and padded. Each has its own forward and backward pass, optimiser, scaler, failure and end.
On a CPU these passes run side by side; see `bend_hf.train.lanes`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from bend_hf.console import log
from bend_hf.embed.vectors import OnTheFly
from bend_hf.protocols import Protocol
from bend_hf.runtime import prefetch
from bend_hf.tasks import Recipe, Task
from bend_hf.train import checkpoint
from bend_hf.train.batches import (
    Group,
    MicroBatch,
    Split,
    epoch_steps,
    fetch,
    load,
    micro_batches,
    nucleotides,
    steps,
)
from bend_hf.train.checkpoint import Head, State
from bend_hf.train.head import Batch, CNNHead
from bend_hf.train.lanes import Lanes, Once
from bend_hf.train.losses import LOSSES, count_targets, loss_sum
from bend_hf.train.processes import Stopped, together

Network = Callable[[Task, int, Protocol], nn.Module]
Keep = Callable[[torch.Tensor], torch.Tensor]
Found = TypeVar("Found")
POSITIONS = {"cpu": 1 << 14}  # of a micro-batch: on a CPU what its caches like, elsewhere what memory allows
FEWEST = 1 << 11  # of what is cut for the sake of more lanes: Python around fewer takes longer than their passes
DEFAULT_POSITIONS = 1 << 18
UNREAD = 32  # steps on a GPU whose losses may wait to be looked at, so that the GPU does not wait for the CPU


@dataclass(frozen=True)
class Run:
    """What stays the same while a run goes on; the fields are `fit`'s arguments, resolved.

    Attributes:
        seeds: The seeds that the heads go by, each trained alone or side by side.
        starts: The seed of each head's initialisation.
        order: What varies the order of samples, beside `sampling_seed`.
        dtype: Type of autocast; None for float32 throughout.
        padding: (D,) what shorter sequences are padded with; None for zeros.
        file: Where the state is kept; None for nowhere.
        stop: Set by Ctrl-C.
        lanes: Where passes run.
    """

    task: Task
    recipe: Recipe
    train: Split
    validation: Split
    test: Split
    protocol: Protocol
    network: Network | None
    seeds: tuple[int, ...]
    starts: tuple[int, ...]
    order: int
    epochs: int
    batch_size: int
    sampling_seed: int
    patience: int | None
    accelerator: Accelerator
    device: torch.device
    dtype: torch.dtype | None
    padding: torch.Tensor | None
    file: Path | None
    checkpoint_seconds: float
    stop: threading.Event
    lanes: Lanes = field(default_factory=lambda: Lanes(1))


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a network's result depends on what is in a batch; its batches are then not cut."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def training_steps(run: Run, model: nn.Module, epoch: int) -> list[np.ndarray]:
    """Return an epoch's optimiser steps; with batch norm every process needs two rows of each."""
    smallest = 2 * run.accelerator.num_processes if has_batch_norm(model) else 1
    seeds = (run.sampling_seed, epoch, run.order)
    return epoch_steps(run.train, run.task, run.protocol, run.batch_size, seeds, smallest)


def _micro_batches(run: Run, model: nn.Module, step: np.ndarray, sizes: np.ndarray) -> list[Any]:
    budget = POSITIONS.get(run.device.type, DEFAULT_POSITIONS)
    if run.lanes.count > 1:  # something for each of them
        share = -(-int(sizes[step].sum()) // (run.lanes.count * run.accelerator.num_processes))
        budget = min(budget, max(share, FEWEST))
    overhang: int | None = 0
    if run.protocol.padding_reaches_head:  # of zeros behind a row the CNN head sees one, of anything else two
        overhang = (1 if run.padding is None else 2) if isinstance(model, CNNHead) else None
    return micro_batches(
        step,
        sizes,
        None if model.training and has_batch_norm(model) else budget,
        (run.accelerator.process_index, run.accelerator.num_processes),
        overhang,
    )


def _read(run: Run, split: Split, groups: Iterable[Group], dtype: torch.dtype | None) -> Any:
    """Read groups ahead of time; give what brings each of them to where the heads read it.

    Threads copy for a GPU, which takes batches faster than one of them can. On a CPU one waits for the disk, no more:
    it would fight with those that compute for the cores. What it read is put together by whoever needs it first.
    A model that makes the vectors is asked one group at a time, and on a CPU not while the heads compute.

    Args:
        run: The run.
        split: What to read.
        groups: Which of its rows.
        dtype: The type that heads compute in; None for float32.
    """
    made = isinstance(split.vectors, OnTheFly)

    def fetched(group: Group) -> Callable[[], MicroBatch]:
        wanted = torch.float32 if dtype is None else None
        return partial(load, run.task, split, group, False, fetch(split, group), run.padding, wanted)

    loaded: Generator[MicroBatch | Callable[[], MicroBatch]]
    if run.device.type != "cpu":
        workers = 1 if made else 4
        read = partial(load, run.task, split, pin=run.device.type == "cuda", padding=run.padding)
        loaded = prefetch(read, groups, workers, ahead=2 * workers + 1)
    else:
        loaded = prefetch(fetched, groups, 0 if made else 1)

    def batches() -> Generator[Callable[[], MicroBatch]]:
        with closing(loaded):
            for micro in loaded:
                yield partial(_on_device, run, micro, dtype)

    return closing(batches())


def _on_device(run: Run, micro: MicroBatch | Callable[[], MicroBatch], dtype: torch.dtype | None) -> MicroBatch:
    """Bring a micro-batch, or what loads one, to where all heads read it, in the type they compute in."""
    if not isinstance(micro, MicroBatch):
        micro = micro()
    wanted = dtype or torch.float32
    vectors = micro.batch.vectors.to(run.device, non_blocking=True)
    if vectors.dtype == torch.float16 and wanted == torch.bfloat16:
        vectors = vectors.float()  # twice as fast as torch's direct conversion on a CPU
    batch = micro.batch._replace(vectors=vectors.to(wanted)).with_expansion()
    return micro._replace(batch=batch, targets=micro.targets.to(run.device, non_blocking=True))


def _logits(model: nn.Module, batch: Batch, dtype: torch.dtype | None) -> torch.Tensor:
    with torch.autocast(batch.vectors.device.type, dtype=dtype, enabled=dtype is not None):
        logits: torch.Tensor = model(batch)
    return logits.float()


def _loss(run: Run, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return loss_sum(logits, targets, run.recipe.loss, run.recipe.positive_weight)


def train_epoch(run: Run, state: State, steps: list[np.ndarray], bar: Any) -> None:
    """Go through the training split once, from the state's step on."""
    heads = state.active
    for head in heads:
        head.model.train()
        if state.step == 0:
            head.loss.zero_()
    sizes = nucleotides(run.task, run.train)
    remaining = steps[state.step :]
    groups = [_micro_batches(run, heads[0].model, step, sizes) for step in remaining]
    unread: list[Step] = []
    saved = time.monotonic()
    with _read(run, run.train, chain.from_iterable(groups), run.dtype) as stream:
        for step, own in zip(remaining, groups, strict=True):
            losses = _optimise(run, state, heads, step, islice(stream, len(own)))
            for head, loss in zip(heads, losses, strict=True):
                head.loss += loss
            state.step += 1
            unread.append(Step(state.step, step, losses))
            due = run.file is not None and time.monotonic() - saved >= run.checkpoint_seconds
            if due or len(unread) >= UNREAD or run.device.type == "cpu":
                _give_up_diverged(run, state, heads, unread)
                heads = state.active
                if not heads:
                    return
            if due:
                save(run, state)
                saved = time.monotonic()
            bar.update()
    _give_up_diverged(run, state, heads, unread)
    if run.accelerator.num_processes > 1:  # batch norm's running statistics: each process has seen its own rows
        for buffer in (buffer for head in state.active for buffer in head.model.buffers()):
            if buffer.is_floating_point():
                buffer.copy_(run.accelerator.reduce(buffer.clone(), reduction="mean"))


def _optimise(
    run: Run, state: State, heads: list[Head], step: np.ndarray, micros: Iterable[Callable[[], MicroBatch]]
) -> torch.Tensor:
    """Do one optimiser step of each head and return their mean losses over it: (heads,).

    Raises:
        Stopped: Ctrl-C was pressed, here or on another process; this step was not taken.
    """
    if run.network is not None:  # dropout draws alike whether or not the run was interrupted
        torch.manual_seed(hash((run.seeds[0], state.epoch, state.step, run.accelerator.process_index)))
    total = torch.zeros(len(heads), device=run.device)
    with together(f"{run.task.name}'s heads were trained"):
        count = _count_targets(run.train, step)
        for head in heads:
            head.optimizer.zero_grad()
        for i, loss, gradients in _side_by_side(run, run.train, micros, heads, partial(_pass, run, count)):
            total[i] += loss
            _add(heads[i], gradients)
    if run.accelerator.num_processes > 1:
        total = _sum_over_processes(run, heads, total)
    for _ in run.lanes.run([partial(_step, head) for head in heads]):
        pass
    return total


def _step(head: Head) -> None:
    head.scaler.step(head.optimizer)
    head.scaler.update()


def _side_by_side(
    run: Run,
    split: Split,
    micros: Iterable[Callable[[], MicroBatch]],
    heads: list[Head],
    one: Callable[[int, Head, Callable[[], MicroBatch]], Found],
) -> Iterator[Found]:
    """Give what `one` makes of each head, with its number, and each micro-batch, whose order is kept for each head.

    Heads come by turns to as many micro-batches as there are lanes, so that each lane puts one of them together.

    Raises:
        Stopped: Ctrl-C was pressed.
    """
    stream = iter(micros)

    def turns() -> Iterator[list[Callable[[], Found]]]:
        while some := [Once(micro) for micro in islice(stream, run.lanes.count)]:
            if run.stop.is_set():
                raise Stopped
            yield [partial(one, i, head, micro) for i, head in enumerate(heads) for micro in some]

    if isinstance(split.vectors, OnTheFly):  # whose model would fight with the heads for the cores
        for turn in turns():
            yield from run.lanes.run(turn)
    else:
        yield from run.lanes.run(chain.from_iterable(turns()))


def _weights(head: Head) -> list[nn.Parameter]:
    return [weight for weight in head.model.parameters() if weight.requires_grad]


def _add(head: Head, gradients: Sequence[torch.Tensor]) -> None:
    """Add gradients to those that a head's weights have, in the memory layout of the weight.

    A fused optimiser takes that layout for given: of a gradient that is a transposed matrix it reads other numbers.
    """
    for weight, gradient in zip(_weights(head) if gradients else (), gradients, strict=True):
        if weight.grad is None:
            weight.grad = torch.empty_like(weight).copy_(gradient)
        else:
            weight.grad += gradient


def _pass(
    run: Run, count: int, i: int, head: Head, there: Callable[[], MicroBatch]
) -> tuple[int, torch.Tensor, Sequence[torch.Tensor]]:
    """Return a head's number and loss for a micro-batch, and of its weights the gradients still to be added up."""
    micro = there()
    loss = _loss(run, _logits(head.model, micro.batch, run.dtype), micro.targets) / count
    scaled = head.scaler.scale(loss)
    if run.lanes.count > 1:  # another pass of the same head may run beside this one
        return i, loss.detach(), torch.autograd.grad(scaled, _weights(head))
    scaled.backward()
    return i, loss.detach(), ()


def _count_targets(split: Split, places: np.ndarray) -> int:
    rows = split.rows[places]
    if isinstance(split.labels, np.ndarray):
        return count_targets(split.labels[rows])
    return sum(count_targets(split.labels[int(row)]) for row in rows)


def _sum_over_processes(run: Run, heads: list[Head], total: torch.Tensor) -> torch.Tensor:
    """Sum gradients and losses over processes in one exchange; a process without rows gives zeros."""
    parameters = [parameter for head in heads for parameter in head.model.parameters() if parameter.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([*(parameter.grad.flatten() for parameter in parameters if parameter.grad is not None), total])
    summed = run.accelerator.reduce(flat, reduction="sum")
    pieces = torch.split(summed, [*(parameter.numel() for parameter in parameters), len(total)])
    for parameter, piece in zip(parameters, pieces, strict=False):
        parameter.grad = piece.view_as(parameter)
    return pieces[-1].clone()


class Step(NamedTuple):
    """A step that was taken: its number in the epoch, its places, and each head's loss (heads,)."""

    number: int
    places: np.ndarray
    losses: torch.Tensor


def _give_up_diverged(run: Run, state: State, heads: list[Head], unread: list[Step]) -> None:
    """Look at the losses not looked at yet, and give up the heads of which one is NaN or infinite."""
    for number, places, losses in unread:
        for head, loss in zip(heads, losses.tolist(), strict=True):
            if not math.isfinite(loss) and head.failure is None:
                rows = [int(row) for row in run.train.rows[places]]
                finite = all(bool(vectors.isfinite().all()) for vectors, _ in run.train.vectors.read(rows))
                advice = (
                    "The vectors of that batch are finite: train with precision='fp32', or check their scale."
                    if finite
                    else "The vectors of that batch contain NaN or infinity: embed again with dtype='fp32'."
                )
                head.failure = (
                    f"{run.task.name}: the loss became {loss} in epoch {state.epoch + 1}, batch {number} "
                    f"(seed {head.seed}). {advice}"
                )
                log.error("%s", head.failure)
    unread.clear()


def save(run: Run, state: State) -> None:
    """Write the state if this run keeps one (the main process does)."""
    if run.file is not None:
        with together(f"the state of {run.task.name}'s training was saved"):
            if run.accelerator.is_main_process:
                checkpoint.save(run.file, state)


def predict(run: Run, heads: list[Head], split: Split, classes: bool) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Run heads over a split.

    Args:
        run: The run.
        heads: The heads.
        split: What to predict.
        classes: Keep the most probable class only, not the probabilities.

    Returns:
        Each head's mean loss; (heads, positions, outputs) float32 probabilities or (heads, positions) classes of
        all rows one after the other; (n + 1,) offsets of the rows in them.
    """
    for head in heads:
        head.model.eval()
    task, accelerator, dtype = run.task, run.accelerator, None if run.protocol.exact_validation else run.dtype
    sizes = nucleotides(task, split)
    offsets = np.concatenate([[0], np.cumsum(sizes // (run.recipe.pool or 1))])
    places = np.arange(len(sizes))
    # Where a result depends on its batch, batches are the reference's; otherwise rows of like length go together.
    batches = steps(places, run.batch_size) if run.protocol.padding_reaches_head else [places]
    shape = (len(heads), int(offsets[-1]))
    narrow = torch.int8 if run.recipe.outputs <= 128 else torch.int16
    values = torch.zeros(shape, dtype=narrow) if classes else torch.zeros(*shape, run.recipe.outputs)
    kept: Keep = (lambda logits: logits.argmax(-1).to(narrow)) if classes else LOSSES[run.recipe.loss].answer
    total = torch.zeros(len(heads), dtype=torch.float64, device=run.device)
    groups = chain.from_iterable(_micro_batches(run, heads[0].model, batch, sizes) for batch in batches)

    @torch.inference_mode()
    def answer(i: int, head: Head, there: Callable[[], MicroBatch]) -> tuple[int, torch.Tensor]:
        micro = there()
        logits = _logits(head.model, micro.batch, dtype)
        answers = kept(logits).cpu()
        positions = torch.arange(answers.shape[1])
        inside = positions < torch.from_numpy(micro.positions)[:, None]
        where = torch.from_numpy(offsets[micro.places])[:, None] + positions
        values[i, where[inside]] = answers[inside]  # no other micro-batch's
        return i, _loss(run, logits, micro.targets)

    with (
        together(f"{task.name}'s heads were tried"),
        torch.inference_mode(),
        _read(run, split, groups, dtype) as stream,
    ):
        for i, loss in _side_by_side(run, split, stream, heads, answer):
            total[i] += loss
    if accelerator.num_processes > 1:  # every position is one process's, and zero elsewhere
        values = accelerator.reduce(values.to(accelerator.device), reduction="sum").cpu()
        total = accelerator.reduce(total, reduction="sum")
    count = _count_targets(split, places)
    return [float(loss) / count for loss in total], values.numpy(), offsets
