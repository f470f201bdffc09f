"""What this process asks of its C library and of its OpenMP runtime, so that torch on a CPU is not held up by them.

    keep_freed_memory()     # once, early (threads keep what they began with): freed memory stays for the next batch
    release_threads()       # before another thread computes: this one's team no longer competes with that one's
    with exact_float32(): … # float32 is float32, whatever the GPU would rather do

A forward or backward pass allocates and frees the same few hundred megabytes again and again. By default glibc hands
large blocks back to the kernel, which clears every page anew at its next use: up to a third of the time of small models
(`docs/scaling.md`). ``BEND_HF_KEEP_MEMORY=0`` leaves the allocator as it is.

Every thread that computes with torch has an OpenMP team of its own. Once there are more threads in teams than cores,
GNU's runtime lets them sleep between any two operations instead of waiting awake, and each then begins late.

Other C libraries and OpenMP runtimes are left alone.

By default torch lets cuDNN round float32 convolutions and recurrent networks to TF32, which has 10 bits of mantissa
instead of 23: a thousandth, where two alleles' vectors may differ by a millionth.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

# from glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEPT = 2**30
"""Free bytes at the end of the heap that are kept."""
LARGEST = (2**28, 2**25)
"""Blocks up to so many bytes come from the heap; older versions of glibc accept the second at most."""

FLOAT32 = ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
"""Where torch may compute in less than the float32 that it was given, in `torch.backends`."""
OMP_PAUSE_SOFT = 1  # from omp.h


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
    mapped = {line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if "libgomp" in line}
    released = []
    for path in mapped:  # a path may hold spaces, and may have been deleted since
        if "libgomp" in Path(path).name and Path(path).exists():
            pause = getattr(ctypes.CDLL(path), "omp_pause_resource_all", None)
            released.append(pause is not None and pause(OMP_PAUSE_SOFT) == 0)
    return bool(released) and all(released)


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
