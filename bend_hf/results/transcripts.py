"""Genes in labels by nucleotide: chains of coding exons, and how many of them are called exactly.

    chains(classes, offsets)                 # the exons of gene finding's nine classes, joined to transcripts
    structures(predictions)["exon"]["f1"]    # also "intron_chain" and "transcript"; precision, recall, their intervals

How classes are read, on each strand by itself: an exon is a run of the exon class; an intron is a run of donor, intron
and acceptor with an exon at both of its ends; exons joined by introns are one transcript. Labels of BEND give back the
coding parts of the annotated transcript. A run of intron classes without an exon at one end joins nothing.

What counts as right is what the field counts (Burset and Guigó 1996, 10.1006/geno.1996.0298; Keibler and Brent 2003,
10.1186/1471-2105-4-50): an exon both ends of which are right; the introns of a transcript, all of them and no others,
where it has any; a transcript all of whose exons are right and that has no others. Coding sequence only: BEND labels
no untranslated exons. Each window is counted by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bend_hf.results.clusters import FEWEST, clusters, effective, weights
from bend_hf.results.predictions import Predictions
from bend_hf.results.statistics import interval, standard_error
from bend_hf.tasks import TASKS, Task

LEVELS = ("exon", "intron_chain", "transcript")
VALUES = ("precision", "recall", "f1")
FORWARD, REVERSE = (0, 1, 2, 3), (4, 5, 6, 7)
"""Classes of exon, donor, intron and acceptor on the two strands."""


@dataclass(frozen=True)
class Chains:
    """Coding exons, sorted by strand and start, each with the transcript it belongs to.

    Attributes:
        start: (exons,) int64, first nucleotide, counted through all windows.
        end: (exons,) int64, behind the last one.
        row: (exons,) int64, the window.
        reverse: (exons,) bool, whether its classes are those of the reverse strand.
        transcript: (exons,) int64, from 0, ascending.
    """

    start: np.ndarray
    end: np.ndarray
    row: np.ndarray
    reverse: np.ndarray
    transcript: np.ndarray


def has_genes(task: Task) -> bool:
    """Whether a task's labels are gene finding's nine classes."""
    genes = TASKS["gene_finding"]
    return task.kind is genes.kind and task.label_names == genes.label_names


def chains(classes: np.ndarray, offsets: np.ndarray) -> Chains:
    """Read classes as exons and transcripts.

    Args:
        classes: (nucleotides,) integers 0 to 8, of all windows one after another.
        offsets: (windows + 1,) where each window begins.
    """
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    found = [_of_strand(classes, row, *strand) for strand in (FORWARD, REVERSE)]
    joined = {name: [strand[name] for strand in found] for name in found[0]}
    count = int(joined["transcript"][0].max(initial=-1)) + 1
    joined["transcript"][1] = joined["transcript"][1] + count
    reverse = np.repeat([False, True], [len(starts) for starts in joined["start"]])
    return Chains(reverse=reverse, **{name: np.concatenate(parts) for name, parts in joined.items()})


def _of_strand(
    classes: np.ndarray, row: np.ndarray, exon: int, donor: int, intron: int, acceptor: int
) -> dict[str, np.ndarray]:
    role = np.select([classes == exon, np.isin(classes, (donor, intron, acceptor))], [1, 2], 0)
    border = np.flatnonzero((np.diff(role) != 0) | (np.diff(row) != 0)) + 1
    first = np.concatenate([[0], border]).astype(np.int64) if len(classes) else np.empty(0, np.int64)
    last = np.append(border, len(classes)) if len(classes) else first
    role, row = role[first], row[first]
    exons = np.flatnonzero(role == 1)
    # Two exons are joined where one run lies between them, and it is an intron of the same window.
    joined = (np.diff(exons) == 2) & (role[exons[1:] - 1] == 2)
    joined &= (row[exons[:-1]] == row[exons[1:]]) & (row[exons[1:] - 1] == row[exons[1:]])
    transcript = np.cumsum(np.concatenate([[0], ~joined]))[: len(exons)].astype(np.int64)
    return {"start": first[exons], "end": last[exons], "row": row[exons], "transcript": transcript}


def structures(
    predictions: Predictions, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, dict[str, Any]]:
    """Count exons, intron chains and transcripts that are called exactly.

    Intervals resample the clusters that the headline's do (`bend_hf.results.clusters`); there is none with fewer than
    five effective clusters of what a value is a share of, nor for a value of 0 or 1.

    Args:
        predictions: Of a task with gene finding's classes (`has_genes`).
        resamples: Bootstrap resamples.
        seed: Of the resampling.
        level: Of the intervals.

    Returns:
        By level of `LEVELS`: ``true``, ``called`` and ``matched`` (counts), and `VALUES`, each with its
        ``…_interval``; None where nothing is there to divide by.
    """
    offsets = np.concatenate([[0], np.cumsum(predictions.lengths)])
    true = chains(predictions.labels, offsets)
    called = chains(predictions.scores.argmax(axis=1), offsets)
    found = clusters(predictions)
    drawn = weights(found.count, resamples, seed)
    structured = {}
    for name, counted in _counts(true, called, len(predictions)).items():
        by_cluster = np.stack([np.bincount(found.of_row, counts, found.count) for counts in counted])
        structured[name] = _values(by_cluster, drawn, level, known=found.lack is None)
    return structured


def _counts(true: Chains, called: Chains, rows: int) -> dict[str, np.ndarray]:
    """By level (3, rows): how many are true, called, and both."""
    parts = {"exon": _exons, "intron_chain": _introns, "transcript": _transcripts}
    return {name: _matches(of(true), of(called), rows) for name, of in parts.items()}


Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Keys of the parts of things, the thing each belongs to (ascending), and the window it lies in."""


def _exons(chain: Chains) -> Parts:
    return _keys(chain.start, chain.end, chain.reverse), np.arange(len(chain.start)), chain.row


def _transcripts(chain: Chains) -> Parts:
    return _keys(chain.start, chain.end, chain.reverse), chain.transcript, chain.row


def _introns(chain: Chains) -> Parts:
    inside = np.flatnonzero(chain.transcript[1:] == chain.transcript[:-1])
    keys = _keys(chain.end[inside], chain.start[inside + 1], chain.reverse[inside])
    return keys, chain.transcript[inside], chain.row[inside]


def _keys(start: np.ndarray, end: np.ndarray, reverse: np.ndarray) -> np.ndarray:
    """(parts,) one integer for ends and strand; no two parts of one strand share a start."""
    keys: np.ndarray = ((start.astype(np.int64) << 31) + (end - start)) * 2 + reverse
    return keys


def _matches(true: Parts, called: Parts, rows: int) -> np.ndarray:
    """(3, rows) things that are true, called, and both: those whose parts are all the same."""
    names, first, size = np.unique(true[1], return_index=True, return_counts=True)
    of_called, first_called, size_called = np.unique(called[1], return_index=True, return_counts=True)
    whole = np.zeros(len(of_called), bool)
    if len(names) and len(of_called):
        order = np.argsort(true[0])
        place = order[np.minimum(np.searchsorted(true[0], called[0], sorter=order), len(order) - 1)]
        thing = np.searchsorted(names, true[1][place])
        group = np.searchsorted(of_called, called[1])
        head = thing[first_called]
        agree = np.bincount(group, (true[0][place] == called[0]) & (thing == head[group]))
        whole = (agree == size_called) & (size[head] == size_called)
    counted = (true[2][first], called[2][first_called], called[2][first_called][whole])
    return np.stack([np.bincount(row, minlength=rows) for row in counted])


def _values(counts: np.ndarray, drawn: np.ndarray, level: float, *, known: bool) -> dict[str, Any]:
    """Precision, recall and F1 of (3, clusters) counts, with intervals from (resamples, clusters) weights."""
    true, called, matched = counts
    found: dict[str, Any] = {
        name: int(each.sum()) for name, each in zip(("true", "called", "matched"), counts, strict=True)
    }
    for name, above, below in zip(VALUES, (matched, matched, 2 * matched), (called, true, true + called), strict=True):
        value = float(above.sum() / below.sum()) if below.sum() else None
        found[name] = value
        freedom = effective(below) - 1
        ends = None
        if known and value is not None and freedom + 1 >= FEWEST:
            resampled = (drawn @ above) / (drawn @ below)
            ends = interval("macro_f1", value, standard_error(resampled, freedom), freedom, level)
        found[f"{name}_interval"] = ends
    return found
