"""Curves against scikit-learn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from result_factory import make_result, simulate
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from bend_hf.results import curves


def test_roc_curve_of_one_label() -> None:
    predictions = simulate("variant_effects_disease", rows=300)
    x, y = curves.roc_curve(predictions)
    expected = roc_curve(predictions.labels, predictions.scores, drop_intermediate=False)
    np.testing.assert_allclose(y[1:], np.interp(x[1:], *expected[:2]), atol=1e-12)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)


def test_roc_curve_of_several_labels_belongs_to_the_mean_score() -> None:
    predictions = simulate("histone_modification", rows=400)
    x, y = curves.roc_curve(predictions)
    from bend_hf.results.statistics import score

    assert np.trapezoid(y, x) == pytest.approx(score(predictions)["auroc"], abs=0.01)


def test_precision_at_every_recall() -> None:
    predictions = simulate("variant_effects_disease", rows=200)
    recall, precision = curves.precision_recall_curve(predictions)
    all_precisions, all_recalls, _ = precision_recall_curve(predictions.labels, predictions.scores)
    for r, p in zip(recall[1:], precision[1:], strict=True):
        reached = np.flatnonzero(all_recalls >= r - 1e-12)[-1]  # recalls fall; the last is the highest threshold
        assert p == pytest.approx(all_precisions[reached])


def test_curves_of_folds_are_averaged_over_the_folds() -> None:
    predictions = simulate("enhancer_annotation", rows=20)
    recall, precision = curves.precision_recall_curve(predictions)
    labels, scores = predictions.labels.reshape(10, -1), predictions.scores.reshape(10, -1)
    expected = []
    for true, found in zip(labels, scores, strict=True):
        precisions, recalls, _ = precision_recall_curve(true, found)
        expected.append([precisions[np.flatnonzero(recalls >= r - 1e-12)[-1]] for r in recall[1:]])
    np.testing.assert_allclose(precision[1:], np.mean(expected, axis=0))


def test_confusion_counts_nucleotides() -> None:
    predictions = simulate("gene_finding", rows=6)
    expected = confusion_matrix(predictions.labels, predictions.scores.argmax(1), labels=range(9))
    np.testing.assert_array_equal(curves.confusion(predictions), expected)


def test_learning_curves_average_seeds_and_folds_over_common_epochs() -> None:
    def history(values: list[float], **extra) -> list[dict]:
        return [{"epoch": k, "validation_score": value, **extra} for k, value in enumerate(values)]

    one = dataclasses.replace(make_result("gene_finding", seed=0), history=history([0.1, 0.3, 0.5]))
    two = dataclasses.replace(make_result("gene_finding", seed=1), history=history([0.3, 0.5]))
    epochs, values = curves.learning_curve([one, two], "validation_score")
    assert epochs.tolist() == [0, 1]
    assert values == pytest.approx([0.2, 0.4])
    folds = history([0.0, 0.2], part="part1") + history([0.2, 0.6], part="part2")
    result = dataclasses.replace(make_result("enhancer_annotation"), history=folds)
    assert curves.learning_curve([result], "validation_score")[1] == pytest.approx([0.1, 0.4])
    assert curves.learning_curve([result], "train_loss") is None
