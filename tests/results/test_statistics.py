"""Intervals against closed forms, scikit-learn and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_factory import simulate
from scipy import stats
from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score

from bend_hf.errors import BendError
from bend_hf.results import statistics
from bend_hf.results.record import Predictions, make_predictions
from bend_hf.tasks import TASKS


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(5, 60), st.integers(2, 8))
def test_weighted_rank_statistics_equal_scikit_learn(seed: int, rows: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    scores = rng.integers(0, 6, rows) / 5  # many ties
    cluster = rng.integers(0, groups, rows)
    weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=7)
    auroc = statistics._resampled(statistics._auroc, scores, labels, cluster, weights)
    precision = statistics._resampled(statistics._average_precision, scores, labels, cluster, weights)
    for w, found, found_precision in zip(weights[:, cluster], auroc, precision, strict=True):
        drawn = np.repeat(np.arange(rows), w)
        if 0 < labels[drawn].sum() < len(drawn):
            assert found == pytest.approx(roc_auc_score(labels[drawn], scores[drawn]), abs=1e-12)
            assert found_precision == pytest.approx(average_precision_score(labels[drawn], scores[drawn]), abs=1e-12)
        else:
            assert np.isnan(found)


def test_resampled_mcc_equals_scikit_learn_on_repeated_rows() -> None:
    predictions = simulate("gene_finding", rows=12, signal=0.5)
    weights = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), size=4)
    found = statistics._resampled_mcc(predictions, np.arange(12), weights)
    row = np.repeat(np.arange(12), predictions.lengths)
    called = predictions.scores.argmax(1)
    for w, value in zip(weights, found, strict=True):
        drawn = np.repeat(np.arange(len(row)), w[row])
        assert value == pytest.approx(matthews_corrcoef(predictions.labels[drawn], called[drawn]), abs=1e-12)


def test_unit_weights_give_the_score_itself() -> None:
    for name in ("histone_modification", "variant_effects_expression"):
        predictions = simulate(name)
        labels, scores = predictions.labels.reshape(60, -1), predictions.scores.reshape(60, -1)
        columns = range(labels.shape[1])
        ones = np.ones((1, 60), int)
        values = [
            statistics._resampled(statistics._auroc, scores[:, i], labels[:, i], np.arange(60), ones)[0]
            for i in columns
        ]
        assert np.mean(values) == pytest.approx(statistics.score(predictions)["auroc"], abs=1e-12)


@pytest.mark.parametrize("name", TASKS)
def test_summary_of_every_task(name: str) -> None:
    task = TASKS[name]
    strong, weak = (statistics.summarise(simulate(name, signal=s), resamples=200) for s in (1.5, 0.0))
    assert strong.score is not None
    assert weak.score is not None
    assert strong.interval[0] < strong.score < strong.interval[1]
    assert strong.interval[0] > weak.interval[1]
    assert weak.interval[0] < weak.chance < weak.interval[1]
    assert strong.counts["rows"] == 60
    assert statistics.summarise(simulate(name, signal=1.5), resamples=200) == strong
    if task.label_kind == "multilabel":
        assert len(strong.secondary["per_label_interval"]) == len(task.label_names)
        assert np.nanmean(strong.secondary["per_label"]) == pytest.approx(strong.score)
    if task.label_kind == "per_nucleotide_class":
        assert len(strong.secondary["recall"]) == len(strong.secondary["precision"]) == 9


def test_folds_are_shown_one_by_one() -> None:
    summary = statistics.summarise(simulate("enhancer_annotation"), resamples=200)
    scores = [fold["score"] for fold in summary.folds]
    assert [fold["part"] for fold in summary.folds] == [f"part{k}" for k in range(1, 11)]
    assert summary.score == pytest.approx(np.mean(scores))
    assert summary.secondary["folds_deviation"] == pytest.approx(np.std(scores, ddof=1))
    assert summary.counts["clusters"] == 10
    # ten folds: the expanded percentile interval is close to the t interval of their mean
    half = stats.t.ppf(0.975, 9) * np.std(scores, ddof=1) / np.sqrt(10)
    assert np.diff(summary.interval)[0] == pytest.approx(2 * half, rel=0.25)
    assert all(fold["interval"][0] <= fold["score"] <= fold["interval"][1] for fold in summary.folds)


def test_units_of_resampling() -> None:
    assert statistics.clusters(simulate("cpg_methylation", rows=60, chromosomes=12))[0] == "chromosome"
    assert statistics.clusters(simulate("cpg_methylation", rows=60, chromosomes=1))[0] == "row"
    far = simulate("cpg_methylation", rows=60, chromosomes=2)
    table = far.table.set_column(2, "start", [np.arange(60) * 500_000])
    unit, cluster = statistics.clusters(Predictions(far.task, table))
    assert (unit, cluster.max() + 1) == ("1 Mb block", 30)
    # a chromosome with one row does not make up a cluster beside large ones
    names = ["chr1"] * 30 + ["chr2"] * 20 + [f"chr{k}" for k in range(3, 13)]
    few = Predictions(far.task, table.set_column(1, "chromosome", [names]))
    assert statistics.clusters(few)[0] == "1 Mb block"
    assert statistics.bootstrap(few, unit="chromosome", resamples=5).clusters == 12
    with pytest.raises(BendError, match=r"Unknown unit of resampling 'chromosom'\. Did you mean 'chromosome'"):
        statistics.clusters(few, "chromosom")


def test_rare_positives_are_kept_in_every_resample() -> None:
    task = TASKS["variant_effects_expression"]
    rng = np.random.default_rng(0)
    labels = np.zeros(200, int)
    labels[:3] = 1
    keys = {"chromosome": ["chr1"] * 200, "start": np.arange(200), "ref": ["A"] * 200, "alt": ["C"] * 200}
    drawn = statistics.bootstrap(make_predictions(task, keys, rng.random(200), labels))
    assert drawn.unit == "row"
    assert not np.isnan(drawn.scores).any()


def test_a_monotone_transformation_changes_no_auroc() -> None:
    predictions = simulate("variant_effects_disease")
    table = predictions.table
    position = table.column_names.index("scores")
    doubled = table.set_column(position, "scores", [predictions.scores * 2])
    np.testing.assert_array_equal(
        statistics.bootstrap(predictions).scores, statistics.bootstrap(Predictions(predictions.task, doubled)).scores
    )


def test_expanded_percentiles() -> None:
    drawn = np.random.default_rng(0).normal(size=200_001)
    assert statistics.expanded_percentiles(drawn, 10**6) == pytest.approx([-1.96, 1.96], abs=0.02)
    wide = np.sqrt(10 / 9) * stats.t.ppf(0.975, 9)
    assert statistics.expanded_percentiles(drawn, 10) == pytest.approx([-wide, wide], abs=0.04)
    assert statistics.expanded_percentiles(drawn, 1) is None
    assert statistics.expanded_percentiles(np.full(10, np.nan), 5) is None


def test_single_class_has_no_score_and_no_interval() -> None:
    predictions = simulate("variant_effects_disease", rows=20)
    position = predictions.table.column_names.index("labels")
    none = Predictions(predictions.task, predictions.table.set_column(position, "labels", [np.zeros(20, np.int8)]))
    summary = statistics.summarise(none, resamples=20)
    assert summary.score is None
    assert summary.interval is None


def test_coverage_of_auroc_intervals() -> None:
    """200 test sets of 40 clusters with a shared effect per cluster; the truth is known in closed form."""
    rng = np.random.default_rng(3)
    shift, shared = 1.0, 0.7
    truth = stats.norm.cdf(shift / np.sqrt(2 * (1 + shared**2)))
    cluster = np.repeat(np.arange(40), 10)
    hits = 0
    for _ in range(200):
        labels = (rng.random(400) < 0.3).astype(int)
        scores = shift * labels + shared * rng.normal(size=40)[cluster] + rng.normal(size=400)
        weights = statistics.cluster_weights(cluster, 40, labels, 300, 0)
        low, high = statistics.expanded_percentiles(
            statistics._resampled(statistics._auroc, scores, labels, cluster, weights), 40
        )
        hits += low <= truth <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_seed_spread_is_its_own_number() -> None:
    assert statistics.seed_spread([0.5]) is None
    assert statistics.seed_spread([0.4, 0.6]) == pytest.approx(
        {"mean": 0.5, "deviation": np.sqrt(0.02), "lowest": 0.4, "highest": 0.6}
    )
    assert statistics.centred(0.75, 0.5) == 0.5
