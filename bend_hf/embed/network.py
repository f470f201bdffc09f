"""A model as a function of ids, and what is found out about it by trying.

    network = Network(model, "cpu", torch.float32)
    hidden = network(ids, lengths)               # (B, T) padded on the right -> (B, T, D)
    measured = measure(network, scheme)          # causal? does padding change a vector? does bfloat16 agree?

Nothing is taken from a model's name: the arguments `forward` takes, where it puts its hidden states, whether a token
sees what follows it and whether padding reaches a vector are all looked up or measured.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel

from bend_hf.embed.tokens import Scheme
from bend_hf.errors import BendError

Layer = int | str | Sequence[int]


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in main memory."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def fixed_arguments(model: nn.Module) -> dict[str, Any]:
    """Return the arguments that every call gets: outputs by name, no cache for generation; where they are taken."""
    accepted = inspect.signature(model.forward).parameters
    return {key: value for key, value in (("return_dict", True), ("use_cache", False)) if key in accepted}


class Network:
    """A model on a device, computing in a dtype.

    Args:
        model: Takes ``input_ids`` (B, T).
        name: For messages.
        device: Where it runs.
        dtype: float32, or bfloat16 / float16 by autocast.
        layer: ``"last"`` or -1 for the output, another index of ``hidden_states`` (0 = embeddings), or several, whose
            vectors are concatenated.
        fold_strands: Whether the second half of the channels is that of the reverse complement in reverse order
            (Caduceus-ps), to be averaged with the first.
    """

    def __init__(
        self,
        model: nn.Module,
        name: str,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        layer: Layer = -1,
        fold_strands: bool = False,
    ) -> None:
        self.model, self.name, self.device, self.dtype = model.to(device), name, device, dtype
        self.call: Callable[..., Any] = self.model
        self.autocast = True
        self.layers: list[int | str] = [layer] if isinstance(layer, (int, str)) else list(layer)
        if not self.layers or any(isinstance(x, str) and x != "last" for x in self.layers):
            raise BendError(f'layer={layer!r} is none: give an index, "last", or a list of them.')
        self.fold_strands = fold_strands
        accepted = inspect.signature(model.forward).parameters
        self.masked = "attention_mask" in accepted
        # transformers takes it among the keywords of most of its models, without naming it.
        keywords = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
        self.deep = "output_hidden_states" in accepted or (keywords and isinstance(model, PreTrainedModel))
        self.fixed = fixed_arguments(model)

    def __call__(self, ids: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return hidden states (B, T, D) on the network's device.

        Args:
            ids: (B, T), padded on the right.
            lengths: (B,) tokens per row; None where no row is padded.
        """
        arguments = dict(self.fixed, input_ids=ids.to(self.device))
        if lengths is not None and self.masked:
            mask = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
            arguments["attention_mask"] = mask.to(self.device, torch.long)
        plain = self.layers in ([-1], ["last"])
        if not plain:
            if not self.deep:
                raise BendError(f"{self.name} gives no hidden states of inner layers: use layer=-1.")
            arguments["output_hidden_states"] = True
        with torch.inference_mode(), self.precision():
            output = self.call(**arguments)
            if plain:
                hidden = self._last(output, arguments)
            else:
                states = output.hidden_states
                hidden = torch.cat([self._pick(output, states, layer) for layer in self.layers], -1)
            if hidden.ndim != 3 or hidden.shape[:2] != ids.shape:
                raise BendError(
                    f"{self.name} gives vectors of shape {tuple(hidden.shape)} for ids of shape {tuple(ids.shape)}: "
                    "want one vector per token."
                )
            if self.fold_strands:
                half = hidden.shape[-1] // 2
                hidden = (hidden[..., :half] + hidden[..., half:].flip(-1)) / 2
            return hidden

    def hold_weights_in(self, dtype: torch.dtype) -> None:
        """Hold the weights themselves in `dtype` and compute in it, without autocast; buffers stay as they are."""
        for weight in self.model.parameters():
            weight.data = weight.data.to(dtype)
        self.dtype, self.autocast = dtype, False

    def precision(self) -> Any:
        """Return the context in which the model computes in `dtype`."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.autocast and self.dtype != torch.float32)

    def _pick(self, output: Any, states: Sequence[Tensor], layer: int | str) -> Tensor:
        if layer in (-1, "last"):
            found = getattr(output, "last_hidden_state", None)
            return states[-1] if found is None else found
        try:
            return states[int(layer)]
        except IndexError:
            raise BendError(f"{self.name} has hidden states 0 to {len(states) - 1}, not {layer}.") from None

    def _last(self, output: Any, arguments: dict[str, Any]) -> Tensor:
        """The output vectors, wherever this model puts them."""
        found = getattr(output, "last_hidden_state", None)
        if found is None:
            found = getattr(output, "hidden_states", None)
        if found is None and self.deep and not isinstance(output, (tuple, Tensor)):
            found = self.call(**arguments, output_hidden_states=True).hidden_states
        if found is None and isinstance(output, (tuple, Tensor)):
            found = output if isinstance(output, Tensor) else output[0]
        if isinstance(found, (tuple, list)) and found:
            found = found[-1]
        if not isinstance(found, Tensor):
            fields = ", ".join(output) if hasattr(output, "keys") else type(output).__name__
            raise BendError(f"{self.name} gives no hidden states (its output has: {fields}).")
        return found


@dataclass(frozen=True)
class Measured:
    """What trying a model showed.

    Attributes:
        dim: Width of a vector.
        causal: No token's vector depends on what follows it.
        padding_safe: Padding on the right changes no vector (in float32, to 1e-4 of their root mean square).
        agreement: Mean cosine of vectors in half precision, by autocast, to those in float32; None where not tried, or
            where the model has no half precision.
        held: The same with the weights held in half precision; None where not tried or where it does not run.
    """

    dim: int
    causal: bool
    padding_safe: bool
    agreement: float | None
    held: float | None


def _probe_ids(scheme: Scheme, tokens: int, seed: int) -> np.ndarray:
    """`tokens` ids of random DNA, with the special tokens around them."""
    letters = np.random.default_rng(seed).choice(list("ACGT"), tokens * 12 * max(scheme.k, 1) + 64)
    ids = scheme.encode(["".join(letters)])[0].ids[:tokens]
    return np.concatenate((scheme.prefix, ids, scheme.suffix)).astype(np.int64)


def measure(network: Network, scheme: Scheme, half: torch.dtype | None = None, most: int | None = None) -> Measured:
    """Try a model in float32 on probes of up to 128 tokens.

    Args:
        network: The model.
        scheme: Its tokens.
        half: A dtype whose agreement is to be measured.
        most: Most tokens the model takes, special ones included.

    Raises:
        BendError: It gives no vectors, or NaN or infinite ones.
    """
    own, network.dtype = network.dtype, torch.float32
    try:
        size = min(128, most or 128) - scheme.specials
        long, short = _probe_ids(scheme, size, 1), _probe_ids(scheme, max(1, size // 3), 2)
        ids = torch.from_numpy(long)[None]
        whole = _finite(network(ids), network)
        scale = float(whole.square().mean().sqrt()) or 1.0

        changed = ids.clone()
        cut = len(scheme.prefix) + size // 2
        end = len(long) - len(scheme.suffix)
        changed[0, cut:end] = ids[0, cut:end].flip(0).roll(1)
        reached = (network(changed)[0, :cut] - whole[0, :cut]).abs().max()
        causal = bool(reached <= 1e-5 * scale)

        batch = np.full((2, len(long)), scheme.pad, np.int64)
        batch[0, : len(short)], batch[1] = short, long
        alone = network(torch.from_numpy(short)[None])[0]
        lengths = torch.tensor([len(short), len(long)])
        padded = network(torch.from_numpy(batch), lengths)[0, : len(short)]
        padding_safe = bool((padded - alone).abs().max() <= 1e-4 * scale)
        # The last block of a sparse attention sees everything: behind a longer input it would be padding.
        sparse = getattr(getattr(network.model, "config", None), "attention_type", None) == "block_sparse"
        padding_safe &= not sparse

        agreement = held = None
        if half is not None and not sparse:  # which transformers computes in float32 alone
            network.dtype = half
            agreement = _cosine(network(ids), whole)
            held = _held_in(network, half, ids, whole)
        return Measured(whole.shape[-1], causal, padding_safe, agreement, held)
    finally:
        network.dtype = own


def _cosine(some: Tensor, whole: Tensor) -> float:
    return float(torch.cosine_similarity(some[0].float(), whole[0].float(), dim=-1).nan_to_num(nan=0.0).mean())


def _held_in(network: Network, half: torch.dtype, ids: Tensor, whole: Tensor) -> float | None:
    """Agreement of a model whose weights are in half precision; the weights themselves are left as they are."""
    weights = {name: weight.data.to(half) for name, weight in network.model.named_parameters()}
    network.dtype, network.call = torch.float32, lambda **kwargs: functional_call(network.model, weights, (), kwargs)
    try:
        return _cosine(network(ids), whole)
    except (RuntimeError, BendError):
        return None
    finally:
        network.call = network.model


def _finite(hidden: Tensor, network: Network) -> Tensor:
    if not torch.isfinite(hidden).all():
        raise BendError(
            f"{network.name} gives NaN or infinite vectors in {str(network.dtype).removeprefix('torch.')} for plain "
            "DNA: its weights or its code are broken here."
        )
    return hidden


def native_half(device: torch.device) -> torch.dtype | None:
    """Return the half-precision dtype that the device computes natively, None where there is none.

    It depends on the hardware alone, never on a timing, so that processes of one run agree.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu":
        supports = [getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in ("amx_tile", "avx512_bf16")]
        return torch.bfloat16 if any(known is not None and known() for known in supports) else None
    return None


def pick_device(device: str | torch.device | None) -> torch.device:
    """Return the device asked for, or the best there is.

    Raises:
        BendError: It is not there.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise BendError(f"device {device!r} is none: give cpu, cuda or cuda:0.") from error
    if chosen.type == "cuda" and (not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count()):
        raise BendError(
            f"device {device!r} is not there ({torch.cuda.device_count()} CUDA devices): use --device cpu, or check "
            "the driver with torch.cuda.is_available()."
        )
    return chosen
