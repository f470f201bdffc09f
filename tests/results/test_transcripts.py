"""Exons, introns and transcripts in labels by nucleotide: right answers by hand, the annotation of the real slice."""

import dataclasses
import gzip
from collections import defaultdict
from itertools import pairwise

import h5py
import numpy as np
import pytest
from result_factory import simulate

from bend_hf.results.predictions import make_predictions
from bend_hf.results.summary import summary
from bend_hf.results.transcripts import chains, has_genes, structures
from bend_hf.tasks import TASKS

TASK = TASKS["gene_finding"]


def classes(*runs):
    return np.repeat([label for label, _ in runs], [n for _, n in runs])


FORWARD = classes((8, 3), (0, 4), (1, 1), (2, 5), (3, 1), (0, 2), (8, 4))
REVERSE = classes((8, 2), (4, 3), (7, 1), (6, 2), (5, 1), (4, 6), (8, 1), (4, 2))


def read(*windows):
    found = chains(np.concatenate(windows), np.concatenate([[0], np.cumsum([len(window) for window in windows])]))
    return list(zip(found.start, found.end, found.row, found.reverse, found.transcript, strict=True))


def predictions(true, called, chromosomes=None):
    names = chromosomes or [f"chr{i}" for i in range(len(true))]
    start = np.arange(len(true)) * 5000
    keys = {"chromosome": names, "start": start, "end": start + [len(each) for each in true]}
    keys |= {"strand": ["+"] * len(true), "transcript_id": [f"t{i}" for i in range(len(true))]}
    return make_predictions(TASK, keys, [np.eye(9)[each] for each in called], true)


def test_exons_are_joined_by_introns_on_both_strands():
    assert read(FORWARD, REVERSE) == [
        (3, 7, 0, False, 0),
        (14, 16, 0, False, 0),
        (22, 25, 1, True, 1),
        (29, 35, 1, True, 1),
        (36, 38, 1, True, 2),
    ]


def test_an_intron_needs_an_exon_at_both_ends_and_a_window_of_its_own():
    dangling = classes((2, 3), (0, 2), (1, 1), (8, 1), (3, 1), (0, 2), (2, 2))
    assert [exon[-1] for exon in read(dangling)] == [0, 1]
    assert [exon[-1] for exon in read(classes((0, 2), (2, 2)), classes((2, 2), (0, 2)))] == [0, 1]
    assert [exon[-1] for exon in read(classes((0, 2), (6, 2), (0, 2)))] == [0, 1], "introns of the other strand"
    assert read(classes((8, 5))) == read(np.empty(0, int)) == []


def test_a_call_without_donor_and_acceptor_is_an_intron_all_the_same():
    assert [exon[-1] for exon in read(classes((0, 2), (2, 7), (0, 2)))] == [0, 0]


def test_only_what_is_exactly_right_counts():
    shifted = classes((8, 3), (0, 4), (1, 1), (2, 5), (3, 1), (0, 3), (8, 3))  # the last exon is one too long
    found = structures(predictions([FORWARD, REVERSE], [shifted, REVERSE]))
    assert {name: found["exon"][name] for name in ("true", "called", "matched")} == {
        "true": 5,
        "called": 5,
        "matched": 4,
    }
    assert [found["intron_chain"][name] for name in ("true", "called", "matched")] == [2, 2, 2]
    assert [found["transcript"][name] for name in ("true", "called", "matched")] == [3, 3, 2]
    assert found["exon"]["f1"] == pytest.approx(0.8)
    missed = classes((8, 3), (0, 4), (8, 13))  # the first exon alone: a right exon, and a wrong transcript
    found = structures(predictions([FORWARD], [missed]))
    assert [found["exon"][name] for name in ("precision", "recall")] == [1.0, 0.5]
    assert found["exon"]["f1"] == pytest.approx(2 / 3)
    assert found["intron_chain"]["precision"] is None
    assert found["transcript"]["f1"] == 0.0
    other_strand = np.where(FORWARD < 4, FORWARD + 4, FORWARD)
    assert structures(predictions([FORWARD], [other_strand]))["exon"]["matched"] == 0
    more = np.concatenate([FORWARD, classes((0, 2))])  # one exon more, joined by nothing: the transcript stands
    true = np.concatenate([FORWARD, classes((8, 2))])
    assert structures(predictions([true], [more]))["transcript"]["matched"] == 1


def test_nothing_true_or_nothing_called_is_undefined():
    nothing = classes((8, 20))
    found = structures(predictions([nothing], [nothing]))["transcript"]
    assert found["precision"] is found["recall"] is found["f1"] is None
    found = structures(predictions([FORWARD], [nothing + FORWARD[:20] * 0]))["exon"]
    assert (found["precision"], found["recall"], found["f1"]) == (None, 0.0, 0.0)


def test_it_agrees_with_sets_of_exons_and_is_the_same_read_from_the_other_strand():
    rng = np.random.default_rng(0)

    def random_window():
        return np.repeat(rng.integers(0, 9, 60), rng.integers(1, 4, 60))

    true = [random_window() for _ in range(30)]
    called = [np.where(rng.random(len(each)) < 0.03, 8, each) for each in true]
    found = structures(predictions(true, called), resamples=20)

    def exons(windows):
        chains_of = defaultdict(list)
        for start, end, row, reverse, transcript in read(*windows):
            chains_of[transcript].append((int(row), bool(reverse), int(start), int(end)))
        return list(map(tuple, chains_of.values()))

    a, b = exons(true), exons(called)
    matched = {
        "exon": len({exon for chain in a for exon in chain} & {exon for chain in b for exon in chain}),
        "transcript": len(set(a) & set(b)),
        "intron_chain": len(set(map(introns, a)) & set(map(introns, b)) - {()}),
    }
    assert {name: found[name]["matched"] for name in matched} == matched
    assert min(matched.values()) > 3
    other = np.array([4, 5, 6, 7, 0, 1, 2, 3, 8])
    turned = [[other[each][::-1] for each in windows] for windows in (true, called)]
    assert structures(predictions(*turned), resamples=20) == found


def introns(chain):
    return tuple((one[0], one[1], one[3], other[2]) for one, other in pairwise(chain))


def test_intervals_hold_the_value_and_need_clusters():
    found = structures(simulate("gene_finding", signal=2.0, rows=120, chromosomes=40))["exon"]
    assert found["precision_interval"][0] < found["precision"] < found["precision_interval"][1]
    few = structures(simulate("gene_finding", signal=2.0, rows=3, chromosomes=3))["exon"]
    assert few["precision_interval"] is None


def test_which_tasks_have_genes():
    assert [name for name, task in TASKS.items() if has_genes(task)] == ["gene_finding"]
    genes = TASKS["gene_finding"]
    renamed = dataclasses.replace(genes, label_names=(*genes.label_names[:-1], "elsewhere"))
    assert not has_genes(renamed)  # of the same kind, and of nine classes


def test_labels_of_the_real_slice_give_back_the_annotation(real_dir):
    """Read with h5py and from GENCODE's own table: every row is one transcript, whose exons are the CDS there."""
    with h5py.File(real_dir / "gene_finding" / "gene_finding.hdf5") as file:
        labels = [np.asarray(each).astype(int) for each in file["labels"]]
    lines = (real_dir / "gene_finding" / "gene_finding.bed").read_text().splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    wanted = coding_exons(real_dir)
    for row, label in zip(rows, labels, strict=True):
        found = chains(label, np.array([0, len(label)]))
        assert set(found.transcript) == {0}, row
        assert set(found.reverse) == {row[4] == "-"}
        start = found.start + int(row[1])
        assert [(int(a), int(b)) for a, b in zip(start, start + found.end - found.start, strict=True)] == wanted[row[3]]


def coding_exons(folder):
    """Transcript → its CDS in the slice, 0-based half-open, from the GTF (1-based, closed, without the stop codon)."""
    found = defaultdict(list)
    with gzip.open(folder / "goldens" / "primary" / "gencode.v33.basic.chr22.gtf.gz", "rt") as lines:
        for line in lines:
            fields = line.split("\t")
            if len(fields) == 9 and fields[2] == "CDS":
                name = fields[8].split('transcript_id "')[1].split('"')[0]
                found[name].append((int(fields[3]) - 1 - 37_200_000, int(fields[4]) - 37_200_000))
    return {name: sorted(exons) for name, exons in found.items()}


def test_a_summary_holds_the_structures_of_genes_and_of_nothing_else():
    genes, windows = simulate("gene_finding"), simulate("cpg_methylation")
    assert summary(genes, resamples=20)["secondary"]["genes"] == structures(genes, resamples=20)
    assert "genes" not in summary(windows, resamples=20)["secondary"]
