"""The size of the published benchmark, and what writing it takes: ``python tests/benchmarks/published_size.py``.

Makes inputs in BEND's file formats with ``--scale`` of the released numbers of rows (1 for all of them) on a random
genome of the human base composition, writes the mirror that is published, and prints the bytes per row and what they
come to for the real numbers of rows. Random bases compress no better than real ones, so the sizes are on the large
side. Peak memory is that of the writing process, pages of the memory-mapped genome included; disk is without the
inputs. Needs Linux (/proc).

Assumed, as the released files say nothing of it here: 5 % of the chromatin and histone labels are on, half of the CpG
labels; 1 enhancer bin in 84 is on (the positive weight of the recipe); classes of genes come in runs of about 150.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from bend_hf.hub.cards import tasks_of
from bend_hf.hub.mirror import read_mirror
from bend_hf.tasks import TASKS, Task

BASES = np.frombuffer(b"ACGT", np.uint8)
COMPOSITION = (0.295, 0.205, 0.205, 0.295)  # GC content of the human genome, 41 %
CHROMOSOMES = [f"chr{name}" for name in (*range(1, 23), "X", "Y")]
LENGTHS = (1_433, 13_000)  # of gene finding's windows
ON = {"chromatin_accessibility": 0.05, "histone_modification": 0.05, "cpg_methylation": 0.5}


def make_inputs(folder: Path, scale: float, seed: int = 0, tasks: Sequence[Task] | None = None) -> None:
    """Write genomes and the label files of some tasks, all of BEND's unless they are given."""
    rng = np.random.default_rng(seed)
    length = max(400_000, int(10_000_000 * scale))
    genome = [rng.choice(BASES, length, p=COMPOSITION) for _ in CHROMOSOMES]
    (folder / "genomes").mkdir(parents=True)
    for build in ("GRCh38", "GRCh37"):
        with (folder / "genomes" / f"{build}.fa").open("wb") as handle:
            for name, bases in zip(CHROMOSOMES, genome, strict=True):
                handle.write(f">{name}\n".encode() + bases.tobytes() + b"\n")
    for task in TASKS.values() if tasks is None else tasks:
        write_task(folder, task, scale, genome, rng)


def write_task(folder: Path, task: Task, scale: float, genome: list[np.ndarray], rng: np.random.Generator) -> None:
    """Write a task's BED file (and HDF5 file): distinct windows in random order."""
    length = len(genome[0])
    names = {value: key for key, value in task.split_names.items()}
    splits = [names[split] for split, rows in task.rows.items() for _ in range(max(1, round(rows * scale)))]
    count = len(splits)
    spans = np.full(count, task.window or 0)
    if task.window is None:
        spans = rng.integers(*LENGTHS, count, endpoint=True)
    room = length - int(spans.max())
    places = rng.permutation(np.linspace(0, len(genome) * room - 1, count, dtype=np.int64))
    chromosome, start = places // room, places % room
    variant = task.label_kind == "variant_binary"
    values: dict[str, list[object]] = {
        "chromosome": [CHROMOSOMES[k] for k in chromosome],
        "start": start.tolist(),
        "end": (start if variant else start + spans).tolist(),
        "length": spans.tolist(),
        "strand": rng.choice(["+", "-"], count).tolist() if task.name != "enhancer_annotation" else ["."] * count,
        "split": splits,
        "score": ["."] * count,
        "-": [1] * count,
        "transcript_id": [f"ENST{k:011d}.1" for k in range(count)],
        "gene": [f"GENE{k}" for k in range(count)],
        "flank_left": rng.integers(0, 1000, count).tolist(),
        "flank_right": [0] * count,
    }
    if variant:
        reference = np.array([genome[k][p] for k, p in zip(chromosome, start, strict=True)])
        code = np.searchsorted(BASES, reference)
        values["ref"] = [chr(base) for base in reference]
        values["alt"] = [chr(base) for base in BASES[(code + rng.integers(1, 4, count)) % 4]]
        values["actual"] = values["ref"]
        values["label"] = (rng.random(count) < (task.positives or 0) / task.rows["test"]).astype(int).tolist()
        values["full_label"] = ["Pathogenic" if label else "Benign" for label in values["label"]]
        values["Consequence"] = rng.choice(["missense_variant", "intron_variant", "synonymous_variant"], count).tolist()
    elif task.label_kind == "multilabel":
        on = rng.random((count, len(task.label_names))) < ON[task.name]
        values["label"] = [",".join(map(str, np.flatnonzero(row))) for row in on]
    path = folder / f"{task.stem}.bed"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [values[column.name] for column in task.columns]
    with path.open("w") as handle:
        handle.write("\t".join(column.name for column in task.columns) + "\n")
        handle.writelines("\t".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))
    if task.labels_in_hdf5:
        with h5py.File(path.with_suffix(".hdf5"), "w") as file:
            if task.bin_size:
                file["labels"] = (rng.random((count, int(spans[0]) // task.bin_size)) < 1 / 84).astype(np.float64)
                return
            labels = file.create_dataset("labels", (count,), dtype=h5py.vlen_dtype(np.float64))
            for row, span in enumerate(spans):
                runs = rng.geometric(1 / 150, span // 50 + 1)
                labels[row] = np.repeat(rng.integers(0, 9, len(runs)), runs)[:span].astype(np.float64)


def write(folder: Path) -> None:
    """Write the mirror of inputs that are there, and print what it took; run in a process of its own."""
    from bend_hf.hub.prepare import prepare

    began = time.perf_counter()
    prepare(data_dir=folder / "inputs", genome_checked=True, to=folder / "mirror")
    # Of this process alone: getrusage's maximum would be that of the parent, which made the inputs.
    [peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line[:6] == "VmHWM:"]
    disk = sum(
        path.stat().st_size for name in ("mirror", "cache") for path in (folder / name).rglob("*") if path.is_file()
    )
    print(json.dumps({"seconds": time.perf_counter() - began, "peak": int(peak) * 1024, "disk": disk}))


def report(folder: Path) -> None:
    """Print bytes per row, and the size for the real numbers of rows."""
    print(f"{'dataset':<26}{'configuration':<15}{'rows':>11}{'bytes/row':>12}{'published MB':>14}")
    total = 0.0
    for repository in read_mirror(folder / "mirror", "bend"):
        for task in tasks_of(repository.path.name) if repository.kind == "dataset" else ():
            size = sum(path.stat().st_size for path in (repository.path / task.config).iterdir())
            per_row = size / sum(repository.marker["configs"][task.config]["rows"].values())
            rows = sum(task.rows.values())
            total += per_row * rows
            print(f"{task.dataset:<26}{task.config:<15}{rows:>11,}{per_row:>12,.1f}{per_row * rows / 1e6:>14,.1f}")
    print(f"{'total':<64}{total / 1e6:>14,.1f}")


def main() -> None:
    """Make inputs, write the mirror in another process, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.01, help="share of the released rows (default: 0.01)")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        return write(options.write)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make_inputs(folder / "inputs", options.scale)
        environment = os.environ | {"BEND_HF_CACHE": str(folder / "cache"), "BEND_HF_VERBOSITY": "error"}
        command = [sys.executable, __file__, "--write", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        took = json.loads(done.stdout.splitlines()[-1])
        report(folder)
        print(
            f"{options.scale:.0%} of the rows written in {took['seconds']:.0f} s; "
            f"peak memory {took['peak'] / 1e6:,.0f} MB, disk {took['disk'] / 1e6:,.0f} MB"
        )
    return None


if __name__ == "__main__":
    main()
