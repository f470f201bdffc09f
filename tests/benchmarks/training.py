"""An epoch of the head, reading included, beside the reference's path; and what five seeds cost.

    python tests/benchmarks/training.py

The reference's path, written out plainly: each sample's upsampled float32 vectors as .npy in a tar.gz (level 9), read
in order through a small shuffling buffer, padded to the longest of the batch, and convolved at full width. Its
denormals are flushed, which its own code does not do. Ours reads float16 token vectors from a memory-mapped file.
"""

from __future__ import annotations

import io
import random
import statistics
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from table import main

from bend_hf.embed.embedder import Tokens
from bend_hf.protocols import get_protocol
from bend_hf.tasks import TASKS, Task
from bend_hf.train.fit import Split, fit


class Mapped:
    """Token vectors in one memory-mapped float16 file."""

    def __init__(self, path: Path, rows: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self.dim = rows[0][0].shape[1]
        self.lengths = [lengths for _, lengths in rows]
        self.lengths_in_tokens = np.array([len(lengths) for lengths in self.lengths])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths_in_tokens)])
        self.vectors = np.memmap(path, np.float16, "w+", shape=(int(self.starts[-1]), self.dim))
        for (vectors, _), start in zip(rows, self.starts, strict=False):
            self.vectors[start : start + len(vectors)] = vectors
        self.vectors.flush()

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, rows: list[int]) -> list[Tokens]:
        parts = (self.vectors[self.starts[row] : self.starts[row + 1]] for row in rows)
        return [
            Tokens(torch.from_numpy(np.asarray(part)), self.lengths[row]) for part, row in zip(parts, rows, strict=True)
        ]


def write_tar(path: Path, rows: list[tuple[np.ndarray, np.ndarray]], labels: Any) -> None:
    """Write upsampled vectors and labels as the reference does: two .npy per sample in a gzipped tar."""
    with tarfile.open(path, "w:gz", compresslevel=9) as tar:
        for row, (vectors, lengths) in enumerate(rows):
            upsampled = np.repeat(vectors.astype(np.float32), lengths, 0)
            for name, array in (("input", upsampled), ("output", np.asarray(labels[row], np.int64))):
                buffer = io.BytesIO()
                np.save(buffer, array)
                info = tarfile.TarInfo(f"sample_{row}.{name}.npy")
                info.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(info, buffer)


def read_tar(path: Path, buffer_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Stream samples in order through a small shuffling buffer."""
    held = []
    with tarfile.open(path, "r|gz") as tar:
        pending: list[torch.Tensor] = []
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            pending.append(torch.from_numpy(np.load(io.BytesIO(file.read()))))
            if len(pending) == 2:
                held.append((pending[0], pending[1]))
                pending = []
            if len(held) >= buffer_size:
                yield held.pop(random.randrange(len(held)))
    random.shuffle(held)
    yield from held


class PlainHead(torch.nn.Module):
    """The head as the reference runs it: convolutions over (B, D, L), every nucleotide at full width."""

    def __init__(self, task: Task, dim: int) -> None:
        super().__init__()
        recipe = task.recipe
        assert recipe is not None
        self.conv1 = torch.nn.Conv1d(dim, recipe.hidden, 3, padding=1)
        self.conv2 = torch.nn.Conv1d(recipe.hidden, recipe.hidden, 3, padding=1)
        self.pool = None if recipe.pool is None else torch.nn.AvgPool1d(recipe.pool, recipe.pool)
        self.linear = torch.nn.Linear(recipe.hidden, recipe.outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gelu = torch.nn.functional.gelu
        x = gelu(self.conv1(x.transpose(1, 2)).transpose(1, 2))
        x = gelu(self.conv2(x.transpose(1, 2)).transpose(1, 2))
        if self.pool is not None:
            x = self.pool(x.transpose(1, 2)).transpose(1, 2)
        return self.linear(x)


def reference_epochs(task: Task, path: Path, dim: int, batch_size: int, epochs: int) -> float:
    """Return the seconds of a typical epoch of the reference's path."""
    recipe = task.recipe
    assert recipe is not None
    torch.manual_seed(0)
    head = PlainHead(task, dim)
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


def our_epochs(task: Task, source: Mapped, labels: Any, batch_size: int, epochs: int, **options: Any) -> float:
    """Return the seconds of a typical epoch of `fit`, a validation of eight rows included."""
    rows = np.arange(len(source))
    few = Split(source, labels, rows[:8])
    fitted = fit(
        task,
        train=Split(source, labels, rows),
        validation=few,
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
        vectors = generator.standard_normal((len(lengths), case.dim), np.float32).astype(np.float16)
        rows.append((vectors, lengths.astype(np.int64)))
    assert case.task.recipe is not None
    if case.task.label_kind == "per_nucleotide_class":
        return rows, [generator.integers(0, 9, int(lengths.sum())).astype(np.int8) for _, lengths in rows]
    return rows, generator.integers(0, 2, (count, case.task.recipe.outputs)).astype(np.int8)


def run(size: str = "small") -> list[tuple[str, float, float, str]]:
    """Return rows of (what, reference's seconds, ours, unit)."""
    torch.set_flush_denormal(True)
    count, epochs, wide = {"tiny": (12, 2, 32), "small": (256, 3, 256), "medium": (1_024, 4, 256)}[size]
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
            write_tar(tar, rows, labels)
            source = Mapped(Path(folder) / f"{number}.bin", rows)
            theirs = reference_epochs(case.task, tar, case.dim, case.batch_size, epochs)
            single = None
            for precision in case.precisions:
                ours = our_epochs(case.task, source, labels, case.batch_size, epochs, precision=precision)
                table.append((f"epoch, {case.name}, {case.dim} wide, {precision}", theirs, ours, "s"))
                single = ours
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
