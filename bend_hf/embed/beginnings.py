"""The vector of one token of each sequence, computing no more than it needs.

    for [vector] in vectors_at(embedder, [("ACGT…", 255), …], [-1]):     # (D,) of the token that owns nucleotide 255
        ...

What a causal model does not see is left out. Of its inputs that begin alike, as those of a variant's alleles do, the
beginning is read once, and each goes on from there by its own last tokens: by what the model gives to go on from
(``past_key_values`` in transformers), once that is shown to give the same vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from bend_hf.console import log
from bend_hf.embed.measure import differs, probe_ids
from bend_hf.embed.network import Network
from bend_hf.embed.pieces import Piece, pieces
from bend_hf.embed.ready import RECURRENT
from bend_hf.embed.rules import check_several, check_text
from bend_hf.embed.stream import not_finite
from bend_hf.errors import BendError

if TYPE_CHECKING:
    from bend_hf.embed.embedder import Embedder

AT_ONCE = 1024
"""Sequences whose inputs are sorted together."""
LONGEST_TAIL = 8
"""Tokens by which inputs go on from what they share, at most."""
RECENT = 8
"""Beginnings that an input is compared with: the last ones, on each strand."""


@dataclass
class Beginning:
    """Ids that several inputs begin with.

    Attributes:
        ids: (T,) of them.
        inputs: The inputs themselves, each once.
        askers: Per input, the sequences that it is that of.
    """

    ids: np.ndarray
    inputs: list[np.ndarray]
    askers: list[list[int]]

    @property
    def tails(self) -> list[np.ndarray]:
        """What each input goes on with."""
        return [ids[len(self.ids) :] for ids in self.inputs]


def vectors_at(
    embedder: Embedder, places: Iterable[tuple[str, int]], layers: Sequence[int]
) -> Iterator[tuple[Tensor, ...]]:
    """Embed one token of each sequence.

    Args:
        embedder: Of one strand, its tokens in natural order (`Embedder.plain`).
        places: Sequences, each with the index of the nucleotide whose token is asked for.
        layers: As `Network.check_layers` gives them.

    Yields:
        (D,) of that token per layer, in order: what `Embedder.embed_layers` gives, up to rounding.

    Raises:
        BendError: A place is none, a sequence is empty or no DNA, or a vector is NaN or infinite (which, is said).
    """
    check_several(places)
    stream, first = iter(places), 0
    longest = goes_on(embedder, layers) if embedder.causal else 0
    while some := list(islice(stream, AT_ONCE)):
        for row, place in enumerate(some, first):
            if not isinstance(place, tuple | list) or len(place) != 2 or not _index(place[1]):
                raise BendError(f"Place {row} is {place!r:.80}: give a sequence and the index of a nucleotide in it.")
            sequence, nucleotide = place
            check_text(sequence, row)
            if not 0 <= nucleotide < len(sequence):
                raise BendError(f"Sequence {row} has {len(sequence)} nucleotides, and none at index {nucleotide}.")
        asked = _asked(embedder, some, first)
        found = _by_beginnings(embedder, asked, layers, longest) if longest else _each(embedder, asked, layers)
        for row, (sequence, _) in enumerate(some):
            if not all(bool(torch.isfinite(vector).all()) for vector in found[row]):
                raise not_finite(embedder, sequence, first + row)
            yield found[row]
        first += len(some)


def _index(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _asked(embedder: Embedder, places: Sequence[tuple[str, int]], first: int) -> list[Piece]:
    """Return the input that has the token asked for, of each sequence; it alone is kept."""
    cut = pieces([sequence for sequence, _ in places], embedder.scheme, embedder.cut, first)
    tokens = [
        int(np.searchsorted(np.cumsum(runs), nucleotide, "right"))
        for (_, nucleotide), runs in zip(places, cut.lengths, strict=True)
    ]
    found: dict[int, Piece] = {}
    for piece in cut.pieces:
        token = tokens[piece.row]
        if piece.at.start <= token < piece.at.stop:
            at = piece.keep.start + token - piece.at.start
            ids = piece.ids[: at + 1] if embedder.causal else piece.ids
            found[piece.row] = Piece(piece.row, ids, slice(at, at + 1), slice(token, token + 1))
    return [found[row] for row in range(len(places))]


def _each(embedder: Embedder, asked: Sequence[Piece], layers: Sequence[int]) -> dict[int, tuple[Tensor, ...]]:
    """Run each input by itself."""
    return {piece.row: tuple(layer[0] for layer in kept) for piece, kept, _ in embedder.batches.run(asked, layers)}


def _by_beginnings(
    embedder: Embedder, asked: Sequence[Piece], layers: Sequence[int], longest: int
) -> dict[int, tuple[Tensor, ...]]:
    """Run the beginnings of inputs once, and from there what follows in each."""
    shared = [one for one in begin_alike(asked, longest) if len(one.inputs) > 1 and len(one.ids) > 1]
    found: dict[int, tuple[Tensor, ...]] = {}
    rows = 1
    if embedder.loaded.config.get("model_type") not in RECURRENT:
        # What is carried on, of every token, is there for the beginning, and once more for each that goes on from it.
        rows += max((len(one.inputs) for one in shared), default=0)
    for one, vectors in embedder.batches.run_equal(shared, partial(_forward, layers=layers), len(layers), rows):
        for askers, *vector in zip(one.askers, *vectors, strict=True):
            found |= dict.fromkeys(askers, tuple(vector))
    return found | _each(embedder, [piece for piece in asked if piece.row not in found], layers)


def begin_alike(asked: Iterable[Piece], longest: int) -> list[Beginning]:
    """Gather inputs that differ in their last tokens only, up to `longest` of them, where they lie close together."""
    found: list[Beginning] = []
    for piece in asked:
        ids = piece.ids
        for one in reversed(found[-RECENT:]):
            sizes = [len(ids), *map(len, one.inputs)]
            size = min(len(one.ids), len(ids))
            apart = np.flatnonzero(one.ids[:size] != ids[:size])
            common = min(int(apart[0]) if len(apart) else size, min(sizes) - 1)  # each has a token of its own
            if common >= max(sizes) - longest:
                break
        else:
            found.append(Beginning(ids[:-1], [ids], [[piece.row]]))
            continue
        one.ids = ids[:common]
        known = next((number for number, other in enumerate(one.inputs) if np.array_equal(other, ids)), None)
        if known is None:
            one.inputs.append(ids)
            one.askers.append([piece.row])
        else:
            one.askers[known].append(piece.row)
    return found


def _forward(network: Network, batch: Sequence[Beginning], layers: Sequence[int]) -> list[list[Tensor]]:
    """Return for each beginning, by layer, the vectors (inputs, D) of the last tokens of what goes on from it."""
    tails = [tail for one in batch for tail in one.tails]
    counts = [len(one.inputs) for one in batch]
    ids = np.zeros((len(tails), max(map(len, tails))), np.int64)
    for row, tail in enumerate(tails):
        ids[row, : len(tail)] = tail
    rows = torch.repeat_interleave(torch.arange(len(batch)), torch.tensor(counts))
    beginnings = torch.from_numpy(np.stack([one.ids for one in batch]))
    hidden = network.behind(beginnings, rows, torch.from_numpy(ids), layers)
    last = torch.tensor([len(tail) - 1 for tail in tails])
    asked = [layer[torch.arange(len(tails)), last.to(layer.device)].cpu().split(counts) for layer in hidden]
    return [list(of_one) for of_one in zip(*asked, strict=True)]


def goes_on(embedder: Embedder, layers: Sequence[int]) -> int:
    """Return by how many tokens a model goes on from where it left off to the vectors that it gives in one go."""
    network, scheme = embedder.network, embedder.scheme
    if network.past is None or network.required or network.multiple > 1 or network.fold_strands:
        return 0
    most = min(512, embedder.limits.context or 512) - len(scheme.suffix)
    ids = torch.from_numpy(probe_ids(scheme, most - len(scheme.prefix), 3)[:most])[None]
    proven = 0
    try:
        whole = network.hidden(ids, None, layers)
        for size in (1, LONGEST_TAIL):
            twice = ids[:, -size:].expand(2, -1)
            found = network.behind(ids[:, :-size], torch.tensor([0, 0]), twice, layers)
            pairs = zip(found, whole, strict=True)
            if any(differs(row.cpu(), other[0, -size:].cpu()) for layer, other in pairs for row in layer):
                break
            proven = size
    except BendError as error:
        log.debug("%s does not go on from where it left off (%s).", embedder.name, error)
    return proven
