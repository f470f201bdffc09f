"""Clusters by homology: relatives on either strand stay together, strangers do not, whatever the order."""

import shutil

import numpy as np
import pytest
from made_up import fasta

from bend_hf.build import homology
from bend_hf.build.counts import Counts
from bend_hf.build.homology import cluster, components
from bend_hf.build.splits import Split, Windows, allot, assign
from bend_hf.data.genome import Genome, reverse_complement
from bend_hf.errors import BendError

LENGTH = 1000


def mutated(text, rate, random):
    letters = np.array(list(text))
    hit = random.random(len(letters)) < rate
    letters[hit] = np.array(list("ACGT"))[random.integers(0, 4, hit.sum())]
    return "".join(letters)


@pytest.fixture
def family(tmp_path):
    """40 strangers; then relatives of the first four at 100, 95, 90 and 85 % identity, the odd ones reversed."""
    random = np.random.default_rng(7)
    texts = ["".join(random.choice(list("ACGT"), LENGTH)) for _ in range(40)]
    for row, rate in enumerate((0, 0.05 * 4 / 3, 0.1 * 4 / 3, 0.15 * 4 / 3)):
        copy = mutated(texts[row], rate, random)
        texts.append(reverse_complement(copy) if row % 2 else copy)
    path = fasta(tmp_path / "g.fa", {f"c{i}": text for i, text in enumerate(texts)})
    count = len(texts)
    windows = Windows(np.arange(count), np.zeros(count, np.int64), np.full(count, LENGTH))
    return windows, Genome(path)


def test_relatives_on_both_strands_are_found_and_strangers_are_not(family):
    groups, facts = cluster(*family, identity=0.8, coverage=0.5, tool="own")
    assert [groups[i] == groups[40 + i] for i in range(4)] == [True] * 4
    assert len(np.unique(groups)) == 40
    assert facts["pairs"] == 4
    assert facts["largest_cluster"] == 2


def test_order_of_windows_does_not_matter(family):
    windows, genome = family
    groups, _ = cluster(windows, genome, identity=0.8, coverage=0.5, tool="own")
    order = np.random.default_rng(1).permutation(len(groups))
    shuffled = Windows(windows.code[order], windows.start[order], windows.end[order])
    other, _ = cluster(shuffled, genome, identity=0.8, coverage=0.5, tool="own")
    assert ((groups[order][:, None] == groups[order][None]) == (other[:, None] == other[None])).all()


def test_windows_that_share_a_base_are_one_cluster(tmp_path):
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 5000))
    genome = Genome(fasta(tmp_path / "g.fa", {"c": text}))
    start = np.array(
        [0, 4000, 900, 1899, 2899]
    )  # the third reaches the first and the fourth, which ends where the fifth begins
    windows = Windows(np.zeros(5, np.int64), start, start + 1000)
    groups, _ = cluster(windows, genome, identity=0.9, coverage=0.9, tool="own")
    assert groups[0] == groups[2] == groups[3]
    assert len({groups[0], groups[1], groups[4]}) == 3


def test_chunks_change_nothing(family, monkeypatch):
    whole, _ = cluster(*family, identity=0.8, coverage=0.5, tool="own")
    monkeypatch.setattr(homology, "_CHUNK", 1500)
    assert (cluster(*family, identity=0.8, coverage=0.5, tool="own")[0] == whole).all()


def test_kmers_of_both_strands_are_the_same_set():
    text = "ACGTTGCANNACGGATCCGATTACA"
    forward, whole = homology.kmers(np.frombuffer(text.encode(), np.uint8), 5)
    backward, other = homology.kmers(np.frombuffer(reverse_complement(text).encode(), np.uint8), 5)
    assert (forward[whole] == backward[::-1][other[::-1]]).all()
    assert whole.sum() == sum("N" not in text[i : i + 5] for i in range(len(text) - 4))


def test_components_chain():
    assert components(6, np.array([0, 1, 4]), np.array([1, 2, 5])).tolist() == [0, 0, 0, 1, 2, 2]


def test_groups_are_allotted_whole_and_balanced_by_rows_and_labels():
    random = np.random.default_rng(0)
    groups = np.sort(random.integers(0, 300, 3000))
    groups = np.unique(groups, return_inverse=True)[1]
    labels = (random.random((3000, 1)) < np.where(groups % 7 == 0, 0.9, 0.05)[:, None]).astype(int)
    chosen = allot(groups, (0.8, 0.1, 0.1), 0, labels)
    assert all(len(set(chosen[groups == group])) == 1 for group in range(groups.max() + 1))
    for part, share in enumerate((0.8, 0.1, 0.1)):
        assert np.mean(chosen == part) == pytest.approx(share, abs=0.01)
        assert labels[chosen == part].sum() / labels.sum() == pytest.approx(share, abs=0.02)
    assert (allot(groups, (0.8, 0.1, 0.1), 0, labels) == chosen).all()


def test_every_split_gets_a_group_where_there_are_enough():
    assert sorted(allot(np.repeat(np.arange(5), 12), (0.8, 0.1, 0.1), 0)[::12].tolist()) == [0, 0, 0, 1, 2]
    assert sorted(allot(np.arange(3), (0.8, 0.1, 0.1), 0).tolist()) == [0, 1, 2]


def test_one_giant_cluster_cannot_be_split(tmp_path):
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 500))
    genome = Genome(fasta(tmp_path / "g.fa", {f"c{i}": text for i in range(30)}))
    windows = Windows(np.arange(30), np.zeros(30, np.int64), np.full(30, 500))
    with pytest.raises(
        BendError, match=r"valid gets 0 of the 3 .*largest of 1 cluster holds 30 of 30 .*higher identity"
    ):
        assign(Split("homology", tool="own"), windows, genome, Counts())


needs_mmseqs = pytest.mark.skipif(not shutil.which("mmseqs"), reason="MMseqs2 is not installed")


@needs_mmseqs
def test_mmseqs_finds_the_same_relatives(family):
    groups, facts = cluster(*family, identity=0.8, coverage=0.5, tool="mmseqs")
    assert [groups[i] == groups[40 + i] for i in range(4)] == [True] * 4
    assert len(np.unique(groups)) == 40
    assert (facts["tool"], facts["version"] != "") == ("mmseqs", True)
    assert cluster(*family, identity=0.8, coverage=0.5, tool="auto")[1]["tool"] == "mmseqs"
    # Nothing above 97 %: the copies at 95, 90 and 85 % are strangers then.
    strict, _ = cluster(*family, identity=0.97, coverage=0.5, tool="mmseqs")
    assert [strict[i] == strict[40 + i] for i in range(4)] == [True, False, False, False]


@pytest.mark.skipif(not shutil.which("graphpart"), reason="GraphPart is not installed")
@needs_mmseqs
def test_graphpart_splits_and_keeps_forward_relatives_together(family):
    split = Split("homology", tool="graphpart", fractions=(0.6, 0.15, 0.25))
    counts = Counts()
    found = assign(split, *family, counts)
    assert found.names[2] == found.names[42] != ""  # 90 % on one strand; GraphPart is asked for 80
    removed = counts.left_out.get("window that GraphPart removed", 0)
    assert (found.names == "").sum() == removed
    kept = 44 - removed
    for name, share in zip(("train", "valid", "test"), split.fractions, strict=True):
        assert (found.names == name).sum() / kept == pytest.approx(share, abs=0.06)
    assert found.facts["tool"] == "graphpart"
    with pytest.raises(BendError, match=r"multiples of 0\.05, not 0\.8 0\.13 0\.07"):
        assign(Split("homology", tool="graphpart", fractions=(0.8, 0.13, 0.07)), *family, Counts())


@pytest.mark.parametrize(("tool", "name"), [("mmseqs", "MMseqs2"), ("graphpart", "GraphPart")])
def test_a_tool_is_asked_for_in_vain(family, monkeypatch, tool, name):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BendError, match=f"{name} is not installed"):
        assign(Split("homology", tool=tool), *family, Counts())
