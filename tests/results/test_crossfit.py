"""Halves of test rows, and what one half says of the other."""

from __future__ import annotations

import numpy as np
import pytest

from bend_hf.results.crossfit import class_rates, halves
from bend_hf.results.predictions import make_predictions
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


def divided(predictions):
    return halves(predictions.column("chromosome"), predictions.column("start"), predictions.labels)


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
    assert divided(predictions(random, chromosomes=1, span=1000))[1] is None


def test_rates_of_classes_come_from_the_other_half():
    classes = np.array(["stop", "stop", "intron", "intron", "stop", "rare"])
    labels = np.array([1, 1, 0, 0, 0, 0])
    second = np.array([False, False, False, False, True, True])
    # stop: two of two and one average row (0.5) over three; intron likewise; rare was never seen.
    rates = class_rates(classes, labels, second)
    assert rates[4:].tolist() == pytest.approx([2.5 / 3, 0.5])
    assert rates[:4].tolist() == pytest.approx([0.0] * 4)  # the other half has no positive
