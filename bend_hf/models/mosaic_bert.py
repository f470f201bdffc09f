"""MosaicBERT, the architecture of DNABERT-2 and DNABERT-S: BERT with ALiBi positions and gated feed-forward layers.

The checkpoints call themselves ``bert``, and transformers' own BERT loads them with a quarter of the weights missing.
Key names are those of the published checkpoints (MosaicML, ``bert_layers.py`` of the Hub repositories).

The original takes padding out before every layer; here a padded batch is computed as it is, and padded positions are
zero in the last hidden state as they are there.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from bend_hf.models.parts import BertHead, heads_apart, real_tokens

ALIGNED = 8
"""What the lengths of rows are multiples of where a GPU's fused attention takes them as they are."""

FAR = -30_000.0
"""What a padded key adds to its products, before they are divided by √d: in float16's range, and enough to weigh 0."""


class MosaicBertConfig(PreTrainedConfig):
    """Configuration with the names of the published ones."""

    model_type = "mosaic-bert"

    vocab_size: int = 4096
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = True


def alibi_slopes(heads: int) -> list[float]:
    """Return each head's penalty per token of distance (Press et al. 2022, for any number of heads)."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    return slopes if power == heads else slopes + alibi_slopes(2 * power)[0::2][: heads - power]


class Alibi:
    """The bias of every attention of one forward pass: -slope · distance, and -inf towards padding.

    Made once for all layers where it has no more than `most` numbers; beyond, every layer takes the queries in pieces,
    and no T x T bias is made.
    """

    most = 2**25

    def __init__(self, heads: int, like: Tensor, real: Tensor | None) -> None:
        """Prepare for vectors `like` (B, T, width) and the mask of real tokens (B, T) or None."""
        batch, self.length, _ = like.shape
        distance = torch.arange(1 - self.length, self.length, device=like.device).abs()
        slopes = torch.tensor(alibi_slopes(heads), device=like.device)
        # Row r of the windows over (-slope · distance) is the bias of query T - 1 - r.
        self.windows = (-slopes[:, None] * distance).to(like.dtype).unfold(1, self.length, 1)
        self.real = real
        self.scale = (like.shape[-1] // heads) ** -0.5
        rows = heads * self.length * (1 if real is None else batch)
        self.step = min(self.length, max(1, self.most // rows))
        self.whole = self.piece(0, self.length) if self.step == self.length else None

    def piece(self, start: int, stop: int) -> Tensor:
        """Return the bias of queries start to stop: (1 or B, heads, stop - start, T)."""
        bias = self.windows[:, self.length - stop : self.length - start].flip(1).unsqueeze(0)
        return bias if self.real is None else bias.masked_fill(~self.real[:, None, None, :], -torch.inf)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return softmax(q kᵀ / √d + bias) v for three times (B, heads, T, d), as (B, T, heads * d)."""
        pieces = []
        for start in range(0, self.length, self.step):
            stop = min(start + self.step, self.length)
            bias = self.piece(start, stop) if self.whole is None else self.whole
            pieces.append(
                F.scaled_dot_product_attention(query[:, :, start:stop], key, value, attn_mask=bias, scale=self.scale)
            )
        return torch.cat(pieces, dim=2).transpose(1, 2).flatten(2)


class AlibiOnGpu(Alibi):
    """The same for the fused attention of a GPU: one bias for the whole batch, which no layer has to copy.

    Padding is not in it: queries and keys have `ALIGNED` channels more, whose product is `FAR` where a key is padded.
    """

    most = 2**29

    def __init__(self, heads: int, like: Tensor, real: Tensor | None) -> None:
        """Prepare for vectors `like` (B, T, width) and the mask of real tokens (B, T) or None."""
        super().__init__(heads, like, None)
        self.far: Tensor | None = None
        if real is not None:
            channel = torch.where(real, 0.0, FAR)
            self.far = F.pad(channel[:, None, :, None], (0, ALIGNED - 1)).expand(-1, heads, -1, -1)

    def piece(self, start: int, stop: int) -> Tensor:
        """Return the bias of queries start to stop, (1, heads, stop - start, T), in rows of aligned length."""
        bias = super().piece(start, stop)
        rows = bias.new_empty(*bias.shape[:-1], self.length + -self.length % ALIGNED)
        return rows[..., : self.length].copy_(bias)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return softmax(q kᵀ / √d + bias) v for three times (B, heads, T, d), as (B, T, heads * d)."""
        if self.far is not None:
            far = self.far.to(key.dtype)
            query, key = torch.cat([query, torch.ones_like(far)], dim=-1), torch.cat([key, far], dim=-1)
        return super().attend(query, key, value)


class Layer(nn.Module):
    """Attention and gated feed-forward network, each added to its input before a layer norm."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        width, inner, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        output = {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=eps)}
        self.attention = nn.ModuleDict(
            {"self": nn.ModuleDict({"Wqkv": nn.Linear(width, 3 * width)}), "output": nn.ModuleDict(output)}
        )
        self.mlp = nn.ModuleDict(
            {
                "gated_layers": nn.Linear(width, 2 * inner, bias=False),
                "wo": nn.Linear(inner, width),
                "layernorm": nn.LayerNorm(width, eps=eps),
            }
        )

    def forward(self, x: Tensor, alibi: Alibi) -> Tensor:
        """Return the layer's output (B, T, width)."""
        attention: Any = self.attention
        query, key, value = (heads_apart(part, self.heads) for part in attention["self"]["Wqkv"](x).chunk(3, dim=-1))
        mixed = attention["output"]["dense"](alibi.attend(query, key, value))
        x = attention["output"]["LayerNorm"](x + mixed)
        gate, inner = self.mlp["gated_layers"](x).chunk(2, dim=-1)
        out: Tensor = self.mlp["layernorm"](x + self.mlp["wo"](F.gelu(gate) * inner))
        return out


class MosaicBertPreTrainedModel(PreTrainedModel):
    """What transformers asks to know."""

    config_class = MosaicBertConfig
    base_model_prefix = "bert"


class MosaicBertModel(MosaicBertPreTrainedModel):
    """MosaicBERT without its head and pooler."""

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(config.vocab_size, width),
                "token_type_embeddings": nn.Embedding(config.type_vocab_size, width),
                "LayerNorm": nn.LayerNorm(width, eps=config.layer_norm_eps),
            }
        )
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the tokens' embedding."""
        return self.embeddings["word_embeddings"]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BaseModelOutput:
        """Embed token ids (B, T); ``last_hidden_state`` is (B, T, hidden_size), zero where padded."""
        real = real_tokens(attention_mask)
        kind: Any = self.embeddings["token_type_embeddings"]
        x = self.embeddings["LayerNorm"](self.embeddings["word_embeddings"](input_ids) + kind.weight[0])
        alibi = (AlibiOnGpu if x.is_cuda else Alibi)(self.config.num_attention_heads, x, real)
        states: tuple[Tensor, ...] = ()
        for layer in self.encoder.layer:  # type: ignore[union-attr]
            if output_hidden_states:
                states = (*states, x)
            x = layer(x, alibi)
        if real is not None:
            x = x * real.unsqueeze(-1)
        return BaseModelOutput(last_hidden_state=x, hidden_states=(*states, x) if output_hidden_states else None)


class MosaicBertForMaskedLM(MosaicBertPreTrainedModel):
    """MosaicBERT with its masked-language-model head."""

    _tied_weights_keys = {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__(config)
        self.bert = MosaicBertModel(config)
        self.cls = BertHead(config.hidden_size, config.vocab_size, eps=1e-12)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> MaskedLMOutput:
        """Return logits (B, T, vocab_size) of the token at every position."""
        out = self.bert(input_ids, attention_mask, **kwargs)
        return MaskedLMOutput(logits=self.cls(out.last_hidden_state), hidden_states=out.hidden_states)
