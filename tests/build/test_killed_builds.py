"""A build that is killed goes on where it was: nothing is read twice, and the folder is that of an undisturbed one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up import A, B, C, genome

from bend_hf import build, files
from bend_hf.build.counts import Counts
from bend_hf.build.readers import text
from bend_hf.build.splits import Split
from bend_hf.build.work import Work
from bend_hf.errors import BendError

SCRIPT = Path(__file__).with_name("killed_builds.py")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_one_place_of_each_kind() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--each", "1"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    tried = dict(re.findall(r"^(\w+): killed at (\d+) of \d+ places$", done.stdout, re.MULTILINE))
    assert tried == dict.fromkeys(["genes", "peaks", "methylation", "variants", "enhancers"], "4"), done.stdout


@pytest.fixture
def work(tmp_path):
    (tmp_path / "source").write_text("one")
    return Work.begin(tmp_path / "task", {"source": tmp_path / "source"}, {}, None)


def test_a_step_gives_the_same_arrays_and_counts_again(work, caplog):
    arrays = {"start": np.arange(3), "on": np.array([True, False]), "name": np.array(["a", "é", ""], object)}
    made = []

    def make():
        made.append(1)
        counts.add("too short", 2)
        counts.add("seen", 1, dropped=False)
        return arrays

    for _ in range(2):
        counts = Counts()
        counts.add("too short", 5)
        found = work.step("what", counts, make)
        assert {name: values.to_pylist() for name, values in found.items()} == {
            name: values.tolist() for name, values in arrays.items()
        }
        assert (counts.left_out, counts.noted) == ({"too short": 7}, {"seen": 1})
    assert made == [1]
    assert not caplog.text
    [path] = work.reading.rglob("*.arrow")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    counts = Counts()
    work.step("what", counts, make)
    assert made == [1, 1]
    assert "does not match its SHA-256. It is made again." in caplog.text


def test_what_was_read_of_a_source_that_changed_meanwhile_is_not_kept(work):
    def meddle():
        work.paths["source"].write_text("two")
        return {}

    with pytest.raises(BendError, match="source was changed while the task was built from it"):
        work.step("what", Counts(), meddle)
    assert not list(work.reading.rglob("*.arrow"))


@pytest.fixture
def tracks(tmp_path):
    paths = [tmp_path / f"t{track}.bed" for track in range(3)]
    for track, path in enumerate(paths):
        path.write_text("".join(f"c1\t{at}\t{at + 60}\n" for at in range(200 + 20 * track, 2800, 120)))
    return paths, genome(tmp_path / "g.fa", [A, B, C], {"c1": 3000, "c2": 1500})


def make(tracks, output, **options):
    return build.peaks(*tracks, output, build="toy", width=100, **({"split": Split("none")} | options))


def stopped(monkeypatch, tracks, output, error):
    """Build until the third track is read, and have that end in an error."""
    with monkeypatch.context() as patch:
        read = text.read_bytes

        def read_bytes(path):
            if path.name == "t2.bed":
                raise error
            return read(path)

        patch.setattr(text, "read_bytes", read_bytes)
        with pytest.raises(type(error)):
            make(tracks, output)


def test_an_interrupted_build_keeps_what_it_read_and_one_that_fails_does_not(tracks, tmp_path, monkeypatch, caplog):
    output = tmp_path / "out" / "task"
    stopped(monkeypatch, tracks, output, BendError("malformed"))
    assert not output.parent.exists() or not list(output.parent.iterdir())
    stopped(monkeypatch, tracks, output, KeyboardInterrupt())
    assert len(list(output.parent.rglob("*.arrow"))) == 2
    tracks[0][0].unlink()
    with pytest.raises(BendError, match="no such file"):
        make(tracks, output)
    stopped_again = list(output.parent.rglob("*.arrow"))
    assert not stopped_again


def test_steps_of_other_options_are_removed_aloud(tracks, tmp_path, monkeypatch, caplog):
    output = tmp_path / "out" / "task"
    stopped(monkeypatch, tracks, output, KeyboardInterrupt())
    made = make(tracks, output, merge_overlap=10)
    assert "what another build had read is not used" in caplog.text
    assert "goes on" not in caplog.text
    whole = make(tracks, tmp_path / "whole" / "task", merge_overlap=10)
    assert (made / "task.bed").read_bytes() == (whole / "task.bed").read_bytes()
    assert [path.name for path in output.parent.iterdir()] == ["task"]


def test_a_folder_that_was_named_before_the_kill_is_taken_only_as_it_was(tracks, tmp_path, monkeypatch):
    output = tmp_path / "out" / "task"
    with monkeypatch.context() as patch:
        patch.setattr(Work, "end", lambda work: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make(tracks, output)
    left = tmp_path / "left"
    shutil.copytree(output.parent, left)
    assert files.damage(left / ".task.building") is None
    assert make(tracks, output) == output
    assert [path.name for path in output.parent.iterdir()] == ["task"]
    with pytest.raises(BendError, match="exists"):
        make(tracks, output)
    bed = left / "task" / "task.bed"
    bed.write_bytes(bed.read_bytes().replace(b"train", b"test", 1))
    with pytest.raises(BendError, match="exists"):
        make(tracks, left / "task")
    shutil.rmtree(left / "task")
    with pytest.raises(BendError, match="other_permuted exists"):
        (tmp_path / "other_permuted").mkdir()
        make(tracks, tmp_path / "other", controls=["permuted"])
