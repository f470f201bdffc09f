"""Sequences to vectors: tokenisation, embedding at 512 bp and 10 kb, variants, memory; and a profile of what is left.

    python tests/benchmarks/embedding.py                  # the table
    python tests/benchmarks/embedding.py profile esm      # where a batch's time goes

The reference side is what BEND does, written here in plain form and tuned as far as its form allows: one sequence at
a time through the tokenizer of transformers and the model in float32 with eager attention, vectors upsampled to
nucleotides. Ours runs the same checkpoint, in float32 and in the precision it would choose. Models have random
weights: 4 layers of 256 (ConvNet 6, AWD-LSTM 3 layers of 512).

"embed" is sequences to vectors in memory. "end to end" is sequences to what training reads: a gzipped tar of the
upsampled vectors there, from the same passes; a store of token vectors here. The reference runs in a process of its
own, so that it meets none of what ours asks of the allocator.

Sizes are each model's own (`SMALL`; four times that in ``medium``): ours gets sequences for a few full batches, so that
they run side by side (AWD-LSTM as many as step at once), and variants for some seconds, since each call begins with a
pass to look at the model; the reference, whose speed does not depend on their number, gets the first few, for about
half a second or more on a slow processor. Each figure is the better of two turns, or the first where that took two
seconds. Peak memory is that of a model of one layer.

"Of the ceiling" sets what the model's weights are multiplied by, two operations for each weight and token, beside the
rate of large products of matrices in the same type, measured just before. "Attention's products too" counts what
attention multiplies as well, as the model FLOPs utilisation of Chowdhery et al. (PaLM, 2022, appendix B) does. In
both a token counts once, however many windows it stands in: overlap is time that shows as a lower share. "If all were
products at the ceiling" is what variants in float32 could reach beside the reference on this processor, at most.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Counts:
    """How many sequences of 512 bp, long ones and variants, for the reference and for ours."""

    short: tuple[int, int]
    long: tuple[int, int]
    variants: tuple[int, int]

    def times(self, factor: int) -> Counts:
        """So many times as many."""
        return Counts(*((factor * few, factor * many) for few, many in (self.short, self.long, self.variants)))


SMALL = {
    "dnabert": Counts((12, 48), (1, 2), (8, 96)),
    "esm": Counts((56, 288), (4, 12), (24, 384)),
    "bpe": Counts((40, 144), (1, 6), (24, 96)),
    "convnet": Counts((18, 48), (1, 2), (8, 96)),
    "awd-lstm": Counts((2, 64), (1, 26), (1, 96)),  # 26 long ones are as many as step side by side
    "llama": Counts((12, 48), (1, 2), (8, 96)),
}
SIZES = {
    "tiny": dict.fromkeys(SMALL, Counts((1, 4), (1, 1), (1, 4))),
    "small": SMALL,
    "medium": {name: counts.times(4) for name, counts in SMALL.items()},
}
SEQUENCES = {"tiny": 256, "small": 8_192, "medium": 32_768}
"""Of which the peak memory is looked at, and of four times as many; a stream's buffer holds about 3,300."""
ENOUGH = 2.0
"""Seconds that are measured once."""


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
    """Amount per second: the best of some turns, or the first that takes `ENOUGH`."""
    best = 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        took = time.perf_counter() - start
        best = max(best, amount / took)
        if took >= ENOUGH:
            break
    return best


def exhaust(iterator: Iterator[Any]) -> None:
    for _ in iterator:
        pass


def ceiling(dtype: torch.dtype, size: str) -> float:
    """Floating-point operations per second of large matrix products."""
    side = 256 if size == "tiny" else 2048  # 1024 reached 0.94 of it on a Cascade Lake with two cores, 3072 no more
    a, b = torch.randn(2, side, side).to(dtype)
    a @ b
    return rate(lambda: [a @ b for _ in range(4)], 4 * 2 * side**3, 3)


def worked(embedder: Embedder, sequences: Sequence[str], rate: float) -> tuple[float, float]:
    """Floating-point operations per second at so many nucleotides per second: of the weights, and of attention."""
    model = embedder.loaded.model
    weights = sum(p.numel() for n, p in model.named_parameters() if p.ndim > 1 and "embed" not in n)
    tokens = embedder.count_tokens(sequences)
    most = embedder.limits.context or int(tokens.max())
    attends = hasattr(model.config, "num_attention_heads")
    # Per token and layer: queries by keys and shares by values, each as wide as the model, for every token of a window.
    pairs = 4 * model.config.num_hidden_layers * model.config.hidden_size * np.minimum(tokens, most) if attends else 0
    per_nucleotide = rate / sum(map(len, sequences))
    return 2 * weights * tokens.sum() * per_nucleotide, float((pairs * tokens).sum()) * per_nucleotide


def tokenisation(folders: dict[str, Path], nucleotides: int) -> list[Row]:
    rows = []
    sequences = [tiny_models.dna(512, i) for i in range(max(2, nucleotides // 512))]
    for name, title in (("convnet", "characters"), ("esm", "6-mers"), ("dnabert", "overlapping 6-mers")):
        plain, scheme = Plain(name, folders[name]), Embedder.from_pretrained(str(folders[name])).scheme
        some = sequences[: max(1, len(sequences) // 8)]
        reference = rate(lambda p=plain, s=some: [p.ids(x) for x in s], 512 * len(some))
        ours = rate(lambda s=scheme: [s.encode(sequences) for _ in range(4)], 4 * 512 * len(sequences))
        rows.append((f"tokenise, {title}", reference, ours, "nt/s"))
    return rows


def inputs(name: str, size: str) -> dict[str, tuple[int, list[str]]]:
    """Sequences for ours, by length, and how many of them the reference gets."""
    counts = SIZES[size][name]
    lengths = {"512 bp": 512, "2 kb": 2_000} if size == "tiny" else {"512 bp": 512, "10 kb": 10_000}
    return {
        what: (few, [tiny_models.dna(length, i) for i in range(many)])
        for (what, length), (few, many) in zip(lengths.items(), (counts.short, counts.long), strict=True)
    }


def reference_rates(name: str, folder: Path, size: str) -> dict[str, tuple[float, float]]:
    """Nucleotides per second of the reference: to vectors, and to a gzipped tar of them, from the same passes."""
    plain, rates, labels = Plain(name, folder), {}, np.zeros(1, np.int64)
    exhaust(plain.embed([tiny_models.dna(512, 0)]))
    for what, (few, sequences) in inputs(name, size).items():
        some = sequences[:few]
        amount = sum(map(len, some))
        alone = stored = took = 0.0
        for _ in range(2):
            if took >= ENOUGH:
                break
            spent: list[float] = []
            with tempfile.TemporaryDirectory() as root:
                start = time.perf_counter()
                vectors = watched(plain.embed(some), spent)
                write_tar(Path(root) / "vectors.tar.gz", ((x, labels) for x in vectors))
                took = time.perf_counter() - start
            alone, stored = max(alone, amount / sum(spent)), max(stored, amount / took)
        rates[what] = alone, stored
    return rates


def watched(iterator: Iterator[np.ndarray], spent: list[float]) -> Iterator[np.ndarray]:
    """What an iterator gives, and, to `spent`, the seconds in it."""
    while True:
        start = time.perf_counter()
        one = next(iterator, None)
        spent.append(time.perf_counter() - start)
        if one is None:
            return
        yield one


def embedding(name: str, folder: Path, size: str, aside: Executor) -> list[Row]:
    theirs = aside.submit(reference_rates, name, folder, size).result()
    dtypes = {str(it).removeprefix("torch."): it for it in (torch.float32, native_half(torch.device("cpu"))) if it}
    shown = {} if name == "awd-lstm" else dtypes  # which steps: its products are no large ones
    most = {it: ceiling(dtype, size) for it, dtype in shown.items()}
    embedders = {it: Embedder.from_pretrained(str(folder), dtype=it, device="cpu") for it in dtypes}
    rows, shares = [], []
    for what, (_, sequences) in inputs(name, size).items():
        amount = sum(map(len, sequences))
        for precision, embedder in embedders.items():
            exhaust(embedder.embed(sequences))  # a first batch like these runs alone, to see what memory it takes
            ours = rate(lambda e=embedder, s=sequences: exhaust(e.embed(s)), amount)
            with tempfile.TemporaryDirectory() as root:
                new = map(str, count())
                stored = rate(
                    lambda e=embedder, s=sequences, r=root, n=new: fill(e, s, store_dir=Path(r) / next(n)), amount
                )
            rows.append((f"embed {TITLES[name]}, {what}, {precision}", theirs[what][0], ours, "nt/s"))
            rows.append((f"… end to end, {TITLES[name]}, {what}, {precision}", theirs[what][1], stored, "nt/s"))
            if precision in shown:
                title = TITLES[name] if what == "512 bp" else f"{TITLES[name]}, {what}"
                of_weights, of_attention = (it / 1e9 for it in worked(embedder, sequences, ours))
                limit = most[precision] / 1e9
                shares.append((f"{title}: of the {precision} ceiling", limit, of_weights, "GFLOP/s"))
                if of_attention:
                    used = of_weights + of_attention
                    shares.append((f"… attention's products too, {title}, {precision}", limit, used, "GFLOP/s"))
    return rows + shares


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


def variants(name: str, folder: Path, size: str, aside: Executor) -> list[Row]:
    import datasets

    few, many = SIZES[size][name].variants
    theirs = aside.submit(reference_variants, name, folder, few).result()
    dataset = datasets.Dataset.from_list(variant_rows(many))
    embedder = Embedder.from_pretrained(str(folder), device="cpu")
    score_variants(embedder, dataset.select(range(2)), protocol=get_protocol("default"))
    ours = rate(lambda: score_variants(embedder, dataset, protocol=get_protocol("default")), many)
    rows = [(f"variants, {TITLES[name]}", theirs, ours, "variants/s")]
    if name not in CAUSAL:  # to which both alleles' windows are all that there is to compute
        work = sum(worked(embedder, [tiny_models.dna(512, 0)], 2 * 512))
        most = ceiling(torch.float32, size) / work
        rows.append((f"… if all were products at the ceiling, {TITLES[name]}", theirs, most, "variants/s"))
    return rows


def memory(folder: Path, size: str) -> Row:
    """Peak memory of the process after n sequences, and after four times as many."""
    embedder = Embedder.from_pretrained(str(folder), device="cpu")
    fewer = SEQUENCES[size]
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
        rows = [memory(tiny_models.esm(Path(root) / "one layer", layers=1, width=WIDTH), size)]
        rows += tokenisation(folders, 512 * {"tiny": 64, "small": 6_144, "medium": 16_384}[size])
        for name, folder in folders.items():
            rows += embedding(name, folder, size, aside)
        folders |= {"llama": VARIANTS["llama"](Path(root) / "llama")}
        return rows + [row for name in VARIANTS if name != "bpe" for row in variants(name, folders[name], size, aside)]


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
