"""Groups of results that may stand in one table: of one protocol, on toy or on real data, compared with each other.

for group in grouped(read_results("bend-results")):
group.row("model-a", "gene_finding"), group.rank(row)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bend_hf.results.board import Row, board, sort_rows
from bend_hf.results.compare import Comparison, compare
from bend_hf.results.conditions import footnotes
from bend_hf.results.record import Result
from bend_hf.tasks import BEND


@dataclass(frozen=True)
class Group:
    """Rows that may stand in one table: of one protocol, on toy or on real data.

    Attributes:
        protocol: Their protocol.
        toy: Whether the data is the toy data.
        rows: By task and falling score, baselines among models; what is not ranked stands behind what is.
        comparison: Differences and ranks between them, where they may be compared.
    """

    protocol: str
    toy: bool
    rows: list[Row]
    comparison: Comparison

    @property
    def key(self) -> str:
        """Its name in a page's markup."""
        return f"{self.protocol}{'-toy' if self.toy else ''}"

    @property
    def marks(self) -> dict[str, str]:
        """Letters for what the rows say of departures from their task's recipe: text → letter."""
        return footnotes([row.departures for row in self.rows])

    def audits(self, task: str) -> dict[str, list[str]]:
        """What audits say of a task's rows, as its records carry it → titles of the models that have it so."""
        said: dict[str, list[str]] = {}
        for row in self.rows:
            text = row.results[0].provenance.get("audit")
            if row.task == task and isinstance(text, str):
                said.setdefault(text, []).append(row.title)
        return said

    @property
    def title(self) -> str:
        """For headings."""
        name = {"default": "Default protocol", "bend-2024": "Protocol bend-2024 (the reference code's)"}[self.protocol]
        return f"{name}, toy data" if self.toy else name

    @property
    def models(self) -> list[str]:
        """Models and baselines by their mean of centred scores over the tasks that most have, in falling order.

        Models that lack a task of these, or are not ranked in it, stand behind.
        """
        names = dict.fromkeys(row.model for row in self.rows)
        by_task = {task: [row for row in self.rows if row.task == task] for task in self.tasks}
        most = max(map(len, by_task.values()), default=0)
        full = [task for task, rows in by_task.items() if len(rows) == most]

        def place(name: str) -> tuple[int, float]:
            rows = [self.row(name, task) for task in full]
            ranked = [row for row in rows if row is not None and not self.unlike(row)]
            found = [row.centred for row in ranked if row.centred is not None]
            return len(full) - len(found), -sum(found) / max(len(found), 1)

        return sorted(names, key=place)

    @property
    def tasks(self) -> list[str]:
        """Tasks that have a row, in the order of declaration."""
        return list(dict.fromkeys(row.task for row in self.rows))

    def departures(self, rows: Iterable[Row | None]) -> list[str]:
        """What departs from the recipe in some rows, each text once."""
        return list(dict.fromkeys(row.departures for row in rows if row is not None and row.departures))

    def row(self, model: str, task: str) -> Row | None:
        """The row of a model on a task."""
        return next((row for row in self.rows if (row.model, row.task) == (model, task)), None)

    def unlike(self, row: Row) -> bool:
        """Whether a row is kept out of its task's ranking, made with other settings or seeds than those in it."""
        compared = any(row.model in (item.a, item.b) for item in self.comparison.differences if item.task == row.task)
        apart = row.departures or row.model in self.comparison.left_out.get(row.task, ())
        return bool(apart and row.task in self.comparison.ranking and not compared)

    def rank(self, row: Row) -> str | None:
        """The rank of a row, an interval (``"2–4"``); None where it is not ranked."""
        places = {model: place for place, model in self.comparison.ranking.get(row.task, [])}
        return places.get(row.model)


def grouped(results: Sequence[Result], *, resamples: int = 1000) -> list[Group]:
    """Divide results into groups that may stand in one table, and compare within each; real data first."""
    rows = board(results)
    keys = sorted(dict.fromkeys((row.toy, row.protocol) for row in rows), key=lambda key: (key[0], key[1] != "default"))
    groups = []
    for toy, protocol in keys:
        # records without predictions cannot be compared; they are shown without ranks
        inside = [result for result in results if (result.toy, result.protocol) == (toy, protocol)]
        able = [result for result in inside if result.predictions is not None and result.path is not None]
        comparison = compare(able, resamples=resamples, strict=False)
        group = Group(protocol, toy, [row for row in rows if (row.toy, row.protocol) == (toy, protocol)], comparison)
        # what is not ranked stands behind what is, whatever its score
        groups.append(dataclasses.replace(group, rows=sort_rows(group.rows, last=group.unlike)))
    return groups


def title_of(groups: Sequence[Group]) -> str:
    """Title of a report: BEND's name stands over what has one of its tasks, not over others' tasks alone."""
    names = {task.name for task in BEND}
    return "BEND results" if any(names & set(group.tasks) for group in groups) else "Results"
