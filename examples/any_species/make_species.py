"""Makes a small made-up plant: a genome, genes as Phytozome writes them (GFF3), and variants with and without effect.

python examples/any_species/make_species.py
"""

import random
from pathlib import Path

CODONS = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT" if a + b + c not in ("TAA", "TAG", "TGA")]
COMPLEMENT = str.maketrans("ACGT", "TGCA")
GENES_PER_CHROMOSOME = 12


def dna(length):
    return "".join(random.choices("ACGT", [0.32, 0.18, 0.18, 0.32], k=length))


def gene():
    """Return a gene as it runs, and its exons and coding parts in it (0-based half-open)."""
    coding = "ATG" + "".join(random.choices(CODONS, k=random.randint(60, 150))) + "TAA"
    cuts = sorted(random.sample(range(30, len(coding) - 30), random.randint(0, 3)))
    pieces = [coding[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    text, parts = dna(80), []  # the 5' UTR
    for number, piece in enumerate(pieces):
        if number:
            text += "GTAAGT" + dna(random.randint(80, 200)) + "TTTGCAG"
        parts.append((len(text), len(text) + len(piece)))
        text += piece
    text += dna(120)
    exons = [*parts]
    exons[0], exons[-1] = (0, exons[0][1]), (exons[-1][0], len(text))
    return text, exons, parts


def main():
    random.seed(0)
    genome, gff = [], ["##gff-version 3"]
    vcf = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    for chromosome in (f"Chr{number}" for number in range(1, 6)):
        sequence = dna(600)
        for number in range(GENES_PER_CHROMOSOME):
            text, exons, parts = gene()
            strand = random.choice("+-")
            if strand == "-":
                length = len(text)
                text = text.translate(COMPLEMENT)[::-1]
                exons, parts = ([(length - b, length - a) for a, b in each][::-1] for each in (exons, parts))
            at, name = len(sequence), f"{chromosome}G{number:03}"

            def line(kind, start, end, phase, attributes, at=at, strand=strand, chromosome=chromosome):
                fields = (chromosome, "made", kind, at + start + 1, at + end, ".", strand, phase, attributes)
                gff.append("\t".join(map(str, fields)))

            line("gene", 0, len(text), ".", f"ID={name};Name={name}")
            line("mRNA", 0, len(text), ".", f"ID={name}.1;Name={name}.1;longest=1;Parent={name}")
            for start, end in exons:
                line("exon", start, end, ".", f"Parent={name}.1")
            before = 0
            for start, end in parts if strand == "+" else parts[::-1]:
                line("CDS", start, end, -before % 3, f"ID={name}.1.CDS;Parent={name}.1")
                before += end - start
            sequence += text + dna(random.randint(400, 900))
            places = {parts[0][0] + 20: "high", parts[-1][1] - 20: "high"}  # in coding sequence; the others are not
            places |= {-random.randint(20, 300): "low", len(text) + random.randint(20, 300): "low"}
            for place, effect in sorted(places.items()):
                position = at + place
                ref = sequence[position]
                alt = random.choice([base for base in "ACGT" if base != ref])
                vcf.append(f"{chromosome}\t{position + 1}\t.\t{ref}\t{alt}\t.\tPASS\tEFFECT={effect}")
        genome += [f">{chromosome}", sequence]
    Path("genome.fa").write_text("\n".join(genome) + "\n")
    Path("genes.gff3").write_text("\n".join(gff) + "\n")
    Path("variants.vcf").write_text("\n".join(vcf) + "\n")


if __name__ == "__main__":
    main()
