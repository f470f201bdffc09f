"""Controls: what is exchanged, what is kept, and that shuffles keep dinucleotides."""

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
from bend_hf.errors import BendError


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
