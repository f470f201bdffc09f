"""Several scores of the same test rows."""

from __future__ import annotations

from typing import Any

from bend_hf.results.predictions import Predictions
from bend_hf.results.statistics import bootstrap


def compare_scores(predictions: Predictions, *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Return the metric of every score beside the headline, with intervals over the same resamples.

    Returns:
        ``by_score`` and ``by_score_interval``, by name; an interval is None where there is too little to say.
    """
    from bend_hf.results.statistics import score

    metric = predictions.task.metric
    each = {name: predictions.by(name) for name in predictions.beside}
    return {
        "by_score": {name: score(one)[metric] for name, one in each.items()},
        "by_score_interval": {
            name: bootstrap(one, resamples=resamples, seed=seed).interval() for name, one in each.items()
        },
    }
