"""Ctrl-C at a terminal while heads are trained: the step is given up, the state saved, the exit code 130, in order."""

from __future__ import annotations

import os
import random
import re
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bend_hf.files import damage
from bend_hf.train.interrupt import ctrl_c, wait

pty = pytest.importorskip("pty")
TRIALS = int(os.environ.get("BEND_HF_INTERRUPT_TRIALS", "2"))
ROOT = Path(__file__).parents[2]


class Terminal:
    """A command that runs in a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        self.output, self.ended = "", False
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        self.process, self.descriptor = pty.fork()
        if not self.process:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
            os.execve(command[0], command, environment)

    def read(self, seconds: float) -> bool:
        """Read what it prints, for so long at most; return whether it is still there."""
        if not select.select([self.descriptor], [], [], seconds)[0]:
            return True
        try:
            read = os.read(self.descriptor, 65536)
        except OSError:  # the other side has closed it
            return False
        self.output += read.decode(errors="replace")
        return bool(read)

    def wait_for(self, what: Callable[[], object], seconds: float = 120) -> None:
        """Read until something is so."""
        end = time.monotonic() + seconds
        while not what():
            assert self.read(0.1), self.output[-3000:]
            assert time.monotonic() < end, self.output[-3000:]

    def press_ctrl_c(self) -> None:
        os.write(self.descriptor, b"\x03")

    def exit_code(self) -> int:
        """Wait for the end: the exit code, or minus the signal that ended it."""
        end = time.monotonic() + 60
        while self.read(0.1):
            assert time.monotonic() < end, self.output[-3000:]
        return self.close()

    def close(self) -> int:
        """Close the terminal, and return the exit code of its command."""
        os.close(self.descriptor)
        self.ended = True
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def kill(self) -> None:
        """End what is still there, as where a test failed before."""
        if not self.ended:
            os.kill(self.process, signal.SIGKILL)
            self.close()


Begin = Callable[[Path], Terminal]


@pytest.fixture
def begin(toy_dir: Path) -> Iterator[Begin]:
    """Begin a training that would go on for hours, and wait until it is under way; none outlives its test."""
    begun: list[Terminal] = []

    def begin(output: Path) -> Terminal:
        arguments = "evaluate onehot --tasks cpg_methylation --epochs 100000 --seeds 2".split()
        terminal = Terminal(
            [sys.executable, "-m", "bend_hf", *arguments, "--data-dir", str(toy_dir), "--output", str(output)]
        )
        begun.append(terminal)
        known = bool(states(output))
        terminal.wait_for(lambda: "going on from epoch" in terminal.output if known else states(output))
        return terminal

    yield begin
    for terminal in begun:
        terminal.kill()


def states(output: Path) -> list[Path]:
    return sorted((output / ".states").rglob("*.safetensors"))


def test_what_does_not_begin_is_not_left_behind() -> None:
    terminal = Terminal([sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(AssertionError):
        terminal.wait_for(lambda: False, seconds=0.2)
    terminal.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(terminal.process, 0)
    terminal.kill()


@pytest.mark.timeout(120 + 60 * TRIALS)
def test_ctrl_c_saves_and_exits_with_130(begin: Begin, tmp_path: Path) -> None:
    """Set BEND_HF_INTERRUPT_TRIALS=20 (or 200) for the long version; each begins where the one before was stopped."""
    draw = random.Random(0)
    for trial in range(TRIALS):
        terminal = begin(tmp_path)
        time.sleep(draw.uniform(0, 0.5))
        terminal.press_ctrl_c()
        code = terminal.exit_code()
        assert code == 130, f"trial {trial}: {code}\n{terminal.output[-3000:]}"
        assert "stopping and saving" in terminal.output
        assert "the same command goes on where it stopped" in terminal.output
        assert not re.search("Traceback|terminate called|Aborted|core dumped", terminal.output)
        assert ("going on from epoch" in terminal.output) == (trial > 0)
        (state,) = states(tmp_path)
        assert damage(state) is None


def test_more_ctrl_c_leave_in_order_too(begin: Begin, tmp_path: Path) -> None:
    """However soon the second comes: as an exception it could end the interpreter below the thread that computes."""
    terminal = begin(tmp_path)
    for pause in (0, 0.001, 0.01):
        terminal.press_ctrl_c()
        time.sleep(pause)
    assert terminal.exit_code() == 130, terminal.output[-3000:]
    assert not re.search("Traceback|terminate called|Aborted|core dumped", terminal.output)


def test_ctrl_c_is_noted_and_not_raised() -> None:
    done, stop = threading.Event(), threading.Event()
    before = signal.getsignal(signal.SIGINT)
    with ctrl_c() as pressed:
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        threading.Thread(target=lambda: stop.wait() and done.set()).start()
        wait(done, stop, pressed, "stopping")
    assert len(pressed) == 3
    assert done.is_set()
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_ctrl_c_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bend_hf.train.interrupt.AT_ONCE", 0.1)
    with ctrl_c() as pressed:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        wait(threading.Event(), threading.Event(), pressed, "stopping")


def test_other_threads_and_ignored_signals_are_left_alone() -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(use()))

    def use() -> object:
        with ctrl_c():
            return signal.getsignal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join()
    assert found == [before]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert use() == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
