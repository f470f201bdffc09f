"""How many relatives that were planted among strangers the split by homology finds, and how many strangers it joins.

    python tests/benchmarks/families.py --windows 20000 --width 10000

Windows lie side by side in a genome of repeats (`build.repeats`). One in twenty is the root of a family of four: its
three relatives hold a copy of a piece of it, of a known share of the window, at any place in them and on either strand,
with substitutions and, one change in ten, insertions and deletions of one base. What is true is counted base by base
from how the copies were made: of two members, the columns of the piece of the root that both have (coverage: columns /
width) and the columns with equal bases (identity). Relatives are pairs that have the asked identity and coverage.
Strangers share nothing but repeats, which nowhere reach half of a window in one piece.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from build import BASES, repeats

from bend_hf.build.homology import by_minimizers, components
from bend_hf.build.splits import Windows
from bend_hf.data.genome import Genome

IDENTITY, COVERAGE = 0.8, 0.5
IDENTITIES = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
COVERAGES = (0.3, 0.5, 0.7, 1.0)
MEMBERS = 4
FAMILIES = 20  # one window in so many is a root
COMPLEMENT = np.frombuffer(bytes.maketrans(b"ACGT", b"TGCA"), np.uint8)


@dataclass(frozen=True)
class Copy:
    """A copy of a piece of a root: (width,) arrays by base of the root.

    Attributes:
        letter: What the copy has of each base; 0 where it has none (outside the piece, or deleted).
        inserted: Bases inserted before each.
        first: First base of the piece.
        last: Behind its last base.
    """

    letter: np.ndarray
    inserted: np.ndarray
    first: int
    last: int

    def text(self) -> np.ndarray:
        """Return the copy's own letters; an inserted base is an A."""
        counts = self.inserted + (self.letter > 0)
        text = np.full(int(counts.sum()), ord("A"), np.uint8)
        text[(np.cumsum(counts) - 1)[self.letter > 0]] = self.letter[self.letter > 0]
        return text


def copied(root: np.ndarray, identity: float, coverage: float, random: np.random.Generator) -> Copy:
    """Copy a piece of a root with an expected identity."""
    width = len(root)
    size = round(coverage * width)
    first = int(random.integers(0, width - size + 1))
    letter, inserted = np.zeros(width, np.uint8), np.zeros(width, np.int64)
    piece = root[first : first + size].copy()
    changed = random.random(size) < 1 - identity
    kind = random.random(size)
    other = BASES[(np.searchsorted(BASES, piece) + random.integers(1, 4, size)) % 4]
    piece = np.where(changed & (kind >= 0.1), other, piece)
    piece[changed & (kind < 0.05)] = 0
    inserted[first : first + size] = changed & (kind >= 0.05) & (kind < 0.1)
    letter[first : first + size] = piece
    return Copy(letter, inserted, first, first + size)


def truth(one: Copy, other: Copy) -> tuple[float, float]:
    """Return identity and coverage of two copies of one root."""
    first, last = max(one.first, other.first), min(one.last, other.last)
    if first >= last:
        return 0.0, 0.0
    here = slice(first, last)
    a, b = one.letter[here], other.letter[here]
    columns = int(((a > 0) | (b > 0)).sum() + one.inserted[here].sum() + other.inserted[here].sum())
    return float(((a == b) & (a > 0)).sum() / max(1, columns)), columns / len(one.letter)


def make(path: Path, windows: int, width: int) -> dict[tuple[int, int], tuple[float, float]]:
    """Write a genome of one chromosome, and return identity and coverage of every pair of one family."""
    random = np.random.default_rng(7)
    letters = BASES[random.integers(0, 4, windows * width, np.uint8)]
    repeats(letters, random, BASES[random.integers(0, 4, 300)], BASES[random.integers(0, 4, 6000)])
    rows = letters.reshape(windows, width)
    drawn = random.permutation(windows)[: windows // FAMILIES * MEMBERS].reshape(-1, MEMBERS)
    pairs = {}
    for number, family in enumerate(drawn.tolist()):
        root = rows[family[0]]
        whole = Copy(root.copy(), np.zeros(width, np.int64), 0, width)
        kinds = [divmod(number * (MEMBERS - 1) + each, len(COVERAGES)) for each in range(MEMBERS - 1)]
        copies = [whole, *(copied(root, IDENTITIES[a % len(IDENTITIES)], COVERAGES[b], random) for a, b in kinds)]
        for member, copy in zip(family[1:], copies[1:], strict=True):
            text = copy.text()[:width]
            if random.random() < 0.5:
                text = COMPLEMENT[text[::-1]]
            at = int(random.integers(0, width - len(text) + 1))
            rows[member, at : at + len(text)] = text
        for a in range(MEMBERS):
            for b in range(a + 1, MEMBERS):
                pairs[min(family[a], family[b]), max(family[a], family[b])] = truth(copies[a], copies[b])
    with path.open("wb") as handle:
        handle.write(b">c1\n" + letters.tobytes() + b"\n")
    return pairs


def main(windows: int, width: int, folder: Path) -> None:
    path = folder / "planted.fa"
    pairs = make(path, windows, width)
    genome = Genome(path)
    start = np.arange(windows) * width
    every = Windows(np.zeros(windows, np.int64), start, start + width)
    began = time.perf_counter(), time.process_time()
    first, second = by_minimizers(every, genome, identity=IDENTITY, coverage=COVERAGE)
    took = time.perf_counter() - began[0], time.process_time() - began[1]
    joined = set(zip(first.tolist(), second.tolist(), strict=True))
    groups = components(windows, first, second)
    print(
        f"{windows:,} windows of {width:,} bp, asked for identity {IDENTITY} over {COVERAGE} of the window: "
        f"{took[0]:.0f} s, {took[1]:.0f} s of processor\n"
    )
    print("| planted identity | planted coverage | pairs | joined | share | in one cluster |")
    print("|---|---|---:|---:|---:|---:|")
    edges = (0, 0.7, 0.75, 0.8, 0.85, 0.9, 1.01)
    for wide in (True, False):
        for low, high in pairwise(edges):
            of = [pair for pair, (i, c) in pairs.items() if low <= i < high and c > 0 and (c >= COVERAGE) == wide]
            numbers = sum(pair in joined for pair in of), sum(groups[a] == groups[b] for a, b in of)
            reach = f"{COVERAGE} and more" if wide else f"less than {COVERAGE}"
            band = f"{low} to {min(high, 1)}"
            shares = [f"{number / len(of):.3f}" if of else "–" for number in numbers]
            print(f"| {band} | {reach} | {len(of):,} | {numbers[0]:,} | {' | '.join(shares)} |")
    wanted = {pair for pair, (i, c) in pairs.items() if i >= IDENTITY and c >= COVERAGE}
    family = joined & pairs.keys()
    found, near = wanted & joined, sum(groups[a] == groups[b] for a, b in wanted)
    print(
        f"\nrelatives {len(wanted):,}, joined {len(found):,}: recall {len(found) / len(wanted):.3f}; in one cluster "
        f"{near / len(wanted):.3f}\n"
        f"joined pairs {len(joined):,}: relatives {len(found) / len(joined):.3f}, weaker or shorter copies "
        f"{len(family - wanted) / len(joined):.3f}, strangers {len(joined - pairs.keys()) / len(joined):.3f}\n"
        f"largest cluster: {np.bincount(groups).max():,} windows"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=20_000, metavar="N", help="windows (20000)")
    parser.add_argument("--width", type=int, default=10_000, metavar="BP", help="of a window (10000)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        main(args.windows, args.width, Path(temporary))
