"""Pictures of single windows."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from result_factory import scored, simulate, stored

from bend_hf.errors import BendError
from bend_hf.report.charts import interval_bar, ticks
from bend_hf.report.plot import plot
from bend_hf.results.record import make_predictions, read_result, write_result
from bend_hf.tasks import TASKS

SVG = "{http://www.w3.org/2000/svg}"


def drawn(folder: Path, name: str, **options) -> ET.Element:
    result = read_result(write_result(folder, scored(name, simulate(name, rows=12)), simulate(name, rows=12)))
    return ET.parse(plot(result, output=folder / "picture.svg", **options)).getroot()


def test_genes_are_drawn_with_their_coordinates(tmp_path: Path) -> None:
    picture = drawn(tmp_path, "gene_finding", row=3)
    text = " ".join(element.text or "" for element in picture.iter(f"{SVG}text"))
    assert "ENST3 · chr1:3,000" in text
    assert "nucleotides agree" in text
    assert {"true", "predicted", "p(exon)"} <= set(text.split())
    assert picture.get("aria-label").startswith("Gene finding: predicted and true labels of ENST3")
    classes = {element.get("class") for element in picture.iter(f"{SVG}rect")}
    assert {"exon_reverse", "intron_reverse", "donor", "acceptor"} <= classes


def test_perfect_predictions_are_drawn_as_the_truth(tmp_path: Path) -> None:
    task = TASKS["gene_finding"]
    labels = np.repeat([8, 0, 1, 2, 3, 0, 8], [300, 90, 1, 400, 1, 120, 300])
    keys = {"chromosome": ["chr2"], "start": [500], "end": [500 + len(labels)], "strand": ["+"]}
    predictions = make_predictions(task, keys, [np.eye(9)[labels]], [labels])
    result = read_result(stored(tmp_path, "gene_finding", predictions))
    path = plot(result)
    assert path == tmp_path / "simulated" / "gene_finding.default.seed0.row0.svg"
    true, called = [
        [sorted(rect.items()) for rect in group.iter(f"{SVG}rect")]
        for group in ET.parse(path).getroot().findall(f"{SVG}g/{SVG}g")[:2]
    ]
    assert true == called
    exons = [dict(rect) for rect in true if dict(rect)["class"] == "exon_forward"]
    assert len(exons) == 2
    assert float(exons[0]["x"]) == pytest.approx(96 + 836 * 300 / len(labels), abs=2)


def test_enhancers_show_the_bins(tmp_path: Path) -> None:
    picture = drawn(tmp_path, "enhancer_annotation", row=2)
    predictions = simulate("enhancer_annotation", rows=12)
    positives = predictions.labels.reshape(12, 782)[2].sum()
    blocks = [rect for rect in picture.iter(f"{SVG}rect") if rect.get("class") == "enhancer"]
    assert len(blocks) == positives
    (area,) = picture.iter(f"{SVG}polygon")
    assert len(area.get("points").split()) == 782 + 2


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BendError, match="Row 12 does not exist: the predictions have rows 0 to 11"):
        drawn(tmp_path, "gene_finding", row=12)
    with pytest.raises(BendError, match="there is no window to draw"):
        drawn(tmp_path, "cpg_methylation")
    few = simulate("gene_finding", rows=2)
    result = read_result(stored(tmp_path, "gene_finding", few))
    with pytest.raises(BendError, match=r"ends in \.svg"):
        plot(result, output=tmp_path / "picture.png")


def test_ticks_are_round() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-0.013, 0.02) == [-0.01, 0.0, 0.01, 0.02]
    assert ticks(3, 3) == [3]


def test_interval_bars_stay_on_their_track() -> None:
    bar = ET.fromstring(interval_bar(0.5, [-1.0, 2.0], 0.5, 0.0, 1.0, 0))
    (line,) = [element for element in bar if element.get("class") == "interval"]
    assert (line.get("x1"), line.get("x2")) == ("4.0", "116.0")
