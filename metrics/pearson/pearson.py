"""Pearson's correlation of predicted and true values, with R², over all examples pooled.

    pearson = evaluate.load("bend/pearson")
    pearson.add_batch(predictions=values, references=values)      # of any shape
    pearson.compute()

The function `pearson` needs numpy alone and can be used without the class.
"""

from __future__ import annotations

import inspect
from typing import Any

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """\
Pearson's correlation between predicted and true values, with the coefficient of determination (R²), over all examples
pooled.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (numbers of any shape): predicted values; not NaN, not infinite.
    references (numbers of the same shape): true values; not NaN, not infinite.
Returns:
    pearson (`float` or None): from -1 to 1; None where one side has no spread.
    r2 (`float` or None): 1 minus squared errors over the references' squared deviations; None where they have none.
Examples:
    >>> pearson = evaluate.load("bend/pearson")
    >>> pearson.compute(predictions=[1, 2, 4, 3], references=[1, 2, 3, 4])
    {'pearson': 0.8, 'r2': 0.6}
"""

_CITATION = """\
@article{pearson1895note,
  author = {Karl Pearson},
  title = {Note on regression and inheritance in the case of two parents},
  journal = {Proceedings of the Royal Society of London},
  volume = {58},
  pages = {240--242},
  year = {1895},
  doi = {10.1098/rspl.1895.0041}
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


def pearson(references: Any, predictions: Any) -> dict[str, float | None]:
    """Compute Pearson's correlation and the coefficient of determination of all examples pooled.

    Args:
        references: True values, of any shape.
        predictions: Predicted values, of the same shape.

    Returns:
        ``pearson``, None for fewer than two examples or a side without spread; ``r2``, 1 less the sum of squared errors
        over that of the references' squared deviations from their mean, None where they have no spread.

    Raises:
        ValueError: Shapes differ, or a value is no finite number.
    """
    truth, guess = _checked(references, predictions)
    if len(truth) < 2 or truth.min() == truth.max():
        return {"pearson": None, "r2": None}
    y, own = _scaled(truth)
    f, other = _scaled(guess)
    common = max(own, other)
    wrong = np.ldexp(truth, -common) - np.ldexp(guess, -common)
    y, f = y - y.mean(), f - f.mean()
    with np.errstate(over="ignore"):  # no float holds an R² below -1.8e308
        r2 = float(1 - np.ldexp((wrong**2).sum() / (y**2).sum(), 2 * (common - own)))
    if guess.min() == guess.max():
        return {"pearson": None, "r2": r2}
    correlation = float((y / np.sqrt((y**2).sum())) @ (f / np.sqrt((f**2).sum())))
    return {"pearson": min(1.0, max(-1.0, correlation)), "r2": r2}


def _scaled(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return values below 1, whose squares neither overflow nor vanish, and the power of two they were divided by.

    Such a division is exact.
    """
    power = int(np.frexp(np.abs(values).max())[1])
    return np.ldexp(values, -power), power


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Pearson(evaluate.Metric):
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
            reference_urls=["https://doi.org/10.1098/rspl.1895.0041"],
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
        result = pearson(np.concatenate(self._references), np.concatenate(self._predictions))
        self._references, self._predictions = [], []
        return result

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, Any]:
        """Score one pair of arrays, beside what was kept."""
        return pearson(references, predictions)
