"""Pieces of sequences, sorted by length and run in batches up to a number of tokens.

    batches = Batches(network, pad=1, name="nt-v2-50m", context=2048, padding_safe=True, tokens=8192)
    for piece, [vectors], finite in batches.run(pieces, layers=[-1]):
        ...

What a piece is batched with changes no vector: models to which padding does matter get batches of one length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from bend_hf.console import log
from bend_hf.embed import windows
from bend_hf.embed.devices import out_of_memory
from bend_hf.embed.lanes import MOST, HasIds, Lanes
from bend_hf.embed.network import Network
from bend_hf.embed.pieces import Piece
from bend_hf.errors import BendError

One = TypeVar("One", bound=HasIds)
Result = TypeVar("Result")


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
        self.lanes_behind = Lanes(network, name=name, most=lanes)  # which take other memory

    def run(self, pieces: Sequence[Piece], layers: Sequence[int]) -> Iterator[tuple[Piece, list[torch.Tensor], bool]]:
        """Give the kept vectors of each piece by layer, longest pieces first, and whether they are sure to be finite.

        Raises:
            BendError: Memory does not suffice for one piece.
        """
        forward = partial(self._forward, layers=layers)
        for batch, (kept, finite) in self._run(pieces, forward, self.lanes, len(layers), not self.padding_safe):
            for piece, vectors in zip(batch, kept, strict=True):
                yield piece, vectors, finite

    def run_equal(
        self,
        inputs: Sequence[One],
        forward: Callable[[Network, Sequence[One]], Sequence[Result]],
        layers: int,
        rows: int,
    ) -> Iterator[tuple[One, Result]]:
        """Give what `forward` gives for each input, in batches of one length.

        Args:
            inputs: With ``ids``.
            forward: From the network and a batch of inputs to a result of each.
            layers: How many layers it keeps.
            rows: Rows of a batch's memory that one input takes.

        Raises:
            BendError: Memory does not suffice for one input.
        """
        for batch, found in self._run(inputs, forward, self.lanes_behind, layers, True, rows):
            yield from zip(batch, found, strict=True)

    def _run(
        self,
        inputs: Sequence[One],
        forward: Callable[[Network, Sequence[One]], Result],
        lanes: Lanes,
        layers: int,
        equal: bool,
        rows: int = 1,
    ) -> Iterator[tuple[Sequence[One], Result]]:
        """Give batches of inputs, the longest first, and what `forward` gives for them."""
        ordered = sorted(inputs, key=lambda one: -len(one.ids))
        done = 0
        while done < len(ordered):
            batches = self._cut(ordered[done:], self.tokens // rows, equal)
            results = lanes.run(forward, batches, layers)
            for batch in batches:
                try:
                    found = next(results)
                except (RuntimeError, MemoryError) as error:
                    if not out_of_memory(error):
                        raise
                    self._halve(batch, rows, error)
                    break
                yield batch, found
                done += len(batch)

    def _cut(self, ordered: Sequence[One], tokens: int, equal: bool) -> list[Sequence[One]]:
        """Cut inputs, the longest first, into batches up to a number of tokens, of one length where they must be."""
        batches = []
        start = 0
        while start < len(ordered):
            longest = len(ordered[start].ids)
            stop = min(len(ordered), start + max(1, tokens // longest))
            if equal:
                while len(ordered[stop - 1].ids) != longest:
                    stop -= 1
            batches.append(ordered[start:stop])
            start = stop
        return batches

    def _halve(self, batch: Sequence[HasIds], rows: int, error: Exception) -> None:
        """Go on with smaller batches than one for which memory ran out."""
        longest = len(batch[0].ids)
        if len(batch) == 1:
            raise BendError(
                f"{self.name}: memory ran out on {self.network.device} for one input of {longest} tokens. Give "
                f"a smaller context (context={longest // 2}, --context), a lower precision or another device."
            ) from error
        self.tokens = longest * (len(batch) // 2) * rows
        log.warning("%s: memory ran out; going on with %d tokens a batch.", self.name, self.tokens)
        if self.network.device.type == "cuda":
            torch.cuda.empty_cache()

    def _forward(
        self, network: Network, batch: Sequence[Piece], layers: Sequence[int]
    ) -> tuple[list[list[torch.Tensor]], bool]:
        """The kept vectors of each piece of a batch by layer, and whether all are finite."""
        sizes = np.array([len(piece.ids) for piece in batch])
        ids = np.full((len(batch), self._width(sizes)), self.pad, np.int64)
        for row, piece in enumerate(batch):
            ids[row, : len(piece.ids)] = piece.ids
        padded = bool((sizes != ids.shape[1]).any())
        lengths = torch.from_numpy(sizes) if padded else None
        hidden = network.hidden(torch.from_numpy(ids), lengths, layers)
        keep = [piece.keep for piece in batch]
        if all(each.stop - each.start == 1 for each in keep):  # as of variants: the others need not leave the device
            at = torch.arange(len(batch)), torch.tensor([each.start for each in keep])
            hidden, keep = [layer[at][:, None] for layer in hidden], [slice(1)] * len(batch)
        hidden = [layer.cpu() for layer in hidden]
        # One NaN or infinity makes the sum one.
        finite = all(bool(torch.isfinite(layer.sum(dtype=torch.float32))) for layer in hidden)
        return [[layer[row, each] for layer in hidden] for row, each in enumerate(keep)], finite

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
