"""Windows of the genome that are like given ones in GC and repeats, to be negatives beside them or controls for them.

    code, start = matched_windows(windows, 10_000, genome, seed=0, counts=counts)
    row, code, start = counterparts(windows, genome, seed=0, counts=counts)

Strata are steps of 0.04 in the share of G and C and of 0.2 in that of soft-masked bases. Windows with N are not drawn,
nor those that share a base with the given ones or each other. The genome is cut into windows from a random offset; they
are tried in random order until every stratum is full.
"""

from __future__ import annotations

import numpy as np

from bend_hf.build.counts import Counts
from bend_hf.build.splits import Windows, union
from bend_hf.data.genome import Genome

_GC = np.zeros(256, np.int64)
_GC[[ord("G"), ord("C")]] = 1
_AT_ONCE = 1 << 14
_BASES = 1 << 23  # that are counted at once: eight bytes of memory for each


def composition(windows: Windows, genome: Genome) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the share of G and C, of soft-masked bases and of N in each window: (n,) float64 each."""
    gc, masked, unknown = [], [], []
    total = np.cumsum(windows.end - windows.start)
    cuts = np.flatnonzero(np.diff(total // _BASES, prepend=-1))
    for a, b in zip(cuts.tolist(), [*cuts[1:].tolist(), len(total)], strict=True):
        part = windows.part(slice(a, b))
        code, start, end = part.code, part.start, part.end
        letters, offsets = genome.gather(code, start, end)
        lengths = end - start
        gc.append(np.add.reduceat(_GC[letters], offsets[:-1]) / lengths)
        unknown.append(np.add.reduceat((letters == ord("N")).astype(np.int64), offsets[:-1]) / lengths)
        masked.append(genome.masked(code, start, end) / lengths)
    return np.concatenate(gc), np.concatenate(masked), np.concatenate(unknown)


def matched_windows(
    windows: Windows, wanted: int, genome: Genome, *, seed: int, counts: Counts
) -> tuple[np.ndarray, np.ndarray]:
    """Draw windows that are like the given ones in GC and repeats.

    Args:
        windows: The windows to be like, all of one width.
        wanted: How many to draw.
        genome: The genome.
        seed: Of the draw.
        counts: Where it is counted how many could not be found.

    Returns:
        Chromosome codes and starts, sorted.
    """
    random = np.random.default_rng(seed)
    width = int(windows.end[0] - windows.start[0])
    gc, masked, _ = composition(windows, genome)
    kinds, sizes = np.unique(_strata(gc, masked), return_counts=True)
    share = sizes / sizes.sum() * wanted
    room = np.floor(share).astype(np.int64)
    room[np.argsort(room - share, kind="stable")[: wanted - room.sum()]] += 1
    code, start, chosen = _drawn(windows, width, kinds, room, genome, random)
    rows = np.sort(np.concatenate(chosen))
    counts.add("matched window without a peak that the genome does not have", wanted - len(rows))
    order = np.lexsort((start[rows], code[rows]))
    return code[rows][order], start[rows][order]


def counterparts(
    windows: Windows, genome: Genome, *, seed: int, counts: Counts
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one window for each of the given ones, of its stratum; of windows of several widths, by the widest.

    Args:
        windows: The windows to be like.
        genome: The genome.
        seed: Of the draw.
        counts: Where it is counted how many could not be found.

    Returns:
        Rows of the windows that have a counterpart, ascending, its chromosome codes, and its starts.
    """
    random = np.random.default_rng(seed)
    gc, masked, _ = composition(windows, genome)
    kinds, kind, sizes = np.unique(_strata(gc, masked), return_inverse=True, return_counts=True)
    width = int((windows.end - windows.start).max())
    code, start, chosen = _drawn(windows, width, kinds, sizes, genome, random)
    order = np.argsort(kind, kind="stable")
    members = np.split(order, np.cumsum(sizes)[:-1])
    row = np.concatenate([one[: len(drawn)] for one, drawn in zip(members, chosen, strict=True)])
    counts.add("window without a counterpart in the genome", len(kind) - len(row))
    drawn = np.concatenate(chosen)
    order = np.argsort(row)
    return row[order], code[drawn][order], start[drawn][order]


def _drawn(
    windows: Windows, width: int, kinds: np.ndarray, wanted: np.ndarray, genome: Genome, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return windows of the genome in random order, codes and starts, and those of them that are drawn by stratum."""
    code, start = _grid(genome, width, random)
    order = random.permutation(len(code))
    code, start = code[order], start[order]
    low, high = union(windows)
    key = code << 40 | start
    free = np.searchsorted(high, key, side="right") >= np.searchsorted(low, key + width)
    code, start = code[free], start[free]
    room = wanted.copy()
    chosen: list[list[np.ndarray]] = [[] for _ in kinds]
    for begin in range(0, len(code), _AT_ONCE):
        if not room.any():
            break
        part = Windows(code, start, start + width).part(slice(begin, begin + _AT_ONCE))
        gc, masked, unknown = composition(part, genome)
        strata = _strata(gc, masked)
        strata[unknown > 0] = -1
        for kind in np.flatnonzero(room):
            rows = np.flatnonzero(strata == kinds[kind])[: room[kind]]
            room[kind] -= len(rows)
            chosen[kind].append(rows + begin)
    return code, start, [np.concatenate([*each, np.empty(0, np.int64)]) for each in chosen]


def _strata(gc: np.ndarray, masked: np.ndarray) -> np.ndarray:
    return (gc / 0.04).astype(np.int64) * 6 + (masked / 0.2).astype(np.int64)


def _grid(genome: Genome, width: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    codes, starts = [], []
    for code, length in enumerate(genome.lengths.values()):
        first = np.arange(int(random.integers(0, width)), length - width + 1, width, dtype=np.int64)
        codes.append(np.full(len(first), code, np.int64))
        starts.append(first)
    return np.concatenate(codes), np.concatenate(starts)
