"""Scores of parts of a test set: per chromosome, strand and consequence, and by distance to a splice site or TSS.

    for title, parts in breakdowns(predictions).items():
        for part in parts:
            part.name, part.score       # None: too few positives or negatives for a number

A part with fewer than ten positives or negatives has no score: it would be read as a finding and is noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bend_hf.resources import load_module
from bend_hf.results.chance import chance, expected_average_precision
from bend_hf.results.predictions import Predictions

TOO_FEW = 10
"""Fewest positives, and negatives, for the score of a part or a label to be shown as a number."""
SPLICE_SITES = (1, 3, 5, 7)
"""Classes of gene finding that are the first or last nucleotide of an intron."""
SPLICE_EDGES = (0, 1, 11, 101, 1001)
TSS_EDGES = (0, 1_000, 5_000, 10_000, 25_000)


@dataclass(frozen=True)
class Part:
    """A part of a test set.

    Attributes:
        name: Of the part.
        rows: Test rows in it (positions or bins where the part is made of those).
        positives: Positives in it; for several labels, labels scored; None for classes.
        score: The task's metric on it; None where there are too few.
        chance: What no knowledge scores there.
    """

    name: str
    rows: int
    positives: int | None
    score: float | None
    chance: float


def breakdowns(predictions: Predictions) -> dict[str, list[Part]]:
    """Return the parts by title; a division with a single part is left out."""
    found = {}
    task = predictions.task
    for column in ("chromosome", "strand", "consequence"):
        if column in predictions.table.column_names and not task.folds:
            found[column] = _by_row(predictions, predictions.column(column).astype(str))
    if task.name in BY_POSITION:
        title, divide = BY_POSITION[task.name]
        found[title] = divide(predictions)
    return {title: parts for title, parts in found.items() if len(parts) > 1}


def _by_row(predictions: Predictions, names: np.ndarray) -> list[Part]:
    return [
        _part(name, int((names == name).sum()), Predictions(predictions.task, predictions.table.filter(names == name)))
        for name in sorted(set(names), key=_natural)
    ]


def _natural(name: str) -> tuple[str, int, str]:
    """Chromosomes in their usual order: chr2 before chr10."""
    digits = name.removeprefix("chr")
    return ("", int(digits), "") if digits.isdigit() else ("~", 0, name)


def _part(name: str, rows: int, part: Predictions) -> Part:
    labels, scores = part.labels, part.scores
    if not part.task.kind.binary(part.task):
        value = part.task.kind.score(part.task, labels, scores)[part.task.metric] if len(labels) >= TOO_FEW else None
        return Part(name, rows, None, value, chance(part).value)
    positives = labels.sum(axis=0, dtype=np.int64)
    enough = np.minimum(positives, len(labels) - positives) >= TOO_FEW
    if labels.ndim == 1:
        value = part.task.kind.score(part.task, labels, scores)[part.task.metric] if enough else None
        return Part(name, rows, int(positives), value, chance(part).value)
    auroc = load_module("metrics", "auroc").auroc
    value = auroc(labels[:, enough], scores[:, enough])["auroc"] if enough.any() else None
    return Part(name, rows, int(enough.sum()), value, 0.5)


def _mcc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """MCC of some classes; None below `TOO_FEW` of them."""
    if len(labels) < TOO_FEW:
        return None
    module = load_module("metrics", "mcc")
    confusion = module.confusion_matrix(labels, scores.argmax(axis=1), scores.shape[1])
    return float(module.scores_from_confusion(confusion)["mcc"])


def splice_distances(predictions: Predictions) -> np.ndarray:
    """Distance of every nucleotide to the nearest donor or acceptor of its window, in bp; -1 in windows without one."""
    labels, lengths = predictions.labels, predictions.lengths
    row = np.repeat(np.arange(len(lengths)), lengths)
    sites = np.flatnonzero(np.isin(labels, SPLICE_SITES))
    if not len(sites):
        return np.full(len(labels), -1)
    position = np.arange(len(labels))
    after = np.searchsorted(sites, position)
    far = len(labels) + 1
    distance = np.full(len(labels), far)
    for index in (np.maximum(after - 1, 0), np.minimum(after, len(sites) - 1)):
        site = sites[index]
        distance = np.where(row[site] == row, np.minimum(distance, np.abs(site - position)), distance)
    return np.where(distance == far, -1, distance)


def _by_splice_site(predictions: Predictions) -> list[Part]:
    distance = splice_distances(predictions)
    names = ("at the site", "1–10 bp", "11–100 bp", "101–1,000 bp", "over 1,000 bp", "window without one")
    group = np.where(distance < 0, len(names) - 1, np.searchsorted(SPLICE_EDGES, distance, side="right") - 1)
    parts = []
    for k, name in enumerate(names):
        inside = group == k
        if inside.any():
            value = _mcc(predictions.labels[inside], predictions.scores[inside])
            parts.append(Part(name, int(inside.sum()), None, value, 0.0))
    return parts


def _by_start(predictions: Predictions) -> list[Part]:
    """Mean over folds that have a positive there of the AUPRC of bins by distance of their centre to the window's."""
    lengths = predictions.lengths
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    distance = np.abs(within + 0.5 - np.repeat(lengths, lengths) / 2) * (predictions.task.bin_size or 1)
    group = np.searchsorted(TSS_EDGES, distance, side="right") - 1
    fold = np.repeat(predictions.column("part"), lengths)
    average_precision = load_module("metrics", "auprc").average_precision
    names = ("under 1 kb", "1–5 kb", "5–10 kb", "10–25 kb", "over 25 kb")
    parts = []
    for k, name in enumerate(names):
        inside = group == k
        positives = int(predictions.labels[inside].sum())
        each = [inside & (fold == part) for part in np.unique(fold)]
        each = [chosen for chosen in each if predictions.labels[chosen].any()]
        value = None
        if positives >= TOO_FEW:
            value = float(np.mean([average_precision(predictions.labels[c], predictions.scores[c]) for c in each]))
        expected = [expected_average_precision(int(c.sum()), int(predictions.labels[c].sum())) for c in each]
        level = float(np.mean(expected)) if expected else 0.0
        parts.append(Part(name, int(inside.sum()), positives, value, level))
    return parts


BY_POSITION: dict[str, tuple[str, Callable[[Predictions], list[Part]]]] = {
    "gene_finding": ("distance to the nearest splice site", _by_splice_site),
    "enhancer_annotation": ("distance to the gene's start", _by_start),
}
"""Task → what else its positions are divided by, and how."""
