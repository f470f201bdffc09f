"""Zero-shot variant effects: how far the embedding at a variant moves when its base is replaced.

    scores = score_variants(embedder, dataset, protocol=get_protocol("default"))
    scores["cosine"]                    # (n,) float64, larger for a larger predicted effect; rows in dataset order

Windows are cropped from the dataset's 1,024 bp of context (variant at index 512): 256 + 256 bp, the variant at index
256; for causal models 512 bp that end with the variant. The vector is that of the token which owns the variant's
nucleotide: for overlapping k-mers the one whose middle it is (index 254 of the 6-mers of a window), for BPE and 6-mers
the token that covers it. A reference window shared by several variants is embedded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from bend_hf.console import progress
from bend_hf.errors import BendError, unknown

if TYPE_CHECKING:
    from datasets import Dataset

    from bend_hf.embed.embedder import SequenceEmbedder
    from bend_hf.protocols import Protocol

SIDE = 256
"""Nucleotides on either side of the variant (the variant is the first on the right)."""
LENGTH = 2 * SIDE
CHUNK = 512
DISTANCES = ("cosine", "l2", "inner_product")


class Windows(NamedTuple):
    """The two sequences of a variant, and the index of the variant's nucleotide in them."""

    reference: str
    alternate: str
    at: int


def crop(reference: str, alternate: str, offset: int, *, causal: bool, shift: int = 0) -> Windows:
    """Crop a variant's windows from its context.

    Args:
        reference: Context with the reference allele.
        alternate: Context with the alternate allele.
        offset: Index of the variant in both.
        causal: Whether the window ends with the variant.
        shift: Bases by which the window of a causal model ends before the variant (1 in the BEND reference, which
            then replaces that last base by the alternate allele; 0 to be right).

    Raises:
        BendError: The context is too short.
    """
    start = offset + 1 - LENGTH - shift if causal else offset - SIDE
    stop = start + LENGTH
    if start < 0 or stop > len(reference) or len(reference) != len(alternate):
        raise BendError(
            f"A variant at index {offset} of {len(reference)} bp of context has no window of {LENGTH} bp: the dataset "
            "must carry 512 bp on either side."
        )
    window = reference[start:stop]
    index = LENGTH - 1 if causal else SIDE
    return Windows(window, window[:index] + alternate[offset] + window[index + 1 :], index)


def cosine(reference: np.ndarray, alternate: np.ndarray) -> np.ndarray:
    """Return 1 - cosine similarity of the rows of two (n, D) arrays, float64; BEND's distance."""
    product = (reference * alternate).sum(1)
    norms = np.linalg.norm(reference, axis=1) * np.linalg.norm(alternate, axis=1)
    return 1.0 - product / np.maximum(norms, np.finfo(np.float64).tiny)


def l2(reference: np.ndarray, alternate: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of the rows of two (n, D) arrays."""
    return np.linalg.norm(reference - alternate, axis=1)


def inner_product(reference: np.ndarray, alternate: np.ndarray) -> np.ndarray:
    """Return the negative inner product of the rows of two (n, D) arrays, so that larger means further apart."""
    return -(reference * alternate).sum(1)


_DISTANCES = {"cosine": cosine, "l2": l2, "inner_product": inner_product}


def score_variants(
    embedder: SequenceEmbedder, dataset: Dataset, *, protocol: Protocol, scores: Sequence[str] = ("cosine",)
) -> dict[str, np.ndarray]:
    """Score variants without training.

    Args:
        embedder: Any embedder.
        dataset: Rows with ``chromosome``, ``start``, ``ref_sequence``, ``alt_sequence``, ``variant_offset``.
        protocol: Says where the window of a causal model ends.
        scores: Of ``"cosine"``, ``"l2"``, ``"inner_product"`` (negative, larger is further apart) and ``"llr"`` (log
            likelihood of the reference over the alternate allele; needs a model with a language-model head).

    Returns:
        Per score an (n,) float64 array in the order of the dataset; larger means a larger predicted effect.

    Raises:
        BendError: A score is unknown or the model does not allow it, or a row has too little context.
    """
    for name in scores:
        if name not in (*DISTANCES, "llr"):
            raise unknown("variant score", name, (*DISTANCES, "llr"))
    found = {name: np.empty(len(dataset), np.float64) for name in scores}
    distances = [name for name in scores if name != "llr"]
    if distances:
        plain = getattr(embedder, "without_shift", lambda: embedder)()
        for rows, windows in chunks(dataset, embedder.causal, protocol):
            pairs = _vectors(plain, windows)
            for name in distances:
                found[name][rows] = _DISTANCES[name](*pairs)
    if "llr" in scores:
        from bend_hf.zero_shot.likelihood import likelihood_ratios

        found["llr"] = likelihood_ratios(embedder, dataset, protocol)
    return found


def chunks(dataset: Dataset, causal: bool, protocol: Protocol) -> Iterator[tuple[np.ndarray, list[Windows]]]:
    """Give rows and windows in genome order, so that variants at one position come together."""
    columns = dataset.select_columns(["chromosome", "start"]).with_format("numpy")[:]
    order = np.lexsort((np.asarray(columns["start"]), np.asarray(columns["chromosome"])))
    shift = protocol.causal_variant_shift if causal else 0
    dataset = dataset.select_columns(["ref_sequence", "alt_sequence", "variant_offset"])
    bar = progress(name="bend_hf.variants", total=len(order), desc="variants", unit="variant")
    with bar:
        for start in range(0, len(order), CHUNK):
            rows = order[start : start + CHUNK]
            some = dataset[rows]
            fields = zip(some["ref_sequence"], some["alt_sequence"], some["variant_offset"], strict=True)
            yield rows, [crop(ref, alt, int(at), causal=causal, shift=shift) for ref, alt, at in fields]
            bar.update(len(rows))


def _vectors(embedder: SequenceEmbedder, windows: Sequence[Windows]) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors at the variant in all reference and all alternate windows, (n, D) float64 each."""
    wanted = {(text, index): 0 for ref, alt, index in windows for text in (ref, alt)}
    at = {}
    for key, tokens in zip(wanted, embedder.embed(text for text, _ in wanted), strict=True):
        token = int(np.searchsorted(np.cumsum(tokens.lengths), key[1], "right"))
        at[key] = tokens.vectors[token].to(torch.float64).numpy()
    references = np.stack([at[window.reference, window.at] for window in windows])
    return references, np.stack([at[window.alternate, window.at] for window in windows])


def control_scores(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return scores that need no model, against which a model's must be held.

    Args:
        dataset: Rows with ``ref_sequence``, ``alt_sequence`` and ``variant_offset``.

    Returns:
        (n,) float64 each: ``gc_change`` (+1 where A or T becomes G or C, -1 the other way), ``cpg_created`` and
        ``cpg_lost`` (CpG dinucleotides that the variant makes or breaks).
    """
    gains, created, lost = [], [], []
    some: dict[str, Any]
    for some in dataset.select_columns(["ref_sequence", "alt_sequence", "variant_offset"]).iter(batch_size=1024):
        for ref, alt, at in zip(some["ref_sequence"], some["alt_sequence"], some["variant_offset"], strict=True):
            before, after = (text[max(0, at - 1) : at + 2].upper() for text in (ref, alt))
            gains.append((alt[at].upper() in "GC") - (ref[at].upper() in "GC"))
            created.append(max(0, after.count("CG") - before.count("CG")))
            lost.append(max(0, before.count("CG") - after.count("CG")))
    return {
        name: np.array(values, np.float64)
        for name, values in (("gc_change", gains), ("cpg_created", created), ("cpg_lost", lost))
    }
