"""bigWig files: what their reader says of damaged ones is one error, and what is no damage is left as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bend_hf.data.bigwig import open_bigwig, reading
from bend_hf.errors import BendError


@pytest.mark.parametrize("error", [OSError, ValueError, RuntimeError, StopIteration])
def test_an_error_of_the_reader_is_told_in_one_line(error: type[Exception]) -> None:
    with pytest.raises(BendError, match=r"^a\.bw is damaged \(at byte 3\)\. Download it again\.$") as told:
        with reading("a.bw is damaged"):
            raise error("at\n   byte 3")
    assert isinstance(told.value.__cause__, error)


def test_a_panic_of_the_reader_is_told_as_well() -> None:
    """Which is no `Exception`."""

    class PanicException(BaseException):
        pass

    with pytest.raises(BendError, match=r"a\.bw is damaged \(no such node\)"), reading("a.bw is damaged"):
        raise PanicException("no such node")


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, BendError])
def test_what_is_no_damage_is_left_as_it_is(error: type[BaseException]) -> None:
    with pytest.raises(error) as told, reading("a.bw is damaged"):
        raise error("another")
    assert "damaged" not in str(told.value)


@pytest.mark.parametrize("content", [b"", b"\x26\xfc\x8f\x88", b"chr1\t0\t5\t1.0\n" * 20])
def test_what_is_no_bigwig(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("pybigtools")
    path = tmp_path / "a.bw"
    path.write_bytes(content)
    with pytest.raises(BendError, match=r"a\.bw is damaged"), reading("a.bw is damaged"):
        open_bigwig(path)
