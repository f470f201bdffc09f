"""The loop: what it learns, and all that must not change a number."""

from __future__ import annotations

import logging
import re
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from training_data import Memory, make, splits

from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.tasks import TASKS, Task
from bend_hf.train import loop
from bend_hf.train.fit import Fitted, Split, fit
from bend_hf.train.head import Batch, cnn_head

DEFAULT, BEND_2024 = get_protocol("default"), get_protocol("bend-2024")
KINDS = [("histone_modification", 1), ("histone_modification", 6), ("gene_finding", 3), ("enhancer_annotation", 1)]


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(name: str, unit: int = 1, count: int = 60, **options: Any) -> list[Fitted]:
    task, source, labels = make(name, count, unit)
    return fit(task, **({"protocol": DEFAULT, "epochs": 2, "batch_size": 16} | splits(source, labels) | options))


def assert_equal(ours: list[Fitted], theirs: list[Fitted]) -> None:
    """Bit for bit, apart from the time taken."""
    for a, b in zip(ours, theirs, strict=True):
        assert (a.seed, a.best_epoch, a.validation_score) == (b.seed, b.best_epoch, b.validation_score)
        for x, y in zip(a.history, b.history, strict=True):
            assert {**x, "seconds": 0} == {**y, "seconds": 0}
        assert all(np.array_equal(x, y) for x, y in zip(a.scores, b.scores, strict=True))


def assert_close(ours: list[Fitted], theirs: list[Fitted], atol: float) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.best_epoch == b.best_epoch
        for x, y in zip(a.history, b.history, strict=True):
            assert x["train_loss"] == pytest.approx(y["train_loss"], abs=atol)
            assert x["validation_loss"] == pytest.approx(y["validation_loss"], abs=atol)
        for x, y in zip(a.scores, b.scores, strict=True):
            np.testing.assert_allclose(x, y, atol=atol)


@pytest.mark.parametrize(("name", "unit"), KINDS)
@pytest.mark.parametrize("protocol", [DEFAULT, BEND_2024])
def test_learns_every_kind_of_label(name: str, unit: int, protocol: Any) -> None:
    task = TASKS[name]
    assert task.recipe is not None
    count = 240 if name == "histone_modification" else 60
    quick = replace(task, recipe=replace(task.recipe, learning_rate=0.02))
    _, source, labels = make(name, count, unit)
    parts = splits(source, labels)
    (fitted,) = fit(quick, protocol=protocol, epochs=6, batch_size=16, **parts)
    chance = {"mcc": 0.0, "auroc": 0.5, "auprc": np.mean([np.mean(labels[row]) for row in parts["test"].rows])}
    assert fitted.selected_by == task.metric
    assert fitted.validation_score is not None
    assert fitted.validation_score > chance[task.metric] + 0.15
    assert fitted.best_epoch == 1 + int(np.argmax([entry["validation_score"] for entry in fitted.history]))
    assert len(fitted.scores) == len(parts["test"].rows)
    for row, scores in zip(parts["test"].rows, fitted.scores, strict=True):
        shape = labels[row].shape if name != "gene_finding" else (*labels[row].shape, 9)
        assert scores.shape == shape
        assert scores.dtype == np.float32
        if name == "gene_finding":
            np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(("name", "unit"), KINDS)
def test_micro_batches_add_up_to_the_batch(name: str, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for positions in (600, 1 << 14, 1 << 30):
        monkeypatch.setitem(loop.POSITIONS, "cpu", positions)
        results.append(trained(name, unit))
    assert_close(results[0], results[2], 2e-5)
    assert_close(results[1], results[2], 2e-5)


def test_padding_of_the_reference_survives_micro_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for positions in (600, 1 << 30):
        monkeypatch.setitem(loop.POSITIONS, "cpu", positions)
        results.append(trained("gene_finding", 3, protocol=BEND_2024))
    assert_close(*results, 2e-5)


def test_loss_is_that_of_the_whole_batch() -> None:
    """One epoch of one step: the loss that is reported is the plain loss of all windows at once."""
    task, source, labels = make("gene_finding", 24)
    parts = splits(source, labels)
    (fitted,) = fit(task, protocol=DEFAULT, epochs=1, batch_size=64, seeds=(7,), **parts)
    head = cnn_head(task, source.dim, DEFAULT, seed=7)
    tokens = source.read(list(parts["train"].rows))
    logits = [head(Batch(v[None], torch.from_numpy(n)[None]))[0] for v, n in tokens]
    wanted = torch.from_numpy(np.concatenate([labels[row] for row in parts["train"].rows])).long()
    plain = nn.functional.cross_entropy(torch.cat(logits), wanted)
    assert fitted.history[0]["train_loss"] == pytest.approx(plain.item(), abs=1e-6)


@pytest.mark.parametrize(("name", "unit"), KINDS)
def test_seeds_together_equal_seeds_alone(name: str, unit: int) -> None:
    together = trained(name, unit, seeds=(3, 4, 5))
    alone = [trained(name, unit, seeds=(seed,))[0] for seed in (3, 4, 5)]
    assert_equal(together, alone)
    assert not np.allclose(together[0].scores[0], together[1].scores[0], atol=1e-3)


def test_repeats_exactly_and_sampling_has_a_seed_of_its_own() -> None:
    first = trained("histone_modification")
    assert_equal(first, trained("histone_modification"))
    other = trained("histone_modification", sampling_seed=1)
    assert other[0].history[0]["train_loss"] != first[0].history[0]["train_loss"]


def test_bfloat16_agrees() -> None:
    for name, unit in KINDS:
        exact, rounded = (trained(name, unit, precision=precision)[0] for precision in ("fp32", "bf16"))
        assert exact.history[-1]["train_loss"] == pytest.approx(rounded.history[-1]["train_loss"], rel=0.02)


class Cut(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize(("name", "unit"), [("histone_modification", 6), ("gene_finding", 1)])
def test_resumes_bit_for_bit_wherever_it_was_cut(name: str, unit: int, tmp_path: Path) -> None:
    """Runs are cut at random reads, again and again, and must end as the run that nobody touched."""
    task, source, labels = make(name, 60, unit)
    options: dict[str, Any] = {"protocol": DEFAULT, "epochs": 3, "batch_size": 8, "seeds": (0, 1)}
    whole = fit(task, **splits(source, labels), **options)
    random = np.random.default_rng(0)
    for trial in range(6):
        cuts = 0
        while True:
            left = int(random.integers(5, 22))

            def before() -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise Cut

            parts = splits(Memory(source.tokens, before), labels)
            try:
                resumed = fit(task, checkpoint_dir=tmp_path / str(trial), checkpoint_seconds=0, **parts, **options)
                break
            except Cut:
                cuts += 1
        assert cuts > 0
        assert_equal(resumed, whole)


def test_ctrl_c_saves_and_the_same_call_goes_on(tmp_path: Path) -> None:

    task, source, labels = make("histone_modification")
    options: dict[str, Any] = {"protocol": DEFAULT, "epochs": 3, "batch_size": 8, "checkpoint_dir": tmp_path}
    whole = fit(task, **splits(source, labels), **{**options, "checkpoint_dir": None})
    reads = 0

    def before() -> None:
        nonlocal reads
        reads += 1
        if reads == 12:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(task, **splits(Memory(source.tokens, before), labels), **options)
    assert list(tmp_path.glob("*.safetensors"))
    assert_equal(fit(task, **splits(source, labels), **options), whole)


def test_a_checkpoint_of_other_settings_or_data_is_not_used(tmp_path: Path) -> None:
    task, source, labels = make("histone_modification")
    options: dict[str, Any] = {"protocol": DEFAULT, "batch_size": 16, "checkpoint_dir": tmp_path}
    fit(task, epochs=1, **splits(source, labels), **options)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    parts = splits(source, labels)
    assert task.recipe is not None
    flipped = labels.copy()
    flipped[33] ^= 1
    tokens = list(source.tokens)
    tokens[33] = tokens[33]._replace(vectors=tokens[33].vectors + 1)
    changed = Memory(tokens)
    for i, other in enumerate(
        (
            {"epochs": 2},
            {"seeds": (1,)},
            {"sampling_seed": 1},
            {"batch_size": 17},
            {"patience": 3},
            {"precision": "bf16"},
            {"standardize": True},
            {"vary": "order", "seeds": (1,)},
            {"vary": "both", "seeds": (1,)},
            {"protocol": BEND_2024},
            {"protocol": replace(DEFAULT, exact_validation=True)},
            {"padding": torch.ones(source.dim)},
            {"network": Small},
            splits(source, flipped),
            splits(changed, labels),
            {"train": replace(parts["train"], rows=parts["train"].rows[::-1])},
            {"train": replace(parts["train"], parts=(20, 20))},
            {"test": replace(parts["test"], rows=parts["test"].rows[:-1])},
            {"task": replace(task, version="2.0.0")},
            {"task": replace(task, recipe=replace(task.recipe, weight_decay=0.0))},
        )
    ):
        fit(**({"task": task, "epochs": 1} | parts | options | other))
        assert len(list(tmp_path.glob("*.safetensors"))) == i + 2, other
    fit(task, epochs=1, device="cpu", checkpoint_seconds=1.0, trackers=(), **parts, **options)
    fit(task, epochs=1, **splits(Memory([*source.tokens]), labels.copy()), **options)
    assert len(list(tmp_path.glob("*.safetensors"))) == i + 2


def test_a_damaged_checkpoint_is_said_and_not_trusted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = trained("histone_modification", checkpoint_dir=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    seal = file.with_name(f"{file.name}.seal")
    data = file.read_bytes()
    flipped = bytearray(data)
    flipped[-5] ^= 1  # one bit of a weight: a file that opens, and would end in another score

    def lost() -> None:
        file.write_bytes(data)
        seal.unlink()

    for damage in (
        lambda: file.write_bytes(data[: len(data) // 2]),
        lambda: file.write_bytes(b""),
        lambda: file.write_bytes(b"\x80\x04pickle"),
        lambda: file.write_bytes(flipped),
        lambda: seal.write_text("{}"),
        lost,
    ):
        damage()
        caplog.clear()
        assert_equal(trained("histone_modification", checkpoint_dir=tmp_path), whole)
        assert "Training starts anew" in caplog.text
    caplog.clear()
    assert_equal(trained("histone_modification", checkpoint_dir=tmp_path), whole)
    assert not caplog.text


@pytest.mark.parametrize("where", ["vectors", "rate"])
def test_a_head_that_diverges_says_epoch_batch_and_advice(where: str) -> None:
    task, source, labels = make("histone_modification")
    parts = splits(source, labels)
    if where == "vectors":
        tokens = list(source.tokens)
        tokens[5] = tokens[5]._replace(vectors=torch.full_like(tokens[5].vectors, torch.nan))
        parts = splits(Memory(tokens), labels)
        message = r"histone_modification: the loss became nan in epoch 1, batch \d+ \(seed 0\).*contain NaN"
    else:
        assert task.recipe is not None
        task = replace(task, recipe=replace(task.recipe, learning_rate=1e30))
        message = r"the loss became (nan|inf) in epoch \d+, batch \d+ \(seed 0\).*are finite.*fp32"
    (fitted,) = fit(task, protocol=DEFAULT, epochs=5, batch_size=8, **parts)
    assert re.search(message, fitted.failure or "")
    assert (fitted.scores, fitted.validation_score) == ([], None)


class _Sum(nn.Module):
    """Logits as large as the vectors: infinite where those are summed beyond what float32 holds."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((outputs,), 1.0))

    def forward(self, batch: Batch) -> torch.Tensor:
        return batch.vectors.sum((1, 2))[:, None, None] * self.weight


def test_infinite_logits_of_the_test_rows_are_no_probabilities_of_one() -> None:
    task, source, labels = make("histone_modification")
    tokens = list(source.tokens)
    tokens[-1] = tokens[-1]._replace(vectors=torch.full_like(tokens[-1].vectors, 1e38))
    parts = splits(Memory(tokens), labels)
    (fitted,) = fit(
        task, protocol=DEFAULT, epochs=1, network=lambda task, dim, protocol: _Sum(len(task.label_names)), **parts
    )
    assert "predictions of the test split are NaN or infinite (seed 0)" in (fitted.failure or "")
    assert fitted.scores == []


def test_labels_without_both_classes(caplog: pytest.LogCaptureFixture) -> None:
    task, source, labels = make("histone_modification")
    parts = splits(source, labels)
    one = labels.copy()
    one[parts["validation"].rows, 3] = 1
    (fitted,) = fit(task, protocol=DEFAULT, epochs=2, batch_size=16, **splits(source, one))
    assert fitted.validation_score is not None
    assert fitted.selected_by == "auroc"
    none = labels.copy()
    none[parts["validation"].rows] = 0
    with caplog.at_level(logging.WARNING, "bend_hf"):
        (fitted,) = fit(task, protocol=DEFAULT, epochs=3, batch_size=16, **splits(source, none))
    assert fitted.validation_score is None
    assert fitted.selected_by == "validation_loss"
    assert "auroc is undefined on the validation labels" in caplog.text
    assert fitted.best_epoch == 1 + int(np.argmin([entry["validation_loss"] for entry in fitted.history]))


def test_patience_stops_each_head_as_if_alone() -> None:
    _, source, labels = make("histone_modification", 60)
    parts = splits(source, labels)
    noise = np.random.default_rng(0).integers(0, 2, labels.shape).astype(np.int8)
    parts["train"] = Split(source, noise, parts["train"].rows)
    options: dict[str, Any] = {"protocol": DEFAULT, "epochs": 12, "batch_size": 16, "patience": 2, **parts}
    together = fit(TASKS["histone_modification"], seeds=(0, 1, 2), **options)
    for fitted in together:
        assert len(fitted.history) == min(12, fitted.best_epoch + 2)
    assert min(len(fitted.history) for fitted in together) < 12
    alone = fit(TASKS["histone_modification"], seeds=(1,), **options)
    assert_equal([together[1]], alone)


class Small(nn.Module):
    """A network in the head's place, with dropout and batch norm."""

    def __init__(self, task: Task, dim: int, protocol: Any) -> None:
        super().__init__()
        assert task.recipe is not None
        self.layers = nn.Sequential(
            nn.Linear(dim, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, task.recipe.outputs)
        )

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.layers(batch.vectors.mean(1))[:, None]


def test_another_network_in_the_head_s_place_resumes_too(tmp_path: Path) -> None:
    task, source, labels = make("histone_modification", 76)  # 50 to train on: the last batch of 7 has one row
    options: dict[str, Any] = {"protocol": DEFAULT, "epochs": 2, "batch_size": 7, "network": Small, "seeds": (0, 1)}
    whole = fit(task, **splits(source, labels), **options)
    assert [fitted.seed for fitted in whole] == [0, 1]
    left = 9

    def before() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Cut

    with pytest.raises(Cut):
        parts = splits(Memory(source.tokens, before), labels)
        fit(task, checkpoint_dir=tmp_path, checkpoint_seconds=0, **parts, **options)
    assert_equal(fit(task, checkpoint_dir=tmp_path, **splits(source, labels), **options), whole)


def test_denormals_are_flushed_even_after_a_parallel_region() -> None:
    torch.set_num_threads(2)
    torch.randn(400, 400) @ torch.randn(400, 400)
    torch.full((1 << 20,), 1e-40).mul(0.5)
    seen = []

    class Probe(Small):
        def forward(self, batch: Batch) -> torch.Tensor:
            seen.append(int(torch.full((1 << 20,), 1e-40).mul(0.5).count_nonzero()))
            return super().forward(batch)

    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    torch.set_flush_denormal(False)
    trained("histone_modification", network=Probe, epochs=1)
    assert seen
    assert max(seen) == 0


def test_float32_of_heads_is_no_tf32() -> None:
    seen = []

    class Probe(Small):
        def forward(self, batch: Batch) -> torch.Tensor:
            seen.append(torch.backends.cudnn.allow_tf32)
            return super().forward(batch)

    trained("histone_modification", network=Probe, epochs=1)
    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32


def test_trackers_through_accelerate(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for _ in range(2):  # a second run in the same process works too
        trained("histone_modification", checkpoint_dir=tmp_path, trackers=["tensorboard"], sampling_seed=_)
    events = list(tmp_path.rglob("events.out.tfevents*"))
    assert any(b"histone_modification/seed0/validation_score" in event.read_bytes() for event in events)


def test_refuses_before_it_works() -> None:
    task, source, labels = make("histone_modification")
    parts = splits(source, labels)
    empty = Split(source, labels, np.arange(0))
    for change, message in (
        ({"validation": empty}, "validation split has no rows"),
        ({"seeds": ()}, "seeds is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"precision": "fp8"}, "Unknown precision 'fp8'"),
        ({"precision": "fp16"}, "fp16 is for GPUs"),
    ):
        with pytest.raises(BendError, match=message):
            fit(task, **({"protocol": DEFAULT, "epochs": 1} | parts | change))  # type: ignore[arg-type]
    with pytest.raises(BendError, match="zero-shot"):
        fit(TASKS["variant_effects_disease"], protocol=DEFAULT, **parts)
    short = [label[:-1] for label in make("gene_finding")[2]]
    genes = make("gene_finding")
    with pytest.raises(BendError, match=r"row \d+ has labels for \d+ positions"):
        fit(genes[0], protocol=DEFAULT, epochs=1, **splits(genes[1], short))
