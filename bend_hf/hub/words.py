"""What a dataset's card says of labels, by their kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from bend_hf.tasks import Task
from bend_hf.templates import code


class Words(NamedTuple):
    """What a card says of a kind of labels.

    Attributes:
        category: Task category of the Hub.
        column: Meaning of the labels' column.
        labels: How many there are, of what.
        score: How the metric, whose name is put in, is taken.
        names: The labels' names; None to list them.
    """

    category: str
    column: str
    labels: str
    score: str
    names: str | None = None


def _nucleotides(task: Task) -> Words:
    return Words(
        "token-classification",
        f"one class per nucleotide of `sequence`, 0 to {len(task.label_names) - 1}",
        f"{len(task.label_names)} classes, one per nucleotide.",
        "the {} over all nucleotides of the split pooled",
    )


def _bins(task: Task) -> Words:
    folds = {10: "ten"}.get(len(task.rows), len(task.rows))
    return Words(
        "token-classification",
        f"one label per bin of {task.bin_size} bp, in the order of `sequence`: 1 or 0",
        f"Binary, one per bin of {task.bin_size} bp.",
        "the {} over all bins of the test part pooled" + (f", as a mean over the {folds} folds" if task.folds else ""),
        f"1 is {code(task.label_names[0])}, 0 is none.",
    )


def _multilabel(task: Task) -> Words:
    return Words(
        "text-classification",
        f"indices of the labels that are on, 0 to {len(task.label_names) - 1}; may be empty",
        f"{len(task.label_names)} labels, any number of which may be on.",
        "the unweighted mean of the {} over the labels that have both classes",
    )


def _variant(task: Task) -> Words:
    return Words("other", "", "Binary, one per variant.", "the {} over all variants")


def _window_class(task: Task) -> Words:
    return Words(
        "text-classification",
        f"index of the window's class, 0 to {len(task.label_names) - 1}",
        f"{len(task.label_names)} classes, one per window.",
        "the {} over all windows of the split",
    )


def _window_value(task: Task) -> Words:
    return Words(
        "tabular-regression",
        f"{task.label_names[0]} of the window",
        "A number per window.",
        "the {} over all windows of the split",
        f"It is {code(task.label_names[0])}.",
    )


WORDS: dict[str, Callable[[Task], Words]] = {
    "per_nucleotide_class": _nucleotides,
    "per_bin_binary": _bins,
    "multilabel": _multilabel,
    "variant_binary": _variant,
    "window_class": _window_class,
    "window_value": _window_value,
}


def words(task: Task) -> Words:
    """Return what a card says of a task's labels; of a kind that is not this package's, in general words."""
    if task.label_kind in WORDS:
        return WORDS[task.label_kind](task)
    unit = task.kind.unit
    return Words("other", f"label of the {unit}", f"One per {unit}.", "the {} over the test rows")
