"""Making the shards of a store: claimed, resumed, checked, copied from other stores where they are there already.

    layout = fill(embedder, sequences, store_dir=Path("vectors"), share=(0, 8))   # one of eight machines' share
    layout.complete

Shards are claimed with file locks, which vanish with the process that holds them. On a file system without locks two
processes may make the same shard; either is right.
"""

from __future__ import annotations

import errno
import logging
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from bend_hf.checks import share_of_environment
from bend_hf.console import log, progress
from bend_hf.embed import shard
from bend_hf.embed.estimate import Estimate, estimate, size_text
from bend_hf.embed.interface import SequenceEmbedder
from bend_hf.embed.layout import Plan, plan
from bend_hf.embed.shard import Shard
from bend_hf.embed.vectors import Packed, Precision, distinct, embed_checked, pack, take
from bend_hf.errors import BendError
from bend_hf.files import read_json, write_json
from bend_hf.runtime import usable_cores
from bend_hf.text import counted

FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
POLL_SECONDS = 0.2

_this_process = threading.Lock()  # file locks tell processes apart, not threads


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
    share = share_of_environment() if share is None else share
    if not 0 <= share[0] < share[1]:
        raise BendError(f"Shard {share[0]}/{share[1]} of a store: give i/n with 0 <= i < n.")
    layout = plan(embedder, distinct(sequences), store_dir, precision)
    fill_plan(layout, embedder, sequences, share, limit_bytes, verify, wait)
    return layout


def fill_plan(
    layout: Plan,
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    share: tuple[int, int],
    limit_bytes: int | None,
    verify: bool,
    wait: bool,
) -> None:
    """Make the shards of a plan; see `fill`."""
    first, of = share
    numbers = list(range(first, layout.count, of))
    if wait:
        numbers += [number for number in range(layout.count) if number % of != first]
    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        checks = pool.map(lambda number: layout.check(number, full=verify), numbers)
        problems = list(progress(checks, name="bend_hf.embed", desc="checking", total=len(numbers), unit="shard"))
    pending = [number for number, problem in zip(numbers, problems, strict=True) if problem]
    if pending and not _affordable(layout, embedder, sequences, pending, limit_bytes):
        return
    if pending:
        _make_all(layout, pending, embedder, sequences, verify, wait)
    elif not first:
        log.info("%s: the vectors of %d sequences are in %s.", embedder.name, len(layout.found.inverse), layout.folder)
    _write_manifest(layout, embedder)


def _make_all(
    layout: Plan,
    pending: Sequence[int],
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    verify: bool,
    wait: bool,
) -> None:
    """Make shards until none is missing, or (without `wait`) none that no other process is making."""
    layout.folder.mkdir(parents=True, exist_ok=True)
    elsewhere = _Elsewhere(layout)
    total = sum(layout.nucleotides(number) for number in pending)
    bar = progress(name="bend_hf.embed", desc="embedding", total=total, unit="nt", unit_scale=True)
    with _this_process, bar, (layout.folder / ".lock").open("a+b") as locks:
        while pending:
            busy = []
            for number in pending:
                with _claim(locks, number) as (mine, alone):
                    if not mine:
                        busy.append(number)
                    elif problem := layout.check(number, full=verify):
                        _make(layout, number, problem, embedder, sequences, elsewhere, alone, bar)
                    else:  # made by another process meanwhile
                        bar.update(layout.nucleotides(number))
            if not wait:
                return
            if busy == pending:
                time.sleep(POLL_SECONDS)
            elif busy:
                log.info("waiting for %s that other processes make.", counted(len(busy), "shard"))
            pending = busy


def _affordable(
    layout: Plan,
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    pending: Sequence[int],
    limit_bytes: int | None,
) -> bool:
    """Say what the work will take, and whether it may be done."""
    if embedder.name == "onehot":
        log.info("onehot: made whenever it is read, never stored.")
        return False
    missing = sum(layout.nucleotides(number) for number in pending)
    tried = missing if share_of_environment()[0] == 0 else 0
    cost = estimate(embedder, sequences, layout.found, layout.precision, missing=tried)
    if limit_bytes is not None and cost.bytes > limit_bytes:
        say(embedder, cost, f"More than the limit of {size_text(limit_bytes)}: embedded again in every epoch.")
        return False
    parent = next(folder for folder in (layout.folder, *layout.folder.absolute().parents) if folder.exists())
    free = shutil.disk_usage(parent).free
    needed = round(cost.bytes * missing / max(cost.nucleotides, 1))
    if needed > free:
        raise BendError(
            f"{embedder.name}: {cost}. {size_text(needed)} are to be written to {layout.folder.parent}, which has "
            f"{size_text(free)} free: give another --store, or a --store-limit to embed in every epoch instead."
        )
    say(embedder, cost, f"{len(pending)} of {counted(layout.count, 'shard')} to make in {layout.folder}.")
    return True


def say(embedder: SequenceEmbedder, cost: Estimate, what: str) -> None:
    """Tell what the vectors take and what is done about it; the first process speaks for all."""
    log.log(logging.DEBUG if share_of_environment()[0] else logging.INFO, "%s: %s. %s", embedder.name, cost, what)


def _make(
    layout: Plan,
    number: int,
    problem: str,
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    elsewhere: _Elsewhere,
    alone: bool,
    bar: Any,
) -> None:
    """Make one shard."""
    path, rows = layout.path(number), layout.rows(number)
    if path.exists():
        log.warning("%s: %s. It is made again.", path, problem)
    if alone:
        _remove_left(path)
    digests = layout.found.digests[rows]
    copies = elsewhere.find(digests)
    kept = np.array([place in copies for place in range(len(digests))], bool)
    missing = take(sequences, layout.found.first[rows][~kept])

    def vectors() -> Iterator[tuple[Packed, np.ndarray]]:
        embedded = embed_checked(embedder, missing)
        for place, row in enumerate(layout.found.first[rows]):
            if place in copies:
                other, position = copies[place]
                yield other.packed(position)
            else:
                tokens = next(embedded)
                yield pack(tokens.vectors, layout.precision, f"{embedder.name}, sequence {row}"), tokens.lengths
            bar.update(int(layout.found.nucleotides[rows][place]))
        next(embedded, None)

    try:
        shard.write(path, vectors(), layout.label(number), digests, dim=layout.dim)
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise BendError(
            f"{path}: {error.strerror}; {size_text(shutil.disk_usage(layout.folder).free)} are free. Finished shards "
            "are kept: make room and go on, give another --store, or a --store-limit to embed in every epoch instead."
        ) from error
    layout.trust(number)


def _write_manifest(layout: Plan, embedder: SequenceEmbedder) -> None:
    """Describe the store, once all shards are there; a description that is right is left alone."""
    if any(layout.check(number, full=False) for number in range(layout.count)):
        return
    headers = [shard.read_header(layout.path(number)) for number in range(layout.count)]
    manifest = {
        "key": dict(layout.key),
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
    path = layout.folder / "manifest.json"
    try:
        if read_json(path)["shards"] == manifest["shards"]:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    with _this_process, (layout.folder / ".lock").open("a+b") as locks:
        while True:
            with _claim(locks, layout.count) as (mine, alone):
                if alone:
                    _remove_left(path)
                if mine:
                    return write_json(path, manifest)
            time.sleep(POLL_SECONDS)


def _remove_left(path: Path) -> None:
    """Remove what processes that were killed while they wrote a file left beside it; nobody else may be writing it."""
    for left in path.parent.glob(f".{path.name}.*.partial"):
        left.unlink(missing_ok=True)


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
                if shard.check(path, {"kind": layout.kind}, full=False):
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
                self._open[path] = None if shard.check(path, {}) else Shard(path)
            other = self._open[path]
            if other is not None:
                found[place] = other, row
        return found
