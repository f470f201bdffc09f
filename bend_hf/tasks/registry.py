"""The tasks by name."""

from __future__ import annotations

from collections.abc import Iterable

from bend_hf.errors import unknown
from bend_hf.tasks.bend import (
    CHROMATIN_ACCESSIBILITY,
    CPG_METHYLATION,
    ENHANCER_ANNOTATION,
    GENE_FINDING,
    HISTONE_MODIFICATION,
    VARIANT_EFFECTS_DISEASE,
    VARIANT_EFFECTS_EXPRESSION,
)
from bend_hf.tasks.task import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        GENE_FINDING,
        ENHANCER_ANNOTATION,
        CHROMATIN_ACCESSIBILITY,
        HISTONE_MODIFICATION,
        CPG_METHYLATION,
        VARIANT_EFFECTS_EXPRESSION,
        VARIANT_EFFECTS_DISEASE,
    )
}


def get_tasks(names: str | Iterable[str] = "all") -> tuple[Task, ...]:
    """Return tasks by name, in the order of declaration.

    Args:
        names: ``"all"``, a task's name, a dataset's name (``"variant_effects"`` gives both its tasks), or several.

    Raises:
        BendError: A name is unknown; the message lists the choices.
    """
    wanted: set[str] = set()
    for name in [names] if isinstance(names, str) else names:
        found = {task.name for task in TASKS.values() if name in ("all", task.name, task.dataset)}
        if not found:
            datasets = {task.dataset for task in TASKS.values()}
            raise unknown("task", name, ["all", *sorted(datasets | set(TASKS))])
        wanted |= found
    return tuple(task for task in TASKS.values() if task.name in wanted)


def get_config(dataset: str, config: str | None = None) -> Task:
    """Return the task behind a dataset's configuration.

    Args:
        dataset: Name of the dataset, with or without a namespace (``"bend/variant_effects"``).
        config: Name of the configuration; None for the dataset's first (default) one.

    Raises:
        BendError: Dataset or configuration is unknown; the message lists the choices.
    """
    name = dataset.rpartition("/")[2]
    configs = {task.config: task for task in TASKS.values() if task.dataset == name}
    if not configs:
        raise unknown("dataset", dataset, dict.fromkeys(task.dataset for task in TASKS.values()))
    if config is None:
        return next(iter(configs.values()))
    if config not in configs:
        raise unknown(f"configuration of {name}", config, configs)
    return configs[config]
