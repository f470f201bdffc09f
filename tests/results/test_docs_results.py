"""What docs/results.md says of the record is what a record holds."""

from __future__ import annotations

import re
from pathlib import Path

from result_factory import scored, simulate, stored

from bend_hf.results import breakdown, chance, clusters, record, statistics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results.md"


def test_every_field_is_documented(tmp_path: Path) -> None:
    import json

    path = record.write_result(
        tmp_path, scored("cpg_methylation", simulate("cpg_methylation")), simulate("cpg_methylation")
    )
    table = PAGE.read_text().split("| field | content |")[1].split("\n\n")[0]
    documented = {
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1:2][0] if "|" in line else "")
    }
    assert documented == set(json.loads(path.read_text()))
    assert f"now {record.SCHEMA}" in table


def test_stated_thresholds_are_those_of_the_code() -> None:
    text = " ".join(PAGE.read_text().split())
    assert (clusters.CLUSTERS, clusters.FEWEST, clusters.BLOCK, breakdown.TOO_FEW) == (10, 5, 1_000_000, 10)
    assert (statistics.SHARED, chance.PERMUTATIONS) == (1.2, 2000)
    for phrase in (
        "at least ten",
        "blocks of 1 Mb",
        "fewer than ten positives or negatives",
        "fewer than five",
        "by 1.2",
        "2,000 random orders",
    ):
        assert phrase in text


def test_a_score_can_be_computed_again_from_its_record(tmp_path: Path) -> None:
    predictions = simulate("enhancer_annotation")
    value = statistics.summarise(predictions, resamples=10).score
    path = stored(tmp_path, "enhancer_annotation", predictions, score=value)
    result = record.read_result(path)
    assert statistics.summarise(record.read_predictions(result), resamples=10).score == result.score
