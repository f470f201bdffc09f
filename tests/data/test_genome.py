from __future__ import annotations

import gzip
import logging
import multiprocessing
import os
import pickle
import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyfaidx
import pytest
from block_gzip import bgzip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bend_hf.data.genome import Genome, reverse_complement
from bend_hf.errors import BendError

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


def truth(sequence: str, start: int, end: int, strand: str) -> str:
    """A window of a sequence, N beyond its ends, in the slowest possible way."""
    window = "".join(sequence[i].upper() if 0 <= i < len(sequence) else "N" for i in range(start, end))
    return "".join(COMPLEMENT[base] for base in reversed(window)) if strand == "-" else window


def write(path: Path, records: dict[str, str], width: int = 60, newline: str = "\n") -> Path:
    text = ""
    for name, sequence in records.items():
        text += f">{name} note{newline}"
        text += "".join(sequence[i : i + width] + newline for i in range(0, len(sequence), width))
    path.write_bytes(text.encode())
    return path


@given(
    records=st.lists(st.text("ACGTNacgtn", min_size=1, max_size=90), min_size=1, max_size=4),
    width=st.integers(1, 40),
    newline=st.sampled_from(["\n", "\r\n"]),
    windows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(-20, 100), st.integers(1, 60), st.sampled_from("+-.")), min_size=1
    ),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_equal_plain_slices(tmp_path_factory, records, width, newline, windows) -> None:
    path = tmp_path_factory.mktemp("fasta") / "g.fa"
    named = {f"chr{k}": sequence for k, sequence in enumerate(records, start=1)}
    genome = Genome(write(path, named, width, newline))
    assert genome.lengths == {name: len(sequence) for name, sequence in named.items()}
    windows = [(k % len(records), start, start + length, strand) for k, start, length, strand in windows]
    expected = [truth(records[k], start, end, strand) for k, start, end, strand in windows]
    got = [genome.window(f"chr{k + 1}", start, end, strand, pad=True) for k, start, end, strand in windows]
    assert got == expected
    codes, starts, ends = (np.array([window[i] for window in windows]) for i in range(3))
    letters, offsets = genome.gather(codes, starts, ends, np.array([w[3] == "-" for w in windows]), pad=True)
    assert letters.tobytes().decode() == "".join(expected)
    assert offsets.tolist() == np.cumsum([0, *map(len, expected)]).tolist()


@given(st.text("ACGTN", max_size=200))
def test_reverse_complement_is_its_own_inverse(sequence: str) -> None:
    assert reverse_complement(sequence) == truth(sequence, 0, len(sequence), "-")
    assert reverse_complement(reverse_complement(sequence)) == sequence


def test_agrees_with_pyfaidx_and_its_index(tmp_path: Path) -> None:
    rng = random.Random(0)
    records = {f"c{k}": "".join(rng.choices("ACGTacgtN", k=rng.randrange(1, 3_000))) for k in range(20)}
    path = write(tmp_path / "g.fa", records, 61)
    genome = Genome(path)
    other = pyfaidx.Fasta(str(path), indexname=str(tmp_path / "other.fai"))
    assert (tmp_path / "g.fa.fai").read_text() == (tmp_path / "other.fai").read_text()
    for name, sequence in records.items():
        start = rng.randrange(len(sequence))
        assert genome.window(name, start, len(sequence)) == str(other[name][start:]).upper()


def test_equal_windows_on_both_strands_are_vectorised_alike(tmp_path: Path) -> None:
    rng = random.Random(1)
    sequence = "".join(rng.choices("ACGT", k=5_000))
    genome = Genome(write(tmp_path / "g.fa", {"chr1": sequence}))
    starts = np.array([rng.randrange(4_400) for _ in range(300)])
    minus = np.array([rng.random() < 0.5 for _ in starts])
    letters, _ = genome.gather(np.zeros(300, dtype=int), starts, starts + 512, minus)
    for row, start, is_minus in zip(letters.reshape(300, 512), starts, minus, strict=True):
        assert row.tobytes().decode() == truth(sequence, start, start + 512, "-" if is_minus else "+")


def test_names_with_and_without_chr(tmp_path: Path) -> None:
    genome = Genome(write(tmp_path / "g.fa", {"chr1": "ACGT", "X": "GGGG"}))
    assert genome.window("1", 0, 4) == "ACGT"
    assert genome.window("chrX", 0, 4) == "GGGG"
    with pytest.raises(BendError, match=r"Unknown chromosome of .*'chrY'.*Choices: chr1, X"):
        genome.window("chrY", 0, 1)


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (0, 5), (3, 3), (3, 2), (4, 5)])
def test_leaving_the_chromosome_is_an_error(tmp_path: Path, start: int, end: int) -> None:
    genome = Genome(write(tmp_path / "g.fa", {"chr1": "ACGT"}))
    with pytest.raises(BendError, match=rf"chr1:{start}-{end} .*4 bp"):
        genome.window("chr1", start, end)


@pytest.mark.parametrize("codes", [[-1], [2], [0, 2], [-1, 0]])
def test_codes_that_are_of_no_chromosome(tmp_path: Path, codes: list[int]) -> None:
    """The last one is not the one before the first."""
    genome = Genome(write(tmp_path / "g.fa", {"chr1": "ACGT", "chr2": "GGGG"}))
    starts = np.zeros(len(codes), int)
    for read in (genome.gather, genome.masked):
        with pytest.raises(BendError, match="codes of chromosomes are 0 to 1"):
            read(np.array(codes), starts, starts + 2)


def test_unknown_strand(tmp_path: Path) -> None:
    with pytest.raises(BendError, match="Unknown strand '\\?'"):
        Genome(write(tmp_path / "g.fa", {"chr1": "ACGT"})).window("chr1", 0, 1, "?")


def test_ambiguity_codes_become_n_and_are_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    genome = Genome(write(tmp_path / "g.fa", {"chr1": "ACGTRYACGT", "chr2": "AAmAA"}, 4))
    with caplog.at_level(logging.WARNING, "bend_hf"):
        assert genome.window("chr1", 2, 8) == "GTNNAC"
        assert genome.window("chr1", 2, 8, "-") == "GTNNAC"
        assert genome.window("chr2", 0, 5) == "AANAA"
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "3 IUPAC ambiguity codes (1 M, 1 R, 1 Y) are read as N."
    ]


def test_rna_is_read_as_dna_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    genome = Genome(write(tmp_path / "g.fa", {"chr1": "ACGUUuACGR"}, 4))
    with caplog.at_level(logging.WARNING, "bend_hf"):
        assert genome.window("chr1", 2, 8) == "GTTTAC"
        assert genome.window("chr1", 2, 8, "-") == "GTAAAC"
        assert genome.window("chr1", 6, 10) == "ACGN"
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "3 U (RNA) are read as T.",
        "1 IUPAC ambiguity codes (1 R) are read as N.",
    ]


def test_every_byte_is_a_base_a_code_or_an_error(tmp_path: Path) -> None:
    meant = {base: base for base in "ACGTN"} | dict.fromkeys("RYSWKMBDHV", "N") | {"U": "T"}
    for code in set(range(33, 127)) - {ord(">")}:
        genome = Genome(write(tmp_path / f"{code}.fa", {"chr1": f"A{chr(code)}A"}))
        if chr(code).upper() in meant:
            assert genome.window("chr1", 0, 3) == f"A{meant[chr(code).upper()]}A"
        else:
            with pytest.raises(BendError, match="is no nucleotide"):
                genome.window("chr1", 0, 3)


def test_what_is_no_nucleotide_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BendError, match="'L' is no nucleotide"):
        Genome(write(tmp_path / "protein.fa", {"P1": "AACLA"})).window("P1", 0, 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<html></html>", "not a FASTA file"),
        (b">chr1\nACGT\nAC\nACGT\n", "not consistent! Inconsistent line found in >chr1 at line 3"),
        (b">chr1\nACGT\nACGTA\n", "lines other than its last differ"),
        (b">chr1\nACGT\nACGT\nACGTACGT\n", "lines other than its last differ"),
        (b">chr1\nACGT\n\nACGT\n", "Inconsistent line found in >chr1 at line 3"),
        (b">chr1\nACGT\n>chr1\nAC\n", 'Duplicate key "chr1"'),
        (b">chr1\n>chr2\nAC\n", "no name or no sequence"),
        (b">\nACGT\n", "Bad sequence name"),
        (b">chr1", "no name or no sequence"),
    ],
)
def test_broken_fasta(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(content)
    with pytest.raises(BendError, match=message):
        Genome(path)
    assert not (tmp_path / "g.fa.fai").exists()


def test_missing_fasta(tmp_path: Path) -> None:
    with pytest.raises(BendError, match=r"none\.fa: there is no such FASTA file"):
        Genome(tmp_path / "none.fa")


def test_gzip_that_is_not_bgzip(tmp_path: Path) -> None:
    path = tmp_path / "g.fa.gz"
    path.write_bytes(gzip.compress(b">chr1\nACGT\n"))
    with pytest.raises(BendError, match=r"compressed with gzip, not bgzip.*gunzip -k"):
        Genome(path)


@pytest.mark.parametrize("by", ["the specification", "bgzip"])
def test_bgzip(tmp_path: Path, caches: Path, by: str) -> None:
    sequence = "".join(random.Random(0).choices("ACGT", k=200_000))
    plain = write(tmp_path / "g.fa", {"chr1": sequence})
    if by == "the specification":
        (tmp_path / "g.fa.gz").write_bytes(bgzip(plain.read_bytes()))
    elif shutil.which("bgzip") is None:
        pytest.skip("bgzip is not installed")
    else:
        subprocess.run(["bgzip", plain], check=True)
    assert Genome(tmp_path / "g.fa.gz").window("chr1", 100_000, 100_300) == sequence[100_000:100_300]
    content = (tmp_path / "g.fa.gz").read_bytes()
    end = content[-28:]
    broken = {
        "truncated": content[:40_000],
        "truncated, at a block": content[:-28],
        "damaged": content[:30_000] + bytes(1_000) + content[31_000:],
        "damaged, cut in the middle": content[:40_000] + end,
    }
    for how, bytes_ in broken.items():
        (tmp_path / "cut.fa.gz").write_bytes(bytes_)
        with pytest.raises(BendError, match=how.split(",")[0]):
            Genome(tmp_path / "cut.fa.gz")
    assert len(list((tmp_path / "cache" / "genomes").glob("*.fa"))) == 1, "nothing of a damaged file is kept"


class TestIndex:
    def test_is_written_beside_the_fasta_and_used(self, tmp_path: Path) -> None:
        path = write(tmp_path / "g.fa", {"chr1": "ACGTA"}, 2)
        Genome(path)
        assert (tmp_path / "g.fa.fai").read_text() == "chr1\t5\t11\t2\t3\n"
        before = (tmp_path / "g.fa.fai").stat().st_mtime_ns
        assert Genome(path).window("chr1", 0, 5) == "ACGTA"
        assert (tmp_path / "g.fa.fai").stat().st_mtime_ns == before

    def test_lies_in_the_cache_where_the_folder_is_read_only(
        self, tmp_path: Path, caches: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "locked"
        folder.mkdir()
        path = write(folder / "g.fa", {"chr1": "ACGTA"}, 2)
        # Root may write anywhere: say what the system says to others.
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert Genome(path).window("1", 1, 5) == "CGTA"
        assert [entry.name for entry in folder.iterdir()] == ["g.fa"]
        assert len(list((tmp_path / "cache" / "indexes").iterdir())) == 1

    def test_older_than_its_fasta(self, tmp_path: Path, caches: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = write(tmp_path / "g.fa", {"chr1": "ACGT" * 10}, 8)
        Genome(path)
        os.utime(tmp_path / "g.fa.fai", ns=(1, 1))
        path.write_bytes(path.read_bytes().replace(b"A", b"C"))
        assert Genome(path).window("chr1", 0, 4) == "CCGT"
        assert "is older than its FASTA" in caplog.text

    def test_that_is_a_link_is_not_written_through(self, tmp_path: Path, caches: Path) -> None:
        """A folder from a stranger must not have us write where its links point."""
        write(tmp_path / "g.fa", {"chr1": "ACGTN"})
        for target in ("nowhere", "g.fa.fai"):
            (tmp_path / "g.fa.fai").unlink(missing_ok=True)
            (tmp_path / "g.fa.fai").symlink_to(target)
            assert Genome(tmp_path / "g.fa").window("chr1", 0, 5) == "ACGTN"
            assert (tmp_path / "g.fa.fai").is_symlink()
            assert not (tmp_path / "nowhere").exists()

    @pytest.mark.parametrize(
        "index",
        [
            "chr1\t40\t11\t9\t10\n",
            "chr1\t40\t12\t8\t9\n",
            "chr1\t20\t11\t8\t9\n",
            "chr1\t90\t11\t8\t9\n",
            "chr2\t40\t11\t8\t9\n",
            "chr1\t40\t11\t8\n",
            "chr1\t40\tx\t8\t9\n",
            "",
        ],
    )
    def test_that_does_not_fit_its_fasta(self, tmp_path: Path, caches: Path, index: str) -> None:
        path = write(tmp_path / "g.fa", {"chr1": "ACGTT" * 8}, 8)
        (tmp_path / "g.fa.fai").write_text(index)
        assert Genome(path).window("chr1", 0, 40) == "ACGTT" * 8
        assert (tmp_path / "g.fa.fai").read_text() == index, "the user's file is left alone"

    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_of_lines_that_were_wrapped_anew(
        self, tmp_path: Path, caches: Path, caplog: pytest.LogCaptureFixture, newline: str
    ) -> None:
        """120 bp in lines of 60 or of 40: with one line break more, 123 bp would end at the same byte."""
        sequence = "".join(random.Random(3).choices("ACGT", k=119))
        path = write(tmp_path / "g.fa", {"chr1": sequence}, 40, newline)
        end = len(path.read_bytes()) - len(newline)
        wrong = end - len(">chr1 note" + newline) - len(newline)  # if there were one break instead of two
        (tmp_path / "g.fa.fai").write_text(f"chr1\t{wrong}\t{10 + len(newline)}\t70\t{70 + len(newline)}\n")
        assert Genome(path).window("chr1", 38, 90) == sequence[38:90]
        assert "does not fit it; another index is made and used" in caplog.text

    def test_of_uneven_lines_is_refused(self, tmp_path: Path, caches: Path) -> None:
        """Lines of 60, 50 and 70, and an index for 60: its ends fit, and positions behind the first line do not."""
        sequence = "".join(random.Random(4).choices("ACGT", k=180))
        path = tmp_path / "z.fa"
        path.write_text(f">c\n{sequence[:60]}\n{sequence[60:110]}\n{sequence[110:]}\n")
        (tmp_path / "z.fa.fai").write_text("c\t180\t3\t60\t61\n")
        with pytest.raises(BendError, match=r"z\.fa cannot be indexed: .*rewrap its lines"):
            Genome(path)

    @pytest.mark.parametrize("at", [61, 90, 121, 122])
    def test_a_line_break_in_another_place(self, tmp_path: Path, caches: Path, at: int) -> None:
        sequence = "".join(random.Random(5).choices("ACGT", k=300))
        path = write(tmp_path / "g.fa", {"chr1": sequence})
        Genome(path)
        content = bytearray(path.read_bytes())
        content[11 + at], content[11 + at - 1] = content[11 + at - 1], ord("\n")
        path.write_bytes(content)
        os.utime(tmp_path / "g.fa.fai")
        with pytest.raises(BendError, match="cannot be indexed"):
            Genome(path)

    def test_of_another_file_of_the_same_size(self, tmp_path: Path, caches: Path) -> None:
        rng = random.Random(6)
        sequences = {"chr1": "".join(rng.choices("ACGT", k=130)), "chr2": "".join(rng.choices("ACGT", k=70))}
        other = {"chr1": "".join(rng.choices("ACGT", k=70)), "chr2": "".join(rng.choices("ACGT", k=130))}
        Genome(write(tmp_path / "other.fa", other))
        path = write(tmp_path / "g.fa", sequences)
        assert path.stat().st_size == (tmp_path / "other.fa").stat().st_size
        shutil.copy(tmp_path / "other.fa.fai", tmp_path / "g.fa.fai")
        assert Genome(path).window("chr1", 0, 130) == sequences["chr1"]

    def test_a_symlinked_fasta(self, tmp_path: Path, caches: Path) -> None:
        path = write(tmp_path / "g.fa", {"chr1": "ACGTT" * 20}, 8)
        (tmp_path / "links").mkdir()
        link = tmp_path / "links" / "g.fa"
        link.symlink_to(path)
        assert Genome(link).window("chr1", 0, 100) == "ACGTT" * 20

    def test_lines_of_a_large_fasta_are_compared_once(
        self, tmp_path: Path, caches: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bend_hf.files._REMEMBERED_FROM", 0)
        monkeypatch.setattr("bend_hf.files._SETTLED_NS", 0)
        path = write(tmp_path / "g.fa", {"chr1": "ACGTT" * 20}, 8)
        Genome(path)
        with monkeypatch.context() as patch:
            patch.setattr("bend_hf.data.genome._lines_fit", None)
            assert Genome(path).window("chr1", 0, 100) == "ACGTT" * 20
        (tmp_path / "g.fa.fai").write_text("chr1\t101\t11\t9\t10\n")  # another index of the same file
        assert Genome(path).window("chr1", 0, 100) == "ACGTT" * 20

    def test_of_an_appended_fasta(self, tmp_path: Path, caches: Path) -> None:
        path = write(tmp_path / "g.fa", {"chr1": "ACGT"})
        Genome(path)
        with path.open("a") as file:
            file.write(">chr2\nGGGG\n")
        os.utime(tmp_path / "g.fa.fai")
        assert Genome(path).window("chr2", 0, 4) == "GGGG"


def _read_many(genome: Genome, seed: int, sequence: str, wrong: multiprocessing.Queue) -> None:
    rng = random.Random(seed)
    starts = [rng.randrange(len(sequence) - 512) for _ in range(2_000)]
    wrong.put(sum(genome.window("chr1", start, start + 512) != sequence[start : start + 512] for start in starts))


def test_one_genome_read_by_forked_processes_at_once(tmp_path: Path) -> None:
    """A file handle that is shared across fork has one position for all, and returns wrong DNA."""
    sequence = "".join(random.Random(0).choices("ACGT", k=1_000_000))
    genome = Genome(write(tmp_path / "g.fa", {"chr1": sequence}))
    genome.window("chr1", 0, 10)
    context = multiprocessing.get_context("fork")
    wrong: multiprocessing.Queue = context.Queue()
    workers = [context.Process(target=_read_many, args=(genome, seed, sequence, wrong)) for seed in range(8)]
    for worker in workers:
        worker.start()
    counts = [wrong.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join()
    assert counts == [0] * 8


def test_pickling(tmp_path: Path) -> None:
    genome = Genome(write(tmp_path / "g.fa", {"chr1": "ACGT"}))
    genome.window("chr1", 0, 1)
    assert pickle.loads(pickle.dumps(genome)).window("chr1", 1, 4) == "CGT"


def test_a_genome_cut_short_while_in_use_is_one_error(tmp_path: Path) -> None:
    """A page beyond the end of a mapped file would end the process."""
    genome = Genome(write(tmp_path / "g.fa", {"chr1": "ACGT" * 5000}))
    assert genome.window("chr1", 19_990, 20_000) == "GTACGTACGT"
    os.truncate(tmp_path / "g.fa", 100)
    with pytest.raises(BendError, match="changed while in use"):
        genome.window("chr1", 19_990, 20_000)


INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@pytest.mark.parametrize("first", INTEGERS)
@pytest.mark.parametrize("second", INTEGERS)
def test_windows_of_any_type_of_whole_numbers_are_the_same(tmp_path, first, second):
    sequence = "".join(np.random.default_rng(0).choice(list("ACGTacgt"), 203))
    (tmp_path / "g.fa").write_text(f">a\n{sequence}\n>b\nACGT\n")
    genome = Genome(tmp_path / "g.fa")
    codes, starts, ends = np.array([0, 0, 1], second), np.array([0, 100, 1], first), np.array([10, 120, 3], second)
    parts = [sequence[:10], sequence[100:120], "CG"]
    assert genome.gather(codes, starts, ends)[0].tobytes().decode() == "".join(parts).upper()
    assert genome.masked(codes, starts, ends).tolist() == [sum(map(str.islower, part)) for part in parts]
    if first.startswith("int"):
        letters, _ = genome.gather(codes[:1], np.array([-100], first), np.array([100], second), pad=True)
        assert letters.tobytes().decode() == "N" * 100 + sequence[:100].upper()


def test_a_position_below_zero_in_a_type_without_signs_is_refused(tmp_path):
    (tmp_path / "g.fa").write_text(">a\nACGTACGT\n")
    below = np.array([3], np.uint64) - np.uint64(5)
    with pytest.raises(BendError, match="below 2⁶³: was a larger one taken from a smaller"):
        Genome(tmp_path / "g.fa").gather(np.array([0]), below, np.array([4]), pad=True)


@pytest.mark.parametrize("at", ["a line break more", "a line break fewer"])
def test_a_genome_whose_lines_change_while_in_use_is_one_error(tmp_path: Path, at: str) -> None:
    """Of the same size, but its bases do not lie where its index says."""
    path = write(tmp_path / "g.fa", {"chr1": "ACGT" * 50})
    genome = Genome(path)
    with path.open("r+b") as file:
        file.seek(len(">chr1 note\n") + (30 if at == "a line break more" else 60))
        file.write(b"\n" if at == "a line break more" else b"A")
    with pytest.raises(BendError, match="changed while in use"):
        genome.window("chr1", 10, 100)
    assert genome.window("chr1", 120, 140) == "ACGT" * 5
