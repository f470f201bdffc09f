"""An epoch of the head, reading included, beside the reference's path; and what five seeds cost.

    python tests/benchmarks/training.py

The reference's path, written out plainly: each sample's upsampled float32 vectors as .npy in a tar.gz (level 9), read
in order through a small shuffling buffer, padded to the longest of the batch, and convolved at full width. Its
denormals are flushed, which its own code does not do. Ours reads float16 token vectors from the store.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reference import Head, read_tar, write_tar
from table import main

from bend_hf.embed.filling import fill
from bend_hf.embed.interface import Tokens
from bend_hf.embed.store import Store
from bend_hf.protocols import get_protocol
from bend_hf.tasks import TASKS, Task
from bend_hf.train.fit import Split, fit


class Given:
    """An embedder whose vectors are known beforehand, by sequence; it fills the store."""

    name = "given"
    causal = False

    def __init__(self, sequences: list[str], rows: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self.known = dict(zip(sequences, rows, strict=True))
        self.dim = rows[0][0].shape[1]

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        for sequence in sequences:
            vectors, lengths = self.known[sequence]
            yield Tokens(torch.from_numpy(vectors).half(), lengths)

    def count_tokens(self, sequences: Iterable[str]) -> np.ndarray:
        return np.array([len(self.known[sequence][1]) for sequence in sequences])

    def provenance(self) -> dict[str, Any]:
        return {"key": {"name": self.name, "dim": self.dim}, "name": self.name}


def store(folder: Path, rows: list[tuple[np.ndarray, np.ndarray]], generator: np.random.Generator) -> Store:
    """Put the vectors of each row into a store, as those of random DNA."""
    lengths = [int(lengths.sum()) for _, lengths in rows]
    sequences = [generator.choice(np.frombuffer(b"ACGT", np.uint8), size).tobytes().decode() for size in lengths]
    return Store(fill(Given(sequences, rows), sequences, store_dir=folder))


def reference_epochs(task: Task, path: Path, dim: int, batch_size: int, epochs: int) -> float:
    """Return the seconds of a typical epoch of the reference's path."""
    recipe = task.recipe
    assert recipe is not None
    torch.manual_seed(0)
    head = Head(dim, recipe.hidden, recipe.outputs, recipe.pool)
    optimizer = torch.optim.AdamW(head.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        batch: list[tuple[torch.Tensor, torch.Tensor]] = []
        samples = read_tar(path, 1000)
        while True:
            sample = next(samples, None)
            if sample is not None:
                batch.append(sample)
            if batch and (sample is None or len(batch) == batch_size):
                x = torch.nn.utils.rnn.pad_sequence([x for x, _ in batch], batch_first=True)
                y = torch.nn.utils.rnn.pad_sequence([y for _, y in batch], batch_first=True, padding_value=-100)
                logits = head(x)
                if recipe.loss == "cross_entropy":
                    loss = torch.nn.functional.cross_entropy(logits.permute(0, 2, 1), y, ignore_index=-100)
                else:
                    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], y.float())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss.item()
                batch = []
            if sample is None:
                break
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:] or seconds)


def our_epochs(
    task: Task, source: Store, labels: Any, batch_size: int, epochs: int, validate: int = 8, **options: Any
) -> float:
    """Return the seconds of a typical epoch of `fit`, with a validation of so many rows."""
    rows = np.arange(len(source))
    few = Split(source, labels, rows[:8])
    fitted = fit(
        task,
        train=Split(source, labels, rows),
        validation=Split(source, labels, rows[:validate]),
        test=few,
        protocol=get_protocol("default"),
        epochs=epochs,
        batch_size=batch_size,
        **options,
    )
    seconds = [entry["seconds"] for entry in fitted[0].history]
    return statistics.median(seconds[1:] or seconds)


@dataclass(frozen=True)
class Case:
    """What is trained on: a task, a vector width and the lengths of tokens."""

    name: str
    task: Task
    dim: int
    tokens: str
    precisions: tuple[str, ...]
    batch_size: int


def make(case: Case, count: int, generator: np.random.Generator) -> tuple[list[tuple[np.ndarray, np.ndarray]], Any]:
    """Return random token vectors of each row, and labels."""
    rows = []
    for _ in range(count):
        size = case.task.window or int(generator.integers(1_433, 13_000))
        if case.tokens == "bpe":
            lengths = generator.integers(3, 9, size // 3)
            lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), size))]
            lengths = np.append(lengths, size - lengths.sum())
        else:
            unit = 6 if case.tokens == "6-mer" else 1
            lengths = np.append(np.full(size // unit, unit), np.ones(size % unit, np.int64))
        vectors = generator.standard_normal((len(lengths), case.dim), np.float32)
        rows.append((vectors, lengths.astype(np.int64)))
    assert case.task.recipe is not None
    if case.task.label_kind == "per_nucleotide_class":
        return rows, [generator.integers(0, 9, int(lengths.sum())).astype(np.int8) for _, lengths in rows]
    return rows, generator.integers(0, 2, (count, case.task.recipe.outputs)).astype(np.int8)


def run(size: str = "small") -> list[tuple[str, float, float, str]]:
    """Return rows of (what, reference's seconds, ours, unit)."""
    torch.set_flush_denormal(True)
    count, epochs, wide = {"tiny": (8, 2, 16), "small": (512, 3, 256), "medium": (2_560, 4, 256)}[size]
    chromatin, genes = TASKS["chromatin_accessibility"], TASKS["gene_finding"]
    cases = [
        Case("512 bp, 1 nt per token", chromatin, wide, "1-nt", ("fp32", "bf16"), 256),
        Case("512 bp, 6-mers", chromatin, 4 * wide, "6-mer", ("fp32", "bf16"), 256),
        Case("512 bp, byte pairs", chromatin, 3 * wide, "bpe", ("fp32", "bf16"), 256),
        Case("gene finding, 1 nt per token", genes, wide, "1-nt", ("fp32", "bf16"), 64),
        Case("gene finding, 6-mers", genes, 4 * wide, "6-mer", ("bf16",), 64),
    ]
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            rows, labels = make(
                case, count if case.task is chromatin else max(4, count // 16), np.random.default_rng(0)
            )
            tar = Path(folder) / f"{number}.tar.gz"
            upsampled = (np.repeat(vectors, lengths, 0) for vectors, lengths in rows)
            write_tar(tar, zip(upsampled, (np.asarray(label, np.int64) for label in labels), strict=True))
            source = store(Path(folder) / str(number), rows, np.random.default_rng(1))
            theirs = reference_epochs(case.task, tar, case.dim, case.batch_size, epochs)
            single = None
            for precision in case.precisions:
                ours = our_epochs(case.task, source, labels, case.batch_size, epochs, precision=precision)
                table.append((f"epoch, {case.name}, {case.dim} wide, {precision}", theirs, ours, "s"))
                single = ours
                if number == 0:
                    both = our_epochs(
                        case.task, source, labels, case.batch_size, epochs, validate=len(rows), precision=precision
                    )
                    table.append((f"validation of as many rows beside none, {precision}", both, ours, "s"))
            assert single is not None
            five = our_epochs(
                case.task, source, labels, case.batch_size, epochs, precision=case.precisions[-1], seeds=range(5)
            )
            table.append(
                (f"five seeds beside five runs of one, {case.name}, {case.precisions[-1]}", 5 * single, five, "s")
            )
            tar.unlink()
    return table


if __name__ == "__main__":
    main(run)
