"""Several layers of a model from one pass: which are meant, and their vectors side by side.

    for views in in_passes(embedder, layers_of("every 4", embedder), sequences, limit_bytes=10**11):
        shared = Shared(views, sequences, store_dir=Path("vectors"))
        shared.source(views[0])        # a VectorSource: the vectors that an embedder of that layer alone gives

A pass keeps the vectors of its layers in one store, each token's side by side; a layer's source reads its part.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bend_hf.console import log
from bend_hf.embed.estimate import estimate, size_text
from bend_hf.embed.interface import Tokens
from bend_hf.embed.store import Store, vectors_for
from bend_hf.embed.vectors import Precision, VectorSource, distinct, source_key
from bend_hf.errors import BendError


def layers_of(asked: Any, embedder: Any) -> list[int]:
    """Return the layers meant by a choice: 0 (embeddings) and up, the model's output (-1) last.

    Args:
        asked: ``"all"``, ``"last"``, ``"every 4"`` (0, 4, 8 … and the output), ``"0,6,last"``, or a list of layers.
        embedder: The model.

    Raises:
        BendError: The model has no such layer, or shows none but its output; one stands there twice; or the choice is
            not understood.
    """
    last = getattr(embedder, "n_layers", None)
    if last is None or not hasattr(embedder, "at"):
        raise BendError(f"layers={asked!r} (--layers): {embedder.name} shows no layers but its output: leave it out.")
    text = asked.strip() if isinstance(asked, str) else ""
    step = 1 if text == "all" else None
    if every := re.fullmatch(r"every (\d+)", text):
        step = int(every[1])
    if step is not None:
        if not step:
            raise BendError("layers='every 0' (--layers): give every 1 or more.")
        return [*range(0, last, step), -1]
    words = asked.split(",") if isinstance(asked, str) else asked if isinstance(asked, Sequence) else [asked]
    words = [word.strip() if isinstance(word, str) else word for word in words]
    numbers = [int(word) if isinstance(word, str) and re.fullmatch(r"-?\d+", word) else word for word in words]
    if not numbers or any(isinstance(word, bool) or not (isinstance(word, int) or word == "last") for word in numbers):
        raise BendError(f'layers={asked!r} (--layers): give "all", "last", "every 4", or layers such as "0,6,last".')
    found = embedder.network.check_layers(numbers)
    if len(set(found)) < len(found):
        raise BendError(f"layers={asked!r} (--layers): each layer once; {last} and last are one.")
    return sorted(found, key=lambda layer: (layer == -1, layer))


def in_passes(
    embedder: Any,
    layers: Sequence[int],
    sequences: Sequence[str],
    *,
    limit_bytes: int | None = None,
    precision: Precision = "auto",
) -> list[list[Any]]:
    """Return embedders of single layers in groups whose vectors together stay within a limit: one pass for each.

    What it comes to is said. Vectors of one byte are rounded token by token, and so layer by layer, a pass for each.
    """
    views = [embedder.at(layer) for layer in layers]
    if len(views) == 1 or precision == "int8":
        return [[view] for view in views]
    found = distinct(sequences)
    cost = estimate(embedder.at(list(layers)), sequences, found, precision, missing=0)
    each = len(views) if limit_bytes is None else max(1, int(limit_bytes * len(views) / max(cost.bytes, 1)))
    groups = [views[start : start + each] for start in range(0, len(views), each)]
    passes = "one pass" if len(groups) == 1 else f"{len(groups)} passes, to stay within {size_text(limit_bytes or 0)}"
    log.info("%s: %d layers of %s in %s.", embedder.name, len(views), cost, passes)
    return groups


class Part:
    """The columns of one layer in the vectors of several."""

    def __init__(self, whole: VectorSource, columns: slice, key: str) -> None:
        self._whole, self._columns, self.key = whole, columns, key
        self.dim = columns.stop - columns.start
        self.lengths_in_tokens = whole.lengths_in_tokens

    def __len__(self) -> int:
        return len(self._whole)

    def read(self, rows: Sequence[int]) -> list[Tokens]:
        """Return the vectors and run lengths of some rows, in the order asked for."""
        read = self._whole.read(rows)
        return [Tokens(vectors[:, self._columns].contiguous(), lengths) for vectors, lengths in read]


class Shared:
    """Vectors of some sequences at several layers, made in one pass when the first of them is asked for.

    Args:
        views: Embedders of single layers of one model; any one embedder alone.
        sequences: One per row.
        **options: Of `vectors_for`.
    """

    def __init__(self, views: Sequence[Any], sequences: Sequence[str], **options: Any) -> None:
        self.seconds = 0.0
        self._views, self._sequences, self._options = list(views), sequences, options
        self._whole: VectorSource | None = None
        self._there: set[Path] = set()

    def source(self, view: Any) -> VectorSource:
        """Return the vectors of one of the views."""
        if self._whole is None:
            start = time.perf_counter()
            first = self._views[0]
            several = len(self._views) > 1
            joint = first.at([one.network.layers[0] for one in self._views]) if several else first
            self._there = set(Path(self._options.get("store_dir") or ".").glob("*"))
            self._whole = vectors_for(joint, self._sequences, **self._options)
            self.seconds = time.perf_counter() - start
        if len(self._views) == 1:
            return self._whole
        ends = np.cumsum([one.dim for one in self._views]).tolist()
        end = ends[self._views.index(view)]
        key = source_key(view.provenance()["key"], distinct(self._sequences), self._options.get("precision", "auto"))
        return Part(self._whole, slice(end - view.dim, end), key)

    def close(self, *, discard: bool) -> None:
        """Let go of the vectors; a store that was made for several layers goes where others need its room."""
        joint = self._whole if len(self._views) > 1 else None
        if discard and isinstance(joint, Store) and joint.folder not in self._there:
            shutil.rmtree(joint.folder, ignore_errors=True)
        self._whole = None
