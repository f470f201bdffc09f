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
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bend_hf.checks import path_of, switch, whole
from bend_hf.console import log
from bend_hf.embed import fingerprint
from bend_hf.embed.batching import Batches
from bend_hf.embed.devices import KINDS, native_half, pick_device
from bend_hf.embed.interface import Tokens
from bend_hf.embed.limits import Limits, limits
from bend_hf.embed.loading import Loaded, load, load_again
from bend_hf.embed.measure import Measured, agrees_with_cpu, answer, differs, laid_out, measure, measure_layers
from bend_hf.embed.memory import borrow, in_memory, place_of, settled
from bend_hf.embed.network import Layer, Network
from bend_hf.embed.pieces import Cut, scheme_of
from bend_hf.embed.rules import check_several, check_text
from bend_hf.embed.spread import DeviceMap, check_alone
from bend_hf.embed.stream import side_by_side, vectors_of
from bend_hf.embed.tokens import Scheme
from bend_hf.errors import BendError, unknown
from bend_hf.protocols import Protocol, get_protocol
from bend_hf.runtime import fit_threads, keep_freed_memory

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


class Embedder:
    """A checkpoint, ready to embed DNA; see `from_pretrained`.

    Attributes:
        name: As given, or the catalogue's name.
        dim: Width of a vector.
        causal: Whether tokens see their left side only.
        scheme: How it reads DNA.
        measured: What trying it showed.
        limits: Its context, and where that is known from.
        protocol: Whose way of cutting and of special tokens it follows.
        cut: How long sequences are cut.
        batches: Runs the pieces.
        dtype: What it computes in.
        device_map: Where its layers lie, if not all on one device.
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
        device_map: DeviceMap | None = None,
        protocol: str | Protocol = "default",
        context: int | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        if not isinstance(loaded, Loaded):
            raise BendError(
                f"Embedder({loaded!r:.80}): give a name or folder to Embedder.from_pretrained, a model in memory to "
                "Embedder.from_model."
            )
        if strand not in ("forward", "average"):
            raise unknown("strand", strand, ("forward", "average"))
        if dtype != "auto" and dtype not in DTYPES:
            raise unknown("dtype", dtype, ("auto", *DTYPES))
        if not isinstance(name, str | None):
            raise BendError(f"name={name!r:.80} is no name of a model: give a text.")
        context, batch_tokens = whole("context", context), whole("batch_tokens", batch_tokens)
        self._options: dict[str, Any] = {
            "name": name,
            "dtype": dtype,
            "layer": layer,
            "strand": strand,
            "device": device,
            "device_map": device_map,
            "protocol": protocol,
            "context": context,
            "batch_tokens": batch_tokens,
        }
        self.protocol = protocol if isinstance(protocol, Protocol) else get_protocol(protocol)
        self.loaded, self.device_map = loaded, device_map
        self.name = name or loaded.source
        self.scheme: Scheme = scheme_of(self.protocol, loaded.scheme, loaded.config)
        self.strand, self.kmer_shift = strand, self.protocol.kmer_shift
        half: torch.dtype | None = None
        asked = self.protocol.dtype if dtype == "auto" else dtype
        if loaded.borrowed:
            loaded = settled(loaded, None if device is None else pick_device(device), asked)
            device, half = place_of(loaded.model)
        as_found = loaded.borrowed and half != torch.float32
        chosen = pick_device(device)
        if device_map is not None:
            chosen = laid_out(loaded.model, device_map, self.name, self.scheme)
        elif device is None and chosen.type in KINDS[1:]:
            proven = agrees_with_cpu(loaded.model, self.name, self.scheme, chosen)
            chosen = chosen if proven else torch.device("cpu")
        if chosen.type == "cpu":
            keep_freed_memory()
            fit_threads()
        folds = bool(loaded.config.get("rcps")) and strand == "average"
        if folds:  # a special token at one end would tell the strands apart
            self.scheme = replace(self.scheme, prefix=(), suffix=())
        self.network = Network(loaded.model, self.name, chosen, layer=layer, fold_strands=folds)
        if as_found:
            self.network.dtype, self.network.autocast = half or torch.float32, False
        self.limits: Limits = limits(self.network, loaded.config, self.scheme, context, loaded.context)
        if as_found:
            half = None
        elif asked == "auto":
            half = None if loaded.config.get("model_type") in FLOAT32_ONLY else native_half(chosen)
        else:
            half = None if asked == "float32" else DTYPES[asked]
        self.measured: Measured = measure(self.network, self.scheme, half, self.limits.context)
        agreement = self.measured.agreement
        if half is not None and asked != "auto" and agreement is None:
            raise BendError(f"{self.name} cannot compute in {asked}: use dtype='float32' (--dtype float32).")
        if half is not None and asked == "auto" and (agreement or 0) < AGREEMENT:
            why = "cannot be used" if agreement is None else f"agrees with float32 to a cosine of only {agreement:.4f}"
            log.info("%s: %s %s; computing in float32.", self.name, half, why)
            half = None
        if half is not None and (self.measured.held or 0) >= AGREEMENT and not loaded.borrowed:
            self.network.hold_weights_in(half)  # a fifth faster than autocast, where it agrees as well
        elif not as_found:
            self.network.dtype = half or torch.float32
        self.dim, self.causal = self.measured.dim, self.measured.causal
        self.cut = Cut.of(self.protocol, self.scheme, loaded.config, self.limits, self.causal)
        recurrent = loaded.config.get("model_type") in RECURRENT
        usual = RECURRENT_VALUES // self.dim if recurrent else BATCH_TOKENS.get(chosen.type, 16_384)
        self.batches = Batches(
            self.network,
            pad=self.scheme.pad,
            name=self.name,
            context=self.limits.context,
            padding_safe=self.measured.padding_safe,
            tokens=batch_tokens or usual,
        )
        self._answer, self._bits = self._answer_now(), fingerprint.of_bits(self.network.model)

    @property
    def batch_tokens(self) -> int:
        """Most tokens in a batch."""
        return self.batches.tokens

    @property
    def n_layers(self) -> int | None:
        """Layers above the embeddings; None where the model shows its output alone."""
        return self.measured.layers

    @property
    def dtype(self) -> str:
        """Name of the dtype it computes in."""
        return str(self.network.dtype).removeprefix("torch.")

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
        device_map: DeviceMap | None = None,
        protocol: str | Protocol = "default",
        batch_tokens: int | None = None,
        context: int | None = None,
        config: str | os.PathLike[str] | None = None,
        tokenizer: str | None = None,
        prefix: str | None = None,
        scheme: str | None = None,
        name: str | None = None,
    ) -> Embedder:
        """Load a model from the catalogue, the Hub, a folder or a file of weights.

        Args:
            name_or_path: Catalogue name, Hub id, folder, or file of tensors (``.ckpt``, ``.pt``, ``.safetensors`` …).
            revision: Branch, tag or commit; by default the catalogue's pinned one, else the newest.
            trust_remote_code: Whether Python code that comes with the checkpoint may run. Few models need it.
            dtype: ``"float32"``, ``"bfloat16"``, ``"float16"`` or ``"auto"``: half precision where the hardware
                computes it natively and it agrees with float32 (always float32 under ``"bend-2024"``).
            layer: ``-1`` or ``"last"`` for the model's output, an index of its hidden states (0 = embeddings), or a
                list, whose vectors are concatenated.
            strand: ``"forward"``, or ``"average"`` for the mean of both strands at each nucleotide.
            device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``; the GPU by default where there is one.
            device_map: For models larger than one device, instead of `device`: ``"auto"``, or what else
                `bend_hf.embed.spread.spread` takes.
            protocol: ``"default"``, or ``"bend-2024"``: sequences are cut, special tokens placed and overlapping k-mers
                upsampled as the BEND reference did, for comparison with published numbers.
            batch_tokens: Most tokens in a batch, padding included. It changes no result.
            context: Most tokens the model is given at once, special ones included; by default what the model states.
            config: Where the configuration lies, if not with the weights: its file, or a folder or Hub id that has it.
            tokenizer: Folder or Hub id of the tokenizer, where it does not lie with the weights or the configuration.
            prefix: Text before every sequence (``"<dna>"``); None for the mark that the tokenizer is known to need.
            scheme: How DNA is read, where that is not found rightly; see `bend_hf.embed.reading.read_scheme`.
            name: In results, instead of the catalogue's or the folder's.

        Raises:
            BendError: The model cannot be loaded so that its vectors are right; the message says why.
        """
        from bend_hf.embed.catalogue import resolve

        if not isinstance(name_or_path, str | os.PathLike):
            raise BendError(f"{name_or_path!r:.80} is no name of a model, and no path of one.")
        switch("trust_remote_code", trust_remote_code)
        if not isinstance(prefix, str | None):
            raise BendError(f"prefix={prefix!r} (--prefix) is no text.")
        if tokenizer is not None:
            path_of("tokenizer", tokenizer)
        found = resolve(os.fspath(name_or_path))
        if revision is not None and Path(found.source).exists():
            kind = "folder" if Path(found.source).is_dir() else "file"
            raise BendError(f"{found.source} is a {kind}, which has no revision (--revision): leave it out.")
        if device_map is not None:
            check_alone(device)
        loaded = load(
            found.source,
            revision=revision or found.revision,
            trust_remote_code=trust_remote_code,
            config=None if config is None else str(config),
            tokenizer=tokenizer,
            prefix=prefix,
            scheme=scheme,
        )
        return cls(
            replace(loaded, context=found.context),
            name=found.name if name is None else name,
            dtype=dtype,
            layer=layer,
            strand=strand,
            device=device,
            device_map=device_map,
            protocol=protocol,
            context=context,
            batch_tokens=batch_tokens,
        )

    @classmethod
    def from_model(
        cls,
        model: Any,
        tokenizer: Any = None,
        *,
        name: str | None = None,
        dtype: str = "auto",
        layer: Layer = -1,
        strand: str = "forward",
        device: str | torch.device | None = None,
        protocol: str | Protocol = "default",
        batch_tokens: int | None = None,
        context: int | None = None,
        prefix: str | None = None,
        scheme: str | None = None,
    ) -> Embedder:
        """Take a model that is in memory, and leave it as it is: its device, dtype, mode and weights.

        Args:
            model: A module, wrapped or not (DataParallel, torch.compile, PEFT), a pair of it and its tokenizer, or an
                object that has both (a pipeline, a trainer).
            tokenizer: Of transformers or ``tokenizers``, or a folder or Hub id of one.
            name: In results; by default the class's.
            dtype: As for `from_pretrained`; ``"auto"`` for half-precision weights means as they are. Another type than
                theirs, or another device, makes a copy.
            layer: As for `from_pretrained`.
            strand: As for `from_pretrained`.
            device: None for where the model is.
            protocol: As for `from_pretrained`.
            batch_tokens: As for `from_pretrained`.
            context: As for `from_pretrained`.
            prefix: As for `from_pretrained`.
            scheme: As for `from_pretrained`.

        Raises:
            BendError: There is no tokenizer, or it is none of DNA, or the vectors would not be right.
        """
        found = in_memory(model, tokenizer)
        if found is None:
            raise BendError(f"A {type(model).__name__} is no torch module: give a model and its tokenizer.")
        loaded = borrow(*found, name=name, prefix=prefix, scheme=scheme)
        return cls(
            loaded,
            name=name,
            dtype=dtype,
            layer=layer,
            strand=strand,
            device=device,
            protocol=protocol,
            context=context,
            batch_tokens=batch_tokens,
        )

    @property
    def averages(self) -> bool:
        """Whether each strand is run by itself and the two averaged (a model that folds its channels runs once)."""
        return self.strand == "average" and not self.network.fold_strands

    def in_float32(self) -> Embedder:
        """Return the same embedder computing in float32 where its dtype was left open, else itself.

        The weights are shared, unless they are held in half precision: then they are read again.
        """
        if self._options["dtype"] != "auto" or self.dtype == "float32":
            return self
        loaded = self.loaded
        if self.replaced:
            model = copy.deepcopy(self.network.model).float()
            loaded = replace(loaded, model=model, identity=self.identity(), borrowed=True, head=None)
        elif not self.network.autocast and not loaded.borrowed:
            loaded = load_again(loaded)
        return Embedder(loaded, **self._options | {"dtype": "float32"})

    @property
    def replaced(self) -> bool:
        """Whether a weight is another than when the model was loaded, or what it computes from them is."""
        return fingerprint.of_bits(self.network.model) != self._bits or differs(self._answer_now(), self._answer)

    def _answer_now(self) -> torch.Tensor:
        return answer(self.network, self.scheme, self.limits.context)

    def identity(self) -> dict[str, Any]:
        """Return what determines weights and tokens: those of the checkpoint, or of the weights as they are now."""
        known = dict(self.loaded.identity)
        if self.replaced:
            known = {"class": known.get("class"), "tokens": self.scheme.identity}
            known["weights"] = fingerprint.of_weights(self.network.model)
        if self.loaded.borrowed:  # whose code is not known
            known["computed"] = fingerprint.of_vectors([self._answer_now()])
        return known

    def at(self, layer: Layer) -> Embedder:
        """Return the same embedder for another layer, or several side by side, sharing the model and its dtype.

        Raises:
            BendError: The model has no such layer.
        """
        other = copy.copy(self)
        other._options = self._options | {"layer": layer}
        other.network = copy.copy(self.network)
        other.network.layers = self.network.check_layers(layer)
        other.measured = measure_layers(other.network, self.scheme, self.measured, self.limits.context)
        other.dim = other.measured.dim
        if not self.replaced:
            other._answer = other._answer_now()
        return other

    def plain(self) -> Embedder:
        """Return the same embedder for the forward strand, overlapping k-mers in natural order, sharing the model."""
        other = copy.copy(self)
        other.kmer_shift = False
        if self.averages:
            other.strand = "forward"
        return other

    def provenance(self) -> dict[str, Any]:
        """Return what determines the vectors, JSON-able: ``"key"``, and what is worth knowing beside it."""
        reading = {**self.loaded.reading, "context": self._options["context"]}
        return {
            "key": {
                "model": self.identity(),
                "dtype": self.dtype,
                "autocast": self.network.autocast and self.dtype != "float32",
                "layer": list(self.network.layers),
                "strand": self.strand,
                "windows": {
                    "policy": self.cut.policy,
                    "nucleotides": self.cut.nucleotides,
                    "fits": self.cut.fits,
                    "tokens": self.cut.tokens,
                    "overlap": self.cut.overlap,
                    "ids": self.cut.ids,
                },
                "specials": [self.scheme.prefix, self.scheme.suffix],
                "kmer_shift": self.kmer_shift,
                "version": 2,
            },
            "name": self.name,
            "source": self.loaded.source,
            **({"object": "a model in memory"} if self.loaded.borrowed else {}),
            "architecture": self.loaded.architecture,
            "tokens": self.scheme.family,
            "k": self.scheme.k,
            "tokenizer": self.scheme.origin,
            "asked": {name: value for name, value in reading.items() if value is not None},
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
        check_several(sequences)
        sequences = list(sequences)
        for row, sequence in enumerate(sequences):
            check_text(sequence, row)
        counts = self.scheme.count(sequences)
        if self.averages and self.scheme.family != "characters":
            return np.minimum(2 * counts, [len(sequence) for sequence in sequences])
        if self.kmer_shift and self.scheme.family == "overlapping k-mers" and self.scheme.k >= 5:
            return counts + 2
        return counts

    def __repr__(self) -> str:
        direction = "causal" if self.causal else "bidirectional"
        layers = ", ".join(map(str, self.network.layers))
        return f"Embedder({self.name!r}, {self.scheme.family}, dim={self.dim}, layer={layers}, {direction})"

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        """Embed sequences.

        Args:
            sequences: DNA of any lengths; an iterator is read as far as needed.

        Yields:
            `Tokens` of each sequence, in order.

        Raises:
            BendError: A sequence is empty or no DNA, or a vector is NaN or infinite (the sequence is named).
        """
        for layers in vectors_of(self, sequences, self.network.layers):
            yield layers[0] if len(layers) == 1 else side_by_side(layers)

    def nucleotides(self, sequences: Iterable[str]) -> Iterator[np.ndarray]:
        """Embed sequences, and give every nucleotide the vector of its token.

        Yields:
            (L, D) float32 of each sequence of L nucleotides, in order.

        Raises:
            BendError: As `embed`.
        """
        for tokens in self.embed(sequences):
            yield np.repeat(tokens.vectors.float().numpy(), tokens.lengths, axis=0)

    def embed_layers(self, sequences: Iterable[str], layers: Sequence[int | str]) -> Iterator[tuple[Tokens, ...]]:
        """Embed sequences at several layers, each by itself, from one pass of the model.

        Args:
            sequences: DNA of any lengths; an iterator is read as far as needed.
            layers: 0 (embeddings) to `n_layers`; -1 or ``"last"`` for the model's output.

        Yields:
            `Tokens` of each sequence per layer, in the order of `layers`: what an embedder of that layer alone gives.

        Raises:
            BendError: As `embed`; or a layer does not exist.
        """
        yield from vectors_of(self, sequences, self.network.check_layers(layers))
