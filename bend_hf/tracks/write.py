"""Write the predictions of results as tracks: one folder per result, and what opens them in IGV and at UCSC.

    written = write_tracks(read_results("bend-results"), "tracks")

What is written for which task, how overlapping windows are joined and what is called: docs/tracks.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from bend_hf.checks import output_folder
from bend_hf.console import log
from bend_hf.errors import BendError
from bend_hf.results.predictions import Predictions
from bend_hf.results.record import Result, read_predictions, slug
from bend_hf.results.transcripts import has_genes
from bend_hf.tracks.browsers import Track, write_hub, write_session
from bend_hf.tracks.genes import bed12, transcripts, write_gff3
from bend_hf.tracks.peaks import THRESHOLD, peaks, segments
from bend_hf.tracks.places import Places, on_plus_strand, places_of
from bend_hf.tracks.signal import DIGITS, Cover, write_bed, write_bedgraph, write_bigbed, write_bigwig
from bend_hf.tracks.variants import bed_rows, write_vcf

TOY = "TOY DATA: says nothing about a model's worth"
KINDS = ("called", "true")


def write_tracks(
    results: Sequence[Result], folder: str | os.PathLike[str], genome: str | os.PathLike[str] | None = None
) -> list[Path]:
    """Write the predictions of results as tracks.

    Args:
        results: Read from their files, their predictions beside them. Failed ones are left out with a warning.
        folder: Where to write; files there of the same names are replaced.
        genome: FASTA of a genome that is not a whole GRCh38 or GRCh37. Without, its bigWig and bigBed files, sessions
            and hubs are left out, which a warning says.

    Returns:
        The files written, the sessions and hubs last.

    Raises:
        BendError: There is nothing to write, a result has no predictions, or the genome is another than a record's.
    """
    if not isinstance(results, Sequence) or not all(isinstance(result, Result) for result in results):
        raise BendError(f"{results!r} are no results: read them with read_results.")
    scored = [result for result in results if result.failure is None]
    for result in results:
        if result.failure is not None:
            log.warning("%s on %s failed, and has no tracks.", result.label, result.task)
    if not scored:
        raise BendError("No result has predictions to write as tracks.")
    read = [(result, read_predictions(result)) for result in scored]
    placed = [(result, predictions, places_of(result, predictions, genome)) for result, predictions in read]
    binary = _binary(placed)
    target = output_folder(folder)
    made: dict[str, tuple[tuple[str, int, int], str | None, list[Track]]] = {}
    written = []
    for result, predictions, places in placed:
        below = target / slug(result.model) / result.name
        tracks = _of_result(result, predictions, places, below, binary)
        written += [track.path for track in tracks]
        name = places.assembly or (str(places.fasta) if places.fasta else None)
        if binary and name is not None and places.lengths is not None:
            made.setdefault(name, (_locus(predictions, places), places.assembly, []))[2].extend(tracks)
    for number, (name, (locus, assembly, tracks)) in enumerate(made.items()):
        own = assembly or f"genome{number + 1}"
        session = target / f"igv_session.{own}.xml"
        write_session(session, name, locus, tracks)
        written.append(session)
        if assembly is not None:
            hub = target / f"hub.{assembly}.txt"
            write_hub(hub, assembly, tracks)
            written.append(hub)
    return written


def _binary(placed: Sequence[tuple[Result, Predictions, Places]]) -> bool:
    """Whether bigWig and bigBed can be written; a warning says why not."""
    if find_spec("pybigtools") is None:
        log.warning("bigWig, bigBed, sessions and hubs are left out: pip install 'bend_hf[build]' for pybigtools.")
        return False
    unknown = [f"{result.label} on {result.task}" for result, _, places in placed if places.lengths is None]
    if unknown:
        log.warning(
            "bigWig, bigBed, sessions and hubs are left out where nothing tells how long the chromosomes are; give the "
            "FASTA with genome= (--genome). So it is for %s.",
            ", ".join(unknown),
        )
    return True


def _locus(predictions: Predictions, places: Places) -> tuple[str, int, int]:
    """The first test row, or 500 bp about the first variant."""
    start = int(predictions.column("start")[0])
    name = places.names[str(predictions.column("chromosome")[0])]
    if predictions.task.kind.variants:
        return name, max(start - 250, 0), start + 250
    return name, start, int(predictions.column("end")[0])


def _of_result(result: Result, predictions: Predictions, places: Places, below: Path, binary: bool) -> list[Track]:
    """Write the files of one result."""
    seed = "" if result.seed is None else f" seed {result.seed}"
    text = f"{f'{TOY}; ' if result.toy else ''}{result.label}{seed}, {result.task}"
    title = "".join(character if character.isprintable() else " " for character in text)
    big = places.lengths if binary else None
    if predictions.task.kind.variants:
        return _variants(predictions, places, below, title, big)
    predictions = on_plus_strand(predictions)
    cover = Cover(predictions, places)
    tracks = _signals(predictions, cover, below, title, big)
    if has_genes(predictions.task):
        return tracks + _genes(predictions, places, below, title, big)
    return tracks + _stretches(predictions, cover, places, below, title, big)


Lengths = Mapping[str, int] | None


def _variants(predictions: Predictions, places: Places, below: Path, title: str, big: Lengths) -> list[Track]:
    vcf, bed = below / "variants.vcf", below / "variants.bed"
    write_vcf(vcf, predictions, places, [title])
    rows = bed_rows(predictions, places)
    write_bed(bed, title, f"{title}: score as share of variants that score no higher", rows, colours=True)
    tracks = [Track(vcf, title, None, igv=False), Track(bed, title, None, igv=True)]
    if big is not None:
        write_bigbed(bed.with_suffix(".bb"), rows, big)
        tracks.append(Track(bed.with_suffix(".bb"), title, "bigBed 9 +", igv=False))
    return tracks


def _signals(predictions: Predictions, cover: Cover, below: Path, title: str, big: Lengths) -> list[Track]:
    """Write a track of values for every label or class."""
    task = predictions.task
    several = task.kind.classes or task.kind.label_columns(task) > 1
    names = task.label_names if several else ("score",)
    probabilities = task.kind.values(task) is not None
    tracks = []
    for name, values in zip(names, predictions.scores.reshape(-1, len(names)).T, strict=True):
        path = below / f"{slug(name)}.bedgraph"
        rows = list(cover.mean(values, DIGITS if probabilities else None))
        own = f"{title}: {name}" if several else title
        write_bedgraph(path, own, f"{own}, mean of the windows there", rows)
        tracks.append(Track(path, own, None, igv=big is None))
        if big is not None:
            write_bigwig(path.with_suffix(".bw"), rows, big)
            tracks.append(Track(path.with_suffix(".bw"), own, "bigWig 0 1" if probabilities else "bigWig", igv=True))
    return tracks


def _genes(predictions: Predictions, places: Places, below: Path, title: str, big: Lengths) -> list[Track]:
    tracks = []
    for kind in KINDS:
        found = transcripts(predictions, places, true=kind == "true")
        own, path = f"{title}: {kind} genes", below / f"{kind}.gff3"
        comments = [
            own,
            "CDS: coding exons only. Phases are counted from the first coding nucleotide of each transcript.",
        ]
        write_gff3(path, comments, found, places)
        tracks.append(Track(path, own, None, igv=True))
        rows = bed12(found)
        write_bed(path.with_suffix(".bed"), own, own, rows, colours=True)
        tracks.append(Track(path.with_suffix(".bed"), own, None, igv=False))
        if big is not None and rows:
            write_bigbed(path.with_suffix(".bb"), rows, big)
            tracks.append(Track(path.with_suffix(".bb"), own, "bigBed 12", igv=False))
    return tracks


def _stretches(
    predictions: Predictions, cover: Cover, places: Places, below: Path, title: str, big: Lengths
) -> list[Track]:
    """Write where labels are called and true; tasks of values have no such places."""
    task = predictions.task
    if task.kind.values(task) is None:
        return []
    tracks = []
    names = task.label_names if task.kind.label_columns(task) > 1 else (task.name,)
    for kind in KINDS:
        true = kind == "true"
        classes = task.kind.classes
        found = segments(predictions, places, true=true) if classes else peaks(predictions, cover, names, true=true)
        rows = [(*row[:3], "_".join(row[3].split()), *row[4:]) for row in found]
        own, path = f"{title}: {kind}", below / f"{kind}.bed"
        how = f" (mean probability of at least {THRESHOLD:g})" if not (true or classes) else ""
        write_bed(path, own, own + how, rows, colours=False)
        tracks.append(Track(path, own, None, igv=True))
        if big is not None and rows:
            write_bigbed(path.with_suffix(".bb"), rows, big)
            tracks.append(Track(path.with_suffix(".bb"), own, "bigBed 6", igv=False))
    return tracks
