"""Rows from coordinates: this package against the reference's way, on the same input in one run.

    python tests/benchmarks/rows.py                     # 2,000,000 windows
    python tests/benchmarks/rows.py --rows 20000 --reference-rows 2000
    python tests/benchmarks/rows.py --profile           # where the time of one process goes, and of a second run

Makes a genome and a BED file like those of chromatin accessibility (512 bp, 125 labels, every second window on the
minus strand). The reference's data flow is written here in plain form: the table is walked row by row, each window is
read from the FASTA and reverse-complemented letter by letter, and labels become a multi-hot vector. It validates
nothing and writes nothing; this package parses, validates, gathers and writes Arrow.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyfaidx

from bend_hf.data.builder import load_dataset
from bend_hf.data.genome import Genome

WINDOW = 512
LABELS = 125


def make_input(folder: Path, n_rows: int, *, chromosomes: int = 10) -> tuple[Path, Path]:
    """Write a genome and a BED file; windows start at different places, in the order of the genome."""
    rng = np.random.default_rng(0)
    bases = min(20_000_000, max(1_000_000, 100 * n_rows))
    fasta = folder / "genomes" / "GRCh37.fa"
    fasta.parent.mkdir(parents=True)
    with fasta.open("wb") as handle:
        for k in range(1, chromosomes + 1):
            letters = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(0, 4, bases)].reshape(-1, 50)
            handle.write(b">%d\n" % k + np.insert(letters, 50, ord("\n"), axis=1).tobytes())
    Genome(fasta)  # writes the index, which both ways need once per genome
    bed = folder / "chromatin_accessibility" / "chromatin_accessibility.bed"
    bed.parent.mkdir()
    per_chromosome = -(-n_rows // chromosomes)
    with bed.open("w") as file:
        file.write("chromosome\tstart\tend\tscore\t-\tstrand\tlabel\tsplit\n")
        for row in range(n_rows):
            k, i = divmod(row, per_chromosome)
            start = i * ((bases - WINDOW) // per_chromosome)
            first = row % 40
            label = ",".join(str(index) for index in range(first, min(LABELS, first + 3 * (row % 7) + 1), 3))
            split = ("train", "train", "train", "train", "train", "train", "train", "valid", "test", "test")[k]
            file.write(f"{k + 1}\t{start}\t{start + WINDOW}\t.\t1\t{'+-'[row % 2]}\t{label}\t{split}\n")
    return bed, fasta


def reference_rows(bed: Path, fasta: Path, n_rows: int) -> int:
    """Walk the first rows as the reference does: pandas rows, one read per window."""
    complement = {"A": "T", "C": "G", "G": "C", "T": "A"}
    genome = pyfaidx.Faidx(str(fasta))
    frame = pd.read_csv(bed, sep="\t", nrows=n_rows, low_memory=False)
    done = 0
    for _, line in frame.iterrows():
        chromosome, start, end, strand = line.iloc[0], int(line.iloc[1]), int(line.iloc[2]), line.iloc[5]
        label = line.iloc[6]
        on = [int(index) for index in label.split(",")] if isinstance(label, str) else []
        multi_hot = np.eye(LABELS, dtype=np.int64)[on].sum(axis=0)
        sequence = genome.fetch(str(chromosome), start + 1, end).seq.upper()
        if strand == "-":
            sequence = "".join(reversed([complement.get(base, "N") for base in sequence]))
        done += len(sequence) == WINDOW and len(multi_hot) == LABELS
    return done


def package_rows(folder: Path, num_proc: int | None) -> int:
    """Build the dataset: parse, validate, gather, write Arrow."""
    built = load_dataset(
        "chromatin_accessibility",
        data_dir=folder,
        genome_checked=True,
        num_proc=num_proc,
        cache_dir=folder / f"built{num_proc}",
    )
    return sum(len(split) for split in built.values())


def measured(work: Callable[..., int], *arguments: Any) -> dict[str, float]:
    """Run `work` in a process of its own; return rows, seconds and peak memory of it and its largest child in GB."""
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        start = time.perf_counter()
        n_rows = work(*arguments)
        seconds = time.perf_counter() - start
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        sender.send({"rows": n_rows, "seconds": seconds, "gb": peak * 1024 / 1e9})

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return receiver.recv()


def compare(n_rows: int, n_reference: int, num_procs: list[int]) -> dict[str, dict[str, float]]:
    """Build rows both ways, on the same input; return what `measured` does of each."""
    figures = {}
    with tempfile.TemporaryDirectory(prefix="bend_hf_rows_") as name:
        folder = Path(name)
        bed, fasta = make_input(folder, n_rows)
        figures["reference"] = measured(reference_rows, bed, fasta, n_reference)
        for num_proc in num_procs:
            # Each with a cache of its own, so that validation and digests are part of the time.
            os.environ["BEND_HF_CACHE"] = str(folder / f"cache{num_proc}")
            figures[f"bend_hf, num_proc={num_proc}"] = measured(package_rows, folder, num_proc)
    return figures


def profile(n_rows: int) -> None:
    """Print what each stage of a build takes by itself, without the stages inside it; and a second run of the same.

    Stages run in several threads, so that together they may take longer than the run.
    """
    import pyarrow.csv

    from bend_hf import files
    from bend_hf.data import coordinates
    from bend_hf.data import rows as data_rows

    seconds: dict[str, float] = {}
    stacks: defaultdict[int, list[float]] = defaultdict(lambda: [0.0])
    adding = threading.Lock()

    def timed(where: Any, name: str, stage: str) -> None:
        work = getattr(where, name)
        seconds[stage] = 0.0

        def wrapper(*arguments: Any, **options: Any) -> Any:
            inner = stacks[threading.get_ident()]
            start = time.perf_counter()
            inner.append(0.0)
            try:
                return work(*arguments, **options)
            finally:
                took = time.perf_counter() - start
                with adding:
                    seconds[stage] += took - inner.pop()
                inner[-1] += took

        setattr(where, name, wrapper)

    with tempfile.TemporaryDirectory(prefix="bend_hf_rows_") as name:
        folder = Path(name)
        make_input(folder, n_rows)
        os.environ["BEND_HF_CACHE"] = str(folder / "cache")
        time.sleep(2.5)  # digests of files are remembered from two seconds on
        timed(files, "digest_file", "digests (SHA-256)")
        timed(pyarrow.csv, "read_csv", "CSV")
        timed(coordinates, "_labels", "labels")
        timed(data_rows, "read", "other checks of coordinates")
        timed(data_rows, "_write", "coordinates to Arrow")
        timed(Genome, "gather", "sequences")
        timed(data_rows, "make_rows", "rows to Arrow")
        timed(files, "_fsync", "waiting for the disk (fsync)")
        for what in ("first run", "second run"):
            seconds.update(dict.fromkeys(seconds, 0.0))
            stacks.clear()
            start = time.perf_counter()
            package_rows(folder, None)
            whole = time.perf_counter() - start
            print(f"{what + f' of {n_rows:,} rows':36}{whole:8.2f} s")
            rest = whole - sum(stacks[threading.get_ident()])
            for stage, took in {**seconds, "datasets, waiting and the rest": rest}.items():
                print(f"  {stage:34}{took:8.2f} s{took / whole:7.0%}")


def run(size: str = "small") -> list[tuple[str, float, float, str]]:
    """Return rows of (what, reference's value, ours, unit) for the table of all benchmarks."""
    n_rows, n_reference = {"tiny": (5_000, 500), "small": (200_000, 20_000), "medium": (2_000_000, 100_000)}[size]
    figures = compare(n_rows, n_reference, [1, 2])
    plain = figures.pop("reference")
    table = []
    for who, figure in figures.items():
        name = f"rows of 512 bp, {who.removeprefix('bend_hf, ')}"
        table.append((name, plain["rows"] / plain["seconds"], figure["rows"] / figure["seconds"], "rows/s"))
        table.append((f"peak memory, {name}", plain["gb"], figure["gb"], "GB"))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--reference-rows", type=int, default=200_000)
    parser.add_argument("--num-proc", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--profile", action="store_true", help="instead: where the time goes")
    options = parser.parse_args()
    if options.profile:
        profile(options.rows)
        return
    figures = compare(options.rows, options.reference_rows, options.num_proc)
    base = figures["reference"]["rows"] / figures["reference"]["seconds"]
    print(f"{'':24}{'rows':>10}{'seconds':>9}{'rows/s':>11}{'ratio':>8}{'peak GB':>9}")
    for who, figure in figures.items():
        speed = figure["rows"] / figure["seconds"]
        line = f"{who:24}{figure['rows']:>10,}{figure['seconds']:>9.2f}{speed:>11,.0f}{speed / base:>7.1f}x"
        print(f"{line}{figure['gb']:>9.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
