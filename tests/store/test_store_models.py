"""Stores of real models: keys that follow the checkpoint, and scores that do not ask where vectors came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from fake_embedder import FakeEmbedder, sequences

from bend_hf.embed import store
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.vectors import InMemory, OnTheFly, VectorSource
from bend_hf.protocols import get_protocol
from bend_hf.tasks import TASKS
from bend_hf.train.fit import Split, fit

TASK = TASKS["histone_modification"]


def scores(source: VectorSource) -> np.ndarray:
    labels = np.random.default_rng(0).integers(0, 2, (len(source), 18)).astype(np.int8)
    rows = np.random.default_rng(1).permutation(len(source))
    parts = [Split(source, labels, part) for part in np.array_split(rows, 3)]
    fitted = fit(
        TASK,
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        protocol=get_protocol("default"),
        epochs=2,
        batch_size=8,
        precision="fp32",
    )
    return np.stack(fitted[0].scores)


def windows(count: int) -> list[str]:
    rng = np.random.default_rng(5)
    return ["".join(rng.choice(list("ACGT"), 512)) for _ in range(count)]


def test_scores_do_not_depend_on_where_the_vectors_are(tmp_path: Path) -> None:
    rows = windows(36)
    embedder = FakeEmbedder()
    expected = scores(InMemory(embedder, rows))
    assert np.array_equal(scores(OnTheFly(embedder, rows)), expected)
    disk = store.vectors_for(embedder, rows, store_dir=tmp_path, memory_bytes=0)
    assert isinstance(disk, store.Store)
    assert np.array_equal(scores(disk), expected)


@pytest.mark.parametrize("family", [tiny_models.esm, tiny_models.gpt2])
def test_scores_of_a_model_agree_to_the_rounding_of_its_batches(tmp_path: Path, family: object) -> None:
    """On the fly the batches are others, and matrix products of another shape round differently in the last bit."""
    rows = windows(24)
    embedder = Embedder.from_pretrained(str(family(tmp_path / "model")), dtype="float32")  # type: ignore[operator]
    disk = store.vectors_for(embedder, rows, store_dir=tmp_path / "vectors", memory_bytes=0)
    for kept, made in zip(disk.read(range(24)), OnTheFly(embedder, rows).read([*range(24)]), strict=True):
        torch.testing.assert_close(kept.vectors, made.vectors, atol=2e-3, rtol=2**-9)
        assert np.array_equal(kept.lengths, made.lengths)
    np.testing.assert_allclose(scores(disk), scores(OnTheFly(embedder, rows)), atol=5e-3)


def test_a_changed_checkpoint_under_the_same_path_has_a_new_key(tmp_path: Path) -> None:
    rows = sequences(6)
    path = tmp_path / "model"
    folders = []
    for seed in (0, 1, 0):
        embedder = Embedder.from_pretrained(str(tiny_models.esm(path, seed=seed)), dtype="float32")
        source = store.vectors_for(embedder, rows, store_dir=tmp_path / "vectors", memory_bytes=0)
        folders.append({folder.name for folder in (tmp_path / "vectors").iterdir()})
        assert torch.equal(source.read([2])[0].vectors, InMemory(embedder, rows).read([2])[0].vectors)
    assert [len(names) for names in folders] == [1, 2, 2]


def test_options_of_the_model_have_keys_of_their_own(tmp_path: Path) -> None:
    rows = sequences(6)
    path = str(tiny_models.esm(tmp_path / "model"))
    options: list[dict[str, object]] = [{}, {"dtype": "bfloat16"}, {"layer": 1}, {"strand": "average"}, {"context": 12}]
    for option in options:
        embedder = Embedder.from_pretrained(path, **{"dtype": "float32"} | option)  # type: ignore[arg-type]
        store.fill(embedder, rows, store_dir=tmp_path / "vectors")
    embedder = Embedder.from_pretrained(path, dtype="float32", batch_tokens=64)  # changes no vector
    store.fill(embedder, rows, store_dir=tmp_path / "vectors")
    assert len(list((tmp_path / "vectors").iterdir())) == len(options)
