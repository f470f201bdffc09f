"""What a task's page shows of predictions: curves, parts and a picture, by the kind of their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bend_hf.report.locus import Packed, can_browse, pack
from bend_hf.report.plot import draw, has_picture
from bend_hf.results.board import Row
from bend_hf.results.breakdown import Part, breakdowns
from bend_hf.results.curves import Curve, confusion, precision_recall_curve, roc_curve
from bend_hf.results.record import Predictions, read_predictions


@dataclass(frozen=True)
class Detail:
    """What a page shows of one row's predictions (of its first seed)."""

    roc: Curve | None = None
    precision_recall: Curve | None = None
    confusion: np.ndarray | None = None
    parts: dict[str, list[Part]] = field(default_factory=dict)
    picture: str = ""
    packed: Packed | None = None


CURVES: dict[str, dict[str, Callable[[Predictions], Any]]] = {
    "per_nucleotide_class": {"confusion": confusion},
    "per_bin_binary": {"precision_recall": precision_recall_curve},
    "multilabel": {"roc": roc_curve},
    "variant_binary": {"roc": roc_curve, "precision_recall": precision_recall_curve},
    "window_class": {"confusion": confusion},
    "window_value": {},
}
"""Kind of labels → what is drawn of its predictions, by field of `Detail`."""


def detail(row: Row, room: int, browse: int | None = None) -> Detail | None:
    """Read a row's predictions and take from them what the page shows; None where there are none.

    Args:
        row: Of the board.
        room: Bytes for what can be browsed of them.
        browse: Rows that can be browsed, whatever room they take.
    """
    result = next((r for r in row.results if r.predictions is not None and r.path is not None), None)
    if result is None:
        return None
    predictions = read_predictions(result)
    drawn = has_picture(predictions.task)
    return Detail(
        **{name: curve(predictions) for name, curve in CURVES.get(predictions.task.label_kind, {}).items()},
        parts=breakdowns(predictions),
        picture=draw(predictions, 0, title=row.title, style=False) if drawn else "",
        packed=pack(predictions, room, browse) if can_browse(predictions.task) else None,
    )
