"""Progress: bars on a terminal, lines elsewhere, and one line over all of it.

    for task in steps(tasks, "task", name=lambda task: task.name):   # task 3 of 7 · gene_finding · about 12 min left
        for row in progress(rows, name="bend_hf.embed", desc="embedding", unit="seq"):

On a terminal the line stands above the bars. Where standard error is no terminal, each bar says every half minute how
far it is, with the line: a heartbeat, which stops when the work does. Both are messages of the level ``info``.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from huggingface_hub.utils import tqdm

from bend_hf.text import counted

log = logging.getLogger("bend_hf")
T = TypeVar("T")
SYMBOLS = ("B", "nt")
"""Units that have no plural."""

EVERY = 30.0
"""Seconds between two lines of a bar that nobody sees."""
READY = 1.0
"""Seconds below which a step found its result ready, and says nothing about how long others take."""

ENOUGH = 0.2
"""Share of the way that has to be timed before anything is said of the rest."""


@dataclass
class Level:
    """Steps of one kind, of which one is being made.

    Attributes:
        kind: ``"model"``, ``"task"``.
        of: How many there are.
        weights: How much of the level each step is, in sum 1.
        inside: How many steps there are in each of these in all, where several loops make them.
        number: The step that is being made, from 1.
        passed: Inner steps made of it.
        name: Of the step.
        inner: Whether it had inner steps, which then are what is timed.
    """

    kind: str
    of: int
    weights: list[float]
    inside: int | None = None
    number: int = 0
    passed: int = 0
    name: str = ""
    inner: bool = False

    @property
    def weight(self) -> float:
        """Of the step that is being made."""
        return self.weights[self.number - 1]


class Way:
    """All levels of what is being done, outermost first, and how long what is done has taken."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.levels: list[Level] = []
        self.done = self.timed = self.seconds = 0.0
        self.last = self.began = time.monotonic()
        self.line: Any = None

    def text(self) -> str:
        """Return where the work is; nothing for a single step."""
        shown = [f"{level.kind} {level.number} of {level.of}" for level in self.levels if level.of > 1]
        left = self.left()
        return " · ".join([*shown, self.levels[-1].name, *([left] if left else [])]) if shown else ""

    def left(self) -> str:
        """Return about how long the rest will take, from the steps that took time; nothing where these are few."""
        if self.timed < ENOUGH:
            return ""
        seconds = (1 - self.done) * self.seconds / self.timed - (time.monotonic() - self.last)
        minutes = max(1, round(seconds / 60))
        return f"about {minutes} min left" if minutes < 120 else f"about {round(minutes / 60)} h left"

    def finished(self) -> None:
        """Count the innermost step as made."""
        now = time.monotonic()
        level = self.levels[-1]
        share = 1.0
        for each in self.levels:
            share *= each.weight
        if len(self.levels) > 1:
            self.levels[-2].passed, self.levels[-2].inner = self.levels[-2].passed + 1, True
        if not level.inner:
            self.done += share
            if now - self.last >= READY:
                self.timed += share
                self.seconds += now - self.last
            self.last = now
        level.inner = False

    def show(self, *, new: bool) -> None:
        """Draw the line on a terminal; elsewhere, say it where a step is new."""
        text = self.text()
        if not text or not log.isEnabledFor(20):
            return
        if not sys.stderr.isatty():
            if new:
                log.info("%s", text)
            return
        if self.line is None:
            self.line = tqdm(name="bend_hf", position=0, leave=False, bar_format="{desc}", total=0, disable=None)
        self.line.set_description_str(text)

    def close(self) -> None:
        """Take the line away."""
        if self.line is not None:
            self.line.close()
        self.reset()


WAY = Way()


def steps(
    items: Iterable[T],
    kind: str,
    *,
    name: Callable[[T], str] = str,
    weight: Callable[[T], float] = lambda _: 1.0,
    inside: int | None = None,
) -> Iterator[T]:
    """Go through steps of a long work, and say which one is made and about how long the rest will take.

    Args:
        items: The steps.
        kind: What a step is, in the singular.
        name: Name of a step.
        weight: How long a step takes, beside the others.
        inside: How many inner steps each of these has in all, where several loops make them one after the other.
    """
    listed = list(items)
    sizes = [max(weight(item), 0.0) for item in listed]
    whole = sum(sizes) or 1.0
    outer = WAY.levels[-1] if WAY.levels else None
    level = Level(kind, len(listed), [size / whole for size in sizes], inside)
    if outer is not None and outer.inside is not None:
        level.of, level.number = outer.inside, outer.passed
        level.weights = [1 / outer.inside] * outer.inside
    WAY.levels.append(level)
    try:
        for item in listed:
            level.number, level.passed, level.name = level.number + 1, 0, name(item)
            WAY.show(new=inside is None)
            yield item
            WAY.finished()
    finally:
        WAY.levels.remove(level)
        if not WAY.levels:
            WAY.close()


class Bar(tqdm):
    """A bar of Hugging Face's kind, which off a terminal says now and then how far it is."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.said = self.began = time.monotonic()
        self.seen = options.get("initial", 0)
        self.what, self.of = options.get("desc", ""), options.get("total")
        self.each = options.get("unit", "item")
        super().__init__(*arguments, **options)

    def __iter__(self) -> Iterator[Any]:
        """Go through what is counted."""
        if self.of is None and hasattr(self.iterable, "__len__"):
            self.of = len(self.iterable)
        for item in super().__iter__():
            yield item
            self.beat(1)

    def update(self, n: float = 1) -> bool | None:
        """Count `n` more."""
        drawn: bool | None = super().update(n)
        self.beat(n)
        return drawn

    def close(self) -> None:
        """End the bar; below the line above the bars it leaves nothing where the next message is written."""
        if not self.disable and self.pos:
            self.clear()
        super().close()

    def beat(self, n: float) -> None:
        """Count, and say how far it is where nothing has been said for a while."""
        self.seen += n
        now = time.monotonic()
        if now - self.said < (1 if WAY.line is not None else EVERY):
            return
        self.said = now
        if sys.stderr.isatty():
            WAY.show(new=False)
            return
        plural = self.each if self.each in SYMBOLS else None
        far = counted(round(self.seen), self.each, plural)
        if self.of:
            far = f"{self.seen / self.of:.0%} ({self.seen:,.0f} of {counted(round(self.of), self.each, plural)})"
        log.info("%s", " · ".join(filter(None, [f"{self.what}: {far}", WAY.text() if WAY.levels else ""])))
