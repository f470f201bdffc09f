"""What the fields of a record may hold."""

from __future__ import annotations

from typing import Any

import pytest

from bend_hf.results.shapes import file_beside

BESIDE = {"file": "gene_finding.default.seed0.parquet", "sha256": "0" * 64, "rows": 12}


@pytest.mark.parametrize("name", ["a", "..parquet", "n" * 255, "é" * 127])
def test_predictions_lie_in_the_folder_of_their_record(name: str) -> None:
    assert file_beside(BESIDE | {"file": name})


@pytest.mark.parametrize(
    "changed",
    [
        *({"file": name} for name in ("", ".", "a/b", "/a", "../a", "a\\b", "a\0b", "n" * 256, "é" * 128)),
        *({"file": name} for name in (None, 3, ["a"])),
        *({"sha256": digest} for digest in (None, 0, ["0" * 64])),
        *({"rows": rows} for rows in (None, -1, 1.5, True, "12")),
        {"more": None},
    ],
    ids=repr,
)
def test_what_is_no_file_beside_a_record(changed: dict[str, Any]) -> None:
    assert not file_beside(BESIDE | changed)


@pytest.mark.parametrize("value", [None, [], "a", {}, {"file": "a", "sha256": "0" * 64}])
def test_what_is_no_description_of_a_file(value: Any) -> None:
    assert not file_beside(value)
