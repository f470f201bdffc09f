"""Dialects of GTF and GFF3 that people have, and text that is neither."""

import numpy as np
import pytest

from bend_hf.build.located import read_aliases
from bend_hf.build.readers.annotation import read_annotation
from bend_hf.errors import BendError


def write(tmp_path, rows, name="a.gff3"):
    path = tmp_path / name
    path.write_text("".join("\t".join(row.split(maxsplit=8)) + "\n" for row in rows))
    return path


def parts(found, kind="cds"):
    table = getattr(found, kind)
    names = np.array(found.transcripts["transcript_id"].to_pylist())
    return sorted(zip(names[table.transcript].tolist(), table.start.tolist(), table.end.tolist(), strict=True))


def column(found, name):
    return dict(zip(found.transcripts["transcript_id"].to_pylist(), found.transcripts[name].to_pylist(), strict=True))


def test_ensembl_gff3(tmp_path):
    path = write(
        tmp_path,
        [
            "1 e gene 11 99 . + . ID=gene:G1;Name=ABC;biotype=protein_coding",
            "1 e mRNA 11 99 . + . ID=transcript:T1;Parent=gene:G1;biotype=protein_coding;tag=basic,Ensembl_canonical",
            "1 e exon 11 99 . + . Parent=transcript:T1;Name=E1",
            "1 e CDS 21 80 . + 0 ID=CDS:P1;Parent=transcript:T1",
        ],
    )
    found = read_annotation(path)
    assert found.format == "GFF3"
    assert parts(found) == [("T1", 20, 80)]
    assert column(found, "gene_id") == {"T1": "G1"}
    assert column(found, "gene_name") == {"T1": "ABC"}
    assert column(found, "biotype") == {"T1": "protein_coding"}
    assert column(found, "canonical") == {"T1": True}


def test_refseq_gff3(tmp_path):
    path = write(
        tmp_path,
        [
            "NC_1 r gene 1 300 . - . ID=gene-X;Name=X",
            "NC_1 r mRNA 1 300 . - . ID=rna-NM_1.2;Parent=gene-X;transcript_id=NM_1.2;tag=MANE Select",
            "NC_1 r exon 1 300 . - . ID=exon-1;Parent=rna-NM_1.2",
            "NC_1 r CDS 10 60 . - 0 ID=cds-NP_1;Parent=rna-NM_1.2;exception=ribosomal slippage",
            "NC_1 r gene 400 500 . + . ID=gene-M;partial=true",
            "NC_1 r CDS 400 450 . + 0 ID=cds-M;Parent=gene-M",
        ],
    )
    found = read_annotation(path)
    assert column(found, "mane") == {"NM_1.2": True, "gene-M": False}
    assert column(found, "exceptional") == {"NM_1.2": True, "gene-M": False}
    assert column(found, "incomplete") == {"NM_1.2": False, "gene-M": True}
    assert column(found, "gene_id") == {"NM_1.2": "gene-X", "gene-M": "gene-M"}


def test_an_exon_of_two_transcripts_belongs_to_both_and_a_protein_is_no_transcript(tmp_path):
    path = write(
        tmp_path,
        [
            "Chr1 T gene 1 99 . + . ID=AT1;Name=AT1",
            "Chr1 T mRNA 1 99 . + . ID=AT1.1;Parent=AT1",
            "Chr1 T mRNA 1 99 . + . ID=AT1.2;Parent=AT1",
            "Chr1 T protein 5 50 . + . ID=AT1.1-P;Derives_from=AT1.1",
            "Chr1 T exon 1 99 . + . Parent=AT1.1,AT1.2",
            "Chr1 T CDS 5 50 . + 0 Parent=AT1.1,AT1.1-P",
        ],
    )
    found = read_annotation(path)
    assert parts(found) == [("AT1.1", 4, 50)]
    assert parts(found, "exons") == [("AT1.1", 0, 99), ("AT1.2", 0, 99)]


def test_names_are_decoded_and_parents_may_be_missing(tmp_path):
    found = read_annotation(
        write(tmp_path, ["c x CDS 5 50 . + 0 ID=a%2Cb%3Bc;Note=x", "c x CDS 60 70 . + . Parent=lost"])
    )
    assert parts(found) == [("a,b;c", 4, 50), ("lost", 59, 70)]
    assert column(found, "gene_id") == {"a,b;c": "a,b;c", "lost": "lost"}


def test_gtf_without_quotes_or_transcript_lines(tmp_path):
    path = write(
        tmp_path,
        ["c a CDS 5 50 . + 0 transcript_id g1.t1; gene_id g1;", "c a exon 1 60 . + . gene_id g1; transcript_id g1.t1"],
    )
    found = read_annotation(path)
    assert found.format == "GTF"
    assert parts(found) == [("g1.t1", 4, 50)]
    assert column(found, "gene_id") == {"g1.t1": "g1"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c a CDS 0 50 . + 0 gene_id g; transcript_id t;", r"line 2, start: '0' is no 1-based coordinate"),
        ("c a CDS 50 5 . + 0 gene_id g; transcript_id t;", r"line 2, end: '5' is before start 50"),
        ("c a CDS 5 x . + 0 gene_id g; transcript_id t;", r"line 2, end: 'x' is not a whole number"),
        ("c a CDS 5 50 . . 0 gene_id g; transcript_id t;", r"line 2, strand: '\.' is no strand"),
        ("c a CDS 5 50 . + 0 gene_id g;", r"line 2, attributes: .* names no transcript"),
        ("c a CDS 5 50 . +", r"line 2: 7 tab-separated fields, not 9"),
    ],
)
def test_malformed_lines(tmp_path, row, message):
    path = write(tmp_path, ["c a exon 1 60 . + . gene_id g; transcript_id t;", row], "a.gtf")
    with pytest.raises(BendError, match=message):
        read_annotation(path)


def test_files_that_are_no_annotation(tmp_path):
    with pytest.raises(BendError, match=r"neither GTF .* nor GFF3"):
        read_annotation(write(tmp_path, ["c a CDS 5 50 . + 0 something"]))
    with pytest.raises(BendError, match="no CDS or exon lines"):
        read_annotation(write(tmp_path, ["c a region 5 50 . + . ID=x"]))
    with pytest.raises(BendError, match="no CDS lines"):
        read_annotation(write(tmp_path, ["c a exon 5 50 . + . ID=x;Parent=y"]))
    with pytest.raises(BendError, match="has no features"):
        read_annotation(write(tmp_path, []))


def test_a_name_of_two_chromosomes_is_no_alias(tmp_path):
    path = tmp_path / "names.tsv"
    path.write_text("chr1\t1\nchr2\t2\t1\n")
    with pytest.raises(BendError, match=r"line 2: '1' stands for both 'chr1' and 'chr2'"):
        read_aliases(path, ("chr1", "chr2"))
