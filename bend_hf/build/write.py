"""Writes a built task as a folder: BED, HDF5, ``task.json``, ``sources.json``, ``audit.json`` and a card.

    work = Work.begin(Path("my_task"), {"annotation": path, "genome": fasta}, options, command="bend-hf build genes …")
    if not work.has_rows():
        write(work, built)
    finish(work)
    work.end()

A build begins a `Work`, which keeps what was read. Its rows are written to a sealed folder ``.<name>.building`` beside
the output; then they are audited, and the folder appears under its name when it is whole. A build that is killed after
its rows goes on from them, if they are as they were written and sources and options are the same; else it begins anew,
and says so.
Nothing in the folder depends on the time, the machine or paths: the same inputs and options give the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from bend_hf import __version__, files
from bend_hf.build.audit import Audit, audit
from bend_hf.build.counts import Counts
from bend_hf.build.work import STATE, Work, check_output, digests
from bend_hf.console import log
from bend_hf.data.audited import write_audit
from bend_hf.data.builds import LENGTHS
from bend_hf.data.genome import Genome
from bend_hf.data.sources import TaskFiles
from bend_hf.errors import BendError
from bend_hf.tasks import Task, read_document, write_document
from bend_hf.templates import renderer

QUERIES = 2_000
"""Held-out pieces that are searched for near-duplicates when a task is built; `bend-hf audit` searches more."""


MOST_CHROMOSOMES = 1_000
"""Chromosomes whose lengths a document tells, to know the genome by."""


@dataclass(frozen=True)
class Built:
    """What a builder made.

    Attributes:
        task: The declaration; its name, dataset and rows are set from the folder.
        table: Columns of the BED file, of the declared names, in the declared order.
        labels: Labels of each row for HDF5 (int8 arrays), or None.
        counts: What was left out.
        choices: Every option and rule that decided the rows.
        method: Sentences for the card on how the rows came about.
        sequences: Name and sequence of the records of a genome of its own, or None.
    """

    task: Task
    table: pa.Table
    labels: Iterable[np.ndarray] | None
    counts: Counts
    choices: dict[str, Any]
    method: str = ""
    sequences: Iterable[tuple[str, bytes]] | None = None


def declare(template: Task, *, build: str, summary: str, **changes: Any) -> Task:
    """Return a declaration after one of BEND's: its shape, metric and recipe, but none of its sources and caveats.

    Args:
        template: The task of BEND that has the same shape.
        build: Name of the genome build.
        summary: What is predicted.
        **changes: Other fields.
    """
    fields = {"sources": (), "caveats": (), "positives": None, "paper_rows": None, "version": "1.0.0"} | changes
    rows = dict.fromkeys(changes.get("split_names", template.split_names).values(), 1)  # until they are counted
    return dataclasses.replace(template, build=build, summary=summary, rows=rows, **fields)


def write(work: Work, built: Built) -> None:
    """Write and seal the rows of a task.

    Raises:
        BendError: There are no rows, or a source changed.
    """
    check_output(work.output)
    built.counts.tell()
    name = work.output.name
    if not len(built.table):
        raise BendError(f"No row is left for {name}. Left out: {built.counts.text()}.")
    with files.atomic(work.folder) as folder:
        folder.mkdir(parents=True)
        genome = work.paths["genome"]
        if built.sequences is not None:
            genome = folder / "genomes" / f"{built.task.build}.fa"
            _write_fasta(genome, built.sequences)
        write_bed(folder / f"{name}.bed", built.table)
        if built.labels is not None:
            write_labels(folder / f"{name}.hdf5", built.labels, len(built.table))
        write_document(folder / "task.json", declared(built, name, Genome(genome)))
        state = {"key": work.key, "choices": built.choices, "method": built.method}
        state |= {"left_out": built.counts.left_out, "seen_and_kept": built.counts.noted}
        files.write_json(folder / STATE, state)
        for what, found in digests(work.paths).items():
            if found != work.sources[what]:
                raise BendError(f"{work.paths[what]} was changed while the task was built from it. Build again.")
        files.seal_folder(folder)
    shutil.rmtree(work.reading, ignore_errors=True)


def finish(work: Work) -> Path:
    """Audit the written rows and give the folder its name, unless a build that was killed had done so.

    Returns:
        The folder.

    Raises:
        BendError: The rows are not what was written.
    """
    if work.is_named():
        return work.output
    if (problem := files.damage(work.folder)) is not None:
        raise BendError(f"{work.folder}: {problem}. Build again.")
    state = files.read_json(work.folder / STATE)
    if state["key"] != work.key:
        raise BendError(f"{work.folder} was written by another build meanwhile. Give each another output (-o).")
    task = read_document(work.folder / "task.json")
    own = sorted(work.folder.glob("genomes/*.fa"))
    genome = work.paths["genome"]
    audited = _audited(work, task, own[0] if own else genome)
    for problem in audited.problems:
        log.warning("%s: %s", work.output, problem)
    record = {
        "bend_hf": __version__,
        "command": work.command,
        "sources": work.sources,
        "choices": state["choices"],
        "rows": dict(task.rows),
        "left_out": state["left_out"],
        "seen_and_kept": state["seen_and_kept"],
    }
    with files.atomic(work.output) as folder:
        shutil.copytree(work.folder, folder, copy_function=_linked, ignore=shutil.ignore_patterns(STATE, ".seal"))
        bed, *hdf5 = task_files(folder, task)
        fasta = folder / "genomes" / own[0].name if own else genome
        kept = TaskFiles(task, bed, hdf5[0] if hdf5 else None, fasta)
        write_audit(kept, audited.to_json(), str(audited))
        files.write_json(folder / "sources.json", record)
        card = _fill("task_card.md", task=task, method=state["method"], record=record, audit=audited)
        (folder / "README.md").write_text(card.rstrip() + "\n", encoding="utf-8")
    return work.output


def _linked(source: str, target: str) -> None:
    """Give a file a second name, without copying where the disk can."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def task_files(folder: Path, task: Task) -> list[Path]:
    """Return the files of a task's rows in its folder."""
    endings = (".bed", ".hdf5") if task.labels_in_hdf5 else (".bed",)
    return [folder / f"{task.name}{ending}" for ending in endings]


def _audited(work: Work, task: Task, genome: Path) -> Audit:
    """Read the written files back as everyone will, which checks every row, and audit them."""
    folder = work.folder
    bed, *hdf5 = task_files(folder, task)
    read = TaskFiles(task=task, bed=bed, hdf5=hdf5[0] if hdf5 else None, fasta=genome)
    genes = work.paths.get("annotation") if task.kind.variants else None
    return audit(read, queries=QUERIES, easy=False, annotation=genes, aliases=work.paths.get("aliases"))


def declared(built: Built, name: str, genome: Genome) -> Task:
    """Return the task's declaration with its name, its rows and its chromosomes."""
    found = dict(zip(*np.unique(built.table["split"].to_pylist(), return_counts=True), strict=True))
    rows: dict[str, int] = {}
    for written, split in built.task.split_names.items():
        rows[split] = rows.get(split, 0) + int(found.get(written, 0))
    used = built.table["chromosome"].unique().to_pylist()
    told = built.task.build not in LENGTHS and len(used) <= MOST_CHROMOSOMES
    lengths = {name: genome.lengths[name] for name in sorted(used)} if told else None
    return dataclasses.replace(built.task, name=name, dataset=name, config="default", rows=rows, chromosomes=lengths)


def write_bed(path: Path, table: pa.Table) -> None:
    """Write a BED file with a header row, tab-separated and unquoted."""
    options = pa.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with path.open("wb") as handle:
        handle.write(("\t".join(table.column_names) + "\n").encode())
        for batch in table.to_batches(max_chunksize=1 << 16):
            pa.csv.write_csv(pa.Table.from_batches([batch]), handle, options)


def _write_fasta(path: Path, sequences: Iterable[tuple[str, bytes]]) -> None:
    path.parent.mkdir()
    with path.open("wb") as handle:
        for name, sequence in sequences:
            handle.write(b">%s\n%s\n" % (name.encode(), sequence))


def write_labels(path: Path, labels: Iterable[np.ndarray], rows: int) -> None:
    """Write labels as the HDF5 dataset ``labels``: (rows, n) of a matrix, else one array of int8 per row."""
    import h5py

    with h5py.File(path, "w", libver="earliest") as opened:
        if isinstance(labels, np.ndarray):
            opened.create_dataset("labels", data=labels.astype(np.int8), track_times=False)
            return
        data = opened.create_dataset("labels", shape=(rows,), dtype=h5py.vlen_dtype(np.int8), track_times=False)
        for row, values in enumerate(labels):
            data[row] = values.astype(np.int8)


_fill = renderer("bend_hf.build", "md", filters={"as_json": lambda value: json.dumps(value, ensure_ascii=False)})


def command_line(arguments: Iterable[str]) -> str:
    """Return a command line as one would type it, with the names of files in place of their paths."""
    return shlex.join(Path(each).name if "/" in each else each for each in arguments)
