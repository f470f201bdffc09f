"""A task of one's own in one call: what its kind, its windows and its rows do not already say is filled in.

task = own_task("promoters", label_kind="window_class", label_names=("other", "promoter"), window=512,
build="GRCh38", summary="…", rows={"train": 800, "validation": 100, "test": 100})
write_document(Path("promoters/task.json"), task)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from bend_hf.errors import BendError, unknown
from bend_hf.kinds import get_kind
from bend_hf.tasks.task import Column, Task, default_recipe

COLUMNS = {
    "chromosome": Column("chromosome", "string", "chromosome name", row=True),
    "start": Column("start", "int64", "start of the window, 0-based", row=True),
    "end": Column("end", "int64", "end of the window, exclusive", row=True),
    "strand": Column("strand", "string", "`+`, `-` or `.` (no strand)", row=True),
    "ref": Column("ref", "string", "reference allele, one base", row=True),
    "alt": Column("alt", "string", "alternate allele, one base", row=True),
    "label": Column("label", "string", "label of the row"),
    "split": Column("split", "string", "split of the row"),
}


def own_task(
    name: str,
    *,
    label_kind: str,
    label_names: Sequence[str],
    window: int | None,
    build: str,
    summary: str,
    rows: Mapping[str, int],
    bin_size: int | None = None,
    labels_in_hdf5: bool = False,
    **fields: Any,
) -> Task:
    """Return a task with the columns, splits, recipe and headline metric that its kind has by default.

    Args:
        name: Of the task, of its folder and of its label file.
        label_kind: One of `bend_hf.kinds.KINDS`.
        label_names: Names of the classes or labels; of a value, its name.
        window: Length of all windows in bp; None where they differ.
        build: Name of the genome build.
        summary: What is predicted.
        rows: Rows per split: train, validation and test (test alone for variants).
        bin_size: Nucleotides per label where labels are per bin.
        labels_in_hdf5: Whether labels lie in HDF5, and not in the column ``label``.
        **fields: Other fields of `Task`.

    Raises:
        BendError: What is declared does not fit the kind.
    """
    declared = {item.name: item for item in dataclasses.fields(Task)}
    for field in fields:
        if field not in declared:
            raise unknown("field of a task", field, declared)
    if isinstance(label_names, str) or not isinstance(label_names, Iterable):
        raise BendError(f"label_names={label_names!r} are no list of names.")
    if not isinstance(rows, Mapping):
        raise BendError(f"rows={rows!r} is no mapping from splits to numbers of rows.")
    kind = get_kind(label_kind)
    shape = SimpleNamespace(label_names=tuple(label_names), window=window, bin_size=bin_size)
    wanted = [*kind.keys[1:3], "end", *kind.keys[3:], *([] if labels_in_hdf5 else ["label"]), "split"]
    values: dict[str, Any] = {
        "dataset": name,
        "config": "default",
        "title": str(name).replace("_", " ").capitalize(),
        "label_naming": "released",
        "stranded": False,
        "split_scheme": kind.schemes[0],
        "split_names": {split: split for split in rows},
        "columns": tuple(COLUMNS[column] for column in dict.fromkeys(wanted)),
        "metric": kind.metrics[0],
        "recipe": default_recipe(kind, shape),
        "sources": (),
        "caveats": (),
    }
    return Task(
        name=name,
        label_kind=label_kind,
        label_names=tuple(label_names),
        window=window,
        bin_size=bin_size,
        build=build,
        summary=summary,
        rows=dict(rows),
        labels_in_hdf5=labels_in_hdf5,
        **(values | fields),
    )
