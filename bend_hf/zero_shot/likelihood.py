"""Log-likelihood ratios of the alleles of a variant, for models with a language-model head.

Each is ``log P(reference) - log P(alternate)`` in nats: larger where the model finds the alternate allele less likely.
Formulas and sources are in docs/variants.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from bend_hf.embed.network import fixed_arguments
from bend_hf.errors import BendError
from bend_hf.runtime import exact_float32
from bend_hf.zero_shot.windows import LENGTH, View, Windows, views

if TYPE_CHECKING:
    from bend_hf.embed.embedder import Embedder
    from bend_hf.embed.tokens import Family, Scheme

Ratio = Callable[["Embedder", Any, Sequence[Windows]], np.ndarray]


@dataclass(frozen=True)
class Likelihood:
    """A likelihood ratio.

    Attributes:
        name: As it is asked for; a masked and a causal one may share it.
        causal: Whether it is for causal models, else for masked ones.
        families: The ways of reading DNA it is for.
        window: What is read of a variant.
        ratio: From an embedder, its language model and windows to (n,) float64.
    """

    name: str
    causal: bool
    families: Sequence[Family]
    window: Callable[[Scheme, Sequence[str]], tuple[View, ...]]
    ratio: Ratio


def centred(scheme: Scheme, strands: Sequence[str]) -> tuple[View, ...]:
    """Windows with the variant in their middle."""
    return views(scheme, causal=False, strands=strands)


def left(scheme: Scheme, strands: Sequence[str]) -> tuple[View, ...]:
    """Windows that end with the variant."""
    return views(scheme, causal=True, strands=strands)


def before(scheme: Scheme, strands: Sequence[str]) -> tuple[View, ...]:
    """Whole blocks that end before the variant, and the variant itself."""
    return tuple(View(True, strand, 0, LENGTH - LENGTH % scheme.k + 1) for strand in strands)


def masked(embedder: Embedder, model: Any, windows: Sequence[Windows]) -> np.ndarray:
    """Probabilities of the tokens that hold the variant, all masked together."""
    scheme = embedder.scheme
    inputs, asked, ids = [], [], []
    for window, reference, alternate in _pairs(scheme, windows):
        if scheme.family == "overlapping k-mers":
            tokens = np.arange(max(0, window.at - scheme.k + 1), min(len(reference.ids), window.at + 1))
        else:
            tokens = np.array([_token_at(reference.lengths, window.at)])
        hidden, other = reference.ids.copy(), alternate.ids.copy()
        hidden[tokens] = other[tokens[tokens < len(other)]] = scheme.mask
        if not np.array_equal(reference.lengths, alternate.lengths) or not np.array_equal(hidden, other):
            raise BendError(f"{embedder.name} cuts the alleles of a variant into different tokens: score by distance.")
        inputs.append(hidden)
        asked.append(tokens)
        ids.append((reference.ids[tokens], alternate.ids[tokens]))
    found = np.zeros(len(windows), np.float64)
    for number, logs in _log_probabilities(embedder, model, inputs, asked):
        rows = np.arange(len(logs))
        found[number] = float((logs[rows, ids[number][0]] - logs[rows, ids[number][1]]).sum())
    return found


def masked_block(embedder: Embedder, model: Any, windows: Sequence[Windows]) -> np.ndarray:
    """Probabilities of the alleles alone: those of all k-mers that have them there, at the one masked token."""
    scheme = embedder.scheme
    words, word_ids = _words(scheme)
    inputs, asked, places = [], [], []
    for window, reference, _ in _pairs(scheme, windows):
        token = _token_at(reference.lengths, window.at)
        start = int(reference.lengths[:token].sum())
        if reference.lengths[token] != scheme.k:
            raise BendError(
                f"{embedder.name} reads a variant's base by itself ({window.reference[start : start + scheme.k]!r} is "
                f"no whole {scheme.k}-mer): score by llr."
            )
        ids = reference.ids.copy()
        ids[token] = scheme.mask
        inputs.append(ids)
        asked.append(np.array([token]))
        places.append(window.at - start)
    found = np.zeros(len(windows), np.float64)
    for number, logs in _log_probabilities(embedder, model, inputs, asked):
        found[number] = _allele_ratio(logs[0, word_ids], words[:, places[number]], windows[number])
    return found


def causal_block(embedder: Embedder, model: Any, windows: Sequence[Windows]) -> np.ndarray:
    """Probabilities of the alleles as the first base of the next block, whatever its other bases."""
    words, word_ids = _words(embedder.scheme)
    texts = list(dict.fromkeys(window.reference[:-1] for window in windows))
    inputs = [encoded.ids for encoded in embedder.scheme.encode(texts)]
    last = [np.array([len(ids) - 1]) for ids in inputs]
    found = {
        texts[number]: logs[0, word_ids]
        for number, logs in _log_probabilities(embedder, model, inputs, last, ending=False)
    }
    return np.array([_allele_ratio(found[window.reference[:-1]], words[:, 0], window) for window in windows])


def whole(embedder: Embedder, model: Any, windows: Sequence[Windows]) -> np.ndarray:
    """Probabilities of the whole windows: the sum over tokens of each given those before it.

    Where the alleles differ in the last token alone, all before it is the same in both sums: it is read once.
    """
    scheme = embedder.scheme
    first = 0 if scheme.prefix else 1  # without a special token in front nothing predicts the first token
    before: dict[bytes, np.ndarray] = {}
    sums: dict[bytes, np.ndarray] = {}
    pairs = []
    for _, (reference, _), (alternate, _) in _pairs(scheme, windows):
        shared = reference[:-1]
        if len(shared) >= first and np.array_equal(shared, alternate[:-1]):
            before[shared.tobytes()] = shared
        else:
            sums |= {ids.tobytes(): ids for ids in (reference, alternate)}
            shared = None
        pairs.append((reference, alternate, shared))
    last = [np.array([len(ids) - 1]) for ids in before.values()]
    found = _log_probabilities(embedder, model, list(before.values()), last, ending=False)
    keys = list(before)
    follows = {keys[number]: logs[0] for number, logs in found}
    inputs = list(sums.values())
    asked = [np.arange(first - 1, len(ids) - 1) for ids in inputs]
    total = {
        inputs[number].tobytes(): float(logs[np.arange(len(logs)), inputs[number][first:]].sum())
        for number, logs in _log_probabilities(embedder, model, inputs, asked, ending=False)
    }
    return np.array(
        [
            total[reference.tobytes()] - total[alternate.tobytes()]
            if shared is None
            else float(follows[shared.tobytes()][reference[-1]] - follows[shared.tobytes()][alternate[-1]])
            for reference, alternate, shared in pairs
        ]
    )


def pseudo(embedder: Embedder, model: Any, windows: Sequence[Windows]) -> np.ndarray:
    """Pseudo-likelihoods of the whole windows: every token masked in turn, one forward pass for each."""
    scheme = embedder.scheme
    found: dict[str, float] = {}
    for text in (text for window in windows for text in (window.reference, window.alternate)):
        if text in found:
            continue
        ids = scheme.encode([text])[0].ids
        inputs = np.repeat(ids[None], len(ids), 0)
        np.fill_diagonal(inputs, scheme.mask)
        asked = list(np.arange(len(ids))[:, None])
        found[text] = sum(
            float(logs[0, ids[number]]) for number, logs in _log_probabilities(embedder, model, list(inputs), asked)
        )
    return np.array([found[window.reference] - found[window.alternate] for window in windows])


def own(embedder: Any, model: Any, windows: Sequence[Windows]) -> np.ndarray:
    """Likelihoods of the whole windows by a callable's own ``log_likelihood``."""
    texts = list(dict.fromkeys(text for window in windows for text in (window.reference, window.alternate)))
    found: dict[str, float] = {}
    for start in range(0, len(texts), embedder.batch):
        some = texts[start : start + embedder.batch]
        found |= zip(some, embedder.log_likelihood(some).tolist(), strict=True)
    return np.array([found[window.reference] - found[window.alternate] for window in windows])


BLOCKS: tuple[Family, ...] = ("k-mers", "k-mer blocks")
ANY: tuple[Family, ...] = ("characters", "overlapping k-mers", "subwords", *BLOCKS)
LIKELIHOODS = (
    Likelihood("llr", False, ("characters", "overlapping k-mers", *BLOCKS), centred, masked),
    Likelihood("llr_block", False, BLOCKS, centred, masked_block),
    Likelihood("pll", False, ("characters", "subwords", *BLOCKS), centred, pseudo),
    Likelihood("llr", True, ANY, left, whole),
    Likelihood("llr_left", True, ANY, left, whole),
    Likelihood("llr_centred", True, ANY, centred, whole),
    Likelihood("llr_block", True, BLOCKS, before, causal_block),
)

OWN = (
    Likelihood("llr", False, (), centred, own),
    Likelihood("llr", True, (), left, own),
    Likelihood("llr_left", True, (), left, own),
    Likelihood("llr_centred", True, (), centred, own),
)
"""Of callables that give log-likelihoods themselves, however they read DNA."""


def of_model(name: str, embedder: Any) -> Likelihood:
    """Return the likelihood ratio of a name for a model.

    Raises:
        BendError: The model cannot give it; the message says why and what it can give.
    """
    from bend_hf.embed.embedder import Embedder

    distances = "score it by distance (cosine, l2, inner_product)"
    if not isinstance(embedder, Embedder):
        if getattr(embedder, "log_likelihood", None) is None:
            raise BendError(
                f"{name}: {embedder.name} has no language-model head: {distances}, or (a callable) give it a "
                "log_likelihood(sequences)."
            )
        able = {one.name: one for one in OWN if one.causal == embedder.causal}
        if name not in able:
            raise BendError(f"{name}: from log_likelihood {embedder.name} gives {', '.join(able)}.")
        return able[name]
    scheme, causal = embedder.scheme, embedder.causal
    if not causal and scheme.mask is None:
        raise BendError(f"{name}: {embedder.name} has no mask token: {distances}.")
    able = {one.name: one for one in LIKELIHOODS if one.causal == causal and scheme.family in one.families}
    if name in able:
        return able[name]
    if not any(one.name == name and one.causal == causal for one in LIKELIHOODS):
        reason = f"is a {'causal' if causal else 'masked'} language model, and that score is for the other kind"
    elif scheme.family == "subwords":
        reason = "cuts DNA into subwords, which differ between the alleles, so that no token holds both"
    elif scheme.family == "overlapping k-mers":
        reason = "names every base in several overlapping k-mers, so that no one of them hides it"
    else:
        reason = f"reads DNA as {scheme.family}, not in blocks of k-mers"
    raise BendError(f"{name}: {embedder.name} {reason}; it can give {', '.join(able)}, or {distances}.")


def language_model(embedder: Any) -> Any:
    """Return an embedder's checkpoint with its language-model head, on the same device; None of a callable.

    Raises:
        BendError: The checkpoint has none.
    """
    from bend_hf.embed.loading import load_again
    from bend_hf.embed.memory import head_of
    from bend_hf.embed.spread import spread, with_head

    if not hasattr(embedder, "loaded"):
        return None
    if embedder.loaded.borrowed:
        return head_of(embedder.loaded, embedder.network.device, embedder.dtype)
    if embedder.replaced:
        raise BendError(
            f"{embedder.name}: its weights were replaced since it was loaded, and the head belongs to those "
            "before. Give the model with its head: Embedder.from_model(model, tokenizer)."
        )
    model = load_again(embedder.loaded, lm_head=True).model
    if embedder.device_map is None:
        return model.to(embedder.network.device)
    spread(model, with_head(embedder.device_map, model), embedder.name)
    return model


def _pairs(scheme: Scheme, windows: Sequence[Windows]) -> Iterator[tuple[Windows, Any, Any]]:
    """Give windows with the tokens of both alleles."""
    encoded = scheme.encode([text for window in windows for text in (window.reference, window.alternate)])
    return zip(windows, encoded[::2], encoded[1::2], strict=True)


def _token_at(lengths: np.ndarray, nucleotide: int) -> int:
    return int(np.searchsorted(np.cumsum(lengths), nucleotide, "right"))


def _words(scheme: Scheme) -> tuple[np.ndarray, Tensor]:
    """Return the letters of all k-mers, (4^k, k), and their ids, (4^k,)."""
    letters = np.array(list(product("ACGT", repeat=scheme.k)))
    ids = [int(encoded.ids[0]) for encoded in scheme.encode(["".join(word) for word in letters])]
    return letters, torch.tensor(ids)


def _allele_ratio(logs: Tensor, letters: np.ndarray, window: Windows) -> float:
    """Log ratio of the summed probabilities of the k-mers with the one and with the other allele."""
    alleles = (window.reference[window.at], window.alternate[window.at])
    reference, alternate = (logs[torch.from_numpy(letters == allele.upper())].logsumexp(0) for allele in alleles)
    return float(reference - alternate)


def _log_probabilities(
    embedder: Embedder, model: Any, contents: Sequence[np.ndarray], asked: Sequence[np.ndarray], *, ending: bool = True
) -> Iterator[tuple[int, Tensor]]:
    """Give the number of each input and the log probabilities at the tokens asked for, in batches of one length.

    Args:
        embedder: Says how a batch is made.
        model: Gives logits.
        contents: Ids without special tokens.
        asked: Per input, indices of its tokens (-1 for the special token in front).
        ending: Whether the special tokens behind are there too.

    Yields:
        The input's number, and (tokens asked for, vocabulary) float64 on the CPU.
    """
    scheme, most = embedder.scheme, embedder.limits.context
    suffix = scheme.suffix if ending else ()
    by_length: dict[int, list[int]] = {}
    for number, ids in enumerate(contents):
        size = len(scheme.prefix) + len(ids) + len(suffix)
        if most is not None and size > most:
            raise BendError(
                f"{embedder.name} takes {most} tokens, and a variant's window has {size}: score it by distance."
            )
        by_length.setdefault(size, []).append(number)
    fixed = fixed_arguments(model)
    device, dtype = embedder.network.device, embedder.network.dtype
    autocast = torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
    for length, numbers in by_length.items():
        step = max(1, embedder.batch_tokens // length)
        for start in range(0, len(numbers), step):
            some = numbers[start : start + step]
            inputs = [np.concatenate((scheme.prefix, contents[number], suffix)).astype(np.int64) for number in some]
            with torch.inference_mode(), exact_float32(), autocast:
                logits = model(input_ids=torch.from_numpy(np.stack(inputs)).to(device), **fixed).logits
                for number, row in zip(some, logits, strict=True):
                    at = torch.from_numpy(asked[number] + len(scheme.prefix)).to(device)
                    yield number, row[at].double().log_softmax(-1).cpu()
