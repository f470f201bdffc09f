"""What kinds with labels of whole windows share: all windows of a task are of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bend_hf.kinds.arrays import Labels

if TYPE_CHECKING:
    from bend_hf.tasks.task import Task


def fixed_window(task: Task) -> str | None:
    """Return what does not fit: no length of windows, or a size of bins."""
    if task.window is None:
        return "window is missing, and labels are of whole windows of one length"
    return None if task.bin_size is None else "bin_size is set, and labels are of whole windows"


def nucleotides(task: Task, labels: Labels, rows: np.ndarray) -> np.ndarray:
    """Return (rows,) the task's window, int64."""
    return np.full(len(rows), task.window, np.int64)
