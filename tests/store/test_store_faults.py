"""What a store survives: killed and dying workers, a full disk, damaged files, several processes at once."""

from __future__ import annotations

import errno
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fake_embedder
import numpy as np
import pytest
from fake_embedder import FakeEmbedder, sequences
from test_store import same

from bend_hf.embed import filling, store
from bend_hf.embed.layout import _sound, plan
from bend_hf.embed.vectors import distinct
from bend_hf.errors import BendError, DataError

WORKER = str(Path(fake_embedder.__file__).resolve())
ROOT = str(Path(store.__file__).resolve().parents[2])


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bend_hf.embed.layout.SMALLEST_SHARD", 2048)
    monkeypatch.setattr(filling, "POLL_SECONDS", 0.01)
    _sound.clear()


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.name != ".lock"}


def worker(folder: Path, count: int, pause: float, *share: str, **variables: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, WORKER, str(folder), str(count), str(pause), *share]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def flip(path: Path, byte: int, bit: int = 0) -> None:
    with path.open("r+b") as handle:
        handle.seek(byte)
        value = handle.read(1)[0]
        handle.seek(byte)
        handle.write(bytes([value ^ (1 << bit)]))


def test_a_shard_that_is_changed_under_its_old_time_is_made_again(tmp_path: Path) -> None:
    """As a copy that keeps times does: this process has checked the shard before, and checks it again."""
    rows = sequences(40)
    layout = store.fill(FakeEmbedder(), rows, store_dir=tmp_path)
    before, path = content(layout.folder), layout.path(0)
    status = path.stat()
    flip(path, 4100)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert content(layout.folder) != before
    assert content(store.fill(FakeEmbedder(), rows, store_dir=tmp_path).folder) == before


@pytest.mark.parametrize("name", ["manifest.json", "shard-00000-of-{count:05d}.safetensors"])
def test_what_a_killed_process_left_of_a_file_is_removed(tmp_path: Path, name: str) -> None:
    rows = sequences(40)
    layout = store.fill(FakeEmbedder(), rows, store_dir=tmp_path)
    before = content(layout.folder)
    path = layout.folder / name.format(count=layout.count)
    path.rename(layout.folder / f".{path.name}.{'0' * 32}.partial")
    _sound.clear()
    assert content(store.fill(FakeEmbedder(), rows, store_dir=tmp_path).folder) == before


def test_killed_at_100_random_moments_and_resumed(tmp_path: Path) -> None:
    """Every run is a fork of this process that is killed somewhere in the middle; the last one is left alone."""
    rows = sequences(60)
    undisturbed = store.fill(FakeEmbedder(), rows, store_dir=tmp_path / "undisturbed")
    killed = finished = 0
    for seed in range(100):
        rng = random.Random(seed)
        folder = tmp_path / f"killed-{seed}"
        for _ in range(2):
            child = os.fork()
            if child == 0:
                try:
                    store.fill(FakeEmbedder(pause=0.0003), rows, store_dir=folder, wait=True)
                finally:
                    os._exit(0)
            time.sleep(rng.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            killed += os.WIFSIGNALED(status)
            finished += os.WIFEXITED(status)
            for path in folder.glob("*/shard-*"):  # no shard stands under its name that is not whole
                assert path.read_bytes() == (undisturbed.folder / path.name).read_bytes()
        layout = store.fill(FakeEmbedder(), rows, store_dir=folder, wait=True)
        assert layout.complete
        assert content(layout.folder) == content(undisturbed.folder)
    assert killed > 100, f"{killed} of 200 runs were killed, {finished} finished before"


def test_a_resumed_run_embeds_only_what_is_missing(tmp_path: Path) -> None:
    rows = sequences(60)
    layout = store.fill(FakeEmbedder(), rows, store_dir=tmp_path)
    layout.path(2).unlink()
    (layout.folder / "manifest.json").unlink()
    embedder = FakeEmbedder()
    assert store.fill(embedder, rows, store_dir=tmp_path).complete
    assert embedder.calls == rows[layout.rows(2)]


def test_two_processes_fill_one_store_at_once(tmp_path: Path) -> None:
    alone = store.fill(FakeEmbedder(), sequences(200), store_dir=tmp_path / "alone")
    workers = [worker(tmp_path / "both", 200, 0.002) for _ in range(2)]
    assert [process.communicate(timeout=300)[0].strip() for process in workers] == ["True", "True"]
    assert content(next((tmp_path / "both").iterdir())) == content(alone.folder)


def test_the_share_of_a_worker_that_died_is_made_by_the_others(tmp_path: Path) -> None:
    rows = sequences(200)
    dying = worker(tmp_path, 200, 0.02, "0/1")
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/shard-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    child = os.fork()
    if child == 0:  # this one meets shards claimed by the other, and waits for them
        try:
            store.fill(FakeEmbedder(), rows, store_dir=tmp_path, wait=True)
        finally:
            os._exit(0)
    time.sleep(0.2)
    dying.kill()
    dying.communicate()
    assert os.waitpid(child, 0)[1] == 0
    embedder = FakeEmbedder()
    assert store.fill(embedder, rows, store_dir=tmp_path).complete
    assert embedder.calls == []


def test_a_claimed_shard_is_left_to_its_process(tmp_path: Path) -> None:
    rows = sequences(60)
    layout = plan(FakeEmbedder(), distinct(rows), tmp_path)
    layout.folder.mkdir(parents=True)
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with (layout.folder / ".lock").open("a+b") as locks, filling._claim(locks, 1) as claim:
            os.write(ready[1], b"1" if claim == (True, True) else b"0")
            os.read(go[0], 1)
        os._exit(0)
    assert os.read(ready[0], 1) == b"1"
    store.fill(FakeEmbedder(), rows, store_dir=tmp_path)
    assert [layout.path(number).exists() for number in range(3)] == [True, False, True]
    os.write(go[1], b"1")
    os.waitpid(child, 0)
    assert store.fill(FakeEmbedder(), rows, store_dir=tmp_path).complete


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none)
    assert store.fill(FakeEmbedder(), sequences(60), store_dir=tmp_path, wait=True).complete


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sequences(60)
    embedder = FakeEmbedder()
    write, written = filling.shard.write, []

    def full(path: Path, *arguments: object, **options: object) -> str:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return write(path, *arguments, **options)

    monkeypatch.setattr(filling.shard, "write", full)
    with pytest.raises(BendError, match=r"No space left on device; .* are free. Finished shards are kept: make room"):
        store.fill(embedder, rows, store_dir=tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*/*") if path.name != ".lock") == [p.name for p in written]
    monkeypatch.undo()
    monkeypatch.setattr("bend_hf.embed.layout.SMALLEST_SHARD", 2048)
    embedder = FakeEmbedder()
    layout = store.fill(embedder, rows, store_dir=tmp_path)
    assert layout.complete
    assert embedder.calls == rows[layout.rows(3).start :]


def test_a_file_that_may_not_grow_leaves_nothing_behind(tmp_path: Path) -> None:
    """The operating system itself refuses to write on (RLIMIT_FSIZE), in the middle of a shard."""
    rows = ["ACGT" * 2000]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(BendError, match="File too large"):
            store.fill(FakeEmbedder(), rows, store_dir=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.glob("*/*")] == [".lock"]
    assert store.fill(FakeEmbedder(), rows, store_dir=tmp_path).complete


@pytest.mark.parametrize("damage", ["deleted", "truncated", "longer", "emptied", "flipped", "header flipped"])
@pytest.mark.parametrize("with_manifest", [True, False])
def test_a_damaged_shard_is_found_said_and_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str, with_manifest: bool
) -> None:
    rows = sequences(60)
    layout = store.fill(FakeEmbedder(), rows, store_dir=tmp_path)
    whole = content(layout.folder)
    path = layout.path(1)
    size = path.stat().st_size
    if damage == "deleted":
        path.unlink()
    elif damage == "flipped":
        flip(path, 4096 + (size - 4096) // 2)
    elif damage == "header flipped":
        flip(path, 100)
    else:
        os.truncate(path, {"truncated": size - 100, "longer": size + 1, "emptied": 0}[damage])
    if not with_manifest:
        (layout.folder / "manifest.json").unlink()
    _sound.clear()
    embedder = FakeEmbedder()
    with caplog.at_level(logging.WARNING, "bend_hf"):
        source = store.vectors_for(embedder, rows, store_dir=tmp_path, memory_bytes=0)
    assert embedder.calls == rows[layout.rows(1)]
    assert content(layout.folder) == whole
    assert same(source.read(range(60)), list(FakeEmbedder().embed(rows)))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (damage != "deleted")
    assert all(str(path) in message and message.endswith("It is made again.") for message in said)


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    layout = store.fill(FakeEmbedder(dim=4), ["ACGTACGTACGT", "TTTTT"], store_dir=tmp_path)
    path = layout.path(0)
    rng = np.random.default_rng(0)
    size = path.stat().st_size
    places = [*range(200), *range(4096, size), *rng.integers(200, 4096, 100).tolist()]
    for byte in places:
        bit = int(rng.integers(8))
        flip(path, byte, bit)
        assert layout.check(0) is not None, f"bit {bit} of byte {byte}"
        flip(path, byte, bit)
    _sound.clear()
    assert layout.check(0) is None


def test_a_fast_opening_sees_missing_and_truncated_shards(tmp_path: Path) -> None:
    layout = store.fill(FakeEmbedder(), sequences(60), store_dir=tmp_path)
    _sound.clear()
    flip(layout.path(0), 4100)
    store.Store(layout)
    os.truncate(layout.path(0), 5000)
    with pytest.raises(BendError, match=r"it has 5,000 bytes, not .* fill the store again"):
        store.Store(layout)
    layout.path(0).unlink()
    with pytest.raises(BendError, match="it is missing"):
        store.Store(layout)


def test_a_damaged_manifest_is_written_again(tmp_path: Path) -> None:
    layout = store.fill(FakeEmbedder(), sequences(60), store_dir=tmp_path)
    manifest = layout.folder / "manifest.json"
    before = manifest.read_text()
    manifest.write_text("{")
    store.vectors_for(FakeEmbedder(), sequences(60), store_dir=tmp_path)
    assert manifest.read_text() == before


def test_two_ranks_of_a_launcher_end_with_one_whole_store(tmp_path: Path) -> None:
    alone = store.fill(FakeEmbedder(), sequences(60), store_dir=tmp_path / "alone")
    ranks = [worker(tmp_path / "both", 60, 0.001, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    assert [process.communicate(timeout=300)[0].strip() for process in ranks] == ["True", "True"]
    assert content(next((tmp_path / "both").iterdir())) == content(alone.folder)


def test_a_store_of_many_shards_keeps_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bend_hf.embed.layout.LARGEST_SHARD", 2048)
    rows = sequences(150)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = len([*Path("/proc/self/fd").iterdir()]) if Path("/proc/self/fd").exists() else 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (held + 20, before[1]))
    try:
        source = store.Store(store.fill(FakeEmbedder(), rows, store_dir=tmp_path))
        tokens = source.read(range(150))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert len(list(tmp_path.glob("*/shard-*"))) > 30
    assert same(tokens, list(FakeEmbedder().embed(rows)))


def test_two_threads_fill_one_store(tmp_path: Path) -> None:
    rows = sequences(60)
    with ThreadPoolExecutor(2) as pool:
        made = [
            pool.submit(store.fill, FakeEmbedder(pause=0.001), rows, store_dir=tmp_path, wait=True) for _ in range(2)
        ]
        assert [future.result().complete for future in made] == [True, True]


def test_what_a_reader_changes_does_not_reach_the_file(tmp_path: Path) -> None:
    layout = store.fill(FakeEmbedder(), sequences(3), store_dir=tmp_path)
    before = layout.path(0).read_bytes()
    store.Store(layout).read([0])[0].vectors.zero_()
    assert layout.path(0).read_bytes() == before


def test_a_shard_cut_short_under_its_reader_is_one_error_and_made_again(tmp_path: Path) -> None:
    """Below the kernel it would be SIGBUS, which no program survives."""
    rows = sequences(60)
    source = store.vectors_for(FakeEmbedder(), rows, store_dir=tmp_path, memory_bytes=0)
    source.read([59])
    last = sorted(tmp_path.glob("*/shard-*"))[-1]
    os.truncate(last, 4096)
    with pytest.raises(DataError, match="cut short while it was in use"):
        source.read([59])
    again = store.vectors_for(FakeEmbedder(), rows, store_dir=tmp_path, memory_bytes=0)
    assert same(again.read(range(60)), list(FakeEmbedder().embed(rows)))
