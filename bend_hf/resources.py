"""Finds `dataset_scripts/` and `metrics/`: beside the package in a clone, inside it in an installed wheel."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Literal

from bend_hf.errors import BendError, unknown

Kind = Literal["dataset_scripts", "metrics"]


def folder(kind: Kind) -> Path:
    """Return the folder of the loading scripts or of the metric modules."""
    package = Path(__file__).resolve().parent
    for candidate in (package / kind, package.parent / kind):
        if candidate.is_dir():
            return candidate
    raise BendError(
        f"{kind}/ is neither in {package} nor beside it: the installation is incomplete; reinstall bend_hf."
    )


def load_module(kind: Kind, name: str) -> ModuleType:
    """Import ``<kind>/<name>/<name>.py`` once, under a module name of its own.

    Raises:
        BendError: There is no such script or metric; the message lists those there are.
    """
    root = folder(kind)
    path = root / name / f"{name}.py"
    if not path.is_file():
        choices = sorted(entry.name for entry in root.iterdir() if (entry / f"{entry.name}.py").is_file())
        raise unknown({"dataset_scripts": "dataset", "metrics": "metric"}[kind], name, choices)
    module_name = f"bend_hf_{kind}_{name}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
    return sys.modules[module_name]
