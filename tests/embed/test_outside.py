"""Networks from outside transformers, in small random form: the packages' own where they are installed.

pip install --no-deps -r tests/embed/outside.txt             # their pins of transformers are not ours
"""

from __future__ import annotations

import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_models
import torch
from torch import nn

from bend_hf.embed.adapters import CallableEmbedder
from bend_hf.embed.outside.alphagenome import AlphaGenome
from bend_hf.embed.outside.borzoi import Borzoi
from bend_hf.embed.outside.enformer import Enformer
from bend_hf.embed.outside.evo2 import Evo2
from bend_hf.embed.outside.onehot import indices, one_hot
from bend_hf.embed.outside.spliceai import SpliceAI


def installed(module):
    return pytest.importorskip(module, reason=f"{module} is not installed: pip install --no-deps -r outside.txt")


def embedded(callable_model, *lengths):
    """Embed random sequences, and see that every one is covered whole."""
    embedder = CallableEmbedder(callable_model)
    sequences = [tiny_models.dna(length, length) for length in lengths]
    found = list(embedder.embed(sequences))
    for sequence, tokens in zip(sequences, found, strict=True):
        assert tokens.lengths.sum() == len(sequence)
        assert tokens.vectors.float().std() > 0
    return embedder, sequences, found


def test_letters_are_the_usual_channels_and_n_is_none():
    expected = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0.0]])
    assert torch.equal(one_hot(indices(["ACGTNc"]))[0], expected)
    assert indices(["ACGTN", "NTGCA"]).tolist() == [[0, 1, 2, 3, -1], [-1, 3, 2, 1, 0]]


def test_enformer():
    package = installed("enformer_pytorch")
    torch.manual_seed(0)
    model = package.Enformer.from_hparams(dim=192, depth=1, heads=2, dim_divisible_by=24, target_length=8)
    embedder, sequences, found = embedded(Enformer(model), 256, 300, 256)
    assert embedder.dim == 384
    assert found[1].lengths.tolist() == [128, 128, 44]
    assert model.training
    model.eval()
    with torch.no_grad():
        whole = model(one_hot(indices(sequences[:1])), return_only_embeddings=True, target_length=-1)[0]
    assert torch.allclose(found[0].vectors, whole, atol=1e-5)


@pytest.mark.parametrize(
    ("wrapper", "package", "asked"),
    [
        (Enformer, "enformer_pytorch", "EleutherAI/enformer-official-rough"),
        (Borzoi, "borzoi_pytorch", "johahi/borzoi-replicate-0"),
        (Evo2, "evo2", "evo2_7b"),
    ],
)
def test_published_weights_are_taken_where_no_model_is_given(wrapper, package, asked, monkeypatch):
    """By stand-ins for the packages, which answer with what they are asked for."""

    def from_pretrained(name):
        found = nn.Linear(1, 1)
        found.asked = name
        return found

    stand_in = SimpleNamespace(
        from_pretrained=from_pretrained, Evo2=from_pretrained, Borzoi=SimpleNamespace(from_pretrained=from_pretrained)
    )
    monkeypatch.setitem(sys.modules, package, stand_in)
    assert wrapper().model.asked == asked


def test_enformer_keeps_its_crop():
    package = installed("enformer_pytorch")
    model = package.Enformer.from_hparams(dim=192, depth=1, heads=2, dim_divisible_by=24, target_length=8)
    Enformer(model)([tiny_models.dna(256)])
    assert model.crop_final.target_length == 8


def test_borzoi():
    package = installed("borzoi_pytorch")
    torch.manual_seed(0)
    model = package.Borzoi.from_hparams(dim=64, depth=1, heads=2, attn_dim_key=8, attn_dim_value=16, bins_to_return=2)
    crop = model.crop
    for attention in (part for part in model.modules() if hasattr(part, "positions")):
        nn.init.normal_(attention.to_out.weight)  # zero at first
    embedder, sequences, found = embedded(Borzoi(model), 256, 300)
    assert embedder.dim == 1920
    assert found[0].lengths.tolist() == [32] * 8
    assert found[1].lengths.tolist() == [32] * 9 + [12]
    assert model.crop is crop
    model.eval()
    model.crop = nn.Identity()
    with torch.no_grad():  # the first input it has ever seen
        whole = model.final_joined_convs(model.get_embs_after_crop(one_hot(indices(sequences[:1])).transpose(1, 2)))
    assert torch.allclose(found[0].vectors, whole[0].T, rtol=1e-4, atol=1e-5 * float(whole.std()))


@pytest.mark.parametrize(("resolution", "width"), [(1, 96), (128, 192)])
def test_alphagenome(resolution, width):
    package = installed("alphagenome_pytorch.alphagenome")
    torch.manual_seed(0)
    dims = (48, 56, 64, 72, 80, 88, 96)
    small = {"depth": 1, "heads": 2, "dim_head_qk": 8, "dim_head_v": 8}
    model = package.AlphaGenome(dims=dims, transformer_kwargs=small)
    embedder, sequences, found = embedded(AlphaGenome(model, resolution=resolution), 2048, 2500)
    assert embedder.dim == width
    assert found[0].lengths.tolist() == [resolution] * (2048 // resolution)
    norms = [part for part in model.modules() if isinstance(part, package.BatchRMSNorm)]
    assert norms
    assert all(
        norm.update_running_var and torch.equal(norm.running_var, torch.ones_like(norm.running_var)) for norm in norms
    )
    package.set_update_running_var(model, False)
    model.eval()
    with torch.no_grad():
        both = model.get_embeds(indices(sequences[:1]), torch.zeros(1, dtype=torch.long))
    assert torch.allclose(found[0].vectors, both[0 if resolution == 1 else 1][0], atol=1e-5)


def test_openspliceai():
    package = installed("openspliceai.train_base.openspliceai")
    torch.manual_seed(0)
    model = package.SpliceAI(32, np.array([11] * 4), np.array([1] * 4))
    embedder, sequences, found = embedded(SpliceAI(model, flank=40), 100, 90, 100)
    assert embedder.dim == 32
    model.eval()
    padded = nn.functional.pad(one_hot(indices(sequences[:1])).transpose(1, 2), (40, 40))
    with torch.no_grad():
        scores = model.final_conv(found[0].vectors.T[None])
        assert torch.allclose(scores.softmax(1), model(padded), atol=1e-5)


def test_a_network_that_crops_behind_its_last_layer():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.conv_last = nn.Conv1d(4, 8, 3, padding="same"), nn.Conv1d(8, 3, 1)

        def forward(self, x):
            return self.conv_last(self.first(x))[..., 5:-5]

    model = Net()
    _, sequences, found = embedded(SpliceAI(model, last="conv_last", name="net"), 40, 33)
    with torch.no_grad():
        expected = model.first(one_hot(indices(sequences[1:])).transpose(1, 2))[0].T
    assert torch.allclose(found[1].vectors, expected, atol=1e-6)


def test_evo2_by_what_its_package_answers():
    """The package needs a GPU: this stands in for it, letter by letter."""

    class StandIn(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Embedding(512, 512)
            self.tokenizer = SimpleNamespace(tokenize=lambda text: list(text.encode()))

        def forward(self, ids, return_embeddings=False, layer_names=()):
            logits = self.model(ids)
            return (logits, None), dict.fromkeys(layer_names, logits[..., :6])

    model = StandIn()
    embedder, [sequence], [tokens] = embedded(Evo2(model, layer="blocks.20", context=64), 50)
    assert embedder.causal
    ids = torch.tensor(list(sequence.encode()))
    assert torch.equal(tokens.vectors, model.model.weight.detach()[ids, :6])
    logs = model.model.weight.detach().double().log_softmax(-1)
    expected = sum(float(logs[one, two]) for one, two in pairwise(ids))
    assert embedder.log_likelihood([sequence])[0] == pytest.approx(expected, abs=1e-6)
