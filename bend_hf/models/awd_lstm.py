"""BEND's AWD-LSTM: a causal language model of single nucleotides, 64 wide.

The original steps through the sequence in Python; here each layer is one call of torch's fused LSTM, with the
original's gates (input, forget, output, cell) put in torch's order. Sequences go through in stretches, each from the
state in which the one before ended: the same numbers in the memory of one stretch, so that many long sequences can step
side by side. Key names are those of the published checkpoint
(`frederikkemarin/BEND`, ``bend/models/awd_lstm.py``): the recurrent weight is ``weight_raw``, the one that training
applied weight dropout to; the dropped copy ``h2h.weight`` beside it is not used. Dropout acts in training only there,
and nowhere here: this is a model to embed with.

The model is causal, so padding on the right changes no vector and an ``attention_mask`` is not needed.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutput

from bend_hf.errors import BendError
from bend_hf.models.parts import Carried

STRETCH = 2**14
"""Tokens, over all sequences of a batch, that one call of the fused LSTM steps through."""


class AWDLSTMConfig(PreTrainedConfig):
    """Configuration; defaults are the original's. `input_size` is the width of the output too."""

    model_type = "AWDLSTM"

    vocab_size: int = 7
    hidden_size: int = 512
    input_size: int = 64
    num_hidden_layers: int = 1
    initializer_range: float = 0.02
    reset_token_id: int | None = None
    bidirectional: bool = False
    batch_first: bool = True
    tie_word_embeddings: bool = True


class Layer(nn.Module):
    """One LSTM layer under the original's names."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.weight_raw = nn.Parameter(torch.empty(4 * width, width))
        self.module = nn.Module()
        self.module.i2h = nn.Linear(width_in, 4 * width)
        self.module.h2h = nn.Module()
        self.module.h2h.bias = nn.Parameter(torch.empty(4 * width))

    def weights(self) -> list[Tensor]:
        """Return weights and biases in the order that `torch.lstm` takes them and their gates in."""

        def torch_order(parameter: Tensor) -> Tensor:
            i, f, o, g = parameter.chunk(4)
            return torch.cat([i, f, g, o])

        i2h: Any = self.module.i2h
        h2h: Any = self.module.h2h
        return [torch_order(w) for w in (i2h.weight, self.weight_raw, i2h.bias, h2h.bias)]


class AWDLSTMPreTrainedModel(PreTrainedModel):
    """What transformers asks to know."""

    config_class = AWDLSTMConfig
    base_model_prefix = "encoder"
    # the dropped copy of the recurrent weight, and the state that training carried from batch to batch
    _keys_to_ignore_on_load_unexpected = [r"\.h2h\.weight$", r"^last_(hidden|cell)_state_\d+$"]  # noqa: RUF012

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Layer):
            nn.init.uniform_(module.weight_raw, -0.1, 0.1)
            nn.init.zeros_(module.module.h2h.bias)  # type: ignore[union-attr, arg-type]


class AWDLSTMModel(AWDLSTMPreTrainedModel):
    """The AWD-LSTM without its head."""

    def __init__(self, config: AWDLSTMConfig) -> None:
        super().__init__(config)
        if config.bidirectional:
            raise BendError("A bidirectional AWD-LSTM is not supported: BEND's checkpoint has one direction.")
        widths = [config.input_size, *[config.hidden_size] * (config.num_hidden_layers - 1), config.input_size]
        self.embedding = nn.Embedding(config.vocab_size, config.input_size)
        self.encoder = nn.Module()
        self.encoder.lstm = nn.ModuleList(Layer(a, b) for a, b in pairwise(widths))
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool = False,
        past_key_values: Carried | None = None,
        use_cache: bool = False,
    ) -> BaseModelOutputWithPast:
        """Embed token ids.

        Args:
            input_ids: (B, T), padded on the right.
            attention_mask: Not needed; accepted so that callers may pass it.
            output_hidden_states: Whether to return the tokens' embeddings and every layer's states too.
            past_key_values: What was carried from the tokens before these.
            use_cache: Whether to return what is carried behind them.

        Returns:
            ``last_hidden_state`` (B, T, input_size): the state after reading each token.

        Raises:
            BendError: The input holds the token that resets the state; DNA does not.
        """
        reset = self.config.reset_token_id
        if reset is not None and bool((input_ids[:, :-1] == reset).any()):
            raise BendError(f"The input holds token {reset}, which resets the AWD-LSTM's state: embed the parts apart.")
        layers = [layer.weights() for layer in self.encoder.lstm]  # type: ignore[union-attr]
        if past_key_values is None:
            zeros = [self.embedding.weight.new_zeros(1, len(input_ids), weights[1].shape[1]) for weights in layers]
            carried = [(zero, zero) for zero in zeros]
        else:
            carried = [(hidden[None], cell[None]) for hidden, cell in past_key_values.layers]
        found: list[tuple[Tensor, ...]] = []
        for ids in input_ids.split(max(1, STRETCH // len(input_ids)), dim=1):
            x = self.embedding(ids)
            states: tuple[Tensor, ...] = (x,)
            for i, weights in enumerate(layers):
                # bias, one layer, no dropout, not training, one direction, batch first
                x, hidden, cell = torch.lstm(x, carried[i], weights, True, 1, 0.0, False, False, True)
                carried[i] = (hidden, cell)
                states = (*states, x)
            found.append(states if output_hidden_states else (x,))
        whole = tuple(torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
        return BaseModelOutputWithPast(
            last_hidden_state=whole[-1],
            hidden_states=whole if output_hidden_states else None,
            past_key_values=Carried([(hidden[0], cell[0]) for hidden, cell in carried]) if use_cache else None,  # type: ignore[arg-type]
        )


class AWDLSTMForCausalLM(AWDLSTMPreTrainedModel):
    """The AWD-LSTM with its next-token head, whose weight is the embedding's."""

    _tied_weights_keys = {"decoder.weight": "encoder.embedding.weight"}  # noqa: RUF012

    def __init__(self, config: AWDLSTMConfig) -> None:
        super().__init__(config)
        self.encoder = AWDLSTMModel(config)
        self.decoder = nn.Linear(config.input_size, config.vocab_size)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> CausalLMOutput:
        """Return logits (B, T, vocab_size) of the token after each token."""
        out = self.encoder(input_ids, attention_mask, **kwargs)
        return CausalLMOutput(logits=self.decoder(out.last_hidden_state), hidden_states=out.hidden_states)
