"""How many homologous pairs of windows the own searches find, against exact alignment of all pairs on a real slice.

    python tests/benchmarks/homology.py ../shared/real          # needs pip install parasail

The slice is cut into windows of 512 bp; a random sample of them is aligned all against all, on both strands, with the
same scores as the audit's (Smith–Waterman; match 1, mismatch −1, gap −2). A pair is homologous if its best alignment
has at least the identity over at least the coverage of a window. Recall: homologous pairs that the search joins.
Precision: joined pairs that are homologous.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import parasail

from bend_hf.build.homology import by_minimizers
from bend_hf.build.near import near_duplicates
from bend_hf.build.splits import Windows
from bend_hf.data.genome import Genome, reverse_complement

WIDTH, SAMPLE, COVERAGE = 512, 700, 0.5
IDENTITIES = (0.75, 0.8, 0.85, 0.9)


def exact(texts: list[str]) -> dict[tuple[int, int], float]:
    """Return pair → identity of its best alignment, for pairs whose best alignment covers enough."""
    matrix = parasail.matrix_create("ACGT", 1, -1)
    found: dict[tuple[int, int], float] = {}
    for one in range(len(texts)):
        for strand in (texts[one], reverse_complement(texts[one])):
            profile = parasail.profile_create_16(strand, matrix)
            for other in range(one + 1, len(texts)):
                # A linear gap of −2: opening costs as much as extending.
                if parasail.sw_striped_profile_16(profile, texts[other], 2, 2).score < COVERAGE * WIDTH * 0.3:
                    continue
                result = parasail.sw_stats_striped_16(strand, texts[other], 2, 2, matrix)
                if result.length >= COVERAGE * WIDTH:
                    identity = result.matches / result.length
                    found[one, other] = max(found.get((one, other), 0), identity)
    return found


def main(folder: Path) -> None:
    genome = Genome(folder / "genomes" / "GRCh38.slice.fa")
    length = next(iter(genome.lengths.values()))
    start = np.sort(np.random.default_rng(0).permutation(length // WIDTH)[:SAMPLE]) * WIDTH
    windows = Windows(np.zeros(SAMPLE, np.int64), start, start + WIDTH)
    texts = [genome.window(genome.names[0], int(at), int(at) + WIDTH) for at in start]
    truth = exact(texts)
    print(f"{SAMPLE} windows of {WIDTH} bp, {SAMPLE * (SAMPLE - 1) // 2:,} pairs, coverage {COVERAGE}\n")
    print(
        "| search | identity | homologous | found | recall | joined | precision |\n|---|---:|---:|---:|---:|---:|---:|"
    )
    for identity in IDENTITIES:
        wanted = {pair for pair, value in truth.items() if value >= identity}
        first, second = by_minimizers(windows, genome, identity=identity, coverage=COVERAGE)
        report("split (minimizers)", identity, wanted, set(zip(first.tolist(), second.tolist(), strict=True)))
    group = np.arange(SAMPLE)
    found = near_duplicates(windows, windows, genome, group, group)
    for identity in IDENTITIES:
        # The audit asks for windows with a relative, not for pairs.
        wanted_windows = {row for pair, value in truth.items() if value >= identity for row in pair}
        near = np.flatnonzero((found.covered >= COVERAGE) & (found.identity >= identity))
        report("audit (windows)", identity, wanted_windows, set(near.tolist()))


def report(name: str, identity: float, wanted: set, joined: set) -> None:
    both = len(wanted & joined)
    recall = f"{both / len(wanted):.2f}" if wanted else "–"
    precision = f"{both / len(joined):.2f}" if joined else "–"
    print(f"| {name} | {identity} | {len(wanted):,} | {both:,} | {recall} | {len(joined):,} | {precision} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
