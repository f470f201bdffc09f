"""Passes side by side on a CPU: the numbers of a head do not depend on what runs beside it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from training_data import Memory, make, splits

from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.train import loop
from bend_hf.train.fit import Fitted, fit
from bend_hf.train.lanes import Lanes, Once

KINDS = [("histone_modification", 1), ("histone_modification", 6), ("gene_finding", 3), ("enhancer_annotation", 1)]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set how many threads a run has, however many cores there are."""
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def trained(name: str, unit: int, **options: Any) -> list[Fitted]:
    task, source, labels = make(name, 60, unit)
    given = {"protocol": get_protocol("default"), "epochs": 2, "batch_size": 16, "precision": "fp32"}
    return fit(task, **(given | splits(source, labels) | options))


def differences(one: Fitted, other: Fitted) -> float:
    assert len(one.history) == len(other.history)
    losses = [abs(x["train_loss"] - y["train_loss"]) for x, y in zip(one.history, other.history, strict=True)]
    return max(*losses, *(float(np.abs(x - y).max()) for x, y in zip(one.scores, other.scores, strict=True)))


@pytest.mark.parametrize(
    ("threads", "count", "team"),
    [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 4, 1), (5, 1, 5), (6, 3, 2), (7, 1, 7), (16, 4, 4)],
)
def test_threads_are_shared_out_evenly(threads: int, count: int, team: int) -> None:
    with Lanes(threads) as lanes:
        assert (lanes.count, lanes.team) == (count, team)
        own = torch.get_num_threads() if count == 1 else team
        assert list(lanes.run([torch.get_num_threads] * 9)) == [own] * 9


def test_results_come_in_order_and_the_first_error_ends_all() -> None:
    met, begun = threading.Barrier(2, timeout=20), []

    def work(number: int) -> int:
        begun.append(number)
        if number < 2:
            met.wait()  # both at once
        if number == 2:
            raise BendError("the third")
        time.sleep(0.05)
        return number

    found = []
    with pytest.raises(BendError, match="the third"), Lanes(2) as lanes:
        for number in lanes.run([lambda number=number: work(number) for number in range(200)]):
            found.append(number)
    assert found == [0, 1]
    assert len(begun) < 200
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bend_hf_head")]


@pytest.mark.parametrize(("name", "unit"), KINDS)
def test_a_head_in_half_precision_is_the_same_beside_any_others(name: str, unit: int, threads: Any) -> None:
    """Passes that run at once may share what autocast made of a weight, and nothing of it is another's."""
    threads(2)
    alone = {seed: trained(name, unit, seeds=(seed,), precision="bf16")[0] for seed in (0, 1)}
    for fitted in trained(name, unit, seeds=(1, 7, 0), precision="bf16"):
        assert fitted.seed == 7 or differences(fitted, alone[fitted.seed]) < 1e-6


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize(("name", "unit"), KINDS)
def test_a_head_is_the_same_beside_any_others(name: str, unit: int, count: int, threads: Any) -> None:
    """Bit for bit; and up to the order of sums what one thread makes of it."""
    threads(count)
    alone = {seed: trained(name, unit, seeds=(seed,))[0] for seed in (0, 1)}
    for seeds in ((0, 1), (1, 7, 0)):
        for fitted in trained(name, unit, seeds=seeds):
            assert fitted.seed == 7 or differences(fitted, alone[fitted.seed]) == 0
    threads(1)
    for fitted in trained(name, unit, seeds=(0, 1)):
        assert 0 <= differences(fitted, alone[fitted.seed]) < 2e-5


def test_passes_of_one_head_run_side_by_side(threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two micro-batches of a step, and of a prediction, are in the head's forward at once."""
    threads(2)
    monkeypatch.setattr(loop, "POSITIONS", {"cpu": 1})
    own, met, lock, inside = loop._logits, threading.Event(), threading.Lock(), [0, 0]

    def logits(*arguments: Any) -> torch.Tensor:
        with lock:
            inside[0] += 1
            inside[1] = max(inside)
            if inside[0] == 2:
                met.set()
        met.wait(5)
        try:
            return own(*arguments)
        finally:
            with lock:
                inside[0] -= 1

    monkeypatch.setattr(loop, "_logits", logits)
    trained("gene_finding", 3, epochs=1)
    assert inside == [0, 2]


@pytest.mark.parametrize(
    ("rows", "alone", "cut"), [(4, [[0, 1, 2, 3]], [[0, 1, 2, 3]]), (5, [[0, 1, 2, 3, 4]], [[0, 1, 2, 3], [4]])]
)
def test_a_step_is_cut_for_lanes_where_the_pieces_are_worth_it(rows: int, alone: list, cut: list) -> None:
    """2,048 nucleotides and more: Python around fewer takes longer than their passes."""
    run = SimpleNamespace(
        device=torch.device("cpu"),
        accelerator=SimpleNamespace(num_processes=1, process_index=0),
        protocol=get_protocol("default"),
    )
    step, sizes = np.arange(rows), np.full(rows, 512)
    for threads, wanted in ((1, alone), (2, cut)):
        run.lanes = Lanes(threads)
        groups = loop._micro_batches(run, torch.nn.Linear(1, 1), step, sizes)
        assert [group.places.tolist() for group in groups] == wanted


@pytest.mark.parametrize(("name", "unit"), KINDS[:3])
def test_an_interrupted_run_goes_on_to_the_same_numbers(name: str, unit: int, threads: Any, tmp_path: Path) -> None:
    threads(2)
    whole = trained(name, unit, seeds=(0, 1))
    task, source, labels = make(name, 60, unit)
    reads = []

    def cut() -> None:
        reads.append(len(reads))
        if len(reads) == 9:
            raise BendError("cut here")

    source.before = cut
    given = {"protocol": get_protocol("default"), "epochs": 2, "batch_size": 16, "precision": "fp32", "seeds": (0, 1)}
    given |= {"checkpoint_dir": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(BendError, match="cut here"):
        fit(task, **given, **splits(source, labels))
    assert list(tmp_path.iterdir())
    source.before = None
    for one, other in zip(fit(task, **given, **splits(source, labels)), whole, strict=True):
        assert differences(one, other) == 0


def test_a_lane_that_is_slow_does_not_hold_the_others() -> None:
    """While the first piece is not done, the other lane does all that may be ahead, and no more is asked for."""
    asked, others = [], threading.Semaphore(0)

    def first() -> int:
        for _ in range(5):
            assert others.acquire(timeout=20)
        return 0

    def other(number: int) -> int:
        others.release()
        return number

    def work() -> Iterator[Callable[[], int]]:
        for number in range(40):
            asked.append(number)
            yield partial(other, number) if number else first

    with Lanes(2) as lanes:
        assert lanes.ahead == 6
        found = lanes.run(work())
        assert next(found) == 0
        assert len(asked) == 7
        assert list(found) == list(range(1, 40))


def test_an_error_of_the_iteration_over_the_work_ends_all() -> None:
    def work() -> Iterator[Callable[[], int]]:
        yield from [lambda: 1] * 7
        raise BendError("no more")

    found = []
    with pytest.raises(BendError, match="no more"), Lanes(2) as lanes:
        for number in lanes.run(work()):
            found.append(number)
    assert found == [1]


def test_what_several_need_is_made_once_and_kept_no_longer_than_they_need_it() -> None:
    made: list[object] = []

    def make(given: list[int]) -> list[int]:
        made.append(given)
        time.sleep(0.05)
        return [*given]

    with Lanes(4) as lanes:
        once = Once(partial(make, [7]))
        assert list(lanes.run([once] * 8)) == [[7]] * 8
        assert len(made) == 1
        assert len({id(each) for each in lanes.run([once] * 8)}) == 1


def test_batches_of_a_store_are_put_together_in_lanes(threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And read, by one thread, outside of them."""
    threads(2)
    seen: dict[str, set[str]] = {"load": set(), "fetch": set()}
    for name, usual in (("load", loop.load), ("fetch", loop.fetch)):

        def watched(*arguments: Any, name: str = name, usual: Any = usual, **options: Any) -> Any:
            seen[name].add(threading.current_thread().name.rpartition("_")[0])
            return usual(*arguments, **options)

        monkeypatch.setattr(loop, name, watched)
    trained("gene_finding", 3, epochs=1)
    assert seen == {"load": {"bend_hf_head"}, "fetch": {"bend_hf_loader"}}


def test_vectors_are_not_made_while_heads_compute(threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the thread that asks the lanes, when they have done what they were given."""
    threads(2)
    monkeypatch.setattr(loop, "POSITIONS", {"cpu": 512})
    at_work, made, usual = [0], [], loop._logits

    def logits(*arguments: Any) -> torch.Tensor:
        at_work[0] += 1
        time.sleep(0.01)
        try:
            return usual(*arguments)
        finally:
            at_work[0] -= 1

    monkeypatch.setattr(loop, "_logits", logits)
    monkeypatch.setattr(loop, "OnTheFly", Memory)
    task, source, labels = make("histone_modification", 60)
    source.before = lambda: made.append((threading.current_thread().name, at_work[0]))
    parts = {name: replace(split, vectors=source) for name, split in splits(source, labels).items()}
    fit(task, protocol=get_protocol("default"), epochs=1, batch_size=16, precision="fp32", seeds=(0, 1), **parts)
    assert ("bend_hf_fit", 0) in made
    assert {busy for name, busy in made if name == "bend_hf_fit"} == {0}
