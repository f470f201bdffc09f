"""The metrics' numbers: against scikit-learn, the reference implementation's values, definitions and invariances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from bend_hf.resources import load_module

mcc = load_module("metrics", "mcc")
auroc = load_module("metrics", "auroc")
auprc = load_module("metrics", "auprc")

QUICK = settings(max_examples=80, deadline=None)
IGNORED = -100


@pytest.fixture(scope="module")
def golden(real_dir: Path) -> Any:
    return np.load(real_dir / "goldens" / "numbers" / "metrics.npz")


def test_mcc_equals_reference_implementation(golden: Any) -> None:
    scores = mcc.scores_from_confusion(mcc.confusion_matrix(golden["mcc_y"], golden["mcc_p"], 9))
    np.testing.assert_allclose([scores["mcc"], *scores["recall"], *scores["precision"]], golden["mcc"], atol=1e-12)


def test_auroc_equals_reference_implementation(golden: Any) -> None:
    scores = auroc.auroc(golden["auroc_y"], golden["auroc_s"])
    np.testing.assert_allclose([scores["auroc"], *scores["per_label"]], golden["auroc"], atol=1e-12)


def test_auprc_equals_reference_implementation(golden: Any) -> None:
    np.testing.assert_allclose(
        auprc.average_precision(golden["auprc_y"], golden["auprc_s"]), golden["auprc"][0], atol=1e-12
    )


@st.composite
def class_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    n, classes = draw(st.integers(1, 300)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    references = rng.integers(0, classes, n)
    predictions = np.where(rng.random(n) < draw(st.floats(0, 1)), references, rng.integers(0, classes, n))
    return references, predictions, classes


@given(class_pairs())
@QUICK
@pytest.mark.filterwarnings("ignore")
def test_mcc_equals_scikit_learn(drawn: tuple[np.ndarray, np.ndarray, int]) -> None:
    references, predictions, classes = drawn
    labels = list(range(classes))
    confusion = mcc.confusion_matrix(references, predictions, classes)
    np.testing.assert_array_equal(confusion, sklearn_metrics.confusion_matrix(references, predictions, labels=labels))
    scores = mcc.scores_from_confusion(confusion)
    assert scores["mcc"] == pytest.approx(sklearn_metrics.matthews_corrcoef(references, predictions), abs=1e-12)
    recall = sklearn_metrics.recall_score(references, predictions, labels=labels, average=None)
    precision = sklearn_metrics.precision_score(references, predictions, labels=labels, average=None)
    for k in labels:
        if (references == k).any():
            assert scores["recall"][k] == pytest.approx(recall[k], abs=1e-12)
        else:
            assert scores["recall"][k] is None
        if (predictions == k).any():
            assert scores["precision"][k] == pytest.approx(precision[k], abs=1e-12)
        else:
            assert scores["precision"][k] is None


def test_mcc_of_rare_classes_and_large_counts_is_exact() -> None:
    """In integers: 2 * 10**9 negatives and 7 positives, of which 4 are found."""
    tn, fp, fn, tp = 2 * 10**9, 5, 3, 4
    scores = mcc.scores_from_confusion(np.array([[tn, fp], [fn, tp]]))
    square = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    assert scores["mcc"] == pytest.approx((tp * tn - fp * fn) / square**0.5, rel=1e-14)


def test_mcc_of_one_class_is_zero() -> None:
    assert mcc.scores_from_confusion(np.array([[7, 0], [3, 0]])) == {
        "mcc": 0.0,
        "recall": [1.0, 0.0],
        "precision": [0.7, None],
    }
    assert mcc.scores_from_confusion(np.array([[7, 3], [0, 0]]))["mcc"] == 0.0
    assert mcc.scores_from_confusion(np.zeros((3, 3)))["mcc"] == 0.0


def test_mcc_over_leading_axes_equals_one_by_one() -> None:
    confusions = np.random.default_rng(0).integers(0, 50, (2, 5, 4, 4))
    confusions[0, 0, 2] = 0
    stacked = mcc.scores_from_confusion(confusions)
    assert stacked["mcc"].shape == (2, 5)
    assert stacked["recall"].shape == stacked["precision"].shape == (2, 5, 4)
    for index in np.ndindex(2, 5):
        single = mcc.scores_from_confusion(confusions[index])
        assert single["mcc"] == stacked["mcc"][index]
        for name in ("recall", "precision"):
            np.testing.assert_array_equal(np.array(single[name], dtype=float), stacked[name][index])


@given(class_pairs(), st.integers(0, 2**32 - 1))
@QUICK
def test_ignored_labels_are_not_counted(drawn: tuple[np.ndarray, np.ndarray, int], seed: int) -> None:
    references, predictions, classes = drawn
    ignored = np.random.default_rng(seed).random(len(references)) < 0.3
    masked = np.where(ignored, IGNORED, references)
    garbage = np.where(ignored, 10**6, predictions)
    np.testing.assert_array_equal(
        mcc.confusion_matrix(masked, garbage, classes),
        mcc.confusion_matrix(references[~ignored], predictions[~ignored], classes),
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64", "uint64"])
def test_confusion_matrix_of_any_integer_type(dtype: str) -> None:
    rng = np.random.default_rng(0)
    references, predictions = rng.integers(0, 100, (2, 300_000))
    np.testing.assert_array_equal(
        mcc.confusion_matrix(references.astype(dtype), predictions.astype(dtype), 100),
        sklearn_metrics.confusion_matrix(references, predictions),
    )


@pytest.mark.parametrize(
    ("references", "predictions", "said"),
    [
        ([0, 1], [0.0, 1.0], "integer classes, got float64"),
        ([0.5, 1.5], [0, 1], "integer classes, got float64"),
        ([0, 1], ["a", "b"], "integer classes"),
        ([0, 1], [0, 1, 1], "differ in shape"),
        ([0, 3], [0, 1], "`references` has classes from 0 to 3"),
        ([0, 1], [0, 3], "`predictions` has classes from 0 to 3"),
        ([0, -1], [0, 1], "from -1 to 0"),
        ([0, 1], [0, IGNORED], "from -100 to 0"),
    ],
)
def test_wrong_classes_are_refused(references: list, predictions: list, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        mcc.confusion_matrix(references, predictions, 3)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw references and scores of (n, labels), with few or many ties."""
    n, labels = draw(st.integers(1, 150)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    references = (rng.random((n, labels)) < draw(st.sampled_from([0.02, 0.3, 0.5, 0.9]))).astype(np.int64)
    scores = rng.normal(size=(n, labels)) + references * draw(st.sampled_from([-1, 0, 1]))
    steps = draw(st.sampled_from([0, 1, 10]))
    return references, np.round(scores * steps) / steps if steps else scores


@given(scored(), st.sampled_from(["float64", "float32", "float16"]))
@QUICK
def test_auroc_equals_scikit_learn(drawn: tuple[np.ndarray, np.ndarray], dtype: str) -> None:
    references, scores = drawn[0], drawn[1].astype(dtype)
    result = auroc.auroc(references, scores)
    defined = [0 < column.sum() < len(column) for column in references.T]
    assert result["n_labels_scored"] == sum(defined)
    assert result["n_labels_excluded"] == len(defined) - sum(defined)
    expected = []
    for k, value in enumerate(result["per_label"]):
        if defined[k]:
            expected.append(sklearn_metrics.roc_auc_score(references[:, k], scores[:, k]))
            assert type(value) is float
            assert value == pytest.approx(expected[-1], abs=1e-12)
        else:
            assert value is None
    assert result["auroc"] == (pytest.approx(np.mean(expected), abs=1e-12) if expected else None)


@given(scored(), st.sampled_from(["float64", "float32", "float16"]))
@QUICK
@pytest.mark.filterwarnings("ignore")
def test_auprc_equals_scikit_learn(drawn: tuple[np.ndarray, np.ndarray], dtype: str) -> None:
    references, scores = drawn[0], drawn[1].astype(dtype)
    result = auprc.average_precision(references, scores)
    if references.any():
        assert result == pytest.approx(
            sklearn_metrics.average_precision_score(references.ravel(), scores.ravel()), abs=1e-12
        )
    else:
        assert result is None


@given(scored(), st.integers(0, 2**32 - 1))
@QUICK
def test_rank_metrics_leave_ignored_out(drawn: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    references, scores = drawn
    masked = np.where(np.random.default_rng(seed).random(references.shape) < 0.3, IGNORED, references)
    result = auroc.auroc(masked, scores)
    for k in range(references.shape[1]):
        keep = masked[:, k] != IGNORED
        assert result["per_label"][k] == auroc.auroc(references[keep, k], scores[keep, k])["per_label"][0]
    keep = masked != IGNORED
    assert auprc.average_precision(masked, scores) == auprc.average_precision(references[keep], scores[keep])


@given(scored(), st.integers(0, 2**32 - 1))
@QUICK
def test_rank_metrics_see_ranks_only(drawn: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    references, scores = drawn
    order = np.random.default_rng(seed).permutation(len(scores))
    ranks = np.unique(scores, return_inverse=True)[1].reshape(scores.shape)
    for module, name in ((auroc, "auroc"), (auprc, "average_precision")):
        metric = getattr(module, name)
        expected = metric(references, scores)
        assert metric(references[order], scores[order]) == expected
        assert metric(references, ranks) == expected
        assert metric(references.astype(bool), scores) == expected
        assert metric(np.asfortranarray(references), np.asfortranarray(scores)) == expected
    flipped = auroc.auroc(references, -scores)["per_label"]
    for value, mirrored in zip(auroc.auroc(references, scores)["per_label"], flipped, strict=True):
        assert (value is None and mirrored is None) or value + mirrored == pytest.approx(1, abs=1e-12)


@given(arrays(np.float64, 30, elements=st.floats(allow_nan=False)))
@QUICK
def test_auroc_is_the_share_of_pairs(scores: np.ndarray) -> None:
    """The definition, infinities and negative zero included."""
    references = np.arange(30) % 3 == 0
    difference = np.sign(np.greater.outer(scores[references], scores[~references]).astype(int)
                         - np.less.outer(scores[references], scores[~references]))  # fmt: skip
    assert auroc.auroc(references, scores)["auroc"] == pytest.approx((difference.mean() + 1) / 2, abs=1e-12)


def test_constant_scores_are_at_chance() -> None:
    references = np.array([0, 1, 0, 0, 1])
    assert auroc.auroc(references, np.zeros(5))["auroc"] == 0.5
    assert auprc.average_precision(references, np.zeros(5)) == 0.4


@pytest.mark.parametrize("name", ["auroc", "auprc"])
@pytest.mark.parametrize(
    ("references", "scores", "said"),
    [
        ([0, 1, 1], [0.1, float("nan"), float("nan")], r"2 NaN, the first at \(1,\)"),
        ([0, 2], [0.1, 0.2], "0, 1 or -100, got values from 0 to 2"),
        ([0.0, 1.0], [0.1, 0.2], "must be integers"),
        ([0, 1], [0.1, 0.2, 0.3], "differ in shape"),
        ([0, 1], ["a", "b"], "must be numbers"),
    ],
)
def test_wrong_scores_are_refused(name: str, references: list, scores: list, said: str) -> None:
    function = auroc.auroc if name == "auroc" else auprc.average_precision
    with pytest.raises(ValueError, match=said):
        function(references, scores)


def test_auroc_wants_one_or_two_axes() -> None:
    with pytest.raises(ValueError, match=r"\(n,\) or \(n, labels\)"):
        auroc.auroc(np.zeros((2, 2, 2), dtype=int), np.zeros((2, 2, 2)))


def test_without_examples() -> None:
    assert auroc.auroc(np.zeros((0, 3), dtype=int), np.zeros((0, 3)))["per_label"] == [None] * 3
    assert auprc.average_precision([], []) is None
    assert mcc.confusion_matrix([], [], 2).sum() == 0


@pytest.mark.filterwarnings("error")
def test_weighted_counts_of_one_class_have_no_correlation() -> None:
    """Resamples weigh confusion matrices; rounding must not take the root of a number below 0."""
    module = load_module("metrics", "mcc")
    one_class = np.zeros((200, 3, 3))
    one_class[:, 1] = np.random.default_rng(0).random((200, 3)) / 3
    assert module.scores_from_confusion(one_class)["mcc"].tolist() == [0.0] * 200
