"""CpG tasks: every format gives the same rows, strands are added up, and positions are CpGs of the genome."""

import json

import numpy as np
import pandas as pd
import pytest
from made_up import fasta

from bend_hf import build
from bend_hf.build.splits import Split
from bend_hf.errors import BendError

NONE = Split("none")
CPGS = (300, 340, 700, 1000)


@pytest.fixture
def genome(tmp_path):
    letters = np.random.default_rng(0).choice(list("AT"), 2000)
    for at in CPGS:
        letters[at : at + 2] = list("CG")
    return fasta(tmp_path / "g.fa", {"c1": "".join(letters)})


def bed_methyl(path, rows):
    text = "".join(
        f"c1\t{start}\t{end}\tm\t0\t{strand}\t{start}\t{end}\t0\t{reads}\t{percent}\n"
        for start, end, strand, reads, percent in rows
    )
    path.write_text(text)
    return path


def make(tmp_path, genome, *tracks, name="t", **options):
    folder = build.methylation(list(tracks), genome, tmp_path / name, build="toy", **({"split": NONE} | options))
    table = pd.read_csv(folder / f"{name}.bed", sep="\t", dtype=str, keep_default_na=False)
    return {int(r.start) + 255: r.label for r in table.itertuples()}, folder


def test_strands_of_a_cpg_are_added_up(tmp_path, genome):
    # 300: 3 of 6 reads; 340: 2 + 1 of 4 + 5 reads; 700: too few reads; 1000: on the reverse strand alone.
    path = bed_methyl(
        tmp_path / "a.bed",
        [
            (300, 301, "+", 6, 50),
            (340, 341, "+", 4, 50),
            (341, 342, "-", 5, 20),
            (700, 701, "+", 4, 100),
            (1001, 1002, "-", 5, 100),
        ],
    )
    found, folder = make(tmp_path, genome, path)
    assert found == {300: "0", 340: "", 1000: "0"}
    assert make(tmp_path, genome, path, name="u", min_coverage=1)[0] == {300: "0", 340: "", 700: "0", 1000: "0"}
    task = json.loads((folder / "task.json").read_text())
    assert task["window"] == 512


def test_a_track_of_single_reads_has_reads_all_the_same(tmp_path, genome):
    """As of single cells: the fewest reads that are asked for hold for it too."""
    path = bed_methyl(tmp_path / "a.bed", [(300, 301, "+", 1, 100), (340, 341, "+", 1, 0), (341, 342, "-", 1, 100)])
    assert make(tmp_path, genome, path, min_coverage=1)[0] == {300: "0", 340: "0"}
    assert make(tmp_path, genome, path, min_coverage=2, name="u")[0] == {340: "0"}
    with pytest.raises(BendError, match=r"no CpG has 3 reads \(--min-coverage\)"):
        make(tmp_path, genome, path, min_coverage=3, name="v")


def test_a_row_needs_every_track(tmp_path, genome):
    a = bed_methyl(tmp_path / "a.bed", [(p, p + 2, ".", 10, 100) for p in CPGS])
    b = bed_methyl(tmp_path / "b.bed", [(p, p + 2, ".", 10, percent) for p, percent in ((300, 0), (700, 80))])
    found, folder = make(tmp_path, genome, a, b)
    assert found == {300: "0", 700: "0,1"}
    record = json.loads((folder / "sources.json").read_text())
    assert record["left_out"] == {"CpG that not every track covers with 5 reads": 2}


def test_bedgraph_and_bigwig_agree(tmp_path, genome):
    pybigtools = pytest.importorskip("pybigtools", reason="bigWig needs bend_hf[build]")
    values = [("c1", p, p + 2, v) for p, v in zip(CPGS, (0.0, 49.5, 50.0, 100.0), strict=True)]
    graph = tmp_path / "a.bedGraph"
    graph.write_text("track type=bedGraph\n" + "".join("\t".join(map(str, each)) + "\n" for each in values))
    wig = tmp_path / "a.bw"
    writer = pybigtools.open(str(wig), "w")
    writer.write({"c1": 2000}, iter(values))
    wanted = {300: "", 340: "", 700: "0", 1000: "0"}
    assert make(tmp_path, genome, graph)[0] == make(tmp_path, genome, wig, name="u")[0] == wanted
    with pytest.raises(BendError, match=r"'49\.5' is no level from 0 to 1"):
        make(tmp_path, genome, graph, name="v", percent=False)
    wig.write_bytes(wig.read_bytes()[:100])
    with pytest.raises(BendError, match="damaged bigWig"):
        make(tmp_path, genome, wig, name="w")


def test_other_modifications_are_not_5mc(tmp_path, genome):
    path = bed_methyl(tmp_path / "a.bed", [(300, 301, "+", 10, 100)])
    path.write_text(path.read_text() + path.read_text().replace("\tm\t", "\th\t").replace("\t100\n", "\t0\n"))
    assert make(tmp_path, genome, path)[0] == {300: "0"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [(310, 311, "+", 9, 50), (400, 401, "+", 9, 50), (300, 301, "+", 9, 50)],
            r"2 of 3 positions are no CpG .*another",
        ),
        ([(300, 301, "+", 9, 50)] * 3, r"3 rows for the CpG at c1:300"),
        ([(300, 301, "+", 9, 150)], r"line 1, percent: '150' is no level from 0 to 100"),
        ([(300, 301, "+", -9, 50)], r"line 1, coverage: '-9' is negative"),
        ([(1999, 2001, "+", 9, 50)], r"line 1, end: '2001' lies beyond"),
    ],
)
def test_bad_rows(tmp_path, genome, rows, message):
    with pytest.raises(BendError, match=message):
        make(tmp_path, genome, bed_methyl(tmp_path / "a.bed", rows))


def test_windows_at_the_ends_and_the_draw(tmp_path, genome):
    path = bed_methyl(tmp_path / "a.bed", [(p, p + 2, ".", 10, 100) for p in CPGS])
    # The C is base 309 of 620, so that the window of the CpG at 300 would begin before the chromosome.
    found, folder = make(tmp_path, genome, path, name="wide", width=620)
    assert {start - 255 + 309 for start in found} == {340, 700, 1000}
    assert json.loads((folder / "sources.json").read_text())["left_out"] == {"window leaves the chromosome": 1}
    found, _ = make(tmp_path, genome, path, name="drawn", max_rows=2, seed=3)
    assert len(found) == 2
    assert found.keys() <= set(CPGS)
