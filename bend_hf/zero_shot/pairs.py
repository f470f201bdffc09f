"""The vectors of both alleles of variants, strand by strand, which all share batches.

    for row, windows, references, alternates in embedded(embedder, scheme, dataset, views, [None], {""}):
        ...

Where only one token of a window is asked for, no more is computed than that needs; see `bend_hf.embed.beginnings`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bend_hf.embed.interface import Tokens
from bend_hf.zero_shot.windows import View, Windows, chunks

if TYPE_CHECKING:
    from datasets import Dataset


def embedded(
    embedder: Any,
    scheme: Any,
    dataset: Dataset,
    seen: Sequence[View],
    layers: Sequence[int | None],
    places: Set[str],
) -> Iterator[tuple[int, Windows, Sequence[Tokens], Sequence[Tokens]]]:
    """Give row, windows and per layer the tokens of both alleles, strand by strand.

    Args:
        embedder: Of one strand.
        scheme: How it reads DNA.
        dataset: The variants.
        seen: The windows.
        layers: None for the embedder's own.
        places: What is wanted of a window; see `bend_hf.zero_shot.distances.PLACES`. Where that is the token asked for
            alone, it stands for all of its window; whole windows are given in float64.
    """
    whole = not places.isdisjoint(("max_", "mean_"))
    plan: deque[tuple[int, int, Windows, bool]] = deque()

    def inputs() -> Iterator[tuple[str, int]]:
        for rows, cropped in chunks(dataset, seen, scheme, "variants"):
            last = [""] * len(seen)
            for row, pairs in zip(rows.tolist(), zip(*cropped, strict=True), strict=True):
                for strand, pair in enumerate(pairs):
                    if pair.reference != last[strand]:
                        last[strand] = pair.reference
                        plan.append((row, strand, pair, True))
                        yield pair.reference, pair.read
                    plan.append((row, strand, pair, False))
                    yield pair.alternate, pair.read

    references: dict[int, Sequence[Tokens]] = {}
    for tokens in _stream(embedder, inputs(), layers, seen[0].length if places == {""} else None):
        row, strand, pair, is_reference = plan.popleft()
        if whole:
            tokens = tuple(Tokens(one.vectors.double(), one.lengths) for one in tokens)
        if is_reference:
            if not hasattr(embedder, "loaded"):  # somebody else's may write the next into the same memory
                tokens = tuple(Tokens(one.vectors.clone(), one.lengths) for one in tokens)
            references[strand] = tokens
        else:
            yield row, pair, references[strand], tokens


def _stream(
    embedder: Any, inputs: Iterator[tuple[str, int]], layers: Sequence[int | None], alone: int | None
) -> Iterator[tuple[Tokens, ...]]:
    """Embed windows at each layer; or of each the token asked for, where it stands `alone` for so many nucleotides."""
    own = list(layers) == [None]
    numbers = None if own else [embedder.network.layers[0] if layer is None else layer for layer in layers]
    if alone is not None and hasattr(embedder, "embed_at"):
        window = np.array([alone])
        for vectors in embedder.embed_at(inputs, numbers):
            joint = (torch.cat(vectors),) if own else vectors  # of layers side by side
            yield tuple(Tokens(vector[None], window) for vector in joint)
        return
    texts = (text for text, _ in inputs)
    if own:
        yield from ((tokens,) for tokens in embedder.embed(texts))
    else:
        yield from embedder.embed_layers(texts, numbers)
