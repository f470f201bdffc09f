"""Predictions on test rows, with the rows' keys and labels: what intervals and comparisons are computed from.

    predictions = make_predictions(task, dataset, scores, labels)
    predictions.scores, predictions.labels, predictions.column("chromosome")

They are one Arrow table, and one Parquet file beside a record.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.errors import BendError, unknown
from bend_hf.tasks import Task
from bend_hf.text import counted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

EXTRAS = ("part", "consequence", "full_label", "transcript_id", "gene")
"""Columns of a dataset's rows that predictions carry on, where the task has them, for breakdowns and folds."""
BESIDE = "score."
"""What stands before the names of other scores in a predictions file."""
MOST_IN_LISTS = int(np.iinfo(np.int32).max)
"""Entries that a column of Arrow's lists holds; one of its large lists holds more."""


@dataclass(frozen=True)
class Predictions:
    """What a model said about every test row, with the labels, in the dataset's row order (folds one after another).

    Attributes:
        task: The task.
        table: One row per test row: its keys (those of the task's kind, with ``part`` where there are folds),
            `EXTRAS` where the task has them, and
            ``scores``: list<float32> (float32 where a row has one score), probabilities: one per label and class,
            classes fastest (gene finding: length L × 9). Records of schema 1 hold float16;
            ``labels``: lists (numbers where a row has one) of int8, or of what the task's kind needs to hold them;
            ``score.<name>``: float32, other scores of the same rows, where there are any (see `beside`).
    """

    task: Task
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def scores(self) -> np.ndarray:
        """All scores, flat: (variants,), (rows, labels), (bins,) or (nucleotides, classes), float32."""
        return _shaped(self._flat("scores").astype(np.float32), self.task.kind.score_columns(self.task))

    @cached_property
    def labels(self) -> np.ndarray:
        """All labels, flat: (variants,), (rows, labels), (bins,) or (nucleotides,)."""
        return _shaped(self._flat("labels"), self.task.kind.label_columns(self.task))

    @cached_property
    def lengths(self) -> np.ndarray:
        """Entries of `labels` per row, (rows,) int64: the row of each is ``np.repeat(arange, lengths)``."""
        if self.task.kind.per_row(self.task) is not None:
            return np.ones(len(self), np.int64)
        import pyarrow.compute as pc

        return np.asarray(pc.list_value_length(self.table["labels"])).astype(np.int64)

    def column(self, name: str) -> np.ndarray:
        """A key or extra column as a numpy array (strings as objects)."""
        return np.asarray(self.table[name].to_numpy())

    def to_pandas(self) -> pd.DataFrame:
        """Return one line per label: variant, window and label, bin or nucleotide, with its own coordinates.

        Columns are the rows' keys, with ``start`` and ``end`` (0-based, half-open) of the bin or nucleotide itself,
        also where a window is read on the other strand; ``name`` of the label, where a window has several; ``label``;
        ``score``, or ``p.<class>`` for every class; and the scores `beside`.
        """
        kind, task = self.task.kind, self.task
        keys = self.table.select([name for name in self.table.column_names if name not in ("scores", "labels")])
        row = np.repeat(np.arange(len(self)), self.lengths)
        frame: pd.DataFrame = keys.to_pandas().iloc[row]
        if kind.per_row(task) is None:
            size = task.bin_size or 1
            piece = np.arange(len(row)) - (np.cumsum(self.lengths) - self.lengths)[row]
            if task.stranded:
                piece = np.where(frame["strand"] == "-", self.lengths[row] - 1 - piece, piece)
            start = frame["start"] + piece * size
            frame = frame.assign(start=start, end=start + size)
        if kind.label_columns(task) > 1:
            names = task.label_names
            frame = frame.iloc[np.repeat(np.arange(len(frame)), len(names))].assign(name=list(names) * len(self))
        frame = frame.assign(label=self.labels.reshape(-1))
        if kind.classes:
            values = {f"p.{name}": self.scores[:, k] for k, name in enumerate(task.label_names)}
        else:
            values = {"score": self.scores.reshape(-1)}
        return frame.assign(**values).reset_index(drop=True)

    @property
    def beside(self) -> tuple[str, ...]:
        """Names of the scores beside the headline, the headline's own name among them."""
        return tuple(name.removeprefix(BESIDE) for name in self.table.column_names if name.startswith(BESIDE))

    def by(self, name: str) -> Predictions:
        """The same rows with one of the scores `beside` as the headline.

        Raises:
            BendError: There is no such score.
        """
        if name not in self.beside:
            raise unknown("score", name, self.beside)
        at = self.table.column_names.index("scores")
        return Predictions(self.task, self.table.set_column(at, "scores", self.table[BESIDE + name]))

    def _flat(self, name: str) -> np.ndarray:
        import pyarrow as pa

        column = self.table[name].combine_chunks()
        values = column if pa.types.is_primitive(column.type) else column.flatten()
        return np.asarray(values.to_numpy(zero_copy_only=False))

    @cached_property
    def keys_digest(self) -> str:
        """SHA-256 over the row keys and labels: equal means that two models were tested on the same examples."""
        digest = hashlib.sha256(self.task.name.encode())
        for name in (*self.task.kind.keys[1:], "part"):
            if name in self.table.column_names:
                digest.update("\n".join(map(str, self.table[name].to_pylist())).encode())
        digest.update(self.lengths.tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


def _shaped(flat: np.ndarray, columns: int) -> np.ndarray:
    return flat.reshape(-1, columns) if columns > 1 else flat


def make_predictions(
    task: Task,
    rows: Any,
    scores: Sequence[np.ndarray] | np.ndarray,
    labels: Sequence[np.ndarray] | np.ndarray,
    beside: Mapping[str, np.ndarray] | None = None,
) -> Predictions:
    """Put what a model said beside the rows it was said of.

    Args:
        task: The task.
        rows: The test rows, in the order of `scores`: a `datasets.Dataset`, a `pyarrow.Table` or a mapping of columns
            (for folds with a column ``part``). Keys and `EXTRAS` are carried on, sequences and labels are not.
            ``row`` is numbered from 0 where it is absent.
        scores: Per row: (L, classes), (bins,) or (labels,) probabilities; for variants one array of (n,) distances.
        labels: Per row: (L,), (bins,) or (labels,) integers; for variants one array of (n,).
        beside: Other scores of variants, (n,) each, by name.

    Raises:
        BendError: Rows, scores and labels do not fit together, or a score is not finite.
    """
    import pyarrow as pa

    kind = task.kind
    table = _columns(rows, (*kind.keys, *EXTRAS))
    if not len(scores) == len(labels) == table.num_rows:
        raise BendError(
            f"{task.name}: {counted(table.num_rows, 'row')}, {counted(len(scores), 'prediction')} and "
            f"{counted(len(labels), 'label')}; every test row needs one of each."
        )
    if "row" not in table.column_names:
        table = table.add_column(0, "row", pa.array(np.arange(table.num_rows)))
    columns = {
        "scores": _column(scores, np.float32, kind.single and kind.score_columns(task) == 1),
        "labels": _column(labels, kind.label_type(task), kind.single),
    }
    columns |= {BESIDE + name: _column(values, np.float32, True) for name, values in (beside or {}).items()}
    for name, column in columns.items():
        table = table.append_column(name, column)
    predictions = Predictions(task, table)
    check(predictions, task.name)
    return predictions


def _columns(rows: Any, wanted: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    names = list(getattr(rows, "column_names", None) or rows)
    present = [name for name in wanted if name in names]
    if isinstance(rows, pa.Table):
        return rows.select(present)
    if isinstance(rows, Mapping):
        return pa.table({name: list(rows[name]) for name in present})
    return rows.select_columns(present).with_format("arrow")[:]


def _column(arrays: Sequence[np.ndarray] | np.ndarray, dtype: type, single: bool) -> pa.Array:
    """Return one number per row (`single`), or a list of them."""
    import pyarrow as pa

    if single:
        return pa.array(np.asarray(arrays, dtype).reshape(len(arrays)))
    offsets = np.concatenate([[0], np.cumsum([np.size(array) for array in arrays])]).astype(np.int64)
    flat = np.concatenate([np.asarray(array, dtype).reshape(-1) for array in arrays]) if len(arrays) else np.empty(0)
    if offsets[-1] <= MOST_IN_LISTS:
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat.astype(dtype)))
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat.astype(dtype)))


def check(predictions: Predictions, where: str) -> None:
    """Check that every row has its keys, as many scores and labels as it should, and finite scores.

    Raises:
        BendError: A column is missing, a row is wrong or there are none; the message starts with `where`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    task, kind, table = predictions.task, predictions.task.kind, predictions.table
    needed = [*kind.keys, *(["part"] if task.folds else []), "scores", "labels"]
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise BendError(
            f"{where}: predictions of {task.name} lack the column {missing[0]!r}; needed: {', '.join(needed)}."
        )
    if not table.num_rows:
        raise BendError(f"{where}: there are no predictions.")
    for name in (name for name in needed if not _fits(name, table[name])):
        raise BendError(f"{where}: the column {name!r} holds {table[name].type}, or nulls, which it cannot be.")
    for name in kind.keys:
        if pa.types.is_integer(table[name].type):
            continue
        broken = np.flatnonzero(pc.match_substring_regex(table[name], r"^$|[\s\p{C}\p{Z}]"))
        if len(broken):
            value = table[name][int(broken[0])].as_py()
            raise BendError(f"{where}: row {broken[0]} has the {name} {value!r}: names there are one printable word.")
    for name in predictions.beside:
        if not name.isprintable():
            raise BendError(f"{where}: a score has the name {name!r}, which cannot be printed.")
    counts = {name: _counts(table[name]) for name in ("scores", "labels")}
    per_row = kind.per_row(task)
    expected = counts["labels"] if per_row is None else np.full(len(table), per_row)
    each = kind.score_columns(task) // kind.label_columns(task)
    for name, wanted in (("scores", expected * each), ("labels", expected)):
        wrong = np.flatnonzero(counts[name] != wanted)
        if len(wrong):
            row = int(wrong[0])
            raise BendError(f"{where}: row {row} has {counts[name][row]} {name}; expected {wanted[row]}.")
    bad = np.flatnonzero(~np.isfinite(predictions.scores.reshape(-1)))
    if len(bad):
        row = int(np.searchsorted(np.cumsum(counts["scores"]), bad[0], side="right"))
        raise BendError(f"{where}: row {row} has a score that is not finite; the model or its head diverged.")
    for name in predictions.beside:
        if len(bad := np.flatnonzero(~np.isfinite(predictions.column(BESIDE + name)))):
            raise BendError(f"{where}: row {int(bad[0])} has a score {name} that is not finite.")
    values = kind.values(task)
    if values is not None and not 0 <= predictions.labels.min() <= predictions.labels.max() < values:
        raise BendError(f"{where}: a label lies outside 0..{values - 1}.")


def _fits(name: str, column: pa.ChunkedArray) -> bool:
    """Tell whether a column holds what its name says, in every row."""
    import pyarrow.types as kinds

    kind = column.type
    if name in ("scores", "labels") and (kinds.is_list(kind) or kinds.is_large_list(kind)):
        kind = kind.value_type
    strings = kinds.is_string(kind) or kinds.is_large_string(kind)
    if name == "scores":
        fits = kinds.is_floating(kind)
    elif name in ("row", "start", "end"):
        fits = kinds.is_integer(kind)
    else:
        fits = kinds.is_integer(kind) or kinds.is_floating(kind) if name == "labels" else strings
    return fits and not column.null_count


def _counts(column: pa.ChunkedArray) -> np.ndarray:
    """Return (rows,) the number of values in each row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    single = pa.types.is_primitive(column.type)
    return np.ones(len(column), np.int64) if single else np.asarray(pc.list_value_length(column))


def to_parquet(predictions: Predictions, schema: int) -> bytes:
    """Return the predictions as the bytes of a Parquet file; it carries no pickled metadata."""
    import pyarrow.parquet as pq

    metadata = {"bend_hf.task": predictions.task.name, "bend_hf.schema": str(schema)}
    buffer = io.BytesIO()
    pq.write_table(predictions.table.replace_schema_metadata(metadata), buffer, compression="zstd")
    return buffer.getvalue()
