"""Shuffling, micro-batches, padding and labels."""

from __future__ import annotations

import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from training_data import make, splits

from bend_hf.errors import BendError
from bend_hf.kinds import Ragged
from bend_hf.tasks import TASKS
from bend_hf.train.batches import Group, load, micro_batches, nucleotides, shuffled, steps
from bend_hf.train.labels import check_learnable, labels_of


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 3000), buffer=st.sampled_from([None, 1, 100, 1000]), epoch=st.integers(0, 5))
def test_an_epoch_sees_every_sample_once(count: int, buffer: int | None, epoch: int) -> None:
    order = shuffled(count, (0, epoch), buffer)
    assert np.array_equal(np.sort(order), np.arange(count))
    assert np.array_equal(order, shuffled(count, (0, epoch), buffer))


def test_a_full_shuffle_mixes_and_a_buffer_does_not() -> None:
    count = 20_000
    full, buffered = shuffled(count, (0, 0)), shuffled(count, (0, 0), 1000)
    assert np.corrcoef(full, np.arange(count))[0, 1] < 0.05
    assert np.corrcoef(buffered, np.arange(count))[0, 1] > 0.97
    assert not np.array_equal(full, shuffled(count, (0, 1)))
    assert not np.array_equal(full, shuffled(count, (1, 0)))
    # Until the buffer is full two samples enter for each that leaves; then the next one out is at most that far ahead.
    assert (buffered - np.arange(count)).max() <= 1000 + 100


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=60),
    budget=st.sampled_from([None, 1, 4000, 20_000]),
    world=st.integers(1, 4),
    overhang=st.sampled_from([0, 1, None]),
)
def test_micro_batches_deal_every_row_out_once(
    sizes: list[int], budget: int | None, world: int, overhang: int | None
) -> None:
    array = np.array(sizes)
    step = np.random.default_rng(0).permutation(len(sizes))
    seen = []
    for rank in range(world):
        for places, width in micro_batches(step, array, budget, (rank, world), overhang):
            seen.extend(places)
            longest = array[places].max()
            assert budget is None or len(places) == 1 or len(places) * longest <= budget
            assert width == (max(sizes) if overhang is None else min(longest + overhang, max(sizes)))
    assert sorted(seen) == list(range(len(sizes)))


def test_steps_keep_the_last_rows() -> None:
    assert [len(step) for step in steps(np.arange(10), 4)] == [4, 4, 2]
    assert [len(step) for step in steps(np.arange(9), 4)] == [4, 4, 1]
    assert [len(step) for step in steps(np.arange(9), 4, smallest=2)] == [4, 5]
    assert [len(step) for step in steps(np.arange(1), 4, smallest=2)] == [1]


@pytest.mark.parametrize(("name", "unit"), [("gene_finding", 3), ("histone_modification", 6)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_padding_by_token(name: str, unit: int, dtype: torch.dtype) -> None:
    task, source, labels = make(name, 9, unit)
    source.tokens = [tokens._replace(vectors=tokens.vectors.to(dtype)) for tokens in source.tokens]
    split = splits(source, labels)["train"]
    sizes = nucleotides(task, split)
    assert sizes.tolist() == [int(lengths.sum()) for _, lengths in source.read(list(split.rows))]
    micro = load(task, split, Group(np.array([3, 0, 5]), int(sizes.max())))
    assert micro.batch.vectors.dtype == dtype
    for i, row in enumerate(split.rows[[3, 0, 5]]):
        vectors, lengths = source.tokens[row]
        n = len(lengths)
        assert torch.equal(micro.batch.vectors[i, :n], vectors)
        assert not micro.batch.vectors[i, n:].any()
        assert micro.batch.lengths[i].tolist() == [*lengths, *[0] * (micro.batch.lengths.shape[1] - n)]
        count = micro.positions[i]
        assert np.array_equal(micro.targets[i, :count].numpy().ravel(), labels[row])
        assert (micro.targets[i, count:] == -100).all()


def test_vectors_become_the_wanted_type_as_if_afterwards() -> None:
    """What lies behind a sequence too: it is rounded as the vectors in the store are."""
    task, source, labels = make("gene_finding", 9)
    source.tokens = [tokens._replace(vectors=tokens.vectors.half()) for tokens in source.tokens]
    split, group = splits(source, labels)["train"], Group(np.array([3, 0, 5]), 260)
    padding = torch.full((source.dim,), 0.1)
    stored, wanted = (load(task, split, group, padding=padding, dtype=dtype) for dtype in (None, torch.float32))
    assert wanted.batch.vectors.dtype == torch.float32
    assert torch.equal(wanted.batch.vectors, stored.batch.vectors.float())
    assert (wanted.batch.vectors == float(np.float16(0.1))).any()


def test_labels_of_every_kind() -> None:
    genes = datasets.Dataset.from_dict(
        {"labels": [[8, 0, 1], [2], [3, 8]], "sequence": ["ACG", "T", "CC"]},
        features=datasets.Features(
            {"labels": datasets.List(datasets.Value("int8")), "sequence": datasets.Value("string")}
        ),
    )
    labels = labels_of(TASKS["gene_finding"], genes)
    assert isinstance(labels, Ragged)
    assert [row.tolist() for row in labels] == [[8, 0, 1], [2], [3, 8]]
    assert labels[0].dtype == np.int8
    selected = labels_of(TASKS["gene_finding"], genes.select([2, 0]))
    assert [row.tolist() for row in selected] == [[3, 8], [8, 0, 1]]

    task = TASKS["cpg_methylation"]
    names = datasets.ClassLabel(names=list(task.label_names))
    windows = datasets.Dataset.from_dict(
        {"labels": [[3, 0], [], [6]]}, features=datasets.Features({"labels": datasets.List(names)})
    )
    dense = labels_of(task, windows)
    assert dense.tolist() == [[1, 0, 0, 1, 0, 0, 0], [0] * 7, [0, 0, 0, 0, 0, 0, 1]]  # type: ignore[union-attr]
    assert labels_of(task, windows.select([])).shape == (0, 7)  # type: ignore[union-attr]


def test_labels_out_of_range_name_the_row() -> None:
    bins = datasets.Dataset.from_dict({"labels": [[0, 1], [1, 2]]})
    with pytest.raises(BendError, match="enhancer_annotation: row 1 has label 2; labels are 0 to 1"):
        labels_of(TASKS["enhancer_annotation"], bins)
    with pytest.raises(BendError, match="1 row has no labels"):
        labels_of(TASKS["enhancer_annotation"], datasets.Dataset.from_dict({"labels": [[0, 1], None]}))


@pytest.mark.parametrize("alike", [0, 1, 5, 6, 17])
def test_labels_that_are_on_in_no_row_or_in_all_are_named(alike: int, caplog: pytest.LogCaptureFixture) -> None:
    """Up to five of them; the others are counted."""
    task = TASKS["histone_modification"]
    labels = np.zeros((4, len(task.label_names)), np.int8)
    labels[1:, alike:] = 1
    labels[:, 0] = alike > 1  # of several the first is on in all rows
    if not alike:
        labels[1, 0] = 1
    check_learnable(task, labels, np.arange(4))
    names = ", ".join(task.label_names[: min(alike, 5)]) + (f" and {alike - 5} more" if alike > 5 else "")
    said = f"histone_modification: {names}: on in no training row, or in all of them: nothing can learn that."
    assert [record.getMessage() for record in caplog.records] == ([said] if alike else [])


def test_a_row_that_is_not_trained_on_makes_no_label_learnable() -> None:
    task = TASKS["histone_modification"]
    labels = np.zeros((4, len(task.label_names)), np.int8)
    labels[3] = 1
    check_learnable(task, labels, np.array([0, 3]))
    with pytest.raises(BendError, match="all training rows are labelled alike"):
        check_learnable(task, labels, np.array([0, 1, 2]))
