"""Scores of variants that need no model, against which a model's must be held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.kinds.variant import DISTANCES

if TYPE_CHECKING:
    from datasets import Dataset


def control_scores(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return scores that need no model, against which a model's must be held.

    Args:
        dataset: Rows with ``ref_sequence``, ``alt_sequence`` and ``variant_offset``.

    Returns:
        (n,) float64 each: ``gc_change`` (+1 where A or T becomes G or C, -1 the other way), ``cpg_created`` and
        ``cpg_lost`` (CpG dinucleotides that the variant makes or breaks); and where the rows have such columns, minus
        their distances to the nearest splice site and transcription start (`DISTANCES`).
    """
    gains, created, lost = [], [], []
    some: dict[str, Any]
    for some in dataset.select_columns(["ref_sequence", "alt_sequence", "variant_offset"]).iter(batch_size=1024):
        for ref, alt, at in zip(some["ref_sequence"], some["alt_sequence"], some["variant_offset"], strict=True):
            before, after = (text[max(0, at - 1) : at + 2].upper() for text in (ref, alt))
            gains.append((alt[at].upper() in "GC") - (ref[at].upper() in "GC"))
            created.append(max(0, after.count("CG") - before.count("CG")))
            lost.append(max(0, before.count("CG") - after.count("CG")))
    found = {"gc_change": gains, "cpg_created": created, "cpg_lost": lost}
    near = {name: -np.asarray(dataset[name], np.float64) for name in DISTANCES if name in dataset.column_names}
    return {name: np.array(values, np.float64) for name, values in found.items()} | near
