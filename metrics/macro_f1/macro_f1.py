"""Macro F1 of any number of classes, with the accuracy and the F1 of each.

    macro_f1 = evaluate.load("bend/macro_f1")
    macro_f1.add_batch(predictions=[0, 1, 1], references=[0, 1, -100])
    macro_f1.compute()

What is kept between calls is one confusion matrix, whatever the number of labels. `confusion_matrix` and
`scores_from_confusion` need numpy alone and can be used without the class.
"""

from __future__ import annotations

import inspect
from typing import Any

import datasets
import evaluate
import numpy as np

IGNORED = -100
MAX_CLASSES = 1024
_BLOCK = 1 << 17  # labels counted at once: what is made for them stays in the processor's cache

_DESCRIPTION = """\
Macro F1 between predicted and true classes (two or more), pooled over all positions, with the accuracy and the F1 of
each class. Positions whose reference is -100 are ignored.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (integers of any shape): predicted classes, from 0.
    references (integers of the same shape): true classes, from 0; -100 is ignored.
    n_classes (`int`, optional, in `load` or `compute`): length of `f1`;
        default: the largest class seen + 1.
Returns:
    macro_f1 (`float` or None): unweighted mean over the classes that are in the references or predicted.
    accuracy (`float` or None): share of labels that are predicted rightly.
    f1 (`list`): per class; None for a class that is neither in a reference nor predicted.
Examples:
    >>> macro_f1 = evaluate.load("bend/macro_f1")
    >>> macro_f1.compute(predictions=[0, 1, 1, 2], references=[0, 1, 2, -100])
    {'macro_f1': 0.5555555555555555, 'accuracy': 0.6666666666666666, 'f1': [1.0, 0.6666666666666666, 0.0]}
"""

_CITATION = """\
@book{vanrijsbergen1979information,
  author = {C. J. van Rijsbergen},
  title = {Information Retrieval},
  edition = {2},
  publisher = {Butterworths},
  year = {1979}
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


def _labels(name: str, values: np.ndarray) -> np.ndarray:
    """Return labels as a flat integer array; anything else is refused rather than rounded."""
    array = values.ravel()
    if len(array) and array.dtype.kind not in "iub":
        raise ValueError(f"`{name}` must be integer classes, got {array.dtype}; of class scores take the argmax first.")
    return array if array.dtype.kind in "iu" else array.astype(np.int8)


def _pair(references: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both as flat integer arrays, after comparing their shapes."""
    truth, guess = _array("references", references), _array("predictions", predictions)
    if truth.shape != guess.shape:
        raise ValueError(f"`references` and `predictions` differ in shape: {truth.shape} and {guess.shape}.")
    return _labels("references", truth), _labels("predictions", guess)


def confusion_matrix(references: Any, predictions: Any, n_classes: int) -> np.ndarray:
    """Count pairs of true and predicted class; positions whose reference is -100 are left out.

    Args:
        references: Integers of any shape, 0 … n_classes - 1 or -100.
        predictions: Integers of the same shape, 0 … n_classes - 1 (anything where ignored).
        n_classes: Number of classes.

    Returns:
        (n_classes, n_classes) int64; rows are true classes, columns predicted ones. Matrices of parts of the data
        may be added.

    Raises:
        ValueError: Shapes differ, labels are not integers or out of range.
    """
    truth, guess = _pair(references, predictions)
    counts = np.zeros(n_classes * n_classes, dtype=np.int64)
    for start in range(0, len(truth), _BLOCK):
        t, g = truth[start : start + _BLOCK], guess[start : start + _BLOCK]
        keep = t != IGNORED
        if not keep.all():
            t, g = t[keep], g[keep]
        if not len(t):
            continue
        for name, values in (("references", t), ("predictions", g)):
            if values.min() < 0 or values.max() >= n_classes:
                raise ValueError(
                    f"`{name}` has classes from {values.min()} to {values.max()}; with {n_classes} classes they must "
                    f"be 0 to {n_classes - 1}" + (f" (or {IGNORED})." if name == "references" else ".")
                )
        pairs = t.astype(np.intp)
        pairs *= n_classes
        pairs += g.astype(np.intp, copy=False)
        counts += np.bincount(pairs, minlength=len(counts))
    return counts.reshape(n_classes, n_classes)


def scores_from_confusion(confusion: np.ndarray) -> dict[str, Any]:
    """Return macro F1, accuracy and F1 of each class, of one confusion matrix or of many at once.

    F1 of a class is 2 TP / (2 TP + FP + FN). The mean is over the classes that are in the references or predicted.

    Args:
        confusion: (…, K, K) counts, rows are true classes.

    Returns:
        For one matrix, ``macro_f1`` and ``accuracy`` as floats (None without a label) and ``f1`` as a list of K with
        None where undefined. With leading axes, arrays (…), (…), (…, K) with NaN where undefined.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    true, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * hits / (true + predicted)
        scores = {
            "macro_f1": np.nansum(f1, axis=-1) / (~np.isnan(f1)).sum(axis=-1),
            "accuracy": hits.sum(axis=-1) / true.sum(axis=-1),
            "f1": f1,
        }
    if counts.ndim > 2:
        return scores
    plain = {name: None if np.isnan(scores[name]) else float(scores[name]) for name in ("macro_f1", "accuracy")}
    return {**plain, "f1": [None if np.isnan(x) else float(x) for x in f1]}


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class MacroF1(evaluate.Metric):
    """The metric as `evaluate` loads it; it keeps a confusion matrix that grows with the classes seen."""

    def __init__(self, *args: Any, n_classes: int | None = None, **kwargs: Any) -> None:
        unknown = set(kwargs) - set(inspect.signature(evaluate.Metric.__init__).parameters)
        if unknown:
            raise ValueError(f"This metric has no option {', '.join(sorted(unknown))}.")
        super().__init__(*args, **kwargs)
        if self.num_process > 1:
            raise ValueError(
                "num_process > 1 is not supported: gather predictions and references (Accelerate's "
                "`gather_for_metrics`) or add the processes' `confusion_matrix`, and compute in one process."
            )
        self._n_classes = n_classes
        self._confusion: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of labels counted since the last `compute`."""
        return 0 if self._confusion is None else int(self._confusion.sum())

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
            reference_urls=["https://scikit-learn.org/stable/modules/generated/sklearn.metrics.f1_score.html"],
        )

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Count one label, or all labels of one sequence."""
        # `evaluate.combine` calls `add` with the plural names.
        self.add_batch(**{"predictions": prediction, "references": reference, **kwargs})

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Count a batch of labels."""
        if kwargs or predictions is None or references is None:
            raise ValueError(f"Give predictions and references, both and nothing else (also got: {sorted(kwargs)}).")
        truth, guess = _pair(references, predictions)
        keep = truth != IGNORED
        if not keep.all():
            truth, guess = truth[keep], guess[keep]
        known = 0 if self._confusion is None else len(self._confusion)
        classes = max(known, 1 + max((int(x.max()) for x in (truth, guess) if len(x)), default=-1))
        if classes > MAX_CLASSES:
            raise ValueError(f"Class {classes - 1} is beyond the {MAX_CLASSES} classes this metric is made for.")
        confusion = confusion_matrix(truth, guess, classes)
        if self._confusion is not None:
            confusion[:known, :known] += self._confusion
        self._confusion = confusion

    def compute(
        self, *, predictions: Any = None, references: Any = None, n_classes: int | None = None
    ) -> dict[str, Any]:
        """Score all labels counted since the last `compute`, and begin anew."""
        if predictions is not None or references is not None:
            self.add_batch(predictions=predictions, references=references)
        confusion = self._confusion
        if confusion is None or not confusion.any():
            raise ValueError("There is no label to score: call `add` or `add_batch` first (-100 is not counted).")
        n_classes = self._n_classes if n_classes is None else n_classes
        if n_classes is not None:
            if not isinstance(n_classes, int | np.integer) or isinstance(n_classes, bool):
                raise ValueError(f"n_classes={n_classes!r} is no whole number.")
            if n_classes < len(confusion):
                raise ValueError(f"n_classes={n_classes}, but class {len(confusion) - 1} was seen.")
            if n_classes > MAX_CLASSES:
                raise ValueError(f"n_classes={n_classes} is beyond the {MAX_CLASSES} classes this metric is made for.")
            confusion = np.pad(confusion, (0, n_classes - len(confusion)))
        self._confusion = None
        return scores_from_confusion(confusion)

    def _compute(self, *, predictions: Any, references: Any, n_classes: int | None = None) -> dict[str, Any]:
        """Score one pair of arrays, beside what was counted."""
        alone = MacroF1(n_classes=self._n_classes)
        return alone.compute(predictions=predictions, references=references, n_classes=n_classes)
