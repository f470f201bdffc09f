"""Time and peak memory of builders and the audit at the sizes of a whole genome, on generated input.

    python tests/benchmarks/build.py audit|genes|peaks|variants|homology [FOLDER]

Each runs in a process of its own, on a genome of 24 random chromosomes of 50 Mb; making the input is not timed.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CHROMOSOMES, LENGTH = 24, 50_000_000
GENES, TRANSCRIPTS = 20_000, 3  # per gene; about 3 million lines
PEAKS, TRACKS = 2_000_000, 125
VARIANTS = 5_000_000
WINDOWS = 2_000_000
LONG = 20_000


def genome(folder: Path) -> Path:
    path = folder / "g.fa"
    if not path.exists():
        random = np.random.default_rng(0)
        with path.open("wb") as handle:
            for number in range(1, CHROMOSOMES + 1):
                handle.write(f">chr{number}\n".encode())
                handle.write(
                    np.frombuffer(b"ACGT", np.uint8)[random.integers(0, 4, LENGTH, np.uint8)].tobytes() + b"\n"
                )
    return path


def make_genes(folder: Path) -> None:
    """A GTF of 20,000 genes of three transcripts of 24 coding exons, each with a stop codon in the genome."""
    path = folder / "g.gtf"
    letters = bytearray((folder / "g.fa").read_bytes())
    random = np.random.default_rng(1)
    each = GENES // CHROMOSOMES
    with path.open("w") as handle:
        header = 0
        for number in range(1, CHROMOSOMES + 1):
            header += len(f">chr{number}\n")
            for row, start in enumerate(range(1000, 1000 + each * 50_000, 50_000)):
                gene = f"G{number}_{row}"
                for copy in range(TRANSCRIPTS):
                    at, first = start + copy * 12_000, start + copy * 12_000
                    rows = []
                    for exon in range(24):
                        width = 3 * int(random.integers(20, 60))
                        rows += [("exon", at, at + width + 3 * (exon == 23), "."), ("CDS", at, at + width, 0)]
                        at += width + (300 if exon < 23 else 0)
                    letters[header + at : header + at + 3] = b"TAA"
                    rows += [("stop_codon", at, at + 3, 0), ("transcript", first, at + 3, ".")]
                    text = f'gene_id "{gene}"; transcript_id "{gene}.{copy}"; gene_type "protein_coding"; level 2;'
                    handle.writelines(
                        f"chr{number}\tx\t{kind}\t{a + 1}\t{b}\t.\t+\t{phase}\t{text}\n" for kind, a, b, phase in rows
                    )
            header += LENGTH + 1
    (folder / "g.fa").write_bytes(letters)


def make_peaks(folder: Path) -> None:
    random = np.random.default_rng(2)
    for track in range(TRACKS):
        count = PEAKS // TRACKS
        start = random.integers(0, LENGTH - 1000, count)
        rows = zip(
            random.integers(1, CHROMOSOMES + 1, count), start, start + random.integers(150, 600, count), strict=True
        )
        (folder / f"t{track}.bed").write_text("".join(f"chr{c}\t{a}\t{b}\n" for c, a, b in rows))


def make_variants(folder: Path) -> None:
    random = np.random.default_rng(3)
    data = np.memmap(folder / "g.fa", np.uint8, "r")
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    with (folder / "v.vcf").open("w") as handle:
        handle.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        header = 0
        for number in range(1, CHROMOSOMES + 1):
            header += len(f">chr{number}\n")
            places = np.unique(random.integers(0, LENGTH, VARIANTS // CHROMOSOMES))
            refs = data[header + places].tobytes().decode()
            handle.writelines(
                f"chr{number}\t{at + 1}\t.\t{ref}\t{other[ref]}\t.\t.\tAF=0.1;PIP={at % 100 / 100}\n"
                for at, ref in zip(places.tolist(), refs, strict=True)
            )
            header += LENGTH + 1


def make_audit(folder: Path) -> None:
    """2,000,000 windows: 70 % training, of which 51.9 % overlap the next; the test split's first tenth are copies."""
    random = np.random.default_rng(4)
    rows = []
    for number in range(1, CHROMOSOMES + 1):
        split = "train" if number <= 17 else "valid" if number <= 20 else "test"
        step = np.where(random.random(WINDOWS // CHROMOSOMES) < 0.519, 450, 560)
        starts = np.cumsum(step)
        strand = np.where(random.random(len(starts)) < 0.5, "+", "-")
        rows += [f"chr{number}\t{s}\t{s + 512}\t{t}\t{s % 7}\t{split}\n" for s, t in zip(starts, strand, strict=True)]
    (folder / "a.bed").write_text("chromosome\tstart\tend\tstrand\tlabel\tsplit\n" + "".join(rows))


def run(what: str, folder: Path) -> None:
    from bend_hf import build
    from bend_hf.build.homology import cluster
    from bend_hf.build.splits import Windows
    from bend_hf.data.genome import Genome
    from bend_hf.data.sources import TaskFiles
    from bend_hf.tasks import TASKS

    fasta, chromosomes = folder / "g.fa", build.Split("chromosomes")
    begin = time.perf_counter()
    if what == "audit":
        task = TASKS["cpg_methylation"]
        print(build.audit(TaskFiles(task=task, bed=folder / "a.bed", hdf5=None, fasta=fasta)))
    elif what == "genes":
        build.genes(folder / "g.gtf", fasta, folder / "genes", build="x", split=chromosomes)
    elif what == "peaks":
        tracks = [folder / f"t{track}.bed" for track in range(TRACKS)]
        build.peaks(tracks, fasta, folder / "peaks", build="x", split=chromosomes)
    elif what == "variants":
        labels = build.Labels("PIP", threshold=0.9)
        build.variants(folder / "v.vcf", fasta, folder / "variants", build="x", labels=labels)
    else:
        row = np.arange(LONG)
        start = row // CHROMOSOMES * 20_000
        windows = Windows(row % CHROMOSOMES, start, start + 10_000)
        _, facts = cluster(windows, Genome(fasta), identity=0.8, coverage=0.5, tool="own")
        print(facts)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what}: {time.perf_counter() - begin:.0f} s, {peak:.2f} GB at most")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(temporary)
        if len(sys.argv) > 3:  # in the process that is measured
            run(sys.argv[1], place)
        else:
            genome(place)
            maker = globals().get(f"make_{sys.argv[1]}")
            if maker is not None:
                maker(place)
            subprocess.run([sys.executable, __file__, sys.argv[1], str(place), "measured"], check=True)
