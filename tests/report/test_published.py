"""Values from elsewhere: each with its source, the paper's table whole, and runs beside them: first what differs."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from result_factory import PROVENANCE, make_result, simulate, stored, trained

from bend_hf.cli import build_parser, main
from bend_hf.embed.catalogue import CATALOGUE
from bend_hf.errors import BendError
from bend_hf.report import published
from bend_hf.results.board import BASELINES
from bend_hf.tasks import TASKS

ROOT = Path(__file__).parent.parent.parent
TABLE = "Marin et al. 2024, Table 3"
SCRIPTS = sorted((ROOT / "reproduce").glob("*.sh"))
REAL = PROVENANCE | {"files": {"build": "GRCh38", "build_known": "lengths"}, "settings": None}


@pytest.mark.parametrize("entry", published.references(), ids=lambda entry: f"{entry['model']}-{entry['task']}")
def test_every_reference_value_names_its_source(entry):
    fields = {"model", "evaluate", "task", "score", "protocol", "status", "source", "url", "caveat"}
    assert set(entry) == fields
    assert entry["task"] in TASKS
    low = -1 if TASKS[entry["task"]].metric == "mcc" else 0
    assert low <= entry["score"] <= 1
    assert all(entry[key].strip() for key in ("model", "protocol", "status", "source"))
    assert entry["url"].startswith("https://")
    assert entry["evaluate"] in {None, *CATALOGUE, *BASELINES}
    assert entry["caveat"] is None or entry["caveat"].strip()


def test_reference_values_are_rows_of_their_own():
    keys = [(entry["model"], entry["task"], entry["source"]) for entry in published.references()]
    assert len(keys) == len(set(keys))
    rows = published.published(["gene_finding"])
    assert {row.kind for row in rows} == {"published"}
    assert all(row.source and row.interval is None for row in rows)
    assert rows[0].score == max(row.score for row in rows)
    assert not {row.protocol for row in rows} & {"default", "bend-2024"}


def test_the_papers_table_is_whole():
    """All 105 values of 19 rows; the histone column carries its caveat wherever it is shown."""
    path = ROOT.parent / "shared" / "cases" / "bend_table3.json"
    mine = [entry for entry in published.references() if entry["source"] == TABLE]
    assert len(mine) == 105
    assert len({entry["model"] for entry in mine}) == 19
    assert {bool(entry["caveat"]) for entry in mine if entry["task"] == "histone_modification"} == {True}
    assert all(
        "0.72 for Basset" in row.source for row in published.published(["histone_modification"]) if TABLE in row.source
    )
    if not path.is_file():
        pytest.skip(f"no transcription at {path} to compare with")
    wanted = {(e["model"], e["task"]): e["score"] for e in json.loads(path.read_text())["entries"]}
    assert {(e["model"], e["task"]): e["score"] for e in mine} == wanted


def run(task="cpg_methylation", model="dnabert-2", **changes):
    """A run on as many test rows as BEND has, under the paper's protocol, trained by the recipe."""
    counts = {"rows": TASKS[task].rows["test"]}
    provenance = trained(model) | {"files": {"build": "GRCh38", "build_known": "lengths"}}
    values = {"model": model, "score": 0.91, "protocol": "bend-2024", "toy": False, "counts": counts}
    return make_result(task, **(values | {"provenance": provenance} | changes))


def test_a_run_like_the_papers_differs_in_nothing_that_is_recorded():
    found = published.beside([run()])
    [pair] = found.pairs
    assert (pair.published, pair.differs) == (0.9, ())
    assert pair.difference == pytest.approx(0.01)
    assert "+0.010" in str(found)
    assert "in nothing that is recorded" in str(found)
    assert found.to_json()[0]["published"] == 0.9


@pytest.mark.parametrize(
    ("changes", "said", "meaningless"),
    [
        ({"protocol": "default"}, "by the protocol default; the value is by the reference code", False),
        ({"toy": True}, "on toy data", True),
        ({"counts": {"rows": 435}}, "435 test rows, BEND's release 106,227", True),
        ({"provenance": trained("dnabert-2", epochs=3) | {"files": REAL["files"]}}, "trained for 3 epochs", False),
        ({"provenance": trained("dnabert-2")}, "nothing but the user's word", True),
    ],
)
def test_what_differs_is_said_before_a_difference(changes, said, meaningless):
    found = published.beside([run(**changes)])
    [pair] = found.pairs
    assert any(said in each for each in pair.differs)
    assert (pair.difference is None) == meaningless
    text = str(found)
    assert text.index(said) < text.index("difference")
    assert ("not said" in text) == meaningless


def test_models_are_found_under_all_their_names():
    for name in ("dnabert-2", "zhihan1996/DNABERT-2-117M", "dnabert2"):
        assert published.beside([run(model=name)]).pairs[0].published == 0.9
    assert {pair.published for pair in published.beside([run("gene_finding")]).pairs} == {0.43, 0.41}
    assert published.beside([run(model="onehot")]).pairs[0].published == 0.84
    with pytest.raises(BendError, match="No run is of a model and task with a published value"):
        published.beside([run(model="mine")])
    with pytest.raises(BendError, match="No run is of"):
        published.beside([run()], ["gene_finding"])


def test_the_verb(tmp_path, capsys):
    stored(tmp_path, "cpg_methylation", simulate("cpg_methylation"), model="dnabert-2")
    assert main(["compare", str(tmp_path), "--published"]) == 0
    assert "CpG methylation: dnabert-2\n  differs: this run is on toy data" in capsys.readouterr().out
    assert main(["compare", str(tmp_path), "--published", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["difference"] is None
    assert main(["compare", str(tmp_path), "--published", "--level", "0.9"]) == 1
    assert main(["compare", str(tmp_path), "--published", "--tasks", "gene_finding"]) == 1


def test_a_script_for_every_row():
    rows = {entry["model"] for entry in published.references() if entry["source"] == TABLE}
    titles = {path.read_text().split('row "')[1].split('"')[0] for path in SCRIPTS}
    assert titles == rows
    assert len(SCRIPTS) == len(rows)
    index = (ROOT / "reproduce" / "README.md").read_text()
    assert all(f"({path.name})" in index for path in SCRIPTS)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_sound(path):
    """Their syntax, their commands, checkpoints and commits, their tasks and the values they quote."""
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert os.access(path, os.X_OK)
    text = path.read_text()
    model = text.split('row "')[1].split('"')[0]
    entries = [entry for entry in published.references() if entry["source"] == TABLE and entry["model"] == model]
    values = ", ".join(f"{entry['task']} {entry['score']:.2f}" for entry in entries)
    assert f'row "{model}": {values}.' in text
    name = entries[0]["evaluate"]
    commands = [line for line in text.replace("\\\n", "").splitlines() if line.startswith("bend-hf")]
    if name is None:
        assert not commands
        assert subprocess.run(["bash", str(path)], capture_output=True, check=False).returncode == 1
        return
    evaluate, compare = (build_parser().parse_args(shlex.split(command)[1:]) for command in commands)
    assert evaluate.tasks == [entry["task"] for entry in entries]
    assert (evaluate.protocol, compare.protocol, compare.published) == ("bend-2024", "bend-2024", True)
    catalogued = CATALOGUE.get(name)
    assert evaluate.model in (name, catalogued and catalogued.source)
    assert evaluate.revision == (catalogued.revision if catalogued else None)
    assert evaluate.revision is None or f"commit {evaluate.revision}." in text
