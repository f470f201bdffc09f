"""BEND (2024 tasks) for the Hugging Face ecosystem: datasets, metrics and a one-line benchmark of DNA language models.

    import bend_hf
    results = bend_hf.evaluate("LongSafari/hyenadna-tiny-1k-seqlen-hf")

Names are imported when first used, so that ``import bend_hf`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names, for type checkers and editors
    from bend_hf.data.builder import load_dataset as load_dataset
    from bend_hf.data.genome import Genome as Genome
    from bend_hf.embed.embedder import Embedder as Embedder
    from bend_hf.errors import BendError as BendError
    from bend_hf.evaluation import evaluate as evaluate
    from bend_hf.evaluation import plan as plan
    from bend_hf.hub.publish import push_results as push_results
    from bend_hf.metric import load_metric as load_metric
    from bend_hf.report.collection import read_results as read_results
    from bend_hf.results.compare import compare as compare
    from bend_hf.tasks import TASKS as TASKS
    from bend_hf.tasks import Task as Task
    from bend_hf.tasks import get_tasks as get_tasks
    from bend_hf.tasks import register as register

__version__ = "0.1.0"

_WHERE = {
    "BendError": "bend_hf.errors",
    "Embedder": "bend_hf.embed.embedder",
    "Genome": "bend_hf.data.genome",
    "TASKS": "bend_hf.tasks",
    "Task": "bend_hf.tasks",
    "compare": "bend_hf.results.compare",
    "evaluate": "bend_hf.evaluation",
    "get_tasks": "bend_hf.tasks",
    "load_dataset": "bend_hf.data.builder",
    "load_metric": "bend_hf.metric",
    "plan": "bend_hf.evaluation",
    "register": "bend_hf.tasks",
    "push_results": "bend_hf.hub.publish",
    "read_results": "bend_hf.report.collection",
}

__all__ = [*sorted(_WHERE), "__version__"]


if not TYPE_CHECKING:  # to a type checker it would mean that every name is there

    def __getattr__(name: str) -> Any:
        if name not in _WHERE:
            raise AttributeError(f"module 'bend_hf' has no attribute {name!r}")
        value = getattr(importlib.import_module(_WHERE[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
