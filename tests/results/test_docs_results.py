"""What docs/results.md says of the record is what a record holds."""

from __future__ import annotations

import re
from pathlib import Path

from result_factory import make_result, simulate

from bend_hf.results import record, statistics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results.md"


def test_every_field_is_documented(tmp_path: Path) -> None:
    import json

    path = record.write_result(tmp_path, make_result("cpg_methylation"), simulate("cpg_methylation"))
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
    assert f"fewer than {statistics.RARE} clusters" in text
    assert (statistics.CLUSTERS, statistics.TOO_FEW, statistics.BLOCK) == (10, 10, 1_000_000)
    for phrase in ("at least ten", "blocks of 1 Mb", "fewer than ten positives or negatives"):
        assert phrase in text


def test_a_score_can_be_computed_again_from_its_record(tmp_path: Path) -> None:
    predictions = simulate("enhancer_annotation")
    value = statistics.summarise(predictions, resamples=10).score
    path = record.write_result(tmp_path, make_result("enhancer_annotation", score=value), predictions)
    result = record.read_result(path)
    assert statistics.summarise(record.read_predictions(result), resamples=10).score == result.score
