"""Cross-fitting: at chance for models that know nothing, where the best on the test rows is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from bend_hf.results.crossfit import class_rates, compare_scores, cross_fit, halves
from bend_hf.results.predictions import make_predictions
from bend_hf.results.statistics import bootstrap, score
from bend_hf.tasks import TASKS

TASK = TASKS["variant_effects_disease"]
ROWS = 600


def predictions(random, *, effect=0.0, scores=12, chromosomes=20, span=100_000_000, positives=120):
    """Variants whose first score knows their label to a degree, the others nothing."""
    labels = random.permutation(np.arange(ROWS) < positives).astype(np.int8)
    rows = {
        "chromosome": [f"chr{1 + i % chromosomes}" for i in range(ROWS)],
        "start": random.integers(0, span, ROWS).tolist(),
        "ref": ["A"] * ROWS,
        "alt": ["C"] * ROWS,
    }
    beside = {f"s{k}": random.normal(size=ROWS) for k in range(scores)}
    beside["s0"] = beside["s0"] + effect * labels
    return make_predictions(TASK, rows, beside["s0"], labels, beside)


def test_labels_without_meaning_score_chance():
    """The best of twelve scores that know nothing is above 0.5 on the rows it was picked on, and 0.5 cross-fitted."""
    random = np.random.default_rng(0)
    fitted, picked = [], []
    for _ in range(12):
        drawn = predictions(random)
        fitted.append(cross_fit(drawn, drawn.beside, resamples=20).score)
        picked.append(max(score(drawn.by(name))["auroc"] for name in drawn.beside))
    error = np.std(fitted, ddof=1) / 12**0.5
    assert abs(np.mean(fitted) - 0.5) < 3 * error < 0.05
    assert min(picked) > 0.5
    assert np.mean(picked) > 0.54


def test_the_score_that_knows_is_found():
    drawn = predictions(np.random.default_rng(1), effect=1.0)
    found = cross_fit(drawn, drawn.beside)
    assert found.chosen == ["s0", "s0"]
    assert found.unit == "chromosome"
    second, _ = divided(drawn)
    by_half = [score(cross_half(drawn.by("s0"), half))["auroc"] for half in (second, ~second)]
    assert found.tests == by_half
    assert found.score == pytest.approx(np.mean(by_half))
    low, high = found.interval
    assert 0.5 < low < found.score < high < 1
    errors = [bootstrap(cross_half(drawn.by("s0"), half)).error for half in (second, ~second)]
    error = np.hypot(*errors) / 2  # of the mean of two halves that share no chromosome
    on_the_logit_scale = (special.logit(high) - special.logit(low)) * found.score * (1 - found.score)
    assert 2 * stats.norm.ppf(0.975) * error < on_the_logit_scale < 2 * stats.t.ppf(0.975, 5) * error


def test_every_score_beside_the_headline_has_its_own_value_and_interval():
    drawn = predictions(np.random.default_rng(3), effect=1.0, scores=3, chromosomes=10)
    ranks = {name: stats.rankdata(drawn.by(name).scores.ravel()) for name in drawn.beside}
    positive = drawn.labels.ravel() == 1
    ones, others = positive.sum(), (~positive).sum()
    by_hand = {name: (rank[positive].sum() - ones * (ones + 1) / 2) / (ones * others) for name, rank in ranks.items()}
    found = compare_scores(drawn, resamples=40)
    assert found["by_score"] == pytest.approx(by_hand)
    assert found["by_score"]["s0"] > 0.7
    for name, (low, high) in found["by_score_interval"].items():
        assert low < by_hand[name] < high


def divided(predictions):
    return halves(predictions.column("chromosome"), predictions.column("start"), predictions.labels)


def cross_half(predictions, half):
    from bend_hf.results.predictions import Predictions

    return Predictions(predictions.task, predictions.table.filter(half))


def test_halves_share_no_chromosome_and_are_alike():
    drawn = predictions(np.random.default_rng(2))
    second, unit = divided(drawn)
    chromosome = drawn.column("chromosome")
    assert unit == "chromosome"
    assert not set(chromosome[second]) & set(chromosome[~second])
    positives = [int(drawn.labels[half].sum()) for half in (second, ~second)]
    assert abs(positives[0] - positives[1]) <= 0.1 * sum(positives)


def test_one_chromosome_is_halved_by_blocks_and_one_block_not_at_all():
    random = np.random.default_rng(3)
    second, unit = divided(one := predictions(random, chromosomes=1))
    block = one.column("start") // 1_000_000
    assert unit == "1 Mb block"
    assert not set(block[second]) & set(block[~second])
    found = cross_fit(predictions(random, chromosomes=1, span=1000), ["s0", "s1"])
    assert (found.score, found.interval, found.unit) == (None, None, None)
    assert "both classes on both sides" in found.lack


def test_too_few_positives_have_a_score_and_no_interval():
    drawn = predictions(np.random.default_rng(4), positives=6)
    found = cross_fit(drawn, ["s0", "s1"])
    assert found.score is not None
    assert found.interval is None
    assert found.lack


def test_rates_of_classes_come_from_the_other_half():
    classes = np.array(["stop", "stop", "intron", "intron", "stop", "rare"])
    labels = np.array([1, 1, 0, 0, 0, 0])
    second = np.array([False, False, False, False, True, True])
    # stop: two of two and one average row (0.5) over three; intron likewise; rare was never seen.
    rates = class_rates(classes, labels, second)
    assert rates[4:].tolist() == pytest.approx([2.5 / 3, 0.5])
    assert rates[:4].tolist() == pytest.approx([0.0] * 4)  # the other half has no positive
