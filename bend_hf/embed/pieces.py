"""Sequences as inputs of a model: cut, tokenised, with special tokens around them.

    cut = Cut.of(get_protocol("bend-2024"), scheme, config, limits, causal=False)
    found = pieces(["ACGT…"], scheme, cut)
    found.pieces[0].ids                     # [CLS] k-mers … 512 of them
    found.lengths[0]                        # run lengths of the whole sequence's tokens

By default a sequence is tokenised whole, its tokens are cut into overlapping windows, and each window gets the special
tokens. The BEND reference has a way of its own for each family (``bend/utils/embedders.py`` at ac6e80c); what it does
is a field of `bend_hf.protocols.Protocol`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from bend_hf.embed import windows
from bend_hf.embed.limits import Limits
from bend_hf.embed.rules import read_bases
from bend_hf.embed.tokens import Scheme
from bend_hf.protocols import Protocol

ALIBI_PIECE = 10_000
"""Nucleotides of DNABERT-2's pieces in the BEND reference, its only limit."""
CADUCEUS_PIECE = 131_072
"""Nucleotides of Caduceus' pieces there."""


class Piece(NamedTuple):
    """One input of the model: the vectors of ids ``keep`` go to ``at`` of its sequence's vectors."""

    row: int
    ids: np.ndarray
    keep: slice
    at: slice


class Pieces(NamedTuple):
    """The inputs of some sequences, and per sequence the run lengths of its tokens."""

    pieces: list[Piece]
    lengths: list[np.ndarray]


@dataclass(frozen=True)
class Cut:
    """How long sequences are cut.

    Attributes:
        policy: How tokens that do not fit at once are cut; see `bend_hf.embed.windows`.
        causal: Whether the model sees the left side only.
        nucleotides: A sequence is first cut into texts of that many, tokenised apart; None for no such cut.
        fits: Most tokens, without special ones, that are given at once; None for any.
        tokens: Tokens of a window of what does not fit.
        ids: Special tokens are put around a text before it is cut, every `ids` of them; None for around each window.
    """

    policy: windows.Policy
    causal: bool
    nucleotides: int | None
    fits: int | None
    tokens: int | None
    ids: int | None = None

    @classmethod
    def of(cls, protocol: Protocol, scheme: Scheme, config: Mapping[str, Any], limits: Limits, causal: bool) -> Cut:
        """Return how a protocol cuts for a model.

        Args:
            protocol: Says which of the reference's ways are followed.
            scheme: The model's tokens, as the protocol reads them (`scheme_of`).
            config: Its ``config.json``.
            limits: Its longest input.
            causal: Whether it sees the left side only.
        """
        fits, ids, nucleotides = limits.content, None, None
        if protocol.split_specials and scheme.family in ("overlapping k-mers", "k-mers"):
            ids = limits.context
        if protocol.nucleotide_pieces:
            kind = config.get("model_type")
            if limits.alibi:
                nucleotides, fits = ALIBI_PIECE, None
            elif kind == "caduceus":
                nucleotides, fits = CADUCEUS_PIECE, None
            elif fits is not None and (scheme.family == "k-mers" or is_hyena(config)):
                nucleotides = fits * scheme.k
        whole = protocol.windows == "overlap" and fits is not None
        tokens = windows.window_of(fits or 0, scheme.specials) if whole else fits
        return cls(protocol.windows, causal, nucleotides, fits, tokens, ids)

    @property
    def overlap(self) -> int | None:
        """Tokens that neighbouring windows share at least; None where there are no windows, or abutting ones."""
        return windows.overlap_of(self.tokens, self.causal) if self.tokens and self.policy == "overlap" else None

    def __str__(self) -> str:
        if self.policy == "overlap":
            return (
                "never cut"
                if self.tokens is None
                else f"windows of {self.tokens} tokens that share {self.overlap}, stitched"
            )
        parts = [] if self.nucleotides is None else [f"{self.nucleotides} nt"]
        if self.ids is not None:
            parts.append(f"{self.ids} ids, special tokens at the ends of the whole only")
        elif self.tokens is not None and self.nucleotides is None:
            parts.append(f"{self.tokens} tokens")
        return f"abutting pieces of {', and of '.join(parts)}" if parts else "never cut"


def is_hyena(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of a HyenaDNA, of its ``-hf`` repositories or of those before them."""
    layer = config.get("layer")
    return config.get("model_type") == "hyenadna" or (isinstance(layer, Mapping) and layer.get("_name_") == "hyena")


def scheme_of(protocol: Protocol, scheme: Scheme, config: Mapping[str, Any]) -> Scheme:
    """Return a model's tokens with the special ones that a protocol puts around them.

    Whatever its name, the reference gives a HyenaDNA ``[CLS] … [SEP]``, and a Caduceus no special tokens.
    """
    if not protocol.reference_specials:
        return scheme
    if is_hyena(config):
        return replace(scheme, prefix=(0,), suffix=(1,))
    if config.get("model_type") == "caduceus":
        return replace(scheme, prefix=(), suffix=())
    return scheme


def pieces(sequences: Sequence[str], scheme: Scheme, cut: Cut, first: int = 0) -> Pieces:
    """Turn sequences into inputs of a model.

    Args:
        sequences: DNA.
        scheme: How the model reads it.
        cut: How long sequences are cut.
        first: Number of the first sequence in messages.

    Returns:
        Pieces whose ``at`` partition the tokens of their sequence, and the run lengths of these.

    Raises:
        BendError: A sequence is empty, no DNA, or has no tokens.
    """
    texts, rows = list(sequences), list(range(len(sequences)))
    size = cut.nucleotides
    if size is not None and max(map(len, sequences)) > size:
        read_bases(sequences, first)  # so that a message has the number of the sequence, not of a piece
        parts = [[text[i : i + size] for i in range(0, len(text), size)] for text in sequences]
        texts = [text for part in parts for text in part]
        rows = [row for row, part in enumerate(parts) for _ in part]
    found: list[Piece] = []
    counts = [0] * len(sequences)
    lengths: list[list[np.ndarray]] = [[] for _ in sequences]
    for row, (ids, runs) in zip(rows, scheme.encode(texts, first), strict=True):
        offset = counts[row]
        for inputs, keep, start in _cut(ids, scheme, cut):
            at = slice(offset + start, offset + start + keep.stop - keep.start)
            found.append(Piece(row, inputs, keep, at))
        counts[row] += len(ids)
        lengths[row].append(runs)
    return Pieces(found, [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in lengths])


def _cut(ids: np.ndarray, scheme: Scheme, cut: Cut) -> Iterator[tuple[np.ndarray, slice, int]]:
    """Cut the tokens of a text into inputs: ids, those whose vectors are kept, and the first of these in the text."""
    front = len(scheme.prefix)
    if cut.ids is not None:
        whole = _around(scheme, ids)
        for start in range(0, len(whole), cut.ids):
            stop = min(start + cut.ids, len(whole))
            kept = slice(max(start, front), min(stop, front + len(ids)))  # none of a piece of special tokens alone
            if kept.start < kept.stop:
                yield whole[start:stop], slice(kept.start - start, kept.stop - start), kept.start - front
        return
    size = cut.fits if cut.fits is None or len(ids) <= cut.fits else cut.tokens
    for window in windows.plan(len(ids), size, cut.policy, cut.causal):
        at = front - window.start
        keep = slice(at + window.keep_start, at + window.keep_stop)
        yield _around(scheme, ids[window.start : window.stop]), keep, window.keep_start


def _around(scheme: Scheme, ids: np.ndarray) -> np.ndarray:
    return np.concatenate((scheme.prefix, ids, scheme.suffix)).astype(np.int64)
