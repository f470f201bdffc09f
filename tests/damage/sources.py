"""Sources of builders as `damage.fuzz` changes them, and what independent readers make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from damage import mutations, source_readers
from damage.subjects import Subject

from bend_hf.build.counts import Counts
from bend_hf.build.methylation import called
from bend_hf.build.readers.intervals import Located, read_peaks
from bend_hf.build.readers.links import read_links
from bend_hf.data.genome import Genome

LEAST, THRESHOLD, SCORE = 5, 0.5, 0.2


def make_genome(folder: Path) -> tuple[Path, dict[str, str]]:
    """Write a genome of two chromosomes."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = Random(5)
    letters = {name: "".join(draw.choices("ACGT", k=length)) for name, length in (("chr1", 1500), ("chr2", 700))}
    path = folder / "genome.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in letters.items()))
    return path, letters


def located(path: Path) -> Located:
    return Located(Genome(path), None, False, Counts())


def narrow_peak(folder: Path) -> Subject:
    genome, letters = make_genome(folder)
    path = folder / "peaks.narrowPeak"
    path.write_text(
        "".join(f"chr{1 + at % 2}\t{at}\t{at + 60}\tp{at}\t5\t.\t1.5\t-1\t2\t{at % 60}\n" for at in range(3, 620, 41))
    )

    def use() -> list[tuple[str, int, int]]:
        codes, start, end = read_peaks(path, place := located(genome), summit=True)
        names = [place.genome.names[code] for code in codes]
        return list(zip(names, start.tolist(), end.tolist(), strict=True))

    return Subject(path, mutations.lines, use, lambda: source_readers.summits(path.read_bytes(), letters))


def levels(path: Path, genome: Path) -> dict[tuple[str, int], bool]:
    place = located(genome)
    found = called(path, place, True, LEAST, THRESHOLD, place.counts)
    keys = [(place.genome.names[key >> 40], key & (1 << 40) - 1) for key in found["cpg"].tolist()]
    return dict(zip(keys, found["methylated"].tolist(), strict=True))


def cpgs(letters: dict[str, str]) -> list[tuple[str, int]]:
    return [(name, at) for name, text in letters.items() for at in range(len(text)) if text[at : at + 2] == "CG"]


def bed_methyl(folder: Path) -> Subject:
    genome, letters = make_genome(folder)
    path = folder / "levels.bed"
    lines = []
    for number, (name, at) in enumerate(cpgs(letters)):
        for shift, strand in ((0, "+"), (1, "-")) if number % 3 else ((0, "+"),):
            here, reads = at + shift, 2 + number % 9
            level = number * 7 % 101
            lines.append(f"{name}\t{here}\t{here + 1}\tm\t0\t{strand}\t{here}\t{here + 1}\t0\t{reads}\t{level}\n")
    path.write_text("".join(lines))

    def others() -> dict[tuple[str, int], bool]:
        return source_readers.methylation(path.read_bytes(), letters, LEAST, THRESHOLD)

    return Subject(path, mutations.lines, lambda: levels(path, genome), others)


def bedgraph(folder: Path) -> Subject:
    genome, letters = make_genome(folder)
    path = folder / "levels.bedGraph"
    rows = (f"{name}\t{at}\t{at + 2}\t{at * 7 % 1010 / 10}\n" for name, at in cpgs(letters))
    path.write_text("track type=bedGraph\n" + "".join(rows))

    def others() -> dict[tuple[str, int], bool]:
        return source_readers.methylation(path.read_bytes(), letters, LEAST, THRESHOLD)

    return Subject(path, mutations.lines, lambda: levels(path, genome), others)


def bigwig(folder: Path) -> Subject:
    import pybigtools

    genome, letters = make_genome(folder)
    path = folder / "levels.bw"
    with_values = ((name, at, at + 2, float(at * 7 % 1010 / 10)) for name, at in cpgs(letters))
    pybigtools.open(str(path), "w").write({name: len(text) for name, text in letters.items()}, with_values)

    def others() -> dict[tuple[str, int], bool]:
        found = source_readers.bigwig(path.read_bytes())
        text = "".join(f"{name}\t{start}\t{end}\t{value:.9g}\n" for name, start, end, value in found)
        return source_readers.methylation(text.encode(), letters, LEAST, THRESHOLD)

    return Subject(path, mutations.blind, lambda: levels(path, genome), others)


def table(name: str, text: str) -> Callable[[Path], Subject]:
    """A kind of table of links."""

    def subject(folder: Path) -> Subject:
        folder.mkdir(parents=True)
        path = folder / name
        path.write_text(text)

        def use() -> list[tuple[Any, ...]]:
            found = read_links(path, SCORE, Counts()).table
            return list(zip(*(found[column].to_pylist() for column in found.column_names), strict=True))

        return Subject(path, mutations.lines, use, lambda: source_readers.links(path.read_bytes(), SCORE))

    return subject


SPANS = [(f"chr{1 + at % 2}", at, at + 30 + at % 7) for at in range(5, 400, 23)]
CRISPRI = "chrom\tchromStart\tchromEnd\tname\tmeasuredGeneSymbol\tRegulated\n" + "".join(
    f"{c}\t{a}\t{b}\tn{a}\tG{a % 5}\t{bool(a % 2)}\n" for c, a, b in SPANS
)
ABC = "chr\tstart\tend\tTargetGene\tABC.Score\tisSelfPromoter\n" + "".join(
    f"{c}\t{a}\t{b}\tG{a % 5}\t{a / 400}\t{a % 4 == 0}\n" for c, a, b in SPANS
)
PLAIN = "chromosome\tstart\tend\tgene\tscore\n" + "".join(f"{c}\t{a}\t{b}\tG{a % 5}\t{a / 400}\n" for c, a, b in SPANS)
BEDPE = "".join(f"{c}\t{a}\t{b}\t{c}\t{a + 90}\t{b + 99}\tn{a}\t1\n" for c, a, b in SPANS)

SOURCES: dict[str, tuple[int, Callable[[Path], Subject]]] = {
    "narrowPeak": (80, narrow_peak),
    "bedMethyl": (80, bed_methyl),
    "bedGraph": (80, bedgraph),
    "bigWig": (80, bigwig),
    "CRISPRi table": (60, table("crispri.tsv", CRISPRI)),
    "ABC predictions": (60, table("abc.tsv", ABC)),
    "table of links": (60, table("links.tsv", PLAIN)),
    "BEDPE": (60, table("links.bedpe", BEDPE)),
}
"""Name → mutations of the short run, and the kind."""
