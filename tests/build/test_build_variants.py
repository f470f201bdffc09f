"""Variant tasks: alleles, labels and consequences known by hand; files of another build are refused."""

import gzip
import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import A, B, C, genome, gtf
from made_up import fasta as fasta_file

import bend_hf
from bend_hf import build
from bend_hf.build.readers.vcf import _trimmed
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.zero_shot.controls import control_scores

HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}


@pytest.fixture
def fasta(tmp_path):
    return genome(tmp_path / "g.fa", [A, B, C], {"c1": 8000, "c2": 1500})


class Maker:
    def __init__(self, tmp_path, fasta):
        self.folder, self.fasta, self.genome = tmp_path, fasta, Genome(fasta)

    def base(self, chromosome, position, length=1):
        return self.genome.window(chromosome, position, position + length)

    def snv(self, chromosome, position, info, name="."):
        ref = self.base(chromosome, position)
        return f"{chromosome}\t{position + 1}\t{name}\t{ref}\t{OTHER[ref]}\t.\t.\t{info}\n"

    def make(self, records, name="t", head=HEAD, **options):
        path = self.folder / "v.vcf"
        path.write_text(head + "".join(records))
        options = {"labels": build.CLINVAR, "build": "toy"} | options
        folder = build.variants(path, self.fasta, self.folder / name, **options)
        table = pd.read_csv(folder / f"{name}.bed", sep="\t", dtype=str, keep_default_na=False)
        return table, json.loads((folder / "sources.json").read_text())


@pytest.fixture
def maker(tmp_path, fasta):
    return Maker(tmp_path, fasta)


GOOD, BAD = "CLNSIG=Benign", "AF=0.1;CLNSIG=Likely_pathogenic;X=1"


def test_clinvars_terms_and_what_has_no_label(maker):
    records = [
        maker.snv("c2", 900, BAD),
        maker.snv("c1", 700, GOOD),
        maker.snv("c1", 710, "CLNSIG=Uncertain_significance"),
        maker.snv("c1", 720, "CLNSIGCONF=Benign"),
        maker.snv("c1", 730, "CLNSIG=Benign/Likely_benign"),
    ]
    table, record = maker.make(records)
    assert table[["chromosome", "start", "end", "label", "full_label", "Consequence"]].to_numpy().tolist() == [
        ["c1", "700", "700", "0", "Benign", "not_annotated"],
        ["c1", "730", "730", "0", "Benign/Likely benign", "not_annotated"],
        ["c2", "900", "900", "1", "Likely pathogenic", "not_annotated"],
    ]
    assert record["left_out"] == {"variant with CLNSIG Uncertain_significance": 1, "variant with CLNSIG absent": 1}
    assert (table["split"] == "train").all()


def test_alleles_are_split_trimmed_and_counted(maker):
    three = maker.base("c1", 800, 3)
    first, middle, last = three
    other = OTHER[middle]
    records = [
        # Two alternates: an insertion, and three letters of which the middle one changes; each has its own label.
        f"c1\t801\t.\t{three}\t{three}A,{first}{other}{last}\t.\t.\tCLNSIG=Benign,Pathogenic\n",
        f"c1\t901\t.\t{maker.base('c1', 900, 2).lower()}\t<DEL>\t.\t.\t{GOOD}\n",
        f"c1\t911\t.\t{maker.base('c1', 910)}\t{maker.base('c1', 910)}[c2:5[\t.\t.\t{GOOD}\n",
        f"c1\t921\t.\t{maker.base('c1', 920, 2)}\t{maker.base('c1', 920)}\t.\t.\t{GOOD}\n",
        f"c1\t931\t.\t{maker.base('c1', 930)}\t.\t.\t.\t{GOOD}\n",
        maker.snv("c1", 940, GOOD),
        maker.snv("c1", 940, GOOD),
        maker.snv("c1", 950, GOOD),
        maker.snv("c1", 950, BAD),
    ]
    table, record = maker.make(records)
    assert table[["start", "ref", "alt", "label"]].to_numpy().tolist() == [
        ["801", middle, other, "1"],
        ["940", maker.base("c1", 940), OTHER[maker.base("c1", 940)], "0"],
    ]
    assert record["left_out"] == {
        "allele: insertion, deletion or more than one base": 2,
        "allele: symbolic allele or breakend": 2,
        "allele: no alternate base": 1,
        "variant that the file labels both ways": 1,
        "variant listed again with the same label": 1,
    }


@settings(max_examples=200, deadline=None)
@given(st.text("ACGT", min_size=1, max_size=6), st.text("ACGT", min_size=1, max_size=6))
def test_trimming_keeps_what_an_allele_does(ref, alt):
    text = "GG" + ref + "TT"
    start, one, other = _trimmed(ref, alt)
    assert text[2 + start :].startswith(one)
    assert text[: 2 + start] + other + text[2 + start + len(one) :] == "GG" + alt + "TT"
    assert min(len(one), len(other)) == 1 or (one[0] != other[0] and one[-1] != other[-1])


def test_thresholds_and_tables(maker, tmp_path):
    records = [maker.snv("c1", 700 + i, f"PIP={value}", f"rs{i}") for i, value in enumerate((0.95, 0.2, ".", 0.9))]
    table, _ = maker.make(records, labels=build.Labels("PIP", threshold=0.9))
    assert table[["start", "label", "actual"]].to_numpy().tolist() == [
        [str(700 + i), label, maker.base("c1", 700 + i)] for i, label in ((0, "1"), (1, "0"), (3, "1"))
    ]
    by_id = tmp_path / "ids.tsv"
    by_id.write_text("id\tlabel\nrs0\t0\nrs2\t1\n")
    assert list(maker.make(records, name="u", labels=build.Labels(table=by_id))[0]["label"]) == ["0", "1"]
    by_place = tmp_path / "places.tsv"
    rows = "".join(
        f"c1\t{at}\t{maker.base('c1', at)}\t{OTHER[maker.base('c1', at)]}\t{n}\n" for at, n in ((701, 1), (703, 0))
    )
    by_place.write_text("chromosome\tstart\tref\talt\tlabel\n" + rows)
    table, _ = maker.make(records, name="v", labels=build.Labels(table=by_place))
    assert table[["start", "label"]].to_numpy().tolist() == [["701", "1"], ["703", "0"]]
    with pytest.raises(BendError, match="PIP='high' is no number"):
        maker.make([maker.snv("c1", 700, "PIP=high")], name="w", labels=build.Labels("PIP", threshold=0.9))


def test_consequences_by_hand(maker, tmp_path):
    """On A (forward; exons 100–150, 200–320, 400–520; coding 230–320, 400–460, stop 460–463) and B (reverse)."""
    wanted = {
        140: "5_prime_UTR_variant",
        151: "splice_donor_variant",
        153: "splice_region_variant",
        170: "intron_variant",
        199: "splice_acceptor_variant",
        319: "coding_sequence_variant",
        462: "coding_sequence_variant",  # the stop codon
        463: "3_prime_UTR_variant",
        90: "upstream_gene_variant",
        700: "downstream_gene_variant",
        1111: "splice_acceptor_variant",
        1199: "splice_donor_variant",
        1490: "5_prime_UTR_variant",
        1010: "3_prime_UTR_variant",
        7000: "intergenic_variant",
    }
    annotation = gtf(tmp_path / "a.gtf", [A, B, C])
    records = [maker.snv("c1", at, GOOD if at != 90 else BAD) for at in wanted]
    table, _ = maker.make(records, annotation=annotation)
    assert dict(zip(table["start"].astype(int), table["Consequence"], strict=True)) == wanted


def test_distances_to_starts_and_splice_sites_stand_in_rows_and_score_variants(maker, tmp_path):
    annotation = gtf(tmp_path / "a.gtf", [A, B])
    # A starts at 100 and B, on the other strand, at 1499; introns are 150-199, 320-399, 1110-1199 and 1261-1329.
    wanted = {
        90: (10, 60),
        100: (0, 50),
        152: (52, 2),
        360: (260, 39),
        799: (699, 311),
        800: (699, 310),
        1499: (0, 170),
    }
    records = [maker.snv("c1", at, GOOD if at < 200 else BAD) for at in wanted]
    table, _ = maker.make([*records, maker.snv("c2", 40, BAD)], annotation=annotation)
    near = [
        (int(tss), int(splice)) for tss, splice in zip(table["tss_distance"], table["splice_distance"], strict=True)
    ]
    assert near == [*wanted.values(), (1500, 1500)]  # no gene lies on c2: its length
    rows = bend_hf.load_dataset(tmp_path / "t", genome=maker.fasta, split="test")
    scores = control_scores(rows)
    assert scores["tss_distance"].tolist() == [-tss for tss, _ in near]
    assert scores["splice_distance"].tolist() == [-splice for _, splice in near]


def test_the_first_consequence_of_vep(maker):
    head = HEAD.replace(
        "#CHROM", '##INFO=<ID=CSQ,Number=.,Type=String,Description="VEP. Format: Allele|Consequence|IMPACT">\n#CHROM'
    )
    records = [
        maker.snv("c1", 700, f"{GOOD};CSQ=A|missense_variant&splice_region_variant|LOW,A|intron_variant|LOW"),
        maker.snv("c1", 701, BAD),
    ]
    assert list(maker.make(records, head=head)[0]["Consequence"]) == ["missense_variant", "not_annotated"]


def test_matched_negatives_are_of_the_positives_strata(maker, tmp_path):
    annotation = gtf(tmp_path / "a.gtf", [A, B, C])
    coding, between = range(1060, 1100, 4), range(6600, 7900, 13)
    records = [maker.snv("c1", at, BAD if at < 1070 else GOOD) for at in coding] + [
        maker.snv("c1", at, GOOD) for at in between
    ]
    table, record = maker.make(records, annotation=annotation, matched=1)
    assert set(table["Consequence"]) == {"coding_sequence_variant"}
    positives = (table["label"] == "1").sum()
    assert positives == 3
    assert (table["label"] == "0").sum() <= positives
    assert record["left_out"]["negative that no positive is matched with"] >= len(between)


def test_vcf_gzip_and_bcf_agree(maker, tmp_path):
    pysam = pytest.importorskip("pysam", reason="BCF needs bend_hf[build]")
    records = [maker.snv("c1", 700 + 3 * i, BAD if i % 3 else GOOD) for i in range(50)]
    head = HEAD.replace(
        "#CHROM",
        "##contig=<ID=c1,length=8000>\n"
        + "".join(f'##INFO=<ID={name},Number=1,Type=String,Description="x">\n' for name in ("CLNSIG", "AF", "X"))
        + "#CHROM",
    )
    plain, _ = maker.make(records, head=head)
    packed = tmp_path / "v.vcf.gz"
    packed.write_bytes(gzip.compress((tmp_path / "v.vcf").read_bytes()))
    bcf = tmp_path / "v.bcf"
    with (
        pysam.VariantFile(str(tmp_path / "v.vcf")) as source,
        pysam.VariantFile(str(bcf), "wb", header=source.header) as target,
    ):
        for record in source:
            target.write(record)
    for number, path in enumerate((packed, bcf)):
        folder = build.variants(path, maker.fasta, tmp_path / f"n{number}", build="toy", labels=build.CLINVAR)
        assert (folder / f"n{number}.bed").read_bytes() == (tmp_path / "t" / "t.bed").read_bytes()
    assert len(plain) == 50
    bcf.write_bytes(bcf.read_bytes()[:-40])
    with pytest.raises(BendError, match=r"v\.bcf is (a damaged BCF|truncated)"):
        build.variants(bcf, maker.fasta, tmp_path / "x", build="toy", labels=build.CLINVAR)


def test_another_build_is_refused(maker):
    good = [maker.snv("c1", 700 + i, GOOD) for i in range(40)]
    wrong = [record.replace("\tA\tC\t", "\tT\tC\t").replace("\tG\tT\t", "\tA\tT\t") for record in good]
    with pytest.raises(
        BendError, match=r"of 40 reference alleles \(\d+\.\d%\) differ .*line \d+ c1:7\d\d REF .*another genome build"
    ):
        maker.make(wrong)
    one = [
        *good,
        maker.snv("c1", 800, BAD).replace(f"\t{maker.base('c1', 800)}\t", f"\t{OTHER[OTHER[maker.base('c1', 800)]]}\t"),
    ]
    with pytest.raises(BendError, match=r"1 of 41 reference alleles \(2\.4%\).*line 43 c1:801 .*remove or mend"):
        maker.make(one)
    head = HEAD.replace("#CHROM", "##contig=<ID=chrc1,length=8001>\n#CHROM").replace("chrc1", "c1")
    with pytest.raises(BendError, match=r"its header says that c1 has 8,001 bp, but .* 8,000"):
        maker.make(good, head=head)


def test_a_header_of_a_known_build_is_named(tmp_path):
    path = fasta_file(tmp_path / "g.fa", {"chr1": "ACGT" * 50})
    vcf = tmp_path / "v.vcf"
    vcf.write_text(
        HEAD.replace("#CHROM", "##contig=<ID=chr1,length=249250621>\n#CHROM") + "chr1\t1\t.\tA\tC\t.\t.\tX\n"
    )
    with pytest.raises(BendError, match=r"chr1 has 249,250,621 bp, as in GRCh37, but .* 200"):
        build.variants(vcf, path, tmp_path / "t", build="x", labels=build.CLINVAR)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("c1\t0\t.\tA\tC\t.\t.\tX\n", r"line 4, POS: '0' is before the chromosome's first base"),
        ("c1\t8001\t.\tA\tC\t.\t.\tX\n", r"line 4, .*'8001' lies beyond the chromosome's end: c1 has 8,000 bp"),
        ("c1\tx\t.\tA\tC\t.\t.\tX\n", r"line 4, POS: 'x' is not a whole number"),
        ("c1\t9\t.\tA!\tC\t.\t.\tX\n", r"line 4, REF: 'A!' is no DNA"),
        ("c1\t9\t.\tA\tC;T\t.\t.\tX\n", r"line 4, ALT: .* has 'C;T', which is no allele"),
        ("c9\t9\t.\tA\tC\t.\t.\tX\n", r"1 of 1 chromosome is not in .*c9"),
        ("c1\t9\t.\tA\n", r"line 4: 4 tab-separated fields, not 8"),
    ],
)
def test_malformed_records(maker, record, message):
    with pytest.raises(BendError, match=message):
        maker.make([maker.snv("c1", 700, GOOD), record])


def test_labels_that_cannot_be(maker):
    for wrong in (
        {},
        {"field": "X"},
        {"field": "X", "threshold": 1, "terms": {"a": 1}},
        {"threshold": 1.0},
        {"field": "X", "terms": {"a": 2}},
    ):
        with pytest.raises(BendError):
            build.Labels(**wrong)
    with pytest.raises(BendError, match="1 variant with an effect and 0 without"):
        maker.make([maker.snv("c1", 700, BAD)])
    with pytest.raises(BendError, match=r"no variant has a label by CLNSIG\. Left out: 1 × variant with CLNSIG absent"):
        maker.make([maker.snv("c1", 700, "X")], name="u")
    with pytest.raises(BendError, match="is no VCF"):
        maker.make([maker.snv("c1", 700, BAD)], name="v", head="")


def test_the_audit_says_which_genes_hold_both_labels(maker, tmp_path):
    annotation = gtf(tmp_path / "a.gtf", [A, B, C])
    # A (100-520 of c1) holds three, of both labels; B (1000-1500) two of one; C (300-700 of c2) two of the other;
    # one stands before A's first base and one behind its last.
    places = [("c1", 100, BAD), ("c1", 300, GOOD), ("c1", 519, GOOD), ("c1", 99, BAD), ("c1", 520, GOOD)]
    places += [("c1", 1100, GOOD), ("c1", 1499, GOOD), ("c2", 400, BAD), ("c2", 450, BAD)]
    _, record = maker.make([maker.snv(*place) for place in places], name="shared", annotation=annotation)
    found = json.loads((tmp_path / "shared" / "audit.json").read_text())
    assert found["genes"] == {"variants": 3, "of": 9, "share": 3 / 9, "genes": 1, "of_genes": 3}
    assert (
        "33.3% of the variants (3) lie in a gene that also holds one of the other label (1 of 3 genes)" in found["text"]
    )
    assert record["left_out"] == {}
