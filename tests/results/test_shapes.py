"""What the fields of a record may hold."""

from __future__ import annotations

from typing import Any

import pytest

from bend_hf.results.shapes import epoch, file_beside

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


@pytest.mark.parametrize(
    "value",
    [
        {"epoch": 0},
        {"epoch": 3, "train_loss": 0.5, "validation_score": None},
        {"epoch": 3, "part": "part1", "train_loss": 2},
        {"epoch": 3, "part": None},
    ],
    ids=repr,
)
def test_an_epoch_of_a_history(value: dict[str, Any]) -> None:
    assert epoch(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"train_loss": 0.5},
        *({"epoch": number} for number in (-1, 1.5, True, "3", None)),
        *({"epoch": 3, "part": part} for part in (1, ["part1"], True)),
        {"epoch": 3, "train_loss": "0.5", "validation_score": 0.5},
        {"epoch": 3, "train_loss": 0.5, "validation_score": [0.5]},
        {"epoch": 3, "part": 1, "train_loss": 0.5},
        {"epoch": 3, "train_loss": float("nan")},
    ],
    ids=repr,
)
def test_what_is_no_epoch(value: Any) -> None:
    assert not epoch(value)
