"""Arguments checked before any work, with the words of the flag and of the Python argument.

epochs = whole("epochs", epochs)                 # an integer above 0, or None
numbers = seed_numbers(seeds)                    # 3 -> (0, 1, 2); [7, 11] -> (7, 11)
folder = output_folder(output)                   # absolute, and shown to be writable
"""

from __future__ import annotations

import errno
import math
import numbers
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bend_hf.errors import BendError, DiskError, described, unknown

SEEDS = 1 << 32
"""Every generator of random numbers takes seeds below it."""

MOST_SEEDS = 10_000
"""Heads that are trained side by side, and more than any memory holds."""

TRACKERS = ("tensorboard", "trackio", "wandb", "comet_ml", "aim", "mlflow", "clearml", "dvclive", "swanlab")


MOST = 1 << 40
"""No count, length or position is larger."""


def whole(name: str, value: Any, least: int = 1) -> int | None:
    """Return an integer of at least `least`, or None for None.

    Raises:
        BendError: It is none: a fraction, a truth value, a text, too small, or larger than `MOST`.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise BendError(f"{name}={value!r} ({_flag(name)}) is no whole number of at least {least}.")
    if int(value) > MOST:
        raise BendError(f"{name}={value!r} ({_flag(name)}) is larger than anything counted here: at most {MOST:,}.")
    return int(value)


def number(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> float | None:
    """Return a finite number from `least` to `most`, or None for None.

    Raises:
        BendError: It is none: NaN, a truth value, a text, or out of range.
    """
    if value is None:
        return None
    found = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    if not (math.isfinite(found) and least <= found <= most):
        wanted = "finite number" if math.isinf(most) else f"number from {least:g} to {most:g}"
        raise BendError(f"{name}={value!r} ({_flag(name)}) is no {wanted}.")
    return found


def switch(name: str, value: Any) -> bool:
    """Return a truth value; texts and numbers are none: ``"no"`` would be taken for yes.

    Raises:
        BendError: It is none.
    """
    if not isinstance(value, bool):
        raise BendError(f"{name}={value!r} ({_flag(name)}) is neither True nor False.")
    return value


def launched(name: str, usual: int, least: int = 0) -> int:
    """Return a number that a launcher of several processes put into the environment; without, the usual one.

    Raises:
        BendError: It is no whole number of at least `least`.
    """
    found = os.environ.get(name, str(usual))
    if not found.isdecimal() or int(found) < least:
        raise BendError(
            f"{name}={found!r}, which launchers of several processes set in the environment, is no whole number of at "
            f"least {least}: unset it, or start with accelerate launch."
        )
    return int(found)


def share_of_environment() -> tuple[int, int]:
    """Rank and number of processes, as ``accelerate launch`` and ``torchrun`` tell them; (0, 1) without."""
    rank, number = launched("RANK", 0), launched("WORLD_SIZE", 1, 1)
    if rank >= number:
        raise BendError(f"RANK={rank} of WORLD_SIZE={number} processes is none of them: unset both.")
    return rank, number


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def seconds(name: str, value: Any) -> float | None:
    """Return a duration in seconds: a number of them, or a text such as ``"90s"``, ``"30min"``, ``"2h"``, ``"1d"``.

    Raises:
        BendError: It is none, or not above 0.
    """
    if value is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)?\s*", str(value)) if not isinstance(value, bool) else None
    length = float(found[1]) * {"s": 1, "min": 60, "h": 3_600, "d": 86_400}[found[2] or "s"] if found else 0.0
    if not length > 0:
        raise BendError(f"{name}={value!r} (--{name}) is no duration: write 90s, 30min, 2h or 1d.")
    return length


def one_of(kind: str, value: Any, choices: Iterable[str]) -> None:
    """Refuse what is none of the choices; the error lists them.

    Raises:
        BendError: So it is.
    """
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        raise unknown(kind, str(value), choices)


def seed_numbers(seeds: Any) -> tuple[int, ...]:
    """Return the seeds that a number of seeds, or the seeds themselves, stand for.

    Raises:
        BendError: There are none, one is no whole number of at least 0, or one stands there twice.
    """
    if isinstance(seeds, numbers.Integral) and not isinstance(seeds, bool):
        if (whole("seeds", seeds) or 0) > MOST_SEEDS:
            raise BendError(f"seeds={seeds!r}: at most {MOST_SEEDS:,} heads are trained side by side.")
        return tuple(range(int(seeds)))
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        raise BendError(f"seeds={seeds!r} is neither a number of seeds nor a list of them.")
    found = tuple(whole("seeds", seed, 0) or 0 for seed in seeds)
    if any(seed >= SEEDS for seed in found):
        raise BendError(f"seeds={list(found)!r}: a seed is below 2**32.")
    if not found or len(set(found)) < len(found):
        raise BendError(f"seeds={list(found)!r}: give one seed or more, each once.")
    return found


def path_of(name: str, value: Any) -> Path:
    """Return a path that was given for an argument; None, numbers, bytes and empty texts are none.

    Raises:
        BendError: It is none.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise BendError(f"{name}={value!r} is no path.")
    return Path(text)


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Return a folder's absolute path, once it has been shown that it could be made and a file be written there.

    It is tried beside what is there already, under a name of its own, and leaves nothing: several processes may ask for
    one folder at a time.

    Raises:
        BendError: It is no path.
        DiskError: It is a file, or cannot be written.
    """
    folder = path_of("output", path).expanduser().absolute()
    there = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
    probe = there / f".{uuid.uuid4().hex}.partial"
    tried = probe / folder.relative_to(there)
    try:
        if not there.is_dir():
            code = errno.EEXIST if there == folder else errno.ENOTDIR
            raise OSError(code, os.strerror(code))
        tried.mkdir(parents=True)
        (tried / "file").write_bytes(b"\0")
    except OSError as error:
        error.filename = str(folder)
        raise DiskError(f"output {folder} cannot be written: {described(error)}") from error
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return folder


def tracker_names(names: Any) -> Sequence[str]:
    """Return the names of trackers, all known and installed.

    Raises:
        BendError: One is unknown or not installed.
    """
    if isinstance(names, bytes) or not isinstance(names, Iterable):
        raise BendError(f"trackers={names!r} is no name of a tracker, nor several.")
    found = [names] if isinstance(names, str) else list(names)
    for name in found:
        if name not in TRACKERS:
            raise unknown("tracker", str(name), TRACKERS)
        if find_spec(name) is None:
            raise BendError(f"The tracker {name} is not installed: pip install {name}.")
    return found
