"""What k-mer frequencies alone reach on a task: least squares on counts, a lower bound that costs seconds.

This is a warning sign, not the composition baseline (`bend_hf.train.composition`, logistic regression), whose scores
are comparable with models'. Windows are described by the frequencies of their 4-mers, bins and nucleotides by those of
the 3-mers in two windows around them, as there; a ridge regression on at most
20,000 labels predicts at most 20,000 others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from bend_hf.data.genome import Genome
from bend_hf.data.sources import TaskFiles
from bend_hf.metric import METRICS

LABELS = 20_000
PERMUTATIONS = 20
SOLVED = 0.5
"""From this share of the way from chance to perfect on, composition has more of the scale than it leaves to models."""

PENALTY = 1e-3  # of the mean diagonal
_CODES = np.full(256, 4, np.int64)
_CODES[np.frombuffer(b"ACGT", np.uint8)] = [0, 1, 2, 3]


def composition_score(
    files: TaskFiles, tables: dict[str, pa.Table], genome: Genome, *, seed: int = 0
) -> dict[str, Any] | None:
    """Fit on training rows and score on test rows; None for tasks that have no two splits, or no defined score.

    Args:
        files: The task's files.
        tables: Validated rows by split.
        genome: The genome.
        seed: Of the samples.

    Returns:
        ``metric``, ``value``, ``on`` (the split that was predicted), ``labels`` (how many were), ``chance`` (the
        metric's, else the mean over permuted predictions) and ``share``: how far the value is from chance (0) to
        perfect (1).
    """
    task = files.task
    if task.recipe is None or len(tables) < 2:
        return None
    names = list(tables)
    if task.folds:
        held_out, kept = names[len(names) // 2 :], names[: len(names) // 2]
    else:
        held_out, kept = [name for name in names if name == "test"], [name for name in names if name == "train"]
    if not (held_out and kept):
        return None
    random = np.random.default_rng(seed)
    train, test = (pa.concat_tables([tables[name] for name in chosen]) for chosen in (kept, held_out))
    features, labels = _examples(files, train, genome, random)
    others, wanted = _examples(files, test, genome, random)
    classes = task.kind.classes
    targets = np.eye(len(task.label_names))[labels] if classes else labels.reshape(len(labels), -1)
    mean, deviation = features.mean(0), features.std(0)
    deviation[features.min(0) == features.max(0)] = 1  # whatever rounding leaves of their deviation
    inputs = (features - mean) / deviation
    gram = inputs.T @ inputs
    penalty = PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram + penalty, inputs.T @ (targets - targets.mean(0)))
    predicted = (others - mean) / deviation @ weights + targets.mean(0)
    scores = predicted.argmax(1) if classes else predicted.reshape(wanted.shape)
    value = task.kind.score(task, wanted, scores)[task.metric]
    if value is None:
        return None
    level = METRICS[task.metric].chance
    if level is None:
        orders = [random.permutation(len(scores)) for _ in range(PERMUTATIONS)]
        level = float(np.mean([task.kind.score(task, wanted, scores[order])[task.metric] for order in orders]))
    found = {"metric": task.metric, "value": float(value), "on": " ".join(held_out), "labels": int(wanted.size)}
    return found | {"chance": level, "share": (float(value) - level) / (1 - level) if level < 1 else 0.0}


def _examples(
    files: TaskFiles, table: pa.Table, genome: Genome, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels: (n, features) frequencies and (n,) or (n, labels) labels."""
    task = files.task
    spans = task.kind.spans
    rows = np.sort(random.permutation(len(table))[: LABELS if not spans else 500])
    table = table.take(pa.array(rows))
    labels = task.kind.arrays(task, table[task.kind.column])
    code = np.array([genome.code(name) for name in table["chromosome"].to_pylist()], np.int64)
    start, end = table["start"].to_numpy(), table["end"].to_numpy()
    if not spans:
        return _frequencies(genome, code, start, end, 4), np.stack([labels[row] for row in range(len(table))])
    each = LABELS // len(table)
    size = task.bin_size or 1
    drawn, values, owner = [], [], []
    for row in range(len(table)):
        one = labels[row]
        chosen = random.permutation(len(one))[:each]
        drawn.append(start[row] + chosen * size + size // 2)
        values.append(one[chosen])
        owner.append(np.full(len(chosen), row))
    middle, place = np.concatenate(drawn), code[np.concatenate(owner)]
    blocks = [_frequencies(genome, place, middle - span // 2, middle + span // 2, 3) for span in spans]
    return np.concatenate(blocks, 1), np.concatenate(values)


def _frequencies(genome: Genome, code: np.ndarray, start: np.ndarray, end: np.ndarray, k: int) -> np.ndarray:
    """Return k-mer frequencies of windows: (n, 4^k) float64."""
    found = np.empty((len(code), 4**k))
    lengths = end - start
    for begin in range(0, len(code), 1024):
        part = slice(begin, begin + 1024)
        letters, offsets = genome.gather(code[part], start[part], end[part], pad=True)
        codes = _CODES[letters]
        numbers = np.zeros(len(codes), np.int64)
        unknown = np.zeros(len(codes), bool)
        for shift in range(k):
            moved = np.concatenate([codes[shift:], np.full(shift, 4)])
            numbers = 4 * numbers + moved % 4
            unknown |= moved == 4
        row = np.repeat(np.arange(len(offsets) - 1), lengths[part])
        unknown |= np.arange(len(codes)) + k > offsets[row + 1]
        counts = np.bincount(row[~unknown] * 4**k + numbers[~unknown], minlength=(len(offsets) - 1) * 4**k)
        counts = counts.reshape(-1, 4**k)
        found[part] = counts / np.maximum(1, counts.sum(1, keepdims=True))
    return found
