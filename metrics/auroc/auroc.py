"""Area under the ROC curve: of one label, or the mean over many labels with each label's own.

    auroc = evaluate.load("bend/auroc")
    auroc.add_batch(predictions=scores, references=labels)      # (n,) or (n, labels)
    auroc.compute()

A label that lacks one of the classes has no AUROC: it is left out of the mean and counted. The function `auroc` needs
numpy alone and can be used without the class.
"""

from __future__ import annotations

import inspect
from typing import Any

import datasets
import evaluate
import numpy as np

IGNORED = -100

_DESCRIPTION = """\
Area under the receiver operating characteristic curve of one label, or the unweighted mean over many labels with the
value of each. Labels without both classes are left out of the mean and counted; references of -100 are ignored.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions (numbers, (n,) or (n, labels)): scores, larger for positives; on any scale, but not NaN.
    references (integers of the same shape): 1 positive, 0 negative, -100 ignored.
Returns:
    auroc (`float` or None): mean over the labels with both classes; None if there is none.
    per_label (`list`): per label; None where it lacks a class.
    n_labels_scored (`int`): labels in the mean.
    n_labels_excluded (`int`): labels that lack a class.
Examples:
    >>> auroc = evaluate.load("bend/auroc")
    >>> auroc.compute(predictions=[[0.1, 0.7], [0.4, 0.2], [0.3, 0.9]], references=[[0, 1], [0, 1], [1, 1]])
    {'auroc': 0.5, 'per_label': [0.5, None], 'n_labels_scored': 1, 'n_labels_excluded': 1}
"""

_CITATION = """\
@article{hanley1982meaning,
  author = {James A. Hanley and Barbara J. McNeil},
  title = {The meaning and use of the area under a receiver operating characteristic ({ROC}) curve},
  journal = {Radiology},
  volume = {143},
  number = {1},
  pages = {29--36},
  year = {1982},
  doi = {10.1148/radiology.143.1.7063747}
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


def _auroc(positive: np.ndarray, values: np.ndarray) -> float | None:
    """Return the share of (positive, negative) pairs in the right order, ties counting half; None without a pair.

    All values are sorted, and only those of the rarer class are looked up in them.
    """
    n, n_positive = len(values), int(np.count_nonzero(positive))
    if n_positive in (0, n):
        return None
    positives_rarer = 2 * n_positive <= n
    ranked = np.sort(values)
    rarer = np.sort(values[np.flatnonzero(positive == positives_rarer)])
    below = np.searchsorted(ranked, rarer, "left")
    not_above = below + 1  # itself
    tied = ranked[np.minimum(not_above, n - 1)] == rarer
    if tied.any():
        not_above[tied] = np.searchsorted(ranked, rarer[tied], "right")
    # Twice the pairs in which the rarer class is above, ties counting half; less its pairs with itself.
    above = int(below.sum() + not_above.sum()) - len(rarer) ** 2
    pairs = 2 * n_positive * (n - n_positive)
    return (above if positives_rarer else pairs - above) / pairs


def auroc(references: Any, scores: Any) -> dict[str, Any]:
    """Compute the AUROC (Mann-Whitney U over the number of pairs) of each label and their mean.

    Args:
        references: (n,) or (n, labels) integers: 1 positive, 0 negative, -100 ignored.
        scores: Numbers of the same shape, larger for positives.

    Returns:
        ``auroc`` (float, or None if no label has both classes), ``per_label`` (list of float or None),
        ``n_labels_scored`` and ``n_labels_excluded`` (int).

    Raises:
        ValueError: Shapes differ or are not (n,) or (n, labels), a score is NaN, a reference is not 0, 1 or -100.
    """
    labels, values = _checked(references, scores)
    if labels.ndim not in (1, 2):
        raise ValueError(f"`references` and `predictions` must be (n,) or (n, labels), got {labels.shape}.")
    per_label = []
    for label, value in zip(_columns(labels), _columns(values), strict=True):
        keep = label != IGNORED
        if not keep.all():
            label, value = label[keep], value[keep]
        per_label.append(_auroc(label == 1, value))
    defined = [value for value in per_label if value is not None]
    return {
        "auroc": float(np.mean(defined)) if defined else None,
        "per_label": per_label,
        "n_labels_scored": len(defined),
        "n_labels_excluded": len(per_label) - len(defined),
    }


def _columns(array: np.ndarray) -> np.ndarray:
    """Return (labels, n), each label's values side by side in memory."""
    rows = array.reshape(len(array), array.shape[1] if array.ndim == 2 else 1)
    columns = np.empty(rows.shape[::-1], dtype=array.dtype)
    for start in range(0, len(rows), 1024):  # block by block, within the processor's cache
        columns[:, start : start + 1024] = rows[start : start + 1024].T
    return columns


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class Auroc(evaluate.Metric):
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
        rows, one = datasets.List, datasets.Value
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=[
                datasets.Features({"predictions": rows(one("float64")), "references": rows(one("int64"))}),
                datasets.Features({"predictions": one("float64"), "references": one("int64")}),
            ],
            reference_urls=["https://doi.org/10.1148/radiology.143.1.7063747"],
        )

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Keep one example: a score and a reference, or those of all its labels."""
        # `evaluate.combine` calls `add` with the plural names.
        example = {"predictions": prediction, "references": reference, **kwargs}
        self.add_batch(
            **{name: None if value is None else _array(name, value)[None] for name, value in example.items()}
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Keep a batch of examples."""
        if kwargs or predictions is None or references is None:
            raise ValueError(f"Give predictions and references, both and nothing else (also got: {sorted(kwargs)}).")
        labels, values = _checked(references, predictions)
        if labels.ndim not in (1, 2):
            raise ValueError(f"A batch must be (n,) or (n, labels), got {labels.shape}.")
        if self._references and labels.shape[1:] != self._references[0].shape[1:]:
            raise ValueError(f"A batch of shape {labels.shape} follows one of shape {self._references[0].shape}.")
        self._references.append(labels)
        self._predictions.append(values.copy())  # the caller may fill its array anew

    def compute(self, *, predictions: Any = None, references: Any = None) -> dict[str, Any]:
        """Score all examples kept since the last `compute`, and begin anew."""
        if predictions is not None or references is not None:
            self.add_batch(predictions=predictions, references=references)
        if not len(self):
            raise ValueError("There is nothing to score: call `add` or `add_batch` first.")
        result = auroc(np.concatenate(self._references), np.concatenate(self._predictions))
        self._references, self._predictions = [], []
        return result

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, Any]:
        """Score one pair of arrays, beside what was kept."""
        return auroc(references, predictions)
