"""Layers from one pass: each equals a run of that layer alone, and the best is chosen on validation."""

import dataclasses
import shutil

import pytest
import tiny_models

import bend_hf
from bend_hf.embed import layers as layers_module
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.layers import Shared, in_passes, layers_of
from bend_hf.errors import BendError
from bend_hf.report.write import write_report
from bend_hf.results.board import board
from bend_hf.results.sweeps import by_layer, by_training_rows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_models.esm(tmp_path_factory.mktemp("model") / "esm", layers=3))


@pytest.fixture(scope="module")
def embedder(model):
    return Embedder.from_pretrained(model, dtype="float32")


@pytest.mark.parametrize(
    ("asked", "found"),
    [(" all", [0, 1, 2, -1]), ("last", [-1]), ("every 2", [0, 2, -1]), ("2,0,last", [0, 2, -1]), ([3, 1], [1, -1])],
)
def test_layers_are_read(embedder, asked, found):
    assert layers_of(asked, embedder) == found


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("7", "it has 3 layers"),
        ("1,1", "each layer once"),
        ("3,last", "each layer once; 3 and last are one"),
        ("every 0", "every 1 or more"),
        *((asked, 'give "all", "last", "every 4", or') for asked in ("deep", "", [], [True], 1.5, "every -1")),
    ],
)
def test_other_layers_are_refused(embedder, asked, said):
    with pytest.raises(BendError, match=said):
        layers_of(asked, embedder)


def test_an_embedder_at_a_layer_is_that_of_the_layer_alone(embedder, model):
    for layer in (0, 2, [1, 3]):
        assert (
            embedder.at(layer).provenance()
            == Embedder.from_pretrained(model, dtype="float32", layer=layer).provenance()
        )


@pytest.fixture(scope="module")
def runs(model, toy_dir, tmp_path_factory):
    """All layers of a model, and every one alone."""
    folder = tmp_path_factory.mktemp("runs")
    options = {"data_dir": toy_dir, "epochs": 2, "seeds": 1, "vectors": "float32", "dtype": "float32"}
    options |= {"limit": 60, "overwrite": True}
    made = []
    whole = layers_module.vectors_for
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            layers_module, "vectors_for", lambda *args, **more: made.append(args[0].dim) or whole(*args, **more)
        )
        every = bend_hf.evaluate(model, "cpg_methylation", layers="all", output=folder / "all", **options)
    alone = [
        bend_hf.evaluate(model, "cpg_methylation", layer=layer, output=folder / "alone", **options)[0]
        for layer in (0, 1, 2, -1)
    ]
    return every, alone, made


def test_any_layer_alone_equals_that_layer_of_all(runs):
    every, alone, made = runs
    assert len(made) == 1  # one pass
    assert [result.key["embedder"]["layer"] for result in every] == [[0], [1], [2], [-1]]
    for one, other in zip(every, alone, strict=True):
        assert one.key == other.key
        assert one.path.name == other.path.name
        assert one.score == other.score
        assert one.predictions == other.predictions  # their SHA-256 among them
    assert len({result.score for result in every}) == 4


def test_beyond_the_limit_layers_are_made_in_several_passes_to_the_same_scores(runs, model, toy_dir, tmp_path, caplog):
    every, _, _ = runs
    options = {"data_dir": toy_dir, "epochs": 2, "seeds": 1, "vectors": "float32", "dtype": "float32", "limit": 60}
    size = sum(result.provenance["bytes_stored"] for result in every)
    with caplog.at_level("INFO", logger="bend_hf"):
        again = bend_hf.evaluate(
            model,
            "cpg_methylation",
            layers="all",
            store=tmp_path / "store",
            store_limit=int(size * 0.6),
            output=tmp_path / "out",
            **options,
        )
    assert "4 layers of" in caplog.text
    assert "2 passes" in caplog.text
    assert [result.score for result in again] == [result.score for result in every]
    assert not list((tmp_path / "store").glob("*/*.safetensors"))  # a pass makes room for the next


def test_a_store_that_was_there_before_is_not_taken_from_the_disk(embedder, tmp_path):
    views, sequences = [embedder.at(0), embedder.at(1)], ["ACGTTGCA" * 20, "TTGACGTA" * 20]
    options = {"store_dir": tmp_path, "memory_bytes": 0}
    for kept in (False, True):
        shared = Shared(views, sequences, **options)
        shared.source(views[0])
        shared.close(discard=kept)  # the second finds the store of the first
        assert list(tmp_path.glob("*/*.safetensors"))
    shutil.rmtree(tmp_path)
    shared = Shared(views, sequences, **options)
    shared.source(views[0])
    shared.close(discard=True)
    assert not list(tmp_path.glob("*/*.safetensors"))


def test_vectors_of_one_byte_are_rounded_layer_by_layer(embedder):
    groups = in_passes(embedder, [0, 1, -1], ["ACGT" * 8], precision="int8")
    assert [len(group) for group in groups] == [1, 1, 1]


def test_the_best_layer_is_chosen_on_validation_and_not_on_test(runs):
    every, _, _ = runs
    [sweep] = by_layer(board(every))
    assert [point.name for point in sweep.points] == ["0", "1", "2", "last"]
    assert [point.at for point in sweep.points] == [0, 1, 2, 3]
    kept = [max(entry["validation_score"] for entry in result.history) for result in every]
    assert [point.validation for point in sweep.points] == kept
    assert sweep.best.validation == max(kept)
    turned = [  # the highest score on test has the lowest on validation
        dataclasses.replace(result, score=0.2 * k + 0.1, history=[{"epoch": 1, "validation_score": 0.9 - 0.1 * k}])
        for k, result in enumerate(every)
    ]
    [sweep] = by_layer(board(turned))
    assert sweep.best.name == "0"
    assert sweep.title == board(every[:1])[0].title
    first, *others = board(every)
    [sweep] = by_layer([dataclasses.replace(first, score=None), *others])
    assert len(sweep.points) == 3  # a layer that failed hides no other
    without = [dataclasses.replace(every[0], history=[]), *every[1:]]
    [sweep] = by_layer(board(without))
    assert sweep.best is None


def test_the_report_shows_both_curves(runs, model, toy_dir, tmp_path):
    every, _, _ = runs
    options = {"data_dir": toy_dir, "epochs": 1, "seeds": 1, "output": tmp_path / "out"}
    sizes = bend_hf.evaluate("onehot", "cpg_methylation", train_rows="20,80", **options)
    [sweep] = by_training_rows(board(sizes))
    assert [point.at for point in sweep.points] == [20, 80]
    page = write_report([*every, *sizes], tmp_path / "report.html").read_text()
    [by] = by_layer(board(every))
    assert "Score by layer" in page
    assert f"chosen on validation: layer {by.best.name} (validation {by.best.validation:.3f})" in page
    assert "Score against training rows" in page


def test_layers_go_with_models_that_show_them(model, toy_dir, tmp_path):
    options = {"data_dir": toy_dir, "output": tmp_path / "out"}
    with pytest.raises(BendError, match="onehot shows no layers but its output"):
        bend_hf.evaluate("onehot", "cpg_methylation", layers="all", **options)
    with pytest.raises(BendError, match="layer= or layers="):
        bend_hf.evaluate(model, "cpg_methylation", layers="all", layer=1, **options)


def test_variants_at_every_layer_take_one_pass_and_equal_each_alone(model, toy_dir, tmp_path, monkeypatch):
    options = {"data_dir": toy_dir, "dtype": "float32", "limit": 24, "strand": "average"}
    passes = []
    embed = Embedder.embed_layers
    monkeypatch.setattr(Embedder, "embed_layers", lambda *args, **more: passes.append(args[2]) or embed(*args, **more))
    every = bend_hf.evaluate(model, "variant_effects_disease", layers="0,2,last", output=tmp_path / "all", **options)
    assert passes == [[0, 2, 3]]
    for layer, one in zip((0, 2, -1), every, strict=True):
        [alone] = bend_hf.evaluate(model, "variant_effects_disease", layer=layer, output=tmp_path / "alone", **options)
        assert one.key == alone.key
        assert one.predictions == alone.predictions  # their SHA-256 among them
        assert one.secondary == alone.secondary
    assert len({result.score for result in every}) == 3
