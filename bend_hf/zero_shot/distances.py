"""Distances between the vectors of two alleles, and the places in a window whose vectors are compared.

    DISTANCES["l1"] = lambda reference, alternate: (reference - alternate).abs().sum(-1)    # one more, at every place

A distance takes two float64 tensors (…, D) and gives one number for each pair of vectors, larger for further apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bend_hf.embed.interface import Tokens

Distance = Callable[[Tensor, Tensor], Tensor]
PLACES = ("", "mean_", "max_", "last_")
"""What stands before a distance's name: at the variant's token; of the means over the window's nucleotides; the largest
over its nucleotides; at its last token."""


def cosine(reference: Tensor, alternate: Tensor) -> Tensor:
    """Return 1 - cosine similarity, BEND's distance; 1 where one vector is zero, 0 where both are.

    Computed as (‖r - a‖² - (‖r‖ - ‖a‖)²) / (2 ‖r‖ ‖a‖): the same number, but without the cancellation that leaves of
    1 - 0.9999999 only a digit, and exactly 0 for equal vectors.
    """
    one, other = reference.norm(dim=-1), alternate.norm(dim=-1)
    apart = (l2(reference, alternate).square() - (one - other).square()).clamp_min(0.0)
    found = apart / (2 * one * other).clamp_min(torch.finfo(torch.float64).tiny)
    return torch.where((one == 0) | (other == 0), ((one == 0) ^ (other == 0)).double(), found)


def l2(reference: Tensor, alternate: Tensor) -> Tensor:
    """Return the Euclidean distance."""
    apart: Tensor = (reference - alternate).norm(dim=-1)
    return apart


def inner_product(reference: Tensor, alternate: Tensor) -> Tensor:
    """Return the negative inner product, so that larger means further apart."""
    return -(reference * alternate).sum(-1)


DISTANCES: dict[str, Distance] = {"cosine": cosine, "l2": l2, "inner_product": inner_product}
"""Distances by name; a new one is an entry here, and a score at each of `PLACES`."""


def split(score: str) -> tuple[str, str, int | None]:
    """Return place, distance and layer of a score's name: ``"mean_l2@6"`` is ``("mean_", "l2", 6)``.

    The layer is None for the embedder's own.
    """
    name, _, layer = score.partition("@")
    place = next((place for place in PLACES[1:] if name.startswith(place)), "")
    return place, name.removeprefix(place), int(layer) if layer else None


def pooled(tokens: Tokens, place: str, nucleotide: int) -> Tensor:
    """Return one vector of a window, (D,) float64.

    Args:
        tokens: Of the window.
        place: ``""`` for the token that owns `nucleotide`, ``"mean_"`` for the mean over nucleotides (each has its
            token's vector), ``"last_"`` for the last token.
        nucleotide: Index of the nucleotide asked for.
    """
    if place == "mean_":
        weights = torch.from_numpy(tokens.lengths / tokens.lengths.sum())
        return weights @ tokens.vectors.double()
    index = -1 if place == "last_" else int(np.searchsorted(np.cumsum(tokens.lengths), nucleotide, "right"))
    return tokens.vectors[index].double()


def aligned(reference: Tokens, alternate: Tokens) -> tuple[Tensor, Tensor]:
    """Return the vectors of both windows side by side, (S, D) float64 each.

    Where the alleles are cut into tokens at different places, a pair of vectors stands for the nucleotides that one
    token of each has in common.
    """
    if np.array_equal(reference.lengths, alternate.lengths):
        return reference.vectors.double(), alternate.vectors.double()
    ends = [np.cumsum(tokens.lengths) for tokens in (reference, alternate)]
    cuts = np.union1d(*ends)
    first, second = (
        tokens.vectors[torch.from_numpy(np.searchsorted(end, cuts))].double()
        for tokens, end in zip((reference, alternate), ends, strict=True)
    )
    return first, second
