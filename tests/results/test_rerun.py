"""The command that makes a result again, and what came of it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from result_factory import PROVENANCE, make_result

from bend_hf.errors import BendError
from bend_hf.results.record import read_result, write_result
from bend_hf.results.rerun import LEFT_OUT, REPEATED, compare_rerun, rerun_command
from bend_hf.tasks import own_task, write_document

COMMAND = "bend-hf evaluate org/model --tasks all --data-dir 'my data' --seeds 3 --push org/model --format=json"


def test_recorded_command_is_restricted_to_the_task_and_the_seed() -> None:
    result = make_result("gene_finding", seed=42, provenance={**PROVENANCE, "command": COMMAND})
    assert rerun_command(result, output="again") == [
        sys.executable, "-m", "bend_hf", "evaluate", "org/model", "--data-dir", "my data",
        "--seeds", "42,", "--tasks", "gene_finding", "--protocol", "default", "--output", "again",
    ]  # fmt: skip


def test_a_strangers_record_brings_back_nothing_but_what_decides_a_score() -> None:
    command = (
        "bend-hf evaluate --trust-remote-code org/model --revision main --push org/other --trackers wandb x "
        "--store /elsewhere -o /elsewhere --overwrite --genome GRCh38=a.fa GRCh37=b.fa --layer=-1 --epochs 5 "
        "--device cuda"
    )
    provenance = {**PROVENANCE, "command": command, "model": {"key": {"model": {"commit": "c0ffee"}}}}
    result = make_result("gene_finding", model="org/model", provenance=provenance)
    expected = [
        "evaluate", "org/model", "--genome", "GRCh38=a.fa", "GRCh37=b.fa", "--layer=-1", "--epochs", "5",
        "--revision", "c0ffee", "--seeds", "0,", "--tasks", "gene_finding", "--protocol", "default",
        "--output", "again",
    ]  # fmt: skip
    assert rerun_command(result, output="again")[3:] == expected
    assert rerun_command(result, output="again", trust_remote_code=True)[3:] == [*expected, "--trust-remote-code"]
    with pytest.raises(BendError, match="made with --trust, which a rerun does not know"):
        unknown = {**PROVENANCE, "command": "bend-hf evaluate org/model --trust"}
        rerun_command(make_result("gene_finding", provenance=unknown), output="again")


def test_one_of_several_layers_and_numbers_of_rows_is_made_again_alone() -> None:
    given = {"settings": {"train_rows": 100}, "model": {"key": {"layer": [6]}}}
    command = "bend-hf evaluate org/model --layers all --train-rows 100,all --limit 500"
    result = make_result("gene_finding", provenance={**PROVENANCE, **given, "command": command})
    assert rerun_command(result, output="o")[3:11] == [
        "evaluate", "org/model", "--limit", "500", "--seeds", "0,", "--layer=6", "--train-rows",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["bend-hf evaluate evil.py:run --epochs 1", "notebook.py"])
def test_a_record_cannot_have_python_imported(command: str) -> None:
    result = make_result("gene_finding", model="evil.py:run", provenance={**PROVENANCE, "command": command})
    with pytest.raises(BendError, match="name the object that gives it"):
        rerun_command(result, output="again")
    assert "mine.py:run" in rerun_command(result, output="again", model="mine.py:run")


def test_an_option_that_ends_like_the_model_is_left_alone() -> None:
    provenance = {**PROVENANCE, "command": "bend-hf evaluate data --data-dir /some/data"}
    command = rerun_command(make_result("gene_finding", model="data", provenance=provenance), output="o", model="new")
    assert command[3:7] == ["evaluate", "new", "--data-dir", "/some/data"]


def test_every_option_of_evaluate_is_repeated_or_left_out() -> None:
    from bend_hf.cli import build_parser

    (commands,) = (action for action in build_parser()._actions if action.dest == "command")
    known = {name for action in commands.choices["evaluate"]._actions for name in action.option_strings}
    assert known - {"-h", "--help"} == {*REPEATED, *LEFT_OUT}


def test_a_run_from_python_is_rebuilt_from_its_settings() -> None:
    provenance = {
        **PROVENANCE,
        "command": "notebook.py",
        "settings": {"epochs": 5, "patience": None, "precision": "auto", "standardize": True, "trust_remote_code": "x"}
        | {"scores": ["llr", "cosine"]},
        "model": {
            "name": "org/model",
            "key": {"model": {"commit": "c0ffee"}, "dtype": "float32", "layer": [-1], "strand": "average"},
            "asked": {"context": 512, "config": "c.json", "prefix": "<dna>"},
        },
    }
    result = make_result("gene_finding", model="org/model", seed=2, provenance=provenance)
    assert rerun_command(result, output="again", data_dir="data", genome="hg38.fa")[3:] == [
        "evaluate", "org/model", "--layer=-1", "--epochs=5", "--precision=auto", "--standardize", "--scores", "llr",
        "cosine", "--dtype=float32", "--strand=average", "--context=512", "--model-config=c.json", "--prefix=<dna>",
        "--revision", "c0ffee", "--seeds", "2,",
        "--tasks", "gene_finding", "--protocol", "default", "--output", "again",
        "--data-dir", "data", "--genome", "hg38.fa",
    ]  # fmt: skip


def test_a_model_that_moved_can_be_named() -> None:
    provenance = {**PROVENANCE, "command": "bend-hf evaluate --seeds 2 runs/my-model --data-dir data"}
    result = make_result("gene_finding", model="my-model", provenance=provenance)
    command = rerun_command(result, output="again", model="/elsewhere/my-model")
    assert command[3:9] == ["evaluate", "/elsewhere/my-model", "--data-dir", "data", "--seeds", "0,"]


def test_every_rerun_is_a_command_line_that_parses() -> None:
    from bend_hf.cli import build_parser

    key = {"model": {"commit": "c0ffee"}, "dtype": "float32", "layer": [4, -1], "strand": "average"}
    rebuilt = {**PROVENANCE, "command": "x.py", "model": {"key": key}, "settings": {"epochs": 5, "vectors": "auto"}}
    for provenance in (PROVENANCE, rebuilt, {**PROVENANCE, "command": COMMAND}):
        command = rerun_command(make_result("gene_finding", provenance=provenance), output="again", data_dir="data")
        found = build_parser().parse_args(command[3:])
        assert (found.tasks, found.protocol, str(found.output)) == (["gene_finding"], "default", "again")
        assert found.seeds == [0]


def test_the_old_result_is_not_overwritten(tmp_path: Path) -> None:
    result = read_result(write_result(tmp_path, make_result("gene_finding")))
    with pytest.raises(BendError, match="holds the result that is to be made again"):
        rerun_command(result, output=tmp_path)


def test_a_second_run_is_compared() -> None:
    old = make_result("gene_finding")
    assert str(compare_rerun(old, old)).startswith("the same score to the last digit")
    packages = {**PROVENANCE["packages"], "torch": "9.9", "added": "1.0"}
    new = dataclasses.replace(old, score=0.52, provenance={**PROVENANCE, "packages": packages})
    found = compare_rerun(old, new)
    assert found.changed == {"packages.torch": ("2.13.0", "9.9"), "packages.added": (None, "1.0")}
    assert (found.same, found.inside) == (False, True)
    assert "packages.torch: 2.13.0 then, 9.9 now" in str(found)
    assert "OUTSIDE" in str(compare_rerun(old, dataclasses.replace(old, score=0.9)))
    with pytest.raises(BendError, match="Not the same run: seed is 0 and 1"):
        compare_rerun(old, make_result("gene_finding", seed=1))
    with pytest.raises(BendError, match="failed: no memory"):
        compare_rerun(old, make_result("gene_finding", score=None, failure="no memory"))


def test_of_several_tasks_of_ones_own_the_recorded_one_is_repeated(tmp_path: Path) -> None:
    for name in ("first", "second"):
        task = own_task(
            name,
            label_kind="window_class",
            label_names=("a", "b"),
            window=100,
            build="WBcel235",
            summary="Tell two kinds of windows.",
            rows={"train": 1, "validation": 1, "test": 1},
        )
        (tmp_path / name).mkdir()
        write_document(tmp_path / name / "task.json", task)
    command = f"bend-hf evaluate org/model --task {tmp_path / 'first'} --task={tmp_path / 'second'} --epochs 2"
    result = dataclasses.replace(make_result("gene_finding"), task="second", provenance={"command": command})
    words = rerun_command(result, output="again")
    assert words[words.index("--task") + 1] == str(tmp_path / "second")
    assert words.count("--task") == 1
    assert "--tasks" not in words
    words = rerun_command(result, output="again", task=tmp_path / "first")
    assert words[words.index("--task") + 1] == str(tmp_path / "first")
    bend = dataclasses.replace(result, task="gene_finding")
    assert "--task" not in rerun_command(bend, output="again")
