"""How often nominal 95 % intervals hold the truth and models are told apart, by simulation.

    python tests/benchmarks/coverage.py --jobs 16            # 1,000 simulated test sets per line
    python tests/benchmarks/coverage.py --sets 50 --only positives

Every line simulates test sets whose true score is known (in closed form, or as the mean of many simulated sets), with
effects shared by neighbours on a chromosome, and counts. Lines marked with an asterisk force a unit of resampling that
the package would not choose there, to show why it does not. The standard error of a measured 95 % is 0.7 points with
1,000 test sets. tests/results/test_statistics.py runs a small sample of it.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from scipy import stats

from bend_hf.resources import load_module
from bend_hf.results import statistics
from bend_hf.results.ranks import differences, over_seeds, rank
from bend_hf.results.record import Predictions, make_predictions
from bend_hf.results.seeds import whole_interval
from bend_hf.tasks import FOLDS, TASKS

HUMAN = np.array(
    [248, 242, 198, 190, 182, 171, 159, 145, 138, 134, 135, 133, 114, 107, 102, 90, 83, 80, 59, 64, 47, 51]
)
"""Lengths of the human autosomes in Mb, rounded."""
MANY, THREE = HUMAN // 20, HUMAN[[0, 7, 8]] // 12
"""A small genome, and three small chromosomes, on which 4,000 rows lie about as dense as real test sets do."""
Rng = np.random.Generator


RESAMPLES = 300
PART = 125
"""Test sets of one design that a process simulates at a time."""
Measure = Callable[[Rng], bool | None]
"""Whether one simulated test set comes out as counted; None where the package gives no interval or test."""


def variants(
    rng: Rng, lengths: np.ndarray, rows: int, positives: float | int, shift: float, shared: float
) -> Predictions:
    """Variants with a normal score, `shift` higher for positives, and effects that neighbours within ~1 Mb share.

    Positives (a share of the rows, or a number) crowd, as pathogenic variants do in genes: their share varies from
    megabase to megabase (unless nothing is shared).
    """
    share = rng.multinomial(rows, lengths / lengths.sum())
    chromosome = np.repeat(np.arange(len(lengths)), share)
    start = np.concatenate([np.sort(rng.integers(0, n * 1_000_000, k)) for n, k in zip(lengths, share, strict=True)])
    megabases = (len(lengths), int(lengths.max()) + 1)
    crowding = rng.gamma(0.5, 2.0, megabases) if shared else np.ones(megabases)
    crowd = crowding[chromosome, start // 1_000_000]
    if isinstance(positives, int):
        labels = np.zeros(rows, np.int8)
        labels[rng.choice(rows, positives, replace=False, p=crowd / crowd.sum())] = 1
    else:
        labels = (rng.random(rows) < positives * crowd).astype(np.int8)
    knots = rng.normal(size=(len(lengths), int(lengths.max()) + 2))  # one effect per Mb, linearly interpolated
    left, part = np.divmod(start / 1e6, 1)
    left = left.astype(int)
    local = (1 - part) * knots[chromosome, left] + part * knots[chromosome, left + 1]
    local /= np.sqrt((1 - part) ** 2 + part**2)
    scores = shift * labels + shared * local + rng.normal(size=rows)
    keys = {"chromosome": chromosome.astype(str), "start": start, "ref": ["A"] * rows, "alt": ["C"] * rows}
    return make_predictions(TASKS["variant_effects_disease"], keys, scores, labels)


def rescored(predictions: Predictions, scores: np.ndarray) -> Predictions:
    """The same rows with other scores."""
    position = predictions.table.column_names.index("scores")
    return Predictions(predictions.task, predictions.table.set_column(position, "scores", [scores.astype(np.float32)]))


def area(shift: float, noise: float) -> float:
    """AUROC of normal scores of a deviation whose means lie `shift` apart."""
    return float(stats.norm.cdf(shift / np.sqrt(2) / noise))


def holds(interval: list[float] | None, truth: float) -> bool | None:
    """Whether an interval holds the truth."""
    return None if interval is None else interval[0] <= truth <= interval[1]


def auroc_line(
    lengths: np.ndarray,
    rows: int,
    *,
    positives: float | int = 0.1,
    shift: float = 1.0,
    shared: float = 0.5,
    unit: str | None = None,
) -> Measure:
    """The interval of an AUROC; the truth is that of independent pairs."""
    truth = area(shift, np.sqrt(1 + shared**2))

    def measure(rng: Rng) -> bool | None:
        predictions = variants(rng, lengths, rows, positives, shift, shared)
        return holds(statistics.bootstrap(predictions, resamples=RESAMPLES, unit=unit).interval(), truth)

    return measure


def labels_line(rare: int, rows: int = 1500) -> Measure:
    """The mean AUROC of seven labels, three of them with few positives; labels share what neighbours share."""
    task = TASKS["cpg_methylation"]
    counts = [rare] * 3 + [rows // 10] * 4
    truth = area(1.0, np.sqrt(1.25))

    def measure(rng: Rng) -> bool | None:
        many = [variants(rng, THREE, rows, count, 1.0, 0.5) for count in counts]
        place = many[0]
        local = place.scores - place.labels  # what the first label's rows share, given to all
        labels = np.stack([one.labels for one in many], axis=1)
        scores = labels + 0.7 * local[:, None] + np.sqrt(1.25 * (1 - 0.49)) * rng.normal(size=labels.shape)
        start = place.column("start")
        keys = {"chromosome": place.column("chromosome"), "start": start, "end": start + 512, "strand": ["+"] * rows}
        predictions = make_predictions(task, keys, scores, labels)
        return holds(statistics.bootstrap(predictions, resamples=RESAMPLES).interval(), truth)

    return measure


def genes(rng: Rng, rows: int, length: int, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Chromosome per gene, and per gene counts by true and called class; chromosomes share an error rate.

    Of the four classes the last holds 0.03 % of the nucleotides.
    """
    chromosome = np.repeat(np.arange(len(HUMAN)), rng.multinomial(rows, HUMAN / HUMAN.sum()))
    logit = -0.5 + shared * rng.normal(size=len(HUMAN))[chromosome] + 0.8 * rng.normal(size=rows)
    counts = rng.multinomial(length, [0.15, 0.5, 0.3497, 0.0003], size=rows)
    wrong = rng.binomial(counts, 1 / (1 + np.exp(-logit))[:, None])
    elsewhere = np.array([[0, 0.7, 0.3, 0], [0.4, 0, 0.5995, 0.0005], [0.3, 0.7, 0, 0], [0.2, 0.4, 0.4, 0]])
    cells = np.stack([rng.multinomial(wrong[:, k], elsewhere[k]) for k in range(4)], axis=1)
    cells[:, range(4), range(4)] = counts - wrong
    return chromosome, cells


def mcc_line(rows: int, shared: float) -> Measure:
    """The interval of the MCC of genes of 1 kb on 22 chromosomes; the truth is that of a million genes."""
    module, task = load_module("metrics", "mcc"), TASKS["gene_finding"]
    many = [genes(np.random.default_rng(10**6 + k), 1000, 1000, shared)[1].sum(0) for k in range(1000)]
    truth = module.scores_from_confusion(np.sum(many, axis=0))["mcc"]
    pairs = np.array([(true, called) for true in range(4) for called in range(4)])

    def measure(rng: Rng) -> bool | None:
        chromosome, cells = genes(rng, rows, 1000, shared)
        labels, called = np.repeat(np.tile(pairs, (rows, 1)), cells.reshape(-1), axis=0).T
        start = np.arange(rows) * 10_000
        keys = {"chromosome": chromosome.astype(str), "start": start, "end": start + 1000, "strand": ["+"] * rows}
        scores = np.eye(9, dtype=np.float32)[called].reshape(rows, 1000, 9)
        predictions = make_predictions(task, keys, list(scores), list(labels.reshape(rows, 1000)))
        return holds(statistics.bootstrap(predictions, resamples=RESAMPLES).interval(), truth)

    return measure


def trained_folds(rng: Rng, windows: int, width: int, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """(10, entries) labels and scores: ten folds, each scored by the difference of class means of eight others.

    Vectors have a signal along the first axis, folds their own besides (`shared`), and windows a common shift.
    """
    entries = windows * 200
    signal = np.zeros(width)
    signal[0] = 1.5
    labels = (rng.random((10, entries)) < 0.02).astype(np.int8)
    labels[:, :2] = 1
    own = signal + shared * rng.normal(size=(10, width)) * 2 / np.sqrt(width)
    vectors = rng.normal(size=(10, entries, width)) + labels[:, :, None] * own[:, None]
    vectors += np.repeat(0.3 * rng.normal(size=(10, windows, width)), 200, axis=1)
    on = np.einsum("fe,few->fw", labels, vectors)
    off = vectors.sum(axis=1) - on
    count = labels.sum(axis=1)
    scores = np.empty(labels.shape)
    for k in range(10):
        others = [j for j in range(10) if j not in (k, (k + 1) % 10)]
        direction = on[others].sum(0) / count[others].sum() - off[others].sum(0) / (entries - count[others]).sum()
        scores[k] = vectors[k] @ direction
    return labels, scores


def folds_line(windows: int, width: int, shared: float) -> Measure:
    """The interval of the mean AUPRC of ten folds whose heads share training data; the truth is that of 600 such."""
    average_precision, task = load_module("metrics", "auprc").average_precision, TASKS["enhancer_annotation"]

    def mean(seed: int) -> float:
        labels, scores = trained_folds(np.random.default_rng(seed), windows, width, shared)
        return float(np.mean([average_precision(*pair) for pair in zip(labels, scores, strict=True)]))

    truth = float(np.mean([mean(10**6 + k) for k in range(600)]))
    part = np.repeat(FOLDS, windows)
    n = len(part)
    keys = {"chromosome": part, "start": np.arange(n), "end": np.arange(n), "strand": ["."] * n, "part": part}

    def measure(rng: Rng) -> bool | None:
        labels, scores = trained_folds(rng, windows, width, shared)
        predictions = make_predictions(task, keys, scores.reshape(n, 200), labels.reshape(n, 200))
        return holds(statistics.bootstrap(predictions, resamples=RESAMPLES).interval(), truth)

    return measure


def models(
    rng: Rng, shifts: list[float], seeds: int, training: float, rows: int, lengths: np.ndarray, positives: float | int
) -> dict[str, list[Predictions]]:
    """Models tested on the same rows, by seed: what makes rows hard is shared, noise and training are their own."""
    place = variants(rng, lengths, rows, positives, 0.0, 0.5)
    return {
        f"model {k}": [
            rescored(
                place,
                place.scores + (shift + training * rng.normal()) * place.labels + 0.7 * rng.normal(size=rows),
            )
            for _ in range(seeds)
        ]
        for k, shift in enumerate(shifts)
    }


def drawn(found: dict[str, list[Predictions]], *, random: bool) -> dict[str, Any]:
    """Their resamples."""
    return {
        model: over_seeds([statistics.bootstrap(one, resamples=RESAMPLES) for one in several], random=random)
        for model, several in found.items()
    }


def apart_line(
    shift: float,
    *,
    seeds: int = 1,
    training: float = 0.0,
    rows: int = 3000,
    lengths: np.ndarray = MANY,
    positives: float | int = 0.1,
) -> Measure:
    """Whether two models, one of them better by `shift`, are told apart at 5 %."""

    def measure(rng: Rng) -> bool | None:
        found = models(rng, [1.0, 1.0 + shift], seeds, training, rows, lengths, positives)
        (pair,) = differences("variant_effects_disease", drawn(found, random=seeds > 1))
        return None if pair.p is None else pair.p < 0.05

    return measure


def copies_line(seeds: int, training: float) -> Measure:
    """Whether any two of six copies of one recipe are told apart after correction."""

    def measure(rng: Rng) -> bool | None:
        found = drawn(models(rng, [1.0] * 6, seeds, training, 1000, MANY, 0.2), random=True)
        return any(item.corrected < 0.05 for item in differences("variant_effects_disease", found))

    return measure


def seeds_line(seeds: int, training: float) -> Measure:
    """The interval over rows and training of a mean over seeds; the truth is the mean over training of the AUROC."""
    nodes, share = np.polynomial.hermite_e.hermegauss(21)
    truth = float(share @ [area(1 + training * node, np.sqrt(1 + 0.25 + 0.49)) for node in nodes] / share.sum())

    def measure(rng: Rng) -> bool | None:
        (several,) = models(rng, [1.0], seeds, training, 2000, MANY, 0.1).values()
        mean = over_seeds([statistics.bootstrap(one, resamples=RESAMPLES) for one in several])
        return holds(whole_interval("auroc", mean.seeds, mean.bootstrap.error, mean.bootstrap.freedom), truth)

    return measure


def ranks_line() -> Measure:
    """Whether the rank intervals of five models of three seeds hold all five true places."""
    shifts = [1.3, 1.15, 1.1, 0.9, 0.6]

    def measure(rng: Rng) -> bool | None:
        found = drawn(models(rng, shifts, 3, 0.05, 1500, MANY, 0.15), random=True)
        best_first = sorted(found, key=lambda model: -found[model].score)
        places = {model: place for place, model in rank(best_first, differences("variant_effects_disease", found))}
        ends = [[int(end) for end in places[f"model {k}"].split("–")] for k in range(len(shifts))]
        return all(end[0] <= k + 1 <= end[-1] for k, end in enumerate(ends))

    return measure


COVERAGE, APART = "95 % interval holds the truth", "told apart at 5 %"
DESIGNS: dict[str, dict[str, Callable[[], Measure]]] = {
    COVERAGE: {
        "AUROC, 22 chromosomes, 4,000 rows": lambda: auroc_line(MANY, 4000),
        "AUROC, 22 chromosomes, 4,000 rows, resampling rows *": lambda: auroc_line(MANY, 4000, unit="row"),
        "AUROC, 3 chromosomes in 1 Mb blocks, 4,000 rows": lambda: auroc_line(THREE, 4000),
        "AUROC, 3 chromosomes, resampling chromosomes *": lambda: auroc_line(THREE, 4000, unit="chromosome"),
        "AUROC, 3 chromosomes, resampling rows *": lambda: auroc_line(THREE, 4000, unit="row"),
        "AUROC, one region of 1 Mb, 400 rows, nothing shared": lambda: auroc_line(np.array([1]), 400, shared=0.0),
        **{
            f"AUROC, 3 chromosomes, 3,000 rows, {k} positives": partial(auroc_line, THREE, 3000, positives=k)
            for k in (2, 3, 5, 10, 20, 50)
        },
        **{
            f"AUROC of 0.94, 3 chromosomes, 3,000 rows, {k} positives": partial(
                auroc_line, THREE, 3000, positives=k, shift=2.5
            )
            for k in (5, 10, 50)
        },
        "AUROC, 22 chromosomes, 4,000 rows, 20 positives": lambda: auroc_line(MANY, 4000, positives=20),
        "mean AUROC of 7 labels, 3 of them with 5 positives": lambda: labels_line(5),
        "mean AUROC of 7 labels, 3 of them with 10 positives": lambda: labels_line(10),
        "mean AUROC of 7 labels, 3 of them with 50 positives": lambda: labels_line(50),
        "MCC with a class of 0.03 %, 150 genes on 22 chromosomes": lambda: mcc_line(150, 0.5),
        "mean AUPRC of ten folds of 28 windows, 32 features": lambda: folds_line(28, 32, 0.3),
        "mean AUPRC of ten folds of 5 windows, 64 features, unlike folds": lambda: folds_line(5, 64, 0.6),
        "mean AUPRC of ten folds of 5 windows, 256 features": lambda: folds_line(5, 256, 0.3),
        "AUROC of 2 seeds that differ by 0.02": lambda: seeds_line(2, 0.1),
        "AUROC of 3 seeds that differ by 0.02": lambda: seeds_line(3, 0.1),
        "AUROC of 5 seeds that differ by 0.02": lambda: seeds_line(5, 0.1),
        "ranks of 5 models of 3 seeds: all true places": ranks_line,
    },
    APART: {
        "equal models, 22 chromosomes": lambda: apart_line(0.0),
        "equal models, 3 chromosomes": lambda: apart_line(0.0, lengths=THREE),
        **{
            f"equal models, 3 chromosomes, {k} positives": partial(apart_line, 0.0, lengths=THREE, positives=k)
            for k in (3, 5, 10, 20, 50)
        },
        "equal recipes of 3 seeds that differ by 0.02": lambda: apart_line(0.0, seeds=3, training=0.1),
        "equal recipes of 3 seeds that do not differ": lambda: apart_line(0.0, seeds=3),
        "any two of 6 copies of a recipe of 3 seeds, corrected": lambda: copies_line(3, 0.1),
        "AUROC 0.04 better, 22 chromosomes, 300 positives": lambda: apart_line(0.2),
        "AUROC 0.04 better, 3 chromosomes, 50 positives": lambda: apart_line(0.2, lengths=THREE, positives=50),
        "AUROC 0.04 better, 3 seeds that differ by 0.02": lambda: apart_line(0.2, seeds=3, training=0.1),
        "AUROC 0.04 better, 5 seeds that differ by 0.02": lambda: apart_line(0.2, seeds=5, training=0.1),
    },
}
SAMPLE = {
    "AUROC, 3 chromosomes, 3,000 rows, 10 positives": (0.88, 1.0),
    "MCC with a class of 0.03 %, 150 genes on 22 chromosomes": (0.85, 1.0),
    "AUROC of 3 seeds that differ by 0.02": (0.88, 1.0),
    "equal models, 3 chromosomes, 10 positives": (0.0, 0.12),
}
"""Designs that the tests run too, with the lowest and highest rate that passes (40 sets)."""


@cache
def measure_of(title: str, name: str) -> Measure:
    """A design, set up once in every process."""
    return DESIGNS[title][name]()


def counted(part: tuple[str, str, range]) -> list[bool]:
    """What comes out of some sets of a design, those without an interval left out."""
    title, name, sets = part
    found = [measure_of(title, name)(np.random.default_rng(k)) for k in sets]
    return [value for value in found if value is not None]


def main() -> None:
    """Print one line per design."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000, help="simulated test sets per line (1000)")
    parser.add_argument("--only", default="", metavar="TEXT", help="designs with this in their name")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    options = parser.parse_args()
    width = max(len(name) for group in DESIGNS.values() for name in group)
    chosen = [(title, name) for title, group in DESIGNS.items() for name in group if options.only in name]
    chunks = [range(k, min(k + PART, options.sets)) for k in range(0, options.sets, PART)]
    with multiprocessing.Pool(options.jobs) as pool:
        found = pool.imap(counted, [(title, name, chunk) for title, name in chosen for chunk in chunks])
        for k, (title, name) in enumerate(chosen):
            if k == 0 or chosen[k - 1][0] != title:
                print(f"{title} ({options.sets} test sets)")
            values = [value for _ in chunks for value in next(found)]
            said = f"{np.mean(values):.1%}" if values else "no interval"
            print(f"  {name:<{width}}  {said}", flush=True)


if __name__ == "__main__":
    main()
