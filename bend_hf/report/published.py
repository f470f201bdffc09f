"""Published and independently re-run values, the entries of ``reference.json``: as rows of their own, and beside runs.

rows = published(["gene_finding"])
print(beside(read_results("bend-results")))     # first what differs in protocol, data and training, then by how much
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files as package_files
from typing import Any

from bend_hf.embed.catalogue import CATALOGUE
from bend_hf.errors import BendError
from bend_hf.metric import METRICS
from bend_hf.results.board import Row, board, sort_rows
from bend_hf.results.record import Result
from bend_hf.tasks import BEND, TASKS
from bend_hf.text import aligned, interval, number


def references() -> list[dict[str, Any]]:
    """Published and independently re-run values: the entries of ``reference.json``."""
    text = (package_files("bend_hf.report") / "reference.json").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = json.loads(text)["entries"]
    return entries


def published(tasks: Iterable[str]) -> list[Row]:
    """Rows of the reference values of some tasks."""
    wanted = set(tasks)
    rows = [
        Row(
            model=entry["model"],
            task=entry["task"],
            protocol=entry["protocol"],
            kind="published",
            toy=False,
            score=entry["score"],
            interval=None,
            sampling=None,
            spread=None,
            trained=None,
            chance=METRICS[TASKS[entry["task"]].metric].chance,
            source=_source(entry),
        )
        for entry in references()
        if entry["task"] in wanted
    ]
    return sort_rows(rows)


def _source(entry: dict[str, Any]) -> str:
    caveat = f"; {entry['caveat']}" if entry["caveat"] else ""
    return f"{entry['source']} ({entry['status']}{caveat})"


@dataclass(frozen=True)
class Pair:
    """A run, and a value of the same model and task from elsewhere.

    Attributes:
        model: Of the run, as in its records.
        task: Name of the task.
        score: Of the run; over seeds the mean.
        interval: Its 95 % interval.
        published: The value from elsewhere.
        source: Where it was read, its status, and what has to be known to read it.
        differs: In what the run is known to differ from what the source did, in words; what is not recorded anywhere
            (checksums of the paper's data, commits of its weights) is not in it.
        difference: Run less published; None where the rows are others, so that it would mean nothing.
    """

    model: str
    task: str
    score: float
    interval: list[float] | None
    published: float
    source: str
    differs: tuple[str, ...]
    difference: float | None


@dataclass(frozen=True, repr=False)
class Beside:
    """Runs beside published values; its text is a table for each task."""

    pairs: tuple[Pair, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the pairs as JSON-able values."""
        return [asdict(pair) for pair in self.pairs]

    def __str__(self) -> str:
        blocks = []
        for task in dict.fromkeys(pair.task for pair in self.pairs):
            for model in dict.fromkeys(pair.model for pair in self.pairs if pair.task == task):
                blocks.append(self._block([p for p in self.pairs if (p.task, p.model) == (task, model)]))
        return "\n\n".join(blocks)

    __repr__ = __str__

    def _block(self, pairs: Sequence[Pair]) -> str:
        one = pairs[0]
        text = [f"{TASKS[one.task].title}: {one.model}"]
        for differs in dict.fromkeys(pair.differs for pair in pairs):
            mine = [pair for pair in pairs if pair.differs == differs]
            text += [f"  differs: {each}" for each in differs] or ["  differs: in nothing that is recorded"]
            lines = [["published", "this run", "95% interval", "difference", "source"]]
            for pair in mine:
                gap = "not said" if pair.difference is None else f"{pair.difference:+.3f}"
                lines.append([number(pair.published), number(pair.score), interval(pair.interval), gap, pair.source])
            text += [f"  {line}" for line in _columns(lines)]
        return "\n".join(text)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def _columns(lines: Sequence[Sequence[str]]) -> list[str]:
    """Numbers in columns, and the source behind them, however long it is."""
    return [
        f"{numbers}  {source}".rstrip()
        for numbers, source in zip(
            aligned([line[:-1] for line in lines], left=0),
            [lines[0][-1], "", *(line[-1] for line in lines[1:])],
            strict=True,
        )
    ]


def beside(results: Iterable[Result], tasks: Iterable[str] | None = None) -> Beside:
    """Set runs beside the published values of the same models.

    Args:
        results: Records.
        tasks: Restrict to these; None for all.

    Raises:
        BendError: None of the runs is of a model with a published value.
    """
    wanted = None if tasks is None else set(tasks)
    rows = [row for row in board(results) if row.score is not None and (wanted is None or row.task in wanted)]
    pairs = []
    for row in rows:
        names = _names(row.results[0].model)
        for entry in references():
            if entry["task"] == row.task and entry["evaluate"] in names:
                pairs.append(_pair(row, entry))
    if not pairs:
        known = sorted({entry["evaluate"] for entry in references() if entry["evaluate"]})
        raise BendError(
            f"No run is of a model and task with a published value. Models with some: {', '.join(known)} (or their Hub "
            "ids)."
        )
    return Beside(tuple(pairs))


def _names(model: str) -> set[str]:
    """Return the name in the catalogue that a run's model goes by, and the model's own."""
    return {model} | {name for name, entry in CATALOGUE.items() if model in (name, entry.source, entry.paper)}


def _pair(row: Row, entry: dict[str, Any]) -> Pair:
    assert row.score is not None
    data = _of_data(row)
    differs = [*data, *_of_protocol(row, entry)]
    if row.departures:
        differs.append(f"this run: {row.departures}")
    return Pair(
        model=row.model,
        task=row.task,
        score=row.score,
        interval=row.interval,
        published=entry["score"],
        source=_source(entry),
        differs=tuple(differs),
        difference=None if data else row.score - entry["score"],
    )


def _of_data(row: Row) -> list[str]:
    """In what the test rows are not those of BEND's release."""
    if row.toy:
        return ["this run is on toy data, which says nothing about a model's worth"]
    task, counts = TASKS[row.task], row.results[0].counts
    if task not in BEND:
        return ["the task is one's own"]
    declared = sum(task.rows.values()) if task.folds else task.rows["test"]
    if counts.get("rows") != declared:
        return [f"this run has {counts.get('rows'):,} test rows, BEND's release {declared:,}"]
    known = (row.results[0].provenance.get("files") or {}).get("build_known")
    return [] if known == "lengths" else ["nothing but the user's word tells that the genome is BEND's"]


def _of_protocol(row: Row, entry: dict[str, Any]) -> list[str]:
    """In what the protocol is not the one that the source states."""
    if entry["protocol"].startswith("reference code"):
        if row.protocol == "bend-2024":
            return []
        return [f"this run is by the protocol {row.protocol}; the value is by the reference code (bend-2024)"]
    return [f"this run is by the protocol {row.protocol}; the value: {entry['protocol']}"]
