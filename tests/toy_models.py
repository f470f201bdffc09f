"""Embedders whose vectors are known by hand, and every way of reading DNA that a model of the catalogue has.

toy = Toy(scheme("6-mers", tmp_path), vector="counts")
next(toy.embed(["ACGT…"])).vectors        # counts of A, C, G, T, N up to (causal) or over (not causal) the sequence
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tiny_models
import torch

from bend_hf.embed.interface import Tokens
from bend_hf.embed.loading import load_scheme
from bend_hf.embed.tokens import Scheme, character_scheme


def _three_mers(folder: Path) -> None:
    tiny_models.kmers(folder, k=3)


def _lower(folder: Path) -> None:
    tiny_models.characters(folder, lower=True)


def _unknown_n(folder: Path) -> None:
    tiny_models.characters(folder, unknown_n=True)


def _gaps(folder: Path) -> None:
    tiny_models.byte_pairs(folder, gaps=True)


WRITERS: dict[str, Callable[[Path], Any]] = {
    **{f"overlapping {k}-mers": lambda folder, k=k: tiny_models.dnabert(folder, k=k) for k in (3, 4, 5, 6)},
    "6-mers": tiny_models.kmers,
    "3-mers": _three_mers,
    "6-mer blocks": tiny_models.generator,
    "byte pairs": tiny_models.byte_pairs,
    "byte pairs with gaps": _gaps,
    "GROVER": tiny_models.grover,
    "characters": tiny_models.characters,
    "lower-case characters": _lower,
    "characters without N": _unknown_n,
}
SCHEMES = [*WRITERS, "HyenaDNA and Caduceus"]
"""DNABERT 3 to 6, NT, NT-v2 of 3-mers, GENERator, DNABERT-2, GENA-LM, GROVER, ResNet-LM and AWD-LSTM, GPN and so on."""


def scheme(name: str, folder: Path) -> Scheme:
    """Return a way of reading DNA, its tokenizer's files written to a folder of that name."""
    if name == "HyenaDNA and Caduceus":
        return character_scheme()
    path = folder / name.replace(" ", "_")
    if not path.exists():
        WRITERS[name](path)
    config = {"model_type": "bert" if "overlapping" in name else "esm" if name.endswith("mers") else "gpt2"}
    return load_scheme(str(path), config, json.loads((path / "tokenizer_config.json").read_text()), None, False)


class Toy:
    """An embedder in closed form.

    Args:
        scheme: How it reads DNA.
        causal: Whether a token sees what is to its left only.
        vector: ``"id"``: (1, id of the token). ``"counts"``: counts of the letters A C G T N, as far as the token sees.
            ``"constant"``: (1, 1), whatever the sequence.
        averages: Whether both strands are averaged.
    """

    def __init__(self, scheme: Scheme, *, causal: bool = False, vector: str = "id", averages: bool = False) -> None:
        self.scheme, self.causal, self.vector, self.averages = scheme, causal, vector, averages
        self.name, self.dim = f"toy of {vector}", 5 if vector == "counts" else 2

    def plain(self) -> Toy:
        other = copy.copy(self)
        other.averages = False
        return other

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        assert not self.averages  # who averages itself must crop each strand by itself
        for sequence in sequences:
            [(ids, lengths)] = self.scheme.encode([sequence])
            if self.vector == "counts":
                letters = np.array(list(sequence))[:, None] == np.array(list("ACGTN"))
                seen = letters.cumsum(0)[np.cumsum(lengths) - 1] if self.causal else letters.sum(0)[None]
                vectors = np.broadcast_to(seen, (len(ids), 5))
            else:
                vectors = np.stack((np.ones(len(ids)), ids if self.vector == "id" else np.ones(len(ids))), 1)
            yield Tokens(torch.from_numpy(vectors.astype(np.float32)), lengths)

    def count_tokens(self, sequences: Iterable[str]) -> np.ndarray:
        return self.scheme.count(list(sequences))

    def provenance(self) -> dict[str, Any]:
        return {"key": {"toy": self.vector}}
