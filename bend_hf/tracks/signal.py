"""One value for every place of the genome that test windows cover: their mean where windows overlap.

covered = Cover(predictions, places)
covered.mean(values)               # (chromosome, start, end, value), sorted, without overlaps
write_bedgraph(path, name, rows); write_bigwig(path, rows, places.lengths)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from bend_hf.files import atomic
from bend_hf.results.predictions import Predictions
from bend_hf.tracks.places import Places, positions

DIGITS = 4
"""Of probabilities: equal neighbours are written as one."""

Value = tuple[str, int, int, float]
"""Chromosome, start and end (0-based half-open), and what holds there."""


class Cover:
    """The places that windows, bins or nucleotides cover, cut wherever one of them begins or ends."""

    def __init__(self, predictions: Predictions, places: Places) -> None:
        row, start, end = positions(predictions)
        chromosome = predictions.column("chromosome").astype(str)[row]
        self._parts: list[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        for recorded, name in sorted(places.names.items(), key=lambda pair: pair[1]):
            entries = np.flatnonzero(chromosome == recorded)
            edges = np.unique(np.concatenate([start[entries], end[entries]]))
            first, last = (np.searchsorted(edges, ends[entries]) for ends in (start, end))
            depth = _running(first, last, np.ones(len(entries)), len(edges))
            self._parts.append((name, entries, edges, first, last, depth))

    def mean(self, values: np.ndarray, digits: int | None = DIGITS) -> Iterator[Value]:
        """Give the mean of (entries,) values at every place that is covered, rounded to `digits` behind the point."""
        for name, entries, edges, first, last, depth in self._parts:
            total = _running(first, last, values[entries].astype(np.float64), len(edges))
            inside = np.flatnonzero(depth[:-1] > 0)
            mean = total[inside] / depth[inside]
            mean = (mean if digits is None else np.round(mean, digits)).astype(np.float32) + np.float32(0)
            new = np.ones(len(inside), bool)
            new[1:] = (mean[1:] != mean[:-1]) | (edges[inside[1:]] != edges[inside[:-1] + 1])
            begin = np.flatnonzero(new)
            until = np.append(begin[1:], len(inside)) - 1
            for a, b, value in zip(edges[inside[begin]], edges[inside[until] + 1], mean[begin], strict=True):
                yield name, int(a), int(b), float(value)


def _running(first: np.ndarray, last: np.ndarray, values: np.ndarray, edges: int) -> np.ndarray:
    """(edges,) sum of the values of all entries that reach over the piece behind each edge."""
    change = np.bincount(first, values, edges) - np.bincount(last, values, edges)
    return np.cumsum(change)


def write_bedgraph(path: Path, name: str, description: str, rows: Sequence[Value]) -> None:
    """Write values as bedGraph, with a track line for browsers."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'track type=bedGraph name="{_quoted(name)}" description="{_quoted(description)}"\n')
        file.writelines(f"{chromosome}\t{start}\t{end}\t{value:.7g}\n" for chromosome, start, end, value in rows)


def write_bigwig(path: Path, rows: Sequence[Value], lengths: Mapping[str, int]) -> None:
    """Write values as bigWig, float32, by pybigtools."""
    _write_big(path, _named(rows, lengths), iter(rows))


def write_bigbed(path: Path, rows: Sequence[Sequence[object]], lengths: Mapping[str, int]) -> None:
    """Write rows of BED as bigBed, by pybigtools."""
    ordered = sorted(rows, key=lambda row: (row[0], row[1], row[2]))
    entries = ((row[0], row[1], row[2], "\t".join(map(str, row[3:]))) for row in ordered)
    _write_big(path, _named(ordered, lengths), entries)


def _write_big(path: Path, lengths: Mapping[str, int], entries: Iterator[tuple[object, ...]]) -> None:
    import pybigtools

    with atomic(path) as temporary:
        named = temporary.with_name(temporary.name + path.suffix)  # pybigtools goes by the ending
        try:
            pybigtools.open(str(named), "w").write(lengths, entries)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)


def write_bed(path: Path, name: str, description: str, rows: Sequence[Sequence[object]], *, colours: bool) -> None:
    """Write rows as BED, sorted, with a track line for browsers."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        more = ' itemRgb="On"' if colours else ""
        file.write(f'track name="{_quoted(name)}" description="{_quoted(description)}"{more}\n')
        file.writelines("\t".join(map(str, row)) + "\n" for row in sorted(rows, key=lambda row: (row[0], row[1])))


def _named(rows: Sequence[Sequence[object]], lengths: Mapping[str, int]) -> dict[str, int]:
    return {str(name): lengths[str(name)] for name, _ in groupby(rows, key=lambda row: row[0])}


def _quoted(text: str) -> str:
    """Text in one line that ends no quotation."""
    return "".join(character if character.isprintable() else " " for character in text).replace('"', "'")
