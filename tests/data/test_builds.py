"""A genome is of its task's build, or it is an error, or somebody says that they know."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from data_folder import DataFolder

import bend_hf
from bend_hf.data import toy
from bend_hf.data.builds import ALIASES, LENGTHS, by_build, judge
from bend_hf.data.sources import locate
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS


def genome(**lengths: int) -> SimpleNamespace:
    return SimpleNamespace(path=Path("g.fa"), lengths=lengths)


def whole(build: str, prefix: str = "chr") -> SimpleNamespace:
    return genome(**{prefix + name: length for name, length in LENGTHS[build].items()}, chrUn_KI270302v1=2_274)


def test_the_lengths_of_well_known_chromosomes() -> None:
    assert {build: lengths["1"] for build, lengths in LENGTHS.items()} == {"GRCh38": 248_956_422, "GRCh37": 249_250_621}
    assert {build: lengths["Y"] for build, lengths in LENGTHS.items()} == {"GRCh38": 57_227_415, "GRCh37": 59_373_566}
    for lengths in LENGTHS.values():
        assert list(lengths) == [*map(str, range(1, 23)), "X", "Y"]
    # The sums of the 24 chromosomes, as the assembly reports give them.
    assert sum(LENGTHS["GRCh38"].values()) == 3_088_269_832
    assert sum(LENGTHS["GRCh37"].values()) == 3_095_677_412
    assert not set(LENGTHS["GRCh38"].values()) & set(LENGTHS["GRCh37"].values()), "every chromosome tells them apart"


@pytest.mark.parametrize("prefix", ["chr", ""])
@pytest.mark.parametrize("build", list(LENGTHS))
def test_a_whole_genome_is_known_by_its_lengths(build: str, prefix: str) -> None:
    assert judge(whole(build, prefix), build) == "lengths"
    [other] = set(LENGTHS) - {build}
    for checked in (False, True):  # nobody's word turns one build into another
        with pytest.raises(BendError, match=rf"g\.fa is not {other}: its (chr)?1 has .* That is the length in {build}"):
            judge(whole(build, prefix), other, checked=checked)


def test_one_chromosome_is_enough() -> None:
    assert judge(genome(chr22=50_818_468), "GRCh38") == "lengths"
    assert judge(genome(chr22=50_818_468, chrM=16_569), "hg38") == "lengths"
    assert judge(genome(chr22=50_818_468), "GRCh38.p14") == "lengths"
    with pytest.raises(BendError, match=r"chr22 has 50,818,468 bp, GRCh37's has 51,304,566"):
        judge(genome(chr22=50_818_468), "GRCh37")


@pytest.mark.parametrize(
    ("lengths", "why"),
    [
        ({"chr22": 1_700_000}, "its chr22 has 1,700,000 bp, GRCh38's has 50,818,468"),
        ({"chr1": 248_387_328}, "its chr1 has 248,387,328 bp"),  # T2T-CHM13
        ({"chr1": 248_956_422, "chr2": 1_000}, "its chr2 has 1,000 bp"),
        ({"NC_000001.11": 248_956_422}, "it has no chromosome of known length"),
        ({"chrM": 16_569}, "it has no chromosome of known length"),
    ],
)
def test_what_cannot_tell_needs_somebodys_word(lengths: dict[str, int], why: str) -> None:
    with pytest.raises(BendError, match=rf"Nothing tells whether g\.fa is GRCh38: {why}.*--genome-checked"):
        judge(genome(**lengths), "GRCh38")
    assert judge(genome(**lengths), "GRCh38", checked=True) == "user"


def test_no_slice_is_longer_than_its_chromosome() -> None:
    with pytest.raises(BendError, match=r"is not GRCh38: its chr21 has 46,709,984 bp"):
        judge(genome(chr21=46_709_984), "GRCh38", checked=True)


def test_a_build_with_lengths_of_its_own() -> None:
    lengths = {"chr1": 30_427_671, "chr2": 19_698_289}
    assert judge(genome(**{"1": 30_427_671, "2": 19_698_289}), "TAIR10", lengths=lengths) == "lengths"
    with pytest.raises(BendError, match="is not TAIR10: its 1 has 248,956,422 bp"):
        judge(genome(**{"1": 248_956_422}), "TAIR10", lengths=lengths)
    with pytest.raises(BendError, match="Nothing tells whether"):
        judge(whole("GRCh38"), "a build of mine")
    assert judge(whole("GRCh38"), "a build of mine", checked=True) == "user"


class TestNames:
    def test_are_those_of_the_builds_or_of_ucsc(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert by_build({"hg38": "/a.fa", "GRCh37": Path("/b.fa")}, []) == {
            "GRCh38": Path("/a.fa"),
            "GRCh37": Path("/b.fa"),
        }
        assert [record.getMessage() for record in caplog.records] == ["The genome given for hg38 is taken for GRCh38."]
        assert set(ALIASES.values()) == set(LENGTHS)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"GRCh39": "a.fa"}, "Unknown genome build 'GRCh39'. Did you mean 'GRCh38'?"),
            ({"grch38": "a.fa"}, "Did you mean 'GRCh38'?"),
            ({"hg38": "a.fa", "GRCh38": "b.fa"}, "The genome of GRCh38 is given twice"),
            ({"GRCh38": None}, "The genome of GRCh38 is None, which is no path"),
            ({"GRCh38": ""}, "which is no path"),
            ({38: "a.fa"}, "Unknown genome build '38'"),
            (38, "genome=38 is neither the path of a FASTA nor a mapping"),
            (["a.fa"], "is neither the path of a FASTA nor a mapping"),
        ],
    )
    def test_others_are_errors(self, given: object, message: str) -> None:
        with pytest.raises(BendError) as error:
            by_build(given, [])
        assert message in str(error.value)

    def test_an_unused_genome_is_checked_too(self, data: DataFolder) -> None:
        with pytest.raises(BendError, match="Unknown genome build 'mm10'"):
            locate(TASKS["gene_finding"], data.folder, {"GRCh38": data.fasta, "mm10": data.fasta}, genome_checked=True)


class TestBeforeWork:
    def test_a_slice_is_refused_until_somebody_knows(self, data: DataFolder, tmp_path: Path) -> None:
        options = {"data_dir": data.folder, "genome": data.fasta, "output": tmp_path / "results"}
        with pytest.raises(BendError, match="Nothing tells whether"):
            bend_hf.evaluate("composition", "cpg_methylation", **options)
        assert not (tmp_path / "results").exists()
        files = locate(TASKS["cpg_methylation"], data.folder, data.fasta, genome_checked=True)
        assert files.build_known == "user"

    def test_the_record_says_how_the_build_is_known(self, toy_dir: Path, tmp_path: Path) -> None:
        [result] = bend_hf.evaluate("composition", "variant_effects_disease", data_dir=toy_dir, output=tmp_path)
        written = json.loads(result.path.read_text())
        assert written["provenance"]["files"]["build"] == "GRCh38"
        assert written["provenance"]["files"]["build_known"] == "toy"

    def test_toy_data_belongs_to_its_own_genomes(self, toy_dir: Path, tmp_path: Path) -> None:
        chromatin = TASKS["chromatin_accessibility"]
        assert locate(chromatin, toy_dir).build_known == "toy"
        for checked in (False, True):
            with pytest.raises(BendError, match=r"GRCh38\.toy\.fa is not the genome of GRCh37 that .* was made with"):
                locate(chromatin, toy_dir, toy_dir / "genomes" / "GRCh38.toy.fa", genome_checked=checked)
        copy = shutil.copytree(toy_dir, tmp_path / "copy")
        fasta = copy / "genomes" / "GRCh37.toy.fa"
        fasta.write_bytes(fasta.read_bytes().replace(b"A", b"C", 1))
        with pytest.raises(BendError, match="is not the genome of GRCh37"):
            locate(chromatin, copy)
        assert (copy / toy.MANIFEST).is_file()


def test_paths_mean_what_they_meant_when_they_were_given(
    data: DataFolder, caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = TASKS["cpg_methylation"]
    relative = os.path.relpath(data.folder), os.path.relpath(data.fasta)
    files = locate(task, *relative, genome_checked=True)
    streamed = bend_hf.load_dataset(
        "cpg_methylation", data_dir=relative[0], genome=relative[1], genome_checked=True, streaming=True
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert all(path.is_absolute() and path.is_file() for path in files.paths.values())
    assert len(list(streamed["train"])) == 20
