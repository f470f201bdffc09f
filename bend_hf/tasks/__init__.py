"""Tasks: what is measured and how, as data."""

from bend_hf.tasks.registry import TASKS, get_config, get_tasks
from bend_hf.tasks.task import FOLDS, Build, Column, Recipe, Source, SplitScheme, Task

__all__ = [
    "FOLDS",
    "TASKS",
    "Build",
    "Column",
    "Recipe",
    "Source",
    "SplitScheme",
    "Task",
    "get_config",
    "get_tasks",
]
