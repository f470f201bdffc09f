"""Paired comparison: calibrated, symmetric, and refused where it would mean nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_factory import PROVENANCE, make_result, simulate
from scipy import stats

import bend_hf
from bend_hf.errors import BendError
from bend_hf.results import compare as module
from bend_hf.results import record, statistics
from bend_hf.results.compare import compare, holm, rank
from bend_hf.tasks import TASKS


def write(
    folder: Path, name: str, model: str, *, signal: float = 1.0, noise: int = 0, rows: int = 60, **changes
) -> Path:
    predictions = simulate(name, signal=signal, seed=noise, rows=rows)
    value = statistics.score(predictions)[TASKS[name].metric]
    return record.write_result(folder, make_result(name, model=model, score=value, **changes), predictions)


@pytest.mark.parametrize("name", TASKS)
def test_better_model_is_told_apart_on_every_task(tmp_path: Path, name: str) -> None:
    paths = [write(tmp_path, name, "weak", signal=0.3, noise=1), write(tmp_path, name, "strong", signal=2.0, noise=2)]
    comparison = bend_hf.compare(paths, resamples=300)
    (found,) = comparison.differences
    assert (found.a, found.b) == ("strong", "weak")
    assert found.interval[0] > 0
    assert found.p < 0.01
    assert comparison.ranking[name] == [("1", "strong"), ("2", "weak")]
    assert "strong - weak" in str(comparison)
    (back,) = comparison.to_json()["differences"]
    assert back["difference"] == found.difference


def test_a_model_does_not_differ_from_itself(tmp_path: Path) -> None:
    write(tmp_path / "a", "histone_modification", "model")
    write(tmp_path / "b", "histone_modification", "model")
    (found,) = compare([tmp_path / "a", tmp_path / "b"], resamples=100).differences
    assert {found.a, found.b} == {f"model [in {tmp_path / folder}]" for folder in ("a", "b")}
    assert (found.difference, found.p, found.interval) == (0.0, 1.0, [0.0, 0.0])


def test_pairing_narrows_the_interval(tmp_path: Path) -> None:
    name = "variant_effects_disease"
    write(tmp_path, name, "a", rows=200)
    (result,) = record.read_results(tmp_path)
    one = record.read_predictions(result)
    jitter = one.scores + 0.05 * np.random.default_rng(0).normal(size=200)
    position = one.table.column_names.index("scores")
    other = record.Predictions(one.task, one.table.set_column(position, "scores", [jitter.astype(np.float32)]))
    record.write_result(tmp_path, make_result(name, model="b", score=statistics.score(other)["auroc"]), other)
    (found,) = compare([tmp_path], resamples=300).differences
    alone = statistics.bootstrap(one, resamples=300).interval()
    assert np.diff(found.interval)[0] < 0.5 * np.diff(alone)[0]


def test_seeds_are_averaged_before_comparing(tmp_path: Path) -> None:
    for seed in range(3):
        write(tmp_path, "cpg_methylation", "a", signal=1.2, noise=seed, seed=seed)
    write(tmp_path, "cpg_methylation", "b", signal=0.2, noise=9)
    comparison = compare([tmp_path], resamples=100)
    (found,) = comparison.differences
    by_model = {row.model: row.score for row in comparison.rows}
    assert found.difference == pytest.approx(by_model["a"] - by_model["b"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "bend-2024"}, r"a and b differ in their protocol \(default; bend-2024\)"),
        ({"provenance": {**PROVENANCE, "dataset_digest": "0" * 64}}, "a and b differ in their data digest"),
        ({"rows": 59}, r"a and b were tested on different rows \(60 and 59 rows"),
    ],
)
def test_unequal_conditions_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    write(tmp_path, "histone_modification", "a")
    write(tmp_path, "histone_modification", "b", **change)
    with pytest.raises(BendError, match=message):
        compare([tmp_path], resamples=10)


def test_refused_tasks_become_notes_where_asked(tmp_path: Path) -> None:
    write(tmp_path, "histone_modification", "a")
    write(tmp_path, "histone_modification", "b", rows=59)
    for noise, model in enumerate("ab"):
        write(tmp_path, "cpg_methylation", model, noise=noise)
    found = compare([tmp_path], resamples=10, strict=False)
    assert list(found.ranking) == ["cpg_methylation"]
    assert "were tested on different rows" in found.notes[0]


def test_protocol_can_be_chosen(tmp_path: Path) -> None:
    for protocol in ("default", "bend-2024"):
        for noise, model in enumerate("ab"):
            write(tmp_path, "histone_modification", model, noise=noise, protocol=protocol)
    found = compare([tmp_path], protocol="bend-2024", resamples=10)
    assert {row.protocol for row in found.rows} == {"bend-2024"}


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    write(tmp_path, "histone_modification", "a")
    with pytest.raises(BendError, match=r"nothing to compare.*histone_modification is left out: a alone"):
        compare([tmp_path])
    write(tmp_path, "histone_modification", "b", noise=1)
    write(tmp_path, "gene_finding", "a")
    failed = make_result("histone_modification", model="c", score=None, failure="no memory")
    record.write_result(tmp_path, failed)
    comparison = compare([tmp_path], resamples=10)
    assert comparison.notes == [
        "gene_finding is left out: a alone has a score.",
        "c is left out of histone_modification: no memory",
    ]
    assert str(comparison).endswith(comparison.notes[-1])


def test_missing_predictions_are_an_error(tmp_path: Path) -> None:
    for model in "ab":
        record.write_result(tmp_path, make_result("gene_finding", model=model))
    with pytest.raises(BendError, match="has no predictions on disk"):
        compare([tmp_path])


def test_ranks_group_ties() -> None:
    models = list("abcde")
    apart = {frozenset(pair) for pair in ("ab", "ac", "ad", "ae", "be", "ce", "de")}
    assert rank(models, lambda a, b: frozenset((a, b)) in apart) == [
        ("1", "a"), ("2–4", "b"), ("2–4", "c"), ("2–4", "d"), ("5", "e")
    ]  # fmt: skip
    assert [place for place, _ in rank(models, lambda a, b: False)] == ["1–5"] * 5
    assert [place for place, _ in rank(models, lambda a, b: True)] == list("12345")


def test_holm_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_never_below_the_raw_value(p: list[float]) -> None:
    corrected = holm(p)
    assert all(c >= raw for c, raw in zip(corrected, p, strict=True))
    assert all(c <= 1 for c in corrected)
    order = np.argsort(p)
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_folds_give_the_paired_t_test(tmp_path: Path) -> None:
    """With ten folds the bootstrap's difference is the paired t test over folds, up to resampling noise."""
    paths = [
        write(tmp_path, "enhancer_annotation", m, signal=s, noise=k) for k, (m, s) in enumerate((("a", 1), ("b", 1.1)))
    ]
    found = compare(paths, resamples=20_000).differences[0]
    folds = [statistics.score(record.read_predictions(record.read_result(path)))["folds"] for path in paths]
    expected = stats.ttest_rel(list(folds[0].values()), list(folds[1].values())).pvalue
    assert found.p == pytest.approx(expected, abs=0.01)


def test_no_difference_is_found_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(5)
    rejected = 0
    for _ in range(300):
        values = rng.normal(size=(2, 20)) + rng.normal(size=20)
        draws = rng.integers(0, 20, (200, 20))
        drawn = {
            name: module.Drawn(row.mean(), row[draws].mean(1), 20, "chromosome")
            for name, row in zip("ab", values, strict=True)
        }
        rejected += module.difference("gene_finding", drawn).p < 0.05
    assert 0.02 <= rejected / 300 <= 0.09
