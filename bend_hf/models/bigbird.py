"""BigBird as published: sparse attention for long input, full attention for short, chosen anew for every input.

    attend_by_length(model)        # a BigBird of transformers, with or without a head

transformers' class turns to full attention at its first input that is too short for the sparse one, and stays there:
what a sequence gets then depends on what came before it. Here both attentions of a layer stand ready around the same
weights, and the length of an input alone decides. (Zaheer et al. 2020, arXiv 2007.14062, section 2.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def attend_by_length(model: nn.Module) -> None:
    """Let every BigBird trunk in `model` take the attention that the length of its input asks for.

    Does nothing to other models, and nothing where the configuration asks for full attention throughout.
    """
    from transformers import BigBirdModel

    for trunk in model.modules():
        if isinstance(trunk, BigBirdModel) and trunk.config.attention_type == "block_sparse":
            both = {"block_sparse": _attentions(trunk), "original_full": _full_twins(trunk)}
            trunk.register_forward_pre_hook(_Chooser(both), with_kwargs=True)


class _Chooser:
    """The hook: puts one of the two attentions into every layer before the trunk computes."""

    def __init__(self, both: Mapping[str, list[nn.Module]]) -> None:
        self.both = both

    def __call__(self, trunk: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        ids = kwargs["inputs_embeds"] if ids is None else ids
        config = trunk.config
        sparse = ids.shape[1] > (5 + 2 * config.num_random_blocks) * config.block_size
        kind = "block_sparse" if sparse else "original_full"
        if trunk.attention_type == kind:
            return
        trunk.attention_type = trunk.encoder.attention_type = kind
        for layer, attention in zip(trunk.encoder.layer, self.both[kind], strict=True):
            layer.attention_type = layer.attention.attention_type = kind
            layer.attention.self = attention


def _attentions(trunk: Any) -> list[nn.Module]:
    return [layer.attention.self for layer in trunk.encoder.layer]


def _full_twins(trunk: Any) -> list[nn.Module]:
    """Full attentions that share the projections of the sparse ones, made without drawing random weights."""
    from transformers.models.big_bird.modeling_big_bird import BigBirdSelfAttention

    twins: list[nn.Module] = []
    for index, sparse in enumerate(_attentions(trunk)):
        with torch.device("meta"):
            full = BigBirdSelfAttention(trunk.config, layer_idx=index)
        for name in ("query", "key", "value"):
            setattr(full, name, getattr(sparse, name))
        twins.append(full.train(sparse.training))
    return twins
