"""Whether a record says of its predictions what they say themselves.

    computed = summary_of(predictions, digest, made)     # once per file of predictions, then from the cache
    wrong = disagreement(claimed, computed)              # "score is 0.9, its predictions give 0.5"; None: they agree

A record carries a digest of itself, which anyone can compute. Its predictions, labels among them, are what it rests on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bend_hf import files
from bend_hf.results.predictions import Predictions
from bend_hf.results.summary import summary

VERSION = 3
"""Of what `summary` computes; adds 1 when equal predictions give another summary, so that none is read back."""
TOLERANCE = 1e-6
"""Absolute and relative: sums differ in their last digits between machines."""
STANDARD = {"level": 0.95, "resamples": 1000, "seed": 0}
MOST_RESAMPLES = 100_000

_known: dict[str, dict[str, Any]] = {}


def summary_of(predictions: Predictions, digest: str, made: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `summary` finds, as JSON has it.

    Args:
        predictions: Read from a file with this digest.
        digest: SHA-256 of the file.
        made: How the record says its interval was made (``level``, ``resamples``, ``seed``).
    """
    options: dict[str, Any] = {name: made.get(name) for name in STANDARD}
    if not _sound(options):
        options = dict(STANDARD)
    key = files.digest_of([VERSION, digest, predictions.task.name, options])
    if key not in _known:

        def make(path: Path) -> None:
            files.write_json(path, summary(predictions, **options))

        path = files.kept(files.cache_dir("summaries") / f"{key}.json", make)
        _known[key] = json.loads(path.read_text(encoding="utf-8"))
    return _known[key]


def _sound(options: Mapping[str, Any]) -> bool:
    whole = all(type(options[name]) is int for name in ("resamples", "seed"))
    return (
        whole
        and type(options["level"]) is float
        and 0 < options["level"] < 1
        and 1 < options["resamples"] <= MOST_RESAMPLES
        and options["seed"] >= 0
    )


def disagreement(claimed: Any, computed: Any, name: str = "") -> str | None:
    """Say where a record's summary is not the computed one; what it holds beside that is not looked at."""
    if isinstance(computed, dict) and isinstance(claimed, dict):
        parts = [(f"{name}.{key}" if name else key, claimed.get(key), value) for key, value in computed.items()]
    elif isinstance(computed, list) and isinstance(claimed, list) and len(claimed) == len(computed):
        parts = [(f"{name}[{k}]", *pair) for k, pair in enumerate(zip(claimed, computed, strict=True))]
    else:
        return None if _equal(claimed, computed) else f"{name} is {claimed}, its predictions give {computed}"
    return next((wrong for key, mine, theirs in parts if (wrong := disagreement(mine, theirs, key))), None)


def _equal(claimed: Any, computed: Any) -> bool:
    numbers = [value for value in (claimed, computed) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == 2:
        return math.isclose(*numbers, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(claimed == computed)
