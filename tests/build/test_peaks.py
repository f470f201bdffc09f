"""Tasks from peaks: Basset's recipe, against a slow reading of it and by hand."""

import gzip
import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import fasta

from bend_hf import build
from bend_hf.build.counts import Counts
from bend_hf.build.matched import composition, matched_windows
from bend_hf.build.peaks import merge
from bend_hf.build.splits import Split, Windows
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError

NONE = Split("none")


def bed(path, rows, extra=""):
    path.write_text("".join(f"{c}\t{a}\t{b}{extra}\n" for c, a, b in rows))
    return path


@pytest.fixture
def genome(tmp_path):
    random = np.random.default_rng(0)
    return fasta(tmp_path / "g.fa", {c: "".join(random.choice(list("ACGT"), 20_000)) for c in ("c1", "c2", "c3")})


def rows(folder):
    table = pd.read_csv(folder / f"{folder.name}.bed", sep="\t", dtype=str, keep_default_na=False)
    return [(r.chromosome, int(r.start), int(r.end), r.label) for r in table.itertuples()]


def slow(starts, tracks, width, over, limit):
    """Basset's recipe as its paper tells it: look through all neighbours for the largest overlap, merge, look again."""
    windows = [(start, {track}) for start, track in zip(starts, tracks, strict=True)]
    while True:
        overlaps = [a[0] + width - b[0] for a, b in itertools.pairwise(windows)]
        if not overlaps or max(overlaps) <= over:
            return [(start, sum(1 << t for t in mask)) for start, mask in windows]
        at = overlaps.index(max(overlaps))
        (a, one), (b, two) = windows[at : at + 2]
        weights = 1 + len(one), 1 + len(two)
        middle = int(0.5 + ((a + width // 2) * weights[0] + (b + width // 2) * weights[1]) / sum(weights))
        windows[at : at + 2] = [(min(max(0, middle - width // 2), limit), one | two)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 4)), min_size=1, max_size=40), st.integers(0, 120))
def test_merging_equals_a_slow_reading_of_the_recipe(windows, over):
    windows = sorted(windows)
    starts, tracks = [a for a, _ in windows], [t for _, t in windows]
    assert merge(starts, tracks, 128, over, 850 if starts[-1] <= 850 else 900) == slow(
        starts, tracks, 128, over, 850 if starts[-1] <= 850 else 900
    )


def test_windows_by_hand(tmp_path, genome):
    a = bed(tmp_path / "a.narrowPeak", [("c1", 1000, 1100), ("c1", 5000, 5200), ("c2", 0, 60)])
    # 312 bp from a's first peak: they overlap by exactly 200, which is not more; 311 from b's: merged.
    b = bed(tmp_path / "b.bed", [("c1", 1312, 1412), ("c1", 5101, 5101 + 200), ("c2", 19_990, 20_000)])
    folder = build.peaks([a, b], genome, tmp_path / "t", build="toy", split=NONE)
    assert rows(folder) == [
        ("c1", 794, 1306, "0"),
        ("c1", 1106, 1618, "1"),
        ("c1", 4895, 5407, "0,1"),  # centres 5100 and 5201, weights 2 and 2: 5150.5, rounded up
        ("c2", 0, 512, "0"),
        ("c2", 19_488, 20_000, "1"),
    ]
    task = json.loads((folder / "task.json").read_text())
    assert task["label_names"] == ["a", "b"]
    assert task["recipe"]["outputs"] == 2


def test_order_and_compression_of_files_change_nothing_but_labels(tmp_path, genome):
    random = np.random.default_rng(1)
    starts = random.integers(0, 19_000, 300)
    intervals = [(f"c{1 + i % 3}", int(s), int(s) + 150) for i, s in enumerate(starts)]
    bed(tmp_path / "x.bed", intervals)
    packed = tmp_path / "y.bed.gz"
    packed.write_bytes(gzip.compress((tmp_path / "x.bed").read_bytes()))
    reverse = bed(tmp_path / "z.bed", intervals[::-1])
    made = [
        build.peaks({"t": f}, genome, tmp_path / f"n{i}", build="toy", split=NONE)
        for i, f in enumerate((packed, reverse))
    ]
    assert rows(made[0]) == rows(made[1])
    starts = {c: [r[1] for r in rows(made[0]) if r[0] == c] for c in ("c1", "c2", "c3")}
    assert all(np.diff(each).min() >= 512 - 200 for each in starts.values())


def test_summits(tmp_path, genome):
    path = tmp_path / "a.narrowPeak"
    path.write_text("c1\t1000\t1400\tp\t1\t.\t1.5\t2\t3\t350\n")
    folder = build.peaks([path], genome, tmp_path / "t", build="toy", split=NONE, center="summit")
    assert rows(folder) == [("c1", 1350 - 256, 1350 + 256, "0")]
    path.write_text("c1\t1000\t1400\tp\t1\t.\t1.5\t2\t3\t-1\n")
    with pytest.raises(BendError, match="line 1, summit: '-1' is no summit"):
        build.peaks([path], genome, tmp_path / "u", build="toy", split=NONE, center="summit")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "c1\t19000\t20001",
            r"line 2, end: '20001' lies beyond the chromosome's end: c1 has 20,000 bp .* another genome",
        ),
        ("c1\t30\t30", r"line 2, end: '30' is not behind start"),
        ("c1\t-5\t30", r"line 2, start: '-5' is before"),
        ("chr9\t5\t30", r"1 of 1 chromosome is not in .*chr9"),
    ],
)
def test_rows_that_cannot_be(tmp_path, genome, row, message):
    path = tmp_path / "a.bed"
    path.write_text(f"c1\t1\t20\n{row}\n")
    with pytest.raises(BendError, match=message):
        build.peaks([path], genome, tmp_path / "t", build="toy", split=NONE)
    assert not (tmp_path / "t").exists()


def test_names_of_tracks_are_unique_and_empty_ones_are_told(tmp_path, genome):
    (tmp_path / "sub").mkdir()
    one, two = bed(tmp_path / "a.bed", [("c1", 1, 9)]), bed(tmp_path / "sub" / "a.narrowPeak", [("c1", 1, 9)])
    with pytest.raises(BendError, match="are both named 'a'"):
        build.peaks([one, two], genome, tmp_path / "t", build="toy")
    empty = bed(tmp_path / "empty.bed", [])
    with pytest.raises(BendError, match="has no rows"):
        build.peaks([one, empty], genome, tmp_path / "t", build="toy", split=NONE)
    folder = build.peaks([one, empty], genome, tmp_path / "t", build="toy", split=NONE, allow_empty=True)
    assert rows(folder) == [("c1", 0, 512, "0")]


def test_negatives_are_like_the_peaks_and_touch_none(tmp_path):
    random = np.random.default_rng(2)
    # Blocks of 2 kb, rich or poor in GC, some soft-masked.
    text = "".join(
        "".join(random.choice(list("ACGT" if masked == 0 else "acgt"), 2000, p=np.array([1 - gc, gc, gc, 1 - gc]) / 2))
        for gc, masked in zip(random.choice([0.3, 0.65], 400), random.integers(0, 2, 400), strict=True)
    )
    genome = Genome(fasta(tmp_path / "g.fa", {"c": text}))
    everywhere = Windows(*(np.arange(1000, 790_000, 5000) * k + o for k, o in ((0, 0), (1, 0), (1, 200))))
    gc, masked, _ = composition(everywhere, genome)
    chosen = np.flatnonzero((gc > 0.5) & (masked < 0.5))
    peaks = Windows(*(each[chosen] for each in (everywhere.code, everywhere.start, everywhere.end)))
    code, start = matched_windows(peaks, 200, genome, seed=0, counts=Counts())
    drawn = Windows(code, start, start + 200)
    found_gc, found_masked, _ = composition(drawn, genome)
    assert len(start) == 200
    assert abs(found_gc.mean() - gc[chosen].mean()) < 0.015  # the genome's own mean is 0.17 below
    assert found_masked.max() < 0.5
    both = np.sort(np.concatenate([start, peaks.start]))
    assert np.diff(both).min() >= 200
    again = matched_windows(peaks, 200, genome, seed=0, counts=Counts())
    assert (again[1] == start).all()


def test_negative_rows_have_no_label(tmp_path, genome):
    path = bed(tmp_path / "a.bed", [("c1", s, s + 100) for s in range(500, 19_000, 900)])
    folder = build.peaks([path], genome, tmp_path / "t", build="toy", split=NONE, negatives=1.0)
    found = rows(folder)
    left_out = json.loads((folder / "sources.json").read_text())["left_out"]
    missing = left_out.get("matched window without a peak that the genome does not have", 0)
    assert missing < 5
    assert sum(label == "" for *_, label in found) + missing == sum(label == "0" for *_, label in found) == 21
    assert found == sorted(found)


def test_two_builds_of_peaks_are_byte_equal(tmp_path, genome):
    path = bed(tmp_path / "a.bed", [("c1", s, s + 100) for s in range(500, 19_000, 900)])
    names = ("x", "y")
    folders = [
        build.peaks([path], genome, tmp_path / n / "t", build="toy", split=Split("blocks", block=2000)) for n in names
    ]
    for file in folders[0].iterdir():
        assert file.read_bytes() == (folders[1] / file.name).read_bytes()
