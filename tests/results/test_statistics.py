"""Intervals against closed forms, scikit-learn and simulation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from benchmarks import coverage
from hypothesis import given, settings
from hypothesis import strategies as st
from result_factory import simulate
from scipy import special, stats
from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score

from bend_hf.errors import BendError
from bend_hf.kinds import resampling
from bend_hf.results import chance, clusters, seeds, statistics
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
    auroc = resampling.auroc(scores, labels, cluster, weights)
    precision = resampling.average_precision(scores, labels, cluster, weights)
    for w, found, found_precision in zip(weights[:, cluster], auroc, precision, strict=True):
        drawn = np.repeat(np.arange(rows), w)
        if 0 < labels[drawn].sum() < len(drawn):
            assert found == pytest.approx(roc_auc_score(labels[drawn], scores[drawn]), abs=1e-12)
            assert found_precision == pytest.approx(average_precision_score(labels[drawn], scores[drawn]), abs=1e-12)
        else:
            assert np.isnan(found)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(5, 60), st.integers(2, 8), st.sampled_from([1e-3, 1.0, 50.0]))
def test_statistics_of_weights_below_one_equal_scikit_learn(seed: int, rows: int, groups: int, scale: float) -> None:
    """The weights of a resample are no whole numbers: those of the best rows may come to less than one together."""
    rng = np.random.default_rng(seed)
    classes, called = rng.integers(0, 3, (2, rows))
    labels, scores = (classes > 0).astype(int), np.round(rng.random(rows), 1)
    cluster = rng.integers(0, groups, rows)
    weights = rng.exponential(scale, (5, groups))
    auroc = resampling.auroc(scores, labels, cluster, weights)
    precision = resampling.average_precision(scores, labels, cluster, weights)
    mcc = resampling.mcc(called, classes, 3, cluster, weights)
    for w, one, two, three in zip(weights[:, cluster], auroc, precision, mcc, strict=True):
        if 0 < labels.sum() < rows:
            assert one == pytest.approx(roc_auc_score(labels, scores, sample_weight=w), abs=1e-12)
            assert two == pytest.approx(average_precision_score(labels, scores, sample_weight=w), abs=1e-12)
        assert three == pytest.approx(matthews_corrcoef(classes, called, sample_weight=w), abs=1e-12)


def test_resampled_mcc_equals_scikit_learn_on_repeated_rows() -> None:
    predictions = simulate("gene_finding", rows=12, signal=0.5)
    weights = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), size=4)
    row = np.repeat(np.arange(12), predictions.lengths)
    called = predictions.scores.argmax(1)
    found = resampling.mcc(called, predictions.labels, 9, row, weights)
    for w, value in zip(weights, found, strict=True):
        drawn = np.repeat(np.arange(len(row)), w[row])
        assert value == pytest.approx(matthews_corrcoef(predictions.labels[drawn], called[drawn]), abs=1e-12)


def test_unit_weights_give_the_score_itself() -> None:
    for name in ("histone_modification", "variant_effects_expression"):
        predictions = simulate(name)
        labels, scores = predictions.labels.reshape(60, -1), predictions.scores.reshape(60, -1)
        columns = range(labels.shape[1])
        ones = np.ones((1, 60), int)
        values = [resampling.auroc(scores[:, i], labels[:, i], np.arange(60), ones)[0] for i in columns]
        assert np.mean(values) == pytest.approx(statistics.score(predictions)["auroc"], abs=1e-12)


@pytest.mark.parametrize("name", TASKS)
def test_summary_of_every_task(name: str) -> None:
    task = TASKS[name]
    strong, weak = (statistics.summarise(simulate(name, signal=s), resamples=200) for s in (1.5, 0.0))
    assert strong.score is not None
    assert weak.score is not None
    assert strong.interval[0] < strong.score < strong.interval[1]
    assert strong.interval[0] > weak.interval[1]
    assert weak.interval[0] < weak.chance < weak.interval[1] or "chance_interval" in weak.secondary
    assert strong.counts["rows"] == 60
    assert statistics.summarise(simulate(name, signal=1.5), resamples=200) == strong
    if task.label_kind == "multilabel":
        assert len(strong.secondary["per_label_interval"]) == len(task.label_names)
        assert np.nanmean(strong.secondary["per_label"]) == pytest.approx(strong.score)
    if task.label_kind == "per_nucleotide_class":
        assert len(strong.secondary["recall"]) == len(strong.secondary["precision"]) == 9


def test_a_thousand_resamples_of_seed_0_at_95_percent_unless_asked_otherwise() -> None:
    rows = simulate("variant_effects_disease")
    found = statistics.summarise(rows)
    assert {name: found.secondary["interval"][name] for name in ("resamples", "seed", "level")} == {
        "resamples": 1000,
        "seed": 0,
        "level": 0.95,
    }
    drawn = statistics.bootstrap(rows)
    assert drawn.scores.shape == (1000,)
    assert (drawn.interval(), drawn.error) == (found.interval, found.secondary["interval"]["error"])
    assert found.secondary["interval"]["unit"] == drawn.unit


def test_folds_are_shown_one_by_one() -> None:
    summary = statistics.summarise(simulate("enhancer_annotation"), resamples=200)
    scores = [fold["score"] for fold in summary.folds]
    assert [fold["part"] for fold in summary.folds] == [f"part{k}" for k in range(1, 11)]
    assert summary.score == pytest.approx(np.mean(scores))
    assert summary.secondary["folds_deviation"] == pytest.approx(np.std(scores, ddof=1))
    assert summary.counts["clusters"] == 10
    # the t interval of ten folds, widened because they share training data, on the logit scale
    half = stats.t.ppf(0.975, 9) * np.std(scores, ddof=1) / np.sqrt(10) * statistics.SHARED
    ends = special.expit(special.logit(summary.score) + np.array([-1, 1]) * half / summary.score / (1 - summary.score))
    assert summary.interval == pytest.approx(ends, rel=0.1)
    assert all(fold["interval"][0] <= fold["score"] <= fold["interval"][1] for fold in summary.folds)
    positives = simulate("enhancer_annotation").labels.reshape(10, -1).sum(1).tolist()
    assert [fold["positives"] for fold in summary.folds] == positives
    assert [fold["rows"] for fold in summary.folds] == [6] * 10
    assert [fold["chance"] for fold in summary.folds] == [
        pytest.approx(chance.expected_average_precision(6 * 782, count)) for count in positives
    ]


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("variant_effects_disease", ("labels", "positives")),
        ("histone_modification", ("labels", "positives")),
        ("enhancer_annotation", ("labels", "positives")),
        ("gene_finding", ("positions",)),
    ],
)
def test_what_the_test_rows_hold_is_counted(name: str, counted: tuple[str, ...]) -> None:
    predictions = simulate(name)
    found = statistics.summarise(predictions, resamples=20).counts
    by_hand = {"rows": 60, "clusters": found["clusters"]}
    by_hand |= dict.fromkeys(counted, predictions.labels.size)
    if "positives" in counted:
        by_hand["positives"] = int((predictions.labels == 1).sum())
    assert found == by_hand


def rows_of(start: np.ndarray, labels: np.ndarray, *, chromosome: list[str] | None = None, scores=None) -> Predictions:
    """Variants at some places."""
    n = len(labels)
    keys = {"chromosome": chromosome or ["chr1"] * n, "start": start, "ref": ["A"] * n, "alt": ["C"] * n}
    scores = np.random.default_rng(0).random(n) if scores is None else scores
    return make_predictions(TASKS["variant_effects_expression"], keys, scores, labels)


def test_units_of_resampling() -> None:
    assert clusters.clusters(simulate("cpg_methylation", rows=60, chromosomes=12)).unit == "chromosome"
    assert clusters.clusters(simulate("cpg_methylation", rows=60, chromosomes=1)).unit == "row"
    far = simulate("cpg_methylation", rows=60, chromosomes=2)
    table = far.table.set_column(2, "start", [np.arange(60) * 500_000])
    found = clusters.clusters(Predictions(far.task, table))
    assert (found.unit, found.count) == ("1 Mb block", 30)
    # a chromosome with one row does not make up a cluster beside large ones
    names = ["chr1"] * 30 + ["chr2"] * 20 + [f"chr{k}" for k in range(3, 13)]
    few = Predictions(far.task, table.set_column(1, "chromosome", [names]))
    assert clusters.clusters(few).unit == "1 Mb block"
    assert statistics.bootstrap(few, unit="chromosome", resamples=5).clusters == 12
    with pytest.raises(BendError, match=r"Unknown unit of resampling 'chromosom'\. Did you mean 'chromosome'"):
        clusters.clusters(few, "chromosom")


def test_clusters_are_counted_in_the_rarer_class() -> None:
    assert clusters.effective(np.array([3, 3, 3])) == pytest.approx(3)
    assert clusters.effective(np.array([30, 1])) == pytest.approx(31**2 / 901)
    labels = np.zeros(2000, int)
    labels[[0, 1, 2, 3, 100, 101, 102, 103]] = 1  # eight positives in two blocks of twenty
    found = clusters.clusters(rows_of(np.arange(2000) * 10_000, labels))
    assert (found.unit, found.effective[0]) == ("row", 8)
    labels[np.arange(0, 2000, 100)] = 1  # and one in every block: 20 blocks bear 26
    found = clusters.clusters(rows_of(np.arange(2000) * 10_000, labels))
    assert found.unit == "1 Mb block"
    assert found.effective[0] == pytest.approx(26**2 / (18 + 4**2 + 4**2))
    drawn = statistics.bootstrap(rows_of(np.arange(2000) * 10_000, labels), resamples=50)
    assert drawn.freedom == pytest.approx(found.effective[0] - 1)


def test_no_resample_lacks_a_rare_label() -> None:
    task = TASKS["histone_modification"]
    labels = np.random.default_rng(0).integers(0, 2, (200, 18)).astype(np.int8)
    labels[:, 3] = 0
    labels[7, 3] = 1
    keys = {"chromosome": ["chr1"] * 200, "start": np.arange(200) * 100, "end": np.arange(200) * 100 + 512}
    rows = make_predictions(task, keys | {"strand": ["+"] * 200}, np.random.default_rng(1).random((200, 18)), labels)
    drawn = statistics.bootstrap(rows, resamples=300)
    assert not np.isnan(drawn.per_label).any()
    assert drawn.lack == f"the test rows hold 1 positives of the label {task.label_names[3]}, and an interval needs 5"
    summary = statistics.summarise(rows, resamples=300)
    assert summary.interval is None  # a mean that holds a label of which nothing is known
    assert [k for k, ends in enumerate(summary.secondary["per_label_interval"]) if ends is None] == [3]


@pytest.mark.parametrize(
    ("labels", "scores", "said"),
    [
        (np.zeros(50), None, "the test rows hold one class only"),
        (np.r_[np.ones(4), np.zeros(46)], None, "the test rows hold 4 positives, and an interval needs 5"),
        (np.r_[np.zeros(3), np.ones(47)], None, "the test rows hold 3 negatives, and an interval needs 5"),
        (np.r_[np.ones(20), np.zeros(30)], np.full(50, 0.5), "every row has the same score"),
    ],
)
def test_too_little_bears_no_interval_and_says_why(labels: np.ndarray, scores: np.ndarray | None, said: str) -> None:
    predictions = rows_of(np.arange(50), labels.astype(int), scores=scores)
    summary = statistics.summarise(predictions, resamples=50)
    assert summary.interval is None
    assert summary.secondary["interval"]["lack"] == said
    assert summary.secondary["interval"]["error"] is None


def test_one_cluster_bears_no_interval() -> None:
    summary = statistics.summarise(simulate("gene_finding", rows=1, chromosomes=1), resamples=20)
    assert summary.interval is None
    assert summary.secondary["interval"]["lack"] == "the test rows are 1 row in effect, and an interval needs 5"


def test_equal_classes_everywhere_bear_no_interval() -> None:
    task, labels = TASKS["gene_finding"], np.tile([8, 0], 50)
    keys = {"chromosome": [f"chr{k}" for k in range(20)], "start": [0] * 20, "end": [100] * 20, "strand": ["+"] * 20}
    constant = make_predictions(task, keys, [np.tile(np.eye(9)[8], (100, 1))] * 20, [labels] * 20)
    summary = statistics.summarise(constant, resamples=20)
    assert (summary.score, summary.interval) == (0.0, None)
    assert summary.secondary["interval"]["lack"] == "every nucleotide is called the same class"


def test_a_monotone_transformation_changes_no_auroc() -> None:
    predictions = simulate("variant_effects_disease")
    table = predictions.table
    position = table.column_names.index("scores")
    doubled = table.set_column(position, "scores", [predictions.scores * 2])
    np.testing.assert_array_equal(
        statistics.bootstrap(predictions).scores, statistics.bootstrap(Predictions(predictions.task, doubled)).scores
    )


def test_error_of_a_mean_over_clusters_is_unbiased() -> None:
    """The weights' deviation of a plain mean, corrected, is that of the textbook: s / √n."""
    values = np.random.default_rng(2).normal(size=6)
    drawn = clusters.weights(6, 200_000, 0)
    means = drawn @ values / drawn.sum(axis=1)
    assert statistics.standard_error(means, 5) == pytest.approx(values.std(ddof=1) / np.sqrt(6), rel=0.01)
    assert statistics.standard_error(means, 5, shared=True) == pytest.approx(
        statistics.SHARED * values.std(ddof=1) / np.sqrt(6), rel=0.01
    )
    assert np.isnan(statistics.standard_error(means, 0))


def test_intervals_stay_inside_the_range_and_widen_with_the_level() -> None:
    low, high = statistics.interval("auroc", 0.9, 0.05, 8)
    z = stats.t.ppf(0.975, 8) * 0.05 / 0.09
    assert [low, high] == pytest.approx(special.expit(special.logit(0.9) + np.array([-z, z])))
    wide = statistics.interval("auroc", 0.9, 0.05, 8, 0.99)
    assert wide[0] < low < high < wide[1] < 1
    low, high = statistics.interval("mcc", 0.3, 0.05, 10**6)
    assert [low, high] == pytest.approx(
        np.tanh(np.arctanh(0.3) + np.array([-1, 1]) * 1.96 * 0.05 / (1 - 0.09)), abs=1e-4
    )
    assert statistics.interval("mcc", 1.0, 0.0, 8) is None
    assert statistics.interval("auprc", 0.5, 0.0, 8) is None


def test_newcombe_of_a_published_kind() -> None:
    """At a perfect score the limit solves (1 - θ)² = z² V(θ); exchanging the classes mirrors the interval."""
    low, high = statistics.newcombe(1.0, 10, 40)
    assert high == 1
    n, z2 = 25 - 1, stats.norm.ppf(0.975) ** 2
    v = low * (1 - low) * (1 + n * (1 - low) / (2 - low) + n * low / (1 + low)) / 400
    assert (1 - low) ** 2 == pytest.approx(z2 * v)
    assert statistics.newcombe(0.3, 12, 30) == pytest.approx([1 - x for x in statistics.newcombe(0.7, 30, 12)[::-1]])
    assert statistics.newcombe(0.0, 5, 5)[0] == 0


def drawn_auroc(error: float, freedom: float, positives: int, negatives: int) -> statistics.Bootstrap:
    """An AUROC of 0.8 whose error is the one given."""
    scores = 0.8 + np.array([-1, 1]) * error / np.sqrt(2) / np.sqrt((freedom + 2) / freedom)
    counts = np.array([[positives, negatives]])
    return statistics.Bootstrap(
        "auroc", 0.8, scores, None, counts, 20, "row", np.array([freedom + 1]), freedom, lack=None
    )


def variance_of_independent(theta: float, positives: int, negatives: int) -> float:
    n = (positives + negatives) / 2 - 1
    return theta * (1 - theta) * (1 + n * (1 - theta) / (2 - theta) + n * theta / (1 + theta)) / positives / negatives


@pytest.mark.parametrize(
    ("inflated", "positives", "freedom"), [(1.0, 10, 7), (3.0, 10, 7), (0.5, 40, 12), (4, 900, 12)]
)
def test_the_interval_of_an_auroc_has_a_moderated_variance(inflated: float, positives: int, freedom: float) -> None:
    independent = variance_of_independent(0.8, positives, 3000)
    boot = drawn_auroc(np.sqrt(inflated * independent), freedom, positives, 3000)
    weight = 20 * (freedom + 1) / positives  # rows of their own: all 8 of 10 positives, hardly any of 900
    moderated = (freedom * inflated + weight) / (freedom + weight)
    known = weight / (freedom * inflated + weight)
    t = stats.t.ppf(0.95, freedom / (1 - known) ** 2)
    for end in boot.interval(0.9):
        assert (end - 0.8) ** 2 == pytest.approx(t**2 * moderated * variance_of_independent(end, positives, 3000))
    low, high = boot.interval(0.9)
    assert low < 0.8 < high
    if positives == 900:  # the resampled error alone
        assert high - low == pytest.approx(2 * stats.t.ppf(0.95, freedom) * boot.error, rel=0.03)
    assert drawn_auroc(0.0, freedom, positives, 3000).interval() is None


def test_a_label_with_one_positive_is_in_the_mean_of_resamples_as_it_is_in_the_score() -> None:
    predictions = simulate("cpg_methylation", rows=200, chromosomes=20)
    labels = predictions.labels.copy()
    labels[:, 2] = np.arange(200) == 7
    table = predictions.table.set_column(predictions.table.column_names.index("labels"), "labels", [list(labels)])
    boot = statistics.bootstrap(Predictions(predictions.task, table), resamples=200)
    assert boot.scores == pytest.approx(boot.per_label.mean(axis=1))
    assert boot.score == pytest.approx(statistics.score(Predictions(predictions.task, table))["auroc"])


def test_a_label_without_a_class_is_in_no_resample_s_mean() -> None:
    predictions = simulate("cpg_methylation", rows=200, chromosomes=20)
    labels = predictions.labels.copy()
    labels[:, 2] = 0
    table = predictions.table.set_column(predictions.table.column_names.index("labels"), "labels", [list(labels)])
    boot = statistics.bootstrap(Predictions(predictions.task, table), resamples=200)
    assert boot.scores == pytest.approx(np.delete(boot.per_label, 2, axis=1).mean(axis=1))
    assert abs(boot.scores.mean() - boot.score) < 0.01


def test_perfect_separation_is_not_certain() -> None:
    labels = np.r_[np.zeros(60, int), np.ones(8, int)]
    summary = statistics.summarise(rows_of(np.arange(68), labels, scores=np.arange(68.0)), resamples=50)
    assert summary.score == 1.0
    assert summary.interval == pytest.approx(statistics.newcombe(1.0, 8, 60))
    assert summary.interval[0] < 0.9


def test_single_class_has_no_score_and_no_interval() -> None:
    predictions = simulate("variant_effects_disease", rows=20)
    position = predictions.table.column_names.index("labels")
    none = Predictions(predictions.task, predictions.table.set_column(position, "labels", [np.zeros(20, np.int8)]))
    summary = statistics.summarise(none, resamples=20)
    assert summary.score is None
    assert summary.interval is None


def test_chance_of_average_precision_is_the_mean_over_all_orders() -> None:
    for n, positives in ((5, 1), (6, 3), (7, 7), (1, 1)):
        orders = combinations(range(1, n + 1), positives)
        values = [np.mean([(k + 1) / rank for k, rank in enumerate(order)]) for order in orders]
        assert chance.expected_average_precision(n, positives) == pytest.approx(np.mean(values), abs=1e-12)
    assert chance.expected_average_precision(10, 0) == 0


def test_chance_is_of_the_folds_that_are_scored_and_has_an_interval() -> None:
    predictions = simulate("enhancer_annotation", signal=0.0)
    labels = predictions.labels.reshape(60, 782).copy()
    labels[:12] = 0  # the first two folds
    table = predictions.table.set_column(predictions.table.column_names.index("labels"), "labels", [list(labels)])
    few = Predictions(predictions.task, table)
    found = chance.chance(few)
    each = [chance.expected_average_precision(6 * 782, int(labels[k : k + 6].sum())) for k in range(12, 60, 6)]
    assert found.value == pytest.approx(np.mean(each))
    assert found.value > labels[12:].mean()
    summary = statistics.summarise(few, resamples=50)
    assert found.interval[0] < summary.score < found.interval[1]
    assert summary.secondary["chance_interval"] == found.interval
    assert summary.counts["clusters"] == summary.secondary["folds_scored"] == 8
    assert chance.chance(simulate("cpg_methylation")) == chance.Chance(0.5)


def test_where_nothing_is_positive_chance_is_0() -> None:
    """As the average precision of random scores is without any positive."""
    predictions = simulate("enhancer_annotation")
    position = predictions.table.column_names.index("labels")
    none = [np.zeros(782, np.int8)] * len(predictions)
    assert chance.chance(Predictions(predictions.task, predictions.table.set_column(position, "labels", [none]))) == (
        chance.Chance(0.0, None)
    )


def test_the_interval_of_chance_holds_95_percent_of_random_scores() -> None:
    predictions = simulate("enhancer_annotation", rows=20)
    labels = predictions.labels.reshape(10, -1)
    low, high = chance.chance(predictions).interval
    rng = np.random.default_rng(9)
    drawn = np.zeros(1500)
    for positives in labels.sum(axis=1):
        for k in range(len(drawn)):
            ranks = np.sort(rng.choice(labels.shape[1], positives, replace=False)) + 1
            drawn[k] += (np.arange(1, positives + 1) / ranks).mean() / 10
    assert np.mean(drawn < low) == pytest.approx(0.025, abs=0.013)
    assert np.mean(drawn > high) == pytest.approx(0.025, abs=0.013)


@pytest.mark.parametrize("name", coverage.SAMPLE)
def test_coverage_and_errors_of_designs(name: str) -> None:
    """A seeded sample of the simulation that docs/results.md shows in full."""
    least, most = coverage.SAMPLE[name]
    (title,) = (title for title, group in coverage.DESIGNS.items() if name in group)
    found = coverage.counted((title, name, range(40)))
    assert len(found) > 20
    assert least <= np.mean(found) <= most


def test_seeds_and_rows_make_one_interval() -> None:
    assert seeds.spread([0.5]) is None
    assert seeds.spread([0.4, 0.6]) == pytest.approx(
        {"mean": 0.5, "deviation": np.sqrt(0.02), "lowest": 0.4, "highest": 0.6}
    )
    assert seeds.training([0.4]) is None
    assert seeds.training([0.4, 0.6]) == seeds.Component(pytest.approx(0.01), 1)
    assert seeds.training([0.4, 0.5, 0.6]) == seeds.Component(pytest.approx(0.01 / 3), 2)
    assert seeds.pooled([[0.4, 0.5, 0.6], [0.1], [0.2, 0.4]]) == seeds.Component(pytest.approx((0.02 + 0.02) / 3), 3)
    assert seeds.pooled([[0.4], [0.5]]) is None
    # Welch's degrees of freedom
    both = seeds.total([seeds.Component(4.0, 9), seeds.Component(1.0, 2)])
    assert (both.variance, both.freedom) == (5.0, pytest.approx(25 / (16 / 9 + 1 / 2)))
    assert seeds.total([seeds.Component(4.0, 9), seeds.NONE]) == seeds.Component(4.0, pytest.approx(9))
    # nothing varies: as free as the least
    assert seeds.total([seeds.Component(0.0, 9), seeds.Component(0.0, 2)]) == seeds.Component(0.0, 2)
    narrow = seeds.whole_interval("mcc", [0.5, 0.5, 0.5], 0.01, 20.0)
    wide = seeds.whole_interval("mcc", [0.4, 0.5, 0.6], 0.01, 20.0)
    assert narrow == pytest.approx(statistics.interval("mcc", 0.5, 0.01, 20))
    assert np.diff(wide) > 10 * np.diff(narrow)
    with pytest.raises(ValueError, match="needs two seeds"):
        seeds.whole_interval("mcc", [0.5], 0.01, 20.0)
    assert statistics.centred(0.75, 0.5) == 0.5
