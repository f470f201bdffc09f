"""Gene-finding tasks from an annotation: one window per gene, one class per nucleotide, as BEND's.

    genes("gencode.v45.gtf.gz", "GRCh38.fa", "my_genes", transcripts="canonical", max_length=13_000)

Per gene one coding transcript is chosen by a declared rule among those whose coding sequence is whole. The window is
the transcript with flanks. Classes are those of the forward strand: coding exon, donor, intron and acceptor of a
transcript on either strand, and everything else (8). "Exon" is coding sequence without the stop codon; UTRs, and
introns that are not between two coding exons, are 8; donor and acceptor are the first and last base of an intron as
the transcript runs.

What the authors of BEND never published (release, filters, the draw of the flanks) is a choice of ours, and recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from bend_hf.build.counts import Counts
from bend_hf.build.located import locate_chromosomes
from bend_hf.build.readers.annotation import Annotation, Parts, read_annotation
from bend_hf.build.readers.text import read_table
from bend_hf.build.splits import Split, Windows, assign
from bend_hf.build.write import Built, Sources, check_output, declare, write
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS

BIOTYPES = ("", "protein_coding", "mRNA", "gene", "transcript")
STOPS = ("TAA", "TAG", "TGA")
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
EXON, DONOR, INTRON, ACCEPTOR, INTERGENIC = 0, 1, 2, 3, 8


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
        return total[self.first[1:]] - total[self.first[:-1]]

    def spliced(self, transcript: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Return the genome positions of coding bases, counted from each transcript's lower end."""
        before = np.concatenate([[0], np.cumsum(self.end - self.start)])
        at = before[self.first[transcript]] + offset
        part = np.searchsorted(before, at, side="right") - 1
        return self.start[part] + at - before[part]

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


def genes(
    annotation: str | Path,
    genome: str | Path,
    output: str | Path,
    *,
    build: str,
    transcripts: Literal["canonical", "longest"] | str | Path = "canonical",
    flanks: int = 1000,
    flank_left: int | None = None,
    max_length: int = 13_000,
    min_length: int = 1,
    overlapping: Literal["keep", "drop"] = "keep",
    split: Split | None = None,
    aliases: str | Path | None = None,
    skip_absent: bool = False,
    seed: int = 0,
    command: str | None = None,
) -> Path:
    """Write a gene-finding task.

    Args:
        annotation: GTF or GFF3, plain or compressed.
        genome: FASTA of the same build.
        output: Folder to write; its name is the task's.
        build: Name of the genome build, for the record.
        transcripts: ``canonical`` (MANE Select, else the annotation's canonical one, else the longest coding sequence),
            ``longest``, or a table with the column ``transcript_id`` (and, for windows that are known already,
            ``flank_left``).
        flanks: Bases outside the transcript in total; left and right are drawn at random.
        flank_left: Fixed bases on the left; None to draw.
        max_length: Longest window, flanks included.
        min_length: Shortest window.
        overlapping: Keep windows that hold coding sequence of another gene (it is labelled as intergenic, as in BEND),
            or drop them.
        split: How rows are split; homology clusters by default.
        aliases: An assembly report, or a table of chromosome names.
        skip_absent: Leave out features on chromosomes that the genome lacks, instead of an error.
        seed: Of the flanks.
        command: What to record as the command.

    Returns:
        The folder.

    Raises:
        BendError: Anything in the inputs that is not as it should be, or nothing is left.
    """
    output = Path(output)
    check_output(output)
    split = split or Split("homology")
    listed = None if transcripts in ("canonical", "longest") else transcripts
    sources = Sources.of(
        {"annotation": annotation, "genome": genome, "aliases": aliases, "splits": split.file, "transcripts": listed}
    )
    fasta = Genome(genome)
    read = read_annotation(annotation)
    counts = Counts()
    codes = locate_chromosomes(read.path, read.chromosomes, fasta, aliases=aliases, skip=skip_absent)
    given = None if listed is None else _given(Path(listed), read)
    coding, reasons, minus, chromosome = _check(read, fasta, codes, counts)
    chosen = _choose(read, coding, reasons, transcripts, given, counts)
    start, end = _spans(read)
    order = np.lexsort((start[chosen], chromosome[chosen]))
    chosen = chosen[order]
    fits = end[chosen] - start[chosen] + flanks
    long, short = fits > max_length, fits < min_length
    counts.add(f"window longer than max_length {max_length:,}", int(long.sum()))
    counts.add(f"window shorter than min_length {min_length:,}", int(short.sum()))
    chosen = chosen[~long & ~short]
    left = np.random.default_rng(seed).integers(0, flanks + 1, len(chosen))
    if flank_left is not None:
        left[:] = flank_left
    if given is not None:
        known = np.array([given.get(t, -1) for t in chosen.tolist()])
        left = np.where(known >= 0, known, left)
    if (left > flanks).any():
        raise BendError(f"A left flank of {left.max()} is more than the flanks in total ({flanks}).")
    low, high = start[chosen] - left, end[chosen] + flanks - left
    limits = np.array(list(fasta.lengths.values()))[chromosome[chosen]]
    outside = (low < 0) | (high > limits)
    counts.add("window leaves the chromosome", int(outside.sum()))
    crowded = _crowded(read, coding, reasons, chromosome, chosen, low, high)
    counts.add(
        "window holds coding sequence of another gene", int((crowded & ~outside).sum()), dropped=overlapping == "drop"
    )
    kept = ~outside & ~(crowded & (overlapping == "drop"))
    chosen, low, high, left = chosen[kept], low[kept], high[kept], left[kept]
    windows = Windows(chromosome[chosen], low, high, names=tuple(read.transcripts["gene_id"].take(chosen).to_pylist()))
    assigned = assign(split, windows, fasta, counts)
    inside = np.flatnonzero(assigned.names != "")
    chosen, low, high, left = chosen[inside], low[inside], high[inside], left[inside]
    names = np.array(fasta.names, dtype=object)
    table = pa.table(
        {
            "chromosome": pa.array(names[chromosome[chosen]], pa.string()),
            "start": low,
            "end": high,
            "transcript_id": read.transcripts["transcript_id"].take(chosen),
            "strand": pa.array(np.where(minus[chosen], "-", "+")),
            "flank_left": left,
            "flank_right": flanks - left,
            "length": high - low,
            "split": pa.array(assigned.names[inside], pa.string()),
        }
    )
    template = TASKS["gene_finding"]
    task = declare(template, build=build, title=output.name, summary=template.summary, caveats=template.caveats[1:])
    built = Built(
        task=task,
        table=table,
        labels=_labels(coding, chosen, low, high, minus),
        counts=counts,
        choices={
            "transcripts": transcripts if given is None else Path(transcripts).name,
            "biotypes": list(BIOTYPES),
            "stop_codons": list(STOPS),
            "flanks": flanks,
            "flank_left": "at random" if flank_left is None else flank_left,
            "max_length": max_length,
            "min_length": min_length,
            "overlapping": overlapping,
            "seed": seed,
            "split": assigned.facts,
        },
    )
    return write(output, built, sources, command=command)


def _given(path: Path, read: Annotation) -> dict[int, int]:
    """Read a list of transcripts: row of the annotation → its left flank, or −1."""
    lines, table = read_table(path, ["transcript_id"], "transcripts", optional=["flank_left"])
    rows = {name: row for row, name in enumerate(read.transcripts["transcript_id"].to_pylist())}
    flanks = lines.integers(table, "flank_left", empty=-1) if "flank_left" in table.column_names else None
    given: dict[int, int] = {}
    for at, name in enumerate(table["transcript_id"].to_pylist()):
        if name not in rows:
            lines.fail(table, at, "transcript_id", f"is not in {read.path}. Is that the release the list is of?")
        if rows[name] in given:
            lines.fail(table, at, "transcript_id", "is listed twice.")
        given[rows[name]] = -1 if flanks is None else int(flanks[at])
    return given


def _by_transcript(parts: Parts, values: np.ndarray, count: int, largest: bool, empty: int) -> np.ndarray:
    found = np.full(count, empty, np.int64)
    (np.maximum if largest else np.minimum).at(found, parts.transcript, values)
    return found


def _spans(read: Annotation) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of each transcript, over its exons and coding parts: (t,) each."""
    count = len(read.transcripts)
    start, end = np.full(count, 1 << 60), np.full(count, -1)
    for parts in (read.cds, read.exons, read.stops):
        np.minimum.at(start, parts.transcript, parts.start)
        np.maximum.at(end, parts.transcript, parts.end)
    return start, end


def _check(
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
    _, end = _spans(read)
    lengths = np.array(list(genome.lengths.values()))
    beyond = np.flatnonzero((chromosome >= 0) & (end > lengths[chromosome]))
    if len(beyond):
        first = int(beyond[0])
        name = genome.names[chromosome[first]]
        raise BendError(
            f"{read.path}: {len(beyond):,} transcripts end beyond their chromosome in {genome.path} (first: "
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
        "on several chromosomes or strands (trans-spliced)": mixed,
        "trans-spliced or other exception": _flag(read, "exceptional"),
        "read-through": _flag(read, "readthrough"),
        "coding sequence marked as incomplete": _flag(read, "incomplete"),
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


def _flag(read: Annotation, name: str) -> np.ndarray:
    return read.transcripts[name].to_numpy(zero_copy_only=False)


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
    held = (at >= 0) & (exons.transcript[at] == cds.transcript) & (exons.end[at] >= cds.end)
    return held | ~np.isin(cds.transcript, exons.transcript)


def _out_of_phase(raw: Coding, cds: Parts, minus: np.ndarray) -> np.ndarray:
    """Return which coding parts have a phase that the parts before them do not give (a first phase is 0)."""
    width = cds.end - cds.start
    before = np.concatenate([[0], np.cumsum(width)])
    ahead = before[:-1] - before[raw.first[cds.transcript]]
    behind = raw.length[cds.transcript] - ahead - width
    wanted = -np.where(minus[cds.transcript], behind, ahead) % 3
    return (cds.phase >= 0) & (cds.phase != wanted)


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


def _choose(
    read: Annotation,
    coding: Coding,
    good: np.ndarray,
    rule: str | Path,
    given: Mapping[int, int] | None,
    counts: Counts,
) -> np.ndarray:
    """Return one transcript per gene, or those of a given list that are whole."""
    if given is not None:
        listed = np.array(list(given), np.int64)
        counts.add("listed transcripts that cannot be used (see above)", int((~good[listed]).sum()))
        chosen = listed[good[listed]]
    else:
        ids = np.flatnonzero(good)
        gene = np.array(read.transcripts["gene_id"].take(ids).to_pylist(), dtype=object)
        rank = np.where(_flag(read, "mane"), 0, np.where(_flag(read, "canonical"), 1, 2))[ids]
        names = np.array(read.transcripts["transcript_id"].take(ids).to_pylist(), dtype=object)
        order = np.lexsort(
            (names.astype(str), -coding.length[ids], rank if rule == "canonical" else 0 * rank, gene.astype(str))
        )
        first = np.concatenate([[True], gene[order][1:] != gene[order][:-1]]) if len(order) else np.zeros(0, bool)
        chosen = ids[order[first]]
        counts.add("transcripts: another one of the gene was chosen", len(ids) - len(chosen))
    if not len(chosen):
        raise BendError(f"{read.path}: no transcript can be used. Left out: {counts.text()}.")
    return chosen


def _crowded(
    read: Annotation,
    coding: Coding,
    good: np.ndarray,
    chromosome: np.ndarray,
    chosen: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Return which windows hold coding sequence of a gene other than their own: (n,) bool."""
    gene = read.transcripts["gene_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    used = np.flatnonzero(good[coding.transcript])
    place = chromosome[coding.transcript[used]]
    owner = gene[coding.transcript[used]]
    order = np.lexsort((coding.start[used], place))
    key = place[order] << 40 | coding.start[used][order]
    ends = place[order] << 40 | coding.end[used][order]
    reach = np.maximum.accumulate(ends) if len(ends) else ends
    own = owner[order]
    crowded = np.zeros(len(chosen), bool)
    first = np.searchsorted(reach, chromosome[chosen] << 40 | low, side="right")
    last = np.searchsorted(key, chromosome[chosen] << 40 | high, side="left")
    for row, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        foreign = own[a:b] != gene[chosen[row]]
        crowded[row] = (foreign & (ends[a:b] > (chromosome[chosen[row]] << 40 | low[row]))).any()
    return crowded


def _labels(
    coding: Coding, chosen: np.ndarray, low: np.ndarray, high: np.ndarray, minus: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the classes of each window's nucleotides on the forward strand, int8."""
    for transcript, start, end in zip(chosen.tolist(), low.tolist(), high.tolist(), strict=True):
        parts = slice(coding.first[transcript], coding.first[transcript + 1])
        yield classes(coding.start[parts] - start, coding.end[parts] - start, end - start, bool(minus[transcript]))


def classes(starts: np.ndarray, ends: np.ndarray, length: int, minus: bool) -> np.ndarray:
    """Return the nine-class labels of one window.

    Args:
        starts: (n,) first bases of the coding parts in the window, ascending.
        ends: (n,) their ends, exclusive; adjacent parts are one exon.
        length: Bases of the window.
        minus: Whether the transcript runs on the reverse strand.

    Returns:
        (length,) int8 as `bend_hf.tasks` names them.
    """
    shift = 4 if minus else 0
    labels = np.full(length, INTERGENIC, np.int8)
    labels[starts[0] : ends[-1]] = INTRON + shift
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        labels[start:end] = EXON + shift
    gaps = np.flatnonzero(starts[1:] > ends[:-1])
    left, right = (ACCEPTOR, DONOR) if minus else (DONOR, ACCEPTOR)
    labels[ends[gaps]] = left + shift
    labels[starts[gaps + 1] - 1] = right + shift
    return labels
