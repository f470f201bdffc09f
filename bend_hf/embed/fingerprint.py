"""What a model computes, in a few hex digits: two models of one name are told apart by it.

of_vectors(vectors)           # of what it gives for `PROBES`
of_weights(model)             # of all its parameters and buffers, bit for bit
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from bend_hf.files import digest_of

PROBES = (
    "".join(np.random.default_rng(1).choice(list("ACGT"), 96)),
    "".join(np.random.default_rng(2).choice(list("ACGT"), 301)),
    "".join(np.random.default_rng(3).choice(list("ACGT"), 72, p=[0.1, 0.4, 0.4, 0.1])),
)
"""Sequences for which a model gives its fingerprint."""
PROJECTIONS = 16
STEP = 1e-4
"""What a projection is rounded to, relative to the vectors' root mean square. Rounding of float32 (1e-7) changes one of
them in a few machines of a hundred, which only makes a result anew; another model changes nearly all."""


def of_vectors(vectors: Sequence[torch.Tensor]) -> str:
    """Return a digest of vectors that survives their rounding.

    It is that of `PROJECTIONS` sums of all values with fixed random signs, their root mean square, and the shapes.

    Args:
        vectors: (T, D) of any floating type, one per probe.
    """
    values = torch.cat([part.detach().cpu().double().flatten() for part in vectors]).numpy()
    scale = math.sqrt(float(np.square(values).mean())) or 1.0
    random = np.random.default_rng(2024)
    sums = [float(values @ (2.0 * random.integers(0, 2, len(values), dtype=np.int8) - 1)) for _ in range(PROJECTIONS)]
    rounded = [round(total / (scale * math.sqrt(len(values)) * STEP)) for total in sums]
    return digest_of([[list(part.shape) for part in vectors], round(math.log(scale) / STEP), rounded])[:32]


def of_weights(model: nn.Module) -> str:
    """Return the SHA-256 of a model's parameters and buffers, with their names, types and shapes."""
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()
