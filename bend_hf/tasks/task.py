"""What a task is, as data: everything a reader, a builder, a trainer or a card needs, and no behaviour.

A published declaration is never edited: a corrected one gets a new ``version`` and says what it supersedes.
Coordinates are 0-based half-open everywhere.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bend_hf.errors import BendError, printable
from bend_hf.kinds import Kind, get_kind

SplitScheme = Literal["fixed", "folds", "none"]
Build = str
"""Name of a genome build; BEND's are ``GRCh38`` and ``GRCh37``."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
"""What names of tasks, datasets and configurations are made of: they are names of folders and repositories too."""

MADE = ("row", "part", "sequence", "labels", "ref_sequence", "alt_sequence", "variant_offset")
"""Columns of rows and predictions that no label file brings."""

VALUE_TYPES = ("string", "int8", "int64", "float32", "float64", "bool")

FOLDS = tuple(f"part{k}" for k in range(1, 11))


@dataclass(frozen=True)
class Column:
    """A column of a task's BED file; `dtype` is a `datasets.Value` dtype, `row` says whether rows carry it on."""

    name: str
    dtype: str
    description: str
    row: bool = False


@dataclass(frozen=True)
class Recipe:
    """The head and how it is trained (section 2 of the BEND paper's appendix, values of the reference code).

    Attributes:
        hidden: Channels of the two convolutions.
        pool: Width and stride of the average pooling in nucleotides; None for one prediction per nucleotide.
        outputs: Logits per position (per bin, per window).
        loss: Cross-entropy over classes, binary cross-entropy with logits, or squared error.
        positive_weight: Weight of the positive class in the binary loss; None for 1.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        batch_size: Windows per optimiser step.
        epochs: Passes over the training split.
    """

    hidden: int
    pool: int | None
    outputs: int
    loss: Literal["cross_entropy", "binary", "squared"]
    positive_weight: float | None
    learning_rate: float
    batch_size: int
    weight_decay: float = 0.01
    epochs: int = 100


_hints: Callable[[Any], dict[str, Any]] = cache(get_type_hints)


def _problem_of_types(of: Any, path: str = "") -> str | None:
    """Return which field of a task, or of what is in it, is of another type than it is declared with."""
    for name, hint in _hints(type(of)).items():
        value = getattr(of, name)
        if not _is(hint, value):
            return f"{path}{name} is {value!r:.60}, which it cannot be"
        inside = value if isinstance(value, tuple) else (value,)
        for item in inside:
            if dataclasses.is_dataclass(item) and (problem := _problem_of_types(item, f"{path}{name}.")):
                return problem
    return None


def _is(hint: Any, value: Any) -> bool:
    """Whether a value is of a declared type; whole numbers pass for numbers, truth values for neither."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return any(_is(each, value) for each in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(arguments[0], item) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _is(arguments[0], key) and _is(arguments[1], item) for key, item in value.items()
        )
    if hint in (int, float):
        return isinstance(value, numbers.Integral if hint is int else numbers.Real) and not isinstance(value, bool)
    return isinstance(value, hint)


def default_recipe(kind: Kind, task: Any) -> Recipe | None:
    """Return the recipe that tasks of a kind have by default; None where nothing is trained.

    Args:
        kind: The kind of labels.
        task: Anything with the `label_names`, `window` and `bin_size` of a task.
    """
    if kind.recipe is None:
        return None
    return Recipe(pool=kind.pool(task), outputs=kind.score_columns(task), **kind.recipe)


@dataclass(frozen=True)
class Source:
    """Where labels come from: a name, the DOI to cite and the key of its BibTeX entry."""

    name: str
    doi: str
    key: str


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        name: Unique name, as in results and on the command line.
        dataset: Name of its dataset repository (without namespace); two variant tasks share one.
        config: Name of its configuration in that dataset.
        title: A short title for people.
        summary: One or two sentences on what is predicted.
        label_kind: The shape of the labels, by the name of its kind (`bend_hf.kinds`).
        label_names: Names of the classes or labels, by index.
        label_naming: Whether the names are the released ones, inferred, or unknown (then ``label_0`` …).
        build: Genome build of the coordinates.
        stranded: Whether rows with strand ``-`` are reverse-complemented.
        window: Length in bp of every row's sequence (for variants, of the context); None where it varies.
        bin_size: Nucleotides per label where labels are per bin.
        split_scheme: Fixed train/validation/test, parts that take turns (BEND's ten folds), or none (zero-shot).
        split_names: Value of the BED file's ``split`` column → name of the split in the dataset.
        columns: Columns of the BED file, in order.
        labels_in_hdf5: Whether labels lie in an HDF5 file of the BED file's stem.
        metric: The headline metric (a folder of ``metrics/``, and the key of its value).
        recipe: Head and training; None for zero-shot tasks.
        rows: Declared rows per split of the dataset.
        positives: Declared number of positive rows, where the release states it.
        paper_rows: Rows according to the paper, where that differs from the released files.
        sources: What the labels were made from.
        caveats: Known defects of the released data.
        version: Version of this declaration.
        turned_labels: For every label its name on the other strand, where labels are per nucleotide and `stranded`.
        chromosomes: Chromosome → length in bp, of a build that is none of BEND's; None where a FASTA is taken at its
            user's word.
        supersedes: Name of the task that this one replaces.
        folder: Where its files lie, of a task that is none of BEND's; None for BEND's data folders.

    Raises:
        BendError: What is declared does not fit the kind of labels.
    """

    name: str
    dataset: str
    config: str
    title: str
    summary: str
    label_kind: str
    label_names: tuple[str, ...]
    label_naming: Literal["released", "inferred", "unnamed"]
    build: Build
    stranded: bool
    window: int | None
    bin_size: int | None
    split_scheme: SplitScheme
    split_names: Mapping[str, str] = field(hash=False)
    columns: tuple[Column, ...]
    labels_in_hdf5: bool
    metric: str
    recipe: Recipe | None
    rows: Mapping[str, int] = field(hash=False)
    sources: tuple[Source, ...]
    caveats: tuple[str, ...]
    positives: int | None = None
    paper_rows: int | None = None
    version: str = "1.0.0"
    turned_labels: tuple[str, ...] | None = None
    chromosomes: Mapping[str, int] | None = field(default=None, hash=False)
    supersedes: str | None = None
    folder: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise BendError(f"Task {self.name} ({self.label_kind}): {problem}.")

    def _problem(self) -> str | None:
        """Return what is declared and does not fit."""
        return (
            _problem_of_types(self)
            or self._problem_of_names()
            or self._problem_of_numbers()
            or self._problem_of_kind()
            or self._problem_of_recipe()
            or self._problem_of_columns()
            or self._problem_of_splits()
        )

    def _problem_of_names(self) -> str | None:
        if not re.fullmatch(NAME, self.name):
            return "a name is up to 64 letters, digits, '-' and '_'"
        for field_name in ("dataset", "config"):  # they name folders, and repositories of the Hub
            if not re.fullmatch(NAME, getattr(self, field_name)):
                return f"{field_name} {getattr(self, field_name)!r} is no name of up to 64 letters, digits, '-' and '_'"
        for field_name in ("title", "build", "version"):
            if not getattr(self, field_name).strip():
                return f"{field_name} is empty"
        if self.supersedes == self.name:
            return "it supersedes itself: a corrected task has a name of its own"
        names: dict[str, Iterable[str]] = {
            "title": (self.title,),
            "build": (self.build,),
            "version": (self.version,),
            "label_names": self.label_names,
            "split_names": self.split_names,
            "chromosomes": self.chromosomes or (),
            "columns": [column.name for column in self.columns],
        }
        for field_name, found in names.items():
            if wrong := [name for name in found if not name.strip() or printable(name, kept="") != name]:
                return f"{field_name}: {wrong[0]!r} is no name: it is empty, breaks lines, or cannot be printed"
        if len(set(self.label_names)) < len(self.label_names) or not self.label_names:
            return "label_names are missing, or one stands there twice"
        return None

    def _problem_of_numbers(self) -> str | None:
        counts = {"window": self.window, "bin_size": self.bin_size}
        counts |= {f"rows.{split}": count for split, count in self.rows.items()}
        counts |= {f"chromosomes.{name}": length for name, length in (self.chromosomes or {}).items()}
        # A task whose rows are not divided yet (`bend-hf build --split none`) is trained on only.
        least = {"rows.validation": 0, "rows.test": 0} if self.split_scheme == "fixed" else {}
        for name, number in counts.items():
            if number is not None and number < least.get(name, 1):
                return f"{name} is {number}; expected {least.get(name, 1)} or more"
        return None

    def _problem_of_kind(self) -> str | None:
        kind = self.kind
        if self.metric not in kind.metrics:
            return f"metric {self.metric!r} does not fit; choices: {', '.join(kind.metrics)}"
        if (self.recipe is None) != (not kind.losses):
            return "recipe is missing" if kind.losses else "recipe is set, and nothing is trained"
        return kind.problem(self)

    def _problem_of_recipe(self) -> str | None:
        recipe, kind = self.recipe, self.kind
        if recipe is None:
            return None
        if recipe.loss not in kind.losses:
            return f"recipe.loss {recipe.loss!r} does not fit; choices: {', '.join(kind.losses)}"
        for name, wanted in (("outputs", kind.score_columns(self)), ("pool", kind.pool(self))):
            if getattr(recipe, name) != wanted:
                return f"recipe.{name} is {getattr(recipe, name)}, and its labels need {wanted}"
        for name in ("hidden", "batch_size", "epochs"):
            if getattr(recipe, name) < 1:
                return f"recipe.{name} is {getattr(recipe, name)}; expected 1 or more"
        for name in ("learning_rate", "positive_weight"):
            value = getattr(recipe, name)
            if value is not None and not 0 < value < math.inf:
                return f"recipe.{name} is {value}; expected a number above 0"
        if not 0 <= recipe.weight_decay < math.inf:
            return f"recipe.weight_decay is {recipe.weight_decay}; expected 0 or more"
        return None

    def _problem_of_columns(self) -> str | None:
        columns, keys = {column.name: column for column in self.columns}, self.kind.keys[1:]
        needed = [*keys, "end", "split", *([] if self.labels_in_hdf5 else ["label"])]
        if missing := [name for name in needed if name not in columns]:
            return f"columns lack {missing[0]!r}; needed: {', '.join(dict.fromkeys(needed))}"
        if len(columns) < len(self.columns):
            return "columns: one stands there twice"
        for column in self.columns:
            if column.dtype not in VALUE_TYPES:
                return f"column {column.name!r} has dtype {column.dtype!r}; choices: {', '.join(VALUE_TYPES)}"
            if column.name in ("start", "end") and column.dtype != "int64":
                return f"column {column.name!r} has dtype {column.dtype!r}; coordinates are int64"
            if column.row and column.name in MADE:
                return f"column {column.name!r} has the name of one that every row gets"
            if column.name in keys and not column.row:
                return f"column {column.name!r} is not among those of rows (row: true), which tell rows apart"
        return None

    def _problem_of_splits(self) -> str | None:
        if self.split_scheme not in self.kind.schemes:
            return f"split_scheme {self.split_scheme!r} does not fit; choices: {', '.join(self.kind.schemes)}"
        splits = {"fixed": {"train", "validation", "test"}, "none": {"test"}}.get(self.split_scheme)
        if splits is not None and set(self.rows) != splits:
            return f"rows are of {', '.join(self.rows)}; {self.split_scheme} splits are {', '.join(sorted(splits))}"
        if self.folds and len(self.rows) < 3:
            return f"rows are of {', '.join(self.rows)}; folds need 3 or more, to test, to validate and to train on"
        if wrong := [name for name in self.rows if not re.fullmatch(r"\w{1,64}", name)]:
            return f"rows.{wrong[0]}: a split's name is up to 64 letters, digits and '_'"
        if set(self.split_names.values()) != set(self.rows):
            return f"split_names give {', '.join(self.split_names.values())}, and rows are of {', '.join(self.rows)}"
        return None

    @property
    def kind(self) -> Kind:
        """All that depends on the shape of the labels."""
        return get_kind(self.label_kind)

    @property
    def folds(self) -> bool:
        """Whether its splits are parts that take turns to be tested on."""
        return self.split_scheme == "folds"

    @property
    def stem(self) -> str:
        """Path of the released files below the data folder, without the ending."""
        suffix = "" if self.config == "default" else f"_{self.config}"
        return f"{self.dataset}/{self.dataset}{suffix}"
