"""2,000 mutations of files end in one error, in the undisturbed result, or in what independent readers make of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from damage import fuzz, mutations
from damage.subjects import SUBJECTS, Subject

from bend_hf.errors import BendError

ONLY_REFUSED = ("record", "predictions", "marker of a mirror", "header of weights", "weights, loaded")


def test_the_short_run_has_2000_mutations():
    assert sum(count for count, _ in SUBJECTS.values()) == 2000


@pytest.mark.parametrize("name", SUBJECTS)
def test_mutations_end_well(name: str, tmp_path: Path):
    ends = Counter(end for _, end in fuzz.trials(name, SUBJECTS[name][0], 0, tmp_path))
    assert set(ends) <= set(fuzz.GOOD), ends
    assert sum(ends.values()) == SUBJECTS[name][0]
    if name not in ONLY_REFUSED:  # what is always refused would pass as well if everything were
        assert ends[fuzz.UNDISTURBED] + ends[fuzz.AS_READ] > 0


def test_equal_seeds_give_equal_mutations(tmp_path: Path):
    ends = [list(fuzz.trials("task.json", 20, 7, tmp_path / part)) for part in ("a", "b")]
    assert ends[0] == ends[1]


def told(use, others=None) -> str:
    """The end of a file of a subject whose sound result is 1."""
    return fuzz.end_of(Subject(Path("here/file.bed"), mutations.blind, use, others), 1)


def failing(error: Exception):
    def use():
        raise error

    return use


@pytest.mark.parametrize(
    ("use", "others", "end"),
    [
        (lambda: 1, None, "undisturbed"),
        (lambda: 2, None, "ANOTHER RESULT"),
        (lambda: 2, lambda: 2, "as others read it"),
        (lambda: 2, lambda: 3, "ANOTHER RESULT than others read"),
        (lambda: 2, failing(KeyError("x")), "ACCEPTED what no other reader takes (KeyError: 'x')"),
        (failing(BendError("file.bed, line 3: wrong.")), None, "one error"),
        (failing(BendError("wrong.")), None, "an unclear error: 'wrong.'"),
        (failing(BendError("file.bed:\nwrong.")), None, "one error"),  # an error is one line, whatever was put in
    ],
)
def test_what_counts_as_which_end(use, others, end: str):
    assert told(use, others) == end


def test_other_exceptions_are_told_with_their_place():
    assert told(failing(KeyError("x"))).startswith("KeyError (\"'x'\", test_damage_fuzz.py:")
