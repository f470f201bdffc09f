"""Ctrl-C while another thread computes: noted, not raised, so that the thread ends in order.

with ctrl_c() as pressed:
    thread.start()
    wait(done, stop, pressed, "stopping and saving")
if pressed:
    raise KeyboardInterrupt
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bend_hf.console import log

AT_ONCE = 10.0
"""Seconds that a second Ctrl-C waits for the computation under way: an interpreter that ends below it is aborted."""
GLANCE = 0.05
"""Seconds between two looks at whether Ctrl-C was pressed."""


@contextmanager
def ctrl_c() -> Iterator[list[float]]:
    """Give a list that gets the time of every Ctrl-C of the block.

    As an exception, a second Ctrl-C may come while the first is handled, and what leaves then ends the interpreter
    below a thread that computes. Only the main thread is told of Ctrl-C, and not where it is ignored.
    """
    pressed: list[float] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
        yield pressed
        return
    signal.signal(signal.SIGINT, lambda *_: pressed.append(time.monotonic()))
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def wait(done: threading.Event, stop: threading.Event, pressed: list[float], message: str) -> None:
    """Wait until a thread is done; the first Ctrl-C asks it to stop, the second does not wait for long.

    Args:
        done: Set by the thread at its end.
        stop: Set here at the first Ctrl-C.
        pressed: Of `ctrl_c`.
        message: What is said at the first Ctrl-C.
    """
    while not done.wait(GLANCE):  # and not Thread.join(), which takes a thread for ended once it was interrupted
        if pressed and not stop.is_set():
            stop.set()
            log.warning("%s", message)
        if len(pressed) > 1 and time.monotonic() > pressed[1] + AT_ONCE:
            return
