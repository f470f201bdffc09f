"""Bad input gives one clear error before any sequence is written; odd but valid input is read as it is meant."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

import h5py
import numpy as np
import pyarrow as pa
import pytest
from data_folder import DataFolder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
        r"gene_finding\.hdf5, dataset 'labels': 7 rows, but .*gene_finding\.bed has 8",
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
    with pytest.raises(BendError, match="has no dataset 'labels', only: other"):
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


def test_lines_are_counted_with_empty_ones(data: DataFolder) -> None:
    data.edit(MULTI, 3, chromosome="chr7")
    lines = data.bed(MULTI).read_text().splitlines()
    data.bed(MULTI).write_text("\n".join([*lines[:2], "", *lines[2:]]) + "\n")
    with pytest.raises(BendError, match="line 6, column 'chromosome'"):
        tables(data, MULTI)


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
        (['"3,17"', "4", '""'], [[3, 17], [4], []]),
    ],
    ids=["single integers", "nothing on", "mixed", "quoted"],
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
