"""Rows are what the files say, base by base, however they are read."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any

import datasets
import numpy as np
import pytest
from data_folder import DataFolder, reverse_complement

import bend_hf
from bend_hf import files as file_tools
from bend_hf import resources
from bend_hf.data import rows
from bend_hf.data.builder import build, builder_class
from bend_hf.data.sources import locate
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS

SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def expected_rows(data: DataFolder, name: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of a task in the plainest way, from the written files alone."""
    task = TASKS[name]
    found: dict[str, list[dict[str, Any]]] = {split: [] for split in task.split_names.values()}
    for i, line in enumerate(data.rows(name)):
        start, end = int(line["start"]), int(line["end"])
        chromosome = data.chromosomes[f"chr{line['chromosome'].removeprefix('chr')}"].upper()
        if task.label_kind == "variant_binary":
            context = "".join(
                chromosome[p] if 0 <= p < len(chromosome) else "N" for p in range(start - 512, start + 512)
            )
            row = {key: line[key] for key in ("chromosome", "ref", "alt", "full_label") if key in line}
            row |= {"start": start, "label": int(line["label"]), "consequence": line["Consequence"]}
            row |= {"ref_sequence": context, "alt_sequence": context[:512] + line["alt"] + context[513:]}
            row |= {"variant_offset": 512}
        else:
            sequence = chromosome[start:end]
            if task.stranded and line["strand"] == "-":
                sequence = reverse_complement(sequence)
            row = {"chromosome": line["chromosome"], "start": start, "end": end, "strand": line["strand"]}
            row |= {"sequence": sequence}
            if task.labels_in_hdf5:
                row["labels"] = data.labels[name][i].astype(int).tolist()
            else:
                row["labels"] = [int(index) for index in line["label"].split(",") if index]
            extras = {"gene_finding": ("transcript_id", "flank_left", "flank_right"), "enhancer_annotation": ("gene",)}
            row |= {key: int(line[key]) if "flank" in key else line[key] for key in extras.get(name, ())}
        found[task.split_names[line["split"]]].append(row)
    return found


@pytest.mark.parametrize("name", TASKS)
def test_map_style_processes_and_streaming_give_the_rows_of_the_files(
    data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(rows, "BASES_PER_BATCH", 2_000)  # several batches per split, so that processes share them
    expected = expected_rows(data, name)
    task = TASKS[name]
    arguments: dict[str, Any] = {"data_dir": data.folder, "genome": data.fasta, "genome_checked": True}
    map_style = build(data.files(name), cache_dir=caches)
    processes = bend_hf.load_dataset(
        task.dataset, task.config, **arguments, num_proc=2, cache_dir=caches.parent / "two"
    )
    streamed = bend_hf.load_dataset(task.dataset, task.config, **arguments, streaming=True)
    assert list(map_style) == list(task.split_names.values()) == list(processes) == list(streamed)
    for split in expected:
        assert map_style[split].to_list() == expected[split]
        assert processes[split].to_list() == expected[split]
        assert list(streamed[split]) == expected[split]
        assert map_style[split].features == processes[split].features == streamed[split].features == rows.features(task)
    if name == "cpg_methylation":
        assert streamed["train"].num_shards > 1


@pytest.mark.parametrize("bases", [1, 300, 900, 1_800, 1 << 40], ids=lambda bases: f"{bases} bases at once")
def test_no_row_is_lost_however_many_are_written_at_once(
    data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch, bases: int
) -> None:
    """Rows longer than a batch too, the first of all among them."""
    monkeypatch.setattr(rows, "BASES_PER_BATCH", bases)
    built = build(data.files("gene_finding"), cache_dir=caches)
    assert {split: built[split].to_list() for split in built} == expected_rows(data, "gene_finding")


def test_num_proc_with_forked_readers_on_many_rows(
    data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BASES_PER_BATCH", 50_000)
    written = [
        {
            "chromosome": "chr1",
            "start": str(i * 7),
            "end": str(i * 7 + 512),
            "score": ".",
            "-": "1",
            "strand": "+-"[i % 2],
        }
        | {"label": str(i % 18), "split": "train"}
        for i in range(4_000)
    ]
    data.write("histone_modification", written)
    files = data.files("histone_modification")
    everything = build(files, num_proc=4, cache_dir=caches)
    assert list(everything) == ["train"], "splits without rows are left out"
    built = everything["train"]
    assert built["start"][:] == [i * 7 for i in range(4_000)]
    assert built[:]["sequence"] == [row["sequence"] for row in expected_rows(data, "histone_modification")["train"]]


def test_columns_and_types() -> None:
    names = "chromosome start end strand sequence labels transcript_id flank_left flank_right"
    assert list(rows.features(TASKS["gene_finding"])) == names.split()
    names = "chromosome start ref alt label consequence ref_sequence alt_sequence variant_offset full_label"
    assert list(rows.features(TASKS["variant_effects_disease"])) == names.split()
    assert rows.features(TASKS["gene_finding"])["labels"] == datasets.List(datasets.Value("int8"))
    assert rows.features(TASKS["cpg_methylation"])["labels"].feature.names == [f"label_{i}" for i in range(7)]
    assert rows.features(TASKS["variant_effects_disease"])["label"].names == ["benign", "pathogenic"]


@pytest.mark.parametrize("seed", [0, 1])
def test_soft_masking_and_the_width_of_lines_change_no_row(data: DataFolder, caches: Path, seed: int) -> None:
    expected = build(data.files("cpg_methylation"), cache_dir=caches)["train"].to_list()
    for name, sequence in data.chromosomes.items():
        data.chromosomes[name] = sequence.upper() if seed else sequence.lower()
    data.fasta.with_name("any.fa.fai").unlink()
    data.write_fasta(width=[50, 120_011][seed])
    assert build(data.files("cpg_methylation"), cache_dir=caches)["train"].to_list() == expected


class TestCache:
    def test_is_named_by_content_not_by_path(self, data: DataFolder, caches: Path, tmp_path: Path) -> None:
        first = data.files("cpg_methylation").digest
        shutil.copytree(data.folder, tmp_path / "elsewhere")
        data.fasta.rename(tmp_path / "renamed.fasta")
        second = locate(
            TASKS["cpg_methylation"], tmp_path / "elsewhere", tmp_path / "renamed.fasta", genome_checked=True
        )
        assert first == second.digest

    def test_layout_is_the_one_plain_load_dataset_reads(self, data: DataFolder, caches: Path) -> None:
        files = data.files("variant_effects_disease")
        build(files, cache_dir=caches, namespace="bend")
        folder = caches / "bend___variant_effects" / "disease" / "1.0.0" / files.digest
        assert {path.name for path in folder.iterdir()} == {
            ".seal",
            "dataset_info.json",
            "variant_effects-test.arrow",
        }
        script = (
            "import datasets; rows = datasets.load_dataset('bend/variant_effects', 'disease', split='test');"
            "import json; print(json.dumps(rows.to_list()))"
        )
        environment = {"HF_DATASETS_CACHE": str(caches), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin", "HOME": str(caches)}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert json.loads(run.stdout) == expected_rows(data, "variant_effects_disease")["test"]

    def test_is_used_again(self, data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        files = data.files("cpg_methylation")
        expected = build(files, cache_dir=caches)
        monkeypatch.setattr(rows, "make_rows", None)
        monkeypatch.setattr(rows, "read", None)
        assert build(files, cache_dir=caches)["test"].to_list() == expected["test"].to_list()

    def test_is_used_again_at_once_unread(
        self, data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bend_hf.files._REMEMBERED_FROM", 0)  # every file counts as large
        expected = build(data.files("cpg_methylation"), cache_dir=caches)
        read, digest_file = [], file_tools.digest_file

        def recorded(path: Path, *stop: Event) -> str:
            read.append(path.suffix)
            return digest_file(path, *stop)

        monkeypatch.setattr(file_tools, "digest_file", recorded)
        again = build(data.files("cpg_methylation"), cache_dir=caches)
        assert again["test"].to_list() == expected["test"].to_list()
        assert ".arrow" not in read

    @pytest.mark.parametrize("what", ["bed", "hdf5", "genome"])
    def test_other_content_at_the_same_path_is_another_dataset(self, data: DataFolder, caches: Path, what: str) -> None:
        before = build(data.files("gene_finding"), cache_dir=caches)["train"].to_list()
        if what == "bed":
            data.edit("gene_finding", 0, transcript_id="ENST00000000099.2")
        elif what == "hdf5":
            data.labels["gene_finding"][0] = 8 - data.labels["gene_finding"][0]
            data.write_labels("gene_finding")
        else:
            sequence = data.chromosomes["chr1"]
            data.chromosomes["chr1"] = sequence.translate(str.maketrans("ACGTacgt", "CGTAcgta"))
            data.write_fasta()
        after = build(data.files("gene_finding"), cache_dir=caches)["train"].to_list()
        assert after != before
        assert after == expected_rows(data, "gene_finding")["train"]

    def test_datasets_carry_their_digest(self, data: DataFolder, caches: Path) -> None:
        files = data.files("cpg_methylation")
        built = build(files, cache_dir=caches)
        streamed = bend_hf.load_dataset(
            "cpg_methylation", data_dir=data.folder, genome=data.fasta, genome_checked=True, streaming=True
        )
        for split in (built["test"], streamed["test"], built["test"].select([0])):
            assert rows.described_digest(split.info.description) == files.digest
        assert rows.described_digest("another dataset") is None

    def test_what_is_wrong_with_a_file_is_told_alike_by_rows_and_streams(self, data: DataFolder) -> None:
        data.edit("cpg_methylation", 1, start="x")
        said = []
        for streaming in (False, True):
            with pytest.raises(BendError) as error:
                bend_hf.load_dataset(
                    "cpg_methylation",
                    split="test",
                    data_dir=data.folder,
                    genome=data.fasta,
                    genome_checked=True,
                    streaming=streaming,
                )
            said.append(str(error.value))
        assert said[0] == said[1]
        assert said[0].startswith(str(data.bed("cpg_methylation")))

    def test_facts_for_cards(self, data: DataFolder, caches: Path) -> None:
        files = data.files("gene_finding")
        facts = rows.facts(files)
        assert facts["rows"] == {"train": 4, "validation": 2, "test": 2}
        assert facts["declared_rows"] == {"train": 4783, "validation": 597, "test": 597}
        task = TASKS["gene_finding"]
        for name in ("dataset", "config", "version", "build"):
            assert facts[name] == getattr(task, name)
        assert (facts["task"], facts["build_known"]) == ("gene_finding", files.build_known)
        assert facts["digest"] == files.digest
        assert set(facts["files"]) == {"bed", "hdf5", "genome"}
        assert json.loads(json.dumps(facts)) == facts


class TestLoadDataset:
    def test_default_config_split_and_namespace(self, data: DataFolder, caches: Path) -> None:
        arguments: dict[str, Any] = {
            "data_dir": data.folder,
            "genome": data.fasta,
            "genome_checked": True,
            "cache_dir": caches,
        }
        test = bend_hf.load_dataset("bend/variant_effects", split="test", **arguments)
        assert test.to_list() == expected_rows(data, "variant_effects_expression")["test"]
        assert len(bend_hf.load_dataset("cpg_methylation", split="train[:3]", **arguments)) == 3

    @pytest.mark.parametrize(
        "path", ["dataset_scripts/cpg_methylation", "dataset_scripts/cpg_methylation/cpg_methylation.py"]
    )
    def test_takes_the_path_of_a_script(self, data: DataFolder, caches: Path, path: str) -> None:
        found = bend_hf.load_dataset(
            path, data_dir=data.folder, genome=data.fasta, genome_checked=True, cache_dir=caches
        )
        assert found["test"].to_list() == expected_rows(data, "cpg_methylation")["test"]

    def test_unknown_names_suggest(self, data: DataFolder) -> None:
        with pytest.raises(BendError, match=r"'gene_findin'. Did you mean 'gene_finding'\?"):
            bend_hf.load_dataset("gene_findin")
        with pytest.raises(BendError, match=r"'diseases'. Did you mean 'disease'\?"):
            bend_hf.load_dataset("variant_effects", "diseases")

    def test_bad_input_is_the_packages_own_error(self, data: DataFolder, caches: Path) -> None:
        data.edit("cpg_methylation", 2, split="tset")
        for streaming in (False, True):
            with pytest.raises(BendError, match="line 4, column 'split': 'tset'"):
                bend_hf.load_dataset(
                    "cpg_methylation",
                    data_dir=data.folder,
                    genome=data.fasta,
                    genome_checked=True,
                    streaming=streaming,
                    cache_dir=caches,
                )

    def test_an_error_while_gathering_is_not_wrapped(
        self, data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gather(*_: Any, **__: Any) -> None:
            raise BendError("the genome went away")

        rows.prepare(data.files("cpg_methylation"))
        monkeypatch.setattr("bend_hf.data.genome.Genome.gather", gather)
        with pytest.raises(BendError, match="the genome went away"):
            build(data.files("cpg_methylation"), cache_dir=caches)


def _first_row(builder: Any, results: multiprocessing.Queue) -> None:
    results.put(next(iter(builder.as_streaming_dataset(split="test"))))


class TestScripts:
    @pytest.mark.parametrize("dataset", sorted({task.dataset for task in TASKS.values()}))
    def test_every_dataset_has_a_builder_with_its_configurations(self, dataset: str) -> None:
        kind = builder_class(dataset)
        tasks = [task for task in TASKS.values() if task.dataset == dataset]
        assert [(config.name, str(config.version)) for config in kind.BUILDER_CONFIGS] == [
            (task.config, task.version) for task in tasks
        ]
        assert tasks[0].config == kind.DEFAULT_CONFIG_NAME

    def test_builders_work_in_the_way_of_datasets(self, data: DataFolder, caches: Path) -> None:
        kind = builder_class("variant_effects")
        builder = kind(caches, config_name="disease", data_dir=data.folder, genome=data.fasta, genome_checked=True)
        builder.download_and_prepare()
        assert builder.as_dataset(split="test").to_list() == expected_rows(data, "variant_effects_disease")["test"]
        assert builder.info.splits["test"].num_examples == 8

    def test_a_builder_reaches_processes_that_never_imported_its_script(self, data: DataFolder, caches: Path) -> None:
        builder = builder_class("cpg_methylation")(caches, data_dir=data.folder, genome=data.fasta, genome_checked=True)
        assert pickle.loads(pickle.dumps(builder)).files.digest == builder.files.digest
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        process = context.Process(target=_first_row, args=(builder, results))
        process.start()
        assert results.get(timeout=120) == expected_rows(data, "cpg_methylation")["test"][0]
        process.join()

    def test_running_a_script_tells_the_two_ways(self) -> None:
        script = resources.folder("dataset_scripts") / "gene_finding" / "gene_finding.py"
        run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=script.parents[2])
        assert run.returncode == 1
        assert "bend-hf prepare gene_finding" in run.stderr
        assert 'load_dataset("bend/gene_finding")' in run.stderr
        assert 'bend_hf.load_dataset("gene_finding"' in run.stderr
        assert "Traceback" not in run.stderr

    def test_what_datasets_itself_says_of_a_script_is_as_documented(self) -> None:
        script = resources.folder("dataset_scripts") / "gene_finding" / "gene_finding.py"
        for path in (script, script.parent):
            with pytest.raises(
                RuntimeError, match=r"Dataset scripts are no longer supported, but found gene_finding\.py"
            ):
                datasets.load_dataset(str(path))


class TestRealSlice:
    def test_golden_rows_base_by_base(self, real_dir: Path, real_genome: Path, caches: Path) -> None:
        goldens = json.loads((real_dir / "goldens" / "gene_finding_rows.json").read_text())["rows"]
        built = build(locate(TASKS["gene_finding"], real_dir, real_genome, genome_checked=True), cache_dir=caches)
        for golden in goldens:
            rows_ = built["test"].filter(lambda row, golden=golden: row["transcript_id"] == golden["transcript_id"])
            [row] = rows_
            assert row["sequence"] == golden["sequence"]
            labels = [label for label, count in golden["label_rle"] for _ in range(count)]
            assert row["labels"] == labels
            assert np.bincount(row["labels"], minlength=9).tolist() == golden["label_counts"]
            assert (row["start"], row["end"]) == (golden["bundle_start"], golden["bundle_end"])

    @pytest.mark.parametrize(
        ("name", "counts"),
        [
            ("gene_finding", [22, 5, 6]),
            ("enhancer_annotation", [1, 1, 7, 3, 3, 1, 1, 2, 2, 1]),
            ("chromatin_accessibility", [380, 78, 68]),
            ("histone_modification", [334, 115, 87]),
            ("cpg_methylation", [3035, 530, 435]),
            ("variant_effects_expression", [676]),
            ("variant_effects_disease", [129]),
        ],
    )
    def test_every_task_builds(
        self, real_dir: Path, real_genome: Path, caches: Path, name: str, counts: list[int]
    ) -> None:
        files = locate(TASKS[name], real_dir, real_genome, genome_checked=True)
        built = build(files, cache_dir=caches)
        assert [len(split) for split in built.values()] == counts
        for split in built.values():
            sequences = split["ref_sequence" if "ref" in split.column_names else "sequence"][:]
            assert set("".join(sequences)) <= set("ACGTN")

    def test_a_cpg_stands_at_the_centre_of_both_strands(self, real_dir: Path, real_genome: Path, caches: Path) -> None:
        built = build(locate(TASKS["cpg_methylation"], real_dir, real_genome, genome_checked=True), cache_dir=caches)
        for split in built.values():
            assert {sequence[255:257] for sequence in split["sequence"][:]} == {"CG"}
            assert set(split["strand"][:]) == {"+", "-"}
