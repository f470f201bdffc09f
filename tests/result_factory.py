"""A factory of results whose predictions are simulated with a given signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bend_hf.results.record import Predictions, Result, make_predictions, write_result
from bend_hf.results.summary import summary
from bend_hf.tasks import FOLDS, TASKS

PROVENANCE = {
    "dataset_digest": "d" * 64,
    "genome": "GRCh38",
    "model": {"name": "simulated", "revision": None, "digest": "e" * 64},
    "embedder_key": "f" * 64,
    "packages": {"bend_hf": "0.1.0", "torch": "2.13.0"},
    "hardware": {"device": "cpu", "cores": 2},
    "seconds": {"embed": 12.5, "train": 30.25, "score": 0.5},
    "bytes_stored": 1_200_000,
    "peak_memory": 800_000_000,
    "settings": {"epochs": None, "batch_size": None, "patience": None, "precision": "auto", "vectors": "auto"},
    "command": ["bend-hf", "evaluate", "simulated", "--tasks", "all"],
    "created": "2026-11-23T00:30:00+00:00",
}


def trained(model: str = "simulated", key: dict | None = None, **given: Any) -> dict:
    """A provenance as `evaluate` writes it, with some settings given."""
    return PROVENANCE | {"settings": PROVENANCE["settings"] | given, "model": {"name": model, "key": key or {}}}


def simulate(name: str, *, signal: float = 1.0, rows: int = 60, chromosomes: int = 3, seed: int = 0) -> Predictions:
    """Predictions of a task; the labels depend on `name` and `rows` alone, the scores on `signal` and `seed` too."""
    task = TASKS[name]
    labels_rng, rng = np.random.default_rng(7), np.random.default_rng(seed)
    names = np.array([f"chr{1 + i * chromosomes // rows}" for i in range(rows)])
    start = np.arange(rows) * 1000
    keys: dict = {"chromosome": names, "start": start}

    def noisy(labels: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(signal * (2 * labels - 1) + rng.normal(size=labels.shape))))

    if task.label_kind == "variant_binary":
        labels = (labels_rng.random(rows) < 0.3).astype(np.int8)
        consequence = labels_rng.choice(["missense_variant", "intron_variant", "intergenic_variant"], rows)
        keys |= {"ref": ["A"] * rows, "alt": ["C"] * rows, "consequence": consequence}
        return make_predictions(task, keys, noisy(labels), labels)
    keys |= {"end": start + (task.window or 900), "strand": ["+", "-"] * (rows // 2) + ["+"] * (rows % 2)}
    if task.label_kind == "multilabel":
        labels = (labels_rng.random((rows, len(task.label_names))) < 0.3).astype(np.int8)
        return make_predictions(task, keys, noisy(labels), labels)
    if task.label_kind == "per_bin_binary":
        keys |= {
            "part": [FOLDS[i * len(FOLDS) // rows] for i in range(rows)],
            "gene": [f"GENE{i}" for i in range(rows)],
        }
        labels = (labels_rng.random((rows, 782)) < 0.02).astype(np.int8)
        return make_predictions(task, keys, noisy(labels), labels)
    label_list, score_list = [], []
    for i in range(rows):
        runs = [(8, 200), (0, 120), (1, 1), (2, 250), (3, 1), (0, 90), (8, 240 + int(labels_rng.integers(50)))]
        if i % 2:
            runs = [(label + 4 if label < 4 else 8, n) for label, n in reversed(runs)]
        label = np.repeat([label for label, _ in runs], [n for _, n in runs])
        logits = rng.normal(size=(len(label), 9)) + 3 * signal * np.eye(9)[label]
        probabilities = np.exp(logits)
        score_list.append(probabilities / probabilities.sum(1, keepdims=True))
        label_list.append(label)
    keys["end"] = start + np.array([len(label) for label in label_list])
    keys["transcript_id"] = [f"ENST{i}" for i in range(rows)]
    return make_predictions(task, keys, score_list, label_list)


def make_result(
    name: str, *, model: str = "simulated", seed: int | None = 0, score: float | None = 0.5, **changes
) -> Result:
    """A valid result with the given headline score."""
    task = TASKS[name]
    values = {
        "model": model,
        "task": name,
        "protocol": "default",
        "seed": None if task.recipe is None else seed,
        "metric": task.metric,
        "score": score,
        "interval": None if score is None else [max(score - 0.05, 0.0), min(score + 0.05, 1.0)],
        "chance": 0.0 if task.metric == "mcc" else 0.5 if task.metric == "auroc" else 0.02,
        "toy": True,
        "secondary": {},
        "counts": {"rows": 60},
        "folds": [{"part": part, "score": 0.5, "rows": 6} for part in FOLDS] if task.split_scheme == "folds" else None,
        "history": [],
        "provenance": dict(PROVENANCE),
        "failure": None,
    }
    return Result(**{**values, **changes})


def scored(name: str, predictions: Predictions, *, resamples: int = 20, **changes: Any) -> Result:
    """A result that says of predictions what they say themselves."""
    return make_result(name, **{**summary(predictions, resamples=resamples), **changes})


def stored(folder: Path, name: str, predictions: Predictions | None = None, **changes: Any) -> Path:
    """The file of such a result, its predictions beside it."""
    predictions = predictions or simulate(name)
    return write_result(folder, scored(name, predictions, **changes), predictions)


@pytest.fixture(params=sorted(TASKS))
def task_name(request: pytest.FixtureRequest) -> str:
    return request.param
