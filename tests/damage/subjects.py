"""What `damage.fuzz` changes: files of every kind, what is made of them, and what others make of them.

A kind's function takes an empty folder, writes sound files there and gives the `Subject`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import tiny_models
from damage import mutations, readers
from fake_embedder import FakeEmbedder, sequences
from faults.corrupt_caches import SIZES
from result_factory import PROVENANCE, make_result, simulate

from bend_hf import files
from bend_hf.data import toy
from bend_hf.data.coordinates import read
from bend_hf.data.genome import Genome
from bend_hf.data.rows import make_rows
from bend_hf.data.sources import TaskFiles, locate
from bend_hf.embed import layout, store
from bend_hf.hub.mirror import read_mirror, write_mirror
from bend_hf.models.checkpoint import read_state_dict
from bend_hf.results.record import read_predictions, read_result, write_result
from bend_hf.results.statistics import summarise
from bend_hf.tasks import TASKS
from bend_hf.tasks.document import read_document, to_document, write_document
from bend_hf.tasks.own import own_task

DISEASE, HISTONE, GENES = (TASKS[name] for name in ("variant_effects_disease", "histone_modification", "gene_finding"))


@dataclass(frozen=True)
class Subject:
    """A kind of file, and what is made of it.

    Attributes:
        victim: The file that is changed.
        mutate: How.
        use: What the package makes of it.
        others: What an independent reader makes of it; None where only the undisturbed is right.
        settle: Is called before each use: puts back what an earlier one has made again, or forges digests.
    """

    victim: Path
    mutate: mutations.Mutator
    use: Callable[[], Any]
    others: Callable[[], Any] | None = None
    settle: Callable[[], object] = field(default=lambda: None)


def make_data(folder: Path) -> Path:
    """Write a genome of two chromosomes, and labels of three tasks on it."""
    import h5py

    rng = Random(0)
    genome = {
        name: "".join(rng.choices("ACGTacgtNR", (9, 9, 9, 9, 1, 1, 1, 1, 1, 1), k=1400)) for name in ("chr1", "chr2")
    }
    text = "".join(
        f">{name} x\n" + "".join(f"{bases[at : at + 60]}\n" for at in range(0, 1400, 60))
        for name, bases in genome.items()
    )
    folder.mkdir(parents=True)
    (folder / "genome.fa").write_text(text)
    upper = readers.fasta(text.encode())
    variants, windows, genes = [], [], []
    for name in genome:
        for at in (3, 600, 700, 1390):
            at = next(place for place in range(at, 1400) if upper[name][place] in "ACGT")
            ref = upper[name][at]
            alt = "ACGT"["ACGT".index(ref) - 1]
            variants.append((name, at, at, ref, alt, "train", at % 2, "Benign", "intron_variant"))
        for start, labels, split in ((0, "0,3", "train"), (400, "", "valid"), (888, "17", "test")):
            windows.append((name, start, start + 512, ".", 1, "+-"[start % 3 > 0], labels, split))
        for start, end, split in ((10, 70, "train"), (300, 420, "valid"), (500, 533, "test")):
            genes.append((name, start, end, f"T{start}", "+-"[start % 3 > 0], 5, 6, end - start, split))
    for task, rows in ((DISEASE, variants), (HISTONE, windows), (GENES, genes)):
        lines = [[column.name for column in task.columns], *rows]
        (folder / f"{task.name}.bed").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
    with h5py.File(folder / "rows.hdf5", "w") as handle:
        rows = handle.create_dataset("labels", (len(genes),), dtype=h5py.vlen_dtype(np.float64))
        for i, gene in enumerate(genes):
            rows[i] = np.arange(gene[2] - gene[1]) % 9
    with h5py.File(folder / "chunks.hdf5", "w") as handle:
        handle.create_dataset("labels", data=np.arange(6 * 60).reshape(6, 60) % 9, chunks=(2, 60), compression="gzip")
    same = [(*gene[:2], gene[1] + 60, *gene[3:7], 60, gene[8]) for gene in genes]
    lines = [[column.name for column in GENES.columns], *same]
    (folder / "chunks.bed").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
    return folder


def rows_of(task: Any, bed: Path, fasta: Path) -> list[dict[str, Any]]:
    """All rows of a task as the dataset has them, in the order of its splits."""
    genome = Genome(fasta)
    found = []
    for split, table in read(TaskFiles(task, bed, None, fasta), genome).items():
        for batch in table.combine_chunks().to_batches():
            found += [{**row, "split": split} for row in make_rows(task, batch, genome).to_pylist()]
    return found


def columns(task: Any) -> list[str]:
    return [column.name for column in task.columns]


def bed_of_variants(folder: Path) -> Subject:
    path, fasta = make_data(folder) / f"{DISEASE.name}.bed", folder / "genome.fa"
    genome = readers.fasta(fasta.read_bytes())

    def others() -> list[dict[str, Any]]:
        rows = readers.variants(path.read_bytes(), columns(DISEASE), genome)
        return [{**row, "split": "test"} for row in rows]

    return Subject(path, mutations.lines, lambda: rows_of(DISEASE, path, fasta), others)


def bed_of_windows(folder: Path) -> Subject:
    path, fasta = make_data(folder) / f"{HISTONE.name}.bed", folder / "genome.fa"
    genome, order = readers.fasta(fasta.read_bytes()), list(readers.SPLITS.values())

    def others() -> list[dict[str, Any]]:
        rows = readers.windows(path.read_bytes(), columns(HISTONE), genome, 512, 18)
        return sorted(rows, key=lambda row: order.index(row["split"]))

    return Subject(path, mutations.lines, lambda: rows_of(HISTONE, path, fasta), others)


def whole_genome(path: Path) -> dict[str, str]:
    found = Genome(path)
    return {name: found.window(name, 0, length) for name, length in found.lengths.items()}


def fasta(folder: Path) -> Subject:
    path = make_data(folder) / "genome.fa"

    def unindexed() -> None:
        path.with_name("genome.fa.fai").unlink(missing_ok=True)

    return Subject(
        path, mutations.lines, lambda: whole_genome(path), lambda: readers.fasta(path.read_bytes()), unindexed
    )


def index_of_fasta(folder: Path) -> Subject:
    path = make_data(folder) / "genome.fa"
    os.utime(path, (1, 1))
    Genome(path)
    return Subject(path.with_name("genome.fa.fai"), mutations.lines, lambda: whole_genome(path))


def hdf5(name: str, bed: str) -> Callable[[Path], Subject]:
    """Labels of genes, by the name of the file and of its rows."""

    def subject(folder: Path) -> Subject:
        make_data(folder)
        path, genome = folder / name, Genome(folder / "genome.fa")
        wanted = [int(row["length"]) for row in readers.bed((folder / bed).read_bytes(), columns(GENES))]

        def labels() -> list[list[float]]:
            tables = read(TaskFiles(GENES, folder / bed, path, genome.path), genome)
            rows = [row for table in tables.values() for row in table.to_pylist()]
            return [row["labels"] for row in sorted(rows, key=lambda row: (row["chromosome"], row["start"]))]

        def others() -> list[list[float]]:
            rows = readers.hdf5_labels(path)
            assert [len(row) for row in rows] == wanted
            assert all(value in range(9) for row in rows for value in row)
            return rows

        return Subject(path, mutations.blind, labels, others)

    return subject


def task_document(folder: Path) -> Subject:
    path = folder / "promoters" / "task.json"
    task = own_task(
        "promoters",
        label_kind="window_class",
        label_names=("other", "promoter"),
        window=512,
        build="GRCh38",
        summary="Promoters.",
        rows={"train": 8, "validation": 2, "test": 2},
    )
    path.parent.mkdir(parents=True)
    write_document(path, task)
    return Subject(
        path, mutations.json_nodes, lambda: to_document(read_document(path)), lambda: json.loads(path.read_bytes())
    )


def make_record(folder: Path) -> Path:
    """Write a record with predictions, and return its path."""
    predictions = simulate(DISEASE.name, rows=40)
    values = vars(summarise(predictions, resamples=20)) | {"provenance": dict(PROVENANCE)}
    return write_result(folder, make_result(DISEASE.name, **values), predictions)


def numbers(path: Path) -> list[Any]:
    """The numbers of a record and of its predictions."""
    result = read_result(path)
    found = read_predictions(result)
    return [result.score, result.interval, result.counts, found.scores.tolist(), found.labels.tolist()]


def record(folder: Path) -> Subject:
    path = make_record(folder)
    return Subject(path, mutations.json_nodes, lambda: numbers(path))


def forged_record(folder: Path) -> Subject:
    """A record whose digest its author has computed anew."""
    path = make_record(folder)

    def forge() -> None:
        try:
            document = json.loads(path.read_bytes())
            del document["digest"]
            path.write_text(json.dumps({**document, "digest": files.digest_of(document)}))
        except (ValueError, KeyError, TypeError, RecursionError):
            pass

    def headline() -> list[Any]:
        result = read_result(path)
        result.to_json()
        repr(result)
        read_predictions(result)
        return [np.round([result.score or 0, *(result.interval or ())], 5).tolist(), result.counts["rows"]]

    return Subject(path, mutations.json_nodes, headline, settle=forge)


def predictions(folder: Path) -> Subject:
    path = make_record(folder)
    return Subject(path.with_suffix(".parquet"), mutations.blind, lambda: numbers(path))


def forged_predictions(folder: Path) -> Subject:
    """Predictions whose digest stands in a record that was forged to fit."""
    path = make_record(folder)
    beside, sound = path.with_suffix(".parquet"), json.loads(path.read_bytes())
    del sound["digest"]

    def forge() -> None:
        document = {**sound, "predictions": {**sound["predictions"], "sha256": files.digest_file(beside)}}
        path.write_text(json.dumps({**document, "digest": files.digest_of(document)}))

    def score() -> float:
        return round(read_result(path).score or 0, 5)

    return Subject(beside, mutations.blind, score, settle=forge)


def stored(name: str) -> Callable[[Path], Subject]:
    """A file of a store of vectors."""

    def subject(folder: Path) -> Subject:
        rows = sequences(6, length=24)

        def vectors() -> list[Any]:
            layout._sound.clear()
            source = store.vectors_for(FakeEmbedder(dim=4), rows, store_dir=folder / "store", memory_bytes=0)
            return [[part.vectors.float().tolist(), part.lengths.tolist()] for part in source.read(range(6))]

        vectors()
        return Subject(next(folder.glob(f"store/*/{name}")), mutations.safetensors_header, vectors)

    return subject


def toy_manifest(folder: Path) -> Subject:
    made = toy.make(folder / "toy", **SIZES)

    def digest() -> str:
        return locate(DISEASE, made).digest

    digest()
    return Subject(made / toy.MANIFEST, mutations.json_nodes, digest)


def mirrored(name: str) -> Callable[[Path], Subject]:
    """A file of a repository that was written for publishing."""

    def subject(folder: Path) -> Subject:
        found = locate(DISEASE, toy.make(folder / "toy", **SIZES))
        write_mirror(folder / "mirror", {"variant_effects": [found]}, namespace="me", toy=True)

        def published() -> dict[str, str]:
            repositories = read_mirror(folder / "mirror", "me")
            return {path.name: files.digest_file(path) for part in repositories for path in part.files}

        return Subject(folder / "mirror/me/variant_effects" / name, mutations.json_nodes, published)

    return subject


def weights(folder: Path) -> Subject:
    path = tiny_models.gpt2(folder / "model", layers=1, width=8) / "model.safetensors"

    def tensors() -> dict[str, Any]:
        names = {"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16"}
        return {
            key: (names.get(str(value.dtype), str(value.dtype)), list(value.shape), raw(value))
            for key, value in read_state_dict(folder / "model").items()
        }

    return Subject(path, mutations.safetensors_header, tensors, lambda: readers.safetensors(path.read_bytes()))


def raw(tensor: Any) -> bytes:
    """The bytes of a tensor."""
    import torch

    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def model(name: str) -> Callable[[Path], Subject]:
    """A file of a model's folder, the model being loaded and asked for vectors."""

    def subject(folder: Path) -> Subject:
        path = tiny_models.gpt2(folder / "model", layers=1, width=8)
        sequence = "ACGTTGCAACGGTTAACC"

        def vectors() -> list[Any]:
            from bend_hf.embed.open import load_embedder
            from bend_hf.protocols import get_protocol

            found = load_embedder(str(path), protocol=get_protocol("default"), device="cpu", dtype="float32")
            [tokens] = found.embed([sequence])
            return np.round(tokens.vectors.float().numpy(), 4).tolist()

        def others() -> list[Any]:
            import torch
            import transformers

            tokenizer = transformers.AutoTokenizer.from_pretrained(path)
            stock, report = transformers.AutoModel.from_pretrained(path, output_loading_info=True)
            assert not any(report.values())
            with torch.inference_mode():
                hidden = stock.eval().float()(**tokenizer(sequence, return_tensors="pt")).last_hidden_state
            return np.round(hidden[0].numpy(), 4).tolist()

        mutate = mutations.json_nodes if name.endswith(".json") else mutations.safetensors_header
        return Subject(path / name, mutate, vectors, others)

    return subject


SUBJECTS: dict[str, tuple[int, Callable[[Path], Subject]]] = {
    "BED of variants": (260, bed_of_variants),
    "BED of windows": (200, bed_of_windows),
    "FASTA": (260, fasta),
    "index of a FASTA": (200, index_of_fasta),
    "HDF5 of rows": (150, hdf5("rows.hdf5", "gene_finding.bed")),
    "HDF5 of chunks": (130, hdf5("chunks.hdf5", "chunks.bed")),
    "task.json": (250, task_document),
    "record": (100, record),
    "forged record": (150, forged_record),
    "predictions": (40, predictions),
    "forged predictions": (60, forged_predictions),
    "shard": (40, stored("shard-*")),
    "manifest of a store": (20, stored("manifest.json")),
    "manifest of the toy": (20, toy_manifest),
    "marker of a mirror": (10, mirrored(".bend_hf.json")),
    "seal of a mirror": (10, mirrored(".seal")),
    "header of weights": (60, weights),
    "config.json, loaded": (30, model("config.json")),
    "weights, loaded": (10, model("model.safetensors")),
}
"""Name → mutations of the short run, and the kind."""
