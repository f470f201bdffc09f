"""Near-duplicates between splits, found by spaced seeds and banded alignment: the audit's search.

    found = near_duplicates(queries, targets, genome, query_group, target_group)
    found.identity, found.covered              # of the best alignment of each query, 0 where none was found

It shares nothing with the search that splits (`bend_hf.build.homology`: minimizers, no alignment), so that one does not
repeat the other's blind spots. The queries' spaced seeds on both strands (14 of 20 bases; one in four, by hash) are
kept in a table; the targets' seeds are looked up in it; a pair with two seeds on one diagonal is a candidate, and the
best six of each query are aligned (Smith–Waterman in a band of 33 diagonals; match 1, mismatch −1, gap −2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bend_hf.build.splits import Windows
from bend_hf.console import progress
from bend_hf.data.genome import Genome
from bend_hf.runtime import usable_cores

SEED = "11101001101011101111"  # 14 bases that must agree
MOST = 32  # windows that one seed may name: young repeats would name thousands
CANDIDATES = 6
COVERED = 0.5
BAND = 16
_CHUNK = 1 << 11  # windows: their seeds fit in a processor's cache
_HITS = 1 << 21
_PAIRS = 1 << 10
_WORKERS = min(4, usable_cores())
_CODES = np.full(256, 4, np.uint8)
_CODES[np.frombuffer(b"ACGT", np.uint8)] = [0, 1, 2, 3]
_TURNED = np.array([3, 2, 1, 0, 4], np.uint8)
_MASK = np.uint64(sum(3 << 2 * at for at, kept in enumerate(reversed(SEED)) if kept == "1"))
_SHIFT, _FILTER = np.uint64(30), np.uint64(6)  # a seed's hash has 34 bits, its number 32, the filter's key 26


@dataclass(frozen=True)
class Found:
    """The alignment of each query with a target that it shares no base with: (n,) arrays.

    Of several, that with the highest identity among those that cover at least `COVERED`, else that which covers most.

    Attributes:
        target: Row of the target; −1 where there is no candidate.
        minus: Whether the target was read on the other strand.
        identity: Share of equal bases among the columns of the alignment.
        covered: Columns of the alignment / bases of the window.
    """

    target: np.ndarray
    minus: np.ndarray
    identity: np.ndarray
    covered: np.ndarray


def near_duplicates(
    queries: Windows, targets: Windows, genome: Genome, query_group: np.ndarray, target_group: np.ndarray
) -> Found:
    """Search windows among those of other groups; all have one width.

    Args:
        queries: Windows to search for (some ten thousand at most: they are held in memory).
        targets: Windows to search in, read once.
        genome: The genome.
        query_group: (n,) group of each query.
        target_group: Group of each target; those of the query's own group are passed over.
    """
    width = int(queries.end[0] - queries.start[0])
    letters = _codes(genome, queries)
    table = _Table(letters)
    best = np.zeros((len(letters), CANDIDATES), np.int64)  # votes << 48 | target row, strand and diagonal
    bits = 2 * width

    def hits(begin: int) -> tuple[np.ndarray, np.ndarray]:
        part = targets.part(slice(begin, begin + _CHUNK))
        query, minus, target, diagonal = table.look_up(_codes(genome, part))
        far = np.abs(queries.start[query] - part.start[target]) >= width
        kept = far | (queries.code[query] != part.code[target])
        kept &= query_group[query] != target_group[begin + target]
        query, minus, target, diagonal = query[kept], minus[kept], target[kept], diagonal[kept]
        # The query was turned, not the target: what is seen from the other end has the diagonal's other sign.
        diagonal = np.where(minus, -diagonal, diagonal)
        return query, ((target + begin) * 2 + minus) * bits + diagonal + width

    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    number = 0
    for found in _in_order(hits, range(0, len(targets.code), _CHUNK)):
        waiting.append(found)
        number += len(found[0])
        if number > _HITS:
            _vote(best, *(np.concatenate(columns) for columns in zip(*waiting, strict=True)))
            waiting, number = [], 0
    if waiting:
        _vote(best, *(np.concatenate(columns) for columns in zip(*waiting, strict=True)))
    row, diagonal = np.divmod(best & (1 << 48) - 1, bits)
    return _aligned(queries, targets, genome, letters, best > 0, row // 2, row % 2 == 1, diagonal - width)


def _in_order(
    work: Callable[[int], tuple[np.ndarray, np.ndarray]], begins: range
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield what `work` makes of each beginning, in order; some are worked on at once (numpy lets threads run)."""
    ahead = 4 * _WORKERS
    with ThreadPoolExecutor(_WORKERS) as pool:
        for first in progress(range(0, len(begins), ahead), name="bend_hf.build", desc="near-duplicates", unit="chunk"):
            yield from pool.map(work, begins[first : first + ahead])


def _codes(genome: Genome, windows: Windows) -> np.ndarray:
    """Return windows of one width as 0 to 3 for A, C, G, T and 4 for N: (n, width) uint8."""
    letters, _ = genome.gather(windows.code, windows.start, windows.end)
    codes: np.ndarray = _CODES[letters]
    return codes.reshape(len(windows.code), -1)


def _seeds(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the seeds that are kept: row, position in it, and number (uint64 below 2³²) of each."""
    span = len(SEED)
    count = codes.shape[1] - span + 1
    # Words of 1, 2, 4 … bases by doubling; the spans' words are put together from those.
    words, size = (codes & 3).astype(np.uint64), 1
    spans, done = np.zeros((len(codes), count), np.uint64), 0
    while size <= span:
        if span & size:
            spans |= words[:, done : done + count] << np.uint64(2 * (span - done - size))
            done += size
        words = words[:, :-size] << np.uint64(2 * size) | words[:, size:]
        size *= 2
    spans &= _MASK
    # Fibonacci hashing: its top bits depend on all bases.
    spans *= np.uint64(0x9E3779B97F4A7C15)
    spans >>= _SHIFT
    kept = spans < np.uint64(1 << 32)  # one in four
    if (codes == 4).any():
        unknown = np.zeros((len(codes), codes.shape[1] + 1), np.int32)
        np.cumsum(codes == 4, axis=1, out=unknown[:, 1:])
        kept &= unknown[:, span:] == unknown[:, :-span]
    at = np.flatnonzero(kept)
    row, position = np.divmod(at, count)
    return row, position, spans.ravel()[at]


class _Table:
    """Seed → the queries, on either strand, and positions that have it."""

    def __init__(self, codes: np.ndarray) -> None:
        row, position, number = _seeds(np.concatenate([codes, _TURNED[codes[:, ::-1]]]))
        # Of a seed in many windows, those that a hash of the seed and the window puts first.
        shuffled = (row.astype(np.uint64) * np.uint64(0x9E3779B1) ^ number * np.uint64(0x85EBCA6B)) & np.uint64(
            0xFFFFFFFF
        )
        order = np.lexsort((shuffled, number))
        row, position, number = row[order], position[order], number[order]
        first = np.searchsorted(number, number)
        held = np.arange(len(number)) - first < MOST
        self._row, self._position, number = row[held], position[held], number[held]
        self._numbers, first = np.unique(number, return_index=True)
        self._begin = np.concatenate([first, [len(number)]])
        self._queries = len(codes)
        self._held = np.zeros(1 << 26, bool)
        self._held[number >> _FILTER] = True

    def look_up(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return, of every shared seed: query, whether it was turned, target, query position − target position."""
        row, position, number = _seeds(codes)
        maybe = np.flatnonzero(self._held[number >> _FILTER])
        row, position, number = row[maybe], position[maybe], number[maybe]
        at = np.searchsorted(self._numbers, number)
        known = np.flatnonzero(np.concatenate([self._numbers, [np.uint64(1 << 63)]])[at] == number)
        row, position, at = row[known], position[known], at[known]
        begin = self._begin[at]
        hits = self._begin[at + 1] - begin
        each = np.repeat(np.arange(len(at)), hits)
        at = np.repeat(begin - np.cumsum(hits) + hits, hits) + np.arange(len(each))
        minus, query = np.divmod(self._row[at], self._queries)
        return query, minus == 1, row[each], self._position[at] - position[each]


def _vote(best: np.ndarray, query: np.ndarray, row: np.ndarray) -> None:
    """Count seeds by query and diagonal of a target, and keep the best candidates of each query."""
    if not len(query):
        return
    most = int(row.max()) + 1
    query, row = np.divmod(np.sort(query * most + row), most)
    # Seeds at most BAND diagonals apart support one candidate: the target's rows are 2 · width numbers apart.
    new = np.concatenate([[True], (query[1:] != query[:-1]) | (row[1:] - row[:-1] > BAND // 2)])
    begin = np.flatnonzero(new)
    votes = np.diff(np.concatenate([begin, [len(query)]]))
    begin, votes = begin[votes >= 2], votes[votes >= 2]
    middle = begin + votes // 2
    query, value = query[begin], votes << 48 | row[middle]
    order = np.lexsort((-value, query))
    query, value = query[order], value[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    few = rank < CANDIDATES
    fresh = np.zeros_like(best)
    fresh[query[few], rank[few]] = value[few]
    both = np.concatenate([best, fresh], 1)
    both.sort(axis=1)
    best[:] = both[:, : -CANDIDATES - 1 : -1]


def _aligned(
    queries: Windows,
    targets: Windows,
    genome: Genome,
    letters: np.ndarray,
    candidate: np.ndarray,
    target: np.ndarray,
    minus: np.ndarray,
    diagonal: np.ndarray,
) -> Found:
    """Align the candidates, and keep one alignment of each query."""
    count, width = letters.shape
    found = Found(np.full(count, -1), np.zeros(count, bool), np.zeros(count), np.zeros(count))
    merit = np.zeros(count)
    rows, ranks = np.nonzero(candidate)
    for begin in range(0, len(rows), _PAIRS):
        row, rank = rows[begin : begin + _PAIRS], ranks[begin : begin + _PAIRS]
        which, turned = target[row, rank], minus[row, rank]
        other, _ = genome.gather(targets.code[which], targets.start[which], targets.end[which], minus=turned)
        matches, columns = align(letters[row], _CODES[other].reshape(len(row), -1), diagonal[row, rank])
        identity, covered = matches / np.maximum(1, columns), columns / width
        value = np.where(covered >= COVERED, 1 + identity, np.minimum(covered, 1) / 2)
        for at in range(CANDIDATES):
            chosen = np.flatnonzero((rank == at) & (value > merit[row]))
            into = row[chosen]
            merit[into] = value[chosen]
            found.target[into], found.minus[into] = which[chosen], turned[chosen]
            found.identity[into], found.covered[into] = identity[chosen], covered[chosen]
    return found


def align(query: np.ndarray, target: np.ndarray, diagonal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return equal bases and columns of the best local alignment of each pair in a band around a diagonal.

    Args:
        query: (n, width) of 0 to 3, and 4 for N, which equals nothing; at most 512 wide.
        target: (n, width).
        diagonal: (n,) query position − target position.

    Returns:
        Equal bases and columns, (n,) int64 each.
    """
    count, width = query.shape
    lanes = 2 * BAND + 1
    # A cell holds score << 21 | equal bases << 11 | columns, and every step adds a constant to it.
    match, mismatch, gap = (np.int32(n) for n in ((1 << 21) + (1 << 11) + 1, -(1 << 21) + 1, -(2 << 21) + 1))
    padded = np.full((count, 3 * width + lanes), 5, np.uint8)
    padded[:, width + BAND : 2 * width + BAND] = target
    # Row t of `nearby` and the next 2 · BAND are the target positions t − diagonal − BAND … t − diagonal + BAND.
    first = np.arange(count) * padded.shape[1] + width - diagonal
    nearby = np.ascontiguousarray(padded.ravel()[first[:, None] + np.arange(width + lanes)].T)
    asked = np.where(query < 4, query, 6).T
    slope = gap * np.arange(lanes, dtype=np.int32)[:, None]
    cells = np.zeros((lanes + 1, count), np.int32)
    best = np.zeros(count, np.int32)
    for at in range(width):
        reached = np.where(nearby[at : at + lanes] == asked[at], match, mismatch)
        reached += cells[:-1]
        np.maximum(reached, cells[1:] + gap, out=reached)
        # Gaps in the query: the best of all lanes to the left, each lane a gap further.
        reached -= slope
        np.maximum.accumulate(reached, axis=0, out=reached)
        reached += slope
        np.maximum(reached, 0, out=cells[:-1])
        np.maximum(best, cells.max(0), out=best)
    return (best >> 11 & 0x3FF).astype(np.int64), (best & 0x7FF).astype(np.int64)
