"""Damaged sources of builders end in one error, in the undisturbed rows, or in those that independent readers find."""

from __future__ import annotations

import struct
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


def test_the_plain_reader_of_bigwig_reads_every_interval(bigwig):
    found = source_readers.bigwig(bigwig.victim.read_bytes())
    assert sum(end - start for _, start, end, _ in found) == 272
    assert {(name, start) for name, start, _, _ in found} == set(bigwig.use())
