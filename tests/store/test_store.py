"""Storing and reading token vectors: what comes back, what is stored once, what has a key of its own."""

from __future__ import annotations

import json
import logging
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_embedder import FakeEmbedder, sequences
from hypothesis import given, settings
from hypothesis import strategies as st

from bend_hf.embed import layout, store
from bend_hf.embed.estimate import MEMORY_LIMIT, estimate, parse_size, size_text, spare_memory, time_text
from bend_hf.embed.interface import Tokens
from bend_hf.embed.shard import Shard
from bend_hf.embed.vectors import InMemory, OnTheFly, Precision, VectorSource, distinct, pack, unpack
from bend_hf.errors import BendError


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "SMALLEST_SHARD", 4096)


def same(left: list[Tokens], right: list[Tokens]) -> bool:
    return len(left) == len(right) and all(
        a.vectors.dtype == b.vectors.dtype
        and torch.equal(a.vectors, b.vectors)
        and np.array_equal(a.lengths, b.lengths)
        for a, b in zip(left, right, strict=True)
    )


def stored(embedder: FakeEmbedder, rows: list[str], folder: Path, **options: object) -> VectorSource:
    return store.vectors_for(embedder, rows, store_dir=folder, **{"memory_bytes": 0} | options)  # type: ignore[arg-type]


class TwoTypes(FakeEmbedder):
    """Gives longer sequences' vectors in another type."""

    def embed(self, sequences):  # type: ignore[no-untyped-def]
        for tokens in super().embed(sequences):
            yield tokens._replace(vectors=tokens.vectors.float()) if tokens.lengths.sum() > 80 else tokens


def test_vectors_of_two_types_are_refused(tmp_path: Path) -> None:
    """In a batch they would be rounded to the type of its first row, and so by the order of rows."""
    embedder, rows = TwoTypes(dtype=torch.bfloat16), sequences(60)
    message = r"fake: the vectors of a sequence of \d+ nucleotides are (float32|bfloat16), those before .* one type"
    with pytest.raises(BendError, match=message):
        InMemory(embedder, rows)
    with pytest.raises(BendError, match=message):
        OnTheFly(embedder, rows).read(range(60))
    with pytest.raises(BendError, match=message):
        stored(embedder, rows, tmp_path)


class OneArray(FakeEmbedder):
    """Gives every sequence's vectors in the same memory."""

    def embed(self, sequences):  # type: ignore[no-untyped-def]
        held = torch.empty(64, self.dim, dtype=self.dtype)
        for vectors, lengths in super().embed(sequences):
            held[: len(vectors)] = vectors
            yield Tokens(held[: len(vectors)], lengths)


@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float16", "float32", "int8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_vectors_in_memory_that_the_next_are_written_into(
    tmp_path: Path, dtype: torch.dtype, precision: Precision
) -> None:
    rows = sequences(60)
    wanted = InMemory(FakeEmbedder(dtype=dtype), rows, precision).read(range(60))
    embedder = OneArray(dtype=dtype, name="one array")
    disk = stored(embedder, rows, tmp_path, precision=precision)
    for source in (disk, InMemory(embedder, rows, precision), OnTheFly(embedder, rows, precision)):
        assert same(source.read(range(60)), wanted)


@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float16", "float32", "int8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_all_sources_give_the_same_vectors(tmp_path: Path, dtype: torch.dtype, precision: Precision) -> None:
    embedder, rows = FakeEmbedder(dtype=dtype), sequences(60)
    rows += rows[10:20]
    order = np.random.default_rng(1).permutation(len(rows))
    memory = InMemory(embedder, rows, precision)
    flying = OnTheFly(embedder, rows, precision)
    disk = stored(embedder, rows, tmp_path, precision=precision)
    assert isinstance(disk, store.Store)
    assert len(list(tmp_path.glob("*/shard-*"))) > 1
    for source in (memory, flying, disk):
        assert len(source) == 70
        assert source.dim == 16
        assert source.lengths_in_tokens.tolist() == embedder.count_tokens(rows).tolist()
        assert source.lengths_in_tokens.dtype == np.int64
        assert same(source.read(order), memory.read(order))
    for row, tokens in zip(order, disk.read(order.tolist()), strict=True):
        assert tokens.lengths.sum() == len(rows[row])
        assert tokens.lengths.dtype == np.int64


def test_half_precision_is_stored_without_loss(tmp_path: Path) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        embedder, rows = FakeEmbedder(dtype=dtype), sequences(8)
        assert same(stored(embedder, rows, tmp_path).read(range(8)), list(embedder.embed(rows)))


def test_float32_is_rounded_to_float16(tmp_path: Path) -> None:
    embedder, rows = FakeEmbedder(dtype=torch.float32), sequences(8)
    for rounded, exact in zip(stored(embedder, rows, tmp_path).read(range(8)), embedder.embed(rows), strict=True):
        assert torch.equal(rounded.vectors, exact.vectors.half())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-4, 1e4))
def test_int8_is_within_half_a_level_of_each_token(seed: int, size: float) -> None:
    vectors = torch.randn(7, 32, generator=torch.Generator().manual_seed(seed)) * size
    packed = pack(vectors, "int8", "x")
    assert packed.vectors.dtype == torch.int8
    level = vectors.abs().amax(1, keepdim=True) / 127
    assert bool(((unpack(packed).float() - vectors).abs() <= level * 0.5 + vectors.abs() * 2**-10 + 2**-24).all())
    assert torch.equal(unpack(pack(torch.zeros(2, 3), "int8", "x")), torch.zeros(2, 3).half())


@pytest.mark.parametrize("precision", ["auto", "float16", "int8"])
def test_values_beyond_float16_are_an_error_with_a_way_out(precision: Precision) -> None:
    vectors = torch.full((2, 3), 1e5)
    with pytest.raises(BendError, match=r"seq 4: values up to 1e\+05.*--vectors bfloat16"):
        pack(vectors, precision, "seq 4")
    assert torch.equal(pack(vectors, "bfloat16", "").vectors, vectors.bfloat16())
    big = torch.full((300, 300), 6e4)  # the sum of the half-precision values overflows, the values do not
    assert torch.equal(pack(big, "auto", "").vectors, big.half())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("precision", ["auto", "float16", "bfloat16", "float32", "int8"])
def test_nan_and_infinity_are_an_error(value: float, precision: Precision) -> None:
    vectors = torch.zeros(2, 3)
    vectors[1, 1] = value
    with pytest.raises(BendError, match="seq 4: the model gives NaN"):
        pack(vectors, precision, "seq 4")


def test_unknown_precision(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(BendError, match="Did you mean 'float16'"):
            store.vectors_for(FakeEmbedder(), sequences(3), store_dir=folder, precision="float-16")  # type: ignore[arg-type]


def test_repeated_sequences_are_embedded_and_stored_once(tmp_path: Path) -> None:
    embedder, rows = FakeEmbedder(), sequences(20)
    source = stored(embedder, rows * 3, tmp_path)
    manifest = json.loads(next(tmp_path.glob("*/manifest.json")).read_text())
    assert manifest["sequences"] == 20
    assert manifest["tokens"] == embedder.count_tokens(rows).sum()
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    assert {part["file"]: part["bytes"] for part in manifest["shards"]} == {
        path.name: path.stat().st_size for path in folder.glob("shard-*")
    }
    assert sorted(embedder.calls) == sorted(rows)
    assert same(source.read(range(60)), source.read(list(range(20)) * 3))
    for make in (InMemory, OnTheFly):
        embedder.calls.clear()
        make(embedder, rows * 3).read(list(range(60)))
        assert len(embedder.calls) == 20


def test_a_store_is_filled_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    embedder, rows = FakeEmbedder(), sequences(20)
    assert same(stored(embedder, rows, tmp_path).read(range(20)), InMemory(embedder, rows).read(range(20)))
    embedder.calls.clear()
    stored(embedder, rows, tmp_path)
    assert not embedder.calls


def test_sequences_of_another_task_are_copied(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    embedder, rows = FakeEmbedder(), sequences(40)
    stored(embedder, rows[:30], tmp_path)
    embedder.calls.clear()
    with caplog.at_level(logging.INFO, "bend_hf"):
        source = stored(embedder, rows[20:], tmp_path)
    assert "10 of 20 distinct sequences are in other stores already" in caplog.text
    assert sorted(embedder.calls) == sorted(rows[30:])
    assert same(source.read(range(20)), list(FakeEmbedder().embed(rows[20:])))


def test_a_damaged_shard_of_another_task_is_not_copied(tmp_path: Path) -> None:
    embedder, rows = FakeEmbedder(), sequences(10)
    stored(embedder, rows, tmp_path)
    layout._sound.clear()
    for path in tmp_path.glob("*/shard-*"):
        content = bytearray(path.read_bytes())
        content[4100] ^= 1
        path.write_bytes(content)
    assert same(stored(embedder, rows[:5], tmp_path).read(range(5)), list(embedder.embed(rows[:5])))


def test_a_second_opening_embeds_nothing_and_reads_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    embedder, rows = FakeEmbedder(), sequences(30)
    first = stored(embedder, rows, tmp_path).read(range(30))
    embedder.calls.clear()
    with caplog.at_level(logging.INFO, "bend_hf"):
        assert same(stored(embedder, rows, tmp_path).read(range(30)), first)
    assert "fake: the vectors of 30 sequences are in" in caplog.text
    assert embedder.calls == []


def test_a_complete_store_is_opened_without_writing(tmp_path: Path) -> None:
    """It may lie on a disk that is mounted read-only."""
    rows = sequences(30)
    folder = store.fill(FakeEmbedder(), rows, store_dir=tmp_path).folder
    (folder / ".lock").unlink()
    layout._sound.clear()
    before = [(path.name, path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(folder.iterdir())]
    stored(FakeEmbedder(), rows, tmp_path).read([1])
    assert [(path.name, path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(folder.iterdir())] == before


def test_stores_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    source = stored(FakeEmbedder(), sequences(30), tmp_path)
    assert same(pickle.loads(pickle.dumps(source)).read([3, 1]), source.read([3, 1]))


def test_nothing_is_read_but_what_is_asked_for(tmp_path: Path) -> None:
    rows = sequences(30)
    source = stored(FakeEmbedder(), rows, tmp_path)
    path = min(tmp_path.glob("*/shard-*"))
    path.write_bytes(path.read_bytes()[:4096] + source.read([0])[0].vectors.view(torch.uint8).numpy().tobytes())
    assert same(source.read([0]), list(FakeEmbedder().embed(rows[:1])))


@pytest.mark.parametrize(
    "change",
    [
        {"k": 5},
        {"dtype": torch.float16},
        {"name": "other"},
    ],
)
def test_other_settings_have_another_key(tmp_path: Path, change: dict[str, object]) -> None:
    rows = sequences(10)
    stored(FakeEmbedder(), rows, tmp_path)
    other = FakeEmbedder(**change)  # type: ignore[arg-type]
    assert same(stored(other, rows, tmp_path).read(range(10)), list(other.embed(rows)))
    assert len(list(tmp_path.glob("*/manifest.json"))) == 2


def test_changed_sequences_or_precision_have_another_key(tmp_path: Path) -> None:
    embedder, rows = FakeEmbedder(), sequences(10)
    changed = [*rows[:-1], "A" + rows[-1][1:]]  # one base of the genome, or one row of the BED file
    assert changed != rows
    folders = {
        store.fill(embedder, rows, store_dir=tmp_path).folder,
        store.fill(embedder, changed, store_dir=tmp_path).folder,
        store.fill(embedder, rows[:-1], store_dir=tmp_path).folder,
        store.fill(embedder, rows, store_dir=tmp_path, precision="int8").folder,
    }
    assert len(folders) == 4
    assert all((folder / "manifest.json").is_file() for folder in folders)
    assert store.fill(embedder, rows + rows[:3], store_dir=tmp_path).folder in folders


def test_a_shard_moved_in_from_another_store_is_refused(tmp_path: Path) -> None:
    rows = sequences(10)
    ours = store.fill(FakeEmbedder(), rows, store_dir=tmp_path / "a")
    theirs = store.fill(FakeEmbedder(name="other"), rows, store_dir=tmp_path / "b")
    ours.path(0).write_bytes(theirs.path(0).read_bytes())
    assert ours.check(0) == "it belongs to another store"
    with pytest.raises(BendError, match="belongs to another store"):
        store.Store(ours)


def test_shards_are_ordinary_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    embedder, rows = FakeEmbedder(), sequences(10)
    kept = store.fill(embedder, rows, store_dir=tmp_path)
    tensors = load_file(kept.path(0))
    assert set(tensors) == {"vectors", "lengths", "offsets", "digests"}
    first = next(iter(embedder.embed(rows)))
    assert torch.equal(tensors["vectors"][: len(first.lengths)], first.vectors)
    assert tensors["lengths"].dtype == torch.uint16
    assert Shard(kept.path(0)).lengths.dtype == np.uint16


def test_a_token_longer_than_65535_nucleotides(tmp_path: Path) -> None:
    embedder, rows = FakeEmbedder(k=70_000), ["ACGT" * 20_000, "ACG"]
    kept = store.fill(embedder, rows, store_dir=tmp_path)
    assert Shard(kept.path(0)).lengths.dtype == np.uint32
    assert stored(embedder, rows, tmp_path).read([0])[0].lengths.tolist() == [70_000, 10_000]


def test_shares_cover_a_store_exactly(tmp_path: Path) -> None:
    rows = sequences(80)
    whole = store.fill(FakeEmbedder(), rows, store_dir=tmp_path / "whole")
    assert whole.count >= 6
    made = []
    for share in ((2, 3), (0, 3), (1, 3)):
        embedder = FakeEmbedder()
        kept = store.fill(embedder, rows, store_dir=tmp_path / "parts", share=share)
        made += embedder.calls
        assert kept.complete == (share == (1, 3))
    assert sorted(made) == sorted(rows)
    for number in range(whole.count):
        assert whole.path(number).read_bytes() == kept.path(number).read_bytes()
    assert (whole.folder / "manifest.json").read_bytes() == (kept.folder / "manifest.json").read_bytes()


@pytest.mark.parametrize("share", [(3, 3), (-1, 3), (0, 0)])
def test_a_share_that_makes_no_sense(tmp_path: Path, share: tuple[int, int]) -> None:
    with pytest.raises(BendError, match="give i/n"):
        store.fill(FakeEmbedder(), sequences(3), store_dir=tmp_path, share=share)


def test_ranks_of_a_launcher_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    embedder, rows = FakeEmbedder(), sequences(80)
    kept = store.fill(embedder, rows, store_dir=tmp_path)
    assert [kept.path(number).exists() for number in range(4)] == [False, True, False, True]
    assert not kept.complete
    fresh = store.vectors_for(embedder, rows[:9], store_dir=tmp_path)  # small, and yet better made once than twice
    assert isinstance(fresh, store.Store)
    assert isinstance(stored(embedder, rows, tmp_path), store.Store)  # nobody else does rank 0's share


def test_the_policy(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = sequences(30)
    with caplog.at_level(logging.INFO, "bend_hf"):
        assert isinstance(store.vectors_for(FakeEmbedder(), rows), InMemory)
        assert isinstance(store.vectors_for(FakeEmbedder(), rows, memory_bytes=100), OnTheFly)
        assert isinstance(stored(FakeEmbedder(), rows, tmp_path, limit_bytes=1000), OnTheFly)
        assert "More than the limit of 1.0 KB" in caplog.text
        assert not list(tmp_path.iterdir())
        assert isinstance(store.vectors_for(FakeEmbedder(), rows, store_dir=tmp_path), InMemory)
        assert isinstance(store.vectors_for(FakeEmbedder(name="onehot"), rows, store_dir=tmp_path), InMemory)
        assert isinstance(stored(FakeEmbedder(name="onehot"), rows, tmp_path), OnTheFly)
        assert store.fill(FakeEmbedder(name="onehot"), rows, store_dir=tmp_path).complete is False
        assert not list(tmp_path.iterdir())
        assert isinstance(stored(FakeEmbedder(), rows, tmp_path, limit_bytes=10**6), store.Store)
        assert isinstance(store.vectors_for(FakeEmbedder(), rows, store_dir=tmp_path), store.Store)  # it is there
    assert "fake: 30 sequences, 2,186 distinct nucleotides, 376 tokens of 16: 13.5 KB" in caplog.text
    assert "shards to make in" in caplog.text


def test_the_estimate_is_what_is_written(tmp_path: Path) -> None:
    for precision in ("auto", "int8"):
        embedder, rows = FakeEmbedder(dim=64), sequences(50)
        cost = estimate(embedder, rows, distinct(rows), precision)
        kept = store.fill(embedder, rows, store_dir=tmp_path, precision=precision)
        written = sum(kept.path(number).stat().st_size - 4096 - 8 for number in range(kept.count))
        assert cost.bytes == written


def test_the_time_is_estimated_from_a_trial() -> None:
    embedder, rows = FakeEmbedder(pause=0.002), sequences(1000, length=1000)
    cost = estimate(embedder, rows, distinct(rows))
    assert cost.seconds is not None
    assert 1.2 < cost.seconds < 60  # 1,000 sequences of 2 ms each; much more on a busy machine
    assert "about" in str(cost)


def test_no_room_on_the_disk_is_said_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("", (), {"free": 1000})())
    embedder = FakeEmbedder()
    with pytest.raises(BendError, match=r"which has 1\.0 KB free: give another --store"):
        stored(embedder, sequences(30), tmp_path / "not" / "yet")
    assert embedder.calls == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda tokens: [], "gave 0 of 4 sequences"),
        (lambda tokens: tokens[:-1], "gave 3 of 4 sequences"),
        (lambda tokens: [*tokens, tokens[0]], "more than the 4"),
        (lambda tokens: [Tokens(t.vectors, t.lengths + 1) for t in tokens], "run lengths that sum"),
        (lambda tokens: [Tokens(t.vectors[1:], t.lengths) for t in tokens], "gave vectors of shape"),
        (lambda tokens: [Tokens(t.vectors[:, 1:], t.lengths) for t in tokens], "gave vectors of shape"),
        (lambda tokens: [*tokens[:1], *(Tokens(t.vectors.half(), t.lengths) for t in tokens[1:])], "one type"),
    ],
)
def test_vectors_that_do_not_fit_their_sequences_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: object, message: str
) -> None:
    rows = sequences(4)
    embedder = FakeEmbedder()
    right = list(embedder.embed(rows))
    monkeypatch.setattr(embedder, "embed", lambda sequences: iter(wrong(right)))
    with pytest.raises(BendError, match=message):
        stored(embedder, rows, tmp_path)
    assert not list(tmp_path.glob("*/*shard*"))


def test_sequences_may_be_a_column_of_a_dataset(tmp_path: Path) -> None:
    import datasets

    embedder, rows = FakeEmbedder(), sequences(40)
    column = datasets.Dataset.from_dict({"sequence": rows})["sequence"]
    expected = InMemory(embedder, rows).read(range(40))
    for source in (stored(embedder, column, tmp_path), InMemory(embedder, column), OnTheFly(embedder, column)):
        assert same(source.read(range(40)), expected)


def test_no_sequences(tmp_path: Path) -> None:
    assert len(stored(FakeEmbedder(), [], tmp_path)) == 0
    assert InMemory(FakeEmbedder(), []).lengths_in_tokens.shape == (0,)


@given(st.integers(0, 10**15))
def test_sizes_are_read_as_they_are_written(count: int) -> None:
    assert parse_size(size_text(count)) == pytest.approx(count, rel=0.06)


def test_sizes_and_times() -> None:
    assert parse_size("50GB") == 50 * 10**9
    assert parse_size("1.5 tib") == 3 << 39
    assert parse_size("12M") == 12_000_000
    assert parse_size("7") == parse_size("7B") == parse_size("7 bytes") == 7
    assert time_text(5400) == "1.5 h"
    for bad in ("", "GB", "5 parsecs", "-1GB"):
        with pytest.raises(BendError, match="not understood"):
            parse_size(bad)


@pytest.mark.parametrize(
    ("free", "beside", "spare"),
    [(float("inf"), "1", MEMORY_LIMIT), (8 << 30, "1", 2 << 30), (8 << 30, "4", 512 << 20), (0, "1", 0)],
)
def test_spare_memory_is_a_share_of_what_the_process_may_still_take(
    monkeypatch: pytest.MonkeyPatch, free: float, beside: str, spare: int
) -> None:
    monkeypatch.setattr("bend_hf.embed.estimate.available_memory", lambda: free)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", beside)
    assert spare_memory() == spare
