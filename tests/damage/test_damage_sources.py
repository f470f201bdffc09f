"""Damaged sources of builders end in one error, in the undisturbed rows, or in those that independent readers find."""

from __future__ import annotations

import struct
import sys
from collections import Counter
from pathlib import Path

import pytest
from damage import fuzz, source_readers
from damage.sources import SOURCES

from bend_hf.errors import BendError


@pytest.mark.parametrize("name", SOURCES)
def test_mutations_of_sources_end_well(name: str, tmp_path: Path):
    if name == "bigWig":
        pytest.importorskip("pybigtools")
    ends = Counter(end for _, end in fuzz.trials(name, SOURCES[name][0], 0, tmp_path))
    assert set(ends) <= set(fuzz.GOOD), ends
    assert ends[fuzz.UNDISTURBED] + ends[fuzz.AS_READ] > 10
    assert ends[fuzz.REFUSED] > 10


@pytest.fixture
def bigwig(tmp_path: Path):
    pytest.importorskip("pybigtools")
    return SOURCES["bigWig"][1](tmp_path / "files")


def leaf_of(content: bytes) -> int:
    """Where the first block of data is named, in the index's root."""
    return struct.unpack_from("<Q", content, 24)[0] + 48 + 4


def names_of(content: bytes) -> int:
    """Where the tree of chromosomes begins."""
    return struct.unpack_from("<Q", content, 8)[0]


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (lambda content: leaf_of(content) + 24, 1 << 55, "a block of its data ends beyond its 2,011 bytes"),
        (lambda content: 24, 1 << 55, "its trees lead to byte 36,028,797,018,964,016, and it has 2,011"),
        (lambda content: leaf_of(content) + 32, 9, "it should cover 272 bases, and"),
    ],
)
def test_a_bigwig_that_would_end_the_process_or_lose_rows_is_refused(bigwig, where, value, message):
    content = bytearray(bigwig.victim.read_bytes())
    at = where(content)
    content[at : at + 8] = struct.pack("<Q", value)
    bigwig.victim.write_bytes(content)
    with pytest.raises(BendError, match=rf"levels\.bw is a damaged bigWig file \({message}"):
        bigwig.use()


def loop(content: bytes) -> dict[int, bytes]:
    """The index's root as an inner node that leads to itself."""
    root = leaf_of(content) - 4
    return {root: struct.pack("<BBH", 0, 0, 1), root + 4 + 16: struct.pack("<Q", root)}


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (loop, "its trees lead to byte [0-9,]+ twice"),
        (lambda content: {leaf_of(content) - 4: b"\x02"}, "there is no node of a tree at byte [0-9,]+"),
        (lambda content: {names_of(content) + 8: struct.pack("<I", 1 << 12)}, "said to have 4,096 letters"),
        (lambda content: {names_of(content) + 4: struct.pack("<I", 1 << 16)}, "65,536 of them in a block"),
        (lambda content: {names_of(content) + 16: struct.pack("<Q", 99)}, "it has 2 names of chromosomes, and says 99"),
    ],
)
def test_a_bigwig_whose_trees_are_none_is_refused_before_the_library_reads_it(bigwig, edits, message):
    content = bytearray(bigwig.victim.read_bytes())
    for at, new in edits(bytes(content)).items():
        content[at : at + len(new)] = new
    bigwig.victim.write_bytes(content)
    with pytest.raises(BendError, match=rf"levels\.bw is a damaged bigWig file \(.*{message}"):
        bigwig.use()


def test_without_its_package_a_bigwig_says_what_to_install(bigwig, monkeypatch):
    monkeypatch.setitem(sys.modules, "pybigtools", None)
    with pytest.raises(BendError, match=r"levels\.bw is bigWig: install .* pip install 'bend_hf\[build\]'"):
        bigwig.use()


def test_the_plain_reader_of_bigwig_reads_every_interval(bigwig):
    found = source_readers.bigwig(bigwig.victim.read_bytes())
    assert sum(end - start for _, start, end, _ in found) == 272
    assert {(name, start) for name, start, _, _ in found} == set(bigwig.use())
