"""Checkpoints that transformers' own classes read, and those that a package registered with it.

    model, architecture = load_stock("zhihan1996/DNA_bert_6", config, state, lm_head=False)

transformers is asked which class a configuration is for and how its tensors are fused, split or renamed; that all of
them arrived is proved by `bend_hf.models.proof`, not believed. Of a model of two halves the encoder is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bend_hf.errors import BendError
from bend_hf.models.proof import align, as_published, compare, unwrap

PROBE = 16
"""Tokens of the input by which it is found out whether vectors depend on a part of a model."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' warnings and progress bars away while it loads."""
    from transformers import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def load_stock(
    source: str, config: Mapping[str, Any], state: Mapping[str, Tensor], lm_head: bool
) -> tuple[nn.Module, str, list[str]]:
    """Load a checkpoint with the class that transformers has for its configuration.

    Args:
        source: A local folder or a Hub id, for messages.
        config: ``config.json``.
        state: The checkpoint's tensors.
        lm_head: Whether to load the language-model head too (the model then gives ``logits``).

    Returns:
        The model, how it was chosen, and the keys of the checkpoint that it does not need.

    Raises:
        BendError: There is no such class, it has no such head, or its tensors are not those of the checkpoint.
    """
    settings, chosen = _class_of(source, config, lm_head)
    try:
        with torch.device("meta"):
            blank = chosen(settings)
    except Exception as error:  # sizes that fit no layer
        raise BendError(f"{source!r}: no {chosen.__name__} is made of its config.json ({_line(error)}).") from error
    names = blank.state_dict().keys() | (as_published(blank) or {}).keys()
    state = unwrap(state, blank, names)
    wrong = _wrong_shapes(blank, state)
    if wrong:
        raise BendError(f"{source!r} cannot be loaded: tensors of the wrong shape: {', '.join(wrong[:6])}")
    try:
        with quiet():
            given = {"config": settings, "state_dict": dict(state), "dtype": torch.float32}
            model: nn.Module = chosen.from_pretrained(None, **given)
    except Exception as error:  # a dozen types, from a wrong field of the configuration to tensors that do not fit
        raise BendError(f"{source!r} cannot be loaded as {chosen.__name__}: {_line(error)}") from error
    architecture = f"transformers' {chosen.__name__}, by model_type {config.get('model_type')!r}"
    part = model.eval()
    if settings.is_encoder_decoder:
        part = model.get_encoder()  # type: ignore[operator]
        architecture = f"the encoder of {architecture}"
    ids = torch.arange(PROBE)[None] % max(1, getattr(settings.get_text_config(), "vocab_size", None) or 1)
    return part, architecture, compare(model, state, name=repr(source), probe=partial(_first, part, ids))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _first(model: nn.Module, ids: Tensor) -> Tensor:
    """The first output of a model: its vectors, or the logits of a head."""
    first: Tensor = model(input_ids=ids)[0]
    return first


def _class_of(source: str, config: Mapping[str, Any], lm_head: bool) -> tuple[Any, Any]:
    """The configuration as transformers reads it, and the class it is for."""
    import transformers
    from transformers.models.auto import modeling_auto as auto
    from transformers.models.auto.auto_factory import _get_model_class

    kind = str(config.get("model_type"))
    if kind not in transformers.CONFIG_MAPPING:
        raise BendError(
            f"{source!r} is of model_type {kind!r}, which neither bend_hf nor transformers "
            f"{transformers.__version__} knows: upgrade transformers, import the package that registers it "
            "(AutoModel.register), or wrap the model as a callable (see docs/embeddings.md)."
        )
    try:
        settings = transformers.CONFIG_MAPPING[kind].from_dict(dict(config))
    except Exception as error:  # whatever a class of configurations checks
        raise BendError(f"{source!r}: transformers cannot read its config.json ({_line(error)}).") from error
    mapping: Any = auto.MODEL_MAPPING
    if lm_head:
        masked = type(settings) in auto.MODEL_FOR_MASKED_LM_MAPPING and not getattr(
            settings.get_text_config(), "is_decoder", False
        )
        mapping = auto.MODEL_FOR_MASKED_LM_MAPPING if masked else auto.MODEL_FOR_CAUSAL_LM_MAPPING
        if settings.is_encoder_decoder or type(settings) not in mapping:
            raise BendError(f"{source!r} (model_type {kind!r}) has no language-model head: use the distance scores.")
    if type(settings) not in mapping:
        raise BendError(
            f"{source!r}: transformers has no model for model_type {kind!r}: wrap it as a callable (see "
            "docs/embeddings.md)."
        )
    return settings, _get_model_class(settings, mapping)


def _wrong_shapes(blank: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """The tensors whose shape keeps a checkpoint from loading."""
    own = blank.state_dict()
    return [
        f"{key} ({tuple(value.shape)} in the checkpoint, {tuple(own[key].shape)} in the model)"
        for key, value in align(state, blank).items()
        if key in own and own[key].shape != value.shape
    ]


def fuse_gelu(model: nn.Module) -> None:
    """Let ESM's feed-forward layers call torch's GELU, the same function in one step instead of five.

    Those five take a third of an ESM's time in float32, and more in bfloat16. A layer that would give another result
    (of a transformers version that writes it differently) is left alone.
    """
    layers: list[Any] = [module for module in model.modules() if type(module).__name__ == "EsmIntermediate"]
    for layer in layers:
        probe = torch.linspace(-4, 4, layer.dense.in_features)[None]
        with torch.inference_mode():
            if torch.allclose(layer(probe), functional.gelu(layer.dense(probe)), atol=1e-5):
                forward: Callable[[Tensor], Tensor] = partial(_dense_gelu, layer)
                layer.forward = forward


def _dense_gelu(module: Any, hidden_states: Tensor) -> Tensor:
    return functional.gelu(module.dense(hidden_states))
