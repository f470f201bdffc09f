"""Both strands of a sequence as one: the mean of their vectors at each nucleotide.

average_strands(embed(sequence), embed(reverse_complement(sequence)))    # Tokens of the forward strand
"""

from __future__ import annotations

import numpy as np
import torch

from bend_hf.embed.interface import Tokens


def average_strands(forward: Tokens, reverse: Tokens) -> Tokens:
    """Return the mean of the vectors of both strands at each nucleotide of the forward strand.

    Args:
        forward: Of the sequence.
        reverse: Of its reverse complement.

    Returns:
        Tokens whose partition is the common refinement of both.
    """
    ends = np.cumsum(forward.lengths)
    other = np.cumsum(reverse.lengths[::-1])
    cuts = np.union1d(ends, other)
    left = forward.vectors[torch.from_numpy(np.searchsorted(ends, cuts))]
    right = reverse.vectors.flip(0)[torch.from_numpy(np.searchsorted(other, cuts))]
    return Tokens((left + right) / 2, np.diff(cuts, prepend=0))


def fold(vectors: torch.Tensor) -> torch.Tensor:
    """Return the mean of both strands where a model has them side by side (Caduceus-ps).

    Args:
        vectors: (…, 2 D): channels of the sequence, then those of its reverse complement in reverse order.

    Returns:
        (…, D).
    """
    half = vectors.shape[-1] // 2
    return (vectors[..., :half] + vectors[..., half:].flip(-1)) / 2
