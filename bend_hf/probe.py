"""What a task's work takes on this machine, measured on a few of its rows.

    rates = probe(work, task)
    rates.embedding, rates.training        # seconds per nucleotide, and per training row and epoch

Some sequences are embedded; heads are trained for two epochs, of which the second counts, on made-up vectors of the
model's width; some variants are scored. Nothing is said, and nothing is left on disk.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.console import log
from bend_hf.errors import BendError
from bend_hf.subsets import trained_on
from bend_hf.tasks import Task
from bend_hf.walk import Fold, Road, fitted, folds, merged, numbered
from bend_hf.work import Work

if TYPE_CHECKING:
    import datasets

    from bend_hf.embed.interface import Tokens
    from bend_hf.kinds import Labels

SECONDS = 0.5
"""Shortest time of a probe, unless there are no more rows."""
SAMPLE = 64
"""Sequences that are embedded in a probe at most."""
VARIANTS = 8
"""Variants of the first probe; the second has four times as many."""

LETTERS = 100
"""Rows of each split for the composition baseline."""


@dataclass(frozen=True)
class Rates:
    """What a task's work takes, as measured.

    Attributes:
        embedding: Seconds per row of a pass, or per variant with all its scores; 0 without a model.
        training: Seconds per training row and epoch, of all heads.
        predicting: Seconds per validation or test row, of all heads.
        fixed: Seconds that do not depend on the rows.
        tokens: Per row.
        vectors: Bytes of one layer's vectors per row.
        stored: Whether the vectors of all rows are in the store already.
        memory: Most memory that the process has held so far, in bytes.
        device_memory: The same of the accelerator; None without.
    """

    embedding: float
    training: float
    predicting: float
    fixed: float
    tokens: float
    vectors: float
    stored: bool
    memory: int
    device_memory: int | None


def probe(work: Work, task: Task) -> Rates:
    """Measure a task's work on a few of its rows."""
    road, data = work.road_of(task), work.rows_or_error(task)
    with _quietly(), tempfile.TemporaryDirectory() as folder:
        road = replace(road, trackers=(), states=Path(folder), patience=None)
        if task.recipe is None:
            [variants] = data.values()
            return _variants(road, variants, work.scores, work.shares[task.name].layers)
        return _supervised(task, data, road, work.seeds, work.shares[task.name].layers)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Say nothing and draw no bars: what a probe does is not what the run will do."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    level, shown = log.level, not are_progress_bars_disabled("bend_hf")
    log.setLevel(logging.CRITICAL)
    if shown:
        disable_progress_bars("bend_hf")
    try:
        yield
    finally:
        if shown:
            enable_progress_bars("bend_hf")
        log.setLevel(level)


def _held() -> tuple[int, int | None]:
    """Most memory of this process and of its accelerator so far."""
    import torch

    from bend_hf.provenance import peak_memory

    return peak_memory(), torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _variants(road: Road, rows: datasets.Dataset, scores: Any, layers: Sequence[int] | None) -> Rates:
    from bend_hf.zero_shot.controls import control_scores
    from bend_hf.zero_shot.variants import offered, score_layers, score_variants

    embedder: Any = road.embedder
    views = [embedder] if layers is None else [embedder.at(layer) for layer in layers]
    chosen = [] if embedder is None else offered(scores, views[-1])
    together = len(views) > 1 and not any("@" in name for name in chosen)

    def seconds(count: int) -> float:
        start = time.perf_counter()
        some = rows.select(range(count))
        control_scores(some)
        if together:
            score_layers(views, some, protocol=road.protocol, scores=chosen)
        elif embedder is not None:
            for view in views:
                score_variants(view, some, protocol=road.protocol, scores=chosen)
        return time.perf_counter() - start

    few = min(VARIANTS, len(rows))
    seconds(few)  # warms up
    first, second, many = seconds(few), 0.0, few
    while second < SECONDS and many < len(rows):
        many = min(4 * many, len(rows))
        second = seconds(many)
    rate = max((second - first) / (many - few), 0.0) if many > few else first / few
    tokens = 0.0
    if embedder is not None:
        text = rows[0]["ref_sequence"][:512]
        tokens = 2 * float(embedder.count_tokens([text])[0])
    return Rates(rate, 0.0, 0.0, max(first - few * rate, 0.0), tokens, 0.0, False, *_held())


def _supervised(
    task: Task, data: datasets.DatasetDict, road: Road, seeds: Sequence[int], layers: Sequence[int] | None
) -> Rates:
    from bend_hf.embed.estimate import VALUE_BYTES, pace
    from bend_hf.embed.layout import plan
    from bend_hf.embed.vectors import distinct, take
    from bend_hf.train.labels import labels_of

    whole = merged(data)
    labels = labels_of(task, whole)
    fold = folds(task, numbered(data))[0]
    if road.embedder is None:
        few = trained_on(task, labels, fold, min(len(fold.train), LETTERS))
        few = replace(few, validation=few.validation[:LETTERS], test=few.test[:LETTERS])
        for _ in range(2):  # the first warms up
            start = time.perf_counter()
            fitted(task, few, whole, labels, None, road, seeds)
        rate = (time.perf_counter() - start) / (len(few.train) + len(few.validation) + len(few.test))
        return Rates(0.0, rate, rate, 0.0, 0.0, 0.0, False, *_held())
    embedder: Any = road.embedder
    view = embedder if layers is None else embedder.at(layers[0])
    joint = embedder if layers is None else embedder.at(list(layers))
    sequences = whole["sequence"]
    found = distinct(sequences)
    chosen = np.unique(np.linspace(0, len(found.first) - 1, SAMPLE).astype(int))
    sample = take(sequences, found.first[chosen])
    tokens = float(np.sum(embedder.count_tokens(sample))) / max(sum(map(len, sample)), 1)
    nucleotides = task.kind.nucleotides(task, labels, np.arange(len(whole)))
    source = Blank(view.dim, nucleotides, tokens)
    training, predicting = _heads(task, fold, whole, labels, source, road, seeds)
    each = float(found.nucleotides.sum()) / len(whole)  # nucleotides that are embedded, per row
    width = VALUE_BYTES[road.vectors] * view.dim + 2 + (4 if road.vectors == "int8" else 0)
    stored = plan(joint, found, road.store, road.vectors).complete
    embedding = 0.0 if stored else each * pace(joint, sample)
    return Rates(
        embedding,
        training,
        predicting,
        0.0,
        float(nucleotides.mean()) * tokens,
        each * tokens * width,
        stored,
        *_held(),
    )


def _heads(
    task: Task, fold: Fold, whole: datasets.Dataset, labels: Labels, source: Any, road: Road, seeds: Sequence[int]
) -> tuple[float, float]:
    """Seconds per training row and epoch, and per predicted row, of all heads."""
    assert task.recipe is not None
    road = replace(road, epochs=2)

    def seconds(training: int, validation: int) -> float:
        few = trained_on(task, labels, fold, training)
        few = replace(few, validation=few.validation[:validation], test=few.test[:1])
        heads = fitted(task, few, whole, labels, source, road, seeds)
        entries: list[float] = [head.history[1]["seconds"] for head in heads if len(head.history) > 1]
        if not entries:
            raise BendError(f"{task.name}: heads cannot be trained: {heads[0].failure}")
        together = road.network is None and road.vary == "init"  # they share their epochs
        return max(entries) if together else sum(entries)

    count = min(road.batch_size or task.recipe.batch_size, len(fold.train))
    taken = seconds(count, 1)
    while taken < SECONDS and count < len(fold.train):
        count = min(4 * count, len(fold.train))
        taken = seconds(count, 1)
    more = min(len(fold.validation), max(count, 2))
    predicting = max(seconds(count, more) - taken, 0.0) / (more - 1) if more > 1 else 0.0
    return max(taken - predicting, 0.0) / count, predicting


class Blank:
    """Made-up vectors, for the time that heads take: theirs does not depend on the values.

    Args:
        dim: Width.
        nucleotides: (rows,) lengths in bp.
        tokens: Per nucleotide.
    """

    key = "probe"

    def __init__(self, dim: int, nucleotides: np.ndarray, tokens: float) -> None:
        import torch

        self.dim, self._nucleotides = dim, nucleotides
        self.lengths_in_tokens = np.maximum(1, np.round(nucleotides * tokens)).astype(np.int64)
        # One row's worth, drawn once: making vectors is no part of what is measured.
        longest = int(self.lengths_in_tokens.max())
        self._vectors = torch.randn(longest, dim, generator=torch.Generator().manual_seed(0)).half()

    def __len__(self) -> int:
        return len(self._nucleotides)

    def read(self, rows: Sequence[int]) -> list[Tokens]:
        """Return vectors and run lengths of some rows."""
        from bend_hf.embed.interface import Tokens

        found = []
        for row in rows:
            count = int(self.lengths_in_tokens[row])
            edges = np.round(np.linspace(0, self._nucleotides[row], count + 1)).astype(np.int64)
            found.append(Tokens(self._vectors[:count], np.diff(edges)))
        return found
