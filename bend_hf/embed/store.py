"""The store: token vectors on disk, filled by any number of processes, resumed after anything, checked when opened.

    source = vectors_for(embedder, sequences, store_dir=Path("vectors"), limit_bytes=parse_size("50GB"))
    source.read([3, 1, 4])                                           # rows at random, mapped from disk

    fill(embedder, sequences, store_dir=Path("vectors"), share=(0, 8))   # one of eight machines' share, no more

A store is the folder ``<store_dir>/<key>/`` of ``shard-00007-of-00032.safetensors`` and ``manifest.json``, which is
written last. The key is a digest of the distinct sequences, of what decides the model's vectors
(``provenance()["key"]``) and of the precision they are kept in: what was made with other settings has another key, and
so has everything after a change of BED, genome or checkpoint. Which process makes a shard, where and in which batches
is no part of it.

Shards are claimed with file locks, which vanish with the process that holds them. On a file system without locks two
processes may make the same shard; either is right. Sequences that a shard of another store of the same model holds
(another task, another split, a subset) are copied from there instead of being embedded again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from bend_hf.console import log, progress
from bend_hf.embed import shard as shards
from bend_hf.embed.embedder import Tokens
from bend_hf.embed.estimate import estimate, free_memory, parse_size, size_text
from bend_hf.embed.shard import Shard
from bend_hf.embed.vectors import (
    Distinct,
    InMemory,
    OnTheFly,
    Packed,
    Precision,
    VectorSource,
    distinct,
    embed_checked,
    pack,
)
from bend_hf.errors import BendError
from bend_hf.files import digest_of, write_json

if TYPE_CHECKING:
    from bend_hf.embed.embedder import SequenceEmbedder

__all__ = ["InMemory", "OnTheFly", "Plan", "Store", "VectorSource", "fill", "parse_size", "plan", "vectors_for"]

FORMAT = 1
LARGEST_SHARD = 1 << 27  # values, if every nucleotide were a token: 256 MB at two bytes
SMALLEST_SHARD = 1 << 22
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
POLL_SECONDS = 0.2

_sound: dict[Path, tuple[int, int, int]] = {}  # shards this process has read and found right, as stat saw them


@dataclass(frozen=True)
class Plan:
    """A store before there is one: where it lies, what goes into it and how it is cut into shards.

    Attributes:
        folder: ``<store_dir>/<key>``.
        key: What the folder's name is the digest of.
        found: The distinct sequences.
        edges: (s + 1,) int64, shard k holds the distinct sequences edges[k] to edges[k + 1].
        dim: Width of the vectors.
        precision: As in `pack`.
    """

    folder: Path
    key: dict[str, Any]
    found: Distinct
    edges: np.ndarray
    dim: int
    precision: Precision

    @property
    def count(self) -> int:
        """Number of shards."""
        return len(self.edges) - 1

    @cached_property
    def kind(self) -> str:
        """Digest of what makes vectors interchangeable between stores: all of the key but the sequences."""
        return digest_of({name: value for name, value in self.key.items() if name != "sequences"})

    def path(self, number: int) -> Path:
        """File of a shard."""
        return self.folder / f"shard-{number:05d}-of-{self.count:05d}.safetensors"

    def rows(self, number: int) -> slice:
        """The distinct sequences of a shard."""
        return slice(int(self.edges[number]), int(self.edges[number + 1]))

    def label(self, number: int) -> dict[str, str]:
        """What the header of a shard says it is."""
        return {"store": self.folder.name, "shard": f"{number}/{self.count}", "kind": self.kind}

    def check(self, number: int, *, full: bool = True) -> str | None:
        """Say what is wrong with a shard, or None; what this process has checked is not read again."""
        path = self.path(number)
        if path.exists() and _sound.get(path) == _stamp(path):
            return None
        problem = shards.check(path, self.label(number), self.found.digests[self.rows(number)], full=full)
        if problem is None and full:
            _sound[path] = _stamp(path)
        return problem

    @property
    def complete(self) -> bool:
        """Whether the manifest is there and no shard is missing or plainly damaged."""
        return (self.folder / "manifest.json").is_file() and not any(
            self.check(number, full=False) for number in range(self.count)
        )


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def plan(embedder: SequenceEmbedder, found: Distinct, store_dir: Path, precision: Precision = "auto") -> Plan:
    """Lay out the store of some sequences: the same on every machine that sees the same sequences and model."""
    key = {
        "format": FORMAT,
        "sequences": hashlib.sha256(found.digests.tobytes()).hexdigest(),
        "vectors": embedder.provenance()["key"],
        "precision": precision,
    }
    values = found.nucleotides * embedder.dim
    size = min(max(int(values.sum()) // 8, SMALLEST_SHARD), LARGEST_SHARD)
    number = (np.cumsum(values) - values) // size
    edges = np.append(np.flatnonzero(np.diff(number, prepend=-1)), len(values))
    return Plan(Path(store_dir) / digest_of(key)[:32], key, found, edges, embedder.dim, precision)


def share_of_environment() -> tuple[int, int]:
    """Rank and number of processes, as ``accelerate launch`` and ``torchrun`` tell them; (0, 1) without."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


class Store:
    """A complete store, mapped into memory: rows at random, nothing copied but what is read.

    Raises:
        BendError: A shard is missing or plainly damaged; `fill` makes it again.
    """

    def __init__(self, layout: Plan) -> None:
        for number in range(layout.count):
            if problem := layout.check(number, full=False):
                raise BendError(f"{layout.path(number)}: {problem}; fill the store again to make it.")
        self._layout = layout
        self.dim = layout.dim
        self._shards = [Shard(layout.path(number)) for number in range(layout.count)]
        counts = [np.diff(part.offsets) for part in self._shards]
        self.lengths_in_tokens = np.concatenate([np.empty(0, np.int64), *counts])[layout.found.index]

    def __reduce__(self) -> tuple[type[Store], tuple[Plan]]:
        return Store, (self._layout,)

    def __len__(self) -> int:
        return len(self._layout.found.index)

    def read(self, rows: Sequence[int]) -> list[Tokens]:
        """Return the vectors (views of the mapped files) and run lengths of some rows, in the order asked for."""
        edges = self._layout.edges
        places = self._layout.found.index[np.asarray(rows, np.int64)]
        numbers = np.searchsorted(edges, places, "right") - 1
        pairs = zip(numbers.tolist(), (places - edges[numbers]).tolist(), strict=True)
        return [self._shards[number].read(row) for number, row in pairs]


def vectors_for(
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    *,
    store_dir: Path | None = None,
    limit_bytes: int | None = None,
    memory_bytes: int | None = None,
    precision: Precision = "auto",
    verify: bool = True,
) -> VectorSource:
    """Give the token vectors of some sequences: from a store, from memory, or computed whenever they are read.

    With `store_dir` they are stored, and a store that is there is used. Without, they are held in memory where they
    fit. Beyond `limit_bytes`, or beyond the memory, they are computed on the fly in every epoch, to the same values.
    One-hot vectors, cheaper to make than to read, never go to disk. Size and time are said before work begins.

    Args:
        embedder: The model.
        sequences: One per row, in any order, with repetitions.
        store_dir: Folder of stores.
        limit_bytes: Most that may be kept, in memory or on disk.
        memory_bytes: Most that may be held in memory; by default a quarter of what is free, and at most 8 GB.
        precision: As in `pack`.
        verify: Read a store's shards and compare their SHA-256 (once per process); else size and header are trusted.

    Raises:
        BendError: The disk has no room for the store, or the model's vectors do not fit its sequences.
    """
    if store_dir is not None and embedder.name != "onehot":
        layout = fill(
            embedder,
            sequences,
            store_dir=store_dir,
            limit_bytes=limit_bytes,
            precision=precision,
            verify=verify,
            wait=True,
        )
        return Store(layout) if layout.complete else OnTheFly(embedder, sequences, precision)
    memory = free_memory() if memory_bytes is None else memory_bytes
    memory = memory if limit_bytes is None else min(memory, limit_bytes)
    cost = estimate(embedder, sequences, distinct(sequences), precision)
    if cost.bytes > memory:
        log.info("%s: %s. %s may be used: embedded again in every epoch.", embedder.name, cost, size_text(memory))
        return OnTheFly(embedder, sequences, precision)
    log.info("%s: %s, held in memory.", embedder.name, cost)
    return InMemory(embedder, sequences, precision)


def fill(
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    *,
    store_dir: Path,
    share: tuple[int, int] | None = None,
    limit_bytes: int | None = None,
    precision: Precision = "auto",
    verify: bool = True,
    wait: bool = False,
) -> Plan:
    """Make the missing and the damaged shards of a store.

    Args:
        embedder: The model; one-hot vectors are never stored.
        sequences: All sequences of the store, whatever the share; repetitions are stored once.
        store_dir: Folder of stores.
        share: (i, n): every n-th shard from i (0-based); None for the share of this process's rank.
        limit_bytes: Make nothing where the whole store would take more.
        precision: As in `pack`.
        verify: Read what is there and compare its SHA-256; else size and header are trusted.
        wait: Go on with other shares, those left by a process that died included, until the store is complete.

    Returns:
        The plan; its ``complete`` says whether the whole store is there.

    Raises:
        BendError: The disk is full or has no room; the vectors do not fit the sequences; the share makes no sense.
    """
    first, of = share_of_environment() if share is None else share
    if not 0 <= first < of:
        raise BendError(f"Shard {first}/{of} of a store: give i/n with 0 <= i < n.")
    layout = plan(embedder, distinct(sequences), store_dir, precision)
    numbers = list(range(first, layout.count, of))
    if wait:
        numbers += [number for number in range(layout.count) if number % of != first]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        problems = list(pool.map(lambda number: layout.check(number, full=verify), numbers))
    pending = [number for number, problem in zip(numbers, problems, strict=True) if problem]
    if pending and not _affordable(layout, embedder, sequences, pending, limit_bytes):
        return layout
    layout.folder.mkdir(parents=True, exist_ok=True)
    elsewhere = _Elsewhere(layout) if pending else None
    bar = progress(name="bend_hf.embed", desc="embedding", total=len(pending), unit="shard")
    with bar, (layout.folder / ".lock").open("a+b") as locks:
        while pending:
            busy = []
            for number in pending:
                with _claim(locks, number) as (mine, alone):
                    if mine and (problem := layout.check(number, full=verify)):
                        _make(layout, number, problem, embedder, sequences, elsewhere, alone)
                    bar.update(mine)
                    busy += [] if mine else [number]
            if wait and busy == pending:
                time.sleep(POLL_SECONDS)
            pending = busy if wait else []
    _write_manifest(layout, embedder)
    return layout


def _affordable(
    layout: Plan,
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    pending: Sequence[int],
    limit_bytes: int | None,
) -> bool:
    """Say what the work will take, and whether it may be done."""
    missing = sum(int(layout.found.nucleotides[layout.rows(number)].sum()) for number in pending)
    cost = estimate(embedder, sequences, layout.found, layout.precision, missing=missing)
    if embedder.name == "onehot":
        log.info("onehot: made whenever it is read, never stored.")
        return False
    if limit_bytes is not None and cost.bytes > limit_bytes:
        log.info(
            "%s: %s. More than the limit of %s: nothing is stored, they are embedded again in every epoch.",
            embedder.name,
            cost,
            size_text(limit_bytes),
        )
        return False
    parent = next(folder for folder in (layout.folder, *layout.folder.absolute().parents) if folder.exists())
    free = shutil.disk_usage(parent).free
    needed = round(cost.bytes * missing / max(cost.nucleotides, 1))
    if needed > free:
        raise BendError(
            f"{embedder.name}: {cost}. {size_text(needed)} are to be written to {layout.folder.parent}, which has "
            f"{size_text(free)} free: give another --store, or a --store-limit to embed in every epoch instead."
        )
    log.info("%s: %s. %d of %d shards to make in %s.", embedder.name, cost, len(pending), layout.count, layout.folder)
    return True


def _make(
    layout: Plan,
    number: int,
    problem: str,
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    elsewhere: _Elsewhere | None,
    alone: bool,
) -> None:
    """Make one shard."""
    path, rows = layout.path(number), layout.rows(number)
    if path.exists():
        log.warning("%s: %s. It is made again.", path, problem)
    if alone:  # nobody else is writing this shard: what lies beside it was left by a process that was killed
        for left in layout.folder.glob(f".{path.name}.*.partial"):
            left.unlink(missing_ok=True)
    digests = layout.found.digests[rows]
    copies = elsewhere.find(digests) if elsewhere else {}
    missing = [sequences[int(row)] for place, row in enumerate(layout.found.first[rows]) if place not in copies]

    def vectors() -> Iterator[tuple[Packed, np.ndarray]]:
        embedded = embed_checked(embedder, missing)
        for place, row in enumerate(layout.found.first[rows]):
            if place in copies:
                other, position = copies[place]
                yield other.packed(position)
            else:
                tokens = next(embedded)
                yield pack(tokens.vectors, layout.precision, f"{embedder.name}, sequence {row}"), tokens.lengths
        next(embedded, None)

    try:
        shards.write(path, vectors(), layout.label(number), digests, dim=layout.dim)
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise BendError(
            f"{path}: {error.strerror}; {size_text(shutil.disk_usage(layout.folder).free)} are free. Finished shards "
            "are kept: make room and go on, give another --store, or a --store-limit to embed in every epoch instead."
        ) from error
    _sound[path] = _stamp(path)


def _write_manifest(layout: Plan, embedder: SequenceEmbedder) -> None:
    """Describe the store, once all shards are there."""
    if any(layout.check(number, full=False) for number in range(layout.count)):
        return
    headers = [shards.read_header(layout.path(number)) for number in range(layout.count)]
    manifest = {
        "key": layout.key,
        "provenance": embedder.provenance(),
        "dim": layout.dim,
        "sequences": len(layout.found.first),
        "nucleotides": int(layout.found.nucleotides.sum()),
        "tokens": sum(header["vectors"]["shape"][0] for header in headers),
        "shards": [
            {
                "file": layout.path(number).name,
                "bytes": layout.path(number).stat().st_size,
                "sha256": header["__metadata__"]["sha256"],
                "sequences": header["digests"]["shape"][0],
                "tokens": header["vectors"]["shape"][0],
            }
            for number, header in enumerate(headers)
        ],
    }
    write_json(layout.folder / "manifest.json", manifest)


@contextmanager
def _claim(locks: IO[bytes], number: int) -> Iterator[tuple[bool, bool]]:
    """Lock byte `number` of a file: (whether the shard may be made here, whether nobody else can be making it)."""
    try:
        import fcntl

        fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
    except ImportError:  # Windows
        yield True, False
    except OSError as error:
        # EACCES or EAGAIN: another process has it. Anything else: this file system has no locks.
        yield error.errno not in (errno.EACCES, errno.EAGAIN), False
    else:
        try:
            yield True, True
        finally:
            fcntl.lockf(locks, fcntl.LOCK_UN, 1, number)


class _Elsewhere:
    """Sequences of a plan that other stores of the same kind hold already."""

    def __init__(self, layout: Plan) -> None:
        wanted = {digest.tobytes() for digest in layout.found.digests}
        self._where: dict[bytes, tuple[Path, int]] = {}
        self._open: dict[Path, Shard | None] = {}
        for folder in sorted(layout.folder.parent.iterdir()):
            for path in sorted(folder.glob("shard-*.safetensors")) if folder != layout.folder else ():
                if shards.check(path, {"kind": layout.kind}, full=False):
                    break  # of another model, or damaged: the rest of the folder is left alone
                for row, digest in enumerate(Shard(path).digests):
                    if digest.tobytes() in wanted:
                        self._where[digest.tobytes()] = path, row
        if self._where:
            log.info("%d of %d distinct sequences are in other stores already.", len(self._where), len(wanted))

    def find(self, digests: np.ndarray) -> dict[int, tuple[Shard, int]]:
        """Return place → (shard, row) of the sequences that a sound shard of another store holds."""
        found = {}
        for place, digest in enumerate(digests):
            path, row = self._where.get(digest.tobytes(), (None, 0))
            if path is None:
                continue
            if path not in self._open:
                self._open[path] = None if shards.check(path, {}) else Shard(path)
            other = self._open[path]
            if other is not None:
                found[place] = other, row
        return found
