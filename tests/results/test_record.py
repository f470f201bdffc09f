"""Records and predictions: written, read back, and refused with one clear error each."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from result_factory import PROVENANCE, make_result, scored, simulate, stored

from bend_hf import files
from bend_hf.errors import BendError
from bend_hf.results import record, verify
from bend_hf.results.apart import told_apart
from bend_hf.tasks import TASKS

SAMPLES = Path(__file__).parent / "samples"


def rewrite(path: Path, **changes: object) -> None:
    """Edit a record and sign it again, as a program would (not a hand)."""
    document = json.loads(path.read_text())
    del document["digest"]
    document.update(changes)
    files.write_json(path, {**document, "digest": files.digest_of(document)})


@pytest.mark.parametrize("name", TASKS)
def test_round_trip(tmp_path: Path, name: str) -> None:
    predictions = simulate(name)
    path = stored(tmp_path, name, predictions, model="org/model")
    assert path.parent == tmp_path / "org--model"
    (result,) = record.read_results(tmp_path)
    assert result == dataclasses.replace(scored(name, predictions, model="org/model"), predictions=result.predictions)
    back = record.read_predictions(result)
    assert back.table.equals(predictions.table)
    assert back.keys_digest == predictions.keys_digest
    np.testing.assert_array_equal(back.scores, predictions.scores)
    assert len(back.labels) == back.lengths.sum()
    again = record.read_result(record.write_result(tmp_path / "again", result, back))
    assert record.read_predictions(again).table.equals(predictions.table)


def test_shapes_and_dtypes() -> None:
    genes, bins, windows, variants = (
        simulate(name, rows=20)
        for name in ("gene_finding", "enhancer_annotation", "histone_modification", "variant_effects_disease")
    )
    assert genes.scores.shape == (genes.lengths.sum(), 9)
    assert genes.labels.shape == (genes.lengths.sum(),)
    assert bins.scores.shape == bins.labels.shape == (20 * 782,)
    assert windows.scores.shape == windows.labels.shape == (20, 18)
    assert variants.scores.shape == variants.labels.shape == (20,)
    assert [str(p.table.schema.field("scores").type) for p in (genes, variants)] == ["list<item: float>", "float"]


def test_predictions_hold_no_pickle(tmp_path: Path) -> None:
    path = record.write_result(
        tmp_path, scored("histone_modification", simulate("histone_modification")), simulate("histone_modification")
    )
    schema = pq.read_schema(path.with_suffix(".parquet"))
    assert set(schema.metadata) == {b"bend_hf.task", b"bend_hf.schema"}
    assert schema.names == ["row", "chromosome", "start", "end", "strand", "scores", "labels"]


def test_numpy_values_become_json(tmp_path: Path) -> None:
    result = make_result(
        "histone_modification",
        score=np.float32(0.5),
        interval=(np.float64(0.4), np.float64(0.6)),
        secondary={"per_label": np.array([0.25, 0.5])},
        counts={"rows": np.int64(7)},
    )
    back = record.read_result(record.write_result(tmp_path, result))
    assert back.secondary == {"per_label": [0.25, 0.5]}
    assert back.counts == {"rows": 7}
    assert back.interval == [0.4, 0.6]


def test_failed_task_is_recorded(tmp_path: Path) -> None:
    failed = make_result("gene_finding", score=None, counts={}, provenance={}, failure="out of memory at batch size 1")
    assert record.read_result(record.write_result(tmp_path, failed)).failure == "out of memory at batch size 1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": 1.5}, r"'score' is 1.5; auroc lies in \[0, 1\]"),
        ({"score": "high"}, "'score' is \"high\"; expected a finite number or null"),
        ({"score": True}, "'score' is true"),
        ({"interval": [0.6, 0.4]}, r"'interval' is \[0.6, 0.4\]; expected \[low, high\]"),
        ({"interval": [0.6]}, "'interval'"),
        ({"metric": "mcc"}, "histone_modification is scored by 'auroc'"),
        ({"task": "histones"}, "'task' is \"histones\"; expected one of gene_finding"),
        ({"protocol": "mine"}, "'protocol' is \"mine\"; expected one of default, bend-2024"),
        ({"seed": None}, "'seed' is None; for histone_modification expected the seed"),
        ({"seed": -1}, "'seed' is -1"),
        ({"counts": {}}, "counts.rows is null"),
        ({"counts": {"rows": "many"}}, "'counts'"),
        ({"failure": "crashed"}, "both a score"),
        ({"provenance": {}}, "provenance.dataset_digest is null; expected a string"),
        ({"provenance": PROVENANCE | {"model": "nt"}}, r"provenance.model is \"nt\"; expected an object"),
        ({"provenance": PROVENANCE | {"packages": {"torch": 2}}}, "provenance.packages is .*; expected an object of"),
        ({"model": " "}, "'model'"),
        ({"history": {}}, "'history'"),
    ],
)
def test_invalid_fields_are_refused_on_write_and_read(tmp_path: Path, change: dict, message: str) -> None:
    result = make_result("histone_modification")
    with pytest.raises(BendError, match=message):
        record.write_result(tmp_path, dataclasses.replace(result, **change))
    assert not list(tmp_path.rglob("*.json"))
    path = record.write_result(tmp_path, result)
    rewrite(path, **change)
    with pytest.raises(BendError, match=message) as error:
        record.read_result(path)
    assert str(path) in str(error.value)


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BendError, match="cannot be written as JSON"):
        record.write_result(tmp_path, make_result("cpg_methylation", score=float("nan")))
    with pytest.raises(BendError, match="cannot be written as JSON"):
        record.write_result(tmp_path, make_result("cpg_methylation", secondary={"per_label": [float("nan")]}))
    with pytest.raises(BendError, match="is a object"):
        record.write_result(tmp_path, make_result("cpg_methylation", secondary={"x": object()}))


def test_unknown_and_missing_fields(tmp_path: Path) -> None:
    path = record.write_result(tmp_path, make_result("cpg_methylation"))
    rewrite(path, scroe=0.5)
    with pytest.raises(BendError, match=r"Unknown field 'scroe'\. Did you mean 'score'"):
        record.read_result(path)
    document = json.loads(path.read_text())
    document.pop("digest")
    document.pop("scroe")
    document.pop("interval")
    files.write_json(path, {**document, "digest": files.digest_of(document)})
    with pytest.raises(BendError, match="field 'interval' is missing"):
        record.read_result(path)


def test_damaged_files(tmp_path: Path) -> None:
    path = record.write_result(
        tmp_path, scored("cpg_methylation", simulate("cpg_methylation")), simulate("cpg_methylation")
    )
    whole = path.read_text()
    path.write_text(whole.replace('"score": 0.5', '"score": 0.9'))
    with pytest.raises(BendError, match="was changed after it was written"):
        record.read_result(path)
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(BendError, match="truncated or damaged"):
        record.read_result(path)
    path.write_text("[]")
    with pytest.raises(BendError, match="is no result of bend_hf"):
        record.read_result(path)
    path.write_text(whole)
    rewrite(path, schema=record.SCHEMA + 1)
    with pytest.raises(BendError, match=r"newer bend_hf .* upgrade"):
        record.read_result(path)
    path.write_text(whole)
    result = record.read_result(path)
    parquet = path.with_suffix(".parquet")
    parquet.write_bytes(parquet.read_bytes()[:-1])
    with pytest.raises(BendError, match="its digest differs"):
        record.read_predictions(result)
    parquet.unlink()
    with pytest.raises(BendError, match="are missing"):
        record.read_predictions(result)
    with pytest.raises(BendError, match="has no predictions on disk"):
        record.read_predictions(make_result("cpg_methylation"))


def test_mixed_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BendError, match="no such file or folder"):
        record.read_results(tmp_path / "nowhere")
    with pytest.raises(BendError, match="holds no results"):
        record.read_results(tmp_path)
    record.write_result(tmp_path / "a", make_result("cpg_methylation", seed=1))
    record.write_result(tmp_path / "a", make_result("gene_finding", seed=0))
    record.write_result(tmp_path / "a", make_result("cpg_methylation", seed=0))
    (tmp_path / "notes.json").write_text("{}")
    found = record.read_results(tmp_path)
    assert [(r.task, r.seed) for r in found] == [("gene_finding", 0), ("cpg_methylation", 0), ("cpg_methylation", 1)]
    assert "notes.json" in caplog.text
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    assert len(record.read_results(tmp_path)) == 3
    record.write_result(tmp_path / "b", make_result("gene_finding", seed=0, score=0.6))
    both = [r for r in told_apart(record.read_results(tmp_path)) if r.task == "gene_finding"]
    assert [r.label for r in both] == [f"simulated [in {tmp_path / folder}]" for folder in ("a", "b")]


def test_records_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Whatever order the file system has them in."""
    paths = [record.write_result(tmp_path, make_result("cpg_methylation", model=f"m{k * 37 % 41}")) for k in range(41)]
    assert record.record_files(tmp_path) == sorted(paths)


def test_misfitting_predictions(tmp_path: Path) -> None:
    task = TASKS["histone_modification"]
    keys = {"chromosome": ["chr1"] * 2, "start": [0, 1], "end": [512, 513], "strand": ["+", "-"]}
    labels = np.zeros((2, 18), np.int8)
    scores = np.full((2, 18), 0.5)
    with pytest.raises(BendError, match="2 rows, 1 prediction and 2 labels"):
        record.make_predictions(task, keys, scores[:1], labels)
    with pytest.raises(BendError, match="row 0 has 17 scores; expected 18"):
        record.make_predictions(task, keys, scores[:, :17], labels)
    with pytest.raises(BendError, match="row 1 has 17 labels; expected 18"):
        record.make_predictions(task, keys, scores, [labels[0], labels[1, :17]])
    with pytest.raises(BendError, match=r"a label lies outside 0\.\.1"):
        record.make_predictions(task, keys, scores, labels + 2)
    scores[1, 3] = np.nan
    with pytest.raises(BendError, match="row 1 has a score that is not finite"):
        record.make_predictions(task, keys, scores, labels)
    with pytest.raises(BendError, match="lack the column 'strand'"):
        record.make_predictions(task, {k: v for k, v in keys.items() if k != "strand"}, scores, labels)
    with pytest.raises(BendError, match="predictions are those of cpg_methylation"):
        record.write_result(tmp_path, make_result("histone_modification"), simulate("cpg_methylation"))


def test_dataset_rows_become_keys() -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict(
        {
            "chromosome": ["chr1", "chr2"],
            "start": [5, 6],
            "ref": ["A", "C"],
            "alt": ["G", "T"],
            "ref_sequence": ["N" * 8] * 2,
            "consequence": ["missense_variant", "intron_variant"],
        }
    ).select([1, 0])
    predictions = record.make_predictions(TASKS["variant_effects_expression"], rows, [0.1, 0.2], [0, 1])
    assert predictions.table.column_names == [
        "row", "chromosome", "start", "ref", "alt", "consequence", "scores", "labels"
    ]  # fmt: skip
    assert predictions.column("chromosome").tolist() == ["chr2", "chr1"]


@pytest.mark.parametrize("version", range(1, record.SCHEMA + 1))
def test_kept_samples_of_every_schema_version_load(version: int) -> None:
    results = record.read_results(SAMPLES / f"schema{version}")
    assert {result.task for result in results} == {"histone_modification", "variant_effects_disease"}
    for result in results:
        assert len(record.read_predictions(result)) == result.counts["rows"]


def test_older_records_are_brought_up_to_date_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def second(old: dict) -> dict:
        return {**old, "counts": {**old["counts"], "second": 2}}

    def third(old: dict) -> dict:
        return {**old, "counts": {**old["counts"], "third": old["counts"]["second"] + 1}}

    monkeypatch.setattr(record, "SCHEMA", 4)
    monkeypatch.setattr(record, "_UPGRADES", {1: record._UPGRADES[1], 2: second, 3: third})
    result = record.read_results(SAMPLES / "schema1")[0]
    assert result.key is None
    assert result.counts == {"rows": 24, "second": 2, "third": 3}
    assert result.to_json()["schema"] == 4


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda d: {"score": d["score"] / 2}, "score is"),
        (lambda d: {"interval": [d["interval"][0], d["interval"][1] * 0.999]}, r"interval\[1\] is"),
        (lambda d: {"counts": {**d["counts"], "rows": 61}}, "counts.rows is 61, its predictions give 60"),
        (lambda d: {"chance": d["chance"] + 0.1}, "chance is"),
        (lambda d: {"secondary": {**d["secondary"], "interval": {}}}, "its predictions give"),
    ],
)
def test_a_record_that_its_predictions_do_not_bear_out_is_refused(
    tmp_path: Path, name: str, change, wrong: str
) -> None:
    path = stored(tmp_path, name)
    record.read_result(path)
    rewrite(path, **change(json.loads(path.read_text())))
    with pytest.raises(BendError, match=wrong):
        record.read_result(path)


@pytest.mark.parametrize("claimed", [5, None, [1], {}])
def test_what_a_record_holds_in_another_shape_is_no_agreement(claimed: object) -> None:
    computed = {"folds": {"part1": 0.5}}
    assert verify.disagreement({"folds": {"part1": 0.5, "note": "more"}}, computed) is None
    assert "its predictions give" in str(verify.disagreement({"folds": claimed}, computed))


def test_summaries_are_computed_once_for_each_file_of_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stored(tmp_path, "cpg_methylation", simulate("cpg_methylation", seed=12))
    monkeypatch.setattr(verify, "_known", {})
    record.read_result(path)
    monkeypatch.setattr(verify, "_known", {})  # another process
    monkeypatch.setattr(verify, "summary", lambda *args, **options: pytest.fail("computed again"))
    record.read_result(path)


@pytest.mark.parametrize("version", range(1, record.INTERVALS))
def test_of_older_schemas_the_predictions_speak(tmp_path: Path, caplog: pytest.LogCaptureFixture, version: int) -> None:
    predictions = simulate("histone_modification")
    path = stored(tmp_path, "histone_modification", predictions)
    honest = record.read_result(path)
    rewrite(path, schema=version, score=0.99, interval=[0.98, 0.995])
    old = record.read_result(path)
    assert "score is 0.99, its predictions give" in caplog.text
    assert old.score == pytest.approx(honest.score)
    assert 0.5 < old.interval[0] < old.score < old.interval[1] < 0.98


@pytest.mark.parametrize("name", ["chromosome", "start", "end", "strand", "part", "labels"])
def test_rows_are_the_same_where_all_their_keys_and_labels_are(name: str) -> None:
    one = simulate("enhancer_annotation", rows=20)
    assert simulate("enhancer_annotation", rows=20, seed=1, signal=3.0).keys_digest == one.keys_digest
    other = one.table[name].to_pylist()
    other[3] = {"chromosome": "chr7", "strand": "*", "part": "valid"}.get(name) or (
        [1 - other[3][0], *other[3][1:]] if name == "labels" else other[3] + 1
    )
    moved = one.table.set_column(one.table.column_names.index(name), name, pa.array(other, one.table[name].type))
    assert record.Predictions(one.task, moved).keys_digest != one.keys_digest


def test_scores_are_stored_as_they_were_computed(tmp_path: Path) -> None:
    """Confident heads crowd below 1: half precision has 0.9995 and 1 there, and nothing between."""
    task = TASKS["enhancer_annotation"]
    labels = np.zeros((10, 782), np.int8)
    labels[:, ::100] = 1
    order = np.linspace(0.9996, 0.9999, labels.size, dtype=np.float32).reshape(labels.shape)
    keys = {"chromosome": ["chr1"] * 10, "start": np.arange(10), "end": np.arange(10), "strand": ["+"] * 10}
    rows = record.make_predictions(task, keys | {"part": list(task.rows)}, order + labels * 0.0001, labels)
    back = record.read_predictions(record.read_result(stored(tmp_path, task.name, rows)))
    np.testing.assert_array_equal(back.scores, (order + labels * 0.0001).astype(np.float32).reshape(-1))


def test_the_composition_baseline_has_no_seed(tmp_path: Path) -> None:
    path = stored(tmp_path, "cpg_methylation", model="composition", seed=None)
    assert path.name == "cpg_methylation.default.json"
    assert record.read_result(path).seed is None
    with pytest.raises(BendError, match="field 'seed' is None; for cpg_methylation expected the seed"):
        stored(tmp_path, "cpg_methylation", model="other", seed=None)
