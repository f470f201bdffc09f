"""The GPU benchmark, as far as a CPU shows it: it counts arithmetic rightly, and one failure does not end it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    return gpu


@pytest.fixture
def bench(gpu, tmp_path):
    return gpu.Bench(torch.device("cpu"), True, time.monotonic() + 100, tmp_path)


def test_arithmetic_is_that_of_the_matrix_products_and_attention(gpu, bench):
    embedder = bench.model("nt-v2-500m")  # two layers of 64, feed-forward 2 x 128 in, 128 out
    [(ids, lengths, layers)] = gpu.recorded(embedder, gpu.sequences(512, 4))
    tokens = ids.shape[1]
    weights = 4 * 64 * 64 + 64 * 256 + 128 * 64
    attention = 2 * tokens * 64  # queries by keys, and weights by values
    assert ids.shape[0] == 4
    assert gpu.arithmetic(embedder, ids, lengths, layers) == 4 * 2 * 2 * tokens * (weights + attention)


@pytest.mark.parametrize("name", ["hyenadna-160k", "caduceus-ps-131k", "dnabert-2-117m", "llama-1.2b"])
def test_models_of_published_sizes_embed(gpu, bench, name):
    embedder = bench.model(name)
    found = next(embedder.embed(gpu.sequences(512, 1)))
    assert found.lengths.sum() == 512
    assert found.vectors.float().std() > 0.01


def test_a_section_that_fails_is_one_line(gpu, bench, monkeypatch):
    def broken(bench):
        """Break."""
        yield "first", {"value": 1.0}
        raise RuntimeError("no\nsuch kernel")

    monkeypatch.setitem(gpu.SECTIONS, "broken", broken)
    assert list(gpu.section(bench, "broken")) == [
        ("first", {"value": 1.0}),
        ("broken", {"failed": "RuntimeError: no such kernel"}),
    ]
    bench.until = 0
    assert list(gpu.section(bench, "broken")) == [("broken", {"left out": "the budget is spent"})]


def test_without_a_card_it_says_how_to_try_it(gpu, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main()
    assert "--device cpu --tiny" in capsys.readouterr().err
