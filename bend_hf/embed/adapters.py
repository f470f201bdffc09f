"""Models outside transformers: any callable from sequences to vectors and run lengths becomes an embedder.

def my_model(sequences):                                   # a list of DNA strings
    vectors = [array of shape (T, D) for each sequence]
    lengths = [T integers that sum to len(sequence) for each sequence]
    return vectors, lengths                                # lengths=None: one vector per nucleotide

my_model.context = 196_608                                 # optional; see `CallableEmbedder`
my_model.multiple_of = 128

bend_hf.evaluate(my_model)                                 # or CallableEmbedder(my_model, name="evo2", causal=True)
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import torch

from bend_hf.console import log
from bend_hf.embed import fingerprint, windows
from bend_hf.embed.interface import Tokens
from bend_hf.embed.rules import check_several, check_text
from bend_hf.errors import BendError
from bend_hf.text import counted

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
ALIKE = 0.999
"""Mean cosine of the vectors that a sequence gets alone and in a batch, below which the callable is refused."""
REPEATS = 1e-5
"""How far two answers for one batch may lie apart, relative to the vectors' root mean square."""


class _Input(NamedTuple):
    """What the callable is given for a part of a sequence: `text`, of whose nucleotides ``keep`` are kept."""

    row: int
    text: str
    keep: slice


class CallableEmbedder:
    """A callable as an embedder.

    The callable may say more about itself by attributes: ``name``, ``causal``, ``version``, and

    * ``prefix``: text put before every sequence; its vectors are dropped.
    * ``context``: most nucleotides at once, prefix and padding included; longer sequences are cut into windows.
    * ``multiple_of``: sequences are filled up with N to a multiple of that many nucleotides; their vectors are dropped.
    * ``log_likelihood``: a function from sequences to one log-likelihood each, in nats.

    Args:
        function: Takes a list of sequences; returns ``(vectors, lengths)``: per sequence an array or tensor (T, D) of
            floats, and T positive integers that sum to the sequence's length (None: T is its length). Sequences of one
            length may come as one array (n, T, D) and (n, T).
        name: As recorded in results; by default the callable's own.
        causal: Whether a vector depends on what stands to its left only (variants are then last in their window).
        version: Enters the provenance: change it when the callable's vectors change. Vectors of a few sequences and
            the callable's own code enter it too, so that most changes are noticed without.
        batch: Sequences per call.
        policy: How sequences beyond the context are cut.
        source: Where the callable was found, for the record.

    Raises:
        BendError: What the callable gives for short probes is not as described, not the same twice, or depends on what
            a sequence is batched with.
    """

    def __init__(
        self,
        function: Callable[[list[str]], tuple[Sequence[Any], Sequence[Any] | None]],
        *,
        name: str | None = None,
        causal: bool | None = None,
        version: str | None = None,
        batch: int = 16,
        policy: windows.Policy = "overlap",
        source: str | None = None,
    ) -> None:
        self.function, self.batch, self.source = function, batch, source
        own = getattr(function, "__name__", type(function).__name__)
        self.name = str(name or getattr(function, "name", None) or own)
        self.causal = bool(getattr(function, "causal", False)) if causal is None else causal
        self.version = str(getattr(function, "version", "1")) if version is None else version
        self.prefix = str(getattr(function, "prefix", "") or "")
        self.context = self._positive("context")
        self.multiple_of = self._positive("multiple_of") or 1
        self.log_likelihood = self._likelihoods if callable(getattr(function, "log_likelihood", None)) else None
        if policy not in get_args(windows.Policy):
            raise BendError(f"{self.name}: there is no window policy {policy!r}.")
        self.policy = policy
        self.window = self._window()
        self.dim = 0
        found = self._try()
        self.fingerprint = fingerprint.of_vectors([tokens.vectors for tokens in [*found, *self._try_hard()]])
        self._per_nucleotide = sum(len(tokens.lengths) for tokens in found) / sum(map(len, fingerprint.PROBES))

    def _positive(self, attribute: str) -> int | None:
        value = getattr(self.function, attribute, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise BendError(f"{self.name}: {attribute} must be a positive number of nucleotides, not {value!r}.")
        return int(value)

    def _window(self) -> int | None:
        """Nucleotides of a window of a sequence that does not fit at once."""
        if self.context is None:
            return None
        room = (self.context - len(self.prefix)) // self.multiple_of * self.multiple_of
        if room < 1:
            raise BendError(
                f"{self.name}: a context of {self.context} nucleotides leaves no room for {self.multiple_of} behind a "
                f"prefix of {len(self.prefix)}."
            )
        return room

    def _try(self) -> list[Tokens]:
        """Embed the probes, and see that the answer is the same twice, and alone as in a batch."""
        probes = list(fingerprint.PROBES)
        first = next(self.embed(probes[:1]))
        self.dim = int(first.vectors.shape[1])
        found, again = list(self.embed(probes)), list(self.embed(probes))
        for one, other in zip(found, again, strict=True):
            scale = float(one.vectors.double().square().mean().sqrt()) or 1.0
            same = one.vectors.shape == other.vectors.shape
            if not same or (one.vectors.float() - other.vectors.float()).abs().max() > REPEATS * scale:
                raise BendError(
                    f"{self.name} gives two answers for one input: something random, such as dropout, is on in it. "
                    "Switch it off (model.eval())."
                )
        alone, beside = first.vectors.double(), found[0].vectors.double()
        cosines = torch.ones(1)
        if alike := alone.shape == beside.shape:
            cosines = torch.cosine_similarity(alone, beside, dim=-1, eps=sys.float_info.min)[alone.any(-1)]
        if not alike or 1 - cosines.mean().nan_to_num(nan=1.0) > 1 - ALIKE:
            raise BendError(
                f"{self.name} gives a sequence other vectors alone than beside longer ones: padding reaches them. Mask "
                "it, or run each sequence by itself."
            )
        return found

    def _try_hard(self) -> list[Tokens]:
        """Embed those of the hard probes that the callable takes."""
        found: list[Tokens] = []
        batch = self.batch
        for probe in fingerprint.HARD_PROBES:
            try:
                found += self.embed([probe])
            except BendError as error:
                log.info("%s: a probe is left out. %s", self.name, error)
        self.batch = batch
        return found

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        """Give the callable's vectors of each sequence, in order.

        Raises:
            BendError: Shapes, run lengths or values are not as described, or the callable fails; the sequence is named.
        """
        check_several(sequences)
        parts: list[Tokens] = []
        row = 0
        for given, tokens in self._run(self._inputs(sequences)):
            if given.row != row:
                yield _joined(parts)
                parts, row = [], given.row
            parts.append(tokens)
        if parts:
            yield _joined(parts)

    def _inputs(self, sequences: Iterable[str]) -> Iterator[_Input]:
        """Cut sequences that exceed the context, put the prefix before and fill up behind."""
        front = len(self.prefix)
        for row, sequence in enumerate(sequences):
            check_text(sequence, row)
            if not sequence:
                raise BendError(f"Sequence {row} is empty: there is nothing to embed.")
            for window in windows.plan(len(sequence), self.window, self.policy, self.causal):
                text = sequence[window.start : window.stop]
                text += "N" * (-len(text) % self.multiple_of)
                at = front - window.start
                yield _Input(row, self.prefix + text, slice(at + window.keep_start, at + window.keep_stop))

    def _run(self, inputs: Iterator[_Input]) -> Iterator[tuple[_Input, Tokens]]:
        while chunk := list(itertools.islice(inputs, self.batch)):
            called = self._call([given.text for given in chunk], [given.row for given in chunk])
            for given, tokens in zip(chunk, called, strict=True):
                yield given, _kept(tokens, given.keep)

    def _call(self, texts: list[str], rows: list[int]) -> list[Tokens]:
        """Call the callable, and copy what it answers: the next call may write into the same memory.

        Where it fails on a batch, it is called one by one, to name the sequence.
        """
        try:
            result = self.function(list(texts))
        except (Exception, SystemExit) as error:  # whatever somebody else's code raises
            if len(texts) == 1:
                raise BendError(
                    f"{self.name} failed on sequence {rows[0]} ({len(texts[0])} nucleotides, {texts[0][:24]}…): "
                    f"{type(error).__name__}: {error}"
                ) from error
            parts = [self._call([text], [row]) for text, row in zip(texts, rows, strict=True)]
            log.warning("%s failed on %d sequences at once (%s): going on one by one.", self.name, len(texts), error)
            self.batch = 1
            return [tokens for [tokens] in parts]
        if not isinstance(result, tuple | list) or len(result) != 2 or not _countable(result[0], len(texts)):
            raise BendError(f"{self.name}: want (vectors, lengths) for {counted(len(texts), 'sequence')}, one of each.")
        vectors, lengths = result
        if lengths is not None and not _countable(lengths, len(texts)):
            raise BendError(
                f"{self.name}: want run lengths for each of {counted(len(texts), 'sequence')}, or None for all."
            )
        runs = [None] * len(texts) if lengths is None else lengths
        return [self._checked(*one) for one in zip(texts, vectors, runs, rows, strict=True)]

    def _checked(self, text: str, found: Any, runs: Any, row: int) -> Tokens:
        try:
            if np.ma.is_masked(found):
                raise ValueError("some are masked")
            vectors = torch.as_tensor(found).detach().cpu().to_dense().clone()
            partition = np.ones(len(vectors), np.int64) if runs is None else _integers(runs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BendError(f"{self.name}: sequence {row} gave no arrays of numbers ({error}).") from error
        if vectors.is_complex():
            raise BendError(f"{self.name}: sequence {row} gave complex vectors.")
        if vectors.dtype not in FLOATS:
            vectors = vectors.float()
        width = self.dim or ((vectors.shape[-1] or -1) if vectors.ndim == 2 else -1)
        if vectors.shape != (len(partition), width) or partition.sum() != len(text) or (partition < 1).any():
            raise BendError(
                f"{self.name}: sequence {row} ({len(text)} nucleotides as given to it) gave vectors of shape "
                f"{tuple(vectors.shape)} and {len(partition)} run lengths that sum to {int(partition.sum())}; want "
                f"(T, {self.dim or 'D'}) and T positive lengths that sum to {len(text)}."
            )
        if not torch.isfinite(vectors).all():
            raise BendError(f"{self.name} gives NaN or infinite vectors ({vectors.dtype}) for sequence {row}.")
        return Tokens(vectors, partition)

    def _likelihoods(self, sequences: Sequence[str]) -> np.ndarray:
        """Return the callable's log-likelihoods, (n,) float64.

        Raises:
            BendError: They are not one finite number per sequence, or the callable fails.
        """
        try:
            given = self.function.log_likelihood(list(sequences))  # type: ignore[attr-defined]
            given = given.detach().cpu().double() if isinstance(given, torch.Tensor) else given
            values = np.asarray(given, np.float64)
        except Exception as error:  # whatever somebody else's code raises
            raise BendError(f"{self.name}: log_likelihood failed: {type(error).__name__}: {error}") from error
        if values.shape != (len(sequences),) or not np.isfinite(values).all():
            raise BendError(
                f"{self.name}: log_likelihood wants one finite number for each sequence ({len(sequences)} given)."
            )
        return values

    def count_tokens(self, sequences: Iterable[str]) -> np.ndarray:
        """Return tokens per sequence, (n,) int64, estimated from those of the probes."""
        check_several(sequences)
        return np.array([max(1, round(len(sequence) * self._per_nucleotide)) for sequence in sequences], np.int64)

    def provenance(self) -> dict[str, Any]:
        """Return what determines the vectors, as far as it can be known: name, version, and vectors of the probes."""
        cut = {"policy": self.policy, "tokens": self.window} if self.window else None
        key = {
            "model": self.name,
            "version": self.version,
            "computed": self.fingerprint,
            "function": fingerprint.of_code(self.function),
            "causal": self.causal,
            "prefix": self.prefix,
            "multiple_of": self.multiple_of,
            "windows": cut,
            "adapter": 3,
        }
        return {"key": key, "name": self.name, "object": "a Python callable", "source": self.source}


def _countable(values: Any, count: int) -> bool:
    return hasattr(values, "__len__") and not isinstance(values, str | dict) and len(values) == count


def _integers(runs: Any) -> np.ndarray:
    """Run lengths as (T,) int64, whatever numbers they are in.

    Raises:
        ValueError: They are no whole numbers in one row.
    """
    given = runs.detach().cpu().numpy() if isinstance(runs, torch.Tensor) else np.asarray(runs)
    whole = given.astype(np.int64)
    if given.ndim != 1 or (whole != given).any():
        raise ValueError(f"run lengths of shape {given.shape}, or no whole numbers")
    return whole


def _kept(tokens: Tokens, keep: slice) -> Tokens:
    """The tokens of a stretch of nucleotides; one that reaches over its edge is shortened."""
    ends = np.cumsum(tokens.lengths)
    if keep.start == 0 and keep.stop == ends[-1]:
        return tokens
    starts = ends - tokens.lengths
    runs = np.minimum(ends, keep.stop) - np.maximum(starts, keep.start)
    inside = runs > 0
    return Tokens(tokens.vectors[torch.from_numpy(inside)], runs[inside])


def _joined(parts: list[Tokens]) -> Tokens:
    if len(parts) == 1:
        return parts[0]
    return Tokens(torch.cat([part.vectors for part in parts]), np.concatenate([part.lengths for part in parts]))
