"""The audit says what was built into the data: shares of overlaps, near-duplicates, contradictions."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import fasta

from bend_hf.build import near
from bend_hf.build.audit import _overlap, audit
from bend_hf.build.near import near_duplicates
from bend_hf.build.splits import Windows
from bend_hf.cli.parser import main
from bend_hf.data.audited import audited, write_audit
from bend_hf.data.genome import Genome, reverse_complement
from bend_hf.data.sources import TaskFiles
from bend_hf.metric import METRICS
from bend_hf.tasks import TASKS

LENGTH = 600_000


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    random = np.random.default_rng(0)
    records = {name: "".join(random.choice(list("ACGT"), LENGTH)) for name in ("chr1", "chr2")}
    return fasta(tmp_path_factory.mktemp("genome") / "g.fa", records)


def cpg(folder, genome, rows):
    """A CpG-methylation task with one label, of rows (chromosome, start, strand, label, split)."""
    recipe = dataclasses.replace(TASKS["cpg_methylation"].recipe, outputs=1)
    task = dataclasses.replace(TASKS["cpg_methylation"], name="t", dataset="t", label_names=("on",), recipe=recipe)
    bed = folder / "t.bed"
    text = "".join(f"{c}\t{s}\t{s + 512}\t{strand}\t{label}\t{split}\n" for c, s, strand, label, split in rows)
    bed.write_text("chromosome\tstart\tend\tstrand\tlabel\tsplit\n" + text)
    return TaskFiles(task=task, bed=bed, hdf5=None, fasta=genome)


def genes(folder, genome, windows):
    """A gene-finding task of windows (start, end, split) on chr1, all intergenic."""
    columns = [column.name for column in TASKS["gene_finding"].columns]
    bed = folder / "g.bed"
    text = "".join(f"chr1\t{a}\t{b}\tT{i}\t+\t1\t1\t{b - a}\t{split}\n" for i, (a, b, split) in enumerate(windows))
    bed.write_text("\t".join(columns) + "\n" + text)
    with h5py.File(folder / "g.hdf5", "w") as opened:
        data = opened.create_dataset("labels", (len(windows),), h5py.vlen_dtype(np.int8))
        for row, (a, b, _) in enumerate(windows):
            data[row] = np.full(b - a, 8, np.int8)
    return TaskFiles(task=TASKS["gene_finding"], bed=bed, hdf5=folder / "g.hdf5", fasta=genome)


def test_it_says_the_shares_that_are_known_of_bend(tmp_path, genome):
    """18.3 % of test windows overlap a training window; 51.9 % of training windows overlap the next one."""
    # 1,000 training windows of 512 bp in pairs or alone: 519 of them overlap the next one.
    starts, at = [], 0
    for row in range(1000):
        starts.append(at)
        at += 300 if row < 519 else 512
    rows = [("chr1", start, "+", "", "train") for start in starts]
    files = cpg(tmp_path, genome, [*rows, ("chr2", 0, "+", "0", "valid"), ("chr2", 5000, "+", "0", "test")])
    found = audit(files, queries=0, easy=False)
    assert found.next_overlaps["train"] == {"windows": 519, "of": 1000, "share": 0.519}
    assert "51.9% of the train windows (519) overlap the next one" in str(found)
    # 1,000 test windows of 300 bp: 183 share one base with the training window before them, the others touch that one
    # and the next and share none.
    windows = [(k * 500, k * 500 + 200, "train") for k in range(1000)]
    for k in range(1000):
        first = k * 500 + (199 if k < 183 else 200)
        windows.append((first, first + 300, "test"))
    windows.append((560_000, 560_300, "valid"))
    found = audit(genes(tmp_path, genome, windows), queries=0, easy=False)
    [overlap] = [each for each in found.overlaps if (each["split"], each["other"]) == ("test", "train")]
    assert overlap == {"split": "test", "other": "train", "windows": 183, "of": 1000, "share": 0.183, "bases": 183}
    assert "18.3% of the test windows (183 of 1,000) overlap a train window, by 183 bp in all" in str(found)
    assert found.problems == ["183 test windows share bases with train windows"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 300), st.integers(1, 60)), min_size=1, max_size=25),
    st.integers(1, 24),
)
def test_overlaps_equal_a_base_by_base_count(intervals, cut):
    columns = np.array(intervals).T
    every = Windows(columns[0], columns[1], columns[1] + columns[2])
    one, other = every.part(slice(0, cut)), every.part(slice(cut, None))
    if not len(other.code):
        return
    bases = [
        {
            (c, p)
            for c, a, b in zip(each.code.tolist(), each.start.tolist(), each.end.tolist(), strict=True)
            for p in range(a, b)
        }
        for each in (one, other)
    ]
    touching = sum(
        any((c, p) in bases[1] for p in range(a, b))
        for c, a, b in zip(one.code.tolist(), one.start.tolist(), one.end.tolist(), strict=True)
    )
    found = _overlap(one, other)
    assert (found["windows"], found["bases"]) == (touching, len(bases[0] & bases[1]))


def related(tmp_path, rates, count=60, width=512, seed=3):
    """A genome of strangers on c0 and, on c1, their copies at the given rates of substitution, odd ones reversed."""
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("ACGT"), width)) for _ in range(count)]
    copies = []
    for row, text in enumerate(texts):
        letters = np.array(list(text))
        hit = random.random(width) < rates[row % len(rates)]
        letters[hit] = [{"A": "C", "C": "G", "G": "T", "T": "A"}[base] for base in letters[hit]]
        copies.append(reverse_complement("".join(letters)) if row % 2 else "".join(letters))
    # A stretch of strangers between, so that neighbours are no relatives.
    spaced = "".join(text + "".join(random.choice(list("ACGT"), 100)) for text in copies)
    path = fasta(tmp_path / "r.fa", {"chr1": "".join(texts), "chr2": spaced})
    old = Windows(np.zeros(count, np.int64), np.arange(count) * width, np.arange(1, count + 1) * width)
    new = np.arange(count) * (width + 100)
    return Genome(path), old, Windows(np.ones(count, np.int64), new, new + width)


def test_relatives_are_found_on_both_strands_with_their_identity(tmp_path):
    rates = (0.0, 0.05, 0.1, 0.15)
    genome, old, new = related(tmp_path, rates)
    group = np.zeros(60, np.int64)
    found = near_duplicates(old, new, genome, group, group + 1)
    assert (found.target == np.arange(60)).all()
    assert (found.minus == (np.arange(60) % 2 == 1)).all()
    for part, rate in enumerate(rates):
        assert found.identity[part::4].mean() == pytest.approx(1 - rate, abs=0.01)
        assert found.covered[part::4].min() > 0.9
    nothing = near_duplicates(old, new, genome, group, group)
    assert (nothing.target == -1).all()


def test_strangers_and_a_windows_own_place_are_no_near_duplicates(tmp_path):
    genome, old, _ = related(tmp_path, (0.0,))
    shifted = Windows(old.code, old.start + 100, old.end + 100).part(slice(0, 59))
    group = np.zeros(60, np.int64)
    found = near_duplicates(old, shifted, genome, group, group[:59] + 1)
    assert found.covered.max() < 0.5 or found.identity[found.covered >= 0.5].max() < 0.8


def exact(query, target, gap=-2):
    """Smith–Waterman in full, cell by cell: the best score, then most equal bases."""
    best = (0, 0)
    row = [(0, 0)] * (len(target) + 1)
    for a in query:
        new = [(0, 0)]
        for j, b in enumerate(target, start=1):
            same = a == b
            choices = [
                (0, 0),
                (row[j - 1][0] + (1 if same else -1), row[j - 1][1] + same),
                (row[j][0] + gap, row[j][1]),
                (new[j - 1][0] + gap, new[j - 1][1]),
            ]
            new.append(max(choices))
            best = max(best, new[-1])
        row = new
    return best


@pytest.mark.parametrize("seed", range(6))
def test_alignment_in_a_band_equals_the_full_one(seed):
    random = np.random.default_rng(seed)
    query = random.integers(0, 4, 90)
    target = np.concatenate([query[7:40], random.integers(0, 4, seed), query[40 + seed % 3 : 90]])
    target = np.concatenate([target, random.integers(0, 4, 90)])[:90]
    hit = random.random(90) < 0.1
    target[hit] = (target[hit] + 1) % 4
    matches, columns = near.align(query[None].astype(np.uint8), target[None].astype(np.uint8), np.array([7]))
    score, equal = exact(query.tolist(), target.tolist())
    assert matches[0] == equal
    # score = equal − mismatches − 2 · gaps and columns = equal + mismatches + gaps.
    assert columns[0] >= equal
    assert score <= equal


def test_a_task_with_a_copy_in_its_test_split_has_a_problem(tmp_path):
    genome, old, new = related(tmp_path, (0.05,))
    rows = [("chr1", int(s), "+", "", "train") for s in old.start]
    rows += [
        ("chr2", int(s), "-" if i % 2 else "+", "0", "valid" if i < 20 else "test") for i, s in enumerate(new.start)
    ]
    found = audit(cpg(tmp_path, genome.path, rows), easy=False)
    [by_test] = [each for each in found.near if each["split"] == "test"]
    assert (by_test["searched"], by_test["windows"], by_test["share"]) == (40, 40, 1.0)
    assert sum(by_test["identity"].values()) == 40
    assert by_test["identity"]["0.95"] + by_test["identity"]["0.90"] == 40
    assert "100.0% of the searched test pieces have a near-duplicate in train" in found.problems


def test_contradictions_content_and_edges(tmp_path, genome):
    text = "".join(np.random.default_rng(1).choice(list("ACGT"), 3000))
    path = fasta(tmp_path / "s.fa", {"chr1": "G" * 512 + "a" * 512 + "N" * 512 + text, "chr2": text})
    rows = [
        ("chr1", 0, "+", "0", "train"),
        ("chr1", 0, "-", "", "train"),
        ("chr1", 512, "+", "", "train"),
        ("chr1", 1024, "+", "", "valid"),
        ("chr2", 3000 - 512, "+", "0", "test"),
    ]
    found = audit(cpg(tmp_path, path, rows), queries=0, easy=False)
    assert found.repeated == {"windows": 1, "different_labels": 1}
    assert found.content["train"] == {"gc": pytest.approx(2 / 3), "n": 0.0, "masked": pytest.approx(1 / 3)}
    assert found.content["train, on"]["gc"] == 1.0
    assert found.content["validation"]["n"] == 1.0
    assert found.classes["train"] == {"on": 1}
    assert found.edges == {"chromosome_end": 3, "with_n": 1, "looked_at": 5}
    assert found.chromosomes == {"train": ["chr1"], "validation": ["chr1"], "test": ["chr2"]}
    assert "1 window is listed twice with different labels" in found.problems


def by_composition(tmp_path, told):
    """A task whose positives are rich in G and C, but for a share of rows whose label says nothing of them."""
    random = np.random.default_rng(5)
    texts, rows = [], []
    for row in range(240):
        rich = row % 2 == 0
        letters = random.choice(list("ACGT"), 600, p=[0.2, 0.3, 0.3, 0.2] if rich else [0.3, 0.2, 0.2, 0.3])
        texts.append("".join(letters))
        split = ("train", "train", "train", "valid", "test", "test")[row // 2 % 6]
        label = rich if random.random() < told else random.random() < 0.5
        rows.append(("chr1", 600 * row, "+", "0" if label else "", split))
    return cpg(tmp_path, fasta(tmp_path / "e.fa", {"chr1": "".join(texts)}), rows)


def test_composition_alone_solves_a_task_of_composition(tmp_path):
    files = by_composition(tmp_path, told=1)
    found = audit(files, queries=0)
    assert found.easy["value"] > 0.95
    assert (found.easy["on"], found.easy["chance"]) == ("test", 0.5)
    assert found.easy["share"] == pytest.approx(2 * found.easy["value"] - 1)
    assert found.problems == []
    [warning] = found.warnings
    assert warning.startswith(
        f"k-mer frequencies alone go {found.easy['share']:.0%} of the way from chance to a perfect"
    )
    assert f"  warning: {warning}" in str(found).splitlines()
    assert "no problem found" not in str(found)
    # It may be biology, so that a strict audit does not fail for it; reports say it.
    write_audit(files, found.to_json(), str(found))
    assert audited(files).line == warning


def test_a_task_that_composition_does_not_solve_has_no_warning(tmp_path):
    found = audit(by_composition(tmp_path, told=0.25), queries=0)
    assert 0 < found.easy["share"] < 0.5
    assert found.warnings == []
    assert str(found).splitlines()[-1] == "  no problem found"


def test_chance_of_a_metric_without_a_fixed_one_is_that_of_permuted_predictions(tmp_path, monkeypatch):
    monkeypatch.setitem(METRICS, "auroc", dataclasses.replace(METRICS["auroc"], chance=None))
    easy = audit(by_composition(tmp_path, told=1), queries=0).easy
    assert easy["chance"] == pytest.approx(0.5, abs=0.1)
    assert easy["chance"] != 0.5
    assert easy["share"] == pytest.approx((easy["value"] - easy["chance"]) / (1 - easy["chance"]))


def test_variants_of_both_labels_in_one_window(tmp_path, genome):
    task = TASKS["variant_effects_disease"]
    text = Genome(genome)
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    rows = ""
    for at, label in ((1000, 1), (1512, 0), (9000, 1), (9513, 0)):
        ref = text.window("chr1", at, at + 1)
        rows += f"chr1\t{at}\t{at}\t{ref}\t{other[ref]}\ttrain\t{label}\tx\ty\n"
    bed = tmp_path / "v.bed"
    bed.write_text("\t".join(column.name for column in task.columns) + "\n" + rows)
    found = audit(TaskFiles(task=task, bed=bed, hdf5=None, fasta=genome))
    assert found.contrary == {"variants": 2, "of": 4, "share": 0.5}


def test_command(toy_dir, capsys):
    arguments = ["audit", "cpg_methylation", "--data-dir", str(toy_dir), "--queries", "50", "--format", "json"]
    assert main(arguments) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert found["task"] == "cpg_methylation"
    assert found["near"][0]["searched"] == 50
    assert main([*arguments, "--strict"]) == int(bool(found["problems"]))
