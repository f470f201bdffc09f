"""What is told of a long work: which step it is at, and about how long the rest takes, on and off a terminal."""

import io
import logging
import re
import sys

import pytest

from bend_hf import bars, console
from bend_hf.bars import steps
from bend_hf.console import log, progress, told


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(bars, "time", found)
    bars.WAY.reset()
    return found


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="bend_hf")
    return lambda: caplog.messages


def test_the_rest_is_told_from_what_took_time(clock, said):
    for name in steps(("ready", "a", "b", "c"), "task", weight=lambda name: 2.0 if name == "c" else 1.0):
        clock.now += {"ready": 0.1, "a": 600.0, "b": 600.0, "c": 900.0}[name]
    assert said() == [
        "task 1 of 4 · ready",
        "task 2 of 4 · a",
        "task 3 of 4 · b · about 30 min left",  # a weight of 3 in all, each of 10 minutes
        "task 4 of 4 · c · about 20 min left",
    ]
    assert bars.WAY.levels == []


def test_nothing_is_told_from_little(clock, said):
    for _ in steps(("a", "b"), "task", weight={"a": 1.0, "b": 9.0}.get):
        clock.now += 60
    assert said() == ["task 1 of 2 · a", "task 2 of 2 · b"]


def test_one_step_is_no_way(said):
    assert list(steps(["alone"], "task")) == ["alone"]
    assert said() == []


def test_steps_inside_steps_count_on(clock, said):
    for _ in steps(("x", "y"), "model", inside=3):
        for group in (("a", "b"), ("c",)):
            for _ in steps(group, "task"):
                clock.now += 60
    assert said() == [
        "model 1 of 2 · task 1 of 3 · a",
        "model 1 of 2 · task 2 of 3 · b",
        "model 1 of 2 · task 3 of 3 · c · about 4 min left",
        "model 2 of 2 · task 1 of 3 · a · about 3 min left",
        "model 2 of 2 · task 2 of 3 · b · about 2 min left",
        "model 2 of 2 · task 3 of 3 · c · about 1 min left",
    ]


def test_an_error_leaves_no_step_behind(said):
    with pytest.raises(ValueError):
        for _ in steps("ab", "task"):
            raise ValueError
    assert bars.WAY.levels == []


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_heartbeat_off_a_terminal(clock, said, by_hand):
    for _ in steps("ab", "task"):
        if by_hand:
            with progress(name="bend_hf.test", total=4, desc="reading", unit="row") as bar:
                for _ in range(4):
                    clock.now += 16
                    bar.update()
        else:
            for _ in progress(range(4), name="bend_hf.test", desc="reading", unit="row"):
                clock.now += 16
    beats = [line for line in said() if line.startswith("reading")]
    assert beats[0] == "reading: 50% (2 of 4 rows) · task 1 of 2 · a"
    assert len(beats) == 4


@pytest.mark.parametrize(
    ("unit", "total", "far"), [("nt", None, "2 nt"), ("row", None, "2 rows"), ("row", 1, "1 row)")]
)
def test_what_is_counted_has_its_plural(clock, said, unit, total, far):
    with progress(name="bend_hf.test", desc="reading", unit=unit, total=total) as bar:
        clock.now += 31
        bar.update(total or 2)
    assert said()[0].endswith(far)


def test_a_quick_bar_is_silent(said):
    list(progress(range(1000), name="bend_hf.test", desc="reading"))
    assert said() == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("hidden", [False, True])
def test_a_line_above_the_bars_of_a_terminal(clock, monkeypatch, hidden):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys.modules["huggingface_hub.utils.tqdm"], "HF_HUB_DISABLE_PROGRESS_BARS", None)
    monkeypatch.setattr(sys.modules["huggingface_hub.utils.tqdm"], "progress_bar_states", {})
    monkeypatch.setattr(log, "handlers", [])  # both as no test has left them
    with told("warning" if hidden else "info", hidden=hidden):
        for _ in steps("ab", "task"):
            for _ in progress(range(3), name="bend_hf.test", desc="reading", file=terminal):
                clock.now += 5
            log.info("a message")
        assert console.watched() is not hidden
    text = terminal.getvalue()
    assert ("task 2 of 2 · b" in text) is not hidden
    assert ("reading" in text) is not hidden
    assert ("a message\n" in text) is not hidden
    assert bars.WAY.line is None


def test_a_bar_that_ends_below_the_line_leaves_nothing_there(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys.modules["huggingface_hub.utils.tqdm"], "HF_HUB_DISABLE_PROGRESS_BARS", None)
    monkeypatch.setattr(sys.modules["huggingface_hub.utils.tqdm"], "progress_bar_states", {})
    with told("info"):
        for _ in steps("ab", "task"):
            list(progress(range(3), name="bend_hf.test", desc="reading", file=terminal, mininterval=0))
            seen = terminal.getvalue()
    screen: dict[int, str] = {}
    at = column = 0
    for part in re.findall(r"\n|\x1b\[A|\r|[^\n\x1b\r]+", seen):
        if part == "\n":
            at, column = at + 1, 0
        elif part == "\x1b[A":
            at -= 1
        elif part == "\r":
            column = 0
        else:
            line = screen.get(at, "")
            screen[at] = line[:column].ljust(column) + part + line[column + len(part) :]
            column += len(part)
    assert screen[at].strip() in ("", "task 2 of 2 · b")


def test_verbose_tells_what_the_command_line_tells(capsys):
    from bend_hf.console import spoken

    for verbose in (True, False):
        with spoken(verbose):
            log.info("a message")
            log.debug("a detail")
    assert capsys.readouterr().err == "a message\n"
    assert log.handlers == []
    assert log.level == logging.WARNING
