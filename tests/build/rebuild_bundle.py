"""Rebuilds the seven files of a real slice from its primary tables, and prints how many rows are equal.

python tests/build/rebuild_bundle.py ../shared/real
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Sequence
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
        return read(self.path(name))

    def path(self, name: str) -> Path:
        return next(self.folder.glob(f"*/{name}.bed"))

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


def genes(bundle: Bundle) -> tuple[int, int, int, str]:
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
    return equal, len(wanted), len(found), ""


def peaks(bundle: Bundle, name: str, assay: str) -> tuple[int, int, int, str]:
    primary = bundle.table(f"{assay}_peaks.tsv")
    tracks = {}
    for index, label in zip(*(bundle.table(f"{assay}_tracks.tsv")[c] for c in ("index", "accession")), strict=True):
        rows = primary[primary["track_index"] == index]
        tracks[f"{index} {label}"] = bundle.work / f"{assay}{index}.bed"
        moved = rows.assign(start=rows["start"].astype(int) - OFFSET, end=rows["end"].astype(int) - OFFSET)
        moved[["chromosome", "start", "end"]].to_csv(tracks[f"{index} {label}"], sep="\t", header=False, index=False)
    split = build.Split("file", file=bundle.regions)
    folder = build.peaks(tracks, bundle.fasta, bundle.work / name, build="GRCh38", split=split, allow_empty=True)
    return compared(bundle, name, folder, "")


def methylation(bundle: Bundle) -> tuple[int, int, int, str]:
    counts = bundle.table("wgbs_imr90_counts.tsv.gz")
    start = counts["start"].astype(int) - OFFSET
    tracks = {}
    for replicate in ("r1", "r2"):
        methylated, reads = (counts[f"imr90_{replicate}_{kind}"].astype(int) for kind in ("meth", "cov"))
        table = pd.DataFrame(
            {"chromosome": counts["chromosome"], "start": start, "end": start + 2, "name": "m", "score": 0}
        )
        table = table.assign(strand=".", thick_start=start, thick_end=start + 2, colour=0, coverage=reads)
        table = table.assign(percent=100 * methylated / reads.where(reads > 0, 1))
        tracks[f"IMR90 {replicate}"] = bundle.work / f"{replicate}.bedMethyl"
        table.to_csv(tracks[f"IMR90 {replicate}"], sep="\t", header=False, index=False)
    split = build.Split("file", file=bundle.regions)
    folder = build.methylation(tracks, bundle.fasta, bundle.work / "cpg_methylation", build="GRCh38", split=split)
    found = read(folder / "cpg_methylation.bed")
    why = f"the bundle's rows are a draw from the {len(found):,} built here, and their strands another draw"
    return compared(bundle, "cpg_methylation", folder, f"`strand`: {why}", drawn=["strand"])


def whole_chromosome(bundle: Bundle) -> Path:
    """chr22 with N outside the slice, so that gene models that leave the slice are whole."""
    path = bundle.work / "chr22.fa"
    if not path.exists():
        slice_ = "".join(bundle.fasta.read_text().splitlines()[1:])
        path.write_text(f">chr22\n{'N' * OFFSET}{slice_}{'N' * (50_818_468 - OFFSET - LENGTH)}\n")
    return path


def variants(bundle: Bundle, name: str) -> tuple[int, int, int, str]:
    if name == "variant_effects_disease":
        table = bundle.table("clinvar_snv.tsv")
        # As ClinVar writes its terms today.
        today = {
            "Benign;Likely benign": "Benign/Likely_benign",
            "Likely pathogenic;Pathogenic": "Pathogenic/Likely_pathogenic",
        }
        info = "CLNSIG=" + table["full_label"].map(
            lambda text: today.get(text, text.replace(" ", "_")).replace(";", "|")
        )
        labels = build.CLINVAR
    else:
        table = bundle.table("eqtl_snv.tsv")
        info = "TISSUES=" + table["n_tissues"]
        labels = build.Labels("TISSUES", threshold=1)
    vcf = bundle.work / f"{name}.vcf"
    rows = zip(table["chromosome"], table["start"], table["ref"], table["alt"], info, strict=True)
    records = (f"{c}\t{int(at) + 1}\t.\t{ref}\t{alt}\t.\t.\t{text}\n" for c, at, ref, alt, text in rows)
    vcf.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(records))
    gtf = bundle.primary / "gencode.v33.basic.chr22.gtf.gz"
    folder = build.variants(
        vcf, whole_chromosome(bundle), bundle.work / name, build="GRCh38", labels=labels, annotation=gtf
    )
    moved = read(folder / f"{name}.bed")
    moved["start"] = moved["end"] = (moved["start"].astype(int) - OFFSET).astype(str)
    moved.to_csv(folder / f"{name}.bed", sep="\t", index=False)
    return compared(bundle, name, folder, "")


def enhancers(bundle: Bundle) -> tuple[int, int, int, str]:
    def moved(name: str, columns: list[str]) -> Path:
        table = bundle.table(name)
        for column in columns:
            table[column] = (table[column].astype(int) - OFFSET).clip(lower=0).astype(str)
        table.to_csv(bundle.work / name, sep="\t", index=False)
        return bundle.work / name

    parts = bundle.work / "parts.tsv"
    wanted = bundle.bed("enhancer_annotation")
    wanted.rename(columns={"gene": "id"})[["id", "split"]].to_csv(parts, sep="\t", index=False)
    links = [
        moved("crispri_pairs.tsv", ["chromStart", "chromEnd"]),
        moved("abc_predictions_k562.tsv", ["start", "end"]),
    ]
    folder = build.enhancers(
        links,
        moved("tss.tsv", ["tss"]),
        bundle.fasta,
        bundle.work / "enhancer_annotation",
        build="GRCh38",
        min_score=0.027,
        split=build.Split("file", file=parts),
    )
    found = read(folder / "enhancer_annotation.bed")
    equal = 0
    path = bundle.path("enhancer_annotation").with_suffix(".hdf5")
    with h5py.File(path) as a, h5py.File(folder / "enhancer_annotation.hdf5") as b:
        wanted["chromosome"] = "chr" + wanted["chromosome"]
        old = dict(zip(map(tuple, wanted.to_numpy()), a["labels"], strict=True))
        for row, labels in zip(map(tuple, found.to_numpy()), b["labels"], strict=True):
            equal += row in old and np.array_equal(old[row], labels)
    return equal, len(wanted), len(found), ""


def compared(bundle: Bundle, name: str, folder: Path, why: str, drawn: Sequence[str] = ()) -> tuple[int, int, int, str]:
    """Count the bundle's rows that a built folder has, equal in every column but those that are `drawn`."""
    wanted, found = (
        read(path).drop(columns=list(drawn)) for path in (bundle.path(name), folder / f"{folder.name}.bed")
    )
    for table in (wanted, found):
        table["chromosome"] = table["chromosome"].str.removeprefix("chr")
    built = set(map(tuple, found[wanted.columns].to_numpy()))
    return sum(row in built for row in map(tuple, wanted.to_numpy())), len(wanted), len(found), why


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
    print("| file | rows equal / rows in all | rows built | what differs |\n|---|---:|---:|---|")
    with tempfile.TemporaryDirectory() as work:
        bundle = Bundle(folder, Path(work))
        for name, rebuild in REBUILD.items():
            equal, rows, found, why = rebuild(bundle)
            print(f"| {name} | {equal:,} / {rows:,} | {found:,} | {why or 'nothing'} |", flush=True)


REBUILD = {
    "gene_finding": genes,
    "enhancer_annotation": enhancers,
    "chromatin_accessibility": lambda bundle: peaks(bundle, "chromatin_accessibility", "dnase"),
    "histone_modification": lambda bundle: peaks(bundle, "histone_modification", "histone"),
    "cpg_methylation": methylation,
    "variant_effects_expression": lambda bundle: variants(bundle, "variant_effects_expression"),
    "variant_effects_disease": lambda bundle: variants(bundle, "variant_effects_disease"),
}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
