"""The inner loop of `fit`: one epoch of training, one pass of prediction, and the score that chooses an epoch.

An optimiser step's loss is a sum over its targets divided by their number, taken over all micro-batches and processes,
so that how the step was cut changes nothing but the order of summation. Gradients are summed once per step.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

from bend_hf.errors import BendError
from bend_hf.protocols import Protocol
from bend_hf.resources import load_module
from bend_hf.tasks import Recipe, Task
from bend_hf.train import checkpoint
from bend_hf.train.batches import IGNORED, MicroBatch, Split, fetch, load, micro_batches, nucleotides, prefetch, steps
from bend_hf.train.checkpoint import State
from bend_hf.train.head import CNNHead

Network = Callable[[Task, int, Protocol], nn.Module]
POSITIONS = {"cpu": 1 << 14}  # of a micro-batch: on a CPU what its caches like, elsewhere what memory allows
DEFAULT_POSITIONS = 1 << 18
UNREAD = 32  # steps on a GPU whose losses may wait to be looked at, so that the GPU does not wait for the CPU


class Stopped(Exception):  # noqa: N818 (not an error)
    """Ctrl-C was pressed; the state is that of a finished step."""


@dataclass(frozen=True)
class Run:
    """What stays the same while a run goes on; the fields are `fit`'s arguments, resolved.

    Attributes:
        dtype: Type of autocast; None for float32 throughout.
        file: Where the state is kept; None for nowhere.
        stop: Set by Ctrl-C.
    """

    task: Task
    recipe: Recipe
    train: Split
    validation: Split
    test: Split
    protocol: Protocol
    network: Network | None
    seeds: tuple[int, ...]
    epochs: int
    batch_size: int
    sampling_seed: int
    patience: int | None
    accelerator: Accelerator
    device: torch.device
    dtype: torch.dtype | None
    file: Path | None
    checkpoint_seconds: float
    stop: threading.Event


def losses(
    logits: torch.Tensor, targets: torch.Tensor, kind: Literal["cross_entropy", "binary"], positive_weight: float | None
) -> torch.Tensor:
    """Return each head's loss, summed over targets: (k,).

    Args:
        logits: (k, B, P, outputs).
        targets: (B, P) int64 classes, or (B, P, outputs) of 0 and 1; -100 is left out.
        kind: Cross-entropy over classes, or binary cross-entropy with logits.
        positive_weight: Weight of ones in the binary loss.
    """
    heads = len(logits)
    if kind == "cross_entropy":
        classes = targets.expand(heads, *targets.shape).reshape(-1)
        each = F.cross_entropy(logits.flatten(0, 2), classes, ignore_index=IGNORED, reduction="none")
        return each.view(heads, -1).sum(1)
    weight = None if positive_weight is None else torch.tensor(positive_weight, device=logits.device)
    wanted = targets.clamp(min=0).to(logits.dtype).expand_as(logits)
    each = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weight, reduction="none")
    return (each * (targets != IGNORED)).flatten(1).sum(1)


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a network's result depends on what is in a batch; its batches are then not cut."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def training_steps(run: Run, model: nn.Module, order: np.ndarray) -> list[np.ndarray]:
    """Cut an epoch's order into optimiser steps; with batch norm every process needs two rows of each."""
    return steps(order, run.batch_size, 2 * run.accelerator.num_processes if has_batch_norm(model) else 1)


def _micro_batches(run: Run, model: nn.Module, step: np.ndarray, sizes: np.ndarray) -> list[Any]:
    budget = POSITIONS.get(run.device.type, DEFAULT_POSITIONS)
    overhang: int | None = 0
    if run.protocol.padding_reaches_head:  # of what lies behind a row, the CNN head sees one position
        overhang = 1 if isinstance(model, CNNHead) else None
    return micro_batches(
        step,
        sizes,
        None if model.training and has_batch_norm(model) else budget,
        (run.accelerator.process_index, run.accelerator.num_processes),
        overhang,
    )


def _read(run: Run, split: Split, groups: Iterable[Any]) -> Any:
    """Read groups ahead of time.

    Threads copy for a GPU, which takes batches faster than one of them can. On a CPU one waits for the disk, no more:
    it would fight with those that compute for the cores.
    A model that makes the vectors is asked one group at a time, and on a CPU not while the heads compute.
    """
    from bend_hf.embed.vectors import OnTheFly

    made = isinstance(split.vectors, OnTheFly)
    if run.device.type != "cpu":
        read = partial(load, run.task, split, pin=run.device.type == "cuda")
        workers = 1 if made else 4
        return closing(prefetch(read, groups, workers, ahead=2 * workers + 1))

    def batches() -> Generator[MicroBatch]:
        fetched = prefetch(lambda group: (group, fetch(split, group)), groups, 0 if made else 1)
        with closing(fetched):
            for group, tokens in fetched:
                yield load(run.task, split, group, tokens=tokens)

    return closing(batches())


def _logits(run: Run, model: nn.Module, micro: MicroBatch) -> torch.Tensor:
    dtype = run.dtype or torch.float32
    vectors = micro.batch.vectors.to(run.device, non_blocking=True)
    if vectors.dtype == torch.float16 and dtype == torch.bfloat16:
        vectors = vectors.float()  # twice as fast as torch's direct conversion on a CPU
    with torch.autocast(run.device.type, dtype=run.dtype, enabled=run.dtype is not None):
        logits: torch.Tensor = model(micro.batch._replace(vectors=vectors.to(dtype)))
    return logits.float()


def _losses(run: Run, logits: torch.Tensor, micro: MicroBatch) -> torch.Tensor:
    targets = micro.targets.to(run.device, non_blocking=True)
    return losses(logits, targets, run.recipe.loss, run.recipe.positive_weight)


def train_epoch(run: Run, state: State, order: np.ndarray, bar: Any) -> None:
    """Go through the training split once, from the state's step on."""
    model = state.model.train()
    sizes = nucleotides(run.task, run.train)
    if state.step == 0:
        state.losses.zero_()
    remaining = training_steps(run, model, order)[state.step :]
    groups = [_micro_batches(run, model, step, sizes) for step in remaining]
    unread: list[tuple[int, np.ndarray, torch.Tensor]] = []
    saved = time.monotonic()
    with _read(run, run.train, chain.from_iterable(groups)) as stream:
        for step, own in zip(remaining, groups, strict=True):
            if run.stop.is_set():
                raise Stopped
            loss = _optimise(run, state, step, islice(stream, len(own)))
            state.losses += loss
            state.step += 1
            unread.append((state.step, step, loss))
            due = run.file is not None and time.monotonic() - saved >= run.checkpoint_seconds
            if due or len(unread) >= UNREAD or run.device.type == "cpu":
                _check(run, state, unread)
            if due:
                save(run, state)
                saved = time.monotonic()
            bar.update()
    _check(run, state, unread)
    if run.accelerator.num_processes > 1:  # batch norm's running statistics: each process has seen its own rows
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.copy_(run.accelerator.reduce(buffer.clone(), reduction="mean"))


def _optimise(run: Run, state: State, step: np.ndarray, micros: Iterable[MicroBatch]) -> torch.Tensor:
    """Do one optimiser step and return each head's mean loss over it: (k,)."""
    if run.network is not None:  # dropout draws alike whether or not the run was interrupted
        torch.manual_seed(hash((run.seeds[0], state.epoch, state.step, run.accelerator.process_index)))
    count = _count_targets(run.train, step)
    state.optimizer.zero_grad()
    total = torch.zeros(len(run.seeds), device=run.device)
    for micro in micros:
        each = _losses(run, _logits(run, state.model, micro), micro) / count
        state.scaler.scale(each.sum()).backward()
        total += each.detach()
    if run.accelerator.num_processes > 1:
        total = _sum_over_processes(run, state.model, total)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    return total


def _count_targets(split: Split, places: np.ndarray) -> int:
    rows = split.rows[places]
    if isinstance(split.labels, np.ndarray):
        return int((split.labels[rows] != IGNORED).sum())
    return sum(int((split.labels[int(row)] != IGNORED).sum()) for row in rows)


def _sum_over_processes(run: Run, model: nn.Module, total: torch.Tensor) -> torch.Tensor:
    """Sum gradients and losses over processes in one exchange; a process without rows gives zeros."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([*(parameter.grad.flatten() for parameter in parameters if parameter.grad is not None), total])
    summed = run.accelerator.reduce(flat, reduction="sum")
    pieces = torch.split(summed, [*(parameter.numel() for parameter in parameters), len(total)])
    for parameter, piece in zip(parameters, pieces, strict=False):
        parameter.grad = piece.view_as(parameter)
    return pieces[-1].clone()


def _check(run: Run, state: State, unread: list[tuple[int, np.ndarray, torch.Tensor]]) -> None:
    """Look at the losses not looked at yet.

    Raises:
        BendError: One is NaN or infinite.
    """
    for number, step, loss in unread:
        wrong = torch.nonzero(~torch.isfinite(loss)).flatten().tolist()
        if wrong:
            rows = [int(row) for row in run.train.rows[step]]
            finite = all(bool(vectors.isfinite().all()) for vectors, _ in run.train.vectors.read(rows))
            advice = (
                "The vectors of that batch are finite: train with precision='fp32', or check their scale."
                if finite
                else "The vectors of that batch contain NaN or infinity: embed again with dtype='fp32'."
            )
            raise BendError(
                f"{run.task.name}: the loss became {float(loss[wrong[0]])} in epoch {state.epoch + 1}, batch {number} "
                f"(seed {run.seeds[wrong[0]]}). {advice}"
            )
    unread.clear()


def save(run: Run, state: State) -> None:
    """Write the state if this run keeps one (the main process does)."""
    if run.file is not None and run.accelerator.is_main_process:
        checkpoint.save(run.file, state)


def predict(run: Run, model: nn.Module, split: Split, classes: bool) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Run every head over a split.

    Args:
        run: The run.
        model: The heads.
        split: What to predict.
        classes: Keep the most probable class only, not the probabilities.

    Returns:
        Each head's mean loss; (k, positions, outputs) float32 probabilities or (k, positions) int8 classes of all rows
        one after the other; (n + 1,) offsets of the rows in them.
    """
    model.eval()
    task, accelerator = run.task, run.accelerator
    sizes = nucleotides(task, split)
    offsets = np.concatenate([[0], np.cumsum(sizes // (run.recipe.pool or 1))])
    places = np.arange(len(sizes))
    # Where a result depends on its batch, batches are the reference's; otherwise rows of like length go together.
    batches = steps(places, run.batch_size) if run.protocol.padding_reaches_head else [places]
    shape = (len(run.seeds), int(offsets[-1]))
    values = torch.zeros(shape, dtype=torch.int8) if classes else torch.zeros(*shape, run.recipe.outputs)
    total = torch.zeros(len(run.seeds), dtype=torch.float64, device=run.device)
    groups = chain.from_iterable(_micro_batches(run, model, batch, sizes) for batch in batches)
    with torch.inference_mode(), _read(run, split, groups) as stream:
        for micro in stream:
            if run.stop.is_set():
                raise Stopped
            logits = _logits(run, model, micro)
            total += _losses(run, logits, micro)
            if classes:
                kept = logits.argmax(-1).to(torch.int8)
            else:
                kept = logits.softmax(-1) if run.recipe.loss == "cross_entropy" else logits.sigmoid()
            inside = torch.arange(kept.shape[2]) < torch.from_numpy(micro.positions)[:, None]
            where = torch.from_numpy(offsets[micro.places])[:, None] + torch.arange(kept.shape[2])
            values[:, where[inside]] = kept.cpu()[:, inside]
    if accelerator.num_processes > 1:  # every position is one process's, and zero elsewhere
        values = accelerator.reduce(values.to(accelerator.device), reduction="sum").cpu()
        total = accelerator.reduce(total, reduction="sum")
    count = _count_targets(split, places)
    return [float(loss) / count for loss in total], values.numpy(), offsets


def references(run: Run, split: Split) -> np.ndarray:
    """Return a split's labels as `predict` orders its predictions: (positions,) classes or (positions, outputs)."""
    if isinstance(split.labels, np.ndarray):
        flat = split.labels[split.rows]
    else:
        flat = np.concatenate([split.labels[int(row)] for row in split.rows])
    return flat if run.recipe.loss == "cross_entropy" else flat.reshape(-1, run.recipe.outputs)


def score(task: Task, labels: np.ndarray, values: np.ndarray) -> float | None:
    """Return the task's metric for one head's predictions; None where the labels leave it undefined."""
    module = load_module("metrics", task.metric)
    if task.metric == "mcc":
        if len(np.unique(labels)) < 2:  # every prediction would score 0
            return None
        confusion = module.confusion_matrix(labels, values, len(task.label_names))
        result = module.scores_from_confusion(confusion)["mcc"]
    elif task.metric == "auroc":
        result = module.auroc(labels, values)["auroc"]
    else:
        result = module.average_precision(labels.ravel(), values.ravel())
    return None if result is None or math.isnan(result) else float(result)
