"""Scores made with other settings than the recipe's: refused, left out of rankings, and said wherever they stand."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from result_factory import PROVENANCE, make_result, scored, simulate, trained

from bend_hf.errors import BendError
from bend_hf.report.table import table
from bend_hf.report.write import write_report
from bend_hf.results import record
from bend_hf.results.compare import compare
from bend_hf.results.conditions import alike_in_seeds, departures, footnotes, settings
from bend_hf.tasks import TASKS

SAMPLES = Path(__file__).parent / "samples"
SHORT = "trained for 1 epoch instead of the recipe's 100"


def write(folder: Path, name: str, model: str, provenance: dict, *, noise: int = 0, **changes) -> Path:
    predictions = simulate(name, signal=1 + noise, seed=noise)
    result = scored(name, predictions, model=model, provenance=provenance, **changes)
    return record.write_result(folder, result, predictions)


def asked(**given: int | str) -> dict:
    """A provenance of a model that was asked to be read in another way."""
    provenance = trained()
    return provenance | {"model": provenance["model"] | {"asked": given}}


def of_layers(number: int, **given: dict) -> dict:
    """A provenance of a model of so many layers."""
    provenance = trained(**given)
    return provenance | {"model": provenance["model"] | {"layers": number}}


@pytest.mark.parametrize(
    ("name", "provenance", "said"),
    [
        ("gene_finding", trained(), ""),
        ("gene_finding", trained(epochs=100, batch_size=64), ""),
        ("gene_finding", trained(precision="fp32", vectors="float32", key={"layer": [-1], "strand": "forward"}), ""),
        ("gene_finding", trained(epochs=1), SHORT),
        (
            "cpg_methylation",
            trained(epochs=6, batch_size=8, patience=5),
            "trained for 6 epochs instead of the recipe's 100, batch size 8 instead of 256, patience 5 instead of none",
        ),
        ("gene_finding", trained(precision="fp16", vectors="int8"), "precision fp16 instead of auto, vectors int8 "
         "instead of auto"),
        ("gene_finding", trained(key={"layer": [4, -1], "strand": "average"}), "layer 4, -1 instead of last, strand "
         "average instead of forward"),
        ("gene_finding", trained(key={"layer": [12]}), "layer 12 instead of last"),
        ("gene_finding", of_layers(12, key={"layer": [12]}), ""),
        ("gene_finding", asked(context=512, scheme="codons"), "given at most 512 tokens at once instead of what the "
         "model states"),
        ("gene_finding", trained() | {"recipe": {"learning_rate": 0.1}}, "learning rate 0.1 instead of 0.003"),
        ("gene_finding", {k: v for k, v in PROVENANCE.items() if k != "settings"}, "settings of training not recorded"),
        ("gene_finding", trained("composition", epochs=1), ""),
        ("variant_effects_disease", trained(epochs=1, batch_size=2, vectors="int8"), ""),
        ("variant_effects_disease", trained(key={"windows": {"policy": "abut"}}), "windows abut instead of overlap"),
    ],
)  # fmt: skip
def test_what_departs_from_the_recipe_is_said(name: str, provenance: dict, said: str) -> None:
    assert departures([make_result(name, provenance=provenance)]) == said


def test_seeds_that_depart_otherwise_are_told_one_by_one() -> None:
    results = [
        make_result("gene_finding", seed=k, provenance=trained(epochs=epochs)) for k, epochs in ((0, 100), (2, 1))
    ]
    assert departures(results) == f"seeds differ: seed 0 by the recipe; seed 2 {SHORT}"


def test_every_setting_of_the_protocol_and_the_recipe_is_looked_at() -> None:
    looked_at = set(settings(make_result("gene_finding")))
    assert {field.name for field in dataclasses.fields(TASKS["gene_finding"].recipe)} <= looked_at
    assert {"windows", "kmer_shift", "causal_variant_shift", "patience", "precision", "vectors"} <= looked_at
    for key in ({"layer": 3}, {"layer": None}, {"windows": "all"}):
        assert departures([make_result("gene_finding", provenance=trained(key=key))]) == ""


def test_records_of_the_first_schema_load_and_say_so() -> None:
    by_task = {result.task: departures([result]) for result in record.read_results(SAMPLES / "schema1")}
    assert by_task == {
        "histone_modification": "trained for 5 epochs instead of the recipe's 100",
        "variant_effects_disease": "",
    }


@pytest.mark.parametrize(
    ("models", "kept"),
    [
        ({"a": (0, 1), "b": (0, 1)}, "ab"),
        ({"a": (0, 1), "b": (7,), "c": (7,)}, "a"),  # several before one,
        ({"a": (0, 1), "b": (2, 3), "c": (2, 3)}, "bc"),  # then the most models,
        ({"a": (0, 1), "b": (3, 4, 5)}, "b"),  # then the most seeds,
        ({"a": (3, 4), "b": (0, 1)}, "b"),  # then the lowest
        ({"a": (0, 1), "b": (1,), "c": (2,)}, "ab"),
        ({"a": (4,), "b": (7,), "c": (7,)}, "bc"),
    ],
)
def test_models_with_the_same_seeds_go_together(models: dict[str, tuple[int, ...]], kept: str) -> None:
    results = [make_result("histone_modification", model=model, seed=k) for model in models for k in models[model]]
    results += [make_result("histone_modification", model="composition", provenance=trained("composition"), seed=9)]
    found, note = alike_in_seeds(results)
    assert {result.model for result in found} == {*kept, "composition"}
    left = [model for model in models if model not in kept]
    assert all(f"{model} (seed" in note for model in left)
    assert bool(note) == bool(left)


def test_letters_do_not_run_out() -> None:
    letters = footnotes(["", *(str(k) for k in range(28)), "0"])
    assert [letters[k] for k in ("0", "25", "26", "27")] == ["a", "z", "aa", "bb"]
    assert len(set(letters.values())) == 28


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"epochs": 1},
            r"histone_modification: a and b differ in their epochs \(100; 1\), so their difference means nothing: "
            r"evaluate both alike \(the recipe's: epochs 100\), or leave one out\.",
        ),
        (
            {"epochs": 1, "batch_size": 8, "patience": 3},
            r"batch size \(256; 8\) and epochs \(100; 1\) and patience \(none; 3\)",
        ),
        ({"key": {"windows": {"policy": "abut"}}}, r"windows \(overlap; abut\)"),
    ],
)
def test_unlike_settings_are_refused(tmp_path: Path, given: dict, message: str) -> None:
    write(tmp_path, "histone_modification", "composition", trained("composition", epochs=7))
    write(tmp_path, "histone_modification", "a", trained())
    write(tmp_path, "histone_modification", "b", trained(**given), noise=1)
    with pytest.raises(BendError, match=message):
        compare([tmp_path], resamples=10)


def test_windows_of_variants_are_looked_at_too(tmp_path: Path) -> None:
    write(tmp_path, "variant_effects_disease", "a", trained(epochs=3))
    write(tmp_path, "variant_effects_disease", "b", trained(key={"windows": {"policy": "abut"}}), noise=1)
    with pytest.raises(BendError, match=r"a and b differ in their windows \(overlap; abut\)"):
        compare([tmp_path], resamples=10)


def test_unrecorded_settings_are_not_taken_for_the_recipes(tmp_path: Path) -> None:
    write(tmp_path, "histone_modification", "a", trained())
    write(tmp_path, "histone_modification", "b", trained() | {"settings": None}, noise=1)
    with pytest.raises(BendError, match=r"epochs \(100; not recorded\)"):
        compare([tmp_path], resamples=10)


def test_seeds_of_one_model_are_refused_too(tmp_path: Path) -> None:
    write(tmp_path, "histone_modification", "a", trained(), seed=0)
    write(tmp_path, "histone_modification", "a", trained(epochs=1), seed=1)
    write(tmp_path, "histone_modification", "b", trained(), noise=1)
    with pytest.raises(BendError, match=r"a \[the recipe's epochs\] and a \[epochs 1\] differ in"):
        compare([tmp_path], resamples=10)
    found = compare([tmp_path], resamples=10, strict=False)
    assert found.notes[-1:] == [
        f"histone_modification: not ranked with the others (by the recipe): a [epochs 1] ({SHORT})."
    ]
    assert f"[a] {SHORT}" in table(record.read_results(tmp_path))


def test_what_may_differ_is_compared_without_a_word(tmp_path: Path) -> None:
    name = "histone_modification"
    write(tmp_path, name, "composition", trained("composition", epochs=7))
    write(tmp_path, name, "a", trained(), noise=1)
    write(tmp_path, name, "a", trained(), noise=2, seed=1)
    for seed in range(2):
        key = {"dtype": "bfloat16", "strand": "average"}
        write(tmp_path, name, "b", trained(precision="fp32", key=key), noise=3 + seed, seed=seed)
    write(tmp_path, "variant_effects_disease", "a", trained(epochs=5))
    write(tmp_path, "variant_effects_disease", "composition", trained("composition"), noise=1)
    write(tmp_path, "variant_effects_disease", "b", trained(key={"dtype": "bfloat16", "strand": "average"}), noise=2)
    for strict in (True, False):
        found = compare([tmp_path], resamples=10, strict=strict)
        assert found.notes == []
        assert {len(found.ranking[task]) for task in (name, "variant_effects_disease")} == {3}


def test_a_short_run_is_compared_with_the_baseline_and_marked(tmp_path: Path) -> None:
    write(tmp_path, "histone_modification", "composition", trained("composition"))
    for seed in range(2):
        write(tmp_path, "histone_modification", "a", trained(epochs=1), noise=1 + seed, seed=seed)
    lines = str(compare([tmp_path], resamples=10)).splitlines()
    assert next(line for line in lines if line.startswith(("1 ", "1–2 "))).split()[1:3] == ["a", "[a]"]
    assert f"[a] {SHORT}" in lines


@pytest.mark.parametrize(
    ("epochs", "ranked", "note"),
    [
        ({"a": None, "b": 1, "c": 1}, [], f"not ranked with the others (by the recipe): b ({SHORT}), c ({SHORT})."),
        ({"a": None, "b": 100, "c": 1}, ["a", "b"], f"not ranked with the others (by the recipe): c ({SHORT})."),
        ({"a": 2, "b": 1, "c": 1}, ["b", "c"], f"not ranked with the others ({SHORT}): a ({SHORT})."),
        ({"a": 1, "b": 1, "c": 1}, ["a", "b", "c"], None),
    ],
)
def test_models_trained_alike_are_ranked(tmp_path: Path, epochs: dict, ranked: list[str], note: str | None) -> None:
    for noise, (model, count) in enumerate(epochs.items()):
        for seed in range(2):
            given = {"noise": 2 * noise + seed, "seed": seed}
            write(tmp_path, "histone_modification", model, trained(epochs=count), **given)
    found = compare([tmp_path], resamples=10, strict=False)
    assert sorted(model for _, model in found.ranking.get("histone_modification", [])) == ranked
    expected = [] if note is None else [f"histone_modification: {note}"]
    if epochs["a"] == 2:
        expected = [expected[0].replace(f"a ({SHORT})", f"a ({SHORT.replace('1 epoch', '2 epochs')})")]
    assert found.notes == expected


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models trained by the recipe, one for an epoch; on variants nothing is trained."""
    folder = tmp_path_factory.mktemp("unlike")
    for name in ("histone_modification", "cpg_methylation", "variant_effects_disease"):
        for noise, (model, epochs) in enumerate((("onehot", None), ("org/whole", None), ("org/short", 1))):
            write(folder, name, model, trained(model, epochs=epochs), noise=noise, toy=False)
    return folder


def test_the_terminal_table_says_it(run: Path) -> None:
    lines = table(record.read_results(run)).splitlines()
    assert lines.count(f"[a] {SHORT}") == 1
    marked = [line for line in lines if "org/short [a]" in line]
    assert len(marked) == 2  # of three tasks: on variants nothing is trained
    assert sum("org/short" in line for line in lines) == 3
    assert not any("[a]" in line for line in lines if "org/whole" in line or "one-hot CNN" in line)


def test_the_baselines_column_says_how_the_baseline_was_trained() -> None:
    results = [make_result("gene_finding", model="onehot", provenance=trained(epochs=1), score=0.3)]
    results += [make_result("gene_finding", model="org/model", provenance=trained())]
    line = next(line for line in table(results).splitlines() if "org/model" in line)
    assert "0.300 [a]" in line
    assert "org/model [a]" not in line


def test_the_baselines_column_takes_the_baseline_of_the_same_settings() -> None:
    runs = [("onehot", None, 0.5), ("onehot", 1, 0.3), ("onehot", 2, 0.4), ("org/model", 1, 0.6), ("org/other", 3, 0.7)]
    results = [
        make_result("gene_finding", model=model, provenance=trained(model, epochs=epochs), score=score)
        for model, epochs, score in runs
    ]
    lines = table(results).splitlines()
    assert "0.300 [b]" in next(line for line in lines if "org/model" in line)
    assert " 0.500 " in next(line for line in lines if "org/other" in line)  # none was trained so: the recipe's


def test_the_page_says_it_beside_the_model_and_does_not_rank_it(run: Path, tmp_path: Path) -> None:
    page = write_report(run, tmp_path / "r.html", references=False, resamples=10).read_text()
    overview, *pages = re.split(r'<section class="page" id="', page)[1:]
    board = re.search(r'<table class="board">.*?</table>', overview, flags=re.S).group()
    rows = dict(re.findall(r'<tr data-model="([^"]+)".*?>(.*?)</tr>', board, flags=re.S))
    cells = re.findall(r"<td.*?</td>", rows["org/short"], flags=re.S)
    assert list(rows) == ["org/whole", "one-hot CNN", "org/short"]  # though the short run scores highest
    letter = ">a</sup>"
    assert [letter in cell for cell in cells] == [True, True, False]
    assert ['class="rank"' in cell for cell in cells] == [False, False, True]
    assert letter not in rows["org/whole"] + rows["one-hot CNN"]
    assert '<li><sup class="off">a</sup> trained for 1 epoch instead of the recipe&#39;s 100</li>' in overview
    assert "histone_modification, cpg_methylation: not ranked with the others (by the recipe): org/short" in overview
    by_task = {part.partition('"')[0]: part for part in pages}
    said = '<span class="off">trained for 1 epoch instead of the recipe&#39;s 100; not ranked</span>'
    assert [by_task[name].count(said) for name in ("histone_modification", "cpg_methylation")] == [1, 1]
    assert 'class="off"' not in by_task["variant_effects_disease"]


def test_a_single_model_says_it_and_the_recipe_stays_quiet(tmp_path: Path) -> None:
    write(tmp_path / "short", "histone_modification", "m", trained(epochs=1))
    write(tmp_path / "whole", "histone_modification", "m", trained())
    short, whole = (
        write_report(tmp_path / name, tmp_path / f"{name}.html", resamples=10).read_text()
        for name in ("short", "whole")
    )
    assert short.count('<span class="off">trained for 1 epoch instead of the recipe&#39;s 100</span>') == 1
    assert "<summary>Settings other than the benchmark's (1)</summary>" in short
    assert 'class="off' not in whole
    assert "[a]" not in table(record.read_results(tmp_path / "whole"))
    assert f"[a] {SHORT}" in table(record.read_results(tmp_path / "short"))


def test_other_formats_say_it(run: Path, tmp_path: Path) -> None:
    texts = {e: write_report(run, tmp_path / f"r.{e}", resamples=10).read_text() for e in ("md", "tex", "csv", "json")}
    line = next(line for line in texts["md"].splitlines() if line.startswith("| org/short"))
    assert ["<sup>a</sup>" in cell for cell in line.split("|")[2:5]] == [True, True, False]
    assert f"- <sup>a</sup> {SHORT}" in texts["md"]
    assert texts["tex"].count(r"\textsuperscript{a}") == 2
    assert f"(a) {SHORT}." in texts["tex"]
    for rows in (list(csv.DictReader(io.StringIO(texts["csv"]))), json.loads(texts["json"])["rows"]):
        said = {(row["model"], row["task"]): row["departures"] for row in rows if row["kind"] != "published"}
        assert said["org/short", "cpg_methylation"] == SHORT
        assert sum(map(bool, said.values())) == 2
