"""HyenaDNA: a causal model of single nucleotides whose layers mix positions with long implicit convolutions.

Key names are those of the ``-hf`` checkpoints (LongSafari, ``modeling_hyena.py``). The older repositories, with a
``weights.ckpt`` and a configuration of another form, are read too (`adapt`).

The convolution's filter is a small network's value at every position, so it is computed in fp32 whatever the model's
dtype: positions up to a million do not fit into half precision. The model is causal, so padding on the right changes
no vector and an ``attention_mask`` is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutput

from bend_hf.errors import BendError
from bend_hf.models.parts import Carried

PIECE_NUMBERS = 2**26
"""Numbers in the widest intermediate result; beyond, channels (of the mixer) and positions (of the feed-forward
network) are taken in pieces. 400,000 positions of 256 channels then need 2.5 GB instead of 5.9 GB (fp32, one layer)."""


class HyenaDNAConfig(PreTrainedConfig):
    """Configuration; defaults are the original's."""

    model_type = "hyenadna"
    attribute_map = {"hidden_size": "d_model", "num_hidden_layers": "n_layer"}  # noqa: RUF012

    vocab_size: int = 12
    d_model: int = 256
    d_inner: int | None = None
    train_freq: bool = True
    max_seq_len: int = 1024
    emb_dim: int = 3
    n_layer: int = 12
    num_inner_mlps: int = 2
    hyena_order: int = 2
    short_filter_order: int = 3
    filter_order: int = 64
    activation_freq: float = 1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    pad_vocab_size_multiple: int = 8
    tie_word_embeddings: bool = False

    @property
    def padded_vocab_size(self) -> int:
        """Rows of the embedding: the vocabulary, rounded up."""
        return -(-self.vocab_size // self.pad_vocab_size_multiple) * self.pad_vocab_size_multiple


def adapt(settings: dict[str, Any], state: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Bring checkpoints of the older repositories into the ``-hf`` form, and shared tensors under one name.

    The older configuration keeps the filter's settings under ``layer``; the older keys begin with ``model.``, with
    ``.layer`` after ``.mixer`` and ``.mlp`` where training used checkpointing. Keys that do not begin with ``model.``
    there are of the trainer, not of the model.
    """
    layer = settings.pop("layer", None)
    if layer is not None:
        if layer.get("_name_") != "hyena" or not layer.get("modulate", True) or layer.get("shift", 0.05) != 0.05:
            raise BendError(f"A HyenaDNA whose layers are {layer} is not supported.")
        settings |= {
            "max_seq_len": layer["l_max"],
            "emb_dim": layer["emb_dim"],
            "filter_order": layer["filter_order"],
            "activation_freq": layer["w"],
            "short_filter_order": layer.get("local_order", layer.get("short_filter_order", 3)),
            "num_inner_mlps": layer.get("num_inner_mlps", 2),
            "hyena_order": layer.get("order", 2),
        }
        state = {
            re.sub(r"\.(mixer|mlp)\.layer\.", r".\1.", key.removeprefix("model.")): value
            for key, value in state.items()
            if key.startswith("model.")
        }
    shared: dict[str, Tensor] = {}
    for key, value in state.items():
        # The filter's activations share one frequency; files hold it under all of their names, or any one.
        first = re.sub(r"(implicit_filter)\.\d+\.freq$", r"\1.1.freq", key)
        if first in shared and not torch.equal(shared[first], value):
            raise BendError(f"{key} differs from {first}: the filter's activations share one frequency in HyenaDNA.")
        shared[first] = value
    return settings, shared


def long_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """Return the causal convolution of x (B, C, T) with kernel (C, T) by Fourier transform, in fp32."""
    length = x.shape[-1]
    size = next_fast_len(2 * length, real=True)
    spectrum = torch.fft.rfft(x.float(), n=size) * torch.fft.rfft(kernel, n=size)
    mixed: Tensor = torch.fft.irfft(spectrum, n=size)[..., :length]
    return mixed


class Filter(nn.Module):
    """The implicit filter: a network of sines of the position, times a window that decays."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        width, order, length = config.d_model, config.filter_order, config.max_seq_len
        self.bias = nn.Parameter(torch.zeros(width))
        self.pos_emb = nn.Module()
        self.pos_emb.register_buffer("z", torch.empty(1, length, config.emb_dim))
        self.pos_emb.register_buffer("t", torch.empty(1, length, 1))
        inner = {str(2 * i + 2): nn.Linear(order, order) for i in range(config.num_inner_mlps)}
        last = {str(2 * config.num_inner_mlps + 2): nn.Linear(order, width, bias=False)}
        self.implicit_filter = nn.ModuleDict({"0": nn.Linear(config.emb_dim, order), **inner, **last})
        self.frequency = config.activation_freq
        if config.train_freq:
            self.implicit_filter["1"] = nn.Module()
            self.implicit_filter["1"].freq = nn.Parameter(torch.full((1, order), float(config.activation_freq)))
        self.modulation = nn.Module()
        self.modulation.register_buffer("deltas", torch.empty(1, 1, width))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Filter:
        """Follow the model to another device, but not to another dtype."""
        moved: Filter = super()._apply(lambda tensor: tensor.to(fn(tensor[..., :0]).device), recurse)
        return moved

    def forward(self, length: int) -> Tensor:
        """Return the filter (d_model, length) in fp32."""
        *inner, last = sorted((name for name in self.implicit_filter if name != "1"), key=int)
        positions: Any = self.pos_emb
        frequency: Any = self.implicit_filter["1"].freq if "1" in self.implicit_filter else self.frequency
        with torch.autocast(self.bias.device.type, enabled=False):
            h: Tensor = positions.z[0, :length]
            for name in inner:
                h = torch.sin(frequency * self.implicit_filter[name](h))
            h = self.implicit_filter[last](h)
            deltas: Any = self.modulation.deltas
            decay = torch.exp(-positions.t[0, :length] * deltas[0].abs())
            return (h * (decay + 0.05)).T


class Mixer(nn.Module):
    """The Hyena operator of order 2: gate, long convolution, gate, after a short convolution of all three."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        width = config.d_model
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.short_filter = nn.Conv1d(3 * width, 3 * width, config.short_filter_order, padding=2, groups=3 * width)
        self.filter_fn = Filter(config)

    def forward(
        self, x: Tensor, past: tuple[Tensor, ...] | None = None, carried: list[tuple[Tensor, ...]] | None = None
    ) -> Tensor:
        """Mix the positions of x (B, T, width).

        Args:
            x: All positions, or a few that follow on others.
            past: What was carried from these: the inputs of the short convolution at the last two of them,
                (B, 3 width, 2), and those of the long one at all of them, (B, width, T).
            carried: The same of all positions so far is added to it.
        """
        if past is not None:
            return self._follow(x, past, carried)
        length, width = x.shape[1:]
        kernel, bias = self.filter_fn(length), self.filter_fn.bias.unsqueeze(-1)
        step = max(1, PIECE_NUMBERS // (6 * x.shape[0] * length))
        pieces, values = [], []
        for start in range(0, width, step):
            channels = slice(start, start + step)
            out_gate, in_gate, value = self._short(x, channels).chunk(3, dim=1)
            value = value * in_gate
            mixed = long_convolution(value, kernel[channels]) + value * bias[channels]
            pieces.append(mixed.to(x.dtype) * out_gate)
            values.append(value)
        if carried is not None:
            carried.append((self.in_proj(x[:, -2:]).transpose(1, 2), torch.cat(values, dim=1)))
        out: Tensor = self.out_proj(torch.cat(pieces, dim=1).transpose(1, 2))
        return out

    def _follow(self, x: Tensor, past: tuple[Tensor, ...], carried: list[tuple[Tensor, ...]] | None) -> Tensor:
        """Mix a few positions x (B, n, width) with all those before them, by sums in place of a Fourier transform."""
        ends, before = past
        short = torch.cat((ends, self.in_proj(x).transpose(1, 2)), dim=-1)
        weight, bias = self.short_filter.weight, self.short_filter.bias
        out_gate, in_gate, value = F.conv1d(short, weight, bias, groups=len(weight)).chunk(3, dim=1)
        value = value * in_gate
        values = torch.cat((before, value), dim=-1)
        kernel, last = self.filter_fn(values.shape[-1]), range(before.shape[-1] + 1, values.shape[-1] + 1)
        mixed = torch.stack([(values[..., :at] * kernel[:, :at].flip(-1)).sum(-1) for at in last], dim=-1)
        mixed = mixed + value * self.filter_fn.bias.unsqueeze(-1)
        if carried is not None:
            carried.append((short[..., -2:], values))
        out: Tensor = self.out_proj((mixed.to(x.dtype) * out_gate).transpose(1, 2))
        return out

    def _short(self, x: Tensor, channels: slice) -> Tensor:
        """Project x (B, T, width) and convolve it briefly, for some channels of each of the three: (B, 3 C, T)."""

        def rows(parameter: Tensor) -> Tensor:
            each: Tensor = parameter.unflatten(0, (3, -1))
            return each[:, channels].flatten(0, 1)

        assert self.in_proj.bias is not None
        assert self.short_filter.bias is not None
        projected = F.linear(x, rows(self.in_proj.weight), rows(self.in_proj.bias)).transpose(1, 2)
        weight, bias = rows(self.short_filter.weight), rows(self.short_filter.bias)
        return F.conv1d(projected, weight, bias, padding=2, groups=len(weight))[..., : x.shape[1]]


class Block(nn.Module):
    """Mixer and feed-forward network, each on a layer norm of its input and added to it; the sum is kept in fp32."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__()
        width, inner = config.d_model, config.d_inner or 4 * config.d_model
        self.mixer = Mixer(config)
        self.norm1 = nn.LayerNorm(width, eps=config.layer_norm_epsilon)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})
        self.norm2 = nn.LayerNorm(width, eps=config.layer_norm_epsilon)

    def forward(
        self, x: Tensor, past: tuple[Tensor, ...] | None = None, carried: list[tuple[Tensor, ...]] | None = None
    ) -> Tensor:
        """Return the block's output (B, T, width), fp32.

        Args:
            x: (B, T, width).
            past: What the mixer added to `carried` for what comes before x.
            carried: What is to be gone on from is added to it.
        """
        dtype = self.norm1.weight.dtype
        x = x.float() + self.mixer(self.norm1(x.to(dtype)), past, carried)
        step = max(1, PIECE_NUMBERS // (x.shape[0] * self.mlp["fc1"].out_features))  # type: ignore[operator]
        return torch.cat([self._feed_forward(part, dtype) for part in x.split(step, dim=1)], dim=1)

    def _feed_forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        hidden = F.gelu(self.mlp["fc1"](self.norm2(x.to(dtype))), approximate="tanh")
        added: Tensor = self.mlp["fc2"](hidden)
        return x + added


class HyenaDNAPreTrainedModel(PreTrainedModel):
    """What transformers asks to know."""

    config_class = HyenaDNAConfig
    base_model_prefix = "hyena"
    _keep_in_fp32_modules_strict = ["filter_fn"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [r"implicit_filter\.([3579]|\d\d+)\.freq$"]  # noqa: RUF012


class HyenaDNAModel(HyenaDNAPreTrainedModel):
    """HyenaDNA without its head."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        if config.hyena_order != 2:
            raise BendError(f"HyenaDNA of order {config.hyena_order} is not supported: the published models are of 2.")
        self.backbone = nn.Module()
        embedding = nn.Embedding(config.padded_vocab_size, config.d_model)
        self.backbone.embeddings = nn.ModuleDict({"word_embeddings": embedding})
        self.backbone.layers = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.backbone.ln_f = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
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
            output_hidden_states: Whether to return the tokens' embeddings and every layer's output too.
            past_key_values: What was carried from the tokens before these: two at least, and these are few.
            use_cache: Whether to return what is carried behind them.

        Returns:
            ``last_hidden_state`` (B, T, d_model), after the last layer norm.

        Raises:
            BendError: There are more tokens than the filter has positions.
        """
        before = [None] * self.config.n_layer if past_key_values is None else past_key_values.layers
        read = 0 if past_key_values is None else past_key_values.layers[0][1].shape[-1]
        length, most = read + input_ids.shape[1], self.config.max_seq_len
        if length > most:
            raise BendError(f"{length} tokens are more than the {most} positions of this HyenaDNA: cut the sequence.")
        backbone: Any = self.backbone
        x = backbone.embeddings["word_embeddings"](input_ids)
        states: tuple[Tensor, ...] = ()
        carried: list[tuple[Tensor, ...]] | None = [] if use_cache else None
        for layer, past in zip(backbone.layers, before, strict=True):
            if output_hidden_states:
                states = (*states, x)
            x = layer(x, past, carried)
        x = backbone.ln_f(x.to(backbone.ln_f.weight.dtype))
        return BaseModelOutputWithPast(
            last_hidden_state=x,
            hidden_states=(*states, x) if output_hidden_states else None,
            past_key_values=None if carried is None else Carried(carried),  # type: ignore[arg-type]
        )


class HyenaDNAForCausalLM(HyenaDNAPreTrainedModel):
    """HyenaDNA with its next-token head."""

    def __init__(self, config: HyenaDNAConfig) -> None:
        super().__init__(config)
        self.hyena = HyenaDNAModel(config)
        self.lm_head = nn.Linear(config.d_model, config.padded_vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> CausalLMOutput:
        """Return logits (B, T, rounded vocabulary) of the token after each token."""
        out = self.hyena(input_ids, attention_mask, **kwargs)
        return CausalLMOutput(logits=self.lm_head(out.last_hidden_state), hidden_states=out.hidden_states)
