"""The state of a training run as one safetensors file: tensors, and the rest as JSON in its header. No pickle.

The file is replaced whole and sealed, so that a run killed at any moment leaves the last complete state, and a damaged
one is never gone on from; its name is the digest of everything that decides the run's numbers, so that a run with other
data or settings never picks it up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bend_hf.console import log
from bend_hf.files import damage, sealed


@dataclass
class Head:
    """One seed's head (or network) and all that changes while it is trained; no head touches another's.

    Attributes:
        seed: The seed it goes by.
        model: The head.
        optimizer: AdamW over its parameters.
        scaler: Its own loss scaling, active in fp16 only.
        loss: () float64: sum of this epoch's losses so far.
        history: One entry per completed epoch.
        best: The weights of the best epoch so far.
        best_epoch: The number of that epoch, counted from 1; 0 before there is one.
        stopped: Whether its patience has run out.
        failure: Why it was given up; None while all is well.
    """

    seed: int
    model: nn.Module
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    loss: Tensor
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    stopped: bool = False
    failure: str | None = None

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the present weights."""
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def tensors(self) -> dict[str, Tensor]:
        """Everything in tensors, by name."""
        found = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        found |= {f"best.{name}": value for name, value in self.best.items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
        return found | {"loss": self.loss}

    def plain(self) -> dict[str, Any]:
        """The rest, as JSON takes it."""
        return {name: getattr(self, name) for name in PLAIN} | {"scaler": self.scaler.state_dict()}

    def restore(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        """Put back what `tensors` and `plain` gave."""
        self.model.load_state_dict(_below("model.", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer.", tensors).items():
            number, _, kind = name.partition(".")
            moments.setdefault(int(number), {})[kind] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.scaler.load_state_dict(plain["scaler"])
        self.loss.copy_(tensors["loss"])
        self.best = _below("best.", tensors)
        for name in PLAIN:
            setattr(self, name, plain[name])


PLAIN = ("history", "best_epoch", "stopped", "failure")


@dataclass
class State:
    """What a run changes.

    Attributes:
        heads: The heads trained side by side.
        epoch: Epochs completed.
        step: Optimiser steps done in the epoch under way.
    """

    heads: list[Head]
    epoch: int = 0
    step: int = 0

    @property
    def active(self) -> list[Head]:
        """The heads still being trained."""
        return [head for head in self.heads if not head.stopped and head.failure is None]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def save(path: Path, state: State) -> None:
    """Write the state and its seal."""
    tensors = {f"{i}.{name}": value for i, head in enumerate(state.heads) for name, value in head.tensors().items()}
    plain = {"epoch": state.epoch, "step": state.step, "heads": [head.plain() for head in state.heads]}
    with sealed(path) as temporary:
        save_file(
            {name: value.contiguous() for name, value in tensors.items()}, temporary, {"state": json.dumps(plain)}
        )


@dataclass(frozen=True)
class Saved:
    """A state as read from its file."""

    tensors: dict[str, Tensor]
    plain: dict[str, Any]

    @property
    def place(self) -> tuple[int, int]:
        """Epochs completed, and steps of the next."""
        return self.plain["epoch"], self.plain["step"]

    def restore(self, state: State) -> None:
        """Put it in place of what a run begins with."""
        for i, head in enumerate(state.heads):
            head.restore(_below(f"{i}.", self.tensors), self.plain["heads"][i])
        state.epoch, state.step = self.place


def read(path: Path) -> Saved | None:
    """Read a state; return None where there is none, or none that can be trusted (which is said)."""
    if not path.is_file():
        return None
    try:
        if problem := damage(path):
            raise ValueError(problem)
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return Saved(tensors, json.loads(file.metadata()["state"]))
    except (SafetensorError, OSError, ValueError) as error:
        log.warning("The checkpoint %s is not trusted: %s. Training starts anew.", path, error)
        return None
