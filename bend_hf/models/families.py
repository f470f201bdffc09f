"""The native families as data, how a checkpoint is recognised, and how it is loaded."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel

from bend_hf.errors import BendError
from bend_hf.models.checkpoint import HEADS, POOLERS, align, compare, read_state_dict

Config = Mapping[str, Any]


def _model_type(name: str) -> Callable[[Config], str | None]:
    return lambda config: f"model_type {name!r}" if config.get("model_type") == name else None


def _remote_file(config: Config, module: str) -> bool:
    """Say whether the checkpoint's own code is in `module`, e.g. ``bert_layers``."""
    classes = (config.get("auto_map") or {}).values()
    return any(re.search(rf"(^|--){module}\.", str(name)) for name in classes)


def _is_nt_v2(config: Config) -> str | None:
    if config.get("model_type", "esm") not in ("esm", "nucleotide-transformer-v2"):
        return None
    if "add_bias_fnn" in config:
        return "gated feed-forward network: add_bias_fnn"
    return "auto_map names modeling_esm" if _remote_file(config, "modeling_esm") else None


def _is_mosaic_bert(config: Config) -> str | None:
    if config.get("model_type") == "mosaic-bert":
        return "model_type 'mosaic-bert'"
    if config.get("model_type", "bert") != "bert":
        return None
    if "alibi_starting_size" in config:
        return "ALiBi positions: alibi_starting_size"
    return "auto_map names bert_layers" if _remote_file(config, "bert_layers") else None


@dataclass(frozen=True)
class Family:
    """One native architecture.

    Attributes:
        name: As users see it.
        module: Module of `bend_hf.models` that holds the classes.
        config: Name of the configuration class; its ``model_type`` is what the Auto classes know.
        base: Name of the model class without a head.
        lm: Name of the class with a language-model head.
        objective: Of the language model.
        recognise: Returns why a ``config.json`` is of this family, or None.
        adapt: Turns a published configuration and state dictionary into those of the classes here, where they differ.
    """

    name: str
    module: str
    config: str
    base: str
    lm: str
    objective: Literal["masked", "causal"]
    recognise: Callable[[Config], str | None]
    adapt: Callable[[dict[str, Any], dict[str, Tensor]], tuple[dict[str, Any], dict[str, Tensor]]] | None = None

    def get(self, name: str) -> Any:
        """Import the family's module and return a class of it."""
        return getattr(importlib.import_module(f"bend_hf.models.{self.module}"), name)


FAMILIES = (
    Family(
        "convnet", "convnet", "ConvNetConfig", "ConvNetModel", "ConvNetForMaskedLM", "masked", _model_type("ConvNet")
    ),
    Family("awd-lstm", "awd_lstm", "AWDLSTMConfig", "AWDLSTMModel", "AWDLSTMForLM", "causal", _model_type("AWDLSTM")),
    Family("nt-v2", "nt_v2", "NTv2Config", "NTv2Model", "NTv2ForMaskedLM", "masked", _is_nt_v2),
    Family(
        "mosaic-bert",
        "mosaic_bert",
        "MosaicBertConfig",
        "MosaicBertModel",
        "MosaicBertForMaskedLM",
        "masked",
        _is_mosaic_bert,
    ),
)

# What a config.json says of the files around the model, not of the model.
_NOT_ARCHITECTURE = (
    "model_type",
    "auto_map",
    "architectures",
    "transformers_version",
    "torch_dtype",
    "dtype",
    "use_cache",
)


def find(config: Config) -> tuple[Family, str] | None:
    """Return the family of a ``config.json`` and why it was taken, or None."""
    for family in FAMILIES:
        why = family.recognise(config)
        if why is not None:
            return family, why
    return None


def register() -> None:
    """Register every family with AutoConfig, AutoModel and AutoModelForMaskedLM or -CausalLM."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

    for family in FAMILIES:
        config = family.get(family.config)
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, family.get(family.base), exist_ok=True)
        auto = AutoModelForMaskedLM if family.objective == "masked" else AutoModelForCausalLM
        auto.register(config, family.get(family.lm), exist_ok=True)


def load(
    source: str | Path, config: Config, *, revision: str | None, lm_head: bool, dtype: torch.dtype | None
) -> PreTrainedModel:
    """Load a checkpoint of a native family; see `bend_hf.models.load`."""
    found = find(config)
    if found is None:
        raise BendError(
            f"{source}: no architecture of bend_hf fits its config (model_type {config.get('model_type')!r}); "
            "load it with transformers' AutoModel."
        )
    family, _ = found
    state = read_state_dict(source, revision)
    settings = {key: value for key, value in config.items() if key not in _NOT_ARCHITECTURE}
    if family.adapt is not None:
        settings, state = family.adapt(settings, state)
    with torch.device("meta"):  # no time for random weights that are replaced at once
        model: PreTrainedModel = family.get(family.lm if lm_head else family.base)(
            family.get(family.config)(**settings)
        )
    state = align(state, model)
    own = model.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    model.load_state_dict(fitting, strict=False, assign=True)
    model.tie_weights()
    unused = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    compare(model, state, name=str(source), ignore=(*unused, *POOLERS, *(() if lm_head else HEADS)))
    torch.nn.Module.to(model, dtype or torch.float32)
    model.eval()
    return model
