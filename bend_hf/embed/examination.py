"""What trying shows of an embedder's vectors: which tokens it reads, their rank and channels, what precision does.

channels_text(vectors)          # '2 of 64 channels never change; …', or None where all is well
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.measure import Measured
from bend_hf.embed.tokens import Scheme
from bend_hf.text import counted

EXAMPLE = "ACGTTGCATTAGGCCATACGATCGGATTACANNACGTACGTTAGCCATGGCATTACGGATCAGTTACGACCATG"
"""DNA whose tokens are shown: every nucleotide in several surroundings, and two N."""
DISTANCES = ("distances at the variant and over its window",)
WILD_CHANNEL = 10.0
"""Times the median deviation beyond which a channel is called wild."""


def reads_text(scheme: Scheme, count: int = 10) -> str:
    """Show the first tokens of a stretch of DNA: each one's id and the nucleotides that it owns."""
    ids, lengths = scheme.encode([EXAMPLE])[0]
    ends = np.cumsum(lengths)
    shown = [
        f"{number}={EXAMPLE[end - length : end] or '(mark)'}"
        for number, length, end in zip(ids[:count], lengths[:count], ends[:count], strict=True)
    ]
    front = f"{scheme.mark!r} in front; " if scheme.mark else ""
    return f"{front}{' '.join(shown)} … of {EXAMPLE[:24]}…"


def differences(embedder: Embedder, sequence: str) -> float | None:
    """Compare how far single changed letters move the vectors, here and in float32: variants are such differences."""
    exact = embedder.in_float32()
    if exact is embedder:
        return None
    changed = [sequence[:at] + "ACGT"["CGTA".index(sequence[at])] + sequence[at + 1 :] for at in range(6, 114, 4)]

    def moved(by: Embedder) -> np.ndarray:
        means = [found.vectors.double().mean(0) for found in by.embed([sequence, *changed])]
        return np.array([float((mean - means[0]).norm()) for mean in means[1:]])

    here, there = moved(embedder), moved(exact)
    told = np.ptp(here) > 0 and np.ptp(there) > 0  # else nothing has an order
    return float(spearmanr(here, there).statistic) if told else 0.0


def rank_of(vectors: Tensor) -> int:
    """How many directions carry 99 % of the variance of vectors (T, D)."""
    vectors = vectors.double()
    power = torch.linalg.svdvals(vectors - vectors.mean(0)).square()
    share = power.cumsum(0) / power.sum().clamp_min(1e-300)
    return int((share < 0.99).sum()) + 1 if float(power.sum()) > 0 else 0


def channels_text(vectors: Tensor) -> str | None:
    """Say which channels of vectors (T, D) are dead (never change) or wild; None where none is."""
    deviations = vectors.double().std(0, correction=0)
    dead, median = int((deviations == 0).sum()), float(deviations.median())
    wild = deviations[deviations > WILD_CHANNEL * median] if median else deviations[:0]
    said = [f"{dead} of {len(deviations)} channels never change"] if dead else []
    if len(wild):
        largest = float(wild.max()) / median
        said.append(f"{len(wild)} of {len(deviations)} channels deviate by up to {largest:.0f} times the median")
    return "; ".join(said) or None


def zero_shot(embedder: Any) -> tuple[str, ...]:
    """The kinds of variant scores that a model can give: distances always, likelihoods with a head."""
    if not isinstance(embedder, Embedder):
        own = getattr(embedder, "log_likelihood", None) is not None
        return (*DISTANCES, *(("likelihoods (its own)",) if own else ()))
    architectures = embedder.loaded.config.get("architectures") or ()
    kinds = ("MaskedLM", "CausalLM", "LMHead", "ForPreTraining")
    headed = any(kind in str(name) for name in architectures for kind in kinds)
    scheme = embedder.scheme
    likely = headed and (embedder.causal or (scheme.mask is not None and scheme.family != "subwords"))
    return (*DISTANCES, *(("likelihoods (its head)",) if likely else ()))


def verdict(embedder: Embedder, rank: int, channels: str | None) -> str:
    """Say in one line whether a model can be benchmarked, and what to look at first."""
    measured = embedder.measured
    if not measured.deviations[-1] or not rank:
        return "not usable: its vectors are the same for every nucleotide"
    cares = list(embedder.loaded.notes)
    if channels:
        cares.append(channels)
    if rank <= max(2, embedder.dim // 50):
        cares.append(f"its vectors have only {counted(rank, 'direction')}")
    if measured.isolated:
        cares.append("no token's vector depends on any other token")
    if measured.wild:
        cares.append("the scale of its vectors is far from the recipe's: try standardize")
    if embedder.network.multiple > 1:
        cares.append(f"inputs are padded to multiples of {embedder.network.multiple} tokens")
    if embedder.loaded.reading.get("scheme") == "text":
        cares.append("DNA is read as text")
    if embedder.loaded.trusted:
        cares.append("code that came with it has run")
    return f"ready with care: {'; '.join(cares)}" if cares else "ready"


def scale_text(measured: Measured) -> str:
    """Say how large the vectors are, and what to do where the heads' recipe is not made for that."""
    least, median, largest = measured.deviations
    text = f"channels deviate by {least:g} to {largest:g} (median {median:g}) on 128 tokens"
    if measured.wild:
        text += "; far from the 1 that the heads' recipe is made for: standardised vectors may score higher"
    return text
