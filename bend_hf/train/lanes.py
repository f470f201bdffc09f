"""Passes of several heads and micro-batches at once on a CPU, each in a thread, with a team, of its own.

    with Lanes(torch.get_num_threads()) as lanes:
        for found in lanes.run([work, …]):              # in the order of the work
            ...

The threads of one team meet after every operation, and where a neighbour holds one of the cores, all wait for the
thread that shares it: an epoch takes up to three times as long. Threads that each have a pass meet once it is done.

How many lanes there are, and how many threads in each, follows from the number of threads alone: what a head computes
is the same, bit for bit, beside any other heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

MOST = 4
"""Lanes: each holds a micro-batch and what its passes keep."""

Found = TypeVar("Found")


class Lanes:
    """Runs pieces of work in threads that have a share of `threads` each; used as a context.

    Attributes:
        count: How many run at once.
        team: Threads of each.

    Args:
        threads: To be shared out evenly; 1 for work that is to be done in the calling thread.
    """

    def __init__(self, threads: int) -> None:
        self.count = next(count for count in range(min(MOST, threads), 0, -1) if threads % count == 0)
        self.team = threads // self.count
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

    def run(self, work: Sequence[Callable[[], Found]]) -> Iterator[Found]:
        """Give what each piece of work gives, in order.

        Raises:
            Exception: What the first of them raises for which one does.
        """
        if self._pool is None:
            yield from (each() for each in work)
            return
        futures = [self._pool.submit(each) for each in work]
        try:
            yield from (future.result() for future in futures)
        finally:
            for future in futures:
                future.cancel()
