"""Devices: which there are, which is taken, and the half precision that each computes natively.

pick_device(None)             # cuda where there is one, else xpu or mps, else the CPU
native_half(device)           # torch.bfloat16, torch.float16 or None
"""

from __future__ import annotations

import torch

from bend_hf.errors import BendError
from bend_hf.text import counted

KINDS = ("cuda", "xpu", "mps")
"""Kinds of devices, best first; what runs on those behind the first is compared with the CPU before it is believed."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in main memory."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def native_half(device: torch.device) -> torch.dtype | None:
    """Return the half-precision dtype that the device computes natively, None where there is none.

    It depends on the hardware alone, never on a timing, so that processes of one run agree.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu":
        supports = [getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in ("amx_tile", "avx512_bf16")]
        return torch.bfloat16 if any(known is not None and known() for known in supports) else None
    return None


def pick_device(device: str | torch.device | None) -> torch.device:
    """Return the device asked for, or the best there is.

    Raises:
        BendError: It is not there.
    """
    if device is None:
        return torch.device(next((kind for kind in KINDS if _count(kind)), "cpu"))
    try:
        if not isinstance(device, str | torch.device):
            raise TypeError(device)
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise BendError(f"device={device!r} (--device) is none: give cpu, cuda, cuda:0, mps or xpu.") from error
    there = _count(chosen.type)
    if chosen.type == "meta" or (chosen.index or 0) >= there:
        there_are = counted(there, "device of that kind is", "devices of that kind are")
        raise BendError(f"device={device!r} (--device) is not there ({there_are}): use cpu.")
    return chosen


def _count(kind: str) -> int:
    """How many devices of a kind torch can use here."""
    if kind == "cpu":
        return 1
    module = getattr(torch, kind, None)
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return module.device_count() if module is not None and module.is_available() else 0
