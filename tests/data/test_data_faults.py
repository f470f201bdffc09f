"""A killed process, a full disk, two builders at once: what is left is whole, or is not trusted."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
from data_folder import DataFolder

from bend_hf.data import rows
from bend_hf.data.builder import build
from bend_hf.data.sources import TaskFiles
from bend_hf.errors import BendError

KILLS = int(os.environ.get("BEND_HF_TEST_KILLS", "8"))


def many_rows(data: DataFolder, n_rows: int = 8_000) -> None:
    header = "chromosome\tstart\tend\tscore\t-\tstrand\tlabel\tsplit\n"
    data.bed("histone_modification").write_text(
        header
        + "".join(
            f"chr1\t{i}\t{i + 512}\t.\t1\t{'+-'[i % 2]}\t{i % 18}\t{'train' if i % 3 else 'test'}\n"
            for i in range(n_rows)
        )
    )


def _build(files: TaskFiles, caches: Path, num_proc: int | None) -> None:
    os.setsid()
    os.environ["BEND_HF_CACHE"] = str(caches.parent / "cache")
    build(files, cache_dir=caches, num_proc=num_proc)


def start(files: TaskFiles, caches: Path, num_proc: int | None = None) -> multiprocessing.Process:
    """Build in a process (and its children) that can be killed as a group."""
    process = multiprocessing.get_context("fork").Process(target=_build, args=(files, caches, num_proc))
    process.start()
    return process


def test_killed_at_random_moments_then_built_again(
    data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BASES_PER_BATCH", 20_000)
    many_rows(data)
    files = data.files("histone_modification")
    expected = build(files, cache_dir=caches)
    undisturbed = {}
    for num_proc in (None, 2):
        begin = time.perf_counter()
        start(files, caches.parent / f"undisturbed{num_proc}" / "datasets", num_proc).join()
        undisturbed[num_proc] = time.perf_counter() - begin
    rng = random.Random(0)
    killed = 0
    for attempt in range(KILLS):
        num_proc = (None, 2)[attempt % 2]
        root = caches.parent / f"killed{attempt}"
        root.mkdir()
        process = start(files, root / "datasets", num_proc)
        time.sleep(rng.uniform(0.01, undisturbed[num_proc]))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        monkeypatch.setenv("BEND_HF_CACHE", str(root / "cache"))
        rebuilt = build(files, cache_dir=root / "datasets")
        assert list(rebuilt) == list(expected)
        for split in expected:
            assert rebuilt[split].data.table.equals(expected[split].data.table)
        folder = root / "datasets" / "bend_hf___histone_modification" / "default" / "1.0.0" / files.digest
        read = {Path(file["filename"]) for split in rebuilt.values() for file in split.cache_files}
        assert set(folder.iterdir()) == {folder / ".seal", folder / "dataset_info.json", *read}, (
            "no file of the killed run is left"
        )
        assert not list(folder.parent.glob("*.incomplete"))
    assert killed > KILLS // 3


def test_what_a_killed_run_left_does_not_reach_the_dataset(data: DataFolder, caches: Path) -> None:
    files = data.files("cpg_methylation")
    folder = caches / "bend_hf___cpg_methylation" / "default" / "1.0.0" / f"{files.digest}.incomplete"
    folder.mkdir(parents=True)
    (folder / "cpg_methylation-train-00000-of-00002.arrow").write_bytes(b"half a file")
    build(files, cache_dir=caches)
    final = folder.with_name(files.digest)
    assert {path.name for path in final.iterdir()} == {
        ".seal",
        "dataset_info.json",
        *(f"cpg_methylation-{split}.arrow" for split in ("train", "validation", "test")),
    }


@pytest.mark.parametrize("limit", [100_000, 1_000_000], ids=["while validating", "while gathering"])
def test_a_full_disk_leaves_nothing_partial(data: DataFolder, caches: Path, limit: int) -> None:
    """A limit on the size of files fails as a full disk does, in the middle of a write."""
    many_rows(data)
    files = data.files("histone_modification")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(BendError, match=r"The disk is full.*Nothing partial was kept"):
            build(files, cache_dir=caches)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    left = [path for path in caches.parent.rglob("*") if path.is_file() and data.folder not in path.parents]
    assert not [path for path in left if path.suffix == ".partial" or "incomplete" in str(path)]
    assert not [path for path in left if path.is_relative_to(caches) and path.suffix == ".arrow"]
    built = build(files, cache_dir=caches)
    assert [len(split) for split in built.values()] == [5_333, 2_667]


def test_a_full_disk_while_writing_the_index(data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pyfaidx.TemporaryFile", full)
        with pytest.raises(BendError, match=r"any.fa.fai cannot be written: the disk is full"):
            build(data.files("cpg_methylation"), cache_dir=caches)
    assert [path.name for path in data.fasta.parent.iterdir()] == ["any.fa"]


def test_two_processes_build_one_dataset_at_once(data: DataFolder, caches: Path) -> None:
    many_rows(data)
    files = data.files("histone_modification")
    processes = [start(files, caches) for _ in range(3)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert rows.rows_per_split(files) == {"train": 5_333, "validation": 0, "test": 2_667}
    assert [len(split) for split in build(files, cache_dir=caches).values()] == [5_333, 2_667]


class TestDamagedCaches:
    @pytest.mark.parametrize("kind", ["rows", "description", "coordinates"])
    @pytest.mark.parametrize("harm", ["flipped", "cut", "deleted", "emptied"])
    def test_are_made_again_to_the_same_rows(
        self, data: DataFolder, caches: Path, caplog: pytest.LogCaptureFixture, kind: str, harm: str
    ) -> None:
        files = data.files("cpg_methylation")
        expected = {name: split.to_list() for name, split in build(files, cache_dir=caches).items()}
        folder = caches / "bend_hf___cpg_methylation" / "default" / "1.0.0" / files.digest
        if kind == "coordinates":
            shutil.rmtree(folder)  # what is built of them is right, and is used
        victim = {
            "rows": folder / "cpg_methylation-train.arrow",
            "description": folder / "dataset_info.json",
            "coordinates": rows.prepare(files),
        }[kind]
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        {
            "flipped": lambda: victim.write_bytes(content),
            "cut": lambda: victim.write_bytes(content[:-100]),
            "deleted": victim.unlink,
            "emptied": lambda: victim.write_bytes(b""),
        }[harm]()
        caplog.clear()
        again = build(data.files("cpg_methylation"), cache_dir=caches)
        assert {name: split.to_list() for name, split in again.items()} == expected
        assert "It is made again" in caplog.text

    def test_derived_rows_beside_a_dataset_do_not_condemn_it(
        self, data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = data.files("cpg_methylation")
        build(files, cache_dir=caches)["train"].map(lambda row: {"length": len(row["sequence"])})
        monkeypatch.setattr(rows, "make_rows", None)
        assert len(build(data.files("cpg_methylation"), cache_dir=caches)["train"]) == 20

    @pytest.mark.parametrize("what", ["bed", "genome"])
    @pytest.mark.parametrize("num_proc", [None, 2])
    def test_a_file_swapped_during_a_build_poisons_nothing(
        self, data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch, what: str, num_proc: int | None
    ) -> None:
        files = data.files("cpg_methylation")
        whole = files.paths[what].read_bytes()
        name, change = {"bed": ("read", (b"\ttrain", b"\ttest")), "genome": ("make_rows", (b"A", b"C"))}[what]
        original = getattr(rows, name)

        def swapping(*arguments: object) -> object:
            files.paths[what].write_bytes(whole.replace(*change))
            return original(*arguments)

        with monkeypatch.context() as patch, pytest.raises(BendError, match="was changed while it was read"):
            patch.setattr(rows, name, swapping)
            build(files, cache_dir=caches, num_proc=num_proc)
        assert not list(caches.rglob("*.arrow"))
        files.paths[what].write_bytes(whole)
        swapped = build(data.files("cpg_methylation"), cache_dir=caches)
        undisturbed = build(data.files("cpg_methylation"), cache_dir=caches.parent / "undisturbed")
        assert swapped["train"].to_list() == undisturbed["train"].to_list()


def test_a_killed_worker_is_one_clear_error(data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BASES_PER_BATCH", 2_000)  # several batches, so that there are workers
    files = data.files("cpg_methylation")
    rows.prepare(files)
    parent = os.getpid()

    def killed(*_: object) -> None:
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch, pytest.raises(BendError, match=r"cpg_methylation: a process .* was killed"):
        patch.setattr(rows, "make_rows", killed)
        build(files, cache_dir=caches, num_proc=2)
    assert len(build(files, cache_dir=caches, num_proc=2)["train"]) == 20
