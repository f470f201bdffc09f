"""What keeping token vectors in int8 does to scores: the supervised tasks of the toy, with vectors kept three ways.

    python tests/benchmarks/int8.py --seeds 5 --epochs 10

The model has random weights (two transformer layers over 6-mers, 64 wide); several seeds show what of a difference
is chance. Not one of the table's benchmarks: it prints scores, not ratios.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from bend_hf.data import toy
from bend_hf.demo import write_untrained_model
from bend_hf.evaluation import evaluate
from bend_hf.tasks import TASKS

KEPT = ("float32", "auto", "int8")


def scores(folder: Path, kept: str, tasks: list[str], seeds: int, epochs: int) -> dict[str, list[float]]:
    """Scores of each task, by seed."""
    results = evaluate(
        str(write_untrained_model(folder / "untrained-6mer")),
        tasks=tasks,
        data_dir=toy.make(folder / "toy"),
        seeds=seeds,
        epochs=epochs,
        vectors=kept,
        dtype="float32",
        output=folder / kept,
    )
    by_task: dict[str, list[float]] = {}
    for result in results:
        assert result.score is not None, result.failure
        by_task.setdefault(result.task, []).append(result.score)
    return by_task


def main() -> None:
    """Print the mean score over seeds for each way, the largest change of any seed, and the seeds' spread."""
    parser = argparse.ArgumentParser()
    supervised = [task.name for task in TASKS.values() if task.recipe]
    parser.add_argument("--tasks", nargs="+", choices=supervised, default=supervised)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bend_hf_int8_") as name:
        made = {kept: scores(Path(name), kept, options.tasks, options.seeds, options.epochs) for kept in KEPT}
    print(f"{'task':26}{'float32':>9}{'float16':>9}{'int8':>9}{'largest change, int8':>22}{'seeds’ deviation':>18}")
    for task, exact in made["float32"].items():
        means = "".join(f"{np.mean(made[kept][task]):>9.4f}" for kept in KEPT)
        change = np.abs(np.subtract(made["int8"][task], exact)).max()
        print(f"{task:26}{means}{change:>22.4f}{np.std(exact, ddof=1):>18.4f}")


if __name__ == "__main__":
    main()
