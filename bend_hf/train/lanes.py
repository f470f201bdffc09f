"""Pieces of work at once on a CPU, each in a thread, with a team, of its own: micro-batches and heads.

    with Lanes(torch.get_num_threads()) as lanes:
        for found in lanes.run([work, …]):              # in the order of the work
            ...

The threads of one team meet after every operation, and where a neighbour holds one of the cores, all wait for the
thread that shares it: an epoch takes up to three times as long. Threads that each take the next piece of work whenever
they are done with one do not wait for each other until there is none left.

How many lanes there are, and how many threads in each, follows from the number of threads alone, and what a piece gives
does not depend on who does it and when: what a head computes is the same, bit for bit, beside any other heads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Generic, TypeVar

import torch

MOST = 4
"""Lanes: each holds a micro-batch and what its passes keep."""

Found = TypeVar("Found")


class Lanes:
    """Runs pieces of work in threads that have a share of `threads` each; used as a context.

    Attributes:
        count: How many run at once.
        team: Threads of each.
        ahead: Pieces that may be begun, or wait to be, while the first of them is not done: a lane that shares its core
            takes twice as long for one, or more.

    Args:
        threads: To be shared out evenly; 1 for work that is to be done in the calling thread.
    """

    def __init__(self, threads: int) -> None:
        self.count = next(count for count in range(min(MOST, threads), 0, -1) if threads % count == 0)
        self.team = threads // self.count
        self.ahead = 3 * self.count
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Lanes:
        if self.count > 1:
            self._pool = ThreadPoolExecutor(self.count, "bend_hf_head", self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> None:
        torch.set_num_threads(self.team)  # of this thread
        torch.set_flush_denormal(True)  # too

    def run(self, work: Iterable[Callable[[], Found]]) -> Iterator[Found]:
        """Give what each piece of work gives, in order; pieces are asked for as lanes come to need them.

        Raises:
            Exception: What the first of them raises for which one does, or the iteration over the pieces.
        """
        if self._pool is None:
            yield from (each() for each in work)
            return
        pieces = iter(work)
        waiting: deque[Future[Found]] = deque()
        try:
            waiting.extend(map(self._pool.submit, islice(pieces, self.ahead)))
            while waiting:
                found = waiting.popleft().result()
                waiting.extend(map(self._pool.submit, islice(pieces, 1)))
                yield found
        finally:
            for future in waiting:
                future.cancel()


class Once(Generic[Found]):
    """What several pieces of work need, made by the first that comes to ask for it; the others wait.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], Found]) -> None:
        self._make: Callable[[], Found] | None = make
        self._lock = threading.Lock()

    def __call__(self) -> Found:
        """Return it."""
        with self._lock:
            if self._make is not None:
                self._made = self._make()
                self._make = None  # and what it was made of
            return self._made
