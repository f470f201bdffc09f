"""Spearman's rank correlation of predicted and true values, over all examples pooled.

    spearman = evaluate.load("bend/spearman")
    spearman.add_batch(predictions=values, references=values)      # of any shape
    spearman.compute()

The function `spearman` needs numpy alone and can be used without the class.
"""

from __future__ import annotations

import inspect
from typing import Any

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """\
Spearman's rank correlation between predicted and true values, over all examples pooled; equal values share a rank.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (numbers of any shape): predicted values; not NaN, not infinite.
    references (numbers of the same shape): true values; not NaN, not infinite.
Returns:
    spearman (`float` or None): from -1 to 1; None where one side has no spread.
Examples:
    >>> spearman = evaluate.load("bend/spearman")
    >>> spearman.compute(predictions=[1, 2, 9, 3], references=[1, 2, 3, 4])
    {'spearman': 0.8}
"""

_CITATION = """\
@article{spearman1904proof,
  author = {Charles Spearman},
  title = {The proof and measurement of association between two things},
  journal = {The American Journal of Psychology},
  volume = {15},
  number = {1},
  pages = {72--101},
  year = {1904},
  doi = {10.2307/1412159}
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


def _checked(references: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both as flat float64 arrays, after all checks."""
    truth, guess = _array("references", references), _array("predictions", predictions)
    if truth.shape != guess.shape:
        raise ValueError(f"`references` and `predictions` differ in shape: {truth.shape} and {guess.shape}.")
    for name, values in (("references", truth), ("predictions", guess)):
        if values.dtype.kind not in "fiub":
            raise ValueError(f"`{name}` must be numbers, got {values.dtype}.")
        if not np.isfinite(values).all():
            where = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
            raise ValueError(f"`{name}` hold values that are not finite, the first at {where}.")
    return truth.astype(np.float64).ravel(), guess.astype(np.float64).ravel()


def ranks(values: np.ndarray) -> np.ndarray:
    """Return (n,) ranks from 1; equal values share the mean of theirs."""
    _, level, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[level])


def spearman(references: Any, predictions: Any) -> dict[str, float | None]:
    """Compute Spearman's rank correlation of all examples pooled: Pearson's of the ranks.

    Args:
        references: True values, of any shape.
        predictions: Predicted values, of the same shape; only their order matters.

    Returns:
        ``spearman``, None for fewer than two examples or a side without spread.

    Raises:
        ValueError: Shapes differ, or a value is no finite number.
    """
    truth, guess = _checked(references, predictions)
    if len(truth) < 2 or np.ptp(truth) == 0 or np.ptp(guess) == 0:
        return {"spearman": None}
    y, f = ranks(truth), ranks(guess)
    y, f = y - y.mean(), f - f.mean()
    return {"spearman": min(1.0, max(-1.0, float((y @ f) / np.sqrt((y @ y) * (f @ f)))))}


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Spearman(evaluate.Metric):
    """The metric as `evaluate` loads it; it keeps predictions and references as numpy arrays."""

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
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
            reference_urls=["https://doi.org/10.2307/1412159"],
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
        self._references.append(labels)
        self._predictions.append(values)

    def compute(self, *, predictions: Any = None, references: Any = None) -> dict[str, Any]:
        """Score all examples kept since the last `compute`, and begin anew."""
        if predictions is not None or references is not None:
            self.add_batch(predictions=predictions, references=references)
        if not len(self):
            raise ValueError("There is nothing to score: call `add` or `add_batch` first.")
        result = spearman(np.concatenate(self._references), np.concatenate(self._predictions))
        self._references, self._predictions = [], []
        return result

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, Any]:
        """Score one pair of arrays, beside what was kept."""
        return spearman(references, predictions)
