"""Dataset cards and `eval.yaml`, generated from the tasks' declarations.

    python -m bend_hf.hub.cards             # rewrite dataset_scripts/<dataset>/README.md
    python -m bend_hf.hub.cards --check     # exit 1 if one of them is out of date

A card says the same whether it lies beside a loading script or on the Hub; on the Hub it has in addition what only
the data can tell: the rows found, the digests, and the metadata that `datasets` reads.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bend_hf import __version__, resources
from bend_hf.errors import BendError, unknown
from bend_hf.hub.words import words
from bend_hf.metric import METRICS
from bend_hf.protocols import PROTOCOLS
from bend_hf.tasks import BEND, TASKS, Task
from bend_hf.templates import renderer

DATASETS = tuple(dict.fromkeys(task.dataset for task in BEND))
LOSSES = {"cross_entropy": "cross-entropy", "binary": "binary cross-entropy", "squared": "squared error"}
BY_CHROMOSOME = "Split by chromosome: "
ZERO_SHOT = "There is no training data: the task is zero-shot."
SPLITS = {
    "gene_finding": "The splits were made with GraphPart at 80 % sequence identity.",
    "enhancer_annotation": "The parts are chromosome-disjoint.",
    "chromatin_accessibility": f"{BY_CHROMOSOME}test chr1, 8, 9; validation chr2, 4.",
    "histone_modification": f"{BY_CHROMOSOME}test chr1, 8, 9; validation chr2, 4.",
    "cpg_methylation": f"{BY_CHROMOSOME}test chr4, 13, 19, 21; validation chr5, 9, 22.",
    "variant_effects_expression": ZERO_SHOT,
    "variant_effects_disease": ZERO_SHOT,
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class Built:
    """What was found when a task's dataset was built.

    Attributes:
        task: The task.
        rows: Rows per split.
        positives: Rows with label 1, for variants.
        digest: SHA-256 of all that decides the rows (`TaskFiles.digest`).
        digests: SHA-256 of the files: ``bed``, ``hdf5`` (where there is one), ``genome``.
        toy: Whether this is the toy data.
        audit: What an audit of the rows said, or None where there is none.
    """

    task: Task
    rows: Mapping[str, int]
    positives: int | None
    digest: str
    digests: Mapping[str, str]
    toy: bool
    audit: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the rows are those that the release declares."""
        return dict(self.rows) == dict(self.task.rows)


def tasks_of(dataset: str) -> tuple[Task, ...]:
    """Return the tasks of a dataset, one per configuration, the default first.

    Raises:
        BendError: There is no such dataset; the message lists the choices.
    """
    tasks = tuple(task for task in TASKS.values() if task.dataset == dataset)
    if not tasks:
        raise unknown("dataset", dataset, dict.fromkeys(task.dataset for task in TASKS.values()))
    return tasks


def row_columns(task: Task) -> dict[str, tuple[str, str]]:
    """Return the columns of a dataset's rows in order: name → (type, meaning with units)."""
    from bend_hf.data.rows import VARIANT_OFFSET, features

    length = "varying length" if task.window is None else f"{task.window:,} bp"
    read = "reverse-complemented where `strand` is `-`" if task.stranded else "of the forward strand"
    described = {column.name: column.description for column in task.columns}
    meaning = described | {
        "consequence": described.get("Consequence", ""),
        "sequence": f"nucleotides of `[start, end)`, upper-case `ACGTN`, {length}, {read}",
        "ref_sequence": f"{length} of context with the variant at index {VARIANT_OFFSET}, upper-case; `N` beyond the "
        "chromosome's ends",
        "alt_sequence": "the same with the alternate allele",
        "variant_offset": f"index of the variant in both sequences, 0-based: {VARIANT_OFFSET}",
    }
    if said := words(task).column:
        meaning[task.kind.column] = said
    return {name: (_kind(feature), meaning[name]) for name, feature in features(task).items()}


def _kind(feature: Any) -> str:
    if hasattr(feature, "feature"):
        return f"List({_kind(feature.feature)})"
    return "ClassLabel" if hasattr(feature, "names") else str(feature.dtype)


def task_id(task: Task, protocol: str = "default") -> str:
    """Return the id of a task's headline metric in `eval.yaml` and `.eval_results`, e.g. ``"gene_finding_mcc"``.

    Scores of the two protocols are not comparable, so each protocol has an id of its own.
    """
    suffix = "" if protocol == "default" else "_" + protocol.replace("-", "_")
    return f"{task.name}_{task.metric}{suffix}"


def eval_yaml(dataset: str) -> str:
    """Return the text of a dataset repository's `eval.yaml`: its benchmark tasks, for results on model pages."""
    tasks = tasks_of(dataset)
    entries = []
    for task in tasks:
        for protocol in PROTOCOLS if task in BEND else ["default"]:
            entry = {"id": task_id(task, protocol), "config": task.config}
            # The score over folds is a mean over all ten, so no one split can be named.
            entries.append(entry if task.folds else {**entry, "split": "test"})
    return _yaml(
        {
            "name": _title(tasks),
            "description": " ".join(task.summary for task in tasks),
            "evaluation_framework": "bend-hf",
            "tasks": entries,
        }
    )


def dataset_card(
    dataset: str,
    *,
    namespace: str = "bend",
    built: Sequence[Built] = (),
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """Return a dataset's card; that of a task of one's own says what its document says, and nothing of BEND.

    Args:
        dataset: Name without namespace.
        namespace: Where the dataset is (to be) published.
        built: What was found, per configuration; none for the form that does not depend on data.
        metadata: Further metadata for the card's head: ``configs`` and ``dataset_info``.

    Raises:
        BendError: There is no such dataset.
    """
    tasks = tasks_of(dataset)
    found = {item.task.name: item for item in built}
    rows = sum(sum((found[task.name].rows if task.name in found else task.rows).values()) for task in tasks)
    head = {
        "pretty_name": _title(tasks),
        "license": "unknown",
        "task_categories": sorted({words(task).category for task in tasks}),
        "tags": ["biology", "genomics", "dna", "benchmark", *(["bend"] if tasks[0] in BEND else [])],
        "size_categories": [next((name for limit, name in SIZES if rows < limit), "1M<n<10M")],
        **(metadata or {}),
    }
    bend = tasks[0] in BEND
    sources = list(dict.fromkeys(source for task in tasks for source in task.sources))
    rows_of = list(tasks[0].rows)
    card = _fill(
        "dataset_card.md",
        head=_yaml(head),
        title=_title(tasks),
        namespace=namespace,
        repo=f"{namespace}/{dataset}",
        tasks=tasks,
        several=len(tasks) > 1,
        bend=bend,
        toy=any(item.toy for item in built),
        found=found,
        split=rows_of[:3][-1] if tasks[0].folds else "test",
        columns={task.name: row_columns(task) for task in tasks},
        words={task.name: words(task) for task in tasks},
        splits=SPLITS,
        builds=sorted({task.build for task in tasks}),
        version=__version__,
        versions=sorted({task.version for task in tasks}),
        caveats=[(task.config, caveat) for task in tasks for caveat in task.caveats],
        sources=sources,
        metrics={name: metric.words for name, metric in METRICS.items()},
        losses=LOSSES,
        ids={task.name: task_id(task) for task in tasks},
        ids_2024={task.name: task_id(task, "bend-2024") for task in tasks},
        citations=[citations()[name] for name in ("marin2024bend", *(source.key for source in sources))]
        if bend
        else [],
    )
    return f"{card.rstrip()}\n"


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=120)


def _title(tasks: Sequence[Task]) -> str:
    title = tasks[0].title if len(tasks) == 1 else tasks[0].title.partition(" (")[0].lower().capitalize()
    return f"BEND (2024 tasks): {title}" if tasks[0] in BEND else title


_fill = renderer("bend_hf.hub", "md")


@cache
def citations() -> dict[str, str]:
    """Return the BibTeX entries of BEND and of every source, by key."""
    text = (Path(__file__).parent / "citations.bib").read_text(encoding="utf-8")
    entries = (entry.strip() for entry in re.split(r"\n(?=@)", text))
    return {entry[entry.index("{") + 1 : entry.index(",")]: entry for entry in entries}


def outdated(write: bool = False) -> list[Path]:
    """Return the cards beside the loading scripts that are not as generated now; `write` brings them up to date.

    Raises:
        BendError: `dataset_scripts/` is not found.
    """
    stale = []
    for dataset in DATASETS:
        path = resources.folder("dataset_scripts") / dataset / "README.md"
        text = dataset_card(dataset)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if write:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    return stale


def main(arguments: Sequence[str]) -> int:
    """Rewrite the cards, or check them; returns the exit code."""
    if list(arguments) not in ([], ["--check"]):
        raise BendError(f"Unknown arguments {' '.join(arguments)!r}; choices: --check, or none.")
    check = bool(arguments)
    for path in (stale := outdated(write=not check)):
        print(f"{path}: {'out of date' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
