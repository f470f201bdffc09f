"""What several architectures share: the mask of real tokens, attention, what is carried on, the head of BERT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


def real_tokens(attention_mask: Tensor | None) -> Tensor | None:
    """Return the mask as booleans (B, T), or None where every token is real, which is the faster road."""
    if attention_mask is None:
        return None
    mask = attention_mask.bool()
    return None if bool(mask.all()) else mask


def heads_apart(x: Tensor, heads: int) -> Tensor:
    """Return (B, T, heads * d) as (B, heads, T, d)."""
    apart: Tensor = x.unflatten(-1, (heads, -1)).transpose(1, 2)
    return apart


def attend(query: Tensor, key: Tensor, value: Tensor, real: Tensor | None) -> Tensor:
    """Return softmax(q kᵀ / √d) v over the real tokens: three times (B, heads, T, d) -> (B, T, heads * d)."""
    mask = None if real is None else real[:, None, None, :]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)


@dataclass
class Carried:
    """What a causal model goes on from, in the place and with the method of transformers' caches (``past_key_values``).

    Attributes:
        layers: Tensors of each layer, with one row per sequence.
    """

    layers: list[tuple[Tensor, ...]]

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with these rows instead, (N,), each as often as it is named."""
        self.layers = [tuple(part[beam_idx] for part in layer) for layer in self.layers]


class BertHead(nn.Module):
    """BERT's masked-language-model head under BERT's names: dense, GELU, layer norm, decoder."""

    def __init__(self, width: int, vocabulary: int, eps: float) -> None:
        super().__init__()
        transform = {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=eps)}
        self.predictions = nn.ModuleDict(
            {"transform": nn.ModuleDict(transform), "decoder": nn.Linear(width, vocabulary)}
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Return logits (B, T, vocabulary) for hidden states (B, T, width)."""
        parts: Any = self.predictions
        hidden = F.gelu(parts["transform"]["dense"](hidden))
        logits: Tensor = parts["decoder"](parts["transform"]["LayerNorm"](hidden))
        return logits
