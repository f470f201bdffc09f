"""Input that cannot be right ends in one sentence that says where and what to do; what only looks odd is read."""

import gzip
import re

import h5py
import numpy as np
import pytest
from made_up import A, B, C, Gene, fasta, genome, gff3, gtf

from bend_hf import build
from bend_hf.build.splits import Split
from bend_hf.cli.parser import main
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError

NONE = Split("none")
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(autouse=True)
def no_search(monkeypatch):
    monkeypatch.setattr("bend_hf.build.write.QUERIES", 0)


@pytest.fixture
def toy(tmp_path):
    return genome(tmp_path / "g.fa", [A, B, C], {"c1": 3000, "c2": 1500})


def rows(folder):
    return [line.split("\t") for line in (folder / f"{folder.name}.bed").read_text().splitlines()[1:]]


def peaks(tmp_path, toy, text, **options):
    path = tmp_path / "p.bed"
    path.write_text(text)
    return build.peaks([path], toy, tmp_path / "task", build="toy", **({"width": 100, "split": NONE} | options))


PEAKS = "".join(f"c1\t{at}\t{at + 60}\n" for at in range(200, 2800, 150))


def dressed(path, how):
    """Rewrite a text file as some programs do, with the same lines."""
    content = path.read_bytes()
    if how == "bom":
        content = b"\xef\xbb\xbf" + content
    elif how == "crlf":
        content = content.replace(b"\n", b"\r\n")
    elif how == "members":
        content = b"".join(gzip.compress(content[at : at + 97]) for at in range(0, len(content), 97))
    path.write_bytes(content)
    return path


def test_text_that_windows_and_bgzip_write(tmp_path, toy):
    letters = Genome(toy).window("c1", 0, 3000)
    records = [f"c1\t{at + 1}\t.\t{letters[at]}\t{OTHER[letters[at]]}\t.\t.\tP={at % 2}\n" for at in range(700, 720)]
    labels, options = build.Labels("P", threshold=1), {"build": "toy", "flanks": 20, "flank_left": 7, "split": NONE}
    made = {}
    for how in ("plain", "bom", "crlf", "members"):
        found = []
        for write in (gtf, gff3):
            path = dressed(write(tmp_path / "a", [A, B, C]), how)
            found += rows(build.genes(path, toy, tmp_path / f"{how}_{write.__name__}", **options))
        vcf = tmp_path / "v.vcf"
        vcf.write_text(HEAD + "".join(records))
        found += rows(build.variants(dressed(vcf, how), toy, tmp_path / f"{how}_vcf", build="toy", labels=labels))
        made[how] = found
    assert len(made["plain"]) == 3 + 3 + 20
    assert made["plain"] == made["bom"] == made["crlf"] == made["members"]


def test_peaks_wider_than_every_chromosome_are_no_window(tmp_path, toy):
    with pytest.raises(BendError, match=r"No window is left to split. .*18 × peak on a chromosome shorter than 5,000"):
        peaks(tmp_path, toy, PEAKS, width=5000)


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (-1, 1, 1), (0, 0, 0), (1, 0, 0)])
def test_fractions_are_shares_of_a_whole(tmp_path, toy, fractions):
    with pytest.raises(BendError, match="are no shares of a whole: give three above 0 with the sum 1"):
        peaks(tmp_path, toy, PEAKS, split=Split("blocks", block=300, fractions=fractions))


@pytest.mark.parametrize(
    ("split", "remedy"),
    [
        (Split("chromosomes", test=("c2",)), "leaves no row for valid, test, of 18 windows. Name others .* lie on c1;"),
        (Split("blocks"), r"Ask for smaller blocks than 1,000,000 bp \(--block\)"),
    ],
)
def test_a_split_that_cannot_be_made_says_what_to_change(tmp_path, toy, split, remedy):
    with pytest.raises(BendError, match=remedy):
        peaks(tmp_path, toy, PEAKS, split=split)


def test_few_clusters_of_relatives_are_counted(tmp_path):
    random = np.random.default_rng(1)
    one, two = ("".join(random.choice(list("ACGT"), 400)) for _ in range(2))
    path = fasta(tmp_path / "r.fa", {"c1": (one + two) * 2})
    text = "".join(f"c1\t{at}\t{at + 400}\n" for at in range(0, 1600, 400))
    with pytest.raises(BendError, match=r"no row for test, of 4 windows. They are 2 clusters of relatives; ask for"):
        peaks(tmp_path, path, text, width=400, split=Split("homology", tool="own"))


def circular(tmp_path, declared):
    path = gff3(tmp_path / "c.gff3", [A, C])
    text = path.read_text().replace("exon\t301\t700", "exon\t301\t1700")
    region = "c2\tx\tregion\t1\t1500\t.\t+\t.\tID=c2;Is_circular=true\n"
    path.write_text(text.replace("##gff-version 3\n", "##gff-version 3\n" + region * declared))
    return path


def test_genes_across_the_origin_of_a_circular_chromosome_are_left_out(tmp_path, toy, caplog):
    options = {"build": "toy", "flanks": 20, "split": NONE}
    found = rows(build.genes(circular(tmp_path, True), toy, tmp_path / "task", **options))
    assert [row[3] for row in found] == ["A.1"]
    assert "1 left out: transcripts: across the origin of a circular chromosome" in caplog.text
    with pytest.raises(BendError, match="1 transcript ends beyond its chromosome"):
        build.genes(circular(tmp_path, False), toy, tmp_path / "other", **options)


def test_sequences_that_end_a_gff3_and_ids_with_tabs(tmp_path, toy):
    path = gff3(tmp_path / "a.gff3", [A])
    path.write_text(path.read_text().replace("##FASTA\n", "").replace("A.1", "A%09%3B1"))
    found = rows(build.genes(path, toy, tmp_path / "task", build="toy", flanks=20, split=NONE))
    assert [row[3] for row in found] == ["A%09%3B1"]


def levels(tmp_path, toy, text, **options):
    path = tmp_path / "m.bed"
    path.write_text(text)
    return build.methylation([path], toy, tmp_path / "task", build="toy", width=100, split=NONE, **options)


def cpgs(toy):
    letters = Genome(toy).window("c1", 0, 3000)
    return [found.start() for found in re.finditer("CG", letters) if 300 < found.start() < 2700]


def row_of(at, end, percent=50):
    return f"c1\t{at}\t{end}\tm\t0\t+\t{at}\t{end}\t0\t9\t{percent}\n"


def test_methylation_that_cannot_be_right(tmp_path, toy):
    at = cpgs(toy)[0]
    with pytest.raises(BendError, match=r"m\.bed, line 1, end: '\d+' makes the interval wider than one CpG"):
        levels(tmp_path, toy, row_of(at, at + 9))
    shares = "".join(f"c1\t{at}\t{at + 2}\t0.5\n" for at in cpgs(toy))
    with pytest.raises(BendError, match=r"no level is above 0\.5, so these are shares, not percent.*--scale fraction"):
        levels(tmp_path, toy, shares)
    with pytest.raises(BendError, match=r"no CpG has 10 reads \(--min-coverage\)"):
        levels(tmp_path, toy, row_of(at, at + 2), min_coverage=10)
    with pytest.raises(BendError, match="A threshold of 2 is no share of reads"):
        levels(tmp_path, toy, row_of(at, at + 2), threshold=2)
    assert len(rows(levels(tmp_path, toy, shares, percent=False))) == len(cpgs(toy))


def test_more_tracks_than_a_word_has_bits(tmp_path, toy):
    random, places = np.random.default_rng(0), cpgs(toy)
    on = random.random((130, len(places))) < 0.3
    on[:, 0], on[:, 1] = False, True
    paths = []
    for track, levels_of in enumerate(on):
        paths.append(tmp_path / f"t{track}.bed")
        pairs = zip(places, levels_of.tolist(), strict=True)
        paths[-1].write_text("".join(row_of(at, at + 2, 100 * one) for at, one in pairs))
    folder = build.methylation(paths, toy, tmp_path / "task", build="toy", width=100, split=NONE)
    found = {int(row[1]) + 49: row[4] for row in rows(folder)}
    assert found == {at: ",".join(map(str, np.flatnonzero(on[:, column]).tolist())) for column, at in enumerate(places)}


def enhancers(tmp_path, toy, links, tss="c1\t900\tX\n", name="task"):
    (tmp_path / "l.tsv").write_text(links)
    (tmp_path / "tss.tsv").write_text("chromosome\ttss\tgene\n" + tss)
    options = {"build": "toy", "bins": 10, "bin_size": 40, "split": NONE}
    folder = build.enhancers([tmp_path / "l.tsv"], tmp_path / "tss.tsv", toy, tmp_path / name, **options)
    with h5py.File(folder / f"{name}.hdf5") as opened:
        return np.flatnonzero(opened["labels"][0]).tolist()


@pytest.mark.parametrize(
    ("links", "tss", "message"),
    [
        ("c1\t850\t9999\tX\n", "c1\t900\tX\n", r"l\.tsv: the element c1:850-9999 ends beyond its .* 3,000 bp"),
        ("c1\t850\t870\tX\n", "c1\t900\tX\nc1\t3000\tY\n", r"tss\.tsv: 1 start sites lie outside .* Y at c1:3,000\)"),
        ("c1\t850\t870\tX\n", "c1\t900\t\n", r"tss\.tsv, line 2, gene: '' is no name of a gene"),
        ("c1\t100\t2900\tX\n", "c1\t900\tX\n", "Every bin of the 1 window left is on.*--bins"),
    ],
)
def test_links_and_start_sites_that_cannot_be_right(tmp_path, toy, links, tss, message):
    with pytest.raises(BendError, match=message):
        enhancers(tmp_path, toy, "chromosome\tstart\tend\tgene\n" + links, tss)


def test_bedpe_may_have_a_commented_header(tmp_path, toy):
    record = "c1\t850\t870\tc1\t899\t901\n"
    wanted = enhancers(tmp_path, toy, record)
    head = "#chrom1\tstart1\tend1\tchrom2\tstart2\tend2\n"
    assert enhancers(tmp_path, toy, head + record, name="other") == wanted == [3, 4]


def variants(tmp_path, toy, *records):
    path = tmp_path / "v.vcf"
    path.write_text(HEAD + "".join(f"c1\t{at + 1}\t.\t{ref}\t{alt}\t.\t.\tP={p}\n" for at, ref, alt, p in records))
    return rows(build.variants(path, toy, tmp_path / "task", build="toy", labels=build.Labels("P", threshold=1)))


def test_whole_reference_alleles_are_compared(tmp_path, toy):
    letters = Genome(toy).window("c1", 0, 3000)
    snv = [(at, letters[at], OTHER[letters[at]], at % 2) for at in (700, 701)]
    long = letters[710] + OTHER[letters[711]]
    with pytest.raises(BendError, match=rf"1 of 3 reference .*line 5 c1:711 REF {long}, genome {letters[710:712]}"):
        variants(tmp_path, toy, *snv, (710, long, letters[710], 1))
    with pytest.raises(BendError, match=r"line 5, POS: '3000' lies beyond the chromosome's end"):
        variants(tmp_path, toy, *snv, (2999, letters[2999] + "A", letters[2999], 1))
    unknown = (720, letters[720] + "N", letters[720], 1)  # N stands for every base
    assert len(variants(tmp_path, toy, *snv, unknown)) == 2


def test_a_term_that_is_both(tmp_path, toy, capsys):
    path = tmp_path / "v.vcf"
    path.write_text(HEAD)
    terms = ["--field", "L", "--positive", "a", "b", "--negative", "b"]
    options = ["--genome", str(toy), "--build", "toy", "-o", str(tmp_path / "t")]
    assert main(["build", "variants", str(path), *options, *terms]) == 1
    assert "'b' is given as a --positive and as a --negative term" in capsys.readouterr().err


# The nine classes once more, base by base: what BEND says of each, without the code's slices.
NAMES = ("exon", "donor", "intron", "acceptor")


def naive(gene, low, high):
    found = []
    for base in range(low, high):
        coding = [part for part in gene.cds if part[0] <= base < part[1]]
        before = [part for part in gene.cds if part[1] <= base]
        after = [part for part in gene.cds if base < part[0]]
        if coding:
            name = "exon"
        elif before and after:
            first, last = max(end for _, end in before) == base, min(start for start, _ in after) == base + 1
            if gene.strand == "-":
                first, last = last, first
            name = "donor" if first else "acceptor" if last else "intron"
        else:
            found.append(8)
            continue
        found.append(NAMES.index(name) + 4 * (gene.strand == "-"))
    return found


GENES = [
    A,
    B,
    C,
    Gene("D", "c2", "-", ((800, 1000),), ((830, 950),)),  # one exon, reverse strand
    Gene("E", "c2", "+", ((1100, 1130), (1140, 1190)), ((1106, 1127), (1140, 1161))),  # no base of UTR within an intron
    Gene("F", "c1", "-", ((1600, 1650), (1652, 1700)), ((1610, 1650), (1652, 1690))),  # an intron of two bases
]


@pytest.mark.parametrize("dialect", [gtf, gff3])
def test_labels_are_those_of_a_restatement_of_bends_classes(tmp_path, dialect):
    path = genome(tmp_path / "g.fa", GENES, {"c1": 3000, "c2": 1500})
    folder = build.genes(dialect(tmp_path / "a", GENES), path, tmp_path / "task", build="toy", flanks=20, split=NONE)
    with h5py.File(folder / "task.hdf5") as opened:
        labels = opened["labels"][:]
    found = rows(folder)
    assert sorted(row[3] for row in found) == [f"{gene.name}.1" for gene in GENES]
    for row, values in zip(found, labels, strict=True):
        gene = next(gene for gene in GENES if f"{gene.name}.1" == row[3])
        assert values.tolist() == naive(gene, int(row[1]), int(row[2])), gene
