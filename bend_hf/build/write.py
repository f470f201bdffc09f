"""Writes a built task as a folder: BED, HDF5, ``task.json``, ``sources.json``, ``audit.json`` and a card.

    write(Path("my_task"), built, command="bend-hf build genes …")

The folder is written beside its name and renamed when it is whole: a build that is killed leaves no folder of that
name.
Nothing in it depends on the time, the machine or paths: the same inputs and options give the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from bend_hf import __version__, files
from bend_hf.build.audit import Audit, audit
from bend_hf.build.counts import Counts
from bend_hf.data.builds import LENGTHS
from bend_hf.data.genome import Genome
from bend_hf.data.sources import TaskFiles
from bend_hf.errors import BendError
from bend_hf.tasks import Task, write_document

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


def check_output(output: Path) -> None:
    """Refuse an output folder that exists, or whose name cannot be a task's.

    Raises:
        BendError: So it is.
    """
    name = output.name
    if not name or not all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in name):
        raise BendError(f"{output}: the folder's name becomes the task's: letters, digits, - and _ only.")
    if output.exists():
        raise BendError(f"{output} exists. Give another folder (-o), or remove it first.")


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


class Sources:
    """Digests of input files, taken before they are read and compared afterwards."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self.paths = paths
        for path in paths.values():
            if not path.is_file():
                raise BendError(f"{path}: there is no such file.")
        self.before = self._digests()

    @classmethod
    def of(cls, paths: Mapping[str, str | Path | None]) -> Sources:
        """Return the sources among `paths` that are given."""
        return cls({name: Path(path) for name, path in paths.items() if path is not None})

    def _digests(self) -> dict[str, dict[str, Any]]:
        return {
            name: {"file": path.name, "bytes": path.stat().st_size, "sha256": files.digest_file(path)}
            for name, path in self.paths.items()
        }

    def checked(self) -> dict[str, dict[str, Any]]:
        """Return name → file, bytes and SHA-256.

        Raises:
            BendError: A file changed while it was used.
        """
        for name, found in self._digests().items():
            if found != self.before[name]:
                raise BendError(f"{self.paths[name]} was changed while the task was built from it. Build again.")
        return self.before


def write(output: Path, built: Built, sources: Sources, *, command: str | None) -> Path:
    """Write a task folder.

    Args:
        output: The folder; its name is the task's.
        built: What to write.
        sources: The files it was made from.
        command: The command line, for the record.

    Returns:
        The folder.

    Raises:
        BendError: There are no rows, a source changed, or the folder exists.
    """
    check_output(output)
    built.counts.tell()
    if not len(built.table):
        raise BendError(f"No row is left for {output.name}. Left out: {built.counts.text()}.")
    with files.atomic(output) as folder:
        folder.mkdir(parents=True)
        genome = sources.paths["genome"]
        if built.sequences is not None:
            genome = folder / "genomes" / f"{built.task.build}.fa"
            _write_fasta(genome, built.sequences)
        task = declared(built, output.name, Genome(genome))
        write_bed(folder / f"{output.name}.bed", built.table)
        if built.labels is not None:
            write_labels(folder / f"{output.name}.hdf5", built.labels, len(built.table))
        write_document(folder / "task.json", task)
        audited = _audited(folder, task, genome)
        files.write_json(folder / "audit.json", audited.to_json())
        record = {
            "bend_hf": __version__,
            "command": command,
            "sources": sources.checked(),
            "choices": built.choices,
            "rows": dict(task.rows),
            "left_out": built.counts.left_out,
            "seen_and_kept": built.counts.noted,
        }
        files.write_json(folder / "sources.json", record)
        (folder / "README.md").write_text(_card(task, built, record, audited), encoding="utf-8")
    return output


def _audited(folder: Path, task: Task, genome: Path) -> Audit:
    """Read the written files back as everyone will, which checks every row, and audit them."""
    stem = folder / task.name
    hdf5 = stem.with_suffix(".hdf5") if task.labels_in_hdf5 else None
    read = TaskFiles(task=task, bed=stem.with_suffix(".bed"), hdf5=hdf5, fasta=genome)
    return audit(read, queries=QUERIES, easy=False)


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


def _card(task: Task, built: Built, record: dict[str, Any], audited: Audit) -> str:
    """Return the README of a task folder: what it is, how it was made, what was left out."""
    lines = [f"# {task.name}", "", task.summary, ""]
    if built.method:
        lines += [built.method, ""]
    lines += [f"Genome build: {task.build}. Coordinates are 0-based half-open.", "", "| split | rows |", "|---|---:|"]
    lines += [f"| {split} | {rows:,} |" for split, rows in task.rows.items()]
    lines += ["", "## Made from", "", "| what | file | SHA-256 |", "|---|---|---|"]
    lines += [f"| {name} | {entry['file']} | `{entry['sha256']}` |" for name, entry in record["sources"].items()]
    lines += ["", "## Choices", "", "| option | value |", "|---|---|"]
    lines += [f"| {name} | `{json.dumps(value, ensure_ascii=False)}` |" for name, value in built.choices.items()]
    if built.counts.left_out:
        lines += ["", "## Left out", "", "| reason | number |", "|---|---:|"]
        lines += [f"| {reason} | {number:,} |" for reason, number in built.counts.left_out.items()]
    if built.counts.noted:
        lines += ["", "## Seen and kept", "", "| what | number |", "|---|---:|"]
        lines += [f"| {reason} | {number:,} |" for reason, number in built.counts.noted.items()]
    if task.caveats:
        lines += ["", "## Caveats", "", *(f"* {caveat}" for caveat in task.caveats)]
    lines += ["", "## Audit", "", "```", str(audited), "```"]
    if record["command"]:
        lines += ["", "## Command", "", "```", record["command"], "```"]
    return "\n".join([*lines, ""])


def command_line(arguments: Iterable[str]) -> str:
    """Return a command line as one would type it, with the names of files in place of their paths."""
    return shlex.join(Path(each).name if "/" in each else each for each in arguments)
