"""What will happen to a model: how it is loaded, how it reads DNA, how fast it is here, and what each task will cost.

    print(diagnose("InstaDeepAI/nucleotide-transformer-500m-human-ref"))

A model that cannot be loaded raises the `BendError` that says what is missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from bend_hf.data.coordinates import read_text
from bend_hf.data.sources import label_file
from bend_hf.embed.catalogue import CATALOGUE
from bend_hf.embed.devices import native_half
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.estimate import size_text, time_text
from bend_hf.embed.examination import channels_text, differences, rank_of, reads_text, scale_text, verdict, zero_shot
from bend_hf.embed.interface import SequenceEmbedder
from bend_hf.embed.open import load_embedder
from bend_hf.models.checkpoint import some
from bend_hf.protocols import get_protocol
from bend_hf.tasks import BEND, TASKS, Task, get_tasks

GENE_FINDING_LENGTH = 7_330
"""Median length in bp of gene finding's windows, whose lengths vary."""
VARIANT_WINDOW = 512
SECONDS = 1.0
"""Least time over which a speed is measured."""


@dataclass(frozen=True)
class Cost:
    """What a task takes with a model: nucleotides to embed, seconds at the speed measured, bytes of a store."""

    task: str
    nucleotides: int
    seconds: float
    store_bytes: int | None


@dataclass(frozen=True)
class Diagnosis:
    """What was found out about a model.

    Attributes:
        name: As given, or the catalogue's.
        architecture: Class, and why it was chosen.
        parameters: Number of weights; None where it is not known.
        tokens: How it reads DNA.
        tokens_per_kilobase: On windows of 512 bp of random DNA.
        dim: Width of a vector.
        context: Most tokens at once, and where that is known from.
        windows: How longer input is cut.
        causal: Whether tokens see their left side only.
        padding_safe: Whether padding was measured to change no vector; None where it does not matter.
        dtype: What it computes in here.
        scale: Deviations of the vectors' channels, and what to do where they are wild; None where not measured.
        agreement: Mean cosine of half precision to float32; None where the hardware has none.
        differences: Rank correlation, with float32, of how far single letters move the vectors; None in float32.
        device: Where it ran.
        speeds: Nucleotides per second by precision and length of input.
        costs: Per task, at the speed of `dtype` on 512 bp.
        ignored: Checkpoint keys without influence on embeddings.
        reads: Ten tokens with the nucleotides they own, for a person to check.
        rank: Directions that carry 99 % of the variance of the vectors of 512 nucleotides.
        channels: Dead and wild channels of those vectors; None where there are none.
        zero_shot: Scores of variants that the model can give.
        verdict: ``ready``, ``ready with care: …`` or ``not usable: …``.
        licence: Of the weights, where the catalogue has it.
        notes: From the catalogue.
        mock: What a mock task showed; None where none was run.
    """

    name: str
    architecture: str
    parameters: int | None
    tokens: str
    tokens_per_kilobase: float
    dim: int
    context: str
    windows: str
    causal: bool
    padding_safe: bool | None
    dtype: str
    scale: str | None
    agreement: float | None
    differences: float | None
    device: str
    speeds: dict[str, float]
    costs: tuple[Cost, ...]
    ignored: tuple[str, ...]
    reads: str
    rank: int
    channels: str | None
    zero_shot: tuple[str, ...]
    verdict: str
    licence: str | None
    notes: str
    mock: str | None = None

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return the diagnosis for people."""
        rank = f", of rank {self.rank} (99 % of their variance)"
        agreement = "not tried" if self.agreement is None else f"mean cosine {self.agreement:.5f} to float32"
        moved = "" if self.differences is None else f"; of differences: rank correlation {self.differences:.3f}"
        batches = {True: "yes, measured", False: "no, measured: batches of one length", None: "does not apply"}
        lines = [
            ("model", self.name),
            ("architecture", self.architecture),
            ("parameters", "unknown" if self.parameters is None else f"{self.parameters:,}"),
            ("tokens", f"{self.tokens}; {self.tokens_per_kilobase:.0f} per kilobase"),
            ("reads", self.reads),
            ("vectors", f"{self.dim} wide, {'causal' if self.causal else 'bidirectional'}{rank}"),
            ("zero-shot", ", ".join(self.zero_shot)),
            *([("scale", self.scale)] if self.scale else []),
            *([("channels", self.channels)] if self.channels else []),
            ("context", self.context),
            ("longer input", self.windows),
            ("padding-safe", batches[self.padding_safe]),
            ("precision", f"{self.dtype} on {self.device}; half precision: {agreement}{moved}"),
            *((f"speed, {what}", f"{rate:,.0f} nucleotides/s") for what, rate in self.speeds.items()),
        ]
        if self.ignored:
            lines.append(("left out", f"{some(self.ignored, 4)} (heads and poolers)"))
        if self.mock:
            lines.append(("mock task", self.mock))
        if self.licence:
            lines.append(("licence", self.licence))
        if self.notes:
            lines.append(("note", self.notes))
        width = max(len(label) for label, _ in lines)
        table = [f"{label:<{width}}  {value}" for label, value in lines]
        header = f"{'full task (estimate)':<28}{'nucleotides':>16}{'time':>12}{'store':>12}"
        costs = [
            f"{cost.task:<28}{cost.nucleotides:>16,}{time_text(cost.seconds):>12}"
            f"{'-' if cost.store_bytes is None else size_text(cost.store_bytes):>12}"
            for cost in self.costs
        ]
        return "\n".join([*table, "", header, *costs, "", f"verdict: {self.verdict}"])


def diagnose(
    model: Any,
    *,
    tasks: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = "all",
    protocol: str = "default",
    **options: Any,
) -> Diagnosis:
    """Load a model and find out how it will be handled.

    Args:
        model: As `bend_hf.embed.open.load_embedder` takes it.
        tasks: Whose costs are estimated: ``"all"`` (BEND's), names of tasks, and folders of one's own.
        protocol: Name of the protocol whose windows apply.
        **options: Of `Embedder.from_pretrained`.

    Raises:
        BendError: The model cannot be loaded; the message says exactly what is missing.
    """
    lengths = {task.name: _nucleotides(task) for task in get_tasks(tasks)}
    embedder = load_embedder(model, protocol=get_protocol(protocol), **options)
    random = np.random.default_rng(0)
    sequences = ["".join(random.choice(list("ACGT"), 512)) for _ in range(64)]
    density = float(np.sum(embedder.count_tokens(sequences))) / sum(map(len, sequences))
    speeds: dict[str, float] = {}
    if isinstance(embedder, Embedder):
        speeds = _speeds(embedder, sequences)
        rate = speeds[f"{embedder.dtype}, 512 bp"]
    else:
        rate = speeds["512 bp"] = speed(embedder, sequences)
    costs = tuple(_cost(name, count, rate, density, embedder.dim) for name, count in lengths.items())
    entry = CATALOGUE.get(embedder.name)
    about = {"licence": entry.licence if entry else None, "notes": entry.notes if entry else ""}
    common: dict[str, Any] = dict(
        name=embedder.name,
        tokens_per_kilobase=1000 * density,
        dim=embedder.dim,
        causal=embedder.causal,
        speeds=speeds,
        costs=costs,
        **about,
    )
    vectors = next(iter(embedder.embed(sequences[:1]))).vectors
    rank, channels = rank_of(vectors), channels_text(vectors)
    if not isinstance(embedder, Embedder):
        return Diagnosis(
            architecture=type(embedder).__name__,
            parameters=None,
            tokens="its own",
            context="its own",
            windows="its own",
            padding_safe=None,
            dtype="its own",
            scale=None,
            agreement=None,
            differences=None,
            device="its own",
            ignored=(),
            reads="not known: its own",
            rank=rank,
            channels=channels,
            zero_shot=zero_shot(embedder),
            verdict="ready with care: "
            + "; ".join(["what it is and how it reads DNA is up to its own code", *([channels] if channels else [])]),
            **common,
        )
    scheme = embedder.scheme
    return Diagnosis(
        architecture=embedder.loaded.architecture,
        parameters=sum(weight.numel() for weight in embedder.loaded.model.parameters()),
        tokens=f"{scheme.family}{f' (k = {scheme.k})' if scheme.k > 1 else ''}, read by {scheme.origin}",
        context=f"{embedder.limits.context:,} tokens ({embedder.limits.reason})",
        windows=str(embedder.cut),
        padding_safe=embedder.measured.padding_safe,
        dtype=embedder.dtype,
        scale=scale_text(embedder.measured),
        agreement=embedder.measured.agreement if embedder.network.autocast else embedder.measured.held,
        differences=differences(embedder, sequences[0][:120]),
        device=str(embedder.network.device),
        ignored=embedder.loaded.ignored,
        reads=reads_text(scheme),
        rank=rank,
        channels=channels,
        zero_shot=zero_shot(embedder),
        verdict=verdict(embedder, rank, channels),
        **common,
    )


def _speeds(embedder: Embedder, sequences: list[str]) -> dict[str, float]:
    """Nucleotides per second in float32 and half precision at 512 bp, and in the chosen one at 10 kb."""
    network, found = embedder.network, {}
    chosen = network.dtype
    if network.autocast:
        half = native_half(network.device)
        for dtype in dict.fromkeys([torch.float32, *([half] if half else []), chosen]):
            network.dtype = dtype
            found[f"{str(dtype).removeprefix('torch.')}, 512 bp"] = speed(embedder, sequences)
    else:  # its weights are in half precision: converted to float32 and back they are the same
        for dtype in (torch.float32, chosen):
            network.hold_weights_in(dtype)
            found[f"{str(dtype).removeprefix('torch.')}, 512 bp"] = speed(embedder, sequences)
    network.dtype = chosen
    long = ["".join(sequences)[:10_000]] * 8
    found[f"{embedder.dtype}, 10 kb"] = speed(embedder, long)
    return found


def speed(embedder: SequenceEmbedder, sequences: list[str]) -> float:
    """Return the nucleotides embedded per second, the first call left out."""
    for _ in embedder.embed(sequences[:1]):
        pass
    done, start, count = 0, time.perf_counter(), 1
    while (elapsed := time.perf_counter() - start) < SECONDS:
        for _ in embedder.embed(sequences[:count]):
            pass
        done += sum(map(len, sequences[:count]))
        count = min(2 * count, len(sequences))
    return done / elapsed


def _nucleotides(task: Task) -> int:
    """The nucleotides of a whole task as declared; where windows of one's own vary, as in its label file."""
    rows = sum(task.rows.values())
    if task.kind.variants:
        return rows * 2 * VARIANT_WINDOW
    if task.window is None and task not in BEND:
        table = read_text(task, label_file(task))
        start, end = (pc.cast(table[name], pa.int64()) for name in ("start", "end"))
        return int(pc.sum(pc.subtract(end, start)).as_py())
    return rows * (task.window or GENE_FINDING_LENGTH)


def _cost(name: str, nucleotides: int, rate: float, density: float, dim: int) -> Cost:
    """What embedding takes; two bytes per value and per run length, as stored. Of variants nothing is stored."""
    store = None if TASKS[name].kind.variants else round(nucleotides * density * (2 * dim + 2))
    return Cost(name, nucleotides, nucleotides / rate, store)
