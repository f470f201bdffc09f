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

from bend_hf.checks import path_of, switch
from bend_hf.embed import fingerprint
from bend_hf.embed.beginnings import vectors_at
from bend_hf.embed.interface import Tokens
from bend_hf.embed.loading import load, load_again
from bend_hf.embed.measure import measure_layers
from bend_hf.embed.memory import borrow, in_memory
from bend_hf.embed.network import Layer
from bend_hf.embed.ready import Ready
from bend_hf.embed.rules import check_several, check_text
from bend_hf.embed.spread import DeviceMap, check_alone
from bend_hf.embed.stream import side_by_side, vectors_of
from bend_hf.errors import BendError
from bend_hf.protocols import Protocol


class Embedder(Ready):
    """A checkpoint, ready to embed DNA; see `from_pretrained`, and `Ready` for its attributes."""

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
                # The vectors of an inner layer of such a model were once those of the one behind it.
                **({"layers": "from the embeddings"} if self.network.late and {*self.network.layers} != {-1} else {}),
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
            most: np.ndarray = np.minimum(2 * counts, [len(sequence) for sequence in sequences])
            return most
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

    def embed_at(
        self, places: Iterable[tuple[str, int]], layers: Sequence[int | str] | None = None
    ) -> Iterator[tuple[torch.Tensor, ...]]:
        """Embed one nucleotide of each sequence, computing no more than that needs.

        Args:
            places: Sequences, each with the index of a nucleotide.
            layers: As for `embed_layers`; None for the embedder's own.

        Yields:
            (D,) of the token that owns the nucleotide, per layer: what `plain().embed_layers` gives, up to rounding.

        Raises:
            BendError: As `embed_layers`; or a sequence has no such nucleotide.
        """
        chosen = self.network.layers if layers is None else self.network.check_layers(layers)
        yield from vectors_at(self.plain(), places, chosen)
