"""What a GPU does: exactness beside the CPU, speed beside the card's own ceiling, heads, memory, several processes.

    python tests/benchmarks/gpu.py                          # one card, under five minutes
    python tests/benchmarks/gpu.py --only forward --json gpu.json
    python tests/benchmarks/gpu.py --device cpu --tiny      # whether the script runs, anywhere

Nothing but the checkout is needed: models have published sizes and random weights. A section, or a model in one, that
fails prints one line that says why, and the next one runs; what the budget leaves no time for is named.

The ceiling is measured, not quoted: products of 8,192 x 8,192 matrices of random bfloat16. *Of the ceiling* counts the
arithmetic of matrix products, convolutions and attention in the batches that were run, as torch counts it; Fourier
transforms, scans, norms and activations count as nothing, so a model that lives on those has a small share by nature.
*Forward* is batch after batch on the card; *end to end* is from sequences to vectors in main memory, and *waiting* is
the part of it in which the card had nothing to compute. Every figure is the median of several sustained runs, warm.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import published_models
import torch
import training
from torch.utils.flop_counter import FlopCounterMode

from bend_hf import models
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.network import Network
from bend_hf.embed.store import Store
from bend_hf.protocols import get_protocol
from bend_hf.runtime import prefetch
from bend_hf.tasks import TASKS
from bend_hf.train.batches import Split, load, micro_batches, nucleotides, steps
from bend_hf.train.fit import Fitted, fit
from bend_hf.train.processes import numbered

GOLDENS = Path(__file__).resolve().parent.parent / "models" / "goldens"
LENGTHS = {"512 bp": 512, "10 kb": 10_000}
RUNS = 5
SUSTAINED = 0.8
"""Seconds that one timed run should take at least."""
SLOW = 4.0
"""Seconds for one batch, beyond which a model is timed once."""

Values = dict[str, float | str]
Row = tuple[str, Values]


@dataclass
class Bench:
    """Where and how long it runs.

    Attributes:
        device: What is measured.
        tiny: Two narrow layers and a few rows: whether it runs at all.
        until: When to begin nothing new, as `time.monotonic` has it.
        folder: For files that are made on the way.
        ceiling: Floating-point operations per second of large bfloat16 products; 0 before it is measured.
    """

    device: torch.device
    tiny: bool
    until: float
    folder: Path
    ceiling: float = 0.0
    made: dict[str, Embedder] = field(default_factory=dict)

    def model(self, name: str) -> Embedder:
        """Make a model of a published size, once; another one takes its place."""
        if name not in self.made:
            self.made.clear()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self.made[name] = published_models.make(name, self.device, self.folder, self.tiny)
        return self.made[name]

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], Any], runs: int = RUNS) -> float:
        """Return how long some work takes, warm: the median of several runs, of fewer where one takes very long."""
        work()
        self.wait()
        taken: list[float] = []
        began = time.perf_counter()
        while len(taken) < runs and (not taken or time.perf_counter() - began < 10):
            start = time.perf_counter()
            work()
            self.wait()
            taken.append(time.perf_counter() - start)
        return statistics.median(taken)

    def sustained(self, work: Callable[[], Any], runs: int = RUNS) -> float:
        """Return how long some work takes when it is repeated for `SUSTAINED` seconds at least."""
        times = 1 if self.tiny else max(1, round(SUSTAINED / max(self.seconds(work, 1), 1e-6)))
        return (
            self.seconds(lambda: exhaust(work() for _ in range(times)), runs) / times
        )  # what it gives is let go at once

    def peak(self, work: Callable[[], Any]) -> float:
        """Return the most memory, in bytes, that torch held on the card at once while some work was done."""
        if self.device.type != "cuda":
            work()
            return 0.0
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        self.wait()
        return float(torch.cuda.max_memory_allocated(self.device))


def exhaust(iterator: Iterator[Any]) -> None:
    """Go through an iterator."""
    for _ in iterator:
        pass


def sequences(length: int, count: int) -> list[str]:
    """Return random DNA."""
    letters = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, (count, length))]
    return [row.tobytes().decode() for row in letters]


def apart(some: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference, relative to the root mean square of `other`."""
    some, other = some.cpu().double(), other.cpu().double()
    return float((some - other).abs().max() / other.square().mean().sqrt())


def cosine(some: torch.Tensor, other: torch.Tensor) -> float:
    """Return the least cosine between vectors."""
    return float(torch.cosine_similarity(some.cpu().double(), other.cpu().double(), dim=-1).min())


# The sections: each yields rows of (what, values by name).


def card(bench: Bench) -> Iterator[Row]:
    """The card and its ceilings."""
    size = 512 if bench.tiny else 8192
    a, b = (torch.randn(size, size, device=bench.device) for _ in range(2))
    rate: dict[str, float] = {}
    for dtype in (torch.bfloat16, torch.float32):
        x, y = a.to(dtype), b.to(dtype)
        rate[str(dtype)] = 2 * size**3 / bench.sustained(partial(torch.matmul, x, y))
    bench.ceiling = rate["torch.bfloat16"]
    shown: Values = {"torch": torch.__version__, "bf16 TFLOP/s": rate["torch.bfloat16"] / 1e12}
    shown["fp32 TFLOP/s"] = rate["torch.float32"] / 1e12
    if bench.device.type == "cuda":
        block = torch.empty(2**28, dtype=torch.float32, device=bench.device)
        shown["copy GB/s"] = 2 * block.nbytes / bench.sustained(block.clone) / 1e9
        part = block[: 2**26]
        shown["to main memory GB/s"] = part.nbytes / bench.sustained(part.cpu) / 1e9
        pinned = torch.empty(part.shape, pin_memory=True)
        shown["pinned GB/s"] = part.nbytes / bench.sustained(partial(pinned.copy_, part)) / 1e9
        shown["cards"] = float(torch.cuda.device_count())
    name = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "CPU"
    yield name, shown


def exactness(bench: Bench) -> Iterator[Row]:
    """Every native architecture on the device beside the CPU, on the inputs of its golden file."""
    for folder in sorted(path.parent for path in GOLDENS.glob("*/config.json")):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        ids = torch.from_numpy(np.load(folder / "golden.npz")["input_ids"])
        cpu = torch.device("cpu")
        try:
            exact = golden(folder, config, torch.float32, cpu, ids)
            single = golden(folder, config, torch.float32, bench.device, ids)
            half = golden(folder, config, torch.bfloat16, bench.device, ids)
            values: Values = {"fp32 apart": apart(single, exact), "bf16 least cosine": cosine(half, exact)}
            values["bf16 on the CPU"] = cosine(golden(folder, config, torch.bfloat16, cpu, ids), exact)
            again = golden(folder, config, torch.float32, bench.device, ids)
            yield folder.name, values | {"again": "same bits" if torch.equal(again, single) else "other bits"}
        except Exception as error:
            yield folder.name, {"failed": reason(error)}


def golden(folder: Path, config: Any, dtype: torch.dtype, device: torch.device, ids: torch.Tensor) -> torch.Tensor:
    """Return the vectors of a golden checkpoint on a device, in a dtype as the embedder runs it."""
    network = Network(models.load(folder, config), folder.name, device)
    if dtype != torch.float32:
        network.hold_weights_in(dtype)
    return network(ids).float()


def at_each_length(
    bench: Bench, names: Iterable[str], measure: Callable[[Bench, Embedder, int], Values]
) -> Iterator[Row]:
    """Measure models at each of `LENGTHS`, as far as the budget goes."""
    for name in names:
        for what, length in LENGTHS.items():
            if time.monotonic() > bench.until:
                yield f"{name}, {what}", {"left out": "the budget is spent"}
                continue
            try:
                yield f"{name}, {what}", measure(bench, bench.model(name), length)
            except Exception as error:
                yield f"{name}, {what}", {"failed": reason(error)}


def forward(bench: Bench) -> Iterator[Row]:
    """Models of published sizes: share of the ceiling, end to end, memory, agreement with the CPU."""
    yield from at_each_length(bench, published_models.MODELS, one_forward)


def one_forward(bench: Bench, embedder: Embedder, length: int) -> Values:
    """Measure one model at one length."""
    per_sequence = int(embedder.count_tokens(sequences(length, 1))[0])
    some = sequences(length, 4 if bench.tiny else max(1, embedder.batch_tokens // per_sequence))
    batches = recorded(embedder, some)
    start = time.perf_counter()
    exhaust(embedder.embed(some))
    once = time.perf_counter() - start
    if once > SLOW and not bench.tiny:
        return {"dtype": embedder.dtype, "end to end Mnt/s": length * len(some) / once / 1e6, "runs": "one; it is slow"}
    more = 1 if bench.tiny else max(1, min(8, round(SUSTAINED / once)))
    many = sequences(length, more * len(some))
    batches = recorded(embedder, many) if more > 1 else batches
    seconds = bench.seconds(lambda: exhaust(embedder.network.hidden(*batch) for batch in batches))
    whole = bench.seconds(lambda: exhaust(embedder.embed(many)))
    work = sum(arithmetic(embedder, *batch) for batch in batches)
    nt = length * len(many)
    values: Values = {"dtype": embedder.dtype + ("" if not embedder.network.autocast else ", autocast")}
    values |= {"Mnt/s": nt / seconds / 1e6, "TFLOP/s": work / seconds / 1e12}
    values["of the ceiling"] = f"{work / seconds / bench.ceiling:.1%}" if bench.ceiling else "not measured"
    values |= {"end to end Mnt/s": nt / whole / 1e6, "waiting": f"{max(0.0, 1 - seconds / whole):.0%}"}
    values["tokens a batch"] = float(embedder.batch_tokens)
    values["peak GB"] = bench.peak(lambda: exhaust(embedder.embed(some))) / 1e9
    alone = next(embedder.embed(some[:1])).vectors
    values["alone apart"] = apart(alone, next(embedder.embed(some)).vectors)
    return values


TRANSFORMERS = ("nt-v2-500m", "dnabert-2-117m", "llama-1.2b")


def compiled(bench: Bench) -> Iterator[Row]:
    """Transformers with layers through torch.compile, and where their time goes without it."""
    yield from at_each_length(bench, TRANSFORMERS, one_compiled)


def one_compiled(bench: Bench, embedder: Embedder, length: int) -> Values:
    """Measure one model at one length: plain, compiled, and the kernels that take longest."""
    per_sequence = int(embedder.count_tokens(sequences(length, 1))[0])
    some = sequences(length, 4 if bench.tiny else max(1, embedder.batch_tokens // per_sequence))
    batches = recorded(embedder, some)
    network = embedder.network

    def run() -> None:
        exhaust(network.hidden(*batch) for batch in batches)

    work = sum(arithmetic(embedder, *batch) for batch in batches)
    plain, values = bench.sustained(run, 3), busiest(bench, run)
    towers = [part for part in network.model.modules() if isinstance(part, torch.nn.ModuleList) and len(part) > 1]
    layers: list[Any] = [layer for tower in towers for layer in tower]
    for layer in layers:
        layer.compile(dynamic=True)  # once for all of one class
    try:
        start = time.perf_counter()
        run()
        bench.wait()
        first, fast = time.perf_counter() - start, bench.sustained(run, 3)
    finally:
        for layer in layers:
            layer._compiled_call_impl = None
    share = {"plain": plain, "compiled": fast}
    told: Values = {key: f"{work / taken / bench.ceiling:.1%}" for key, taken in share.items() if bench.ceiling}
    return told | {"faster": plain / fast, "first s": first} | values


def busiest(bench: Bench, work: Callable[[], None]) -> Values:
    """Return the share of the device's time that the kernels take that take longest."""
    activity = torch.profiler.ProfilerActivity
    kind = activity.CUDA if bench.device.type == "cuda" else activity.CPU
    with torch.profiler.profile(activities=[kind]) as profile:
        work()
        bench.wait()
    taken = {
        event.key: event.self_device_time_total if kind is activity.CUDA else event.self_cpu_time_total
        for event in profile.key_averages()
    }
    most = sorted(taken, key=lambda key: -taken[key])[:6]
    return {key[:60]: f"{taken[key] / sum(taken.values()):.0%}" for key in most}


def recorded(embedder: Embedder, some: list[str]) -> list[tuple[Any, ...]]:
    """Embed sequences, and return what the network was given, batch by batch."""
    given: list[tuple[Any, ...]] = []
    network: Any = embedder.network
    hidden = network.hidden

    def note(*batch: Any) -> Any:
        given.append(batch)
        return hidden(*batch)

    network.hidden = note
    try:
        exhaust(embedder.embed(some))
    finally:
        del network.hidden
    return given


def arithmetic(embedder: Embedder, ids: torch.Tensor, lengths: Any, layers: Any) -> float:
    """Return the floating-point operations of a batch, counted on one of its rows."""
    with FlopCounterMode(display=False, custom_mapping=dict.fromkeys(ATTENTION, _attention)) as counted:
        embedder.network.hidden(ids[:1], None if lengths is None else lengths[:1], layers)
    return float(counted.get_total_flops()) * len(ids)


ATTENTION = [
    getattr(torch.ops.aten, f"_scaled_dot_product_{kind}")
    for kind in (
        "flash_attention",
        "efficient_attention",
        "cudnn_attention",
        "flash_attention_for_cpu",
    )
]  # torch's own count knows no CPU, and no queries that share keys


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Operations of attention, from the shapes (B, heads, T, d): queries by keys, weights by values."""
    batch, count, tokens, width = query
    return 2 * batch * count * tokens * key[2] * (width + value[3])


def precision(bench: Bench) -> Iterator[Row]:
    """float32 of models of published sizes on the device beside the CPU: 512 bp, layers and all."""
    for name in published_models.MODELS:
        if time.monotonic() > bench.until:
            yield name, {"left out": "the budget is spent"}
            continue
        try:
            bench.made.clear()
            exact = published_models.make(name, bench.device, bench.folder, bench.tiny, dtype="float32")
            some = sequences(512, 2)
            here = [tokens.vectors for tokens in exact.embed(some)]
            exact.network.model.to("cpu")
            exact.network.device = torch.device("cpu")
            there = [tokens.vectors for tokens in exact.embed(some)]
            values: Values = {"fp32 apart": max(map(apart, here, there))}
            values["least cosine"] = min(map(cosine, here, there))
            yield name, values
        except Exception as error:
            yield name, {"failed": reason(error)}


@dataclass(frozen=True)
class Rows:
    """Stored vectors of random rows, and labels."""

    case: training.Case
    source: Store
    labels: Any

    def fit(self, bench: Bench, epochs: int, **options: Any) -> list[Fitted]:
        """Train heads on all rows."""
        rows = np.arange(len(self.source))
        splits = [Split(self.source, self.labels, part) for part in (rows, rows[:8], rows[:8])]
        return fit(
            self.case.task,
            train=splits[0],
            validation=splits[1],
            test=splits[2],
            protocol=get_protocol("default"),
            epochs=2 if bench.tiny else epochs,
            batch_size=self.case.batch_size,
            device=bench.device,
            **options,
        )

    def epoch(self, bench: Bench, **options: Any) -> float:
        """Return the seconds of a typical epoch, the first one left out."""
        taken = [entry["seconds"] for entry in self.fit(bench, 6, **options)[0].history]
        return statistics.median(taken[1:])


def rows_of(bench: Bench, number: int) -> Rows:
    """Make rows to train on, once: chromatin accessibility with 6-mers, or gene finding nucleotide by nucleotide."""
    chromatin, genes = TASKS["chromatin_accessibility"], TASKS["gene_finding"]
    wide = 16 if bench.tiny else 1024
    case = [
        training.Case("chromatin, 6-mers", chromatin, wide, "6-mer", (), 256),
        training.Case("gene finding, 1 nt per token", genes, wide // 4, "1-nt", (), 64),
    ][number]
    count = 8 if bench.tiny else (2560, 192)[number]
    vectors, labels = training.make(case, count, np.random.default_rng(0))
    source = training.store(bench.folder / f"rows-{number}", vectors, np.random.default_rng(1))
    return Rows(case, source, labels)


def heads(bench: Bench) -> Iterator[Row]:
    """Epochs of heads, five seeds beside one, reading beside an epoch, half precision."""
    for number in range(2):
        rows = rows_of(bench, number)
        name, count = rows.case.name, len(rows.source)
        values: Values = {"rows": float(count), "width": float(rows.case.dim)}
        kinds = ("fp32", "bf16") if bench.device.type == "cpu" else ("fp32", "bf16", "fp16")
        for kind in kinds:
            values[f"{kind} epoch s"] = rows.epoch(bench, precision=kind)
        yield f"epoch, {name}", values
        one, five = float(values["bf16 epoch s"]), rows.epoch(bench, precision="bf16", seeds=range(5))
        yield f"five seeds, {name}", {"epoch s": five, "beside five epochs of one": 5 * one / five}
        read = reading(bench, rows)
        yield f"reading, {name}", {"alone s": read, "of an epoch": f"{read / one:.0%}", "bound by it": str(read > one)}
        losses = {}
        for kind in kinds:
            fitted = rows.fit(bench, 3, precision=kind)[0]
            losses[kind] = float("nan") if fitted.failure else fitted.history[-1]["train_loss"]
        again = rows.fit(bench, 3, precision="fp32")[0].history[-1]["train_loss"]
        told: Values = {f"{kind} loss": loss for kind, loss in losses.items()}
        yield f"half precision, {name}", told | {"fp32 again": "same bits" if again == losses["fp32"] else f"{again}"}


def reading(bench: Bench, rows: Rows) -> float:
    """Return the seconds that an epoch's batches take to be read, as the loop reads them, with no heads to wait for."""
    task, split = rows.case.task, Split(rows.source, rows.labels, np.arange(len(rows.source)))
    sizes = nucleotides(task, split)
    cut = [micro_batches(step, sizes, 1 << 18) for step in steps(np.arange(len(sizes)), rows.case.batch_size)]
    read = partial(load, task, split, pin=bench.device.type == "cuda")

    def epoch() -> None:
        for micro in prefetch(read, chain.from_iterable(cut), 4, ahead=9):
            micro.batch.vectors.to(bench.device, non_blocking=True)

    return bench.seconds(epoch)


def layers(bench: Bench) -> Iterator[Row]:
    """All layers of one pass beside one layer."""
    embedder = bench.model("nt-v2-500m")
    some = sequences(512, 4 if bench.tiny else 2048)
    every = range((embedder.n_layers or 0) + 1)
    one = bench.seconds(lambda: exhaust(embedder.embed(some)))
    each = bench.seconds(lambda: exhaust(embedder.embed_layers(some, every)), 3)
    tokens = float(embedder.count_tokens(some).sum())
    size = tokens * embedder.dim * len(every) * torch.empty(0, dtype=embedder.network.dtype).element_size()
    yield (
        f"{len(every)} layers, nt-v2-500m",
        {"one s": one, "all s": each, "ratio": each / one, "GB/s": size / each / 1e9},
    )


def memory(bench: Bench) -> Iterator[Row]:
    """Whether memory grows with the number of sequences, and going on where it runs out."""
    if bench.device.type != "cuda":
        yield "memory of the card", {"left out": "there is none"}
        return
    embedder = bench.model("nt-v2-500m")
    few = sequences(512, 8 if bench.tiny else 2048)
    peaks = [bench.peak(lambda n=n: exhaust(embedder.embed(few * n))) / 1e9 for n in (1, 4)]
    yield "nt-v2-500m, 512 bp", {"GB for n": peaks[0], "GB for 4 n": peaks[1]}
    expected = [tokens.vectors for tokens in embedder.embed(few[:64])]
    total = torch.cuda.get_device_properties(bench.device).total_memory
    before = embedder.batch_tokens
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, 1.3 * peaks[0] * 1e9 / total))
    try:
        embedder.batches.tokens = 32 * before
        found = [tokens.vectors for tokens in embedder.embed(few * (1 if bench.tiny else 16))][:64]
        values: Values = {"tokens a batch": float(32 * before), "went on with": float(embedder.batch_tokens)}
        yield "memory ran out", values | {"least cosine to before": min(map(cosine, found, expected))}
    finally:
        embedder.batches.tokens = before
        torch.cuda.set_per_process_memory_fraction(1.0)


def processes(bench: Bench) -> Iterator[Row]:
    """Two processes (NCCL where there are two cards) beside one."""
    count = torch.cuda.device_count() if bench.device.type == "cuda" else 2
    if count < 2:
        yield "two processes", {"left out": "there is one card"}
        return
    small = replace(bench, tiny=True, folder=bench.folder / "two")
    small.folder.mkdir()
    alone = rows_of(small, 0).fit(small, 2, precision="fp32")[0].history[-1]["train_loss"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", __file__]
    command += ["--rank-of", str(small.folder), "--device", bench.device.type]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | PATHS)
    said = [line for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode or not said:
        errors = [line for line in run.stderr.splitlines() if "Error" in line]
        yield "two processes", {"failed": (errors or ["no word"])[0]}
        return
    told = json.loads(said[0])
    yield "two processes", {"backend": told["backend"], "loss": told["loss"], "loss of one": alone}


def rank(folder: Path, kind: str) -> None:
    """Be one of two processes; the main one prints what came out."""
    local = int(os.environ["LOCAL_RANK"])
    device = torch.device(kind, local) if kind == "cuda" else torch.device(kind)
    bench = Bench(device, True, time.monotonic() + 100, folder)  # the vectors are there
    loss = rows_of(bench, 0).fit(bench, 2, precision="fp32")[0].history[-1]["train_loss"]
    if local == 0:
        print(json.dumps({"loss": loss, "backend": str(torch.distributed.get_backend())}), flush=True)


SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "card": card,
    "exactness": exactness,
    "precision": precision,
    "forward": forward,
    "heads": heads,
    "layers": layers,
    "memory": memory,
    "compiled": compiled,
    "processes": processes,
}
PATHS = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "4"}


def reason(error: BaseException) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def text(values: Values) -> str:
    """Return a row's values as one line."""
    shown = {key: f"{value:,.4g}" if isinstance(value, float) else value for key, value in values.items()}
    return "   ".join(f"{key} {value}" for key, value in shown.items())


def main() -> int:
    """Run the sections; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (default: cuda)")
    parser.add_argument("--tiny", action="store_true", help="narrow models and few rows: whether it runs")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows there, anew after each")
    parser.add_argument("--budget", type=float, default=280, help="seconds after which nothing new begins (280)")
    parser.add_argument("--rank-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank_of:
        rank(options.rank_of, options.device)
        return 0
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no card that torch can use here; --device cpu --tiny tries the script.")
    if device.type == "cuda":
        torch.cuda.set_device(numbered(device))
    began = time.monotonic()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(device, options.tiny, began + options.budget, Path(root))
        for name in options.only or SECTIONS:
            for what, values in section(bench, name):
                found.append({"section": name, "what": what, **values})
                print(f"  {what}:   {text(values)}", flush=True)
                if options.json:
                    options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{time.monotonic() - began:.0f} s")
    return int(any("failed" in row for row in found))


def section(bench: Bench, name: str) -> Iterator[Row]:
    """Go through one section, whatever happens in it."""
    print(f"{name}: {(SECTIONS[name].__doc__ or '').splitlines()[0]}", flush=True)
    if time.monotonic() > bench.until:
        yield name, {"left out": "the budget is spent"}
        return
    began = time.monotonic()
    try:
        yield from SECTIONS[name](bench)
    except Exception as error:
        yield name, {"failed": reason(error)}
    print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
