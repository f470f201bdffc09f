"""Enhancer tasks: windows, bins and precedence by hand."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from made_up import A, B, C, fasta, gtf

from bend_hf import build
from bend_hf.build.splits import Split
from bend_hf.errors import BendError

ABC = "chr\tstart\tend\tTargetGene\tABC.Score\tisSelfPromoter\n"
CRISPRI = "chrom\tchromStart\tchromEnd\tmeasuredGeneSymbol\tRegulated\n"


@pytest.fixture
def inputs(tmp_path):
    genome = fasta(tmp_path / "g.fa", {"c1": "A" * 20_000, "c2": "A" * 20_000})
    tss = tmp_path / "tss.tsv"
    tss.write_text("chromosome\ttss\tgene\nc1\t5000\tX\nc1\t12000\tY\nc2\t5000\tZ\nc2\t100\tEDGE\nc2\t9000\tNONE\n")
    return genome, tss


def make(tmp_path, inputs, *links, name="t", **options):
    paths = []
    for number, text in enumerate(links):
        paths.append(tmp_path / f"links{number}")
        paths[-1].write_text(text)
    genome, tss = inputs
    options = {"bins": 10, "bin_size": 100, "split": Split("none")} | options
    folder = build.enhancers(paths, tss, genome, tmp_path / name, build="toy", **options)
    table = pd.read_csv(folder / f"{name}.bed", sep="\t", dtype=str, keep_default_na=False)
    with h5py.File(folder / f"{name}.hdf5") as opened:
        labels = opened["labels"][:]
    return {g: np.flatnonzero(row).tolist() for g, row in zip(table["gene"], labels, strict=True)}, table, folder


def test_a_bin_is_on_if_one_base_is_in_an_element(tmp_path, inputs):
    text = ABC + (
        "c1\t4600\t4700\tX\t0.5\tFalse\n"  # exactly bin 1 of 4500–5500
        "c1\t4999\t5001\tX\t0.5\tFalse\n"  # one base of bin 4 and one of bin 5
        "c1\t4000\t4501\tX\t0.5\tFalse\n"  # one base of bin 0
        "c1\t12000\t12100\tX\t0.5\tFalse\n"  # X's, but in Y's window
        "c1\t5100\t5200\tX\t0.9\tTrue\n"  # its own promoter
        "c1\t12400\t12401\tY\t0.02\tFalse\n"  # too weak
        "c1\t12450\t19999\tY\t0.03\tFalse\n"  # reaches beyond the window
        "c1\t12450\t12500\tZ\t0.03\tFalse\n"  # on another chromosome than its gene
        "c2\t10\t60\tEDGE\t0.9\tFalse\n"
        "c2\t10\t60\tLOST\t0.9\tFalse\n"
    )
    found, table, folder = make(tmp_path, inputs, text, min_score=0.027)
    assert found == {"X": [0, 1, 4, 5], "Y": [9]}
    assert table[["chromosome", "start", "end", "score", "strand"]].to_numpy().tolist() == [
        ["c1", "4500", "5500", "", "."],
        ["c1", "11500", "12500", "", "."],
    ]
    record = json.loads((folder / "sources.json").read_text())
    assert record["left_out"] == {
        "link: the gene's own promoter": 1,
        "link: score below 0.027": 1,
        "link: the gene is on another chromosome": 1,
        "link: its gene has no start site": 1,
        "gene: its window leaves the chromosome": 1,
    }
    assert json.loads((folder / "task.json").read_text())["recipe"]["positive_weight"] == 3.0  # 15 bins of 20 to 5


def test_measurements_come_before_predictions(tmp_path, inputs):
    measured = CRISPRI + "c1\t4600\t4650\tX\tTRUE\nc1\t4700\t4750\tX\tFALSE\nc1\t11600\t11650\tY\tFALSE\n"
    predicted = ABC + "c1\t5400\t5450\tX\t0.5\tFalse\nc1\t11700\t11750\tY\t0.5\tFalse\n"
    assert make(tmp_path, inputs, measured, predicted)[0] == {"X": [1], "Y": [2]}


def test_plain_tables_and_bedpe_agree(tmp_path, inputs):
    plain = "chromosome\tstart\tend\tgene\nc1\t4600\t4650\tX\nc2\t5010\t5020\tZ\n"
    bedpe = "c1\t4600\t4650\tc1\t4990\t5010\tn\t1\t.\t.\nc2\t5010\t5020\tc2\t5000\t5001\tn\t1\t.\t.\n"
    assert make(tmp_path, inputs, plain)[0] == make(tmp_path, inputs, bedpe, name="u")[0] == {"X": [1], "Z": [5]}


def test_starts_come_from_an_annotation_too(tmp_path):
    genome = fasta(tmp_path / "g.fa", {"c1": "A" * 20_000, "c2": "A" * 20_000})
    annotation = gtf(tmp_path / "a.gtf", [A, B, C])
    text = "chromosome\tstart\tend\tgene\nc1\t60\t70\tA\nc1\t1499\t1500\tB\nc2\t260\t270\tC\n"
    found, table, _ = make(tmp_path, (genome, annotation), text, bin_size=10)
    # A starts at 100, C at 300; B, on the reverse strand, at its last base 1499.
    assert dict(zip(table["gene"], table["start"].astype(int) + 50, strict=True)) == {"A": 100, "B": 1499, "C": 300}
    assert found == {"A": [1], "B": [5], "C": [1]}


def test_folds_are_parts_of_neighbours_that_share_no_base(tmp_path):
    genome = fasta(tmp_path / "g.fa", {"c1": "A" * 100_000})
    tss = tmp_path / "tss.tsv"
    tss.write_text("chromosome\ttss\tgene\n" + "".join(f"c1\t{700 + 900 * i}\tG{i}\n" for i in range(100)))
    links = "chromosome\tstart\tend\tgene\n" + "".join(
        f"c1\t{690 + 900 * i}\t{700 + 900 * i}\tG{i}\n" for i in range(100)
    )
    _, table, folder = make(tmp_path, (genome, tss), links, split=None)
    parts = table["split"].to_list()
    assert len(set(parts)) == 10
    ends = table.groupby("split")[["start", "end"]].agg(
        {"start": lambda s: s.astype(int).min(), "end": lambda s: s.astype(int).max()}
    )
    ends = ends.sort_values("start")
    assert (ends["start"].to_numpy()[1:] >= ends["end"].to_numpy()[:-1]).all()
    record = json.loads((folder / "sources.json").read_text())
    assert sum(record["rows"].values()) + sum(record["left_out"].values()) == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n1\t2\n", "is no table of links"),
        (CRISPRI + "c1\t1\t2\tX\tmaybe\n", "line 2, Regulated: 'maybe' is neither True nor False"),
        (ABC + "c1\t9\t2\tX\t1\tFalse\n", "line 2, end: '2' is no end of an interval that starts at 9"),
        (ABC + "c1\t1\t2\tQ\t1\tFalse\n", "No linked gene has a start site"),
        (ABC + "c7\t1\t2\tX\t1\tFalse\n", "1 of 1 chromosome is not in"),
        (ABC, "has a header but no rows"),
    ],
)
def test_bad_tables(tmp_path, inputs, text, message):
    with pytest.raises(BendError, match=message):
        make(tmp_path, inputs, text)
