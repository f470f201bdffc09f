"""Task folders: whole or not there, readable by everyone, and audited."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from made_up import A, B, C, genome, gtf

from bend_hf import build
from bend_hf.build import write as write_module
from bend_hf.build.splits import Split
from bend_hf.cli.parser import main
from bend_hf.console import log
from bend_hf.data.audited import audited
from bend_hf.data.coordinates import read
from bend_hf.data.genome import Genome
from bend_hf.data.sources import locate
from bend_hf.errors import BendError
from bend_hf.tasks import get_tasks


@pytest.fixture
def inputs(tmp_path):
    return gtf(tmp_path / "a.gtf", [A, B, C]), genome(tmp_path / "g.fa", [A, B, C], {"c1": 3000, "c2": 1500})


def make(inputs, output):
    return build.genes(*inputs, output, build="toy-1", flanks=20, split=Split("none"))


def test_the_folder_is_a_task_for_everyone(inputs, tmp_path, capsys):
    folder = make(inputs, tmp_path / "built_for_everyone")
    [task] = get_tasks(folder)
    assert task.rows == {"train": 3, "validation": 0, "test": 0}
    assert task.chromosomes == {"c1": 3000, "c2": 1500}
    files = locate(task, genome=inputs[1])
    table = read(files, Genome(inputs[1]))["train"]
    assert [len(labels) for labels in table["labels"].to_pylist()] == [440, 520, 420]
    audited = json.loads((folder / "audit.json").read_text())
    assert audited["rows"] == {"train": 3}
    assert main(["audit", str(folder), "--genome", str(inputs[1]), "--queries", "0"]) == 0
    assert "built_for_everyone: 3 rows" in capsys.readouterr().out
    assert "built_for_everyone: 3 rows" in (folder / "README.md").read_text()


def test_verbose_tells_what_is_done_and_decides_no_row(inputs, tmp_path, monkeypatch):
    heard = []
    for module, name in (("genes", "annotation_once"), ("audit", "read")):
        place = sys.modules[f"bend_hf.build.{module}"]
        real = getattr(place, name)
        monkeypatch.setattr(place, name, lambda *given, real=real: heard.append(log.isEnabledFor(20)) or real(*given))
    options = {"build": "toy-1", "flanks": 20, "split": Split("none")}
    silent, told = (build.genes(*inputs, tmp_path / f"{v}" / "task", verbose=v, **options) for v in (False, True))
    assert heard == [False, False, True, True]  # its own audit too
    assert (silent / "sources.json").read_bytes() == (told / "sources.json").read_bytes()
    for verbose in (False, True):
        build.audit(locate(get_tasks(told)[0], genome=inputs[1]), queries=0, easy=False, verbose=verbose)
    assert heard[4:] == [False, True]


@pytest.mark.parametrize("switch", ["verbose", "skip_absent"])
def test_a_word_is_not_taken_for_yes(inputs, tmp_path, switch):
    with pytest.raises(BendError, match=f"{switch}='no' .*is neither True nor False"):
        build.genes(*inputs, tmp_path / "task", build="toy-1", flanks=20, split=Split("none"), **{switch: "no"})
    assert not list(tmp_path.glob("*task*"))


def test_a_failure_on_the_way_leaves_nothing(inputs, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write_module, "write_document", fail)
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError, match="No space"):
        make(inputs, tmp_path / "out" / "task")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_source_that_changes_meanwhile_is_noticed(inputs, tmp_path, monkeypatch):
    written = write_module.write_labels

    def meddle(*arguments):
        inputs[0].write_text(inputs[0].read_text() + "#\n")
        written(*arguments)

    monkeypatch.setattr(write_module, "write_labels", meddle)
    with pytest.raises(BendError, match=r"a\.gtf was changed while the task was built"):
        make(inputs, tmp_path / "task")
    assert not (tmp_path / "task").exists()


KILLED = """
import os, signal, sys
from bend_hf import build
from bend_hf.build import write
from bend_hf.build.splits import Split

def killed(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(write, sys.argv[1], killed)
build.genes(*sys.argv[2:5], build="toy-1", flanks=20, split=Split("none"))
"""


def killed(where, inputs, output):
    """Build in a process that is killed at a function of `bend_hf.build.write`."""
    done = subprocess.run([sys.executable, "-c", KILLED, where, *map(str, inputs), str(output)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not output.exists()


def same(one, two):
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in two.iterdir())
    for name in set(names) - {"task.json", "README.md", "audit.json"}:  # which hold the folder's name
        assert (one / name).read_bytes() == (two / name.replace(one.name, two.name)).read_bytes()


def test_a_build_that_is_killed_goes_on_from_its_rows(inputs, tmp_path, monkeypatch, caplog):
    wanted = make(inputs, tmp_path / "whole" / "task")
    output = tmp_path / "out" / "task"
    killed("audit", inputs, output)
    assert [path.name for path in output.parent.iterdir()] == [".task.building"]
    monkeypatch.setattr(sys.modules["bend_hf.build.genes"], "annotation_once", None)  # rows are not made again
    assert make(inputs, output) == output
    assert "they are audited now" in caplog.text
    same(wanted, output)
    assert [path.name for path in output.parent.iterdir()] == ["task"]


@pytest.mark.parametrize("what", ["rows", "option", "source"])
def test_rows_that_are_not_what_was_written_are_made_again(inputs, tmp_path, caplog, what):
    output = tmp_path / "out" / "task"
    killed("audit", inputs, output)
    options = {"flanks": 20}
    if what == "rows":
        bed = output.parent / ".task.building" / "task.bed"
        bed.write_bytes(bed.read_bytes().replace(b"A.1", b"A.2"))
    elif what == "option":
        options["flanks"] = 30
    else:
        inputs[0].write_text(inputs[0].read_text() + "# longer\n")
    again = build.genes(*inputs, output, build="toy-1", split=Split("none"), **options)
    assert "are not used" in caplog.text
    same(build.genes(*inputs, tmp_path / "whole" / "task", build="toy-1", split=Split("none"), **options), again)


def test_a_build_that_is_killed_while_it_writes_leaves_nothing_that_is_trusted(inputs, tmp_path, caplog):
    output = tmp_path / "out" / "task"
    killed("write_labels", inputs, output)
    same(make(inputs, tmp_path / "whole" / "task"), make(inputs, output))
    assert "its rows were written" not in caplog.text


@pytest.mark.parametrize("name", ["with space", "a.b", "é"])
def test_names_that_no_task_can_have(inputs, tmp_path, name):
    with pytest.raises(BendError, match="the folder's name becomes the task's"):
        make(inputs, tmp_path / name)


def test_command_lines_name_files_and_not_places(tmp_path):
    line = write_module.command_line(["bend-hf", "build", "genes", str(tmp_path / "a b.gtf"), "--flanks", "10"])
    assert line == "bend-hf build genes 'a b.gtf' --flanks 10"


def test_labels_of_one_width_are_a_matrix(tmp_path):
    import h5py

    write_module.write_labels(tmp_path / "x.hdf5", np.eye(3), 3)
    with h5py.File(tmp_path / "x.hdf5") as opened:
        assert opened["labels"].shape == (3, 3)
        assert opened["labels"].dtype == np.int8


def test_what_the_audit_says_is_of_these_rows(inputs, tmp_path):
    folder = make(inputs, tmp_path / "audited_rows")
    [task] = get_tasks(folder)
    found = audited(locate(task, genome=inputs[1]))
    assert found.line == "no problem found"
    assert found.table.startswith("audited_rows: 3 rows")
    text = (folder / "audit.json").read_text()
    bed = folder / "audited_rows.bed"
    bed.write_text(bed.read_text() + "\n")
    assert audited(locate(task, genome=inputs[1])).line.startswith("audit.json is of other files: audit the task again")
    (folder / "audit.json").write_text(text[:50])
    assert audited(locate(task, genome=inputs[1])).line.startswith("audit.json cannot be read")
    assert main(["audit", str(folder), "--genome", str(inputs[1]), "--write"]) == 0
    assert audited(locate(task, genome=inputs[1])).line == "no problem found"
    (folder / "audit.json").unlink()
    assert audited(locate(task, genome=inputs[1])) is None


def test_names_of_files_are_text_in_the_card(inputs, tmp_path):
    annotation = inputs[0].rename(tmp_path / "a|b`c`<script>[x](javascript:1)\n# d.gtf")
    folder = make((annotation, inputs[1]), tmp_path / "task")
    card = (folder / "README.md").read_text()
    assert r"| annotation | a\|b\`c\`&lt;script&gt;\[x\](javascript:1) # d.gtf | `" in card
    assert "\n# d" not in card
    assert card.startswith("# task\n\nClassify ")
    assert "| train | 3 |\n" in card
    assert "```\ntask: 3 rows" in card
    assert card.endswith("```\n")
