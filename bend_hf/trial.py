"""`examine`: the diagnosis of a model, and a mock task from end to end, on toy data, within about two minutes.

    print(examine("zhihan1996/DNABERT-2-117M"))

What a model is said to be able to do it has then done: rows embedded and stored, a head trained and scored, variants
scored. The scores of toy data say nothing about biology.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bend_hf.data import toy
from bend_hf.embed.doctor import Diagnosis, diagnose
from bend_hf.embed.open import load_embedder
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol

TASKS = ("histone_modification", "variant_effects_expression")
EPOCHS, BATCH = 3, 16
SECONDS = 60
"""For which a model may embed, at the speed measured."""
WINDOWS = (2, 12)
"""Fewest and most windows of 512 bp on each of the toy genome's ten chromosomes."""
VARIANTS = 8
"""With an effect; each comes with three controls."""


def examine(
    model: Any,
    *,
    tasks: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = "all",
    protocol: str = "default",
    mock: bool = True,
    **options: Any,
) -> Diagnosis:
    """Diagnose a model, and let it do a small task.

    Args:
        model: As `bend_hf.embed.open.load_embedder` takes it.
        tasks: As for `bend_hf.embed.doctor.diagnose`.
        protocol: Name of the protocol.
        mock: Whether to run the mock task.
        **options: Of `Embedder.from_pretrained`.

    Raises:
        BendError: The model cannot be loaded; the message says exactly what is missing.
    """
    embedder = load_embedder(model, protocol=get_protocol(protocol), **options)
    found = diagnose(embedder, tasks=tasks, protocol=protocol)
    if not mock:
        return found
    windows = int(SECONDS * min(found.speeds.values()) / (512 * 10))
    try:
        return replace(found, mock=_mock(embedder, protocol, min(max(windows, WINDOWS[0]), WINDOWS[1])))
    except BendError as error:
        return replace(found, mock=f"failed: {error}", verdict=f"not usable: the mock task failed: {error}")


def _mock(embedder: Any, protocol: str, windows: int) -> str:
    """Evaluate on toy data; say in one line what was done and what came out.

    Raises:
        BendError: A part of it failed.
    """
    from bend_hf.evaluation import evaluate

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = toy.make(folder / "toy", windows=1, genes=1, chromatin=1, histone=windows, cpgs=1, variants=VARIANTS)
        results = evaluate(
            embedder,
            TASKS,
            data_dir=data,
            protocol=protocol,
            seeds=1,
            epochs=EPOCHS,
            batch_size=BATCH,
            store=folder / "vectors",
            output=folder / "results",
        )
    for result in results:
        if result.failure:
            raise BendError(f"{result.task}: {result.failure}")
    histone, variants = results
    return (
        f"{10 * windows} windows of toy DNA embedded, a head trained for {EPOCHS} epochs ({histone.metric} "
        f"{_score(histone.score)}), {4 * VARIANTS} variants scored ({variants.metric} {_score(variants.score)}), in "
        f"{time.perf_counter() - began:.0f} s; toy scores say nothing about biology"
    )


def _score(score: float | None) -> str:
    return "undefined on so few rows" if score is None else f"{score:.3f}"
