"""What this process asks of its C library and of its OpenMP runtime, so that torch on a CPU is not held up by them.

    keep_freed_memory()     # once, early (threads keep what they began with): freed memory stays for the next batch
    release_threads()       # before another thread computes: this one's team no longer competes with that one's

A forward or backward pass allocates and frees the same few hundred megabytes again and again. By default glibc hands
large blocks back to the kernel, which clears every page anew at its next use: up to a third of the time of small models
(`docs/scaling.md`). ``BEND_HF_KEEP_MEMORY=0`` leaves the allocator as it is.

Every thread that computes with torch has an OpenMP team of its own. Once there are more threads in teams than cores,
GNU's runtime lets them sleep between any two operations instead of waiting awake, and each then begins late.

Other C libraries and OpenMP runtimes are left alone.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

# from glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEPT = 2**30
"""Free bytes at the end of the heap that are kept."""
LARGEST = (2**28, 2**25)
"""Blocks up to so many bytes come from the heap; older versions of glibc accept the second at most."""

OMP_PAUSE_SOFT = 1  # from omp.h


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
