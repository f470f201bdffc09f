"""The head on tokens: equal to upsampling and convolving, to the reference's numbers, and blind to its batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bend_hf.train.head import REFERENCE_NAMES, Batch, CNNHead, convolve, expand_and_add, expansion


def upsampled(head: CNNHead, vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The plain head for one sequence: repeat each vector, then convolve, pool and project."""
    x = vectors.repeat_interleave(lengths, 0).T[None]
    x = F.gelu(head.conv2(F.gelu(head.conv1(x))))
    if head.pool is not None:
        x = F.avg_pool1d(x, head.pool, head.pool)
    return head.linear(x[0].T)


def padded(sequences: list[tuple[torch.Tensor, torch.Tensor]]) -> Batch:
    vectors = torch.nn.utils.rnn.pad_sequence([vectors for vectors, _ in sequences], batch_first=True)
    lengths = torch.nn.utils.rnn.pad_sequence([lengths for _, lengths in sequences], batch_first=True)
    return Batch(vectors, lengths)


run_lengths = st.one_of(
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.lists(st.just(1), min_size=1, max_size=40),
    st.lists(st.sampled_from([1, 6]), min_size=1, max_size=10),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(run_lengths, min_size=1, max_size=4), pool=st.sampled_from([None, 4]), seed=st.integers(0, 99))
def test_equals_upsample_then_convolve(rows: list[list[int]], pool: int | None, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    head = CNNHead(7, 5, 3, pool, seed)
    sequences = [(torch.randn(len(row), 7, generator=generator), torch.tensor(row)) for row in rows]
    if pool is not None:
        sequences = [(v, n) for v, n in sequences if int(n.sum()) >= pool]
    if not sequences:
        return
    batch = padded(sequences)
    together = head(batch)
    assert torch.equal(together, head(batch.with_expansion()))
    plain = [upsampled(head, v, n) for v, n in sequences]
    weights = [torch.randn(p.shape, generator=generator) for p in plain]
    loss = loss_plain = torch.zeros(())
    for i, reference in enumerate(plain):
        torch.testing.assert_close(together[i, : len(reference)], reference, atol=1e-6, rtol=1e-6)
        loss = loss + (together[i, : len(reference)] * weights[i]).sum()
        loss_plain = loss_plain + (reference * weights[i]).sum()
    parameters = list(head.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    for ours, theirs in zip(gradients, torch.autograd.grad(loss_plain, parameters), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_gradient_of_the_expansion() -> None:
    lengths = torch.tensor([[2, 3, 1, 4], [5, 1, 0, 0]])
    projected = torch.randn(2, 4, 9, dtype=torch.float64, requires_grad=True)
    tokens = expansion(lengths, 12, projected.device)
    assert torch.autograd.gradcheck(lambda x: expand_and_add(x, tokens), (projected,))


@pytest.mark.parametrize("unit", [1, 6])
def test_a_result_does_not_depend_on_its_batch(unit: int) -> None:
    generator = torch.Generator().manual_seed(0)
    head = CNNHead(6, 8, 4)
    sequences = [(torch.randn(n, 6, generator=generator), torch.full((n,), unit)) for n in (3, 17, 9)]
    together = head(padded(sequences))
    for i, sequence in enumerate(sequences):
        alone = head(padded([sequence]))
        torch.testing.assert_close(together[i, : alone.shape[1]], alone[0], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("unit", [1, 6])
def test_padding_reaches_the_head_as_in_the_reference(unit: int) -> None:
    """The reference pads upsampled vectors with zeros and convolves; only the last position of a shorter one moves."""
    generator = torch.Generator().manual_seed(1)
    head = CNNHead(6, 8, 4, padding_reaches_head=True)
    short, long = ((torch.randn(n, 6, generator=generator), torch.full((n,), unit)) for n in (5, 9))
    ours = head(padded([short, long]))
    zeros = (torch.cat([short[0], torch.zeros(1, 6)]), torch.cat([short[1], torch.tensor([4 * unit])]))
    reference = upsampled(head, *zeros)
    torch.testing.assert_close(ours[0, : 5 * unit], reference[: 5 * unit], atol=1e-6, rtol=1e-6)
    alone = head(padded([short]))[0]
    assert not torch.allclose(ours[0, 5 * unit - 1], alone[-1], atol=1e-4)
    # One position of padding is all that matters, so shorter micro-batches can stand for the whole batch.
    narrow = head(Batch(*padded([short])[:2], width=5 * unit + 1))
    torch.testing.assert_close(narrow[0, : 5 * unit], reference[: 5 * unit], atol=1e-6, rtol=1e-6)


def test_a_head_starts_as_torch_initialises_its_layers() -> None:
    before = torch.random.get_rng_state()
    state = CNNHead(5, 64, 9, seed=11).reference_state()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(11)
    drawn = CNNHead(5, 64, 9, seed=None).reference_state()
    torch.manual_seed(11)
    conv1 = torch.nn.Conv1d(5, 64, 3, padding=1)
    conv2 = torch.nn.Conv1d(64, 64, 3, padding=1)
    linear = torch.nn.Linear(64, 9)
    for name, layer in (("conv1.1", conv1), ("conv2.1", conv2), ("linear.0", linear)):
        for part, value in layer.named_parameters():
            assert torch.equal(state[f"{name}.{part}"], value)
            assert torch.equal(drawn[f"{name}.{part}"], value)


GOLDENS = {
    "head_gene_onehot": {"dim": 5, "hidden": 64, "outputs": 9, "pool": None},
    "head_histone_onehot": {"dim": 5, "hidden": 64, "outputs": 18, "pool": 512},
    "head_enhancer_256": {"dim": 256, "hidden": 2, "outputs": 1, "pool": 128},
}


def golden_inputs(name: str, x: np.ndarray, y: np.ndarray) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The golden input as sequences of (vectors, lengths): per nucleotide; padding (gene finding) is cut off."""
    vectors = F.one_hot(torch.from_numpy(x), 5).float() if x.ndim == 2 else torch.from_numpy(x)
    return [(v, torch.ones(len(v), dtype=torch.int64)) for v in vectors]


def run_length(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Merge equal neighbours into tokens (longer than one nucleotide wherever the input repeats)."""
    return torch.unique_consecutive(vectors, dim=0), torch.unique_consecutive(vectors, dim=0, return_counts=True)[1]


@pytest.mark.parametrize("name", GOLDENS)
@pytest.mark.parametrize("tokens", ["upsampled", "run lengths"])
def test_reference_numbers(real_dir: Path, name: str, tokens: str) -> None:
    from bend_hf.train.fit import loss_sum

    golden = np.load(real_dir / "goldens" / "numbers" / f"{name}.npz")
    settings_ = GOLDENS[name]
    head = CNNHead(**settings_, padding_reaches_head=True)  # type: ignore[arg-type]
    head.load_reference({k[2:]: torch.from_numpy(golden[k]) for k in golden.files if k.startswith("w.")})
    sequences = golden_inputs(name, golden["x"], golden["y"])
    if tokens == "run lengths":
        sequences = [run_length(vectors) for vectors, _ in sequences]
    batch = padded(sequences)
    labels = torch.from_numpy(golden["y"])
    weight = 82.86 if name == "head_enhancer_256" else None
    kind = "cross_entropy" if name == "head_gene_onehot" else "binary"
    targets = labels if kind == "cross_entropy" else labels.reshape(len(labels), -1, settings_["outputs"] or 1)

    def loss_of() -> tuple[torch.Tensor, torch.Tensor]:
        logits = head(batch)
        return logits, loss_sum(logits, targets, kind, weight) / (targets != -100).sum()

    logits, loss = loss_of()
    np.testing.assert_allclose(
        logits.detach().numpy().reshape(golden["out"].shape), golden["out"], atol=1e-5, rtol=1e-5
    )
    assert abs(loss.item() - float(golden["loss"])) < 1e-5
    loss.backward()
    for ours, key in REFERENCE_NAMES.items():
        np.testing.assert_allclose(head.get_parameter(ours).grad, golden[f"g.{key}"], atol=1e-5, rtol=1e-5)
    optimizer = torch.optim.AdamW(
        head.parameters(), lr=1e-3 if name == "head_enhancer_256" else 3e-3, weight_decay=0.01, fused=True
    )
    history = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = loss_of()[1]
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    np.testing.assert_allclose(history, golden["losses_5_adamw_steps"], atol=1e-5, rtol=1e-5)
    for key, value in head.reference_state().items():
        np.testing.assert_allclose(value.numpy(), golden[f"w5.{key}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("rows", "length"), [(1, 1), (1, 9), (5, 1), (4, 7), (3, 16)])
def test_gradient_of_a_convolution(rows: int, length: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of torch's own, for stretches that end within sequences and on their edges, and for a team's way."""
    monkeypatch.setattr("bend_hf.train.head.STRETCH", 8 * (6 + 3))
    generator = torch.Generator().manual_seed(length)
    layer = torch.nn.Conv1d(6, 3, 3, padding=1)
    x, weights = (torch.randn(rows, length, size, generator=generator) for size in (6, 3))
    x = x.mT.unsqueeze(2).requires_grad_()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = torch.autograd.grad((convolve(x, layer) * weights.mT.unsqueeze(2)).sum(), [x, *layer.parameters()])
    finally:
        torch.set_num_threads(before)
    wanted = torch.autograd.grad((layer(x.squeeze(2)) * weights.mT).sum(), [x, *layer.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)
