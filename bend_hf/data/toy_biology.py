"""Sequences with planted biology, for the toy genome: background, CpG islands, genes, motif clusters and variants.

    rng = numpy.random.default_rng(0)
    gene = make_gene(rng, "-")
    gene.sequence, gene.labels        # both on the forward strand

A sequence is a ``uint8`` array of the ASCII codes of A, C, G and T. The signals are stronger than in a real genome, so
that small models learn them from a few hundred windows.

What marks genes and enhancers is *order*, which a composition does not see: codons, the bases of introns and motifs
follow an order, and beside them lie decoys of the same codons, bases and motifs out of order. The order of codons is a
pattern of eight strong (G, C) and weak (A, T) bases in which each of the eight triplets of such kinds occurs once (a de
Bruijn sequence), so that 3-mers are as frequent as in random sequence; backwards it is another one: it has a strand.
That of an intron's purines and pyrimidines is one of sixteen, in which each quadruplet occurs once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from bend_hf.errors import BendError

BASES = np.frombuffer(b"ACGT", dtype=np.uint8)
_COMPLEMENT = np.arange(256, dtype=np.uint8)
_COMPLEMENT[BASES] = BASES[::-1]

# Shares of A, C, G, T.
BACKGROUND = (0.295, 0.205, 0.205, 0.295)
ISLAND = (0.18, 0.32, 0.32, 0.18)

CODON_ORDER = "WWWSWSSS"
INTRON_ORDER = "RRRRYRRYYRYRYYYY"
KINDS = {"W": "AT", "S": "CG", "R": "AG", "Y": "CT"}
KEPT = 0.95
"""Share of codons, and of bases of introns, that follow the order; the others are any."""

STOPS = ("TAA", "TAG", "TGA")
CODONS = tuple(a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT" if a + b + c not in STOPS)
FOURFOLD = ("CT", "GT", "TC", "CC", "AC", "GC", "CG", "GG")  # any third base gives the same amino acid
# The kinds of eight codons in turn, after which order and reading frame begin anew.
CODON_KINDS = tuple((3 * CODON_ORDER)[i : i + 3] for i in range(0, 24, 3))
OF_KIND = np.array(
    [[all(b in KINDS[k] for b, k in zip(codon, kind, strict=True)) for codon in CODONS] for kind in CODON_KINDS]
)
_CODONS = np.array([list(codon.encode()) for codon in CODONS], np.uint8)
CODON_USAGE = KEPT * (OF_KIND / OF_KIND.sum(1, keepdims=True)).mean(0) + (1 - KEPT) / len(CODONS)

SPACER = 4
SPACER_BASES = (0.1, 0.4, 0.4, 0.1)

EXON, DONOR, INTRON_CLASS, ACCEPTOR, INTERGENIC = 0, 1, 2, 3, 8
FLANK = 1000
EXON_CODONS = (50, 120)
INTRON_LENGTHS = (60, 180)
DONOR_SITE, ACCEPTOR_SITE = "GTAAGT", "TTTCTTTCAG"
GENE_LENGTHS = (1_400, 6_000)


class Variant(NamedTuple):
    """A possible single-nucleotide variant: 0-based position in its sequence, new base (ASCII), consequence."""

    position: int
    alt: int
    consequence: str


@dataclass(frozen=True)
class Gene:
    """A gene with its flanks, on the forward strand.

    Attributes:
        sequence: (L,) uint8, ASCII.
        labels: (L,) int8, the nine classes of gene finding.
        strand: Of the transcript.
        flank_left: Flank at lower coordinates, in bp.
        flank_right: Flank at higher coordinates; both together are 1,000 bp.
        damaging: Variants that break a splice site or the start codon, or make a stop codon.
        harmless: Synonymous variants, and all outside of coding sequence and splice sites.
    """

    sequence: np.ndarray
    labels: np.ndarray
    strand: str
    flank_left: int
    flank_right: int
    damaging: list[Variant]
    harmless: list[Variant]


def ascii_array(text: str) -> np.ndarray:
    """Return the ASCII codes of `text`, (L,) uint8."""
    return np.frombuffer(text.encode(), dtype=np.uint8).copy()


def reverse_complement(sequence: np.ndarray) -> np.ndarray:
    """Return the other strand, read 5' to 3'."""
    other: np.ndarray = _COMPLEMENT[sequence[::-1]]
    return other


def random_bases(rng: np.random.Generator, length: int, shares: Sequence[float] = BACKGROUND) -> np.ndarray:
    """Return independent bases with the given shares of A, C, G, T."""
    return BASES[np.searchsorted(np.cumsum(shares)[:3], rng.random(length), side="right")]


def background(rng: np.random.Generator, length: int) -> np.ndarray:
    """Return sequence outside of any feature: 41 % GC, and most CpG decayed to TpG or CpA as methylated ones do."""
    sequence = random_bases(rng, length)
    cpg = np.flatnonzero((sequence[:-1] == ord("C")) & (sequence[1:] == ord("G")))
    decayed = cpg[rng.random(len(cpg)) < 0.75]
    upper = rng.random(len(decayed)) < 0.5
    sequence[decayed[upper]] = ord("T")
    sequence[decayed[~upper] + 1] = ord("A")
    return sequence


def place(rng: np.random.Generator, lengths: Sequence[int], total: int) -> np.ndarray:
    """Return starts at which pieces of the given lengths lie in order and without overlap in `total` positions.

    The free positions are divided at random between the gaps. `total` must not be less than the sum of `lengths`.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    cuts = np.sort(rng.integers(0, total - sizes.sum() + 1, len(sizes)))
    return cuts + np.cumsum(sizes) - sizes


def motif_cluster(
    rng: np.random.Generator, length: int, motifs: Sequence[str], share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return background with copies of motifs in either orientation, and which positions they cover.

    Args:
        rng: Source of randomness.
        length: In bp.
        motifs: One is drawn for each copy; none for mere background.
        share: Share of the positions to be covered.

    Returns:
        Sequence (length,) uint8 and mask (length,) bool.
    """
    sequence = background(rng, length)
    covered = np.zeros(length, dtype=bool)
    copies: list[np.ndarray] = []
    while motifs and sum(map(len, copies)) < share * length:
        copy = ascii_array(motifs[int(rng.integers(len(motifs)))])
        copies.append(reverse_complement(copy) if rng.random() < 0.5 else copy)
    for start, copy in zip(place(rng, [len(copy) for copy in copies], length), copies, strict=True):
        sequence[start : start + len(copy)] = copy
        covered[start : start + len(copy)] = True
    return sequence, covered


def motif_array(
    rng: np.random.Generator, motifs: Sequence[str], copies: int, ordered: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return copies of motifs in turn, `SPACER` bases apart; unless `ordered`, the same in another order and spacing.

    Args:
        rng: Source of randomness.
        motifs: In their order.
        copies: Of each motif.
        ordered: False for a decoy.

    Returns:
        Sequence and mask of the positions that copies cover, (L,) uint8 and (L,) bool, of either strand at random.
    """
    array = [ascii_array(motif) for motif in motifs] * copies
    spacers = np.full(len(array), SPACER)
    if not ordered:
        array = [array[i] for i in rng.permutation(len(array))]
        spacers = 1 + rng.multinomial((SPACER - 1) * len(array), np.full(len(array), 1 / len(array)))
    pieces = [
        piece
        for motif, spacer in zip(array, spacers, strict=True)
        for piece in (motif, random_bases(rng, spacer, SPACER_BASES))
    ]
    sequence = np.concatenate(pieces)
    covered = np.repeat(np.arange(len(pieces)) % 2 == 0, [len(piece) for piece in pieces])
    return (sequence, covered) if rng.random() < 0.5 else (reverse_complement(sequence), covered[::-1])


def label_drivers(rng: np.random.Generator, programmes: int, labels: int) -> np.ndarray:
    """Draw the probability that a label is on, (programmes + 1, labels): by programme; last without one that drives it.

    Every label follows one programme.
    """
    probability = np.full((programmes + 1, labels), 0.03)
    probability[np.arange(labels) % programmes, np.arange(labels)] = rng.uniform(0.7, 0.95, labels)
    return probability


def draw_peak_labels(rng: np.random.Generator, drivers: np.ndarray, programmes: Sequence[int]) -> str:
    """Draw the labels of a window as BEND writes them; as in BEND, every window is a peak of at least one label."""
    probability = drivers[[*programmes, -1]].max(axis=0)
    while True:
        on = np.flatnonzero(rng.random(len(probability)) < probability)
        if len(on):
            return ",".join(map(str, on))


def methylation(
    rng: np.random.Generator, sequence: np.ndarray, islands: np.ndarray, count: int, margin: int
) -> list[tuple[int, str, str]]:
    """Choose CpGs, half of them in islands, and draw in which of 7 cell types they are methylated.

    Args:
        rng: Source of randomness.
        sequence: A chromosome, ASCII.
        islands: (L,) bool, where its CpG islands are.
        count: CpGs to choose.
        margin: Least distance from the chromosome's ends in bp.

    Returns:
        Position of the C, strand, and labels as BEND writes them (possibly empty), by position.

    Raises:
        BendError: The chromosome has too few CpGs.
    """
    cpg = np.flatnonzero((sequence[:-1] == ord("C")) & (sequence[1:] == ord("G")))
    cpg = cpg[(cpg >= margin) & (cpg + margin < len(sequence))]
    inside = rng.permutation(cpg[islands[cpg]])[: count // 2]
    outside = rng.permutation(cpg[~islands[cpg]])[: count - count // 2]
    if len(inside) + len(outside) < count:
        raise BendError(f"A chromosome has fewer than cpgs={count} CpGs to choose from: ask for fewer or more windows.")
    rows = []
    for position in np.sort(np.concatenate([inside, outside])).tolist():
        methylated = np.linspace(0.05, 0.2, 7) if islands[position] else np.linspace(0.9, 0.75, 7)
        labels = np.flatnonzero(rng.random(7) < methylated)
        rows.append((position, "+-"[rng.integers(2)], ",".join(map(str, labels))))
    return rows


def draw_codons(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return codons behind a start codon, in their order but for the share that is any: (count, 3) uint8."""
    kinds = np.arange(count) % len(CODON_KINDS)
    drawn = np.cumsum(OF_KIND / OF_KIND.sum(1, keepdims=True), axis=1)[kinds]
    ordered = np.argmax(drawn > rng.random((count, 1)), axis=1)
    chosen = np.where(rng.random(count) < KEPT, ordered, rng.integers(len(CODONS), size=count))
    return _CODONS[chosen]


def draw_intron(rng: np.random.Generator, length: int) -> np.ndarray:
    """Return the inside of an intron, in its order but for the share of bases that is any: (length,) uint8."""
    kinds = (int(rng.integers(len(INTRON_ORDER))) + np.arange(length)) % len(INTRON_ORDER)
    ordered = np.array([list(KINDS[kind].encode()) for kind in INTRON_ORDER], np.uint8)[
        kinds, rng.integers(0, 2, length)
    ]
    return np.where(rng.random(length) < KEPT, ordered, random_bases(rng, length, (0.25,) * 4))


def decoy(rng: np.random.Generator, length: int) -> np.ndarray:
    """Return sequence between genes: codons and introns as theirs, out of order, on either strand."""
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < length:
        codons = rng.permutation(draw_codons(rng, int(rng.integers(*EXON_CODONS))))
        inside = rng.permutation(draw_intron(rng, int(rng.integers(*INTRON_LENGTHS))))
        piece = np.concatenate([codons.ravel(), ascii_array(DONOR_SITE), inside, ascii_array(ACCEPTOR_SITE)])
        pieces.append(piece if rng.random() < 0.5 else reverse_complement(piece))
    whole = np.concatenate(pieces)
    start = int(rng.integers(0, len(whole) - length + 1))
    return whole[start : start + length]


def make_gene(rng: np.random.Generator, strand: str) -> Gene:
    """Return a random gene: ATG, codons by usage, a stop codon, GT–AG introns, UTRs and 1,000 bp of flank in total.

    Labels follow BEND: exon is coding sequence without the stop codon, donor and acceptor are the first and last
    nucleotide of an intron in the direction of the transcript, UTRs and flanks are intergenic, and the reverse
    strand has classes 4 to 7.
    """
    while True:
        exons = int(rng.integers(3, 6))
        codons = int(rng.integers(*EXON_CODONS, exons).sum())
        introns = rng.integers(*INTRON_LENGTHS, exons - 1)
        utrs = rng.integers(20, 80, 2)
        if GENE_LENGTHS[0] <= FLANK + 3 * (codons + 2) + introns.sum() + utrs.sum() <= GENE_LENGTHS[1]:
            break
    flank = int(rng.integers(100, FLANK - 100))
    coding = np.concatenate([ascii_array("ATG"), draw_codons(rng, codons).ravel(), ascii_array(STOPS[rng.integers(3)])])
    # An intron may fall into a codon, but neither into the start codon nor into the stop codon.
    cuts = 30 + place(rng, [45] * (exons - 1), len(coding) - 60)

    pieces = [
        (decoy(rng, flank), INTERGENIC, "upstream_gene_variant"),
        (decoy(rng, int(utrs[0])), INTERGENIC, "5_prime_UTR_variant"),
    ]
    bounds = [0, *cuts, len(coding) - 3]
    for i, (start, end) in enumerate(pairwise(bounds)):
        if i:
            donor, acceptor = ascii_array(DONOR_SITE), ascii_array(ACCEPTOR_SITE)
            inside = draw_intron(rng, int(introns[i - 1]))
            pieces += [
                (donor[:1], DONOR, "splice_donor_variant"),
                (donor[1:2], INTRON_CLASS, "splice_donor_variant"),
                (donor[2:], INTRON_CLASS, "splice_region_variant"),
                (inside, INTRON_CLASS, "intron_variant"),
                (acceptor[:-2], INTRON_CLASS, "splice_region_variant"),
                (acceptor[-2:-1], INTRON_CLASS, "splice_acceptor_variant"),
                (acceptor[-1:], ACCEPTOR, "splice_acceptor_variant"),
            ]
        pieces.append((coding[start:end], EXON, "coding_sequence_variant"))
    pieces += [
        (coding[-3:], INTERGENIC, "stop_lost"),
        (decoy(rng, int(utrs[1])), INTERGENIC, "3_prime_UTR_variant"),
        (decoy(rng, FLANK - flank), INTERGENIC, "downstream_gene_variant"),
    ]
    sequence = np.concatenate([piece for piece, _, _ in pieces])
    labels = np.concatenate([np.full(len(piece), label, dtype=np.int8) for piece, label, _ in pieces])
    where = np.repeat([consequence for *_, consequence in pieces], [len(piece) for piece, *_ in pieces])
    damaging, harmless = _variants(rng, sequence, where, np.flatnonzero(labels == EXON), coding[:-3].tobytes().decode())

    if strand == "-":
        sequence = reverse_complement(sequence)
        labels = np.where(labels == INTERGENIC, INTERGENIC, labels + 4)[::-1].astype(np.int8)
        damaging, harmless = (
            [Variant(len(sequence) - 1 - v.position, int(_COMPLEMENT[v.alt]), v.consequence) for v in variants]
            for variants in (damaging, harmless)
        )
    flanks = (flank, FLANK - flank) if strand == "+" else (FLANK - flank, flank)
    return Gene(sequence, labels, strand, *flanks, damaging, harmless)


def of_one_kind(division: str, one: str, other: str) -> bool:
    """Return whether two bases are on one side of a division of the four, ``"SW"`` or ``"RY"``."""
    return any(one in KINDS[kind] and other in KINDS[kind] for kind in division)


def _variants(
    rng: np.random.Generator, sequence: np.ndarray, where: np.ndarray, exonic: np.ndarray, coding: str
) -> tuple[list[Variant], list[Variant]]:
    """List damaging and harmless variants of a gene in transcript orientation.

    `exonic` holds the positions of `coding` (start codon first, without the stop codon) in `sequence`.
    """
    damaging = []
    harmless = []
    for position in np.flatnonzero(np.isin(where, ("splice_donor_variant", "splice_acceptor_variant"))).tolist():
        damaging += [Variant(position, int(b), str(where[position])) for b in BASES if b != sequence[position]]
    damaging += [Variant(int(p), int(b), "start_lost") for p in exonic[:3] for b in BASES if b != sequence[p]]
    for i in range(3, len(coding), 3):
        codon = coding[i : i + 3]
        for j, base in product(range(3), "ACGT"):
            changed, kept = codon[:j] + base + codon[j + 1 :], of_one_kind("SW", codon[j], base)
            variant = partial(Variant, int(exonic[i + j]), ord(base))
            if changed in STOPS and not kept:
                damaging.append(variant("stop_gained"))
            elif j == 1 and base != codon[j] and changed not in STOPS and of_one_kind("RY", codon[j], base):
                damaging.append(variant("missense_variant"))
            elif kept and j == 2 and base != codon[j] and codon[:2] in FOURFOLD:
                harmless.append(variant("synonymous_variant"))
    for position in np.flatnonzero(where == "intron_variant").tolist():
        base = {"A": "G", "G": "A", "C": "T", "T": "C"}[chr(sequence[position])]
        harmless.append(Variant(position, ord(base), "intron_variant"))
    return damaging, harmless
