"""Vectors of mean 0 and deviation 1 over the training rows, and over no others."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from training_data import Memory, make, splits

from bend_hf.protocols import get_protocol
from bend_hf.train.fit import fit
from bend_hf.train.standardize import standardized


def test_moments_are_those_of_the_upsampled_training_rows() -> None:
    _, source, _ = make("gene_finding", 90, 3)
    tokens = [token._replace(vectors=token.vectors * torch.arange(1, 9) + 1000) for token in source.tokens]
    wide, rows = Memory(tokens), np.arange(5, 80)
    result, padding = standardized(wide, rows, torch.full((8,), 1000.0))
    plain = np.concatenate([np.repeat(tokens[row].vectors.double().numpy(), tokens[row].lengths, 0) for row in rows])
    for row in (0, 7, 85):
        want = (tokens[row].vectors.double().numpy() - plain.mean(0)) / plain.std(0)
        vectors, lengths = result.read([row])[0]
        np.testing.assert_allclose(vectors, want, atol=1e-4)
        assert vectors.dtype == torch.float32
        assert lengths is tokens[row].lengths
    np.testing.assert_allclose(padding, (1000 - plain.mean(0)) / plain.std(0), atol=1e-4)
    assert len(result) == 90


def test_a_dimension_that_does_not_vary_is_shifted_only() -> None:
    _, source, _ = make("gene_finding", 9)
    tokens = [
        token._replace(vectors=torch.cat([token.vectors[:, :1], torch.full_like(token.vectors[:, :1], 7.0)], 1))
        for token in source.tokens
    ]
    result, padding = standardized(Memory(tokens), np.arange(9))
    assert not result.read([3])[0].vectors[:, 1].any()
    assert padding is None


def test_the_test_rows_decide_nothing() -> None:
    """Other vectors in validation and test leave training as it was; other training vectors do not."""
    task, source, labels = make("histone_modification", 60)
    options = {"protocol": get_protocol("default"), "epochs": 1, "batch_size": 16, "standardize": True}

    def loss(changed: range) -> float:
        tokens = list(source.tokens)
        for row in changed:
            tokens[row] = tokens[row]._replace(vectors=tokens[row].vectors * 50 + 9)
        return float(fit(task, **splits(Memory(tokens), labels), **options)[0].history[0]["train_loss"])

    assert loss(range(40, 60)) == loss(range(0)) != loss(range(3))


def test_scale_and_shift_of_the_vectors_no_longer_matter() -> None:
    task, source, labels = make("histone_modification", 60)
    scaled = [token._replace(vectors=token.vectors * torch.logspace(-2, 3, 8) + 40) for token in source.tokens]
    options = {"protocol": get_protocol("default"), "epochs": 2, "batch_size": 16}
    (one,), (other,) = (
        fit(task, **splits(each, labels), standardize=True, **options) for each in (source, Memory(scaled))
    )
    (raw,) = fit(task, **splits(Memory(scaled), labels), **options)
    for x, y in zip(one.history, other.history, strict=True):
        assert x["train_loss"] == pytest.approx(y["train_loss"], abs=1e-4)
    assert raw.history[0]["train_loss"] > 2 * one.history[0]["train_loss"]
