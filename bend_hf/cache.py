"""What the package keeps on this machine: what there is, whether it is sound, and how to be rid of it.

    contents()                 # [Part("vectors", PosixPath(…), files=12, bytes=3_000_000), …]
    damaged()                  # ["coordinates/x.arrow: does not match its SHA-256"]
    remove(["vectors"])

All of it can be made again: downloads, decompressed genomes, token vectors, summaries.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bend_hf.errors import unknown
from bend_hf.files import FOLDER_SEAL, cache_dir, damage


@dataclass(frozen=True)
class Part:
    """One kind of thing that is kept: its name, its folder, how many files it has, and their bytes."""

    name: str
    folder: Path
    files: int
    bytes: int


def contents() -> list[Part]:
    """Return what is kept, the largest first."""
    parts = []
    for folder in (path for path in cache_dir().iterdir() if path.is_dir() and not path.is_symlink()):
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        parts.append(Part(folder.name, folder, len(sizes), sum(sizes)))
    return sorted(parts, key=lambda part: (-part.bytes, part.name))


def damaged() -> list[str]:
    """Return what is wrong with files and folders that bear a seal, one sentence each. What bears none is left alone.

    Whatever is damaged is made again, aloud, when it is next needed.
    """
    root = cache_dir()
    found = []
    for seal in sorted(root.rglob("*.seal")):
        sealed = seal.parent if seal.name == FOLDER_SEAL else seal.with_name(seal.name.removesuffix(".seal"))
        if (wrong := damage(sealed)) is not None:
            found.append(f"{sealed.relative_to(root).as_posix()}: {wrong}")
    return found


def remove(names: Sequence[str]) -> list[Part]:
    """Remove parts by name, and return what they were.

    Raises:
        BendError: There is none of a name; nothing is removed then.
    """
    there = {part.name: part for part in contents()}
    for name in names:
        if name not in there:
            raise unknown("part of the cache", name, there)
    chosen = [there[name] for name in dict.fromkeys(names)]
    for part in chosen:
        shutil.rmtree(part.folder)
    return chosen
