"""The benchmark of embedding: what it counts as work, what it runs, and on which processors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_models
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel

from bend_hf.embed.embedder import Embedder

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
ASIDE = SimpleNamespace(submit=lambda work, *arguments: SimpleNamespace(result=lambda: work(*arguments)))


@pytest.fixture
def embedding(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import embedding

    return embedding


def test_work_is_that_of_the_weights(embedding, tmp_path):
    """Of a model without attention it is all that there is."""
    embedder = Embedder.from_pretrained(str(embedding.convnet(tmp_path)), dtype="float32", device="cpu")
    sequence = tiny_models.dna(512, 0)
    with FlopCounterMode(display=False) as counted:
        next(embedder.embed([sequence]))
    of_weights, of_attention = embedding.worked(embedder, [sequence], 512.0)
    assert of_weights == pytest.approx(counted.get_total_flops(), rel=0.01)
    assert not of_attention


def test_work_of_attention_is_that_of_each_window(embedding, tmp_path):
    """Special tokens, which are no nucleotide's, are all that is not counted."""
    checkpoint = tiny_models.dnabert(tmp_path, layers=2, width=32)
    embedder = Embedder.from_pretrained(str(checkpoint), dtype="float32", device="cpu")
    short, long = tiny_models.dna(512, 0), tiny_models.dna(2_000, 0)
    eager = AutoModel.from_pretrained(checkpoint, attn_implementation="eager")  # the fused kernel's work is not counted
    with FlopCounterMode(display=False) as counted:
        eager(input_ids=torch.full((1, 509), 7))
    assert sum(embedding.worked(embedder, [short], 512.0)) == pytest.approx(counted.get_total_flops(), rel=0.03)
    _, of_attention = embedding.worked(embedder, [long], 2_000.0)
    assert of_attention == pytest.approx(4 * 2 * 32 * 512 * 1_995)  # 1,995 6-mers, each in a window of 512


@pytest.mark.parametrize("native", [None, torch.bfloat16])
def test_shares_of_the_ceiling_are_those_of_the_types_that_were_measured(embedding, tmp_path, monkeypatch, native):
    monkeypatch.setattr(embedding, "native_half", lambda device: native)
    folder = tiny_models.esm(tmp_path, layers=1, width=16)
    rows = {what: values for what, *values in embedding.embedding("esm", folder, "tiny", ASIDE)}
    precisions = ["float32"] if native is None else ["float32", "bfloat16"]
    for precision in precisions:
        for name, length in (("", "512 bp"), (", 2 kb", "2 kb")):
            ceiling, used, unit = rows.pop(f"6-mers{name}: of the {precision} ceiling")
            assert unit == "GFLOP/s"
            assert 0 < used < ceiling
            _, both, _ = rows.pop(f"… attention's products too, 6-mers{name}, {precision}")
            assert used < both < ceiling
            for what in ("embed", "… end to end,"):
                assert min(rows.pop(f"{what} 6-mers, {length}, {precision}")[:2]) > 0
    assert not rows


@pytest.mark.parametrize("name", ["esm", "llama"])
def test_variants_are_set_beside_what_the_ceiling_allows(embedding, tmp_path, monkeypatch, name):
    """Two windows of 512 bp each; a causal model reads less, so that nothing is said of it."""
    folder = embedding.VARIANTS[name](tmp_path)
    embedder = Embedder.from_pretrained(str(folder), dtype="float32", device="cpu")
    monkeypatch.setattr(embedding, "ceiling", lambda dtype, size: 1e12)
    (what, theirs, ours, unit), *most = embedding.variants(name, folder, "tiny", ASIDE)
    assert what.startswith("variants, ")
    assert unit == "variants/s"
    assert min(theirs, ours) > 0
    work = sum(embedding.worked(embedder, [tiny_models.dna(512, 0)] * 2, 1024.0))
    assert most == (
        []
        if name == "llama"
        else [("… if all were products at the ceiling, 6-mers", theirs, pytest.approx(1e12 / work), unit)]
    )


@pytest.mark.parametrize("name", ["dnabert", "esm", "bpe", "convnet"])
@pytest.mark.parametrize("size", ["small", "medium"])
def test_there_is_enough_to_fill_batches_side_by_side(embedding, tmp_path, name, size):
    embedder = Embedder.from_pretrained(str(embedding.CHECKPOINTS[name](tmp_path)), dtype="float32", device="cpu")
    for few, sequences in embedding.inputs(name, size).values():
        assert 1 <= few <= len(sequences)
        assert embedder.count_tokens(sequences).sum() >= 2 * embedder.batch_tokens


@pytest.mark.parametrize("size", ["small", "medium"])
def test_the_recurrent_model_gets_as_many_as_step_at_once_and_variants_make_up_for_a_first_pass(embedding, size):
    counts = embedding.SIZES[size]
    assert counts["awd-lstm"].short[1] >= 64
    assert counts["awd-lstm"].long[1] >= 26
    assert {name for name, of in counts.items() if of.variants[1] >= 96} == set(embedding.VARIANTS)


@pytest.mark.parametrize(("seconds", "best"), [([1.5, 1.0], 10.0), ([1.6, 5.0], 6.25), ([2.0], 5.0)])
def test_the_better_of_two_turns_or_one_long_one(embedding, monkeypatch, seconds, best):
    now, left = [0.0], list(seconds)
    monkeypatch.setattr(embedding.time, "perf_counter", lambda: now[0])

    def work():
        now[0] += left.pop(0)

    assert embedding.rate(work, 10) == pytest.approx(best)
    assert not left
