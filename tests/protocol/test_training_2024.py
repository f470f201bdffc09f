"""Training under ``bend-2024``: its loader, padding, network and precision, each worked out a second way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bend_hf.embed.onehot import OneHotEmbedder
from bend_hf.embed.vectors import InMemory
from bend_hf.protocols import get_protocol
from bend_hf.tasks import TASKS
from bend_hf.train import loop
from bend_hf.train.batches import Group, Split, epoch_steps, load, shards
from bend_hf.train.fit import fit
from bend_hf.train.head import CNNHead, cnn_head
from bend_hf.train.supervised import HEAD_WIDTH, SupervisedResNet, resnet_supervised

REFERENCE, DEFAULT = get_protocol("bend-2024"), get_protocol("default")
SUPERVISED = [task for task in TASKS.values() if task.recipe is not None]
ALPHABET = "ACGNT"  # the reference's one-hot columns; what it pads its integers with is 0


def stream(places: list[int], buffer: int, random: np.random.Generator) -> list[int]:
    """A shuffling buffer, restated: which samples are in it is told by counts alone, and one leaves at a time."""
    waiting, held, out = list(places), [], []
    while waiting:
        held.append(waiting.pop(0))
        if len(held) < buffer and waiting:
            held.append(waiting.pop(0))
        if len(held) >= min(buffer, 100):
            chosen = int(random.integers(len(held)))
            out.append(held[chosen])
            held[chosen] = held[-1]
            del held[-1]
    while held:
        chosen = int(random.integers(len(held)))
        out.append(held[chosen])
        held[chosen] = held[-1]
        del held[-1]
    return out


def loader(
    count: int, file_rows: int, workers: int, buffer: int, batch: int, seeds: tuple[int, int]
) -> list[list[int]]:
    """Batches of a loader whose workers take every n-th file, in the order in which it hands them out."""
    files = [list(range(start, min(start + file_rows, count))) for start in range(0, count, file_rows)]
    queues = []
    for worker in range(max(1, workers)):
        mine = [place for number, file in enumerate(files) if number % max(1, workers) == worker for place in file]
        random = np.random.default_rng([*seeds, 0, worker])
        order = stream(mine, buffer, random) if mine else []
        queues.append([order[start : start + batch] for start in range(0, len(order), batch)])
    handed = []
    while any(queues):
        for queue in queues:
            if queue:
                handed.append(queue.pop(0))
    return handed


@pytest.mark.parametrize("buffer", [1000, 200, 100])
@pytest.mark.parametrize("workers", [0, 1, 2, 8, 32])
@pytest.mark.parametrize(("count", "file_rows"), [(90, 50), (4300, 500), (1200, 1200)])
def test_order_of_samples(buffer: int, workers: int, count: int, file_rows: int) -> None:
    task = TASKS["histone_modification"]
    protocol = replace(
        REFERENCE, shuffle_buffer={task.name: buffer}, loader_workers={task.name: workers}, shard_rows=file_rows
    )
    split = Split(None, None, np.arange(count))
    ours = epoch_steps(split, task, protocol, 64, (3, 7, 0))
    assert [step.tolist() for step in ours] == loader(count, file_rows, workers, buffer, 64, (3, 7))
    assert sorted(np.concatenate(ours).tolist()) == list(range(count))


def test_each_task_has_the_reference_s_buffer_and_workers() -> None:
    """Read off the reference's configuration files."""
    assert REFERENCE.shuffle_buffer == {
        "gene_finding": 1000,
        "enhancer_annotation": 100,
        "chromatin_accessibility": 1000,
        "histone_modification": 200,
        "cpg_methylation": 200,
    }
    assert REFERENCE.loader_workers == {
        "gene_finding": 0,
        "enhancer_annotation": 2,
        "chromatin_accessibility": 8,
        "histone_modification": 32,
        "cpg_methylation": 0,
    }
    assert REFERENCE.shard_rows == 50_000
    for task in SUPERVISED:  # far fewer samples than the buffer holds leave in another order than the file's
        steps = epoch_steps(Split(None, None, np.arange(90)), task, REFERENCE, 16, (0, 0, 0))
        assert np.concatenate(steps).tolist() != list(range(90))


def test_the_parts_of_folds_are_files() -> None:
    """Eight parts and two workers: a batch of parts 1, 3, 5, 7 and one of parts 2, 4, 6, 8 in turn."""
    sizes = (27, 27, 28, 28, 28, 31, 24, 24)
    files = shards(sizes, 50_000)
    assert [len(file) for file in files] == list(sizes)
    split = Split(None, None, np.arange(sum(sizes)), sizes)
    steps = epoch_steps(split, TASKS["enhancer_annotation"], REFERENCE, 8, (0, 0, 0))
    odd = set(np.concatenate(files[::2]).tolist())
    turns = ["odd" if set(step.tolist()) <= odd else "even" for step in steps]
    assert turns[:26] == ["odd", "even"] * 13
    assert not any(set(step.tolist()) & odd for step, turn in zip(steps, turns, strict=True) if turn == "even")
    assert sorted(np.concatenate(steps).tolist()) == list(range(sum(sizes)))


def test_the_default_is_a_full_shuffle() -> None:
    split = Split(None, None, np.arange(5000), (2500, 2500))
    steps = epoch_steps(split, TASKS["histone_modification"], DEFAULT, 256, (0, 0, 0))
    assert [len(step) for step in steps] == [256] * 19 + [136]
    assert abs(np.corrcoef(np.concatenate(steps), np.arange(5000))[0, 1]) < 0.05


def genes(lengths: list[int]) -> tuple[list[str], Split]:
    random = np.random.default_rng(1)
    sequences = ["".join(random.choice(list("ACGT"), length)) for length in lengths]
    labels = [random.integers(0, 9, length).astype(np.int8) for length in lengths]
    return sequences, Split(InMemory(OneHotEmbedder(), sequences, "float32"), labels, np.arange(len(lengths)))


def padded_integers(sequences: list[str]) -> torch.Tensor:
    """The reference's batch: letters as integers, padded with 0, then one-hot."""
    ids = [torch.tensor([ALPHABET.index(base) for base in sequence]) for sequence in sequences]
    return F.one_hot(torch.nn.utils.rnn.pad_sequence(ids, batch_first=True), 5).float()


A = next(OneHotEmbedder().embed(["A"])).vectors[0]


def test_one_hot_batches_are_padded_with_a() -> None:
    sequences, split = genes([37, 90, 61])
    micro = load(TASKS["gene_finding"], split, Group(np.arange(3), 90), padding=A)
    assert torch.equal(micro.batch.vectors, padded_integers(sequences))
    zeros = load(TASKS["gene_finding"], split, Group(np.arange(3), 90))
    assert not zeros.batch.vectors[0, 37:].any()
    assert not zeros.batch.vectors[2, 61:].any()


def two_layers(task: Any, dim: int, protocol: Any) -> SupervisedResNet:
    """The supervised ResNet with two of its layers, the same whenever it is made."""
    torch.manual_seed(0)
    return SupervisedResNet(cnn_head(task, 256, protocol, None, HEAD_WIDTH), 2, kernel=protocol.resnet_kernel)


def plain_loss(network: SupervisedResNet | CNNHead, vectors: torch.Tensor, labels: list[np.ndarray]) -> float:
    """The loss of a padded batch by plain layers, without run lengths, masks or micro-batches."""
    x, head = vectors, network
    if isinstance(network, SupervisedResNet):
        x, head = F.pad(vectors, (0, 251)), network.head
        for layer in network.encoder:
            x = layer(x, None)
    logits = head.linear(F.gelu(head.conv2(F.gelu(head.conv1(x.mT)))).mT)
    wanted = [torch.from_numpy(label).long() for label in labels]
    targets = torch.nn.utils.rnn.pad_sequence(wanted, batch_first=True, padding_value=-100)
    return F.cross_entropy(logits.mT, targets, ignore_index=-100).item()


@pytest.mark.parametrize("network", [None, two_layers])
@pytest.mark.parametrize("budget", [80, 1 << 14])
def test_losses_are_those_of_the_padded_batch(network: Any, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of one batch, also in micro-batches of a row: the CNN head sees two padded positions, the ResNet all."""
    monkeypatch.setitem(loop.POSITIONS, "cpu", budget)
    task, (sequences, split) = TASKS["gene_finding"], genes([37, 90, 61, 89, 88])
    options: dict[str, Any] = {"train": split, "validation": split, "test": split, "epochs": 1, "protocol": REFERENCE}
    (ours,) = fit(task, network=network, padding=A, **options)
    (without,) = fit(task, network=network, **options)
    plain = cnn_head(task, 5, REFERENCE, 0) if network is None else network(task, 5, REFERENCE)
    batch = padded_integers(sequences)
    zeros = batch * (torch.arange(90) < torch.tensor([[len(sequence)] for sequence in sequences]))[..., None]
    losses = [plain_loss(plain, vectors, split.labels) for vectors in (batch, zeros)]
    assert ours.history[0]["train_loss"] == pytest.approx(losses[0], abs=1e-6)
    assert without.history[0]["train_loss"] == pytest.approx(losses[1], abs=1e-6)
    assert abs(losses[0] - losses[1]) > 1e-5


@pytest.mark.parametrize("protocol", [DEFAULT, REFERENCE])
@pytest.mark.parametrize("task", SUPERVISED, ids=lambda task: task.name)
def test_parameters_of_the_supervised_resnet(task: Any, protocol: Any) -> None:
    """Counted by hand: 30 layers of a convolution, a linear layer and two norms; a head of 64 channels on any task."""
    kernel, width, hidden = protocol.resnet_kernel, 256, 64
    layer = (width * width * kernel + width) + 2 * width + (width * width + width) + 2 * width
    outputs = task.recipe.outputs
    head = (width * hidden * 3 + hidden) + (hidden * hidden * 3 + hidden) + (hidden * outputs + outputs)
    network = resnet_supervised(task, 5, protocol)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 30 * layer + head
    if task.name == "enhancer_annotation" and protocol is REFERENCE:
        assert count == 7_972_033


def test_validation_is_exact_under_the_reference_s_protocol() -> None:
    """Trained in bfloat16, a head's test scores under ``bend-2024`` are those of its weights in float32."""
    _, split = genes([64] * 24)
    parts: dict[str, Any] = {"train": split, "validation": split, "test": split}
    parts |= {"epochs": 2, "batch_size": 8, "precision": "bf16"}
    (ours,) = fit(TASKS["gene_finding"], protocol=REFERENCE, **parts)
    (rounded,) = fit(
        TASKS["gene_finding"],
        protocol=replace(REFERENCE, exact_validation=False),
        **parts,
    )
    assert ours.history[0]["train_loss"] == rounded.history[0]["train_loss"]
    difference = max(np.abs(x - y).max() for x, y in zip(ours.scores, rounded.scores, strict=True))
    assert 1e-6 < difference < 0.02
