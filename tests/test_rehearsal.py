"""The rehearsal of the benchmark: fits on made figures, and a sample of the measurement."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bend_hf.tasks import TASKS

BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"
SIZES = np.array([500.0, 1000, 2000, 4000, 8000])


@pytest.fixture
def growth(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import growth

    return growth


@pytest.fixture
def rehearsal(growth, monkeypatch):
    monkeypatch.setenv("BEND_HF_CACHE", os.environ["BEND_HF_CACHE"])  # which the rehearsal changes
    import rehearsal

    return rehearsal


@pytest.mark.parametrize("power", [0.7, 1.0, 1.5])
def test_a_known_exponent_is_found_whatever_the_rates(growth, power):
    series = {str(rate): growth.Points(SIZES, rate * SIZES**power) for rate in (1e-5, 3e-2)}
    series["one size"] = growth.Points(np.full(3, 7.0), np.array([1.0, 2.0, 3.0]))
    found, error = growth.exponent(series)
    assert found == pytest.approx(power)
    assert error < 1e-9


def test_the_error_of_an_exponent_is_that_of_repeated_measurements(growth):
    """Two tasks of five sizes, 10 % of noise: the errors that are stated are the deviation of what is found."""
    rng = np.random.default_rng(0)
    found = np.array(
        [
            growth.exponent(
                {
                    str(rate): growth.Points(SIZES, rate * SIZES * np.exp(0.1 * rng.normal(size=5)))
                    for rate in (1e-4, 1e-2)
                }
            )
            for _ in range(400)
        ]
    )
    assert found[:, 0].mean() == pytest.approx(1, abs=0.01)
    assert np.sqrt((found[:, 1] ** 2).mean()) == pytest.approx(found[:, 0].std(ddof=1), rel=0.1)


def test_too_few_sizes_have_no_exponent(growth):
    assert growth.exponent({"a": growth.Points(SIZES[:2], SIZES[:2])}) is None
    assert growth.exponent({"a": growth.Points(np.full(5, 3.0), SIZES)}) is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (3 + SIZES / 100, 3 + 10_000),
        (SIZES / 100, 10_000),
        (SIZES**2, None),  # a line would begin below zero: it goes through the origin
        (8000 / SIZES, None),  # and none falls: the mean
    ],
)
def test_a_line_foretells_what_is_one_and_never_less_than_nothing(growth, seconds, expected):
    value, half = growth.foretold(growth.Points(SIZES, seconds), 1_000_000)
    if expected is not None:
        assert value == pytest.approx(expected)
        assert half == pytest.approx(0, abs=1e-5 * value)
    else:
        assert value > 0
        assert half > 0
        assert growth.foretold(growth.Points(SIZES, seconds), 1)[0] > 0


def test_the_interval_holds_a_measurement_as_often_as_it_says(growth):
    rng = np.random.default_rng(1)

    def measured(rows):
        return (2 + rows / 200) * (1 + 0.1 * rng.normal(size=np.shape(rows)))

    held = []
    for _ in range(600):
        value, half = growth.foretold(growth.Points(SIZES, measured(SIZES)), 100_000.0)
        held.append(abs(measured(100_000.0) - value) <= half)
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)


def test_without_a_measurement_to_spare_there_is_no_interval(growth):
    assert growth.foretold(growth.Points(SIZES[:2], 1 + SIZES[:2]), 100.0) == (pytest.approx(101), float("inf"))


def test_the_table_says_what_grows_faster_than_the_rows(growth, rehearsal):
    shares = (800, 400, 200, 100, 50)
    rows = {name: np.array([sum(TASKS[name].rows.values()) / share for share in shares]) for name in TASKS}
    line = {name: growth.Points(count, 0.001 * count) for name, count in rows.items()}
    square = {name: growth.Points(count, 1e-6 * count**2) for name, count in rows.items()}
    head, first, second = rehearsal.text({"reading": line, "report": square}, shares).splitlines()
    assert head.split("  ")[-1].strip() == "all rows"
    total = 0.001 * sum(sum(task.rows.values()) for task in TASKS.values())
    assert f"{total:,.3g}" in first
    assert "1.00 ± 0.00" in first
    assert "FASTER" not in first
    assert "2.00 ± 0.00 FASTER THAN ROWS" in second


def test_every_stage_of_a_trained_and_of_a_variant_task_is_measured(rehearsal, capsys):
    tasks = [TASKS["cpg_methylation"], TASKS["variant_effects_disease"]]
    lines = []
    measured = rehearsal.rehearse(tasks, (40_000, 60_000), lines.append)
    assert [line.partition(":")[0] for line in lines] == [
        f"1/{share} {task.name}" for share in (60_000, 60_000, 40_000) for task in tasks
    ]
    assert list(measured) == list(rehearsal.STAGES)
    trained = {"storing", "reading", "training"}
    assert all(len(series) == (1 if stage in trained else 2) for stage, series in measured.items())
    assert measured["rows"]["cpg_methylation"].rows.tolist() == [16, 25]
    assert all((points.seconds > 0).all() for series in measured.values() for points in series.values())
