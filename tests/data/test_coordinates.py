"""Bad input gives one clear error before any sequence is written; odd but valid input is read as it is meant."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import logging
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
from data_folder import DataFolder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bend_hf.data import coordinates
from bend_hf.data import rows as data_rows
from bend_hf.data.builder import build
from bend_hf.data.coordinates import read
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS


def tables(data: DataFolder, task: str) -> dict[str, pa.Table]:
    return read(data.files(task), Genome(data.fasta))


def edit(task: str, row: int, **values: str) -> Callable[[DataFolder], None]:
    return lambda data: data.edit(task, row, **values)


def text(task: str, change: Callable[[str], str]) -> Callable[[DataFolder], None]:
    return lambda data: data.bed(task).write_text(change(data.bed(task).read_text()))


def labels(task: str, row: int, values: list[float]) -> Callable[[DataFolder], None]:
    def change(data: DataFolder) -> None:
        data.labels[task][row] = np.array(values)
        data.write_labels(task)

    return change


def repeat_first(lines: str) -> str:
    return lines + lines.splitlines()[1] + "\n"


GENE, BIN, MULTI, VARIANT = "gene_finding", "enhancer_annotation", "chromatin_accessibility", "variant_effects_disease"

BAD: dict[str, tuple[str, Callable[[DataFolder], None], str]] = {
    "unknown chromosome": (
        MULTI,
        edit(MULTI, 3, chromosome="chr7"),
        r"accessibility\.bed, line 5, column 'chromosome': 'chr7' is not in the genome \(GRCh37\).*Choices: chr1, chr2",
    ),
    "end beyond the chromosome": (
        MULTI,
        edit(MULTI, 2, start="119700", end="120212"),
        r"line 4, column 'end': '120212' lies beyond the chromosome's end in .*any\.fa\. Is that file GRCh37\?",
    ),
    "negative start": (MULTI, edit(MULTI, 0, start="-1", end="511"), "line 2, column 'start': '-1' is negative"),
    "start == end": (GENE, edit(GENE, 1, start="50", end="50"), "line 3, column 'end': '50' is not behind start"),
    "start > end": (GENE, edit(GENE, 1, start="50", end="40"), "line 3, column 'end': '40' is not behind start"),
    "window of another length": (
        MULTI,
        edit(MULTI, 0, start="0", end="511"),
        r"column 'end': '511' is not start \+ 512",
    ),
    "length column": (GENE, edit(GENE, 0, length="3"), "line 2, column 'length': '3' differs from end - start"),
    "start is no number": (MULTI, edit(MULTI, 5, start="12.5"), "line 7, column 'start': '12.5' is not a whole number"),
    "start is empty": (MULTI, edit(MULTI, 5, start=""), "line 7, column 'start': '' is not a whole number"),
    "start is huge": (MULTI, edit(MULTI, 5, start="9" * 30), "line 7, column 'start': '9+' is not a whole number"),
    "unknown split": (
        MULTI,
        edit(MULTI, 6, split="validation"),
        "line 8, column 'split': 'validation' is unknown. The splits of .* are written: train, valid, test",
    ),
    "unknown strand": (MULTI, edit(MULTI, 6, strand="1"), "line 8, column 'strand': '1' is unknown"),
    "label out of range": (
        MULTI,
        edit(MULTI, 4, label="3,125"),
        "line 6, column 'label': '3,125' holds the label 125: labels are 0 to 124",
    ),
    "negative label": (MULTI, edit(MULTI, 4, label="-1"), "line 6, column 'label': '-1' holds the label -1"),
    "label is no list": (
        MULTI,
        edit(MULTI, 4, label="3;5"),
        "line 6, column 'label': '3;5' is no comma-separated list",
    ),
    "label with a gap": (
        MULTI,
        edit(MULTI, 4, label="3,,5"),
        "line 6, column 'label': '3,,5' is no comma-separated list",
    ),
    "label twice": (MULTI, edit(MULTI, 4, label="5,3,5"), "line 6, column 'label': '5,3,5' names the label 5 twice"),
    "header missing": (
        MULTI,
        text(MULTI, lambda lines: lines.split("\n", 1)[1]),
        "line 1: there is no header row .* Put this line .*first: chromosome start end score - strand label split",
    ),
    "column missing": (
        MULTI,
        text(MULTI, lambda lines: lines.replace("strand", "strnd", 1)),
        "line 1: the header lacks column 'strand'. The columns of chromatin_accessibility are",
    ),
    "column too many": (
        MULTI,
        text(MULTI, lambda lines: lines.replace("\n", "\textra\n")),
        "line 1: the header has the unknown column 'extra'",
    ),
    "column twice": (
        MULTI,
        text(MULTI, lambda lines: lines.replace("\n", "\tlabel\n")),
        "line 1: the header has twice the column 'label'",
    ),
    "empty file": (MULTI, text(MULTI, lambda _: ""), "is empty"),
    "no rows": (MULTI, text(MULTI, lambda lines: lines.splitlines()[0] + "\n"), "has a header but no rows"),
    "a field too few": (
        MULTI,
        text(MULTI, lambda lines: lines.replace("\t.\t1\t", "\t.\t", 1)),
        "line 2: 7 tab-separated fields instead of 8",
    ),
    "no text": (MULTI, lambda data: data.bed(MULTI).write_bytes(b"\xff\xfe\x00\x01"), "is no text file"),
    "repeated row": (
        MULTI,
        text(MULTI, repeat_first),
        "line 42, column 'start': .* belongs to a row that repeats line 2 in every column",
    ),
    "HDF5 missing": (GENE, lambda data: data.hdf5(GENE).unlink(), r"gene_finding\.hdf5: there is no such file"),
    "HDF5 is none": (
        GENE,
        lambda data: data.hdf5(GENE).write_text("<html>"),
        r"gene_finding\.hdf5 is no readable HDF5",
    ),
    "HDF5 with other rows": (
        GENE,
        lambda data: (data.labels[GENE].pop(), data.write_labels(GENE))[1],
        r"gene_finding\.hdf5, dataset 'labels': 7 rows, but the BED file has 8",
    ),
    "labels too short": (
        GENE,
        labels(GENE, 3, [0.0] * 5),
        r"gene_finding\.hdf5, dataset 'labels', row 3 \(.*bed, line 5\): 5 labels for a window of \d+ nucleotides",
    ),
    "bins of another number": (
        BIN,
        lambda data: (data.labels.update({BIN: [row[:-1] for row in data.labels[BIN]]}), data.write_labels(BIN))[1],
        r"row 0 .*: 781 labels for a window of 782 bins",
    ),
    "bin label out of range": (
        BIN,
        labels(BIN, 5, [0.0] * 781 + [2.0]),
        r"row 5 \(.*line 7\): the label 2.0 is out of range",
    ),
    "variant is an interval": (
        VARIANT,
        edit(VARIANT, 1, end="4"),
        r"line 3, column 'end': '4' differs from start: a variant has start == end",
    ),
    "variant beyond the chromosome": (
        VARIANT,
        edit(VARIANT, 1, start="4000", end="4000"),
        "line 3, column 'start': '4000' lies beyond the chromosome's end",
    ),
    "an insertion": (VARIANT, edit(VARIANT, 1, alt="AC"), "line 3, column 'alt': 'AC' is no allele"),
    "no alternate allele": (VARIANT, edit(VARIANT, 1, alt=""), "line 3, column 'alt': '' is no allele"),
    "variant label": (
        VARIANT,
        edit(VARIANT, 1, label="2"),
        "line 3, column 'label': '2' is out of range: labels are 0 to 1",
    ),
    "variant label is no number": (
        VARIANT,
        edit(VARIANT, 1, label="yes"),
        "column 'label': 'yes' is not a whole number",
    ),
    "variant split": (VARIANT, edit(VARIANT, 1, split="test"), "column 'split': 'test' is unknown"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error(data: DataFolder, case: str) -> None:
    task, change, message = BAD[case]
    change(data)
    with pytest.raises(BendError, match=message):
        tables(data, task)


@pytest.mark.parametrize("value", [0.5, -1.0, 9.0, float("nan"), float("inf")])
def test_labels_in_hdf5_must_be_classes(data: DataFolder, value: float) -> None:
    data.labels[GENE][2][10] = value
    data.write_labels(GENE)
    with pytest.raises(BendError, match=rf"row 2 \(.*line 4\): the label {value} is out of range.*numbers 0 to 8"):
        tables(data, GENE)


def test_hdf5_without_labels(data: DataFolder) -> None:
    with h5py.File(data.hdf5(GENE), "w") as file:
        file["other"] = np.zeros(3)
    with pytest.raises(BendError, match="has no dataset 'labels', only: 'other'"):
        tables(data, GENE)


def test_reference_alleles_that_differ_suggest_the_wrong_build(data: DataFolder) -> None:
    rows = data.rows(VARIANT)
    for row in rows[2:6]:
        other = next(base for base in "ACGT" if base not in (row["ref"], row["alt"]))
        row["ref"] = other
    data.write(VARIANT, rows)
    with pytest.raises(BendError) as error:
        tables(data, VARIANT)
    message = str(error.value)
    assert "4 of 8 reference alleles (50.0%) differ" in message
    assert f"line 4 chr2:511 ref {rows[2]['ref']}, genome {data.chromosomes['chr2'][511]}" in message
    assert message.count("line ") == 3, "the first three rows are named"
    assert "another genome build" in message
    assert "genome= (--genome)" in message


def test_a_window_that_no_row_can_hold_is_told_by_its_line(data: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bend_hf.data.coordinates.LONGEST", 511)
    with pytest.raises(BendError, match=r"line 2, column 'end': '\d+' makes a window of more than 511 bp: cut it into"):
        tables(data, MULTI)


def test_lines_are_counted_with_empty_ones(data: DataFolder) -> None:
    data.edit(MULTI, 3, chromosome="chr7")
    lines = data.bed(MULTI).read_text().splitlines()
    data.bed(MULTI).write_text("\n".join([*lines[:2], "", *lines[2:]]) + "\n")
    with pytest.raises(BendError, match="line 6, column 'chromosome'"):
        tables(data, MULTI)


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_blocks_count_the_filled_lines_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(coordinates, "_BLOCK", block)
    path = tmp_path / "lines"
    for content in (b"a\n\nbc\r\n\r\n\n\rd\ne", b"\n\r\n\nx\n", b"\ra\rb\r\n\r", b"\n\n", b"", b"one"):
        path.write_bytes(content)
        with path.open("rb") as handle:
            assert coordinates._filled_lines(path) == sum(1 for line in handle if line.strip(b"\r\n")), content


def test_a_subset_is_a_warning_with_both_numbers(data: DataFolder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "bend_hf"):
        tables(data, MULTI)
    assert "40 rows, the released file has 2,062,129 (train 20 of 1,410,554, validation 10 of 279,422" in caplog.text


def test_the_declared_number_of_rows_is_no_warning(data: DataFolder, caplog: pytest.LogCaptureFixture) -> None:
    files = data.files(VARIANT)
    declared = dataclasses.replace(files, task=dataclasses.replace(files.task, rows={"test": 8}))
    read(declared, Genome(data.fasta))
    assert not caplog.records


def label_lists(data: DataFolder, task: str, values: list[str]) -> list[list[int]]:
    rows = [row | {"split": "train", "label": value} for row, value in zip(data.rows(task), values, strict=False)]
    data.write(task, rows)
    return tables(data, task)["train"]["labels"].to_pylist()


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (["3", "0", "12"], [[3], [0], [12]]),
        (["", "", ""], [[], [], []]),
        (["", "1,0", ""], [[], [1, 0], []]),
    ],
    ids=["single integers", "nothing on", "mixed"],
)
def test_label_columns(data: DataFolder, written: list[str], read_as: list[list[int]]) -> None:
    assert label_lists(data, MULTI, written) == read_as


@given(st.lists(st.lists(st.integers(0, 17), unique=True, max_size=18), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_label_lists_are_read_back(data: DataFolder, lists: list[list[int]]) -> None:
    base = {"chromosome": "1", "score": ".", "-": "1", "strand": "+", "split": "test"}
    order = [column.name for column in TASKS["histone_modification"].columns]
    rows = [
        base | {"start": str(i), "end": str(i + 512), "label": ",".join(map(str, on))} for i, on in enumerate(lists)
    ]
    data.write("histone_modification", [{name: row[name] for name in order} for row in rows])
    assert tables(data, "histone_modification")["test"]["labels"].to_pylist() == lists


def test_labels_across_chunks_of_a_large_file(data: DataFolder) -> None:
    """Arrow reads a file in blocks of a megabyte; errors and labels must not shift at their edges."""
    n_rows = 60_000
    start = np.arange(n_rows)
    on = [[i % 7, 7 + i % 11] if i % 3 else [] for i in range(n_rows)]
    header = "chromosome\tstart\tend\tscore\t-\tstrand\tlabel\tsplit\n"
    lines = [f"chr1\t{i}\t{i + 512}\t.\t1\t+\t{','.join(map(str, on[i]))}\ttest\n" for i in start]
    path = data.bed("histone_modification")
    path.write_text(header + "".join(lines))
    assert path.stat().st_size > 1 << 20
    assert tables(data, "histone_modification")["test"]["labels"].to_pylist() == on
    lines[55_555] = lines[55_555].replace("\ttest", "\ttset")
    lines[55_554] = "chr1\t55554\t56066\t.\t1\t+\t3,99\ttest\n"
    path.write_text(header + "".join(lines))
    with pytest.raises(BendError, match="line 55557, column 'split': 'tset'"):
        tables(data, "histone_modification")
    lines[55_555] = lines[55_555].replace("\ttset", "\ttest")
    path.write_text(header + "".join(lines))
    with pytest.raises(BendError, match="line 55556, column 'label': '3,99' holds the label 99"):
        tables(data, "histone_modification")


def test_columns_are_found_by_name(data: DataFolder) -> None:
    expected = tables(data, MULTI)
    data.write(MULTI, [dict(reversed(row.items())) for row in data.rows(MULTI)])
    assert tables(data, MULTI) == expected


def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_newline(data: DataFolder) -> None:
    expected = tables(data, MULTI)
    content = data.bed(MULTI).read_bytes().rstrip(b"\n")
    data.bed(MULTI).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert tables(data, MULTI) == expected


def test_equal_windows_with_other_labels_are_no_duplicates(data: DataFolder) -> None:
    rows = data.rows(MULTI)
    data.write(MULTI, [*rows, rows[0] | {"label": "124"}])
    assert sum(map(len, tables(data, MULTI).values())) == 41


def test_lower_case_alleles(data: DataFolder) -> None:
    row = data.rows(VARIANT)[0]
    data.edit(VARIANT, 0, ref=row["ref"].lower(), alt=row["alt"].lower())
    table = tables(data, VARIANT)["test"]
    assert (table["ref"][0].as_py(), table["alt"][0].as_py()) == (row["ref"], row["alt"])


def test_a_quotation_mark_is_a_letter_like_any_other(data: DataFolder) -> None:
    """Quoting would make one field of all lines from the first mark to the second."""
    rows = data.rows(VARIANT)
    rows[2]["full_label"], rows[5]["full_label"] = '"x', 'y"'
    data.write(VARIANT, rows)
    table = tables(data, VARIANT)["test"]
    assert table["start"].to_pylist() == [int(row["start"]) for row in rows]
    assert table["full_label"].to_pylist() == [row["full_label"] for row in rows]


@pytest.mark.parametrize("value", ["0x10", "0X1F", "+5", " 5", "5 ", "5.0", "1e3", "１２", "5_0", "--5", "-"])
def test_what_is_no_decimal_integer_is_refused(data: DataFolder, value: str) -> None:
    data.edit(GENE, 3, flank_left=value)
    with pytest.raises(BendError, match=r"line 5, column 'flank_left': .* is not a whole number"):
        tables(data, GENE)
    data.edit(MULTI, 3, label=f"3,{value}")
    with pytest.raises(BendError, match=r"line 5, column 'label': .* is no comma-separated list"):
        tables(data, MULTI)


LINES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a trailing tab": (lambda text: text.replace(b"\ttrain\n", b"\ttrain\t\n", 1), "line 2: 9 tab-separated fields"),
    "a carriage return": (
        lambda text: text.replace(b"\ttrain\n", b"\ttr\rain\n", 1),
        "line 2: a carriage return within the line",
    ),
    # Either half is a whole row: read as two lines, there would be one row more than lines.
    "two lines in one": (
        lambda text: text.replace(b"\n", b"\r", 2).replace(b"\r", b"\n", 1),
        "line 2: (a carriage return|15 tab-separated fields)",
    ),
    "only carriage returns": (lambda text: text.replace(b"\n", b"\r"), "carriage returns only"),
    "the header again": (lambda text: text + text.splitlines(keepends=True)[0], "line 42, column 'start': 'start'"),
    "no UTF-8": (lambda text: text.replace(b"chr1", b"chr\xff", 1), "line 2: bytes that are no UTF-8 text"),
    "gzip": (gzip.compress, "is compressed with gzip. Decompress it"),
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "is no text file"),
    "quoted header": (lambda text: text.replace(b"chromosome", b'"chromosome"', 1), "lacks column 'chromosome'"),
    "header with a trailing tab": (lambda text: text.replace(b"\n", b"\t\n", 1), "unknown column ''"),
    "header only": (lambda text: text.splitlines()[0], "has a header but no rows"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_line_is_a_row_or_an_error(data: DataFolder, case: str) -> None:
    change, message = LINES[case]
    data.bed(MULTI).write_bytes(change(data.bed(MULTI).read_bytes()))
    with pytest.raises(BendError, match=message):
        tables(data, MULTI)


class TestWindowsInTwoSplits:
    @pytest.fixture
    def shared(self, data: DataFolder) -> DataFolder:
        rows = data.rows(MULTI)
        others = [rows[i] | {"split": "test", "chromosome": "1"} for i in (0, 1)]  # of training windows
        same = rows[4] | {"label": "124"}  # a test window twice in one split
        data.write(MULTI, [*rows, *others, same])
        return data

    def test_are_counted_in_a_warning_whenever_the_rows_are_used(
        self, shared: DataFolder, caches: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            data_rows.prepare(shared.files(MULTI))
            assert "line 42: this window lies in another split as well: 2 windows in all" in caplog.text
            caplog.clear()
            data_rows._warn_once.cache_clear()

    def test_are_an_error_if_asked_for(self, shared: DataFolder, caches: Path) -> None:
        files = dataclasses.replace(shared.files(MULTI), strict=True)
        for _ in range(2):
            with pytest.raises(BendError, match=r"bed, line 42: .*as well: 2 windows in all.*remove them"):
                data_rows.prepare(files)

    def test_are_an_error_if_asked_for_of_rows_that_are_built_already(self, shared: DataFolder, caches: Path) -> None:
        build(shared.files(MULTI))
        with pytest.raises(BendError, match=r"accessibility\.bed, line 42: .*remove them"):
            build(dataclasses.replace(shared.files(MULTI), strict=True))

    def test_overlapping_windows_are_none(
        self, data: DataFolder, caches: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        data_rows.prepare(dataclasses.replace(data.files(MULTI), strict=True))
        assert "another split" not in caplog.text


def _replaced(make: Callable[[h5py.File, np.ndarray], None]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        values = file["labels"][()]
        del file["labels"]
        make(file, values)

    return change


def _virtual(file: h5py.File, values: np.ndarray) -> None:
    layout = h5py.VirtualLayout(shape=values.shape, dtype=values.dtype)
    layout[:] = h5py.VirtualSource("elsewhere.h5", "labels", shape=values.shape)
    file.create_virtual_dataset("labels", layout)


def _sparse(file: h5py.File, values: np.ndarray) -> None:
    data = file.create_dataset("labels", values.shape, values.dtype, chunks=(2, 782))
    data[:4] = values[:4]


BAD_HDF5: dict[str, tuple[Callable[[h5py.File, np.ndarray], object], str]] = {
    "a group": (lambda f, v: f.create_dataset("labels/values", data=v), r"'labels' is a group.*it holds: 'values'"),
    "a link to nothing": (lambda f, v: f.__setitem__("labels", h5py.SoftLink("/gone")), "a link to '/gone'"),
    "an external link": (
        lambda f, v: f.__setitem__("labels", h5py.ExternalLink("other.h5", "labels")),
        "lies in another file",
    ),
    "a virtual dataset": (_virtual, "lies in another file"),
    "external storage": (
        lambda f, v: f.create_dataset("labels", v.shape, v.dtype, external="raw.bin"),
        "lies in another file",
    ),
    "a type": (lambda f, v: f.__setitem__("labels", np.dtype("f8")), "'labels' is a datatype, no dataset"),
    "one number": (lambda f, v: f.create_dataset("labels", data=1.0), "0 rows, but the BED file has 11"),
    "nothing": (lambda f, v: f.create_dataset("labels", data=h5py.Empty("f8")), "0 rows, but the BED file has 11"),
    "texts": (lambda f, v: f.create_dataset("labels", data=["0" * 782] * 11), "of type object are no labels"),
    "bytes": (lambda f, v: f.create_dataset("labels", data=v.astype("S1")), r"of type \|S1 are no labels"),
    "complex numbers": (lambda f, v: f.create_dataset("labels", data=v * 1j), "of type complex128 are no labels"),
    "records": (
        lambda f, v: f.create_dataset("labels", data=np.zeros(11, [("a", "f8"), ("b", "i4")])),
        "are no labels",
    ),
    "one row each": (lambda f, v: f.create_dataset("labels", data=v[:, 0]), "row 0 .*: 1 label for a window of 782"),
    "rows of two axes": (
        lambda f, v: f.create_dataset("labels", data=v.reshape(11, 2, 391)),
        "rows of 2 × 391 values, and nothing says in which order they are read",
    ),
    "elements of two axes": (
        lambda f, v: f.create_dataset("labels", (11,), np.dtype(("i1", (2, 391)))),
        "rows of 2 × 391 values",
    ),
    "turned round": (lambda f, v: f.create_dataset("labels", data=v.T), "782 rows, but the BED file has 11"),
    "rows never written": (_sparse, "some rows were never written; they would be read as 0.0"),
    "nothing written": (lambda f, v: f.create_dataset("labels", v.shape, v.dtype), "some rows were never written"),
}


@pytest.mark.parametrize("case", BAD_HDF5)
def test_labels_that_are_no_plain_dataset(data: DataFolder, case: str) -> None:
    make, message = BAD_HDF5[case]
    with h5py.File(data.hdf5(BIN), "a") as file:
        _replaced(make)(file)
    with pytest.raises(BendError, match=rf"enhancer_annotation\.hdf5.*{message}"):
        tables(data, BIN)


GOOD_HDF5: dict[str, Callable[[h5py.File, np.ndarray], object]] = {
    "bool": lambda f, v: f.create_dataset("labels", data=v.astype(bool)),
    "uint8": lambda f, v: f.create_dataset("labels", data=v.astype("u1")),
    "big-endian floats": lambda f, v: f.create_dataset("labels", data=v.astype(">f4")),
    "uint64": lambda f, v: f.create_dataset("labels", data=v.astype("u8")),
    "half floats, compressed": lambda f, v: f.create_dataset("labels", data=v.astype("f2"), compression="gzip"),
    "a last axis of one": lambda f, v: f.create_dataset("labels", data=v[:, :, None], chunks=(3, 100, 1)),
    "a link within the file": lambda f, v: (f.create_dataset("data/v1", data=v), f.__setitem__(
        "labels", h5py.SoftLink("/data/v1"))),
    "resizable": lambda f, v: f.create_dataset("labels", data=v, maxshape=(None, 782)),
    "rows as arrays": lambda f, v: f.create_dataset("labels", (11,), np.dtype(("f8", (782,)))).__setitem__((), v),
    "rows of any length": lambda f, v: f.create_dataset("labels", (11,), h5py.vlen_dtype(int)).__setitem__((), v),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD_HDF5)
def test_labels_in_any_layout_of_numbers(data: DataFolder, case: str) -> None:
    expected = tables(data, BIN)
    with h5py.File(data.hdf5(BIN), "a") as file:
        _replaced(lambda f, v: GOOD_HDF5[case](f, v))(file)
    assert tables(data, BIN) == expected


@pytest.mark.parametrize("task", [GENE, BIN])
@pytest.mark.parametrize("at_once", [1, 2_000, 10_000])
def test_labels_do_not_depend_on_the_size_of_blocks(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch, task: str, at_once: int
) -> None:
    expected = tables(data, task)
    monkeypatch.setattr("bend_hf.data.coordinates.LABELS_AT_ONCE", at_once)
    assert tables(data, task) == expected


class TestDamagedHdf5:
    def test_a_chunk_that_cannot_be_read_names_its_row(self, data: DataFolder) -> None:
        values = np.stack(data.labels[BIN])
        with h5py.File(data.hdf5(BIN), "w") as file:
            file.create_dataset("labels", data=values, chunks=(1, 782), compression="gzip", fletcher32=True)
            where = file["labels"].id.get_chunk_info(4).byte_offset
        content = bytearray(data.hdf5(BIN).read_bytes())
        content[where + 10] ^= 0xFF
        data.hdf5(BIN).write_bytes(content)
        with pytest.raises(BendError, match=r"\.hdf5, dataset 'labels', row 4 \(.*\.bed, line 6\): cannot be read"):
            tables(data, BIN)

    @pytest.mark.parametrize("task", [GENE, BIN])
    @pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
    def test_cut_anywhere(self, data: DataFolder, task: str, share: float) -> None:
        content = data.hdf5(task).read_bytes()
        data.hdf5(task).write_bytes(content[: int(len(content) * share)])
        with pytest.raises(BendError, match=r"\.hdf5 is no readable HDF5 file"):
            tables(data, task)

    def test_any_flipped_byte_gives_the_labels_or_one_error(self, data: DataFolder) -> None:
        """What HDF5 itself does not notice is another value; anything else has to be a BendError."""
        content = data.hdf5(BIN).read_bytes()
        rng = np.random.default_rng(0)
        for at in rng.integers(0, 2_500, 60):  # where the structure lies; values follow it
            harmed = bytearray(content)
            harmed[at] ^= 1 << int(rng.integers(8))
            data.hdf5(BIN).write_bytes(harmed)
            with contextlib.suppress(BendError):
                assert set(tables(data, BIN)) == {f"part{k}" for k in range(1, 11)}


def test_a_chromosome_has_one_name_in_all_rows(data: DataFolder) -> None:
    """Named in two ways it would be two clusters of a resampling."""
    rows = data.rows(MULTI)
    for number, row in enumerate(rows):
        assert row["chromosome"] == "chr1"
        row["chromosome"] = "chr1" if number % 3 else "1"
    data.write(MULTI, rows)
    found = [name for table in tables(data, MULTI).values() for name in table["chromosome"].to_pylist()]
    assert found == ["1"] * len(rows)
