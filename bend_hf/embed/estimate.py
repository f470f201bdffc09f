"""What token vectors will cost before they are made: bytes, and time from a short trial.

print(estimate(embedder, sequences, distinct(sequences)))
# 2,062,129 sequences, 1.06 Gnt, 179,405,223 tokens of 768: 276.3 GB, about 1.4 h to embed
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bend_hf.checks import launched
from bend_hf.embed.interface import SequenceEmbedder
from bend_hf.embed.vectors import Distinct, Precision, check_precision, take
from bend_hf.errors import BendError
from bend_hf.runtime import available_memory
from bend_hf.text import counted

UNITS = {"": 1, "B": 1, "BYTES": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
VALUE_BYTES = {"auto": 2, "bfloat16": 2, "float16": 2, "float32": 4, "int8": 1}
SAMPLE = 2048  # sequences whose tokens are counted
TRIAL_NUCLEOTIDES = 500_000  # below this, no trial: the work itself takes seconds
TRIAL_SECONDS = 2.0
MEMORY_LIMIT = 8 << 30


@dataclass(frozen=True)
class Estimate:
    """What the vectors of some sequences take.

    Attributes:
        rows: Sequences, repetitions included.
        nucleotides: Of the distinct sequences.
        tokens: Of the distinct sequences.
        dim: Width of the vectors.
        bytes: On disk or in memory.
        seconds: To embed what is missing; None where that was not tried.
    """

    rows: int
    nucleotides: int
    tokens: int
    dim: int
    bytes: int
    seconds: float | None

    def __str__(self) -> str:
        text = (
            f"{counted(self.rows, 'sequence')}, {self.nucleotides:,} distinct nucleotides, {self.tokens:,} tokens of "
            f"{self.dim}: {size_text(self.bytes)}"
        )
        return text if self.seconds is None else f"{text}, about {time_text(self.seconds)} to embed"


def estimate(
    embedder: SequenceEmbedder,
    sequences: Sequence[str],
    found: Distinct,
    precision: Precision = "auto",
    *,
    missing: int | None = None,
) -> Estimate:
    """Estimate size and time; the tokens are counted on a sample, the time is measured on a few sequences.

    Args:
        embedder: The model.
        sequences: One per row.
        found: Their `distinct`.
        precision: As in `vectors.pack`.
        missing: Nucleotides that have to be embedded; None for all.
    """
    check_precision(precision)
    total = int(found.nucleotides.sum())
    chosen = np.unique(np.linspace(0, max(len(found.first) - 1, 0), SAMPLE).astype(int))[: len(found.first)]
    sample = take(sequences, found.first[chosen])
    sampled = max(sum(map(len, sample)), 1)
    tokens = round(int(np.sum(embedder.count_tokens(sample))) / sampled * total)
    width = VALUE_BYTES[precision] * embedder.dim + 2 + (4 if precision == "int8" else 0)
    missing = total if missing is None else missing
    seconds = missing * pace(embedder, sample) if missing > TRIAL_NUCLEOTIDES else None
    return Estimate(len(found.inverse), total, tokens, embedder.dim, tokens * width + 24 * len(found.first), seconds)


def pace(embedder: SequenceEmbedder, sample: list[str]) -> float:
    """Seconds per nucleotide, of the middle of the sample; the first sequence warms up."""
    sample = sample[len(sample) // 2 :] + sample[: len(sample) // 2]
    elapsed, count = 0.0, 1
    while elapsed < TRIAL_SECONDS / 4 and count <= len(sample):
        start = time.perf_counter()
        for _ in embedder.embed(sample[:count]):
            pass
        elapsed, tried = time.perf_counter() - start, sum(map(len, sample[:count]))
        count *= 4
    return elapsed / tried


def parse_size(text: object) -> int:
    """Read a size such as ``50GB`` (10⁹ bytes), ``2 TiB`` (2⁴⁰) or ``1000000``.

    Raises:
        BendError: It is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?i?B?|bytes)\s*", str(text), re.IGNORECASE)
    unit = match[2].upper() if match else None
    if match is None or unit is None:
        raise BendError(f"Size {text!r} is not understood; write for example 500MB, 50GB or 2TB.")
    unit = unit if not unit or unit.endswith(("B", "S")) else f"{unit}B"
    return round(float(match[1]) * UNITS[unit])


def size_text(count: float) -> str:
    """Write bytes for people, in powers of 1,000."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"


def time_text(seconds: float) -> str:
    """Write a duration for people."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def spare_memory() -> int:
    """A quarter of the free memory in bytes, shared with the processes beside this one; at most 8 GiB."""
    return int(min(MEMORY_LIMIT, available_memory() / 4 / launched("LOCAL_WORLD_SIZE", 1, 1)))
