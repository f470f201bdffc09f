"""Control tasks: a task whose labels, or whose sequences, can no longer be told from one another but by chance.

    control("my_peaks/", "hg38.fa", "my_peaks_permuted", kind="permuted")
    control("my_peaks/", "hg38.fa", "my_peaks_shuffled", kind="shuffled")

``permuted`` exchanges the labels of whole windows within each split: what a model reaches on it is chance. ``shuffled``
keeps labels and gives every window a random sequence with the same dinucleotides: what is reached on it is composition.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from bend_hf.build.counts import Counts
from bend_hf.build.write import Built, Sources, check_output, write
from bend_hf.data.coordinates import read_text
from bend_hf.data.genome import Genome
from bend_hf.data.sources import TaskFiles, locate
from bend_hf.errors import BendError
from bend_hf.tasks import get_tasks


def control(
    task: str | Path,
    genome: str | Path,
    output: str | Path,
    *,
    kind: Literal["permuted", "shuffled"],
    data_dir: str | Path | None = None,
    seed: int = 0,
    command: str | None = None,
) -> Path:
    """Write a control of a task.

    Args:
        task: Name or folder of the task; its genome is taken at your word.
        genome: FASTA.
        output: Folder to write; its name is the control's.
        kind: ``permuted`` labels or ``shuffled`` sequences.
        data_dir: Folder in the layout of BEND's release, for BEND's own tasks.
        seed: Of the permutation or the shuffles.
        command: What to record as the command.

    Returns:
        The folder.

    Raises:
        BendError: The task is zero-shot, or its windows differ in length and so cannot exchange labels.
    """
    output = Path(output)
    check_output(output)
    [found] = get_tasks(task)
    if found.recipe is None:
        raise BendError(
            f"{found.name} is zero-shot: there is nothing to exchange or to shuffle. Its chance level is 0.5."
        )
    files = locate(found, data_dir, genome, genome_checked=True)
    sources = Sources(files.paths)
    table = read_text(found, files.bed)
    random = np.random.default_rng(seed)
    labels: Sequence[np.ndarray] | np.ndarray | None = _labels(files) if found.labels_in_hdf5 else None
    origin = f"{found.name} with labels exchanged within each split"
    sequences = None
    if kind == "permuted":
        order = _exchanged(table["split"].to_pylist(), random)
        if labels is None:
            table = table.set_column(table.column_names.index("label"), "label", table["label"].take(pa.array(order)))
        elif len({len(each) for each in labels}) > 1:
            raise BendError(
                f"{found.name}: its windows differ in length, so they cannot exchange labels. Shuffle them."
            )
        else:
            labels = np.stack([labels[row] for row in order.tolist()])
    else:
        origin = f"{found.name} with every window's sequence shuffled, dinucleotides kept"
        sequences = _shuffled(table, Genome(genome), random)
        table = _own_records(table)
    build = f"{found.build}_shuffled" if kind == "shuffled" else found.build
    caveats = (f"A control: {origin}. A score on it says nothing about biology.", *found.caveats)
    declared = dataclasses.replace(
        found, title=output.name, build=build, caveats=caveats, folder=None, paper_rows=None, supersedes=None
    )
    choices = {"control_of": found.name, "kind": kind, "seed": seed}
    built = Built(declared, table, labels, Counts(), choices, f"A control: {origin}.", sequences)
    return write(output, built, sources, command=command)


def _exchanged(splits: list[str], random: np.random.Generator) -> np.ndarray:
    """Return a permutation of rows that leaves every split's rows among themselves."""
    names = np.array(splits, dtype=object)
    order = np.arange(len(names))
    for name in sorted(set(splits)):
        rows = np.flatnonzero(names == name)
        order[rows] = random.permutation(rows)
    return order


def _labels(files: TaskFiles) -> list[np.ndarray]:
    import h5py

    with h5py.File(files.hdf5, "r") as opened:
        return [np.ravel(values).astype(np.int8) for values in opened["labels"]]


def _shuffled(table: pa.Table, genome: Genome, random: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yield a record per row: its name and its shuffled sequence."""
    columns = (table[name].to_pylist() for name in ("chromosome", "start", "end"))
    for row, (chromosome, start, end) in enumerate(zip(*columns, strict=True)):
        text = genome.window(chromosome, int(start), int(end))
        yield f"row{row}", shuffle_dinucleotides(text.encode(), random)


def _own_records(table: pa.Table) -> pa.Table:
    """Return the rows on records of their own, from 0."""
    length = [
        int(end) - int(start) for start, end in zip(table["start"].to_pylist(), table["end"].to_pylist(), strict=True)
    ]
    changed = {
        "chromosome": [f"row{row}" for row in range(len(table))],
        "start": ["0"] * len(table),
        "end": [str(each) for each in length],
    }
    for name, values in changed.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table


def shuffle_dinucleotides(sequence: bytes, random: np.random.Generator) -> bytes:
    """Return a random sequence with the same dinucleotide counts, first and last base (Altschul and Erickson 1985).

    The dinucleotides are the edges of a graph on the bases; a random Eulerian path through it is a shuffle.
    """
    if len(sequence) < 3:
        return sequence
    letters = np.frombuffer(sequence, np.uint8)
    last = int(letters[-1])
    edges = {int(base): letters[1:][letters[:-1] == base].tolist() for base in np.unique(letters[:-1])}
    while True:  # until the last edges out of every base lead to the last base
        final = {base: targets[int(random.integers(len(targets)))] for base, targets in edges.items() if base != last}
        if all(_leads(base, last, final) for base in final):
            break
    order = {}
    for base, targets in edges.items():
        rest = list(targets)
        if base in final:
            rest.remove(final[base])
        rest = [rest[i] for i in random.permutation(len(rest))]
        order[base] = iter(rest + ([final[base]] if base in final else []))
    path = [int(letters[0])]
    for _ in range(len(letters) - 1):
        path.append(next(order[path[-1]]))
    return bytes(path)


def _leads(base: int, last: int, final: dict[int, int]) -> bool:
    for _ in range(len(final) + 1):
        if base == last:
            return True
        base = final[base]
    return False
