"""The windows of a variant that a model is given, cropped from the dataset's context.

Centred windows hold 256 + 256 bp, the variant at index 256. Causal models read 512 bp that end with the variant; in
reverse, the reverse complement of the 512 bp that begin with it, so that there too a vector has seen all of its side.
Models of k-mers that follow each other read the longest multiple of k instead: 510 bp for 6-mers, since a shorter rest
is no k-mer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bend_hf.console import progress
from bend_hf.embed.rules import reverse_complement
from bend_hf.errors import BendError

if TYPE_CHECKING:
    from datasets import Dataset

    from bend_hf.embed.tokens import Scheme

SIDE = 256
"""Nucleotides on either side of the variant (the variant is the first on the right)."""
LENGTH = 2 * SIDE
CHUNK = 512


class Windows(NamedTuple):
    """The two sequences of a variant, as one strand reads them.

    Attributes:
        reference: With the reference allele.
        alternate: With the alternate allele.
        at: Index of the variant's nucleotide in both.
        read: Index of the nucleotide whose token is asked for: `at`, unless that token cannot show the alleles.
    """

    reference: str
    alternate: str
    at: int
    read: int


@dataclass(frozen=True)
class View:
    """What a model is given of a variant's context.

    Attributes:
        causal: The window ends with the variant; else it holds the variant in its middle.
        strand: ``"forward"`` or ``"reverse"``.
        shift: Bases by which a causal window ends before the variant (1 in the BEND reference, which then replaces that
            last base by the alternate allele; 0 to be right).
        length: Of the window.
    """

    causal: bool = False
    strand: str = "forward"
    shift: int = 0
    length: int = LENGTH


def views(
    scheme: Scheme | None, *, causal: bool, shift: int = 0, strands: Sequence[str] = ("forward",)
) -> tuple[View, ...]:
    """Return what is read of a variant on each strand.

    Args:
        scheme: How the model reads DNA; None where that is not known (callables).
        causal: Whether the windows end with the variant.
        shift: Bases by which the reference's causal windows end before it. The reference reads the forward strand
            only, so the reverse strand is always read right.
        strands: Those asked for.
    """
    blocks = scheme is not None and (scheme.family == "k-mer blocks" or (causal and scheme.family == "k-mers"))
    length = LENGTH - LENGTH % scheme.k if blocks and scheme is not None else LENGTH
    return tuple(View(causal, strand, shift if causal and strand == "forward" else 0, length) for strand in strands)


def crop(
    reference: str,
    alternate: str,
    offset: int,
    *,
    causal: bool,
    strand: str = "forward",
    shift: int = 0,
    length: int = LENGTH,
) -> Windows:
    """Crop a variant's windows from its context.

    Args:
        reference: Context with the reference allele.
        alternate: Context with the alternate allele.
        offset: Index of the variant in both.
        causal: As in `View`, like the following.
        strand: The strand read.
        shift: Bases by which the window ends before the variant.
        length: Of the window.

    Raises:
        BendError: The context is too short.
    """
    if not causal:
        start = offset - SIDE
    elif strand == "reverse":
        start = offset
    else:
        start = offset + 1 - length - shift
    stop = start + length
    if start < 0 or stop > len(reference) or len(reference) != len(alternate):
        raise BendError(
            f"A variant at index {offset} of {len(reference)} bp of context has no window of {length} bp: the dataset "
            "must carry 512 bp on either side."
        )
    window, at = reference[start:stop], offset - shift - start
    pair = window, window[:at] + alternate[offset] + window[at + 1 :]
    if strand == "reverse":
        pair, at = (reverse_complement(pair[0]), reverse_complement(pair[1])), length - 1 - at
    return Windows(*pair, at, at)


def token_asked_for(windows: Windows, scheme: Scheme | None) -> Windows:
    """Return the windows with `read` set to a nucleotide whose token can tell the alleles apart, if there is one.

    Of overlapping k-mers that is the one whose middle the variant is. Where it holds an N, and thus is the unknown
    token in both alleles, it is the nearest of the k that hold the variant without an N.
    """
    if scheme is None or scheme.family != "overlapping k-mers":
        return windows
    k, middle = scheme.k, (scheme.k - 1) // 2
    starts = range(max(0, windows.at - k + 1), min(windows.at, len(windows.reference) - k) + 1)
    for start in sorted(starts, key=lambda start: abs(start + middle - windows.at)):
        if set(windows.reference[start : start + k].upper()) <= set("ACGT"):
            return windows._replace(read=start + middle)
    return windows


def chunks(
    dataset: Dataset, views: Sequence[View], scheme: Scheme | None, what: str
) -> Iterator[tuple[np.ndarray, list[list[Windows]]]]:
    """Give rows, and for each view their windows, in genome order, so that variants at one position come together.

    Args:
        dataset: Rows with ``chromosome``, ``start``, ``ref_sequence``, ``alt_sequence``, ``variant_offset``.
        views: What to crop.
        scheme: How the model reads DNA.
        what: Said beside the progress.
    """
    places = dataset.select_columns(["chromosome", "start"]).with_format("numpy")[:]
    order = np.lexsort((np.asarray(places["start"]), np.asarray(places["chromosome"])))
    dataset = dataset.select_columns(["ref_sequence", "alt_sequence", "variant_offset"])
    bar = progress(name="bend_hf.variants", total=len(order), desc=what, unit="variant")
    with bar:
        for start in range(0, len(order), CHUNK):
            rows = order[start : start + CHUNK]
            some = dataset[rows]
            columns = (some["ref_sequence"], some["alt_sequence"], some["variant_offset"], rows.tolist())
            fields = sorted(zip(*columns, strict=True))  # equal references next to each other
            cropped = [
                [token_asked_for(crop(ref, alt, int(at), **vars(view)), scheme) for ref, alt, at, _ in fields]
                for view in views
            ]
            yield np.array([row for *_, row in fields]), cropped
            bar.update(len(rows))
