"""`bend-hf build …`: thin around the functions, one message on bad input."""

import json

import pytest
from made_up import A, B, C, genome, gff3

from bend_hf.cli.parser import main


@pytest.fixture
def inputs(tmp_path):
    return gff3(tmp_path / "a.gff3", [A, B, C]), genome(tmp_path / "g.fa", [A, B, C], {"c1": 3000, "c2": 1500})


def test_genes(inputs, tmp_path, capsys):
    annotation, fasta = map(str, inputs)
    arguments = [
        "build",
        "genes",
        annotation,
        "--genome",
        fasta,
        "--build",
        "toy",
        "-o",
        str(tmp_path / "t"),
        "--flanks",
        "10",
    ]
    assert main([*arguments, "--split", "none", "--max-length", "450"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "t")
    assert "1 left out: window longer than max_length 450" in said.err
    record = json.loads((tmp_path / "t" / "sources.json").read_text())
    assert record["rows"] == {"train": 2, "validation": 0, "test": 0}
    assert record["left_out"] == {"window longer than max_length 450": 1}
    assert record["choices"]["flanks"] == 10
    assert record["sources"]["genome"]["file"] == "g.fa"
    assert main([*arguments, "--split", "none"]) == 1
    assert "exists" in capsys.readouterr().err


def test_variants(inputs, tmp_path):
    vcf = tmp_path / "v.vcf"
    text = "".join(inputs[1].read_text().split(">c1\n")[1].split("\n")[0])
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    records = (
        f"c1\t{at + 1}\t.\t{text[at]}\t{other[text[at]]}\t.\t.\tX={x}\n" for at, x in ((700, "bad"), (800, "ok"))
    )
    vcf.write_text("##fileformat=VCFv4.2\n" + "".join(records))
    arguments = ["build", "variants", str(vcf), "--genome", str(inputs[1]), "--build", "toy", "-o", str(tmp_path / "t")]
    assert main([*arguments, "--field", "X", "--positive", "bad", "--negative", "ok"]) == 0
    rows = [line.split("\t") for line in (tmp_path / "t" / "t.bed").read_text().splitlines()]
    assert [(row[1], row[6]) for row in rows[1:]] == [("700", "1"), ("800", "0")]


def test_enhancers(inputs, tmp_path):
    links = tmp_path / "links.tsv"
    links.write_text("chromosome\tstart\tend\tgene\nc1\t60\t70\tA\n")
    arguments = ["--tss", str(inputs[0]), "--genome", str(inputs[1]), "--build", "toy", "-o", str(tmp_path / "t")]
    assert (
        main(
            [
                "build",
                "enhancers",
                "--links",
                str(links),
                *arguments,
                "--bins",
                "10",
                "--bin-size",
                "10",
                "--split",
                "none",
            ]
        )
        == 0
    )
    assert (tmp_path / "t" / "t.bed").read_text().splitlines()[1].split("\t")[:4] == ["c1", "50", "150", "A"]


def test_tracks_are_all_named_or_none(inputs, tmp_path, capsys):
    peaks = tmp_path / "p.bed"
    peaks.write_text("c1\t700\t800\n")
    arguments = ["--genome", str(inputs[1]), "--build", "toy", "-o", str(tmp_path / "t"), "--split", "none"]
    assert main(["build", "peaks", f"x={peaks}", str(peaks), *arguments]) == 1
    assert "Name every track" in capsys.readouterr().err
    assert main(["build", "peaks", f"x={peaks}", *arguments]) == 0
    assert json.loads((tmp_path / "t" / "task.json").read_text())["label_names"] == ["x"]
