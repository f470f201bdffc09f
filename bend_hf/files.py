"""Files as every room handles them: written whole or not at all, known by their content, trusted only after a check.

with atomic(folder / "manifest.json") as temporary:
    temporary.write_text(text)          # renamed into place only if nothing was raised

path = kept(cache_dir("coordinates") / "genes.arrow", write)   # made once; made again, aloud, where it is damaged

What is kept on disk for later runs has a *seal*: a file with the SHA-256 of its content, written first. ``<name>.seal``
lies beside a file, ``.seal`` in a folder, where it lists the folder's files. `damage` compares.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path, PurePath
from threading import Event
from typing import Any

from bend_hf.console import log
from bend_hf.errors import BendError, DataError, DiskError, described
from bend_hf.runtime import UnwantedError, side_by_side

FOLDER_SEAL = ".seal"

_REMEMBERED_FROM = 1 << 26
_SETTLED_NS = 2_000_000_000
_MOST = 1 << 28
_BLOCK = 1 << 20
_DIGEST = "sha256"
_SIZE, _MTIME, _CTIME, _INODE = range(1, 5)
"""Places in what `identity` returns."""
_LOOKS = 10
"""How often a file that is changed while it is looked at is looked at."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, and rename it to `path` when the block ends without an error.

    The block may write a file or make a folder at the temporary name. It is on the disk before it is renamed, so that
    a power cut leaves the old content or the new. On an error (a full disk, Ctrl-C) what was written is removed. A
    folder that another process put at `path` meanwhile is kept: the contents are equal where `path` is named by its
    content. A link is written through, as ``cp`` does.

    Raises:
        DiskError: `path` is a device or a pipe, which must not be replaced by a file.
    """
    path = _behind_links(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DiskError(f"{path} is a device or a pipe, where a file is meant. Give the path of a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # the file in the way is not to be removed
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from error
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield temporary
        if temporary.is_dir() and path.exists():
            shutil.rmtree(temporary)
        else:
            flush(temporary)
            temporary.replace(path)
            _fsync(path.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _behind_links(path: Path) -> Path:
    """Return what a link points to, the path itself where it is none."""
    if not path.is_symlink():
        return path
    with suppress(FileNotFoundError):  # a link to nothing is written at its end
        path.stat()  # raises where the links go round in a circle; Path.resolve does not in every version of Python
    return path.resolve()


def ending(path: Path) -> str:
    """Return the ending of an output's name, which tells its format; ``.CSV`` is ``.csv``."""
    return path.suffix.casefold()


def no_file(path: Path, what: str = "file") -> str | None:
    """Say why a path cannot be read as a file, or None where it can."""
    if path.is_file():
        return None
    if path.exists():
        return f"it is a folder, a device or a pipe, where a {what} is meant. Give the path of a file"
    return f"there is no such {what}{', only a link to nothing' if path.is_symlink() else ''}"


def flush(path: Path) -> None:
    """Have a file, or a folder with all that is in it, written to the disk before going on."""
    for part in (*path.rglob("*"), path) if path.is_dir() else (path,):
        _fsync(part)


def _fsync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        with suppress(OSError):  # some network file systems cannot sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and infinity are refused (they are not JSON)."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_file(path: Path, *, most: int = _MOST) -> bytes:
    """Return a whole file of at most `most` bytes.

    Raises:
        DiskError: It is missing, or a folder, a device or a pipe, whose reading might never end.
        DataError: It is larger.
    """
    size = path.stat().st_size  # raises where it is missing
    if not path.is_file():
        raise DiskError(f"{path} is a folder, a device or a pipe, where a file is meant. Give the path of a file.")
    if size > most:
        raise DataError(f"{path}: has {size:,} bytes, which is too large to be what it should be.")
    return path.read_bytes()


def read_json(path: Path, remedy: str = "make or download it again", **options: Any) -> Any:
    """Return the value in a JSON file that a stranger may have written.

    Args:
        path: The file.
        remedy: What to do where it is damaged.
        **options: Of `json.loads`.

    Raises:
        DiskError: It cannot be read.
        DataError: It is no JSON, nested too deeply, or a number in it has thousands of digits.
    """
    try:
        return json.loads(read_file(path).decode("utf-8"), **options)
    except RecursionError as error:
        raise DataError(f"{path}: is not JSON of ours (nested too deeply): {remedy}.") from error
    except OSError as error:
        raise described(error) from error
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error}): truncated or damaged; {remedy}.") from error


def kept(path: Path, make: Callable[[Path], None]) -> Path:
    """Return a sealed file, made where it is missing, and made again, aloud, where it is not what was written.

    Args:
        path: The file.
        make: Writes it to the path it is given.

    Raises:
        OSError: The disk is full or cannot be written; nothing is left behind.
    """
    if path.exists() or _seal_of(path).exists():
        problem = damage(path)
        if problem is None:
            return path
        log.warning("%s: %s. It is made again.", path, problem)
    with sealed(path) as temporary:
        make(temporary)
    return path


@contextmanager
def sealed(path: Path) -> Iterator[Path]:
    """Write a file as `atomic` does, and its seal before it.

    Until the new file is in place the old one stays good: a process killed between the two leaves a sealed file.
    """
    with atomic(path) as temporary:
        yield temporary
        before = (_read_seal(_seal_of(path)) or {}).get(path.name, [])[:1]
        state, digest = identity(temporary), digest_file(temporary)
        _write_seal(_seal_of(path), {path.name: [digest, *before]})
    now = _state(path)
    if now and all(now[part] == state[part] for part in (_SIZE, _MTIME, _INODE)):  # renaming has set the ctime
        _remember(_DIGEST, now, digest)


def seal_folder(folder: Path, later: Path | None = None) -> None:
    """Seal every file that lies in a folder now; what is put there later is not its own.

    Args:
        folder: Whose files the caller alone has written.
        later: What the folder is renamed to next; None if it is not.
    """
    names = sorted(part.relative_to(folder).as_posix() for part in folder.rglob("*") if part.is_file())
    names = [name for name in names if name != FOLDER_SEAL]
    states = [identity(folder / name) for name in names]
    digests = side_by_side(_digest_and_flush, [folder / name for name in names])
    flush(folder)
    _write_seal(folder / FOLDER_SEAL, {name: [digest] for name, digest in zip(names, digests, strict=True)})
    for name, state, digest in zip(names, states, digests, strict=True):  # of before: of nothing that was changed since
        _remember(_DIGEST, [str(((later or folder) / name).resolve()), *state[1:]], digest)


def sealed_files(folder: Path) -> list[str]:
    """Return the paths, relative to a sealed folder, of its own files; none where the seal is missing or damaged."""
    return list(_read_seal(folder / FOLDER_SEAL) or {})


class ChangedError(BendError):
    """A file was changed while it was read."""


def damage(path: Path) -> str | None:
    """Say what is wrong with a sealed file or folder, or None. Large files that did not change are read once.

    Another process may make the same file at the same time and put it in place: then it is looked at again.

    Raises:
        BendError: A file was changed each time that it was read.
    """
    for _ in range(_LOOKS - 1):
        try:
            return _damage(path)
        except ChangedError:
            log.debug("%s was changed while it was read; it is looked at again.", path)
    return _damage(path)


def _damage(path: Path) -> str | None:
    seal = _seal_of(path)
    if not path.exists():
        return "it is missing"
    found = _read_seal(seal)
    if found is None:
        return f"its seal {seal.name} is {'damaged' if seal.exists() else 'missing'}"
    root = path if path.is_dir() else path.parent
    if missing := [name for name in found if not (root / name).is_file()]:
        return f"{missing[0]} is missing"
    problems = side_by_side(partial(_part_damage, root, found), found)
    return next((problem for problem in problems if problem), None)


def _part_damage(root: Path, found: Mapping[str, list[str]], name: str, stop: Event) -> str | None:
    try:
        return None if content_digest(root / name, stop) in found[name] else f"{name} does not match its SHA-256"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror or error})"


def remove_sealed(path: Path) -> None:
    """Remove a file and its seal."""
    path.unlink(missing_ok=True)
    _seal_of(path).unlink(missing_ok=True)


def _seal_of(path: Path) -> Path:
    return path / FOLDER_SEAL if path.is_dir() else path.with_name(f"{path.name}.seal")


def _write_seal(seal: Path, digests: Mapping[str, list[str]]) -> None:
    write_json(seal, {"sha256": digests, "check": digest_of(digests)})


def _read_seal(seal: Path) -> dict[str, list[str]] | None:
    """Return file → accepted SHA-256, or None where there is no seal that can be trusted: one that names its own."""
    try:
        content = read_json(seal)
        found: dict[str, list[str]] = content["sha256"]
        own = all(not PurePath(name).is_absolute() and ".." not in PurePath(name).parts for name in found)
        return found if own and content["check"] == digest_of(found) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def digest_of(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON-able value, independent of the order of dictionary keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_file(path: Path, stop: Event | None = None) -> str:
    """Return the SHA-256 (hex) of a file's bytes; `stop` is that of `side_by_side`."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            if stop and stop.is_set():
                raise UnwantedError
            digest.update(block)
    return digest.hexdigest()


def _digest_and_flush(path: Path, stop: Event) -> str:
    """Return a file's SHA-256 and have it written to the disk: while one thread waits for that, others hash."""
    digest = digest_file(path, stop)
    _fsync(path)
    return digest


def identity(path: Path) -> list[Any]:
    """Return what tells a file's present state from an earlier one, without reading it."""
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def content_digest(path: Path, stop: Event | None = None) -> str:
    """Return the SHA-256 (hex) of a file's bytes; that of a large file is remembered until the file changes.

    Args:
        path: The file.
        stop: That of `side_by_side`.

    Raises:
        BendError: The file was changed while it was read.
    """
    return str(remembered(_DIGEST, path, lambda path: digest_file(path, stop)))


def remembered(what: str, path: Path, find: Callable[[Path], Any]) -> Any:
    """Return ``find(path)``, which depends on the file's bytes alone; for a large file, from memory until it changes.

    Args:
        what: Name of what is found.
        path: The file.
        find: Gives a JSON-able value.

    Raises:
        BendError: The file was changed meanwhile.
    """
    state = identity(path)
    if state[_SIZE] >= _REMEMBERED_FROM and (found := _read_memory(_memory(what, state))) is not None:
        return found[0]
    value = find(path)
    if identity(path) != state:
        raise ChangedError(f"{path} was changed while it was read. Start again when nothing writes to it any more.")
    # A file written a moment ago may be written again within one tick of its time stamps.
    if time.time_ns() - max(state[_MTIME], state[_CTIME]) > _SETTLED_NS:
        _remember(what, state, value)
    return value


def _memory(what: str, state: list[Any]) -> Path:
    return cache_dir("digests") / digest_of([what, state])


def _remember(what: str, state: list[Any], value: Any) -> None:
    """Remember what was found in a large file that was in this state before and after."""
    if state[_SIZE] >= _REMEMBERED_FROM:
        memory = _memory(what, state)
        write_json(memory, {"value": value, "check": digest_of([memory.name, value])})


def _read_memory(memory: Path) -> tuple[Any] | None:
    if not memory.is_file():
        return None
    try:
        content = read_json(memory)
        if content["check"] == digest_of([memory.name, content["value"]]):
            return (content["value"],)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    log.warning("%s is damaged; what it held is found again.", memory)
    return None


@contextmanager
def unchanged(digests: Mapping[Path, str]) -> Iterator[None]:
    """Guard a block that reads files: each has its SHA-256 when the block begins, and is not touched until it ends.

    Raises:
        BendError: A file is another than it was, or was changed meanwhile; what was made of it is not to be kept.
    """
    states = {}
    for path, digest in digests.items():
        states[path] = _state(path)
        if states[path] is None or content_digest(path) != digest:
            raise BendError(f"{path} was changed after it was first looked at. Start again.")
    yield
    for path, digest in digests.items():
        # Within one tick of its time stamps a change shows in the content alone.
        if _state(path) != states[path] or content_digest(path) != digest:
            raise BendError(
                f"{path} was changed while it was read, and nothing made of it was kept. Start again when nothing "
                "writes to it any more."
            )


def _state(path: Path) -> list[Any] | None:
    try:
        return identity(path)
    except FileNotFoundError:
        return None


def cache_dir(*parts: str) -> Path:
    """Return (and make) a folder of the package's cache.

    It lies in ``$BEND_HF_CACHE`` if that is set, else in Hugging Face's assets cache (``$HF_HOME/assets/bend_hf``).
    """
    override = os.environ.get("BEND_HF_CACHE")
    if override:
        root = _pinned(override)
    else:
        from huggingface_hub import constants

        root = Path(constants.HF_ASSETS_CACHE) / "bend_hf"
    folder = root.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def _pinned(folder: str) -> Path:
    """Return the absolute path of a folder, the same after a change of the working directory."""
    return Path(folder).expanduser().absolute()
