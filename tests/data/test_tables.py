"""Label files other than BED: what is no table of a task's columns is refused with the file, the column and the row."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bend_hf.data.tables import read_table
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS

TASK = TASKS["variant_effects_expression"]
NAMES = [column.name for column in TASK.columns]
GOOD = {name: ["1", "2", "3"] for name in NAMES}


def parquet(path: Path, columns: dict) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def text(path: Path, columns: dict) -> Path:
    mark = {".csv": ",", ".tsv": "\t"}[path.suffix]
    lines = [mark.join(columns), *(mark.join(row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["labels.parquet", "labels.csv", "labels.tsv"])
def test_columns_are_read_as_text_in_the_declared_order(tmp_path: Path, name: str) -> None:
    backwards = dict(reversed((GOOD | {NAMES[1]: ["007", "1e3", "x"]}).items()))
    write = parquet if name.endswith("parquet") else text
    table = read_table(TASK, write(tmp_path / name, backwards))
    assert table.column_names == NAMES
    assert set(table.schema.types) == {pa.string()}
    assert table[NAMES[1]].to_pylist() == ["007", "1e3", "x"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({name: GOOD[name] for name in NAMES[1:]}, f"lacks the column '{NAMES[0]}'"),
        (GOOD | {"more": GOOD[NAMES[0]]}, "has the unknown column 'more'"),
        ({name: [] for name in NAMES}, "has no rows"),
    ],
    ids=["missing", "unknown", "empty"],
)
@pytest.mark.parametrize("name", ["labels.parquet", "labels.csv"])
def test_other_columns_and_no_rows_are_refused(tmp_path: Path, name: str, columns: dict, said: str) -> None:
    path = (parquet if name.endswith("parquet") else text)(tmp_path / name, columns)
    with pytest.raises(BendError) as error:
        read_table(TASK, path)
    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_a_missing_value_is_told_by_row_and_column(tmp_path: Path) -> None:
    path = parquet(tmp_path / "labels.parquet", GOOD | {NAMES[2]: ["1", None, "3"]})
    with pytest.raises(BendError, match=rf"labels\.parquet, row 2, column '{NAMES[2]}': there is no value"):
        read_table(TASK, path)


def test_lists_are_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "labels.parquet", GOOD | {NAMES[2]: [[1], [2], [3]]})
    with pytest.raises(BendError, match=rf"column '{NAMES[2]}' holds list<.*>: write it as text"):
        read_table(TASK, path)


def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    path = text(tmp_path / "labels.csv", GOOD)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"{line},{line.partition(',')[0]}" for line in lines) + "\n")
    with pytest.raises(BendError, match=r"labels\.csv has a column twice"):
        read_table(TASK, path)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(BendError, match=r"labels\.parquet cannot be read"):
        read_table(TASK, path)
