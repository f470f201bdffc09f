"""Nucleotide Transformer v2 (50m to 500m): ESM with rotary positions and a gated feed-forward network.

The checkpoints call themselves ``esm``, but transformers' own ESM has a plain feed-forward network and cannot hold
them. Key names are those of the published checkpoints (InstaDeepAI, ``modeling_esm.py`` of each Hub repository).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from bend_hf.errors import BendError
from bend_hf.models.parts import attend, heads_apart, real_tokens


class NTv2Config(PreTrainedConfig):
    """Configuration with the names of the published ones."""

    model_type = "nucleotide-transformer-v2"

    vocab_size: int = 4107
    hidden_size: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 16
    intermediate_size: int = 2048
    max_position_embeddings: int = 2050
    layer_norm_eps: float = 1e-12
    position_embedding_type: str = "absolute"
    emb_layer_norm_before: bool | None = None
    token_dropout: bool = False
    add_bias_fnn: bool = True
    initializer_range: float = 0.02
    pad_token_id: int | None = 1
    mask_token_id: int | None = 2
    tie_word_embeddings: bool = True


def rotary(length: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (length, width) of rotary positions (Su et al. 2021, base 10,000)."""
    frequencies = 10000.0 ** (-torch.arange(0, width, 2, device=like.device).float() / width)
    angles = torch.outer(torch.arange(length, device=like.device).float(), frequencies).repeat(1, 2)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair (i, i + width/2) of x (B, heads, T, width) by its position's angles."""
    first, second = x.chunk(2, dim=-1)
    return x * cosines + torch.cat([-second, first], dim=-1) * sines


class Layer(nn.Module):
    """Attention and gated feed-forward network, each on a layer norm of its input and added to it."""

    def __init__(self, config: NTv2Config) -> None:
        super().__init__()
        width, inner, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        bias = config.add_bias_fnn
        self.heads = config.num_attention_heads
        projections = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.attention = nn.ModuleDict(
            {
                "self": projections,
                "output": nn.ModuleDict({"dense": nn.Linear(width, width)}),
                "LayerNorm": nn.LayerNorm(width, eps=eps),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, 2 * inner, bias=bias)})
        self.output = nn.ModuleDict({"dense": nn.Linear(inner, width, bias=bias)})
        self.LayerNorm = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor, real: Tensor | None) -> Tensor:
        """Return the layer's output (B, T, width)."""
        attention: Any = self.attention
        normed = attention["LayerNorm"](x)
        query, key, value = (heads_apart(attention["self"][n](normed), self.heads) for n in ("query", "key", "value"))
        mixed = attend(rotate(query, cosines, sines), rotate(key, cosines, sines), value, real)
        x = x + attention["output"]["dense"](mixed)
        gate, inner = self.intermediate["dense"](self.LayerNorm(x)).chunk(2, dim=-1)
        added: Tensor = self.output["dense"](F.silu(gate) * inner)
        return x + added


class NTv2PreTrainedModel(PreTrainedModel):
    """What transformers asks to know."""

    config_class = NTv2Config
    base_model_prefix = "esm"
    # made by the original for every model, used by none with rotary positions
    _keys_to_ignore_on_load_unexpected = [r"(^|\.)embeddings\.position_embeddings\.weight$"]  # noqa: RUF012


class NTv2Model(NTv2PreTrainedModel):
    """Nucleotide Transformer v2 without its head."""

    def __init__(self, config: NTv2Config) -> None:
        super().__init__(config)
        if config.position_embedding_type != "rotary":
            raise BendError(
                f"position_embedding_type {config.position_embedding_type!r} of a Nucleotide Transformer v2 is not "
                "supported: the published models are 'rotary'."
            )
        width, eps = config.hidden_size, config.layer_norm_eps
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(config.vocab_size, width)})
        if config.emb_layer_norm_before:
            self.embeddings["layer_norm"] = nn.LayerNorm(width, eps=eps)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.encoder.emb_layer_norm_after = nn.LayerNorm(width, eps=eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the tokens' embedding."""
        return self.embeddings["word_embeddings"]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BaseModelOutput:
        """Embed token ids (B, T); ``last_hidden_state`` is (B, T, hidden_size), after the last layer norm."""
        real = real_tokens(attention_mask)
        x = self.embeddings["word_embeddings"](input_ids)
        if self.config.token_dropout:
            x = self._scale_for_masks(x, input_ids, real)
        if "layer_norm" in self.embeddings:
            x = self.embeddings["layer_norm"](x)
        if real is not None:
            x = x * real.unsqueeze(-1)
        heads = self.config.num_attention_heads
        cosines, sines = rotary(x.shape[1], x.shape[2] // heads, x)
        encoder: Any = self.encoder
        states: tuple[Tensor, ...] = ()
        for layer in encoder.layer:
            if output_hidden_states:
                states = (*states, x)
            x = layer(x, cosines, sines, real)
        x = encoder.emb_layer_norm_after(x)
        return BaseModelOutput(last_hidden_state=x, hidden_states=(*states, x) if output_hidden_states else None)

    def _scale_for_masks(self, x: Tensor, input_ids: Tensor, real: Tensor | None) -> Tensor:
        """Zero masked tokens and scale the rest as in training, where 0.15 * 0.8 of the tokens were masked (ESM)."""
        masked: Tensor = input_ids == self.config.mask_token_id
        length = input_ids.shape[1] if real is None else real.sum(-1)
        share = masked.sum(-1) / length
        scale: Tensor = (1 - 0.15 * 0.8) / (1 - share)
        return x.masked_fill(masked.unsqueeze(-1), 0) * scale[:, None, None].to(x.dtype)


class NTv2ForMaskedLM(NTv2PreTrainedModel):
    """Nucleotide Transformer v2 with its masked-language-model head."""

    _tied_weights_keys = {"lm_head.decoder.weight": "esm.embeddings.word_embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: NTv2Config) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.esm = NTv2Model(config)
        self.lm_head = nn.Module()
        self.lm_head.dense = nn.Linear(width, width)
        self.lm_head.layer_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.lm_head.decoder = nn.Linear(width, config.vocab_size, bias=False)
        self.lm_head.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> MaskedLMOutput:
        """Return logits (B, T, vocab_size) of the token at every position."""
        out = self.esm(input_ids, attention_mask, **kwargs)
        head: Any = self.lm_head
        hidden = head.layer_norm(F.gelu(head.dense(out.last_hidden_state)))
        return MaskedLMOutput(logits=head.decoder(hidden) + head.bias, hidden_states=out.hidden_states)
