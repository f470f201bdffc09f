"""An epoch of the head, reading included, beside the reference's path; and what five seeds cost.

    python tests/benchmarks/training.py                            # the table
    python tests/benchmarks/training.py profile genes --seeds 5    # where the time of epochs goes

The reference's path, written out plainly: each sample's upsampled float32 vectors as .npy in a tar.gz (level 9), read
in order through a small shuffling buffer, padded to the longest of the batch, and convolved at full width. Its
denormals are flushed, which its own code does not do. Ours reads float16 token vectors from the store, and computes in
fp32 and, where the processor has instructions for it, under autocast to bf16.

"Five seeds beside one" has how many epochs of one head an epoch of five takes, beside the five that it would be if
nothing were shared; "if all were products at the ceiling" has how many it would take at least.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from embedding import ceiling
from reference import Head, read_tar, write_tar
from table import aligned, main

from bend_hf.embed.devices import native_half
from bend_hf.embed.filling import fill
from bend_hf.embed.interface import Tokens
from bend_hf.embed.store import Store
from bend_hf.protocols import get_protocol
from bend_hf.tasks import TASKS, Task
from bend_hf.train import loop
from bend_hf.train.fit import Split, fit
from bend_hf.train.lanes import Lanes


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


def precisions() -> tuple[str, ...]:
    """Return what an epoch is measured in: bf16 only where the processor has units for it, and does not emulate it."""
    return ("fp32", "bf16") if native_half(torch.device("cpu")) is torch.bfloat16 else ("fp32",)


def run(size: str = "small") -> list[tuple[str, float, float, str]]:
    """Return rows of (what, reference's seconds, ours, unit)."""
    torch.set_flush_denormal(True)
    count, epochs, wide = {"tiny": (8, 2, 16), "small": (512, 3, 256), "medium": (2_560, 4, 256)}[size]
    chromatin, genes = TASKS["chromatin_accessibility"], TASKS["gene_finding"]
    cases = [
        Case("512 bp, 1 nt per token", chromatin, wide, "1-nt", 256),
        Case("512 bp, 6-mers", chromatin, 4 * wide, "6-mer", 256),
        Case("512 bp, byte pairs", chromatin, 3 * wide, "bpe", 256),
        Case("gene finding, 1 nt per token", genes, wide, "1-nt", 64),
        Case("gene finding, 6-mers", genes, 4 * wide, "6-mer", 64),
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
            tar.unlink()
            ours = partial(our_epochs, case.task, source, labels, case.batch_size, epochs + 2)  # which are short
            for precision in precisions():
                one = ours(precision=precision)
                table.append((f"epoch, {case.name}, {case.dim} wide, {precision}", theirs, one, "s"))
                if number == 0:
                    both = ours(validate=len(rows), precision=precision)
                    table.append((f"validation of as many rows beside none, {precision}", both, one, "s"))
                five = ours(precision=precision, seeds=range(5))
                table.append((f"five seeds beside five runs of one, {case.name}, {precision}", 5 * one, five, "s"))
                table.append((f"five seeds beside one, {case.name}, {precision}", 5.0, five / one, "epochs of one"))
                most = ceiling({"fp32": torch.float32, "bf16": torch.bfloat16}[precision], size)
                least = 5 * sum(arithmetic(case, [lengths for _, lengths in rows])) / most / one
                table.append(
                    (f"… if all were products at the ceiling, {case.name}, {precision}", 5.0, least, "epochs of one")
                )
    return table


PROFILED = {
    "1-nt": Case("512 bp, 1 nt per token", TASKS["chromatin_accessibility"], 256, "1-nt", 256),
    "genes": Case("gene finding, 6-mers", TASKS["gene_finding"], 1024, "6-mer", 64),
}
IN_LANES, READING, MADE = (f"bend_hf: {what}" for what in ("in a lane", "reading", "batches made"))
PARTS = {
    "products of matrices": "mm addmm bmm mkldnn_convolution convolution_backward",
    "tokens to positions": "_embedding_bag _embedding_bag_forward_only",
    "conversion and copies": "copy_ cat stack constant_pad_nd fill_",
    "optimiser": "_fused_adamw_",
}
PART = {f"aten::{name}": part for part, names in PARTS.items() for name in names.split()}
PART |= {IN_LANES: "Python around them", MADE: "batches put together"}


def arithmetic(case: Case, lengths: Sequence[np.ndarray]) -> tuple[int, int]:
    """Floating-point operations of a head's products, in a pass forward and in one backward.

    Args:
        case: What is trained on.
        lengths: Nucleotides per token of each row.
    """
    recipe, positions = case.task.recipe, sum(int(row.sum()) for row in lengths)
    assert recipe is not None
    first = 2 * sum(map(len, lengths)) * 3 * case.dim * recipe.hidden
    outputs = sum(int(row.sum()) // (recipe.pool or 1) for row in lengths) * recipe.outputs
    others = 2 * 3 * recipe.hidden**2 * positions + 2 * recipe.hidden * outputs
    return first + others, first + 2 * others  # what goes into the first needs no gradient


def profile(what: str, seeds: int, size: str = "small") -> str:
    """Say where the time of the lanes goes while heads are trained and validated in float32, all epochs together."""
    case, (count, epochs) = PROFILED[what], {"tiny": (8, 1), "small": (512, 3)}[size]
    rows, labels = make(case, count if what == "1-nt" else max(4, count // 16), np.random.default_rng(0))
    lanes, usual, seconds = [1], Lanes.run, Counter[str]()

    def labelled(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            with torch.profiler.record_function(name):
                return work(*arguments, **options)

        return wrapper

    def run(self: Lanes, work: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        lanes.append(self.count)
        return usual(self, (labelled(IN_LANES, each) for each in work))

    with tempfile.TemporaryDirectory() as folder:
        source = store(Path(folder), rows, np.random.default_rng(1))
        train = partial(our_epochs, case.task, source, labels, case.batch_size, precision="fp32", seeds=range(seeds))
        undisturbed = train(epochs=epochs + 1, validate=len(rows))
        with (
            patch.object(Lanes, "run", run),
            patch.object(loop, "fetch", labelled(READING, loop.fetch)),
            patch.object(loop, "load", labelled(MADE, loop.load)),
            torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CPU],
                experimental_config=torch.profiler._ExperimentalConfig(profile_all_threads=True),
            ) as found,
        ):
            start = time.perf_counter()
            train(epochs=epochs, validate=len(rows))
            whole = time.perf_counter() - start
    events, shared = found.events(), max(lanes)
    total = {name: sum(e.cpu_time_total for e in events if e.name == name) / 1e6 for name in (IN_LANES, READING)}
    in_lanes = {event.thread for event in events if event.name == IN_LANES}
    for event in (event for event in events if event.thread in in_lanes):
        other = "elementwise, sums, views" if event.name.startswith("aten::") else "autograd's own"
        seconds[PART.get(event.name, other)] += event.self_cpu_time_total / 1e6
    seconds["waiting"] = shared * whole - total[IN_LANES]
    forward, backward = arithmetic(case, [lengths for _, lengths in rows])
    reached = seeds * epochs * (2 * forward + backward) / seconds["products of matrices"] * shared / 1e9
    cells = [(part, f"{took:.3f} s", f"{took / shared / whole:.0%}") for part, took in seconds.most_common()]
    return "\n".join(
        [
            f"{case.name}, {case.dim} wide, fp32; {seeds} seeds, {len(rows)} rows, validated as many, {epochs} epochs",
            f"{shared} lanes for {whole:.3f} s while watched; an epoch takes {undisturbed:.3f} s by itself",
            aligned(cells, "<>>"),
            f"products reach {reached:,.0f} GFLOP/s, large ones {ceiling(torch.float32, size) / 1e9:,.0f}",
            f"beside the lanes: reading {total[READING]:.3g} s",
        ]
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["profile"]:
        parser = argparse.ArgumentParser(prog="python tests/benchmarks/training.py profile")
        parser.add_argument("what", nargs="?", choices=PROFILED, default="1-nt")
        parser.add_argument("--seeds", type=int, default=1)
        given = parser.parse_args(sys.argv[2:])
        print(profile(given.what, given.seeds))
    else:
        main(run)
