"""Pearson, Spearman and macro F1 against scipy and scikit-learn, and their resamples against repeated rows."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

import bend_hf
from bend_hf.kinds import resampling

RNG = np.random.default_rng(5)
TRUTH = RNG.normal(1000, 3, 200).round(1)  # with ties, far from zero
GUESS = (TRUTH + RNG.normal(0, 4, 200)).round(1)
CLASSES, CALLED = RNG.integers(0, 4, 200), RNG.integers(0, 4, 200)


def test_correlations_equal_scipy():
    found = bend_hf.load_metric("pearson").compute(predictions=GUESS, references=TRUTH)
    assert found["pearson"] == pytest.approx(stats.pearsonr(TRUTH, GUESS).statistic, abs=1e-12)
    assert found["r2"] == pytest.approx(sklearn_metrics.r2_score(TRUTH, GUESS), abs=1e-12)
    found = bend_hf.load_metric("spearman").compute(predictions=GUESS, references=TRUTH)
    assert found["spearman"] == pytest.approx(stats.spearmanr(TRUTH, GUESS).statistic, abs=1e-12)


def test_macro_f1_equals_scikit_learn():
    found = bend_hf.load_metric("macro_f1").compute(predictions=CALLED, references=CLASSES)
    assert found["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(CLASSES, CALLED, average="macro"), abs=1e-12)
    assert found["accuracy"] == pytest.approx((CLASSES == CALLED).mean(), abs=1e-12)


@pytest.mark.parametrize("power", [-1_070, -700, -500, 0, 500, 700, 1_021])
@pytest.mark.parametrize("other", [-1_070, 0, 1_021])
def test_correlation_does_not_depend_on_the_scale(power: int, other: int) -> None:
    """However large or small finite numbers are: their squares may be none."""
    truth, guess = np.array([1.0, 2.0, 3.0, 5.0]), np.array([2.0, 1.0, 4.0, 4.0])
    metric = bend_hf.load_metric("pearson")
    found = metric.compute(predictions=np.ldexp(guess, other), references=np.ldexp(truth, power))
    assert found["pearson"] == pytest.approx(stats.pearsonr(truth, guess).statistic, abs=1e-12)
    if power == other:
        assert found["r2"] == metric.compute(predictions=guess, references=truth)["r2"]


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_no_spread_has_no_correlation(name):
    assert bend_hf.load_metric(name).compute(predictions=[1.0, 2.0], references=[3.0, 3.0])[name] is None
    assert bend_hf.load_metric(name).compute(predictions=[3.0, 3.0], references=[1.0, 2.0])[name] is None
    with pytest.raises(ValueError, match="not finite, the first at"):
        bend_hf.load_metric(name).compute(predictions=[1.0, np.nan], references=[1.0, 2.0])


def test_a_class_that_never_occurs_is_left_out_of_the_mean():
    found = bend_hf.load_metric("macro_f1").compute(predictions=[0, 1], references=[0, 1], n_classes=3)
    assert found == {"macro_f1": 1.0, "accuracy": 1.0, "f1": [1.0, 1.0, None]}


def test_resamples_equal_scores_of_repeated_rows():
    cluster = np.arange(200) // 10
    weights = RNG.integers(0, 3, (6, 20))
    repeated = [np.repeat(np.arange(200), drawn[cluster]) for drawn in weights]
    for name, reference in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        found = getattr(resampling, name)(GUESS, TRUTH, cluster, weights.astype(float))
        wanted = [reference(TRUTH[rows], GUESS[rows]).statistic for rows in repeated]
        np.testing.assert_allclose(found, wanted, atol=1e-10)
    found = resampling.macro_f1(CALLED, CLASSES, 4, cluster, weights.astype(float))
    wanted = [sklearn_metrics.f1_score(CLASSES[rows], CALLED[rows], average="macro") for rows in repeated]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
