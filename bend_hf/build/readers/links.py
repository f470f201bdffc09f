"""Links between enhancers and genes, and where genes start.

    for link in read_links(path, min_score=0.027): …      # chromosome start end gene, as the file writes them
    starts = read_starts("tss.tsv")                       # or a GTF / GFF3

Formats are told by their headers: CRISPRi tables (``chrom chromStart chromEnd measuredGeneSymbol Regulated``),
predictions of the Activity-by-Contact model (``chr start end TargetGene ABC.Score isSelfPromoter``), tables with
``chromosome start end gene`` (and ``score``), and BEDPE, whose second end is the gene's start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bend_hf.build.counts import Counts
from bend_hf.build.readers.annotation import read_annotation
from bend_hf.build.readers.text import Lines, read_bytes, read_table
from bend_hf.errors import BendError
from bend_hf.files import no_file

_CRISPRI = ["chrom", "chromStart", "chromEnd", "measuredGeneSymbol", "Regulated"]
_ABC = ["chr", "start", "end", "TargetGene"]
_PLAIN = ["chromosome", "start", "end", "gene"]
_TRUE, _FALSE = ("True", "TRUE", "true", "1"), ("False", "FALSE", "false", "0")


@dataclass(frozen=True)
class Links:
    """Elements that a file links to genes.

    Attributes:
        path: The file.
        table: Columns ``chromosome start end gene``; of BEDPE ``second_chromosome second_start second_end`` instead of
            the gene, which is the one that starts there. Starts are 0-based, ends exclusive.
    """

    path: Path
    table: pa.Table

    @property
    def by_gene(self) -> bool:
        """Whether genes are named, not placed."""
        return "gene" in self.table.column_names


def _header(path: Path) -> list[str]:
    if (problem := no_file(path)) is not None:
        raise BendError(f"{path}: {problem}.")
    first = next(read_bytes(path), b"").split(b"\n", 1)[0]
    return first.decode(errors="replace").lstrip("#").rstrip("\r").split("\t")


def read_links(path: Path, min_score: float, counts: Counts) -> Links:
    """Read the links of one file.

    Args:
        path: The file.
        min_score: Least score of a predicted link, where the file has scores.
        counts: Where links are counted that are left out: not regulated, promoters, below the score.

    Raises:
        BendError: The format is unknown, or a row is malformed.
    """
    header = _header(path)
    if set(_CRISPRI) <= set(header):
        lines, table = read_table(path, _CRISPRI, "a CRISPRi table")
        kept = _flags(lines, table, "Regulated")
        counts.add("link: tested, not regulated", int((~kept).sum()))
        return _links(lines, table, _CRISPRI[:4], kept)
    if set(_ABC) <= set(header):
        lines, table = read_table(path, _ABC, "ABC predictions", optional=["ABC.Score", "isSelfPromoter"])
        promoter = np.zeros(len(table), bool)
        if "isSelfPromoter" in table.column_names:
            promoter = _flags(lines, table, "isSelfPromoter")
        counts.add("link: the gene's own promoter", int(promoter.sum()))
        weak = _weak(lines, table, "ABC.Score", min_score) & ~promoter
        counts.add(f"link: score below {min_score}", int(weak.sum()))
        return _links(lines, table, _ABC, ~promoter & ~weak)
    if set(_PLAIN) <= set(header):
        lines, table = read_table(path, _PLAIN, "links", optional=["score"])
        weak = _weak(lines, table, "score", min_score)
        counts.add(f"link: score below {min_score}", int(weak.sum()))
        return _links(lines, table, _PLAIN, ~weak)
    if _is_bedpe(path):
        return _bedpe(path)
    raise BendError(
        f"{path} is no table of links: its first line is {' '.join(header)[:120]!r}. Known are CRISPRi tables "
        f"({' '.join(_CRISPRI)}), ABC predictions ({' '.join(_ABC)}), {' '.join(_PLAIN)}, and BEDPE."
    )


def _flags(lines: Lines, table: pa.Table, column: str) -> np.ndarray:
    values = table[column].to_numpy(zero_copy_only=False)
    if (bad := np.flatnonzero(~np.isin(values, [*_TRUE, *_FALSE]))).size:
        lines.fail(table, bad[0], column, "is neither True nor False.")
    return np.isin(values, _TRUE)


def _weak(lines: Lines, table: pa.Table, column: str, min_score: float) -> np.ndarray:
    if column not in table.column_names:
        return np.zeros(len(table), bool)
    return ~(lines.numbers(table, column) >= min_score)


def _links(lines: Lines, table: pa.Table, names: Sequence[str], kept: np.ndarray) -> Links:
    chromosome, start, end, gene = names
    begin, stop = lines.integers(table, start), lines.integers(table, end)
    if (bad := np.flatnonzero((stop <= begin) | (begin < 0))).size:
        lines.fail(table, bad[0], end, f"is no end of an interval that starts at {begin[bad[0]]} (0-based half-open).")
    found = pa.table({"chromosome": table[chromosome], "start": begin, "end": stop, "gene": table[gene]})
    return Links(lines.path, found.filter(pa.array(kept)))


def _is_bedpe(path: Path) -> bool:
    block = next(read_bytes(path), b"").decode(errors="replace")
    first = next((line for line in block.splitlines() if line.strip() and not line.startswith("#")), "").split("\t")
    return len(first) >= 6 and first[1].isdigit() and first[4].isdigit()


def _bedpe(path: Path) -> Links:
    names = ("chromosome", "start", "end", "second_chromosome", "second_start", "second_end")
    lines = Lines(path, names, "BEDPE")
    table = pa.concat_tables(list(lines))
    lines.before = 0
    start, end, other, stop = (lines.integers(table, name) for name in ("start", "end", "second_start", "second_end"))
    for column, bad in (("end", end <= start), ("second_end", stop <= other)):
        if bad.any():
            lines.fail(table, np.flatnonzero(bad)[0], column, "is not behind its start.")
    for name, values in (("start", start), ("end", end), ("second_start", other), ("second_end", stop)):
        table = table.set_column(names.index(name), name, pa.array(values))
    return Links(path, table)


@dataclass(frozen=True)
class Starts:
    """Where genes start.

    Attributes:
        path: The file.
        gene: Names.
        chromosome: Chromosomes, as the file writes them.
        position: (n,) 0-based transcription start sites.
    """

    path: Path
    gene: list[str]
    chromosome: list[str]
    position: np.ndarray


def read_starts(path: Path) -> Starts:
    """Read transcription start sites from a table (``chromosome tss gene``), or from a GTF or GFF3.

    Of an annotation, a gene starts where its canonical transcript does (MANE Select, else the annotation's canonical
    one, else the longest); its name is the gene's name, or its id where it has none.

    Raises:
        BendError: The file is neither, or a gene is listed twice.
    """
    if {"tss", "gene", "chromosome"} <= set(_header(path)):
        lines, table = read_table(path, ["chromosome", "tss", "gene"], "start sites")
        genes = table["gene"].to_pylist()
        seen: set[str] = set()
        for row, gene in enumerate(genes):
            if not gene:
                lines.fail(table, row, "gene", "is no name of a gene.")
            if gene in seen:
                lines.fail(table, row, "gene", "is listed twice: give one start site per gene.")
            seen.add(gene)
        return Starts(path, genes, table["chromosome"].to_pylist(), lines.integers(table, "tss"))
    read = read_annotation(path)
    exons = read.exons if len(read.exons.start) else read.cds
    count = len(read.transcripts)
    low, high = np.full(count, 1 << 60), np.full(count, -1)
    chromosome, minus = np.zeros(count, np.int64), np.zeros(count, bool)
    for parts in (read.cds, exons):
        np.minimum.at(low, parts.transcript, parts.start)
        np.maximum.at(high, parts.transcript, parts.end)
        chromosome[parts.transcript], minus[parts.transcript] = parts.chromosome, parts.minus
    flags = [read.flag(name) for name in ("mane", "canonical")]
    rank = np.where(flags[0], 0, np.where(flags[1], 1, 2))
    names = read.transcripts["gene_name"].to_pylist()
    genes = [name or gene for name, gene in zip(names, read.transcripts["gene_id"].to_pylist(), strict=True)]
    order = np.lexsort((low, low - high, rank))
    first: dict[str, int] = {}
    for row in order.tolist():
        if high[row] > 0:
            first.setdefault(genes[row], row)
    rows = np.array(sorted(first.values()), np.int64)
    position = np.where(minus[rows], high[rows] - 1, low[rows])
    return Starts(path, [genes[row] for row in rows], [read.chromosomes[c] for c in chromosome[rows]], position)
