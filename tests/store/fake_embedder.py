"""A model that costs nothing: vectors that follow from the sequence, k nucleotides per token.

Run as a script it fills a store, for tests that kill it: ``fake_embedder.py FOLDER COUNT SECONDS_PER_SEQUENCE [i/n]``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bend_hf.embed.interface import Tokens


def sequences(count: int, seed: int = 0, length: int = 96) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), size)) for size in rng.integers(length // 2, length, count)]


class FakeEmbedder:
    """Token vectors are sines of the codes of its nucleotides; `calls` lists what was embedded."""

    causal = False

    def __init__(
        self, k: int = 6, dim: int = 16, dtype: torch.dtype = torch.bfloat16, name: str = "fake", pause: float = 0.0
    ) -> None:
        self.name, self.k, self.dim, self.dtype, self.pause = name, k, dim, dtype, pause
        self.calls: list[str] = []

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        for sequence in sequences:
            self.calls.append(sequence)
            time.sleep(self.pause)
            codes = np.frombuffer(sequence.encode(), np.uint8).astype(np.float32)
            starts = np.arange(0, len(sequence), self.k)
            sums = np.add.reduceat(codes * np.arange(1, len(codes) + 1), starts)
            vectors = np.sin(sums[:, None] * np.arange(1, self.dim + 1, dtype=np.float32))
            yield Tokens(torch.from_numpy(vectors).to(self.dtype), np.diff(starts, append=len(sequence)))

    def count_tokens(self, sequences: Iterable[str]) -> np.ndarray:
        return np.array([-(-len(sequence) // self.k) for sequence in sequences], np.int64)

    def provenance(self) -> dict[str, Any]:
        return {"model": self.name, "key": {"model": self.name, "k": self.k, "dtype": str(self.dtype)}}


if __name__ == "__main__":
    from bend_hf.embed import layout
    from bend_hf.embed.filling import fill

    layout.SMALLEST_SHARD = 2048  # several shards of little data
    folder, count, pause, *share = sys.argv[1:]
    made = fill(
        FakeEmbedder(pause=float(pause)),
        sequences(int(count)),
        store_dir=Path(folder),
        share=tuple(map(int, share[0].split("/"))) if share else None,
        wait=not share,
    )
    print(made.complete)
