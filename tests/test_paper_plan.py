"""The benchmark on paper: made-up rates times the released rows, on machines that do not talk to each other."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models

from bend_hf.probe import Rates
from bend_hf.tasks import TASKS


@pytest.fixture
def paper(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent / "benchmarks"))
    import paper

    return paper


def test_shares_divide_and_whole_tasks_go_where_room_is(paper):
    costs = [paper.Cost("a", 80.0, rest, 0, 0, None) for rest in (60.0, 30.0, 20.0, 10.0)]
    assert paper.elapsed(costs, 1) == 320 + 120
    assert paper.elapsed(costs, 2) == 160 + 60  # 60 beside 30 + 20 + 10
    assert paper.elapsed(costs, 3) == pytest.approx(320 / 3 + 60)
    assert paper.elapsed(costs, 100) == 3.2 + 60


def test_the_released_rows_take_what_the_rates_say(paper, toy_dir, tmp_path, monkeypatch):
    rates = Rates(1e-3, 1e-5, 1e-6, 5.0, 87.0, 1000.0, False, 700_000_000, None)
    monkeypatch.setattr(paper, "probe", lambda work, task: rates)
    model = str(tiny_models.esm(tmp_path / "model"))
    rows = TASKS["cpg_methylation"].rows
    cost = paper.cost_of(model, TASKS["cpg_methylation"], toy_dir, tmp_path / "out", device="cpu")
    assert cost.embedding == pytest.approx(959_039 * 1e-3)
    epochs = 100 * (rows["train"] * 1e-5 + rows["validation"] * 1e-6)
    assert cost.rest == pytest.approx(epochs + rows["test"] * 1e-6)
    assert cost.disk == 959_039 * 1000
    variants = paper.cost_of(model, TASKS["variant_effects_disease"], toy_dir, tmp_path / "out", device="cpu")
    assert (variants.embedding, variants.rest) == (0, pytest.approx(5 + 295_495 * 1e-3))
    shown = paper.text("model", [cost, variants], [1, 8], 2.0)
    hours = (cost.embedding + cost.rest + variants.rest) / 3600
    assert f"in all {hours:,.1f} hours of this machine, {2 * hours:,.2f} at 2 an hour; 959 MB of vectors" in shown
    assert shown.count("x this machine") == 2
    assert list((tmp_path / "out").glob("**/*.json")) == []  # nothing is evaluated
