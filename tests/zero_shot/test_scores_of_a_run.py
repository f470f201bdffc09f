"""The scores of variants in a run: which are made, where they are kept, and what is refused before any work."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_models

import bend_hf
from bend_hf.errors import BendError
from bend_hf.results.record import read_predictions
from bend_hf.results.statistics import score
from bend_hf.tasks import TASKS

TASK = "variant_effects_disease"
EVERY = [f"{place}{name}" for place in ("", "mean_", "max_", "last_") for name in ("cosine", "l2", "inner_product")]
CONTROLS = ["gc_change", "cpg_created", "cpg_lost"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "esm": str(tiny_models.esm(root / "esm", layers=1, lm=True)),
        "gpt2": str(tiny_models.gpt2(root / "gpt2", layers=1, lm=True)),
        "headless": str(tiny_models.esm(root / "headless", layers=1)),
    }


@pytest.fixture(scope="module")
def result(folders, toy_dir, tmp_path_factory):
    output = tmp_path_factory.mktemp("results")
    [found] = bend_hf.evaluate(folders["esm"], TASK, data_dir=toy_dir, dtype="float32", output=output)
    return found


def test_every_distance_is_a_column_and_a_score_with_an_interval(result):
    predictions = read_predictions(result)
    assert list(predictions.beside[:12]) == EVERY
    assert set(predictions.beside[12:]) >= set(CONTROLS)
    assert set(result.secondary["by_score"]) == set(predictions.beside)
    assert result.secondary["by_score"]["cosine"] == result.score
    assert result.secondary["by_score_interval"]["cosine"] == result.interval
    for name, value in result.secondary["by_score"].items():
        assert value == score(predictions.by(name))["auroc"]
    assert np.array_equal(predictions.by("cosine").scores, predictions.scores)
    assert result.secondary["unmoved"] == result.secondary["same_by_definition"] == 0
    table = pq.read_table(result.path.parent / result.predictions["file"])
    assert table["score.mean_l2"].type == "float"
    with pytest.raises(BendError, match="Did you mean 'mean_l2'"):
        predictions.by("mean_l")


def test_chosen_scores_only_and_another_key(folders, toy_dir, result, tmp_path):
    options = {"data_dir": toy_dir, "dtype": "float32", "output": tmp_path}
    [found] = bend_hf.evaluate(folders["esm"], TASK, scores=["l2", "llr"], **options)
    assert list(read_predictions(found).beside[:3]) == ["cosine", "l2", "llr"]
    assert found.score == result.score
    assert found.key != result.key
    assert found.provenance["settings"]["scores"] == ["cosine", "l2", "llr"]


def test_causal_models_get_the_variant_by_default_and_the_rest_when_asked(folders, toy_dir, tmp_path):
    options = {"data_dir": toy_dir, "dtype": "float32", "output": tmp_path}
    [found] = bend_hf.evaluate(folders["gpt2"], TASK, **options)
    assert list(read_predictions(found).beside[:4]) == ["cosine", "l2", "inner_product", "gc_change"]
    [more] = bend_hf.evaluate(folders["gpt2"], TASK, scores=["mean_l2"], strand="average", **options)
    names = ["cosine", "mean_l2"]
    strands = [name + end for name in names for end in ("", ".forward", ".reverse")]
    assert list(read_predictions(more).beside[:6]) == strands


@pytest.mark.parametrize(
    ("model", "scores", "tasks", "message"),
    [
        ("esm", "cosin", TASK, "Did you mean 'cosine'"),
        ("esm", "llr_centred", TASK, r"is a masked language model, .* it can give llr, llr_block, pll"),
        ("gpt2", "pll", TASK, r"is a causal language model, .* it can give llr, llr_left, llr_centred,"),
        ("gpt2", "llr_block", TASK, "reads DNA as characters, not in blocks of k-mers"),
        ("headless", "llr", TASK, "lm_head"),
        ("esm", 1, TASK, r"scores=\[1\] \(--scores\): 1 is no name of a score"),
        ("esm", "cosine", "cpg_methylation", "is for models on variant tasks"),
        ("composition", "cosine", TASK, "is for models on variant tasks"),
        ("onehot", "llr", TASK, "has no language-model head"),
    ],
)
def test_what_cannot_be_given_is_said_before_anything_is_made(
    folders, toy_dir, tmp_path, model, scores, tasks, message
):
    output = tmp_path / "out"
    with pytest.raises(BendError, match=message):
        bend_hf.evaluate(folders.get(model, model), tasks, data_dir=toy_dir, scores=[scores], output=output)
    assert not output.exists()


def test_the_report_shows_every_score(result, tmp_path):
    from bend_hf.report.write import write_report

    page = write_report(result.path.parent.parent, tmp_path / "report.html", resamples=50).read_text()
    shown = page[page.index("<summary>All scores</summary>") :]
    for name, value in result.secondary["by_score"].items():
        assert f'<th scope="row">{name}</th><td data-v="{value}">{value:.3f}' in shown
    assert f"cross-fitted best</th><td>{result.secondary['cross_fitted']['score']:.3f}" in shown


def test_the_report_says_where_blocks_take_the_place_of_chromosomes(result):
    from bend_hf.report.panels import panels
    from bend_hf.results.board import board

    fitted = result.secondary["cross_fitted"]
    said = []
    for unit in ("chromosome", "1 Mb block"):
        other = dataclasses.replace(result, secondary=result.secondary | {"cross_fitted": fitted | {"unit": unit}})
        [shown] = [panel for panel in panels(TASKS[TASK], board([other]), {}) if panel.title == "All scores"]
        said.append(shown.last[1][0].under)
    assert said[1] == f"{said[0]}; chosen on half of the 1 Mb blocks"


def test_the_best_score_is_chosen_on_the_other_half(result):
    from bend_hf.results.crossfit import cross_fit

    fitted = result.secondary["cross_fitted"]
    assert fitted["unit"] == "chromosome"
    assert set(fitted["chosen"]) <= set(EVERY)
    found = cross_fit(read_predictions(result), EVERY)
    assert (found.score, found.interval, found.chosen) == (fitted["score"], fitted["interval"], fitted["chosen"])


def test_a_class_is_a_baseline_that_has_not_seen_its_own_half(result):
    from bend_hf.results.crossfit import halves

    predictions = read_predictions(result)
    rates, classes = predictions.by("consequence_class").scores, predictions.column("consequence")
    half, unit = halves(predictions.column("chromosome"), predictions.column("start"), predictions.labels)
    assert unit == "chromosome"
    for name in set(classes):
        other = (classes == name) & half
        learnt = (predictions.labels[other].sum() + predictions.labels[half].mean()) / (other.sum() + 1)
        assert rates[(classes == name) & ~half] == pytest.approx(learnt)
