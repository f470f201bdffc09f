"""The toy data as files: BEND's formats, determinism, and a folder that is written whole or not at all."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from bend_hf import load_dataset
from bend_hf.data import toy
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS, Task

SMALL = {"windows": 1, "genes": 2, "chromatin": 4, "histone": 4, "cpgs": 4, "variants": 2}
LABELLED = [task for task in TASKS.values() if task.label_kind == "multilabel"]
VARIANTS = [task for task in TASKS.values() if task.label_kind == "variant_binary"]


def read_bed(folder: Path, task: Task) -> list[dict[str, str]]:
    with (folder / f"{task.stem}.bed").open() as handle:
        return list(csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_fasta(path: Path) -> dict[str, str]:
    records = path.read_text().split(">")[1:]
    return {name: body.replace("\n", "") for name, _, body in (record.partition("\n") for record in records)}


def genome_of(folder: Path, task: Task) -> dict[str, str]:
    return read_fasta(folder / "genomes" / f"{task.build}.toy.fa")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_bytes_depend_on_seed_and_sizes_only(tmp_path: Path) -> None:
    first = contents(toy.make(tmp_path / "a", seed=3, **SMALL))
    assert contents(toy.make(tmp_path / "b", seed=3, **SMALL)) == first
    other = contents(toy.make(tmp_path / "c", seed=4, **SMALL))
    assert other.keys() == first.keys()
    # The enhancer windows tile the chromosomes, whatever the seed; what lies in them does not.
    assert {name for name in first if other[name] == first[name]} == {"enhancer_annotation/enhancer_annotation.bed"}
    # As in BEND: no folder for the second genome's task but its BED file, and a genome per build.
    assert {name for name in first if not name.startswith("genomes/")} == {
        "toy.json",
        "elements.bed",
        "gene_finding/gene_finding.hdf5",
        "enhancer_annotation/enhancer_annotation.hdf5",
        *(f"{task.stem}.bed" for task in TASKS.values()),
    }


def test_second_call_changes_nothing(tmp_path: Path) -> None:
    folder = toy.make(tmp_path / "toy", **SMALL)
    (folder / "genomes" / "GRCh38.toy.fa.fai").write_text("left by a reader\n")
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert toy.make(str(folder), **SMALL) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == stamps


def test_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BendError, match="choose another folder"):
        toy.make(tmp_path, **SMALL)
    with pytest.raises(BendError, match="choose another folder"):
        toy.make(tmp_path / "notes.txt", **SMALL)
    assert contents(tmp_path) == {"notes.txt": b"mine"}
    folder = toy.make(tmp_path / "toy", **SMALL)
    with pytest.raises(BendError, match=r"'genes': 2.*'genes': 3"):
        toy.make(folder, **{**SMALL, "genes": 3})
    with pytest.raises(BendError, match=r"'seed': 0.*'seed': 1"):
        toy.make(folder, seed=1, **SMALL)
    (folder / "cpg_methylation" / "cpg_methylation.bed").unlink()
    with pytest.raises(BendError, match=r"cpg_methylation\.bed is missing or was changed"):
        toy.make(folder, **SMALL)


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    assert (toy.make(tmp_path, **SMALL) / "toy.json").is_file()


def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(toy, "write_json", full_disk)
    with pytest.raises(OSError, match="No space left"):
        toy.make(tmp_path / "toy", **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"genes": 0}, {"variants": -1}, {"seed": -1}])
def test_impossible_parameters(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(BendError, match=next(iter(wrong))):
        toy.make(tmp_path / "toy", **wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"genes": 60}, "do not fit"), ({"cpgs": 5_000}, "cpgs=5000"), ({"variants": 3_000}, "variants")],
)
def test_what_does_not_fit_is_said(tmp_path: Path, wrong: dict[str, int], said: str) -> None:
    with pytest.raises(BendError, match=said):
        toy.make(tmp_path / "toy", **{**SMALL, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_manifest_names_parameters_and_digests(toy_dir: Path) -> None:
    manifest = json.loads((toy_dir / "toy.json").read_text())
    assert manifest["parameters"]["seed"] == 0
    assert len(manifest["sha256"]) == 12


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_header_and_splits(toy_dir: Path, task: Task) -> None:
    rows = read_bed(toy_dir, task)
    assert list(rows[0]) == [column.name for column in task.columns]
    assert {row["split"] for row in rows} == set(task.split_names)
    assert len({tuple(row.values()) for row in rows}) == len(rows)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_header_equals_real_file(toy_dir: Path, real_dir: Path, task: Task) -> None:
    with (real_dir / f"{task.stem}.bed").open() as real, (toy_dir / f"{task.stem}.bed").open() as made:
        assert made.readline() == real.readline()


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_windows_lie_in_their_chromosome(toy_dir: Path, task: Task) -> None:
    genome = genome_of(toy_dir, task)
    for row in read_bed(toy_dir, task):
        start, end = int(row["start"]), int(row["end"])
        assert 0 <= start <= end <= len(genome[row["chromosome"]])
        if task.label_kind == "variant_binary":
            assert start == end
        else:
            assert task.window in (None, end - start)


def test_chromosome_names(toy_dir: Path) -> None:
    assert set(genome_of(toy_dir, TASKS["chromatin_accessibility"])) == {str(n) for n in range(1, 11)}
    assert set(genome_of(toy_dir, TASKS["gene_finding"])) == {f"chr{n}" for n in range(1, 11)}


def test_fixed_splits_share_no_chromosome(toy_dir: Path) -> None:
    for task in TASKS.values():
        if task.split_scheme == "fixed":
            pairs = {(row["chromosome"], row["split"]) for row in read_bed(toy_dir, task)}
            assert len(pairs) == 10


def test_folds_share_no_window(toy_dir: Path) -> None:
    rows = read_bed(toy_dir, TASKS["enhancer_annotation"])
    assert Counter(row["split"] for row in rows) == {f"part{k}": 2 for k in range(1, 11)}
    assert len({(row["chromosome"], row["split"]) for row in rows}) == 10
    spans = sorted((row["chromosome"], int(row["start"]), int(row["end"])) for row in rows)
    assert all(a[0] != b[0] or a[2] <= b[1] for a, b in pairwise(spans))


def test_hdf5_labels(toy_dir: Path) -> None:
    rows = read_bed(toy_dir, TASKS["gene_finding"])
    with h5py.File(toy_dir / "gene_finding" / "gene_finding.hdf5") as handle:
        assert h5py.check_vlen_dtype(handle["labels"].dtype) == np.float64
        labels = handle["labels"][:]
    assert [len(row) for row in labels] == [int(row["length"]) for row in rows]
    assert set(np.concatenate(labels)) == set(range(9))
    with h5py.File(toy_dir / "enhancer_annotation" / "enhancer_annotation.hdf5") as handle:
        enhancers = handle["labels"][:]
    assert enhancers.shape == (20, 782)
    assert enhancers.dtype == np.float64
    assert set(np.unique(enhancers)) == {0, 1}
    assert enhancers.any(axis=1).all()


@pytest.mark.parametrize("task", LABELLED, ids=lambda task: task.name)
def test_multilabel_fields(toy_dir: Path, task: Task) -> None:
    fields = [row["label"] for row in read_bed(toy_dir, task)]
    lists = [[int(i) for i in field.split(",")] if field else [] for field in fields]
    assert all(labels == sorted(set(labels)) for labels in lists)
    counts = Counter(i for labels in lists for i in labels)
    assert max(counts) < len(task.label_names)
    if task.name == "cpg_methylation":
        assert "" in fields
    else:
        assert "" not in fields
    if task.name == "chromatin_accessibility":
        assert not set(counts) & set(toy.SILENT_LABELS)
        assert all(counts[i] <= 15 for i in toy.RARE_LABELS)


def test_odd_columns(toy_dir: Path) -> None:
    for name in ("chromatin_accessibility", "histone_modification"):
        assert {(row["score"], row["-"]) for row in read_bed(toy_dir, TASKS[name])} == {(".", "1")}
    assert {(row["score"], row["strand"]) for row in read_bed(toy_dir, TASKS["enhancer_annotation"])} == {("", ".")}
    assert {row["strand"] for row in read_bed(toy_dir, TASKS["cpg_methylation"])} == {"+", "-"}


@pytest.mark.parametrize("task", VARIANTS, ids=lambda task: task.name)
def test_variants_stand_in_the_genome(toy_dir: Path, task: Task) -> None:
    genome = genome_of(toy_dir, task)
    rows = read_bed(toy_dir, task)
    for row in rows:
        assert genome[row["chromosome"]][int(row["start"])] == row["ref"] == row.get("actual", row["ref"])
        assert row["alt"] in set("ACGT") - {row["ref"]}
        assert row["Consequence"].endswith("_variant") or row["Consequence"] in {"stop_gained", "start_lost"}
    assert len({(row["chromosome"], row["start"]) for row in rows}) == len(rows) == 200
    assert Counter(row["label"] for row in rows) == {"0": 150, "1": 50}
    if task.config == "disease":
        assert {(row["label"], "athogenic" in row["full_label"]) for row in rows} == {("0", False), ("1", True)}


def test_genome_has_soft_masked_repeats_and_n(toy_dir: Path) -> None:
    genome = genome_of(toy_dir, TASKS["gene_finding"])
    assert all(set(sequence) == set("ACGTNacgt") for sequence in genome.values())
    lines = (toy_dir / "genomes" / "GRCh38.toy.fa").read_text().splitlines()
    assert max(map(len, lines)) == 60


def test_needs_neither_torch_nor_datasets(tmp_path: Path) -> None:
    code = (
        "import sys; from bend_hf.data import toy; "
        f"toy.make({str(tmp_path / 'toy')!r}, windows=1, genes=1, chromatin=1, histone=1, cpgs=1, variants=1); "
        "print({'torch', 'transformers', 'datasets', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"parameters": {}}', '{"parameters": 1, "sha256": []}', "[" * 10**5]
)
def test_a_damaged_manifest_is_one_error(tmp_path: Path, content: str) -> None:
    folder = toy.make(tmp_path / "toy", **SMALL)
    (folder / toy.MANIFEST).write_text(content)
    for use in (lambda: toy.make(folder), lambda: load_dataset("cpg_methylation", data_dir=folder)):
        with pytest.raises(BendError, match=r"toy\.json.*make the toy data again"):
            use()
