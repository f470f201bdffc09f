"""The composition baseline: scikit-learn's solution, the right counts, and a score where composition tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tasks_of_ones_own import make_task

from bend_hf.errors import BendError
from bend_hf.tasks import TASKS
from bend_hf.train.composition import Texts, composition, kmers, local_features, logistic, window_features


def test_solves_what_scikit_learn_solves() -> None:
    random = np.random.default_rng(0)
    features = random.standard_normal((400, 6)).astype(np.float32)
    noisy = features @ random.standard_normal((6, 3)) + random.standard_normal((400, 3))
    weights, intercepts = logistic(features, noisy > 0, classes=False)
    for label in range(3):
        model = LogisticRegression(tol=1e-8).fit(features, noisy[:, label] > 0)
        np.testing.assert_allclose(weights[:, label], model.coef_[0], atol=2e-3)
        assert intercepts[label] == pytest.approx(model.intercept_[0], abs=2e-3)
    classes = noisy.argmax(1)
    weights, intercepts = logistic(features, np.eye(3)[classes], classes=True)
    model = LogisticRegression(tol=1e-8).fit(features, classes)
    np.testing.assert_allclose(weights, model.coef_.T, atol=2e-3)


def test_counts_kmers() -> None:
    assert kmers("ACGTN", 2).tolist() == [1, 6, 11, 16]
    assert kmers("A", 2).tolist() == []
    features = window_features(["AAAAC", "NNNNN", "acgtacgt"], 4)
    assert features[0, 0] == 0.5
    assert features[0, 1] == 0.5
    assert not features[1].any()
    assert features[2].sum() == pytest.approx(1)
    sequence = "".join(np.random.default_rng(0).choice(list("ACGT"), 300))
    near = local_features(sequence, np.array([0, 150, 299]), (40, 100))
    assert near.shape == (3, 128)
    expected = np.bincount(kmers(sequence, 3)[130:170], minlength=64) / 40
    np.testing.assert_allclose(near[1, :64], expected, atol=1e-6)


def example(name: str) -> tuple[Any, dict[str, Texts]]:
    """Sequences whose composition decides their labels."""
    task, random = TASKS[name], np.random.default_rng(1)
    sequences, labels = [], []
    for _ in range(90):
        blocks = {"gene_finding": 4, "enhancer_annotation": 10}.get(name, 1)
        size = {"gene_finding": 400, "enhancer_annotation": 128}.get(name, 512)
        rich = random.integers(0, 2, blocks)
        parts = [random.choice(list("ACGT"), size, p=[0.15, 0.35, 0.35, 0.15] if gc else [0.25] * 4) for gc in rich]
        sequences.append("".join(np.concatenate(parts)))
        if name == "gene_finding":
            labels.append(np.repeat(np.where(rich, 0, 8), size).astype(np.int8))
        elif name == "enhancer_annotation":
            labels.append(rich.astype(np.int8))
        else:
            labels.append(np.array([rich[0], 1 - rich[0], *random.integers(0, 2, 5)], np.int8))
    rows = np.arange(90)
    parts_of = {"train": rows[:50], "validation": rows[50:70], "test": rows[70:]}
    return task, {split: Texts(sequences, labels, part) for split, part in parts_of.items()}


def test_a_kmer_that_all_training_rows_have_alike_says_nothing() -> None:
    """However its deviation is rounded: test rows that have it once more are not thrown far off."""
    task, random = TASKS["cpg_methylation"], np.random.default_rng(2)
    inside = "CCCACCC"  # the only A of a window
    texts, labels = [], []
    for row in range(60):
        rest = "".join(random.choice(list("CGT"), 512 - len(inside) * (1 + (row >= 50))))
        texts.append(inside * (1 + (row >= 50)) + rest)
        labels.append(random.integers(0, 2, 7).astype(np.int8))
    rows = np.arange(60)
    parts = {"train": rows[:40], "validation": rows[40:50], "test": rows[50:]}
    fitted = composition(task, **{split: Texts(texts, labels, part) for split, part in parts.items()})
    features = window_features(texts)[:40]
    assert ((features.min(0) == features.max(0)) & (features[0] > 0)).sum() >= 4
    found = np.stack(fitted.scores)
    assert 1e-6 < found.min() < found.max() < 1 - 1e-6


@pytest.mark.parametrize("name", ["gene_finding", "enhancer_annotation", "cpg_methylation"])
def test_finds_composition_in_every_kind_of_label(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bend_hf.train.composition.EXAMPLES", 4_000)
    task, parts = example(name)
    fitted = composition(task, **parts)
    assert fitted.validation_score is not None
    assert fitted.validation_score > {"mcc": 0.6, "auprc": 0.65, "auroc": 0.55}[task.metric]
    assert fitted.history == []
    for row, scores in zip(parts["test"].rows, fitted.scores, strict=True):
        labels = parts["test"].labels[int(row)]
        assert scores.dtype == np.float32
        assert scores.shape == ((len(labels), 9) if name == "gene_finding" else labels.shape)
        if name == "cpg_methylation":
            assert (scores[:2] > 0.5).tolist() == [bool(labels[0]), bool(labels[1])]


@pytest.mark.parametrize("name", ["cpg_methylation", "values"])
def test_predicts_what_scikit_learn_does_from_standardised_frequencies(name: str) -> None:
    parts = example("cpg_methylation")[1]
    task, model = TASKS["cpg_methylation"], LogisticRegression(tol=1e-8)
    if name == "values":
        task = make_task("values", label_kind="window_value", label_names=("value",), metric="pearson")
        model = Ridge(alpha=1.0)
        values = [100 + 50 * np.float32(text.count("G") + 3 * text.count("AC")) for text in parts["train"].sequences]
        parts = {split: replace(some, labels=np.array(values, np.float32)) for split, some in parts.items()}
    fitted = composition(task, **parts)
    train, test = (window_features(np.array(parts[split].sequences)[parts[split].rows]) for split in ("train", "test"))
    for label in range(task.recipe.outputs):
        targets = np.array([np.atleast_1d(parts["train"].labels[row])[label] for row in parts["train"].rows])
        pipeline = make_pipeline(StandardScaler(), model).fit(train, targets)
        expected = pipeline.predict(test) if name == "values" else pipeline.predict_proba(test)[:, 1]
        found = [np.atleast_1d(scores)[label] for scores in fitted.scores]
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_zero_shot_tasks_have_no_composition_baseline() -> None:
    parts = example("cpg_methylation")[1]
    with pytest.raises(BendError, match="zero-shot"):
        composition(TASKS["variant_effects_disease"], **parts)
