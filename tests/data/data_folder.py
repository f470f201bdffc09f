"""A small data folder with all seven tasks, written out by hand, and the plain-Python truth about it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from bend_hf.data.sources import TaskFiles, locate
from bend_hf.tasks import TASKS

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


def reverse_complement(sequence: str) -> str:
    return "".join(COMPLEMENT[base] for base in reversed(sequence))


@dataclass
class DataFolder:
    folder: Path
    chromosomes: dict[str, str]
    labels: dict[str, list[np.ndarray]] = field(default_factory=dict)

    @property
    def fasta(self) -> Path:
        return self.folder / "genomes" / "any.fa"

    def bed(self, task: str) -> Path:
        return self.folder / f"{TASKS[task].stem}.bed"

    def hdf5(self, task: str) -> Path:
        return self.folder / f"{TASKS[task].stem}.hdf5"

    def files(self, task: str) -> TaskFiles:
        return locate(TASKS[task], self.folder, self.fasta, genome_checked=True)

    def rows(self, task: str) -> list[dict[str, str]]:
        """The lines of a BED file as written, by column."""
        header, *lines = self.bed(task).read_text().splitlines()
        return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]

    def write(self, task: str, rows: list[dict[str, str]]) -> None:
        self.bed(task).parent.mkdir(exist_ok=True)
        lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
        self.bed(task).write_text("\n".join(lines) + "\n")

    def edit(self, task: str, row: int, **values: str) -> None:
        """Change fields of one row (row 0 is line 2)."""
        rows = self.rows(task)
        rows[row] |= values
        self.write(task, rows)

    def write_fasta(self, width: int = 60) -> None:
        self.fasta.parent.mkdir(parents=True, exist_ok=True)
        with self.fasta.open("w") as file:
            for name, sequence in self.chromosomes.items():
                lines = [sequence[i : i + width] for i in range(0, len(sequence), width)]
                file.write(f">{name} made for tests\n" + "\n".join(lines) + "\n")

    def write_labels(self, task: str) -> None:
        rows = self.labels[task]
        with h5py.File(self.hdf5(task), "w") as file:
            if task == "enhancer_annotation":
                file["labels"] = np.stack(rows)
            else:
                data = file.create_dataset("labels", (len(rows),), dtype=h5py.vlen_dtype(np.float64))
                for row, values in enumerate(rows):
                    data[row] = values


def make(folder: Path) -> DataFolder:
    rng = random.Random(7)
    chromosomes = {
        "chr1": "".join(rng.choices("ACGTacgtN", weights=[9, 9, 9, 9, 3, 3, 3, 3, 1], k=120_011)),
        "chr2": "".join(rng.choices("ACGT", k=4_000)),
    }
    data = DataFolder(folder, chromosomes)
    data.write_fasta()
    splits = ["train", "train", "valid", "train", "test", "train", "valid", "test"]
    genes = [(rng.randrange(100_000), rng.randrange(30, 900)) for _ in splits]
    data.write(
        "gene_finding",
        [
            {
                "chromosome": "chr1",
                "start": str(start),
                "end": str(start + length),
                "transcript_id": f"ENST{i:011}.1",
                "strand": "+-"[i % 2],
                "flank_left": "400",
                "flank_right": "600",
                "length": str(length),
                "split": split,
            }
            for i, ((start, length), split) in enumerate(zip(genes, splits, strict=True))
        ],
    )
    data.labels["gene_finding"] = [np.array(rng.choices(range(9), k=length), dtype=float) for _, length in genes]
    enhancers = [f"part{k}" for k in (3, 1, 2, 4, 5, 6, 7, 8, 9, 10, 3)]
    data.write(
        "enhancer_annotation",
        [
            {
                "chromosome": "1",
                "start": str(1_000 + i),
                "end": str(101_096 + i),
                "gene": f"GENE{i}",
                "score": "",
                "strand": ".",
                "split": split,
            }
            for i, split in enumerate(enhancers)
        ],
    )
    data.labels["enhancer_annotation"] = [np.array(rng.choices([0, 1], k=782), dtype=float) for _ in enhancers]
    for task, n_labels in (("chromatin_accessibility", 125), ("histone_modification", 18), ("cpg_methylation", 7)):
        rows = []
        for i in range(40):
            start = rng.randrange(119_000)
            on = sorted(rng.sample(range(n_labels), k=rng.randrange(5)))
            peak = {} if task == "cpg_methylation" else {"score": ".", "-": "1"}
            rows.append(
                {"chromosome": "chr1", "start": str(start), "end": str(start + 512)}
                | peak
                | {"strand": "+-"[i % 2], "label": ",".join(map(str, on)), "split": splits[i % 8]}
            )
        data.write(task, rows)
    for task in ("variant_effects_expression", "variant_effects_disease"):
        rows = []
        for i, position in enumerate([0, 3, 511, 512, 2_000, 3_487, 3_488, 3_999]):
            ref = chromosomes["chr2"][position]
            row = {"chromosome": "chr2", "start": str(position), "end": str(position), "ref": ref}
            row |= {"alt": "ACGT"["ACGT".index(ref) - 1], "split": "train", "label": str(i % 2)}
            if task == "variant_effects_disease":
                row |= {"full_label": "Benign/Likely benign", "Consequence": "missense_variant"}
            else:
                row |= {"Consequence": "intron_variant", "actual": ref}
            rows.append(row)
        data.write(task, rows)
    for task in data.labels:
        data.write_labels(task)
    return data
