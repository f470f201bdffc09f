"""Models larger than one device: their layers on several, laid out by accelerate. The vectors are the same.

    device = spread(model, "auto", "mine")            # the device that its inputs go to

The model is loaded whole and proved first, so that main memory holds it. Then its layers go to the GPUs; what does not
fit there is fetched from main memory for its turn, and what a map puts on ``"disk"`` from there.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bend_hf.checks import launched
from bend_hf.embed.devices import pick_device
from bend_hf.errors import BendError, unknown

MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways of laying layers out that accelerate knows by name."""

DeviceMap = str | Mapping[str, Any]


class NothingMissing(TorchDispatchMode):
    """Refuses, while it is entered, what computes from numbers together with weights that are not there.

    torch may compute such a product without an error: into memory that nothing was written to, which holds anything,
    the right answer of a moment ago included.

    Args:
        name: For messages.
    """

    def __init__(self, name: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.name = name

    def __torch_dispatch__(
        self, operation: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        leaves = tree_leaves((args, kwargs or {}))
        missing = {leaf.is_meta for leaf in leaves if isinstance(leaf, Tensor)}
        if missing == {True, False}:
            raise BendError(
                f"{self.name} gives other vectors with its layers apart (a part reads the weights of another, which "
                "are not there while that is not called): leave out device_map= (--device-map)."
            )
        return operation(*args, **(kwargs or {}))


def check_alone(device: Any) -> None:
    """Refuse a device beside a map, and a map in each of several processes.

    Raises:
        BendError: So it is.
    """
    if device is not None:
        raise BendError("device= and device_map= (--device, --device-map) say twice where a model runs: give one.")
    if launched("WORLD_SIZE", 1, 1) > 1:
        raise BendError("device_map= (--device-map) is for one process on all devices: leave out accelerate launch.")


def is_spread(model: nn.Module) -> bool:
    """Whether a model's layers lie apart already, so that it must not be moved as a whole."""
    places: Mapping[str, Any] = getattr(model, "hf_device_map", {})
    return len(set(places.values())) > 1 or "disk" in places.values()


def spread(model: nn.Module, device_map: DeviceMap, name: str) -> torch.device:
    """Lay a model's layers out over devices, unless that was done before.

    Args:
        model: On the CPU; its layers are moved.
        device_map: One of `MAPS`, or the device of each module by name (``""`` for all): a number or name of one,
            ``"cpu"`` or ``"disk"``.
        name: For messages.

    Returns:
        The device that inputs go to and vectors come back to.

    Raises:
        BendError: The map is none, names a device that is not there, or leaves modules out.
    """
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    if is_spread(model):
        return _first(model.hf_device_map)  # type: ignore[arg-type]
    if isinstance(device_map, str) and device_map not in MAPS:
        raise unknown("device map", device_map, MAPS)
    if not isinstance(device_map, str | Mapping):
        raise BendError(f"device_map={device_map!r} is none: give {', '.join(MAPS)}, or a device for each module.")
    whole = whole_blocks(model)
    try:
        if isinstance(device_map, str):
            most = None
            if device_map != "sequential":
                low = device_map == "balanced_low_0"
                most = get_balanced_memory(model, no_split_module_classes=whole, low_zero=low)
            placed = infer_auto_device_map(model, max_memory=most, no_split_module_classes=whole)
        else:
            placed = {module: where if where == "disk" else _device(where) for module, where in device_map.items()}
        folder = None
        if placed.get("") == "disk":  # which accelerate takes for no module at all
            placed = dict.fromkeys((child for child, _ in model.named_children()), "disk")
        if "disk" in placed.values():
            folder = tempfile.mkdtemp(prefix="bend-hf-")
            weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
        first = _first(placed)
        # A block's weights come together: some read those of a part without calling it.
        dispatch_model(model, placed, main_device=first, offload_dir=folder, preload_module_classes=whole)
    except (ValueError, KeyError, AttributeError) as error:
        raise BendError(f"{name}: device_map={device_map!r} does not fit it ({error}).") from error
    return first


def whole_blocks(model: nn.Module) -> list[str]:
    """Return the classes of modules that stay on one device: a model's layers, and what its class says."""
    layers = {type(layer).__name__ for part in model.modules() if isinstance(part, nn.ModuleList) for layer in part}
    return sorted(layers | set(getattr(model, "_no_split_modules", None) or ()))


def with_head(device_map: DeviceMap, model: nn.Module) -> DeviceMap:
    """Return the map of a model with its head, from that of its trunk: the head lies where inputs go."""
    if isinstance(device_map, str) or "" in device_map:
        return device_map
    trunk = getattr(model, "base_model_prefix", "")
    others = {child: _first(device_map) for child, _ in model.named_children() if child != trunk}
    own = {module for module, _ in model.named_modules()}  # a trunk alone may have a pooler
    inner = {f"{trunk}.{module}": where for module, where in device_map.items()}
    return {module: where for module, where in inner.items() if module in own} | others


def _device(where: Any) -> torch.device:
    return pick_device(f"cuda:{where}" if isinstance(where, int) else where)


def _first(placed: Mapping[str, Any]) -> torch.device:
    """The first device of a map that computes; what lies elsewhere is fetched there."""
    there = [_device(where) for where in placed.values() if where != "disk"]
    return next((device for device in there if device.type != "cpu"), torch.device("cpu"))
