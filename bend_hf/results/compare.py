"""Compare models on the same test rows: paired differences with intervals, corrected p-values, rankings with ties.

    comparison = bend_hf.compare(["bend-results/model-a", "bend-results/model-b"])
    print(comparison)
    comparison.ranking["gene_finding"]              # [("1", "model-a"), ("2–3", "model-b"), ("2–3", "model-c")]

Both models are scored on the same resamples of the test rows, so what makes a test set easy or hard for both cancels.
The standard error of the difference is that of the resamples, with the factor n / (n - 1) for n clusters; interval and
p-value are those of a t distribution with n - 1 degrees of freedom. P-values are corrected by Holm's method over all
pairs and tasks of one call. Different protocols, data, test rows or settings of training are refused: their difference
means nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from bend_hf.errors import BendError
from bend_hf.results.apart import told_apart
from bend_hf.results.board import Row, board
from bend_hf.results.conditions import alike, explained, footnotes, marked, same_data, same_settings
from bend_hf.results.record import Result, read_predictions, read_results
from bend_hf.results.statistics import bootstrap, score
from bend_hf.tasks import TASKS, get_tasks
from bend_hf.text import aligned, interval, number, p_value


@dataclass(frozen=True)
class Difference:
    """`a` minus `b` on one task.

    Attributes:
        task: Name of the task.
        a: The better model.
        b: The other one.
        difference: Of the scores (means over seeds).
        interval: Confidence interval of the difference, over test rows.
        p: Two-sided p-value of no difference.
        corrected: The same, corrected over all differences of the comparison.
        clusters: Number of clusters resampled.
        unit: What they are.
    """

    task: str
    a: str
    b: str
    difference: float
    interval: list[float]
    p: float
    corrected: float
    clusters: int
    unit: str


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        rows: The leaderboard rows compared, by task and falling score.
        differences: Every pair of models on every task.
        ranking: Task → (rank, model), best first; models that cannot be told apart share a rank (``"2–4"``).
        notes: What was left out, and why.
        level: Of the intervals; p-values below 1 - level tell models apart.
    """

    rows: list[Row]
    differences: list[Difference]
    ranking: dict[str, list[tuple[str, str]]]
    notes: list[str]
    level: float

    def to_json(self) -> dict[str, Any]:
        """Differences, ranking and notes as JSON-able values."""
        return {
            "level": self.level,
            "differences": [dataclasses.asdict(difference) for difference in self.differences],
            "ranking": {task: [list(place) for place in places] for task, places in self.ranking.items()},
            "notes": self.notes,
        }

    def __str__(self) -> str:
        blocks = []
        for task, places in self.ranking.items():
            rows = {row.model: row for row in self.rows if row.task == task}
            marks = footnotes([rows[m].departures for _, m in places])
            lines = [["rank", "model", "score", f"{self.level:.0%} interval"]]
            lines += [
                [rank, m + marked(rows[m].departures, marks), number(rows[m].score), interval(rows[m].interval)]
                for rank, m in places
            ]
            mine = [difference for difference in self.differences if difference.task == task]
            pairs = [["difference", "", f"{self.level:.0%} interval", "p", "corrected p"]]
            pairs += [
                [f"{d.a} - {d.b}", f"{d.difference:+.4f}", interval(d.interval, 4), p_value(d.p), p_value(d.corrected)]
                for d in mine
            ]
            unit = f"{mine[0].clusters} {mine[0].unit}s resampled"
            title = f"{TASKS[task].title} ({TASKS[task].metric}; {unit})"
            blocks.append("\n".join([title, *aligned(lines, left=2), *explained(marks), "", *aligned(pairs, left=1)]))
        return "\n\n".join([*blocks, *self.notes])


def compare(
    results: Iterable[Result | Iterable[Result] | str | Path],
    *,
    tasks: str | Iterable[str] = "all",
    protocol: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    strict: bool = True,
) -> Comparison:
    """Compare models pairwise on every task that at least two of them have.

    Args:
        results: Folders or files of records, records, or lists of records as `evaluate` returns them. A model that
            occurs in two folders is compared with itself under the folders' names.
        tasks: Restrict to these.
        protocol: Restrict to this one.
        resamples: Bootstrap resamples.
        seed: Of the resampling.
        level: Of the intervals.
        strict: Whether a task whose results must not be compared is an error; else it is left out with a note, or of
            models trained otherwise only these: those trained by the recipe stay, or the most that were trained alike.

    Raises:
        BendError: Protocols, data, test rows or settings of training differ, predictions are missing, or there is
            nothing to compare.
    """
    found = _gather(results)  # which makes tasks of one's own known
    wanted = {task.name for task in get_tasks(TASKS if tasks in ("all", ["all"]) else tasks)}
    chosen = [result for result in found if result.task in wanted and (protocol is None or result.protocol == protocol)]
    notes: list[str] = []
    unlike: dict[str, list[str]] = {}
    raw: list[Difference] = []
    for name in (task for task in TASKS if any(result.task == task for result in chosen)):
        here = [result for result in chosen if result.task == name]
        notes += [f"{result.label} is left out of {name}: {result.failure}" for result in here if result.failure]
        here = [result for result in here if result.score is not None]
        models = list(dict.fromkeys(result.label for result in here))
        if len(models) < 2:
            notes.append(f"{name} is left out: {models[0] if models else 'no model'} alone has a score.")
            continue
        try:
            same_data(here)
            if strict:
                same_settings(here)
            else:
                here, note = alike(here)
                unlike.setdefault(note, []).append(name)
                models = list(dict.fromkeys(result.label for result in here))
            if len(models) < 2:
                continue
            drawn = {model: _draw([r for r in here if r.label == model], resamples, seed) for model in models}
            _same_rows(name, drawn)
            raw += [difference(name, {a: drawn[a], b: drawn[b]}, level=level) for a, b in combinations(models, 2)]
        except BendError as error:
            if strict:
                raise
            notes.append(str(error))
    notes += [f"{', '.join(names)}: {note}" for note, names in unlike.items() if note]
    if not raw and strict:
        raise BendError(" ".join(["There is nothing to compare: give two models' results on the same task.", *notes]))
    corrected = holm([item.p for item in raw])
    differences = [dataclasses.replace(item, corrected=p) for item, p in zip(raw, corrected, strict=True)]
    compared = {(item.task, model) for item in differences for model in (item.a, item.b)}
    rows = [row for row in board(chosen) if (row.task, row.model) in compared]
    ranking = {
        name: _ranked([row for row in rows if row.task == name], differences, 1 - level)
        for name in dict.fromkeys(item.task for item in differences)
    }
    return Comparison(rows, differences, ranking, notes, level)


def _gather(results: Iterable[Result | Iterable[Result] | str | Path]) -> list[Result]:
    """Flatten, and tell runs of one model apart."""
    found: list[Result] = []
    for item in [results] if isinstance(results, str | Path) else results:
        if isinstance(item, str | Path):
            found += read_results(item)
        else:
            found += [item] if isinstance(item, Result) else list(item)
    return told_apart(found)


@dataclass(frozen=True)
class Drawn:
    """A model's score on a task and its resamples, means over seeds; `keys` is the digest of the test rows."""

    score: float
    scores: np.ndarray
    clusters: int
    unit: str
    rows: int = 0
    keys: str = ""


def _draw(results: Sequence[Result], resamples: int, seed: int) -> Drawn:
    """Resample the seeds of one model one after another: predictions of a large test set fill much memory."""
    drawn: dict[str, Drawn] = {}
    for result in results:
        predictions = read_predictions(result)
        boot = bootstrap(predictions, resamples=resamples, seed=seed)
        value = score(predictions)[predictions.task.metric]
        name = f"{result.label} (seed {result.seed})"
        drawn[name] = Drawn(value, boot.scores, boot.clusters, boot.unit, len(predictions), predictions.keys_digest)
    _same_rows(results[0].task, drawn)
    several = list(drawn.values())
    mean = np.mean([one.scores for one in several], axis=0)
    return dataclasses.replace(several[0], score=float(np.mean([one.score for one in several])), scores=mean)


def _same_rows(task: str, drawn: dict[str, Drawn]) -> None:
    """Refuse models that were not tested on the same rows and labels, in the same order."""
    first = next(iter(drawn))
    for model, one in drawn.items():
        if one.keys != drawn[first].keys:
            raise BendError(
                f"{task}: {first} and {model} were tested on different rows ({drawn[first].rows} and {one.rows} rows; "
                "their keys or labels differ): evaluate both on the same data."
            )


def difference(task: str, drawn: dict[str, Drawn], *, level: float = 0.95) -> Difference:
    """The paired difference of two models from their resampled scores, better minus worse."""
    from scipy import stats

    a, b = sorted(drawn, key=lambda model: -drawn[model].score)
    n = drawn[a].clusters
    value = drawn[a].score - drawn[b].score
    resampled = drawn[a].scores - drawn[b].scores
    resampled = resampled[np.isfinite(resampled)]
    if n < 2 or len(resampled) < 2:
        raise BendError(f"{task}: {n} {drawn[a].unit} with both classes is too little to compare {a} and {b}.")
    error = float(resampled.std(ddof=1)) * np.sqrt(n / (n - 1))
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    p = float(2 * stats.t.sf(value / error, n - 1)) if error > 0 else float(value == 0)
    return Difference(task, a, b, value, [value - half, value + half], p, p, n, drawn[a].unit)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: the k-th smallest of m times m - k + 1, and never below an earlier one."""
    order = np.argsort(p_values)
    steps = np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in corrected]


def _ranked(rows: Sequence[Row], differences: Sequence[Difference], alpha: float) -> list[tuple[str, str]]:
    models = [row.model for row in sorted(rows, key=lambda row: -(row.score or 0.0))]
    apart = {frozenset((item.a, item.b)): item.corrected < alpha for item in differences if item.task == rows[0].task}
    return rank(models, lambda a, b: apart[frozenset((a, b))])


def rank(models: Sequence[str], apart: Callable[[str, str], bool]) -> list[tuple[str, str]]:
    """Give places to models sorted best first; who cannot be told apart from a group's first shares its places.

    Args:
        models: Best first.
        apart: Whether two models can be told apart.

    Returns:
        (``"1"`` or ``"2–4"``, model), in the order of `models`.
    """
    places: list[tuple[str, str]] = []
    while len(places) < len(models):
        first = len(places)
        last = first + 1
        while last < len(models) and not apart(models[first], models[last]):
            last += 1
        label = str(last) if last == first + 1 else f"{first + 1}–{last}"
        places += [(label, model) for model in models[first:last]]
    return places
