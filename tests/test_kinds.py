"""Kinds: labels from text, as arrays and on the other strand, against what is known by hand."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from bend_hf.errors import BendError
from bend_hf.kinds import KINDS, LabelError, arrays, get_kind, register
from bend_hf.tasks import TASKS
from bend_hf.tasks.own import own_task

GENES, BINS, MARKS = TASKS["gene_finding"], TASKS["enhancer_annotation"], TASKS["histone_modification"]
OTHER_STRAND = tuple(
    name.replace("forward", "REVERSE").replace("reverse", "forward").replace("REVERSE", "reverse")
    for name in GENES.label_names
)
ROWS = {"train": 1, "validation": 1, "test": 1}
STRANDED_GENES = dataclasses.replace(GENES, stranded=True, turned_labels=OTHER_STRAND)


def texts(*values):
    return pa.chunked_array([pa.array(list(values[:1]), pa.string()), pa.array(list(values[1:]), pa.string())])


def test_runs_are_spelled_out():
    column = GENES.kind.parse(GENES, texts("8:3,0:2", "1:1"), np.array([5, 1]))
    assert column.to_pylist() == [[8, 8, 8, 0, 0], [1]]


@pytest.mark.parametrize(
    ("runs", "problem"),
    [
        ("8:3,0", "no list of runs"),
        ("", "no list of runs"),
        ("9:5", "holds the label 9: labels are 0 to 8"),
        ("8:3,0:1", "4 labels for a window of 5 nucleotides"),
    ],
)
def test_wrong_runs_name_their_row(runs, problem):
    with pytest.raises(LabelError, match=f"row 1 .*{problem}") as error:
        GENES.kind.parse(GENES, texts("8:5", runs), np.array([5, 5]))
    assert error.value.row == 1


def test_an_empty_list_has_no_label():
    column = MARKS.kind.parse(MARKS, texts("", "3,17,0", "", "9"), np.ones(4))
    assert column.to_pylist() == [[], [3, 17, 0], [], [9]]
    dense = MARKS.kind.arrays(MARKS, column)
    assert [np.flatnonzero(row).tolist() for row in dense] == [[], [0, 3, 17], [], [9]]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ("3;17", "is no comma-separated list"),
        ("3,", "is no comma-separated list"),
        ("5,18", "holds the label 18: labels are 0 to 17"),
        ("-1", "holds the label -1: labels are 0 to 17"),
        ("5,17,5", "names the label 5 twice"),
        ("0,0", "names the label 0 twice"),
    ],
)
def test_wrong_lists_name_their_row(labels, problem):
    with pytest.raises(LabelError, match=f"row 2 {problem}") as error:
        MARKS.kind.parse(MARKS, texts("0,17", "", labels, "1"), np.ones(4))
    assert error.value.row == 2


@pytest.mark.parametrize(("at", "row"), [(0, 0), (2, 0), (3, 1), (4, 2), (5, 2)])
def test_a_wrong_label_names_its_row_at_both_ends_of_it(at, row):
    values = np.zeros(6, np.int8)
    values[at] = 9
    with pytest.raises(LabelError, match=f"row {row} has label 9; labels are 0 to 8") as error:
        arrays.check_range(values, np.array([3, 1, 2]), 9)
    assert error.value.row == row


def test_classes_of_nucleotides_turn_with_the_strand():
    labels = pa.array([[0, 1, 2, 8], [], [7, 8], [0, 8]], pa.list_(pa.int8()))
    turned = STRANDED_GENES.kind.turn(STRANDED_GENES, labels, np.array([True, True, False, True]))
    assert turned.to_pylist() == [[8, 6, 5, 4], [], [7, 8], [8, 4]]
    assert turned.type == labels.type
    twice = STRANDED_GENES.kind.turn(STRANDED_GENES, turned, np.array([True, True, False, True]))
    assert twice.equals(labels)


def test_bins_turn_back_to_front():
    task = dataclasses.replace(BINS, stranded=True)
    turned = task.kind.turn(task, pa.array([[1, 0, 0], [1, 0, 0]], pa.list_(pa.int8())), np.array([False, True]))
    assert turned.to_pylist() == [[1, 0, 0], [0, 0, 1]]


def test_labels_of_a_window_do_not_turn():
    labels = pa.array([[3, 1]], pa.list_(pa.int64()))
    assert MARKS.kind.turn(MARKS, labels, np.array([True])) is labels


@pytest.mark.parametrize(
    ("task", "change", "problem"),
    [
        (GENES, {"stranded": True}, "turned_labels does not say"),
        (GENES, {"turned_labels": OTHER_STRAND[:-1]}, "turned_labels are not the label_names, each once"),
        (GENES, {"turned_labels": (*GENES.label_names[1:], GENES.label_names[0])}, "turned twice, a label is itself"),
        (GENES, {"bin_size": 10}, "labels are per nucleotide"),
        (GENES, {"metric": "auroc"}, "metric 'auroc' does not fit; choices: mcc"),
        (GENES, {"recipe": None}, "recipe is missing"),
        (GENES, {"recipe": MARKS.recipe}, "recipe.loss 'binary' does not fit; choices: cross_entropy"),
        (BINS, {"bin_size": None}, "bin_size is missing"),
        (BINS, {"window": 100}, "window 100 is no multiple of bin_size 128"),
        (MARKS, {"window": None}, "window is missing"),
        (BINS, {"label_names": ("a", "b")}, "label_names are several"),
        (TASKS["variant_effects_disease"], {"label_names": ("a", "b", "c")}, "label_names are not two"),
        (TASKS["variant_effects_disease"], {"recipe": MARKS.recipe}, "nothing is trained"),
        (MARKS, {"split_scheme": "folds"}, "split_scheme 'folds' does not fit; choices: fixed"),
        (MARKS, {"split_scheme": "none"}, "split_scheme 'none' does not fit; choices: fixed"),
        (BINS, {"rows": {"part1": 1, "part2": 1}}, "folds need 3 or more"),
        (GENES, {"label_kind": "per_nucleotide"}, "Did you mean 'per_nucleotide_class'"),
    ],
)
def test_what_does_not_fit_its_kind_is_no_task(task, change, problem):
    with pytest.raises(BendError, match=problem):
        dataclasses.replace(task, **change)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_kind_is_found_by_its_name(kind):
    assert get_kind(kind.name) is kind


def test_a_kind_is_added_once_and_its_name_is_taken():
    new = dataclasses.replace(MARKS.kind, name="marks_of_windows")
    try:
        register(new)
        register(new)
        with pytest.raises(BendError, match="There is a kind 'marks_of_windows' already"):
            register(dataclasses.replace(new, single=True))
        assert get_kind("marks_of_windows") is new
    finally:
        KINDS.pop("marks_of_windows", None)


def test_one_class_alone_has_no_mcc():
    scores = np.eye(9, dtype=np.float32)[[0, 1, 2]]
    assert GENES.kind.score(GENES, np.array([8, 8, 8]), scores)["mcc"] is None
    assert GENES.kind.score(GENES, np.array([0, 1, 2]), scores)["mcc"] == 1.0
    assert GENES.kind.score(GENES, np.array([0, 1, 2]), np.array([0, 1, 2]))["mcc"] == 1.0


@pytest.mark.parametrize(
    ("names", "texts", "found"),
    [
        (("other", "promoter"), ["promoter", "0", "1"], [1, 0, 1]),
        (("0", "1"), ["1", "0"], [1, 0]),
        (("1", "2", "3"), ["1", "3", "2"], [0, 2, 1]),
        (("1", "2", "3"), ["1", "0"], None),
        (("a", "b", "0"), ["0", "a"], [2, 0]),
        (("a", "b", "0"), ["0", "1"], None),
    ],
)
def test_a_class_is_never_taken_for_the_one_whose_index_it_is_named_by(names, texts, found):
    task = own_task("own", label_kind="window_class", label_names=names, window=64, build="x", summary="s", rows=ROWS)
    column = pa.chunked_array([texts])
    if found is None:
        with pytest.raises(LabelError, match=rf"row 1 is no class: {', '.join(names)}\.$"):
            task.kind.parse(task, column, np.ones(len(texts)))
    else:
        assert task.kind.parse(task, column, np.ones(len(texts))).to_pylist() == found
