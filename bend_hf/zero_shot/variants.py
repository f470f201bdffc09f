"""Zero-shot variant effects: how far the embedding at a variant moves when its base is replaced.

    scores = score_variants(embedder, dataset, protocol=get_protocol("default"))
    scores["cosine"]                    # (n,) float64, larger for a larger predicted effect; rows in dataset order

Windows are cropped from the dataset's 1,024 bp of context (variant at index 512): 256 + 256 bp, the variant at index
256; for causal models 512 bp that end with the variant. The vector is that of the token which owns the variant's
nucleotide: for overlapping k-mers the one whose middle it is (index 254 of the 6-mers of a window), for BPE and 6-mers
the token that covers it. A reference window shared by several variants is embedded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from bend_hf.errors import unknown
from bend_hf.zero_shot.distances import DISTANCES
from bend_hf.zero_shot.windows import Windows, chunks

if TYPE_CHECKING:
    from datasets import Dataset

    from bend_hf.embed.interface import SequenceEmbedder
    from bend_hf.protocols import Protocol


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
                found[name][rows] = DISTANCES[name](*pairs)
    if "llr" in scores:
        from bend_hf.zero_shot.likelihood import likelihood_ratios

        found["llr"] = likelihood_ratios(embedder, dataset, protocol)
    return found


def _vectors(embedder: SequenceEmbedder, windows: Sequence[Windows]) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors at the variant in all reference and all alternate windows, (n, D) float64 each."""
    wanted = {(text, index): 0 for ref, alt, index in windows for text in (ref, alt)}
    at = {}
    for key, tokens in zip(wanted, embedder.embed(text for text, _ in wanted), strict=True):
        token = int(np.searchsorted(np.cumsum(tokens.lengths), key[1], "right"))
        at[key] = tokens.vectors[token].to(torch.float64).numpy()
    references = np.stack([at[window.reference, window.at] for window in windows])
    return references, np.stack([at[window.alternate, window.at] for window in windows])
