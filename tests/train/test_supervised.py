from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.tasks import get_tasks
from bend_hf.train import supervised
from bend_hf.train.head import Batch, CNNHead
from bend_hf.train.supervised import Basset, SupervisedResNet, basset, resnet_supervised

DEFAULT, REFERENCE = get_protocol("default"), get_protocol("bend-2024")


def task(name):
    return get_tasks(name)[0]


def one_hot(ids: np.ndarray) -> Batch:
    return Batch(nn.functional.one_hot(torch.from_numpy(ids), 5).float(), torch.ones(ids.shape, dtype=torch.int64))


def random_batch(shape: tuple[int, int], seed: int = 0) -> Batch:
    return one_hot(np.random.default_rng(seed).integers(0, 5, shape))


def test_the_small_resnet_of_the_reference_is_reproduced(real_dir):
    golden = dict(np.load(real_dir / "goldens" / "numbers" / "head_resnet_supervised_small.npz"))
    weights = {key[2:]: torch.from_numpy(golden[key]) for key in golden if key.startswith("w.")}
    head = CNNHead(dim=32, hidden=64, outputs=18, pool=512)
    network = SupervisedResNet(head, layers=3, width=32, kernel=9)
    network.encoder.load_state_dict({key[16:]: value for key, value in weights.items() if key.startswith("encoder.")})
    head.load_reference({key[15:]: value for key, value in weights.items() if key.startswith("downstream_cnn.")})
    batch, labels = one_hot(golden["x"]), torch.from_numpy(golden["y"]).float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.003, weight_decay=0.01)
    for step, expected in enumerate(golden["losses_5_adamw_steps"]):
        logits = network(batch)[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        assert loss.item() == pytest.approx(expected, abs=1e-5)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            assert np.abs(logits.detach().numpy() - golden["out"]).max() < 1e-5
            for name, parameter in network.encoder.named_parameters():
                assert np.abs(parameter.grad.numpy() - golden[f"g.encoder.encoder.{name}"]).max() < 1e-5
            assert np.abs(head.conv1.weight.grad.numpy() - golden["g.downstream_cnn.conv1.1.weight"]).max() < 1e-5
        optimizer.step()
    for name, parameter in network.encoder.named_parameters():
        assert np.abs(parameter.detach().numpy() - golden[f"w5.encoder.encoder.{name}"]).max() < 1e-4
    for name, value in head.reference_state().items():
        assert np.abs(value.numpy() - golden[f"w5.downstream_cnn.{name}"]).max() < 1e-4


def test_seeds_decide_every_weight():
    def weights(seed):
        torch.manual_seed(seed)
        return resnet_supervised(task("histone_modification"), 5, DEFAULT).state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    for name in ("encoder.29.conv.1.weight", "encoder.0.ffn.0.weight", "head.conv1.weight", "head.linear.weight"):
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])


def test_head_and_layers_are_drawn_one_after_the_other():
    torch.manual_seed(3)
    state = resnet_supervised(task("histone_modification"), 5, DEFAULT).state_dict()
    head = state["head.conv1.weight"].flatten()
    for name, value in state.items():
        if name.startswith("encoder") and value.numel() >= 50_000:
            start = value.flatten()[: len(head)]
            assert abs(torch.corrcoef(torch.stack([start, head[: len(start)]]))[0, 1]) < 0.02, name


def test_sizes_follow_the_paper_and_the_protocol():
    network = resnet_supervised(task("histone_modification"), 5, DEFAULT)
    convolutions = [module for module in network.encoder.modules() if isinstance(module, nn.Conv1d)]
    assert [conv.dilation[0] for conv in convolutions] == [1, 2, 4, 8, 16, 32] * 5
    assert {tuple(conv.weight.shape) for conv in convolutions} == {(256, 256, 9)}
    assert resnet_supervised(task("gene_finding"), 5, REFERENCE).encoder[0].conv["1"].kernel_size == (3,)
    assert any(isinstance(layer, nn.ReLU) for layer in basset(task("cpg_methylation"), 5, DEFAULT).classifier[4:])
    assert not any(isinstance(layer, nn.ReLU) for layer in basset(task("cpg_methylation"), 5, REFERENCE).classifier[4:])


@pytest.mark.parametrize(
    ("name", "length", "shape"), [("gene_finding", 90, (2, 90, 9)), ("enhancer_annotation", 256, (2, 2, 1))]
)
def test_logits_have_the_heads_shape(name, length, shape):
    small = resnet_supervised(task(name), 5, DEFAULT)
    small.encoder = small.encoder[:2]
    assert small(random_batch((2, length))).shape == shape


def test_a_sequences_end_is_an_end_whatever_it_is_batched_with():
    torch.manual_seed(0)
    network = SupervisedResNet(CNNHead(8, 4, 3), layers=4, width=8)
    whole = random_batch((2, 70))
    alone = network(Batch(whole.vectors[:1, :41], whole.lengths[:1, :41]))
    lengths = whole.lengths.clone()
    lengths[0, 41:] = 0
    together = network(Batch(whole.vectors * lengths.unsqueeze(-1), lengths))
    assert torch.allclose(together[0, :41], alone[0], atol=1e-5)
    network.head.padding_reaches_head = True
    reached = network(Batch(whole.vectors * lengths.unsqueeze(-1), lengths))
    assert not torch.allclose(reached[0, :41], alone[0], atol=1e-3)


def test_computing_activations_again_changes_no_gradient(monkeypatch):
    torch.manual_seed(0)
    network, batch = SupervisedResNet(CNNHead(8, 4, 3), layers=3, width=8), random_batch((2, 50))
    gradients = []
    for kept in (2**22, 0):
        monkeypatch.setattr(supervised, "KEPT_NUMBERS", kept)
        network.zero_grad()
        network(batch).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    assert all(torch.equal(kept, again) for kept, again in zip(*gradients, strict=True))


def test_basset_learns_and_reads_512_bp_only():
    torch.manual_seed(0)
    network = Basset(outputs=7)
    batch, labels = random_batch((8, 512)), torch.randint(0, 2, (8, 7)).float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        logits = network(batch)
        assert logits.shape == (8, 1, 7)
        loss = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    with pytest.raises(BendError, match="windows of 512 bp, and these have 100"):
        network(random_batch((2, 100)))


def test_tasks_and_vectors_that_do_not_fit_are_refused():
    with pytest.raises(BendError, match="gene_finding is none"):
        basset(task("gene_finding"), 5, DEFAULT)
    with pytest.raises(BendError, match="zero-shot"):
        resnet_supervised(task("variant_effects_disease"), 5, DEFAULT)
    with pytest.raises(BendError, match="768 wide"):
        resnet_supervised(task("gene_finding"), 768, DEFAULT)
