"""Downloads the released files."""

from __future__ import annotations

from pathlib import Path

from bend_hf.errors import BendError


def released(name: str, *, offline: bool | None = None) -> Path:
    raise BendError(f"{name}")


def genome(build: str, *, offline: bool | None = None) -> Path:
    raise BendError(f"{build}")
