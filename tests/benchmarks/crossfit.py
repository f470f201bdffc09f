"""How often the interval of a cross-fitted score holds what the chosen scores are worth.

python tests/benchmarks/crossfit.py [trials]

Scores of known AUROC on rows whose chromosomes share some of the noise; the truth of a trial is the mean true AUROC of
the two scores that its halves chose. What picking the best on the test rows claims is shown beside it.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import stats

from bend_hf.results.crossfit import cross_fit
from bend_hf.results.predictions import make_predictions
from bend_hf.results.statistics import score
from bend_hf.tasks import TASKS

TASK = TASKS["variant_effects_disease"]
ROWS, CHROMOSOMES = 1_000, 22


def trial(random: np.random.Generator, effects: np.ndarray, shared: float, positives: int) -> tuple[float, bool, float]:
    """Return the error of the cross-fitted score, whether its interval holds the truth, and that of the best picked."""
    labels = random.permutation(np.arange(ROWS) < positives).astype(np.int8)
    chromosome = random.integers(0, CHROMOSOMES, ROWS)
    scale = np.sqrt(1 + shared**2)
    beside = {}
    for number, effect in enumerate(effects):
        noise = random.normal(size=ROWS) + shared * random.normal(size=CHROMOSOMES)[chromosome]
        beside[f"s{number}"] = noise + effect * scale * labels
    rows = {
        "chromosome": [f"chr{1 + number}" for number in chromosome],
        "start": random.integers(0, 200_000_000, ROWS).tolist(),
        "ref": ["A"] * ROWS,
        "alt": ["C"] * ROWS,
    }
    drawn = make_predictions(TASK, rows, beside["s0"], labels, beside)
    worth = dict(zip(beside, stats.norm.cdf(effects / np.sqrt(2)), strict=True))
    found = cross_fit(drawn, list(beside), resamples=400)
    truth = float(np.mean([worth[name] for name in found.chosen]))
    values = {name: float(score(drawn.by(name))["auroc"]) for name in beside}
    best = max(values, key=values.__getitem__)
    assert found.score is not None
    assert found.interval is not None
    return found.score - truth, found.interval[0] <= truth <= found.interval[1], values[best] - worth[best]


def main(trials: int) -> None:
    """Print a table: one line per setting."""
    print("| scores | shared by chromosome | positives | coverage | bias, cross-fitted | bias, best on the test rows |")
    print("|---|---|---|---|---|---|")
    settings = [
        ("12, none knows", np.zeros(12), 0.0, 200),
        ("12, none knows", np.zeros(12), 0.5, 200),
        ("12, from 0.50 to 0.70", np.linspace(0, 0.74, 12), 0.5, 200),
        ("36, none knows", np.zeros(36), 0.5, 200),
        ("12, from 0.50 to 0.70", np.linspace(0, 0.74, 12), 0.5, 40),
    ]
    for words, effects, shared, positives in settings:
        random = np.random.default_rng(2024)
        errors, inside, picked = zip(*(trial(random, effects, shared, positives) for _ in range(trials)), strict=True)
        print(
            f"| {words} | {shared} | {positives} | {np.mean(inside):.1%} | {np.mean(errors):+.4f} | "
            f"{np.mean(picked):+.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
