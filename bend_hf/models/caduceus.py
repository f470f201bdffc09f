"""Caduceus (ph and ps): bidirectional Mamba layers on single nucleotides, with the selective scan in plain torch.

Needs neither `mamba_ssm` nor a GPU, and is slow for it: the scan goes through the sequence step by step (on a GPU,
through many stretches of it at once, whose states are then carried over). Key names
are those of the published checkpoints (`kuleshov-group/caduceus`, ``modeling_caduceus.py``, ``modeling_rcps.py``).

Caduceus-ps computes both strands in every layer and returns twice `d_model` channels: the first half for the strand
given, the second for its reverse complement, with positions and channels in reverse. The published models add and
normalise in one fused step that exchanges the two halves before every layer; this is part of what they compute, so it
is done here too where the configuration says ``fused_add_norm``.

Unlike the original, the model takes an ``attention_mask`` (padding on the right): each sequence is turned round within
its own length, so that padding changes no vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from bend_hf.errors import BendError
from bend_hf.models.parts import real_tokens

SCAN_NUMBERS = 2**17
"""Numbers of the scan's state over time in memory at once: half a megabyte, which stays in a core's cache."""
GPU_SCAN_NUMBERS = 2**28
"""The same on a GPU, where a step of few numbers takes as long as one of many: a gigabyte."""

Turn = Callable[[Tensor], Tensor]


class CaduceusConfig(PreTrainedConfig):
    """Configuration; defaults are the original's."""

    model_type = "caduceus"
    attribute_map = {"hidden_size": "d_model", "num_hidden_layers": "n_layer"}  # noqa: RUF012

    d_model: int = 2560
    n_layer: int = 64
    vocab_size: int = 50277
    ssm_cfg: dict[str, Any] | None = None
    rms_norm: bool = True
    fused_add_norm: bool = True
    pad_vocab_size_multiple: int = 8
    norm_epsilon: float = 1e-5
    bidirectional: bool = True
    bidirectional_strategy: str | None = "add"
    bidirectional_weight_tie: bool = True
    rcps: bool = False
    complement_map: dict[Any, int] | None = None
    initializer_range: float = 0.02
    tie_word_embeddings: bool = True

    @property
    def padded_vocab_size(self) -> int:
        """Rows of the embedding: the vocabulary, rounded up."""
        return -(-self.vocab_size // self.pad_vocab_size_multiple) * self.pad_vocab_size_multiple


def adapt(settings: dict[str, Any], state: dict[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Leave one name to tensors that both directions share, after checking that they are equal."""
    if settings.get("bidirectional_weight_tie", True):
        for key in [key for key in state if ".mamba_rev.in_proj." in key or ".mamba_rev.out_proj." in key]:
            forward = key.replace(".mamba_rev.", ".mamba_fwd.")
            if not torch.equal(state.setdefault(forward, state[key]), state[key]):
                raise BendError(f"{key} differs from {forward}, though the configuration says they are one tensor.")
            del state[key]
    return settings, state


def selective_scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Run h_t = exp(dt_t A) h_(t-1) + dt_t u_t B_t and return C_t · h_t (Gu & Dao 2023), in fp32.

    Args:
        u: (N, T, D) inputs.
        dt: (N, T, D) positive step sizes.
        A: (N, D, S) negative rates.
        B: (N, T, S) input weights.
        C: (N, T, S) output weights.

    Returns:
        (N, T, D).
    """
    u, dt, B, C = (x.float().transpose(0, 1) for x in (u, dt, B, C))
    rates = A.transpose(1, 2).contiguous()
    state = torch.zeros_like(rates)
    if u.device.type != "cpu" and not torch.is_grad_enabled():
        return _scan_by_stretches(u, dt, rates, B, C)
    in_place = not torch.is_grad_enabled()
    step = max(1, SCAN_NUMBERS // state.numel())
    outputs = []
    for start in range(0, len(u), step):
        piece = slice(start, start + step)
        decay = torch.exp_(dt[piece, :, None] * rates)
        inflow = (dt[piece] * u[piece])[:, :, None] * B[piece, ..., None]
        states = []
        for kept, new in zip(decay, inflow, strict=True):
            state = new.addcmul_(kept, state) if in_place else torch.addcmul(new, kept, state)
            states.append(state)
        outputs.append((C[piece, :, None] @ (inflow if in_place else torch.stack(states))).squeeze(2))
    return torch.cat(outputs).transpose(0, 1)


def _scan_by_stretches(u: Tensor, dt: Tensor, rates: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Scan as `selective_scan` does, in steps along the square root of as many positions as memory holds.

    The positions are cut into stretches that begin at zero and go side by side. What a stretch begins with in truth is
    then carried through it: after positions i to t it has decayed by exp(A · (dt_i + … + dt_t)).

    Args:
        u: (T, N, D).
        dt: (T, N, D).
        rates: (N, S, D).
        B: (T, N, S).
        C: (T, N, S).
    """
    state, outputs = torch.zeros_like(rates), []
    piece = max(1, GPU_SCAN_NUMBERS // state.numel())
    for start in range(0, len(u), piece):
        here = slice(start, start + piece)
        count = len(u[here])
        length = math.isqrt(count)
        missing = -count % length  # steps of size 0 change nothing

        def stretches(x: Tensor, missing: int = missing, length: int = length) -> Tensor:
            cut: Tensor = F.pad(x, (0, 0, 0, 0, 0, missing)).unflatten(0, (-1, length))
            return cut

        steps = stretches(dt[here])
        decay = torch.exp_(steps[:, :, :, None] * rates)
        states = (steps * stretches(u[here]))[:, :, :, None] * stretches(B[here])[..., None]
        for t in range(1, length):
            states[:, t].addcmul_(decay[:, t], states[:, t - 1])
        torch.mul(steps.cumsum(1)[:, :, :, None], rates, out=decay).exp_()
        begins = torch.empty_like(states[:, 0])
        for number in range(len(states)):
            begins[number] = state
            state = torch.addcmul(states[number, -1], decay[number, -1], state)
        states.addcmul_(decay, begins[:, None])
        outputs.append((stretches(C[here])[..., None, :] @ states).squeeze(3).flatten(0, 1)[:count])
    return torch.cat(outputs).transpose(0, 1)


class Direction(nn.Module):
    """One direction's Mamba; the projections in and out are missing where the other direction's are used."""

    def __init__(self, config: CaduceusConfig, own_projections: bool) -> None:
        super().__init__()
        settings: dict[str, Any] = {"d_state": 16, "d_conv": 4, "expand": 2, "dt_rank": "auto"}
        settings |= {"conv_bias": True, "bias": False} | (config.ssm_cfg or {})
        width, self.states, kernel = config.d_model, settings["d_state"], settings["d_conv"]
        inner = int(settings["expand"] * width)
        self.rank = math.ceil(width / 16) if settings["dt_rank"] == "auto" else settings["dt_rank"]
        if own_projections:
            self.in_proj = nn.Linear(width, 2 * inner, bias=settings["bias"])
            self.out_proj = nn.Linear(inner, width, bias=settings["bias"])
        self.conv1d = nn.Conv1d(inner, inner, kernel, groups=inner, padding=kernel - 1, bias=settings["conv_bias"])
        self.x_proj = nn.Linear(inner, self.rank + 2 * self.states, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.A_log = nn.Parameter(torch.zeros(inner, self.states))
        self.D = nn.Parameter(torch.ones(inner))

    def read(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the scan's u, dt, A, B and C for x (N, T, inner)."""
        u = F.silu(self.conv1d(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
        dt, B, C = self.x_proj(u).split([self.rank, self.states, self.states], dim=-1)
        A = -torch.exp(self.A_log.float()).expand(len(x), -1, -1)
        return u, F.softplus(self.dt_proj(dt).float()), A, B, C


class Mixer(nn.Module):
    """Mamba in both directions; the scans of both run as one."""

    def __init__(self, config: CaduceusConfig) -> None:
        super().__init__()
        self.tied = config.bidirectional_weight_tie
        self.multiply = config.bidirectional_strategy == "ew_multiply"
        self.mamba_fwd = Direction(config, own_projections=True)
        self.mamba_rev = Direction(config, own_projections=not self.tied) if config.bidirectional else None

    def forward(self, x: Tensor, turn: Turn) -> Tensor:
        """Mix the positions of x (N, T, width); `turn` reverses sequences within their lengths."""
        directions = [self.mamba_fwd]
        projected = [self.mamba_fwd.in_proj(x)]
        if self.mamba_rev is not None:
            directions.append(self.mamba_rev)
            projected.append(turn(projected[0] if self.tied else self.mamba_rev.in_proj(x)))
        parts = [(*pair.chunk(2, dim=-1), direction) for pair, direction in zip(projected, directions, strict=True)]
        read = [direction.read(inner) for inner, _, direction in parts]
        scanned = selective_scan(*(torch.cat(together) for together in zip(*read, strict=True))).chunk(len(read))
        out: list[Tensor] = []
        for y, (u, *_), (_, gate, direction) in zip(scanned, read, parts, strict=True):
            y = (y + u * direction.D).to(x.dtype) * F.silu(gate)
            out.append((self.mamba_fwd if self.tied else direction).out_proj(y))
        if len(out) == 1:
            return out[0]
        return out[0] * turn(out[1]) if self.multiply else out[0] + turn(out[1])


class Wrapped(nn.Module):
    """Caduceus-ps keeps mixers, and norms that are not fused, under ``submodule``."""

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, *args: Any) -> Tensor:
        """Call what is wrapped."""
        out: Tensor = self.submodule(*args)
        return out


def norm(config: CaduceusConfig) -> nn.Module:
    """Return a norm of the configured kind, wrapped where the checkpoint's is."""
    kind = nn.RMSNorm if config.rms_norm else nn.LayerNorm
    plain = kind(config.d_model, eps=config.norm_epsilon)
    return Wrapped(plain) if config.rcps and not config.fused_add_norm else plain


class Layer(nn.Module):
    """A norm and a mixer; additions are between layers."""

    def __init__(self, config: CaduceusConfig) -> None:
        super().__init__()
        self.mixer = Wrapped(Mixer(config)) if config.rcps else Mixer(config)
        self.norm = norm(config)

    def forward(self, x: Tensor, turn: Turn) -> Tensor:
        """Return what the layer adds to x (N, T, width)."""
        added: Tensor = self.mixer(self.norm(x), turn)
        return added


class CaduceusPreTrainedModel(PreTrainedModel):
    """What transformers asks to know."""

    config_class = CaduceusConfig
    base_model_prefix = "caduceus"


class CaduceusModel(CaduceusPreTrainedModel):
    """Caduceus without its head."""

    def __init__(self, config: CaduceusConfig) -> None:
        super().__init__(config)
        if config.rcps and config.complement_map is None:
            raise BendError("A Caduceus-ps needs the complement_map of its configuration, which is not there.")
        if (config.ssm_cfg or {}).get("layer", "Mamba1") != "Mamba1" or "headdim" in (config.ssm_cfg or {}):
            raise BendError("A Caduceus of Mamba-2 layers is not supported: the published models are of Mamba-1.")
        embedding = nn.Embedding(config.padded_vocab_size, config.d_model)
        words: nn.Module = embedding
        if config.rcps:
            words = nn.Module()
            words.embedding = embedding
            words.register_buffer("complement_map", complements(config))
        self.backbone = nn.Module()
        self.backbone.embeddings = nn.ModuleDict({"word_embeddings": words})
        self.backbone.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layer))
        self.backbone.norm_f = norm(config)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BaseModelOutput:
        """Embed token ids.

        Args:
            input_ids: (B, T), padded on the right.
            attention_mask: (B, T), 1 for real tokens.
            output_hidden_states: Whether to return the tokens' embeddings and every layer's output too.

        Returns:
            ``last_hidden_state`` (B, T, d_model), for Caduceus-ps (B, T, 2 d_model).
        """
        backbone: Any = self.backbone
        words = backbone.embeddings["word_embeddings"]
        turn = turner(real_tokens(attention_mask))
        if self.config.rcps:
            # Both strands as one batch: the strand given, then its reverse complement, each in its own direction.
            x = words.embedding(torch.cat([input_ids, words.complement_map[turn(input_ids)]]))
        else:
            x = words(input_ids)
        states: tuple[Tensor, ...] = ()
        for layer in backbone.layers:
            if output_hidden_states:
                states = (*states, self._side_by_side(x, turn))
            if self.config.rcps and self.config.fused_add_norm:
                x = _twice(turn)(x.roll(len(input_ids), 0)).flip(-1)  # the exchange of the halves
            x = x + layer(x, _twice(turn) if self.config.rcps else turn)
        x = self._side_by_side(backbone.norm_f(x), turn)
        return BaseModelOutput(last_hidden_state=x, hidden_states=(*states, x) if output_hidden_states else None)

    def _side_by_side(self, x: Tensor, turn: Turn) -> Tensor:
        """Return both strands' channels side by side, the second's positions and channels in reverse."""
        if not self.config.rcps:
            return x
        given, complement = x.chunk(2)
        return torch.cat([given, turn(complement).flip(-1)], dim=-1)


def complements(config: CaduceusConfig) -> Tensor:
    """Return the id of each token's complement, (padded vocabulary,)."""
    given = {int(token): other for token, other in (config.complement_map or {}).items()}
    return torch.tensor([given.get(token, token) for token in range(config.padded_vocab_size)])


def turner(real: Tensor | None) -> Turn:
    """Return the function that reverses (B, T, …) along T within each sequence's length.

    Raises:
        BendError: Padding is not on the right.
    """
    if real is None:
        return lambda x: x.flip(1)
    if bool((real[:, 1:] & ~real[:, :-1]).any()):
        raise BendError("Caduceus reads both ways: pad on the right, so that each sequence begins at position 0.")
    positions = torch.arange(real.shape[1], device=real.device)
    index = real.sum(1, keepdim=True) - 1 - positions
    index = torch.where(real, index, positions)
    return lambda x: x.gather(1, index.reshape(*index.shape, *[1] * (x.dim() - 2)).expand_as(x))


def _twice(turn: Turn) -> Turn:
    """Return the function that turns two batches, one behind the other."""
    return lambda x: torch.cat([turn(half) for half in x.chunk(2)])


class CaduceusForMaskedLM(CaduceusPreTrainedModel):
    """Caduceus with its masked-language-model head."""

    def __init__(self, config: CaduceusConfig) -> None:
        super().__init__(config)
        self.caduceus = CaduceusModel(config)
        self.lm_head: Any = nn.Linear(config.d_model, config.padded_vocab_size, bias=False)
        if config.rcps:
            linear, self.lm_head = self.lm_head, nn.Module()
            self.lm_head.lm_head = linear
            self.lm_head.register_buffer("complement_map", complements(config))
        words, head = (
            ("word_embeddings.embedding", "lm_head.lm_head") if config.rcps else ("word_embeddings", "lm_head")
        )
        self._tied_weights_keys = {f"{head}.weight": f"caduceus.backbone.embeddings.{words}.weight"}
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any) -> MaskedLMOutput:
        """Return logits (B, T, rounded vocabulary) of the nucleotide at every position."""
        out = self.caduceus(input_ids, attention_mask, **kwargs)
        hidden = out.last_hidden_state
        if self.config.rcps:
            given, complement = hidden.chunk(2, dim=-1)
            weight = self.lm_head.lm_head.weight
            other = F.linear(complement.flip(-1), weight[self.lm_head.complement_map])
            logits = F.linear(given, weight) + other
        else:
            logits = self.lm_head(hidden)
        return MaskedLMOutput(logits=logits, hidden_states=out.hidden_states)
