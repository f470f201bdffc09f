"""Models that are in memory already, and their tokenizers: used as they are found, and left so.

    found = in_memory(model, tokenizer)              # (module, tokenizer), or None where there is no such thing
    loaded = borrow(*found, name="mine")             # for `Embedder`

A model may come wrapped (DataParallel, torch.compile, PEFT), in a pair with its tokenizer, in a pipeline or a trainer.
What is embedded is its trunk; a language-model head on it serves likelihoods.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import nn

from bend_hf.embed import fingerprint
from bend_hf.embed.loading import Loaded, refuse_quantised, vocabulary_notes
from bend_hf.embed.reading import read_scheme
from bend_hf.errors import BendError
from bend_hf.files import digest_of
from bend_hf.models.bigbird import attend_by_length

UNSTATED = 10**6
"""Longer contexts than this, a tokenizer of transformers states where it knows none."""


def in_memory(model: Any, tokenizer: Any = None) -> tuple[nn.Module, Any] | None:
    """Return the module and the tokenizer in what a user gave, or None where it is nothing of the kind.

    Args:
        model: A module, a pair of a module and its tokenizer, or an object that has both (a pipeline, a trainer).
        tokenizer: The tokenizer, where it is given apart.

    Raises:
        BendError: There is a module without a tokenizer, or what should be a tokenizer is none.
    """
    if isinstance(model, (tuple, list)):
        modules = [part for part in model if isinstance(part, nn.Module)]
        others = [part for part in model if not isinstance(part, nn.Module)]
        if len(modules) != 1 or len(others) != 1:
            raise BendError(f"A {type(model).__name__} of {len(model)} is no model: give (model, tokenizer).")
        model, tokenizer = modules[0], others[0] if tokenizer is None else tokenizer
    elif not isinstance(model, nn.Module):
        inner = getattr(model, "model", None)
        if not isinstance(inner, nn.Module):
            return None
        own = getattr(model, "tokenizer", None) or getattr(model, "processing_class", None)
        model, tokenizer = inner, own if tokenizer is None else tokenizer
    kind = type(model).__name__
    if tokenizer is None:
        raise BendError(
            f"{kind} is a model without a tokenizer: give it too, as evaluate(model, tokenizer=tokenizer), or wrap "
            "both in a function from sequences to (vectors, lengths)."
        )
    return model, _tokenizer(tokenizer, kind)


def _tokenizer(tokenizer: Any, kind: str) -> Any:
    """A copy of the tokenizer, since reading it switches its padding and truncation off."""
    if isinstance(tokenizer, str) or hasattr(tokenizer, "__fspath__"):
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(str(tokenizer))
        except Exception as error:  # files that are missing or damaged raise a dozen types
            raise BendError(f"{kind}: tokenizer={str(tokenizer)!r} cannot be loaded ({error}).") from error
    if type(tokenizer).__module__.partition(".")[0] == "tokenizers":
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    if not (callable(tokenizer) and hasattr(tokenizer, "get_vocab")):
        raise BendError(
            f"{kind}: a {type(tokenizer).__name__} is no tokenizer of transformers. Wrap model and tokenizer in a "
            "function from sequences to (vectors, lengths)."
        )
    return copy.deepcopy(tokenizer)


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside DataParallel, torch.compile and PEFT's wrappers; adapters stay in force.

    Raises:
        BendError: What is inside would compute something else than the wrapper.
    """
    inner: Any = model
    while True:
        kind = type(inner).__name__
        if hasattr(inner, "_orig_mod"):
            inner = inner._orig_mod
        elif kind in ("DataParallel", "DistributedDataParallel"):
            inner = inner.module
        elif kind == "FullyShardedDataParallel" or any(hasattr(weight, "full_tensor") for weight in inner.parameters()):
            raise BendError("A model sharded by FSDP has its weights in pieces: gather them and give the whole model.")
        elif any(weight.is_meta for weight in inner.parameters()):
            raise BendError(
                f"{kind} has weights that are not in memory (offloaded, or on the meta device): load it whole, or with "
                "a device_map of devices alone."
            )
        elif hasattr(inner, "peft_config") and hasattr(inner, "get_base_model"):
            if any(getattr(config, "is_prompt_learning", False) for config in inner.peft_config.values()):
                raise BendError(f"{kind}: learnt prompts are no part of a sequence's tokens; merge or drop them.")
            inner = inner.get_base_model()
        else:
            unwrapped: nn.Module = inner
            return unwrapped


def borrow(
    model: nn.Module,
    tokenizer: Any,
    *,
    name: str | None = None,
    prefix: str | None = None,
    scheme: str | None = None,
) -> Loaded:
    """Describe a model in memory for `Embedder`.

    Args:
        model: As `in_memory` gives it.
        tokenizer: As `in_memory` gives it.
        name: For messages and results; by default the class's.
        prefix: Text before every sequence; None for the mark that the tokenizer is known to need, if any.
        scheme: How DNA is read, instead of what is found out.

    Raises:
        BendError: The tokenizer is none of DNA or of another model, the model takes no ``input_ids``, or its weights
            are quantised.
    """
    whole = unwrap(model)
    name = name or type(whole).__name__
    refuse_quantised(name, chain(whole.named_parameters(), whole.named_buffers()))
    config: Any = getattr(whole, "config", None)
    settings: dict[str, Any] = config.to_dict() if hasattr(config, "to_dict") else {}
    if settings.get("model_type") == "big_bird":  # what makes its attention right is a change to the model
        whole = copy.deepcopy(whole)
        attend_by_length(whole)
    stated = getattr(tokenizer, "model_max_length", None)
    if not settings and isinstance(stated, int) and stated < UNSTATED:
        settings["max_position_embeddings"] = stated
    tokenizer.model_max_length = 10**30  # windows are cut here; its warning about long text would be wrong
    tokens = read_scheme(tokenizer, name, prefix=prefix, scheme=scheme)
    trunk = _trunk(whole, settings)
    if "input_ids" not in inspect.signature(trunk.forward).parameters:
        raise BendError(
            f"{name} takes no input_ids (its forward takes {', '.join(inspect.signature(trunk.forward).parameters)}): "
            "wrap it in a function from sequences to (vectors, lengths)."
        )
    volatile = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")
    kinds = [f"{type(part).__module__}.{type(part).__qualname__}" for part in (whole, trunk)]
    ids = [encoded.ids.tolist() for encoded in tokens.encode([*fingerprint.PROBES, *fingerprint.HARD_PROBES])]
    identity = {
        "weights": fingerprint.of_weights(trunk),
        "class": kinds[1],
        "config": digest_of({key: repr(value) for key, value in settings.items() if key not in volatile}),
        "tokens": tokens.identity,
        "tokenizer": digest_of([tokenizer.get_vocab(), ids]),
    }
    return Loaded(
        name,
        trunk,
        tokens,
        settings,
        {},
        f"{type(trunk).__name__}, in memory",
        (),
        identity,
        notes=tuple(vocabulary_notes(name, trunk, tokens)),
        reading={"prefix": prefix, "scheme": scheme},
        head=None if trunk is whole else whole,
        borrowed=True,
    )


def _trunk(model: nn.Module, settings: dict[str, Any]) -> nn.Module:
    """The part of a model that gives hidden states: without its head, and of two halves the encoder."""
    from transformers import PreTrainedModel

    if isinstance(model, PreTrainedModel):
        base: Any = model.base_model
        trunk: nn.Module = base.get_encoder() if settings.get("is_encoder_decoder") else base
        return trunk
    return model


def place_of(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return where a model's weights are, and in which floating type they are held (float32 without any)."""
    weights = next((weight for weight in model.parameters() if weight.is_floating_point()), None)
    return (torch.device("cpu"), torch.float32) if weights is None else (weights.device, weights.dtype)


def settled(loaded: Loaded, device: str | torch.device | None, dtype: str) -> Loaded:
    """Return a borrowed model as it is where it fits what is asked for, else a copy of it of one's own.

    Args:
        loaded: As `borrow` gives it.
        device: Where it is to run; None for where it is.
        dtype: What it is to compute in; ``"auto"`` for what its weights are in.
    """
    own, held = place_of(loaded.model)
    wanted = own if device is None else torch.device(device)
    converted = held != torch.float32 and dtype not in ("auto", str(held).removeprefix("torch."))
    if not converted and wanted.type == own.type and (wanted.index in (None, own.index)):
        return loaded
    model = copy.deepcopy(loaded.model).to(wanted, torch.float32 if converted else held)
    return replace(loaded, model=model, borrowed=held != torch.float32 and not converted)


def head_of(loaded: Loaded, device: torch.device, dtype: str) -> nn.Module:
    """Return a borrowed model with its language-model head, ready to run: the caller's own where it is so, or a copy.

    Raises:
        BendError: It has none.
    """
    if loaded.head is None:
        raise BendError(f"{loaded.source}, in memory, has no language-model head: score it by distance.")
    place, held = place_of(loaded.head)
    wanted = torch.float32 if dtype == "float32" else held
    if place == device and held == wanted and not any(module.training for module in loaded.head.modules()):
        return loaded.head
    return copy.deepcopy(loaded.head).to(device, wanted).eval()
