"""Reading tab-separated text: every line is a row, and every error names its line."""

import gzip

import numpy as np
import pytest

from bend_hf.build.readers import text
from bend_hf.build.readers.text import Lines, read_table
from bend_hf.errors import BendError

ROWS = 'c1\t5\t9\tx "y\n# a comment\n\ntrack name=z\nc1\t7\t8\tq" z\nc2\t1\t2\tw\n'


@pytest.fixture(params=[1 << 24, 7])
def block(request, monkeypatch):
    monkeypatch.setattr(text, "_BLOCK", request.param)


def read(path, columns=("chromosome", "start", "end"), **options):
    lines = Lines(path, columns, "BED", **options)
    return lines, [row for table in lines for row in zip(*(c.to_pylist() for c in table.columns), strict=True)]


def test_every_line_is_a_row_whatever_the_block_or_the_compression(tmp_path, block):
    plain, packed = tmp_path / "a.bed", tmp_path / "b.bed"
    plain.write_text(ROWS)
    packed.write_bytes(
        gzip.compress(ROWS[:20].encode()) + gzip.compress(ROWS[20:].encode())
    )  # as bgzip: several members
    wanted = [("c1", "5", "9", 'x "y'), ("c1", "7", "8", 'q" z'), ("c2", "1", "2", "w")]
    columns = ("chromosome", "start", "end", "name")
    assert read(plain, columns)[1] == read(packed, columns)[1] == wanted


def test_an_error_names_the_line_in_the_file(tmp_path, block):
    path = tmp_path / "a.bed"
    path.write_text(ROWS + "c2\t0x10\t3\tv\n")
    lines = Lines(path, ("chromosome", "start", "end"), "BED")
    with pytest.raises(BendError, match=r"a\.bed, line 7, start: '0x10' is no(t a)? whole number"):
        for table in lines:
            lines.integers(table, "start")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("c1\t1\t2\nc1\t1\n", r"line 2: 2 tab-separated fields, not 3"),
        ("c1\t1\t2\nc1\t1\t2\t3\n", r"line 2: 4 tab-separated fields, not 3"),
        ("c1 1 2\n", r"line 1: 1 tab-separated fields, not 3 or more"),
        ("c1\t1\t2\n\xff\t1\t2\n", r"line 2: not UTF-8"),
    ],
)
def test_malformed_lines_are_named(tmp_path, rows, message):
    path = tmp_path / "a.bed"
    path.write_bytes(rows.encode("latin-1"))
    with pytest.raises(BendError, match=message):
        read(path)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_byte_order_mark_is_no_text(tmp_path, block, ending):
    path = tmp_path / "a.bed"
    path.write_bytes(b"\xef\xbb\xbf" + ROWS.replace("\n", ending).encode().rstrip(b"\n"))
    assert [row[0] for row in read(path)[1]] == ["c1", "c1", "c2"]


@pytest.mark.parametrize("rows", ["c1\t5\t9\rc1\t7\t8\r", "c1\t5\t9\nc1\t7\t8\rc1\t7\t8\n", "#a\rc1\t5\t9\n"])
def test_carriage_returns_alone_end_no_line(tmp_path, block, rows):
    (tmp_path / "a.bed").write_bytes(rows.encode())
    with pytest.raises(BendError, match=r"a\.bed has carriage returns that end no line"):
        read(tmp_path / "a.bed")


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be"])
def test_utf_16_is_told(tmp_path, block, coding):
    (tmp_path / "a.bed").write_bytes(("\ufeff" * coding.endswith("be") + ROWS).encode(coding))
    with pytest.raises(BendError, match=r"a\.bed is UTF-16 text\. Convert it to UTF-8"):
        read(tmp_path / "a.bed")


def test_a_truncated_file_is_no_shorter_file(tmp_path):
    path = tmp_path / "a.bed.gz"
    path.write_bytes(gzip.compress(ROWS.encode() * 500)[:-30])
    with pytest.raises(BendError, match="truncated or damaged"):
        read(path)


def test_rows_end_at_the_stop_line(tmp_path, block):
    path = tmp_path / "a.gff"
    path.write_text("c1\t1\t2\n##FASTA\nc9\t9\t9\n")
    assert read(path, stop=(b"##FASTA", b">"))[1] == [("c1", "1", "2")]


def test_a_table_knows_its_header_and_its_lines(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("id\tvalue\nx\t1.5\ny\tNA\nz\tbad\n")
    lines, table = read_table(path, ["value"], "values", optional=["id", "absent"])
    assert table.column_names == ["value", "id"]
    with pytest.raises(BendError, match=r"line 4, value: 'bad' is not a number"):
        lines.numbers(table, "value")
    assert np.isnan(lines.numbers(table.slice(0, 2), "value")).tolist() == [False, True]
    with pytest.raises(BendError, match="lacks 'score'; it has: id value"):
        read_table(path, ["score"], "values")
