"""Tasks: what is measured and how, as data."""

from bend_hf.tasks.document import from_document, read_document, to_document, write_document
from bend_hf.tasks.own import own_task
from bend_hf.tasks.registry import BEND, TASKS, get_config, get_tasks, register
from bend_hf.tasks.task import FOLDS, Build, Column, Recipe, Source, SplitScheme, Task, default_recipe

__all__ = [
    "BEND",
    "FOLDS",
    "TASKS",
    "Build",
    "Column",
    "Recipe",
    "Source",
    "SplitScheme",
    "Task",
    "default_recipe",
    "from_document",
    "get_config",
    "get_tasks",
    "own_task",
    "read_document",
    "register",
    "to_document",
    "write_document",
]
