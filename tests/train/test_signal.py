"""On the toy genome a one-hot head finds the planted signal, and heads trained on shuffled labels do not.

A head trained on shuffled labels still computes something (GC content, say), which one test split may favour; so there
are five controls, each with its own shuffle, and it is their mean that must not beat chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bend_hf.data import toy
from bend_hf.data.builder import build
from bend_hf.data.sources import locate
from bend_hf.embed.onehot import OneHotEmbedder
from bend_hf.embed.vectors import InMemory
from bend_hf.protocols import get_protocol
from bend_hf.results.record import Predictions, make_predictions
from bend_hf.results.statistics import bootstrap, summarise
from bend_hf.tasks import FOLDS, TASKS
from bend_hf.train.fit import Split, fit
from bend_hf.train.labels import labels_of


@dataclass(frozen=True)
class Quick:
    """Few epochs of small batches: BEND's batches make one or two steps of an epoch on so few windows."""

    epochs: int
    batch_size: int
    standardize: bool = False


QUICK = {
    "gene_finding": Quick(5, 1, standardize=True),
    "enhancer_annotation": Quick(6, 1, standardize=True),
    "chromatin_accessibility": Quick(4, 16),
    "histone_modification": Quick(4, 16),
    "cpg_methylation": Quick(4, 16),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.make(tmp_path_factory.mktemp("signal") / "toy")


def shuffled(labels: Any, rows: np.ndarray, seed: int) -> Any:
    """Give each row the labels of another; where labels are per position, shuffle the positions too."""
    random = np.random.default_rng(seed)
    if isinstance(labels, np.ndarray):
        mixed = labels.copy()
        mixed[rows] = labels[random.permutation(rows)]
        return mixed
    mixed = list(labels)
    pool = random.permutation(np.concatenate([labels[int(row)] for row in rows]))
    start = 0
    for row in rows:
        mixed[row] = pool[start : start + len(labels[int(row)])]
        start += len(mixed[row])
    return mixed


@pytest.mark.parametrize("name", QUICK)
def test_signal_and_control(name: str, folder: Path) -> None:
    import datasets

    task, quick = TASKS[name], QUICK[name]
    parts = build(locate(task, folder))
    groups = [["test"], ["validation"], ["train"]]
    if task.split_scheme == "folds":  # one fold of the toy is two windows, too few for an interval
        groups = [list(FOLDS[:4]), [FOLDS[4]], list(FOLDS[5:])]
    counts = [sum(len(parts[part]) for part in group) for group in groups]
    order = [part for group in groups for part in group]
    rows = datasets.concatenate_datasets([parts[part] for part in order])
    test, validation, train = np.split(np.arange(len(rows)), np.cumsum(counts)[:2])
    source = InMemory(OneHotEmbedder(), rows["sequence"][:])
    truth = labels_of(task, rows)

    def tested_on(labels: Any) -> Predictions:
        (fitted,) = fit(
            task,
            train=Split(source, labels, train),
            validation=Split(source, labels, validation),
            test=Split(source, truth, test),
            protocol=get_protocol("default"),
            epochs=quick.epochs,
            batch_size=quick.batch_size,
            standardize=quick.standardize,
        )
        tested = rows.select(test)
        if task.split_scheme == "folds":
            tested = tested.add_column("part", [part for part in FOLDS[:4] for _ in range(len(parts[part]))])
        return make_predictions(task, tested, fitted.scores, [truth[int(row)] for row in test])

    torch.set_num_threads(1)
    predictions = tested_on(truth)
    signal = summarise(predictions, resamples=200)
    mixed = [shuffled(shuffled(truth, train, seed), validation, seed) for seed in range(5)]
    controls = [summarise(tested_on(labels), resamples=200).score for labels in mixed]
    # Too few positives for an interval that is to be believed still scatter: all but 2.5 % of resamples stand above.
    low = np.quantile(bootstrap(predictions, resamples=200).scores, 0.025)
    if signal.interval is not None:
        low = min(low, signal.interval[0])
    assert low > signal.chance
    assert low > max(score for score in controls if score is not None)
    mean, error = np.mean(controls), np.std(controls, ddof=1) / np.sqrt(len(controls))
    assert mean - 2.776 * error <= signal.chance  # the 97.5 % quantile of Student's t with 4 degrees of freedom
