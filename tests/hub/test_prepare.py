"""Placing in the caches: what is served, listed, replaced and removed."""

from __future__ import annotations

import errno
from pathlib import Path

import datasets
import pytest
import torch

import bend_hf
from bend_hf.cli import main
from bend_hf.errors import BendError
from bend_hf.hub.prepare import prepare, prepared, remove
from bend_hf.metric import METRICS

GENES = "gene_finding"
VARIANTS = "variant_effects"


def rows(name: str, *arguments: str) -> list[dict[str, object]]:
    return datasets.load_dataset(name, *arguments)["test"].to_list()


def test_new_rows_are_served_after_the_inputs_changed(caches: Path, plain_data: dict[int, Path]) -> None:
    for seed in (0, 1, 0):
        prepare([GENES, VARIANTS], genome_checked=True, data_dir=plain_data[seed])
        for name, *config in ((GENES,), (VARIANTS,), (VARIANTS, "disease")):
            expected = bend_hf.load_dataset(
                name, *config, split="test", genome_checked=True, data_dir=plain_data[seed]
            ).to_list()
            assert rows(f"bend/{name}", *config) == expected
        listed = [item for item in prepared() if item.kind == "dataset"]
        assert [(item.name, item.config) for item in listed] == [
            ("bend/gene_finding", "default"),
            ("bend/variant_effects", "disease"),
            ("bend/variant_effects", "expression"),
        ]
    assert (
        rows("bend/gene_finding")
        != bend_hf.load_dataset(GENES, split="test", genome_checked=True, data_dir=plain_data[1]).to_list()
    )


def test_listing_says_what_is_there(caches: Path) -> None:
    assert prepared() == []
    placed = prepare("enhancer_annotation", toy=True)
    assert sorted(placed, key=lambda item: item.name) == sorted(prepared(), key=lambda item: item.name)
    data, *metrics = placed
    assert data.kind == "dataset"
    assert data.toy
    assert data.rows == {f"part{k}": 2 for k in range(1, 11)}
    assert data.path.is_relative_to(caches)
    assert data.size > 2 * 10 * 100_096
    assert {item.name for item in metrics} == {f"bend/{name}" for name in METRICS}
    prepare("gene_finding", toy=True, namespace="someone")
    assert {item.name for item in prepared("someone")} == {
        "someone/gene_finding",
        *(f"someone/{name}" for name in METRICS),
    }
    assert len(prepared()) == 2 + 2 * len(METRICS)


def test_listing_knows_names(caches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(GENES, toy=True)
    assert [item.name for item in prepared(tasks="gene_finding")] == ["bend/gene_finding"]
    assert prepared(tasks="cpg_methylation") == []
    assert main(["prepare", "--list", "nonsense"]) == 1
    assert "Unknown task 'nonsense'" in capsys.readouterr().err
    assert main(["prepare", "--remove", "gene_findin"]) == 1
    assert "Did you mean 'gene_finding'?" in capsys.readouterr().err


def test_what_is_damaged_in_the_caches_is_said_and_placed_again(caches: Path, caplog: pytest.LogCaptureFixture) -> None:
    [genes, *metrics] = prepare(GENES, toy=True)
    expected = rows("bend/gene_finding")
    victim = genes.path / "gene_finding-test.arrow"
    content = bytearray(victim.read_bytes())
    content[-5_000] ^= 4
    victim.write_bytes(content)
    prepared()
    assert "gene_finding-test.arrow does not match its SHA-256" in caplog.text
    (metrics[0].path / "mcc.py").write_text("raise SystemExit")
    (metrics[1].path / "bend_hf.json").write_text("[")
    assert len(prepared()) == len(METRICS)  # and the dataset, less the metric whose marker is damaged
    assert "bend_hf.json is damaged" in caplog.text
    assert prepare(GENES, toy=True) == [genes, *metrics]
    assert rows("bend/gene_finding") == expected
    assert "raise SystemExit" not in (metrics[0].path / "mcc.py").read_text()


def test_removal_takes_what_was_placed_and_nothing_else(caches: Path) -> None:
    foreign = caches / "datasets" / "bend___gene_finding" / "default" / "0.0.0" / "abc"
    foreign.mkdir(parents=True)
    (foreign / "dataset_info.json").write_text("{}")
    prepare([GENES, VARIANTS], toy=True)
    everything = {item.name for item in prepared()}
    assert [item.name for item in remove("variant_effects_disease")] == ["bend/variant_effects"] * 2
    assert {item.name for item in prepared()} == everything - {"bend/variant_effects"}
    assert remove(namespace="nobody") == []
    remove()
    assert prepared() == []
    with pytest.raises(BendError, match="Unknown task 'gene'"):
        remove("gene")  # though nothing is placed
    assert [path for path in caches.rglob("*") if path.is_file() and path.name != "__init__.py"] == [
        foreign / "dataset_info.json"
    ]


def test_the_name_alone_means_the_default_configuration(caches: Path) -> None:
    prepare("variant_effects_disease", toy=True)
    expression = rows("bend/variant_effects")
    assert "full_label" not in expression[0]
    # What `map` leaves in the disease configuration's folder makes it the newest but one.
    datasets.load_dataset("bend/variant_effects", "disease").map(lambda row: {"one": 1})
    assert rows("bend/variant_effects") == expression
    # After `map` on the default and then on the other, the name alone is refused rather than misunderstood.
    datasets.load_dataset("bend/variant_effects", "expression").map(lambda row: {"one": 1})
    datasets.load_dataset("bend/variant_effects", "disease").map(lambda row: {"two": 2})
    with pytest.raises(ValueError, match="specify which configuration"):
        datasets.load_dataset("bend/variant_effects")
    assert rows("bend/variant_effects", "expression") == expression
    assert "full_label" in rows("bend/variant_effects", "disease")[0]
    prepare("variant_effects", toy=True)
    assert rows("bend/variant_effects") == expression


def test_processes_do_not_change_rows(caches: Path) -> None:
    prepare("histone_modification", toy=True)
    alone = rows("bend/histone_modification")
    remove()
    prepare("histone_modification", toy=True, num_proc=2)
    assert rows("bend/histone_modification") == alone


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": "gene_findin"}, "Did you mean 'gene_finding'"),
        ({"namespace": "a/b"}, "is no namespace"),
        ({"namespace": "..", "toy": True}, "is no namespace"),
        ({"toy": True, "data_dir": "somewhere"}, "brings its own files"),
        ({"data_dir": "nowhere"}, "nowhere"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    caches: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(BendError, match=message):
        prepare(**options)  # type: ignore[arg-type]
    assert not caches.exists()


def test_toy_data_must_be_called_toy(caches: Path, toy_dir: Path) -> None:
    with pytest.raises(BendError, match="--toy"):
        prepare("gene_finding", data_dir=toy_dir)


def test_a_cache_that_may_not_be_written(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(caches))

    monkeypatch.setattr("bend_hf.hub.prepare._place_metric", refuse)
    with pytest.raises(BendError, match=r"hf may not be written \(Permission denied\)"):
        prepare("gene_finding", toy=True)


def test_interoperability(caches: Path) -> None:
    """What users do with datasets and metrics, on the prepared ones."""
    import evaluate

    prepare(["histone_modification", "cpg_methylation", "variant_effects"], toy=True)
    histone = datasets.load_dataset("bend/histone_modification", split="test")
    with_gc = histone.map(lambda row: {"gc": (row["sequence"].count("G") + row["sequence"].count("C")) / 512})
    assert len(histone.filter(lambda row: row["strand"] == "-")) == histone["strand"].count("-")
    assert 0 < min(with_gc["gc"]) < max(with_gc["gc"]) < 1
    names = histone.features["labels"].feature.names
    assert names == [f"label_{k}" for k in range(18)]

    start = histone.with_format("torch")[:4]["start"]
    assert isinstance(start, torch.Tensor)
    assert start.tolist() == histone[:4]["start"]
    loader = torch.utils.data.DataLoader(histone.select_columns(["sequence", "start"]), batch_size=50, num_workers=2)
    batches = list(loader)
    assert [text for batch in batches for text in batch["sequence"]] == histone["sequence"][:]

    methylation = datasets.load_dataset("bend/cpg_methylation", split="test")
    columns = ["chromosome", "start", "end", "strand", "sequence"]
    mixed = datasets.interleave_datasets([histone.select_columns(columns), methylation.select_columns(columns)])
    assert mixed[0]["sequence"] == histone[0]["sequence"]
    assert mixed[1]["sequence"] == methylation[0]["sequence"]

    variants = datasets.load_dataset("bend/variant_effects", "disease", split="test")
    assert variants.features["label"].int2str(1) == "pathogenic"
    scores = evaluate.combine(["bend/auroc", "bend/auprc"])
    distances = [float(row["label"]) for row in variants]
    combined = scores.compute(predictions=distances, references=variants["label"][:])
    assert combined["auroc"] == pytest.approx(1.0)
    assert combined["auprc"] == pytest.approx(1.0)
