"""Coding sequences: which transcripts of an annotation have a whole one in a genome, and where it lies.

    coding, usable, minus, chromosome = coding_sequences(read_annotation("genes.gff3"), genome, codes, counts)
    coding.start[coding.first[t] : coding.first[t + 1]]        # of transcript t, without the stop codon

A transcript is left out, and counted under one reason, if its parts contradict each other, the annotation says that it
is incomplete or exceptional, or the genome has no stop codon where it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bend_hf.build.counts import Counts
from bend_hf.build.readers.annotation import Annotation, Parts
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.text import counted

BIOTYPES = ("", "protein_coding", "mRNA", "gene", "transcript")
STOPS = ("TAA", "TAG", "TGA")
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@dataclass(frozen=True)
class Coding:
    """The coding parts of transcripts, sorted by transcript and start, without the stop codon.

    Attributes:
        transcript: (n,) rows of `Annotation.transcripts`.
        start: (n,) first bases, 0-based.
        end: (n,) ends, exclusive.
        first: (t + 1,) first part of each transcript.
    """

    transcript: np.ndarray
    start: np.ndarray
    end: np.ndarray
    first: np.ndarray

    @property
    def length(self) -> np.ndarray:
        """Coding bases by transcript: (t,)."""
        total = np.concatenate([[0], np.cumsum(self.end - self.start)])
        bases: np.ndarray = total[self.first[1:]] - total[self.first[:-1]]
        return bases

    def spliced(self, transcript: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Return the genome positions of coding bases, counted from each transcript's lower end."""
        before = np.concatenate([[0], np.cumsum(self.end - self.start)])
        at = before[self.first[transcript]] + offset
        part = np.searchsorted(before, at, side="right") - 1
        position: np.ndarray = self.start[part] + at - before[part]
        return position

    def trimmed(self, bases: np.ndarray, minus: np.ndarray) -> Coding:
        """Return the parts without the last `bases` coding bases of each transcript, as it runs: (t,) each."""
        width = self.end - self.start
        before = np.concatenate([[0], np.cumsum(width)])
        begin = before[:-1] - before[self.first[self.transcript]]
        total, cut, reverse = self.length[self.transcript], bases[self.transcript], minus[self.transcript]
        low = np.where(reverse, np.maximum(begin, cut), begin)
        high = np.where(reverse, begin + width, np.minimum(begin + width, total - cut))
        kept = high > low
        start, end = self.start + low - begin, self.end - (begin + width - high)
        return _coding(self.transcript[kept], start[kept], end[kept], len(self.first) - 1)


def _coding(transcript: np.ndarray, start: np.ndarray, end: np.ndarray, count: int) -> Coding:
    return Coding(transcript, start, end, np.searchsorted(transcript, np.arange(count + 1)))


def spans(read: Annotation) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of each transcript, over its exons and coding parts: (t,) each."""
    count = len(read.transcripts)
    start, end = np.full(count, 1 << 60), np.full(count, -1)
    for parts in (read.cds, read.exons, read.stops):
        np.minimum.at(start, parts.transcript, parts.start)
        np.maximum.at(end, parts.transcript, parts.end)
    return start, end


def coding_sequences(
    read: Annotation, genome: Genome, codes: np.ndarray, counts: Counts
) -> tuple[Coding, np.ndarray, np.ndarray, np.ndarray]:
    """Find what is wrong with each transcript.

    Returns:
        The coding parts without stop codons, whether each transcript may be chosen (t,), its strand and its chromosome.

    Raises:
        BendError: Features lie beyond a chromosome's end, or most stop codons are none in this genome.
    """
    count = len(read.transcripts)
    chromosome = np.full(count, -1, np.int64)
    minus = np.zeros(count, bool)
    mixed = np.zeros(count, bool)
    for parts in (read.stops, read.exons, read.cds):
        chromosome[parts.transcript] = codes[parts.chromosome]
        minus[parts.transcript] = parts.minus
    for parts in (read.stops, read.exons, read.cds):
        other = (codes[parts.chromosome] != chromosome[parts.transcript]) | (parts.minus != minus[parts.transcript])
        mixed[parts.transcript[other]] = True
    _, end = spans(read)
    lengths = np.array(list(genome.lengths.values()))
    leaves = (chromosome >= 0) & (end > lengths[chromosome])
    circles = np.isin(chromosome, codes[np.isin(read.chromosomes, read.circular)])
    if len(beyond := np.flatnonzero(leaves & ~circles)):
        first = int(beyond[0])
        name = genome.names[chromosome[first]]
        raise BendError(
            f"{read.path}: {counted(len(beyond), 'transcript ends beyond its', 'transcripts end beyond their')} "
            f"chromosome in {genome.path} (first: "
            f"{read.transcripts['transcript_id'][first]} at {end[first]:,}, {name} has {lengths[chromosome[first]]:,} "
            "bp). The annotation is of another build than the genome: give the FASTA it was made on."
        )
    cds = read.cds
    raw = _coding(cds.transcript, cds.start, cds.end, count)
    wrong = {
        "no coding sequence": np.diff(raw.first) == 0,
        f"biotype is none of {', '.join(filter(None, BIOTYPES))}": ~np.isin(
            np.array(read.transcripts["biotype"].to_pylist(), dtype=object), BIOTYPES
        ),
        "chromosome is not in the genome": chromosome < 0,
        "across the origin of a circular chromosome": leaves,
        "on several chromosomes or strands (trans-spliced)": mixed,
        "trans-spliced or other exception": read.flag("exceptional"),
        "read-through": read.flag("readthrough"),
        "coding sequence marked as incomplete": read.flag("incomplete"),
        "coding parts overlap": _any(cds.transcript[1:][_overlaps(cds)], count),
        "coding sequence outside its exons": _any(cds.transcript[~_inside(cds, read.exons)], count),
        "phases do not sum": _any(cds.transcript[_out_of_phase(raw, cds, minus)], count),
        "an intron of one base": _any(cds.transcript[1:][_gap(cds) == 1], count),
    }
    good = np.ones(count, bool)
    for reason, mask in wrong.items():
        counts.add(f"transcripts: {reason}", int((good & mask).sum()))
        good &= ~mask
    trim, whole = _stop_codons(read, genome, raw, chromosome, minus, good, counts)
    coding = raw.trimmed(trim, minus)
    broken = good & whole & ((coding.length % 3 != 0) | (coding.length == 0))
    counts.add("transcripts: coding sequence is no multiple of three", int(broken.sum()))
    counts.add("duplicated feature lines, read once", read.duplicates, dropped=False)
    return coding, good & whole & ~broken, minus, chromosome


def _any(transcripts: np.ndarray, count: int) -> np.ndarray:
    mask = np.zeros(count, bool)
    mask[transcripts] = True
    return mask


def _gap(parts: Parts) -> np.ndarray:
    """Return the bases between each part and the next of its transcript, 0 across transcripts: (n − 1,)."""
    return np.where(parts.transcript[1:] == parts.transcript[:-1], parts.start[1:] - parts.end[:-1], 0)


def _overlaps(parts: Parts) -> np.ndarray:
    return _gap(parts) < 0


def _inside(cds: Parts, exons: Parts) -> np.ndarray:
    """Return whether each coding part lies in one exon of its transcript; true where a transcript has no exons."""
    if not len(exons.start):
        return np.ones(len(cds.start), bool)
    key = exons.transcript << 40 | exons.start
    at = np.searchsorted(key, cds.transcript << 40 | cds.start, side="right") - 1
    held: np.ndarray = (at >= 0) & (exons.transcript[at] == cds.transcript) & (exons.end[at] >= cds.end)
    return held | ~np.isin(cds.transcript, exons.transcript)


def _out_of_phase(raw: Coding, cds: Parts, minus: np.ndarray) -> np.ndarray:
    """Return which coding parts have a phase that the parts before them do not give (a first phase is 0)."""
    width = cds.end - cds.start
    before = np.concatenate([[0], np.cumsum(width)])
    ahead = before[:-1] - before[raw.first[cds.transcript]]
    behind = raw.length[cds.transcript] - ahead - width
    wanted = -np.where(minus[cds.transcript], behind, ahead) % 3
    wrong: np.ndarray = (cds.phase >= 0) & (cds.phase != wanted)
    return wrong


def _stop_codons(
    read: Annotation,
    genome: Genome,
    raw: Coding,
    chromosome: np.ndarray,
    minus: np.ndarray,
    good: np.ndarray,
    counts: Counts,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many bases of stop codon each coding sequence holds, and whether it ends in one: (t,) each.

    An annotated stop codon decides; without one, a stop codon that ends the coding sequence is taken out of it, and one
    that follows it directly shows that it was left out already.
    """
    count = len(read.transcripts)
    trim = np.zeros(count, np.int64)
    whole = np.zeros(count, bool)
    ids = np.flatnonzero(good)
    if not len(ids):
        return trim, whole
    total = raw.length
    usable = ids[total[ids] >= 3]
    steps = np.arange(3)
    offsets = np.where(minus[usable, None], 2 - steps, total[usable, None] - 3 + steps)
    inside = raw.spliced(np.repeat(usable, 3), offsets.ravel()).reshape(-1, 3)
    last = inside[:, 2]
    beyond = np.where(minus[usable, None], last[:, None] - 1 - steps, last[:, None] + 1 + steps)
    limits = np.array(list(genome.lengths.values()))[chromosome[usable]]
    ended = _codons(genome, chromosome[usable], inside, minus[usable])
    held = (beyond.min(1) >= 0) & (beyond.max(1) < limits)
    beyond[~held] = inside[~held]
    followed = _codons(genome, chromosome[usable], beyond, minus[usable]) & held
    low = _by_transcript(read.stops, read.stops.start, count, largest=False, empty=1 << 60)[usable]
    high = _by_transcript(read.stops, read.stops.end, count, largest=True, empty=-1)[usable]
    size = np.zeros(count, np.int64)
    np.add.at(size, read.stops.transcript, read.stops.end - read.stops.start)
    annotated, contained = high > 0, (low <= last) & (last < high)
    trim[usable] = np.where(annotated, np.where(contained, size[usable], 0), np.where(ended, 3, 0))
    whole[usable] = np.where(annotated, size[usable] == 3, ended | followed)
    # What the genome says of annotated stop codons that are not split by an intron.
    plain = annotated & (high - low == 3)
    genuine = ~plain | np.where(contained, ended, followed)
    missing = int((~whole[usable] | ~genuine).sum()) + len(ids) - len(usable)
    if missing > len(ids) / 2:
        raise BendError(
            f"{read.path}: only {len(ids) - missing:,} of {len(ids):,} coding sequences end in a stop codon "
            f"({', '.join(STOPS)}) in {genome.path}. Probably the annotation is of another build: give the "
            "FASTA it was made on."
        )
    whole[usable] &= genuine
    counts.add("transcripts: coding sequence ends in no stop codon", missing)
    return trim, whole


def _codons(genome: Genome, chromosome: np.ndarray, positions: np.ndarray, minus: np.ndarray) -> np.ndarray:
    """Return which codons, given by the positions of their bases as the transcript runs (n, 3), are stop codons."""
    flat = positions.ravel()
    letters, _ = genome.gather(np.repeat(chromosome, 3), flat, flat + 1)
    forward = letters.view("S3").astype(str)
    reverse = np.array([codon.translate(_COMPLEMENT) for codon in forward.tolist()], dtype="U3")
    return np.isin(np.where(minus, reverse, forward), STOPS)


def _by_transcript(parts: Parts, values: np.ndarray, count: int, largest: bool, empty: int) -> np.ndarray:
    found = np.full(count, empty, np.int64)
    (np.maximum if largest else np.minimum).at(found, parts.transcript, values)
    return found
