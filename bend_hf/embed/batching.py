"""Pieces of sequences, sorted by length and run in batches up to a number of tokens.

    batches = Batches(network, pad=1, name="nt-v2-50m", context=2048, padding_safe=True, tokens=8192)
    for piece, [vectors], finite in batches.run(pieces, layers=[-1]):
        ...

What a piece is batched with changes no vector: models to which padding does matter get batches of one length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch

from bend_hf.console import log
from bend_hf.embed import windows
from bend_hf.embed.devices import out_of_memory
from bend_hf.embed.lanes import MOST, Lanes
from bend_hf.embed.network import Network
from bend_hf.embed.pieces import Piece
from bend_hf.errors import BendError


class Batches:
    """Runs pieces through a network.

    Args:
        network: The model.
        pad: Id to pad with.
        name: For messages.
        context: Most tokens it takes at once, special ones included; None for any.
        padding_safe: Whether padding on the right changes no vector.
        tokens: Most tokens in a batch, padding included; halved for good where memory runs out.
        lanes: Most batches at once on a CPU; see `bend_hf.embed.lanes`.
    """

    def __init__(
        self,
        network: Network,
        *,
        pad: int,
        name: str,
        context: int | None,
        padding_safe: bool,
        tokens: int,
        lanes: int = MOST,
    ) -> None:
        self.network, self.pad, self.name = network, pad, name
        self.context, self.padding_safe, self.tokens = context, padding_safe, tokens
        self.lanes = Lanes(network, name=name, most=lanes)

    def run(self, pieces: Sequence[Piece], layers: Sequence[int]) -> Iterator[tuple[Piece, list[torch.Tensor], bool]]:
        """Give the kept vectors of each piece by layer, longest pieces first, and whether they are sure to be finite.

        Raises:
            BendError: Memory does not suffice for one piece.
        """
        ordered = sorted(pieces, key=lambda piece: -len(piece.ids))
        done = 0
        while done < len(ordered):
            batches = self._cut(ordered[done:])
            results = self.lanes.run(partial(self._forward, layers=layers), batches, len(layers))
            for batch in batches:
                try:
                    hidden, finite = next(results)
                except (RuntimeError, MemoryError) as error:
                    if not out_of_memory(error):
                        raise
                    self._halve(batch, error)
                    break
                for row, piece in enumerate(batch):
                    yield piece, [layer[row, piece.keep] for layer in hidden], finite
                done += len(batch)

    def _cut(self, ordered: Sequence[Piece]) -> list[Sequence[Piece]]:
        """Cut pieces, the longest first, into batches."""
        batches = []
        start = 0
        while start < len(ordered):
            longest = len(ordered[start].ids)
            stop = min(len(ordered), start + max(1, self.tokens // longest))
            if not self.padding_safe:
                while len(ordered[stop - 1].ids) != longest:
                    stop -= 1
            batches.append(ordered[start:stop])
            start = stop
        return batches

    def _halve(self, batch: Sequence[Piece], error: Exception) -> None:
        """Go on with smaller batches than one for which memory ran out."""
        longest = len(batch[0].ids)
        if len(batch) == 1:
            raise BendError(
                f"{self.name}: memory ran out on {self.network.device} for one input of {longest} tokens. Give "
                f"a smaller context (context={longest // 2}, --context), a lower precision or another device."
            ) from error
        self.tokens = longest * (len(batch) // 2)
        log.warning("%s: memory ran out; going on with %d tokens a batch.", self.name, self.tokens)
        if self.network.device.type == "cuda":
            torch.cuda.empty_cache()

    def _forward(
        self, network: Network, batch: Sequence[Piece], layers: Sequence[int]
    ) -> tuple[list[torch.Tensor], bool]:
        """The vectors of a batch by layer, and whether all are finite."""
        sizes = np.array([len(piece.ids) for piece in batch])
        ids = np.full((len(batch), self._width(sizes)), self.pad, np.int64)
        for row, piece in enumerate(batch):
            ids[row, : len(piece.ids)] = piece.ids
        padded = bool((sizes != ids.shape[1]).any())
        lengths = torch.from_numpy(sizes) if padded else None
        hidden = [layer.cpu() for layer in network.hidden(torch.from_numpy(ids), lengths, layers)]
        # One NaN or infinity makes the sum one.
        return hidden, all(bool(torch.isfinite(layer.sum(dtype=torch.float32))) for layer in hidden)

    def _width(self, sizes: np.ndarray) -> int:
        """Tokens a batch is padded to: the longest of its `sizes`, or a little more where that is faster."""
        longest = int(sizes.max())
        width = -(-longest // windows.TILE) * windows.TILE
        masked = self.network.masked and self.padding_safe
        if self.network.dtype == torch.float32 or not masked or width > (self.context or width):
            return longest
        if (sizes != longest).any():  # there is a mask to compute with anyway
            return width
        little = self.network.device.type == "cpu" and width - longest <= longest // 64
        return width if little else longest
