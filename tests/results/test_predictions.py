"""The table of predictions: what its columns may hold, and lists longer than Arrow's usual ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from result_factory import simulate, stored

from bend_hf.errors import BendError
from bend_hf.results import predictions as module
from bend_hf.results import record
from bend_hf.results.predictions import Predictions, check
from bend_hf.results.summary import summary

VARIANTS, HISTONE = "variant_effects_disease", "histone_modification"


def test_more_entries_than_a_list_column_holds_are_large_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = simulate(HISTONE)
    entries = usual.labels.size
    for most, kind in ((entries, "list"), (entries - 1, "large_list")):
        monkeypatch.setattr(module, "MOST_IN_LISTS", most)
        made = simulate(HISTONE)
        assert [str(made.table[name].type).partition("<")[0] for name in ("scores", "labels")] == [kind] * 2
        back = record.read_predictions(record.read_result(stored(tmp_path / kind, HISTONE, made)))
        assert np.array_equal(back.scores, usual.scores)
        assert np.array_equal(back.labels, usual.labels)
        assert back.keys_digest == usual.keys_digest
        assert summary(back, resamples=20) == summary(usual, resamples=20)


NUMBERS = range(60)
FLOATS = pa.array(np.linspace(0, 1, 60))
WORDS = pa.array([f"{k}" for k in NUMBERS])


def nulled(table: pa.Table, name: str) -> pa.Array:
    """A column without its fourth value."""
    values: list[Any] = table[name].to_pylist()
    values[3] = None
    return pa.array(values, table[name].type)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("scores", pa.array(NUMBERS)),
        ("scores", WORDS),
        ("labels", WORDS),
        ("row", FLOATS),
        ("start", FLOATS),
        ("start", WORDS),
        ("chromosome", pa.array(NUMBERS)),
        ("ref", FLOATS),
        *((name, None) for name in ("scores", "labels", "row", "start", "chromosome", "ref", "alt")),
    ],
)
def test_a_column_of_another_type_or_with_a_null_is_refused(name: str, column: pa.Array | None) -> None:
    table = simulate(VARIANTS).table
    column = nulled(table, name) if column is None else column
    wrong = Predictions(simulate(VARIANTS).task, table.set_column(table.column_names.index(name), name, column))
    with pytest.raises(BendError, match=rf"^here: the column '{name}' holds {column.type}, or nulls, which it cannot"):
        check(wrong, "here")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("scores", pa.float16()),
        ("scores", pa.float64()),
        ("labels", pa.int64()),
        ("labels", pa.float32()),
        ("row", pa.int32()),
        ("start", pa.uint32()),
        ("chromosome", pa.large_string()),
        ("alt", pa.large_string()),
    ],
)
def test_other_widths_of_a_type_are_read(name: str, kind: pa.DataType) -> None:
    usual = simulate(VARIANTS)
    at = usual.table.column_names.index(name)
    wider = Predictions(usual.task, usual.table.set_column(at, name, usual.table[name].cast(kind)))
    check(wider, "here")
    assert np.allclose(wider.scores, usual.scores, atol=1e-3)
    assert np.array_equal(wider.labels, usual.labels)
