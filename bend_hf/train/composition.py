"""A baseline that costs seconds: logistic regression on k-mer frequencies, without a model, order or position.

    fitted = composition(task, train=Texts(sequences, labels, rows), validation=…, test=…)

What a model scores on a task says little unless it beats this. Windows are described by the frequencies of their
4-mers; bins and nucleotides by those of the 3-mers around them, in a near and a wide window. The regression (L2 penalty
1/2 · |w|², as `sklearn.linear_model.LogisticRegression` has it by default) is solved for all labels at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize

from bend_hf.embed.vectors import take
from bend_hf.errors import BendError
from bend_hf.kinds import Labels
from bend_hf.runtime import one_blas_thread
from bend_hf.tasks import Task
from bend_hf.train.fit import Fitted
from bend_hf.train.labels import references
from bend_hf.train.losses import LOSSES

EXAMPLES = 100_000  # to fit on at most, drawn at random: the price of the baseline is then seconds

_CODES = np.full(256, 4, np.int64)
_CODES[np.frombuffer(b"ACGTacgt", np.uint8)] = [0, 1, 2, 3, 0, 1, 2, 3]


@dataclass(frozen=True)
class Texts:
    """Rows of a task as sequences: the counterpart of `bend_hf.train.fit.Split`.

    Attributes:
        sequences: DNA by row.
        labels: Labels by row, as `bend_hf.train.labels.labels_of` returns them.
        rows: (n,) integers: the rows of both that belong to the split, in order.
    """

    sequences: Sequence[str]
    labels: Labels
    rows: np.ndarray


def kmers(sequence: str, k: int) -> np.ndarray:
    """Return the k-mer that starts at each position as a number below 4^k; 4^k where it holds an N: (L - k + 1,)."""
    codes = _CODES[np.frombuffer(sequence.encode(), np.uint8)]
    count = max(0, len(codes) - k + 1)
    numbers = np.zeros(count, np.int64)
    unknown = np.zeros(count, bool)
    for shift in range(k):
        part = codes[shift : shift + count]
        numbers = 4 * numbers + part
        unknown |= part == 4
    numbers[unknown] = 4**k
    return numbers


def window_features(sequences: Sequence[str], k: int = 4) -> np.ndarray:
    """Return k-mer frequencies of whole sequences: (n, 4^k) float32."""
    features = np.empty((len(sequences), 4**k), np.float32)
    for row, sequence in enumerate(sequences):
        counts = np.bincount(kmers(sequence, k), minlength=4**k + 1)[: 4**k]
        features[row] = counts / max(1, counts.sum())
    return features


def local_features(sequence: str, positions: np.ndarray, spans: Sequence[int], k: int = 3) -> np.ndarray:
    """Return k-mer frequencies around positions, one block per span: (n, spans · 4^k) float32."""
    numbers, kinds = kmers(sequence, k), 4**k + 1
    half = np.array(spans)[:, None] // 2
    bounds = np.clip(np.stack([positions - half, positions + half], 1), 0, len(numbers))  # (spans, 2, n)
    edges, places = np.unique(bounds, return_inverse=True)
    between = np.repeat(np.arange(len(edges) - 1), np.diff(edges)) * kinds + numbers[edges[0] : edges[-1]]
    seen = np.zeros((len(edges), kinds), np.int64)  # k-mers before each edge
    seen[1:] = np.bincount(between, minlength=(len(edges) - 1) * kinds).reshape(len(edges) - 1, kinds)
    np.cumsum(seen, axis=0, out=seen)
    blocks = []
    for start, end in places.reshape(bounds.shape):
        counts = (seen[end] - seen[start])[:, : 4**k]
        blocks.append(counts / np.maximum(1, counts.sum(1, keepdims=True)))
    return np.concatenate(blocks, 1, dtype=np.float32)


def logistic(features: np.ndarray, targets: np.ndarray, classes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fit L2-penalised logistic regressions that share their features, by L-BFGS.

    Args:
        features: (n, F) float32, each about unit variance.
        targets: (n, m) of 0 and 1.
        classes: One multinomial regression over m classes, not m binary ones.

    Returns:
        Weights (F, m) and intercepts (m,), float64; the intercepts are not penalised.
    """
    outputs = targets.shape[1]
    inputs = torch.from_numpy(features)
    columns = inputs.T.contiguous()  # (F, n): each of the two products is fastest on its own layout
    wanted = torch.from_numpy(
        targets.astype(np.float32)
    ).T.contiguous()  # (m, n): elementwise work is then on long rows
    # The part of the loss that is linear in weights and intercepts, in float64.
    linear = np.concatenate([(wanted @ inputs).T.double().numpy(), targets.sum(0, dtype=np.float64)[None]])

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, outputs)
        single = torch.from_numpy(weights.astype(np.float32))
        logits = torch.addmm(single[-1, :, None], single[:-1].T, columns)
        if classes:
            norm = logits.logsumexp(0)
            error = (logits - norm).exp_()
        else:
            norm = F.softplus(logits)
            error = logits.sigmoid_()
        value = float(norm.sum(dtype=torch.float64)) - float((weights * linear).sum())
        error -= wanted
        gradient = torch.cat([(error @ inputs).T, error.sum(1)[None]]).double().numpy()
        gradient[:-1] += weights[:-1]
        value += 0.5 * (weights[:-1] ** 2).sum()
        return value / len(features), gradient.ravel() / len(features)

    start = np.zeros((features.shape[1] + 1) * outputs)
    options = {"maxiter": 200, "ftol": 1e-8, "gtol": 1e-6}
    with one_blas_thread():  # of L-BFGS, between torch's products: three to eight times as fast on two cores
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    weights = found.x.reshape(-1, outputs)
    return weights[:-1], weights[-1]


def _positions(task: Task, labels: int) -> np.ndarray:
    """Return the 0-based centre, in the sequence, of each label of a row."""
    size = task.bin_size or 1
    return np.arange(labels) * size + size // 2


def ridge(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit L2-penalised linear regressions, in closed form; arguments and results are those of `logistic`."""
    centre = targets.mean(0)
    inputs = features.astype(np.float64)
    normal = inputs.T @ inputs + np.eye(inputs.shape[1])
    weights = np.linalg.solve(normal, inputs.T @ (targets - centre))
    return weights, centre - inputs.mean(0) @ weights


FITS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "cross_entropy": partial(logistic, classes=True),
    "binary": partial(logistic, classes=False),
    "squared": ridge,
}
"""Regression for each loss that a recipe may name."""


def _sample(task: Task, texts: Texts, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the examples to train on: (n, F) features, and (n, outputs) or (n,) targets."""
    rows, spans = texts.rows, task.kind.spans
    if not spans:
        rows = np.sort(random.permutation(rows)[:EXAMPLES])
        return window_features(take(texts.sequences, rows)), references(task, texts.labels, rows)
    each = -(-EXAMPLES // len(rows))
    features, drawn = [], []
    for row, sequence in zip(rows, take(texts.sequences, rows), strict=True):
        labels = texts.labels[int(row)]
        chosen = random.permutation(len(labels))[:each]
        features.append(local_features(sequence, _positions(task, len(labels))[chosen], spans))
        drawn.append(labels[chosen])
    return np.concatenate(features), np.concatenate(drawn)


def _describe(task: Task, texts: Texts) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield features of 4,096 windows at a time, or of one row's bins or nucleotides, and the offsets of rows."""
    spans = task.kind.spans
    if not spans:
        for start in range(0, len(texts.rows), 4096):
            features = window_features(take(texts.sequences, texts.rows[start : start + 4096]))
            yield features, np.arange(len(features) + 1)
        return
    for row, sequence in zip(texts.rows, take(texts.sequences, texts.rows), strict=True):
        positions = _positions(task, len(texts.labels[int(row)]))
        yield local_features(sequence, positions, spans), np.array([0, len(positions)])


def composition(task: Task, *, train: Texts, validation: Texts, test: Texts, seed: int = 0) -> Fitted:
    """Fit the baseline and predict the test split.

    Args:
        task: A supervised task.
        train: Rows to fit on; at most 100,000 windows, bins or nucleotides of them, drawn with `seed`.
        validation: Rows that are scored, and choose nothing.
        test: Rows to predict.
        seed: Seed of the draw.

    Returns:
        As `bend_hf.train.fit.fit` does, with no history and best epoch 0.

    Raises:
        BendError: The task is zero-shot.
    """
    if task.recipe is None:
        raise BendError(f"{task.name} is zero-shot: use the zero-shot controls instead of the composition baseline.")
    random = np.random.default_rng(seed)
    kind, loss = task.kind, LOSSES[task.recipe.loss]
    features, targets = _sample(task, train, random)
    targets = targets.reshape(len(features), -1) if loss.columns else np.eye(task.recipe.outputs)[targets]
    mean, deviation = features.mean(0), features.std(0)
    deviation[features.min(0) == features.max(0)] = 1  # whatever rounding leaves of their deviation
    weights, intercepts = FITS[task.recipe.loss]((features - mean) / deviation, targets)
    scale = (weights / deviation[:, None]).astype(np.float32)
    shift = (intercepts - mean @ scale).astype(np.float32)

    def predict(texts: Texts) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for described, offsets in _describe(task, texts):
            yield loss.answer(torch.from_numpy(described @ scale + shift)).numpy(), offsets

    found = np.concatenate([scores for scores, _ in predict(validation)])
    merit = kind.score(task, references(task, validation.labels, validation.rows), found)[task.metric]
    predicted = [row for scores, offsets in predict(test) for row in kind.by_row(scores, offsets)]
    return Fitted(seed, 0, merit, [], predicted, task.metric, "float32")
