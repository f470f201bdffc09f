"""`Results`: what `evaluate` and `read_results` return, a list of records that is looked at as a table.

results = bend_hf.read_results("bend-results")
results                                      # the table of the command line; in a notebook an HTML table
results.of(task="gene_finding", model="onehot").summary()
results.scores()                             # every score of variants, as a data frame
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from bend_hf.errors import BendError, unknown
from bend_hf.report.table import TOY, table
from bend_hf.results import record
from bend_hf.results.board import board
from bend_hf.results.record import Result
from bend_hf.results.transcripts import VALUES

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from bend_hf.report.picture import Picture


COLUMNS: dict[str, type] = {
    **dict.fromkeys(("model", "task", "protocol"), str),
    **{"toy": bool, "seed": int, "metric": str, "score": float, "low": float, "high": float, "chance": float},
    **{"failure": str, "layer": int, "path": str},
}
"""What a frame has of a record."""


class Results(list[Result]):
    """A list of records; its text is their table."""

    def __repr__(self) -> str:
        return table(self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        head = f"<p><strong>{escape(TOY)}</strong></p>" if any(result.toy for result in self) else ""
        return head + self.summary().to_html(index=False, na_rep="", float_format="{:.3f}".format)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Result: ...

    @overload
    def __getitem__(self, index: slice) -> Results: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Result | Results:
        found = super().__getitem__(index)
        return Results(found) if isinstance(found, list) else found

    def of(
        self,
        *,
        task: str | None = None,
        model: str | None = None,
        protocol: str | None = None,
        seed: int | None = None,
        layer: int | None = None,
        score: str | None = None,
    ) -> Results:
        """Return the records that have all the values given.

        Args:
            task: Name of a task.
            model: Name of a model, as in the records.
            protocol: Name of a protocol.
            seed: Of the head's training.
            layer: Index of the hidden state that alone was read, from 0 (embeddings) to the last, or -1, the output.
            score: Name of a score of variants, such as ``"llr"``: the records that have it.

        Raises:
            BendError: No record at all has one of the values; the message names the nearest that is there.
        """
        wanted = {"task": task, "model": model, "protocol": protocol, "seed": seed, "layer": layer}
        chosen = list(self)
        for name, value in wanted.items():
            if value is None:
                continue
            fits = isinstance(value, str | Integral) and not isinstance(value, bool)
            if not fits or not any(_has(result, name, value) for result in self):
                known = {str(_value(result, name)) for result in self if _value(result, name) is not None}
                raise unknown(name, str(value), sorted(known))
            chosen = [result for result in chosen if _has(result, name, value)]
        if score is not None:
            there = {name for result in self for name in result.secondary.get("by_score", {})}
            if score not in there:
                raise unknown("score", score, sorted(there))
            chosen = [result for result in chosen if score in result.secondary.get("by_score", {})]
        return Results(chosen)

    def to_pandas(self) -> pd.DataFrame:
        """Return one line per record: failures among them, with the reason in ``failure``.

        ``low`` and ``high`` are the 95 % interval over test rows; `summary` has that over seeds as well.
        """
        import pandas as pd

        return pd.DataFrame(self._lines(), columns=list(COLUMNS))

    def to_polars(self) -> pl.DataFrame:
        """Return the same lines as a frame of polars; ``path`` is text there.

        Raises:
            BendError: polars is not installed.
        """
        try:
            import polars as pl
        except ModuleNotFoundError as error:
            raise BendError("polars is not installed: pip install polars, or take to_pandas().") from error
        types = {str: pl.String, bool: pl.Boolean, int: pl.Int64, float: pl.Float64}
        lines = [line | {"path": None if line["path"] is None else str(line["path"])} for line in self._lines()]
        return pl.DataFrame(lines, schema={name: types[kind] for name, kind in COLUMNS.items()})

    def _lines(self) -> list[dict[str, Any]]:
        """One line per record: what is in `COLUMNS`."""
        names = ("model", "task", "protocol", "toy", "seed", "metric", "score", "chance", "failure")
        lines = []
        for result in self:
            low, high = result.interval or (None, None)
            values = {name: getattr(result, name) for name in names}
            lines.append(values | {"low": low, "high": high, "layer": _value(result, "layer"), "path": result.path})
        return lines

    def summary(self) -> pd.DataFrame:
        """Return one line per model, task and protocol, as the leaderboard has it.

        ``score`` is the mean over ``seeds``, ``low`` and ``high`` its 95 % interval (over test rows and, with several
        seeds, training), ``departures`` where its settings are not the recipe's.
        """
        import pandas as pd

        names = ("model", "task", "protocol", "toy", "score")
        rest = ("chance", "departures", "failure")
        lines = []
        for row in board(self):
            low, high = row.interval or (None, None)
            ends = {"low": low, "high": high, "seeds": len(row.results) if row.trained else 0}
            lines.append({name: getattr(row, name) for name in (*names, *rest)} | ends)
        return pd.DataFrame(lines, columns=[*names, "low", "high", "seeds", *rest])

    def scores(self) -> pd.DataFrame:
        """Return one line per record of variants and score (distances, likelihoods, layers), with its interval.

        Which one is the headline was fixed before the run: the best of many is not a fair estimate of itself.
        """
        import pandas as pd

        lines = []
        for result in self:
            intervals = result.secondary.get("by_score_interval", {})
            for name, value in result.secondary.get("by_score", {}).items():
                low, high = intervals.get(name) or (None, None)
                lines.append((result.model, result.task, result.protocol, name, value, low, high))
        return pd.DataFrame(lines, columns=["model", "task", "protocol", "name", "score", "low", "high"])

    def predictions(self) -> pd.DataFrame:
        """Return what was predicted of the test rows of one task, with coordinates: a line per record and label.

        Columns are ``model``, ``protocol``, ``seed``, and those of `Predictions.to_pandas`. Failures have no lines.

        Raises:
            BendError: The records are of several tasks, whose rows have other columns, or predictions are missing.
        """
        import pandas as pd

        tasks = list(dict.fromkeys(result.task for result in self))
        if len(tasks) > 1:
            raise BendError(
                f"Predictions of several tasks ({', '.join(tasks)}) have no columns in common: choose one, as in "
                f"results.of(task={tasks[0]!r}).predictions()."
            )
        frames = []
        for result in self:
            if result.failure is None:
                frame = record.read_predictions(result).to_pandas()
                for at, name in enumerate(("model", "protocol", "seed")):
                    frame.insert(at, name, getattr(result, name))
                frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def genes(self) -> pd.DataFrame:
        """Return one line per record of gene finding and level: exons, intron chains, transcripts called exactly.

        ``precision``, ``recall`` and ``f1`` each with ``_low`` and ``_high`` of the 95 % interval, and how many are
        ``true``, ``called`` and ``matched`` (`bend_hf.results.transcripts`).
        """
        import pandas as pd

        lines = []
        for result in self:
            for name, found in result.secondary.get("genes", {}).items():
                line = {"model": result.model, "protocol": result.protocol, "seed": result.seed, "level": name}
                for value in VALUES:
                    low, high = found[f"{value}_interval"] or (None, None)
                    line |= {value: found[value], f"{value}_low": low, f"{value}_high": high}
                lines.append(line | {count: found[count] for count in ("true", "called", "matched")})
        return pd.DataFrame(lines)

    def plot(self) -> Picture:
        """Draw scores with their intervals and chance, a panel for each task (`bend_hf.report.picture.scores`)."""
        from bend_hf.report.picture import scores

        return scores(self)

    def tracks(self, folder: str | Path, genome: str | Path | None = None) -> list[Path]:
        """Write the predictions as files for genome browsers: see `bend_hf.tracks.write.write_tracks`."""
        from bend_hf.tracks.write import write_tracks

        return write_tracks(self, folder, genome)


def _value(result: Result, name: str) -> Any:
    """Return a field of a record; ``layer`` is that of its model, where one layer alone was read."""
    if name != "layer":
        return getattr(result, name)
    model = result.provenance.get("model") or {}
    layers = (model.get("key") or {}).get("layer")
    if not isinstance(layers, list) or len(layers) != 1:
        return None
    return -1 if layers[0] == model.get("layers") else layers[0]  # earlier records name the output by its number too


def _has(result: Result, name: str, value: Any) -> bool:
    """Whether a field of a record has a value; the output is both layer -1 and the last by its number."""
    found = _value(result, name)
    output = name == "layer" and found == -1 and value == result.provenance["model"].get("layers")
    return bool(found == value) or output


def read_results(where: str | Path | Iterable[str | Path]) -> Results:
    """Read records from a folder (at any depth), a file, or several of either.

    Returns:
        The results, sorted by model, task (in the order of declaration), protocol and seed.

    Raises:
        BendError: There are none; a file is truncated, was edited, is not a record or of a newer schema.
    """
    return Results(record.read_results(where))
