"""Paired comparison: calibrated, symmetric, and refused where it would mean nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_factory import PROVENANCE, make_result, scored, simulate, stored, trained
from scipy import stats

import bend_hf
from bend_hf.errors import BendError
from bend_hf.report.write import write_report
from bend_hf.results import record, statistics
from bend_hf.results.apart import gather
from bend_hf.results.clusters import weights
from bend_hf.results.compare import compare
from bend_hf.results.ranks import Difference, Drawn, differences, holm, over_seeds, rank
from bend_hf.tasks import TASKS


def write(
    folder: Path, name: str, model: str, *, signal: float = 1.0, noise: int = 0, rows: int = 60, **changes
) -> Path:
    predictions = simulate(name, signal=signal, seed=noise, rows=rows)
    return stored(folder, name, predictions, model=model, **changes)


def write_seeds(folder: Path, name: str, model: str, *, signal: float = 1.0, noise: int = 0, **changes) -> Path:
    """Three training seeds where the task trains, one record where it does not."""
    for seed in range(3 if TASKS[name].recipe else 1):
        path = write(folder, name, model, signal=signal, noise=10 * noise + seed, seed=seed, **changes)
    return path.parent


@pytest.mark.parametrize("name", TASKS)
def test_better_model_is_told_apart_on_every_task(tmp_path: Path, name: str) -> None:
    paths = [
        write_seeds(tmp_path, name, "weak", signal=0.3, noise=1),
        write_seeds(tmp_path, name, "strong", signal=2.0, noise=2),
    ]
    comparison = bend_hf.compare(paths, resamples=300)
    (found,) = comparison.differences
    assert (found.a, found.b) == ("strong", "weak")
    assert found.interval[0] > 0
    assert found.p < 0.01
    assert found.training == ("seeds" if TASKS[name].recipe else "none")
    assert comparison.ranking[name] == [("1", "strong"), ("2", "weak")]
    assert "strong - weak" in str(comparison)
    (back,) = comparison.to_json()["differences"]
    assert back["difference"] == found.difference


@pytest.mark.parametrize("resamples", [1, 2, 9])
def test_too_few_resamples_are_refused(tmp_path: Path, resamples: int) -> None:
    """One tells no error, and models were told apart by a p-value of 0; two tell it badly."""
    for k, model in enumerate(("one", "other")):
        write(tmp_path, "variant_effects_disease", model, noise=k)
    with pytest.raises(BendError, match=f"resamples={resamples} .* is no whole number of at least 10"):
        compare([tmp_path], resamples=resamples)
    with pytest.raises(BendError, match=f"resamples={resamples} .* is no whole number of at least 10"):
        write_report(tmp_path, tmp_path / "r.html", resamples=resamples)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_error_that_is_no_number_tells_nothing_apart() -> None:
    name = "variant_effects_disease"
    drawn = {
        model: over_seeds(
            [statistics.bootstrap(simulate(name, signal=signal, rows=200, chromosomes=20), resamples=1)], random=False
        )
        for model, signal in (("weak", 0.3), ("strong", 2.0))
    }
    (found,) = differences(name, drawn)
    assert (found.interval, found.p, found.corrected) == (None, None, None)
    assert [place for place, _ in rank(["strong", "weak"], [found])] == ["1–2", "1–2"]


def test_scores_that_differ_alike_in_every_resample_have_no_error(tmp_path: Path) -> None:
    """A model that ranks all positives first, and one that ranks them last: rounding alone is no error."""
    name = "variant_effects_disease"
    right = simulate(name, rows=200, chromosomes=20)
    keys = right.table.select([one for one in right.table.column_names if one not in ("scores", "labels")])
    noise = np.random.default_rng(0).random(200)
    for model, scores in (("first", right.labels + noise / 2), ("last", noise / 2 - right.labels)):
        stored(tmp_path, name, record.make_predictions(right.task, keys, scores, right.labels), model=model)
    found = compare([tmp_path], resamples=100)
    (pair,) = found.differences
    assert (pair.difference, pair.interval, pair.p, pair.corrected) == (1.0, None, None, None)
    assert found.ranking == {name: [("1–2", "first"), ("1–2", "last")]}
    assert "first and last are not tested: every resample gives the same difference" in found.notes[0]
    assert "nan" not in str(found)


def test_one_seed_ranks_no_trained_models(tmp_path: Path) -> None:
    name = "histone_modification"
    write(tmp_path, name, "weak", signal=0.3, noise=1)
    write(tmp_path, name, "strong", signal=2.0, noise=2)
    found = compare([tmp_path], resamples=100)
    (pair,) = found.differences
    assert (pair.training, pair.p, pair.corrected, pair.training_error) == ("unknown", None, None, None)
    assert pair.interval[0] > 0  # over test rows alone
    assert found.ranking == {name: []}
    assert found.notes == [
        f"{name}: not ranked: strong, weak; one seed does not tell how much training again would change a score "
        "(evaluate with --seeds 3)."
    ]
    lines = str(found).splitlines()
    assert sum(line.startswith("-  ") for line in lines) == 2  # both are shown, neither is ranked
    assert "* over test rows alone; how much training again would change it is unknown." in lines


def test_baselines_have_their_titles_for_people_and_their_names_for_programs(tmp_path: Path) -> None:
    for k, model in enumerate(("onehot", "mine")):
        write(tmp_path, "histone_modification", model, signal=1.0 + k, noise=k)
    found = compare([tmp_path], resamples=100)
    assert found.notes[0].startswith("histone_modification: not ranked: mine, one-hot CNN; one seed")
    assert "onehot" not in str(found)
    assert str(found).count("one-hot CNN") == 3  # its score, its difference and the note
    assert {found.differences[0].a, found.differences[0].b} == {"onehot", "mine"}


def test_other_models_seeds_lend_their_training_error(tmp_path: Path) -> None:
    name = "histone_modification"
    write_seeds(tmp_path, name, "several", signal=2.0, noise=1)
    write(tmp_path, name, "once", signal=0.3, noise=2)
    write(tmp_path, name, "composition", signal=1.0, noise=3, seed=None, provenance=trained("composition"))
    found = compare([tmp_path], resamples=100)
    assert [model for _, model in found.ranking[name]] == ["several", "composition", "once"]
    assert found.notes == [f"{name}: the training error of once (one seed) is that of several."]
    by_pair = {(item.a, item.b): item for item in found.differences}
    assert by_pair["several", "once"].training == "prior"
    assert by_pair["several", "composition"].training == "seeds"
    scores = [r.score for r in record.read_results(tmp_path / "several")]
    assert by_pair["composition", "once"].training_error == pytest.approx(np.std(scores, ddof=1))
    assert by_pair["several", "composition"].training_error == pytest.approx(np.std(scores, ddof=1) / np.sqrt(3))


def test_a_model_does_not_differ_from_itself(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(tmp_path / folder, "variant_effects_disease", "model")
    (found,) = compare([tmp_path / "a", tmp_path / "b"], resamples=100).differences
    assert {found.a, found.b} == {f"model [in {tmp_path / folder}]" for folder in ("a", "b")}
    assert (found.difference, found.p, found.interval) == (0.0, 1.0, [0.0, 0.0])


def test_folders_with_other_seeds_or_tasks_add_to_each_other(tmp_path: Path) -> None:
    write(tmp_path / "a", "cpg_methylation", "model", seed=0)
    write(tmp_path / "b", "cpg_methylation", "model", seed=1)
    write(tmp_path / "b", "gene_finding", "model")
    found = gather([tmp_path / "a", tmp_path / "b"])
    assert {result.model for result in found} == {"model"}
    assert len(found) == 3


def test_ranks_do_not_depend_on_other_tasks(tmp_path: Path) -> None:
    for k, model in enumerate("abcd"):
        for name in ("cpg_methylation", "histone_modification", "variant_effects_disease"):
            write_seeds(tmp_path, name, model, signal=0.5 + 0.2 * k, noise=k)
    whole = compare([tmp_path], resamples=100)
    for name in whole.ranking:
        alone = compare([tmp_path], tasks=name, resamples=100)
        assert alone.ranking[name] == whole.ranking[name]
        assert alone.differences == [item for item in whole.differences if item.task == name]
        assert str(alone) in str(whole)


def test_level_and_seed_are_used(tmp_path: Path) -> None:
    for k, model in enumerate("ab"):
        write(tmp_path, "variant_effects_disease", model, signal=0.5 + 0.3 * k, noise=k)
    (usual,), (narrow,), (other,) = (
        compare([tmp_path], resamples=100, **options).differences for options in ({}, {"level": 0.5}, {"seed": 7})
    )
    assert np.diff(narrow.interval) < np.diff(usual.interval)
    assert narrow.p == usual.p
    assert other.p != usual.p
    assert other.difference == usual.difference


def test_ranks_are_told_apart_at_the_level_that_is_asked_for(tmp_path: Path) -> None:
    for k, model in enumerate("ab"):
        write(tmp_path, "variant_effects_disease", model, signal=0.3 + 0.6 * k, noise=k)
    usual, bold = (compare([tmp_path], resamples=100, level=level) for level in (0.95, 0.5))
    assert 0.05 < usual.differences[0].corrected < 0.5
    assert usual.ranking == {"variant_effects_disease": [("1–2", "b"), ("1–2", "a")]}
    assert bold.ranking == {"variant_effects_disease": [("1", "b"), ("2", "a")]}


def test_models_stand_by_score_a_score_of_0_among_them(tmp_path: Path) -> None:
    write(tmp_path, "variant_effects_disease", "wrong throughout", signal=-1000.0)
    write(tmp_path, "variant_effects_disease", "weak", signal=0.3, noise=1)
    write(tmp_path, "variant_effects_disease", "strong", signal=2.0, noise=2)
    found = compare([tmp_path], resamples=20)
    assert [row.score for row in found.rows if row.model == "wrong throughout"] == [0.0]
    lines = str(found).splitlines()
    places = [next(k for k, line in enumerate(lines) if model in line) for model in ("strong", "weak", "wrong")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("name", "labels", "said"),
    [
        ("variant_effects_disease", 3, "the test rows hold 3 positives, and an interval needs 5"),
        ("variant_effects_disease", 0, None),
    ],
)
def test_too_few_positives_are_not_ranked(tmp_path: Path, name: str, labels: int, said: str | None) -> None:
    few = np.zeros(60, np.int8)
    few[:labels] = 1
    for noise, model in enumerate("ab"):
        predictions = simulate(name, seed=noise)
        position = predictions.table.column_names.index("labels")
        rare = record.Predictions(predictions.task, predictions.table.set_column(position, "labels", [few]))
        record.write_result(tmp_path, scored(name, rare, model=model), rare)
    found = compare([tmp_path], resamples=50, strict=False)
    if said is None:  # without positives there is no score to compare
        assert found.differences == []
        assert found.notes == [f"{name} is left out: no model has a score (the test rows hold one class only)."]
        return
    (pair,) = found.differences
    assert (pair.interval, pair.p, pair.corrected) == (None, None, None)
    assert found.ranking == {name: []}
    assert found.notes == [f"{name}: nothing is ranked: {said}."]


def test_equal_scores_are_not_ranked(tmp_path: Path) -> None:
    name = "variant_effects_disease"
    for noise, model in enumerate("ab"):
        write(tmp_path, name, model, noise=noise)
    one = simulate(name)
    position = one.table.column_names.index("scores")
    flat = record.Predictions(one.task, one.table.set_column(position, "scores", [np.full(60, 0.5, np.float32)]))
    record.write_result(tmp_path, scored(name, flat, model="flat"), flat)
    found = compare([tmp_path], resamples=50)
    assert sorted(model for _, model in found.ranking[name]) == ["a", "b"]
    assert found.notes == [f"{name}: not ranked: flat; every row has the same score."]


def test_pairing_narrows_the_interval(tmp_path: Path) -> None:
    name = "variant_effects_disease"
    write(tmp_path, name, "a", rows=200)
    (result,) = record.read_results(tmp_path)
    one = record.read_predictions(result)
    jitter = one.scores + 0.05 * np.random.default_rng(0).normal(size=200)
    position = one.table.column_names.index("scores")
    other = record.Predictions(one.task, one.table.set_column(position, "scores", [jitter.astype(np.float32)]))
    stored(tmp_path, name, other, model="b")
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
        "histone_modification: not ranked: a, b; one seed does not tell how much training again would change a score "
        "(evaluate with --seeds 3).",
    ]
    assert str(comparison).endswith(comparison.notes[-1])


def test_missing_predictions_are_an_error(tmp_path: Path) -> None:
    for model in "ab":
        record.write_result(tmp_path, make_result("gene_finding", model=model))
    with pytest.raises(BendError, match="has no predictions on disk"):
        compare([tmp_path])


def test_a_rank_is_an_interval_of_significant_wins_and_losses() -> None:
    def pair(a: str, b: str, corrected: float | None) -> Difference:
        return Difference("t", a, b, 0.1, None, None, None, "seeds", None, 0.001, corrected, 9, "row")

    models = list("abcde")
    apart = {("a", "d"), ("a", "e"), ("b", "e")}
    found = [pair(a, b, 0.01 if (a, b) in apart else 0.2) for k, a in enumerate(models) for b in models[k + 1 :]]
    assert rank(models, found) == [("1–3", "a"), ("1–4", "b"), ("1–5", "c"), ("2–5", "d"), ("3–5", "e")]
    assert rank(models, found, level=0.7) == [(str(k + 1), model) for k, model in enumerate(models)]
    assert [place for place, _ in rank(models, found, level=0.995)] == ["1–5"] * 5
    # what is not ranked takes no place
    assert rank(["a", "b", "d"], found) == [("1–2", "a"), ("1–3", "b"), ("2–3", "d")]


def test_holm_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_never_below_the_raw_value(p: list[float]) -> None:
    corrected = holm(p)
    assert all(c >= raw for c, raw in zip(corrected, p, strict=True))
    assert all(c <= 1 for c in corrected)
    order = np.argsort(p)
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_folds_give_the_paired_t_test_widened(tmp_path: Path) -> None:
    """With ten folds the test is the paired t test over folds, its error widened for shared training data."""
    paths = [
        write_seeds(tmp_path, "enhancer_annotation", m, signal=s, noise=k, protocol="default")
        for k, (m, s) in enumerate((("a", 1), ("b", 1.1)))
    ]
    (found,) = compare(paths, resamples=20_000).differences
    by_model = []
    for path in paths:
        folds = [statistics.score(record.read_predictions(r))["folds"] for r in record.read_results(path)]
        by_model.append(np.mean([list(one.values()) for one in folds], axis=0))
    expected = statistics.SHARED * stats.sem(by_model[0] - by_model[1])
    assert found.sampling_error == pytest.approx(expected, rel=0.02)


def toy(values: np.ndarray, drawn: np.ndarray) -> statistics.Bootstrap:
    """A score that is the plain mean over clusters."""
    n, scores = len(values), drawn @ values / drawn.sum(axis=1)
    return statistics.Bootstrap("auroc", values.mean(), scores, None, None, n, "row", np.array([n]), n - 1.0, None)


def test_several_seeds_are_the_mean_of_all_and_as_free_as_the_least() -> None:
    drawn = weights(20, 50, 0)
    boots = [
        dataclasses.replace(toy(np.random.default_rng(k).normal(size=20), drawn), freedom=freedom)
        for k, freedom in enumerate((9.0, 5.0, 7.0))
    ]
    mean = over_seeds(boots)
    assert mean.bootstrap.freedom == 5
    assert mean.bootstrap.scores == pytest.approx(np.mean([boot.scores for boot in boots], axis=0))
    assert mean.seeds == tuple(boot.score for boot in boots)
    assert mean.score == pytest.approx(np.mean(mean.seeds))
    assert mean.lack is None
    assert over_seeds([dataclasses.replace(boot, score=0.0) for boot in boots]).seeds == (0.0, 0.0, 0.0)
    boots[1] = dataclasses.replace(boots[1], lack="too few")
    assert over_seeds(boots).lack == "too few"


def test_no_difference_is_found_at_the_nominal_rate() -> None:
    rng, drawn = np.random.default_rng(5), weights(20, 200, 0)
    rejected = 0
    for _ in range(300):
        values = rng.normal(size=(2, 20)) + rng.normal(size=20)
        models = {name: over_seeds([toy(row, drawn)], random=False) for name, row in zip("ab", values, strict=True)}
        (found,) = differences("gene_finding", models)
        rejected += found.p < 0.05
    assert 0.02 <= rejected / 300 <= 0.09


@pytest.mark.parametrize("training", [0.0, 0.1, 1.0])
def test_copies_of_one_recipe_are_told_apart_in_at_most_one_pair_of_twenty(training: float) -> None:
    """Six copies of three seeds, 200 times; training moves a score by nothing, less or more than the rows do."""
    rng, drawn = np.random.default_rng(11), weights(30, 200, 0)
    apart = pairs = 0
    for _ in range(200):
        rows = rng.normal(size=30)

        def copy(rows: np.ndarray = rows) -> Drawn:
            return over_seeds(
                [toy(rows + 0.5 * rng.normal(size=30) + training * rng.normal(), drawn) for _ in range(3)]
            )

        found = differences("gene_finding", {name: copy() for name in "abcdef"})
        apart += sum(item.p < 0.05 for item in found)  # before correction, which makes them fewer
        assert all(item.corrected >= item.p for item in found)
        pairs += len(found)
        assert len(rank(list("abcdef"), found)) == 6
    assert pairs == 200 * 15
    assert apart / pairs <= 0.05


def test_a_difference_has_its_95_percent_interval_unless_asked_otherwise() -> None:
    rng, drawn = np.random.default_rng(3), weights(20, 200, 0)
    models = {name: over_seeds([toy(rng.normal(size=20), drawn)], random=False) for name in "ab"}
    (found,), (narrow,) = differences("gene_finding", models), differences("gene_finding", models, level=0.5)
    for pair, quantile in ((found, 0.975), (narrow, 0.75)):
        half = stats.t.ppf(quantile, 19) * pair.sampling_error
        assert pair.interval == pytest.approx([pair.difference - half, pair.difference + half])
