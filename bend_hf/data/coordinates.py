"""Reads a task's BED file (and HDF5 labels) into validated Arrow tables, one per split.

    tables = read(files, Genome(files.fasta))
    tables["test"]        # chromosome start end strand … labels; rows in the order of the file

Coordinates are 0-based half-open; variants have ``start == end``, the position of the variant. Every check is made
here, before any sequence is written. An error names the file, the line, the column, the value and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from bend_hf.console import log
from bend_hf.data import hdf5
from bend_hf.data.genome import LONGEST, Genome
from bend_hf.data.sources import TaskFiles
from bend_hf.data.tables import read_table
from bend_hf.errors import BendError
from bend_hf.kinds import LabelError
from bend_hf.tasks import BEND, Task
from bend_hf.text import counted

SHARED = "windows in two splits"

_AT_ONCE = 1 << 18  # variants
_BLOCK = 1 << 24  # bytes of text
LABELS_AT_ONCE = 4_000_000
"""Labels of an HDF5 file that are held at once."""

Values = Mapping[str, np.ndarray | pa.ChunkedArray]


def read(files: TaskFiles, genome: Genome) -> dict[str, pa.Table]:
    """Return one validated table per split of the dataset.

    Columns are the BED columns that rows carry, under their own names, and ``labels``: list<int8> per nucleotide or
    bin, list<int64> of the indices that are on for multilabel tasks; variants have ``label``, int64.

    Their metadata say, under `SHARED`, how many windows lie in more than one split, and the line of the first.

    Raises:
        BendError: Anything in the files that is not as declared.
    """
    task, bed = files.task, files.bed
    text = read_text(task, bed)
    fail = _Failure(bed, text)
    integers = {column.name: _integers(fail, column.name) for column in task.columns if column.dtype == "int64"}
    splits = _choice(fail, "split", task.split_names, f"The splits of {task.name} are written")
    if "strand" in text.column_names:
        _choice(fail, "strand", ("+", "-", "."), "A strand is written")
    codes = _check_windows(task, fail, integers, genome)
    candidates = _same_start(codes, integers["start"])
    _check_duplicates(fail, candidates)
    columns: dict[str, pa.ChunkedArray | pa.Array | np.ndarray] = {
        column.name: integers.get(column.name, text[column.name]) for column in task.columns if column.row
    }
    columns["chromosome"] = _in_one_way(text["chromosome"], codes)
    if task.kind.variants:
        _check_variants(fail, codes, integers["start"], genome)
        columns["ref"], columns["alt"] = pc.utf8_upper(text["ref"]), pc.utf8_upper(text["alt"])
    columns[task.kind.column] = _labels(files, fail, integers["end"] - integers["start"])
    shared = _windows_in_two_splits(fail, candidates, codes, integers, splits)
    table = pa.table(columns).replace_schema_metadata({SHARED: json.dumps(shared)})
    tables = {name: table.filter(pa.array(splits == name)) for name in dict.fromkeys(task.split_names.values())}
    if not files.in_toy:
        _compare_with_declaration(task, bed, {name: len(rows) for name, rows in tables.items()})
    return tables


def read_text(task: Task, bed: Path) -> pa.Table:
    """Return the BED file's columns as strings, after checking its header.

    Raises:
        BendError: The file is empty, has no header, other columns than declared, or a line with too few or too many.
    """
    if bed.suffix != ".bed":
        return read_table(task, bed)
    expected = [column.name for column in task.columns]
    with bed.open("rb") as handle:
        first = handle.readline()
    if first.startswith(b"\x1f\x8b"):
        raise BendError(f"{bed} is compressed with gzip. Decompress it: gunzip -S '' {bed}")
    try:
        header = first.decode("utf-8-sig").rstrip("\r\n").split("\t")
    except UnicodeDecodeError as error:
        raise BendError(
            f"{bed} is no text file ({error}). It should be a tab-separated BED file with a header."
        ) from error
    if not first.strip():
        raise BendError(f"{bed} is empty or starts with an empty line. Its header is: {' '.join(expected)}.")
    if "\r" in first.decode("utf-8-sig").rstrip("\r\n"):
        raise BendError(f"{bed} has the line ends of another system (carriage returns only): convert it first.")
    if not set(header) & set(expected):
        raise BendError(
            f"{bed}, line 1: there is no header row ({first[:60].decode(errors='replace').strip()!r}). "
            f"Put this line (tab-separated) first: {' '.join(expected)}."
        )
    missing = [name for name in expected if name not in header]
    extra = [name for name in header if name not in expected]
    twice = sorted({name for name in header if header.count(name) > 1})
    for problem, names in (("lacks", missing), ("has the unknown", extra), ("has twice the", twice)):
        if names:
            raise BendError(
                f"{bed}, line 1: the header {problem} column{'s' * (len(names) > 1)} {', '.join(map(repr, names))}. "
                f"The columns of {task.name} are: {' '.join(expected)}."
            )
    lines = _filled_lines(bed) - 1
    if not lines:
        raise BendError(f"{bed} has a header but no rows.")
    try:
        table = pa.csv.read_csv(
            bed,
            read_options=pa.csv.ReadOptions(column_names=header, skip_rows=1),
            parse_options=pa.csv.ParseOptions(delimiter="\t", quote_char=False),  # BED knows no quoting
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(expected, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise _unreadable(bed, len(header), str(error)) from error
    if len(table) != lines:
        raise _unreadable(
            bed, len(header), f"{counted(lines, 'line gives', 'lines give')} {counted(len(table), 'row')}"
        )
    return table.select(expected)


def _filled_lines(path: Path) -> int:
    """Count the lines that hold more than their end: each begins where a byte of another kind follows an end."""
    count, last = 0, b"\n"
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            ends = np.frombuffer(last + block.translate(None, b"\r"), np.uint8) == ord("\n")
            count += int(np.count_nonzero(ends[:-1] & ~ends[1:]))
            last = b"\n" if ends[-1] else b"."
    return count


def _unreadable(bed: Path, fields: int, reason: str) -> BendError:
    """Return the error for a file that is no table, with the first line that is to blame."""
    with bed.open("rb") as handle:
        for number, content in enumerate(handle, start=1):
            line = content.rstrip(b"\r\n")
            text = line.decode("utf-8", errors="replace")
            problem = None
            if line and line.count(b"\t") != fields - 1:
                problem = f"{line.count(bytes([9])) + 1} tab-separated fields instead of {fields}"
            elif b"\r" in line:
                problem = "a carriage return within the line"
            elif "\ufffd" in text:
                problem = "bytes that are no UTF-8 text"
            if problem:
                return BendError(f"{bed}, line {number}: {problem}: {text[:80]!r}.")
    return BendError(f"{bed} cannot be read: {reason}.")


class _Failure:
    """Raises the error for a row of a BED file: it knows the file's lines, for it holds its text."""

    def __init__(self, bed: Path, text: pa.Table) -> None:
        self.bed = bed
        self.text = text

    def line(self, row: int) -> int:
        """Return the line of a row, counted from 1; empty lines are no rows."""
        if self.bed.suffix != ".bed":
            return row + 1
        with self.bed.open("rb") as handle:
            filled = (number for number, line in enumerate(handle, start=1) if line.strip(b"\r\n"))
            return next(number for count, number in enumerate(filled) if count == row + 1)

    def __call__(self, row: int, column: str, problem: str, *, cause: Exception | None = None) -> NoReturn:
        value = self.text[column][int(row)].as_py()
        what = "line" if self.bed.suffix == ".bed" else "row"
        raise BendError(f"{self.bed}, {what} {self.line(int(row))}, column {column!r}: {value!r} {problem}") from cause


def _first(mask: np.ndarray | pa.ChunkedArray) -> int | None:
    """Return the first row where `mask` is true, or None."""
    rows = np.flatnonzero(mask)
    return int(rows[0]) if len(rows) else None


def _integers(fail: _Failure, column: str) -> np.ndarray:
    """Return a column of the file as (n,) int64."""
    # Arrow's own cast takes 0x10 for 16.
    malformed = _first(pc.invert(pc.match_substring_regex(fail.text[column], r"^-?[0-9]{1,18}$")))
    if malformed is not None:
        fail(malformed, column, "is not a whole number.")
    numbers: np.ndarray = pc.cast(fail.text[column], pa.int64()).to_numpy()
    return numbers


def _choice(fail: _Failure, column: str, choices: Any, said: str) -> np.ndarray:
    """Return a column whose values must be keys of `choices`, mapped through it where it is a mapping."""
    encoded = fail.text[column].combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    for value in values:
        if value not in choices:
            row = pc.index(fail.text[column], value).as_py()
            fail(row, column, f"is unknown. {said}: {', '.join(choices)}.")
    mapped = [choices[value] for value in values] if isinstance(choices, Mapping) else values
    chosen: np.ndarray = np.array(mapped)[encoded.indices.to_numpy()]
    return chosen


def _check_windows(task: Task, fail: _Failure, integers: Values, genome: Genome) -> np.ndarray:
    """Check chromosomes, bounds and lengths; return the chromosomes' codes in the genome, (n,) int64."""
    encoded = fail.text["chromosome"].combine_chunks().dictionary_encode()
    code_of = []
    for name in encoded.dictionary.to_pylist():
        try:
            code_of.append(genome.code(name))
        except BendError as error:
            row = pc.index(fail.text["chromosome"], name).as_py()
            fail(row, "chromosome", f"is not in the genome ({task.build}). {error}", cause=error)
    codes: np.ndarray = np.array(code_of, dtype=np.int64)[encoded.indices.to_numpy()]
    length = np.array(list(genome.lengths.values()), dtype=np.int64)[codes]
    start, end = integers["start"], integers["end"]
    too_far = f"lies beyond the chromosome's end in {genome.path}. Is that file {task.build}?"
    checks: list[tuple[np.ndarray, str, str]] = [(start < 0, "start", "is negative.")]
    if task.kind.variants:
        checks += [
            (start != end, "end", "differs from start: a variant has start == end, its 0-based position."),
            (start >= length, "start", too_far),
        ]
    else:
        checks += [
            (start >= end, "end", "is not behind start (coordinates are 0-based half-open)."),
            (end > length, "end", too_far),
            (end - start > LONGEST, "end", f"makes a window of more than {LONGEST:,} bp: cut it into shorter ones."),
        ]
        if task.window is not None:
            wanted = f"is not start + {task.window:,}: every window of {task.name} has that length."
            checks.append((end - start != task.window, "end", wanted))
        if "length" in integers:
            checks.append((end - start != integers["length"], "length", "differs from end - start."))
    for mask, column, problem in checks:
        if (row := _first(mask)) is not None:
            fail(row, column, problem)
    return codes


def _in_one_way(names: pa.ChunkedArray, codes: np.ndarray) -> pa.ChunkedArray:
    """Return chromosomes' names, each as it is written first: ``1`` and ``chr1`` would count as two chromosomes."""
    first, rows = np.zeros(codes.max() + 1, np.int64), np.arange(len(codes))
    first[codes[::-1]] = rows[::-1]  # of several values for a place, the last stays
    return names.take(pa.array(first[codes]))


def _same_start(codes: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the rows that share chromosome and start with another one, in order."""
    keys = codes << 40 | start
    order = np.argsort(keys, kind="stable")
    equal = np.flatnonzero(np.diff(keys[order]) == 0)
    return np.unique(np.concatenate([order[equal], order[equal + 1]]))


def _check_duplicates(fail: _Failure, candidates: np.ndarray) -> None:
    """Refuse rows that are equal in every column."""
    if not len(candidates):
        return
    seen: dict[tuple[str, ...], int] = {}
    columns = (column.to_pylist() for column in fail.text.take(pa.array(candidates)).columns)
    for row, values in zip(candidates.tolist(), zip(*columns, strict=True), strict=True):
        if values in seen:
            fail(
                row,
                "start",
                f"belongs to a row that repeats line {fail.line(seen[values])} in every column. Remove one.",
            )
        seen[values] = row


def _windows_in_two_splits(
    fail: _Failure, candidates: np.ndarray, codes: np.ndarray, integers: Values, splits: np.ndarray
) -> tuple[int, int | None]:
    """Count the windows (chromosome, start, end) that lie in more than one split, and find the first one's line."""
    start, end = integers["start"][candidates], integers["end"][candidates]
    sorting = np.lexsort((end, start, codes[candidates]))
    order = candidates[sorting]
    keys = np.stack([codes[candidates], start, end])[:, sorting]
    again = np.flatnonzero((keys[:, 1:] == keys[:, :-1]).all(axis=0)) + 1
    across = again[splits[order[again]] != splits[order[again - 1]]]
    if not len(across):
        return 0, None
    windows = np.unique(keys[:, across], axis=1).shape[1]
    return windows, fail.line(int(order[across].min()))


def _check_variants(fail: _Failure, codes: np.ndarray, position: np.ndarray, genome: Genome) -> None:
    """Check the alleles, and the reference alleles against the genome."""
    for column in ("ref", "alt"):
        row = _first(pc.invert(pc.match_substring_regex(fail.text[column], "^[ACGTacgt]$")))
        if row is not None:
            fail(row, column, "is no allele: one of A, C, G and T. Only single-nucleotide variants can be read.")
    ref, alt = (pc.utf8_upper(fail.text[column]).to_numpy() for column in ("ref", "alt"))
    if (row := _first(ref == alt)) is not None:
        fail(row, "alt", "equals ref: this is no variant.")
    parts = (slice(begin, begin + _AT_ONCE) for begin in range(0, len(codes), _AT_ONCE))
    found = np.concatenate(
        [genome.gather(codes[part], position[part], position[part] + 1)[0].view("S1").astype(str) for part in parts]
    )
    wrong = np.flatnonzero(ref != found)
    if len(wrong):
        first = "; ".join(
            f"line {fail.line(row)} {fail.text['chromosome'][row]}:{position[row]} ref {ref[row]}, genome {found[row]}"
            for row in wrong[:3].tolist()
        )
        raise BendError(
            f"{fail.bed}, column 'ref': {len(wrong):,} of {len(ref):,} reference alleles ({len(wrong) / len(ref):.1%}) "
            f"differ from {genome.path} ({first}). Probably this FASTA is another genome build than the coordinates: "
            f"pass the right one with genome= (--genome)."
        )


def _labels(files: TaskFiles, fail: _Failure, lengths: np.ndarray) -> pa.ChunkedArray:
    """Read the labels of windows of the given lengths as their kind has them: from HDF5, or the column ``label``."""
    task, kind = files.task, files.task.kind
    column = "end"
    try:
        counts = kind.count(task, lengths)
        if task.labels_in_hdf5:
            return _hdf5_labels(files, fail, counts)
        column = "label"
        return kind.parse(task, fail.text[column], counts)
    except LabelError as error:
        fail(error.row, column, error.problem, cause=error)


def _hdf5_labels(files: TaskFiles, fail: _Failure, wanted: np.ndarray) -> pa.ChunkedArray:
    """Read the label of every nucleotide or bin from HDF5 (row i for BED row i) as list<int8>."""
    task, path = files.task, files.hdf5
    if path is None or not path.is_file():
        raise BendError(f"{path}: there is no such HDF5 file. {task.name} needs it beside {fail.bed.name}.")
    n_classes = task.kind.values(task)
    assert n_classes is not None

    def name(row: int) -> str:
        return f"row {row} ({fail.bed}, line {fail.line(row)})"

    at_once = max(1, LABELS_AT_ONCE // int(wanted.max()))
    chunks = []
    for begin, block in hdf5.blocks(path, count=len(wanted), at_once=at_once, row_name=name):
        for row, values in enumerate(block, start=begin):
            if len(values) != wanted[row]:
                raise BendError(
                    f"{path}, dataset 'labels', {name(row)}: {counted(len(values), 'label')} for a window of "
                    f"{counted(wanted[row], task.kind.unit)}. Use the two files of one release."
                )
        values = np.concatenate(block)
        # Comparisons with NaN are false, so that NaN is refused too.
        good = (values >= 0) & (values < n_classes) & (values == np.floor(values))
        if (bad := _first(~good)) is not None:
            row = begin + int(np.searchsorted(np.cumsum([len(v) for v in block]), bad, side="right"))
            raise BendError(
                f"{path}, dataset 'labels', {name(row)}: the label {values[bad]} is out of range. Labels of "
                f"{task.name} are the whole numbers 0 to {n_classes - 1}."
            )
        offsets = np.zeros(len(block) + 1, dtype=np.int32)
        np.cumsum([len(values) for values in block], out=offsets[1:])
        chunks.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.astype(np.int8))))
    return pa.chunked_array(chunks)


def _compare_with_declaration(task: Task, bed: Path, found: Mapping[str, int]) -> None:
    """Warn, with both numbers, where a split has other row counts than the released files."""
    if dict(found) == dict(task.rows):
        return
    splits = ", ".join(f"{name} {found[name]:,} of {task.rows[name]:,}" for name in task.rows)
    log.warning(
        "%s: %s, %s has %s (%s). Scores on it are not comparable with %s.",
        bed,
        counted(sum(found.values()), "row"),
        "the released file" if task in BEND else "its declaration",
        f"{sum(task.rows.values()):,}",
        splits,
        "published ones" if task in BEND else "those on the whole task",
    )
