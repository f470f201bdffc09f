"""Tasks of one's own: the document, the registry, and the whole road from a folder to a record."""

import dataclasses
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from tasks_of_ones_own import RICH, WINDOW, make_task, write_folder, write_variants

import bend_hf
from bend_hf.cli import main
from bend_hf.errors import BendError
from bend_hf.hub.cards import dataset_card
from bend_hf.hub.words import words
from bend_hf.kinds import KINDS
from bend_hf.report.plot import plot
from bend_hf.report.write import write_report
from bend_hf.results.board import board, group_means
from bend_hf.results.record import read_predictions
from bend_hf.tasks import BEND, TASKS, from_document, get_tasks, read_document, register, to_document, write_document


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    monkeypatch.setattr("bend_hf.tasks.registry.TASKS", TASKS)
    before = dict(TASKS)
    yield
    TASKS.clear()
    TASKS.update(before)


@pytest.mark.parametrize("task", BEND, ids=lambda task: task.name)
def test_the_seven_are_documents(task):
    document = json.loads(json.dumps(to_document(task)))
    assert from_document(document, "document") == task
    assert set(document) == {"schema", *(item.name for item in dataclasses.fields(task))} - {"folder"}


def document(**changes):
    fields = to_document(make_task()) | changes
    return {name: value for name, value in fields.items() if value is not ...}


def changed_columns(**changes):
    return [column | changes for column in to_document(make_task())["columns"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_names": ...}, "field 'label_names' is missing; expected a list, each a string"),
        ({"labelnames": 3}, r"Unknown field 'labelnames'\. Did you mean 'label_names'\?"),
        ({"window": "512"}, "field 'window' is \"512\"; expected a whole number or null"),
        ({"window": True}, "field 'window' is true"),
        ({"stranded": 1}, "field 'stranded' is 1; expected true or false"),
        ({"label_names": ["a", 3]}, r"field 'label_names\[1\]' is 3; expected a string"),
        ({"rows": {"train": 1.5, "validation": 1, "test": 1}}, "field 'rows.train' is 1.5"),
        ({"split_scheme": "random"}, "field 'split_scheme' is \"random\"; choices: fixed, folds, none"),
        ({"recipe": {"hidden": 3}}, "field 'recipe.pool' is missing"),
        ({"columns": [{"name": "a"}]}, r"field 'columns\[0\].dtype' is missing"),
        ({"schema": 2}, "schema 2 is newer than this bend_hf"),
        ({"schema": ...}, "field 'schema' is null"),
        ({"metric": "mcc"}, "metric 'mcc' does not fit; choices: auroc"),
        ({"recipe": to_document(TASKS["gene_finding"])["recipe"]}, "recipe.loss 'cross_entropy' does not fit"),
        ({"label_names": ["a", "a"]}, "label_names are missing, or one stands there twice"),
        ({"name": "my/task"}, "a name is up to 64 letters"),
        ({"label_kind": "multi_label"}, "Did you mean 'multilabel'"),
        ({"split_names": {"train": "train"}}, "split_names give train"),
        ({"dataset": "a/../b"}, "dataset 'a/../b' is no name"),
        ({"config": "../x"}, "config '../x' is no name"),
        ({"window": -5}, "window is -5; expected 1 or more"),
        ({"rows": {"train": 0, "validation": 1, "test": 1}}, "rows.train is 0; expected 1 or more"),
        ({"chromosomes": {"IV": 0}}, "chromosomes.IV is 0; expected 1 or more"),
        ({"recipe": to_document(make_task())["recipe"] | {"hidden": 0}}, "recipe.hidden is 0; expected 1 or more"),
        ({"recipe": to_document(make_task())["recipe"] | {"learning_rate": -1}}, "recipe.learning_rate is -1.0"),
        ({"recipe": to_document(make_task())["recipe"] | {"weight_decay": -1}}, "recipe.weight_decay is -1.0"),
        ({"version": ""}, "version is empty"),
        ({"supersedes": "my_task"}, "it supersedes itself"),
        ({"columns": to_document(make_task())["columns"] * 2}, "columns: one stands there twice"),
        ({"columns": changed_columns(dtype="string")}, "column 'start' has dtype 'string'; coordinates are int64"),
        ({"columns": changed_columns(name="sequence", row=True)}, "columns lack 'chromosome'"),
        ({"columns": [*changed_columns(), changed_columns(name="part", row=True)[0]]}, "'part' has the name of one"),
        ({"columns": changed_columns(row=False)}, "column 'chromosome' is not among those of rows"),
    ],
)
def test_a_wrong_field_is_named(changes, message):
    with pytest.raises(BendError, match=f"task.json: .*{message}"):
        from_document(document(**changes), "task.json")


def test_the_default_recipe_is_that_of_the_kind():
    task = from_document(document(recipe="default"), "task.json")
    assert task.recipe == make_task().recipe
    assert (task.recipe.pool, task.recipe.outputs, task.recipe.loss) == (100, 2, "binary")


def test_a_field_that_stands_twice_is_no_document(tmp_path):
    (tmp_path / "task.json").write_text('{"schema": 1, "schema": 1}')
    with pytest.raises(BendError, match="a field stands there twice"):
        read_document(tmp_path / "task.json")


def test_names_are_taken_once(tmp_path):
    folder = write_folder(tmp_path / "my_task", make_task())
    [task] = get_tasks(folder)
    assert get_tasks("my_task") == (task,) == get_tasks(str(folder))
    assert get_tasks("all") == BEND
    assert [found.name for found in get_tasks(["my_task", "gene_finding"])] == ["gene_finding", "my_task"]
    other = write_folder(tmp_path / "other", make_task(version="1.1.0"))
    with pytest.raises(BendError, match=r"Two tasks have the name my_task: that of .*my_task and that of .*other"):
        register(other)
    write_document(folder / "task.json", dataclasses.replace(make_task(), name="gene_finding"))
    with pytest.raises(BendError, match="gene_finding is the name of one of BEND's tasks"):
        get_tasks(folder)


@pytest.mark.parametrize("name", [None, 3, b"gene_finding", ""])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(BendError):
        get_tasks([name])


def test_a_folder_without_a_task_says_what_it_should_hold(tmp_path):
    with pytest.raises(BendError, match=r"task\.json: there is no such file.*holds a task\.json"):
        get_tasks(tmp_path)


PACKAGE = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "worm-tasks"
version = "1.0"

[project.entry-points."bend_hf.tasks"]
one = "worm_tasks:ONE"
several = "worm_tasks:SEVERAL"

[tool.hatch.build.targets.wheel]
packages = ["worm_tasks"]
"""


def test_an_installed_package_brings_tasks(tmp_path):
    source = tmp_path / "source"
    first = write_folder(source / "worm_tasks" / "first", make_task("first"))
    write_document(source / "worm_tasks" / "second.json", make_task("second"))
    (source / "worm_tasks" / "__init__.py").write_text(
        "from pathlib import Path\nfrom bend_hf.tasks import read_document\nHERE = Path(__file__).parent\n"
        "ONE = HERE / 'first'\nSEVERAL = [read_document(HERE / 'second.json')]\n"
    )
    (source / "pyproject.toml").write_text(PACKAGE)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(tmp_path / "site"), str(source)], check=True, capture_output=True)
    shutil.rmtree(first)
    code = (
        "import bend_hf; from bend_hf.tasks import get_tasks; "
        "names = [task.name for task in get_tasks(['second', 'first'])]; "
        "print(names, len(bend_hf.load_dataset('first', split='test')))"
    )
    path = os.pathsep.join([str(tmp_path / "site"), str(Path(bend_hf.__file__).parent.parent)])
    environment = os.environ | {"PYTHONPATH": path, "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['first', 'second'] 40", done.stderr


def test_a_superseded_task_says_so(caplog):
    register(make_task("old"))
    register(make_task("new", supersedes="old"))
    get_tasks("old")
    assert "old is superseded by new" in caplog.text


@pytest.mark.parametrize("ending", [".bed", ".csv", ".tsv"])
def test_rows_of_ones_own(tmp_path, ending):
    folder = write_folder(tmp_path / "my_task", make_task(), ending=ending)
    data = bend_hf.load_dataset(str(folder), cache_dir=tmp_path / "cache")
    assert {name: len(rows) for name, rows in data.items()} == {"train": 60, "validation": 20, "test": 40}
    for row in data["test"]:
        assert (0 in row["labels"]) == (row["sequence"].count("G") > RICH)


@pytest.mark.parametrize("kind", ["per_nucleotide_class", "per_bin_binary"])
def test_labels_by_position_are_the_same_in_every_kind_of_file(tmp_path, kind):
    import h5py

    def rows(name):
        found = bend_hf.load_dataset(str(tmp_path / name / "my_task"), cache_dir=tmp_path / "cache")
        TASKS.pop("my_task")
        return {split: part.to_list() for split, part in found.items()}

    task = make_task(label_kind=kind, **FIELDS[kind])
    write_folder(tmp_path / "bed" / "my_task", task)
    expected = rows("bed")
    size = task.bin_size or 1
    assert {len(row["labels"]) for row in expected["test"]} == {WINDOW // size}
    for ending in (".csv", ".tsv"):
        write_folder(tmp_path / ending / "my_task", task, ending=ending)
        assert rows(ending) == expected
    folder = write_folder(tmp_path / "hdf5" / "my_task", task)
    lines = [line.split("\t") for line in (folder / "my_task.bed").read_text().splitlines()]
    (folder / "my_task.bed").write_text("".join("\t".join([*line[:4], line[5]]) + "\n" for line in lines))
    labels = [[int(run.split(":")[0]) for run in line[4].split(",")] for line in lines[1:]]
    with h5py.File(folder / "my_task.hdf5", "w") as file:
        file["labels"] = np.array(labels, np.int8)
    write_document(folder / "task.json", make_task(label_kind=kind, labels_in_hdf5=True, **FIELDS[kind]))
    assert rows("hdf5") == expected
    (folder / "my_task.hdf5").unlink()
    with pytest.raises(BendError, match=r"my_task\.hdf5: there is no such file; my_task has its labels in HDF5"):
        rows("hdf5")


def test_parquet_holds_the_same_rows(tmp_path):
    import pyarrow.csv
    import pyarrow.parquet as pq

    folder = write_folder(tmp_path / "my_task", make_task())
    first = bend_hf.load_dataset(str(folder), cache_dir=tmp_path / "cache", split="test")
    bed = folder / "my_task.bed"
    table = pyarrow.csv.read_csv(bed, parse_options=pyarrow.csv.ParseOptions(delimiter="\t"))
    pq.write_table(table, folder / "my_task.parquet")
    with pytest.raises(BendError, match=r"several of my_task\.bed, my_task\.parquet"):
        bend_hf.load_dataset(str(folder), cache_dir=tmp_path / "cache")
    bed.unlink()
    assert bend_hf.load_dataset(str(folder), cache_dir=tmp_path / "cache", split="test")[:] == first[:]


FIELDS = {
    "multilabel": {},
    "per_nucleotide_class": {"label_names": ("weak", "strong"), "metric": "mcc", "turned_labels": ("weak", "strong")},
    "per_bin_binary": {"label_names": ("double",), "metric": "auprc", "bin_size": 10},
    "window_class": {"label_names": ("poor", "rich"), "metric": "mcc"},
    "window_value": {"label_names": ("content",), "metric": "pearson"},
}
"""Kind → fields; labels follow from the letters (see `tasks_of_ones_own.label`)."""


@pytest.mark.parametrize(
    ("kind", "model", "least"),
    [
        ("multilabel", "composition", 0.6),
        ("per_nucleotide_class", "composition", 0.1),
        ("per_bin_binary", "composition", 0.5),
        ("window_class", "composition", 0.4),
        ("window_value", "composition", 0.8),
        ("per_nucleotide_class", "onehot", 0.9),
        ("window_value", "onehot", 0.8),
    ],
)
def test_a_folder_is_evaluated(tmp_path, kind, model, least):
    folder = write_folder(tmp_path / "my_task", make_task(label_kind=kind, **FIELDS[kind]))
    output = tmp_path / "results"
    [result] = bend_hf.evaluate(model, tasks=folder, epochs=10, batch_size=8, seeds=1, output=output, device="cpu")
    assert result.failure is None
    assert result.score > least
    assert result.counts["rows"] == 40
    if result.score < 1:  # a perfect score has no interval
        low, high = result.interval
        assert low < result.score < high
    del TASKS["my_task"]
    [again] = bend_hf.read_results(output)
    assert TASKS["my_task"].label_kind == kind
    assert again.score == result.score
    if kind == "window_value":  # trained on standardised values, predicted as they are
        assert 600 < read_predictions(again).scores.mean() < 900
    page = write_report(output, tmp_path / "report.html").read_text()
    shown = {
        "window_class": ["accuracy", "macro F1", ">Windows<", ">rich<", ' windows"'],
        "window_value": ["Spearman ρ", "R²"],
    }
    assert [word for word in shown.get(kind, []) if word not in page] == []


def test_variants_of_ones_own_are_scored(tmp_path):
    folder = write_variants(tmp_path / "snps")
    rows = bend_hf.load_dataset(str(folder), split="test", cache_dir=tmp_path / "cache")
    for row in rows:
        assert (row["ref_sequence"][512], row["alt_sequence"][512]) == (row["ref"], row["alt"])
        assert row["Study"].startswith("study")
    assert "where it was seen" in dataset_card("snps", namespace="lab")
    model = str(tiny_models.FAMILIES["dnabert"](tmp_path / "tiny"))
    output = tmp_path / "results"
    [result] = bend_hf.evaluate(model, tasks=folder, output=output, device="cpu")
    assert result.failure is None
    assert (result.counts["positives"], result.counts["labels"]) == (20, 60)
    assert 0 < result.interval[0] < result.score < result.interval[1] < 1
    page = write_report(output, tmp_path / "report.html").read_text()
    assert "All scores" in page
    write_document(folder / "task.json", dataclasses.replace(TASKS.pop("snps"), version="1.1.0"))
    document = json.loads((folder / "task.json").read_text())
    (folder / "task.json").write_text(json.dumps(document | {"window": 600}))
    with pytest.raises(BendError, match="window is 600, and the context of a variant in its rows is 1,024 bp"):
        get_tasks(folder)


@pytest.mark.parametrize("kind", FIELDS)
def test_a_picture_is_of_bins_or_refused(tmp_path, kind):
    folder = write_folder(tmp_path / "my_task", make_task(label_kind=kind, **FIELDS[kind]))
    [result] = bend_hf.evaluate("composition", tasks=folder, output=tmp_path / "results")
    if kind == "per_bin_binary":
        picture = plot(result, row=1).read_text()
        assert "middle of the window" in picture
        assert "transcription" not in picture
    else:
        with pytest.raises(BendError, match="my_task has neither genes nor bins: there is no window to draw"):
            plot(result)


@pytest.mark.parametrize("kind", ["window_class", "window_value"])
def test_vectors_of_ones_own_are_stored_and_a_record_is_made_again(tmp_path, kind, capsys):
    folder = write_folder(tmp_path / "my_task", make_task(label_kind=kind, **FIELDS[kind]))
    model, store = str(tiny_models.FAMILIES["dnabert"](tmp_path / "tiny")), str(tmp_path / "store")
    given = [model, "--task", str(folder), "--device", "cpu", "--store", store]
    assert main(["embed", *given]) == 0
    assert "my_task  complete" in capsys.readouterr().out
    shards = sorted((tmp_path / "store").rglob("*.safetensors"))
    times = [path.stat().st_mtime_ns for path in shards]
    assert shards
    output = str(tmp_path / "results")
    assert main(["evaluate", *given, "--epochs", "1", "--seeds", "1", "-o", output]) == 0
    assert "the vectors of 120 sequences are in" in capsys.readouterr().err
    assert [path.stat().st_mtime_ns for path in shards] == times
    [record] = (tmp_path / "results").rglob("my_task*.json")
    capsys.readouterr()
    again = ["rerun", str(record), "--model", model]
    assert main(again) == 0
    assert "the same score to the last digit" in capsys.readouterr().out
    del TASKS["my_task"]  # as where the record is all that is known
    assert main(again) == 1
    assert "name the folder (task=, --task)" in capsys.readouterr().err
    assert main([*again, "--task", str(folder)]) == 0


def rewrite(folder, kind, split, label):
    """Write another label into the first row of a split, or into all where `split` is a list."""
    path = folder / "my_task.bed"
    header, *lines = path.read_text().splitlines()
    cells = [line.split("\t") for line in lines]
    chosen = [row for row in cells if row[5] in split]
    for row in chosen if isinstance(split, list) else chosen[:1]:
        row[4] = label
    path.write_text("\n".join([header, *("\t".join(row) for row in cells)]) + "\n")


@pytest.mark.parametrize(
    ("kind", "label", "message"),
    [
        ("window_class", "middling", "line 2, column 'label': 'middling' is no class: poor, rich, or 0 to 1"),
        ("window_class", "2", "line 2, column 'label': '2' is no class"),
        ("window_class", "", "line 2, column 'label': '' is no class"),
        ("multilabel", "0,7", "line 2, column 'label': '0,7' holds the label 7: labels are 0 to 1"),
        ("per_nucleotide_class", "3:100", "line 2, column 'label': '3:100' holds the label 3: labels are 0 to 1"),
        ("per_nucleotide_class", "1:99", "'1:99' has 99 labels for a window of 100 nucleotides"),
        ("per_bin_binary", "2:10", "'2:10' holds the label 2: labels are 0 to 1"),
        ("window_value", "nan", "line 2, column 'label': 'nan' is no number"),
        ("window_value", "1e99", "'1e99' is too large for 32 bits"),
    ],
)
def test_a_wrong_label_names_its_line(tmp_path, kind, label, message):
    folder = write_folder(tmp_path / "my_task", make_task(label_kind=kind, **FIELDS[kind]))
    rewrite(folder, kind, "train", label)
    with pytest.raises(BendError, match=f"my_task.bed, {message}" if message.startswith("line") else message):
        bend_hf.load_dataset(str(folder), cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("kind", "label", "message"),
    [
        ("window_class", "poor", "no training row has the label rich: nothing can learn it"),
        ("per_nucleotide_class", "0:100", "no training row has the label strong: nothing can learn it"),
        ("multilabel", "1", "all training rows are labelled alike"),
        ("per_bin_binary", "0:10", "all training rows are labelled alike"),
        ("window_value", "5", "all training rows are labelled alike"),
    ],
)
def test_training_rows_without_a_class_are_told_before_work(tmp_path, kind, label, message):
    folder = write_folder(tmp_path / "my_task", make_task(label_kind=kind, **FIELDS[kind]))
    rewrite(folder, kind, ["train"], label)

    embedded = set()

    def model(sequences):
        embedded.update(map(len, sequences))
        return [np.zeros((len(sequence), 2), np.float32) for sequence in sequences], None

    [result] = bend_hf.evaluate(model, tasks=folder, seeds=1, output=tmp_path / "results", device="cpu")
    assert message in result.failure
    assert WINDOW not in embedded  # when it is opened, a model is tried on sequences of other lengths


def test_a_label_that_is_never_on_is_said_and_the_others_are_learnt(tmp_path, caplog):
    folder = write_folder(tmp_path / "my_task", make_task())
    rewrite(folder, "multilabel", ["train"], "0")
    rewrite(folder, "multilabel", "train", "")
    [result] = bend_hf.evaluate("composition", tasks=folder, output=tmp_path / "results")
    assert result.failure is None
    assert "my_task: even: on in no training row, or in all of them" in caplog.text


def test_an_empty_split_is_told_before_a_model_is_opened(tmp_path):
    folder = write_folder(tmp_path / "my_task", make_task())
    bed = folder / "my_task.bed"
    bed.write_text("".join(line for line in bed.open() if not line.endswith("validation\n")))
    with pytest.raises(BendError, match="my_task: split 'validation' has no rows"):
        bend_hf.evaluate("no-such-folder-either/model", tasks=folder, output=tmp_path / "results")


def test_a_genome_without_the_chromosomes_is_told_with_the_line(tmp_path):
    folder = write_folder(tmp_path / "my_task", make_task(chromosomes=None))
    genome = folder / "genomes" / "WBcel235.fa"
    genome.write_text(genome.read_text().replace(">IV", ">V"))
    with pytest.raises(BendError, match=r"my_task.bed, line 2, column 'chromosome': 'IV' is not in the genome"):
        bend_hf.load_dataset(str(folder), genome_checked=True, cache_dir=tmp_path / "cache")


def test_own_folds_take_turns(tmp_path):
    parts = {"train": "one", "validation": "two", "test": "three"}
    rows = {"one": 60, "two": 20, "three": 40}
    fields = FIELDS["per_bin_binary"] | {"split_scheme": "folds", "split_names": parts, "rows": rows}
    folder = write_folder(tmp_path / "my_task", make_task(label_kind="per_bin_binary", **fields))
    [result] = bend_hf.evaluate("composition", tasks=folder, output=tmp_path / "results")
    assert [(fold["part"], fold["rows"]) for fold in result.folds] == [("one", 60), ("two", 20), ("three", 40)]
    assert result.score == pytest.approx(sum(fold["score"] for fold in result.folds) / 3)


def test_own_tasks_are_compared_and_averaged_by_themselves(tmp_path, capsys):
    folder = write_folder(tmp_path / "my_task", make_task())
    output = ["-o", str(tmp_path / "results")]
    assert main(["evaluate", "composition", "--task", str(folder), *output]) == 0
    assert main(["evaluate", "onehot", "--task", str(folder), "--epochs", "1", "--seeds", "1", *output]) == 0
    results = bend_hf.read_results(tmp_path / "results")
    assert {result.task for result in results} == {"my_task"}
    comparison = bend_hf.compare(results)
    assert {item.task for item in comparison.differences} == {"my_task"}
    rows = board(results)
    means = group_means(rows)["onehot", "default", False]
    assert means["supervised"] is None
    assert means["own"] == pytest.approx(2 * next(row.score for row in rows if row.model == "onehot") - 1)
    page = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "results"), "-o", str(page)]) == 0
    assert "own tasks" in page.read_text()
    assert "BEND" not in page.read_text()
    assert main(["report", str(tmp_path / "results"), "-o", str(tmp_path / "table.md")]) == 0
    assert (tmp_path / "table.md").read_text().startswith("# Results\n")
    capsys.readouterr()


def test_the_list_of_tasks_is_made_of_documents(capsys):
    assert main(["tasks", "--format", "json"]) == 0
    assert [from_document(item, "tasks") for item in json.loads(capsys.readouterr().out)] == list(BEND)


NEW_KIND = '''
"""Counts by window, learnt and scored as their logarithms."""

import dataclasses

import numpy as np
import pyarrow as pa

from bend_hf.kinds import register
from bend_hf.kinds.arrays import integers
from bend_hf.kinds.window_value import WINDOW_VALUE

COUNTS = dataclasses.replace(
    WINDOW_VALUE,
    name="window_count",
    metrics=("spearman",),
    parse=lambda task, texts, counts: pa.chunked_array([pa.array(np.log1p(integers(texts)).astype(np.float32))]),
)
register(COUNTS)
'''


def test_a_kind_comes_from_a_module_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "counts_of_windows.py").write_text(NEW_KIND)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("counts_of_windows")
    try:
        task = make_task("counted", label_kind="window_count", label_names=("reads",))
        folder = write_folder(tmp_path / "counted", task)
        [result] = bend_hf.evaluate("composition", tasks=folder, output=tmp_path / "results")
        assert result.failure is None
        assert result.metric == "spearman"
        assert result.score > 0.8
        assert read_predictions(result).labels.max() < 8  # logarithms of hundreds
        assert main(["report", str(tmp_path / "results"), "-o", str(tmp_path / "report.html")]) == 0
        assert words(task).labels == "One per window."
    finally:
        del KINDS["window_count"]


def test_a_task_of_ones_own_is_a_mirror_of_ones_own(tmp_path):
    import datasets
    import yaml

    from bend_hf.hub.mirror import read_mirror
    from bend_hf.hub.prepare import prepare

    folder = write_folder(tmp_path / "my_task", make_task(label_kind="window_class", **FIELDS["window_class"]))
    with pytest.raises(BendError, match=r"my_task is none of BEND's datasets.*--namespace"):
        prepare(str(folder), to=tmp_path / "mirror")
    with pytest.raises(BendError, match="The toy data has no my_task"):
        prepare(str(folder), to=tmp_path / "mirror", namespace="my-lab", toy=True)
    assert not (tmp_path / "mirror").exists()
    prepare(str(folder), to=tmp_path / "mirror", namespace="my-lab")
    repository = next(item for item in read_mirror(tmp_path / "mirror", "my-lab") if item.kind == "dataset")
    assert repository.name == "my-lab/my_task"
    card = (repository.path / "README.md").read_text()
    assert "BEND" not in card.replace("bend-hf", "").replace("bend_hf", "")
    assert "human" not in card
    assert "Find windows that are rich in G." in card
    assert "0 `poor`, 1 `rich`" in card
    assert "genome WBcel235" in card
    benchmark = yaml.safe_load((repository.path / "eval.yaml").read_text())
    assert [entry["id"] for entry in benchmark["tasks"]] == ["my_task_mcc"]
    read = datasets.load_dataset(str(repository.path), cache_dir=str(tmp_path / "cache"))
    assert read["test"].to_list() == bend_hf.load_dataset(str(folder), split="test").to_list()


def test_names_in_a_card_are_text():
    names = {"label_names": ("a`b", "<b>x</b>|y"), "title": "<i>Mine</i> | [x](http://x)"}
    columns = make_task().columns
    columns = (dataclasses.replace(columns[0], description="a | b"), *columns[1:])
    register(make_task("named", columns=columns, **names))
    card = dataset_card("named", namespace="my-lab")
    assert r"# &lt;i&gt;Mine&lt;/i&gt; \| \[x\](http://x)" in card
    assert "0 `` a`b ``, 1 `<b>x</b>|y`." in card
    assert r"| `chromosome` | string | a \| b |" in card
    assert card.endswith("task id `named_auroc`.\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "variant_effects", "config": "mine"}, "variant_effects is one of BEND's datasets"),
        ({"dataset": "first"}, "my_task has the dataset and the config of first"),
    ],
)
def test_a_dataset_has_one_owner(changes, message):
    register(make_task("first"))
    with pytest.raises(BendError, match=message):
        register(make_task(**changes))
