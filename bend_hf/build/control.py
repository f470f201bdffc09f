"""Control tasks: a task whose labels, or whose sequences, can no longer be told from one another but by chance.

    control("my_peaks/", "hg38.fa", "my_peaks_permuted", kind="permuted")
    build.peaks(…, controls=["permuted", "shuffled", "matched"])           # beside a task that is built

``permuted`` exchanges the labels of rows within each split: what a model reaches on it is chance. ``shuffled`` keeps
labels and gives every window a random sequence with the same dinucleotides: what is reached on it is composition.
``matched`` keeps labels and gives every window another place of the genome with the same GC and repeats: what is
reached on it is GC and repeats. A variant's allele stays what it is: of ``shuffled`` the 512 bases on either side of it
are shuffled, of ``matched`` it lies on an equal base in the middle of another place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from bend_hf.build.counts import Counts
from bend_hf.build.matched import counterparts
from bend_hf.build.options import checked
from bend_hf.build.splits import Windows
from bend_hf.build.work import Work, builder, building_of
from bend_hf.build.write import Built, finish, write
from bend_hf.data.coordinates import read_text
from bend_hf.data.genome import Genome
from bend_hf.data.sources import TaskFiles, locate
from bend_hf.errors import BendError
from bend_hf.tasks import get_tasks

Kind = Literal["permuted", "shuffled", "matched"]
AROUND = 512
"""Bases on either side of a variant: no window of BEND's protocol reads more."""


@builder
def control(
    task: str | Path,
    genome: str | Path,
    output: str | Path,
    *,
    kind: Kind,
    data_dir: str | Path | None = None,
    seed: int = 0,
    command: str | None = None,
    verbose: bool = False,
) -> Path:
    """Write a control of a task.

    Args:
        task: Name or folder of the task; its genome is taken at your word.
        genome: FASTA.
        output: Folder to write; its name is the control's.
        kind: ``permuted`` labels, ``shuffled`` sequences, or ``matched`` places.
        data_dir: Folder in the layout of BEND's release, for BEND's own tasks.
        seed: Of the permutation, the shuffles or the places.
        command: What to record as the command.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        The folder.

    Raises:
        BendError: The task's windows differ in length and so cannot exchange labels, or the genome has no other places.
    """
    arguments = checked(locals())  # each decides the rows
    output = Path(output)
    chosen = get_tasks(task)
    if len(chosen) > 1:
        raise BendError(f"{task} names several tasks ({', '.join(each.name for each in chosen)}): name one.")
    [found] = chosen
    files = locate(found, data_dir, genome, genome_checked=True)
    work = Work.begin(output, files.paths, arguments, command)
    if work.has_rows():
        finish(work)
        return work.end()
    fasta, counts = Genome(genome), Counts()
    table = read_text(found, files.bed)
    random = np.random.default_rng(seed)
    labels: Sequence[np.ndarray] | np.ndarray | None = _labels(files) if found.labels_in_hdf5 else None
    sequences = None
    if kind == "permuted":
        origin = f"{found.name} with labels exchanged within each split"
        order = _exchanged(table["split"].to_pylist(), random)
        if labels is None:
            for name in {"label", "full_label"} & set(table.column_names):
                table = _with(table, name, table[name].take(pa.array(order)))
        elif len({len(each) for each in labels}) > 1:
            raise BendError(
                f"{found.name}: its windows differ in length, so they cannot exchange labels. Shuffle them."
            )
        else:
            labels = np.stack([labels[row] for row in order.tolist()])
    elif kind == "shuffled":
        origin = f"{found.name} with every window's sequence shuffled, dinucleotides kept"
        windows, centre = _windows(table, fasta, found.kind.variants)
        sequences = _shuffled(windows, centre, fasta, random)
        table = _own_records(table, windows, centre)
    else:
        origin = f"{found.name} with every window at another place of the genome, GC and repeats kept"
        table, rows = _elsewhere(table, fasta, found.kind.variants, seed, counts)
        if labels is not None:
            labels = [labels[row] for row in rows.tolist()]
            labels = np.stack(labels) if found.bin_size else labels
    build = f"{found.build}_shuffled" if kind == "shuffled" else found.build
    caveats = (f"A control: {origin}. A score on it says nothing about biology.", *found.caveats)
    declared = dataclasses.replace(
        found, title=output.name, build=build, caveats=caveats, folder=None, paper_rows=None, supersedes=None
    )
    if found.positives is not None:
        declared = dataclasses.replace(declared, positives=table["label"].to_pylist().count("1"))
    choices = {"control_of": found.name, "kind": kind, "seed": seed, **({"toy": True} if files.toy else {})}
    write(work, Built(declared, table, labels, counts, choices, f"A control: {origin}.", sequences))
    finish(work)
    return work.end()


def finish_with_controls(work: Work, kinds: Sequence[Kind], seed: int) -> Path:
    """Finish a build, and write the controls that it is to have beside it, but for those that a killed one wrote.

    Args:
        work: The build, its rows written.
        kinds: The controls.
        seed: Of the controls.

    Raises:
        BendError: As `control` does.
    """
    again = work.is_named()
    folder = finish(work)
    for kind in kinds:
        output = work.output.with_name(f"{work.output.name}_{kind}")
        if again and output.exists() and not building_of(output).exists():
            continue
        control(folder, work.paths["genome"], output, kind=kind, seed=seed, command=work.command)
    return work.end()


def _with(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


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


def _windows(table: pa.Table, genome: Genome, variants: bool) -> tuple[Windows, np.ndarray | None]:
    """Return the rows' windows, of variants `AROUND` bases on either side, and where in them the variants are."""
    code = np.array([genome.code(name) for name in table["chromosome"].to_pylist()], np.int64)
    start, end = (np.array(table[name].to_pylist(), object).astype(np.int64) for name in ("start", "end"))
    if not variants:
        return Windows(code, start, end), None
    low = np.maximum(0, start - AROUND)
    high = np.minimum(np.array(list(genome.lengths.values()))[code], start + 1 + AROUND)
    return Windows(code, low, high), start - low


def _shuffled(
    windows: Windows, centre: np.ndarray | None, genome: Genome, random: np.random.Generator
) -> Iterator[tuple[str, bytes]]:
    """Yield a record per row: its name and its shuffled sequence, both sides of a variant apart."""
    for row in range(len(windows.code)):
        one = windows.part(slice(row, row + 1))
        text = genome.gather(one.code, one.start, one.end)[0].tobytes()
        if centre is None:
            yield f"row{row}", shuffle_dinucleotides(text, random)
        else:  # a shuffle keeps the first and the last base, so that both sides end in the variant's
            at = int(centre[row])
            left, right = (shuffle_dinucleotides(side, random) for side in (text[: at + 1], text[at:]))
            yield f"row{row}", left + right[1:]


def _own_records(table: pa.Table, windows: Windows, centre: np.ndarray | None) -> pa.Table:
    """Return the rows on records of their own."""
    start = np.zeros(len(table), np.int64) if centre is None else centre
    end = windows.end - windows.start if centre is None else centre
    return _moved(table, [f"row{row}" for row in range(len(table))], start, end)


def _moved(table: pa.Table, chromosome: Sequence[str], start: np.ndarray, end: np.ndarray) -> pa.Table:
    for name, values in (("chromosome", chromosome), ("start", start.tolist()), ("end", end.tolist())):
        table = _with(table, name, pa.array([str(value) for value in values]))
    return table


def _elsewhere(
    table: pa.Table, genome: Genome, variants: bool, seed: int, counts: Counts
) -> tuple[pa.Table, np.ndarray]:
    """Return the rows that have a counterpart, moved there, and which they are."""
    windows, centre = _windows(table, genome, variants)
    rows, code, start = counterparts(windows, genome, seed=seed, counts=counts)
    end = start + (windows.end - windows.start)[rows]
    if centre is not None:
        letters, offsets = genome.gather(code, start, end)
        place = np.full(len(rows), -1)
        for at, ref in enumerate(table["ref"].take(pa.array(rows)).to_pylist()):
            equal = np.flatnonzero(letters[offsets[at] : offsets[at + 1]] == ord(ref.upper()))
            if len(equal):
                place[at] = start[at] + equal[np.abs(equal - centre[rows[at]]).argmin()]
        counts.add("variant whose counterpart has no equal base", int((place < 0).sum()))
        rows, code, start = rows[place >= 0], code[place >= 0], place[place >= 0]
        end = start
    names = [genome.names[each] for each in code.tolist()]
    return _moved(table.take(pa.array(rows)), names, start, end), rows


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
