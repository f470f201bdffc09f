"""A made-up genome with genes whose labels are known by hand, and its annotation in several dialects."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class Gene:
    """A gene with one transcript; coordinates 0-based half-open, the coding parts without the stop codon."""

    name: str
    chromosome: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    cds: tuple[tuple[int, int], ...]
    tags: tuple[str, ...] = field(default=())

    @property
    def stop(self) -> tuple[int, int]:
        return (self.cds[-1][1], self.cds[-1][1] + 3) if self.strand == "+" else (self.cds[0][0] - 3, self.cds[0][0])

    @property
    def cds_with_stop(self) -> tuple[tuple[int, int], ...]:
        parts = list(self.cds)
        if self.strand == "+":
            parts[-1] = (parts[-1][0], self.stop[1])
        else:
            parts[0] = (self.stop[0], parts[0][1])
        return tuple(parts)

    def phases(self, parts: tuple[tuple[int, int], ...]) -> list[int]:
        order = parts if self.strand == "+" else parts[::-1]
        found, before = {}, 0
        for start, end in order:
            found[start] = -before % 3
            before += end - start
        return [found[start] for start, _ in parts]


# A on the forward strand with two coding exons, and a UTR intron; B on the reverse strand with three coding exons.
A = Gene("A", "c1", "+", ((100, 150), (200, 320), (400, 520)), ((230, 320), (400, 460)))
B = Gene("B", "c1", "-", ((1000, 1110), (1200, 1261), (1330, 1500)), ((1050, 1110), (1200, 1261), (1330, 1389)))
C = Gene("C", "c2", "+", ((300, 700),), ((330, 630),))


def sequence(length: int, genes: list[Gene], seed: int = 0) -> str:
    """Random DNA in which every gene starts with ATG, ends with TAA, and has no stop codon next to its coding parts."""
    letters = np.array(list("ACGT"))[np.random.default_rng(seed).integers(0, 4, length)]
    for gene in genes:
        start, end = gene.cds[0][0], gene.cds[-1][1]
        codons = (("ATG", start), ("GCC", end - 3)) if gene.strand == "+" else (("CAT", end - 3), ("GGC", start))
        stop = "TAA" if gene.strand == "+" else "TTA"
        for codon, at in (*codons, (stop, gene.stop[0])):
            letters[at : at + 3] = list(codon)
    return "".join(letters)


def fasta(path: Path, records: dict[str, str]) -> Path:
    path.write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    return path


def genome(path: Path, genes: list[Gene], lengths: dict[str, int]) -> Path:
    return fasta(path, {c: sequence(n, [g for g in genes if g.chromosome == c]) for c, n in lengths.items()})


def gtf(path: Path, genes: list[Gene]) -> Path:
    """GENCODE's dialect: the stop codon is a feature of its own, outside the CDS."""
    rows = []
    for gene in genes:
        text = f'gene_id "{gene.name}"; transcript_id "{gene.name}.1"; gene_name "{gene.name}";'
        text += ' transcript_type "protein_coding";' + "".join(f' tag "{tag}";' for tag in gene.tags)
        rows.append((gene, "transcript", gene.exons[0][0], gene.exons[-1][1], ".", text))
        rows += [(gene, "exon", a, b, ".", text) for a, b in gene.exons]
        rows += [(gene, "CDS", a, b, p, text) for (a, b), p in zip(gene.cds, gene.phases(gene.cds), strict=True)]
        rows.append((gene, "stop_codon", *gene.stop, 0, text))
    return _write(path, rows, "##description: made up\n")


def gff3(path: Path, genes: list[Gene]) -> Path:
    """The plant dialect (Phytozome, TAIR): the stop codon is part of the CDS, and a protein may be a second parent."""
    rows = []
    for gene in genes:
        rows.append((gene, "gene", gene.exons[0][0], gene.exons[-1][1], ".", f"ID={gene.name}.g;Name={gene.name}"))
        text = f"ID={gene.name}.1;Parent={gene.name}.g;longest=1"
        rows.append((gene, "mRNA", gene.exons[0][0], gene.exons[-1][1], ".", text))
        rows += [(gene, "exon", a, b, ".", f"Parent={gene.name}.1") for a, b in gene.exons]
        parts = gene.cds_with_stop
        rows += [
            (gene, "CDS", a, b, p, f"ID={gene.name}.cds;Parent={gene.name}.1,{gene.name}.1-Protein")
            for (a, b), p in zip(parts, gene.phases(parts), strict=True)
        ]
    return _write(path, rows, "##gff-version 3\n", "###\n##FASTA\n>c1\nACGT\n")


def _write(path: Path, rows: list, head: str, tail: str = "") -> Path:
    text = "".join(
        f"{gene.chromosome}\tmade\t{kind}\t{start + 1}\t{end}\t.\t{gene.strand}\t{phase}\t{attributes}\n"
        for gene, kind, start, end, phase, attributes in rows
    )
    path.write_text(head + text + tail)
    return path
