"""Compare models on the same test rows: paired differences with intervals, corrected p-values, intervals of ranks.

    comparison = bend_hf.compare(["bend-results/model-a", "bend-results/model-b"])
    print(comparison)
    comparison.ranking["gene_finding"]              # [("1", "model-a"), ("2–3", "model-b"), ("2–3", "model-c")]

How differences are tested and ranks follow is in `bend_hf.results.ranks`; here is decided what may be compared.
Different protocols, data, test rows, settings of training or seeds are refused: their difference means nothing. A model
whose training error is unknown (one seed, and no other model with several) is shown and not ranked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bend_hf.checks import switch, whole
from bend_hf.errors import BendError, unknown
from bend_hf.protocols import PROTOCOLS
from bend_hf.results.apart import gather
from bend_hf.results.board import Row, board, titled
from bend_hf.results.conditions import (
    alike,
    alike_in_seeds,
    explained,
    footnotes,
    marked,
    same_data,
    same_seeds,
    same_settings,
)
from bend_hf.results.drawing import draw, same_rows
from bend_hf.results.ranks import Difference, Drawn, differences, rank, training_of
from bend_hf.results.record import Result
from bend_hf.results.seeds import pooled
from bend_hf.results.statistics import FEWEST_RESAMPLES
from bend_hf.tasks import TASKS, get_tasks
from bend_hf.text import aligned, interval, number, p_value

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Comparison:
    """What `compare` found.

    Attributes:
        rows: The leaderboard rows compared, by task and falling score.
        differences: Every pair of models on every task.
        ranking: Task → (rank, model), best first, of the models that are ranked; a rank is an interval (``"2–4"``), see
            `bend_hf.results.ranks`.
        notes: What was left out, and why.
        level: Of the differences' intervals; corrected p-values below 1 - level tell models apart.
        left_out: Task → models that were made otherwise than those compared, where that is no error.
    """

    rows: list[Row]
    differences: list[Difference]
    ranking: dict[str, list[tuple[str, str]]]
    notes: list[str]
    level: float
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Differences, ranking and notes as JSON-able values."""
        return {
            "level": self.level,
            "differences": [dataclasses.asdict(difference) for difference in self.differences],
            "ranking": {task: [list(place) for place in places] for task, places in self.ranking.items()},
            "notes": self.notes,
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return one line per difference, with the attributes of `Difference`; the interval as ``low`` and ``high``."""
        import pandas as pd

        lines = []
        for found in self.differences:
            low, high = found.interval or (None, None)
            lines.append(dataclasses.asdict(found) | {"low": low, "high": high})
        names = [each.name for each in dataclasses.fields(Difference)]
        at = names.index("interval")
        return pd.DataFrame(lines, columns=[*names[:at], "low", "high", *names[at + 1 :]])

    def __str__(self) -> str:
        return "\n\n".join([*map(self._block, self.ranking), *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def _block(self, task: str) -> str:
        """One task: the models with their ranks, and all differences."""
        rows = [row for row in self.rows if row.task == task]
        ranks = {model: place for place, model in self.ranking[task]}
        marks = footnotes([row.departures for row in rows])
        lines = [["rank", "model", "score", "95% interval"]]
        for row in sorted(rows, key=lambda row: -(row.score or 0.0)):
            name = row.title + marked(row.departures, marks)
            lines.append([ranks.get(row.model, "-"), name, number(row.score), interval(row.interval)])
        mine = [difference for difference in self.differences if difference.task == task]
        pairs = [["difference", "", f"{self.level:.0%} interval", "p", "corrected p"]]
        pairs += [
            [
                f"{titled(d.a)} - {titled(d.b)}",
                f"{d.difference:+.4f}",
                interval(d.interval, 4) + (" *" if d.interval and d.training == "unknown" else ""),
                p_value(d.p),
                p_value(d.corrected),
            ]
            for d in mine
        ]
        partly = any(d.interval and d.training == "unknown" for d in mine)
        note = ["* over test rows alone; how much training again would change it is unknown."] if partly else []
        title = f"{TASKS[task].title} ({TASKS[task].metric}; {mine[0].clusters} {mine[0].unit}s resampled)"
        return "\n".join([title, *aligned(lines, left=2), *explained(marks), "", *aligned(pairs, left=1), *note])


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
            two folders hold with the same seeds is compared with itself under the folders' names.
        tasks: Restrict to these.
        protocol: Restrict to this one.
        resamples: Bootstrap resamples, ten at least.
        seed: Of the resampling.
        level: Of the differences' intervals and the ranks; scores bear their recorded 95 % interval.
        strict: Whether a task whose results must not be compared is an error; else it is left out with a note, or of
            models trained otherwise only these: those trained by the recipe stay, or the most that were trained alike
            and with the same seeds.

    Raises:
        BendError: Protocols, data, test rows, settings of training or seeds differ, predictions are missing, or there
            is nothing to compare.
    """
    whole("resamples", resamples, FEWEST_RESAMPLES)
    whole("seed", seed, 0)
    switch("strict", strict)
    if not isinstance(level, float) or not 0 < level < 1:
        raise BendError(f"level={level!r} is no share between 0 and 1, such as 0.95.")
    if protocol is not None and protocol not in PROTOCOLS:
        raise unknown("protocol", protocol, PROTOCOLS)
    gathered = gather(results)  # which makes tasks of one's own known
    everything = isinstance(tasks, str | list) and tasks in ("all", ["all"])
    wanted = {task.name for task in get_tasks(list(TASKS) if everything else tasks)}
    chosen = [
        result for result in gathered if result.task in wanted and (protocol is None or result.protocol == protocol)
    ]
    notes: list[str] = []
    unlike: dict[str, list[str]] = {}
    left_out: dict[str, list[str]] = {}
    found: list[Difference] = []
    ranking: dict[str, list[tuple[str, str]]] = {}
    for name in (task for task in TASKS if any(result.task == task for result in chosen)):
        here = [result for result in chosen if result.task == name]
        without = {result.label: _why_none(result) for result in here if result.score is None}
        here = [result for result in here if result.score is not None]
        models = list(dict.fromkeys(result.label for result in here))
        if not models:
            notes.append(f"{name} is left out: no model has a score ({'; '.join(dict.fromkeys(without.values()))}).")
            continue
        notes += [f"{titled(model)} is left out of {name}: {why}" for model, why in without.items()]
        if len(models) < 2:
            notes.append(f"{name} is left out: {titled(models[0])} alone has a score.")
            continue
        try:
            same_data(here)
            if strict:
                same_settings(here)
                same_seeds(here)
            else:
                for choose in (alike, alike_in_seeds):
                    here, note = choose(here)
                    unlike.setdefault(note, []).append(name)
                kept = list(dict.fromkeys(result.label for result in here))
                left_out[name] = [model for model in models if model not in kept]
                models = kept
            if len(models) < 2:
                continue
            drawn = {model: draw([r for r in here if r.label == model], resamples, seed) for model in models}
            same_rows(name, drawn)
        except BendError as error:
            if strict:
                raise
            notes.append(f"{name} is not compared: {error}")
            continue
        pairs = differences(name, drawn, level=level)
        ranked, why = _ranked(name, drawn)
        found += pairs
        notes += why
        notes += [
            f"{name}: {titled(pair.a)} and {titled(pair.b)} are not tested: every resample gives the same difference, "
            "which tells no error."
            for pair in pairs
            if pair.interval is None and pair.sampling_error is not None
        ]
        ranking[name] = rank(ranked, pairs, level=level)
    notes += [f"{', '.join(names)}: {note}" for note, names in unlike.items() if note]
    if strict and not found:
        reasons = f" ({'; '.join(note.removesuffix('.') for note in notes)})" if notes else ""
        raise BendError(f"There is nothing to compare: give two models' results on the same task{reasons}.")
    compared = {(item.task, model) for item in found for model in (item.a, item.b)}
    rows = [row for row in board(chosen) if (row.task, row.model) in compared]
    return Comparison(rows, found, ranking, notes, level, left_out)


def _why_none(result: Result) -> str:
    """Why a result has no score."""
    made = result.secondary.get("interval")
    lack = made.get("lack") if isinstance(made, dict) else None
    return result.failure or lack or "its score is undefined"


def _titles(labels: Iterable[str]) -> str:
    return ", ".join(map(titled, labels))


def _ranked(task: str, drawn: dict[str, Drawn]) -> tuple[list[str], list[str]]:
    """Models that can be ranked, best first, and why the others cannot, in sentences."""
    prior = pooled([one.seeds for one in drawn.values()])
    source = {model: training_of(one, prior)[1] for model, one in drawn.items()}
    notes = []
    for lack in dict.fromkeys(one.lack for one in drawn.values() if one.lack):
        models = [model for model, one in drawn.items() if one.lack == lack]
        who = "nothing" if len(models) == len(drawn) else _titles(models)
        notes.append(f"{task}: {who} is ranked: {lack}." if who == "nothing" else f"{task}: not ranked: {who}; {lack}.")
    left = [model for model, one in drawn.items() if not one.lack]
    once = [model for model in left if source[model] == "unknown"]
    if once:
        notes.append(
            f"{task}: not ranked: {_titles(once)}; one seed does not tell how much training again would change a "
            "score (evaluate with --seeds 3)."
        )
    borrowed = [model for model in left if source[model] == "prior"]
    if borrowed:
        lenders = _titles(model for model, one in drawn.items() if len(one.seeds) > 1)
        notes.append(f"{task}: the training error of {_titles(borrowed)} (one seed) is that of {lenders}.")
    models = [model for model in left if model not in once]
    return sorted(models, key=lambda model: -drawn[model].score) if len(models) > 1 else [], notes
