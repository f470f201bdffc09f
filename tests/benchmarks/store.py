"""Token vectors on disk: bytes, writing and reading, beside a tar.gz of upsampled float32.

    python tests/benchmarks/store.py

The vectors are those of small models with random weights (512-bp windows, 256 wide) for four kinds of tokens. Both
sides write vectors that are there already and read all rows once, ours in random order into the padded batches that
training takes; speeds are in MB of upsampled float32 per second, which is what the reference stores. The best of three
is taken of ours, which take milliseconds. The last row of each kind is embedding on the fly plus training in an epoch,
beside the reference's embedding step (one sequence at a time in float32, upsampled, written) alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import reference
import torch
from table import Row, main

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.interface import Tokens
from bend_hf.embed.store import OnTheFly, Store, fill
from bend_hf.protocols import get_protocol
from bend_hf.tasks import TASKS
from bend_hf.train.fit import Split
from bend_hf.train.fit import fit as train

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tiny_models


class Ready:
    """Vectors that are there already, as an embedder: nothing is measured but the store."""

    causal = False

    def __init__(self, name: str, made: dict[str, Tokens], dim: int) -> None:
        self.name, self.made, self.dim = name, made, dim

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        return (self.made[sequence] for sequence in sequences)

    def count_tokens(self, sequences: Iterable[str]) -> np.ndarray:
        return np.array([len(self.made[sequence].lengths) for sequence in sequences])

    def provenance(self) -> dict[str, Any]:
        return {"key": {"model": self.name}}


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def read_batches(source: Store, order: np.ndarray) -> int:
    """Read rows into padded batches of 32, as training does."""
    count = 0
    for start in range(0, len(order), 32):
        tokens = source.read(order[start : start + 32])
        vectors = torch.zeros(len(tokens), max(map(len, (t.lengths for t in tokens))), source.dim, dtype=torch.bfloat16)
        for row, (values, _) in enumerate(tokens):
            vectors[row, : len(values)] = values
        count += len(vectors)
    return count


def sequences_of(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("ACGT"), 512)) for _ in range(count)]


def storage(kind: str, checkpoint: Path, count: int, folder: Path) -> list[Row]:
    """Bytes, writing and reading of one kind of tokens."""
    sequences, labels = sequences_of(count), np.zeros(125, np.int64)
    upsampled = list(reference.embed(Embedder.from_pretrained(str(checkpoint), dtype="float32"), sequences))
    half = Embedder.from_pretrained(str(checkpoint))
    ready = Ready(kind, dict(zip(sequences, half.embed(sequences), strict=True)), half.dim)
    size = sum(vectors.nbytes for vectors in upsampled) / 1e6
    tar = folder / "vectors.tar.gz"
    slow = seconds(lambda: reference.write_tar(tar, ((vectors, labels) for vectors in upsampled)))
    fast = min(seconds(lambda k=k: fill(ready, sequences, store_dir=folder / f"{kind} {k}")) for k in range(3))
    layout = fill(ready, sequences, store_dir=folder / f"{kind} 0")
    stored = sum(path.stat().st_size for path in layout.folder.iterdir()) / 1e6
    slow_read = seconds(lambda: [x for x, _ in reference.read_tar(tar)])
    source, rng = Store(layout), np.random.default_rng(1)
    fast_read = min(seconds(lambda: read_batches(source, rng.permutation(count))) for _ in range(3))
    return [
        (f"bytes beside upsampled float32, {kind}", size, stored, "MB"),
        (f"bytes beside tar.gz, {kind}", tar.stat().st_size / 1e6, stored, "MB"),
        (f"writing, {kind}", size / slow, size / fast, "MB/s"),
        (f"reading at random into batches, {kind}", size / slow_read, size / fast_read, "MB/s"),
    ]


def on_the_fly(kind: str, checkpoint: Path, count: int, folder: Path) -> list[Row]:
    """The reference's embedding step alone, beside embedding on the fly and training the head in one epoch."""
    sequences = sequences_of(count)
    task = TASKS["chromatin_accessibility"]
    labels = np.random.default_rng(0).integers(0, 2, (count, 125)).astype(np.int8)
    exact = Embedder.from_pretrained(str(checkpoint), dtype="float32")
    samples = zip(reference.embed(exact, sequences), labels.astype(np.int64), strict=True)
    slow = seconds(lambda: reference.write_tar(folder / "step.tar.gz", samples))
    source = OnTheFly(Embedder.from_pretrained(str(checkpoint)), sequences)
    everything, few = np.arange(count), np.arange(2)
    fitted = train(
        task,
        train=Split(source, labels, everything),
        validation=Split(source, labels, few),
        test=Split(source, labels, few),
        protocol=get_protocol("default"),
        epochs=2,
    )
    fast = fitted[0].history[-1]["seconds"]  # the first one warms up
    return [(f"embedding on the fly and an epoch, beside embedding alone, {kind}", count / slow, count / fast, "seq/s")]


def run(size: str = "small") -> list[Row]:
    """Return rows of (what, reference's value, ours, unit)."""
    torch.set_flush_denormal(True)
    count, width, layers = {"tiny": (8, 32, 2), "small": (200, 256, 4), "medium": (800, 256, 4)}[size]
    table: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bend_hf_store_") as name:
        folder = Path(name)
        for kind, make, times in (
            ("6-mers", tiny_models.esm, 4),  # few tokens: more sequences, so that there is something to measure
            ("byte pairs", tiny_models.bpe, 4),
            ("overlapping 6-mers", tiny_models.dnabert, 1),
            ("single nucleotides", tiny_models.gpt2, 1),
        ):
            checkpoint = make(folder / "models" / kind, width=width, layers=layers)
            table += storage(kind, checkpoint, times * count, folder)
            table += on_the_fly(kind, checkpoint, count, folder)
    return table


if __name__ == "__main__":
    main(run)
