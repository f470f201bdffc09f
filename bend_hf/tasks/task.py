"""What a task is, as data: everything a reader, a builder, a trainer or a card needs, and no behaviour.

A published declaration is never edited: a corrected one gets a new ``version`` and says what it supersedes.
Coordinates are 0-based half-open everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bend_hf.errors import BendError
from bend_hf.kinds import Kind, get_kind

SplitScheme = Literal["fixed", "folds", "none"]
Build = Literal["GRCh38", "GRCh37"]

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
        split_scheme: Fixed train/validation/test, ten folds, or none (zero-shot).
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
    metric: Literal["mcc", "auroc", "auprc"]
    recipe: Recipe | None
    rows: Mapping[str, int] = field(hash=False)
    sources: tuple[Source, ...]
    caveats: tuple[str, ...]
    positives: int | None = None
    paper_rows: int | None = None
    version: str = "1.0.0"
    turned_labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        kind = self.kind
        problem = kind.problem(self)
        if self.metric not in kind.metrics:
            problem = f"metric {self.metric!r} does not fit; choices: {', '.join(kind.metrics)}"
        if (self.recipe is None) != (not kind.losses):
            problem = "recipe is missing" if kind.losses else "recipe is set, and nothing is trained"
        elif self.recipe is not None and self.recipe.loss not in kind.losses:
            problem = f"recipe.loss {self.recipe.loss!r} does not fit; choices: {', '.join(kind.losses)}"
        if problem:
            raise BendError(f"Task {self.name} ({kind.name}): {problem}.")

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
