"""Freed memory is kept for the next batch, unless the user says no or the allocator is another."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from operator import attrgetter
from pathlib import Path

import pytest
import tiny_models
import torch

from bend_hf.embed.embedder import Embedder
from bend_hf.runtime import (
    FLOAT32,
    UnwantedError,
    available_memory,
    core_limits,
    exact_float32,
    prefetch,
    side_by_side,
    usable_cores,
)

FAULTS = """
import resource
import numpy as np
from bend_hf.runtime import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        pair = [np.ones(2**22), np.ones(2**22)]  # 32 MiB each: beyond what glibc keeps by itself
        del pair
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
told = keep_freed_memory()
faults()
print(told, usual, faults())
"""


def run(**environment: str) -> tuple[bool, int, int]:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    told, usual, kept = done.stdout.split()
    return told == "True", int(usual), int(kept)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_pages_are_reused_instead_of_given_back():
    told, usual, kept = run()
    assert told
    assert kept < usual / 10


def test_the_allocator_is_left_alone_on_request():
    told, usual, kept = run(BEND_HF_KEEP_MEMORY="0")
    assert not told
    assert kept == pytest.approx(usual, rel=0.5)


@pytest.mark.skipif(platform.system() != "Linux", reason="only GNU's OpenMP on Linux is told")
def test_a_team_of_threads_ends_and_comes_back():
    code = """
import os, time, torch
from bend_hf.runtime import release_threads
count = lambda: len(os.listdir("/proc/self/task"))
torch.set_num_threads(4)
alone = count()
x = torch.ones(2**20)
first = (x * 2).sum().item()
working = count()
released = release_threads()
time.sleep(0.5)  # ending is not waited for
print(alone, working, count(), released, first == (x * 2).sum().item() == 2**21)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    alone, working, after, released, same = done.stdout.split()
    assert (released, same) == ("True", "True")
    assert int(working) > int(after) == int(alone)


@pytest.mark.skipif(platform.system() != "Linux", reason="only GNU's OpenMP on Linux is told")
def test_libraries_in_odd_places_are_no_error(tmp_path):
    code = """
import ctypes, shutil, sys, torch
from pathlib import Path
from bend_hf.runtime import release_threads
torch.ones(2**20).sum()
lines = Path("/proc/self/maps").read_text().splitlines()
known = [line.split(maxsplit=5)[5] for line in lines if "libgomp" in line]
copy = Path(sys.argv[1]) / "with a space" / "libgomp.so.1"
copy.parent.mkdir()
shutil.copy(known[0], copy)
ctypes.CDLL(str(copy))
print(release_threads(), str(copy) in Path("/proc/self/maps").read_text())
copy.unlink()
print(release_threads(), "(deleted)" in Path("/proc/self/maps").read_text())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 4


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux's file systems take any bytes for a name")
def test_names_that_are_no_text_are_no_error(tmp_path):
    """Such as a mapped genome's, in another encoding than the system's."""
    code = """
import mmap, os, sys, torch
from bend_hf.runtime import release_threads
torch.ones(2**20).sum()
path = os.path.join(os.fsencode(sys.argv[1]), b"genome-\\xe9.fa")
with open(path, "wb") as handle:
    handle.write(b"ACGT" * 2000)
with open(path, "rb") as handle:
    held = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
print(release_threads())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["True"]), done.stderr


def switches() -> list:
    named = [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32]
    if hasattr(torch.backends, "fp32_precision"):
        named += [attrgetter(path)(torch.backends).fp32_precision for path in FLOAT32]
    return named


EXACT = ["highest", False, *["ieee"] * (len(FLOAT32) if hasattr(torch.backends, "fp32_precision") else 0)]


@pytest.mark.parametrize("matmul", ["highest", "high", "medium"])
def test_float32_is_exact_in_a_block_and_as_the_user_has_it_behind(matmul):
    """Convolutions are in TF32 unless told otherwise; matrix products where the user says so."""
    torch.set_float32_matmul_precision(matmul)
    try:
        before = switches()
        assert before[1] is True
        with exact_float32():
            assert switches() == EXACT
        assert switches() == before
    finally:
        torch.set_float32_matmul_precision("highest")


def test_blocks_of_several_threads_overlap_and_the_last_one_restores():
    before, entered, leave = switches(), threading.Event(), threading.Event()

    def other():
        with exact_float32():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with exact_float32():
        thread.start()
        assert entered.wait(10)
    assert switches() == EXACT
    leave.set()
    thread.join()
    assert switches() == before


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="switches by operation are of torch 2.9")
def test_what_only_the_newer_switches_say_is_restored_too():
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # and the older switch cannot be read any more
    try:
        with exact_float32():
            assert torch.backends.cudnn.rnn.fp32_precision == "ieee"
        assert (torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.rnn.fp32_precision) == ("ieee", "tf32")
    finally:
        torch.backends.cudnn.allow_tf32 = True


def test_medium_precision_for_matrix_products_changes_no_vector():
    """On processors with bfloat16 units torch would round the factors to 8 bits."""
    x, layer = torch.randn(64, 64), torch.nn.Linear(64, 64)
    with torch.inference_mode():
        expected = layer(x)
        torch.set_float32_matmul_precision("medium")
        try:
            with exact_float32():
                assert torch.equal(layer(x), expected)
        finally:
            torch.set_float32_matmul_precision("highest")


def machine(root: Path, memberships: str, files: dict[str, str]) -> Path:
    """A made-up /proc and /sys."""
    files = {"proc/self/cgroup": memberships} | {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V1 = "5:cpu,cpuacct:/slurm/job_7\n4:cpuset:/slurm\n1:name=systemd:/\n"


@pytest.mark.parametrize(
    ("memberships", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        (
            "0::/a.slice/b\n",
            {"cpu.max": "max 100000", "a.slice/cpu.max": "400000 100000", "a.slice/b/cpu.max": "max 1"},
            4,
        ),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "300000 100000"}, 1),  # the group above holds too
        ("0::/of/the/host\n", {"cpu.max": "50000 100000"}, 0.5),  # in a container, under its own root
        ("0::/\n", {"unified/cpu.max": "300000 100000"}, 3),
        (
            V1,
            {
                "cpu,cpuacct/slurm/job_7/cpu.cfs_quota_us": "600000",
                "cpu,cpuacct/slurm/job_7/cpu.cfs_period_us": "200000",
            },
            3,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        (V1, {"cpuset/cpu.cfs_quota_us": "200000", "cpuset/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_a_quota_of_either_version_is_read_in_cores(tmp_path, memberships, files, cores):
    assert core_limits(machine(tmp_path, memberships, files), {}).get("cgroup") == cores


@pytest.mark.parametrize(
    ("memberships", "files", "free"),
    [
        ("0::/", {}, 3 * 2**20),
        ("0::/", {"memory.max": "max", "memory.current": "9", "memory.stat": "inactive_file 1"}, 3 * 2**20),
        ("0::/", {"memory.max": "1000", "memory.current": "900", "memory.stat": "anon 1\ninactive_file 50"}, 150),
        ("0::/", {"memory.max": "1000", "memory.current": "1900", "memory.stat": "anon 1"}, 0),
        (
            "5:cpu,cpuacct:/slurm\n4:memory:/slurm\n",
            {
                "memory/memory.limit_in_bytes": "1000",
                "memory/memory.usage_in_bytes": "700",
                "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 5",
            },
            305,
        ),
    ],
)
def test_memory_is_what_the_machine_and_the_control_group_have_left(tmp_path, memberships, files, free):
    root = machine(tmp_path, memberships, files)
    (root / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    3072 kB\n")
    assert available_memory(root) == free
    assert available_memory(tmp_path / "elsewhere") == float("inf")


def test_the_least_of_all_limits_is_shared_with_the_processes_beside(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(48)), raising=False)
    free, half = tmp_path / "free", machine(tmp_path / "half", "0::/", {"cpu.max": "50000 100000"})
    assert core_limits(free, {}) == {"machine": 64, "affinity": 48}
    assert usable_cores(free, {}) == 48
    assert usable_cores(free, {"SLURM_CPUS_ON_NODE": "12"}) == 12
    assert usable_cores(free, {"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "12"}) == 4
    assert usable_cores(free, {"SLURM_CPUS_PER_TASK": "", "SLURM_CPUS_ON_NODE": "of old"}) == 48
    assert usable_cores(free, {"SLURM_CPUS_PER_TASK": "200"}) == 48
    assert usable_cores(free, {"LOCAL_WORLD_SIZE": "5"}) == 9
    assert usable_cores(half, {"LOCAL_WORLD_SIZE": "5"}) == 1


@pytest.mark.parametrize(("told", "threads"), [(None, 1), ("2", 2)])
def test_an_embedder_takes_no_more_threads_than_cores_unless_it_is_told(told, threads, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if told:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    caplog.set_level("INFO", logger="bend_hf")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        Embedder.from_pretrained(str(tiny_models.esm(tmp_path)), device="cpu", dtype="float32")
        assert torch.get_num_threads() == threads
        assert ("threads: 1 instead of 2 (cores: " in caplog.text) == (threads == 1)
    finally:
        torch.set_num_threads(before)


def test_numpy_and_scipy_compute_in_one_thread_and_torch_as_before() -> None:
    code = """
import scipy.linalg, torch
from threadpoolctl import threadpool_info
from bend_hf.runtime import one_blas_thread
def teams():
    return {library["num_threads"] for library in threadpool_info() if library["internal_api"] == "openblas"}
torch.set_num_threads(2)
for _ in range(2):
    print(teams(), torch.get_num_threads())
    with one_blas_thread():
        print(teams(), torch.get_num_threads())
print(teams())
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["{2} 2", "{1} 2", "{2} 2", "{1} 2", "{2}"]


class TestSideBySide:
    @pytest.fixture(autouse=True)
    def _two_cores(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bend_hf.runtime.usable_cores", lambda: 2)

    def test_in_order_and_at_once(self) -> None:
        both = threading.Barrier(2, timeout=60)

        def find(item: int, stop: threading.Event) -> int:
            both.wait()
            return item**2

        assert side_by_side(find, range(6)) == [0, 1, 4, 9, 16, 25]

    def test_an_error_stops_those_behind_it(self) -> None:
        begun, stopped = threading.Event(), []

        def find(item: int, stop: threading.Event) -> None:
            if item == 0:
                assert begun.wait(60)
                raise KeyError(item)
            begun.set()
            stopped.append(stop.wait(60))
            raise UnwantedError

        with pytest.raises(KeyError):
            side_by_side(find, range(2))
        assert stopped == [True]

    def test_one_alone_is_found_here(self) -> None:
        assert side_by_side(lambda item, stop: threading.current_thread(), ["a"]) == [threading.current_thread()]


def test_prefetch_keeps_the_order_reads_ahead_and_passes_errors_on() -> None:
    started: list[int] = []

    def read(plan: int) -> int:
        started.append(plan)
        time.sleep(0.002 * (plan % 3))
        return plan

    stream = prefetch(read, range(50), workers=4)
    assert next(stream) == 0
    time.sleep(0.05)
    assert 1 < len(started) <= 5
    assert list(stream) == list(range(1, 50))

    def fail(plan: int) -> int:
        if plan == 3:
            raise OSError("no such shard")
        return plan

    assert list(prefetch(read, range(5), workers=0)) == list(range(5))
    stream = prefetch(fail, range(9))
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="no such shard"):
        next(stream)
    stream = prefetch(read, range(1000))
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bend_hf_loader")]
