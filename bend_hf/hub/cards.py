"""Dataset cards and `eval.yaml`, generated from the tasks' declarations.

    python -m bend_hf.hub.cards             # rewrite dataset_scripts/<dataset>/README.md
    python -m bend_hf.hub.cards --check     # exit 1 if one of them is out of date

A card says the same whether it lies beside a loading script or on the Hub; on the Hub it has in addition what only
the data can tell: the rows found, the digests, and the metadata that `datasets` reads.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bend_hf import __version__, resources
from bend_hf.errors import BendError, unknown
from bend_hf.metric import METRICS
from bend_hf.protocols import PROTOCOLS
from bend_hf.tasks import BEND, TASKS, Task

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
    return Words(
        "token-classification",
        f"one label per bin of {task.bin_size} bp, in the order of `sequence`: 1 or 0",
        f"Binary, one per bin of {task.bin_size} bp.",
        "the {} over all bins of the test part pooled" + (", as a mean over the ten folds" if task.folds else ""),
        f"1 is `{task.label_names[0]}`, 0 is none.",
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
        f"It is `{task.label_names[0]}`.",
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
    """

    task: Task
    rows: Mapping[str, int]
    positives: int | None
    digest: str
    digests: Mapping[str, str]
    toy: bool

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
    meaning = {column.name.lower(): column.description for column in task.columns} | {
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
    repo = f"{namespace}/{dataset}"
    toy = any(item.toy for item in built)
    parts = [
        f"# {_title(tasks)}",
        "**These are toy data from a made-up genome: no score on them says anything about a model.**" if toy else "",
        _introduction(tasks),
        _use(repo, tasks),
        "## Columns\n\nCoordinates are 0-based and half-open.",
        *(_columns(task, len(tasks) > 1) for task in tasks),
        *(_labels(task, len(tasks) > 1) for task in tasks),
        *(_splits(task, found.get(task.name), len(tasks) > 1) for task in tasks),
        _building(tasks, found),
        _defects(tasks),
        _licence(tasks),
        *(_evaluation(task, repo, len(tasks) > 1) for task in tasks),
        _citation(tasks),
    ]
    return f"---\n{_yaml(head)}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def _yaml(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=120)


def _title(tasks: Sequence[Task]) -> str:
    title = tasks[0].title if len(tasks) == 1 else tasks[0].title.partition(" (")[0].lower().capitalize()
    return f"BEND (2024 tasks): {title}" if tasks[0] in BEND else title


def _heading(title: str, task: Task, several: bool) -> str:
    return f"## {title}: `{task.config}`" if several else f"## {title}"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _introduction(tasks: Sequence[Task]) -> str:
    several = "\n".join(f"* `{task.config}`: {task.summary}" for task in tasks)
    what = tasks[0].summary if len(tasks) == 1 else several
    if tasks[0] not in BEND:
        return what
    return (
        f"{what}\n\n"
        "One of the datasets of BEND, a benchmark of DNA language models on biologically meaningful tasks (Marin et "
        "al., ICLR 2024, [arXiv 2311.12570](https://arxiv.org/abs/2311.12570)), built from BEND's released coordinates "
        "and labels and the reference genome. *BEND (2024 tasks)* sets it apart from a later, different benchmark of "
        "eight DNA-design tasks, BEND 2.0 ([arXiv 2611.03806](https://arxiv.org/abs/2611.03806))."
    )


def _use(repo: str, tasks: Sequence[Task]) -> str:
    lines = ["from datasets import load_dataset", "", f'dataset = load_dataset("{repo}")']
    if len(tasks) > 1:
        lines[-1] += f"  # {tasks[0].config}, the default"
        lines += [f'dataset = load_dataset("{repo}", "{task.config}")' for task in tasks[1:]]
    split = list(tasks[0].rows)[2] if tasks[0].folds else "test"
    lines += [
        f'rows = load_dataset("{repo}", split="{split}", streaming=True)',
        "",
        "import evaluate",
        "",
        f'metric = evaluate.load("{repo.split("/")[0]}/{tasks[0].metric}")',
    ]
    return "## Use\n\n```python\n" + "\n".join(lines) + "\n```"


def _columns(task: Task, several: bool) -> str:
    rows = [(f"`{name}`", kind, meaning) for name, (kind, meaning) in row_columns(task).items()]
    table = _table(["column", "type", "meaning"], rows)
    return f"Configuration `{task.config}`:\n\n{table}" if several else table


def _labels(task: Task, several: bool) -> str:
    released = "released" if task in BEND else "label"
    origin = {
        "released": "The names are those of the release." if task in BEND else "The names are those of the task.",
        "inferred": f"**The names are inferred**: the {released} file has none.",
        "unnamed": f"**The {released} file carries no names**, so the labels are numbered.",
    }[task.label_naming]
    said = words(task)
    if said.names is not None:
        names = said.names
    elif task.label_naming == "unnamed":
        names = f"`{task.label_names[0]}` … `{task.label_names[-1]}`."
    else:
        names = ", ".join(f"{index} `{name}`" for index, name in enumerate(task.label_names)) + "."
    return f"{_heading('Labels', task, several)}\n\n{said.labels} {origin}\n\n{names}"


def _splits(task: Task, found: Built | None, several: bool) -> str:
    head = ["split", "rows declared"] + (["rows here"] if found else [])
    rows = [
        [f"`{name}`", f"{count:,}"] + ([f"{found.rows.get(name, 0):,}"] if found else [])
        for name, count in task.rows.items()
    ]
    text = f"{_heading('Splits', task, several)}\n\n{_table(head, rows)}\n\n"
    text += f"Declared are the rows of {_whole(task)}."
    if task.positives is not None:
        here = f", {found.positives:,} here" if found and found.positives is not None else ""
        text += f" Positive are {task.positives:,} of them{here}."
    if task.paper_rows is not None:
        text += f" The paper counts {task.paper_rows:,} rows in all, the released files {sum(task.rows.values()):,}."
    text += f" {SPLITS[task.name]}" if task in BEND else ""
    if found and not found.complete:
        whole = "BEND's release" if task in BEND else "the task"
        text += f"\n\n**The rows here differ from those declared: this is not the whole of {whole}.**"
    return text


def _whole(task: Task) -> str:
    return "BEND's released files" if task in BEND else "the task's document"


def _building(tasks: Sequence[Task], found: Mapping[str, Built]) -> str:
    builds = sorted({task.build for task in tasks})
    files, genome, name = "the task's label file", "the", f"{tasks[0].name}/"
    if tasks[0] in BEND:
        files, genome, name = "BEND's released files", "the human reference", tasks[0].dataset
    text = (
        f"## How it was built\n\nFrom the coordinates and labels of {files} and {genome} "
        f"genome {' and '.join(builds)}, by `bend_hf`: `bend-hf prepare {name}`. Every coordinate is "
        "checked against the chromosome's length"
        + (", every reference allele against the genome" if tasks[0].kind.variants else "")
        + ". Sequences are upper-case; IUPAC codes other than `ACGTN` become `N`."
    )
    if not found:
        return text
    rows = [
        (
            f"`{item.task.config}`",
            {"bed": "coordinates", "hdf5": "labels", "genome": f"genome {item.task.build}"}[name],
            f"`{sha}`",
        )
        for item in found.values()
        for name, sha in item.digests.items()
    ]
    rows += [
        (f"`{item.task.config}`", "rows (task version and all of the above)", f"`{item.digest}`")
        for item in found.values()
    ]
    table = _table(["configuration", "what", "SHA-256"], rows)
    versions = sorted({task.version for task in tasks})
    return f"{text}\n\nBuilt with bend_hf {__version__}, task version {', '.join(versions)}, from:\n\n{table}"


def _defects(tasks: Sequence[Task]) -> str:
    lines = []
    for task in tasks:
        prefix = f"`{task.config}`: " if len(tasks) > 1 else ""
        lines += [f"* {prefix}{caveat}" for caveat in task.caveats]
    return "## Known defects and limits of the data\n\n" + "\n".join(lines) if lines else ""


def _licence(tasks: Sequence[Task]) -> str:
    sources = dict.fromkeys(source for task in tasks for source in task.sources)
    listed = "\n".join(f"* {source.name}: [{source.doi}](https://doi.org/{source.doi})" for source in sources)
    if tasks[0] not in BEND:
        return "## Licence and sources\n\nThe task's document names no licence." + (f"\n\n{listed}" if listed else "")
    return (
        "## Licence and sources\n\nBEND's code is under the BSD 3-Clause licence, its paper under CC BY 4.0. "
        "**No licence file accompanies the data**, so none is claimed here: the terms of the sources hold, and each "
        f"asks to be cited.\n\n{listed}"
    )


def _evaluation(task: Task, repo: str, several: bool) -> str:
    lines = [_heading("How to evaluate", task, several), ""]
    metric = METRICS[task.metric].words
    if task.recipe is None:
        lines += [
            "Zero-shot: the score of a variant is the cosine distance between a model's embeddings of the reference "
            f"and of the alternate sequence at the variant; the metric is the {metric} of that distance against the "
            "label. Bidirectional models read 256 bp on either side, causal models the 512 bp that end with the "
            "variant.",
        ]
    else:
        recipe = task.recipe
        pooled = "" if recipe.pool is None else f", average pooling over {recipe.pool} bp"
        loss, said = LOSSES[recipe.loss], words(task).score.format(metric)
        weight = "" if recipe.positive_weight is None else f" with positive weight {recipe.positive_weight}"
        lines += [
            f"A language model is frozen; a head of two convolutions (width 3, {recipe.hidden} channels){pooled} and a "
            f"linear layer is trained on its embeddings, upsampled to nucleotides: {loss}{weight}, AdamW with learning "
            f"rate {recipe.learning_rate} and weight decay {recipe.weight_decay}, batches of {recipe.batch_size}, "
            f"{recipe.epochs} epochs, the best by the validation split. The metric is {said}.",
        ]
    named = f"--tasks {task.name}" if task in BEND else f"--task {task.name}/"
    page = f"On model pages the score is `{repo}`, task id `{task_id(task)}`"
    if task in BEND:
        page += (
            "; scores under the protocol `bend-2024`, which reproduces the reference code, are "
            f"`{task_id(task, 'bend-2024')}`"
        )
    lines += ["", f"```bash\nbend-hf evaluate MODEL {named}\n```", "", f"{page}."]
    return "\n".join(lines)


def _citation(tasks: Sequence[Task]) -> str:
    if tasks[0] not in BEND:  # its sources are named by their DOI
        return ""
    keys = dict.fromkeys(["marin2024bend", *(source.key for task in tasks for source in task.sources)])
    entries = "\n\n".join(citations()[key] for key in keys)
    return f"## Citation\n\n```bibtex\n{entries}\n```"


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
