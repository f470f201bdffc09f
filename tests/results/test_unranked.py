"""What must not be ranked: one sentence says why, alike in the terminal, as JSON and in reports."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from result_factory import make_result, scored, simulate, stored
from result_factory import trained as untrained

from bend_hf import files
from bend_hf.cli import main
from bend_hf.errors import BendError
from bend_hf.report.groups import grouped
from bend_hf.report.write import write_report
from bend_hf.results import record
from bend_hf.results.compare import compare

VARIANTS, HISTONE = "variant_effects_disease", "histone_modification"


def seeds(folder: Path, model: str, *numbers: int) -> None:
    for seed in numbers:
        predictions = simulate(HISTONE, signal=1 + len(model) / 10, seed=10 * ord(model[0]) + seed)
        stored(folder, HISTONE, predictions, model=model, seed=seed, toy=False)


def changed(one: record.Predictions, **columns: np.ndarray) -> record.Predictions:
    """Predictions with other columns."""
    table = one.table
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, [values])
    return record.Predictions(one.task, table)


def variants(folder: Path, change: Callable[[record.Predictions], record.Predictions], *models: str) -> None:
    """Models on variants, their predictions changed."""
    for model in models:
        one = change(simulate(VARIANTS, seed=ord(model)))
        record.write_result(folder, scored(VARIANTS, one, model=model, toy=False), one)


def same(one: record.Predictions) -> record.Predictions:
    return one


def other_numbers(folder: Path) -> None:
    seeds(folder, "a", 0, 1, 2)
    seeds(folder, "b", 0, 1)


def other_seeds(folder: Path) -> None:
    seeds(folder, "a", 0, 1)
    seeds(folder, "b", 3, 4)


def other_rows(folder: Path) -> None:
    variants(folder, same, "a")
    variants(folder, lambda one: record.Predictions(one.task, one.table[:-1]), "b")


def other_labels(folder: Path) -> None:
    variants(folder, same, "a")
    variants(folder, lambda one: changed(one, labels=(1 - one.labels).astype(np.int8)), "b")


def mixed_protocols(folder: Path) -> None:
    for model, protocol in (("a", "default"), ("b", "bend-2024")):
        stored(folder, VARIANTS, simulate(VARIANTS, seed=ord(model)), model=model, protocol=protocol, toy=False)


def one_cluster(folder: Path) -> None:
    """Genes of one row, where calls of classes have no unit finer than rows."""
    for model in "ab":
        one = simulate("gene_finding", rows=60, seed=ord(model))
        one = record.Predictions(one.task, one.table[:1])
        record.write_result(folder, scored("gene_finding", one, model=model, toy=False), one)


def no_positives(folder: Path) -> None:
    variants(folder, lambda one: changed(one, labels=np.zeros(60, np.int8)), "a", "b")


def equal_scores(folder: Path) -> None:
    variants(folder, lambda one: changed(one, scores=np.full(60, 0.5, np.float32)), "a", "b")


def nan_scores(folder: Path) -> None:
    """Such predictions cannot be written; these were put beside a record, whose digests are made to fit."""
    variants(folder, same, "a", "b")
    (path,) = (folder / "b").glob("*.json")
    document = json.loads(path.read_text())
    beside = path.parent / document["predictions"]["file"]
    table = pq.read_table(beside)
    scores = table["scores"].to_numpy().copy()
    scores[3] = np.nan
    pq.write_table(table.set_column(table.column_names.index("scores"), "scores", [scores]), beside)
    document["predictions"]["sha256"] = hashlib.sha256(beside.read_bytes()).hexdigest()
    document.pop("digest")
    files.write_json(path, {**document, "digest": files.digest_of(document)})


REFUSED = {
    other_numbers: (
        f"{HISTONE}: a and b were trained with other seeds (0, 1, 2; 0, 1), so that the choice of seeds would rank "
        "them: evaluate both with the same (--seeds 0,1,2), or leave one out.",
        f"{HISTONE}: not ranked with those of seeds 0, 1, 2: b (seeds 0, 1).",
    ),
    other_seeds: (
        f"{HISTONE}: a and b were trained with other seeds (0, 1; 3, 4), so that the choice of seeds would rank "
        "them: evaluate both with the same (--seeds 0,1), or leave one out.",
        f"{HISTONE}: not ranked with those of seeds 0, 1: b (seeds 3, 4).",
    ),
    other_rows: (
        f"{VARIANTS}: a and b were tested on different rows (60 and 59 rows; their keys or labels differ): evaluate "
        "both on the same data.",
        f"{VARIANTS} is not compared: {VARIANTS}: a and b were tested on different rows",
    ),
    other_labels: (
        f"{VARIANTS}: a and b were tested on different rows (60 and 60 rows; their keys or labels differ): evaluate "
        "both on the same data.",
        f"{VARIANTS} is not compared: {VARIANTS}: a and b were tested on different rows",
    ),
    mixed_protocols: (
        f"{VARIANTS}: a and b differ in their protocol (default; bend-2024), so their difference means nothing: choose "
        "one (protocol=, --protocol) or evaluate again.",
        f"{VARIANTS} is left out: a alone has a score.",
    ),
    no_positives: (
        "There is nothing to compare: give two models' results on the same task "
        f"({VARIANTS} is left out: no model has a score (the test rows hold one class only)).",
        f"{VARIANTS} is left out: no model has a score (the test rows hold one class only).",
    ),
}
"""What is no comparison → what `compare` says, and what a report says."""
NOT_FINITE = "row 3 has a score that is not finite; the model or its head diverged."
UNRANKED = {
    one_cluster: "gene_finding: nothing is ranked: the test rows are 1 row in effect, and an interval needs 5.",
    equal_scores: f"{VARIANTS}: nothing is ranked: every row has the same score.",
}
"""What is shown and not ranked → the note."""


@pytest.mark.parametrize("make", [*REFUSED, nan_scores], ids=lambda make: make.__name__)
def test_what_must_not_be_compared_is_refused_in_one_sentence(
    make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "results")
    said, _ = REFUSED.get(make, (NOT_FINITE, ""))
    for options in ([], ["--format", "json"]):
        assert main(["compare", str(tmp_path / "results"), "--resamples", "20", *options]) == 1
        out, error = capsys.readouterr()
        assert out == ""
        assert error.count("\n") == 1
        text = json.loads(error)["error"]["message"] if options else error.removeprefix("bend-hf compare: ").rstrip()
        assert text.endswith(said) if make is nan_scores else text == said


@pytest.mark.parametrize("make", UNRANKED, ids=lambda make: make.__name__)
def test_what_tells_too_little_is_shown_without_ranks(
    make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "results")
    for options in ([], ["--format", "json"]):
        assert main(["compare", str(tmp_path / "results"), "--resamples", "20", *options]) == 0
        out, _ = capsys.readouterr()
        if options:
            found = json.loads(out)
            assert found["notes"] == [UNRANKED[make]]
            assert list(found["ranking"].values()) == [[]]
            (pair,) = found["differences"]
            assert [pair[name] for name in ("interval", "p", "corrected")] == [None] * 3
        else:
            assert out.rstrip().endswith(UNRANKED[make])
            assert sum(line.startswith("-  ") for line in out.splitlines()) == 2


@pytest.mark.parametrize("make", [*REFUSED, *UNRANKED], ids=lambda make: make.__name__)
def test_reports_say_so_and_rank_nothing(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "results")
    texts = {}
    for ending in ("html", "md", "json", "csv"):
        path = write_report(tmp_path / "results", tmp_path / f"report.{ending}", references=False, resamples=20)
        texts[ending] = path.read_text()
    said = UNRANKED[make] if make in UNRANKED else REFUSED[make][1]
    assert said in texts["md"]
    assert said in texts["html"]
    assert 'class="rank"' not in texts["html"]
    document = json.loads(texts["json"])
    assert {row["model"]: row["rank"] for row in document["rows"]} == {"a": None, "b": None}
    assert any(note.startswith(said) for group in document["groups"] for note in group["comparison"]["notes"])
    assert [row["rank"] for row in csv.DictReader(io.StringIO(texts["csv"]))] == ["", ""]


def test_scores_that_are_none_make_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nan_scores(tmp_path / "results")
    for ending in ("html", "md", "json", "csv"):
        assert main(["report", str(tmp_path / "results"), "-o", str(tmp_path / f"report.{ending}")]) == 1
        assert capsys.readouterr().err.rstrip().endswith(NOT_FINITE)
        assert not (tmp_path / f"report.{ending}").exists()
    with pytest.raises(BendError, match="row 3 has a score that is not finite"):
        simulated = simulate(VARIANTS)
        scores = simulated.scores.copy()
        scores[3] = np.nan
        record.write_result(tmp_path / "new", make_result(VARIANTS), changed(simulated, scores=scores))
    assert not list((tmp_path).glob("new/*/*"))


def test_models_with_the_same_seeds_are_ranked_without_the_others(tmp_path: Path) -> None:
    """Two models of three seeds, one of other seeds that scores best, one of one of theirs, one that has another."""
    for model, signal, numbers in (
        ("a", 0.5, (0, 1, 2)),
        ("b", 0.8, (0, 1, 2)),
        ("best", 2.0, (0, 1, 2, 3, 4)),
        ("once", 0.3, (1,)),
        ("apart", 1.9, (7,)),
    ):
        for seed in numbers:
            one = simulate(HISTONE, signal=signal, seed=50 * len(model) + 10 * ord(model[0]) + seed)
            stored(tmp_path / "results", HISTONE, one, model=model, seed=seed)
    stored(tmp_path / "results", HISTONE, model="composition", seed=None, provenance=untrained("composition"))
    found = compare([tmp_path / "results"], strict=False, resamples=20)
    assert {model for _, model in found.ranking[HISTONE]} == {"a", "b", "once", "composition"}
    assert {name for pair in found.differences for name in (pair.a, pair.b)} == {"a", "b", "once", "composition"}
    assert found.left_out == {HISTONE: ["apart", "best"]}
    assert found.notes == [
        f"{HISTONE}: the training error of once (one seed) is that of a, b.",
        f"{HISTONE}: not ranked with those of seeds 0, 1, 2: apart (seed 7), best (seeds 0, 1, 2, 3, 4).",
    ]
    with pytest.raises(BendError, match=r"a and apart were trained with other seeds \(0, 1, 2; 7\)"):
        compare([tmp_path / "results"], resamples=20)
    (group,) = grouped(record.read_results(tmp_path / "results"), resamples=20)
    assert [row.model for row in group.rows][-2:] == ["best", "apart"]  # behind the others, though they score best
    assert [group.rank(row) for row in group.rows[-2:]] == [None, None]
    assert all(group.rank(row) for row in group.rows[:-2])


def test_a_seed_that_failed_is_a_seed_less(tmp_path: Path) -> None:
    seeds(tmp_path, "a", 0, 1, 2)
    seeds(tmp_path, "b", 0, 1)
    record.write_result(tmp_path, make_result(HISTONE, model="b", seed=2, score=None, failure="no memory", toy=False))
    with pytest.raises(BendError, match=r"a and b were trained with other seeds \(0, 1, 2; 0, 1\)"):
        compare([tmp_path], resamples=20)


def test_of_models_with_one_seed_each_the_most_stay(tmp_path: Path) -> None:
    for model, seed in (("a", 4), ("b", 7), ("c", 7)):
        seeds(tmp_path, model, seed)
    with pytest.raises(BendError, match=r"b and a were trained with other seeds \(7; 4\).*\(--seeds 3\)"):
        compare([tmp_path], resamples=20)
    found = compare([tmp_path], resamples=20, strict=False)
    assert {found.differences[0].a, found.differences[0].b} == {"b", "c"}
    assert found.notes[-1] == f"{HISTONE}: not ranked with those of seed 7: a (seed 4)."
