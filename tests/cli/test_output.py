"""What all verbs share: how loud they are, flags from a file, completion."""

import subprocess
import sys
from shutil import which

import pytest

from bend_hf import console
from bend_hf.cli import main
from bend_hf.cli.completion import SHELLS
from bend_hf.cli.output import Answer, show
from bend_hf.cli.parser import LIBRARIES
from bend_hf.results.rerun import rerun_command


def test_alone_it_shows_its_help(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([]) == 0
    found = capsys.readouterr()
    assert "start with:" in found.out
    assert max(map(len, found.out.splitlines())) <= 80
    assert found.err == ""


class Said:
    def __str__(self):
        return "a table\n  [a] trained for five epochs /a/path/longer/than/a/line\n[b] short"


def test_long_notes_are_folded_between_words_where_a_terminal_is_narrow(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    for there in (False, True):
        monkeypatch.setattr(sys.stdout, "isatty", lambda there=there: there)
        show(Answer(Said(), {}), "human")
    plain, folded = capsys.readouterr().out.split("[b] short\n", 1)
    assert plain + "[b] short" == str(Said())
    assert folded.splitlines() == [
        "a table",
        "  [a] trained for five",
        "    epochs",
        "    /a/path/longer/than/a/line",
        "[b] short",
    ]
    show(Answer("bend-hf evaluate a model --with many flags", {}), "human")
    assert capsys.readouterr().out == "bend-hf evaluate a model --with many flags\n"


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Return a function that runs `evaluate` with words and a file, and what the library was called with."""
    found = {}

    def evaluate(model, tasks="all", **options):
        found.update({"model": model, "tasks": tasks, **options})
        console.log.debug("much")
        console.log.info("some")
        console.log.warning("little")
        return []

    monkeypatch.setattr("bend_hf.evaluation.evaluate", evaluate)
    monkeypatch.setattr(sys, "argv", ["bend-hf"])
    for name in LIBRARIES:
        monkeypatch.setenv(f"{name}_VERBOSITY", "error")
    monkeypatch.chdir(tmp_path)

    def run(words, text=None):
        found.clear()
        if text is not None:
            (tmp_path / "run.yaml").write_text(text)
        assert main(["evaluate", *words.split()]) == 0
        return dict(found)

    return run


@pytest.mark.parametrize(
    ("flag", "said"), [("-q", ["little"]), ("", ["some", "little"]), ("-v", ["much", "some", "little"])]
)
def test_how_loud_it_is(asked, capsys, flag, said):
    asked(f"onehot {flag}")
    assert capsys.readouterr().err.split() == said
    assert console.log.handlers == []
    assert console.log.level == 30


FILE = """
model: composition
tasks: [gene_finding, variant_effects]
genome: {GRCh38: a.fa, GRCh37: b.fa}
seeds: [0, 7]
layers: [0, 6, last]
epochs: 5
batch_size: 4
layer: -1
standardize: true
overwrite: false
patience: null
trackers: [wandb]
"""


def test_a_file_is_the_command_line(asked, tmp_path):
    found = asked("--config run.yaml", FILE)
    words = (
        "composition --tasks gene_finding variant_effects --genome GRCh38=a.fa GRCh37=b.fa --seeds 0,7 --standardize "
        "--layers 0,6,last --epochs 5 --batch-size 4 --layer=-1 --trackers wandb"
    )
    assert found == asked(words)
    assert found["seeds"] == [0, 7]
    assert found["genome"].keys() == {"GRCh38", "GRCh37"}


@pytest.mark.parametrize(
    ("words", "text", "overwrite"),
    [
        ("onehot", "", False),
        ("onehot --overwrite", "", True),
        ("onehot --resume", "", False),
        ("onehot --overwrite --resume", "", False),
        ("onehot", "overwrite: true", True),
        ("onehot", "resume: true", False),
        ("onehot", "resume: false", True),
        ("onehot --resume", "overwrite: true", False),
    ],
)
def test_results_are_kept_or_made_again(asked, words, text, overwrite):
    assert asked(f"{words} --config run.yaml", f"seeds: 2\n{text}\n")["overwrite"] is overwrite


def test_the_command_line_wins_over_a_file(asked):
    found = asked(
        "--seeds 1 onehot --task mine --config=run.yaml -o there --genome c.fa", FILE + "output: here\ntask: [x]"
    )
    assert (found["model"], found["seeds"], str(found["output"]), str(found["genome"])) == (
        "onehot",
        1,
        "there",
        "c.fa",
    )
    assert found["tasks"] == ["gene_finding", "variant_effects", "mine"]
    assert found["epochs"] == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: onehot\nepoch: 5", "run.yaml, line 2: epoch is no flag of bend-hf evaluate. Did you mean epochs?"),
        ("model: onehot\nhelp: true", "line 2: help is no flag"),
        ("epochs: 0\nmodel: onehot", "argument --epochs: 0 is not a positive number (see run.yaml)"),
        ("model: onehot\nvary: rows", "invalid choice: 'rows'"),
        ("model: onehot\nstandardize: 3", "run.yaml, line 2: standardize=3 is neither true nor false"),
        ("model: onehot\nepochs: 5\nepochs: 6", "run.yaml, line 3: epochs stands in line 2 already"),
        ("model: onehot\nbatch_size: 5\nbatch-size: 6", "line 3: batch-size stands in line 2 already"),
        (
            "model: onehot\nbudget: 2026-01-01",
            "line 2: budget: datetime.date(2026, 1, 1) is neither a text nor a number",
        ),
        ("- onehot", "run.yaml is no mapping"),
        ("a: [", "run.yaml cannot be read"),
        ("epochs: 5", "the following arguments are required: model"),
    ],
)
def test_a_file_that_is_wrong(asked, capsys, text, said):
    with pytest.raises(SystemExit) as stop:
        asked("--config run.yaml", text)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_missing_file(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--config", "nowhere.yaml"])
    assert "nowhere.yaml cannot be read" in capsys.readouterr().err


def test_a_record_holds_what_a_file_said(asked, result_of):
    asked("--config run.yaml", "model: onehot\nepochs: 5\ndata_dir: d")
    result = result_of(" ".join(sys.argv))
    assert sys.argv == ["bend-hf", "evaluate", "onehot", "--epochs=5", "--data-dir=d"]
    assert {"--epochs=5", "--data-dir=d", "onehot"} <= set(rerun_command(result, output="again"))


@pytest.fixture
def result_of():
    from dataclasses import replace

    from result_factory import make_result

    result = make_result("gene_finding", model="onehot")
    return lambda command: replace(result, provenance=result.provenance | {"command": command})


@pytest.mark.skipif(which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bend-hf", "eva"], "evaluate"),
        (["bend-hf", "models", "i"], "info"),
        (["bend-hf", "evaluate", "--train"], "--train-rows"),
        (["bend-hf", "evaluate", "onehot", "--vary", "ord"], "order"),
        (["bend-hf", "completion", "f"], "fish"),
    ],
)
def test_bash_completes(tmp_path, capsys, words, expected):
    pytest.importorskip("shtab", reason="completion is an extra")
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    command = (
        'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        "$(complete -p bend-hf | sed -E 's/.*-F ([^ ]+).*/\\1/') bend-hf; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", command, "bash", *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [expected], done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_for_each_shell(shell, capsys):
    pytest.importorskip("shtab", reason="completion is an extra")
    assert main(["completion", shell]) == 0
    assert "bend-hf" in capsys.readouterr().out


def test_without_what_makes_completion(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "pip install 'bend_hf[completion]'" in capsys.readouterr().err


HOSTILE = "red\x1b[31m, bell\a, turned \u202e, title \x1b]0;x\a"


@pytest.mark.parametrize("form", ["human", "quiet"])
def test_no_name_commands_the_terminal(form, capsys):
    show(Answer(f"a\t{HOSTILE}\nb", {}, [HOSTILE]), form)
    said = capsys.readouterr().out
    assert r"red\x1b[31m, bell\x07, turned \u202e, title \x1b]0;x\x07" in said
    assert {character for character in said if not character.isprintable()} <= {"\n", "\t"}


def test_no_name_in_a_message_commands_the_terminal(caplog):
    console.log.warning("the model %s", HOSTILE)
    assert caplog.messages == [r"the model red\x1b[31m, bell\x07, turned \u202e, title \x1b]0;x\x07"]


def test_an_unknown_loudness_is_the_usual_one(monkeypatch):
    for asked, level in (("loud", "info"), ("", "info"), ("ERROR", "error"), ("debug", "debug")):
        monkeypatch.setenv("BEND_HF_VERBOSITY", asked)
        assert console.asked_level("info") == level


def test_streams_that_are_closed_or_know_few_letters():
    """Closed as by ``>&-``; and what cannot be written is written as an escape."""
    lines = [
        "import io, sys",
        "sys.stdout = sys.stderr = None",
        "from bend_hf.cli import main",
        "closed = main(['tasks'])",
        "sys.stdout = io.TextIOWrapper(io.BytesIO(), 'ascii')",
        "from bend_hf.cli import output, parser",
        "parser._stand_in()",
        "output.show(output.Answer('0.5 ± 0.1', {}), 'human')",
        "sys.stdout.flush()",
        "sys.exit(100 * closed + (sys.stdout.buffer.getvalue() != b'0.5 \\\\xb1 0.1\\n'))",
    ]
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False).returncode == 0


def test_a_folder_that_is_gone_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["tasks"]) == 1
    assert "the folder one is in was removed meanwhile" in capsys.readouterr().err
