"""The whole benchmark on paper: what the released rows take with a model, from rates measured here on a few of them.

    python tests/benchmarks/paper.py nt-v2-500m hyenadna-160k --machines 1 8 --price 3.50
    python tests/benchmarks/paper.py my_checkpoint/ --device cpu

A model is one of `published_models.py` (published sizes, random weights) or what ``bend-hf evaluate`` takes. Rates are
those that ``bend-hf plan`` measures, on made-up inputs in BEND's file formats (`published_size.py`); times are what it
makes of them for the released numbers of rows: every epoch of the recipe, three heads side by side, nothing there yet.

*Machines* are copies of the one that was measured, used without talking to each other: an array of jobs embeds shares
of every store, then each task's heads are trained, or its variants scored, on one of them, the longest first. What is
left out: downloads, waiting in queues, heads trained on several devices at once. `rehearsal.py` says how straight such
lines are.
"""

from __future__ import annotations

import argparse
import inspect
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import published_models
from kept import Kept, machine
from published_size import make_inputs
from table import aligned

from bend_hf.console import log
from bend_hf.embed.devices import pick_device
from bend_hf.evaluation import evaluate
from bend_hf.planning import seconds_of
from bend_hf.probe import probe
from bend_hf.tasks import TASKS, Task
from bend_hf.text import duration, size
from bend_hf.work import ready

SHARE = 800
"""Inputs are made with 1/n of the released rows: enough for a probe."""


@dataclass(frozen=True)
class Cost:
    """What a task's released rows take on the machine at hand.

    Attributes:
        task: Its name.
        embedding: Seconds that may be cut into shares: token vectors, made and stored.
        rest: Seconds of one job: heads, or variants scored.
        disk: Bytes of vectors.
        memory: Bytes that the process held when it was measured, at most.
        device_memory: The same of the accelerator; None without.
    """

    task: str
    embedding: float
    rest: float
    disk: float
    memory: int
    device_memory: int | None


def cost_of(model: Any, task: Task, data: Path, output: Path, **options: Any) -> Cost:
    """Measure a task's rates on the rows there are, and say what the released rows take at them."""
    usual = {name: parameter.default for name, parameter in inspect.signature(evaluate).parameters.items()}
    given = {"model": model, "tasks": task.name, "data_dir": data, "genome_checked": True, "output": output}
    usual.pop("budget")
    work = ready(**usual | given | {"store": output / "vectors"} | options)
    rates = probe(work, task)
    seconds = seconds_of(work, task, rates, task.rows, 1)
    embedding, training = seconds["embedding"], seconds.get("training", 0.0)
    stored = rates.vectors * sum(task.rows.values()) if task.recipe else 0.0
    pair = (embedding, training) if task.recipe else (0.0, embedding)
    return Cost(task.name, *pair, stored, rates.memory, rates.device_memory)


def elapsed(costs: Sequence[Cost], machines: int) -> float:
    """Seconds on so many machines: shares of all stores first, then whole tasks, the longest first, where room is."""
    busy = [0.0] * machines
    for rest in sorted((cost.rest for cost in costs), reverse=True):
        busy[busy.index(min(busy))] += rest
    return sum(cost.embedding for cost in costs) / machines + max(busy)


def text(name: str, costs: Sequence[Cost], machines: Sequence[int], price: float | None) -> str:
    """One model's table, and what so many machines take."""
    cells = [("", "rows", "embedding", "heads or variants", "vectors", "memory")]
    for cost in costs:
        rows, held = sum(TASKS[cost.task].rows.values()), cost.device_memory or cost.memory
        row = (f"{rows:,}", duration(cost.embedding), duration(cost.rest), size(cost.disk), size(held))
        cells.append((cost.task, *row))
    whole = sum(cost.embedding + cost.rest for cost in costs)
    lines = [name, aligned(cells, "<>>>>>")]
    for number in machines:
        lines.append(f"{number} x this machine: {duration(elapsed(costs, number))}")
    paid = "" if price is None else f", {price * whole / 3600:,.2f} at {price:g} an hour"
    stored = size(sum(cost.disk for cost in costs))
    return "\n".join([*lines, f"in all {whole / 3600:,.1f} hours of this machine{paid}; {stored} of vectors"])


def main() -> None:
    """Measure, and print the machine and a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(published_models.MODELS)
    parser.add_argument("models", nargs="+", metavar="MODEL", help=f"{names}; or what bend-hf evaluate takes")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 8], metavar="N", help="like this one (1 8)")
    parser.add_argument("--price", type=float, metavar="AMOUNT", help="of an hour of this machine")
    parser.add_argument("--device", help="cpu, cuda … (default: the best there is)")
    parser.add_argument("--tiny", action="store_true", help="narrow models instead of published sizes: whether it runs")
    options = parser.parse_args()
    if min(options.machines) < 1:
        parser.error("--machines: give whole numbers above 0")
    log.setLevel("ERROR")
    tasks, device = [TASKS[name] for name in options.tasks], pick_device(options.device)
    where, load = machine(), os.getloadavg()[0]
    print(Kept(where, "", (load,), ()).header().replace(" of each round", ""), flush=True)
    with tempfile.TemporaryDirectory(prefix="bend_hf_paper_") as name:
        folder = Path(name)
        os.environ["BEND_HF_CACHE"] = str(folder / "cache")
        make_inputs(folder / "inputs", 1 / SHARE, tasks=tasks)
        for model in options.models:
            costs = []
            for task in tasks:
                output = folder / "output"
                if model in published_models.MODELS:  # variants are scored in float32
                    dtype = "auto" if task.recipe else "float32"
                    made = published_models.make(model, device, folder / "models", options.tiny, dtype=dtype)
                    costs.append(cost_of(made, task, folder / "inputs", output))
                else:
                    costs.append(cost_of(model, task, folder / "inputs", output, device=options.device))
                print(f"{model}: {task.name}", file=sys.stderr, flush=True)
            print(f"\n{text(model, costs, options.machines, options.price)}", flush=True)


if __name__ == "__main__":
    main()
