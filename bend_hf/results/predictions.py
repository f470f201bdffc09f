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

from bend_hf.errors import BendError
from bend_hf.tasks import Task

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW_KEYS = ("row", "chromosome", "start", "end", "strand")
VARIANT_KEYS = ("row", "chromosome", "start", "ref", "alt")
EXTRAS = ("part", "consequence", "full_label", "transcript_id", "gene")
"""Columns of a dataset's rows that predictions carry on, where the task has them, for breakdowns and folds."""


@dataclass(frozen=True)
class Predictions:
    """What a model said about every test row, with the labels, in the dataset's row order (folds one after another).

    Attributes:
        task: The task.
        table: One row per test row: its keys (`WINDOW_KEYS`, with ``part`` where there are folds, or `VARIANT_KEYS`),
            `EXTRAS` where the task has them, and
            ``scores``: list<float16> (variants: float32), probabilities. Multilabel: one per label. Bins: one per bin.
            Gene finding: one per nucleotide and class, classes fastest (length L × 9);
            ``labels``: list<int8> (variants: int8), 0/1 per label or bin, the class per nucleotide.
    """

    task: Task
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def scores(self) -> np.ndarray:
        """All scores, flat: (variants,), (rows, labels), (bins,) or (nucleotides, classes), float32."""
        return self._shaped(self._flat("scores").astype(np.float32), len(self.task.label_names))

    @cached_property
    def labels(self) -> np.ndarray:
        """All labels, flat: (variants,), (rows, labels), (bins,) or (nucleotides,), int8."""
        classes = len(self.task.label_names) if self.task.label_kind == "multilabel" else 1
        return self._shaped(self._flat("labels"), classes)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Labels per row, (rows,) int64: the row of every entry of `labels` is ``np.repeat(arange, lengths)``."""
        if self.task.label_kind in ("variant_binary", "multilabel"):
            return np.ones(len(self), np.int64)
        import pyarrow.compute as pc

        return np.asarray(pc.list_value_length(self.table["labels"])).astype(np.int64)

    def column(self, name: str) -> np.ndarray:
        """A key or extra column as a numpy array (strings as objects)."""
        return np.asarray(self.table[name].to_numpy())

    def _flat(self, name: str) -> np.ndarray:
        import pyarrow as pa

        column = self.table[name].combine_chunks()
        values = column.flatten() if pa.types.is_list(column.type) else column
        return np.asarray(values.to_numpy(zero_copy_only=False))

    def _shaped(self, flat: np.ndarray, width: int) -> np.ndarray:
        wide = self.task.label_kind in ("multilabel", "per_nucleotide_class")
        return flat.reshape(-1, width) if wide and width > 1 else flat

    @cached_property
    def keys_digest(self) -> str:
        """SHA-256 over the row keys and labels: equal means that two models were tested on the same examples."""
        digest = hashlib.sha256(self.task.name.encode())
        names = VARIANT_KEYS if self.task.label_kind == "variant_binary" else WINDOW_KEYS
        for name in (*names[1:], "part"):
            if name in self.table.column_names:
                digest.update("\n".join(map(str, self.table[name].to_pylist())).encode())
        digest.update(self.lengths.tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()


def make_predictions(
    task: Task, rows: Any, scores: Sequence[np.ndarray] | np.ndarray, labels: Sequence[np.ndarray] | np.ndarray
) -> Predictions:
    """Put what a model said beside the rows it was said of.

    Args:
        task: The task.
        rows: The test rows, in the order of `scores`: a `datasets.Dataset`, a `pyarrow.Table` or a mapping of columns
            (for folds with a column ``part``). Keys and `EXTRAS` are carried on, sequences and labels are not.
            ``row`` is numbered from 0 where it is absent.
        scores: Per row: (L, classes), (bins,) or (labels,) probabilities; for variants one array of (n,) distances.
        labels: Per row: (L,), (bins,) or (labels,) integers; for variants one array of (n,).

    Raises:
        BendError: Rows, scores and labels do not fit together, or a score is not finite.
    """
    import pyarrow as pa

    names = VARIANT_KEYS if task.label_kind == "variant_binary" else WINDOW_KEYS
    table = _columns(rows, (*names, *EXTRAS))
    if not len(scores) == len(labels) == table.num_rows:
        raise BendError(
            f"{task.name}: {table.num_rows} rows, {len(scores)} predictions and {len(labels)} labels; "
            "every test row needs one of each."
        )
    if "row" not in table.column_names:
        table = table.add_column(0, "row", pa.array(np.arange(table.num_rows)))
    if task.label_kind == "variant_binary":
        columns = {
            "scores": pa.array(np.asarray(scores, np.float32)),
            "labels": pa.array(np.asarray(labels, np.int8)),
        }
    else:
        columns = {"scores": _lists(scores, np.float16), "labels": _lists(labels, np.int8)}
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


def _lists(arrays: Sequence[np.ndarray] | np.ndarray, dtype: type) -> pa.Array:
    import pyarrow as pa

    offsets = np.concatenate([[0], np.cumsum([np.size(array) for array in arrays])]).astype(np.int64)
    flat = np.concatenate([np.asarray(array, dtype).reshape(-1) for array in arrays]) if len(arrays) else np.empty(0)
    if offsets[-1] < 2**31:
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat.astype(dtype)))
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(flat.astype(dtype)))


def check(predictions: Predictions, where: str) -> None:
    """Check that every row has its keys, as many scores and labels as it should, and finite scores.

    Raises:
        BendError: A column is missing, a row is wrong or there are none; the message starts with `where`.
    """
    import pyarrow.compute as pc

    task, table = predictions.task, predictions.table
    variants = task.label_kind == "variant_binary"
    keys = VARIANT_KEYS if variants else WINDOW_KEYS
    needed = [*keys, *(["part"] if task.split_scheme == "folds" else []), "scores", "labels"]
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise BendError(
            f"{where}: predictions of {task.name} lack the column {missing[0]!r}; needed: {', '.join(needed)}."
        )
    if not table.num_rows:
        raise BendError(f"{where}: there are no predictions.")
    if not variants:
        counts = [np.asarray(pc.list_value_length(table[name])) for name in ("scores", "labels")]
        width = len(task.label_names) if task.label_kind == "per_nucleotide_class" else 1
        expected = np.full(len(table), len(task.label_names)) if task.label_kind == "multilabel" else counts[1]
        for name, found, wanted in (("scores", counts[0], expected * width), ("labels", counts[1], expected)):
            wrong = np.flatnonzero(found != wanted)
            if len(wrong):
                row = int(wrong[0])
                raise BendError(f"{where}: row {row} has {found[row]} {name}; expected {wanted[row]}.")
    bad = np.flatnonzero(~np.isfinite(predictions.scores.reshape(-1)))
    if len(bad):
        row = int(bad[0]) if variants else int(np.searchsorted(np.cumsum(counts[0]), bad[0], side="right"))
        raise BendError(f"{where}: row {row} has a score that is not finite; the model or its head diverged.")
    upper = len(task.label_names) - 1 if task.label_kind == "per_nucleotide_class" else 1
    if predictions.labels.min() < 0 or predictions.labels.max() > upper:
        raise BendError(f"{where}: a label lies outside 0..{upper}.")


def to_parquet(predictions: Predictions, schema: int) -> bytes:
    """Return the predictions as the bytes of a Parquet file; it carries no pickled metadata."""
    import pyarrow.parquet as pq

    metadata = {"bend_hf.task": predictions.task.name, "bend_hf.schema": str(schema)}
    buffer = io.BytesIO()
    pq.write_table(predictions.table.replace_schema_metadata(metadata), buffer, compression="zstd")
    return buffer.getvalue()
