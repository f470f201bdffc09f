"""Token vectors of a model made by a Ray cluster: shares of one store, as a `map_batches` stage of Ray Data.

    pip install "bend_hf[ray]"
    python examples/ray/embed.py nt-v2-500m --store /shared/vectors --workers 8 --gpus 1
    bend-hf evaluate nt-v2-500m --store /shared/vectors        # finds the vectors, and trains

A row of the dataset is one share of one task's store, and a worker makes the shards of its share, as ``bend-hf embed
--shard I/N`` does; both may work on one store at once. Shards that are there and sound are left alone: after a crash, a
preemption or Ctrl-C the same command goes on with what is missing. All machines must see the store, the data and, for
rows, the cache of the driver (``BEND_HF_CACHE``); else each worker builds rows for itself.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from bend_hf.cli.options import data_arguments, data_options, tasks_option
from bend_hf.data.builder import build
from bend_hf.data.sources import locate
from bend_hf.embed.filling import fill_plan
from bend_hf.embed.layout import Plan, plan
from bend_hf.embed.open import load_embedder
from bend_hf.embed.vectors import distinct
from bend_hf.protocols import get_protocol
from bend_hf.tasks import get_tasks
from bend_hf.text import aligned
from bend_hf.walk import merged

Batch = dict[str, np.ndarray]


class Embed:
    """A worker: it loads the model once, and makes the shares that it is given.

    Args:
        model: What `bend-hf embed` takes.
        store: Folder of stores.
        data: Where rows come from: arguments of `bend_hf.data.sources.locate`.
    """

    def __init__(self, model: str, store: Path, data: dict[str, Any]) -> None:
        self.protocol = get_protocol("default")
        self.embedder = load_embedder(model, protocol=self.protocol)
        self.store, self.data = store, data
        self.tasks: dict[str, tuple[Any, Plan]] = {}

    def task(self, name: str) -> tuple[Any, Plan]:
        """Return a task's sequences and the layout of its store, found out once."""
        if name not in self.tasks:
            [task] = get_tasks(name)
            sequences = merged(build(locate(task, **self.data)))["sequence"]
            layout = plan(self.embedder, distinct(sequences), self.store, self.protocol.kept_vectors)
            self.tasks[name] = sequences, layout
        return self.tasks[name]

    def __call__(self, batch: Batch) -> Batch:
        """Make the missing shards of some shares; say how many there were and were made, where, and in how long."""
        found: dict[str, list[Any]] = {"there": [], "made": [], "seconds": [], "shards": [], "folder": []}
        for name, share, of in zip(batch["task"], batch["share"], batch["of"], strict=True):
            start = time.perf_counter()
            sequences, layout = self.task(str(name))
            numbers = range(int(share), layout.count, int(of))
            before = sum(layout.path(number).exists() for number in numbers)
            fill_plan(layout, self.embedder, sequences, (int(share), int(of)), None, verify=True, wait=False)
            found["there"].append(before)
            found["made"].append(sum(layout.path(number).exists() for number in numbers) - before)
            found["seconds"].append(time.perf_counter() - start)
            found["shards"].append(layout.count)
            found["folder"].append(str(layout.folder))
        return batch | {name: np.array(values) for name, values in found.items()}


def main() -> int:
    """Embed, print what each share came to, and return 1 if a store is not complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hub id, folder or catalogue name")
    tasks_option(parser)
    data_options(parser)
    parser.add_argument("--store", type=Path, required=True, metavar="DIR", help="seen by all machines")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes with a model each (2)")
    parser.add_argument("--gpus", type=float, default=0, metavar="N", help="of each worker (0)")
    parser.add_argument("--cpus", type=float, default=1, metavar="N", help="of each worker (1)")
    parser.add_argument("--shares", type=int, metavar="N", help="of each task's store (four for each worker)")
    args = parser.parse_args()
    import ray
    from ray.data import ActorPoolStrategy

    tasks = [task.name for task in get_tasks(args.tasks) if task.recipe is not None]
    of = args.shares or 4 * args.workers
    for name in tasks:  # rows are built once, before the workers ask for them
        build(locate(get_tasks(name)[0], **data_arguments(args)))
    options = {"model": args.model, "store": args.store.absolute(), "data": data_arguments(args)}
    shares = ray.data.from_items([{"task": name, "share": share, "of": of} for name in tasks for share in range(of)])
    made = shares.repartition(len(tasks) * of).map_batches(
        Embed,
        fn_constructor_kwargs=options,
        batch_size=1,
        compute=ActorPoolStrategy(size=args.workers),
        num_gpus=args.gpus,
        num_cpus=args.cpus,
    )
    found = sorted(made.take_all(), key=lambda row: (row["task"], row["share"]))
    shown = ("task", "share", "shards there", "made", "seconds")
    lines = [
        [row["task"], f"{row['share']}/{of}", str(row["there"]), str(row["made"]), f"{row['seconds']:.1f}"]
        for row in found
    ]
    print(*aligned([shown, *lines], left=2), sep="\n")
    complete = True
    for row in found[::of]:
        done = (Path(row["folder"]) / "manifest.json").is_file()  # written last
        print(f"{row['task']}: {row['shards']} shards, {'complete' if done else 'INCOMPLETE'}, in {row['folder']}")
        complete &= done
    return int(not complete)


if __name__ == "__main__":
    raise SystemExit(main())
