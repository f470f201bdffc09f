"""A head comes out the same, whatever becomes of the heads beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from training_data import CODEBOOK, make, splits

from bend_hf.protocols import get_protocol
from bend_hf.tasks import Task
from bend_hf.tasks.own import own_task
from bend_hf.train import fit as fitting
from bend_hf.train.fit import Fitted, Split, fit
from bend_hf.train.head import CNNHead, cnn_head

EXACT = [("histone_modification", 1, "fp32"), ("gene_finding", 3, "fp32"), ("enhancer_annotation", 1, "fp32")]
HALF = [("histone_modification", 6, "bf16"), ("gene_finding", 3, "fp16")]
WILD, LOUD = 90, 91


def changed_head(*arguments: Any, **options: Any) -> CNNHead:
    """A CNN head; those of two seeds begin too large, one for float32 and one for float16's gradients only."""
    head = cnn_head(*arguments, **options)
    seed = arguments[3]
    with torch.no_grad():
        if seed == WILD:
            head.linear.weight.mul_(1e38)
            head.conv2.weight.mul_(1e4)
        elif seed == LOUD:
            head.linear.weight.mul_(5e3)
    return head


@pytest.fixture(autouse=True)
def _changed(monkeypatch: pytest.MonkeyPatch) -> Any:
    torch.set_num_threads(1)
    monkeypatch.setattr(fitting, "cnn_head", changed_head)
    monkeypatch.setattr(fitting, "trained_in", lambda precision, *_: precision)  # fp16 is for GPUs, else


def trained(name: str, unit: int, **options: Any) -> list[Fitted]:
    task, source, labels = make(name, 30, unit)
    parts = splits(source, labels)
    epochs = 1 if options["precision"] == "fp16" else 3  # fp16 is slow on a CPU
    return fit(task, **({"protocol": get_protocol("default"), "epochs": epochs, "batch_size": 8} | parts | options))


def assert_same(one: Fitted, other: Fitted, atol: float) -> None:
    assert (one.seed, one.best_epoch, one.failure) == (other.seed, other.best_epoch, other.failure)
    assert len(one.history) == len(other.history)
    for x, y in zip(one.history, other.history, strict=True):
        for name in ("train_loss", "validation_loss", "validation_score"):
            assert x[name] == pytest.approx(y[name], abs=atol, rel=0)
    for x, y in zip(one.scores, other.scores, strict=True):
        np.testing.assert_allclose(x, y, atol=atol, rtol=0)


@pytest.mark.parametrize(("name", "unit", "precision"), EXACT + HALF)
def test_beside_one_that_diverges_or_overflows(name: str, unit: int, precision: str) -> None:
    """Heads beside are first, last and on both sides; the heads' own numbers stay theirs."""
    atol = 0.0 if precision == "fp32" else 1e-6
    alone = {seed: trained(name, unit, precision=precision, seeds=(seed,))[0] for seed in (0, 1, WILD, LOUD)}
    assert alone[WILD].failure is not None
    assert "(seed 90)" in alone[WILD].failure
    assert alone[0].failure is None
    for seeds in ((WILD, 0, 1), (0, LOUD, WILD, 1), (0, 1))[1 if precision == "fp16" else 0 :][:2]:
        for fitted in trained(name, unit, precision=precision, seeds=seeds):
            assert_same(fitted, alone[fitted.seed], atol)


def test_a_loss_that_overflows_skips_the_steps_of_its_own_head_only() -> None:
    """The loud head's gradients exceed float16 until its scale has been halved; its neighbour misses no step."""
    task, source, labels = make("gene_finding", 30, 3)
    options: dict[str, Any] = {"protocol": get_protocol("default"), "epochs": 1, "batch_size": 8, "precision": "fp16"}
    steps: dict[int, list[bool]] = {0: [], LOUD: []}
    taken = fitting._finish_epoch

    def look(run: Any, state: Any, *rest: Any) -> None:
        for head in state.heads:
            counts = [int(moments["step"]) for moments in head.optimizer.state.values()]
            steps[head.seed].append(min(counts, default=0) == state.step)
        taken(run, state, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_finish_epoch", look)
        fit(task, seeds=(LOUD, 0), **options, **splits(source, labels))
    assert steps == {0: [True], LOUD: [False]}


@pytest.mark.parametrize("name", ["histone_modification", "gene_finding"])
def test_beside_one_that_stopped_early(name: str) -> None:
    """With labels of noise, patience runs out at different epochs; each head ends as it does alone."""
    task, source, labels = make(name, 60)
    parts = splits(source, labels)
    random = np.random.default_rng(0)
    noise = [random.permutation(row) for row in labels]
    parts["train"] = Split(source, np.stack(noise) if task.label_kind == "multilabel" else noise, parts["train"].rows)
    options: dict[str, Any] = {"protocol": get_protocol("default"), "epochs": 12, "batch_size": 16, "patience": 2}
    options |= {"precision": "fp32"} | parts
    together = fit(task, seeds=(0, 1, 2, 3), **options)
    assert len({len(fitted.history) for fitted in together}) > 1
    for fitted in together:
        assert_same(fitted, fit(task, seeds=(fitted.seed,), **options)[0], 0.0)


def values(count: int = 30) -> tuple[Task, dict[str, Split]]:
    """A task of a number per window, and its splits; the number is the share of one base."""
    task = own_task(
        "shares",
        label_kind="window_value",
        label_names=("share",),
        window=512,
        build="toy",
        summary="The share of one base.",
        rows={"train": 20, "validation": 5, "test": 5},
    )
    _, source, _ = make("histone_modification", count)
    shares = np.array([[float((vectors == CODEBOOK[0]).all(-1).float().mean())] for vectors, _ in source.tokens])
    return task, splits(source, ((shares - shares.mean()) / shares.std()).astype(np.float32))


def test_a_head_of_values_that_diverges_fails_alone() -> None:
    task, parts = values()
    options: dict[str, Any] = {"protocol": get_protocol("default"), "epochs": 3, "batch_size": 8, "precision": "fp32"}
    [alone] = fit(task, seeds=(0,), **options, **parts)
    assert alone.failure is None
    assert alone.history
    wild, beside = fit(task, seeds=(WILD, 0), **options, **parts)
    assert wild.failure is not None
    assert "the loss became nan in epoch 1" in wild.failure
    assert_same(beside, alone, 0.0)


@pytest.mark.parametrize("when", ["validation", "test"])
@pytest.mark.parametrize("name", ["histone_modification", "gene_finding", "shares"])
def test_a_head_that_ends_in_nan_fails_alone(name: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step of an epoch ruins its weights, or the test rows show what no other rows do."""
    if name == "shares":
        task, parts = values()
    else:
        task, source, labels = make(name, 30)
        parts = splits(source, labels)
    options: dict[str, Any] = {"protocol": get_protocol("default"), "epochs": 2, "batch_size": 8, "precision": "fp32"}
    [alone] = fit(task, seeds=(0,), **options, **parts)
    predicted = fitting.predict

    def ruin(run: Any, heads: Any, split: Split, classes: bool) -> Any:
        with torch.no_grad():
            for head in heads:
                if head.seed == 1 and split is (run.validation if when == "validation" else run.test):
                    head.model.linear.weight.fill_(torch.nan)
        return predicted(run, heads, split, classes)

    monkeypatch.setattr(fitting, "predict", ruin)
    ruined, beside = fit(task, seeds=(1, 0), **options, **parts)
    assert ruined.failure is not None
    assert ("validation loss" if when == "validation" else "test split") in ruined.failure
    assert ruined.scores == []
    assert_same(beside, alone, 0.0)


def test_an_epoch_without_a_score_is_never_better_than_one_with_one() -> None:
    entries = [
        {"epoch": epoch, "validation_loss": loss, "validation_score": score}
        for epoch, loss, score in ((1, 0.1, None), (2, 0.9, -0.3), (3, 0.2, None), (4, 0.8, -0.2))
    ]
    assert max(entries, key=fitting._merit)["epoch"] == 4
    assert max(entries[::2], key=fitting._merit)["epoch"] == 1


def test_what_failed_is_restored_with_the_rest(tmp_path: Path) -> None:
    first = trained("histone_modification", 1, precision="fp32", seeds=(WILD, 0), checkpoint_dir=tmp_path)
    again = trained("histone_modification", 1, precision="fp32", seeds=(WILD, 0), checkpoint_dir=tmp_path)
    for one, other in zip(first, again, strict=True):
        assert_same(one, other, 0.0)


def test_seeds_may_vary_the_order_of_samples() -> None:
    """Seed 0 is the same head under all three; of the others, `order` shares the start and `init` the order."""
    name, unit = "histone_modification", 1
    runs = {
        vary: trained(name, unit, precision="fp32", seeds=(0, 1), vary=vary, epochs=1)
        for vary in ("init", "order", "both")
    }
    for vary, (zero, one) in runs.items():
        assert_same(zero, runs["init"][0], 0.0)
        assert one.history[0]["train_loss"] != zero.history[0]["train_loss"], vary
        assert_same(one, trained(name, unit, precision="fp32", seeds=(1,), vary=vary, epochs=1)[0], 0.0)
    losses = {runs[vary][1].history[0]["train_loss"] for vary in runs}
    assert len(losses) == 3
    whole = {"precision": "fp32", "batch_size": 99, "epochs": 1}  # one step of all samples: order cannot matter
    start = [
        trained(name, unit, seeds=(seed,), vary=vary, **whole)[0].history[0]["train_loss"]
        for seed, vary in ((0, "init"), (1, "order"), (1, "both"), (1, "init"))
    ]
    assert start[1] == pytest.approx(start[0], abs=1e-6)
    assert start[2] == pytest.approx(start[3], abs=1e-6)
    assert abs(start[0] - start[3]) > 1e-4
