"""Coarse consequences of variants, from their overlap with gene models (this is not Ensembl VEP).

    classes = Consequences(read_annotation("genes.gtf"), codes)
    classes.of(code, position)          # ["intron_variant", "intergenic_variant", …]

The most severe class over all transcripts counts, in the order of `CLASSES`. ``coding_sequence_variant`` stands for
missense, synonymous and nonsense alike.
"""

from __future__ import annotations

import numpy as np

from bend_hf.build.readers.annotation import Annotation, Parts

CLASSES = (
    "splice_acceptor_variant",
    "splice_donor_variant",
    "coding_sequence_variant",
    "5_prime_UTR_variant",
    "3_prime_UTR_variant",
    "splice_region_variant",
    "non_coding_transcript_exon_variant",
    "intron_variant",
    "upstream_gene_variant",
    "downstream_gene_variant",
)
NEAR = 5_000
_KEY = 40


class Consequences:
    """Classes of positions, by overlap.

    Args:
        annotation: Gene models; without exon lines, coding parts stand for exons.
        codes: The genome's code of each of the annotation's chromosomes (−1 for none).

    Attributes:
        starts: Transcription start sites, sorted (chromosome << 40 | position).
        splice_sites: First and last bases of introns, likewise.
    """

    def __init__(self, annotation: Annotation, codes: np.ndarray) -> None:
        exons = annotation.exons if len(annotation.exons.start) else annotation.cds
        count = len(annotation.transcripts)
        low, high = np.full(count, 1 << _KEY - 1), np.full(count, -1)
        place, minus = np.full(count, -1), np.zeros(count, bool)
        for parts in (annotation.cds, exons):
            np.minimum.at(low, parts.transcript, parts.start)
            np.maximum.at(high, parts.transcript, parts.end)
            place[parts.transcript] = codes[parts.chromosome]
            minus[parts.transcript] = parts.minus
        known = np.flatnonzero((high > 0) & (place >= 0))
        coding_low, coding_high = np.full(count, 1 << _KEY - 1), np.full(count, -1)
        for parts in (annotation.cds, annotation.stops):
            np.minimum.at(coding_low, parts.transcript, parts.start)
            np.maximum.at(coding_high, parts.transcript, parts.end)
        self._intervals: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        coding_parts = (_located(parts, codes) for parts in (annotation.cds, annotation.stops))
        self._add("coding_sequence_variant", *(np.concatenate(columns) for columns in zip(*coding_parts, strict=True)))
        coding = coding_high > 0
        self._exons(exons, codes, coding, coding_low, coding_high, minus)
        self._introns(exons, codes, minus)
        before, after = (low - NEAR, low), (high, high + NEAR)
        for name, (left, right) in (
            ("upstream_gene_variant", (before, after)),
            ("downstream_gene_variant", (after, before)),
        ):
            chosen = np.where(minus, right, left)
            self._add(name, place[known], np.maximum(0, chosen[0][known]), chosen[1][known])
        self.starts = np.unique(place[known] << _KEY | np.where(minus, high - 1, low)[known])

    def _add(self, name: str, code: np.ndarray, start: np.ndarray, end: np.ndarray) -> None:
        kept = (end > start) & (code >= 0)
        code, start, end = code[kept], start[kept], end[kept]
        order = np.lexsort((start, code))
        start, end = (code << _KEY | start)[order], (code << _KEY | end)[order]
        self._intervals[name] = (start, np.maximum.accumulate(end) if len(end) else end)

    def _exons(
        self,
        exons: Parts,
        codes: np.ndarray,
        coding: np.ndarray,
        coding_low: np.ndarray,
        coding_high: np.ndarray,
        minus: np.ndarray,
    ) -> None:
        code, start, end = _located(exons, codes)
        owner = exons.transcript
        lower = start, np.minimum(end, coding_low[owner])
        upper = np.maximum(start, coding_high[owner]), end
        reverse = minus[owner]
        for name, (forward, backward) in (
            ("5_prime_UTR_variant", (lower, upper)),
            ("3_prime_UTR_variant", (upper, lower)),
        ):
            begin, stop = (np.where(reverse, b, f) for f, b in zip(forward, backward, strict=True))
            self._add(name, np.where(coding[owner], code, -1), begin, stop)
        self._add("non_coding_transcript_exon_variant", np.where(coding[owner], -1, code), start, end)

    def _introns(self, exons: Parts, codes: np.ndarray, minus: np.ndarray) -> None:
        code, start, end = _located(exons, codes)
        same = np.flatnonzero((exons.transcript[1:] == exons.transcript[:-1]) & (start[1:] > end[:-1]))
        code, begin, stop = code[same], end[same], start[same + 1]
        reverse = minus[exons.transcript[same]]
        self._add("intron_variant", code, begin, stop)
        located = code >= 0
        self.splice_sites = np.unique(
            np.concatenate([code << _KEY | begin, code << _KEY | stop - 1])[np.tile(located, 2)]
        )
        first, last = (begin, begin + 2), (stop - 2, stop)
        for name, (forward, backward) in (
            ("splice_donor_variant", (first, last)),
            ("splice_acceptor_variant", (last, first)),
        ):
            self._add(name, code, *(np.where(reverse, b, f) for f, b in zip(forward, backward, strict=True)))
        # Three bases of the exon and bases 3 to 8 of the intron, at both of its ends.
        region_starts = np.concatenate([begin - 3, begin + 2, stop - 8, stop])
        region_ends = np.concatenate([begin, begin + 8, stop - 2, stop + 3])
        self._add("splice_region_variant", np.tile(code, 4), region_starts, region_ends)

    def of(self, code: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Return the class of each position: (n,) of strings."""
        found = np.full(len(code), "intergenic_variant", dtype=object)
        key = code << _KEY | position
        for name in reversed(CLASSES):
            start, reach = self._intervals[name]
            # An interval holds a position if it begins at or before it and the reach of those that do is beyond it.
            at = np.searchsorted(start, key, side="right")
            found[key < np.concatenate([[-1], reach])[at]] = name
        return found


def distances(sites: np.ndarray, code: np.ndarray, position: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return how far each position is from the nearest of its chromosome's sites.

    Args:
        sites: Sorted (chromosome << 40 | position), as `Consequences.starts`.
        code: (n,) chromosomes' codes.
        position: (n,) 0-based.
        lengths: (n,) lengths of these chromosomes, in bp.

    Returns:
        (n,) int64, in bp; the chromosome's length where it has no site.
    """
    key = code << _KEY | position
    padded = np.concatenate([[-(1 << 62)], sites, [1 << 62]])
    at = np.searchsorted(padded, key)
    nearest: np.ndarray = np.minimum(lengths, np.minimum(key - padded[at - 1], padded[at] - key))
    return nearest


def _located(parts: Parts, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return codes[parts.chromosome], parts.start, parts.end
