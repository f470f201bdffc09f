"""Every kind of damage ends in one clear error, exit code 1 or 2, without a traceback and with nothing left behind."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from damage.bench import Bench, Kind, listing, make_sound

from bend_hf.cli import main, parser
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS

TABLES = ("results", "models", "arguments", "data", "builds", "commands", "memory", "calls")
KINDS = [kind for name in TABLES for kind in importlib.import_module(f"damage.{name}").KINDS]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sound(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def bench(tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bend-hf"])  # which a file of flags changes
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # of modules that are read here, as Python does
    known = dict(TASKS)
    yield Bench(tmp_path, sound)
    TASKS.clear()
    TASKS.update(known)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_is_told(kind: Kind, bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    call = kind.given(bench)
    before = listing(bench.here)
    if callable(call):
        with pytest.raises(BendError) as caught:
            call()
        code, told = caught.value.code, str(caught.value)
    else:
        code, told = commanded(call, capsys, monkeypatch)
    assert kind.words in told
    assert code == kind.code
    assert "\n" not in told
    assert listing(bench.here) == before, "something was left, or changed"


def commanded(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Run a command that has to fail, and return the error's code and what was said last."""
    codes: list[str] = []
    describe = parser.described

    def seen(error: BaseException) -> BendError:
        found = describe(error)
        codes.append(found.code)
        return found

    monkeypatch.setattr(parser, "described", seen)
    try:
        ended = main(words)
    except SystemExit as stop:
        ended = stop.code
        codes.append("usage")
    assert ended == (2 if codes == ["usage"] else 1)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert not said.out
    return codes[0], said.err.splitlines()[-1]


def test_no_two_kinds_are_one():
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 120
    assert all(len(kind.words) > 3 for kind in KINDS)


def test_root_is_refused_nothing_by_permissions(bench: Bench, capsys: pytest.CaptureFixture[str]):
    """Files and folders without permission; root may read and write them all."""
    if os.geteuid() == 0:
        pytest.skip("root reads and writes whatever the permissions")
    (bench.results / "models--one").chmod(0)
    assert main(["report", str(bench.results), "-o", str(bench.here / "x.html")]) == 1
    (bench.results / "models--one").chmod(0o755)
    assert "permission" in capsys.readouterr().err
