"""The mirror: what its files are, that they appear whole or not at all, and that old rows are not served."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard

import bend_hf
from bend_hf.data import rows as data_rows
from bend_hf.errors import BendError
from bend_hf.hub import mirror as mirrors
from bend_hf.hub.prepare import prepare
from bend_hf.metric import METRICS
from bend_hf.tasks import TASKS


def test_files_of_a_repository(mirror: Path) -> None:
    repositories = {item.name: item for item in mirrors.read_mirror(mirror, "bend")}
    assert len(repositories) == 6 + len(METRICS)  # datasets and metrics
    variants = repositories["bend/variant_effects"]
    assert [path.relative_to(variants.path).as_posix() for path in variants.files] == [
        "README.md",
        "disease/test-00000-of-00001.parquet",
        "eval.yaml",
        "expression/test-00000-of-00001.parquet",
    ]
    assert [path.name for path in repositories["bend/mcc"].files][-1] == "requirements.txt"
    for task in TASKS.values():
        folder = repositories[f"bend/{task.dataset}"].path
        head = DatasetCard.load(folder / "README.md").data.to_dict()
        [config] = [item for item in head["configs"] if item["config_name"] == task.config]
        assert [item["split"] for item in config["data_files"]] == list(task.rows)
        assert sum(bool(item.get("default")) for item in head["configs"]) == 1
        for path in folder.glob(f"{task.config}/*.parquet"):
            metadata = pq.read_metadata(path)
            assert {metadata.row_group(0).column(i).compression for i in range(metadata.num_columns)} == {"ZSTD"}
            assert datasets.Features.from_arrow_schema(pq.read_schema(path)) == data_rows.features(task)
        benchmark = yaml.safe_load((folder / "eval.yaml").read_text())
        assert {item["config"] for item in benchmark["tasks"]} == {item["config_name"] for item in head["configs"]}


def test_shards_and_row_groups(
    tmp_path: Path, caches: Path, plain_data: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "ROWS_PER_GROUP", 7)
    monkeypatch.setattr(mirrors, "BYTES_PER_SHARD", 4_000)
    monkeypatch.setattr(data_rows, "BASES_PER_BATCH", 5 * 512)
    prepare("histone_modification", genome_checked=True, data_dir=plain_data[0], to=tmp_path / "mirror")
    folder = tmp_path / "mirror" / "bend" / "histone_modification"
    shards = sorted((folder / "default").glob("train-*.parquet"))
    assert len(shards) > 2
    assert [path.name for path in shards] == [f"train-{k:05d}-of-{len(shards):05d}.parquet" for k in range(len(shards))]
    groups = [
        pq.read_metadata(path).row_group(k).num_rows
        for path in shards
        for k in range(pq.read_metadata(path).num_row_groups)
    ]
    assert set(groups[:-1]) == {7}
    expected = bend_hf.load_dataset("histone_modification", genome_checked=True, data_dir=plain_data[0])
    found = datasets.load_dataset(str(folder))
    assert {name: split.to_list() for name, split in found.items()} == {
        name: split.to_list() for name, split in expected.items()
    }
    assert found["train"].features == expected["train"].features


def test_long_rows_are_cut_into_smaller_groups(
    tmp_path: Path, plain_data: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "BYTES_PER_GROUP", 100_000)
    monkeypatch.setattr(data_rows, "BASES_PER_BATCH", 1)
    monkeypatch.setattr(data_rows.file_tools, "cache_dir", lambda *parts: _made(tmp_path.joinpath("cache", *parts)))
    prepare("enhancer_annotation", genome_checked=True, data_dir=plain_data[0], to=tmp_path / "mirror")
    [path] = (tmp_path / "mirror").rglob("part1-*.parquet")
    assert pq.read_metadata(path).num_row_groups == 2


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_new_rows_are_served_after_the_inputs_changed(
    tmp_path: Path, caches: Path, plain_data: dict[int, Path]
) -> None:
    for seed in (0, 1, 0):
        prepare(
            ["gene_finding", "variant_effects"], genome_checked=True, data_dir=plain_data[seed], to=tmp_path / "mirror"
        )
        for name, *config in (("gene_finding",), ("variant_effects", "disease")):
            found = datasets.load_dataset(str(tmp_path / "mirror" / "bend" / name), *config, split="test")
            expected = bend_hf.load_dataset(name, *config, split="test", genome_checked=True, data_dir=plain_data[seed])
            assert found.to_list() == expected.to_list()


def test_what_is_up_to_date_is_left_alone(tmp_path: Path, plain_data: dict[int, Path]) -> None:
    def write(seed: int) -> int:
        prepare("gene_finding", genome_checked=True, data_dir=plain_data[seed], to=tmp_path)
        return (tmp_path / "bend" / "gene_finding" / "README.md").stat().st_mtime_ns

    first = write(0)
    assert write(0) == first
    assert write(1) != first


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bend" / "mcc").mkdir(parents=True)
    (tmp_path / "bend" / "mcc" / "notes.txt").write_text("mine")
    with pytest.raises(BendError, match="was not written by bend-hf prepare"):
        prepare("gene_finding", toy=True, to=tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["notes.txt"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_partial_is_left(
    tmp_path: Path, plain_data: dict[int, Path], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    groups = mirrors.row_groups

    def failing(files: object, positions: object) -> object:
        yield next(groups(files, positions))  # type: ignore[arg-type]
        raise error

    prepare("gene_finding", genome_checked=True, data_dir=plain_data[0], to=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr(mirrors, "row_groups", failing)
    with pytest.raises((BendError, KeyboardInterrupt), match="disk is full" if isinstance(error, OSError) else None):
        prepare("gene_finding", genome_checked=True, data_dir=plain_data[1], to=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_another_namespace(tmp_path: Path) -> None:
    prepare("gene_finding", toy=True, to=tmp_path, namespace="someone")
    card = (tmp_path / "someone" / "gene_finding" / "README.md").read_text()
    assert 'load_dataset("someone/gene_finding")' in card
    assert "bend/gene_finding" not in card
    assert "someone/mcc" in (tmp_path / "someone" / "mcc" / "README.md").read_text()
    with pytest.raises(BendError, match="holds no repositories"):
        mirrors.read_mirror(tmp_path, "bend")


def test_the_real_slice(tmp_path: Path, caches: Path, real_dir: Path, real_genome: Path) -> None:
    prepare(data_dir=real_dir, genome=real_genome, genome_checked=True, to=tmp_path)
    for task in TASKS.values():
        found = datasets.load_dataset(str(tmp_path / "bend" / task.dataset), task.config)
        expected = bend_hf.load_dataset(
            task.dataset, task.config, data_dir=real_dir, genome=real_genome, genome_checked=True
        )
        assert list(found) == list(expected) == list(task.rows)
        for name, split in expected.items():
            assert found[name].data.table.cast(split.data.table.schema) == split.data.table
    card = (tmp_path / "bend" / "gene_finding" / "README.md").read_text()
    assert "| `train` | 4,783 | 22 |" in card
    assert "toy" not in card


@pytest.mark.parametrize("harm", ["deleted", "cut", "flipped", "marker", "no seal"])
def test_a_repository_that_lost_or_changed_a_file_is_written_again(
    mirror: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(mirror, copy)
    folder = copy / "bend" / "gene_finding"
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    shard = folder / "default" / "test-00000-of-00001.parquet"
    content = shard.read_bytes()
    if harm == "deleted":
        shard.unlink()
    elif harm == "marker":
        (folder / mirrors.MARKER).write_bytes(b'{"kind": "dataset"')
    elif harm == "no seal":
        (folder / ".seal").unlink()
    else:
        shard.write_bytes(content[:-50] if harm == "cut" else content[:200] + bytes([content[200] ^ 1]) + content[201:])
    prepare("gene_finding", toy=True, to=copy)
    assert "It is written again" in caplog.text
    assert {path: path.read_bytes() for path in before} == before
    caplog.clear()
    prepare("gene_finding", toy=True, to=copy)
    assert "again" not in caplog.text
