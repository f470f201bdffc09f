"""Controls: what is exchanged, what is kept, and that shuffles keep dinucleotides."""

import itertools
import json
import shutil
from collections import Counter

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import A, B, C, fasta, genome, gtf

from bend_hf import build
from bend_hf.build.control import shuffle_dinucleotides
from bend_hf.build.splits import Split
from bend_hf.cli.parser import main
from bend_hf.data.genome import Genome
from bend_hf.data.sources import locate
from bend_hf.errors import BendError
from bend_hf.tasks import get_tasks


def pairs(text):
    return Counter(text[i : i + 2] for i in range(len(text) - 1))


@settings(max_examples=200, deadline=None)
@given(st.text("ACGTN", max_size=60), st.integers(0, 3))
def test_shuffles_keep_dinucleotides_and_ends(text, seed):
    shuffled = shuffle_dinucleotides(text.encode(), np.random.default_rng(seed)).decode()
    assert pairs(shuffled) == pairs(text)
    assert (shuffled[:1], shuffled[-1:]) == (text[:1], text[-1:])


def test_every_shuffle_is_equally_likely():
    """The loops A, C·A and G·A of AACAGA may stand in any of six orders."""
    random = np.random.default_rng(0)
    seen = Counter(shuffle_dinucleotides(b"AACAGA", random) for _ in range(6000))
    assert len(seen) == 6
    assert max(abs(number - 1000) for number in seen.values()) < 150


@pytest.fixture(scope="module")
def peaks(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("peaks")
    letters = np.random.default_rng(0).choice(list("ACGT"), 40_000)
    path = fasta(tmp_path / "g.fa", {"c1": "".join(letters)})
    tracks = {}
    for name, places in (("a", range(300, 39_000, 700)), ("b", range(300, 39_000, 1400))):
        tracks[name] = tmp_path / f"{name}.bed"
        tracks[name].write_text("".join(f"c1\t{at}\t{at + 100}\n" for at in places))
    return build.peaks(tracks, path, tmp_path / "control_peaks", build="toy-c", split=Split("blocks", block=2000)), path


def rows(folder):
    return [line.split("\t") for line in (folder / f"{folder.name}.bed").read_text().splitlines()[1:]]


def test_permuted_labels_stay_in_their_split(peaks, tmp_path):
    folder, path = peaks
    made = build.control(folder, path, tmp_path / "control_permuted", kind="permuted", seed=1)
    old, new = rows(folder), rows(made)
    assert [row[:6] + row[7:] for row in old] == [row[:6] + row[7:] for row in new]
    for split in ("train", "valid", "test"):
        assert Counter(r[6] for r in old if r[7] == split) == Counter(r[6] for r in new if r[7] == split)
    assert [r[6] for r in old] != [r[6] for r in new]
    assert "A control" in (made / "README.md").read_text()


def test_shuffled_windows_have_a_genome_of_their_own(peaks, tmp_path):
    folder, path = peaks
    arguments = ["build", "control", str(folder), "--genome", str(path), "--kind", "shuffled"]
    made = tmp_path / "control_shuffled"
    assert main([*arguments, "-o", str(made)]) == 0
    before, after = Genome(path), Genome(made / "genomes" / "toy-c_shuffled.fa")
    for number, (old, new) in enumerate(zip(rows(folder), rows(made), strict=True)):
        assert new[:3] == [f"row{number}", "0", "512"]
        assert new[3:] == old[3:]
        one, two = before.window("c1", int(old[1]), int(old[2])), after.window(new[0], 0, 512)
        assert pairs(one) == pairs(two)
        assert one != two


def test_matched_windows_are_elsewhere_with_the_same_composition(tmp_path):
    letters = np.random.default_rng(1).choice(list("ACGT"), 300_000)
    path = fasta(tmp_path / "g.fa", {"c1": "".join(letters)})
    track = tmp_path / "a.bed"
    track.write_text("".join(f"c1\t{at}\t{at + 100}\n" for at in range(300, 39_000, 700)))
    none = Split("none")
    folder = build.peaks([track], path, tmp_path / "t", build="toy-m", split=none, controls=["matched"])
    made = tmp_path / "t_matched"
    old, new, text = rows(folder), rows(made), Genome(path)
    left_out = json.loads((made / "sources.json").read_text())["left_out"]
    assert len(old) - len(new) == left_out.get("window without a counterpart in the genome", 0)
    assert len(new) > 40
    assert Counter(tuple(row[3:]) for row in new) <= Counter(tuple(row[3:]) for row in old)
    taken = sorted((int(row[1]), int(row[2])) for row in [*old, *new])
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(taken))

    def strata(each):
        windows = (text.window("c1", int(row[1]), int(row[2])) for row in each)
        return Counter(int(sum(base in "GC" for base in window) / 512 / 0.04) for window in windows)

    assert strata(new) <= strata(old)


def test_controls_of_variants_keep_the_allele(tmp_path):
    letters = np.random.default_rng(5).choice(list("ACGT"), 40_000)
    path = fasta(tmp_path / "g.fa", {"c1": "".join(letters)})
    vcf = tmp_path / "v.vcf"
    other = {"A": "C", "C": "G", "G": "T", "T": "A"}
    records = [
        f"c1\t{at + 1}\t.\t{letters[at]}\t{other[letters[at]]}\t.\t.\tX={'bad' if at % 3 else 'ok'}\n"
        for at in (20, *range(1000, 12_000, 1000), 39_990)
    ]
    vcf.write_text("##fileformat=VCFv4.2\n" + "".join(records))
    labels = build.Labels("X", terms={"bad": 1, "ok": 0})
    kinds = ("permuted", "shuffled", "matched")
    folder = build.variants(vcf, path, tmp_path / "snv", build="toy-v", labels=labels, controls=kinds, seed=3)
    permuted, shuffled, matched = (tmp_path / f"snv_{kind}" for kind in kinds)
    old = rows(folder)
    assert Counter(row[6] for row in rows(permuted)) == Counter(row[6] for row in old)
    assert [row[6] for row in rows(permuted)] != [row[6] for row in old]
    assert [row[:6] for row in rows(permuted)] == [row[:6] for row in old]
    text, own = Genome(path), Genome(shuffled / "genomes" / "toy-v_shuffled.fa")
    for before, after in zip(old, rows(shuffled), strict=True):
        assert after[3:] == before[3:]
        at, place = int(before[1]), int(after[1])
        low, high = max(0, at - 512), min(40_000, at + 513)
        one, two = text.window("c1", low, high), own.window(after[0], 0, high - low)
        assert two[place] == before[3] == one[at - low]
        assert pairs(one[: at - low + 1]) == pairs(two[: place + 1])
        assert pairs(one[at - low :]) == pairs(two[place:])
        assert one != two
    for row in rows(matched):
        assert text.window("c1", int(row[1]), int(row[1]) + 1) == row[3]
        assert row[1] not in {each[1] for each in old}
    record = json.loads((matched / "task.json").read_text())
    assert record["positives"] == sum(row[6] == "1" for row in rows(matched))


def test_windows_of_different_lengths_cannot_exchange_labels(tmp_path):
    path = genome(tmp_path / "g.fa", [A, B, C], {"c1": 3000, "c2": 1500})
    folder = build.genes(
        gtf(tmp_path / "a.gtf", [A, B, C]),
        path,
        tmp_path / "control_genes",
        build="toy",
        flanks=20,
        split=Split("none"),
    )
    with pytest.raises(BendError, match="differ in length"):
        build.control(folder, path, tmp_path / "x", kind="permuted")
    made = build.control(folder, path, tmp_path / "control_genes_shuffled", kind="shuffled")
    with h5py.File(folder / "control_genes.hdf5") as one, h5py.File(made / "control_genes_shuffled.hdf5") as two:
        assert all((a == b).all() for a, b in zip(one["labels"], two["labels"], strict=True))


def test_a_control_of_the_toy_data_is_toy_data(toy_dir, tmp_path):
    """By its origin, which it notes, wherever its genome lies; and whatever is made of the toy genome is."""
    genome = toy_dir / "genomes" / "GRCh38.toy.fa"
    copy = shutil.copy(genome, tmp_path / "copy.fa")
    folder = build.control("histone_modification", genome, tmp_path / "mine", kind="permuted", data_dir=toy_dir)
    [task] = get_tasks(folder)
    found = locate(task, genome=copy, genome_checked=True)
    assert (found.toy, found.in_toy) == (True, False)
    (folder / "sources.json").unlink()
    assert not locate(task, genome=copy, genome_checked=True).toy
    assert locate(task, genome=genome, genome_checked=True).toy
