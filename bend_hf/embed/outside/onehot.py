"""What networks of one-hot DNA share: letters to numbers, and sequences of one length together.

vectors, lengths = in_bins(network, sequences, lambda codes: network(one_hot(codes)), nucleotides=128)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bend_hf.embed.network import evaluating
from bend_hf.runtime import exact_float32

_CODES = np.full(256, -1, np.int64)
_CODES[np.frombuffer(b"ACGTacgt", np.uint8)] = [0, 1, 2, 3] * 2


def best_device() -> torch.device:
    """Return the device that published weights are put on."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def indices(sequences: Sequence[str]) -> Tensor:
    """Return sequences of one length as (n, L) int64: A, C, G, T are 0 to 3, anything else is -1."""
    letters = np.frombuffer("".join(sequences).encode("ascii"), np.uint8)
    return torch.from_numpy(_CODES[letters].reshape(len(sequences), -1))


def one_hot(codes: Tensor) -> Tensor:
    """Return `indices` as (n, L, 4) float32; N is zero in all four channels."""
    return (codes[..., None] == torch.arange(4, device=codes.device)).float()


def in_bins(
    model: nn.Module, sequences: Sequence[str], forward: Callable[[Tensor], Tensor], nucleotides: int
) -> tuple[list[Tensor], list[np.ndarray]]:
    """Run sequences of one length together, since padding would reach the vectors of such networks.

    Args:
        model: The network; it is left on its device and in its mode.
        sequences: DNA of any lengths that the network takes.
        forward: From (n, L) of `indices`, on the model's device, to (n, bins, D).
        nucleotides: Of a bin: each vector's run length.

    Returns:
        Vectors (bins, D) and run lengths (bins,) of each sequence, in order.
    """
    by_length: dict[int, list[int]] = {}
    for number, sequence in enumerate(sequences):
        by_length.setdefault(len(sequence), []).append(number)
    found: dict[int, Tensor] = {}
    place = next(model.parameters()).device
    with torch.inference_mode(), exact_float32(), evaluating(model):
        for numbers in by_length.values():
            vectors = forward(indices([sequences[number] for number in numbers]).to(place)).cpu()
            found |= zip(numbers, vectors, strict=True)
    ordered = [found[number] for number in range(len(sequences))]
    return ordered, [np.full(len(vectors), nucleotides) for vectors in ordered]
