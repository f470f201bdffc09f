"""Sequences through a model: cut, batched, stitched and given back in the order in which they came.

    for layers in vectors_of(embedder, sequences, (-1, 6)):     # one `Tokens` per layer
        ...

A stream is cut into lists whose vectors fit a buffer, or fill a few batches; within one, pieces are sorted by length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from bend_hf.embed.interface import Tokens
from bend_hf.embed.pieces import pieces
from bend_hf.embed.rules import check_several, check_text, reference_overlap, reverse_complement
from bend_hf.embed.strands import average_strands
from bend_hf.errors import BendError

if TYPE_CHECKING:
    from bend_hf.embed.embedder import Embedder

BUFFER_BYTES = 64 * 2**20
"""Vectors that may wait to be given back in order, in bytes (one sequence alone may exceed it)."""
MOST_BUFFER_BYTES = 2**30
"""The same where several layers are asked for at once, all of them together."""


def vectors_of(embedder: Embedder, sequences: Iterable[str], layers: tuple[int, ...]) -> Iterator[tuple[Tokens, ...]]:
    """Embed sequences at several layers from one pass.

    Args:
        embedder: The model, and how its inputs are cut.
        sequences: DNA of any lengths; an iterator is read as far as needed.
        layers: As `Network.check_layers` gives them.

    Yields:
        `Tokens` of each sequence per layer, in order.

    Raises:
        BendError: A sequence is empty or no DNA, or a vector is NaN or infinite (the sequence is named).
    """
    check_several(sequences)
    first = 0
    for chunk in _chunks(embedder, sequences, len(layers)):
        if not embedder.averages:
            yield from _embed_chunk(embedder, chunk, first, layers)
        else:
            reverse = _embed_chunk(embedder, [reverse_complement(sequence) for sequence in chunk], first, layers)
            for pair in zip(_embed_chunk(embedder, chunk, first, layers), reverse, strict=True):
                yield tuple(map(average_strands, *pair))
        first += len(chunk)


def _chunks(embedder: Embedder, sequences: Iterable[str], layers: int) -> Iterator[list[str]]:
    """Cut a stream into lists whose vectors fit the buffer, or fill a few batches."""
    values = 4 * embedder.dim // len(embedder.network.layers)
    # Many layers wait in as many tokens as one, and so in the same batches, as long as memory allows.
    most = min(max(BUFFER_BYTES // values, 4 * embedder.batch_tokens), MOST_BUFFER_BYTES // (values * layers))
    chunk: list[str] = []
    size = 0
    for row, sequence in enumerate(sequences):
        check_text(sequence, row)
        tokens = len(sequence) // (embedder.scheme.k if embedder.scheme.family in ("k-mers", "k-mer blocks") else 1)
        if chunk and (size + tokens > most or len(chunk) >= 8192):
            yield chunk
            chunk, size = [], 0
        chunk.append(sequence)
        size += tokens
    if chunk:
        yield chunk


def _embed_chunk(
    embedder: Embedder, sequences: list[str], first: int, layers: Sequence[int]
) -> list[tuple[Tokens, ...]]:
    """Embed some sequences, the first of which is number `first` of the stream."""
    found = pieces(sequences, embedder.scheme, embedder.cut, first)
    vectors: list[list[torch.Tensor]] = [[] for _ in sequences]
    for piece, kept, finite in embedder.batches.run(found.pieces, layers):
        if not finite and not all(bool(torch.isfinite(layer).all()) for layer in kept):
            raise not_finite(embedder, sequences[piece.row], first + piece.row)
        count = len(found.lengths[piece.row])
        if len(kept[0]) == count:
            vectors[piece.row] = kept
            continue
        whole = vectors[piece.row]
        if not whole:
            whole += [layer.new_empty((count, layer.shape[1])) for layer in kept]
        for layer, part in zip(whole, kept, strict=True):
            layer[piece.at] = part
    return [_tokens(embedder, whole, runs) for whole, runs in zip(vectors, found.lengths, strict=True)]


def not_finite(embedder: Embedder, sequence: str, row: int) -> BendError:
    """Return the error for a sequence, number `row` of its stream, whose vectors are no numbers."""
    return BendError(
        f"{embedder.name} in {embedder.dtype} gives NaN or infinite vectors for sequence {row} ({len(sequence)} "
        f"nucleotides, {sequence[:40]}…)"
        + ("." if embedder.dtype == "float32" else ': use dtype="float32" (--dtype float32).')
    )


def _tokens(embedder: Embedder, whole: Sequence[torch.Tensor], runs: np.ndarray) -> tuple[Tokens, ...]:
    """The vectors of a sequence by layer, upsampled as the protocol says."""
    if not runs.all():  # marks of the tokenizer, to which no nucleotide belongs
        whole, runs = [layer[torch.from_numpy(runs > 0)] for layer in whole], runs[runs > 0]
    if embedder.kmer_shift and embedder.scheme.family == "overlapping k-mers":
        order, runs = reference_overlap(embedder.scheme.k, len(runs))
        whole = [layer[torch.from_numpy(order)] for layer in whole]
    return tuple(Tokens(layer, runs) for layer in whole)


def side_by_side(layers: Sequence[Tokens]) -> Tokens:
    """Return the vectors of several layers of one sequence as one, concatenated."""
    return Tokens(torch.cat([layer.vectors for layer in layers], -1), layers[0].lengths)
