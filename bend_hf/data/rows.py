"""Turns validated coordinates into the rows of a dataset: sequences gathered from the genome, labels beside them.

    path = prepare(files)                            # validated once per content, kept in the cache
    table = make_rows(task, batches(path).get_batch(0), Genome(files.fasta))

A prepared file is Arrow IPC: record batches of one split each, in the order of the splits, and in its metadata the
number of rows of each split. Every way to read a task (map-style, in several processes, streaming) goes through the
same batches and `make_rows`, so that all give identical rows in identical order.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bend_hf import files as file_tools
from bend_hf.console import log
from bend_hf.data.coordinates import SHARED, read
from bend_hf.data.genome import Genome
from bend_hf.data.sources import TaskFiles
from bend_hf.errors import BendError
from bend_hf.kinds.variant import CONTEXT
from bend_hf.runtime import prefetch
from bend_hf.tasks import BEND, Task
from bend_hf.text import counted

BASES_PER_BATCH = 1 << 22
"""A batch is made whole in memory: at most this many bases, unless one window is longer."""

VARIANT_OFFSET = CONTEXT // 2
"""Where in its context a variant stands."""


def features(task: Task) -> Any:
    """Return the `datasets.Features` of a task's rows."""
    import datasets

    carried = {column.name: datasets.Value(column.dtype) for column in task.columns if column.row}
    label = {task.kind.column: task.kind.feature(task)}
    if task.kind.variants:
        columns = {name: carried.pop(name) for name in ("chromosome", "start", "ref", "alt")} | label
        if "Consequence" in carried:
            columns["consequence"] = carried.pop("Consequence")
        columns |= dict.fromkeys(("ref_sequence", "alt_sequence"), datasets.Value("string"))
        columns["variant_offset"] = datasets.Value("int64")
        return datasets.Features(columns | {name: value for name, value in carried.items() if name not in columns})
    columns = {name: carried.pop(name) for name in ("chromosome", "start", "end", "strand")}
    columns["sequence"] = datasets.Value("string")
    return datasets.Features(columns | label | carried)


def prepare(files: TaskFiles) -> Path:
    """Validate a task's files and keep the coordinates and labels in the cache, under the files' digest.

    Raises:
        BendError: Anything in the files that is not as declared.
    """
    path = file_tools.cache_dir("coordinates") / f"{files.task.name}-{files.digest}.arrow"
    file_tools.kept(path, lambda temporary: _write(files, temporary))
    shared, line = json.loads(batches(path).schema.metadata[SHARED.encode()])
    if shared:
        problem = (
            f"{files.bed}, line {line}: this window lies in another split as well: {counted(shared, 'window')} in all. "
            "A model is then tested on what it was trained on"
        )
        if files.strict:
            raise BendError(f"{problem}: remove them, or leave out strict (--strict).")
        _warn_once(f"{problem}; strict=True (--strict) makes this an error.")
    return path


@cache
def _warn_once(message: str) -> None:
    log.warning(message)


def _write(files: TaskFiles, path: Path) -> None:
    with files.unchanged():
        tables = read(files, Genome(files.fasta))
    counts = {name: len(table) for name, table in tables.items()}
    schema = next(iter(tables.values())).schema
    schema = schema.with_metadata({**schema.metadata, "splits": json.dumps(counts)})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for table in tables.values():
            for start, stop in _bounds(files.task, table):
                [batch] = table.slice(start, stop - start).combine_chunks().to_batches()
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def seal(folder: str, later: str) -> None:
    """Seal the folder of a built dataset, which gets another name afterwards."""
    file_tools.seal_folder(Path(folder), Path(later))


def discard_damaged(folder: str) -> None:
    """Remove a built dataset that is not what was written, aloud; it is built again then."""
    from huggingface_hub.utils import WeakFileLock

    path = Path(folder)
    if not path.is_dir() or file_tools.damage(path) is None:
        return
    with WeakFileLock(f"{folder}_builder.lock"):  # the lock of `datasets` for whoever builds there
        if path.is_dir() and (problem := file_tools.damage(path)):
            log.warning("%s: %s. It is made again.", path, problem)
            shutil.rmtree(path)


def _bounds(task: Task, table: pa.Table) -> list[tuple[int, int]]:
    """Cut a split into runs of rows of about `BASES_PER_BATCH` bases."""
    if not len(table):
        return []
    if task.window is not None:
        rows_at_once = max(1, BASES_PER_BATCH // task.window)
        cuts = np.arange(0, len(table), rows_at_once)
    else:
        bases = np.cumsum(table["end"].to_numpy() - table["start"].to_numpy())
        cuts = np.flatnonzero(np.diff(bases // BASES_PER_BATCH, prepend=-1))
    edges = [*cuts.tolist(), len(table)]
    return list(itertools.pairwise(edges))


def batches(path: Path) -> pa.ipc.RecordBatchFileReader:
    """Open a prepared file: ``get_batch(i)`` reads from a memory map."""
    return pa.ipc.open_file(pa.memory_map(str(path)))


def batches_per_split(path: Path) -> dict[str, list[int]]:
    """Return the positions of each split's batches in a prepared file."""
    reader = batches(path)
    counts: dict[str, int] = json.loads(reader.schema.metadata[b"splits"])
    positions = iter(range(reader.num_record_batches))
    split_batches: dict[str, list[int]] = {}
    for name, remaining in counts.items():
        split_batches[name] = []
        while remaining:
            position = next(positions)
            split_batches[name].append(position)
            remaining -= reader.get_batch(position).num_rows
    return split_batches


def rows_per_split(files: TaskFiles) -> dict[str, int]:
    """Return the number of rows of each split, validating the files if that was not done before."""
    counts: dict[str, int] = json.loads(batches(prepare(files)).schema.metadata[b"splits"])
    return counts


def facts(files: TaskFiles) -> dict[str, Any]:
    """Return what a card or a result says of a dataset, validating the files if that was not done before.

    Returns:
        ``task dataset config version build``, ``build_known`` (how it is known that the genome is of that build),
        ``digest`` (of the rows), ``files`` (name → SHA-256 of ``bed``, ``hdf5`` and ``genome``), ``rows`` and
        ``declared_rows`` (split → number), all JSON-able.
    """
    task = files.task
    return {
        "task": task.name,
        "dataset": task.dataset,
        "config": task.config,
        "version": task.version,
        "build": task.build,
        "build_known": files.build_known,
        "digest": files.digest,
        "files": dict(files.digests),
        "rows": rows_per_split(files),
        "declared_rows": dict(task.rows),
    }


def describe(files: TaskFiles) -> str:
    """Return the description of a dataset, which carries the digests of its rows and of what they are made from."""
    task = files.task
    digests = "".join(f"; {name} sha256:{value}" for name, value in files.digests.items())
    return (
        f"{'BEND (2024 tasks), ' if task in BEND else ''}{task.title}. {task.summary}\n"
        f"Genome {task.build}; coordinates 0-based half-open; rows sha256:{files.digest}{digests}."
    )


def described_digest(description: str) -> str | None:
    """Return the rows' digest from ``dataset.info.description``, or None if it has none."""
    found = re.search(r"\brows sha256:([0-9a-f]{64})\b", description)
    return found and found[1]


def generate(files: TaskFiles, coordinates: Path, positions: Iterable[int]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the dataset's rows, batch by batch.

    Args:
        files: What to build from.
        coordinates: The prepared file (see `prepare`).
        positions: Batches of it.

    Raises:
        BendError: The genome was changed since it was looked at, or while rows were made.
    """
    with files.unchanged("genome"):
        genome = Genome(files.fasta)
        reader = batches(coordinates)

        def rows_at(position: int) -> tuple[int, pa.Table]:
            return position, make_rows(files.task, reader.get_batch(position), genome)

        yield from prefetch(rows_at, positions, ahead=1)  # the next batch is made while one is written


def make_rows(task: Task, batch: pa.RecordBatch, genome: Genome) -> pa.Table:
    """Return the dataset's rows for a batch of coordinates."""
    chromosomes = batch["chromosome"].dictionary_encode()
    code_of = np.array([genome.code(name) for name in chromosomes.dictionary.to_pylist()], dtype=np.int64)
    codes = code_of[chromosomes.indices.to_numpy()]
    start = batch["start"].to_numpy()
    columns = {name: batch[name] for name in batch.schema.names}
    if task.kind.variants:
        if "Consequence" in columns:
            columns["consequence"] = columns.pop("Consequence")
        columns |= _contexts(genome, codes, start, batch["alt"])
        columns["variant_offset"] = pa.array(np.full(len(start), VARIANT_OFFSET, dtype=np.int64))
    else:
        minus = pc.equal(batch["strand"], "-").to_numpy(zero_copy_only=False) if task.stranded else None
        letters, offsets = genome.gather(codes, start, batch["end"].to_numpy(), minus=minus)
        columns["sequence"] = _strings(letters, offsets)
        if minus is not None:
            columns[task.kind.column] = task.kind.turn(task, columns[task.kind.column], minus)
    return pa.table(columns)


def _contexts(genome: Genome, codes: np.ndarray, position: np.ndarray, alt: pa.Array) -> dict[str, pa.Array]:
    """Gather 1,024 bp around variants, N beyond the chromosome, with the reference and the alternate allele."""
    start, end = position - VARIANT_OFFSET, position + VARIANT_OFFSET
    letters, offsets = genome.gather(codes, start, end, pad=True)
    changed = letters.reshape(len(position), -1).copy()
    changed[:, VARIANT_OFFSET] = np.array(alt.to_pylist(), dtype="S1").view(np.uint8)
    return {"ref_sequence": _strings(letters, offsets), "alt_sequence": _strings(changed, offsets)}


def _strings(letters: np.ndarray, offsets: np.ndarray) -> pa.StringArray:
    """Make Arrow strings of ASCII letters without copying them."""
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(letters))
