"""Rebuilds the seven files of a real slice from its primary tables, and prints how many rows are equal.

python tests/build/rebuild_bundle.py ../shared/real
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from bend_hf import build

OFFSET, LENGTH = 37_200_000, 1_700_000
SEED = 20231121
REGIONS = [
    (290_000, 400_000, "test"),
    (560_000, 740_000, "valid"),
    (980_000, 1_060_000, "valid"),
    (1_478_000, 1_565_000, "test"),
]


class Bundle:
    """The slice's files, and its primary tables moved into the slice's coordinates."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder, self.work = folder, work
        self.fasta = folder / "genomes" / "GRCh38.slice.fa"
        self.primary = folder / "goldens" / "primary"
        self.regions = work / "regions.tsv"
        rows = [f"chr22\t{start}\t{end}\t{split}\n" for start, end, split in REGIONS]
        self.regions.write_text("chromosome\tstart\tend\tsplit\n" + "".join(rows))

    def bed(self, name: str) -> pd.DataFrame:
        """The bundle's own table, as text."""
        return read(next(self.folder.glob(f"*/{name}.bed")))

    def table(self, name: str) -> pd.DataFrame:
        return read(self.primary / name)

    def gtf(self) -> Path:
        """The annotation in the slice: genes that lie in it whole."""
        path = self.work / "slice.gtf"
        with gzip.open(self.primary / "gencode.v33.basic.chr22.gtf.gz", "rt") as source, path.open("w") as target:
            rows = [line.rstrip("\n").split("\t") for line in source if not line.startswith("#")]
            for row in rows:
                start, end = int(row[3]) - OFFSET, int(row[4]) - OFFSET
                row[3:5] = str(start), str(end)
            outside = {gene(row) for row in rows if int(row[3]) < 1 or int(row[4]) > LENGTH}
            target.writelines("\t".join(row) + "\n" for row in rows if gene(row) not in outside)
        return path


def gene(row: list[str]) -> str:
    return row[8].split('gene_id "')[1].split('"')[0]


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3)


def genes(bundle: Bundle) -> tuple[int, int, str]:
    selection = read(bundle.folder / "goldens" / "gene_finding_selection.tsv")
    wanted = bundle.bed("gene_finding")
    published = ("ENST00000249014.5", "ENST00000216034.6")  # windows of BEND's own file
    known = [
        left if name in published else "."
        for name, left in zip(wanted["transcript_id"], wanted["flank_left"], strict=True)
    ]
    listed = bundle.work / "transcripts.tsv"
    selection.assign(flank_left=known)[["transcript_id", "flank_left"]].to_csv(listed, sep="\t", index=False)
    folder = build.genes(
        bundle.gtf(),
        bundle.fasta,
        bundle.work / "gene_finding",
        build="GRCh38",
        transcripts=listed,
        max_length=30_000,
        seed=SEED,
        split=build.Split("file", file=bundle.regions),
    )
    found = read(folder / "gene_finding.bed")
    equal = 0
    with (
        h5py.File(bundle.folder / "gene_finding" / "gene_finding.hdf5") as a,
        h5py.File(folder / "gene_finding.hdf5") as b,
    ):
        old = dict(zip(map(tuple, wanted.to_numpy()), a["labels"], strict=True))
        for row, values in zip(map(tuple, found.to_numpy()), b["labels"], strict=True):
            equal += row in old and np.array_equal(old[row], values)
    return equal, len(wanted), ""


def released_windows(bundle: Bundle) -> tuple[int, int]:
    """Compare the two windows of BEND's released file that are known base by base."""
    golden = json.loads((bundle.folder / "goldens" / "gene_finding_rows.json").read_text())["rows"]
    genes(bundle)
    found = read(bundle.work / "gene_finding" / "gene_finding.bed")
    with h5py.File(bundle.work / "gene_finding" / "gene_finding.hdf5") as opened:
        rows = {
            (int(row.start) + OFFSET, int(row.end) + OFFSET): labels.tolist()
            for row, labels in zip(found.itertuples(), opened["labels"], strict=True)
        }
    equal = 0
    for row in golden:
        labels = [label for label, length in row["label_rle"] for _ in range(length)]
        equal += rows.get((row["start"], row["end"])) == labels
    return equal, len(golden)


def main(folder: Path) -> None:
    print("| file | rows equal / rows in all | rows that differ |\n|---|---:|---|")
    with tempfile.TemporaryDirectory() as work:
        bundle = Bundle(folder, Path(work))
        for name, rebuild in REBUILD.items():
            equal, rows, why = rebuild(bundle)
            print(f"| {name} | {equal:,} / {rows:,} | {why} |", flush=True)


REBUILD = {"gene_finding": genes}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
