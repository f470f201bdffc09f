"""Rows of a leaderboard, the plain table, and the reference values."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from result_factory import PROVENANCE, make_result, simulate, stored, trained

from bend_hf.report.table import table
from bend_hf.results import board, record, statistics
from bend_hf.results.seeds import whole_interval
from bend_hf.tasks import TASKS
from bend_hf.text import duration, size


def test_seeds_are_brought_together_and_kept_apart_from_sampling() -> None:
    (row,) = board.board(make_result("gene_finding", seed=k, score=score) for k, score in enumerate((0.4, 0.5, 0.6)))
    assert row.score == pytest.approx(0.5)
    assert row.interval == pytest.approx([0.45, 0.55])
    assert row.spread["deviation"] == pytest.approx(0.1)
    assert row.seconds == pytest.approx(43.25)  # trained side by side: the same durations in every record
    assert (row.memory, row.stored) == (800_000_000, 1_200_000)


def test_protocols_and_toy_data_are_never_brought_together() -> None:
    results = [
        make_result("gene_finding"),
        make_result("gene_finding", protocol="bend-2024"),
        make_result("gene_finding", toy=False),
    ]
    assert len(board.board(results)) == 3


def test_rows_stand_by_score_baselines_among_models() -> None:
    results = [
        make_result("gene_finding", model="weak", score=0.2),
        make_result("gene_finding", model="onehot", score=0.9),
        make_result("gene_finding", model="strong", score=0.6),
        make_result("gene_finding", model="broken", score=None, failure="no memory"),
    ]
    assert [row.model for row in board.board(results)] == ["onehot", "strong", "weak", "broken"]


def test_means_need_every_task_and_keep_zero_shot_apart() -> None:
    results = [make_result(name, score=0.75) for name in TASKS]
    means = board.group_means(board.board(results))[("simulated", "default", True)]
    supervised = [0.75, (0.75 - 0.02) / 0.98, 0.5, 0.5, 0.5]
    assert means == pytest.approx({"supervised": sum(supervised) / 5, "zero_shot": 0.5})
    partial = board.group_means(board.board(results[1:]))[("simulated", "default", True)]
    assert partial == {"supervised": None, "zero_shot": pytest.approx(0.5)}


def test_table_tells_what_a_number_is_worth() -> None:
    results = [make_result("gene_finding", model="org/model", seed=k, score=0.4 + k / 10) for k in range(2)]
    results += [make_result("gene_finding", model="onehot", score=0.3)]
    results += [make_result("cpg_methylation", model="org/model", score=None, failure="the head diverged")]
    text = table(results)
    assert text.startswith("TOY DATA: these numbers show that every part works; they say nothing about a model.")
    line = next(line for line in text.splitlines() if "org/model" in line)
    assert line.split() == "org/model 0.450 0.400 to 0.500 ±0.071 (n=2) 0.300 43 s".split()
    lines = text.splitlines()
    assert lines[lines.index(line) - 1].startswith(("Gene finding (mcc; chance 0.000)", "  one-hot CNN"))
    assert lines.count("Gene finding (mcc; chance 0.000)") == 1
    assert max(map(len, lines)) <= 86
    assert "one-hot CNN" in text
    assert "FAILED org/model on cpg_methylation: the head diverged" in text
    assert "TOY" not in table([dataclasses.replace(result, toy=False) for result in results])
    assert table([]) == "No results."


def test_table_keeps_protocols_apart() -> None:
    text = table([make_result("gene_finding"), make_result("gene_finding", protocol="bend-2024")])
    assert text.index("protocol: default") < text.index("protocol: bend-2024")


def test_costs_that_were_not_recorded_are_not_invented() -> None:
    provenance = {key: value for key, value in PROVENANCE.items() if key not in ("seconds", "peak_memory")}
    (row,) = board.board([make_result("gene_finding", provenance=provenance)])
    assert row.seconds is None
    assert row.memory is None


def test_where_chance_is_perfect_there_is_no_scale_from_chance_to_perfect() -> None:
    """As of test rows of one class, in AUPRC or macro F1: tables and means say so, and do not divide by zero."""
    result = make_result("enhancer_annotation", score=1.0, chance=1.0)
    (row,) = board.board([result])
    assert row.centred is None
    assert "1.000" in table([result])
    (means,) = board.group_means([row]).values()
    assert means == {"supervised": None, "zero_shot": None}


def test_durations_of_seeds_trained_apart_add_up() -> None:
    apart = [
        make_result("gene_finding", seed=k, provenance={**PROVENANCE, "seconds": {"train": 10.0 + k}}) for k in range(2)
    ]
    assert board.board(apart)[0].seconds == 21.0


def test_units() -> None:
    assert [duration(s) for s in (None, 0.42, 12.3, 200, 7500)] == ["-", "0.4 s", "12 s", "3 min 20 s", "2 h 05 min"]
    assert [size(b) for b in (None, 12, 1500, 2.5e6, 85e9)] == ["-", "12 B", "1.5 kB", "2.5 MB", "85.0 GB"]


def test_an_interval_over_seeds_holds_rows_and_training() -> None:
    seeds = [
        make_result(
            "gene_finding", seed=k, score=score, secondary={"interval": {"error": error, "freedom": 20.0 - 10 * k}}
        )
        for k, (score, error) in enumerate(((0.4, 0.01), (0.5, 0.02)))
    ]
    (row,) = board.board(seeds)
    assert row.sampling == pytest.approx([0.4, 0.5])
    assert row.interval == pytest.approx(whole_interval("mcc", [0.4, 0.5], 0.015, 10.0))
    assert np.diff(row.interval) > np.diff(row.sampling)
    (one,) = board.board(seeds[:1])
    assert one.interval == one.sampling


def test_the_error_over_rows_is_that_of_the_mean_where_predictions_are_at_hand(tmp_path: Path) -> None:
    name = "histone_modification"
    for seed in range(3):
        stored(tmp_path, name, simulate(name, seed=seed, rows=300, chromosomes=12), seed=seed, resamples=1000)
    results = record.read_results(tmp_path)
    boots = [statistics.bootstrap(record.read_predictions(result)) for result in results]
    scores, freedom = [result.score for result in results], min(boot.freedom for boot in boots)
    error = statistics.standard_error(np.mean([boot.scores for boot in boots], axis=0), freedom)
    (row,) = board.board(results)
    assert row.interval == pytest.approx(whole_interval("auroc", scores, error, freedom))
    (again,) = board.board(results)  # from the cache
    assert again.interval == row.interval
    alone = float(np.mean([boot.error for boot in boots]))
    assert error < 0.9 * alone
    for result in results:
        (result.path.parent / result.predictions["file"]).unlink()
    (without,) = board.board(results)  # the mean of the errors is never less
    assert without.interval == pytest.approx(whole_interval("auroc", scores, alone, freedom), abs=1e-6)
    assert np.diff(without.interval) > np.diff(row.interval)


def test_what_is_not_trained_at_random_says_no_seeds() -> None:
    provenance = trained("composition")
    copies = [make_result("gene_finding", model="composition", seed=k, provenance=provenance) for k in range(3)]
    (row,) = board.board(copies)
    assert (row.trained, row.spread, len(row.results)) == (False, None, 1)
    assert "no seeds" in table(copies)
    assert "±" not in table(copies)
    (variants,) = board.board([make_result("variant_effects_disease")])
    assert variants.trained is False


@pytest.mark.parametrize(
    ("name", "score", "interval", "secondary", "expected"),
    [
        ("gene_finding", 0.1, [-0.01, 0.2], {}, True),
        ("gene_finding", 0.1, [0.01, 0.2], {}, False),
        ("enhancer_annotation", 0.025, [0.021, 0.03], {"chance_interval": [0.014, 0.028]}, True),
        ("enhancer_annotation", 0.03, [0.015, 0.05], {"chance_interval": [0.014, 0.028]}, False),
        ("gene_finding", 0.1, None, {}, False),
    ],
)
def test_scores_no_better_than_chance_are_marked(name, score, interval, secondary, expected) -> None:
    result = make_result(name, score=score, interval=interval, secondary=secondary)
    (row,) = board.board([result])
    assert row.at_chance is expected
    assert (f"{score:.3f}°" in table([result])) is expected
    assert ("no better than chance" in table([result])) is expected
