"""The benchmark of busy neighbours starts them, ends them, and says what it has measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def neighbour(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent / "benchmarks"))
    import neighbour

    return neighbour


def test_neighbours_are_there_and_end(neighbour, monkeypatch):
    started = []
    usual = neighbour.subprocess.Popen
    monkeypatch.setattr(neighbour.subprocess, "Popen", lambda *a, **k: started.append(usual(*a, **k)) or started[-1])
    with pytest.raises(KeyError), neighbour.neighbours(2):
        assert [process.poll() for process in started] == [None, None]
        raise KeyError
    assert [process.poll() for process in started] == [-9, -9]


def test_rounds_take_turns(neighbour, monkeypatch, capsys):
    what = "embed 6-mers, 512 bp, float32"
    monkeypatch.setattr(sys, "argv", ["neighbour", "--size", "tiny", "--rounds", "1", "--only", what])
    neighbour.main()
    *_, heads, row = capsys.readouterr().out.splitlines()
    assert heads.split() == ["quiet", "s", "beside", "s", "ratio"]
    assert row.startswith(f"{what} ")
    assert row.endswith("x")


def test_what_no_row_is_called_is_told_with_their_names(neighbour, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["neighbour", "--size", "tiny", "--only", "epoch, 512 bp, bf16"])
    with pytest.raises(SystemExit):
        neighbour.main()
    assert "no row has 'epoch, 512 bp, bf16' in its name: embed 6-mers, 512 bp, float32; " in capsys.readouterr().err
