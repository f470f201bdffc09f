"""What a busy neighbour costs: embedding, and an epoch of the head, on a quiet machine and beside one busy process.

    python tests/benchmarks/neighbour.py                    # all of them, a few minutes
    python tests/benchmarks/neighbour.py --only epoch       # those with this in their names
    PYTHONPATH=../other python tests/benchmarks/neighbour.py    # of another state of the package

It starts its own neighbour, a process that only counts, and ends it; quiet rounds and rounds beside it take turns.
The kernel shares cores out by threads, so that with two threads and one neighbour on two cores a third of the time is
lost (1.5 times as long) where none waits for another. Not one of the table's benchmarks: it sets a run beside itself.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import embedding
import numpy as np
import torch
import training
from kept import Kept, machine

from bend_hf.embed.devices import native_half
from bend_hf.embed.embedder import Embedder
from bend_hf.runtime import usable_cores
from bend_hf.tasks import TASKS

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tiny_models

SIZES = {"tiny": (2, 1, 8, 1), "small": (384, 6, 256, 3)}
"""Sequences of 512 bp, sequences of 10 kb, rows of an epoch, and rounds."""
Work = Callable[[], float]
BUSY = "print(flush=True)\nwhile True: pass"


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Run so many busy processes of one thread beside."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        yield
    finally:
        for process in running:
            process.kill()
            process.communicate()


def embedded(embedder: Embedder, sequences: list[str]) -> float:
    """Embed sequences, and return the seconds that it took."""
    start = time.perf_counter()
    embedding.exhaust(embedder.embed(sequences))
    return time.perf_counter() - start


def embeddings(folder: Path, size: str) -> Iterator[tuple[str, Callable[[], Work]]]:
    """What is embedded, and what makes it ready."""
    many, long, _, _ = SIZES[size]
    half = native_half(torch.device("cpu"))
    for name, length, count in (("esm", 512, many), ("dnabert", 10_000, long)):
        for dtype in ("float32", *([] if half is None else [str(half).removeprefix("torch.")])):

            def ready(name: str = name, length: int = length, count: int = count, dtype: str = dtype) -> Work:
                checkpoint = embedding.CHECKPOINTS[name](folder / f"{name} {dtype}")
                embedder = Embedder.from_pretrained(str(checkpoint), dtype=dtype, device="cpu")
                return partial(embedded, embedder, [tiny_models.dna(length, i) for i in range(count)])

            yield f"embed {embedding.TITLES[name]}, {length:,} bp, {dtype}", ready


def epochs(folder: Path, size: str) -> Iterator[tuple[str, Callable[[], Work]]]:
    """What is trained, two epochs of which the second counts, and what makes it ready."""
    count, wide = SIZES[size][2], 16 if size == "tiny" else 256
    genes, chromatin = TASKS["gene_finding"], TASKS["chromatin_accessibility"]
    for case, rows, seeds in (
        (training.Case("512 bp, 1 nt per token", chromatin, wide, "1-nt", 256), count, 1),
        (training.Case("512 bp, 6-mers", chromatin, 4 * wide, "6-mer", 256), count, 1),
        (training.Case("512 bp, 6-mers", chromatin, 4 * wide, "6-mer", 256), count, 3),
        (training.Case("gene finding, 6-mers", genes, 4 * wide, "6-mer", 64), max(4, count // 16), 1),
    ):
        what = f"epoch, {case.name}, {case.dim} wide" + (f", {seeds} seeds" if seeds > 1 else "")

        def ready(what: str = what, case: training.Case = case, rows: int = rows, seeds: int = seeds) -> Work:
            made, labels = training.make(case, rows, np.random.default_rng(0))
            store = training.store(folder / what, made, np.random.default_rng(1))
            return partial(training.our_epochs, case.task, store, labels, case.batch_size, 2, seeds=range(seeds))

        yield what, ready


def measured(work: Work, rounds: int, count: int) -> tuple[list[float], list[float]]:
    """Seconds of each round, quiet and beside so many neighbours, in turns."""
    work()
    quiet, beside = [], []
    for _ in range(rounds):
        for seconds, busy in ((quiet, nullcontext()), (beside, neighbours(count))):
            with busy:
                seconds.append(work())
    return quiet, beside


def main() -> None:
    """Print a row for each thing that is measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--only", default="", metavar="WORDS", help="what has these in its name")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--neighbours", type=int, default=1)
    given = parser.parse_args()
    rounds = given.rounds or SIZES[given.size][3]
    with tempfile.TemporaryDirectory() as root:
        rows = (*embeddings(Path(root), given.size), *epochs(Path(root), given.size))
        chosen = [(what, ready) for what, ready in rows if given.only in what]
        if not chosen:
            parser.error(f"no row has {given.only!r} in its name: {'; '.join(what for what, _ in rows)}")
        print(Kept(machine(), given.size, (0.0,), ()).header().rpartition("\n")[0], flush=True)
        print(f"{given.neighbours} busy beside, {usable_cores()} usable cores; medians of {rounds} rounds", flush=True)
        print(f"{'':58}{'quiet s':>9}{'beside s':>10}{'ratio':>8}")
        for what, ready in chosen:
            quiet, beside = map(statistics.median, measured(ready(), rounds, given.neighbours))
            print(f"{what:58}{quiet:9.3f}{beside:10.3f}{beside / quiet:7.2f}x", flush=True)


if __name__ == "__main__":
    main()
