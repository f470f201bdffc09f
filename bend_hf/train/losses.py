"""What heads are trained by: the losses that recipes name, with what they make of logits and of labels.

LOSSES["binary"].total(logits, targets, positive_weight=None)
LOSSES["binary"].answer(logits)                  # probabilities
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

IGNORED = -100


@dataclass(frozen=True)
class Loss:
    """A loss.

    Attributes:
        total: Logits (B, P, outputs), targets and the weight of ones to the loss summed over targets.
        answer: Logits to what is predicted: probabilities, or values.
        columns: Whether a position has a target per output, and not one class.
        read: Type of targets as labels are read.
        given: Type of targets as they are computed with.
        ignored: Target where there is no label.
    """

    total: Callable[[torch.Tensor, torch.Tensor, float | None], torch.Tensor]
    answer: Callable[[torch.Tensor], torch.Tensor]
    columns: bool
    read: type[np.generic]
    given: type[np.generic]
    ignored: float


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor, weight: float | None) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")


def _binary(logits: torch.Tensor, targets: torch.Tensor, weight: float | None) -> torch.Tensor:
    ones = None if weight is None else torch.tensor(weight, device=logits.device)
    wanted = targets.clamp(min=0).to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=ones, reduction="none")
    return (each * (targets != IGNORED)).sum()


def _squared(logits: torch.Tensor, targets: torch.Tensor, weight: float | None) -> torch.Tensor:
    wanted = targets.to(logits.dtype)
    return torch.where(wanted.isnan(), 0.0, logits - wanted).square().sum()  # a prediction that is NaN stays one


LOSSES = {
    "cross_entropy": Loss(_cross_entropy, lambda logits: logits.softmax(-1), False, np.int16, np.int64, IGNORED),
    "binary": Loss(_binary, torch.sigmoid, True, np.int8, np.int8, IGNORED),
    "squared": Loss(_squared, lambda logits: logits, True, np.float32, np.float32, np.nan),
}


def loss_sum(
    logits: torch.Tensor, targets: torch.Tensor, kind: str, positive_weight: float | None = None
) -> torch.Tensor:
    """Return the loss summed over targets.

    Args:
        logits: (B, P, outputs).
        targets: (B, P) int64 classes, or (B, P, outputs) of 0 and 1 or of values; ``ignored`` is left out.
        kind: A name of `LOSSES`.
        positive_weight: Weight of ones in the binary loss.
    """
    return LOSSES[kind].total(logits, targets, positive_weight)


def count_targets(labels: np.ndarray) -> int:
    """Return how many labels are not left out."""
    left_out = np.isnan(labels) if labels.dtype.kind == "f" else labels == IGNORED
    return int(labels.size - np.count_nonzero(left_out))
