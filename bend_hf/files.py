"""Files as every room handles them: written whole or not at all, known by their content.

with atomic(folder / "manifest.json") as temporary:
    temporary.write_text(text)          # renamed into place only if nothing was raised
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, and rename it to `path` when the block ends without an error.

    The block may write a file or make a folder at the temporary name. On an error (a full disk, Ctrl-C) what was
    written is removed. A folder that another process put at `path` meanwhile is kept: the contents are equal where
    `path` is named by its content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield temporary
        if temporary.is_dir() and path.exists():
            shutil.rmtree(temporary)
        else:
            temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and infinity are refused (they are not JSON)."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def digest_of(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON-able value, independent of the order of dictionary keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def cache_dir(*parts: str) -> Path:
    """Return (and make) a folder of the package's cache.

    It lies in ``$BEND_HF_CACHE`` if that is set, else in Hugging Face's assets cache (``$HF_HOME/assets/bend_hf``).
    """
    override = os.environ.get("BEND_HF_CACHE")
    if override:
        root = Path(override).expanduser()
    else:
        from huggingface_hub import constants

        root = Path(constants.HF_ASSETS_CACHE) / "bend_hf"
    folder = root.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
