"""Intervals and values along the genome: BED, narrowPeak, broadPeak, bedMethyl, bedGraph, bigWig.

    located = Located(genome, aliases=None, skip_absent=False, counts=counts)
    peaks = read_peaks(path, located)              # code, start, end: (n,) arrays
    for code, position, value, coverage in read_methylation(path, located): …

All are 0-based half-open. Rows are checked against the genome: its chromosomes and their ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bend_hf.build.counts import Counts
from bend_hf.build.located import locate_chromosomes
from bend_hf.build.readers.text import Lines
from bend_hf.data.bigwig import open_bigwig, reading
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.text import counted

BED = ("chromosome", "start", "end")
NARROW_PEAK = (*BED, "name", "score", "strand", "signal", "p", "q", "summit")
BED_METHYL = (*BED, "name", "score", "strand", "thick_start", "thick_end", "colour", "coverage", "percent")
BEDGRAPH = (*BED, "value")
_BATCH = 1 << 20
Levels = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]
"""Chromosome codes, positions, methylated reads, and reads where the format has them."""


@dataclass(frozen=True)
class Located:
    """Finds the chromosomes of a file's rows in the genome.

    Attributes:
        genome: The genome.
        aliases: An assembly report, or a table of chromosome names; or None.
        skip_absent: Leave out, and count, rows on chromosomes that the genome lacks, instead of an error.
        counts: Where they are counted.
    """

    genome: Genome
    aliases: Path | None
    skip_absent: bool
    counts: Counts

    def codes(self, lines: Lines, table: pa.Table) -> np.ndarray:
        """Return the chromosome of each row as `Genome.code` gives it, −1 where the genome lacks it: (n,) int64."""
        encoded = table["chromosome"].combine_chunks().dictionary_encode()
        names = encoded.dictionary.to_pylist()
        codes: np.ndarray = np.array([self._code(lines, name) for name in names], np.int64)[encoded.indices.to_numpy()]
        self.counts.add("row on a chromosome that the genome lacks", int((codes < 0).sum()))
        return codes

    def _code(self, lines: Lines, name: str) -> int:
        try:
            return int(locate_chromosomes(lines.path, [name], self.genome, aliases=self.aliases)[0])
        except BendError:
            if self.skip_absent:
                return -1
            raise

    def check(
        self,
        lines: Lines,
        table: pa.Table,
        codes: np.ndarray,
        start: np.ndarray,
        end: np.ndarray,
        columns: tuple[str, str] = ("start", "end"),
    ) -> None:
        """Refuse rows that are empty or leave their chromosome.

        Args:
            lines: The file.
            table: Its block of rows.
            codes: (n,) chromosomes, −1 for those that the genome lacks.
            start: (n,) first bases, 0-based.
            end: (n,) ends, exclusive.
            columns: The columns that start and end come from, for the message.

        Raises:
            BendError: The first such row.
        """
        lengths = np.array([*self.genome.lengths.values(), 1 << 60])[codes]
        for mask, column, problem in (
            (start < 0, columns[0], "is before the chromosome's first base."),
            (end <= start, columns[1], "is not behind start (BED is 0-based half-open)."),
            (end > lengths, columns[1], "lies beyond the chromosome's end"),
        ):
            if (rows := np.flatnonzero(mask)).size:
                row = int(rows[0])
                if end[row] > lengths[row]:
                    name = self.genome.names[codes[row]]
                    problem += (
                        f": {name} has {lengths[row]:,} bp in {self.genome.path}, and "
                        f"{counted(len(rows), 'row here ends', 'rows here end')} "
                        "beyond. Is the file of another genome build?"
                    )
                lines.fail(table, row, column, problem)


def read_peaks(
    path: Path, located: Located, summit: bool = False, allow_empty: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the intervals of a BED, narrowPeak or broadPeak file.

    Args:
        path: The file.
        located: The genome.
        summit: Return the summit (of narrowPeak) as an interval of one base instead.
        allow_empty: Take a file without rows for a track without peaks, instead of an error.

    Returns:
        Chromosome codes, starts and ends, (n,) int64 each.

    Raises:
        BendError: A row is malformed or leaves its chromosome, there is no row, or a row has no summit.
    """
    lines = Lines(path, NARROW_PEAK if summit else BED, "narrowPeak" if summit else "BED")
    found = []
    for table in lines:
        start, end = lines.integers(table, "start"), lines.integers(table, "end")
        codes = located.codes(lines, table)
        located.check(lines, table, codes, start, end)
        if summit:
            offset = lines.integers(table, "summit")
            if (bad := np.flatnonzero((offset < 0) | (offset >= end - start))).size:
                lines.fail(table, bad[0], "summit", "is no summit inside the peak (narrowPeak, column 10).")
            start = start + offset
            end = start + 1
        found.append(np.stack([codes, start, end])[:, codes >= 0])
    if not found and not allow_empty:
        raise BendError(
            f"{path} has no rows. It should be BED, narrowPeak or broadPeak; if the track has no peak here, say "
            "allow_empty=True (--allow-empty)."
        )
    found.append(np.empty((3, 0), np.int64))
    codes, start, end = np.concatenate(found, axis=1)
    return codes, start, end


def read_methylation(path: Path, located: Located, percent: bool) -> Iterator[Levels]:
    """Read methylation levels from bedMethyl, bedGraph or bigWig, told by content.

    Args:
        path: The file.
        located: The genome.
        percent: Whether bedGraph and bigWig hold 0 to 100 (bedMethyl always does), not 0 to 1.

    Yields:
        Blocks of chromosome codes, positions of the cytosine's CpG on the forward strand (of its C), methylated reads
        and reads; bedGraph and bigWig have no reads: None is given, and the level as methylated.

    Raises:
        BendError: A row is malformed, is no single CpG, or has a level out of range.
    """
    with path.open("rb") as handle:
        magic = handle.read(4)
    if magic in (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26"):
        yield from _bigwig(path, located, percent)
        return
    width = _columns(path)
    if width >= len(BED_METHYL):
        yield from _bed_methyl(path, located)
    elif width == len(BEDGRAPH):
        yield from _bedgraph(Lines(path, BEDGRAPH, "bedGraph", more=False), located, percent)
    else:
        raise BendError(
            f"{path}: {width} columns are neither bedMethyl (11 or more) nor bedGraph (4), nor is it bigWig."
        )


def _columns(path: Path) -> int:
    lines = Lines(path, ("line",), "BED")
    if next(iter(lines), None) is None:
        raise BendError(f"{path} has no rows. It should be bedMethyl, bedGraph or bigWig.")
    return lines.width


def _bed_methyl(path: Path, located: Located) -> Iterator[Levels]:
    lines = Lines(path, BED_METHYL, "bedMethyl")
    for table in lines:
        start, end = lines.integers(table, "start"), lines.integers(table, "end")
        codes = located.codes(lines, table)
        located.check(lines, table, codes, start, end)
        _check_width(lines, table, start, end)
        reads, level = lines.integers(table, "coverage"), lines.numbers(table, "percent")
        _check_level(lines, table, "percent", level, 100, reads == 0)
        if (bad := np.flatnonzero(reads < 0)).size:
            lines.fail(table, bad[0], "coverage", "is negative.")
        strand = table["strand"].to_numpy(zero_copy_only=False)
        # Long-read callers list several modifications of one cytosine; 5mC is "m".
        other = pc.match_substring_regex(table["name"], r"^[ahcefg](,|$)").to_numpy()
        located.counts.add("row of another modification than 5mC", int(other.sum()))
        kept = (codes >= 0) & (reads > 0) & ~other
        position = start - (strand == "-") * (end - start == 1)
        methylated = np.where(reads > 0, np.nan_to_num(level) / 100 * reads, 0)
        yield codes[kept], position[kept], methylated[kept], reads[kept].astype(np.float64)


def _bedgraph(lines: Lines, located: Located, percent: bool) -> Iterator[Levels]:
    highest = 0.0
    for table in lines:
        start, end = lines.integers(table, "start"), lines.integers(table, "end")
        codes = located.codes(lines, table)
        located.check(lines, table, codes, start, end)
        _check_width(lines, table, start, end)
        level = lines.numbers(table, "value")
        _check_level(lines, table, "value", level, 100 if percent else 1, np.zeros(len(level), bool))
        highest = max(highest, float(level.max()))
        kept = codes >= 0
        yield codes[kept], start[kept], level[kept] / (100 if percent else 1), None
    if percent and 0 < highest <= 1:
        raise BendError(
            f"{lines.path}: no level is above {highest:g}, so these are shares, not percent. Say percent=False "
            "(--scale fraction)."
        )


def _check_width(lines: Lines, table: pa.Table, start: np.ndarray, end: np.ndarray) -> None:
    if (bad := np.flatnonzero(end - start > 2)).size:
        lines.fail(table, bad[0], "end", "makes the interval wider than one CpG (1 or 2 bp).")


def _check_level(lines: Lines, table: pa.Table, column: str, level: np.ndarray, most: int, unread: np.ndarray) -> None:
    bad = np.flatnonzero(~((level >= 0) & (level <= most)) & ~unread)
    if bad.size:
        lines.fail(table, bad[0], column, f"is no level from 0 to {most} (percent= / --scale says which).")


def _bigwig(path: Path, located: Located, percent: bool) -> Iterator[Levels]:
    def text() -> Iterator[bytes]:
        with reading(f"{path} is a damaged bigWig file"):
            opened = open_bigwig(path)
            said, read = opened.info()["summary"]["basesCovered"], 0
            for name in opened.chroms():
                block = []
                for start, end, value in opened.records(name):
                    read += end - start
                    block.append(f"{name}\t{start}\t{end}\t{value:.9g}\n")
                    if len(block) == _BATCH:
                        yield "".join(block).encode()
                        block = []
                yield "".join(block).encode()
            if read != said:  # a damaged index leaves out blocks
                raise ValueError(f"it should cover {said:,} bases, and {read:,} can be read")

    yield from _bedgraph(Lines(path, BEDGRAPH, "bigWig", more=False, source=text()), located, percent)
