"""Code that comes with a checkpoint, run under a newer transformers than it was written for.

Only with ``trust_remote_code=True``. While the code is imported and the model built, names that transformers 5 took
away are put back; the model is built on the CPU (not on the meta device, where tensors made in ``__init__`` are lost)
and its weights are loaded here, so that nothing is left to a loading routine that re-initialises what it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bend_hf.errors import BendError
from bend_hf.models.proof import align

CONFIG_DEFAULTS: dict[str, Any] = {
    "is_decoder": False,
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "tie_encoder_decoder": False,
    "chunk_size_feed_forward": 0,
    "pruned_heads": {},
    "torchscript": False,
    "use_cache": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "use_return_dict": True,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "sep_token_id": None,
    "gradient_checkpointing": False,
    "tie_word_embeddings": True,
}
"""Attributes that configurations of transformers 4 always had."""


def find_pruneable_heads_and_indices(
    heads: list[int], n_heads: int, head_size: int, already_pruned_heads: set[int]
) -> tuple[set[int], Tensor]:
    """Return the heads still to prune and the indices of the channels to keep (removed from transformers 5)."""
    remaining = set(heads) - already_pruned_heads
    keep = torch.ones(n_heads, head_size)
    for head in remaining:
        keep[head - sum(pruned < head for pruned in already_pruned_heads)] = 0
    return remaining, torch.arange(n_heads * head_size)[keep.view(-1).eq(1)]


def prune_linear_layer(layer: nn.Linear, index: Tensor, dim: int = 0) -> nn.Linear:
    """Return a linear layer with the rows or columns in `index` (removed from transformers 5)."""
    weight = layer.weight.data.index_select(dim, index)
    kept = nn.Linear(weight.shape[1], weight.shape[0], bias=layer.bias is not None)
    kept.weight.data = weight
    if layer.bias is not None:
        kept.bias.data = layer.bias.data if dim == 1 else layer.bias.data[index]
    return kept


def _extended_mask(self: Any, attention_mask: Tensor, *arguments: Any, **options: Any) -> Tensor:
    mask = attention_mask[:, None, None, :] if attention_mask.ndim == 2 else attention_mask[:, None]
    if getattr(self.config, "is_decoder", False) and attention_mask.ndim == 2:
        size = attention_mask.shape[1]
        mask = mask * torch.ones(size, size, device=mask.device).tril()[None, None]
    return (1.0 - mask.to(torch.float32)) * torch.finfo(torch.float32).min


def _head_mask(self: Any, head_mask: Tensor | None, num_hidden_layers: int, *arguments: Any) -> Any:
    return [None] * num_hidden_layers if head_mask is None else head_mask


@contextmanager
def old_names() -> Iterator[None]:
    """Put names that transformers 5 removed back, while the block runs and for the classes it defines."""
    from transformers import PreTrainedModel, modeling_utils, pytorch_utils, utils

    added: list[tuple[Any, str]] = []

    def put(holder: Any, name: str, value: Any) -> None:
        if not hasattr(holder, name):
            setattr(holder, name, value)
            added.append((holder, name))

    for module in (pytorch_utils, modeling_utils):
        put(module, "find_pruneable_heads_and_indices", find_pruneable_heads_and_indices)
        put(module, "prune_linear_layer", prune_linear_layer)
    for name in ("apply_chunking_to_forward", "Conv1D"):  # moved
        put(modeling_utils, name, getattr(pytorch_utils, name))
    for module in (utils, utils.import_utils):
        put(module, "is_torch_fx_available", lambda: False)
    for holder in (PreTrainedModel,):
        put(holder, "get_extended_attention_mask", _extended_mask)
        put(holder, "invert_attention_mask", _extended_mask)
        put(holder, "get_head_mask", _head_mask)
    finalize = PreTrainedModel.post_init
    weights = PreTrainedModel.init_weights

    def post_init(self: Any) -> None:  # weights are loaded afterwards; lists of tied keys are a dictionary today
        tied = getattr(self, "_tied_weights_keys", None)
        if isinstance(tied, (list, tuple)):
            self._tied_weights_keys = None
        self.all_tied_weights_keys = {}

    replaced: tuple[tuple[str, Callable[..., Any]], ...] = (("post_init", post_init), ("init_weights", post_init))
    for name, function in replaced:
        setattr(PreTrainedModel, name, function)
    try:
        yield
    finally:
        PreTrainedModel.post_init = finalize  # type: ignore[method-assign]
        PreTrainedModel.init_weights = weights  # type: ignore[method-assign]
        for holder, name in added:
            if holder is not PreTrainedModel:  # methods are needed whenever the model runs
                delattr(holder, name)


def load_remote(
    source: str, revision: str | None, config: Mapping[str, Any], state: Mapping[str, Tensor], lm_head: bool
) -> nn.Module:
    """Build a model from the checkpoint's own code and load its weights.

    Args:
        source: A local folder or a Hub id that has the code.
        revision: Branch, tag or commit on the Hub.
        config: ``config.json``.
        state: The checkpoint's tensors.
        lm_head: Whether to load the model with its language-model head.

    Raises:
        BendError: The code names no such model, or fails.
    """
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    classes = config["auto_map"]
    wanted = ("AutoModelForMaskedLM", "AutoModelForCausalLM") if lm_head else ("AutoModel",)
    key = next((key for key in wanted if key in classes), None) or next(
        (key for key in ("AutoModelForMaskedLM", "AutoModelForCausalLM") if key in classes), None
    )
    if key is None:
        raise BendError(f"{source!r}: its auto_map has no model ({', '.join(classes)}).")
    try:
        with old_names():
            settings = _remote_config(source, config, revision)
            built = get_class_from_dynamic_module(classes[key], source, revision=revision, code_revision=revision)
            model: nn.Module = built(settings)
    except Exception as error:  # anything may happen in foreign code
        raise BendError(
            f"{source!r}: the code that comes with it does not run under this version of transformers "
            f"({type(error).__name__}: {error}). Report it, or wrap the model as a callable in an older environment."
        ) from error
    own = model.state_dict()
    fitting = {k: v for k, v in align(state, model).items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(fitting, strict=False)
    return model.float()


def _remote_config(source: str, config: Mapping[str, Any], revision: str | None) -> Any:
    from transformers import AutoConfig
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    if "AutoConfig" in config["auto_map"]:
        built = get_class_from_dynamic_module(
            config["auto_map"]["AutoConfig"], source, revision=revision, code_revision=revision
        )
        settings = built(**{key: value for key, value in config.items() if key not in ("auto_map", "model_type")})
    else:
        settings = AutoConfig.for_model(
            config["model_type"],
            **{key: value for key, value in config.items() if key not in ("auto_map", "model_type")},
        )
    for key, value in CONFIG_DEFAULTS.items():
        if not hasattr(settings, key):
            setattr(settings, key, value)
    return settings
