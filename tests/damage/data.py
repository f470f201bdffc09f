"""Label files and genomes that are not what they should be, and what becomes of them as rows."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from damage.bench import Bench, Given, Kind

from bend_hf import load_dataset

BED = "data/cpg_methylation/cpg_methylation.bed"
FASTA = "data/genomes/GRCh38.toy.fa"
HDF5 = "data/gene_finding/gene_finding.hdf5"
HEADER = b"chromosome\tstart\tend\tstrand\tlabel\tsplit\n"
LABELS = h5py.vlen_dtype(np.float64)


def rows(harm: Callable[[Bench], Any], task: str = "cpg_methylation") -> Given:
    """Build rows of harmed data, which nobody takes for the toy any more."""

    def given(bench: Bench) -> Callable[[], Any]:
        (bench.data / "toy.json").unlink()
        harm(bench)
        return lambda: load_dataset(task, data_dir=bench.data, genome_checked=True)

    return given


def change(name: str, how: Callable[[bytes], bytes]) -> Callable[[Bench], Any]:
    """Change the content of a file of the data."""
    return lambda bench: bench.put(name, how((bench.data.parent / name).read_bytes()))


def bed(how: Callable[[bytes], bytes]) -> Given:
    return rows(change(BED, how))


def field(column: int, value: str) -> Given:
    """Change a field of the first row."""

    def how(content: bytes) -> bytes:
        header, first, *others = content.split(b"\n")
        fields = first.split(b"\t")
        fields[column] = value.encode()
        return b"\n".join([header, b"\t".join(fields), *others])

    return bed(how)


def fasta(how: Callable[[bytes], bytes]) -> Given:
    return rows(change(FASTA, how))


def instead(name: str, make: Callable[[Path], Any], task: str = "cpg_methylation") -> Given:
    """Put something else in a file's place."""

    def harm(bench: Bench) -> None:
        path = bench.data.parent / name
        path.unlink()
        make(path)

    return rows(harm, task)


def hdf5(write: Callable[[Any, list[np.ndarray]], Any]) -> Given:
    """Write the labels of genes anew: what writes is given the open file and the sound rows."""

    def harm(bench: Bench) -> None:
        path = bench.data.parent / HDF5
        with h5py.File(path) as sound:
            labels = list(sound["labels"][:])
        path.unlink()
        with h5py.File(path, "w") as opened:
            write(opened, labels)

    return rows(harm, "gene_finding")


def labels(opened: Any, values: list[Any], dtype: Any = LABELS) -> None:
    data = opened.create_dataset("labels", (len(values),), dtype=dtype)
    for row, value in enumerate(values):
        data[row] = value


def with_third(value: float) -> Given:
    """Labels of which the third of every gene is another."""
    return hdf5(lambda f, v: labels(f, [np.where(np.arange(len(each)) == 3, value, each) for each in v]))


def virtual(opened: Any, values: list[np.ndarray]) -> None:
    layout = h5py.VirtualLayout((len(values), 10), "f8")
    layout[0] = h5py.VirtualSource("/etc/elsewhere.h5", "d", (10,))
    opened.create_virtual_dataset("labels", layout)


NO_HEADER = "line 1: there is no header row ("
NO_FILE = "cpg_methylation.bed: there is no such file"
OTHER = "it is a folder, a device or a pipe, where a file is meant."
OTHER_FASTA = "it is a folder, a device or a pipe, where a FASTA file is meant."
NO_FASTA = "is not a FASTA file: it starts with b"
UNEVEN = "cannot be indexed: a record has no name or no sequence, or lines other"
NO_HDF5 = "gene_finding.hdf5 is no readable HDF5 file (Unable to"
ELSEWHERE = "'labels' lies in another file, which the SHA-256 of this one does not"
KINDS = (
    Kind("a BED that is empty", bed(lambda c: b""), "is empty or starts with an empty line. Its header is: chromosome"),
    Kind("a BED that begins with an empty line", bed(lambda c: b"\n" + c), "is empty or starts with an empty line."),
    Kind("a BED that is binary", bed(lambda c: bytes(range(256)) * 10), NO_HEADER),
    Kind("a BED in UTF-16", bed(lambda c: c.decode().encode("utf-16")), "is no text file ('utf-8' codec can't decode"),
    Kind("a BED in UTF-16 without a mark", bed(lambda c: c.decode().encode("utf-16-le")), NO_HEADER),
    Kind(
        "a BED with carriage returns only",
        bed(lambda c: c.replace(b"\n", b"\r")),
        "has the line ends of another system (carriage returns only)",
    ),
    Kind(
        "a BED with a NUL",
        bed(lambda c: c.replace(b"train", b"tr\0in")),
        r"line 6, column 'split': 'tr\x00in' is unknown.",
    ),
    Kind("a BED of a header alone", bed(lambda c: HEADER), "has a header but no rows."),
    Kind("a BED in gzip", bed(gzip.compress), "is compressed with gzip. Decompress it: gunzip"),
    Kind("a BED that is a login page", bed(lambda c: b"<!DOCTYPE html><html></html>"), NO_HEADER),
    Kind(
        "a BED that is a pointer to Git LFS", bed(lambda c: b"version https://git-lfs.github.com/spec/v1\n"), NO_HEADER
    ),
    Kind("a BED with spaces for tabs", bed(lambda c: c.replace(b"\t", b" ")), NO_HEADER),
    Kind("a BED of a hundred thousand brackets", bed(lambda c: b"[" * 100_000), NO_HEADER),
    Kind(
        "a BED with spaces at the ends of lines",
        bed(lambda c: c.replace(b"\n", b" \n")),
        "line 1: the header lacks column 'split'.",
    ),
    Kind(
        "a BED with tabs at the ends of lines",
        bed(lambda c: c.replace(b"\n", b"\t\n")),
        "line 1: the header has the unknown column ''.",
    ),
    Kind("a BED with a header in capitals", bed(lambda c: c.replace(b"start", b"Start")), "lacks column 'start'."),
    Kind(
        "a BED with its header twice",
        bed(lambda c: c + HEADER),
        "line 22, column 'start': 'start' is not a whole number.",
    ),
    Kind(
        "a BED with one endless line",
        bed(lambda c: HEADER + b"x" * 5_000_000),
        "line 2: 1 tab-separated fields instead of 6: 'xxxxx",
    ),
    Kind(
        "a BED with quotes",
        bed(lambda c: c.replace(b"chr1\t", b'"chr1"\t')),
        "line 2, column 'chromosome': '\"chr1\"' is not in the genome (GRCh38).",
    ),
    Kind("a start in other digits", field(1, "١٢"), "column 'start': '١٢' is not a whole number."),
    Kind("a start of thirty digits", field(1, "9" * 30), "9' is not a whole number."),
    Kind("a start below 0", field(1, "-5"), "line 2, column 'start': '-5' is negative."),
    Kind("a start with a point", field(1, "5.0"), "line 2, column 'start': '5.0' is not a whole number."),
    Kind("a start in powers of ten", field(1, "1e5"), "line 2, column 'start': '1e5' is not a whole number."),
    Kind("a start with a space before it", field(1, " 34158"), "column 'start': ' 34158' is not a whole number."),
    Kind("a start that is NaN", field(1, "NaN"), "line 2, column 'start': 'NaN' is not a whole number."),
    Kind("a chromosome without a name", field(0, ""), "line 2, column 'chromosome': '' is not in the genome (GRCh38)."),
    Kind("a chromosome of a hundred thousand letters", field(0, "c" * 100_000), "ccc…ccc"),
    Kind("a chromosome that colours the terminal", field(0, "chr1\x1b[31m"), r"'chr1\x1b[31m' is not in the genome"),
    Kind(
        "a strand that is a minus sign", field(3, "−"), "column 'strand': '−' is unknown. A strand is written: +, -, .."
    ),
    Kind("a label that no track has", field(4, "7"), "column 'label': '7' holds the label 7: labels are 0 to 6."),
    Kind("a label twice", field(4, "1,1"), "line 2, column 'label': '1,1' names the label 1 twice."),
    Kind("a label with a comma behind it", field(4, "1,"), "'1,' is no comma-separated list of label indices such as"),
    Kind("a split in capitals", field(5, "Train"), "column 'split': 'Train' is unknown. The splits of"),
    Kind("a BED that is a folder", instead(BED, Path.mkdir), OTHER),
    Kind("a BED that is a pipe", instead(BED, os.mkfifo), OTHER),
    Kind("a BED that is a device", instead(BED, lambda p: p.symlink_to("/dev/zero")), OTHER),
    Kind(
        "a BED that is a link to nothing",
        instead(BED, lambda p: p.symlink_to("x")),
        f"{NO_FILE}, only a link to nothing",
    ),
    Kind(
        "a BED that is a link to itself", instead(BED, lambda p: p.symlink_to(p)), f"{NO_FILE}, only a link to nothing"
    ),
    Kind("a FASTA that is empty", fasta(lambda c: b""), "GRCh38.toy.fa is empty. Download it again."),
    Kind("a FASTA of one sign", fasta(lambda c: b">"), "GRCh38.toy.fa cannot be indexed: "),
    Kind("a FASTA that is binary", fasta(lambda c: bytes(range(256))), NO_FASTA),
    Kind("a FASTA in UTF-16", fasta(lambda c: c[:999].decode().encode("utf-16")), NO_FASTA),
    Kind("a FASTA with a byte-order mark", fasta(lambda c: b"\xef\xbb\xbf" + c), NO_FASTA),
    Kind("a FASTA with carriage returns only", fasta(lambda c: c.replace(b"\n", b"\r")), UNEVEN),
    Kind(
        "a FASTA in gzip", fasta(lambda c: gzip.compress(c[:999])), "is compressed with gzip, not bgzip. Decompress it"
    ),
    Kind("a FASTA that is a login page", fasta(lambda c: b"<html>"), NO_FASTA),
    Kind("a FASTA that is FASTQ", fasta(lambda c: b"@r\nACGT\n+\nIIII\n"), NO_FASTA),
    Kind("a FASTA without sequences", fasta(lambda c: b">chr1\n>chr2\n"), UNEVEN),
    Kind(
        "a FASTA with two records of one name", fasta(lambda c: c.replace(b">chr2", b">chr1")), 'Duplicate key "chr1"'
    ),
    Kind("a FASTA of proteins", fasta(lambda c: c.replace(b"A", b"L")), "'L' is no nucleotide. Use a DNA FASTA of one"),
    Kind("a FASTA of an alignment", fasta(lambda c: c.replace(b"A", b"-")), "'-' is no nucleotide. Use a DNA FASTA"),
    Kind("a FASTA with a NUL", fasta(lambda c: c[:300] + b"\0" + c[301:]), UNEVEN),
    Kind(
        "a FASTA with a line broken twice", fasta(lambda c: c[:200] + b"\n" + c[200:]), "Line length of fasta file is"
    ),
    Kind(
        "a FASTA cut short",
        fasta(lambda c: c[: len(c) // 3]),
        "'chr5' is not in the genome (GRCh38). Unknown chromosome",
    ),
    Kind(
        "a FASTA whose names are no text",
        fasta(lambda c: c.replace(b">chr1\n", b">chr1\xff\n")),
        "cannot be indexed: 'utf-8' codec can't decode byte 0xff",
    ),
    Kind("a FASTA of a name of a million letters", fasta(lambda c: b">" + b"x" * 10**6 + b"\nACGT\n"), "xxx…xxx"),
    Kind("a FASTA that is a folder", instead(FASTA, Path.mkdir), OTHER_FASTA),
    Kind("a FASTA that is a pipe", instead(FASTA, os.mkfifo), OTHER_FASTA),
    Kind(
        "a FASTA that is missing, but not its index",
        instead(FASTA, lambda p: None),
        "has no genome of GRCh38 (GRCh38*.fa",
    ),
    Kind("an HDF5 that is empty", rows(change(HDF5, lambda c: b""), "gene_finding"), NO_HDF5),
    Kind("an HDF5 that is JSON", rows(change(HDF5, lambda c: b"{}"), "gene_finding"), NO_HDF5),
    Kind("an HDF5 of its first bytes", rows(change(HDF5, lambda c: c[:8]), "gene_finding"), NO_HDF5),
    Kind("an HDF5 cut short", rows(change(HDF5, lambda c: c[: len(c) // 2]), "gene_finding"), "(truncated file: eof ="),
    Kind("an HDF5 that is a folder", instead(HDF5, Path.mkdir, "gene_finding"), f"gene_finding.hdf5: {OTHER}"),
    Kind("an HDF5 that is a pipe", instead(HDF5, os.mkfifo, "gene_finding"), f"gene_finding.hdf5: {OTHER}"),
    Kind(
        "an HDF5 without datasets",
        hdf5(lambda f, v: None),
        "has no dataset 'labels', only: nothing. Download it again.",
    ),
    Kind(
        "an HDF5 of names that break lines",
        hdf5(lambda f, v: f.create_dataset("\x1b[31m a\nb", data=1)),
        r"has no dataset 'labels', only: '\x1b[31m a\nb'. Download it again.",
    ),
    Kind(
        "an HDF5 of three hundred names",
        hdf5(lambda f, v: [f.create_dataset(f"n{i:03}", data=1) for i in range(300)]),
        "only: 'n000', 'n001', 'n002', 'n003', 'n004', 'n005', 'n006', 'n007', 'n008', 'n009', ….",
    ),
    Kind(
        "labels that are a group",
        hdf5(lambda f, v: f.create_group("labels")),
        "'labels' is a group, no dataset (it holds:",
    ),
    Kind(
        "labels that are one number",
        hdf5(lambda f, v: f.create_dataset("labels", data=3)),
        "0 rows, but the BED file has",
    ),
    Kind(
        "labels that are texts",
        hdf5(lambda f, v: f.create_dataset("labels", data=["a"] * len(v))),
        "are no labels, which",
    ),
    Kind("labels one row too many", hdf5(lambda f, v: labels(f, [*v, v[0]])), "11 rows, but the BED file has 10."),
    Kind(
        "labels of a gene one short", hdf5(lambda f, v: labels(f, [each[:-1] for each in v])), "labels for a window of"
    ),
    Kind(
        "labels that were never written",
        hdf5(lambda f, v: f.create_dataset("labels", (len(v),), LABELS)),
        ": 0 labels for",
    ),
    Kind("a label that is NaN", with_third(np.nan), "line 2): the label nan is out of range. Labels of gene_finding"),
    Kind(
        "a label that is infinite", with_third(np.inf), "line 2): the label inf is out of range. Labels of gene_finding"
    ),
    Kind("a label below 0", with_third(-1), "line 2): the label -1.0 is out of range. Labels of gene_finding are"),
    Kind(
        "labels behind a link to itself",
        hdf5(lambda f, v: f.update({"labels": h5py.SoftLink("/labels")})),
        "too many links",
    ),
    Kind(
        "labels in a file of the system",
        hdf5(lambda f, v: f.update({"labels": h5py.ExternalLink("/etc/passwd", "/labels")})),
        ELSEWHERE,
    ),
    Kind("labels that lie in other datasets", hdf5(virtual), ELSEWHERE),
    Kind(
        "labels whose bytes lie elsewhere",
        hdf5(lambda f, v: f.create_dataset("labels", (len(v), 4), "u1", external=[("/etc/passwd", 0, 4 * len(v))])),
        ELSEWHERE,
    ),
    Kind(
        "labels that claim terabytes",
        hdf5(lambda f, v: f.create_dataset("labels", (len(v), 1 << 40), "u1", chunks=(1, 1 << 20))),
        "some rows were never written; they would be read as 0",
    ),
)
