"""What the page's browser of test rows is given: packed, and read back here as the page's script does."""

import base64
import json
import re

import numpy as np
import pytest
from result_factory import scored, simulate

from bend_hf.errors import BendError
from bend_hf.report.locus import can_browse, levels, pack, runs, spread
from bend_hf.report.write import write_report
from bend_hf.results import record
from bend_hf.tasks import TASKS

GENES = "gene_finding"


def unpacked(text: str) -> np.ndarray:
    """As `runs` in locus.js."""
    found = re.findall(r"([a-z])([0-9A-Z]+)", text)
    return np.repeat([ord(letter) - 97 for letter, _ in found], [int(length, 36) for _, length in found])


@pytest.mark.parametrize("values", [[8], [0, 0, 1], [3] * 36, [3] * 35 + [4] * 1297, [1, -1, -1, 0]])
def test_runs_come_back(values: list[int]) -> None:
    assert unpacked(runs(np.array(values, np.int8))).tolist() == [25 if value < 0 else value for value in values]


def test_levels_come_back_to_a_255th_of_the_highest() -> None:
    values = np.random.default_rng(0).random(782).astype(np.float32) * 0.03
    top, packed = levels(values).split(":")
    found = np.frombuffer(base64.b64decode(packed), np.uint8) / 255 * float(top)
    assert np.abs(found - values).max() <= values.max() / 255
    assert levels(np.zeros(2, np.float32)).startswith("1:")


def test_every_beginning_of_the_rows_is_spread_over_them() -> None:
    assert spread(6) == [0, 4, 2, 1, 5, 3]
    for count in (1, 2, 7, 64):
        assert sorted(spread(count)) == list(range(count))
    first = sorted(spread(1000)[:10])
    assert max(np.diff([*first, 1000])) <= 130


@pytest.mark.parametrize("name", [GENES, "enhancer_annotation", "histone_modification"])
def test_rows_are_packed_with_truth_and_predictions(name: str) -> None:
    predictions = simulate(name, signal=1, seed=0, rows=9)
    task = predictions.task
    found = pack(predictions, room=10**9)
    assert sorted(row for row, *_ in found.rows) == list(range(9))
    offsets = np.concatenate([[0], np.cumsum(predictions.lengths)])
    for (row, title, first, step, truth), said in zip(found.rows, found.said, strict=True):
        inside = slice(offsets[row], offsets[row + 1])
        start, end = (int(predictions.column(one)[row]) for one in ("start", "end"))
        assert unpacked(truth).tolist() == predictions.labels[inside].reshape(-1).tolist()
        assert f":{start:,}–{end:,}" in title
        assert first == start
        assert step == {GENES: 1, "enhancer_annotation": 128}.get(name, 0)
        if name == GENES:
            assert unpacked(said).tolist() == predictions.scores[inside].argmax(1).tolist()
        else:
            top, packed = said.split(":")
            values = np.frombuffer(base64.b64decode(packed), np.uint8) / 255 * float(top)
            assert np.abs(values - predictions.scores[inside].reshape(-1)).max() <= float(top) / 255
    assert task.name == name


def test_as_many_rows_as_find_room_the_same_for_every_model() -> None:
    one, other = (simulate(GENES, signal=signal, seed=signal, rows=20) for signal in (0, 9))
    size = len(pack(one, room=1).said[0])
    assert len(pack(one, room=1).said) == 1
    noisy, clear = (pack(each, room=3 * size) for each in (one, other))
    count = min(len(noisy.rows), len(clear.rows))
    assert 1 < count < 20
    assert noisy.rows[:count] == clear.rows[:count]
    assert len(pack(one, room=1, rows=5).said) == 5


def test_tasks_with_one_number_a_row_are_not_browsed() -> None:
    assert [name for name, task in TASKS.items() if not can_browse(task)] == [
        "variant_effects_expression",
        "variant_effects_disease",
    ]


def test_the_page_holds_the_rows_asked_for_and_names_models_of_other_rows(tmp_path) -> None:
    for model, rows in (("</script>a", 12), ("b", 12), ("other", 11)):
        predictions = simulate(GENES, signal=2, seed=1, rows=rows)
        result = scored(GENES, predictions, resamples=10, model=model)
        record.write_result(tmp_path / "run", result, predictions)
    text = write_report(tmp_path / "run", tmp_path / "r.html", resamples=10, browse=4).read_text()
    [document] = re.findall(r'<script type="application/json">(.*?)</script>', text, flags=re.S)
    data = json.loads(document)
    counts = [len(data["rows"]), *(len(model["said"]) for model in data["models"])]
    assert set(counts) == {4}
    assert len(data["models"]) + text.count("other test rows: ") == len(counts)
    assert "for others: bend-hf report --browse 1" in text
    with pytest.raises(BendError, match=r"browse=0 \(--browse\)"):
        write_report(tmp_path / "run", tmp_path / "r.html", browse=0)
