"""SHA-256 of data files, remembered for large ones until the file changes.

content_digest(Path("GRCh38.fa"))       # three gigabytes are read once
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bend_hf import files

_REMEMBERED_FROM = 1 << 26
_SETTLED_NS = 2_000_000_000


def identity(path: Path) -> list[Any]:
    """Return what tells a file's present state from an earlier one, without reading it."""
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def content_digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    if path.stat().st_size < _REMEMBERED_FROM:
        return files.digest_file(path)
    state = identity(path)
    memory = files.cache_dir("digests") / files.digest_of(state)
    if memory.is_file():
        return memory.read_text()
    digest = files.digest_file(path)
    # A file written a moment ago may be written again within one tick of its time stamps.
    if identity(path) == state and time.time_ns() - max(state[2:4]) > _SETTLED_NS:
        with files.atomic(memory) as temporary:
            temporary.write_text(digest)
    return digest
