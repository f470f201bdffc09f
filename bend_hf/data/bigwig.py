"""bigWig files by pybigtools, whose errors of every kind become one of ours.

with reading("track a.bw is damaged"):
    values = list(open_bigwig(path).records("chr1", 0, 100))

A file whose trees lead out of it has the library ask for memory that no machine has, which ends the process; so the
trees are walked before it is opened (format: Kent et al. 2010, doi:10.1093/bioinformatics/btq351, supplement).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bend_hf.errors import BendError


def open_bigwig(path: Path) -> Any:
    """Return pybigtools' reader of a file; use it within `reading`.

    Raises:
        BendError: The package that reads it is missing.
        ValueError: The file is damaged.
    """
    try:
        import pybigtools
    except ImportError as error:
        raise BendError(f"{path} is bigWig: install what reads it with pip install 'bend_hf[build]'.") from error
    _check_trees(path)
    return pybigtools.open(str(path))


def _check_trees(path: Path) -> None:
    """Refuse a bigWig or bigBed whose chromosomes or blocks of data do not lie within the file.

    Raises:
        ValueError: They do not.
    """
    size = path.stat().st_size
    with path.open("rb") as handle:

        def read(at: int, count: int) -> bytes:
            if not 0 <= at <= size - count:
                raise ValueError(f"its trees lead to byte {at:,}, and it has {size:,}")
            handle.seek(at)
            return handle.read(count)

        order = "<" if read(0, 1)[0] in (0x26, 0xEB) else ">"  # the first byte of the magic numbers, little-endian
        chromosomes, _, index = struct.unpack(f"{order}QQQ", read(8, 24))
        block, key, value, names = struct.unpack(f"{order}IIIQ", read(chromosomes + 4, 20))
        if block >= 1 << 16 or key >= 1 << 12 or value != 8:  # the library makes room for a block of keys and values
            raise ValueError(f"its names of chromosomes are said to have {key:,} letters, {block:,} of them in a block")
        # A node: whether it is a leaf, and its items. Those of the index end with offset and, in leaves, size.
        for root, inner, leaf, blocks in (
            (chromosomes + 32, key + 8, key + 8, False),
            (index + 48, 24, 32, True),
        ):
            waiting, seen, leaves = [root], set(), 0
            while waiting:
                at = waiting.pop()
                if at in seen:
                    raise ValueError(f"its trees lead to byte {at:,} twice")
                seen.add(at)
                is_leaf, _, count = struct.unpack(f"{order}BBH", read(at, 4))
                width = leaf if is_leaf else inner
                if is_leaf > 1:
                    raise ValueError(f"there is no node of a tree at byte {at:,}")
                items = np.frombuffer(read(at + 4, count * width), np.uint8).reshape(count, width)
                if not is_leaf:
                    waiting += np.ascontiguousarray(items[:, -8:]).view(f"{order}u8").ravel().tolist()
                    continue
                leaves += count
                if blocks:
                    offset, length = np.ascontiguousarray(items[:, -16:]).view(f"{order}u8").astype(object).T
                    if count and max(offset + length) > size:
                        raise ValueError(f"a block of its data ends beyond its {size:,} bytes")
            if not blocks and leaves != names:  # for which the library makes room
                raise ValueError(f"it has {leaves:,} names of chromosomes, and says {names:,}")


@contextmanager
def reading(problem: str) -> Iterator[None]:
    """Guard a block that reads a bigWig.

    Args:
        problem: What the error says before the cause, the file's name in it.

    Raises:
        BendError: The file is damaged. Where its trees lead nowhere the library panics, which is no `Exception`.
    """
    try:
        yield
    except BendError:
        raise
    except BaseException as error:
        damaged = isinstance(error, (OSError, ValueError, RuntimeError, StopIteration))
        if damaged or type(error).__name__ in ("BBIReadError", "PanicException"):
            cause = " ".join(str(error).split())
            raise BendError(f"{problem} ({cause}). Download it again.") from error
        raise
