"""GPN's second architecture (``model_type`` GPN): dilated convolutions on layer norms, one token per nucleotide.

Two kinds of layer, ``convnet`` and ``bytenet``; the first GPN models are of `convnet.py`'s architecture. Key names are
those of the published checkpoints (`songlab-cal/gpn`, ``gpn/ss/model.py`` and ``modules.py``). GPN with extra features
per position, on alignments or with transformer layers is not read here.

Unlike the original, the model takes an ``attention_mask`` (padding on the right): what lies behind a sequence's end is
zero before every convolution, as it is for a sequence alone, so that padding changes no vector.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from bend_hf.errors import BendError
from bend_hf.models.convnet import convolve, one_hot
from bend_hf.models.parts import real_tokens


class GPNConfig(PreTrainedConfig):
    """Configuration; defaults are the original's."""

    model_type = "GPN"

    vocab_size: int = 7
    n_aux_features: int = 0
    embedding: str = "one_hot"
    encoder: str = "convnet"
    num_hidden_layers: int = 25
    hidden_size: int = 512
    intermediate_size: int = 2048
    bias: bool = False
    tie_word_embeddings: bool = False
    mlm_head_transform: bool = True
    slim: bool = False
    first_kernel_size: int = 9
    rest_kernel_size: int = 5
    dilation_double_every: int = 1
    dilation_max: int = 9999
    dilation_cycle: int = 8
    dilation_base: int = 2
    depthwise: bool = False
    initializer_range: float = 0.02

    def convolution(self, layer: int, width: int) -> nn.Conv1d:
        """Return the convolution of a layer, of `width` channels."""
        power = (layer % self.dilation_cycle) // self.dilation_double_every
        return nn.Conv1d(
            width,
            width,
            self.first_kernel_size if layer == 0 else self.rest_kernel_size,
            dilation=min(self.dilation_max, self.dilation_base**power),
            groups=self.hidden_size if self.depthwise and layer > 0 else 1,
            bias=self.bias,
        )


class ConvLayer(nn.Module):
    """Convolution and feed-forward network, each on a layer norm of its input and added to it."""

    def __init__(self, config: GPNConfig, index: int) -> None:
        super().__init__()
        width, inner, bias = config.hidden_size, config.intermediate_size, config.bias
        self.conv = nn.ModuleDict(
            {
                "0": nn.LayerNorm(width, bias=bias),
                "2": config.convolution(index, width),
                "5": nn.Linear(width, width, bias=bias),
            }
        )
        self.ffn = nn.ModuleDict(
            {
                "0": nn.LayerNorm(width, bias=bias),
                "1": nn.Linear(width, inner, bias=bias),
                "3": nn.Linear(inner, width, bias=bias),
            }
        )

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """Return the layer's output (B, T, width); `real` is (B, T, 1) or None."""
        conv: Any = self.conv
        normed = conv["0"](x)
        x = x + conv["5"](F.gelu(convolve(conv["2"], normed if real is None else normed * real)))
        added: Tensor = self.ffn["3"](F.gelu(self.ffn["1"](self.ffn["0"](x))))
        return x + added


class ByteNetLayer(nn.Module):
    """A convolution between two linear layers, after layer norms and GELU, added to its input."""

    def __init__(self, config: GPNConfig, index: int) -> None:
        super().__init__()
        width, bias = config.hidden_size, config.bias
        inner = width // 2 if config.slim else width
        self.layer = nn.ModuleDict(
            {
                "0": nn.LayerNorm(width, bias=bias),
                "2": nn.Linear(width, inner, bias=bias),
                "3": nn.LayerNorm(inner, bias=bias),
                "6": config.convolution(index, inner),
                "8": nn.LayerNorm(inner, bias=bias),
                "10": nn.Linear(inner, width, bias=bias),
            }
        )

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """Return the layer's output (B, T, width); `real` is (B, T, 1) or None."""
        layer: Any = self.layer
        inner = F.gelu(layer["3"](layer["2"](F.gelu(layer["0"](x)))))
        inner = convolve(layer["6"], inner if real is None else inner * real)
        added: Tensor = layer["10"](F.gelu(layer["8"](inner)))
        return x + added


LAYERS: dict[str, type[nn.Module]] = {"convnet": ConvLayer, "bytenet": ByteNetLayer}


class GPNPreTrainedModel(PreTrainedModel):
    """What transformers asks to know."""

    config_class = GPNConfig
    base_model_prefix = "model"


class GPNModel(GPNPreTrainedModel):
    """GPN without its head."""

    def __init__(self, config: GPNConfig) -> None:
        super().__init__(config)
        if config.encoder not in LAYERS or config.n_aux_features:
            raise BendError(
                f"GPN with encoder {config.encoder!r} and {config.n_aux_features} extra features per position is not "
                f"supported: only {', '.join(LAYERS)} without extra features."
            )
        self.embeddings = nn.ModuleDict()
        if config.embedding == "embedding":
            self.embeddings["word_embeddings"] = nn.Embedding(config.vocab_size, config.hidden_size)
        self.encoder = nn.Module()
        layer = LAYERS[config.encoder]
        self.encoder.layer = nn.ModuleList(layer(config, index) for index in range(config.num_hidden_layers))
        self.ln_f = nn.LayerNorm(config.hidden_size, bias=config.bias)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BaseModelOutput:
        """Embed token ids (B, T); ``last_hidden_state`` is (B, T, hidden_size), after the last layer norm."""
        dtype = self.ln_f.weight.dtype
        if "word_embeddings" in self.embeddings:
            x = self.embeddings["word_embeddings"](input_ids)
        else:
            x = one_hot(input_ids, self.config.hidden_size, dtype)
        mask = real_tokens(attention_mask)
        real = None if mask is None else mask.unsqueeze(-1).to(dtype)
        states: tuple[Tensor, ...] = ()
        for layer in self.encoder.layer:  # type: ignore[union-attr]
            if output_hidden_states:
                states = (*states, x)
            x = layer(x, real)
        x = self.ln_f(x)
        return BaseModelOutput(last_hidden_state=x, hidden_states=(*states, x) if output_hidden_states else None)


class GPNForMaskedLM(GPNPreTrainedModel):
    """GPN with its masked-language-model head."""

    def __init__(self, config: GPNConfig) -> None:
        super().__init__(config)
        width, bias = config.hidden_size, config.bias
        self.model = GPNModel(config)
        self.cls = nn.Module()
        transform = (nn.Linear(width, width, bias=bias), nn.GELU(), nn.LayerNorm(width, bias=bias))
        self.cls.transform = nn.Sequential(*transform) if config.mlm_head_transform else nn.Identity()
        self.cls.decoder = nn.Linear(width, config.vocab_size, bias=bias)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> MaskedLMOutput:
        """Return logits (B, T, vocab_size) of the nucleotide at every position."""
        out = self.model(input_ids, attention_mask, **kwargs)
        head: Any = self.cls
        return MaskedLMOutput(
            logits=head.decoder(head.transform(out.last_hidden_state)), hidden_states=out.hidden_states
        )
