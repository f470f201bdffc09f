"""The windows of a variant that a model is given, cropped from the dataset's context."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bend_hf.console import progress
from bend_hf.errors import BendError

if TYPE_CHECKING:
    from datasets import Dataset

    from bend_hf.protocols import Protocol

SIDE = 256
"""Nucleotides on either side of the variant (the variant is the first on the right)."""
LENGTH = 2 * SIDE
CHUNK = 512


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
