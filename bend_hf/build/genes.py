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

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from bend_hf.build.coding import BIOTYPES, STOPS, Coding, coding_sequences, spans
from bend_hf.build.control import Kind, finish_with_controls
from bend_hf.build.counts import Counts
from bend_hf.build.located import locate_chromosomes
from bend_hf.build.nucleotides import labels_of
from bend_hf.build.options import checked
from bend_hf.build.readers.annotation import Annotation, annotation_once
from bend_hf.build.readers.text import read_table
from bend_hf.build.splits import Split, Windows, assigned_once
from bend_hf.build.work import Work, builder
from bend_hf.build.write import Built, declare, write
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS


@builder
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
    controls: Sequence[Kind] = (),
    command: str | None = None,
    verbose: bool = False,
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
        controls: Control tasks to write beside it, as ``<output>_<kind>``: ``permuted``, ``shuffled``, ``matched`` (see
            `bend_hf.build.control`).
        command: What to record as the command.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        The folder.

    Raises:
        BendError: Anything in the inputs that is not as it should be, or nothing is left.
    """
    arguments = checked(locals())  # each decides the rows
    output = Path(output)
    split = split or Split("homology")
    listed = None if transcripts in ("canonical", "longest") else transcripts
    paths = {
        "annotation": annotation,
        "genome": genome,
        "aliases": aliases,
        "splits": split.file,
        "transcripts": listed,
    }
    work = Work.begin(output, paths, arguments, command)
    if work.has_rows():
        return finish_with_controls(work, controls, seed)
    fasta = Genome(genome)
    counts = Counts()
    read = annotation_once(work, Path(annotation), counts)
    codes = locate_chromosomes(read.path, read.chromosomes, fasta, aliases=aliases, skip=skip_absent)
    given = None if listed is None else _given(Path(listed), read)
    coding, reasons, minus, chromosome = coding_sequences(read, fasta, codes, counts)
    chosen = _choose(read, coding, reasons, transcripts, given, counts)
    start, end = spans(read)
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
    assigned = assigned_once(work, split, windows, fasta, counts)
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
        labels=labels_of(coding, chosen, low, high, minus),
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
    write(work, built)
    return finish_with_controls(work, controls, seed)


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
        chosen: np.ndarray = listed[good[listed]]
    else:
        ids = np.flatnonzero(good)
        gene = np.array(read.transcripts["gene_id"].take(ids).to_pylist(), dtype=object)
        rank = np.where(read.flag("mane"), 0, np.where(read.flag("canonical"), 1, 2))[ids]
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
