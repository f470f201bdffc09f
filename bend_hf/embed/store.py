"""The store: token vectors on disk, filled by any number of processes, resumed after anything, checked when opened.

    source = vectors_for(embedder, sequences, store_dir=Path("vectors"), limit_bytes=parse_size("50GB"))
    source.read([3, 1, 4])                                           # rows at random, from disk

    fill(embedder, sequences, store_dir=Path("vectors"), share=(0, 8))   # one of eight machines' share, no more

A store is the folder ``<store_dir>/<key>/`` of ``shard-00007-of-00032.safetensors`` and ``manifest.json``, which is
written last. The key is a digest of the distinct sequences, of what decides the model's vectors
(``provenance()["key"]``) and of the precision they are kept in: what was made with other settings has another key, and
so has everything after a change of BED, genome or checkpoint. Which process makes a shard, where and in which batches
is no part of it.

Sequences that a shard of another store of the same model holds
(another task, another split, a subset) are copied from there instead of being embedded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bend_hf.checks import path_of, share_of_environment, whole
from bend_hf.embed.estimate import estimate, parse_size, size_text, spare_memory
from bend_hf.embed.filling import fill, fill_plan, say
from bend_hf.embed.interface import SequenceEmbedder, Tokens
from bend_hf.embed.layout import Plan, plan
from bend_hf.embed.shard import Shard
from bend_hf.embed.vectors import InMemory, OnTheFly, Precision, VectorSource, distinct, source_key
from bend_hf.errors import BendError

__all__ = ["InMemory", "OnTheFly", "Store", "VectorSource", "fill", "parse_size", "vectors_for"]

SMALL = 256 << 20  # bytes that are not worth a store


class Store:
    """A complete store on disk: rows at random, nothing read but what is asked for.

    Raises:
        BendError: A shard is missing or plainly damaged; `fill` makes it again.
    """

    def __init__(self, layout: Plan) -> None:
        for number in range(layout.count):
            if problem := layout.check(number, full=False):
                raise BendError(f"{layout.path(number)}: {problem}; fill the store again to make it.")
        self._layout = layout
        self.folder = layout.folder
        self.dim = layout.dim
        self.key = source_key(layout.key["embedder"], layout.found, layout.precision)
        self._shards = [Shard(layout.path(number)) for number in range(layout.count)]
        counts = [np.diff(part.offsets) for part in self._shards]
        self.lengths_in_tokens = np.concatenate([np.empty(0, np.int64), *counts])[layout.found.inverse]

    def __reduce__(self) -> tuple[type[Store], tuple[Plan]]:
        return Store, (self._layout,)

    def __len__(self) -> int:
        return len(self._layout.found.inverse)

    def read(self, rows: Sequence[int]) -> list[Tokens]:
        """Return the vectors and run lengths of some rows, in the order asked for."""
        edges = self._layout.edges
        places = self._layout.found.inverse[np.asarray(rows, np.int64)]
        numbers = np.searchsorted(edges, places, "right") - 1
        pairs = zip(numbers.tolist(), (places - edges[numbers]).tolist(), strict=True)
        return [self._shards[number].read(row) for number, row in pairs]


def vectors_for(
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    *,
    store_dir: Path | None = None,
    limit_bytes: int | None = None,
    memory_bytes: int | None = None,
    precision: Precision = "auto",
    verify: bool = True,
) -> VectorSource:
    """Give the token vectors of some sequences: from memory, from a store, or computed whenever they are read.

    A complete store in `store_dir` is used. Otherwise what is small is held in memory, what is not is stored, and
    what exceeds `limit_bytes` (or, without `store_dir`, the memory) is computed on the fly in every epoch, to the same
    values. One-hot vectors, cheaper to make than to read, never go to disk. Size and time are said before work begins.

    Args:
        embedder: The model.
        sequences: One per row, in any order, with repetitions: a list, or a column of a dataset.
        store_dir: Folder of stores.
        limit_bytes: Most that may be kept, in memory or on disk.
        memory_bytes: Most that may be held in memory. By default 256 MB with `store_dir`, and nothing where several
            processes can share the work on a store; without `store_dir` a quarter of what is free, and at most 8 GB.
        precision: As in `pack`.
        verify: Read a store's shards and compare their SHA-256 (once per process); else size and header are trusted.

    Raises:
        BendError: The disk has no room for the store, or the model's vectors do not fit its sequences.
    """
    if store_dir is not None:
        store_dir = path_of("store_dir", store_dir)
    whole("limit_bytes", limit_bytes, 0)
    storable = store_dir is not None and embedder.name != "onehot"
    if memory_bytes is None:
        memory_bytes = (SMALL if share_of_environment()[1] == 1 else 0) if storable else spare_memory()
    found = distinct(sequences)
    layout = plan(embedder, found, store_dir, precision) if store_dir is not None and storable else None
    if layout is None or not layout.folder.is_dir():
        size = estimate(embedder, sequences, found, precision, missing=0).bytes
        most = memory_bytes if limit_bytes is None else min(memory_bytes, limit_bytes)
        if size <= most:
            say(embedder, estimate(embedder, sequences, found, precision), "Held in memory.")
            return InMemory(embedder, sequences, precision)
        if layout is None:
            cost = estimate(embedder, sequences, found, precision)
            say(embedder, cost, f"More than {size_text(most)} of memory: embedded again in every epoch.")
            return OnTheFly(embedder, sequences, precision)
    fill_plan(layout, embedder, sequences, share_of_environment(), limit_bytes, verify, wait=True)
    return Store(layout) if layout.complete else OnTheFly(embedder, sequences, precision)
