"""Time and peak memory of builders and the audit at the sizes of a whole genome, on generated input.

    python tests/benchmarks/build.py audit genes peaks variants homology
    python tests/benchmarks/build.py audit --scale 0.1 --folder work     # a tenth of everything; inputs are kept

Each runs in a process of its own; making the input is not timed. The genome has 24 chromosomes of 50 Mb, random but for
two families of repeats as a mammal has them: a tenth of it are copies of one 300-bp element, a sixth are pieces of one
of 6 kb, at 5 to 25 % divergence. What is right is known, and compared with what comes out. Targets on 2 cores: 10
minutes and 2 GB for the audit, 5 minutes and 2 GB for a builder, 20 minutes for clusters. ``private`` is memory without
the mapped genome, which the kernel takes back when it is short.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

CHROMOSOMES, LENGTH = 24, 50_000_000
GENES, TRANSCRIPTS, EXONS = 20_000, 3, 24  # 60,000 transcripts and 3 million lines
PEAKS, TRACKS = 2_000_000, 125
VARIANTS = 5_000_000
WINDOWS = 2_000_000
LONG = 20_000
TEST_OVERLAP, NEXT_OVERLAP = 0.183, 0.519  # BEND's own: of gene finding, of CpG methylation
BASES = np.frombuffer(b"ACGT", np.uint8)


class Size:
    """Everything at a scale: chromosomes become shorter, so that densities stay."""

    def __init__(self, scale: float) -> None:
        self.length = int(LENGTH * scale)
        self.genes, self.peaks, self.variants, self.windows, self.long = (
            int(number * scale) for number in (GENES, PEAKS, VARIANTS, WINDOWS, LONG)
        )


def make_genome(folder: Path, size: Size) -> None:
    random = np.random.default_rng(0)
    short, long = BASES[random.integers(0, 4, 300)], BASES[random.integers(0, 4, 6000)]
    with (folder / "g.fa").open("wb") as handle:
        for number in range(1, CHROMOSOMES + 1):
            letters = BASES[random.integers(0, 4, size.length, np.uint8)]
            repeats(letters, random, short, long)
            handle.write(b">chr%d\n" % number + letters.tobytes() + b"\n")
    make_genes(folder, size)  # it writes stop codons into the genome


def repeats(letters: np.ndarray, random: np.random.Generator, short: np.ndarray, long: np.ndarray) -> None:
    """Put copies of two elements into a chromosome, in place."""
    for element, width, share in ((short, 300, 0.1), (long, 1000, 0.17)):
        copies = int(len(letters) * share / width)
        at = random.integers(0, len(letters) - width, copies)
        first = random.integers(0, len(element) - width + 1, copies)
        pieces = element[first[:, None] + np.arange(width)]
        rate = random.uniform(0.05, 0.25, (copies, 1))
        changed = random.random(pieces.shape, np.float32) < rate
        pieces[changed] = BASES[random.integers(0, 4, int(changed.sum()))]
        turned = random.random(copies) < 0.5
        pieces[turned] = np.frombuffer(bytes.maketrans(b"ACGT", b"TGCA"), np.uint8)[pieces[turned, ::-1]]
        letters[at[:, None] + np.arange(width)] = pieces


def chromosome(folder: Path, size: Size, number: int) -> np.ndarray:
    """Return a chromosome's letters in the file, to read or to write."""
    header = sum(len(f">chr{each}\n") + size.length + 1 for each in range(1, number)) + len(f">chr{number}\n")
    return np.memmap(folder / "g.fa", np.uint8, "r+", header, (size.length,))


def make_genes(folder: Path, size: Size) -> None:
    """A GTF of 20,000 genes of three transcripts of 24 coding exons, each with a stop codon in the genome."""
    random = np.random.default_rng(1)
    each = size.genes // CHROMOSOMES
    with (folder / "g.gtf").open("w") as handle:
        for number in range(1, CHROMOSOMES + 1):
            letters = chromosome(folder, size, number)
            for row, start in enumerate(range(1000, 1000 + each * 50_000, 50_000)):
                gene = f"G{number}_{row}"
                for copy in range(TRANSCRIPTS):
                    at = first = start + copy * 12_000
                    rows = []
                    for exon in range(EXONS):
                        width = 3 * int(random.integers(20, 60))
                        last = exon == EXONS - 1
                        rows += [("exon", at, at + width + 3 * last, "."), ("CDS", at, at + width, 0)]
                        at += width + 300 * (not last)
                    letters[at : at + 3] = np.frombuffer(b"TAA", np.uint8)
                    rows += [("stop_codon", at, at + 3, 0), ("transcript", first, at + 3, ".")]
                    text = f'gene_id "{gene}"; transcript_id "{gene}.{copy}"; gene_type "protein_coding"; level 2;'
                    handle.writelines(
                        f"chr{number}\tx\t{kind}\t{a + 1}\t{b}\t.\t+\t{phase}\t{text}\n" for kind, a, b, phase in rows
                    )


def make_peaks(folder: Path, size: Size) -> None:
    random = np.random.default_rng(2)
    for track in range(TRACKS):
        count = size.peaks // TRACKS
        start = random.integers(0, size.length - 1000, count)
        rows = zip(
            random.integers(1, CHROMOSOMES + 1, count), start, start + random.integers(150, 600, count), strict=True
        )
        (folder / f"t{track}.bed").write_text("".join(f"chr{c}\t{a}\t{b}\n" for c, a, b in rows))


def make_variants(folder: Path, size: Size) -> None:
    """Single bases, and one record in ten an insertion or deletion."""
    random = np.random.default_rng(3)
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    with (folder / "v.vcf").open("w") as handle:
        handle.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for number in range(1, CHROMOSOMES + 1):
            places = np.sort(random.choice(size.length - 9, size.variants // CHROMOSOMES, replace=False))
            refs = chromosome(folder, size, number)[places].tobytes().decode()
            for row, (at, ref) in enumerate(zip(places.tolist(), refs, strict=True)):
                alt = other[ref] if row % 10 else ref + "AC"
                handle.write(f"chr{number}\t{at + 1}\t.\t{ref}\t{alt}\t.\t.\tAF=0.1;PIP={at % 100 / 100}\n")


def make_audit(folder: Path, size: Size) -> None:
    """2,000,000 windows: 51.9 % of those of training overlap the next, 18.3 % of those of test a training one.

    Training windows lie on 17 chromosomes, validation ones on three, test ones on four and, those that overlap, on the
    first.
    """
    random = np.random.default_rng(4)
    each = size.windows // CHROMOSOMES
    starts = {}
    for number in range(1, CHROMOSOMES + 1):
        step = np.full(each, 560)
        step[random.permutation(each - 1)[: round(NEXT_OVERLAP * each)] + 1] = 450
        starts[number] = np.cumsum(step)
    rows = [(number, at, "train") for number in range(1, 18) for at in starts[number].tolist()]
    rows += [(number, at, "valid") for number in range(18, 21) for at in starts[number].tolist()]
    test = [(number, at, "test") for number in range(21, 25) for at in starts[number].tolist()]
    moved = round(TEST_OVERLAP * len(test))
    test[:moved] = [(1, at + 100, "test") for at in starts[1][:moved].tolist()]
    strands = random.integers(0, 2, len(rows) + len(test)).tolist()
    with (folder / "a.bed").open("w") as handle:
        handle.write("chromosome\tstart\tend\tstrand\tlabel\tsplit\n")
        handle.writelines(
            f"chr{number}\t{at}\t{at + 512}\t{'+-'[strand]}\t{at % 7}\t{split}\n"
            for (number, at, split), strand in zip(rows + test, strands, strict=True)
        )


def make_homology(folder: Path, size: Size) -> None:
    """Nothing but the genome is needed."""


def run(what: str, folder: Path, size: Size) -> None:
    from bend_hf import build
    from bend_hf.build.homology import cluster
    from bend_hf.build.splits import Windows
    from bend_hf.data.genome import Genome
    from bend_hf.data.sources import TaskFiles
    from bend_hf.tasks import TASKS

    fasta, chromosomes = folder / "g.fa", build.Split("chromosomes")
    output = Path(tempfile.mkdtemp(dir=folder))
    Genome(fasta)  # its index is made before the clock starts, as for the user's second command
    with Peak() as found:
        if what == "audit":
            task = TASKS["cpg_methylation"]
            audited = build.audit(TaskFiles(task=task, bed=folder / "a.bed", hdf5=None, fasta=fasta))
            print(audited)
            [overlap] = [each for each in audited.overlaps if (each["split"], each["other"]) == ("test", "train")]
            shares = overlap["share"], audited.next_overlaps["train"]["share"]
            assert [round(share, 3) for share in shares] == [TEST_OVERLAP, NEXT_OVERLAP], shares
        elif what == "genes":
            build.genes(folder / "g.gtf", fasta, output / "genes", build="x", split=chromosomes)
            assert rows(output / "genes") == size.genes // CHROMOSOMES * CHROMOSOMES
        elif what == "peaks":
            tracks = [folder / f"t{track}.bed" for track in range(TRACKS)]
            build.peaks(tracks, fasta, output / "peaks", build="x", split=chromosomes)
        elif what == "variants":
            labels = build.Labels("PIP", threshold=0.9)
            build.variants(folder / "v.vcf", fasta, output / "variants", build="x", labels=labels)
            each = size.variants // CHROMOSOMES
            assert rows(output / "variants") == CHROMOSOMES * (each - -(-each // 10))
        else:
            row = np.arange(size.long)
            start = row // CHROMOSOMES * 20_000
            windows = Windows(row % CHROMOSOMES, start, start + 10_000)
            _, facts = cluster(windows, Genome(fasta), identity=0.8, coverage=0.5, tool="own")
            print(facts)
    print(
        f"{what}: {found['seconds']:.0f} s, {found['cpu']:.0f} s of processor; at most {found['all']:.2f} GB, "
        f"{found['private']:.2f} GB private"
    )


def rows(folder: Path) -> int:
    with (folder / f"{folder.name}.bed").open("rb") as handle:
        return sum(1 for _ in handle) - 1


class Peak:
    """Time and peak memory of a block, in GB."""

    def __enter__(self) -> dict[str, float]:
        self.found = {"private": 0.0}
        self.done = threading.Event()
        self.watch = threading.Thread(target=self._look, daemon=True)
        self.watch.start()
        self.begin = time.perf_counter(), time.process_time()
        return self.found

    def _look(self) -> None:
        while not self.done.wait(0.05):
            status = Path("/proc/self/status").read_text()
            self.found["private"] = max(self.found["private"], int(status.split("RssAnon:")[1].split()[0]) / 1e6)

    def __exit__(self, *error: object) -> None:
        now = time.perf_counter(), time.process_time()
        self.found["seconds"], self.found["cpu"] = (b - a for a, b in zip(self.begin, now, strict=True))
        self.done.set()
        self.watch.join()
        self.found["all"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=["audit", "genes", "peaks", "variants", "homology"])
    parser.add_argument("--scale", type=float, default=1, help="of the sizes (1)")
    parser.add_argument("--folder", type=Path, help="where inputs are made and kept")
    parser.add_argument("--measured", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    size = Size(args.scale)
    if args.measured:
        run(args.what[0], args.folder, size)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for what in ["genome", *args.what]:
            if what != "genes" and not (folder / f".{what}").exists():
                globals()[f"make_{what}"](folder, size)
                (folder / f".{what}").touch()
        failed = 0
        for what in args.what:
            command = [sys.executable, __file__, what, "--scale", str(args.scale), "--folder", folder, "--measured"]
            failed += subprocess.run(command, check=False).returncode != 0
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
