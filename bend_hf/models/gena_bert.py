"""GENA-LM's BERT: layer norms before attention and feed-forward network, and in most checkpoints one after all layers.

The checkpoints call themselves ``bert``, and transformers' own BERT, with its layer norms behind, cannot hold them. Key
names are those of the published checkpoints (`AIRI-Institute/GENA_LM`, ``src/gena_lm/modeling_bert.py``).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from bend_hf.errors import BendError
from bend_hf.models.parts import BertHead, attend, heads_apart, real_tokens


class GenaBertConfig(PreTrainedConfig):
    """Configuration with the names of the published ones."""

    model_type = "gena-bert"

    vocab_size: int = 32000
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    position_embedding_type: str = "absolute"
    last_layer_norm: bool = True
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = True


def adapt(settings: dict[str, Any], state: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Find out from the tensors what older configurations do not say, and drop the second name of the head's bias."""
    if settings.get("position_embedding_type", "absolute") != "absolute" or settings.get("sparse_config_cls"):
        raise BendError(
            f"GENA-LM with position_embedding_type {settings.get('position_embedding_type')!r} and sparse_config_cls "
            f"{settings.get('sparse_config_cls')!r} is not supported: only absolute positions and full attention are."
        )
    if settings.get("last_layer_norm") is None:
        settings["last_layer_norm"] = any(key.endswith("encoder.last_layer_ln.weight") for key in state)
    bias = state.pop("cls.predictions.bias", None)
    if bias is not None:
        state.setdefault("cls.predictions.decoder.bias", bias)
    return settings, state


class Layer(nn.Module):
    """Attention and feed-forward network, each on a layer norm of its input and added to it."""

    def __init__(self, config: GenaBertConfig) -> None:
        super().__init__()
        width, inner, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.activation = ACT2FN[config.hidden_act]
        projections = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.attention = nn.ModuleDict(
            {"self": projections, "output": nn.ModuleDict({"dense": nn.Linear(width, width)})}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = nn.ModuleDict({"dense": nn.Linear(inner, width)})
        self.pre_attention_ln = nn.LayerNorm(width, eps=eps)
        self.post_attention_ln = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """Return the layer's output (B, T, width)."""
        attention: Any = self.attention
        normed = self.pre_attention_ln(x)
        query, key, value = (heads_apart(attention["self"][n](normed), self.heads) for n in ("query", "key", "value"))
        x = x + attention["output"]["dense"](attend(query, key, value, real))
        added: Tensor = self.output["dense"](self.activation(self.intermediate["dense"](self.post_attention_ln(x))))
        return x + added


class GenaBertPreTrainedModel(PreTrainedModel):
    """What transformers asks to know."""

    config_class = GenaBertConfig
    base_model_prefix = "bert"


class GenaBertModel(GenaBertPreTrainedModel):
    """GENA-LM's BERT without its head and pooler."""

    def __init__(self, config: GenaBertConfig) -> None:
        super().__init__(config)
        width, eps = config.hidden_size, config.layer_norm_eps
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(config.vocab_size, width),
                "position_embeddings": nn.Embedding(config.max_position_embeddings, width),
                "token_type_embeddings": nn.Embedding(config.type_vocab_size, width),
                "LayerNorm": nn.LayerNorm(width, eps=eps),
            }
        )
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        if config.last_layer_norm:
            self.encoder.last_layer_ln = nn.LayerNorm(width, eps=eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the tokens' embedding."""
        return self.embeddings["word_embeddings"]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BaseModelOutput:
        """Embed token ids (B, T); ``last_hidden_state`` is (B, T, hidden_size), after the last layer norm if any.

        Raises:
            BendError: There are more tokens than positions.
        """
        length, most = input_ids.shape[1], self.config.max_position_embeddings
        if length > most:
            raise BendError(f"{length} tokens are more than the {most} positions of this GENA-LM: cut the sequence.")
        real = real_tokens(attention_mask)
        embeddings: Any = self.embeddings
        x = embeddings["word_embeddings"](input_ids) + embeddings["token_type_embeddings"].weight[0]
        x = embeddings["LayerNorm"](x + embeddings["position_embeddings"].weight[:length])
        encoder: Any = self.encoder
        states: tuple[Tensor, ...] = ()
        for layer in encoder.layer:
            if output_hidden_states:
                states = (*states, x)
            x = layer(x, real)
        if self.config.last_layer_norm:
            x = encoder.last_layer_ln(x)
        return BaseModelOutput(last_hidden_state=x, hidden_states=(*states, x) if output_hidden_states else None)


class GenaBertForMaskedLM(GenaBertPreTrainedModel):
    """GENA-LM's BERT with its masked-language-model head."""

    _tied_weights_keys = {"cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: GenaBertConfig) -> None:
        super().__init__(config)
        self.bert = GenaBertModel(config)
        self.cls = BertHead(config.hidden_size, config.vocab_size, config.layer_norm_eps)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> MaskedLMOutput:
        """Return logits (B, T, vocab_size) of the token at every position."""
        out = self.bert(input_ids, attention_mask, **kwargs)
        return MaskedLMOutput(logits=self.cls(out.last_hidden_state), hidden_states=out.hidden_states)
