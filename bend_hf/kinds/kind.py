"""The contract of a kind of labels: what every room needs to know of their shape, answered once per kind.

    kind = task.kind
    kind.score(task, labels, scores)                 # {"mcc": 0.61, "recall": [...], ...}

A kind is data and functions; numpy and Arrow are all it needs. To add one, write a module like `bend_hf.kinds.bins` and
`bend_hf.kinds.register` what it makes. Functions take the task first, for its names, window and bin size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bend_hf.kinds.arrays import Labels

if TYPE_CHECKING:
    from bend_hf.tasks.task import Task

WINDOW_KEYS = ("row", "chromosome", "start", "end", "strand")
VARIANT_KEYS = ("row", "chromosome", "start", "ref", "alt")


@dataclass(frozen=True)
class Kind:
    """A kind of labels.

    Attributes:
        name: As tasks declare it.
        unit: What one prediction is of, in words.
        metrics: Metrics that fit, folders of ``metrics/``.
        losses: Losses of a head that fit; none where nothing is trained.
        schemes: Ways in which rows may be split, as tasks declare them (`SplitScheme`).
        column: Name of the labels' column in a dataset's rows.
        keys: Columns that tell rows apart.
        recipe: Fields of `Recipe` that tasks have by default; None where nothing is trained.
        variants: Whether a row is a variant with two sequences, and not a window with one.
        single: Whether a row has one label, and not a list of them.
        classes: Whether the score is that of the most probable of several classes.
        spans: Widths in bp around a label in which the composition baseline counts k-mers; empty for whole windows.
        problem: What in a task's declaration does not fit the kind, or None.
        feature: The labels' column as a feature of `datasets`.
        count: (rows,) labels of windows of given lengths in bp, int64.
        values: Number of values a label may take (0, 1, …), or None for real numbers.
        parse: Text of the label column, and `count`, to Arrow; a wrong row raises `LabelError`.
        turn: Labels of windows read on the other strand where a mask (rows,) says so, as Arrow.
        arrays: A dataset's label column as numpy, by row.
        nucleotides: (rows,) lengths in bp of the windows that `arrays` belong to, int64.
        per_row: Labels of every row, or None where windows differ in their number.
        label_columns: Labels that are scored side by side, each with its own score: columns of a label array.
        score_columns: Columns of a score array.
        pool: Nucleotides that a head pools over for a prediction; None for one each.
        by_row: Predictions of all rows one after another, with offsets, as an array per row.
        score: Labels and scores, or called classes, of all rows one after another to the metric's values by name; the
            headline is None where the labels leave it undefined.
        resampled: Labels, scores and cluster of entries, and weights (resamples, clusters), to the headline of every
            resample; of one column of labels and scores where there are several.
        describe: Labels of the test rows to what a record counts, and to what it says beside the score.
    """

    name: str
    unit: str
    metrics: tuple[str, ...]
    losses: tuple[str, ...]
    schemes: tuple[str, ...]
    column: str
    keys: tuple[str, ...]
    recipe: Mapping[str, Any] | None
    variants: bool
    single: bool
    classes: bool
    spans: tuple[int, ...]
    problem: Callable[[Task], str | None]
    feature: Callable[[Task], Any]
    count: Callable[[Task, np.ndarray], np.ndarray]
    values: Callable[[Task], int | None]
    parse: Callable[[Task, pa.ChunkedArray, np.ndarray], pa.ChunkedArray]
    turn: Callable[[Task, pa.Array, np.ndarray], pa.Array]
    arrays: Callable[[Task, pa.ChunkedArray], Labels]
    nucleotides: Callable[[Task, Labels, np.ndarray], np.ndarray]
    per_row: Callable[[Task], int | None]
    label_columns: Callable[[Task], int]
    score_columns: Callable[[Task], int]
    pool: Callable[[Task], int | None]
    by_row: Callable[[np.ndarray, np.ndarray], list[np.ndarray]]
    score: Callable[[Task, np.ndarray, np.ndarray], dict[str, Any]]
    resampled: Callable[[Task, np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    describe: Callable[[Task, np.ndarray], tuple[dict[str, Any], dict[str, Any]]]

    def binary(self, task: Task) -> bool:
        """Whether labels are positives and negatives, the rarer of which limits what a test says."""
        return not self.classes and self.values(task) == 2

    def label_type(self, task: Task) -> type[np.generic]:
        """Return the smallest numpy type that holds every label of a task."""
        values = self.values(task)
        if values is None:
            return np.float32
        return np.int8 if values <= 128 else np.int16

    @property
    def whole_windows(self) -> bool:
        """Whether a head's prediction is of a whole window."""
        return bool(self.losses) and not self.spans
