"""A checkpoint made ready: its device, precision, context, windows and batches, tried and measured.

`bend_hf.embed.embedder.Embedder` is one that embeds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from bend_hf.checks import whole
from bend_hf.console import log
from bend_hf.embed import fingerprint
from bend_hf.embed.batching import Batches
from bend_hf.embed.devices import KINDS, native_half, pick_device
from bend_hf.embed.lanes import MOST
from bend_hf.embed.limits import Limits, limits
from bend_hf.embed.loading import Loaded
from bend_hf.embed.measure import Measured, agrees_with_cpu, answer, differs, laid_out, measure
from bend_hf.embed.memory import place_of, settled
from bend_hf.embed.network import Layer, Network
from bend_hf.embed.pieces import Cut, scheme_of
from bend_hf.embed.spread import DeviceMap
from bend_hf.embed.tokens import Scheme
from bend_hf.errors import BendError, unknown
from bend_hf.protocols import Protocol, get_protocol
from bend_hf.runtime import fit_threads, keep_freed_memory

AGREEMENT = 0.999
"""Mean cosine to float32 that half precision must reach before ``dtype="auto"`` takes it."""
VARYING = 0.99
"""That of vectors less their mean over tokens: what tells tokens apart may lose more, but not an order more."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BATCH_TOKENS = {"cpu": 8_192, "cuda": 65_536}
RECURRENT = ("AWDLSTM", "mamba", "mamba2", "rwkv", "xlstm")
"""Model types that step through a sequence: the more sequences at once, the faster, on a CPU too."""
RECURRENT_VALUES = 2**24
"""Numbers in the vectors of one batch of theirs: 262,144 tokens of 64, which is 26 sequences of 10 kb."""
FLOAT32_ONLY = ("caduceus", "mamba", "mamba2")
"""Model types whose state adds up over the whole input, so that a short probe cannot vouch for half precision."""


def _agree(whole: float | None, varying: float | None) -> bool:
    """Whether half precision is close enough to float32: whole vectors, and what varies of them."""
    return (whole or 0.0) >= AGREEMENT and (varying or 0.0) >= VARYING


class Ready:
    """A checkpoint made ready to embed; see `bend_hf.embed.embedder.Embedder`.

    Attributes:
        name: As given, or the catalogue's name.
        dim: Width of a vector.
        causal: Whether tokens see their left side only.
        scheme: How it reads DNA.
        measured: What trying it showed.
        limits: Its context, and where that is known from.
        protocol: Whose way of cutting and of special tokens it follows.
        cut: How long sequences are cut.
        batches: Runs the pieces.
        dtype: What it computes in.
        device_map: Where its layers lie, if not all on one device.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        name: str | None = None,
        dtype: str = "auto",
        layer: Layer = -1,
        strand: str = "forward",
        device: str | torch.device | None = None,
        device_map: DeviceMap | None = None,
        protocol: str | Protocol = "default",
        context: int | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        if not isinstance(loaded, Loaded):
            raise BendError(
                f"Embedder({loaded!r:.80}): give a name or folder to Embedder.from_pretrained, a model in memory to "
                "Embedder.from_model."
            )
        if strand not in ("forward", "average"):
            raise unknown("strand", strand, ("forward", "average"))
        if dtype != "auto" and dtype not in DTYPES:
            raise unknown("dtype", dtype, ("auto", *DTYPES))
        if not isinstance(name, str | None):
            raise BendError(f"name={name!r:.80} is no name of a model: give a text.")
        context, batch_tokens = whole("context", context), whole("batch_tokens", batch_tokens)
        self._options: dict[str, Any] = {
            "name": name,
            "dtype": dtype,
            "layer": layer,
            "strand": strand,
            "device": device,
            "device_map": device_map,
            "protocol": protocol,
            "context": context,
            "batch_tokens": batch_tokens,
        }
        self.protocol = protocol if isinstance(protocol, Protocol) else get_protocol(protocol)
        self.loaded, self.device_map = loaded, device_map
        self.name = name or loaded.source
        self.scheme: Scheme = scheme_of(self.protocol, loaded.scheme, loaded.config)
        self.strand, self.kmer_shift = strand, self.protocol.kmer_shift
        half: torch.dtype | None = None
        asked = self.protocol.dtype if dtype == "auto" else dtype
        if loaded.borrowed:
            loaded = settled(loaded, None if device is None else pick_device(device), asked)
            device, half = place_of(loaded.model)
        as_found = loaded.borrowed and half != torch.float32
        chosen = pick_device(device)
        if device_map is not None:
            chosen = laid_out(loaded.model, device_map, self.name, self.scheme)
        elif device is None and chosen.type in KINDS[1:]:
            proven = agrees_with_cpu(loaded.model, self.name, self.scheme, chosen)
            chosen = chosen if proven else torch.device("cpu")
        if chosen.type == "cpu":
            keep_freed_memory()
            fit_threads()
        folds = bool(loaded.config.get("rcps")) and strand == "average"
        if folds:  # a special token at one end would tell the strands apart
            self.scheme = replace(self.scheme, prefix=(), suffix=())
        self.network = Network(loaded.model, self.name, chosen, layer=layer, fold_strands=folds)
        if as_found:
            self.network.dtype, self.network.autocast = half or torch.float32, False
        self.limits: Limits = limits(self.network, loaded.config, self.scheme, context, loaded.context)
        if as_found:
            half = None
        elif asked == "auto":
            half = None if loaded.config.get("model_type") in FLOAT32_ONLY else native_half(chosen)
        else:
            half = None if asked == "float32" else DTYPES[asked]
        self.measured: Measured = measure(self.network, self.scheme, half, self.limits.context)
        agreement, varying = self.measured.agreement, self.measured.varying
        if half is not None and asked != "auto" and agreement is None:
            raise BendError(f"{self.name} cannot compute in {asked}: use dtype='float32' (--dtype float32).")
        if half is not None and asked == "auto" and not _agree(agreement, varying):
            why = "cannot be used" if agreement is None else f"agrees with float32 to a cosine of only {agreement:.4f}"
            if agreement is not None and agreement >= AGREEMENT:
                why = f"leaves a cosine of only {varying:.4f} to float32 of what tells tokens apart"
            log.info("%s: %s %s; computing in float32.", self.name, half, why)
            half = None
        if half is not None and _agree(self.measured.held, self.measured.held_varying) and not loaded.borrowed:
            self.network.hold_weights_in(half)  # a fifth faster than autocast, where it agrees as well
        elif not as_found:
            self.network.dtype = half or torch.float32
        self.dim, self.causal = self.measured.dim, self.measured.causal
        self.cut = Cut.of(self.protocol, self.scheme, loaded.config, self.limits, self.causal)
        recurrent = loaded.config.get("model_type") in RECURRENT
        usual = RECURRENT_VALUES // self.dim if recurrent else BATCH_TOKENS.get(chosen.type, 16_384)
        self.batches = Batches(
            self.network,
            pad=self.scheme.pad,
            name=self.name,
            context=self.limits.context,
            padding_safe=self.measured.padding_safe,
            tokens=batch_tokens or usual,
            lanes=1 if loaded.borrowed else MOST,
        )
        self._answer, self._bits = self._answer_now(), fingerprint.of_bits(self.network.model)

    @property
    def batch_tokens(self) -> int:
        """Most tokens in a batch."""
        return self.batches.tokens

    @property
    def n_layers(self) -> int | None:
        """Layers above the embeddings; None where the model shows its output alone."""
        return self.measured.layers

    @property
    def dtype(self) -> str:
        """Name of the dtype it computes in."""
        return str(self.network.dtype).removeprefix("torch.")

    @property
    def replaced(self) -> bool:
        """Whether a weight is another than when the model was loaded, or what it computes from them is."""
        return fingerprint.of_bits(self.network.model) != self._bits or differs(self._answer_now(), self._answer)

    def _answer_now(self) -> torch.Tensor:
        return answer(self.network, self.scheme, self.limits.context)
