"""Sequences to vectors: tokenisation, embedding at 512 bp and 10 kb, variants, memory; and a profile of what is left.

    python tests/benchmarks/embedding.py                  # the table
    python tests/benchmarks/embedding.py profile esm      # where a batch's time goes

The reference side is what BEND does, written here in plain form and tuned as far as its form allows: one sequence at
a time through the tokenizer of transformers and the model in float32 with eager attention, vectors upsampled to
nucleotides. Ours runs the same checkpoint, in float32 and in the precision it would choose. Models have random
weights: 4 layers of 256 (ConvNet 6, AWD-LSTM 3 layers of 512).
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from table import Row, main

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.network import native_half
from bend_hf.protocols import get_protocol
from bend_hf.zero_shot.variants import score_variants

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tiny_models

WIDTH = 256
SIZES = {"tiny": (2, 4, 1), "small": (24, 96, 4), "medium": (64, 512, 16)}
"""Sequences of 512 bp for the reference and for ours, and of 10 kb."""


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
TITLES = {"dnabert": "overlapping 6-mers", "esm": "6-mers", "bpe": "BPE", "convnet": "ConvNet", "awd-lstm": "AWD-LSTM"}


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


def embedding(name: str, folder: Path, size: str) -> list[Row]:
    few, many, long = SIZES[size]
    plain = Plain(name, folder)
    half = native_half(torch.device("cpu"))
    rows, rates = [], {}
    exact = Embedder.from_pretrained(str(folder), dtype="float32", device="cpu")
    embedders = {"float32": exact}
    if half is not None:
        embedders["bfloat16"] = Embedder.from_pretrained(str(folder), dtype="bfloat16", device="cpu")
    few = max(1, few // 8) if name == "awd-lstm" else few
    inputs = {
        "512 bp": [tiny_models.dna(512, i) for i in range(many)],
        "10 kb": [tiny_models.dna(10_000, i) for i in range(long)],
    }
    for what, sequences in inputs.items():
        some = sequences[:few] if what == "512 bp" else sequences[: max(1, len(sequences) // 4)]
        exhaust(plain.embed(some[:1]))
        reference = rate(lambda s=some: exhaust(plain.embed(s)), sum(map(len, some)), 1 if name == "awd-lstm" else 2)
        for precision, embedder in embedders.items():
            exhaust(embedder.embed(sequences[:2]))
            ours = rate(lambda e=embedder, s=sequences: exhaust(e.embed(s)), sum(map(len, sequences)))
            rates[what, precision] = ours
            rows.append((f"embed {TITLES[name]}, {what}, {precision}", reference, ours, "nt/s"))
    if half is not None and name not in ("awd-lstm",):
        weights = sum(p.numel() for n, p in exact.loaded.model.named_parameters() if p.ndim > 1 and "embed" not in n)
        tokens = exact.count_tokens(inputs["512 bp"]).sum() / (512 * many)
        used = rates["512 bp", "bfloat16"] * tokens * 2 * weights / 1e9
        rows.append((f"{TITLES[name]}: of the bfloat16 ceiling", ceiling(half) / 1e9, used, "GFLOP/s"))
    return rows


def variants(name: str, folder: Path, size: str) -> Row:
    import datasets

    few, many, _ = SIZES[size]
    made = []
    for i in range(many):
        context = tiny_models.dna(1024, i)
        alt = context[:512] + ("A" if context[512] != "A" else "C") + context[513:]
        made.append(
            {"chromosome": "1", "start": i, "ref_sequence": context, "alt_sequence": alt, "variant_offset": 512}
        )
    dataset = datasets.Dataset.from_list(made)
    plain = Plain(name, folder)

    def loop() -> None:
        for row in made[:few]:
            a, b = plain.embed([row[key][256:768] for key in ("ref_sequence", "alt_sequence")])
            1 - a[256] @ b[256] / np.linalg.norm(a[256]) / np.linalg.norm(b[256])

    embedder = Embedder.from_pretrained(str(folder), device="cpu")
    score_variants(embedder, dataset.select(range(2)), protocol=get_protocol("default"))
    ours = rate(lambda: score_variants(embedder, dataset, protocol=get_protocol("default")), many)
    return (f"variants, {TITLES[name]}", rate(loop, few), ours, "variants/s")


def memory(folder: Path, size: str) -> Row:
    """Peak memory of the process after n sequences, and after four times as many."""
    embedder = Embedder.from_pretrained(str(folder), device="cpu")
    count = max(8_192, 128 * SIZES[size][1])
    peaks = []
    for n in (count, 4 * count):
        exhaust(embedder.embed(tiny_models.dna(120, i % 50) for i in range(n)))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return (f"peak memory, {count:,} sequences and {4 * count:,}", peaks[0], peaks[1], "MB")


def run(size: str = "small") -> list[Row]:
    """Return rows of (what, reference's value, ours, unit)."""
    with tempfile.TemporaryDirectory() as root:
        folders = {name: make(Path(root) / name) for name, make in CHECKPOINTS.items()}
        rows = [memory(folders["esm"], size)]
        rows += tokenisation(folders, 512 * 16 * SIZES[size][1])
        for name, folder in folders.items():
            rows += embedding(name, folder, size)
        return rows + [variants(name, folders[name], size) for name in ("dnabert", "esm", "convnet")]


def profile(name: str) -> None:
    """Print where the time of embedding 512-bp sequences goes, by operator."""
    with tempfile.TemporaryDirectory() as root:
        embedder = Embedder.from_pretrained(str(CHECKPOINTS[name](Path(root) / name)), device="cpu")
        sequences = [tiny_models.dna(512, i) for i in range(64)]
        exhaust(embedder.embed(sequences))
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
            exhaust(embedder.embed(sequences))
        print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=40))


if __name__ == "__main__":
    if sys.argv[1:2] == ["profile"]:
        profile(sys.argv[2])
    else:
        main(run)
