"""Layers on several devices: the vectors of a model that lies on one."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest
import tiny_models
import torch
from torch import nn

from bend_hf.embed import spread as spreading
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.measure import laid_out
from bend_hf.embed.tokens import character_scheme
from bend_hf.errors import BendError

SEQUENCES = [tiny_models.dna(90, 1), tiny_models.dna(33, 2), tiny_models.dna(700, 3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.dnabert(tmp_path_factory.mktemp("bert"), k=3, lm=True)


def load(folder, **options):
    return Embedder.from_pretrained(str(folder), **{"dtype": "float32", **options})


SPLIT = {"embeddings": "cpu", "encoder.layer.0": "disk", "encoder.layer.1": "cpu", "pooler": "disk"}


@pytest.mark.parametrize("device_map", ["auto", "sequential", {"": "cpu"}, {"": "disk"}, SPLIT], ids=str)
def test_vectors_are_those_of_plain_loading(device_map, folder):
    plain, other = load(folder, device="cpu"), load(folder, device_map=device_map)
    on_disk = {name for name, weight in other.network.model.named_parameters() if weight.is_meta}
    assert bool(on_disk) == ("disk" in getattr(device_map, "values", tuple)())
    for layer in (-1, 1):
        for one, two in zip(plain.at(layer).embed(SEQUENCES), other.at(layer).embed(SEQUENCES), strict=True):
            assert torch.equal(one.vectors, two.vectors)
    assert other.provenance()["key"] == plain.provenance()["key"]
    assert not other.replaced


def test_a_family_of_the_packages_own(tmp_path):
    golden = Path(__file__).parents[1] / "models" / "goldens" / "convnet"
    tiny_models.characters(tmp_path)
    plain = load(golden, tokenizer=str(tmp_path), device="cpu")
    other = load(golden, tokenizer=str(tmp_path), device_map={"": "disk"})
    assert all(weight.is_meta for weight in other.network.model.parameters())
    pairs = zip(plain.embed(SEQUENCES), other.embed(SEQUENCES), strict=True)
    assert all(torch.equal(one.vectors, two.vectors) for one, two in pairs)


class Across(nn.Module):
    """Reads the weights of a part that it never calls, which is then not there."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(16, 4)
        self.mixing = nn.Linear(4, 4)

    def forward(self, input_ids):
        return self.embedding(input_ids) @ self.mixing.weight


def test_other_vectors_are_refused():
    model = Across().requires_grad_(False).eval()
    with pytest.raises(
        BendError, match=r"gives other vectors with its layers apart .a part reads the weights of another"
    ):
        laid_out(model, {"embedding": "cpu", "mixing": "disk"}, "across", character_scheme())


@pytest.mark.parametrize("wrong", [1.01, torch.nan])
def test_other_vectors_of_the_same_weights_are_refused(wrong, monkeypatch):
    """A map under which a model computes something else, or no numbers at all."""
    model = nn.Sequential(nn.Embedding(16, 4)).requires_grad_(False).eval()
    model.forward = lambda input_ids: model[0](input_ids) * (wrong if spreading.is_spread(model) else 1)
    with pytest.raises(BendError, match=r"gives other vectors with its layers apart .they differ by (nan|0.0)"):
        laid_out(model, {"0": "disk"}, "other", character_scheme())


def test_half_precision_and_its_float32(folder):
    other = load(folder, device_map=SPLIT, dtype="bfloat16")
    assert (other.dtype, other.network.autocast, other.measured.held) == ("bfloat16", True, None)
    assert other.measured.agreement > 0.99
    whole, plain = (load(folder, dtype="bfloat16", **at) for at in ({"device_map": {"": "cpu"}}, {"device": "cpu"}))
    assert (whole.measured, whole.network.autocast) == (plain.measured, plain.network.autocast)


def test_likelihoods_of_variants(folder):
    from bend_hf.zero_shot.likelihood import language_model

    ids = torch.arange(3, 40)[None]
    plain = language_model(load(folder, device="cpu"))
    with warnings.catch_warnings(action="error"):  # of modules that it lacks
        other = language_model(load(folder, device_map=SPLIT))
    assert any(weight.is_meta for weight in other.parameters())
    with torch.inference_mode():
        assert torch.equal(plain(ids).logits, other(ids).logits)


def test_what_lies_on_the_disk_goes_with_the_model(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(spreading.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    embedder = load(folder, device_map={"": "disk"})
    assert len(list(tmp_path.iterdir())) > 20
    del embedder
    gc.collect()
    assert not tmp_path.exists()


class Stack(nn.Module):
    """Layers of two parts each, of which its class says nothing."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16)) for _ in range(3))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


@pytest.mark.parametrize("way", ["auto", "balanced", "balanced_low_0"])
@pytest.mark.parametrize("layers", [1.6, 2, 2.4, 2.8], ids=lambda layers: f"room for {layers} layers")
def test_blocks_stay_whole_where_memory_ends_within_one(way, layers, monkeypatch):
    """Their parts may read each other's weights."""
    import accelerate.utils

    model = Stack().requires_grad_(False)
    x, layer = torch.randn(2, 16), sum(weight.nbytes for weight in model.layers[0].parameters())
    expected = model(x)
    room = {"cpu": int(layers * layer), "disk": 1 << 40}
    monkeypatch.setattr(accelerate.utils, "get_balanced_memory", lambda *_, **__: room)
    spreading.spread(model, way, "stack")
    assert "disk" in model.hf_device_map.values()
    assert set(model.hf_device_map) <= {"", "layers", *(f"layers.{number}" for number in range(3))}
    assert torch.equal(model(x), expected)


def test_blocks_stay_whole(folder):
    model = load(folder, device="cpu").network.model
    assert "BertLayer" in spreading.whole_blocks(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device_map": "everywhere"}, "Unknown device map 'everywhere'"),
        ({"device_map": 3}, "device_map=3 is none"),
        ({"device_map": {"": "cuda:9"}}, r"device='cuda:9' \(--device\) is not there"),
        ({"device_map": {"embeddings": "cpu"}}, "does not fit it"),
        ({"device_map": "auto", "device": "cpu"}, "say twice where a model runs"),
    ],
)
def test_what_is_no_map_is_refused(options, message, folder):
    with pytest.raises(BendError, match=message):
        load(folder, **options)


def test_one_process_alone_spreads_a_model(folder, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BendError, match="is for one process on all devices"):
        load(folder, device_map="auto")


def test_weights_on_the_disk_are_not_called_the_same(folder):
    embedder = load(folder, device_map=SPLIT)
    with torch.no_grad():
        embedder.network.model.embeddings.word_embeddings.weight += 1
    assert embedder.replaced
    with pytest.raises(BendError, match="lies on the disk"):
        embedder.identity()
