"""Clusters of homologous windows, so that no split holds a relative of another split's window.

    groups, facts = cluster(windows, genome, identity=0.8, coverage=0.5)

Two windows are taken for homologous if an alignment with at least `identity` would cover `coverage` of the shorter one.
MMseqs2 finds such pairs where it is installed. Otherwise windows are described by minimizers (the smallest hash among
neighbouring canonical k-mers, so that both strands count as one), and a pair is joined if it shares as many of them as
such an alignment leaves whole on average: a share of coverage · identity^k. Clusters are the connected components, so a
chain of relatives stays together. Windows that share a base are joined too.

Minimizers found in very many windows (young repeats, low complexity) join nothing. The recall and precision of this
against exact alignment are measured by ``tests/benchmarks/homology.py``; see docs/build.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.build import programs
from bend_hf.console import log, progress
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.text import counted

if TYPE_CHECKING:
    from bend_hf.build.splits import Windows

K, SPAN = 13, 5
MOST_WINDOWS = 200
_CHUNK = 1 << 23
_CODES = np.full(256, 4, np.uint8)
_CODES[np.frombuffer(b"ACGT", np.uint8)] = [0, 1, 2, 3]


def cluster(
    windows: Windows, genome: Genome, *, identity: float, coverage: float, tool: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Group windows that are homologous or share a base.

    Args:
        windows: The windows.
        genome: The genome.
        identity: Least identity, between 0.5 and 1.
        coverage: Least covered share of the shorter window.
        tool: ``auto``, ``own`` or ``mmseqs``.

    Returns:
        (n,) group of each window from 0, and what was used (tool, version, settings), for the record.

    Raises:
        BendError: The numbers are out of range, or MMseqs2 is asked for and absent, or fails.
    """
    if not (0.5 <= identity <= 1 and 0 < coverage <= 1):
        raise BendError(f"identity {identity} and coverage {coverage}: give 0.5 to 1 and above 0 to 1.")
    facts: dict[str, Any] = {"identity": identity, "coverage": coverage}
    if tool == "mmseqs" or (tool == "auto" and programs.mmseqs()):
        first, second, version = programs.search(windows, genome, identity=identity, coverage=coverage)
        facts |= {"tool": "mmseqs", "version": version}
    else:
        first, second = by_minimizers(windows, genome, identity=identity, coverage=coverage)
        facts |= {"tool": "own", "k": K, "span": SPAN, "most_windows": MOST_WINDOWS}
    near = _neighbours(windows)
    groups = components(len(windows.code), np.concatenate([first, near[0]]), np.concatenate([second, near[1]]))
    sizes = np.bincount(groups)
    facts |= {"pairs": len(first), "clusters": len(sizes), "largest_cluster": int(sizes.max())}
    log.info(
        "%s of %s; the largest holds %s.",
        counted(len(sizes), "cluster"),
        counted(len(groups), "window"),
        f"{sizes.max():,}",
    )
    return groups, facts


def components(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the connected component of each of `count` nodes, numbered by first appearance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    groups: np.ndarray = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups


def _neighbours(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs that join all windows which share bases: each window and one before it that reaches into it."""
    order = np.lexsort((windows.end, windows.start, windows.code))
    key_end = (windows.code << 40 | windows.end)[order]
    key_start = (windows.code << 40 | windows.start)[order]
    reach = np.maximum.accumulate(key_end)
    holder = np.maximum.accumulate(np.where(key_end == reach, np.arange(len(order)), 0))
    touching = np.flatnonzero(reach[:-1] > key_start[1:])
    return order[holder[touching]], order[touching + 1]


def kmers(letters: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the canonical k-mer that starts at each base, as a number, and whether it is without N: (L − k + 1,) each.

    A k-mer and its reverse complement have one number, the smaller of their two.
    """
    codes = _CODES[letters]
    count = len(codes) - k + 1
    forward, reverse = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    wide = codes.astype(np.uint64)
    for shift in range(k):
        part = wide[shift : shift + count]
        forward = forward << np.uint64(2) | part & np.uint64(3)
        reverse |= (np.uint64(3) - (part & np.uint64(3))) << np.uint64(2 * shift)
    unknown = np.concatenate([[0], np.cumsum(codes == 4)])
    return np.minimum(forward, reverse), unknown[k:] == unknown[:-k]


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Return a hash of k-mers' numbers, below 4^`K`, that is one to one, so that order is no order.

    It multiplies by an odd number, which moves bits up, and folds, which moves them down, twice.
    """
    mask, half = np.uint64(4**K - 1), np.uint64(K)
    for odd in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F):
        numbers = numbers * np.uint64(odd) & mask
        numbers = numbers ^ numbers >> half
    return numbers


def _minimizers(letters: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of the distinct minimizers of windows that lie back to back, and the window of each."""
    numbers, whole = kmers(letters, K)
    none = np.uint64(4**K)
    hashes = mixed(numbers)
    hashes[~whole] = none
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[: max(0, len(hashes) - SPAN + 1)]
    ends = offsets[owner + 1]
    # The smallest of each run of `SPAN` k-mers of one window: beyond the window's end there is none.
    smallest = np.full(len(owner), none)
    place = np.arange(len(owner))
    for shift in range(SPAN):
        np.minimum(smallest, hashes[shift : shift + len(owner)], out=smallest)
    good = (smallest != none) & (place + K + SPAN - 1 <= ends)
    keys = owner[good] << 2 * K | smallest[good].astype(np.int64)
    keys = np.sort(keys[np.diff(keys, prepend=-1) != 0])  # runs next to each other share theirs
    keys = keys[np.diff(keys, prepend=-1) != 0]
    return keys & 4**K - 1, keys >> 2 * K


def by_minimizers(
    windows: Windows, genome: Genome, *, identity: float, coverage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of windows that share enough minimizers: the first and the second window of each."""
    found = []
    lengths = windows.end - windows.start
    held = np.zeros(len(lengths), np.int64)
    cuts = np.flatnonzero(np.diff(np.cumsum(lengths) // _CHUNK, prepend=-1))
    for a, b in progress(
        list(zip(cuts, [*cuts[1:], len(lengths)], strict=True)), name="bend_hf.build", desc="homology", unit="chunk"
    ):
        hashes, owner = _minimizers(*genome.gather(windows.code[a:b], windows.start[a:b], windows.end[a:b]))
        held[a:b] = np.bincount(owner, minlength=b - a)
        found.append(hashes << 32 | owner + a)
    keys = np.concatenate(found)
    found.clear()
    keys.sort()
    edges = np.flatnonzero(np.diff(keys >> 32, prepend=-1, append=-1))
    sizes = np.diff(edges)
    # Hashes of one window join nothing, those of very many are repeats.
    kept = (sizes > 1) & (sizes <= MOST_WINDOWS)
    owners = (keys[np.repeat(kept, sizes)] & 0xFFFFFFFF).astype(np.int32)
    del keys
    return _shared(owners, sizes[kept], held, coverage * identity**K)


def _shared(owners: np.ndarray, sizes: np.ndarray, held: np.ndarray, needed: float) -> tuple[np.ndarray, np.ndarray]:
    """Count shared minimizers by pair, and keep the pairs that share at least `needed` of the smaller set (and two).

    Args:
        owners: The windows that hold the first minimizer, then those of the second, and so on.
        sizes: How many windows hold each.
        held: (n,) minimizers of each window.
        needed: Share of the smaller set.
    """
    from scipy.sparse import csc_array

    count = len(held)
    counts = np.ones(len(owners), np.int16 if held.max() < 1 << 15 else np.int32)
    columns = csc_array((counts, owners, np.concatenate([[0], np.cumsum(sizes)])), shape=(count, len(sizes)))
    matrix, transposed = columns.tocsr(), columns.T
    first, second = [], []
    for a in range(0, count, 1024):  # the products of all rows at once would not fit in memory
        shared = (matrix[a : a + 1024] @ transposed).tocoo()
        one, other = shared.row.astype(np.int64) + a, shared.col.astype(np.int64)
        enough = (other > one) & (shared.data >= np.maximum(2, needed * np.minimum(held[one], held[other])))
        first.append(one[enough])
        second.append(other[enough])
    return np.concatenate(first), np.concatenate(second)
