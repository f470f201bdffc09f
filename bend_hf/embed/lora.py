"""Adapters of the peft library (LoRA and its like), merged into the weights of their base model.

    base, revision = base_of("my-lora", adapter_config)
    model = merge(load(base).model, adapter_config, weights_of("my-lora", None), "my-lora")

Each tensor of the adapter must find its place in the model: one that does not is an error, for the base's own vectors
would pass for the adapter's. Only what an adapter holds for a head, of which no vector depends, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bend_hf.errors import BendError
from bend_hf.models.checkpoint import find_file, read_tensors, some

WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
NOT_MERGED = ("modules_to_save", "task_type", "auto_mapping", "base_model_name_or_path", "revision")
"""Fields of ``adapter_config.json`` that say nothing of the matrices."""
ROOT = "base_model.model."
"""What peft puts before the names of the modules it adapts."""
PLACE = re.compile(r"^(?P<module>.+?)\.(?P<part>(lora|lokr|hada|oft|ia3|vera|modules_to_save).*)$")
"""A tensor's name: the module that is adapted, and which part of its adapter the tensor is."""


def base_of(source: str, adapter: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the base model that an adapter names, and its revision.

    Raises:
        BendError: It names none.
    """
    base = adapter.get("base_model_name_or_path")
    if not base:
        raise BendError(
            f"{source!r} is an adapter whose adapter_config.json names no base model (base_model_name_or_path): put "
            "the base's config.json and weights beside it."
        )
    beside = Path(source) / str(base)
    return (str(beside) if Path(source).is_dir() and beside.is_dir() else str(base)), adapter.get("revision")


def weights_of(source: str, revision: str | None) -> Path:
    """Return the file of an adapter's weights.

    Raises:
        BendError: There is none.
    """
    found = (find_file(source, name, revision) for name in WEIGHTS)
    path = next((path for path in found if path is not None), None)
    if path is None:
        raise BendError(f"{source!r} has an adapter_config.json but no weights of an adapter ({', '.join(WEIGHTS)}).")
    return path


def merge(model: nn.Module, adapter: Mapping[str, Any], path: Path, name: str) -> nn.Module:
    """Merge an adapter into a model's weights, in float32.

    Args:
        model: The base, or its trunk.
        adapter: ``adapter_config.json``.
        path: The adapter's weights.
        name: For messages.

    Raises:
        BendError: The library peft is missing, the adapter is of a kind that cannot be merged, or it does not fit.
    """
    try:
        import peft
    except ImportError as error:
        raise BendError(
            f"{name!r} holds an adapter ({adapter.get('peft_type')}), which only the library peft can merge: "
            "pip install 'bend_hf[adapters]'. Without it the vectors would be the base model's."
        ) from error
    state = {key.removeprefix(ROOT): value for key, value in read_tensors(path).items()}
    placed, left_out = _place(model, state, name)
    kept = {key: value for key, value in adapter.items() if key not in NOT_MERGED}
    before = {module: model.get_parameter(f"{module}.weight").clone() for module in placed}
    try:
        settings = peft.get_peft_config({**kept, "target_modules": sorted(placed), "inference_mode": True})
        adapted = peft.get_peft_model(model, settings)
        tensors = {f"{ROOT}{module}.{part}": value for module, parts in placed.items() for part, value in parts.items()}
        report: Any = peft.set_peft_model_state_dict(adapted, tensors)
        unused = [*report.unexpected_keys, *(key for key in report.missing_keys if PLACE.search(key))]
        if unused:
            raise BendError(f"{name!r}: its adapter does not fit {type(model).__name__}: {some(unused)}.")
        merged: nn.Module = adapted.merge_and_unload(safe_merge=True)
    except BendError:
        raise
    except Exception as error:  # kinds that cannot be merged, ranks that do not fit, NaN in the weights
        raise BendError(
            f"{name!r}: its adapter ({adapter.get('peft_type')}) cannot be merged into {type(model).__name__}: {error}"
        ) from error
    if all(torch.equal(merged.get_parameter(f"{module}.weight"), weight) for module, weight in before.items()):
        raise BendError(
            f"{name!r}: its adapter changes no weight of {type(model).__name__} (its matrices are zero, or it is for "
            f"parts that no vector depends on: {some(left_out) or 'none'}): give the base model."
        )
    return merged


def _place(model: nn.Module, state: Mapping[str, Tensor], name: str) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """The adapter's tensors by the module they adapt, and the keys that are a head's."""
    modules = dict(model.named_modules())
    prefix = f"{getattr(model, 'base_model_prefix', '') or ''}."
    placed: dict[str, dict[str, Tensor]] = {}
    lost, heads = [], []
    for key, value in state.items():
        found = PLACE.match(key)
        path = found["module"] if found else key
        # The adapter may have been trained on the model with a head, or on the whole of which this is the encoder.
        forms = (path, path.removeprefix(prefix), prefix + path, path.removeprefix("encoder."), path.partition(".")[2])
        module = next((form for form in forms if form in modules), None)
        if found and module is not None and not found["part"].startswith("modules_to_save"):
            placed.setdefault(module, {})[found["part"]] = value
        elif module is None and (not found or found["part"].startswith("modules_to_save")):
            heads.append(key)
        else:
            lost.append(key)
    if lost or not placed:
        raise BendError(
            f"{name!r}: its adapter does not fit {type(model).__name__}: no place for {some(lost or heads)}. Merge it "
            "with peft (merge_and_unload), save the model and give that folder."
        )
    return placed, heads
