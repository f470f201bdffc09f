"""Label files other than BED: Parquet, CSV and TSV with the columns a task declares, read as text.

table = read_table(task, Path("my_task/my_task.parquet"))

Every value comes as text, as a BED file's does, so that one reader checks them all.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from bend_hf.errors import BendError
from bend_hf.tasks import Task

DELIMITERS = {".csv": ",", ".tsv": "\t"}
ENDINGS = (".bed", ".parquet", *DELIMITERS)
"""Of label files."""


def read_table(task: Task, path: Path) -> pa.Table:
    """Return the declared columns of a Parquet, CSV or TSV file as strings.

    Raises:
        BendError: The file cannot be read, has other columns than declared, no rows, or a row without a value.
    """
    expected = [column.name for column in task.columns]
    try:
        table = _parquet(path) if path.suffix == ".parquet" else _delimited(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise BendError(f"{path} cannot be read: {error}.") from error
    missing = [name for name in expected if name not in table.column_names]
    extra = [name for name in table.column_names if name not in expected]
    for problem, names in (("lacks the column", missing), ("has the unknown column", extra)):
        if names:
            raise BendError(
                f"{path} {problem} {', '.join(map(repr, names))}. The columns of {task.name} are: {' '.join(expected)}."
            )
    if len(set(table.column_names)) < len(table.column_names):
        raise BendError(f"{path} has a column twice: {' '.join(table.column_names)}.")
    if not len(table):
        raise BendError(f"{path} has no rows.")
    for name in expected:
        if table[name].null_count:
            row = pc.index(pc.is_null(table[name]), True).as_py()
            raise BendError(f"{path}, row {row + 1}, column {name!r}: there is no value.")
    return table.select(expected)


def _parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    for column in table.schema:
        if pa.types.is_nested(column.type):
            raise BendError(f"{path}, column {column.name!r} holds {column.type}: write it as text.")
    return pa.table({name: table[name].cast(pa.string()) for name in table.column_names})


def _delimited(path: Path) -> pa.Table:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
        names = handle.readline().rstrip("\r\n").split(DELIMITERS[path.suffix])
    texts = pa.csv.ConvertOptions(
        column_types={name.strip('"'): pa.string() for name in names}, strings_can_be_null=False
    )
    return pa.csv.read_csv(
        path, parse_options=pa.csv.ParseOptions(delimiter=DELIMITERS[path.suffix]), convert_options=texts
    )
