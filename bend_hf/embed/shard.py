"""One file of a store: the token vectors of some sequences as safetensors, trusted only after a check.

    write(path, rows, label, digests, dim=256)      # rows of (Packed, run lengths)
    problem = check(path, label, digests)           # None, or what is wrong with it
    shard = Shard(path)
    shard.read(3)                                   # Tokens

The tensors of a shard of R sequences and T tokens are ``vectors`` (T, D) in BF16, F16, F32 or I8, ``scales`` (T,) F32
where the vectors are I8, ``lengths`` (T,) U16 or U32, ``offsets`` (R + 1,) I64 (row r has the tokens from offsets[r]
to offsets[r + 1]) and ``digests`` (R, 16) U8. Any safetensors reader opens it. The header is padded to 4,096 bytes,
so that it can be written after the vectors, which go to disk as the model yields them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from bend_hf.embed.interface import Tokens
from bend_hf.embed.vectors import Packed, run_length_type, unpack
from bend_hf.errors import BendError, DataError
from bend_hf.files import atomic

HEADER = 4096
BLOCK = 1 << 22
VECTOR_TYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "I8": torch.int8}
TYPE_NAMES = {kind: name for name, kind in VECTOR_TYPES.items()}
ARRAY_NAMES = {"uint8": "U8", "uint16": "U16", "uint32": "U32", "int64": "I64", "float32": "F32"}
ARRAY_TYPES = {name: np.dtype(kind) for kind, name in ARRAY_NAMES.items()}


def write(
    path: Path, rows: Iterable[tuple[Packed, np.ndarray]], label: dict[str, str], digests: np.ndarray, *, dim: int
) -> str:
    """Write a shard, atomically, holding no more vectors in memory than `rows` does.

    Args:
        path: File to write.
        rows: The packed vectors and run lengths of each sequence.
        label: What the shard is (the store's key, its number …); kept in the header.
        digests: (R, 16) uint8, of the sequences.
        dim: Width D of the vectors.

    Returns:
        SHA-256 (hex) of the tensors' bytes, which the header holds as well.

    Raises:
        OSError: The disk is full or cannot be written; nothing is left behind.
    """
    with atomic(path) as temporary, temporary.open("wb") as handle, ThreadPoolExecutor(1) as background:
        handle.write(b" " * HEADER)
        sha = hashlib.sha256()
        kind: torch.dtype | None = None
        lengths, scales, counts = [np.empty(0, np.int64)], [], []
        waiting: list[np.ndarray] = []
        size = 0
        written = background.submit(_append, handle, sha, [])
        for row, (packed, runs) in enumerate(rows):
            kind = kind or packed.vectors.dtype
            if packed.vectors.dtype != kind:
                raise BendError(
                    f"{path.name}: the vectors of sequence {row} are {packed.vectors.dtype}, those before {kind}; "
                    "a model has to give one type throughout."
                )
            waiting.append(packed.vectors.view(torch.uint8).numpy())
            size += waiting[-1].nbytes
            if size >= BLOCK:  # hashed and written while the model goes on
                written.result()
                written = background.submit(_append, handle, sha, waiting)
                waiting, size = [], 0
            lengths.append(runs)
            counts.append(len(runs))
            if packed.scales is not None:
                scales.append(packed.scales.numpy())
        written.result()
        runs = np.concatenate(lengths)
        tensors: dict[str, tuple[str, tuple[int, ...]]] = {
            "vectors": (TYPE_NAMES[kind or torch.float16], (len(runs), dim))
        }
        arrays = {"scales": np.concatenate(scales)} if scales else {}
        arrays |= {
            "lengths": runs.astype(run_length_type(int(runs.max(initial=0)))),
            "offsets": np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
            "digests": np.ascontiguousarray(digests),
        }
        _append(handle, sha, [*waiting, *arrays.values()])
        for name, array in arrays.items():
            tensors[name] = (ARRAY_NAMES[array.dtype.name], array.shape)
        handle.seek(0)
        handle.write(_header(tensors, label | {"sha256": sha.hexdigest()}))
    return sha.hexdigest()


def _append(handle: BinaryIO, sha: Any, arrays: Iterable[np.ndarray]) -> None:
    for array in arrays:
        content = array.data.cast("B") if array.size else b""
        sha.update(content)
        handle.write(content)


def _header(tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]) -> bytes:
    """The safetensors header: its length in 8 bytes, then JSON padded with spaces to `HEADER` bytes in all."""
    table: dict[str, Any] = {"__metadata__": metadata}
    start = 0
    for name, (kind, shape) in tensors.items():
        end = start + _bytes_of(kind) * int(np.prod(shape))
        table[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(table, separators=(",", ":")).encode()
    if len(text) > HEADER - 8:
        raise ValueError(f"header of {len(text)} bytes")
    return (HEADER - 8).to_bytes(8, "little") + text.ljust(HEADER - 8)


def _bytes_of(kind: str) -> int:
    return VECTOR_TYPES[kind].itemsize if kind in VECTOR_TYPES else ARRAY_TYPES[kind].itemsize


def read_header(path: Path) -> dict[str, Any]:
    """Read a shard's header.

    Raises:
        ValueError: The file is no shard, or not as long as its header says.
    """
    with path.open("rb") as handle:
        block = handle.read(HEADER)
    if len(block) < HEADER or int.from_bytes(block[:8], "little") != HEADER - 8:
        raise ValueError("it has no header")
    table: dict[str, Any] = json.loads(block[8:])
    tensors = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in table.items() if name[0] != "_"}
    if _header(tensors, table["__metadata__"]) != block:
        raise ValueError("its header is damaged")
    size = HEADER + max(entry["data_offsets"][1] for name, entry in table.items() if name[0] != "_")
    if path.stat().st_size != size:
        raise ValueError(f"it has {path.stat().st_size:,} bytes, not {size:,}")
    return table


def check(path: Path, label: dict[str, str], digests: np.ndarray | None = None, *, full: bool = True) -> str | None:
    """Say what is wrong with a shard, or None.

    Args:
        path: The file.
        label: What it has to be.
        digests: (R, 16) uint8, the sequences it has to hold.
        full: Read it all and compare its SHA-256, not only header and size.
    """
    try:
        table = read_header(path)
        metadata = table["__metadata__"]
        if {name: metadata.get(name) for name in label} != label:
            return "it belongs to another store"
        if full:
            with path.open("rb", buffering=0) as handle:
                handle.seek(HEADER)
                sha = hashlib.sha256()
                buffer = memoryview(bytearray(BLOCK))
                while count := handle.readinto(buffer):
                    sha.update(buffer[:count])
            if sha.hexdigest() != metadata["sha256"]:
                return "its content does not match its SHA-256"
        if digests is not None and not np.array_equal(Shard(path).digests, digests):
            return "it holds other sequences"
    except FileNotFoundError:
        return "it is missing"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return str(error) or type(error).__name__
    return None


class Shard:
    """A shard of which rows are read when they are asked for; what else it holds is in memory.

    It is read and not mapped: a mapped file that another program cuts short would end the process (SIGBUS).
    """

    def __init__(self, path: Path) -> None:
        table = read_header(path)
        self._path = path

        def array(name: str) -> np.ndarray:
            start, end = table[name]["data_offsets"]
            return self._bytes(start, end).numpy().view(ARRAY_TYPES[table[name]["dtype"]]).reshape(table[name]["shape"])

        self._kind, self._dim = VECTOR_TYPES[table["vectors"]["dtype"]], int(table["vectors"]["shape"][1])
        self._token_bytes = self._kind.itemsize * self._dim
        self.scales = torch.from_numpy(array("scales")) if "scales" in table else None
        self.lengths = array("lengths")
        self.offsets = array("offsets")
        self.digests = array("digests")

    def _bytes(self, start: int, end: int) -> torch.Tensor:
        """Return bytes of the tensors, (end - start,) uint8."""
        content = torch.empty(end - start, dtype=torch.uint8)
        with self._path.open("rb", buffering=0) as handle:
            handle.seek(HEADER + start)
            view, got = content.numpy().data, 0
            while got < len(view) and (count := handle.readinto(view[got:])):
                got += count
        if got < len(view):
            raise DataError(f"{self._path} was cut short while it was in use. Run the command again: it is made again.")
        return content

    def packed(self, row: int) -> tuple[Packed, np.ndarray]:
        """Return one row as it is kept: its vectors and (T,) run lengths.

        Raises:
            DataError: The file was cut short meanwhile.
        """
        start, end = int(self.offsets[row]), int(self.offsets[row + 1])
        vectors = self._bytes(start * self._token_bytes, end * self._token_bytes).view(self._kind)
        scales = None if self.scales is None else self.scales[start:end]
        return Packed(vectors.view(-1, self._dim), scales), self.lengths[start:end].astype(np.int64)

    def read(self, row: int) -> Tokens:
        """Return one row; the errors are those of `packed`."""
        packed, lengths = self.packed(row)
        return Tokens(unpack(packed), lengths)
