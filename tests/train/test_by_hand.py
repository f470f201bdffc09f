"""A training worked out by hand: AdamW's step, the losses, the weights that are kept, and the order of samples."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))
from training_data import Memory, make, splits

from bend_hf.protocols import get_protocol
from bend_hf.tasks import TASKS
from bend_hf.train.fit import fit
from bend_hf.train.head import CNNHead, cnn_head

DEFAULT = get_protocol("default")
KINDS = ["histone_modification", "gene_finding", "enhancer_annotation"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def state_of(folder: Path, part: str) -> dict[str, torch.Tensor]:
    """The first head's tensors of a part ("model", "best") of the one state in a folder."""
    (file,) = folder.glob("*.safetensors")
    prefix = f"0.{part}."
    return {name.removeprefix(prefix): value for name, value in load_file(file).items() if name.startswith(prefix)}


def plain_logits(head: CNNHead, source: Memory, rows: np.ndarray) -> list[torch.Tensor]:
    """Each row's logits (positions, outputs), one row at a time, by torch's own layers on repeated vectors."""
    found = []
    for vectors, lengths in source.read([int(row) for row in rows]):
        x = vectors.repeat_interleave(torch.from_numpy(lengths), 0).T[None]
        x = F.gelu(head.conv2(F.gelu(head.conv1(x))))
        found.append(head.linear((x if head.pool is None else F.avg_pool1d(x, head.pool))[0].T))
    return found


def plain_loss(task: Any, logits: list[torch.Tensor], labels: list[np.ndarray]) -> float:
    targets = torch.from_numpy(np.concatenate([np.ravel(label) for label in labels]))
    if task.recipe.loss == "cross_entropy":
        return F.cross_entropy(torch.cat(logits), targets.long()).item()
    weight = torch.tensor(82.86) if task.name == "enhancer_annotation" else None
    return F.binary_cross_entropy_with_logits(torch.cat(logits).flatten(), targets.float(), pos_weight=weight).item()


def plain_score(name: str, logits: torch.Tensor, labels: np.ndarray) -> float:
    """Scikit-learn's value; `labels` of all rows side by side."""
    if name == "gene_finding":
        return float(matthews_corrcoef(labels.ravel(), logits.argmax(-1)))
    if name == "enhancer_annotation":
        return float(average_precision_score(labels.ravel(), logits.ravel()))
    by_label = labels.reshape(len(logits), -1).T
    return float(np.mean([roc_auc_score(y, x) for y, x in zip(by_label, logits.T, strict=True) if 0 < y.mean() < 1]))


@pytest.mark.parametrize("name", KINDS)
def test_losses_and_scores_are_those_of_plain_layers(name: str, tmp_path: Path) -> None:
    """Training loss of the first step; validation loss and score, and test scores, of the weights that were kept."""
    task, source, labels = make(name, 30, 4)
    assert task.recipe is not None
    task = replace(task, recipe=replace(task.recipe, learning_rate=0.03))  # few epochs are to tell bins apart
    parts = splits(source, labels)
    options: dict[str, Any] = {"protocol": DEFAULT, "batch_size": 20, "checkpoint_dir": tmp_path}
    (fitted,) = fit(task, epochs=6, seeds=(7,), **options, **parts)
    truth = {split: [labels[row] for row in part.rows] for split, part in parts.items()}
    head = cnn_head(task, source.dim, DEFAULT, 7)
    with torch.no_grad():
        first = plain_loss(task, plain_logits(head, source, parts["train"].rows), truth["train"])
        assert fitted.history[0]["train_loss"] == pytest.approx(first, rel=1e-5)
        head.load_state_dict(state_of(tmp_path, "best"))
        tried = plain_logits(head, source, parts["validation"].rows)
        tested = plain_logits(head, source, parts["test"].rows)
    best = fitted.history[fitted.best_epoch - 1]
    assert best["validation_loss"] == pytest.approx(plain_loss(task, tried, truth["validation"]), rel=1e-5)
    value = plain_score(name, torch.cat(tried), np.concatenate([np.atleast_2d(row) for row in truth["validation"]], -1))
    assert fitted.validation_score == pytest.approx(value, abs=1e-6)
    assert fitted.validation_score == max(entry["validation_score"] for entry in fitted.history)
    for ours, plain in zip(fitted.scores, tested, strict=True):
        chances = plain.softmax(-1) if name == "gene_finding" else plain.sigmoid()
        np.testing.assert_allclose(ours.reshape(chances.shape), chances, atol=2e-6)


@pytest.mark.parametrize(("name", "rate"), [("histone_modification", 3e-3), ("enhancer_annotation", 1e-3)])
def test_a_step_is_adamw_s_with_the_recipe_s_rate_and_decay(name: str, rate: float, tmp_path: Path) -> None:
    """AdamW's first step: w (1 − rate · decay) − rate · sign(gradient). Where the input is 0, so is the gradient."""
    task, source, labels = make(name, 30)
    silent = torch.ones(8)
    silent[5] = 0
    quiet = Memory([token._replace(vectors=token.vectors * silent) for token in source.tokens])
    options: dict[str, Any] = {"protocol": DEFAULT, "batch_size": 99, "seeds": (3,)}
    fit(task, epochs=1, checkpoint_dir=tmp_path / "one", **options, **splits(quiet, labels))
    fit(task, epochs=4, checkpoint_dir=tmp_path / "four", **options, **splits(quiet, labels))
    start = cnn_head(task, 8, DEFAULT, 3).state_dict()
    one, four = (state_of(tmp_path / folder, "model") for folder in ("one", "four"))
    kept = 1 - rate * 0.01
    for steps, after in ((1, one), (4, four)):
        expected = start["conv1.weight"][:, 5] * kept**steps
        torch.testing.assert_close(after["conv1.weight"][:, 5], expected, rtol=1e-6, atol=1e-9)
        assert not torch.equal(after["conv1.weight"][:, 5], start["conv1.weight"][:, 5])
    moved = (one["linear.bias"] - kept * start["linear.bias"]).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, rate), rtol=1e-3, atol=0)


def test_of_equal_epochs_the_first_is_kept_and_patience_counts_from_it() -> None:
    task, source, labels = make("histone_modification", 30)
    assert task.recipe is not None
    still = replace(task, recipe=replace(task.recipe, learning_rate=1e-30))  # moves no weight
    (fitted,) = fit(still, protocol=DEFAULT, epochs=9, patience=3, **splits(source, labels))
    assert fitted.best_epoch == 1
    assert len(fitted.history) == 4
    assert len({entry["validation_score"] for entry in fitted.history}) == 1


def test_each_epoch_has_an_order_of_its_own() -> None:
    """The rows of every step, as they are read: each epoch all of them, in another order, by `sampling_seed`."""

    class Watched(Memory):
        def read(self, rows: Any) -> Any:
            seen.append(sorted(rows))
            return super().read(rows)

    task, source, labels = make("histone_modification", 36)
    seen: list[list[int]] = []
    orders = []
    for seed in (0, 1):
        seen.clear()
        watched = Watched(source.tokens)
        watched.key = "known"  # type: ignore[attr-defined]
        fit(task, protocol=DEFAULT, epochs=2, batch_size=6, sampling_seed=seed, **splits(watched, labels))
        steps = [rows for rows in seen if max(rows) < 24]
        orders += [steps[:4], steps[4:]]
    assert all(sorted(row for step in order for row in step) == list(range(24)) for order in orders)
    assert len({str(order) for order in orders}) == 4


def test_recipes_are_those_of_the_reference() -> None:
    """Read off the reference's configuration files."""
    found = {
        task.name: (
            *(task.recipe.hidden, task.recipe.pool, task.recipe.outputs, task.recipe.positive_weight),
            *(task.recipe.learning_rate, task.recipe.weight_decay, task.recipe.batch_size, task.recipe.epochs),
        )
        for task in TASKS.values()
        if task.recipe is not None
    }
    assert found == {
        "gene_finding": (64, None, 9, None, 0.003, 0.01, 64, 100),
        "enhancer_annotation": (2, 128, 1, 82.86, 0.001, 0.01, 8, 100),
        "chromatin_accessibility": (64, 512, 125, None, 0.003, 0.01, 256, 100),
        "histone_modification": (64, 512, 18, None, 0.003, 0.01, 256, 100),
        "cpg_methylation": (64, 512, 7, None, 0.003, 0.01, 256, 100),
    }
