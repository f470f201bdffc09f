"""Gene calls as GFF3 and as BED with blocks: coding exons joined to transcripts (`bend_hf.results.transcripts`).

GFF3 counts from 1 and includes the last nucleotide; this is the one place that turns to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np

from bend_hf.files import atomic
from bend_hf.results.predictions import Predictions
from bend_hf.results.transcripts import FORWARD, REVERSE, chains
from bend_hf.tracks.places import Places, on_plus_strand, positions

COLOURS = {"+": "31,111,208", "-": "200,85,27"}


@dataclass(frozen=True)
class Transcript:
    """Coding exons of one transcript on the genome, 0-based half-open, in ascending order; `score` is None if true."""

    chromosome: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    scores: tuple[float, ...] | None
    name: str
    window: int

    @property
    def score(self) -> float | None:
        """Mean over the coding nucleotides; None for what is true."""
        if self.scores is None:
            return None
        sizes = [end - start for start, end in self.exons]
        return float(np.average(self.scores, weights=sizes))


def transcripts(predictions: Predictions, places: Places, *, true: bool) -> list[Transcript]:
    """Return the transcripts of all windows, by window: those called (the most probable classes) or the true ones.

    The score of a called exon is the mean probability of its exon class over its nucleotides.
    """
    forward = on_plus_strand(predictions)
    offsets = np.concatenate([[0], np.cumsum(forward.lengths)])
    found = chains(forward.labels if true else forward.scores.argmax(axis=1), offsets)
    _, start, end = positions(forward)
    chromosomes = forward.column("chromosome").astype(str)
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(forward.scores[:, [FORWARD[0], REVERSE[0]]], 0, np.float64)])
    known = "transcript_id" in forward.table.column_names
    names = forward.column("transcript_id").astype(str) if known else None
    result = []
    borders = np.flatnonzero(np.diff(found.transcript, prepend=-1, append=-1))
    for a, b in pairwise(borders):
        row, reverse = int(found.row[a]), int(found.reverse[a])
        exons = [(int(first), int(last)) for first, last in zip(found.start[a:b], found.end[a:b], strict=True)]
        means = tuple(float(sums[last, reverse] - sums[first, reverse]) / (last - first) for first, last in exons)
        result.append(
            Transcript(
                chromosome=places.names[chromosomes[row]],
                strand="+-"[reverse],
                exons=tuple((int(start[first]), int(end[last - 1])) for first, last in exons),
                scores=None if true else means,
                name=names[row] if true and names is not None else "",
                window=row,
            )
        )
    return sorted(result, key=lambda each: (each.window, each.exons[0]))


def write_gff3(path: Path, comments: Sequence[str], found: Sequence[Transcript], places: Places) -> None:
    """Write transcripts as GFF3: an mRNA each, and its coding exons (CDS) with their phase."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write("##gff-version 3\n")
        for name in sorted({each.chromosome for each in found}):
            if places.lengths is not None:
                file.write(f"##sequence-region {name} 1 {places.lengths[name]}\n")
        file.writelines(f"# {line}\n" for line in comments)
        for line in _gff3(found):
            file.write("\t".join(line) + "\n")


def _gff3(found: Sequence[Transcript]) -> Iterator[tuple[str, ...]]:
    for number, each in enumerate(found):
        own = f"window{each.window}.t{number}"
        start, end = each.exons[0][0], each.exons[-1][1]
        name = f";Name={quote(each.name, safe=' .:_-')}" if each.name else ""
        more = f"ID={own};window={each.window}{name}"
        yield each.chromosome, "bend_hf", "mRNA", str(start + 1), str(end), _score(each.score), each.strand, ".", more
        scores = each.scores or (None,) * len(each.exons)
        for (first, last), score, phase in zip(each.exons, scores, phases(each), strict=True):
            place = (str(first + 1), str(last))
            more = f"ID={own}.cds;Parent={own}"
            yield each.chromosome, "bend_hf", "CDS", *place, _score(score), each.strand, str(phase), more


def phases(each: Transcript) -> list[int]:
    """Nucleotides of every exon before its first whole codon, counted from the transcript's first coding nucleotide."""
    sizes = [end - start for start, end in each.exons]
    if each.strand == "-":
        sizes.reverse()
    before = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    found = [int(-n % 3) for n in before]
    return found[::-1] if each.strand == "-" else found


def _score(score: float | None) -> str:
    return "." if score is None else f"{score:.4f}"


def bed12(found: Sequence[Transcript]) -> list[tuple[object, ...]]:
    """Rows of BED with blocks, one per transcript; the score is a thousand times the mean probability."""
    rows: list[tuple[object, ...]] = []
    for number, each in enumerate(found):
        start, end = each.exons[0][0], each.exons[-1][1]
        sizes = ",".join(str(last - first) for first, last in each.exons)
        starts = ",".join(str(first - start) for first, _ in each.exons)
        score = 0 if each.score is None else round(1000 * each.score)
        name = "".join(c if c.isprintable() and not c.isspace() else "_" for c in each.name) or f"t{number}"
        colour = COLOURS[each.strand]
        blocks = (len(each.exons), sizes, starts)
        rows.append((each.chromosome, start, end, name, score, each.strand, start, end, colour, *blocks))
    return rows
