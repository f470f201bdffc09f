"""Small made-up data for the training tests: token vectors in which the labels can be found, for every label kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from bend_hf.embed.interface import Tokens
from bend_hf.tasks import TASKS, Task
from bend_hf.train.fit import Split

CODEBOOK = torch.randn(4, 8, generator=torch.Generator().manual_seed(5))


class Memory:
    """A vector source over a list; `before` is called ahead of every read (to fail, to stop, to wait)."""

    def __init__(self, tokens: Sequence[Tokens], before: Callable[[], None] | None = None) -> None:
        self.tokens, self.before = tokens, before
        self.dim = tokens[0].vectors.shape[1]
        self.lengths_in_tokens = np.array([len(lengths) for _, lengths in tokens], np.int64)

    def __len__(self) -> int:
        return len(self.tokens)

    def read(self, rows: Sequence[int]) -> list[Tokens]:
        if self.before is not None:
            self.before()
        return [self.tokens[row] for row in rows]


def make(name: str, count: int = 60, unit: int = 1, seed: int = 0) -> tuple[Task, Memory, Any]:
    """Return a task, vectors of `count` random sequences in tokens of `unit` nucleotides, and labels they decide."""
    task, random = TASKS[name], np.random.default_rng(seed)
    tokens, labels = [], []
    for _ in range(count):
        size = {"gene_finding": int(random.integers(60, 240)), "enhancer_annotation": 1280}.get(name, 512)
        bases = random.integers(0, 4, -(-size // unit))
        lengths = np.full(len(bases), unit, np.int64)
        lengths[-1] = size - unit * (len(bases) - 1)
        tokens.append(Tokens(CODEBOOK[torch.from_numpy(bases)], lengths))
        dna = np.repeat(bases, lengths)
        if name == "gene_finding":
            labels.append(dna.astype(np.int8))
        elif name == "enhancer_annotation":
            labels.append(((dna.reshape(-1, 128) == 0).mean(1) > 0.25).astype(np.int8))
        else:
            shares = np.array([(dna == label % 4).mean() for label in range(len(task.label_names))])
            labels.append((shares > 0.25).astype(np.int8))
    return task, Memory(tokens), np.stack(labels) if task.label_kind == "multilabel" else labels


def splits(source: Any, labels: Any) -> dict[str, Split]:
    """Two thirds to train on, the rest halved."""
    cut = len(source) * 2 // 3
    middle = (cut + len(source)) // 2
    rows = np.arange(len(source))
    names = {"train": rows[:cut], "validation": rows[cut:middle], "test": rows[middle:]}
    return {name: Split(source, labels, part) for name, part in names.items()}
