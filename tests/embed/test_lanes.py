"""Batches in lanes: bits of one batch at a time, in order, and one error, one warning and no thread left over."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tiny_models
import torch
from torch import nn

from bend_hf.embed import lanes as module
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.lanes import Lanes, shared_out
from bend_hf.embed.loading import Loaded
from bend_hf.embed.tokens import character_scheme
from bend_hf.errors import BendError

SEQUENCES = [tiny_models.dna(size, size) for size in (*range(40, 140, 5), 700, 300, 301)]


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(module, "FEWEST_TOKENS", 1)
    monkeypatch.setattr(module, "available_memory", lambda: 2**50)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: {0, 1})
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.fixture
def together(monkeypatch):
    """How many batches went into how many lanes, call by call."""
    calls: list[tuple[int, int]] = []
    usual = Lanes._together

    def watched(self, forward, batches, lanes, team):
        calls.append((len(batches), lanes))
        return usual(self, forward, batches, lanes, team)

    monkeypatch.setattr(Lanes, "_together", watched)
    return calls


def same_bits(some, others):
    for one, other in zip(some, others, strict=True):
        assert np.array_equal(one.lengths, other.lengths)
        assert torch.equal(one.vectors, other.vectors)


@pytest.mark.parametrize("name", tiny_models.FAMILIES)
def test_bits_are_those_of_one_thread(name, tmp_path, together, monkeypatch):
    monkeypatch.setattr(module, "shared_out", lambda sizes, threads, most: (most, len(sizes)))
    torch.set_num_threads(1)
    folder = str(tiny_models.FAMILIES[name](tmp_path))
    for dtype in ("float32", "bfloat16"):
        embedder = Embedder.from_pretrained(folder, dtype=dtype, device="cpu", batch_tokens=160)
        alone = list(embedder.embed(SEQUENCES))
        torch.set_num_threads(2)
        for _ in range(2):  # the first batch is tried, and then is not
            same_bits(embedder.embed(SEQUENCES), alone)
        torch.set_num_threads(1)
    torch.set_num_threads(2)
    assert [lanes for _, lanes in together] == [module.MOST] * 4


@pytest.mark.parametrize(("cores", "lanes"), [(2, module.MOST), (64, 2)])
def test_more_lanes_than_threads_only_where_the_cores_are_as_few(cores, lanes, tmp_path, together, monkeypatch):
    monkeypatch.setattr(module, "shared_out", lambda sizes, threads, most: (most, len(sizes)))
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: set(range(cores)))
    folder = str(tiny_models.FAMILIES["esm"](tmp_path))
    embedder = Embedder.from_pretrained(folder, dtype="float32", device="cpu", batch_tokens=160)
    list(embedder.embed(SEQUENCES))
    assert {found for _, found in together} == {lanes}


class Plain(nn.Module):
    """Vectors of single letters; taken for a model of transformers, whose code is known."""

    __module__ = "transformers.made_up"

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(24, 8)
        self.last = nn.Identity()

    def forward(self, input_ids):
        return (self.last(self.embedding(input_ids)),)


def of_model(model, **options):
    loaded = Loaded("test", model.eval(), character_scheme(suffix=()), {}, {}, "a test", (), {"files": "none"})
    return Embedder(loaded, **{"dtype": "float32", "device": "cpu", "batch_tokens": 200, "name": "mine", **options})


class Remembering(Plain):
    """Keeps a table for the length it saw last, as rotary embeddings did."""

    __module__ = "transformers.made_up"
    table = torch.empty(0)

    def forward(self, input_ids):
        self.table = torch.arange(input_ids.shape[1], dtype=torch.float32)
        time.sleep(0.002)
        return (self.embedding(input_ids) + self.table[None, :, None],)


def test_what_a_module_remembers_is_its_lanes_own(together):
    embedder = of_model(Remembering())
    found = list(embedder.embed(SEQUENCES))
    assert together
    embedder.batches.lanes.most = 1
    same_bits(found, embedder.embed(SEQUENCES))
    shared = module._copy(embedder.network, threading.Event())
    assert shared.model.embedding is not embedder.network.model.embedding
    assert shared.model.embedding.weight is embedder.network.model.embedding.weight


class Own(Plain):
    __module__ = "somebody.elses"


class Drawing(Plain):
    __module__ = "transformers.made_up"

    def forward(self, input_ids):
        torch.manual_seed(0)
        return (super().forward(input_ids)[0] + torch.rand(8),)


class DrawingOfNumpys(Plain):
    __module__ = "transformers.made_up"

    def forward(self, input_ids):
        np.random.seed(0)
        return (super().forward(input_ids)[0] + np.random.random(),)


def hooked():
    model = Plain()
    model.last.register_forward_hook(lambda module, args, output: output)
    return model


def patched():
    model = Plain()
    model.last.forward = lambda x: x
    return model


@pytest.mark.parametrize("make", [Own, Drawing, DrawingOfNumpys, hooked, patched])
def test_models_that_may_not_run_beside_themselves_do_not(make, together):
    embedder = of_model(make())
    for _ in range(2):
        list(embedder.embed(SEQUENCES))
    assert embedder.batches.lanes.most == 1
    assert not together


def test_nor_do_those_of_the_caller_those_of_one_thread_and_those_for_which_memory_is_short(together, monkeypatch):
    embedder = of_model(Plain())
    torch.set_num_threads(1)
    list(embedder.embed(SEQUENCES))
    torch.set_num_threads(2)
    monkeypatch.setattr(module, "available_memory", lambda: 2**29)
    list(embedder.embed(SEQUENCES))
    monkeypatch.setattr(module, "available_memory", lambda: 2**50)
    monkeypatch.setattr(module, "FEWEST_TOKENS", 1024)
    list(embedder.embed(SEQUENCES))
    assert not together
    assert embedder.batches.lanes.most > 1
    owned = Embedder.from_model(Plain(), tiny_models_tokenizer(), dtype="float32", batch_tokens=200)
    assert owned.batches.lanes.most == 1


def tiny_models_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({letter: i for i, letter in enumerate("ACGTN")}, unk_token="N"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return tokenizer


def test_trying_a_model_leaves_the_callers_random_numbers_alone(together):
    embedder = of_model(Plain())
    torch.manual_seed(7)
    np.random.seed(7)
    expected = float(torch.rand(())), np.random.random()
    torch.manual_seed(7)
    np.random.seed(7)
    list(embedder.embed(SEQUENCES))
    assert together
    assert (float(torch.rand(())), np.random.random()) == expected


class Failing(Plain):
    """Fails for the shorter inputs, later ones sooner."""

    __module__ = "transformers.made_up"
    fails = False
    seen = 0

    def forward(self, input_ids):
        if self.fails and input_ids.shape[1] < 100:
            time.sleep(0.0005 * input_ids.shape[1])
            raise ValueError(f"no {input_ids.shape[1]}")
        return super().forward(input_ids)


def lanes_left():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("bend_hf_lane")]


def test_the_error_is_that_of_the_first_batch_that_fails(together):
    embedder = of_model(Failing())
    list(embedder.embed(SEQUENCES))
    embedder.network.model.fails = True
    with pytest.raises(BendError, match=r"mine: its forward fails for 2 × 90 tokens \(ValueError: no 90\)"):
        list(embedder.embed(SEQUENCES))
    assert len(together) == 2
    assert not lanes_left()


def test_a_vector_that_is_not_finite_names_its_sequence(together):
    embedder = of_model(Plain())
    with torch.no_grad():
        embedder.network.model.embedding.weight[embedder.scheme.encode(["N"])[0].ids[0]] = float("nan")
    sequences = [*SEQUENCES, "ACGTN" * 9]
    list(embedder.embed(SEQUENCES))
    with pytest.raises(BendError, match=f"for sequence {len(SEQUENCES)} "):
        list(embedder.embed(sequences))
    assert together


class Hungry(Plain):
    __module__ = "transformers.made_up"
    at_once = 0

    def forward(self, input_ids):
        if threading.current_thread().name.startswith("bend_hf_lane") and input_ids.shape[1] < 100:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return super().forward(input_ids)


def test_where_memory_runs_out_in_lanes_one_batch_at_a_time_goes_on(together, caplog):
    embedder = of_model(Hungry())
    found = list(embedder.embed(SEQUENCES))
    assert "batches at once; going on with one at a time" in caplog.text
    assert len(together) == 1
    assert embedder.batch_tokens == 200
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2
    same_bits(found, of_model(Plain()).embed(SEQUENCES))
    assert not lanes_left()


class Interrupting(Plain):
    """Presses Ctrl-C once in a lane, and goes on as models do."""

    __module__ = "transformers.made_up"
    runs: list = []  # noqa: RUF012

    def forward(self, input_ids):
        if threading.current_thread().name.startswith("bend_hf_lane"):
            self.runs.append(len(self.runs))
            if len(self.runs) == 1:
                time.sleep(0.1)  # until the main thread waits
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            for _ in range(10):
                time.sleep(0.05)
                self.last(input_ids)
            self.runs.append("to the end")
        return super().forward(input_ids)


def test_ctrl_c_ends_what_lanes_are_at(together):
    embedder = of_model(Interrupting())
    with pytest.raises(KeyboardInterrupt):
        list(embedder.embed(SEQUENCES))
    assert together
    assert "to the end" not in Interrupting.runs
    assert not lanes_left()


def test_a_reader_that_stops_leaves_no_lane_at_work(together):
    embedder = of_model(Plain())
    reader = embedder.embed(SEQUENCES)
    next(reader)
    assert together
    assert not lanes_left()
    reader.close()


@pytest.mark.parametrize(
    ("sizes", "threads", "most", "expected"),
    [
        ([9] * 8, 2, 4, (4, 8)),
        ([9] * 7, 2, 4, (4, 7)),  # four, then three on two cores
        ([9] * 5, 2, 4, (3, 5)),  # three, then two
        ([9] * 5, 2, 2, (2, 4)),  # and the last by both threads
        ([9], 2, 4, (1, 0)),
        ([9] * 8, 2, 1, (1, 0)),
        ([9] * 8, 16, 4, (4, 8)),
        ([9] * 6, 16, 4, (2, 6)),
        ([9] * 8, 7, 4, (1, 0)),  # whose threads cannot be dealt out alike
        ([90, 1, 1], 2, 4, (1, 0)),
    ],
)
def test_batches_are_shared_out_so_that_no_core_idles(sizes, threads, most, expected):
    assert shared_out(sizes, threads, most) == expected
