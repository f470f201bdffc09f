"""What is planted in the toy genome is there, and can be learnt; with shuffled labels it cannot."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score
from test_toy_files import genome_of, read_bed

from bend_hf.data import toy
from bend_hf.data import toy_biology as biology
from bend_hf.tasks import TASKS

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def reverse_complement(text: str) -> str:
    return text[::-1].translate(COMPLEMENT)


def kind_of(base: str) -> str:
    return "W" if base in "AT" else "S"


def check_gene(sequence: str, labels: np.ndarray) -> str:
    """Assert the grammar of a gene on the forward strand; return its coding sequence without the stop codon."""
    exon = np.flatnonzero(labels == 0)
    coding = "".join(sequence[i] for i in exon)
    assert coding.startswith("ATG")
    assert len(coding) % 3 == 0
    assert not {coding[i : i + 3] for i in range(0, len(coding), 3)} & set(biology.STOPS)
    end = exon[-1] + 1
    assert sequence[end : end + 3] in biology.STOPS
    assert (labels[: exon[0]] == 8).all()
    assert (labels[end:] == 8).all()
    donors, acceptors = np.flatnonzero(labels == 1), np.flatnonzero(labels == 3)
    assert len(donors) == len(acceptors) >= 1
    for donor, acceptor in zip(donors, acceptors, strict=True):
        assert sequence[donor : donor + 2] == "GT"
        assert sequence[acceptor - 1 : acceptor + 1] == "AG"
        assert (labels[donor + 1 : acceptor] == 2).all()
        assert labels[donor - 1] == labels[acceptor + 1] == 0
    return coding


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), strand=st.sampled_from("+-"))
def test_gene_grammar(seed: int, strand: str) -> None:
    gene = biology.make_gene(np.random.default_rng(seed), strand)
    sequence, labels = gene.sequence.tobytes().decode(), gene.labels
    assert len(sequence) == len(labels)
    assert biology.GENE_LENGTHS[0] <= len(sequence) <= biology.GENE_LENGTHS[1]
    assert gene.flank_left + gene.flank_right == 1000
    assert (labels[: gene.flank_left] == 8).all()
    assert (labels[-gene.flank_right :] == 8).all()
    if strand == "-":
        assert set(labels) == {4, 5, 6, 7, 8}
        sequence, labels = reverse_complement(sequence), np.where(labels == 8, 8, labels - 4)[::-1]
    coding = check_gene(sequence, labels)

    exon, donors, acceptors = (np.flatnonzero(labels == label) for label in (0, 1, 3))
    for variant in gene.damaging + gene.harmless:
        assert gene.sequence[variant.position] != variant.alt
        position, alt = variant.position, chr(variant.alt)
        if strand == "-":
            position, alt = len(sequence) - 1 - position, reverse_complement(alt)
        changed = sequence[:position] + alt + sequence[position + 1 :]
        codons = re.findall("...", "".join(changed[i] for i in exon))
        if variant.consequence == "stop_gained":
            assert set(codons) & set(biology.STOPS)
        elif variant.consequence == "start_lost":
            assert codons[0] != "ATG"
        elif variant.consequence == "synonymous_variant":
            assert sum(a != b for a, b in zip(codons, re.findall("...", coding), strict=True)) == 1
            assert (position - exon[0]) not in (0, 1, 2)
            assert not set(codons) & set(biology.STOPS)
            assert kind_of(alt) == kind_of(sequence[position])
        elif variant.consequence == "missense_variant":
            assert sum(a != b for a, b in zip(codons, re.findall("...", coding), strict=True)) == 1
            assert not set(codons) & set(biology.STOPS)
            assert kind_of(alt) != kind_of(sequence[position])
        else:
            assert "".join(codons) == coding
            assert variant.consequence in ("splice_donor_variant", "splice_acceptor_variant", "intron_variant")
            ends = {"splice_donor_variant": donors, "splice_acceptor_variant": acceptors}
            if variant.consequence in ends:  # the first two bases of an intron, the last two
                assert np.abs(ends[variant.consequence] - position).min() <= 1
                assert labels[position] in (1, 2, 3)


@given(lengths=st.lists(st.integers(0, 30), max_size=20), free=st.integers(0, 200), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_placed_pieces_do_not_overlap(lengths: list[int], free: int, seed: int) -> None:
    total = sum(lengths) + free
    starts = biology.place(np.random.default_rng(seed), lengths, total)
    ends = starts + np.array(lengths, dtype=int)
    assert (starts >= 0).all()
    assert (ends <= total).all()
    assert (starts[1:] >= ends[:-1]).all()


def test_reverse_complement() -> None:
    sequence = biology.ascii_array("AACGTTTGC")
    assert biology.reverse_complement(sequence).tobytes() == b"GCAAACGTT"
    assert (biology.reverse_complement(biology.reverse_complement(sequence)) == sequence).all()


def parts(order: str, k: int) -> list[str]:
    """Return the k-mers of a pattern that repeats."""
    return [(order + order)[i : i + k] for i in range(len(order))]


@pytest.mark.parametrize(("order", "kinds", "k"), [(biology.CODON_ORDER, "WS", 3), (biology.INTRON_ORDER, "RY", 4)])
def test_orders_hold_every_kmer_of_kinds_once_and_have_a_strand(order: str, kinds: str, k: int) -> None:
    assert sorted(parts(order, k)) == sorted("".join(kmer) for kmer in product(kinds, repeat=k))
    complement = str.maketrans("WSRY", "WSYR")  # A and T are weak both; the complement of a purine is a pyrimidine
    assert order[::-1].translate(complement) not in parts(order, len(order))


def test_codons_out_of_order_have_their_composition_and_not_their_order() -> None:
    rng = np.random.default_rng(0)
    ordered = [biology.draw_codons(rng, 240) for _ in range(150)]
    texts = [
        [codons.ravel().tobytes().decode() for codons in drawn]
        for drawn in (ordered, [rng.permutation(codons) for codons in ordered])
    ]
    counts = [Counter(text[i : i + 3] for text in side for i in range(len(text) - 2)) for side in texts]
    both = {kmer for count in counts for kmer in count}
    assert sum(abs(counts[0][kmer] - counts[1][kmer]) for kmer in both) / counts[0].total() < 0.05
    agreement = [
        np.mean([kind_of(a) == kind_of(b) for text in side for a, b in zip(text, text[8:], strict=False)])
        for side in texts
    ]
    assert agreement[0] > 0.9
    assert abs(agreement[1] - 0.5) < 0.02


def test_decoys_of_enhancers_have_their_motifs_out_of_order() -> None:
    gap = "." * biology.SPACER
    ordered, decoy = (
        biology.motif_array(np.random.default_rng(1), ["CCACACCC", "AGATAA"], 50, ordered) for ordered in (True, False)
    )
    for sequence, covered in (ordered, decoy):
        text = "".join(chr(b) if c else "." for b, c in zip(sequence, covered, strict=True))
        if "TTATCT" in text:
            text = text[::-1].translate(COMPLEMENT)
        assert Counter(re.findall("[ACGT]+", text)) == {"CCACACCC": 50, "AGATAA": 50}
        assert len(text) == 50 * (8 + 6 + 2 * biology.SPACER)
        pairs = text.count(f"CCACACCC{gap}AGATAA") + text.count(f"AGATAA{gap}CCACACCC")
        assert pairs == 99 if covered is ordered[1] else pairs < 30


def test_motif_cluster_covers_motifs_only() -> None:
    sequence, covered = biology.motif_cluster(np.random.default_rng(1), 4000, ["TGACTCA"], 0.4)
    text = "".join(chr(b) if c else "." for b, c in zip(sequence, covered, strict=True))
    assert set(re.findall("[ACGT]{7}", text)) == {"TGACTCA", "TGAGTCA"}
    assert 0.38 < covered.mean() < 0.42


def test_genes_in_the_files_obey_the_grammar(toy_dir: Path) -> None:
    task = TASKS["gene_finding"]
    genome = genome_of(toy_dir, task)
    codons: Counter[str] = Counter()
    with h5py.File(toy_dir / f"{task.stem}.hdf5") as handle:
        for row, labels in zip(read_bed(toy_dir, task), handle["labels"][:], strict=True):
            sequence = genome[row["chromosome"]][int(row["start"]) : int(row["end"])]
            if row["strand"] == "-":
                sequence, labels = reverse_complement(sequence), np.where(labels == 8, 8, labels - 4)[::-1]
            codons.update(re.findall("...", check_gene(sequence, labels)))
    expected = biology.CODON_USAGE * codons.total()
    observed = np.array([codons[codon] for codon in biology.CODONS])
    # Codon usage by a chi-squared test, less the start codons; 60 degrees of freedom, 99.9 % at 99.6.
    observed[biology.CODONS.index("ATG")] -= 80
    used = expected > 0
    assert (observed[~used] == 0).all()
    assert ((observed - expected)[used] ** 2 / expected[used]).sum() < 99.6


def test_methylation_avoids_islands(toy_dir: Path) -> None:
    genome = genome_of(toy_dir, TASKS["cpg_methylation"])
    density, methylated = [], []
    for row in read_bed(toy_dir, TASKS["cpg_methylation"]):
        sequence = genome[row["chromosome"]][int(row["start"]) : int(row["end"])].upper()
        if row["strand"] == "-":
            sequence = reverse_complement(sequence)
        assert sequence[255:257] == "CG"
        density.append(sequence.count("CG"))
        methylated.append("0" in row["label"].split(","))
    assert roc_auc_score(methylated, -np.array(density)) > 0.8


def kmer_counts(sequences: list[str], k: int = 4) -> np.ndarray:
    """Count k-mers of both strands; (n, 4**k)."""
    code = np.full(256, -1)
    code[[ord(c) for c in "ACGT"]] = range(4)
    counts = np.zeros((len(sequences), 4**k))
    for row, sequence in zip(counts, sequences, strict=True):
        for strand in (sequence, reverse_complement(sequence)):
            bases = code[np.frombuffer(strand.encode(), dtype=np.uint8)]
            windows = np.lib.stride_tricks.sliding_window_view(bases, k)
            windows = windows[(windows >= 0).all(axis=1)]
            row += np.bincount(windows @ 4 ** np.arange(k), minlength=4**k)
    return counts


@pytest.mark.parametrize("name", ["chromatin_accessibility", "histone_modification", "cpg_methylation"])
def test_labels_follow_sequence(toy_dir: Path, name: str) -> None:
    task = TASKS[name]
    genome, rows = genome_of(toy_dir, task), read_bed(toy_dir, task)
    sequences = [genome[row["chromosome"]][int(row["start"]) : int(row["end"])].upper() for row in rows]
    x = np.log1p(kmer_counts(sequences))
    x -= x.mean(axis=0)
    train = np.array([row["split"] == "train" for row in rows])
    control = np.random.default_rng(0).permutation(len(rows))
    scores, shuffled = [], []
    for label in range(6):
        y = np.array([str(label) in row["label"].split(",") for row in rows])
        for target, results in ((y, scores), (y[control], shuffled)):
            model = LogisticRegression(C=0.01).fit(x[train], target[train])
            results.append(roc_auc_score(target[~train], model.decision_function(x[~train])))
    assert np.mean(scores) > 0.8
    # 180 test rows: the standard error of one AUROC is about 0.045.
    assert abs(np.mean(shuffled) - 0.5) < 0.1


def test_enhancers_follow_sequence(toy_dir: Path) -> None:
    task = TASKS["enhancer_annotation"]
    genome = genome_of(toy_dir, task)
    with h5py.File(toy_dir / f"{task.stem}.hdf5") as handle:
        labels = handle["labels"][:]
    first, second = toy.ENHANCER_MOTIFS
    gap = f".{{{biology.SPACER}}}"
    pair = f"(?={first}{gap}{second}|{second}{gap}{first})"
    counts = np.zeros((2, *labels.shape))
    for i, row in enumerate(read_bed(toy_dir, task)):
        forward = genome[row["chromosome"]][int(row["start"]) : int(row["end"])].upper()
        for sequence, backward in ((forward, False), (reverse_complement(forward), True)):
            for kind, pattern in enumerate((pair, f"(?={first}|{second})")):
                for hit in re.finditer(pattern, sequence):
                    position = hit.start()
                    bin_of = (len(forward) - 1 - position if backward else position) // 128
                    counts[kind, i, bin_of] += 1
    # About BEND's own share of positive bins, for which its weight of positives (82.86) is made.
    assert 0.009 < labels.mean() < 0.018
    assert average_precision_score(labels.ravel(), counts[0].ravel()) > 0.8
    # Without order and spacing, one in four is right: each enhancer has three decoys.
    assert average_precision_score(labels.ravel(), counts[1].ravel()) < 0.4


def test_genes_follow_sequence(toy_dir: Path) -> None:
    """The commonest class of each 5-mer in training, what a head that sees five nucleotides can know."""
    task = TASKS["gene_finding"]
    genome, rows = genome_of(toy_dir, task), read_bed(toy_dir, task)
    code = np.full(256, 4)
    code[[ord(c) for c in "ACGT"]] = range(4)
    with h5py.File(toy_dir / f"{task.stem}.hdf5") as handle:
        labels = [row[2:-2].astype(int) for row in handle["labels"][:]]
    mers = []
    for row in rows:
        sequence = genome[row["chromosome"]][int(row["start"]) : int(row["end"])].encode()
        mers.append(np.lib.stride_tricks.sliding_window_view(code[list(sequence)], 5) @ 4 ** np.arange(5))
    train = [i for i, row in enumerate(rows) if row["split"] == "train"]
    test = [i for i, row in enumerate(rows) if row["split"] == "test"]

    def mcc(targets: list[np.ndarray]) -> float:
        table = np.zeros((4**5, 9))
        np.add.at(table, (np.concatenate([mers[i] for i in train]), np.concatenate([targets[i] for i in train])), 1)
        predicted = table.argmax(axis=1)[np.concatenate([mers[i] for i in test])]
        return float(matthews_corrcoef(np.concatenate([targets[i] for i in test]), predicted))

    rng = np.random.default_rng(0)

    assert mcc(labels) > 0.3
    assert abs(mcc([rng.permutation(row) for row in labels])) < 0.03


@pytest.mark.parametrize("config", ["expression", "disease"])
def test_variants_and_controls_exchange_the_same_bases(toy_dir: Path, config: str) -> None:
    rows = read_bed(toy_dir, TASKS[f"variant_effects_{config}"])
    exchanges = [Counter((row["ref"], row["alt"]) for row in rows if row["label"] == label) for label in "01"]
    assert exchanges[0] == Counter({exchange: 3 * count for exchange, count in exchanges[1].items()})


def test_expression_variants_break_motifs(toy_dir: Path) -> None:
    """Counting motifs before and after separates the classes; the two bases alone do not."""
    task = TASKS["variant_effects_expression"]
    genome, rows = genome_of(toy_dir, task), read_bed(toy_dir, task)
    motifs = [m for motif in (*toy.ENHANCER_MOTIFS, *toy.HISTONE_MOTIFS) for m in (motif, reverse_complement(motif))]
    lost, exchange = [], []
    for row in rows:
        position = int(row["start"])
        left = genome[row["chromosome"]][position - 12 : position]
        right = genome[row["chromosome"]][position + 1 : position + 13]
        before, after = (sum((left + base + right).count(m) for m in motifs) for base in (row["ref"], row["alt"]))
        lost.append(before - after)
        exchange.append("ACGT".index(row["ref"]) * 4 + "ACGT".index(row["alt"]))
    labels = [int(row["label"]) for row in rows]
    assert roc_auc_score(labels, lost) > 0.9
    assert abs(roc_auc_score(labels, exchange) - 0.5) < 1e-12


def test_disease_variants_by_consequence(toy_dir: Path) -> None:
    by_label: dict[str, set[str]] = {"0": set(), "1": set()}
    for row in read_bed(toy_dir, TASKS["variant_effects_disease"]):
        by_label[row["label"]].add(row["Consequence"])
    splice = {"splice_donor_variant", "splice_acceptor_variant"}
    assert by_label["1"] == {"missense_variant", "start_lost", "stop_gained", *splice}
    assert by_label["0"] == {"synonymous_variant", "intron_variant"}
