"""Tests, corrections and ranks, with answers known by hand; and that copies of one recipe share a rank."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from benchmarks import coverage

from bend_hf.results.ranks import Difference, differences, holm, rank


def difference(a: str, b: str, p: float | None, corrected: float | None) -> Difference:
    return Difference("task", a, b, 0.1, None, None, None, "seeds", None, p, corrected, 10, "row")


def test_ranks_follow_from_corrected_p_values() -> None:
    found = [difference("a", "b", 0.02, 0.06), difference("a", "c", 0.001, 0.003), difference("b", "c", 0.04, 0.06)]
    assert rank(["a", "b", "c"], found) == [("1–2", "a"), ("1–3", "b"), ("2–3", "c")]
    assert rank(["a", "b", "c"], found, level=0.9) == [("1", "a"), ("2", "b"), ("3", "c")]
    assert rank(["a", "b", "c"], found, level=0.998) == [("1–3", "a"), ("1–3", "b"), ("1–3", "c")]


def test_models_that_are_not_tested_or_not_ranked_leave_ranks_alone() -> None:
    found = [difference("a", "b", None, None), difference("a", "x", 0.001, 0.001), difference("b", "x", 0.001, 0.001)]
    assert rank(["a", "b"], found) == [("1–2", "a"), ("1–2", "b")]


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


COPIES, SEEDS, REPETITIONS = 4, 3, 200


def test_copies_of_one_recipe_are_told_apart_in_at_most_five_percent_of_pairs() -> None:
    """Seeds of one recipe, three at a time called a model, at a deviation over seeds of 0.02 AUROC."""
    told, raw, blind = [], [], []
    for k in range(REPETITIONS):
        models = coverage.models(np.random.default_rng(k), [1.0] * COPIES, SEEDS, 0.1, 400, coverage.MANY, 0.2)
        drawn = coverage.drawn(models, random=True)
        found = differences("variant_effects_disease", drawn)
        told += [item.corrected < 0.05 for item in found]
        raw += [item.p < 0.05 for item in found]
        known = {name: dataclasses.replace(one, seeds=()) for name, one in drawn.items()}
        blind += [item.p < 0.05 for item in differences("variant_effects_disease", known)]
    assert len(told) == REPETITIONS * COPIES * (COPIES - 1) / 2
    assert np.mean(told) <= 0.05
    assert np.mean(raw) <= 0.06
    assert np.mean(blind) > 0.1  # as if one training were the recipe
