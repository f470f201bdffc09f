"""Writes a Hub namespace into a folder: datasets as zstd Parquet with cards and `eval.yaml`, metrics as Spaces.

    repos = write_mirror(Path("mirror"), located, namespace="bend")

From the mirror's parent folder ``load_dataset("bend/variant_effects")`` and ``evaluate.load("bend/mcc")`` work as they
are, and of each repository's folder `bend_hf.hub.publish` uploads the files written here. A repository's folder appears
whole or not at all, and is sealed: a file that was changed or lost since is written again, and never published.
Memory is bounded by a row group, and nothing but the Parquet files is written.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bend_hf import __version__, resources
from bend_hf import files as file_tools
from bend_hf.console import log, progress
from bend_hf.data.audited import audited
from bend_hf.data.sources import TaskFiles
from bend_hf.errors import BendError
from bend_hf.hub.cards import DATASETS, Built, dataset_card, eval_yaml
from bend_hf.metric import METRICS
from bend_hf.tasks import Task

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

MIRRORED = tuple(METRICS)
"""Metrics of a namespace: all of ``metrics/``."""

MARKER = ".bend_hf.json"
"""In every repository's folder: what it is and what it was made from. It is not uploaded."""

AGAIN = "Delete the repository's folder and write it again with: bend-hf prepare --to DIR."

ROWS_PER_GROUP = 10_000
BYTES_PER_GROUP = 64 << 20  # uncompressed: fewer rows where they are long, so that a reader holds little
BYTES_PER_SHARD = 48 << 20  # compressed
COMPRESSION_LEVEL = 5  # of zstd; higher levels save under 5 % of DNA and take several times as long


class Repository(NamedTuple):
    """A repository's folder in a mirror: ``kind`` is ``"dataset"`` or ``"metric"``, ``name`` is with namespace."""

    kind: Literal["dataset", "metric"]
    name: str
    path: Path
    marker: Mapping[str, Any]

    @property
    def files(self) -> list[Path]:
        """Every file that was written here, sorted by path; what else lies in the folder is none of the repository."""
        return [self.path / name for name in file_tools.sealed_files(self.path) if name != MARKER]


def write_mirror(
    folder: Path, located: Mapping[str, Sequence[TaskFiles]], *, namespace: str, toy: bool
) -> list[Repository]:
    """Write datasets and all metrics into ``folder/namespace``; a dataset of the same content is left as it is.

    Args:
        folder: Of the mirror; made if absent.
        located: Dataset → files of each of its tasks, the default configuration first.
        namespace: User or organisation on the Hub.
        toy: Whether the files are the toy data.

    Raises:
        BendError: A folder of a repository's name is there and is none of ours; the input is bad.
    """
    root = folder / namespace
    for name in (*located, *MIRRORED):
        if (root / name).exists() and not (root / name / MARKER).is_file():
            raise BendError(
                f"{root / name} is there and was not written by bend-hf prepare: move it away, or choose another "
                "folder."
            )
    repositories = []
    for dataset, sources in located.items():
        path = root / dataset
        # What a dataset's files follow from: where it is the same, they are.
        origin = {
            "digests": {files.task.config: files.digest for files in sources},
            "card": file_tools.digest_of([dataset_card(dataset, namespace=namespace), eval_yaml(dataset), __version__]),
            "toy": toy,
        }
        marker = _read_marker(path)
        problem = file_tools.damage(path) if marker else None
        if problem:
            log.warning("%s: %s. It is written again.", path, problem)
        if problem or marker.get("origin") != origin:
            with file_tools.atomic(path) as temporary:
                configs = _write_dataset(temporary, sources, namespace=namespace, toy=toy)
                marker = {"kind": "dataset", "toy": toy, "configs": configs, "origin": origin}
                file_tools.write_json(temporary / MARKER, marker)
                file_tools.seal_folder(temporary)
                shutil.rmtree(path, ignore_errors=True)
        repositories.append(Repository("dataset", f"{namespace}/{dataset}", path, marker))
    for name in MIRRORED:
        path = root / name
        with file_tools.atomic(path) as temporary:
            temporary.mkdir()
            for file, text in metric_files(name, namespace).items():
                (temporary / file).write_text(text, encoding="utf-8")
            file_tools.write_json(temporary / MARKER, {"kind": "metric"})
            file_tools.seal_folder(temporary)
            shutil.rmtree(path, ignore_errors=True)
        repositories.append(Repository("metric", f"{namespace}/{name}", path, _read_marker(path)))
    return repositories


def _read_marker(path: Path) -> dict[str, Any]:
    """Return what a repository's folder says it is: nothing where that is not there, no kind where it is damaged."""
    marker = path / MARKER
    if not marker.is_file():
        return {}
    try:
        return dict(file_tools.read_json(marker))
    except (ValueError, TypeError):
        return {"kind": None}


@contextmanager
def writable() -> Iterator[None]:
    """Turn a full disk, or a folder that may not be written, into a `BendError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise BendError(
                f"The disk is full ({error}). Nothing partial was left: free space and try again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise BendError(f"{error.filename} may not be written ({error.strerror}).") from error
        raise


def read_mirror(folder: Path, namespace: str) -> list[Repository]:
    """Return the repositories of a mirror: BEND's datasets in their order, others by name, then metrics.

    Raises:
        BendError: There are none, or a file of one was changed or lost since it was written.
    """
    found = []
    written = sorted(path.parent.name for path in (folder / namespace).glob(f"*/{MARKER}"))
    for name in dict.fromkeys([*DATASETS, *(name for name in written if name not in MIRRORED), *MIRRORED]):
        path = folder / namespace / name
        if marker := _read_marker(path):
            if problem := file_tools.damage(path):
                raise BendError(f"{path}: {problem} since bend-hf prepare wrote it. {AGAIN}")
            found.append(Repository(marker["kind"], f"{namespace}/{name}", path, marker))
    if not found:
        raise BendError(
            f"{folder / namespace} holds no repositories; write them with: bend-hf prepare --to {folder} "
            f"--namespace {namespace}"
        )
    return found


def metric_files(name: str, namespace: str) -> dict[str, str]:
    """Return the files of a metric's Space, with its own name in the given namespace."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in (resources.folder("metrics") / name).glob("*.*")}
    return {file: text.replace(f"bend/{name}", f"{namespace}/{name}") for file, text in sorted(texts.items())}


def _write_dataset(folder: Path, sources: Sequence[TaskFiles], *, namespace: str, toy: bool) -> dict[str, Any]:
    """Write a dataset repository's files and return what was found, by configuration."""
    dataset = sources[0].task.dataset
    built, configs, infos = [], [], []
    for files in sources:
        task = files.task
        shards = _write_splits(folder, files)
        info = _info(files, shards)
        infos.append({"config_name": task.config, **info._to_yaml_dict()})
        # `datasets` keys its cache of local folders by this entry alone: without the digest it would serve old rows.
        configs.append(
            {
                "config_name": task.config,
                "version": task.version,
                "description": f"{task.title}; rows sha256 {files.digest}",
                "data_files": [{"split": split, "path": f"{task.config}/{split}-*.parquet"} for split in shards],
                **({"default": True} if files is sources[0] else {}),
            }
        )
        counts = {split: sum(shard.rows for shard in found) for split, found in shards.items()}
        positives = sum(shard.positives for found in shards.values() for shard in found)
        said = audited(files)
        audit = None if said is None else said.table or said.line
        some = positives if task.kind.variants else None
        built.append(Built(task, counts, some, files.digest, files.digests, toy, audit))
    metadata = {"configs": configs, "dataset_info": infos}
    card = dataset_card(dataset, namespace=namespace, built=built, metadata=metadata)
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / "eval.yaml").write_text(eval_yaml(dataset), encoding="utf-8")
    return {item.task.config: {"digest": item.digest, "rows": dict(item.rows)} for item in built}


class Shard(NamedTuple):
    """A Parquet file as written: rows, rows with label 1 (variants), bytes in memory and on disk."""

    rows: int
    positives: int
    memory: int
    size: int


def _write_splits(folder: Path, files: TaskFiles) -> dict[str, list[Shard]]:
    from bend_hf.data import rows

    coordinates = rows.prepare(files)
    task, total = files.task, sum(rows.rows_per_split(files).values())
    with progress(total=total, name="bend_hf.prepare", desc=task.name, unit="row", unit_scale=True) as bar:
        return {
            split: _write_split(folder / task.config, files, split, positions, bar)
            for split, positions in rows.batches_per_split(coordinates).items()
        }


def _write_split(target: Path, files: TaskFiles, split: str, positions: Sequence[int], bar: Any) -> list[Shard]:
    """Write ``<split>-00000-of-0000N.parquet`` and return what each holds."""
    import pyarrow.parquet as pq

    from bend_hf.data.rows import features

    schema = features(files.task).arrow_schema
    target.mkdir(parents=True, exist_ok=True)
    groups = row_groups(files, positions)
    group = next(groups, None)
    written: list[tuple[Path, Shard]] = []
    while group is not None or not written:
        path = target / f"{split}-{len(written):05d}.parquet"
        rows = positives = memory = 0
        with path.open("wb") as sink, pq.ParquetWriter(sink, schema, **parquet_options(files.task)) as writer:
            while group is not None and sink.tell() < BYTES_PER_SHARD:
                writer.write_table(group, row_group_size=len(group))
                rows, memory = rows + len(group), memory + group.nbytes
                positives += _positives(files.task, group)
                bar.update(len(group))
                group = next(groups, None)
        written.append((path, Shard(rows, positives, memory, path.stat().st_size)))
    for index, (path, _) in enumerate(written):
        path.rename(target / f"{split}-{index:05d}-of-{len(written):05d}.parquet")
    return [shard for _, shard in written]


def _positives(task: Task, table: pa.Table) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(table["label"]).as_py()) if task.kind.variants else 0


def parquet_options(task: Task) -> dict[str, Any]:
    """Return how the Parquet of a task is written; DNA is left to zstd, everything else has few values."""
    from bend_hf.data.rows import features

    names = [name for name in features(task) if not name.endswith("sequence")]
    paths = [f"{name}.list.element" if name == "labels" else name for name in names]
    return {"compression": "zstd", "compression_level": COMPRESSION_LEVEL, "use_dictionary": paths}


def row_groups(files: TaskFiles, positions: Sequence[int]) -> Iterator[pa.Table]:
    """Yield the rows of some batches as tables of one row group each: `ROWS_PER_GROUP` rows, or `BYTES_PER_GROUP`."""
    import pyarrow as pa
    from datasets.table import table_cast

    from bend_hf.data import rows

    schema = rows.features(files.task).arrow_schema
    held: list[pa.Table] = []
    for _, table in rows.generate(files, rows.prepare(files), positions):
        held.append(table_cast(table.select(schema.names), schema))
        while sum(map(len, held)) >= ROWS_PER_GROUP or sum(part.nbytes for part in held) >= BYTES_PER_GROUP:
            whole = pa.concat_tables(held)
            yield whole.slice(0, ROWS_PER_GROUP)
            held = [whole.slice(ROWS_PER_GROUP)] if len(whole) > ROWS_PER_GROUP else []
    if held:
        yield pa.concat_tables(held)


def _info(files: TaskFiles, shards: Mapping[str, Sequence[Shard]]) -> datasets.DatasetInfo:
    import datasets

    from bend_hf.data.rows import features

    splits = datasets.SplitDict()
    for name, found in shards.items():
        rows, memory = (sum(shard[index] for shard in found) for index in (0, 2))
        splits.add(datasets.SplitInfo(name=name, num_bytes=memory, num_examples=rows))
    return datasets.DatasetInfo(
        features=features(files.task),
        splits=splits,
        dataset_size=sum(split.num_bytes for split in splits.values()),
        download_size=sum(shard.size for found in shards.values() for shard in found),
    )
