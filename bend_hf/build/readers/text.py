"""Tab-separated text as everyone keeps it: plain, gzip or bgzip, with comments, far larger than memory.

    lines = Lines(path, ["chromosome", "start", "end"], "BED")
    for table in lines:                        # Arrow tables of strings, some megabytes of text at a time
        starts = lines.integers(table, "start")

There is no quoting: every line that is no comment is one row. An error names the file, the line, the column and the
value.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from bend_hf.console import progress
from bend_hf.errors import BendError
from bend_hf.files import no_file

_BLOCK = 1 << 24
_COMMENTS = re.compile(rb"(?m)^(?:#|track[ \t]|browser[ \t]).*\n?")


class Lines:
    """The rows of a tab-separated file, block by block.

    Attributes:
        path: The file.
        before: Rows of the file before the block that was given last.
        width: Fields of every row, once the first block was given.

    Args:
        path: Plain text, gzip or bgzip (told by content, not by name).
        columns: Names of the columns that are read, in the order of the file.
        what: The format, for messages.
        more: Whether rows may have further columns (the same number in every row); they are not read.
        source: Blocks of text to read instead of the file's own bytes, for formats that another library decodes.
        stop: Beginnings of a line that ends the rows, such as ``##FASTA``.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        what: str,
        *,
        more: bool = True,
        source: Iterable[bytes] | None = None,
        stop: tuple[bytes, ...] = (),
    ) -> None:
        self.path = Path(path)
        self.columns = list(columns)
        self.what = what
        self.more = more
        self.before = 0
        self._source = source
        self._stop = stop
        self.width = 0
        if source is None and (problem := no_file(self.path, f"{what} file")) is not None:
            raise BendError(f"{self.path}: {problem}.")

    def __iter__(self) -> Iterator[pa.Table]:
        self.before, self.width = 0, 0
        for block in self._blocks():
            # Arrow would take a lone carriage return for the end of a line, and line numbers would be wrong.
            if block.count(b"\r") != block.count(b"\r\n") + block.endswith(b"\r"):
                raise BendError(
                    f"{self.path} has carriage returns that end no line, as lines of another system do. Convert it: "
                    "tr '\\r' '\\n'."
                )
            text = _COMMENTS.sub(b"", block)
            if not text.strip(b"\r\n"):
                continue
            table = self._parse(text)
            if len(table):
                yield table
                self.before += len(table)

    def _blocks(self) -> Iterator[bytes]:
        """Yield whole lines, about `_BLOCK` bytes at a time."""
        rest = b""
        for data in self._source if self._source is not None else read_bytes(self.path):
            cut = data.rfind(b"\n") + 1
            if not cut:
                rest += data
                continue
            block, rest = rest + data[:cut], data[cut:]
            at = self._end(block)
            if at is not None:
                yield block[:at]
                return
            yield block
        at = self._end(rest)
        yield rest[:at]

    def _end(self, block: bytes) -> int | None:
        if self._stop and block.startswith(self._stop):
            return 0
        found = [at for each in self._stop if (at := block.find(b"\n" + each)) >= 0]
        return min(found) + 1 if found else None

    def _parse(self, text: bytes) -> pa.Table:
        if not self.width:
            first = text.lstrip(b"\r\n").split(b"\n", 1)[0]
            self.width = first.count(b"\t") + 1
            few = self.width < len(self.columns)
            if few or (self.width > len(self.columns) and not self.more):
                self._wrong_width(0, first, few)
        names = [*self.columns, *(f"_{i}" for i in range(len(self.columns), self.width))]
        try:
            return pa.csv.read_csv(
                pa.BufferReader(text),
                read_options=pa.csv.ReadOptions(column_names=names, block_size=len(text) + 1),
                parse_options=pa.csv.ParseOptions(delimiter="\t", quote_char=False, escape_char=False),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    include_columns=self.columns,
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            rows = [line for line in re.split(rb"\r\n|\n|\r", text) if line]
            for row, line in enumerate(rows):
                if line.count(b"\t") + 1 != self.width:
                    self._wrong_width(self.before + row, line, line.count(b"\t") + 1 < self.width)
                try:
                    line.decode()
                except UnicodeDecodeError:
                    raise BendError(
                        f"{self.path}, line {self.line(self.before + row)}: not UTF-8 text ({line[:60]!r}). "
                        f"Give the {self.what} file itself, or convert it to UTF-8."
                    ) from None
            raise BendError(f"{self.path} cannot be read as {self.what}: {error}.") from error

    def _wrong_width(self, row: int, line: bytes, few: bool) -> NoReturn:
        wanted = self.width if self.width >= len(self.columns) and row else len(self.columns)
        found = line.count(b"\t") + 1
        raise BendError(
            f"{self.path}, line {self.line(row)}: {found} tab-separated fields, not "
            f"{wanted}{' or more' if few and self.more and not row else ''}: {line[:80].decode(errors='replace')!r}. "
            f"Is this {self.what}? Its columns are: {' '.join(self.columns)}."
        )

    def line(self, row: int) -> int:
        """Return the line, from 1, of a row of the whole file, from 0; comments and empty lines are no rows."""
        if self._source is not None:
            return row + 1
        number = seen = 0
        for block in self._blocks():
            for text in io.BytesIO(block):
                number += 1
                if text.strip(b"\r\n") and not _COMMENTS.match(text):
                    if seen == row:
                        return number
                    seen += 1
        return number

    def fail(self, table: pa.Table, row: int, column: str, problem: str) -> NoReturn:
        """Raise the error for a row of the block that was given last."""
        value = table[column][int(row)].as_py()
        raise BendError(f"{self.path}, line {self.line(self.before + int(row))}, {column}: {value!r} {problem}")

    def integers(self, table: pa.Table, column: str, empty: int | None = None) -> np.ndarray:
        """Return a column as (n,) int64; where `empty` is given, it stands for ``.`` and an empty field."""
        values = table[column]
        if empty is not None:
            values = pc.if_else(pc.is_in(values, pa.array([".", ""])), str(empty), values)
        good = pc.match_substring_regex(values, r"^-?\d{1,18}$")
        if not pc.all(good).as_py():
            self.fail(table, np.flatnonzero(~good.to_numpy())[0], column, "is not a whole number.")
        numbers: np.ndarray = pc.cast(values, pa.int64()).to_numpy()
        return numbers

    def numbers(self, table: pa.Table, column: str) -> np.ndarray:
        """Return a column as (n,) float64; ``.``, ``NA`` and an empty field are NaN."""
        values = table[column]
        values = pc.if_else(pc.is_in(values, pa.array([".", "", "NA", "nan", "NaN"])), "nan", values)
        good = pc.match_substring_regex(values, r"^(nan|-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)$")
        if not pc.all(good).as_py():
            self.fail(table, np.flatnonzero(~good.to_numpy())[0], column, "is not a number.")
        numbers: np.ndarray = pc.cast(values, pa.float64()).to_numpy()
        return numbers


def read_bytes(path: Path) -> Iterator[bytes]:
    """Yield a text file's bytes, decompressed where it is gzip or bgzip, with a progress bar.

    Raises:
        BendError: The file is missing, truncated or damaged, or text in UTF-16.
    """
    try:
        with (
            path.open("rb") as raw,
            progress(name="bend_hf.build", total=path.stat().st_size, desc=path.name, unit="B", unit_scale=True) as bar,
        ):
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            handle = gzip.GzipFile(fileobj=raw) if packed else raw
            first = True
            while data := handle.read(_BLOCK):
                if first and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise BendError(f"{path} is UTF-16 text. Convert it to UTF-8: iconv -f UTF-16 -t UTF-8.")
                yield data.removeprefix(codecs.BOM_UTF8) if first else data
                first = False
                bar.update(raw.tell() - bar.n)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BendError(f"{path} is truncated or damaged ({error}). Download it again.") from error
    except OSError as error:
        raise BendError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_table(path: Path, columns: Sequence[str], what: str, optional: Sequence[str] = ()) -> tuple[Lines, pa.Table]:
    """Read a table whose first line names its columns (with or without a leading ``#``), whole.

    Returns:
        The lines, for `Lines.integers`, `Lines.numbers` and `Lines.fail`, and an Arrow table of the `columns` and of
        those `optional` ones that the file has, all strings.

    Raises:
        BendError: A column is missing, or a line has another number of fields than the header.
    """
    path = Path(path)
    first = b""
    for data in read_bytes(path):
        first += data
        if b"\n" in data:
            break
    header = first.split(b"\n", 1)[0].decode(errors="replace").lstrip("#").rstrip("\r").split("\t")
    missing = [name for name in columns if name not in header]
    if missing:
        raise BendError(
            f"{path}, line 1: the header of {what} lacks {', '.join(map(repr, missing))}; it has: {' '.join(header)}."
        )
    lines = _Headed(path, header, what, commented=first.startswith(b"#"))
    tables = list(lines)
    lines.before = 0
    wanted = [*columns, *(name for name in optional if name in header)]
    if not tables:
        raise BendError(f"{path} has a header but no rows.")
    return lines, pa.concat_tables(tables).select(wanted)


class _Headed(Lines):
    """Lines behind a header that names them."""

    def __init__(self, path: Path, header: Sequence[str], what: str, *, commented: bool) -> None:
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise BendError(f"{path}, line 1: the header has twice the column {twice[0]!r}.")
        super().__init__(path, header, what, more=False)
        self._commented = commented

    def _blocks(self) -> Iterator[bytes]:
        # A header without "#" becomes a comment, so that lines are counted with it.
        for number, block in enumerate(super()._blocks()):
            yield block if number or self._commented else b"#" + block
