"""What this process asks of its C library and of its OpenMP runtime, so that torch on a CPU is not held up by them.

    keep_freed_memory()     # once, early (threads keep what they began with): freed memory stays for the next batch
    release_threads()       # before another thread computes: this one's team no longer competes with that one's
    with exact_float32(): … # float32 is float32, whatever the GPU would rather do
    with one_blas_thread(): # NumPy's threads do not wait on the cores that torch's need
    usable_cores()          # cores that this process may really use; fit_threads(): torch starts no more threads
    side_by_side(find, …)   # as many at once; prefetch(read, …): some ahead of whoever asks for them

A forward or backward pass allocates and frees the same few hundred megabytes again and again. By default glibc hands
large blocks back to the kernel, which clears every page anew at its next use: up to a third of the time of small models
(`docs/scaling.md`). ``BEND_HF_KEEP_MEMORY=0`` leaves the allocator as it is.

Every thread that computes with torch has an OpenMP team of its own. Once there are more threads in teams than cores,
GNU's runtime lets them sleep between any two operations instead of waiting awake, and each then begins late.

Other C libraries and OpenMP runtimes are left alone.

A container's quota and a job's share of a node are not in the number of cores that torch takes for its threads. A team
larger than the quota is stopped by the kernel in the middle of its work, again and again, and waits at every barrier.
How busy the machine is at the moment is left out on purpose: the number of threads decides the order of sums, and
numbers would then depend on the neighbours.

By default torch lets cuDNN round float32 convolutions and recurrent networks to TF32, which has 10 bits of mantissa
instead of 23: a thousandth, where two alleles' vectors may differ by a millionth.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from itertools import repeat
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from bend_hf.console import log

# from glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEPT = 2**30
"""Free bytes at the end of the heap that are kept."""
LARGEST = (2**28, 2**25)
"""Blocks up to so many bytes come from the heap; older versions of glibc accept the second at most."""

FLOAT32 = ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
"""Where torch may compute in less than the float32 that it was given, in `torch.backends`."""
OMP_PAUSE_SOFT = 1  # from omp.h


Item = TypeVar("Item")
Found = TypeVar("Found")


class _Exact:
    """The open blocks of `exact_float32`, over all threads, and what undoes the first of them."""

    def __init__(self) -> None:
        self.lock, self.blocks = threading.Lock(), 0
        self.restore: Callable[[], None] = lambda: None


_exact = _Exact()


@cache
def keep_freed_memory() -> bool:
    """Tell glibc, once per process, to keep freed memory; return whether it was told."""
    if os.environ.get("BEND_HF_KEEP_MEMORY") == "0" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt(M_ARENA_MAX, 1)  # a thread's own arena is given back whatever the threshold
    mallopt(M_TRIM_THRESHOLD, KEPT)
    return any(mallopt(M_MMAP_THRESHOLD, size) for size in LARGEST)


def release_threads() -> bool:
    """End the calling thread's idle OpenMP team, which its next operation starts anew; return whether there is none."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return False
    text = os.fsdecode(maps.read_bytes())  # names of files, which may be no text in any encoding
    mapped = {line.split(maxsplit=5)[5] for line in text.split("\n") if "libgomp" in line}
    released = []
    for path in mapped:  # a path may hold spaces, and may have been deleted since
        if "libgomp" in Path(path).name and Path(path).exists():
            pause = getattr(ctypes.CDLL(path), "omp_pause_resource_all", None)
            released.append(pause is not None and pause(OMP_PAUSE_SOFT) == 0)
    return bool(released) and all(released)


def core_limits(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> dict[str, float]:
    """Return how many cores this process may use, by what says so; the least of them holds.

    Args:
        root: Where ``/proc`` and ``/sys`` lie.
        environ: Variables of the environment.

    Returns:
        ``machine`` always; ``affinity``, ``cgroup`` (a quota of time per period, of the process's group or one above
        it; versions 1 and 2) and ``SLURM`` (per task, else on this node) where they say something.
    """
    found: dict[str, float] = {"machine": os.cpu_count() or 1}
    if hasattr(os, "sched_getaffinity"):
        found["affinity"] = len(os.sched_getaffinity(0))
    if quotas := list(_quotas(root)):
        found["cgroup"] = min(quotas)
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        if environ.get(name, "").isdecimal() and int(environ[name]):
            found["SLURM"] = int(environ[name])
            break
    return found


def usable_cores(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> int:
    """Return how many cores this process may use: the least of `core_limits`, shared with the processes beside it.

    Args:
        root: As for `core_limits`.
        environ: As for `core_limits`; ``LOCAL_WORLD_SIZE`` is what launchers set to the processes on this machine.
    """
    beside = environ.get("LOCAL_WORLD_SIZE", "1")
    return max(
        1,
        math.floor(
            min(core_limits(root, environ).values()) / (int(beside) if beside.isdecimal() and int(beside) else 1)
        ),
    )


class UnwantedError(Exception):
    """What a thread of `side_by_side` does is not wanted any more."""


def side_by_side(find: Callable[[Item, threading.Event], Found], items: Iterable[Item]) -> list[Found]:
    """Return ``find(item, stop)`` for each item, in order, as many at once as there are cores.

    For work that leaves Python's other threads alone, such as hashing files. `find` raises `UnwantedError` soon after
    `stop` is set: when what was asked for of an item before it was an error, or Ctrl-C was pressed.
    """
    items, stop = list(items), threading.Event()
    if len(items) < 2:
        return [find(item, stop) for item in items]
    with ThreadPoolExecutor(min(len(items), usable_cores()), "bend_hf_beside") as pool:
        try:
            return list(pool.map(find, items, repeat(stop)))
        finally:
            stop.set()


def prefetch(
    read: Callable[[Item], Found], items: Iterable[Item], workers: int = 1, ahead: int = 3
) -> Generator[Found]:
    """Yield ``read(item)`` for each item, in order, while background threads (if any) read the next `ahead`."""
    if not workers:
        yield from map(read, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="bend_hf_loader")
    waiting: deque[Future[Found]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time of the process's control group and of those above it (linux: cgroup-v2, sched-bwc)."""
    for texts in _of_groups(root, "cpu", ["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        quota, period = " ".join(texts).split()
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)


def available_memory(root: Path = Path("/")) -> float:
    """Return how many bytes this process may still take: of the machine's, and of its control groups'.

    Args:
        root: Where ``/proc`` and ``/sys`` lie; infinite where nothing there says how many.
    """
    found = [math.inf]
    if (root / "proc" / "meminfo").is_file():
        lines = (root / "proc" / "meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    older = ["memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"]
    for limit, used, state in _of_groups(root, "memory", ["memory.max", "memory.current", "memory.stat"], older):
        if limit.strip() != "max":
            files = dict(line.split() for line in state.splitlines())  # which it gives up when it needs to
            cached = files.get("total_inactive_file", files.get("inactive_file", 0))
            found.append(int(limit) - int(used) + int(cached))
    return max(0, min(found))


def _of_groups(root: Path, controller: str, names: list[str], older: list[str]) -> Iterator[list[str]]:
    """What some files say of the process's control group and of those above it, where all are there.

    Args:
        root: Where ``/proc`` and ``/sys`` lie.
        controller: Whose files they are.
        names: The files in version 2.
        older: The files in version 1.
    """
    memberships = root / "proc" / "self" / "cgroup"
    if not memberships.is_file():
        return
    for line in os.fsdecode(memberships.read_bytes()).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts, files = ["", "unified"], names
        elif controller in controllers.split(","):
            mounts, files = [controllers, controller], older
        else:
            continue
        group = Path(path)
        for mount in mounts:
            for above in (group, *group.parents):  # in a container the path may be that outside of it
                folder = root / "sys" / "fs" / "cgroup" / mount / above.relative_to("/")
                with suppress(OSError):  # no such group, or none that may be read
                    yield [(folder / name).read_text() for name in files]


def fit_threads() -> int:
    """Let torch compute with no more threads than there are usable cores, unless ``OMP_NUM_THREADS`` says how many.

    Returns:
        Threads of the calling thread's team.
    """
    import torch

    usable, usual = usable_cores(), torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ and usual > usable:
        torch.set_num_threads(usable)
        limits = ", ".join(f"{name} {number:g}" for name, number in core_limits().items())
        log.info("threads: %d instead of %d (cores: %s).", usable, usual, limits)
    return torch.get_num_threads()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let NumPy's and SciPy's OpenBLAS compute in one thread, and as before afterwards.

    For code in which they and torch take turns: OpenBLAS' threads wait awake for their next product, for longer than
    most products take, on the very cores that torch's threads then need.
    """
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController()
    theirs = [
        library["filepath"]
        for library in found.info()
        if library["internal_api"] == "openblas" and not {"torch", "torch.libs"} & {*Path(library["filepath"]).parts}
    ]
    with found.select(filepath=theirs).limit(limits=1):
        yield


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute float32 in float32, on every device and in every thread, and let torch do as before afterwards.

    Blocks may be entered while others, in this thread or another, have not been left; the last to be left restores.
    """
    with _exact.lock:
        if not _exact.blocks:
            _exact.restore = _switch_off_rounding()
        _exact.blocks += 1
    try:
        yield
    finally:
        with _exact.lock:
            _exact.blocks -= 1
            if not _exact.blocks:
                _exact.restore()


def _switch_off_rounding() -> Callable[[], None]:
    """Switch TF32 and bfloat16 in float32's place off; return what switches them as they were."""
    import torch

    backends: Any = torch.backends
    try:
        older = backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:  # set by the newer switches to what the older cannot say
        older = None
    # Switches by kind of operation are newer than torch 2.8.
    newer = [attrgetter(path)(backends) for path in FLOAT32] if hasattr(backends, "fp32_precision") else []
    kept = [operation.fp32_precision for operation in newer]
    if older is not None:
        backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
    for operation in newer:
        operation.fp32_precision = "ieee"

    def restore() -> None:
        if older is not None:
            backends.cudnn.allow_tf32 = older[0]
            torch.set_float32_matmul_precision(older[1])
        for operation, was in zip(newer, kept, strict=True):
            operation.fp32_precision = was

    return restore
