"""Area under the precision-recall curve, as average precision over all examples pooled.

    auprc = evaluate.load("bend/auprc")
    auprc.add_batch(predictions=scores, references=labels)      # of any shape
    auprc.compute()

The function `average_precision` needs numpy alone and can be used without the class.
"""

from __future__ import annotations

import inspect
from typing import Any

import datasets
import evaluate
import numpy as np

IGNORED = -100

_DESCRIPTION = """\
Area under the precision-recall curve as average precision (no interpolation), over all examples pooled. References of
-100 are ignored.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (numbers of any shape): scores, larger for positives; on any scale, but not NaN.
    references (integers of the same shape): 1 positive, 0 negative, -100 ignored.
Returns:
    auprc (`float` or None): average precision; None without a positive. Chance is the share of positives.
Examples:
    >>> auprc = evaluate.load("bend/auprc")
    >>> auprc.compute(predictions=[0.1, 0.4, 0.35, 0.8], references=[0, 0, 1, 1])
    {'auprc': 0.8333333333333333}
"""

_CITATION = """\
@article{davis2006relationship,
  author = {Jesse Davis and Mark Goadrich},
  title = {The relationship between {P}recision-{R}ecall and {ROC} curves},
  journal = {Proceedings of the 23rd International Conference on Machine Learning},
  pages = {233--240},
  year = {2006},
  doi = {10.1145/1143844.1143874}
}
"""


def _array(name: str, values: Any) -> np.ndarray:
    """Return numbers of any library as numpy: lists, tensors of any dtype, layout and device, with gradients.

    Raises:
        ValueError: They are no full array: rows differ in length, values are masked, or their library gives none.
    """
    if isinstance(values, list | tuple) and any(hasattr(value, "detach") for value in values):
        values = [_array(name, value) for value in values]
    if np.ma.is_masked(values):
        raise ValueError(f"`{name}` has masked values: leave them out first.")
    try:
        if hasattr(values, "detach"):  # torch
            values = values.detach().cpu()
            values = values.dequantize() if values.is_quantized else values.to_dense().resolve_conj().resolve_neg()
            values = values.float() if values.is_floating_point() and values.itemsize <= 2 else values
        array = np.asarray(values)
    except Exception as error:  # of any library
        why = str(error).partition("\n")[0].rstrip(".")
        what = f"no array can be made of this {type(values).__name__} ({why})"
        raise ValueError(f"`{name}`: {what}. Give numbers in rows of one length.") from error
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array  # which numpy cannot sort


def _checked(references: Any, scores: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return references as int8 and scores as numbers that sort exactly, after all checks."""
    labels, values = _array("references", references), _array("predictions", scores)
    if labels.shape != values.shape:
        raise ValueError(f"`references` and `predictions` differ in shape: {labels.shape} and {values.shape}.")
    if labels.size and labels.dtype.kind not in "iub":
        raise ValueError(f"`references` must be integers (0, 1 or {IGNORED}), got {labels.dtype}.")
    if not ((labels == 0) | (labels == 1) | (labels == IGNORED)).all():
        raise ValueError(f"`references` must be 0, 1 or {IGNORED}, got values from {labels.min()} to {labels.max()}.")
    if values.dtype.kind not in "fiub":
        raise ValueError(f"`predictions` must be numbers, got {values.dtype}.")
    if values.dtype.kind == "f" and np.isnan(values).any():
        where = tuple(np.argwhere(np.isnan(values))[0].tolist())
        raise ValueError(f"`predictions` hold {np.isnan(values).sum()} NaN, the first at {where}: they have no rank.")
    # float32 sorts much faster than float16, and holds it exactly.
    return labels.astype(np.int8), values.astype(np.float32) if values.dtype == np.float16 else values


def average_precision(references: Any, scores: Any) -> float | None:
    """Compute the average precision of all examples pooled, without interpolation.

    It is the mean, over the positives, of the precision at the positive's own score: equal to the sum of precision
    times the step in recall over all distinct scores, with ties taken together.

    Args:
        references: Integers of any shape: 1 positive, 0 negative, -100 ignored.
        scores: Numbers of the same shape, larger for positives.

    Returns:
        The average precision, or None without a positive. Chance is the share of positives.

    Raises:
        ValueError: Shapes differ, a score is NaN, a reference is not 0, 1 or -100.
    """
    labels, values = _checked(references, scores)
    positives, negatives = np.sort(values[labels == 1]), np.sort(values[labels == 0])
    if not len(positives):
        return None
    true = len(positives) - np.searchsorted(positives, positives, "left")
    false = len(negatives) - np.searchsorted(negatives, positives, "left")
    return float(np.mean(true / (true + false)))


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Auprc(evaluate.Metric):
    """The metric as `evaluate` loads it; it keeps scores and references as numpy arrays."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        unknown = set(kwargs) - set(inspect.signature(evaluate.Metric.__init__).parameters)
        if unknown:
            raise ValueError(f"This metric has no option {', '.join(sorted(unknown))}.")
        super().__init__(*args, **kwargs)
        if self.num_process > 1:
            raise ValueError(
                "num_process > 1 is not supported: gather predictions and references (Accelerate's "
                "`gather_for_metrics`) and compute in one process."
            )
        self._references: list[np.ndarray] = []
        self._predictions: list[np.ndarray] = []

    def __len__(self) -> int:
        """Return the number of examples kept since the last `compute`."""
        return sum(map(len, self._references))

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}
            ),
            reference_urls=["https://doi.org/10.1145/1143844.1143874"],
        )

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Keep one example, or all of one sequence."""
        # `evaluate.combine` calls `add` with the plural names.
        self.add_batch(**{"predictions": prediction, "references": reference, **kwargs})

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Keep a batch of examples."""
        if kwargs or predictions is None or references is None:
            raise ValueError(f"Give predictions and references, both and nothing else (also got: {sorted(kwargs)}).")
        labels, values = _checked(references, predictions)
        self._references.append(labels.ravel())
        self._predictions.append(values.flatten())  # a copy: the caller may fill its array anew

    def compute(self, *, predictions: Any = None, references: Any = None) -> dict[str, Any]:
        """Score all examples kept since the last `compute`, and begin anew."""
        if predictions is not None or references is not None:
            self.add_batch(predictions=predictions, references=references)
        if not len(self):
            raise ValueError("There is nothing to score: call `add` or `add_batch` first.")
        result = {"auprc": average_precision(np.concatenate(self._references), np.concatenate(self._predictions))}
        self._references, self._predictions = [], []
        return result

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, Any]:
        """Score one pair of arrays, beside what was kept."""
        return {"auprc": average_precision(references, predictions)}
