"""Several batches at once on a CPU, each by a team of threads of its own, where one team would run them in turn.

    lanes = Lanes(network, name="nt-v2-50m")
    for found in lanes.run(forward, batches, layers=1):      # forward(network, batch), in the order of `batches`
        ...

The threads of one team meet after every operation, and where a neighbour holds one of the cores, all wait for the
thread that shares it: a batch takes up to three times as long. Threads that have a batch each meet once it is done.

A batch is the same with and without lanes, and its bits are those of a team of as many threads as its lane has: on two
or three cores those of one thread. (Two threads add up some small products of matrices in another order than one.)
Which batches go to lanes follows from their sizes, the threads and the memory that is free, never from timing. What is
left, and what comes alone, the whole team runs.

Lanes work on copies of the model's modules, which share its weights, so that what a module remembers
from its last input is its own. Models with code that is neither torch's, transformers' nor ours, with hooks, in the
hands of whoever gave them, or that draw random numbers run one batch at a time.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from bend_hf.console import log
from bend_hf.embed.devices import out_of_memory
from bend_hf.embed.network import Network
from bend_hf.runtime import KEPT, available_memory

MOST = 4
"""Lanes: more would ask for much memory, and find too few batches in a buffer. There may be more than threads where the
process is bound to as many cores as it has threads: the kernel shares these out by threads, so that a neighbour then
takes less of them. Elsewhere more would take cores that are not ours."""
FEWEST_TOKENS = 1024
"""Smaller batches take as long in Python, which one thread runs at a time, as in torch."""
KNOWN = ("torch", "transformers", "bend_hf")
"""Packages whose modules keep what they remember to themselves."""
STATUS = Path("/proc/self/status")


class HasIds(Protocol):
    """An input of a model."""

    @property
    def ids(self) -> np.ndarray:
        """Its tokens, (T,) int64."""
        ...


One = TypeVar("One", bound=HasIds)
Result = TypeVar("Result")


class _Tried(NamedTuple):
    """A batch that ran alone: what it was, and the most memory that it took."""

    tokens: int
    longest: int
    layers: int
    memory: int


class _Left(Exception):  # noqa: N818
    """Nobody waits for this batch any more."""


class Lanes:
    """Runs batches of a network, several at once where that is safe.

    Args:
        network: The model.
        name: For messages.
        most: Lanes at most; 1 for one batch at a time.
    """

    def __init__(self, network: Network, *, name: str, most: int = MOST) -> None:
        self.network, self.name = network, name
        self.most = most if network.device.type == "cpu" and STATUS.exists() else 1
        self._tried: list[_Tried] = []

    def run(
        self, forward: Callable[[Network, Sequence[One]], Result], batches: Sequence[Sequence[One]], layers: int
    ) -> Iterator[Result]:
        """Give the result of each batch, in order; no batch is being run while a result is looked at.

        Args:
            forward: What to do with a batch.
            batches: The longest first.
            layers: How many layers it keeps.

        Raises:
            Exception: What `forward` raises for the first batch for which it does.
        """
        threads = torch.get_num_threads()
        done = 0
        if self.most > 1 and threads > 1 and len(batches) > 1 and _tokens(batches[0]) >= FEWEST_TOKENS:
            if not is_known(self.network):
                self.most = 1
            most = self.most if len(os.sched_getaffinity(0)) <= threads else min(self.most, threads)
            lanes, together = shared_out([_tokens(batch) for batch in batches], threads, most)
            team = max(1, threads // lanes)
            if together and not self._knows(batches[0], layers):
                yield self._try(forward, batches[0], layers, team)
                done = 1
            lanes = min(lanes, self._most(batches[done], layers))
            if done < together and lanes > 1 and max(1, threads // lanes) == team:
                found = self._together(forward, batches[done:together], lanes, team)
                yield from found
                done += len(found)
        for batch in batches[done:]:
            yield forward(self.network, batch)

    def _knows(self, batch: Sequence[HasIds], layers: int) -> bool:
        """Whether a batch not much smaller, of inputs as long, has been tried."""
        tokens, longest = _tokens(batch), len(batch[0].ids)
        return any(2 * it.tokens >= tokens and it.longest >= longest and it.layers >= layers for it in self._tried)

    def _try(
        self, forward: Callable[[Network, Sequence[One]], Result], batch: Sequence[One], layers: int, team: int
    ) -> Result:
        """Run a batch alone, by as many threads as in a lane; see what memory it takes, and if random numbers."""
        before = torch.get_rng_state(), np.random.get_state()
        torch.rand(()), np.random.random()
        drawn, held = _random_state(), _memory("VmRSS")
        with _team(team):
            found = forward(self.network, batch)
        if _random_state() != drawn:
            log.info("%s draws random numbers; running one batch at a time.", self.name)
            self.most = 1
            return forward(self.network, batch)
        torch.set_rng_state(before[0])
        np.random.set_state(before[1])
        self._tried.append(_Tried(_tokens(batch), len(batch[0].ids), layers, max(0, _memory("VmHWM") - held)))
        return found

    def _most(self, batch: Sequence[HasIds], layers: int) -> int:
        """How many batches like one memory holds at once."""
        tokens = _tokens(batch)
        took = max((it.memory * tokens // it.tokens for it in self._tried if it.layers >= layers), default=0)
        # Twice as much, and what the heap held free when a batch was tried, for safety.
        return min(self.most, 1 + int(min(MOST, available_memory() / (2 * took + KEPT))))

    def _together(
        self,
        forward: Callable[[Network, Sequence[One]], Result],
        batches: Sequence[Sequence[One]],
        lanes: int,
        team: int,
    ) -> list[Result]:
        """Run batches in lanes, and return their results, up to the first that found no memory."""
        stop, own = threading.Event(), threading.local()
        copies = [_copy(self.network, stop) for _ in range(lanes)]

        def begin() -> None:
            torch.set_num_threads(team)  # of this thread
            own.network = copies.pop()

        def work(batch: Sequence[One]) -> Result:
            return forward(own.network, batch)

        pool, threads = ThreadPoolExecutor(lanes, "bend_hf_lane", begin), torch.get_num_threads()
        found: list[Result] = []
        try:
            for future in [pool.submit(work, batch) for batch in batches]:
                found.append(future.result())
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            log.warning("%s: memory ran out for %d batches at once; going on with one at a time.", self.name, lanes)
            self.most = 1
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads)  # what threads that are new to torch begin with
        return found


def shared_out(sizes: Sequence[int], threads: int, most: int) -> tuple[int, int]:
    """Return in how many lanes to run batches, and how many of them, the first ones; the rest goes to one team.

    On a quiet machine it takes no longer than one team; of such ways it is that with most batches in most lanes. It
    depends on nothing but the arguments.

    Args:
        sizes: Tokens of each batch.
        threads: Threads to share out; each lane gets as many as the others, at least one.
        most: Lanes at most.
    """
    ways = {(1, 0): sum(sizes) / threads}
    for lanes in range(2, most + 1):
        if lanes >= threads or threads % lanes == 0:
            for count in range(max(1, len(sizes) - lanes), len(sizes) + 1):
                ways[lanes, count] = _time(sizes[:count], lanes, threads) + sum(sizes[count:]) / threads
    return max((way for way, time in ways.items() if time <= 1.02 * min(ways.values())), key=lambda way: way[::-1])


def _time(sizes: Sequence[int], lanes: int, threads: int) -> float:
    """How long lanes take on as many cores as there are threads, in the time of one token in one thread."""
    waiting, time = list(sizes), 0.0
    busy: list[float] = []
    while waiting or busy:
        while waiting and len(busy) < lanes:
            busy.append(waiting.pop(0))
        speed, first = min(max(1, threads // lanes), threads / len(busy)), min(busy)
        time += first / speed
        busy = [left - first for left in busy if left > first]
    return time


@contextmanager
def _team(threads: int) -> Iterator[None]:
    """Let the calling thread compute with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_known(network: Network) -> bool:
    """Whether all code that runs in a model's forward is of `KNOWN` packages, its hooks and patches included."""
    parts: list[Any] = [network.call]
    for module in network.model.modules():
        parts += [module, *chain(module._forward_hooks.values(), module._forward_pre_hooks.values())]
        if "forward" in vars(module):
            patched = vars(module)["forward"]
            parts.append(getattr(patched, "func", patched))
    return all(str(getattr(part, "__module__", "")).partition(".")[0] in KNOWN for part in parts)


def _copy(network: Network, stop: threading.Event) -> Network:
    """The same network with modules of its own, which share their weights, and let go of a batch once told to stop."""

    def check(module: nn.Module, args: tuple[Any, ...]) -> None:
        if stop.is_set():
            raise _Left

    other = copy.copy(network)
    with torch.inference_mode():  # as were tensors that a module remembers
        other.model = copy.deepcopy(network.model, {id(weight): weight for weight in network.model.parameters()})
    other.call = other.model
    for module in other.model.modules():
        module.register_forward_pre_hook(check)
    return other


def _tokens(batch: Sequence[HasIds]) -> int:
    return len(batch) * len(batch[0].ids)


def _random_state() -> tuple[bytes, str]:
    return torch.get_rng_state().numpy().tobytes(), str(np.random.get_state(legacy=False))


def _memory(field: str) -> int:
    """A size from this process's status, in bytes."""
    # The process's name stands there too, cut off after 15 bytes, which may be within a letter.
    line = next(line for line in STATUS.read_bytes().splitlines() if line.startswith(f"{field}:".encode()))
    return int(line.split()[1]) * 1024
