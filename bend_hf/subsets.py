"""Parts of a task's rows: a few of every split for a smoke test, and growing parts of the training rows for a curve.

    few = limited(task, data, 20)                    # at most 20 rows of each split
    fold = trained_on(task, labels, fold, 100)       # the fold with 100 of its training rows

Rows are drawn by a fixed seed, and every larger subset holds the smaller ones. Each class (or label) has a row among
the first, the rarest before the others; after that each has its share, to a row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.checks import whole
from bend_hf.errors import BendError
from bend_hf.tasks import Task
from bend_hf.text import counted

if TYPE_CHECKING:
    import datasets

    from bend_hf.kinds import Labels
    from bend_hf.walk import Fold

SEED = 0
BANDS = 10
"""Strata of rows whose labels are real numbers: tenths of their order."""


def sizes(asked: Any) -> tuple[int | None, ...]:
    """Return numbers of training rows, smallest first, None for all of them, from what was asked for.

    Args:
        asked: A whole number, ``"all"``, ``"100,1000,all"``, or a list of such.

    Raises:
        BendError: One is neither, or stands there twice.
    """
    if asked is None:
        return (None,)
    words = asked.split(",") if isinstance(asked, str) else list(asked) if isinstance(asked, Sequence) else [asked]
    words = [word.strip() if isinstance(word, str) else word for word in words]
    found = [None if word == "all" else whole("train_rows", _number(word)) for word in words]
    if not found or len(set(found)) < len(found):
        raise BendError(f"train_rows={asked!r} (--train-rows): give one number of rows or more, each once, or all.")
    return tuple(sorted(found, key=lambda size: (size is None, size or 0)))


def _number(word: Any) -> Any:
    return int(word) if isinstance(word, str) and word.isdecimal() else word


def nested(strata: np.ndarray, seed: int = SEED) -> np.ndarray:
    """Return (n,) an order of rows whose every beginning has of each stratum at least its share, to a row.

    Args:
        strata: (n,) the stratum of each row.
        seed: Of the order within strata.
    """
    order = np.random.default_rng(seed).permutation(len(strata))
    names, inverse, counts = np.unique(strata[order], return_inverse=True, return_counts=True)
    place = np.empty(len(order), np.int64)  # of each row among those of its stratum
    for stratum in range(len(names)):
        mine = np.flatnonzero(inverse == stratum)
        place[mine] = np.arange(len(mine))
    share = (place + 0.5) / counts[inverse]
    # The first of each stratum, the rarest before the others; then by share.
    return order[np.lexsort((np.where(place == 0, counts[inverse], share), place > 0))]


def strata_of(task: Task, labels: Labels, rows: np.ndarray) -> np.ndarray:
    """Return (n,) a stratum for each of some rows: the rarest of the classes or labels that the row holds.

    Of a multilabel task that is one of the labels that are on (-1: none); of real numbers, the tenth of their order.
    """
    if task.kind.values(task) is None:
        means = np.array([np.mean(labels[int(row)]) for row in rows])
        return np.argsort(np.argsort(means, kind="stable"), kind="stable") * BANDS // max(len(rows), 1)
    several = task.kind.label_columns(task) > 1
    held = [np.flatnonzero(labels[int(row)]) if several else np.unique(labels[int(row)]) for row in rows]
    counts = np.bincount(np.concatenate([np.empty(0, np.int64), *held]).astype(np.int64), minlength=1)
    return np.array([min(row, key=lambda value: (counts[value], value), default=-1) for row in held], np.int64)


def limited(task: Task, data: datasets.DatasetDict, limit: int | None) -> datasets.DatasetDict:
    """Return at most `limit` rows of each split, in their own order; all rows for None."""
    if limit is None:
        return data
    import datasets

    from bend_hf.train.labels import labels_of

    few = {}
    for name, split in data.items():
        order = nested(strata_of(task, labels_of(task, split), np.arange(len(split))))
        few[name] = split.select(np.sort(order[:limit]))
    return datasets.DatasetDict(few)


def check_sizes(task: Task, folds: Sequence[Fold], asked: Sequence[int | None]) -> None:
    """Check that every fold has as many training rows as were asked for.

    Raises:
        BendError: One has fewer.
    """
    most, fewest = max(size or 0 for size in asked), min(len(fold.train) for fold in folds)
    if most > fewest:
        raise BendError(
            f"{task.name}: train_rows={most} (--train-rows), and the task has {counted(fewest, 'row')} to train on: "
            "give fewer, or all."
        )


def trained_on(task: Task, labels: Labels, fold: Fold, size: int | None) -> Fold:
    """Return a fold with `size` of its training rows, in their own order; the fold itself for None."""
    if size is None:
        return fold
    kept = np.sort(nested(strata_of(task, labels, fold.train))[:size])
    parts = np.diff(np.searchsorted(kept, np.cumsum(fold.parts)), prepend=0)
    return dataclasses.replace(fold, train=fold.train[kept], parts=tuple(parts.tolist()))
