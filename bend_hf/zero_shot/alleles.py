"""Whether a model's input shows the alleles of every variant at all, asked before anything is embedded.

A tokenizer that reads both alleles alike (a short rest of a block, an N beside the variant) would give two equal
vectors, and a score that is rounding noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bend_hf.errors import BendError
from bend_hf.text import counted
from bend_hf.zero_shot.windows import View, Windows, chunks

if TYPE_CHECKING:
    from datasets import Dataset

    from bend_hf.embed.rules import Encoded
    from bend_hf.embed.tokens import Scheme


def tell_apart(name: str, scheme: Scheme | None, dataset: Dataset, views: Sequence[View]) -> int:
    """Check that the two inputs of every variant differ, and differ in the token that is asked for.

    Args:
        name: The model's, for messages.
        scheme: How it reads DNA; None where that is not known: then the sequences themselves are compared.
        dataset: As for `score_variants`.
        views: What the model is given of a variant.

    Returns:
        Variants whose inputs are the same because the reference code's window ends before the variant and its last
        base is the alternate allele already: their distance is 0 there by definition.

    Raises:
        BendError: A variant's alleles cannot be told apart; it names the model, the first such variant, the reason and
            how many there are.
    """
    by_definition, first = 0, ""
    alike: set[int] = set()
    for rows, cropped in chunks(dataset, views, scheme, f"{name}: alleles"):
        for view, windows in zip(views, cropped, strict=True):
            for row, pair, why in zip(rows.tolist(), windows, _reasons(scheme, windows), strict=True):
                if why is None:
                    continue
                if view.shift and pair.reference == pair.alternate:
                    by_definition += 1
                    continue
                if not alike:
                    strand = " on the reverse strand" if view.strand == "reverse" else ""
                    first = f"{_words(dataset[row])}{strand}: {why}"
                alike.add(row)
    if alike:
        raise BendError(
            f"{name} cannot tell the alleles of {len(alike):,} of {counted(len(dataset), 'variant')} apart: their "
            "scores would "
            f"be noise. First {first}. Leave such variants out, or use a model that reads single nucleotides."
        )
    return by_definition


def _words(row: dict[str, object]) -> str:
    """A variant as people write it; `start` is 0-based, and so it is said."""
    at = int(str(row["variant_offset"]))
    ref, alt = (str(row[name])[at] for name in ("ref_sequence", "alt_sequence"))
    return f"{row['chromosome']}:{row['start']} (0-based) {ref}>{alt}"


def _reasons(scheme: Scheme | None, windows: Sequence[Windows]) -> list[str | None]:
    """Why the alleles of each variant cannot be told apart; None where they can."""
    if scheme is None:
        return ["both sequences are the same" if pair.reference == pair.alternate else None for pair in windows]
    texts = dict.fromkeys(text for pair in windows for text in (pair.reference, pair.alternate))
    encoded = dict(zip(texts, scheme.encode(list(texts)), strict=True))
    return [_reason(scheme, pair, encoded[pair.reference], encoded[pair.alternate]) for pair in windows]


def _reason(scheme: Scheme, pair: Windows, reference: Encoded, alternate: Encoded) -> str | None:
    (token, start), other = (_token(encoded, pair.read) for encoded in (reference, alternate))
    if (token, start) != other:
        return None
    if pair.reference == pair.alternate:
        return "both sequences are the same"
    which = "the unknown token" if token == scheme.unknown else f"token {token}"
    same = "its tokens are the same" if np.array_equal(reference.ids, alternate.ids) else "they differ elsewhere only"
    return f"the token asked for is {which} in both ({pair.reference[start : pair.at + scheme.k]!r} there), and {same}"


def _token(encoded: Encoded, nucleotide: int) -> tuple[int, int]:
    """The id of a nucleotide's token, and where it begins."""
    ends = np.cumsum(encoded.lengths)
    index = int(np.searchsorted(ends, nucleotide, "right"))
    return int(encoded.ids[index]), int(ends[index] - encoded.lengths[index])
