"""Sequences to vectors: tokenisation, embedding at 512 bp and 10 kb, variants, memory; and a profile of what is left.

    python tests/benchmarks/embedding.py                  # the table
    python tests/benchmarks/embedding.py profile esm      # where a batch's time goes

The reference side is what BEND does, written here in plain form and tuned as far as its form allows: one sequence at
a time through the tokenizer of transformers and the model in float32 with eager attention, vectors upsampled to
nucleotides. Ours runs the same checkpoint, in float32 and in the precision it would choose. Models have random
weights: 4 layers of 256 (ConvNet 6, AWD-LSTM 3 layers of 512).

"embed" is sequences to vectors in memory. "end to end" is sequences to what training reads: a gzipped tar of the
upsampled vectors there, a store of token vectors here. The reference runs in a process of its own, so that it meets
none of what ours asks of the allocator.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reference import write_tar
from table import Row, main

from bend_hf.embed.devices import native_half
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.filling import fill
from bend_hf.protocols import get_protocol
from bend_hf.zero_shot.variants import score_variants

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tiny_models

WIDTH = 256
SIZES = {"tiny": (2, 4, 1), "small": (24, 384, 32), "medium": (96, 1024, 64)}
"""Sequences of 512 bp for the reference and for ours, and of 10 kb for ours."""


def convnet(folder: Path) -> Path:
    from bend_hf.models.convnet import ConvNetConfig, ConvNetModel

    tiny_models.with_ids(folder, {"[PAD]": 0, "a": 3, "c": 4, "g": 5, "t": 6})
    config = ConvNetConfig(vocab_size=9, hidden_size=WIDTH, n_layers=6)
    torch.manual_seed(0)
    ConvNetModel(config).save_pretrained(folder)
    return folder


def awd_lstm(folder: Path) -> Path:
    from bend_hf.models.awd_lstm import AWDLSTMConfig, AWDLSTMModel

    tiny_models.with_ids(folder, {"[PAD]": 0, "a": 8, "c": 9, "g": 10, "t": 11})
    torch.manual_seed(0)
    AWDLSTMModel(AWDLSTMConfig(vocab_size=14, num_hidden_layers=3)).save_pretrained(folder)
    return folder


CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "dnabert": lambda folder: tiny_models.dnabert(folder, layers=4, width=WIDTH),
    "esm": lambda folder: tiny_models.esm(folder, layers=4, width=WIDTH),
    "bpe": lambda folder: tiny_models.bpe(folder, layers=4, width=WIDTH, context=2048),
    "convnet": convnet,
    "awd-lstm": awd_lstm,
}
VARIANTS: dict[str, Callable[[Path], Path]] = CHECKPOINTS | {
    "llama": lambda folder: tiny_models.llama(folder, layers=4, width=WIDTH)
}
CAUSAL = ("awd-lstm", "llama")
TITLES = {
    "dnabert": "overlapping 6-mers",
    "esm": "6-mers",
    "bpe": "BPE",
    "convnet": "ConvNet",
    "awd-lstm": "AWD-LSTM",
    "llama": "causal transformer",
}


# The reference.


class Plain:
    """One sequence at a time: tokenizer, eager float32 model, pieces that abut, vectors repeated to nucleotides."""

    def __init__(self, name: str, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

        from bend_hf import models

        models.register()
        self.name = name
        native = name in ("convnet", "awd-lstm")
        self.tokenizer = (PreTrainedTokenizerFast if native else AutoTokenizer).from_pretrained(folder)
        options = {} if native else {"attn_implementation": "eager"}
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32, **options).eval()
        self.content = {"dnabert": 510, "esm": 999, "bpe": 2046}.get(name, 10**9)

    def text(self, sequence: str) -> str:
        if self.name != "dnabert":
            return sequence
        return " ".join(sequence[i : i + 6] for i in range(len(sequence) - 5))

    def ids(self, sequence: str) -> list[int]:
        return self.tokenizer(self.text(sequence))["input_ids"]

    def forward(self, ids: Sequence[int]) -> torch.Tensor:
        batch = torch.tensor([ids])
        return self.steps(batch) if self.name == "awd-lstm" else self.model(input_ids=batch).last_hidden_state[0]

    def steps(self, ids: torch.Tensor) -> torch.Tensor:
        """The recurrent model nucleotide by nucleotide, as its original code goes."""
        x = self.model.embedding(ids)[0]
        for layer in self.model.encoder.lstm:
            width = layer.weight_raw.shape[1]
            h, c, out = x.new_zeros(1, width), x.new_zeros(1, width), []
            for step in x[:, None]:
                gates = layer.module.i2h(step) + torch.addmm(layer.module.h2h.bias, h, layer.weight_raw.t())
                i, f, o = torch.sigmoid(gates[:, : 3 * width]).chunk(3, 1)
                c = f * c + i * torch.tanh(gates[:, 3 * width :])
                h = o * torch.tanh(c)
                out.append(h)
            x = torch.cat(out)
        return x

    @torch.no_grad()
    def embed(self, sequences: Sequence[str]) -> Iterator[np.ndarray]:
        for sequence in sequences:
            tokens = self.tokenizer.tokenize(self.text(sequence))
            ids = self.tokenizer.convert_tokens_to_ids(tokens)
            front, behind = {"dnabert": ([2], [3]), "esm": ([3], []), "bpe": ([1], [2])}.get(self.name, ([], []))
            pieces = []
            for start in range(0, len(ids), self.content):
                hidden = self.forward([*front, *ids[start : start + self.content], *behind])
                pieces.append(hidden[len(front) : len(hidden) - len(behind)].numpy())
            vectors = np.concatenate(pieces)
            if self.name == "dnabert":
                yield np.concatenate([vectors[:1]] * 2 + [vectors] + [vectors[-1:]] * 3)
            else:
                yield np.repeat(vectors, [len(token) for token in tokens], axis=0)


# Measuring.


def rate(work: Callable[[], Any], amount: int, repeats: int = 2) -> float:
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = max(best, amount / (time.perf_counter() - start))
    return best


def exhaust(iterator: Iterator[Any]) -> None:
    for _ in iterator:
        pass


def ceiling(dtype: torch.dtype) -> float:
    """Floating-point operations per second of large matrix products."""
    a, b = torch.randn(2, 1024, 1024).to(dtype)
    a @ b
    return rate(lambda: [a @ b for _ in range(20)], 20 * 2 * 1024**3, 3)


def tokenisation(folders: dict[str, Path], nucleotides: int) -> list[Row]:
    rows = []
    sequences = [tiny_models.dna(512, i) for i in range(max(2, nucleotides // 512))]
    for name, title in (("convnet", "characters"), ("esm", "6-mers"), ("dnabert", "overlapping 6-mers")):
        plain, scheme = Plain(name, folders[name]), Embedder.from_pretrained(str(folders[name])).scheme
        some = sequences[: max(1, len(sequences) // 8)]
        reference = rate(lambda p=plain, s=some: [p.ids(x) for x in s], 512 * len(some))
        ours = rate(lambda s=scheme: s.encode(sequences), 512 * len(sequences))
        rows.append((f"tokenise, {title}", reference, ours, "nt/s"))
    return rows


def inputs(name: str, size: str) -> dict[str, list[str]]:
    """Sequences for ours; the reference, whose speed does not depend on their number, gets the first few."""
    _, many, long = SIZES[size]
    long = 26 if name == "awd-lstm" and size != "tiny" else long  # as many as step side by side
    return {
        "512 bp": [tiny_models.dna(512, i) for i in range(many)],
        "10 kb": [tiny_models.dna(10_000, i) for i in range(long)],
    }


def reference_rates(name: str, folder: Path, size: str) -> dict[str, tuple[float, float]]:
    """Nucleotides per second of the reference: to vectors, and to a gzipped tar of them."""
    plain, rates, labels = Plain(name, folder), {}, np.zeros(1, np.int64)
    few = SIZES[size][0]
    for what, sequences in inputs(name, size).items():
        some = sequences[: max(1, few if what == "512 bp" else few // 24)]
        some = some[: max(1, len(some) // 8)] if name == "awd-lstm" else some
        amount, repeats = sum(map(len, some)), 1 if name == "awd-lstm" else 2
        exhaust(plain.embed(some[:1]))
        alone = rate(lambda s=some: exhaust(plain.embed(s)), amount, repeats)
        with tempfile.TemporaryDirectory() as root:
            stored = rate(
                lambda s=some, r=root: write_tar(Path(r) / "vectors.tar.gz", ((x, labels) for x in plain.embed(s))),
                amount,
                repeats,
            )
        rates[what] = alone, stored
    return rates


def embedding(name: str, folder: Path, size: str, aside: Executor) -> list[Row]:
    theirs = aside.submit(reference_rates, name, folder, size).result()
    half = native_half(torch.device("cpu"))
    rows, rates = [], {}
    exact = Embedder.from_pretrained(str(folder), dtype="float32", device="cpu")
    embedders = {"float32": exact}
    if half is not None:
        embedders["bfloat16"] = Embedder.from_pretrained(str(folder), dtype="bfloat16", device="cpu")
    for what, sequences in inputs(name, size).items():
        amount = sum(map(len, sequences))
        for precision, embedder in embedders.items():
            exhaust(embedder.embed(sequences[:8]))
            ours = rates[what, precision] = rate(lambda e=embedder, s=sequences: exhaust(e.embed(s)), amount)
            with tempfile.TemporaryDirectory() as root:
                new = map(str, count())
                stored = rate(
                    lambda e=embedder, s=sequences, r=root, n=new: fill(e, s, store_dir=Path(r) / next(n)), amount
                )
            rows.append((f"embed {TITLES[name]}, {what}, {precision}", theirs[what][0], ours, "nt/s"))
            rows.append((f"… end to end, {TITLES[name]}, {what}, {precision}", theirs[what][1], stored, "nt/s"))
    if half is not None and name not in ("awd-lstm",):
        weights = sum(p.numel() for n, p in exact.loaded.model.named_parameters() if p.ndim > 1 and "embed" not in n)
        sequences = inputs(name, size)["512 bp"]
        tokens = exact.count_tokens(sequences).sum() / sum(map(len, sequences))
        used = rates["512 bp", "bfloat16"] * tokens * 2 * weights / 1e9
        rows.append((f"{TITLES[name]}: of the bfloat16 ceiling", ceiling(half) / 1e9, used, "GFLOP/s"))
    return rows


def variant_rows(amount: int) -> list[dict[str, Any]]:
    made = []
    for i in range(amount):
        context = tiny_models.dna(1024, i)
        alt = context[:512] + ("A" if context[512] != "A" else "C") + context[513:]
        made.append(
            {"chromosome": "1", "start": i, "ref_sequence": context, "alt_sequence": alt, "variant_offset": 512}
        )
    return made


def reference_variants(name: str, folder: Path, amount: int) -> float:
    """Variants per second of the reference."""
    plain, rows = Plain(name, folder), variant_rows(amount)
    start, at = (1, 511) if name in CAUSAL else (256, 256)

    def loop() -> None:
        for row in rows:
            a, b = plain.embed([row[key][start : start + 512] for key in ("ref_sequence", "alt_sequence")])
            1 - a[at] @ b[at] / np.linalg.norm(a[at]) / np.linalg.norm(b[at])

    return rate(loop, amount)


def variants(name: str, folder: Path, size: str, aside: Executor) -> Row:
    import datasets

    few, many, _ = SIZES[size]
    theirs = aside.submit(reference_variants, name, folder, few).result()
    dataset = datasets.Dataset.from_list(variant_rows(many))
    embedder = Embedder.from_pretrained(str(folder), device="cpu")
    score_variants(embedder, dataset.select(range(2)), protocol=get_protocol("default"))
    ours = rate(lambda: score_variants(embedder, dataset, protocol=get_protocol("default")), many)
    return (f"variants, {TITLES[name]}", theirs, ours, "variants/s")


def memory(folder: Path, size: str) -> Row:
    """Peak memory of the process after n sequences, and after four times as many."""
    embedder = Embedder.from_pretrained(str(folder), device="cpu")
    fewer = max(8_192, 128 * SIZES[size][1])
    peaks = []
    for n in (fewer, 4 * fewer):
        exhaust(embedder.embed(tiny_models.dna(120, i % 50) for i in range(n)))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return (f"peak memory, {fewer:,} sequences and {4 * fewer:,}", peaks[0], peaks[1], "MB")


def run(size: str = "small") -> list[Row]:
    """Return rows of (what, reference's value, ours, unit)."""
    spawn = get_context("spawn")
    with tempfile.TemporaryDirectory() as root, ProcessPoolExecutor(1, mp_context=spawn) as aside:
        folders = {name: make(Path(root) / name) for name, make in CHECKPOINTS.items()}
        rows = [memory(folders["esm"], size)]
        rows += tokenisation(folders, 512 * 16 * SIZES[size][1])
        for name, folder in folders.items():
            rows += embedding(name, folder, size, aside)
        folders |= {"llama": VARIANTS["llama"](Path(root) / "llama")}
        return rows + [variants(name, folders[name], size, aside) for name in VARIANTS if name != "bpe"]


def profile(name: str) -> None:
    """Print where the time of embedding 512-bp sequences goes, by operator."""
    with tempfile.TemporaryDirectory() as root:
        embedder = Embedder.from_pretrained(str(CHECKPOINTS[name](Path(root) / name)), device="cpu")
        sequences = [tiny_models.dna(512, i) for i in range(64)]
        exhaust(embedder.embed(sequences))
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
            exhaust(embedder.embed(sequences[:8]))
        print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=40))


if __name__ == "__main__":
    if sys.argv[1:2] == ["profile"]:
        profile(sys.argv[2])
    else:
        main(run)
