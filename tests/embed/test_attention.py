"""Attention from products of whole matrices is what torch's own is, and is only where it is to be had."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import tiny_models
import torch
import torch.nn.functional as F

from bend_hf.embed import attention
from bend_hf.embed.embedder import Embedder

CPU = torch.device("cpu")


@pytest.fixture(params=[1 << 21, 2_000])
def scores(request, monkeypatch):
    """All scores at once, and a few rows of one sequence at a time."""
    monkeypatch.setattr(attention, "SCORES", request.param)


@pytest.fixture
def faster(monkeypatch):
    monkeypatch.setattr(attention, "no_matrix_units", lambda: True)
    with torch.inference_mode(), attention.whole_matrices(CPU, torch.bfloat16):
        yield


def qkv(batch=3, heads=2, tokens=70, width=8, dtype=torch.bfloat16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(batch, tokens, heads, width, generator=generator).to(dtype).transpose(1, 2) for _ in range(3)
    )


def exact(query, key, value, **options):
    return F.scaled_dot_product_attention(query.double(), key.double(), value.double(), **options)


def far(found, wanted):
    return float((found.double() - wanted).square().mean().sqrt() / wanted.square().mean().sqrt())


LENGTHS = torch.tensor([70, 33, 1])
SEEN = (torch.arange(70) < LENGTHS[:, None])[:, None, None]


@pytest.mark.parametrize("mask", [None, SEEN, SEEN.expand(3, 1, 70, 70).contiguous(), SEEN[:1], SEEN[1:2]])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_attention_from_whole_matrices(scores, faster, mask, scale):
    found = F.scaled_dot_product_attention(*qkv(), attn_mask=mask, scale=scale)
    assert found.dtype == torch.bfloat16
    assert far(found, exact(*qkv(), attn_mask=mask, scale=scale)) < 0.008


def test_what_is_masked_changes_no_bit(faster):
    query, key, value = qkv()
    found = F.scaled_dot_product_attention(query, key, value, attn_mask=SEEN)
    key, value = (torch.where(SEEN.mT, tensor, 1e4) for tensor in (key, value))
    assert torch.equal(found, F.scaled_dot_product_attention(query, key, value, attn_mask=SEEN))


def test_attention_is_looked_at_anew_for_each_mask(faster):
    for mask in (SEEN, SEEN.flip(0)):
        found = F.scaled_dot_product_attention(*qkv(), attn_mask=mask)
        assert far(found, exact(*qkv(), attn_mask=mask)) < 0.008


def test_attention_under_autocast(faster):
    given = qkv(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = F.scaled_dot_product_attention(*given)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, F.scaled_dot_product_attention(*(tensor.bfloat16() for tensor in given)))


LAST = SEEN.flip(-1)
BIAS = torch.linspace(-1, 1, 70).bfloat16().expand(70, 70)


@pytest.mark.parametrize(
    "options",
    [
        {"is_causal": True},
        {"attn_mask": BIAS},
        {"attn_mask": LAST},
        {"attn_mask": SEEN.bfloat16()},
        {"attn_mask": torch.ones(70, 70, dtype=torch.bool).tril().expand(3, 1, 70, 70)},
        {"attn_mask": SEEN & (torch.arange(3) > 0)[:, None, None, None]},  # one that sees nothing
    ],
)
def test_other_attention_is_left_to_torch(faster, options):
    found = F.scaled_dot_product_attention(*qkv(), **options)
    with torch._C.DisableTorchFunction():
        wanted = F.scaled_dot_product_attention(*qkv(), **options)
    assert torch.equal(found, wanted)


def test_fewer_heads_of_keys_and_other_types_are_left_to_torch():
    query, key, value = qkv()
    with torch.inference_mode():
        assert attention.attend(query, key[:, :1], value[:, :1]) is None
        assert attention.attend(*qkv(dtype=torch.float32)) is None
    assert attention.attend(query, key, value) is None, "it has no gradients"


def test_it_is_for_processors_with_bfloat16_and_no_matrix_units(monkeypatch):
    for half, tiles in ((True, False), (True, True), (False, False)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda half=half: half, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda tiles=tiles: tiles, raising=False)
        assert attention.no_matrix_units.__wrapped__() == (half and not tiles)


def test_who_has_matrix_units_keeps_the_fused_kernel(monkeypatch):
    for there, other in ((False, CPU), (True, torch.device("cuda"))):
        monkeypatch.setattr(attention, "no_matrix_units", lambda there=there: there)
        assert isinstance(attention.whole_matrices(other, torch.bfloat16), nullcontext)
    monkeypatch.setattr(attention, "no_matrix_units", lambda: True)
    assert isinstance(attention.whole_matrices(CPU, torch.float32), nullcontext)
    assert not isinstance(attention.whole_matrices(CPU, torch.bfloat16), nullcontext)


@pytest.mark.parametrize("make", [tiny_models.esm, tiny_models.dnabert])
def test_models_get_it_at_each_layer(make, tmp_path, monkeypatch):
    monkeypatch.setattr(attention, "no_matrix_units", lambda: True)
    embedder = Embedder.from_pretrained(str(make(tmp_path)), dtype="bfloat16", device="cpu")
    found, attend = [], attention.attend
    monkeypatch.setattr(attention, "attend", lambda *given, **more: found.append(attend(*given, **more)) or found[-1])
    vectors = list(embedder.embed([tiny_models.dna(150, 1), tiny_models.dna(120, 2)]))  # of which one is padded
    assert len(found) == embedder.n_layers == 2
    assert all(one is not None for one in found)
    exact = Embedder.from_pretrained(str(tmp_path), dtype="float32", device="cpu")
    for one, other in zip(vectors, exact.embed([tiny_models.dna(150, 1), tiny_models.dna(120, 2)]), strict=True):
        assert torch.cosine_similarity(one.vectors.float(), other.vectors, dim=1).min() > 0.999
