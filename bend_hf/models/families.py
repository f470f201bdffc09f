"""The native families as data, how a checkpoint is recognised, and how it is loaded."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

from bend_hf.errors import BendError
from bend_hf.models.checkpoint import read_state_dict
from bend_hf.models.proof import align, compare, unwrap

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
    rotary = config.get("position_embedding_type") == "rotary"
    return "rotary positions, auto_map names modeling_esm" if rotary and _remote_file(config, "modeling_esm") else None


def _is_mosaic_bert(config: Config) -> str | None:
    if config.get("model_type") == "mosaic-bert":
        return "model_type 'mosaic-bert'"
    if config.get("model_type", "bert") != "bert":
        return None
    if "alibi_starting_size" in config:
        return "ALiBi positions: alibi_starting_size"
    return "auto_map names bert_layers" if _remote_file(config, "bert_layers") else None


def _is_gena_bert(config: Config) -> str | None:
    if config.get("model_type") == "gena-bert":
        return "model_type 'gena-bert'"
    is_bert = config.get("model_type", "bert") == "bert"
    return "layer norms before the layers: pre_layer_norm" if is_bert and config.get("pre_layer_norm") else None


def _is_hyena(config: Config) -> str | None:
    if config.get("model_type") == "hyenadna":
        return "model_type 'hyenadna'"
    layer = config.get("layer")
    return (
        "the older form: layer._name_ 'hyena'" if isinstance(layer, dict) and layer.get("_name_") == "hyena" else None
    )


@dataclass(frozen=True)
class Family:
    """One native architecture.

    Attributes:
        name: As users see it.
        module: Module of `bend_hf.models` with the classes ``<stem>Config``, ``<stem>Model`` and ``<stem>ForMaskedLM``
            or ``<stem>ForCausalLM``. Where published configurations or keys differ from those of the classes, its
            ``adapt(settings, state)`` returns both as the classes want them.
        stem: First part of the classes' names.
        objective: Of the language model.
        recognise: Returns why a ``config.json`` is of this family, or None.
    """

    name: str
    module: str
    stem: str
    objective: Literal["Masked", "Causal"]
    recognise: Callable[[Config], str | None]

    def classes(self) -> tuple[Any, ...]:
        """Import the module and return its configuration, base model and language model."""
        module = self.load_module()
        return tuple(getattr(module, self.stem + end) for end in ("Config", "Model", f"For{self.objective}LM"))

    def load_module(self) -> ModuleType:
        """Import the module."""
        return importlib.import_module(f"bend_hf.models.{self.module}")


FAMILIES = (
    Family("convnet", "convnet", "ConvNet", "Masked", _model_type("ConvNet")),
    Family("awd-lstm", "awd_lstm", "AWDLSTM", "Causal", _model_type("AWDLSTM")),
    Family("nt-v2", "nt_v2", "NTv2", "Masked", _is_nt_v2),
    Family("mosaic-bert", "mosaic_bert", "MosaicBert", "Masked", _is_mosaic_bert),
    Family("gena-bert", "gena_bert", "GenaBert", "Masked", _is_gena_bert),
    Family("gpn", "gpn", "GPN", "Masked", _model_type("GPN")),
    Family("hyenadna", "hyena", "HyenaDNA", "Causal", _is_hyena),
    Family("caduceus", "caduceus", "Caduceus", "Masked", _model_type("caduceus")),
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

    heads = {"Masked": AutoModelForMaskedLM, "Causal": AutoModelForCausalLM}
    for family in FAMILIES:
        config, base, lm = family.classes()
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, base, exist_ok=True)
        heads[family.objective].register(config, lm, exist_ok=True)


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
    adapt = getattr(family.load_module(), "adapt", None)
    if adapt is not None:
        settings, state = adapt(settings, state)
    config_class, base, lm = family.classes()
    with torch.device("meta"):  # no time for random weights that are replaced at once
        model: PreTrainedModel = (lm if lm_head else base)(config_class(**settings))
    state = align(unwrap(state, model), model)
    own = model.state_dict()
    # Copies: tensors of safetensors are views of the file, and would change (or crash) with it.
    fitting = {key: value.clone() for key, value in state.items() if key in own and own[key].shape == value.shape}
    model.load_state_dict(fitting, strict=False, assign=True)
    model.tie_weights()
    compare(model, state, name=repr(str(source)))
    torch.nn.Module.to(model, dtype or torch.float32)
    model.eval()
    return model
