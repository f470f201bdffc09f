"""Adapters of the peft library (LoRA and its like), merged into the weights of their base model.

    base, revision = base_of("my-lora", adapter_config)
    model = merge(load(base).model, adapter_config, weights_of("my-lora", None), "my-lora")

Each tensor of the adapter must find its place in the model: one that does not is an error, for the base's own vectors
would pass for the adapter's. Beside the matrices these are parameters that were trained whole (biases, embeddings,
norms), which take the place of the base's. Only what an adapter holds for a head, on which no vector depends, is left
out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bend_hf.errors import BendError
from bend_hf.models.checkpoint import find_file, read_tensors, some

WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
NOT_MERGED = ("modules_to_save", "task_type", "auto_mapping", "base_model_name_or_path", "revision")
"""Fields of ``adapter_config.json`` that say nothing of the matrices."""
ROOT = "base_model.model."
"""What peft puts before the names of the modules it adapts."""
PLACE = re.compile(r"^(?P<module>.+?)\.(?P<part>(lora|lokr|hada|oft|ia3|vera).*)$")
"""A tensor's name: the module that is adapted, and which part of its adapter the tensor is."""
WHOLE = re.compile(r"\.(base_layer|modules_to_save(\.default)?)(?=\.)")
"""What stands in the names of parameters that were trained whole, and is no part of the base's own."""
PATTERNS = ("rank_pattern", "alpha_pattern")
"""Fields that give a number of their own to the modules whose name, as the adapter was trained, fits a pattern."""


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
    placed, own, left_out = _place(model, state, name)
    tensors = model.state_dict()  # the model's own, buffers too
    before = {key: tensors[key].clone() for key in (*own, *(f"{module}.weight" for module in placed))}
    for key, value in own.items():
        tensors[key].copy_(value)
    kept = {key: value for key, value in adapter.items() if key not in NOT_MERGED}
    kept |= {field: _by_module(placed, kept[field]) for field in PATTERNS if kept.get(field)}
    try:
        settings = peft.get_peft_config({**kept, "target_modules": sorted(placed), "inference_mode": True})
        adapted = peft.get_peft_model(model, settings)
        tensors = {
            f"{ROOT}{module}.{part}": value for module, one in placed.items() for part, value in one.parts.items()
        }
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
    tensors = merged.state_dict()
    if all(torch.equal(tensors[key], value) for key, value in before.items()):
        raise BendError(
            f"{name!r}: its adapter changes no weight of {type(model).__name__} (its matrices are zero, or it is for "
            f"parts that no vector depends on: {some(left_out) or 'none'}): give the base model."
        )
    return merged


class _Placed(NamedTuple):
    """What adapts a module: the module's name when the adapter was trained, and its tensors by name."""

    trained: str
    parts: dict[str, Tensor]


def _place(
    model: nn.Module, state: Mapping[str, Tensor], name: str
) -> tuple[dict[str, _Placed], dict[str, Tensor], list[str]]:
    """Return the adapter's tensors by the module they adapt, parameters trained whole by name, and a head's keys."""
    modules, shapes = dict(model.named_modules()), {key: tensor.shape for key, tensor in model.state_dict().items()}
    placed: dict[str, _Placed] = {}
    own: dict[str, Tensor] = {}
    lost, heads = [], []
    for key, value in state.items():
        found = PLACE.match(key)
        path = found["module"] if found else WHOLE.sub("", key)
        # The adapter may have been trained on the model with a head, or on the whole of which this is the encoder.
        words = path.split(".")
        prefix = getattr(model, "base_model_prefix", "") or ""
        forms = [*(".".join(words[start:]) for start in range(len(words))), f"{prefix}.{path}"]
        there = next((form for form in forms if form in (modules if found else shapes)), None)
        if found and there is not None:
            placed.setdefault(there, _Placed(path, {})).parts[found["part"]] = value
        elif there is not None and shapes[there] == value.shape:
            own[there] = value
        elif found or there is not None:
            lost.append(key)
        else:
            heads.append(key)
    if lost or not placed:
        raise BendError(
            f"{name!r}: its adapter does not fit {type(model).__name__}: no place for {some(lost or heads)}. Merge it "
            "with peft (merge_and_unload), save the model and give that folder."
        )
    return placed, own, heads


def _by_module(placed: Mapping[str, _Placed], patterns: Mapping[str, Any]) -> dict[str, Any]:
    """Return patterns of the names that modules had in training as patterns of the names that they have here."""
    from peft.utils.other import get_pattern_key

    found: dict[str, Any] = {}
    for module, one in placed.items():
        pattern = get_pattern_key(list(patterns), one.trained)
        if pattern in patterns:
            found[f"^{re.escape(module)}"] = patterns[pattern]  # a longer name may end with a shorter one
    return found
