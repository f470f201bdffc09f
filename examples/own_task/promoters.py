"""Makes a task: is a window a promoter? 512 bp around starts of transcripts, and others nearby of the like GC content.

    python promoters.py data/gene_finding/gene_finding.bed data/genomes/GRCh38.fa promoters
    bend-hf evaluate MODEL --task promoters --genome data/genomes/GRCh38.fa

The starts are those of the windows of gene finding, whose splits are kept.
"""

import csv
import random
import sys
from pathlib import Path

from bend_hf import Genome
from bend_hf.tasks import own_task, write_document

HALF = 256
NEAR = range(2_000, 20_000, 100)  # bp from the start to the window without one


def gc(genome, chromosome, start):
    sequence = genome.window(chromosome, start, start + 2 * HALF)
    return (sequence.count("G") + sequence.count("C")) / len(sequence)


def main(bed, fasta, folder):
    generator, genome, folder = random.Random(0), Genome(fasta), Path(folder)
    starts = set()
    with Path(bed).open() as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            left, right = int(row["start"]) + int(row["flank_left"]), int(row["end"]) - int(row["flank_right"])
            site = left if row["strand"] == "+" else right
            starts.add((row["chromosome"], site - HALF, row["strand"], row["split"].replace("valid", "validation")))
    taken, rows = {(chromosome, start) for chromosome, start, *_ in starts}, []
    for chromosome, start, strand, split in sorted(starts):
        places = [place for distance in NEAR for place in (start - distance, start + distance)]
        places = [p for p in places if 0 <= p <= genome.lengths[chromosome] - 2 * HALF]
        places = [p for p in places if all(abs(p - other) > 2 * HALF for c, other in taken if c == chromosome)]
        generator.shuffle(places)
        for place in places:
            if abs(gc(genome, chromosome, place) - gc(genome, chromosome, start)) < 0.05:
                rows.append((chromosome, start, start + 2 * HALF, strand, "promoter", split))
                rows.append((chromosome, place, place + 2 * HALF, strand, "other", split))
                taken.add((chromosome, place))
                break
        else:
            print(f"{chromosome}:{start} is left out: no window nearby has its GC content", file=sys.stderr)
    task = own_task(
        folder.name,
        label_kind="window_class",
        label_names=("other", "promoter"),
        window=2 * HALF,
        build="GRCh38",
        summary="Tell windows around the start of a transcript from others nearby of the like GC content.",
        rows={split: sum(row[-1] == split for row in rows) for split in ("train", "validation", "test")},
        stranded=True,
    )
    folder.mkdir()
    lines = ["\t".join(column.name for column in task.columns), *("\t".join(map(str, row)) for row in rows)]
    (folder / f"{folder.name}.bed").write_text("\n".join(lines) + "\n")
    write_document(folder / "task.json", task)


if __name__ == "__main__":
    main(*sys.argv[1:])
