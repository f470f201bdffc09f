"""Where predictions lie on a genome: the chromosomes as a browser names them, their lengths, and its own assembly.

places = places_of(result, predictions, genome=None)
places.names["1"], places.lengths, places.assembly      # "chr1", {"chr1": 249250621, …}, "hg19"

Lengths are known for a whole genome of GRCh38 or GRCh37 (the record says how that was told) and for tasks that declare
them. For a slice, the toy data and other genomes the FASTA tells, which has to be the one of the record.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bend_hf.data.builds import ALIASES, LENGTHS, canonical, pinned
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.files import content_digest
from bend_hf.results.predictions import Predictions
from bend_hf.results.record import Result

ASSEMBLIES = {build: name for name, build in ALIASES.items()}
"""Genome build → its name at UCSC and in IGV."""


@dataclass(frozen=True)
class Places:
    """Chromosomes of predictions.

    Attributes:
        names: As recorded → as written.
        lengths: As written → length in bp; None where nothing tells.
        assembly: Name of the genome at UCSC and in IGV, where it is one of theirs, chromosome by chromosome.
        fasta: The genome's file, where it was given and is none of theirs.
    """

    names: Mapping[str, str]
    lengths: Mapping[str, int] | None
    assembly: str | None
    fasta: Path | None


def places_of(result: Result, predictions: Predictions, genome: str | os.PathLike[str] | None = None) -> Places:
    """Find out where the predictions of a record lie.

    Args:
        result: The record.
        predictions: Its predictions.
        genome: FASTA that the record was made on; None where none is needed or at hand.

    Raises:
        BendError: The FASTA is another than the record's, or a chromosome or window does not lie on the genome.
    """
    made = result.provenance.get("files") or {}
    build = canonical(made.get("build") or predictions.task.build)
    whole = made.get("build_known") == "lengths"
    lengths: dict[str, int] = {}
    assembly = ASSEMBLIES.get(build) if whole and predictions.task.chromosomes is None else None
    if assembly is not None:
        lengths = {f"chr{name}": length for name, length in LENGTHS[build].items()}
    elif whole and predictions.task.chromosomes is not None:
        lengths = dict(predictions.task.chromosomes)
    fasta = None if genome is None else pinned(genome)
    if fasta is not None:
        opened = Genome(fasta)
        if made.get("genome") not in (None, content_digest(fasta)):
            raise BendError(
                f"{fasta} is not the genome that {result.label} was evaluated with on {result.task} (its digest "
                "differs). Give that file, or leave genome= (--genome) out."
            )
        plain = {_plain(name) for name in lengths}
        lengths |= {name: length for name, length in opened.lengths.items() if _plain(name) not in plain}
    written = {_plain(name): name for name in lengths}
    recorded = dict.fromkeys(predictions.column("chromosome").astype(str).tolist())
    names = {name: written.get(_plain(name), name) if lengths else name for name in recorded}
    if lengths:
        _check(predictions, names, lengths, build)
    return Places(names, lengths or None, assembly, fasta if assembly is None else None)


def _check(predictions: Predictions, names: Mapping[str, str], lengths: Mapping[str, int], build: str) -> None:
    """Refuse windows that do not lie on the genome."""
    last = "end" if "end" in predictions.table.column_names else "start"
    for name, end in zip(predictions.column("chromosome").astype(str), predictions.column(last), strict=True):
        if names[name] not in lengths:
            raise BendError(
                f"{predictions.task.name}: nothing tells how long {name} of {build} is. Give its FASTA with genome= "
                "(--genome)."
            )
        if end + (last == "start") > lengths[names[name]]:
            raise BendError(
                f"{predictions.task.name}: a row ends at {int(end):,} on {name}, which has {lengths[names[name]]:,} bp:"
                " the results were made on another genome. Give its FASTA with genome= (--genome)."
            )


def _plain(name: str) -> str:
    return name.removeprefix("chr")


def positions(predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(entries,) row, start and end of every label entry (window, bin or nucleotide), 0-based half-open.

    A window read on the other strand has its entries back to front.
    """
    task = predictions.task
    row = np.repeat(np.arange(len(predictions)), predictions.lengths)
    start = predictions.column("start").astype(np.int64)[row]
    if task.kind.per_row(task) is not None:
        return row, start, predictions.column("end").astype(np.int64)[row]
    piece = np.arange(len(row)) - (np.cumsum(predictions.lengths) - predictions.lengths)[row]
    if task.stranded:
        piece = np.where(minus(predictions)[row], predictions.lengths[row] - 1 - piece, piece)
    size = task.bin_size or 1
    start = start + piece * size
    return row, start, start + size


def minus(predictions: Predictions) -> np.ndarray:
    """(rows,) whether a window was read on the reverse strand."""
    if not predictions.task.stranded:
        return np.zeros(len(predictions), bool)
    return np.asarray(predictions.column("strand") == "-")


def on_plus_strand(predictions: Predictions) -> Predictions:
    """Turn windows by nucleotide that were read on the reverse strand back to the forward one: order and classes."""
    import pyarrow as pa

    task = predictions.task
    turned = minus(predictions)
    if task.turned_labels is None or not turned.any():
        return predictions
    offsets = np.concatenate([[0], np.cumsum(predictions.lengths)])
    other = np.array([task.label_names.index(name) for name in task.turned_labels])
    labels, scores = predictions.labels.copy(), predictions.scores.copy()
    for k in np.flatnonzero(turned):
        inside = slice(offsets[k], offsets[k + 1])
        labels[inside] = other[labels[inside]][::-1]
        scores[inside] = scores[inside][::-1, other]
    table = predictions.table
    strand = pa.array(["+"] * len(predictions))
    table = table.set_column(table.column_names.index("strand"), "strand", strand)
    for name, values, each in (("labels", labels, 1), ("scores", scores.reshape(-1), len(task.label_names))):
        lists = pa.LargeListArray.from_arrays(pa.array(offsets * each), pa.array(values))
        table = table.set_column(table.column_names.index(name), name, lists)
    return Predictions(task, table)
