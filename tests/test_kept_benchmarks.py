"""Benchmarks that are kept and compared: made-up figures, no benchmark is run."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"
MACHINE = {
    "cpu": "Made Up 9000",
    "isa": "avx2 fma",
    "accelerators": [],
    "cores": {"machine": 4, "affinity": 2},
    "threads": 2,
    "memory_gb": 8.0,
    "packages": {"python": "3.12.1", "torch": "2.8.0", "transformers": "5.14.0", "numpy": "2.2.0"},
    "commit": "abcdef0",
    "created": "2026-01-01T00:00:00+00:00",
}
STEADY = (1.0, 1.02, 0.98, 1.01, 0.99)


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import kept

    return kept


@pytest.fixture
def runner(kept, monkeypatch):
    """The command, as a module; `run` gives it arguments and returns its exit code."""
    spec = importlib.util.spec_from_file_location("benchmarks_main", BENCHMARKS / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "machine", lambda: MACHINE)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, arguments)])
        return module.benchmark()

    module.run = run
    return module


def series(kept, what="rows", unit="rows/s", factor=1.0, around=STEADY, benchmark="rows"):
    ours = [20 * factor * value if unit.endswith("/s") else 20 / factor / value for value in around]
    return kept.Series(benchmark, what, unit, tuple(10.0 for _ in around), tuple(ours))


def made(kept, *rows, **changed):
    return replace(kept.Kept(MACHINE, "small", (0.1, 0.2), rows), **changed)


@pytest.mark.parametrize("unit", ["rows/s", "s"])
@pytest.mark.parametrize(
    ("factor", "around", "mark"),
    [
        (1.0, STEADY, ""),
        (0.92, STEADY, ""),  # within the stated 10 %
        (0.85, STEADY, "SLOWER"),
        (1.2, STEADY, "faster"),
        (0.85, (1.0, 0.8, 1.3, 1.1, 0.9), ""),  # rounds that differ by more than that show nothing
        (0.5, (1.0, 0.8, 1.3, 1.1, 0.9), "SLOWER"),
    ],
)
def test_a_regression_is_one_beyond_the_noise(kept, unit, factor, around, mark):
    old, new = (made(kept, series(kept, unit=unit, factor=k, around=around)) for k in (1.0, factor))
    [change], gone, added = kept.changes(old, new, 0.1)
    assert change.mark == mark
    assert change.now / change.before == pytest.approx(factor)
    assert change.own == pytest.approx(factor)
    assert change.noise == pytest.approx(max(0.1, max(around) / min(around) - 1))
    assert not gone
    assert not added


def test_medians_and_spread_are_those_of_the_ratios(kept):
    """A round in which the machine was slow for both changes the values, not the ratio."""
    row = kept.Series("rows", "a", "rows/s", (10.0, 5.0, 10.0), (20.0, 10.0, 22.0))
    assert row.ratios == [2.0, 2.0, 2.2]
    assert row.ratio == 2.0
    assert row.spread == pytest.approx(math.log(1.1) / 2)
    cost = kept.Series("rows", "b", "s", (6.0, 6.0), (2.0, 3.0))
    assert cost.ratios == [3.0, 2.0]


def test_rounds_are_brought_together_and_read_as_they_were_saved(kept, tmp_path):
    rounds = [[("a", ("x", 1.0, 2.0, "s")), ("b", ("x", 3.0, 4.0, "s"))], [("a", ("x", 1.5, 2.5, "s"))]]
    whole = kept.Kept(MACHINE, "small", names=("a", "b"))
    for load, rows in zip((0.1, 0.2), rounds, strict=True):
        whole = whole.with_round(load, rows)
    assert [(row.benchmark, row.reference, row.ours) for row in whole.rows] == [
        ("a", (1.0, 1.5), (2.0, 2.5)),
        ("b", (3.0,), (4.0,)),
    ]
    assert whole.loads == (0.1, 0.2)
    assert [line.endswith(" of 1") for line in whole.table().splitlines()] == [False, False, True]
    path = tmp_path / "saved.json"
    whole.save(path)
    assert kept.Kept.read(path) == whole
    older = json.loads(path.read_text())
    del older["names"]
    path.write_text(json.dumps(older))
    assert kept.Kept.read(path) == whole


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "rows": [{}]}', None])
def test_a_file_of_something_else_is_named(kept, runner, tmp_path, text, capsys):
    path = tmp_path / "other.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"other\.json holds no saved benchmarks"):
        kept.Kept.read(path)
    with pytest.raises(SystemExit):
        runner.run("--compare", path)
    assert "holds no saved benchmarks" in capsys.readouterr().err


def test_what_is_on_another_machine_is_compared_by_ratio_alone(kept):
    old = made(kept, series(kept), series(kept, "gone"), machine=MACHINE | {"cpu": "Another"})
    found, gone, added = kept.changes(old, made(kept, series(kept), series(kept, "new")), 0.1)
    assert [(change.what, change.own) for change in found] == [("rows", None)]
    assert (gone, added) == (["gone"], ["new"])
    assert "another machine" in kept.compared(found)


def test_the_header_says_the_machine_and_whether_it_was_busy(kept):
    quiet, busy = made(kept, series(kept)).header(), made(kept, series(kept), loads=(0.1, 1.5)).header()
    for part in ("Made Up 9000 (avx2 fma)", "machine 4, affinity 2; 2 threads; 8.0 GB", "torch 2.8.0", "abcdef0"):
        assert part in quiet
    assert "BUSY" not in quiet
    assert "load       0.1, 1.5" in busy
    assert "BUSY" in busy


def test_the_machine_at_hand_is_described(kept):
    found = kept.machine()
    assert set(found) == set(MACHINE)
    assert found["memory_gb"] > 0.1
    assert found["threads"] >= 1
    assert json.loads(json.dumps(found)) == found


def test_two_saved_files_are_compared_and_the_exit_code_says_what_came_of_it(kept, tmp_path):
    files = [tmp_path / name for name in ("old.json", "new.json", "tiny.json")]
    for path, factor, size in zip(files, (1.0, 0.7, 1.0), ("small", "small", "tiny"), strict=True):
        made(kept, series(kept, factor=factor), series(kept, "same"), size=size).save(path)

    def command(*arguments):
        words = [sys.executable, str(BENCHMARKS), *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    slower = command("--compare", files[0], "--saved", files[1])
    assert slower.returncode == 1
    [line] = [line for line in slower.stdout.splitlines() if "SLOWER" in line]
    assert line.split() == ["rows", "2.00x", "1.40x", "-30%", "±", "10%", "0.70x", "SLOWER"]
    assert "1 of 2 rows are slower beyond the noise." in slower.stdout
    assert command("--compare", files[1], "--saved", files[0]).returncode == 0
    assert command("--compare", files[0], "--saved", files[1], "--noise", "0.5").returncode == 0
    other = command("--compare", files[0], "--saved", files[2])
    assert other.returncode == 2
    assert "sizes differ" in other.stderr


def test_rounds_are_run_in_turn_saved_and_compared(kept, runner, tmp_path, monkeypatch, capsys):
    asked, speed = [], 1.0

    def measured(names, size):
        asked.append((tuple(names), size))
        return [(name, (f"of {name}", 10.0, 20.0 * speed, "rows/s")) for name in names if name != "store"], [
            name for name in names if name == "store"
        ]

    monkeypatch.setattr(runner, "_round", measured)
    assert runner.run("rows", "scoring", "--save", tmp_path / "old.json", "--size", "tiny") == 0
    assert asked == [(("rows", "scoring"), "tiny")] * 5
    assert "Made Up 9000" in capsys.readouterr().out
    assert [len(row.ours) for row in kept.Kept.read(tmp_path / "old.json").rows] == [5, 5]
    asked.clear()
    assert runner.run("--compare", tmp_path / "old.json", "--rounds", "2") == 0  # what the file holds, at its size
    assert asked == [(("rows", "scoring"), "tiny")] * 2
    speed = 0.5
    assert runner.run("--compare", tmp_path / "old.json", "--save", tmp_path / "new.json") == 1
    assert kept.Kept.read(tmp_path / "new.json").rows[0].ratio == 1.0
    asked.clear()
    assert runner.run("rows", "store", "--rounds", "2") == 1  # what failed is told, and not tried again
    assert asked == [(("rows", "store"), "small"), (("rows",), "small")]
    assert "failed: store" in capsys.readouterr().err


def test_every_round_is_kept_and_the_next_call_goes_on(kept, runner, tmp_path, monkeypatch, capsys):
    path, there = tmp_path / "saved.json", []

    def measured(names, size):
        there.append(len(kept.Kept.read(path).loads) if path.exists() else 0)
        if len(there) in (1, 4):
            raise KeyboardInterrupt
        return [(name, ("of it", 10.0, 20.0 + len(there), "rows/s")) for name in names], []

    monkeypatch.setattr(runner, "_round", measured)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "rows", "--save", str(path)])
    for number, held in ((1, "nothing is kept"), (3, f"{path} holds 2: the same command goes on")):
        assert runner.main() == 130
        assert capsys.readouterr().err.splitlines()[-1] == f"stopped in round {number} of 5; {held}"
    assert runner.main() == 0
    assert f"{path} holds 2 of 5 rounds; going on" in capsys.readouterr().err
    assert there == [0, 0, 1, 2, 2, 3, 4]
    assert [row.ours for row in kept.Kept.read(path).rows] == [(22.0, 23.0, 25.0, 26.0, 27.0)]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"machine": MACHINE | {"cpu": "Another"}}, "cpu (Another there, Made Up 9000 now)"),
        ({"machine": MACHINE | {"commit": "1234567"}}, "commit (1234567 there, abcdef0 now)"),
        ({"size": "tiny"}, "size (tiny there, small now)"),
        ({"names": ("rows", "store")}, "names (rows store there, rows now)"),
        ({"loads": (0.1,) * 5}, "holds 5 rounds already"),
        (None, "holds no saved benchmarks"),
    ],
)
def test_rounds_of_something_else_are_neither_gone_on_from_nor_overwritten(
    kept, runner, tmp_path, monkeypatch, capsys, changed, why
):
    path = tmp_path / "saved.json"
    if changed is None:
        path.write_text("my notes")
    else:
        made(kept, series(kept), **{"names": ("rows",)} | changed).save(path)
    before = path.read_bytes()
    monkeypatch.setattr(runner, "_round", lambda names, size: pytest.fail("it was run"))
    with pytest.raises(SystemExit):
        runner.run("rows", "--save", path)
    said = capsys.readouterr().err
    assert why in said
    assert "remove this one to begin anew" in said
    assert path.read_bytes() == before


def test_changed_files_are_no_commit_to_go_on_from(kept, runner, tmp_path, monkeypatch, capsys):
    dirty = MACHINE | {"commit": "abcdef0-dirty"}
    made(kept, series(kept), machine=dirty, names=("rows",)).save(tmp_path / "saved.json")
    monkeypatch.setattr(runner, "machine", lambda: dirty)
    with pytest.raises(SystemExit):
        runner.run("rows", "--save", tmp_path / "saved.json")
    assert "files changed since it" in capsys.readouterr().err


def test_ctrl_c_ends_what_was_started_in_one_line(tmp_path):
    """The file that is being measured, and a process that it started, would go on for minutes."""
    folder = tmp_path / "tests" / "benchmarks"
    folder.mkdir(parents=True)
    for name in ("__main__.py", "kept.py", "table.py"):
        shutil.copy(BENCHMARKS / name, folder)
    (folder / "slow.py").write_text(
        "import pathlib, subprocess, sys, tempfile, time\n\n\n"
        "def run(size):\n"
        "    pathlib.Path(tempfile.mkdtemp(), 'left').touch()\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"    pathlib.Path({str(tmp_path / 'part')!r}).write_text(str(child.pid))\n"
        f"    pathlib.Path({str(tmp_path / 'part')!r}).rename({str(tmp_path / 'child')!r})\n"
        "    time.sleep(600)\n"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    root = str(BENCHMARKS.parent.parent)
    runner = subprocess.Popen(
        [sys.executable, str(folder), "--save", str(tmp_path / "saved.json")],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(scratch), "PYTHONPATH": root},
    )
    try:
        until = time.monotonic() + 120
        while not (tmp_path / "child").exists() and runner.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        runner.send_signal(signal.SIGINT)
        _, said = runner.communicate(timeout=60)
    finally:
        runner.kill()
    assert runner.returncode == 130
    assert said.split("\n") == ["round 1 of 5", "slow …", "", "stopped in round 1 of 5; nothing is kept", ""]
    assert not list(scratch.iterdir())
    child = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    until = time.monotonic() + 10
    while child.exists() and child.read_text().split()[2] != "Z" and time.monotonic() < until:
        time.sleep(0.05)
    assert not child.exists() or child.read_text().split()[2] == "Z"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--saved", "x"], "--compare OLD"),
        (["--compare", "x", "--saved", "y", "rows"], "runs nothing"),
        (["--rounds", "0"], "below 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(runner, words, why, capsys):
    with pytest.raises(SystemExit):
        runner.run(*words)
    assert why in capsys.readouterr().err
