"""Which rows go together, and how they are read: shuffling, micro-batches of like lengths, padding.

    for step in epoch_steps(split, task, protocol, batch_size=256, seeds=(0, 3, 0)):
        for micro in prefetch(partial(load, task, split), micro_batches(step, sizes, budget=16_384)):
            ...

A *place* is an index into ``split.rows``; nothing here depends on the process that reads, on threads or on time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from bend_hf.errors import BendError
from bend_hf.kinds import Labels
from bend_hf.protocols import Protocol
from bend_hf.tasks import Task
from bend_hf.train.head import Batch
from bend_hf.train.losses import LOSSES

if TYPE_CHECKING:
    from bend_hf.embed.interface import Tokens
    from bend_hf.embed.vectors import VectorSource

DEFAULT_BUFFER = 1000  # of tasks that the reference does not have


@dataclass(frozen=True)
class Split:
    """Rows of a task to train, validate or test on.

    Attributes:
        vectors: Token vectors by row.
        labels: Labels by row, as `bend_hf.train.labels.labels_of` returns them.
        rows: (n,) integers: the rows of both that belong to the split, in order.
        parts: Rows of each of the files that the split came from, in order (the parts of folds); empty for one file.
    """

    vectors: VectorSource
    labels: Labels
    rows: np.ndarray
    parts: tuple[int, ...] = ()


class Group(NamedTuple):
    """Places that pass through the network together.

    Attributes:
        places: Indices into the split's rows.
        width: Positions to compute.
    """

    places: np.ndarray
    width: int


class MicroBatch(NamedTuple):
    """A group, read.

    Attributes:
        places: Indices into the split's rows.
        batch: The network's input.
        targets: (B, P) int64 classes, or (B, P, outputs) int8 of 0 and 1; -100 where there is no label.
        positions: (B,) predictions that count per row.
    """

    places: np.ndarray
    batch: Batch
    targets: torch.Tensor
    positions: np.ndarray


def nucleotides(task: Task, split: Split) -> np.ndarray:
    """Return the length in bp of each of the split's sequences, from its labels: (n,) int64."""
    return task.kind.nucleotides(task, split.labels, split.rows)


def epoch_steps(
    split: Split, task: Task, protocol: Protocol, batch_size: int, seeds: tuple[int, int, int], smallest: int = 1
) -> list[np.ndarray]:
    """Return an epoch's optimiser steps: the places of each.

    All places are shuffled and cut. Under a protocol with a shuffle buffer samples stream as the reference's loader
    reads them: files of `shard_rows` rows are dealt out to its workers, each of which streams its files through a
    buffer of its own and cuts its stream into batches (the last one smaller); a batch of each worker comes in turn.

    Args:
        split: What to train on.
        task: Whose buffer and workers are meant.
        protocol: With a buffer or without.
        batch_size: Places in a step.
        seeds: Seed of the sampling, number of the epoch, and the head's seed if the order varies over heads, else 0.
        smallest: A last step of fewer places joins the one before it.
    """
    count = len(split.rows)
    buffer, workers = protocol.shuffle_buffer, protocol.loader_workers
    if buffer is None or workers is None:
        return steps(shuffled(count, seeds), batch_size, smallest)
    files = shards(split.parts or (count,), protocol.shard_rows)
    used = max(1, workers.get(task.name, 0))
    dealt = [np.concatenate(files[worker::used]) for worker in range(min(used, len(files)))]
    streams = [
        places[shuffled(len(places), (*seeds, worker), buffer.get(task.name, DEFAULT_BUFFER))]
        for worker, places in enumerate(dealt)
    ]
    batches = zip_longest(*(steps(places, batch_size, smallest) for places in streams))
    return [batch for turn in batches for batch in turn if batch is not None]


def shards(parts: Sequence[int], rows: int | None) -> list[np.ndarray]:
    """Cut places 0, 1 … into files: one per part, or several of `rows` places and a rest."""
    files: list[np.ndarray] = []
    start = 0
    for part in parts:
        places = np.arange(start, start + part)
        files += np.split(places, range(rows, part, rows)) if rows else [places]
        start += part
    return files


def shuffled(count: int, seeds: tuple[int, ...], buffer: int | None = None) -> np.ndarray:
    """Return an order of `count` places, each once.

    Args:
        count: Number of places.
        seeds: What the draws come from; trailing zeros change nothing.
        buffer: None for a full shuffle. Otherwise samples stream in order through a buffer of that many, from which
            one is drawn at random whenever it holds at least 100 (and two are read for each one drawn until it is
            full): the near-sequential order of WebDataset's shuffle, which the reference code relies on.
    """
    random = np.random.default_rng(seeds)
    if buffer is None:
        return random.permutation(count)
    order = np.empty(count, np.int64)
    held: list[int] = []
    incoming = iter(range(count))
    drawn = 0
    for place in incoming:
        held.append(place)
        if len(held) < buffer:
            held.extend(another for another in [next(incoming, None)] if another is not None)
        if len(held) >= min(100, buffer):
            order[drawn] = _draw(held, random)
            drawn += 1
    while held:
        order[drawn] = _draw(held, random)
        drawn += 1
    return order


def _draw(held: list[int], random: np.random.Generator) -> int:
    """Take a random element out of a list, putting the last one in its place."""
    index = int(random.integers(len(held)))
    held[index], held[-1] = held[-1], held[index]
    return held.pop()


def steps(order: np.ndarray, batch_size: int, smallest: int = 1) -> list[np.ndarray]:
    """Cut an order into optimiser steps; a last one of fewer than `smallest` rows joins the one before it."""
    cuts = list(range(batch_size, len(order), batch_size))
    if cuts and len(order) - cuts[-1] < smallest:
        cuts.pop()
    return np.split(order, cuts)


def micro_batches(
    step: np.ndarray, sizes: np.ndarray, budget: int | None, share: tuple[int, int] = (0, 1), overhang: int | None = 0
) -> list[Group]:
    """Split one step's rows into groups of like length.

    Args:
        step: Places of the whole batch.
        sizes: Length in bp of every place of the split.
        budget: Positions (rows × longest) a group may have, unless one row alone has more; None for one group.
        share: Index and number of the processes among which the rows are dealt out.
        overhang: Positions of padding computed behind the longest row where longer ones are in the batch; None for
            as many as the batch has.
    """
    ordered = step[np.argsort(-sizes[step], kind="stable")]
    mine = ordered[share[0] :: share[1]]
    groups = []
    start = 0
    while start < len(mine):
        longest = int(sizes[mine[start]])
        count = len(mine) if budget is None else max(1, budget // longest)
        widest = int(sizes[ordered[0]])
        width = widest if overhang is None else min(longest + overhang, widest)
        groups.append(Group(mine[start : start + count], width))
        start += count
    return groups


def fetch(split: Split, group: Group) -> list[Tokens]:
    """Read a group's vectors."""
    return split.vectors.read([int(row) for row in split.rows[group.places]])


def load(
    task: Task,
    split: Split,
    group: Group,
    pin: bool = False,
    tokens: list[Tokens] | None = None,
    padding: torch.Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> MicroBatch:
    """Read a group: vectors padded by token; labels padded with -100.

    Args:
        task: The task.
        split: Where to read.
        group: What to read.
        pin: Put vectors in page-locked memory, for an asynchronous copy to a GPU.
        tokens: The group's vectors, if they have been read.
        padding: (D,) what lies behind a shorter sequence of one vector per nucleotide; None for zeros.
        dtype: What to make of the vectors' type; None for as they are stored.

    Raises:
        BendError: The labels of a row do not fit its sequence.
    """
    assert task.recipe is not None
    rows = [int(row) for row in split.rows[group.places]]
    if tokens is None:
        tokens = split.vectors.read(rows)
    longest = max(len(lengths) for _, lengths in tokens)
    if all(len(lengths) == lengths.sum() for _, lengths in tokens):
        longest = max(longest, group.width)
    shape = (len(rows), longest, split.vectors.dim)
    stored = tokens[0].vectors.dtype
    vectors = torch.empty(shape, dtype=dtype or stored, pin_memory=pin)
    raw = vectors.view(torch.uint8).numpy()  # torch would wake its threads for each row
    behind = 0 if padding is None else padding.to(stored).to(vectors.dtype).view(torch.uint8).numpy()
    lengths = np.zeros(shape[:2], np.int64)
    loss = LOSSES[task.recipe.loss]
    pool = task.recipe.pool or 1
    count = group.width // pool
    outputs = (task.recipe.outputs,) if loss.columns else ()
    targets = np.full((len(rows), count, *outputs), loss.ignored, loss.read)
    positions = np.empty(len(rows), np.int64)
    for i, (row, (row_vectors, row_lengths)) in enumerate(zip(rows, tokens, strict=True)):
        target = split.labels[row]
        if loss.columns:
            target = target.reshape(-1, task.recipe.outputs)
        positions[i] = int(row_lengths.sum()) // pool
        if len(target) != positions[i] or positions[i] > count:
            raise BendError(
                f"{task.name}: row {row} has labels for {len(target)} positions, its sequence of "
                f"{int(row_lengths.sum())} bp has {positions[i]}; vectors and labels are not of the same rows."
            )
        n = len(row_lengths)
        targets[i, : len(target)] = target
        lengths[i, :n] = row_lengths
        if vectors.dtype == stored:
            raw[i, :n] = row_vectors.to(stored).contiguous().view(torch.uint8).numpy()
        else:
            vectors[i, :n] = row_vectors.to(stored)
        raw[i, n:] = behind
    batch = Batch(vectors, torch.from_numpy(lengths), group.width)
    return MicroBatch(group.places, batch, torch.from_numpy(targets.astype(loss.given, copy=False)), positions)
