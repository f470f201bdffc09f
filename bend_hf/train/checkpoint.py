"""The state of a training run as one safetensors file: tensors, and the rest as JSON in its header. No pickle.

The file is replaced whole, so that a run killed at any moment leaves the last complete state; its name is the digest
of everything that decides the run's numbers, so that a run with other data or settings never picks it up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from bend_hf.console import log
from bend_hf.files import atomic
from bend_hf.train.head import CNNHead


@dataclass
class State:
    """What a run changes.

    Attributes:
        model: The heads (or the network).
        optimizer: AdamW over the model's parameters.
        scaler: Loss scaling, active in fp16 only.
        losses: (heads,) float64: sum of this epoch's losses so far.
        epoch: Epochs completed.
        step: Optimiser steps done in the epoch under way.
        history: Per head, one entry per completed epoch.
        best: Per head, the weights of its best epoch so far.
        best_epoch: Per head, the number of that epoch, counted from 1; 0 before there is one.
        stopped: Per head, whether its patience has run out.
    """

    model: nn.Module
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    losses: torch.Tensor
    epoch: int = 0
    step: int = 0
    history: list[list[dict[str, Any]]] = field(default_factory=list)
    best: list[dict[str, torch.Tensor]] = field(default_factory=list)
    best_epoch: list[int] = field(default_factory=list)
    stopped: list[bool] = field(default_factory=list)


PLAIN = ("epoch", "step", "history", "best_epoch", "stopped")


def weights(model: nn.Module, head: int) -> dict[str, torch.Tensor]:
    """Return a copy of one head's weights (of the whole network where there is one head)."""
    if isinstance(model, CNNHead):
        return model.reference_state(head)
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def set_weights(model: nn.Module, head: int, values: dict[str, torch.Tensor]) -> None:
    """Put what `weights` returned back."""
    if isinstance(model, CNNHead):
        model.load_reference(values, head)
    else:
        model.load_state_dict(values)


def save(path: Path, state: State) -> None:
    """Write the state, atomically."""
    tensors = {f"model.{name}": value for name, value in state.model.state_dict().items()}
    tensors["losses"] = state.losses
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    for head, values in enumerate(state.best):
        tensors |= {f"best.{head}.{name}": value for name, value in values.items()}
    plain = {name: getattr(state, name) for name in PLAIN} | {"scaler": state.scaler.state_dict()}
    with atomic(path) as temporary:
        save_file(
            {name: value.contiguous() for name, value in tensors.items()}, temporary, {"state": json.dumps(plain)}
        )


def load(path: Path, state: State) -> bool:
    """Restore the state in place; return False where there is none, or none that can be read (which is said)."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, "pt", device=str(state.losses.device)) as file:
            plain = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        log.warning("The checkpoint %s cannot be read (%s); training starts anew.", path, error)
        return False

    def below(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    state.model.load_state_dict(below("model."))
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in below("optimizer.").items():
        number, _, kind = name.partition(".")
        moments.setdefault(int(number), {})[kind] = value
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})
    state.scaler.load_state_dict(plain.pop("scaler"))
    state.losses.copy_(tensors["losses"])
    for name, value in plain.items():
        setattr(state, name, value)
    state.best = [below(f"best.{head}.") for head in range(len(state.best_epoch))]
    return True
