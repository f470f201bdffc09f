"""Gene-finding tasks: labels known by hand, dialects that agree, and every reason to leave a transcript out."""

import dataclasses
import gzip
import json

import h5py
import numpy as np
import pandas as pd
import pytest
from made_up import COMPLEMENT, A, B, C, Gene, fasta, genome, gff3, gtf, sequence

from bend_hf import build
from bend_hf.build.nucleotides import classes
from bend_hf.build.splits import Split
from bend_hf.errors import BendError

LENGTHS = {"c1": 3000, "c2": 1500}
NONE = Split("none")


def rows(folder):
    table = pd.read_csv(folder / f"{folder.name}.bed", sep="\t", dtype={"transcript_id": str})
    with h5py.File(folder / f"{folder.name}.hdf5") as opened:
        return table.assign(labels=[values.astype(int) for values in opened["labels"]])


def make(tmp_path, annotation, genes=(A, B, C), name="task", **options):
    fa = tmp_path / "genome.fa"
    if not fa.exists():
        genome(fa, list(genes), LENGTHS)
    options = {"build": "toy", "flanks": 20, "flank_left": 7, "split": NONE} | options
    return build.genes(annotation, fa, tmp_path / name, **options)


def runs(labels):
    edges = np.flatnonzero(np.diff(labels)) + 1
    return [(int(part[0]), len(part)) for part in np.split(labels, edges)]


def test_labels_are_those_written_by_hand(tmp_path):
    found = rows(make(tmp_path, gtf(tmp_path / "a.gtf", [A, B, C])))
    a, b, c = found.itertuples()
    assert (a.chromosome, a.start, a.end, a.strand, a.flank_left, a.flank_right) == ("c1", 93, 533, "+", 7, 13)
    assert runs(a.labels) == [(8, 137), (0, 90), (1, 1), (2, 78), (3, 1), (0, 60), (8, 73)]
    assert (b.start, b.end) == (993, 1513)
    # On the forward strand a reverse gene's intron begins with its acceptor and ends with its donor.
    assert runs(b.labels) == [
        (8, 57), (4, 60), (7, 1), (6, 88), (5, 1), (4, 61), (7, 1), (6, 67), (5, 1), (4, 59), (8, 124),
    ]  # fmt: skip
    assert runs(c.labels) == [(8, 37), (0, 300), (8, 83)]
    assert list(found["length"]) == [len(each) for each in found.labels]


def test_both_formats_say_the_same_with_the_stop_codon_inside_or_outside(tmp_path):
    by_gtf = rows(make(tmp_path, gtf(tmp_path / "a.gtf", [A, B, C]), name="one"))
    by_gff3 = rows(make(tmp_path, gff3(tmp_path / "a.gff3", [A, B, C]), name="two"))
    bare = tmp_path / "bare.gtf"  # no transcript and no stop codon lines: the genome tells where the stop codon is
    text = (tmp_path / "a.gtf").read_text().splitlines(keepends=True)
    bare.write_text("".join(line for line in text if "\ttranscript\t" not in line and "\tstop_codon\t" not in line))
    by_bare = rows(make(tmp_path, bare, name="three"))
    for other in (by_gff3, by_bare):
        assert [list(each) for each in other.labels] == [list(each) for each in by_gtf.labels]
        columns = ["chromosome", "start", "end", "strand", "transcript_id"]
        assert other[columns].equals(by_gtf[columns])


def test_order_of_lines_and_compression_change_nothing(tmp_path):
    plain = gtf(tmp_path / "a.gtf", [A, B, C])
    lines = plain.read_text().splitlines(keepends=True)
    shuffled = [lines[i] for i in np.random.default_rng(3).permutation(len(lines))]
    packed = tmp_path / "b.gtf.gz"
    packed.write_bytes(gzip.compress("".join(shuffled + shuffled[:4]).encode()))
    one, two = make(tmp_path, plain, name="one"), make(tmp_path, packed, name="two")
    assert (one / "one.bed").read_bytes() == (two / "two.bed").read_bytes()
    record = json.loads((two / "sources.json").read_text())
    assert record["seen_and_kept"]["duplicated feature lines, read once"] > 0


def test_the_reverse_complement_of_a_gene_has_mirrored_labels():
    starts, ends, length = np.array([3, 20, 31]), np.array([9, 25, 40]), 50
    forward = classes(starts, ends, length, minus=False)
    mirrored = classes(length - ends[::-1], length - starts[::-1], length, minus=True)
    assert (np.where(forward < 8, forward + 4, 8) == mirrored[::-1]).all()


def test_adjacent_coding_parts_are_one_exon():
    assert runs(classes(np.array([2, 5]), np.array([5, 8]), 10, minus=False)) == [(8, 2), (0, 6), (8, 2)]


def left_out(tmp_path, gene, keep=C, **options):
    """Build from a broken gene and a whole one; return why the broken one was left out."""
    folder = make(tmp_path, gtf(tmp_path / "a.gtf", [gene, keep]), genes=[A, keep], **options)
    assert list(rows(folder).transcript_id) == [f"{keep.name}.1"]
    return json.loads((folder / "sources.json").read_text())["left_out"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tags": ("cds_end_NF",)}, "transcripts: coding sequence marked as incomplete"),
        ({"tags": ("readthrough_transcript",)}, "transcripts: read-through"),
        ({"exons": ((100, 150), (200, 300), (400, 520))}, "transcripts: coding sequence outside its exons"),
        ({"cds": ((230, 319), (400, 460))}, "transcripts: coding sequence is no multiple of three"),
        ({"cds": ((230, 320), (319, 399), (400, 460))}, "transcripts: coding parts overlap"),
        ({"cds": ((230, 320), (400, 463))}, "transcripts: coding sequence ends in no stop codon"),
        ({"cds": ((230, 320), (321, 324), (400, 460))}, "transcripts: an intron of one base"),
    ],
)
def test_a_transcript_that_is_not_whole_is_left_out_and_counted(tmp_path, change, reason):
    assert left_out(
        tmp_path, dataclasses.replace(A, exons=change.pop("exons", ((100, 150), (200, 520))), **change)
    ) == {reason: 1}


def test_phases_that_do_not_sum_and_other_strands(tmp_path):
    path = gtf(tmp_path / "x.gtf", [A, C])
    wrong = tmp_path / "phase.gtf"
    line = next(each for each in path.read_text().splitlines() if "\tCDS\t401\t" in each)
    wrong.write_text(path.read_text().replace(line, line.replace("\t+\t0\t", "\t+\t1\t")))
    folder = make(tmp_path, wrong, genes=[A, C], name="phase")
    assert json.loads((folder / "sources.json").read_text())["left_out"] == {"transcripts: phases do not sum": 1}
    wrong.write_text(path.read_text().replace(line, line.replace("\t+\t0\t", "\t-\t0\t")))
    folder = make(tmp_path, wrong, name="strand")
    assert "transcripts: on several chromosomes or strands (trans-spliced)" in (folder / "sources.json").read_text()


def test_one_transcript_per_gene_by_rule(tmp_path):
    short = dataclasses.replace(A, cds=((230, 320), (400, 460)), tags=("MANE_Select",))
    text = gtf(tmp_path / "one.gtf", [short, C]).read_text()
    longer = Gene("L", "c1", "+", A.exons, ((230, 320), (400, 460)))
    # The same coding end, with a longer 3' part of the first coding exon.
    longer = dataclasses.replace(longer, exons=((100, 150), (200, 323), (400, 520)), cds=((230, 323), (400, 460)))
    other = gtf(tmp_path / "two.gtf", [longer]).read_text().replace('gene_id "L"', 'gene_id "A"')
    both = tmp_path / "both.gtf"
    both.write_text(text + other)
    chosen = {}
    for rule in ("canonical", "longest"):
        chosen[rule] = list(rows(make(tmp_path, both, genes=[A, C], name=rule, transcripts=rule)).transcript_id)
    assert chosen == {"canonical": ["A.1", "C.1"], "longest": ["L.1", "C.1"]}


def test_flanks_are_drawn_by_seed_and_bounds_are_kept(tmp_path):
    path = gtf(tmp_path / "a.gtf", [A, B, C])
    one = rows(make(tmp_path, path, name="one", flank_left=None, flanks=90, seed=5))
    two = rows(make(tmp_path, path, name="two", flank_left=None, flanks=90, seed=6))
    assert (one.flank_left + one.flank_right == 90).all()
    assert (one.end - one.start == np.array([420, 500, 400]) + 90).all()
    assert list(one.flank_left) != list(two.flank_left)
    folder = make(tmp_path, path, name="three", max_length=450)
    assert list(rows(folder).transcript_id) == ["A.1", "C.1"]


def test_genes_that_overlap_are_kept_or_dropped_by_rule(tmp_path):
    inner = Gene("I", "c1", "-", ((330, 395),), ((335, 392),))
    path = gtf(tmp_path / "a.gtf", [A, inner, C])
    for rule, wanted in (("keep", ["A.1", "I.1", "C.1"]), ("drop", ["C.1"])):
        folder = make(tmp_path, path, genes=[A, inner, C], name=rule, overlapping=rule)
        assert list(rows(folder).transcript_id) == wanted
        record = json.loads((folder / "sources.json").read_text())
        counted = record["left_out" if rule == "drop" else "seen_and_kept"]
        assert counted["window holds coding sequence of another gene"] == 2


def test_an_annotation_of_another_build_is_refused(tmp_path):
    path = gtf(tmp_path / "a.gtf", [A, B, C])
    fasta(tmp_path / "genome.fa", {"c1": "ACGTTGCA" * 400, "c2": "ACGTTGCA" * 300})
    with pytest.raises(BendError, match=r"only 0 of 3 coding sequences end in a stop codon .* another build"):
        make(tmp_path, path)
    fasta(tmp_path / "genome.fa", {"c1": "A" * 600, "c2": "A" * 900})
    (tmp_path / "genome.fa.fai").unlink()
    with pytest.raises(BendError, match=r"1 transcript ends beyond its chromosome .*B\.1 at 1,500, c1 has 600 bp"):
        make(tmp_path, path)
    assert not (tmp_path / "task").exists()


def test_chromosomes_under_other_names_need_a_report(tmp_path):
    path = gtf(tmp_path / "a.gtf", [A, B, C])
    renamed = tmp_path / "renamed.gtf"
    renamed.write_text(path.read_text().replace("c1\t", "NC_1.1\t").replace("c2\t", "NC_2.1\t"))
    with pytest.raises(BendError, match=r"2 of 2 chromosomes are not in .*NC_1\.1.*--aliases"):
        make(tmp_path, renamed)
    report = tmp_path / "assembly_report.txt"
    report.write_text(
        "# Sequence-Name\tSequence-Role\tGenBank-Accn\tRefSeq-Accn\tUCSC-style-name\n"
        "1\tassembled-molecule\tCM1.1\tNC_1.1\tc1\n2\tassembled-molecule\tna\tNC_2.1\tc2\n"
    )
    one, two = make(tmp_path, path, name="one"), make(tmp_path, renamed, name="two", aliases=report)
    assert (one / "one.bed").read_bytes() == (two / "two.bed").read_bytes()


def test_two_builds_are_byte_equal_and_an_error_leaves_nothing(tmp_path):
    path = gtf(tmp_path / "a.gtf", [A, B, C])
    folders = []
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
        folders.append(make(tmp_path, path, name=f"{place}/task", command="bend-hf build genes"))
    names = sorted(each.name for each in folders[0].iterdir())
    assert names == ["README.md", "audit.json", "sources.json", "task.bed", "task.hdf5", "task.json"]
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    with pytest.raises(BendError, match="exists"):
        make(tmp_path, path, name="x/task")
    with pytest.raises(BendError, match="No window is left"):
        make(tmp_path, path, name="z", max_length=10)
    assert not [each for each in tmp_path.iterdir() if each.name.startswith((".z", "z"))]


def test_coding_sequence_of_the_windows_translates(tmp_path):
    """Read back through the genome: classes 0 and 4 spell an open reading frame that begins with ATG."""
    found = rows(make(tmp_path, gff3(tmp_path / "a.gff3", [A, B, C])))
    texts = {c: sequence(n, [g for g in (A, B, C) if g.chromosome == c]) for c, n in LENGTHS.items()}
    for row in found.itertuples():
        window = np.array(list(texts[row.chromosome][row.start : row.end]))
        coding = "".join(window[np.isin(row.labels, (0, 4))])
        coding = coding if row.strand == "+" else coding.translate(COMPLEMENT)[::-1]
        assert coding.startswith("ATG")
        assert len(coding) % 3 == 0
