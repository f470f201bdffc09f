"""What a record says of where a number was made: versions, hardware, memory and the command.

Each value is JSON-able and stands in a record as it is.
"""

from __future__ import annotations

import platform
import resource
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bend_hf import __version__
from bend_hf.checks import launched
from bend_hf.errors import without_credentials
from bend_hf.runtime import core_limits

PACKAGES = (
    "accelerate",
    "datasets",
    "evaluate",
    "huggingface-hub",
    "numpy",
    "safetensors",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
)


def machine() -> dict[str, Any]:
    """Return versions, hardware, command and time, as they are now."""
    return {
        "packages": {
            "python": platform.python_version(),
            "bend_hf": __version__,
            **{name: version(name) for name in PACKAGES},
        },
        "hardware": _hardware(),
        "command": without_credentials(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def peak_memory() -> int:
    """Return the most memory this process has held so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _hardware() -> dict[str, Any]:
    import torch

    accelerators = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": _cpu(),
        "cores": max(1, int(min(core_limits().values()))),
        "accelerators": accelerators,
        "processes": launched("WORLD_SIZE", 1, 1),
    }


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
