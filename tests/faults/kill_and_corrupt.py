"""Kills an evaluation at random moments, damages the newest files it left, and runs it again, many times over.

    python tests/faults/kill_and_corrupt.py --trials 300

Rows are built, vectors stored, heads trained, and a record written; each trial is killed (SIGKILL) one to three times,
and after each kill one to three of the newest files below its folder are cut short, or one of their bits is flipped.
The last run is left alone. It has to end as the run that nobody touched, to the last bit, or in one `BendError`, after
which the run that follows does. Prints a line per trial, and a summary; the exit code is 1 if any ended otherwise.

This process imports and waits; every run is in a forked child, so that a trial costs no imports.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import datasets
import huggingface_hub.utils
import torch
import torch._dynamo

import bend_hf
import bend_hf.embed.open
import bend_hf.recording
import bend_hf.train.fit
from bend_hf.data import toy
from bend_hf.embed import layout, store
from bend_hf.errors import BendError
from bend_hf.results.record import read_predictions

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "store")]
from fake_embedder import FakeEmbedder  # noqa: E402

OUTCOME = "outcome.json"


def evaluate(data: Path, folder: Path) -> str:
    """Evaluate with all that is kept below a folder; return a digest of the numbers."""
    found = bend_hf.evaluate(
        FakeEmbedder(),
        "cpg_methylation",
        data_dir=data,
        output=folder / "results",
        store=folder / "store",
        epochs=2,
        seeds=2,
        device="cpu",
    )
    numbers = hashlib.sha256()
    for result in found:
        numbers.update(repr((result.seed, result.score, result.interval)).encode())
        numbers.update(read_predictions(result).scores.tobytes())
    return numbers.hexdigest()


def run(data: Path, folder: Path) -> None:
    """What a child does: it evaluates, and leaves a word on how that ended."""
    torch.set_num_threads(1)
    for bar in (datasets.utils.tqdm, huggingface_hub.utils.tqdm):
        bar.set_lock(threading.RLock())  # the one that processes share would stay locked by a killed one
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    datasets.config.HF_DATASETS_CACHE = folder / "datasets"
    layout.SMALLEST_SHARD, store.SMALL = 2048, 0
    with mock.patch.dict(os.environ, {"BEND_HF_CACHE": str(folder / "cache")}):
        try:
            outcome = {"numbers": evaluate(data, folder)}
        except BendError as error:
            outcome = {"refused": str(error)}
        except BaseException as error:
            outcome = {"failed": f"{type(error).__name__}: {error}"}
    (folder / OUTCOME).write_text(json.dumps(outcome))


def attempt(data: Path, folder: Path, patience: float = math.inf) -> tuple[dict[str, str], float]:
    """Run in a child, killed once it has had `patience` seconds of the processor.

    A clock on the wall would kill nearly all before they wrote anything while the machine is busy with other work.

    Returns:
        How it ended, nothing where it was killed; and the seconds of the processor that it had.
    """
    (folder / OUTCOME).unlink(missing_ok=True)
    child = os.fork()
    if not child:
        try:
            run(data, folder)
        finally:
            os._exit(0)
    clock, end = ~child << 3 | 2, time.monotonic() + 600  # what clock_getcpuclockid(3) gives on Linux
    while time.clock_gettime(clock) < patience and time.monotonic() < end:
        ended, _, used = os.wait4(child, os.WNOHANG)
        if ended:
            outcome = folder / OUTCOME
            found = json.loads(outcome.read_text()) if outcome.is_file() else {"failed": "it ended without a word"}
            return found, used.ru_utime + used.ru_stime
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return {}, patience


def damage(folder: Path, draw: random.Random) -> int:
    """Cut short, or flip a bit of, one to three of the ten newest files; return how many."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size and path.name != OUTCOME]
    newest = sorted(files, key=lambda path: path.stat().st_mtime_ns)[-10:]
    chosen = draw.sample(newest, min(len(newest), draw.randint(1, 3)))
    for path in chosen:
        content = bytearray(path.read_bytes())
        at = draw.randrange(len(content))
        if draw.random() < 0.5:
            content = content[:at]
        else:
            content[at] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
    return len(chosen)


def trial(number: int, data: Path, folder: Path, took: float, expected: dict[str, str]) -> tuple[str, int, int]:
    """Return how a trial ended, and how often it was killed and how many files were damaged in it."""
    draw, kills, harmed, refused = random.Random(number), 0, 0, 0
    folder.mkdir()
    for _ in range(draw.randint(1, 3)):
        ended, _ = attempt(data, folder, draw.uniform(0.05, 0.95) * took)
        kills += not ended
        harmed += damage(folder, draw)
    while refused < 3:
        ended, _ = attempt(data, folder)
        if ended == expected:
            return f"equal after {refused} refusals" if refused else "equal", kills, harmed
        if "refused" not in ended:
            return f"OTHERWISE: {ended}", kills, harmed
        refused += 1
    return f"REFUSED for ever: {ended['refused']}", kills, harmed


def main(trials: int, first: int = 0, say: Callable[[str], None] = print) -> Counter[str]:
    """Compare trials, numbered from `first`, with an undisturbed run; return how many ended in which way."""
    ends = Counter[str]()
    with tempfile.TemporaryDirectory() as work:
        datasets.disable_progress_bars()
        data, whole = toy.make(Path(work) / "toy", cpgs=4), Path(work) / "whole"
        whole.mkdir()
        expected, took = attempt(data, whole)
        assert "numbers" in expected, expected
        total = [0, 0]
        for number in range(first, first + trials):
            folder = Path(work) / str(number)
            end, kills, harmed = trial(number, data, folder, took, expected)
            total = [total[0] + kills, total[1] + harmed]
            ends[end] += 1
            say(f"trial {number}: killed {kills} times, {harmed} files damaged: {end}")
            shutil.rmtree(folder)
        say(f"{trials} trials, {total[0]} kills, {total[1]} files damaged: {dict(ends)}")
    return ends


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, metavar="N", help="how many (20)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first, to go on from (0)")
    options = parser.parse_args()
    ends = main(options.trials, options.first, lambda line: print(line, flush=True))
    sys.exit(any(not end.startswith("equal") for end in ends))
