"""Results one can hold: a list that is a table, slices of it, data frames with coordinates."""

import sys
from dataclasses import asdict
from xml.etree import ElementTree

import numpy as np
import pytest
from result_factory import PROVENANCE, make_result, scored, simulate, trained

import bend_hf
from bend_hf.errors import BendError
from bend_hf.report.collection import Results
from bend_hf.report.table import TOY, table
from bend_hf.results.record import make_predictions, write_result
from bend_hf.results.statistics import summarise
from bend_hf.tasks import TASKS

VARIANTS = "variant_effects_disease"


@pytest.fixture
def results():
    by_score = {"by_score": {"cosine": 0.6, "llr": 0.7}, "by_score_interval": {"cosine": [0.5, 0.7]}}
    return Results(
        [
            make_result("gene_finding", model="a<b", seed=0, score=0.4, provenance=trained("a<b", {"layer": [4]})),
            make_result("gene_finding", model="a<b", seed=1, score=0.6, provenance=trained("a<b", {"layer": [4]})),
            make_result("gene_finding", model="onehot", seed=0, score=0.3),
            make_result(VARIANTS, model="a<b", secondary=by_score),
            make_result("cpg_methylation", model="a<b", score=None, failure="no memory"),
        ]
    )


def test_it_is_a_list_whose_text_is_the_table(results):
    assert isinstance(results, list)
    assert repr(results) == str(results) == table(list(results))
    assert results[0] is next(iter(results))
    assert isinstance(results[1:3], Results)
    assert [each.seed for each in results[1:3]] == [1, 0]


def test_of_chooses(results):
    assert [each.seed for each in results.of(task="gene_finding", model="a<b")] == [0, 1]
    assert [each.task for each in results.of(model="onehot")] == ["gene_finding"]
    assert [each.seed for each in results.of(layer=4)] == [0, 1]
    assert [each.score for each in results.of(seed=1)] == [0.6]
    assert list(results.of(model="onehot", seed=1)) == []
    with pytest.raises(BendError, match="onehot"):
        results.of(model="onehto")


def test_predictions_stand_with_their_coordinates_and_whose_they_are(tmp_path):
    for seed in (0, 1):
        predictions = simulate("histone_modification", seed=seed)
        write_result(tmp_path, scored("histone_modification", predictions, seed=seed), predictions)
    write_result(tmp_path, make_result("histone_modification", seed=2, score=None, failure="no memory"))
    results = bend_hf.read_results(tmp_path)
    frame = results.predictions()
    assert list(frame.columns[:6]) == ["model", "protocol", "seed", "row", "chromosome", "start"]
    assert frame.groupby("seed").size().to_dict() == {0: 60 * 18, 1: 60 * 18}
    alone = simulate("histone_modification", seed=1).to_pandas()
    assert frame[frame["seed"] == 1]["score"].tolist() == alone["score"].tolist()
    assert results.of(seed=2).predictions().empty
    write_result(tmp_path, make_result("gene_finding"))
    with pytest.raises(BendError, match=r"choose one, as in results\.of\(task='gene_finding'\)\.predictions\(\)"):
        bend_hf.read_results(tmp_path).predictions()


def test_the_output_is_chosen_by_both_of_its_numbers():
    provenance = [trained("a", {"layer": [layer]}) for layer in (-1, 12, 11)]
    for each in provenance:
        each["model"]["layers"] = 12
    results = Results(make_result("gene_finding", seed=seed, provenance=each) for seed, each in enumerate(provenance))
    assert [each.seed for each in results.of(layer=12)] == [each.seed for each in results.of(layer=-1)] == [0, 1]
    assert list(results.to_pandas()["layer"]) == [-1, -1, 11]


def test_a_line_per_record(results):
    frame = results.to_pandas()
    assert list(frame["score"])[:4] == [0.4, 0.6, 0.3, 0.5]
    assert list(frame["failure"].dropna()) == ["no memory"]
    assert frame.loc[0, ["low", "high", "layer"]].tolist() == pytest.approx([0.35, 0.45, 4])
    assert Results().to_pandas().empty


def test_a_line_per_model_and_task(results):
    summary = results.summary().set_index(["model", "task"])
    assert summary.loc[("a<b", "gene_finding"), "score"] == pytest.approx(0.5)
    assert summary.loc[("a<b", "gene_finding"), "seeds"] == 2
    assert summary.loc[("a<b", VARIANTS), "seeds"] == 0
    assert summary.loc[("a<b", "cpg_methylation"), "failure"] == "no memory"


def test_the_scores_of_variants(results):
    lines = results.scores()[["name", "score", "low"]].values.tolist()
    assert lines[0] == ["cosine", 0.6, 0.5]
    assert lines[1][:2] == ["llr", 0.7]
    assert np.isnan(lines[1][2])


def test_html_escapes_and_announces_toy_data(results):
    html = results._repr_html_()
    assert TOY in html
    assert "a&lt;b" in html
    assert "<td>a<b" not in html
    assert "no memory" in html


def test_a_record_is_short(results):
    assert repr(results[2]).startswith("Result('onehot', 'gene_finding', 'default', seed=0, mcc=0.3, interval=[")
    assert repr(results[2]).endswith(", toy=True)")
    assert "failure='no memory'" in repr(results[4])


def test_reading_gives_results_and_a_comparison_frames(tmp_path):
    for model, signal in (("good", 1.5), ("bad", 0.1)):
        predictions = simulate(VARIANTS, signal=signal, rows=120, chromosomes=10)
        provenance = PROVENANCE | {"model": {"name": model, "key": {}}}
        write_result(
            tmp_path,
            make_result(VARIANTS, model=model, provenance=provenance, **asdict(summarise(predictions))),
            predictions,
        )
    results = bend_hf.read_results(tmp_path)
    assert isinstance(results, Results)
    comparison = bend_hf.compare(results, resamples=50)
    frame = comparison.to_pandas()
    assert frame[["a", "b"]].values.tolist() == [["good", "bad"]]
    assert frame.loc[0, "low"] < frame.loc[0, "difference"] < frame.loc[0, "high"]
    assert repr(comparison) == str(comparison)
    assert "good - bad" in comparison._repr_html_()


def test_predictions_of_variants_and_windows_have_their_rows():
    frame = simulate(VARIANTS, rows=4).to_pandas()
    assert list(frame.columns) == ["row", "chromosome", "start", "ref", "alt", "consequence", "label", "score"]
    assert len(frame) == 4
    task = TASKS["cpg_methylation"]
    names = list(task.label_names)
    rows = {"chromosome": ["chr1"], "start": [10], "end": [522], "strand": ["-"]}
    labels = np.arange(len(names))[None] % 2
    frame = make_predictions(task, rows, labels / 2, labels).to_pandas()
    assert frame["name"].tolist() == names
    assert frame["score"].tolist() == [0, 0.5] * 3 + [0]
    assert frame[["start", "end"]].drop_duplicates().values.tolist() == [[10, 522]]


def test_predictions_of_bins_and_nucleotides_have_their_own_coordinates():
    task = TASKS["gene_finding"]
    rows = {"chromosome": ["chr1", "chr2"], "start": [10, 5], "end": [13, 7], "strand": ["+", "-"]}
    rows["transcript_id"] = ["t1", "t2"]
    labels = [np.array([8, 0, 1]), np.array([4, 5])]
    frame = make_predictions(task, rows, [np.eye(9)[label] for label in labels], labels).to_pandas()
    assert frame["start"].tolist() == [10, 11, 12, 5, 6]
    assert (frame["end"] - frame["start"] == 1).all()
    assert frame["label"].tolist() == [8, 0, 1, 4, 5]
    assert frame["p.exon_forward"].tolist() == [0, 1, 0, 0, 0]
    assert frame["transcript_id"].tolist() == ["t1"] * 3 + ["t2"] * 2
    bins = simulate("enhancer_annotation", rows=10).to_pandas()
    second = bins[bins["row"] == 1].reset_index(drop=True)
    assert second.loc[[0, 1, 781], "start"].tolist() == [1000, 1128, 1000 + 781 * 128]
    assert second.loc[781, "end"] == 1000 + 782 * 128


def test_a_frame_of_polars(results):
    pl = pytest.importorskip("polars")
    frame = results.to_polars()
    assert frame.columns == list(results.to_pandas().columns)
    assert frame["score"].to_list() == [0.4, 0.6, 0.3, 0.5, None]
    assert frame["layer"].to_list() == [4, 4, None, None, None]
    assert frame.schema["failure"] == pl.String
    assert Results().to_polars().schema == frame.schema


def test_without_polars(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(BendError, match="pip install polars"):
        results.to_polars()


def test_of_a_score(results):
    assert [each.task for each in results.of(score="llr")] == [VARIANTS]
    assert list(results.of(score="llr", model="onehot")) == []
    with pytest.raises(BendError, match="Did you mean 'cosine'"):
        results.of(score="cosin")


def test_a_picture_of_the_scores(results, tmp_path):
    picture = results.plot()
    found = ElementTree.fromstring(picture._repr_svg_())
    texts = [each.text for each in found.iter() if each.tag.endswith("text")]
    assert texts[0] == "Gene finding · toy data"
    assert [text for text in texts if text in ("a<b", "onehot", "one-hot CNN", "0.500", "0.300")][:4][1::2] == [
        "0.500",
        "0.300",
    ]
    assert "a<b" in texts
    assert len([each for each in found.iter() if each.get("class") == "score"]) == 3  # what failed is none
    assert ":root" not in picture.svg
    assert "http" not in picture.svg.replace("http://www.w3.org/2000/svg", "")
    assert picture.save(tmp_path / "scores.svg").read_text() == picture.svg
    assert len(repr(picture)) < 200
    with pytest.raises(BendError, match=r"ends in \.svg"):
        picture.save(tmp_path / "scores.png")
    with pytest.raises(BendError, match="None of these"):
        results.of(task="cpg_methylation").plot()
