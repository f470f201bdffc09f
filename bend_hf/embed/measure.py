"""What is found out about a model by trying it: causal? does padding change a vector? does half precision agree?

measured = measure(network, scheme, torch.bfloat16)
measured.causal, measured.padding_safe, measured.agreement
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bend_hf.console import log
from bend_hf.embed.fingerprint import PROBES
from bend_hf.embed.network import Network, lowered
from bend_hf.embed.spread import DeviceMap, NothingMissing, is_spread, spread
from bend_hf.embed.tokens import Scheme
from bend_hf.errors import BendError

REPEATS = 1e-5
"""How far two answers for one input may lie apart, relative to the vectors' root mean square."""
WILD = (0.05, 2.0, 10.0)
"""Least and most median deviation of a channel, and most of any, within which the heads' recipe is at home (one-hot
vectors: 0.43)."""


@dataclass(frozen=True)
class Measured:
    """What trying a model showed.

    Attributes:
        dim: Width of a vector.
        layers: Layers above the embeddings; None where the model shows its output alone.
        causal: No token's output depends on what follows it.
        isolated: No token's output depends on any other token.
        padding_safe: Padding on the right changes no vector (in float32, to 1e-4 of their root mean square).
        agreement: Mean cosine of vectors in half precision, by autocast, to those in float32 (of several layers, the
            least); None where not tried, or where the model has no half precision.
        varying: The same of the vectors less their mean over the tokens. A large part that all tokens have in common
            makes any two vectors agree, while half precision rounds away what tells them apart.
        held: `agreement` with the weights held in half precision; None where not tried or where it does not run.
        held_varying: `varying` with the weights held so.
        deviations: Least, median and largest standard deviation of a channel over the tokens of a probe.
        scale: Root mean square of the vectors there.
    """

    dim: int
    layers: int | None
    causal: bool
    padding_safe: bool
    agreement: float | None
    varying: float | None
    held: float | None
    held_varying: float | None
    deviations: tuple[float, float, float]
    scale: float
    isolated: bool = False

    @property
    def wild(self) -> bool:
        """Whether the heads' recipe, meant for channels of about unit variance, meets another scale."""
        _, median, largest = self.deviations
        return not WILD[0] <= median <= WILD[1] or largest > WILD[2]


def probe_ids(scheme: Scheme, tokens: int, seed: int) -> np.ndarray:
    """Return `tokens` ids of random DNA, with the special tokens around them."""
    letters = np.random.default_rng(seed).choice(list("ACGT"), tokens * 12 * max(scheme.k, 1) + 64)
    ids = scheme.encode(["".join(letters)])[0].ids[:tokens]
    return np.concatenate((scheme.prefix, ids, scheme.suffix)).astype(np.int64)


def _room(scheme: Scheme, most: int | None) -> int:
    """Tokens of a probe, without special ones: two at least, since one alone does not show which side it sees."""
    return max(2, min(128, most or 128) - scheme.specials)


def _others(scheme: Scheme, ids: Tensor) -> Tensor:
    """Return ids (T,) of DNA, each of which is another one than that in its place."""
    known = torch.from_numpy(np.unique(scheme.encode([PROBES[1]])[0].ids))
    return known[(torch.searchsorted(known, ids) + 1) % len(known)]


def measure(network: Network, scheme: Scheme, half: torch.dtype | None = None, most: int | None = None) -> Measured:
    """Try a model in float32 on probes of up to 128 tokens.

    Args:
        network: The model.
        scheme: Its tokens.
        half: A dtype whose agreement is to be measured.
        most: Most tokens the model takes, special ones included.

    Raises:
        BendError: It gives no vectors, NaN or infinite ones, two answers for one input (at once, or after others), or
            has no such layer.
    """
    own, network.dtype = network.dtype, torch.float32
    try:
        size = _room(scheme, most)
        long, short = probe_ids(scheme, size, 1), probe_ids(scheme, max(1, size // 3), 2)
        ids = torch.from_numpy(long)[None]
        layers = network.count_layers(ids)

        def run(ids: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
            """The output, on which causal and padding-safe depend, then the network's own layers."""
            return network.hidden(ids, lengths, (-1, *network.layers))

        whole = [_finite(vectors, network) for vectors in run(ids)]
        if apart := _apart(run(ids), whole, REPEATS):
            raise BendError(
                f"{network.name} gives two answers for one input (they differ by {apart:.2g} of the vectors' root mean "
                "square): something random, such as dropout, is on in its forward. Switch it off."
            )
        changed = ids.clone()
        cut = len(scheme.prefix) + size // 2
        end = len(long) - len(scheme.suffix)
        changed[0, cut:end] = _others(scheme, ids[0, cut:end])
        reached = (run(changed)[0][0, :cut] - whole[0][0, :cut]).abs().max()
        causal = bool(reached <= 1e-5 * _scale(whole[0]))
        changed = ids.clone()
        changed[0, len(scheme.prefix) : cut] = _others(scheme, ids[0, len(scheme.prefix) : cut])
        reached = (run(changed)[0][0, cut:] - whole[0][0, cut:]).abs().max()
        told = size >= 16  # fewer are too few to judge an attention by that reads some tokens only
        isolated = told and causal and bool(reached <= 1e-5 * _scale(whole[0]))

        batch = np.full((2, len(long)), scheme.pad, np.int64)
        batch[0, : len(short)], batch[1] = short, long
        alone = [vectors[0] for vectors in run(torch.from_numpy(short)[None])]
        lengths = torch.tensor([len(short), len(long)])
        padded = [vectors[0, : len(short)] for vectors in run(torch.from_numpy(batch), lengths)]
        # The last block of a sparse attention sees everything: behind a longer input it would be padding.
        sparse = getattr(getattr(network.model, "config", None), "attention_type", None) == "block_sparse"
        padding_safe = not sparse and not _apart(padded, alone, 1e-4)
        with suppress(BendError):  # some take no input that short
            run(torch.from_numpy(probe_ids(scheme, 1, 3))[None])
        if apart := _apart(run(ids), whole, REPEATS):
            raise BendError(
                f"{network.name} gives another answer for an input once it has seen others (they differ by {apart:.2g} "
                "of the vectors' root mean square): vectors would depend on what was embedded before."
            )

        agreement = varying = held = held_varying = None
        if half is not None and not sparse:  # which transformers computes in float32 alone
            network.dtype = half
            agreement, varying = _cosines(network.hidden(ids, None, network.layers), whole[1:])
            held, held_varying = _held_in(network, half, ids, whole[1:])
        deviations, scale, dim = _spread(torch.cat(whole[1:], -1)[0, len(scheme.prefix) : end])
        if (
            isolated
            and deviations[-1]
            and any("attention" in type(part).__name__.lower() for part in network.model.modules())
        ):
            raise BendError(
                f"{network.name} has attention, but no token's vector depends on any other token: what computes it is "
                f"missing here (a kernel for GPUs, perhaps; this is {network.device}), so its vectors would be wrong."
            )
        agreements = agreement, varying, held, held_varying
        return Measured(dim, layers, causal, padding_safe, *agreements, deviations, scale, isolated)
    finally:
        network.dtype = own


def measure_layers(network: Network, scheme: Scheme, measured: Measured, most: int | None = None) -> Measured:
    """Return what was measured of a model with what differs at the network's own layers: width, deviations, scale."""
    long = probe_ids(scheme, _room(scheme, most), 1)
    vectors = network(torch.from_numpy(long)[None])[0, len(scheme.prefix) : len(long) - len(scheme.suffix)]
    deviations, scale, dim = _spread(vectors)
    return replace(measured, dim=dim, deviations=deviations, scale=scale)


def _spread(vectors: Tensor) -> tuple[tuple[float, float, float], float, int]:
    """Return the least, median and largest deviation of the channels of (T, D) vectors, their scale, and D."""
    content = vectors.float()
    spread = content.std(0, correction=0)
    least, median, largest = (float(f"{x:.4g}") for x in (spread.min(), spread.median(), spread.max()))
    return (least, median, largest), float(f"{_scale(content):.4g}"), content.shape[-1]


def _scale(vectors: Tensor) -> float:
    # In float64, which not every device has: squares of large and small float32 numbers are infinite and 0 in float32.
    return float(vectors.cpu().double().square().mean().sqrt())


def answer(network: Network, scheme: Scheme, most: int | None = None) -> Tensor:
    """Return the vectors of a probe of 32 tokens or `most`, (T, D) float32 on CPU: what the network computes now."""
    room = min(32, most or 32) - scheme.specials
    return network(torch.from_numpy(probe_ids(scheme, max(1, room), 3))[None])[0].float().cpu()


def differs(some: Tensor, other: Tensor) -> bool:
    """Whether two answers are those of different models, and not of one model and its rounding."""
    return some.shape != other.shape or bool(_apart([some], [other], REPEATS))


def _apart(some: Sequence[Tensor], others: Sequence[Tensor], most: float) -> float:
    """The largest difference between vectors of some layers, relative to their scale; 0 where none exceeds `most`.

    NaN is the largest of all: vectors that are no numbers are never those of another answer.
    """
    apart = [float((a - b).abs().max()) / (_scale(b) or 1.0) for a, b in zip(some, others, strict=True)]
    largest = float(np.max(apart))
    return 0.0 if largest <= most else largest


def _cosines(some: Sequence[Tensor], whole: Sequence[Tensor]) -> tuple[float, float]:
    """Mean cosine of the vectors of one input, and of these less the mean of `whole`; of several layers the least."""
    pairs = [(a[0].float(), b[0].float()) for a, b in zip(some, whole, strict=True)]
    varying = [(a - b.mean(0), b - b.mean(0)) for a, b in pairs]
    least = [min(float(_cosine(a, b).mean()) for a, b in each) for each in (pairs, varying)]
    return least[0], least[1]


def _cosine(some: Tensor, other: Tensor) -> Tensor:
    """The cosine of each pair of (T, D) vectors; 0 for NaN."""
    return torch.cosine_similarity(some, other, dim=-1, eps=torch.finfo(torch.float32).tiny).nan_to_num(nan=0.0)


def _held_in(
    network: Network, half: torch.dtype, ids: Tensor, whole: Sequence[Tensor]
) -> tuple[float | None, float | None]:
    """Agreement of a model whose weights are in half precision; the weights themselves are left as they are."""
    weights = {name: weight.data.to(half) for name, weight in lowered(network.model)}
    network.dtype, network.call = torch.float32, lambda **kwargs: functional_call(network.model, weights, (), kwargs)
    try:
        return _cosines(network.hidden(ids, None, network.layers), whole)
    except (RuntimeError, BendError):
        return None, None
    finally:
        network.call = network.model


def _finite(hidden: Tensor, network: Network) -> Tensor:
    if not torch.isfinite(hidden).all():
        raise BendError(
            f"{network.name} gives NaN or infinite vectors in {str(network.dtype).removeprefix('torch.')} for plain "
            "DNA: its weights or its code are broken here."
        )
    return hidden


def laid_out(model: nn.Module, device_map: DeviceMap, name: str, scheme: Scheme) -> torch.device:
    """Lay a model's layers out over devices (see `spread`), and prove that it still computes the same.

    Raises:
        BendError: It does not, or the map does not fit it.
    """
    if is_spread(model):
        return spread(model, device_map, name)
    ids = torch.from_numpy(probe_ids(scheme, 32, 1))[None]
    expected = Network(model, name, torch.device("cpu"))(ids)
    device = spread(model, device_map, name)
    with NothingMissing(name):
        found = Network(model, name, device)(ids).cpu()
    if apart := _apart([found], [expected], 1e-3):
        raise BendError(
            f"{name} gives other vectors with its layers apart (they differ by {apart:.2g} of the vectors' root mean "
            "square): leave out device_map= (--device-map)."
        )
    return device


def agrees_with_cpu(model: nn.Module, name: str, scheme: Scheme, device: torch.device) -> bool:
    """Whether a device that is seldom tried gives a model's vectors as the CPU does, in float32."""
    ids = torch.from_numpy(probe_ids(scheme, 32, 1))[None]
    expected = Network(model, name, torch.device("cpu"))(ids)
    try:
        found = Network(model, name, device)(ids).cpu()
    except (RuntimeError, BendError) as error:
        log.warning("%s does not run on %s (%s): computing on the CPU.", name, device, error)
        return False
    if apart := _apart([found], [expected], 1e-3):
        log.warning("%s on %s differs from the CPU by %.2g: computing on the CPU.", name, device, apart)
    return not apart
