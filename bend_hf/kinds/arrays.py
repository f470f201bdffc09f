"""Labels as arrays: how kinds read them from text and from Arrow, check them, and turn them round.

Labels of one length per row are one dense array; those of windows that differ are `Ragged`: flat values and offsets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bend_hf.text import counted


class LabelError(ValueError):
    """A row's label is wrong: its number from 0, and what is wrong with it."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(f"row {row} {problem}")
        self.row = row
        self.problem = problem


class Ragged(Sequence[np.ndarray]):
    """Arrays of different lengths in one flat array: row i is ``values[offsets[i]:offsets[i + 1]]``."""

    def __init__(self, values: np.ndarray, lengths: np.ndarray) -> None:
        self.values = values
        self.offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override]
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.values[self.offsets[row] : self.offsets[row + 1]]


Labels = Ragged | np.ndarray


def first(mask: np.ndarray | pa.ChunkedArray) -> int | None:
    """Return the first row where `mask` is true, or None."""
    rows = np.flatnonzero(mask)
    return int(rows[0]) if len(rows) else None


def flat(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return a list column's values one after another, and (rows,) their number in each row.

    Raises:
        LabelError: A row has no list.
    """
    if column.null_count:
        row = first(pc.is_null(column).to_numpy(zero_copy_only=False))
        raise LabelError(
            row or 0, f"is the first without: {counted(column.null_count, 'row has', 'rows have')} no labels"
        )
    values, lengths = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for chunk in column.chunks:
        values.append(chunk.flatten().to_numpy(zero_copy_only=False))
        lengths.append(np.diff(chunk.offsets.to_numpy()))
    return np.concatenate(values[1:] or values), np.concatenate(lengths).astype(np.int64)


def check_range(values: np.ndarray, counts: np.ndarray, limit: int) -> None:
    """Check that labels are 0 to ``limit - 1``.

    Raises:
        LabelError: One is not.
    """
    if (wrong := first((values < 0) | (values >= limit))) is not None:
        row = int(np.searchsorted(np.cumsum(counts), wrong, side="right"))
        raise LabelError(row, f"has label {values[wrong]}; labels are 0 to {limit - 1}")


def lists(values: np.ndarray, counts: np.ndarray, dtype: type | np.dtype) -> pa.ChunkedArray:
    """Return Arrow lists of `counts` values each."""
    offsets = np.zeros(len(counts) + 1, dtype=np.int32)
    np.cumsum(counts, out=offsets[1:])
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.astype(dtype)))])


def integers(texts: pa.ChunkedArray) -> np.ndarray:
    """Read a text column as (rows,) int64.

    Raises:
        LabelError: A row is no whole number.
    """
    wrong = first(pc.invert(pc.match_substring_regex(texts, r"^-?\d{1,18}$")))
    if wrong is not None:
        raise LabelError(wrong, "is not a whole number.")
    numbers: np.ndarray = pc.cast(texts, pa.int64()).to_numpy()
    return numbers


def index_lists(texts: pa.ChunkedArray, n_labels: int) -> pa.ChunkedArray:
    """Parse ``3,17,40`` to lists of the labels that are on; an empty field is an empty list.

    Raises:
        LabelError: A row is no such list, or names a label twice or one that does not exist.
    """
    if (wrong := first(pc.invert(pc.match_substring_regex(texts, r"^(-?\d{1,4}(,-?\d{1,4})*)?$")))) is not None:
        raise LabelError(wrong, "is no comma-separated list of label indices such as 3,17,40.")
    parsed, offset = [], 0
    for chunk in texts.chunks:
        filled = pc.not_equal(chunk, "")
        parts = pc.split_pattern(chunk, ",")
        lengths = np.where(filled, pc.list_value_length(parts), 0)
        offsets = np.zeros(len(chunk) + 1, dtype=np.int32)
        np.cumsum(lengths, out=offsets[1:])
        labels = pc.cast(parts.filter(filled).flatten(), pa.int64())
        numbers = labels.to_numpy()
        rows = np.repeat(np.arange(len(chunk)), lengths)
        if (bad := first((numbers < 0) | (numbers >= n_labels))) is not None:
            problem = f"holds the label {numbers[bad]}: labels are 0 to {n_labels - 1}."
            raise LabelError(offset + int(rows[bad]), problem)
        keys = np.sort(rows * n_labels + numbers)
        if (bad := first(np.diff(keys) == 0)) is not None:
            raise LabelError(offset + int(keys[bad]) // n_labels, f"names the label {keys[bad] % n_labels} twice.")
        parsed.append(pa.ListArray.from_arrays(pa.array(offsets), labels))
        offset += len(chunk)
    return pa.chunked_array(parsed, pa.list_(pa.int64()))


def run_lengths(texts: pa.ChunkedArray, counts: np.ndarray, limit: int, unit: str) -> pa.ChunkedArray:
    """Parse ``8:512,0:120`` (label 8 of 512 in a row, then label 0 of 120) to lists of int8.

    Args:
        texts: The column.
        counts: (rows,) labels each row should have.
        limit: Labels are 0 to ``limit - 1``.
        unit: What a label is of, for messages.

    Raises:
        LabelError: A row is written otherwise, has too few or too many labels, or one that does not exist.
    """
    written = pc.match_substring_regex(texts, r"^\d{1,4}:\d{1,9}(,\d{1,4}:\d{1,9})*$")
    if (wrong := first(pc.invert(written))) is not None:
        raise LabelError(wrong, "is no list of runs label:count such as 8:512,0:120.")
    parts = pc.split_pattern(texts, ",").combine_chunks()
    row = np.repeat(np.arange(len(texts)), pc.list_value_length(parts).to_numpy())
    pairs = pc.list_flatten(pc.split_pattern(parts.flatten(), ":"))
    labels, runs = pc.cast(pairs, pa.int64()).to_numpy().reshape(-1, 2).T
    if (wrong := first(labels >= limit)) is not None:
        raise LabelError(int(row[wrong]), f"holds the label {labels[wrong]}: labels are 0 to {limit - 1}.")
    found = np.bincount(row, weights=runs, minlength=len(texts)).astype(np.int64)
    if (wrong := first(found != counts)) is not None:
        raise LabelError(wrong, f"has {counted(found[wrong], 'label')} for a window of {counted(counts[wrong], unit)}.")
    return lists(np.repeat(labels, runs), counts, np.int8)


def reversed_rows(column: pa.ListArray, minus: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a list column's values with the rows of `minus` back to front, their number per row, and which moved."""
    values = column.flatten().to_numpy(zero_copy_only=False)
    counts = np.diff(column.offsets.to_numpy()).astype(np.int64)
    ends = np.cumsum(counts)
    moved = np.repeat(minus, counts)
    place = np.arange(len(values))
    mirrored = np.repeat(2 * ends - counts - 1, counts) - place
    return values[np.where(moved, mirrored, place)], counts, moved
