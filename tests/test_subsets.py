"""Parts of a task's rows: nested, with every class, in the key, marked, and never among whole runs."""

import dataclasses

import numpy as np
import pytest
from result_factory import make_result, trained

import bend_hf
from bend_hf.errors import BendError
from bend_hf.hub.push import push_results
from bend_hf.report.table import table
from bend_hf.results.board import board, group_means
from bend_hf.results.compare import compare
from bend_hf.results.conditions import alike, departures
from bend_hf.results.record import read_predictions
from bend_hf.subsets import nested, sizes, strata_of, trained_on
from bend_hf.tasks import TASKS
from bend_hf.walk import Fold


def test_every_beginning_has_each_stratum_in_its_share():
    strata = np.repeat([0, 1, 2], [700, 250, 50])
    order = nested(strata)
    assert sorted(order) == list(range(1000))
    assert strata[order[:3]].tolist() == [2, 1, 0]  # the rarest first
    for size in (20, 100, 333, 1000):
        counts = np.bincount(strata[order[:size]], minlength=3)
        assert np.abs(counts - size * np.array([0.7, 0.25, 0.05])).max() <= 1
    assert nested(strata).tolist() == order.tolist()
    assert nested(strata, seed=1).tolist() != order.tolist()


def test_the_stratum_of_a_row_is_the_rarest_label_that_it_holds():
    genes = TASKS["gene_finding"]
    rows = [np.array(row, np.int8) for row in ([8, 8, 0], [8, 0, 0], [8, 8, 3], [8, 8, 8])]
    assert strata_of(genes, rows, np.arange(4)).tolist() == [0, 0, 3, 8]
    histone = TASKS["histone_modification"]
    labels = np.zeros((3, len(histone.label_names)), np.int8)
    labels[0, [1, 4]] = labels[1, 4] = 1
    assert strata_of(histone, labels, np.arange(3)).tolist() == [1, 4, -1]


def test_folds_keep_the_numbers_of_their_parts():
    task, labels = TASKS["enhancer_annotation"], np.zeros((30, 4), np.int8)
    fold = Fold("part0", np.arange(10, 30), np.arange(5), np.arange(5, 10), (15, 5))
    small, larger = (trained_on(task, labels, fold, size) for size in (6, 12))
    assert sum(small.parts) == len(small.train) == 6
    assert small.parts[0] == (small.train < 25).sum()
    assert set(small.train) < set(larger.train) < set(fold.train)
    assert (np.diff(larger.train) > 0).all()


@pytest.mark.parametrize(
    ("asked", "found"),
    [(None, (None,)), ("100,all,10", (10, 100, None)), (50, (50,)), ([5, "all"], (5, None)), (" 5, all", (5, None))],
)
def test_sizes_are_read(asked, found):
    assert sizes(asked) == found


@pytest.mark.parametrize("asked", ["10,10", [], "0", "ten", [True], 1.5])
def test_other_sizes_are_refused(asked):
    with pytest.raises(BendError, match=r"train.rows"):
        sizes(asked)


@pytest.fixture(scope="module")
def runs(toy_dir, tmp_path_factory):
    """One-hot on methylation, whole, with a limit, and on parts of the training rows; and on variants."""
    options = {"data_dir": toy_dir, "epochs": 1, "seeds": 1, "output": tmp_path_factory.mktemp("runs")}
    tasks = ["cpg_methylation", "variant_effects_disease"]
    whole = bend_hf.evaluate("onehot", tasks, train_rows="20,60,all", **options)
    return whole, bend_hf.evaluate("onehot", tasks, limit=12, **options)


def test_a_limit_is_in_the_key_marked_and_never_among_whole_runs(runs):
    whole, few = runs
    assert [result.counts["rows"] for result in few] == [12, 12]
    for short, long in zip(few, whole[2:], strict=True):
        assert short.key["settings"] == long.key["settings"] | {"limit": 12}
        assert short.path != long.path
        assert departures([long]) in ("", "trained for 1 epoch instead of the recipe's 100")
        assert "a smoke test on at most 12 rows per split" in departures([short])
        assert len(set(read_predictions(short).labels.ravel().tolist())) == 2
        ranked, note = alike([dataclasses.replace(short, variant=" [short]"), long])
        assert ranked == [long]
        assert "[short] (" in note
        with pytest.raises(BendError, match=r"limit \(12; none\)"):
            compare([short, long])
    assert "[all rows]" in (text := table([*few, *whole[2:]]))
    assert "[limit 12]" in text


def test_the_composition_baseline_goes_with_every_training_of_as_many_rows():
    model, few = (
        make_result("gene_finding", model=name, provenance=trained(limit=size))
        for name, size in (("m", None), ("n", 5))
    )
    baseline, small = (
        make_result("gene_finding", model=name, provenance=trained("composition", limit=size))
        for name, size in (("composition", None), ("small", 5))
    )
    assert alike([model, baseline])[1] == ""
    assert alike([model, few, baseline, small])[0] == [model, baseline]
    assert alike([baseline, small])[0] == [baseline]


def test_parts_of_the_rows_are_neither_averaged_nor_pushed(runs):
    _, few = runs
    [means] = group_means(board(few)).values()
    assert set(means.values()) == {None}
    real = [dataclasses.replace(result, toy=False) for result in few]
    with pytest.raises(BendError, match="cpg_methylation, variant_effects_disease are of a part of the rows"):
        push_results(real, "someone/model")


def test_training_rows_are_one_record_each(runs):
    trained_on_parts = runs[0][:3]
    assert [result.provenance["trained_rows"] for result in trained_on_parts[:2]] == [20, 60]
    assert trained_on_parts[2].provenance["trained_rows"] > 60
    assert [result.key["settings"]["train_rows"] for result in trained_on_parts] == [20, 60, None]
    assert len({result.counts["rows"] for result in trained_on_parts}) == 1
    assert "trained on 20 rows" in departures(trained_on_parts[:1])
    with pytest.raises(BendError, match=r"train rows \(20; none\)"):
        compare([trained_on_parts[0], trained_on_parts[2]])


def test_more_rows_than_there_are_and_tasks_that_train_nothing_are_refused(toy_dir, tmp_path):
    with pytest.raises(BendError, match=r"cpg_methylation: train_rows=99999 .*: give fewer, or all"):
        bend_hf.evaluate("onehot", "cpg_methylation", data_dir=toy_dir, train_rows="20,99999", output=tmp_path)
    with pytest.raises(BendError, match="whose heads are trained"):
        bend_hf.evaluate("onehot", "variant_effects_disease", data_dir=toy_dir, train_rows=20, output=tmp_path)
    assert not list(tmp_path.iterdir())
