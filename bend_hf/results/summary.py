"""All that a record says of its predictions: the score and its statistics, and for genes how many are called exactly.

summary(predictions)["secondary"]["genes"]["transcript"]["recall"]
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bend_hf.results.predictions import Predictions
from bend_hf.results.statistics import summarise
from bend_hf.results.transcripts import has_genes, structures


def summary(predictions: Predictions, **options: Any) -> dict[str, Any]:
    """Return the fields of `Summary`; where there are genes, ``secondary`` has their `structures` as ``genes``.

    Args:
        predictions: Of one model on one task.
        options: ``resamples``, ``seed`` and ``level`` of `summarise`.
    """
    found = asdict(summarise(predictions, **options))
    if has_genes(predictions.task):
        found["secondary"]["genes"] = structures(predictions, **options)
    return found
