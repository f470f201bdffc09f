"""The tasks by name: BEND's seven, and those of one's own that were registered or are named by their folder.

    register("my_task/")                             # or a Task
    get_tasks(["gene_finding", "my_task/"])

A package brings tasks by an entry point of the group ``bend_hf.tasks``: a `Task`, several, or the path of a folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Set
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bend_hf.checks import path_of
from bend_hf.console import log
from bend_hf.errors import BendError, unknown
from bend_hf.tasks import bend
from bend_hf.tasks.document import NAME, read_document
from bend_hf.tasks.task import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        bend.GENE_FINDING,
        bend.ENHANCER_ANNOTATION,
        bend.CHROMATIN_ACCESSIBILITY,
        bend.HISTONE_MODIFICATION,
        bend.CPG_METHYLATION,
        bend.VARIANT_EFFECTS_EXPRESSION,
        bend.VARIANT_EFFECTS_DISEASE,
    )
}
"""All tasks that are known by now: BEND's, then those registered."""

BEND = tuple(TASKS.values())
"""The seven tasks of BEND."""

_brought: set[str] = set()


def register(task: Task | str | os.PathLike[str]) -> Task:
    """Make a task known by its name, and return it.

    Args:
        task: A task, or the folder of one (``task.json`` beside its label file).

    Raises:
        BendError: The folder holds no task, or another task has its name or its dataset.
    """
    if not isinstance(task, Task):
        task = read_document(path_of("task", task) / NAME)
    known = TASKS.get(task.name)
    if known in BEND:
        raise BendError(f"{task.name} is the name of one of BEND's tasks: give yours ({_place(task)}) another.")
    if known is not None and (known != task or (task.folder and known.folder and known.folder != task.folder)):
        raise BendError(
            f"Two tasks have the name {task.name}: that of {_place(known)} and that of {_place(task)}. Rename one."
        )
    for other in TASKS.values():
        if other.name != task.name and (other.dataset, other.config) == (task.dataset, task.config):
            raise BendError(f"{task.name} has the dataset and the config of {other.name}: give it others.")
        if other in BEND and other.dataset == task.dataset:
            raise BendError(f"{task.dataset} is one of BEND's datasets: give {task.name} ({_place(task)}) another.")
    if known is None or known.folder is None:
        TASKS[task.name] = task
    return TASKS[task.name]


def _place(task: Task) -> str:
    return str(task.folder or f"version {task.version}")


Named = str | os.PathLike[str] | Task
"""What stands for tasks: a name, the folder of one, or a task, which is registered."""


def get_tasks(names: Named | Iterable[Named] = "all") -> tuple[Task, ...]:
    """Return tasks by name, BEND's first, each in the order of declaration.

    Args:
        names: ``"all"`` (BEND's seven), a task's name, a dataset's name (``"variant_effects"`` gives both its tasks),
            the folder of a task, a `Task`, or several of these.

    Raises:
        BendError: A name is unknown or no name, or a folder holds no task; the message lists the choices.
    """
    several = [names] if isinstance(names, str | os.PathLike | Task) else names
    if not isinstance(several, Iterable) or isinstance(several, bytes | Set | Mapping):
        raise BendError(f"tasks={names!r} is no name of a task, nor a list of several.")
    wanted: set[str] = set()
    for name in several:
        wanted |= {task.name for task in _find(name)}
    if not wanted:
        raise BendError("tasks=[]: name a task or more, or all.")
    for task in TASKS.values():
        if task.supersedes in wanted:
            log.warning("%s is superseded by %s.", task.supersedes, task.name)
    return tuple(task for task in TASKS.values() if task.name in wanted)


def _find(name: Any) -> list[Task]:
    if isinstance(name, Task):
        return [name if name in BEND else register(name)]
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise BendError(f"{name!r} is no name of a task.")
    if name == "all":
        return list(BEND)
    if found := _named(name):
        return found
    bring()
    if found := _named(name):
        return found
    path = Path(name)
    if (path / NAME).is_file() or path.is_dir() or os.sep in os.fspath(name):
        return [register(path)]
    datasets = {task.dataset for task in TASKS.values()}
    raise unknown("task", os.fspath(name), ["all", *sorted(datasets | set(TASKS))])


def _named(name: Any) -> list[Task]:
    return [task for task in TASKS.values() if name in (task.name, task.dataset)]


def bring() -> None:
    """Register the tasks that installed packages bring.

    Raises:
        BendError: One of them has the name or the dataset of another.
    """
    for point in entry_points(group="bend_hf.tasks"):
        if point.value not in _brought:
            _brought.add(point.value)
            brought = point.load()
            for task in [brought] if isinstance(brought, Task | str | os.PathLike) else brought:
                register(task)


def get_config(dataset: str, config: str | None = None) -> Task:
    """Return the task behind a dataset's configuration.

    Args:
        dataset: Name of the dataset, with or without a namespace (``"bend/variant_effects"``), or a task's folder.
        config: Name of the configuration; None for the dataset's first (default) one.

    Raises:
        BendError: Dataset or configuration is unknown; the message lists the choices.
    """
    if (Path(dataset) / NAME).is_file():
        [task] = get_tasks(dataset)
        name = task.dataset
    else:
        name = dataset.rpartition("/")[2]
    configs = {task.config: task for task in TASKS.values() if task.dataset == name}
    if not configs and Path(dataset).is_dir():
        read_document(Path(dataset) / NAME)  # says what a folder of a task holds
    if not configs:
        raise unknown("dataset", dataset, dict.fromkeys(task.dataset for task in TASKS.values()))
    if config is None:
        return next(iter(configs.values()))
    if not isinstance(config, str) or config not in configs:
        raise unknown(f"configuration of {name}", str(config), configs)
    return configs[config]
