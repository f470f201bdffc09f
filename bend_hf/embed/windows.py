"""Sequences longer than a model's context, cut into windows of tokens.

    for window in plan(783, size=510, policy="overlap", causal=False):
        vectors[window.keep_start : window.keep_stop] = model(tokens[window.start : window.stop])[...]

Overlapping windows are stitched: each token is taken from the window in which its poorer side has most context, and
the last window is moved left so that it is full. Causal models need context on the left only. The policy of the
BEND reference cuts abutting pieces, which leaves the last one with little context.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

Policy = Literal["overlap", "abut"]

TILE = 16
"""Tokens that matrix units take at once: attention over any other number is up to twice as slow in half precision."""


class Window(NamedTuple):
    """Tokens ``start:stop`` are seen by the model, the vectors of tokens ``keep_start:keep_stop`` are kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def window_of(size: int, specials: int) -> int:
    """Return how many tokens the windows of a sequence have that does not fit at once.

    Args:
        size: Most tokens that fit, without special tokens.
        specials: Special tokens around them.

    Returns:
        `size`, or up to 15 less, so that with the special tokens it is a multiple of 16; below 256 `size` itself.
    """
    whole = size + specials
    return size - whole % TILE if whole >= 16 * TILE else size


def overlap_of(size: int, causal: bool) -> int:
    """Return how many tokens neighbouring windows of `size` tokens share at least.

    Both sides: a margin of a sixteenth of the window, at most 64 tokens, on each side of the kept centre, which costs
    1.07 to 1.14 times the tokens; of a 64th where that is more, so that the windows of 131,072 tokens of models without
    a limit overlap by more than the 1,260 nucleotides that BEND's ConvNet sees to a side. Causal: a quarter of the
    window, on the left.
    """
    return size // 4 if causal else 2 * max(min(64, size // 16), size // 64)


def plan(tokens: int, size: int | None, policy: Policy, causal: bool) -> list[Window]:
    """Return the windows of a sequence.

    Args:
        tokens: Number of tokens of the sequence, without special tokens.
        size: Most tokens in a window, without special tokens; None for no limit.
        policy: ``"overlap"`` or ``"abut"``.
        causal: Whether the model sees the left side only.

    Returns:
        Windows in order, whose kept parts partition the sequence.
    """
    if size is None or tokens <= size:
        return [Window(0, tokens, 0, tokens)]
    if policy == "abut":
        return [Window(a, min(a + size, tokens), a, min(a + size, tokens)) for a in range(0, tokens, size)]
    shared = overlap_of(size, causal)
    starts = [*range(0, tokens - size, size - shared), tokens - size]
    if causal:  # a token's context on the left is longest in the first window that holds it
        cuts = [0, *(start + size for start in starts)]
    else:  # half-way through what two windows share
        cuts = [0, *((after + before + size) // 2 for before, after in pairwise(starts)), tokens]
    return [
        Window(start, start + size, cuts[i], cuts[i + 1]) for i, start in enumerate(starts) if cuts[i] < cuts[i + 1]
    ]
