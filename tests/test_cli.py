"""The command line as a person meets it: help with examples, data on standard output, errors and exit codes."""

import json
import subprocess
import sys

import pytest
from result_factory import make_result

from bend_hf.cli import build_parser, main
from bend_hf.results.record import write_result

COMMANDS = ("demo", "tasks", "prepare", "evaluate", "embed", "doctor", "compare", "report", "plot", "rerun", "publish")


@pytest.fixture(scope="module")
def results(toy_dir, tmp_path_factory):
    """Results of two models, made by the command line."""
    output = tmp_path_factory.mktemp("results")
    for model in ("onehot", "composition"):
        tasks = ["--tasks", "gene_finding", "variant_effects_disease"]
        code = main(["evaluate", model, *tasks, "--data-dir", str(toy_dir), "--epochs", "1", "-o", str(output)])
        assert code == 0
    return output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_parse(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text("model: onehot")
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    examples = [line.strip() for line in text.partition("examples:")[2].splitlines() if line.strip()]
    assert examples
    for example in examples:
        words = example.partition("|")[0].split()
        assert words[0] == "bend-hf"
        assert build_parser().parse_args(words[1:]).command == command


def test_no_command_shows_what_there_is(capsys):
    assert main([]) == 0
    assert "run all seven tasks on a toy genome" in capsys.readouterr().out


def test_wrong_usage_exits_with_2():
    for arguments in (["evaluat"], ["evaluate", "onehot", "--seeds", "0"], ["embed", "m", "--shard", "4/4"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2


def test_tasks_as_json(capsys):
    assert main(["tasks", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 7
    assert rows[0]["name"] == "gene_finding"


def test_the_table_shows_the_baseline_beside_a_model(results, toy_dir, capsys):
    arguments = ["--tasks", "gene_finding", "--data-dir", str(toy_dir), "--epochs", "1", "-o", str(results)]
    assert main(["evaluate", "composition", *arguments]) == 0
    table = capsys.readouterr().out
    assert "composition" in table
    assert "one-hot CNN" in table
    assert "TOY DATA" in table


def test_compare_report_plot(results, tmp_path, capsys):
    assert main(["compare", str(results), "--resamples", "50"]) == 0
    assert "composition - one-hot CNN " in capsys.readouterr().out
    for name, ending in (("html", "html"), ("markdown", "md"), ("csv", "csv"), ("latex", "tex"), ("json", "json")):
        assert main(["report", str(results), "--as", name, "-o", str(tmp_path / f"report.{ending}")]) == 0
        assert (tmp_path / f"report.{ending}").stat().st_size > 200
    [record] = (results / "onehot").glob("gene_finding.default.seed0.*.json")
    assert main(["plot", str(record), "--row", "1", "-o", str(tmp_path / "row.svg")]) == 0
    assert (tmp_path / "row.svg").read_text().lstrip().startswith("<svg")
    capsys.readouterr()
    assert main(["plot", str(record), "--row", "100000"]) == 1
    assert "Row 100000 does not exist" in capsys.readouterr().err


def test_rerun_gives_the_same_score(results, toy_dir, capsys):
    [record] = (results / "composition").glob("variant_effects_disease.default.*.json")
    assert main(["rerun", str(record), "--data-dir", str(toy_dir)]) == 0
    assert "the same score to the last digit" in capsys.readouterr().out
    assert main(["rerun", str(record), "--data-dir", str(toy_dir), "--dry-run"]) == 0
    assert "-m bend_hf evaluate composition" in capsys.readouterr().out


@pytest.mark.parametrize(("score", "code"), [(0.5, 0), (0.54, 0), (0.56, 1)])
def test_rerun_exits_with_1_where_the_score_is_another(tmp_path, monkeypatch, capsys, score, code):
    """The first run scored 0.5, with an interval from 0.45 to 0.55."""
    old = write_result(tmp_path, make_result("cpg_methylation"))

    def run(command, **options):
        write_result(command[command.index("--output") + 1], make_result("cpg_methylation", score=score))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("bend_hf.cli.results.subprocess.run", run)
    assert main(["rerun", str(old)]) == code
    assert ("OUTSIDE" in capsys.readouterr().out) == (code == 1)
    monkeypatch.setattr("bend_hf.cli.results.subprocess.run", lambda *_, **__: subprocess.CompletedProcess([], 3))
    assert main(["rerun", str(old)]) == 3


def test_embed_fills_the_store_that_evaluate_reads(toy_dir, tmp_path, capsys):
    from bend_hf.demo import write_untrained_model

    model = str(write_untrained_model(tmp_path / "model"))
    common = ["--tasks", "cpg_methylation", "--data-dir", str(toy_dir), "--store", str(tmp_path / "store")]
    assert main(["embed", model, *common, "--shard", "0/2"]) == 0
    assert main(["embed", model, *common, "--shard", "1/2"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split()[:2] == ["cpg_methylation", "complete"]
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.safetensors")}
    assert shards
    assert main(["evaluate", model, *common, "--epochs", "1", "-o", str(tmp_path / "out")]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.safetensors")} == shards
    assert main(["embed", model, "--tasks", "variant_effects", "--data-dir", str(toy_dir)]) == 1


def test_doctor_as_json(tmp_path, capsys):
    from bend_hf.demo import write_untrained_model

    command = ["doctor", str(write_untrained_model(tmp_path / "model")), "--no-mock", "--format", "json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mock"] is None
    assert found["dim"] == 64
    assert len(found["costs"]) == 7


def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m bend_hf tasks | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("name")
