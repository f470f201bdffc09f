"""The whole benchmark rehearsed on a part of its rows: seconds of each stage, how they grow, and what all rows take.

    python tests/benchmarks/rehearsal.py                                  # 1/800 to 1/50 of the released rows
    python tests/benchmarks/rehearsal.py --shares 3200 1600 800 --tasks cpg_methylation --json rehearsal.json

Inputs in BEND's file formats are made up (`published_size.py`), in the released numbers of rows times the share, at
least one row of each split; the model is tiny (two layers of 32 over 6-mers, random weights). Every stage is timed by
itself on each task, sizes from small to large, after a round that warms up and is thrown away:

    rows        from coordinates to a dataset              scoring    the score of the test rows
    embedding   sequences to vectors, or variants scored   bootstrap  1,000 resamples of it
    storing     vectors that are there to disk             report     the HTML page of that one result
    reading     all of them in random order
    training    one epoch of one head, its validation too; of ten folds, where there are folds

The table has, per stage: the exponent of time over rows (1 is linear, less has a fixed part), with its standard
error, over all tasks together; the seconds of each share, all tasks; what a straight line through the smaller shares
foretells of the largest, beside what that took; and what the line through all shares foretells of the released rows,
with the 95 % interval. `growth.py` says how. The model is not one that anybody wants to know about: what the rehearsal
shows is whether time grows with the rows, so that ``bend-hf plan MODEL``, which measures rates on a few, may multiply.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from growth import Points, exponent, foretold
from kept import Kept, machine
from published_size import make_inputs
from store import Ready, read_batches
from table import aligned

from bend_hf.console import log
from bend_hf.data.builder import load_dataset
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.store import Store, fill
from bend_hf.protocols import get_protocol
from bend_hf.report.write import write_report
from bend_hf.results import statistics
from bend_hf.results.record import Predictions, make_predictions, write_result
from bend_hf.tasks import TASKS, Task
from bend_hf.text import duration
from bend_hf.train.fit import Split, fit
from bend_hf.train.labels import labels_of
from bend_hf.walk import folds, in_fold_order, merged, numbered
from bend_hf.zero_shot.variants import score_variants

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tiny_models
from result_factory import scored

SHARES = (800, 400, 200, 100, 50)
STAGES = ("rows", "embedding", "storing", "reading", "training", "scoring", "bootstrap", "report")
Measured = dict[str, dict[str, Points]]
"""Stage → task → sizes and seconds."""


class Clock:
    """Seconds of stages, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start


def stages_of(task: Task, data: Path, embedder: Embedder, folder: Path) -> tuple[int, dict[str, float]]:
    """Take one task along the whole road; return its rows and the seconds of each stage."""
    clock = Clock()
    os.environ["BEND_HF_CACHE"] = str(folder / "cache")
    config = () if task.config == "default" else (task.config,)
    with clock("rows"):
        built = load_dataset(task.dataset, *config, data_dir=data, genome_checked=True, cache_dir=folder / "built")
    predictions = (_trained if task.recipe else _zero_shot)(task, built, embedder, folder, clock)
    with clock("scoring"):
        statistics.score(predictions)
    with clock("bootstrap"):
        statistics.bootstrap(predictions)
    write_result(folder / "results", scored(task.name, predictions, model="tiny"), predictions)
    with clock("report"):
        write_report(folder / "results", folder / "report.html")
    return sum(map(len, built.values())), clock.seconds


def _trained(task: Task, built: Any, embedder: Embedder, folder: Path, clock: Clock) -> Predictions:
    whole = merged(built)
    sequences, labels = list(whole["sequence"]), labels_of(task, whole)
    with clock("embedding"):
        made = dict(zip(sequences, embedder.embed(sequences), strict=True))
    with clock("storing"):
        layout = fill(Ready(task.name, made, embedder.dim), sequences, store_dir=folder / "vectors")
    source = Store(layout)
    with clock("reading"):
        read_batches(source, np.random.default_rng(0).permutation(len(whole)))
    plans, scores, seconds = folds(task, numbered(built)), [], 0.0
    for plan in plans:
        train, validation, test = (Split(source, labels, part) for part in (plan.train, plan.validation, plan.test))
        protocol = get_protocol("default")
        [head] = fit(task, train=train, validation=validation, test=test, protocol=protocol, epochs=1, device="cpu")
        seconds += head.history[0]["seconds"]
        scores += head.scores
    clock.seconds["training"] = seconds
    tested, table = in_fold_order(plans, whole)
    return make_predictions(task, table, scores, [labels[int(row)] for row in tested])


def _zero_shot(task: Task, built: Any, embedder: Embedder, folder: Path, clock: Clock) -> Predictions:
    [rows] = built.values()
    with clock("embedding"):
        [(_, scores)] = score_variants(embedder, rows, protocol=get_protocol("default"), scores=["cosine"]).items()
    return make_predictions(task, rows, scores, np.asarray(rows.with_format("numpy")["label"][:]))


def rehearse(tasks: Sequence[Task], shares: Sequence[int], say: Callable[[str], None]) -> Measured:
    """Measure every stage of every task at some shares of the released rows (1/n each), from small to large."""
    found: dict[str, dict[str, list[tuple[int, float]]]] = {stage: {} for stage in STAGES}
    ordered = sorted(shares, reverse=True)
    with tempfile.TemporaryDirectory(prefix="bend_hf_rehearsal_") as name:
        model = tiny_models.esm(Path(name) / "model")
        embedder = Embedder.from_pretrained(str(model), device="cpu", dtype="float32")
        for turn, share in enumerate([ordered[0], *ordered]):
            folder = Path(name) / str(turn)
            make_inputs(folder / "inputs", 1 / share, tasks=tasks)
            for task in tasks:
                rows, seconds = stages_of(task, folder / "inputs", embedder, folder / task.name)
                say(f"1/{share} {task.name}: {rows:,} rows, {duration(sum(seconds.values()))}")
                for stage, taken in seconds.items() if turn else ():
                    found[stage].setdefault(task.name, []).append((rows, taken))
    return {
        stage: {task: Points(*np.array(pairs, float).T) for task, pairs in by_task.items()}
        for stage, by_task in found.items()
        if by_task
    }


def text(measured: Measured, shares: Sequence[int]) -> str:
    """The table, a line for each stage."""
    ordered = sorted(shares, reverse=True)
    head = ["", "exponent", *(f"1/{share}" for share in ordered), f"1/{ordered[-1]} foretold", "all rows"]
    cells = [head]
    for stage, series in measured.items():
        sums = [sum(points.seconds[k] for points in series.values()) for k in range(len(ordered))]
        known = exponent(series)
        grows = "-" if known is None else f"{known[0]:.2f} ± {known[1]:.2f}"
        grows += " FASTER THAN ROWS" if known is not None and known[0] - 2 * known[1] > 1 else ""
        fewer = {task: Points(points.rows[:-1], points.seconds[:-1]) for task, points in series.items()}
        largest = _together([foretold(fewer[task], points.rows[-1]) for task, points in series.items()])
        whole = _together([foretold(points, sum(TASKS[task].rows.values())) for task, points in series.items()])
        cells.append([stage, grows, *(f"{seconds:.3g}" for seconds in sums), largest, whole])
    return aligned(cells, "<" + ">" * (len(head) - 1))


def _together(parts: Sequence[tuple[float, float]]) -> str:
    """The sum of independent foretold times, with its interval."""
    value, half = sum(part[0] for part in parts), float(np.sqrt(sum(part[1] ** 2 for part in parts)))
    return f"{value:,.3g} ± {half:,.2g}" if np.isfinite(half) else f"{value:,.3g} ± ?"


def main() -> None:
    """Rehearse, and print the machine and the table (in seconds)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=int, nargs="+", default=SHARES, metavar="N", help="1/N of the rows each")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep what was measured here, too")
    options = parser.parse_args()
    if min(options.shares) < 1 or len(set(options.shares)) < 3:
        parser.error("--shares: give three or more different whole numbers, such as 800 400 200")
    log.setLevel("ERROR")
    where, load, shares = machine(), os.getloadavg()[0], sorted(set(options.shares))
    measured = rehearse(
        [TASKS[name] for name in options.tasks], shares, lambda line: print(line, file=sys.stderr, flush=True)
    )
    print(Kept(where, "", (load,), ()).header().replace(" of each round", ""))
    print(f"\nseconds, all of {', '.join(options.tasks)}:\n{text(measured, shares)}")
    if options.json:
        kept = {
            stage: {task: [points.rows.tolist(), points.seconds.tolist()] for task, points in series.items()}
            for stage, series in measured.items()
        }
        options.json.write_text(json.dumps({"machine": where, "shares": shares, "measured": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
