"""Labels in an HDF5 file, read in blocks of rows: dataset ``labels``, row i for BED row i.

    for begin, rows in blocks(Path("gene_finding.hdf5"), at_once=400):
        ...                                  # rows: 1-D arrays of numbers, one for each row from `begin` on

The labels have to lie in the file itself: what it points to elsewhere is not in its SHA-256.
"""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bend_hf.errors import BendError
from bend_hf.text import counted

NAME = "labels"
_HEAP = b"GCOL\x01"

# What h5py raises for damaged files: anything from its C library comes as one of these.
_H5PY_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError, OverflowError)


def blocks(
    path: Path, *, count: int, at_once: int, row_name: Callable[[int], str]
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield the number of a block's first row, and each of its rows flat.

    Args:
        path: The file.
        count: Rows it has to have.
        at_once: Rows of a block.
        row_name: What an error calls a row, by its number.

    Raises:
        BendError: The file, the dataset or a row cannot be read, or is not what labels are; the message says which.
    """
    import h5py

    with _explained(f"{path} is no readable HDF5 file"):
        opened = h5py.File(path, "r")
    with opened:
        with _explained(f"{path}, dataset {NAME!r} cannot be read"):
            data = _dataset(path, opened)
            _check(path, data, count)
        for begin in range(0, count, at_once):
            end = min(begin + at_once, count)
            try:
                rows = [np.ravel(row) for row in data[begin:end]]
            except _H5PY_ERRORS as error:
                row, reason = _first_unreadable(data, begin, end, error)
                raise BendError(
                    f"{path}, dataset {NAME!r}, {row_name(row)}: cannot be read ({_first_line(reason)}). The file is "
                    "damaged: download it again."
                ) from error
            yield begin, rows


@contextmanager
def _explained(problem: str) -> Iterator[None]:
    try:
        yield
    except BendError:
        raise
    except _H5PY_ERRORS as error:
        raise BendError(f"{problem} ({_first_line(error)}). Download it again.") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _dataset(path: Path, opened: Any) -> Any:
    """Return the dataset, which must be one and lie in this file."""
    import h5py

    link = opened.get(NAME, getlink=True)
    if link is None:
        raise BendError(f"{path} has no dataset {NAME!r}, only: {_listed(opened)}. Download it again.")
    elsewhere = isinstance(link, h5py.ExternalLink)
    data = None if elsewhere else opened.get(NAME)
    if data is None and not elsewhere:
        raise BendError(f"{path}: {NAME!r} is a link to {link.path!r}, which is not there. Download it again.")
    if data is not None and not isinstance(data, h5py.Dataset):
        raise BendError(
            f"{path}: {NAME!r} is a {type(data).__name__.lower()}, no dataset"
            + (f" (it holds: {_listed(data)})" if isinstance(data, h5py.Group) else "")
            + ". Download it again."
        )
    if data is None or data.file.filename != opened.filename or data.is_virtual or data.external:
        raise BendError(
            f"{path}: {NAME!r} lies in another file, which the SHA-256 of this one does not cover. Copy the labels "
            "into one file."
        )
    return data


def _listed(group: Any) -> str:
    """Return the first names in a group, as text for a message."""
    names = [repr(name) for name in itertools.islice(group, 11)]
    return ", ".join([*names[:10], *(["…"] * (len(names) > 10))]) or "nothing"


def _check(path: Path, data: Any, count: int) -> None:
    """Check the number of rows, that they are numbers, and that all of them were written."""
    import h5py

    found = data.shape[0] if data.shape else 0
    if found != count:
        raise BendError(
            f"{path}, dataset {NAME!r}: {counted(found, 'row')}, but the BED file has {count:,}. Row i of one belongs "
            "to row i of the other: use the two files of one release."
        )
    sides = [side for side in (*data.shape[1:], *data.dtype.shape) if side != 1]
    if len(sides) > 1:
        raise BendError(
            f"{path}, dataset {NAME!r}: rows of {' × '.join(map(str, sides))} values, and nothing says in which order "
            "they are read: a row's labels lie one after another."
        )
    inner = h5py.check_vlen_dtype(data.dtype)
    kind = np.dtype(inner if inner is not None else data.dtype).base
    if h5py.check_string_dtype(data.dtype) is not None or kind.kind not in "biuf":
        raise BendError(
            f"{path}, dataset {NAME!r}: values of type {data.dtype} are no labels, which are whole "
            "numbers. Download it again."
        )
    if inner is not None:
        _check_sizes(path, data, np.dtype(inner).itemsize)
        return  # a row that was never written has no labels, which is seen
    if data.chunks is None:
        written = data.id.get_storage_size() > 0 or data.size == 0
    else:
        wanted = np.prod([-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True)])
        written = data.id.get_num_chunks() == wanted
    if not written:
        raise BendError(
            f"{path}, dataset {NAME!r}: some rows were never written; they would be read as "
            f"{data.fillvalue}. Download it again."
        )


def _check_sizes(path: Path, data: Any, itemsize: int) -> None:
    """Refuse rows of their own lengths whose type or sizes are damaged: the C library would crash, or never end.

    A row is its number of labels (4 bytes) and a place in a global heap collection. That is a header of 8 bytes and
    its size, then pieces, each with a header of 8 bytes and its size (HDF5 file format specification, III.E and VIII).

    Args:
        path: The file.
        data: The dataset.
        itemsize: Bytes of a label.
    """
    if data.id.get_type().encode()[3] & 15:  # sequence of 0; what is neither that nor a text ends the process
        raise ValueError("the type of its rows is damaged")
    address, length = data.file.id.get_create_plist().get_sizes()
    head = 8 + length
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:

        def number(at: int, size: int) -> int:
            return int.from_bytes(content[at : at + size], "little")

        rows = b""
        if data.chunks is None:
            begin = data.id.get_offset() or len(content)  # small ones lie in the header, which says no place
            rows = content[begin : begin + data.id.get_storage_size()]
        elif not data.id.get_create_plist().get_nfilters():
            places = [data.id.get_chunk_info(number).chunk_offset for number in range(data.id.get_num_chunks())]
            rows = b"".join(data.id.read_direct_chunk(place)[1] for place in places)
        counts = np.frombuffer(rows, np.dtype([("labels", "<u4"), ("place", f"V{address + 4}")]))["labels"]
        if counts.sum(dtype=np.int64) * itemsize > len(content):
            raise ValueError(f"its rows claim {counts.sum(dtype=np.int64):,} labels, which the file cannot hold")
        start = content.find(_HEAP)
        while start >= 0:
            end = min(start + number(start + 8, length), len(content))
            at = start + head
            while at + head <= end:
                piece, size = number(at, 2), number(at + 8, length)
                if size > end - at or not (piece or size):
                    raise ValueError("the heap of its rows is damaged")
                at += head + -(-size // 8) * 8 if piece else size  # piece 0 is the rest, its header included
            start = content.find(_HEAP, start + len(_HEAP))


def _first_unreadable(data: Any, begin: int, end: int, error: Exception) -> tuple[int, Exception]:
    for row in range(begin, end):
        try:
            data[row]
        except _H5PY_ERRORS as found:
            return row, found
    return begin, error
