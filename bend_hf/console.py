"""What a person sees while work goes on: the library's logger and its progress bars (both on standard error).

    with told("info"):                      # as the command line does, and verbose=True in Python
        log.info("rows from %s", path)
        for row in progress(rows, name="bend_hf.embed", desc="embedding"):

``BEND_HF_VERBOSITY`` (debug, info, warning, error) sets the logger's level; ``HF_HUB_DISABLE_PROGRESS_BARS`` hides
the bars, which are off anyway where standard error is no terminal: lines tell there how far the work is.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from bend_hf.checks import switch
from bend_hf.errors import printable, without_credentials


def _inert(record: logging.LogRecord) -> bool:
    """Take passwords out of the URLs of a message, and what a terminal would obey; all messages pass."""
    record.msg, record.args = printable(without_credentials(record.getMessage())), ()
    return True


LEVELS = ("debug", "info", "warning", "error")

log = logging.getLogger("bend_hf")
log.addFilter(_inert)


def asked_level(usual: str) -> str:
    """Return the level that ``BEND_HF_VERBOSITY`` asks for, the usual one where it names none."""
    asked = os.environ.get("BEND_HF_VERBOSITY", usual).lower()
    return asked if asked in LEVELS else usual


log.setLevel(asked_level("warning").upper())

_hidden = False
"""Whether a person asked for neither bars nor hints."""


class _Handler(logging.StreamHandler[Any]):
    """Writes messages on standard error, above the bars that stand there."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        if not self.stream.isatty():
            super().emit(record)
            return
        from tqdm import tqdm

        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


@contextmanager
def told(level: str, *, hidden: bool = False) -> Iterator[None]:
    """Show messages of a level and above on standard error while a block runs.

    Args:
        level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
        hidden: Whether bars and hints are hidden.
    """
    global _hidden
    before, own = (_hidden, log.level, log.propagate), None
    if not log.handlers:
        own = _Handler()
        log.addHandler(own)
        log.propagate = False
    _hidden = hidden
    log.setLevel(level.upper())
    try:
        yield
    finally:
        if own is not None:
            log.removeHandler(own)
        _hidden, level_before, log.propagate = before
        log.setLevel(level_before)


def spoken(verbose: object) -> AbstractContextManager[None]:
    """Return a context in which a call of Python tells what the command line tells, if `verbose` asks for that."""
    return told("info") if switch("verbose", verbose) else nullcontext()


def watched() -> bool:
    """Whether a person looks at standard error, and wants to."""
    return sys.stderr.isatty() and not _hidden


def progress(iterable: Any = None, *, name: str, **options: Any) -> Any:
    """Return a bar (`bend_hf.bars.Bar`).

    Args:
        iterable: What to go through, or None for a bar that is updated by hand.
        name: The bar's group, e.g. ``"bend_hf.embed"``; Hugging Face's switches for bars apply to it.
        **options: Passed to tqdm: ``total``, ``desc``, ``unit`` …
    """
    from bend_hf.bars import Bar

    return Bar(iterable, name=name, disable=True if _hidden else None, **options)
