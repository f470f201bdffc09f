"""`Embedder`: token vectors of a DNA language model for sequences of any length, exact and fast.

    embedder = Embedder.from_pretrained("InstaDeepAI/nucleotide-transformer-v2-50m-multi-species")
    for vectors, lengths in embedder.embed(["ACGT…", …]):      # (T, D), (T,) with lengths.sum() == len(sequence)
        per_nucleotide = vectors.repeat_interleave(torch.from_numpy(lengths), 0)

Sequences are tokenised together, cut into windows where they exceed the model's context, sorted by length, batched up
to a number of tokens, and given back in the order in which they came. What a sequence is batched with changes no
vector: models to which padding does matter (measured when they are loaded) get batches of one length.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from bend_hf.console import log
from bend_hf.embed import windows
from bend_hf.embed.batching import Batches, Piece
from bend_hf.embed.catalogue import Limits, limits
from bend_hf.embed.interface import Tokens
from bend_hf.embed.loading import Loaded, load
from bend_hf.embed.network import Layer, Measured, Network, measure, native_half, pick_device
from bend_hf.embed.rules import read_bases, reference_overlap, reverse_complement
from bend_hf.embed.strands import average_strands
from bend_hf.embed.tokens import Scheme
from bend_hf.errors import BendError, unknown
from bend_hf.runtime import keep_freed_memory

AGREEMENT = 0.999
"""Mean cosine to float32 that half precision must reach before ``dtype="auto"`` takes it."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BATCH_TOKENS = {"cpu": 8_192, "cuda": 65_536}
RECURRENT = ("AWDLSTM", "mamba", "mamba2", "rwkv", "xlstm")
"""Model types that step through a sequence: the more sequences at once, the faster, on a CPU too."""
RECURRENT_VALUES = 2**24
"""Numbers in the vectors of one batch of theirs: 262,144 tokens of 64, which is 26 sequences of 10 kb."""
FLOAT32_ONLY = ("caduceus", "mamba", "mamba2")
"""Model types whose state adds up over the whole input, so that a short probe cannot vouch for half precision."""
BUFFER_BYTES = 64 * 2**20
"""Vectors that may wait to be given back in order, in bytes (one sequence alone may exceed it)."""


class Embedder:
    """A checkpoint, ready to embed DNA; see `from_pretrained`.

    Attributes:
        name: As given, or the catalogue's name.
        dim: Width of a vector.
        causal: Whether tokens see their left side only.
        scheme: How it reads DNA.
        measured: What trying it showed.
        limits: Its context, and where that is known from.
        dtype: What it computes in.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        name: str | None = None,
        dtype: str = "auto",
        layer: Layer = -1,
        strand: str = "forward",
        device: str | torch.device | None = None,
        policy: windows.Policy = "overlap",
        kmer_shift: bool = False,
        context: int | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        if strand not in ("forward", "average"):
            raise unknown("strand", strand, ("forward", "average"))
        if policy not in ("overlap", "abut"):
            raise unknown("window policy", policy, ("overlap", "abut"))
        if dtype != "auto" and dtype not in DTYPES:
            raise unknown("dtype", dtype, ("auto", *DTYPES))
        self.loaded = loaded
        self.name = name or loaded.source
        self.scheme: Scheme = loaded.scheme
        self.strand, self.policy, self.kmer_shift = strand, policy, kmer_shift
        chosen = pick_device(device)
        if chosen.type == "cpu":
            keep_freed_memory()
        folds = bool(loaded.config.get("rcps")) and strand == "average"
        if folds:  # a special token at one end would tell the strands apart
            self.scheme = replace(self.scheme, prefix=(), suffix=())
        self.network = Network(loaded.model, self.name, chosen, layer=layer, fold_strands=folds)
        self.limits: Limits = limits(loaded.config, loaded.tokenizer_config, self.scheme, context)
        if dtype == "auto":
            half = None if loaded.config.get("model_type") in FLOAT32_ONLY else native_half(chosen)
        else:
            half = None if dtype == "float32" else DTYPES[dtype]
        self.measured: Measured = measure(self.network, self.scheme, half, self.limits.context)
        agreement = self.measured.agreement
        if half is not None and dtype != "auto" and agreement is None:
            raise BendError(f"{self.name} cannot compute in {dtype}: use dtype='float32' (--dtype float32).")
        if half is not None and dtype == "auto" and (agreement or 0) < AGREEMENT:
            why = "cannot be used" if agreement is None else f"agrees with float32 to a cosine of only {agreement:.4f}"
            log.info("%s: %s %s; computing in float32.", self.name, half, why)
            half = None
        if half is not None and (self.measured.held or 0) >= AGREEMENT:
            self.network.hold_weights_in(half)  # a fifth faster than autocast, where it agrees as well
        else:
            self.network.dtype = half or torch.float32
        self.dim, self.causal = self.measured.dim, self.measured.causal
        if batch_tokens is not None and batch_tokens < 1:
            raise BendError(f"batch_tokens={batch_tokens} must be positive.")
        recurrent = loaded.config.get("model_type") in RECURRENT
        usual = RECURRENT_VALUES // self.dim if recurrent else BATCH_TOKENS.get(chosen.type, 16_384)
        self._batches = Batches(
            self.network,
            self.scheme,
            name=self.name,
            context=self.limits.context,
            padding_safe=self.measured.padding_safe,
            tokens=batch_tokens or usual,
        )

    @property
    def batch_tokens(self) -> int:
        """Most tokens in a batch."""
        return self._batches.tokens

    @property
    def dtype(self) -> str:
        """Name of the dtype it computes in."""
        return str(self.network.dtype).removeprefix("torch.")

    @property
    def window(self) -> int | None:
        """Tokens, without special ones, of the windows of a sequence that does not fit at once; None for no limit."""
        size = self.limits.content
        return size if size is None or self.policy == "abut" else windows.window_of(size, self.scheme.specials)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        *,
        revision: str | None = None,
        trust_remote_code: bool = False,
        dtype: str = "auto",
        layer: Layer = -1,
        strand: str = "forward",
        device: str | torch.device | None = None,
        windows: windows.Policy = "overlap",
        batch_tokens: int | None = None,
        context: int | None = None,
        kmer_shift: bool = False,
    ) -> Embedder:
        """Load a model from the catalogue, the Hub or a folder.

        Args:
            name_or_path: Catalogue name, Hub id or folder.
            revision: Branch, tag or commit; by default the catalogue's pinned one, else the newest.
            trust_remote_code: Whether Python code that comes with the checkpoint may run. Few models need it.
            dtype: ``"float32"``, ``"bfloat16"``, ``"float16"`` or ``"auto"``: half precision where the hardware
                computes it natively and it agrees with float32.
            layer: ``-1`` or ``"last"`` for the model's output, an index of its hidden states (0 = embeddings), or a
                list, whose vectors are concatenated.
            strand: ``"forward"``, or ``"average"`` for the mean of both strands at each nucleotide.
            device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; the GPU by default where there is one.
            windows: How sequences beyond the context are cut: ``"overlap"``, or ``"abut"`` as the BEND reference did.
            batch_tokens: Most tokens in a batch, padding included. It changes no result.
            context: Most tokens the model is given at once, special ones included; by default what the model states.
            kmer_shift: Upsample overlapping k-mers as the BEND reference did (for comparison with published numbers).

        Raises:
            BendError: The model cannot be loaded so that its vectors are right; the message says why.
        """
        from bend_hf.embed.catalogue import resolve

        found = resolve(name_or_path)
        loaded = load(found.source, revision=revision or found.revision, trust_remote_code=trust_remote_code)
        return cls(
            loaded,
            name=found.name,
            dtype=dtype,
            layer=layer,
            strand=strand,
            device=device,
            policy=windows,
            kmer_shift=kmer_shift,
            context=context or found.context,
            batch_tokens=batch_tokens,
        )

    def without_shift(self) -> Embedder:
        """Return the same embedder with overlapping k-mers in their natural order, sharing the model."""
        other = copy.copy(self)
        other.kmer_shift = False
        return other

    def provenance(self) -> dict[str, Any]:
        """Return what determines the vectors, JSON-able: ``"key"``, and what is worth knowing beside it."""
        size = self.window
        return {
            "key": {
                "model": self.loaded.identity,
                "dtype": self.dtype,
                "autocast": self.network.autocast and self.dtype != "float32",
                "layer": self.network.layers,
                "strand": self.strand,
                "windows": {
                    "policy": self.policy,
                    "limit": self.limits.content,
                    "tokens": size,
                    "piece": self.limits.piece if self.policy == "abut" else None,
                    "overlap": windows.overlap_of(size, self.causal) if size and self.policy == "overlap" else None,
                },
                "kmer_shift": self.kmer_shift,
                "version": 1,
            },
            "name": self.name,
            "architecture": self.loaded.architecture,
            "tokens": self.scheme.family,
            "k": self.scheme.k,
            "tokenizer": self.scheme.origin,
            "context": self.limits.context,
            "context_from": self.limits.reason,
            "device": str(self.network.device),
            "batch_tokens": self.batch_tokens,
            **asdict(self.measured),
        }

    def count_tokens(self, sequences: Iterable[str]) -> np.ndarray:
        """Return the tokens per sequence, (n,) int64: exact for characters and overlapping k-mers, see `Scheme.count`.

        For averaged strands of other tokens, whose two partitions are refined, it is an upper bound.
        """
        sequences = list(sequences)
        counts = self.scheme.count(sequences)
        if self.strand == "average" and not self.network.fold_strands and self.scheme.family != "characters":
            return np.minimum(2 * counts, [len(sequence) for sequence in sequences])
        if self.kmer_shift and self.scheme.family == "overlapping k-mers" and self.scheme.k >= 5:
            return counts + 2
        return counts

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        """Embed sequences.

        Args:
            sequences: DNA of any lengths; an iterator is read as far as needed.

        Yields:
            `Tokens` of each sequence, in order.

        Raises:
            BendError: A sequence is empty or no DNA, or a vector is NaN or infinite (the sequence is named).
        """
        if isinstance(sequences, str):
            raise BendError("embed() takes several sequences: put the one you have into a list.")
        first = 0
        for chunk in self._chunks(sequences):
            if self.strand == "forward" or self.network.fold_strands:
                yield from self._embed_chunk(chunk, first)
            else:
                reverse = self._embed_chunk([reverse_complement(sequence) for sequence in chunk], first)
                yield from map(average_strands, self._embed_chunk(chunk, first), reverse)
            first += len(chunk)

    def _chunks(self, sequences: Iterable[str]) -> Iterator[list[str]]:
        """Cut a stream into lists whose vectors fit the buffer, or fill a few batches."""
        most = max(BUFFER_BYTES // (4 * self.dim), 4 * self.batch_tokens)
        chunk: list[str] = []
        size = 0
        for sequence in sequences:
            tokens = len(sequence) // (self.scheme.k if self.scheme.family in ("k-mers", "k-mer blocks") else 1)
            if chunk and (size + tokens > most or len(chunk) >= 8192):
                yield chunk
                chunk, size = [], 0
            chunk.append(sequence)
            size += tokens
        if chunk:
            yield chunk

    def _embed_chunk(self, sequences: list[str], first: int) -> list[Tokens]:
        piece_length = self.limits.piece if self.policy == "abut" else None
        texts, rows = sequences, np.arange(len(sequences))
        if piece_length is not None and max(map(len, sequences)) > piece_length:
            read_bases(sequences, first)  # so that a message has the number of the sequence, not of a piece
            cut = [[s[i : i + piece_length] for i in range(0, len(s), piece_length)] for s in sequences]
            texts, rows = [text for pieces in cut for text in pieces], np.repeat(rows, [len(p) for p in cut])
        encoded = self.scheme.encode(texts, first)
        pieces: list[Piece] = []
        counts = np.zeros(len(sequences), np.int64)
        lengths: list[list[np.ndarray]] = [[] for _ in sequences]
        prefix, suffix = self.scheme.prefix, self.scheme.suffix
        for row, (ids, runs) in zip(rows.tolist(), encoded, strict=True):
            size = self.limits.content
            size = size if size is None or len(ids) <= size else self.window
            for window in windows.plan(len(ids), size, self.policy, self.causal):
                offset = int(counts[row])
                pieces.append(
                    Piece(
                        row,
                        np.concatenate((prefix, ids[window.start : window.stop], suffix)).astype(np.int64),
                        slice(window.keep_start - window.start, window.keep_stop - window.start),
                        slice(offset + window.keep_start, offset + window.keep_stop),
                    )
                )
            counts[row] += len(ids)
            lengths[row].append(runs)
        vectors: list[torch.Tensor | None] = [None] * len(sequences)
        for piece, found, finite in self._batches.run(pieces):
            if not finite and not torch.isfinite(found).all():
                sequence = sequences[piece.row]
                raise BendError(
                    f"{self.name} in {self.dtype} gives NaN or infinite vectors for sequence {first + piece.row} "
                    f"({len(sequence)} nucleotides, {sequence[:40]}…)"
                    + ("." if self.dtype == "float32" else ': use dtype="float32" (--dtype float32).')
                )
            whole = vectors[piece.row]
            if len(found) == counts[piece.row]:
                vectors[piece.row] = found
                continue
            if whole is None:
                whole = vectors[piece.row] = found.new_empty((int(counts[piece.row]), self.dim))
            whole[piece.at] = found
        results = []
        for whole, parts in zip(vectors, lengths, strict=True):
            assert whole is not None
            runs = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if self.kmer_shift and self.scheme.family == "overlapping k-mers":
                order, runs = reference_overlap(self.scheme.k, len(whole))
                whole = whole[torch.from_numpy(order)]
            results.append(Tokens(whole, runs))
        return results
