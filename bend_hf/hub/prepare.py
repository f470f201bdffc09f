"""`bend-hf prepare`: makes ``load_dataset("bend/…")`` and ``evaluate.load("bend/…")`` work on this machine.

    prepare("all", data_dir="data")            # into the Hugging Face caches: works in any folder, without network
    prepare("gene_finding", to="mirror")       # or into a folder: works from there, and can be published
    prepared()                                 # what lies in the caches
    remove("gene_finding")                     # takes it out again, and nothing else

Where the Hub has a repository of the same name, `datasets` and `evaluate` prefer the Hub while they reach it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bend_hf import __version__
from bend_hf import files as file_tools
from bend_hf.bars import steps
from bend_hf.console import log, spoken
from bend_hf.data.builds import GenomeArgument, by_build, pinned
from bend_hf.data.sources import TaskFiles, locate
from bend_hf.errors import BendError
from bend_hf.hub.cards import DATASETS, tasks_of
from bend_hf.hub.mirror import MIRRORED, Repository, metric_files, writable, write_mirror
from bend_hf.tasks import get_tasks

MARKER = "bend_hf.json"
"""Beside whatever is placed in a cache, so that it can be listed and removed."""

NEWEST = 4102444800
"""2100-01-01: time of modification of default configurations' folders. See `_keep_default`."""


@dataclass(frozen=True)
class Prepared:
    """Something in place.

    Attributes:
        kind: ``"dataset"`` or ``"metric"``.
        name: Repository name, with namespace.
        config: Configuration of a dataset; None for metrics.
        rows: Rows per split; empty for metrics.
        digest: SHA-256 of what decides the rows, or of the metric's module.
        toy: Whether the rows are the toy data.
        size: Bytes on disk.
        path: Folder it lies in.
    """

    kind: Literal["dataset", "metric", "guard"]
    name: str
    config: str | None
    rows: dict[str, int]
    digest: str
    toy: bool
    size: int
    path: Path


def prepare(
    tasks: str | Iterable[str] = "all",
    *,
    data_dir: str | os.PathLike[str] | None = None,
    genome: GenomeArgument = None,
    genome_checked: bool = False,
    strict: bool = False,
    toy: bool = False,
    to: str | os.PathLike[str] | None = None,
    namespace: str = "bend",
    num_proc: int | None = None,
    verbose: bool = False,
) -> list[Prepared]:
    """Build datasets and put them, and the metrics, where the Hugging Face libraries find them by name.

    Datasets are prepared whole: naming one of the two variant tasks prepares both, because the plain line
    ``load_dataset("bend/variant_effects")`` must mean the default configuration.

    Args:
        tasks: ``"all"``, names of tasks or of datasets, folders of tasks of one's own (with a namespace of one's own).
        data_dir: Folder in BEND's layout; None for ``$BEND_HF_DATA``, else the download cache.
        genome: A FASTA, or a mapping from build to FASTA; None to look in the data folder.
        genome_checked: Whether you know that the genome is of the tasks' build, where its chromosomes do not tell.
        strict: Whether a window that lies in two splits is an error, instead of a warning.
        toy: Prepare the toy data instead; every card and listing says so.
        to: Write a mirror of the Hub's namespace into this folder, and leave the caches alone.
        namespace: User or organisation in the repositories' names.
        num_proc: Processes that gather sequences; rows do not depend on it. A mirror is written by one.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        What is in place now.

    Raises:
        BendError: Unknown names, missing or bad input (before anything is written), or a full disk.
    """
    check_namespace(namespace)
    located = locate_datasets(
        tasks,
        namespace=namespace,
        data_dir=data_dir,
        genome=genome,
        genome_checked=genome_checked,
        strict=strict,
        toy=toy,
    )
    with spoken(verbose), writable():
        if to is not None:
            mirror = write_mirror(pinned(to), located, namespace=namespace, toy=toy)
            return [item for repository in mirror for item in _in_mirror(repository)]
        placed = []
        for group in steps(located.values(), "dataset", name=lambda group: group[0].task.dataset):
            placed += (configs := [_place_dataset(files, namespace, num_proc) for files in group])
            _keep_default(configs)
        return placed + [_place_metric(name, namespace) for name in MIRRORED]


def check_namespace(namespace: str) -> None:
    """Raise a BendError where a namespace is no name of a user or an organisation on the Hub."""
    if not isinstance(namespace, str) or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?", namespace):
        raise BendError(f"{namespace!r} is no namespace: letters, digits, and '-' or '_' between them, as in 'bend'.")


def locate_datasets(
    tasks: str | Iterable[str],
    *,
    namespace: str,
    data_dir: str | os.PathLike[str] | None,
    genome: GenomeArgument,
    genome_checked: bool,
    strict: bool,
    toy: bool,
) -> dict[str, list[TaskFiles]]:
    """Return the files of every task of the datasets that `tasks` name, the default configuration first.

    Raises:
        BendError: Unknown names, files that are not there, or a task of one's own in BEND's namespace, for the toy
            data, or of a metric's name.
    """
    from bend_hf.data import toy as toy_data

    wanted = dict.fromkeys(task.dataset for task in get_tasks(tasks))
    for name in wanted:
        if name not in DATASETS:
            _check_own(name, namespace, toy)
    if toy:
        if data_dir is not None or genome is not None:
            raise BendError("The toy data brings its own files and genomes: leave out data_dir and genome, or toy.")
        data_dir = toy_data.make(file_tools.cache_dir("toy") / f"prepare-{toy_data.VERSION}")
    genome = by_build(genome, [])
    options = {"genome_checked": genome_checked, "strict": strict}
    located = {name: [locate(task, data_dir, genome, **options) for task in tasks_of(name)] for name in wanted}
    for files in (files for group in located.values() for files in group):
        if files.toy and not toy:
            raise BendError(f"{files.bed} is toy data; say so with toy=True (--toy) and no data folder.")
    return located


def _check_own(dataset: str, namespace: str, toy: bool) -> None:
    if namespace == "bend":
        raise BendError(
            f"{dataset} is none of BEND's datasets: it goes under a namespace of your own (--namespace my-lab)."
        )
    if toy:
        raise BendError(f"The toy data has no {dataset}: leave out --toy, or the task.")
    if dataset in MIRRORED:
        raise BendError(f"{dataset} is the name of a metric, which has a repository of that name: rename the dataset.")


def prepared(namespace: str | None = None, tasks: str | Iterable[str] = "all") -> list[Prepared]:
    """Return what `prepare` has placed in the Hugging Face caches, and say what of it is damaged.

    Args:
        namespace: Only of this namespace; None for all.
        tasks: ``"all"`` for everything; names of tasks or datasets for these datasets.

    Raises:
        BendError: Unknown names.
    """
    get_tasks(tasks)  # names are checked even where nothing is placed
    found = [item for item in _placed(namespace) if item.kind != "guard" and _is_of(item, tasks)]
    for item in found:
        if item.kind == "dataset" and (problem := file_tools.damage(item.path)):
            log.warning("%s (%s): %s in %s. Prepare it again.", item.name, item.config, problem, item.path)
    return found


def _is_of(item: Prepared, tasks: str | Iterable[str]) -> bool:
    """Tell whether something placed is among what tasks' or datasets' names mean; ``"all"`` includes metrics."""
    names = [tasks] if isinstance(tasks, str) else list(tasks)
    wanted = {task.dataset for task in get_tasks(names)} | (set(MIRRORED) if "all" in names else set())
    return item.name.partition("/")[2] in wanted


def _placed(namespace: str | None = None) -> list[Prepared]:
    import datasets
    import evaluate

    patterns = (
        (Path(datasets.config.HF_DATASETS_CACHE), f"*___*/*/*/*/{MARKER}"),
        (_metrics_root(evaluate), f"*--*/*/{MARKER}"),
    )
    found = [_read(path) for root, pattern in patterns for path in sorted(root.glob(pattern))]
    return [item for item in found if item and (namespace is None or item.name.startswith(f"{namespace}/"))]


def remove(tasks: str | Iterable[str] = "all", *, namespace: str | None = None) -> list[Prepared]:
    """Take out of the caches what `prepare` placed there, and what was derived from it beside it.

    Args:
        tasks: ``"all"`` takes metrics too; names of tasks or datasets take these datasets (all configurations).
        namespace: Only of this namespace; None for all.

    Returns:
        What was removed.

    Raises:
        BendError: Unknown names.
    """
    get_tasks(tasks)  # names are checked even where nothing is placed
    removed = [item for item in _placed(namespace) if _is_of(item, tasks)]
    for item in removed:
        _remove(item.path)
    return [item for item in removed if item.kind != "guard"]


def _place_dataset(files: TaskFiles, namespace: str, num_proc: int | None) -> Prepared:
    """Build a configuration in the datasets cache under the name of its repository."""
    from bend_hf.data.builder import builder_class, prepare_builder

    task = files.task
    builder = builder_class(task.dataset)(files=files, repo_id=f"{namespace}/{task.dataset}")
    prepare_builder(builder, num_proc=num_proc)
    path = Path(builder.cache_dir)
    rows = {name: split.num_examples for name, split in builder.info.splits.items()}
    item = _mark(path, "dataset", f"{namespace}/{task.dataset}", task.config, rows, files.digest, files.toy)
    _remove_older(item)
    return item


def _keep_default(configs: list[Prepared]) -> None:
    """Make a dataset's name alone mean its first configuration.

    Given no configuration, `datasets` takes the newest folder of all configurations, and every `map` renews the folder
    of the configuration it runs on. So the default is made the newest by far; and beside it, under the version and
    digest of each other configuration, lies an entry that turns what would be the wrong configuration (after `map` on
    the default, then on another) into the library's error "specify which configuration".
    """
    default, *others = configs
    for other in others:
        guard = default.path.parents[1].joinpath(*other.path.parts[-2:])
        guard.mkdir(parents=True, exist_ok=True)
        shutil.copy(default.path / "dataset_info.json", guard)
        _mark(guard, "guard", default.name, other.config, {}, other.digest, default.toy)
        os.utime(guard, (0, 0))
        os.utime(default.path, (NEWEST, NEWEST))


def _place_metric(name: str, namespace: str) -> Prepared:
    """Put a metric's module where `evaluate` keeps those it has loaded from Spaces."""
    import evaluate

    root = _metrics_root(evaluate) / f"{namespace}--{name}"
    text = metric_files(name, namespace)[f"{name}.py"]
    path = root / hashlib.sha256(text.encode()).hexdigest()
    module = path / f"{name}.py"
    if not module.is_file() or module.read_bytes() != text.encode():
        with file_tools.atomic(module) as temporary:
            temporary.write_text(text, encoding="utf-8")
    (path / "__init__.py").touch()
    for package in (root, root.parent, root.parent.parent):
        (package / "__init__.py").touch()
    module.touch()  # `evaluate` takes the newest
    item = _mark(path, "metric", f"{namespace}/{name}", None, {}, path.name, False)
    _remove_older(item)
    return item


def _remove_older(item: Prepared) -> None:
    """Remove what was placed under the same name before, so that it cannot be served."""
    for other in _placed():
        if (other.name, other.config) == (item.name, item.config) and other.path != item.path:
            _remove(other.path)


def _metrics_root(evaluate: Any) -> Path:
    return Path(evaluate.config.HF_MODULES_CACHE) / "evaluate_modules" / "metrics"


def _mark(
    path: Path, kind: str, name: str, config: str | None, rows: dict[str, int], digest: str, toy: bool
) -> Prepared:
    marker: dict[str, Any] = {"kind": kind, "name": name, "config": config, "rows": rows, "digest": digest, "toy": toy}
    file_tools.write_json(path / MARKER, {**marker, "bend_hf": __version__})
    return Prepared(**marker, size=_size(path), path=path)


def _read(marker: Path) -> Prepared | None:
    """Return what a marker says lies beside it; None, with a message, where the marker is damaged."""
    try:
        item = file_tools.read_json(marker)
        del item["bend_hf"]
        return Prepared(**item, size=_size(marker.parent), path=marker.parent)
    except (ValueError, KeyError, TypeError):
        log.warning("%s is damaged. Delete its folder, and prepare again what lay in it.", marker)
        return None


def _in_mirror(repository: Repository) -> list[Prepared]:
    kind, name, path, marker = repository
    if kind == "metric":
        digest = file_tools.digest_file(path / f"{path.name}.py")
        return [Prepared(kind, name, None, {}, digest, False, _size(path), path)]
    return [
        Prepared(kind, name, config, found["rows"], found["digest"], marker["toy"], _size(path / config), path / config)
        for config, found in marker["configs"].items()
    ]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _remove(path: Path) -> None:
    """Remove a placed folder, the locks of `datasets` beside it, and the folders above it that are empty then."""
    shutil.rmtree(path)
    flat = str(path).replace(os.sep, "_")
    for lock in (*path.parent.glob(f"{path.name}*.lock"), path.parents[3] / f"{flat}.lock"):
        lock.unlink(missing_ok=True)
    for folder in path.parents[:3]:
        left = [entry for entry in folder.iterdir() if entry.name not in ("__init__.py", "__pycache__")]
        if left:
            return
        shutil.rmtree(folder)
    log.info("removed %s", path)
