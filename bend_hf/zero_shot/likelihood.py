"""Log-likelihood ratio of the alleles of a variant, for models with a language-model head.

Larger means that the model finds the alternate allele less likely: ``log P(reference) - log P(alternate)``.

Masked models: the tokens that hold the variant are masked, in one window of 256 + 256 bp, and the probabilities of
both alleles' tokens there are compared (for overlapping k-mers the k of them, masked together and added up). Both
alleles must be cut into tokens at the same places, which byte pairs do not promise: such models are refused.
Causal models: the likelihoods of the two windows of 512 bp, which end with the variant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from bend_hf.embed.network import fixed_arguments
from bend_hf.errors import BendError

if TYPE_CHECKING:
    from datasets import Dataset

    from bend_hf.embed.embedder import Embedder
    from bend_hf.embed.interface import SequenceEmbedder
    from bend_hf.protocols import Protocol
    from bend_hf.zero_shot.windows import Windows


def likelihood_ratios(embedder: SequenceEmbedder, dataset: Dataset, protocol: Protocol) -> np.ndarray:
    """Return ``log P(reference) - log P(alternate)`` of each variant, (n,) float64, in nats.

    Args:
        embedder: An `Embedder` whose checkpoint has a language-model head.
        dataset: As for `score_variants`.
        protocol: Says where the window of a causal model ends.

    Raises:
        BendError: The model has no such head, no mask token, or tokens that differ in number between alleles.
    """
    from bend_hf.embed.embedder import Embedder
    from bend_hf.embed.loading import load
    from bend_hf.zero_shot.windows import chunks

    if not isinstance(embedder, Embedder):
        raise BendError(f"{embedder.name} has no language-model head: its variants can be scored by distance only.")
    scheme = embedder.scheme
    if scheme.family == "subwords":
        raise BendError(
            f"{embedder.name} cuts DNA into subwords, which differ between the alleles of a variant, so their "
            "likelihoods cannot be compared: score by distance (cosine, l2, inner_product)."
        )
    if not embedder.causal and scheme.mask is None:
        raise BendError(f"{embedder.name} has no mask token: score by distance (cosine, l2, inner_product).")
    loaded = load(
        embedder.loaded.source,
        revision=embedder.loaded.revision,
        trust_remote_code=embedder.loaded.trusted,
        lm_head=True,
    )
    model = loaded.model.to(embedder.network.device)
    ratios = np.empty(len(dataset), np.float64)
    score = _causal if embedder.causal else _masked
    for rows, windows in chunks(dataset, embedder.causal, protocol):
        ratios[rows] = score(embedder, model, windows)
    return ratios


def _probabilities(embedder: Embedder, model: Any, inputs: Sequence[np.ndarray]) -> Iterator[tuple[int, Tensor]]:
    """Give the number of each input and its log probabilities (T, vocabulary), in batches of one length."""
    most = embedder.limits.context
    by_length: dict[int, list[int]] = {}
    for number, ids in enumerate(inputs):
        if most is not None and len(ids) > most:
            raise BendError(
                f"{embedder.name} takes {most} tokens, and a variant's window has {len(ids)}: score it by distance."
            )
        by_length.setdefault(len(ids), []).append(number)
    fixed = fixed_arguments(model)
    device, dtype = embedder.network.device, embedder.network.dtype
    for length, numbers in by_length.items():
        size = max(1, embedder.batch_tokens // length)
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            batch = torch.from_numpy(np.stack([inputs[number] for number in some])).to(device)
            with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                logits = model(input_ids=batch, **fixed).logits
            yield from zip(some, logits.float().log_softmax(-1).cpu(), strict=True)


def _masked(embedder: Embedder, model: Any, windows: Sequence[Windows]) -> np.ndarray:
    scheme = embedder.scheme
    front = len(scheme.prefix)
    encoded = scheme.encode([text for window in windows for text in (window.reference, window.alternate)])
    inputs, asked = [], []
    for window, (ids, lengths), (others, other_lengths) in zip(windows, encoded[::2], encoded[1::2], strict=True):
        if scheme.family == "overlapping k-mers":
            tokens = np.arange(max(0, window.at - scheme.k + 1), min(len(ids), window.at + 1))
        else:
            tokens = np.array([int(np.searchsorted(np.cumsum(lengths), window.at, "right"))])
        masked, other_masked = ids.copy(), others.copy()
        masked[tokens] = other_masked[tokens[tokens < len(others)]] = scheme.mask
        if not np.array_equal(lengths, other_lengths) or not np.array_equal(masked, other_masked):
            raise BendError(
                f"{embedder.name} cuts the alleles {window.reference[window.at]} and {window.alternate[window.at]} "
                "of a variant into different tokens (an N allele?): score by distance."
            )
        inputs.append(np.concatenate((scheme.prefix, masked, scheme.suffix)).astype(np.int64))
        asked.append(
            (torch.from_numpy(front + tokens), torch.from_numpy(ids[tokens]), torch.from_numpy(others[tokens]))
        )
    found = np.zeros(len(windows), np.float64)
    for number, scores in _probabilities(embedder, model, inputs):
        at, reference, alternate = asked[number]
        found[number] = float((scores[at, reference].double() - scores[at, alternate].double()).sum())
    return found


def _causal(embedder: Embedder, model: Any, windows: Sequence[Windows]) -> np.ndarray:
    scheme = embedder.scheme
    texts = list(dict.fromkeys(text for window in windows for text in (window.reference, window.alternate)))
    inputs = [np.concatenate((scheme.prefix, ids)).astype(np.int64) for ids, _ in scheme.encode(texts)]
    likelihoods = {}
    for number, scores in _probabilities(embedder, model, inputs):
        following = torch.from_numpy(inputs[number][1:])
        likelihoods[texts[number]] = float(scores[:-1].gather(1, following[:, None]).double().sum())
    return np.array([likelihoods[window.reference] - likelihoods[window.alternate] for window in windows])
