"""What more layers and more scores cost, as ratios to one layer and to the cosine alone.

    python tests/benchmarks/layers.py

The baseline ("reference") is this package itself: a run of the last layer, and variants scored by cosine. A ratio of
0.5 is twice the time. Targets, on a CPU at 512 bp: all layers at least 0.5 where embedding dominates (``--size
medium``; in the smaller sizes heads and intervals, of which every layer has its own, take most of the time); all
distances at all layers at least 0.77 (1.3 times the cosine's time); likelihoods at least 0.5 (one further pass). The
better of several turns each, in turn, because a shared machine is never quiet.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from table import Row, main

import bend_hf
from bend_hf.data import toy
from bend_hf.data.builder import load_dataset
from bend_hf.embed.embedder import Embedder
from bend_hf.protocols import get_protocol
from bend_hf.zero_shot.variants import score_variants

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tiny_models

SIZES = {"tiny": (2, 32, 8, 8, 1), "small": (12, 256, 24, 24, 2), "medium": (12, 512, 100, 100, 1)}
"""Layers and width of the model, rows of each split, variants, and turns."""


def fastest(works: Sequence[Callable[[], Any]], turns: int) -> list[float]:
    """Processor seconds of the best turn of each of several works, done in turn."""
    found = [float("inf")] * len(works)
    for _ in range(turns):
        for number, work in enumerate(works):
            start = time.process_time()
            work()
            found[number] = min(found[number], time.process_time() - start)
    return found


def run(size: str = "small") -> list[Row]:
    """Return rows of (what, the baseline's seconds, ours, unit)."""
    layers, width, rows, variants, turns = SIZES[size]
    logging.getLogger("bend_hf").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = str(tiny_models.esm(root / "model", layers=layers, width=width, lm=True))
        data = toy.make(root / "toy")

        def evaluated(**options: Any) -> Callable[[], Any]:
            usual = {"limit": rows, "epochs": 1, "seeds": 1, "data_dir": data, "dtype": "float32", "device": "cpu"}
            usual |= {"output": root / "out", "overwrite": True}
            return lambda: bend_hf.evaluate(model, "histone_modification", **usual | options)

        evaluated(limit=2)()  # rows are built, modules loaded
        one, every = fastest([evaluated(), evaluated(layers="all")], turns)

        protocol = get_protocol("default")
        embedder = Embedder.from_pretrained(model, dtype="float32", device="cpu")
        some = load_dataset("variant_effects", "disease", data_dir=data, split="test").select(range(variants))

        def scored(*scores: str, rows: Any = some) -> Callable[[], Any]:
            return lambda: score_variants(embedder, rows, protocol=protocol, scores=scores)

        scored("cosine", rows=some.select(range(2)))()
        works = [scored("cosine"), scored("cosine", "distances"), scored("cosine", "distances@all"), scored("llr")]
        cosine, distances, everywhere, likelihood = fastest(works, turns)
    return [
        (f"all {layers} layers and the embeddings, heads trained", one, every, "s"),
        ("all distances", cosine, distances, "s"),
        (f"all distances at all {layers} layers and the embeddings", cosine, everywhere, "s"),
        ("likelihood, the model loaded again", cosine, likelihood, "s"),
    ]


if __name__ == "__main__":
    main(run)
