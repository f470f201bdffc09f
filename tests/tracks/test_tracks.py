"""Tracks are read back with other readers (pybigtools, pysam, plain text) and compared with where things really lie."""

import dataclasses
import gzip
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np
import pybigtools
import pysam
import pytest
from result_factory import PROVENANCE, make_result, scored, simulate, stored
from tasks_of_ones_own import make_task

import bend_hf
from bend_hf.cli import main
from bend_hf.data.builds import LENGTHS
from bend_hf.errors import BendError
from bend_hf.files import content_digest
from bend_hf.results.predictions import make_predictions
from bend_hf.results.record import write_result
from bend_hf.tasks import TASKS
from bend_hf.tracks.genes import Transcript, phases, write_gff3
from bend_hf.tracks.places import Places, on_plus_strand
from bend_hf.tracks.signal import Cover
from bend_hf.tracks.write import write_tracks

WHOLE = PROVENANCE | {"files": {"build": "GRCh38", "build_known": "lengths"}}


def tracks_of(folder, name, predictions, genome=None, **changes):
    """Write a record, export it, and return the folder of its tracks."""
    path = stored(folder / "results", name, predictions, **changes)
    write_tracks(bend_hf.read_results(path), folder / "tracks", genome)
    return folder / "tracks" / "simulated" / path.stem


def lines_of(path):
    return [line.split("\t") for line in path.read_text().splitlines() if not line.startswith(("#", "track"))]


def bigwig(path, chromosome, start, end):
    return np.asarray(pybigtools.open(str(path)).values(chromosome, start, end, fillna=np.nan))


def windows(task, rows, scores, labels):
    keys = {name: [row[k] for row in rows] for k, name in enumerate(("chromosome", "start", "end", "strand"))}
    return make_predictions(task, keys, scores, labels)


def test_labels_of_windows_are_means_where_windows_overlap(tmp_path):
    task = TASKS["histone_modification"]
    rows = [("chr1", 100, 612, "+"), ("chr1", 356, 868, "-"), ("chr2", 0, 512, "+")]
    scores, labels = np.full((3, 18), 0.1), np.zeros((3, 18), np.int8)
    scores[:, 3], labels[1, 3] = [0.8, 0.4, 0.9], 1
    below = tracks_of(tmp_path, task.name, windows(task, rows, scores, labels), provenance=WHOLE, toy=False)
    wanted = [("chr1", 100, 356, 0.8), ("chr1", 356, 612, 0.6), ("chr1", 612, 868, 0.4), ("chr2", 0, 512, 0.9)]
    found = [(c, int(a), int(b), float(v)) for c, a, b, v in lines_of(below / "label_3.bedgraph")]
    assert found == wanted
    file = below / "label_3.bw"
    assert pybigtools.open(str(file)).chroms("chr1") == LENGTHS["GRCh38"]["1"]
    for chromosome, start, end, value in wanted:
        assert bigwig(file, chromosome, start, end) == pytest.approx(np.full(end - start, value))
    assert np.isnan(bigwig(file, "chr1", 868, 900)).all()
    peaks = {tuple(row[:5]) for row in lines_of(below / "called.bed")}
    assert peaks == {("chr1", "100", "612", "label_3", "800"), ("chr2", "0", "512", "label_3", "900")}
    assert [row[:4] for row in lines_of(below / "true.bed")] == [["chr1", "356", "868", "label_3"]]
    entries = list(pybigtools.open(str(below / "called.bb")).records("chr1"))
    assert [(entry[0], entry[1], *entry[2:5]) for entry in entries] == [(100, 612, "label_3", "800", ".")]


def test_chromosomes_without_chr_get_the_names_of_the_browser(tmp_path):
    task = TASKS["chromatin_accessibility"]
    files = {"build": "GRCh37", "build_known": "lengths"}
    rows = [("1", 100, 612, "+"), ("X", 0, 512, "-")]
    predictions = windows(task, rows, np.full((2, 125), 0.6), np.ones((2, 125), np.int8))
    below = tracks_of(tmp_path, task.name, predictions, provenance=PROVENANCE | {"files": files}, toy=False)
    assert {row[0] for row in lines_of(below / "8988T.bedgraph")} == {"chr1", "chrX"}
    assert (tmp_path / "tracks" / "hub.hg19.txt").is_file()


def test_bins_and_values(tmp_path):
    task = TASKS["enhancer_annotation"]
    predictions = simulate(task.name, rows=10)
    below = tracks_of(tmp_path, task.name, predictions, provenance=WHOLE, toy=False)
    scores, labels = predictions.scores.reshape(10, 782), predictions.labels.reshape(10, 782)
    names = predictions.column("chromosome")
    # Windows of 100,096 bp begin every 1,000 bp: the mean over those that cover a place, by brute force.
    for place in (0, 1_000, 9_500, 50_001):
        covering = [k for k in range(10) if names[k] == "chr1" and k * 1000 <= place < k * 1000 + 100_096]
        assert covering
        wanted = np.mean([scores[k, (place - k * 1000) // 128] for k in covering])
        assert bigwig(below / "score.bw", "chr1", place, place + 1)[0] == pytest.approx(wanted, abs=1e-4)
    true = {(row[0], place) for row in lines_of(below / "true.bed") for place in range(int(row[1]), int(row[2]), 8)}
    starts = predictions.column("start")
    bins = {
        (names[k], starts[k] + j * 128 + 8 * i) for k, j in zip(*np.nonzero(labels), strict=True) for i in range(16)
    }
    assert true == bins


def test_variants_as_vcf_and_bed(tmp_path):
    task = TASKS["variant_effects_disease"]
    keys = {"chromosome": ["chr2", "chr1", "chr1"], "start": [9, 41, 7], "ref": list("ACG"), "alt": list("TGA")}
    keys |= {"consequence": ["a", "b", "c;d=e, f"]}
    beside = {"cosine": [0.1, 0.2, 0.3], "llr sum": [3.0, -2.0, 1.0], "llr_sum": [0.0, 0.0, 9.0]}
    values = {name: np.array(each) for name, each in beside.items()}
    predictions = make_predictions(task, keys, np.array([0.25, 0.5, 1.0]), np.array([1, 0, 1]), values)
    below = tracks_of(tmp_path, task.name, predictions, provenance=WHOLE, toy=False)
    with pysam.VariantFile(str(below / "variants.vcf")) as file:
        found = list(file)
        assert file.header.contigs["chr2"].length == LENGTHS["GRCh38"]["2"]
    # pysam's own start is 0-based, as the rows are.
    assert [(each.chrom, each.start, each.ref, each.alts) for each in found] == [
        ("chr1", 7, "G", ("A",)),
        ("chr1", 41, "C", ("G",)),
        ("chr2", 9, "A", ("T",)),
    ]
    assert [each.info["LABEL"] for each in found] == [1, 0, 1]
    assert [each.info["S_llr_sum"] for each in found] == [1.0, -2.0, 3.0]
    assert [each.info["S_llr_sum_"] for each in found] == [9.0, 0.0, 0.0]
    assert found[0].info["CONSEQUENCE"] == "c%3Bd%3De%2C%20f"
    bed = lines_of(below / "variants.bed")
    assert [row[:5] for row in bed] == [
        ["chr1", "7", "8", "G>A", "1000"],
        ["chr1", "41", "42", "C>G", "667"],
        ["chr2", "9", "10", "A>T", "333"],
    ]
    assert [row[9:] for row in bed] == [["1", "1"], ["0.5", "0"], ["0.25", "1"]]


def test_genes_of_the_toy_lie_where_its_coordinates_say(toy_dir, tmp_path):
    """Every label read with h5py: CDS of the GFF3, put back on windows, give the exons of both strands."""
    task = TASKS["gene_finding"]
    rows = [line.split("\t") for line in (toy_dir / "gene_finding" / "gene_finding.bed").read_text().splitlines()[1:]]
    with h5py.File(toy_dir / "gene_finding" / "gene_finding.hdf5") as file:
        labels = [np.asarray(each).astype(np.int8) for each in file["labels"]]
    assert {row[4] for row in rows} == {"+", "-"}
    keys = {"chromosome": [row[0] for row in rows], "start": [int(row[1]) for row in rows]}
    keys |= {"end": [int(row[2]) for row in rows], "strand": [row[4] for row in rows]}
    keys["transcript_id"] = [row[3] for row in rows]
    predictions = make_predictions(task, keys, [np.eye(9)[each] * 0.8 + 0.02 for each in labels], labels)
    genome = toy_dir / "genomes" / "GRCh38.toy.fa"
    made = PROVENANCE | {"files": {"build": "GRCh38", "build_known": "toy", "genome": content_digest(genome)}}
    below = tracks_of(tmp_path, task.name, predictions, genome, provenance=made)
    exons = set()
    for name, start, label in zip(keys["chromosome"], keys["start"], labels, strict=True):
        for strand, exon in (("+", 0), ("-", 4)):
            exons |= {(name, start + int(k), strand) for k in np.flatnonzero(label == exon)}
    for kind in ("true", "called"):
        found = lines_of(below / f"{kind}.gff3")
        cds = [row for row in found if row[2] == "CDS"]
        covered = {(row[0], k, row[6]) for row in cds for k in range(int(row[3]) - 1, int(row[4]))}
        assert covered == exons
        assert sum(row[2] == "mRNA" for row in found) == len(rows)
        blocks = lines_of(below / f"{kind}.bed")
        assert [int(row[9]) for row in blocks] == [
            sum(other[8].endswith(f"Parent={row[8].split(';')[0][3:]}") for other in cds)
            for row in sorted((row for row in found if row[2] == "mRNA"), key=lambda row: (row[0], int(row[3])))
        ]
    assert {row[5] for row in cds} == {"0.8200"}
    true = [row for row in lines_of(below / "true.gff3") if row[2] == "mRNA"]
    strand_of = dict(zip(keys["transcript_id"], keys["strand"], strict=True))
    assert {row[8].split("Name=")[1]: row[6] for row in true} == strand_of
    big = pybigtools.open(str(below / "true.bb"))
    assert sum(len(list(big.records(name))) for name in big.chroms()) == len(rows)
    first = labels[0]
    probability = bigwig(below / "exon_forward.bw", rows[0][0], int(rows[0][1]), int(rows[0][2]))
    assert probability == pytest.approx(np.where(first == 0, 0.82, 0.02))


def test_genes_of_the_real_slice_are_those_of_gencode_with_their_phases(real_dir, tmp_path):
    task = TASKS["gene_finding"]
    rows = [line.split("\t") for line in (real_dir / "gene_finding" / "gene_finding.bed").read_text().splitlines()[1:]]
    with h5py.File(real_dir / "gene_finding" / "gene_finding.hdf5") as file:
        labels = [np.asarray(each).astype(np.int8) for each in file["labels"]]
    keys = {"chromosome": [row[0] for row in rows], "start": [int(row[1]) for row in rows]}
    keys |= {"end": [int(row[2]) for row in rows], "strand": [row[4] for row in rows]}
    keys["transcript_id"] = [row[3] for row in rows]
    predictions = make_predictions(task, keys, [np.eye(9)[each] for each in labels], labels)
    below = tracks_of(tmp_path, task.name, predictions)
    wanted, offset = defaultdict(set), 37_200_000
    with gzip.open(real_dir / "goldens" / "primary" / "gencode.v33.basic.chr22.gtf.gz", "rt") as lines:
        for fields in (line.split("\t") for line in lines):
            if len(fields) == 9 and fields[2] == "CDS":
                name = fields[8].split('transcript_id "')[1].split('"')[0]
                wanted[name].add((int(fields[3]) - offset, int(fields[4]) - offset, fields[6], fields[7]))
    found, names = defaultdict(set), {}
    for row in lines_of(below / "true.gff3"):
        parts = dict(part.split("=") for part in row[8].split(";"))
        if row[2] == "mRNA":
            names[parts["ID"]] = parts["Name"]
        else:
            found[names[parts["Parent"]]].add((int(row[3]), int(row[4]), row[6], row[7]))
    assert len(found) == len(rows)
    assert found == {name: wanted[name] for name in keys["transcript_id"]}


def test_phases_by_hand():
    exons = ((0, 4), (10, 15), (20, 23))
    each = Transcript("chr1", "+", exons, None, "", 0)
    assert phases(each) == [0, 2, 0]  # 4 = 3 + 1: two nucleotides of the next exon end the codon
    assert phases(dataclasses.replace(each, strand="-")) == [1, 0, 0]  # from the right: 3, 5, 4


def test_stranded_windows_by_nucleotide_are_turned_back():
    names = TASKS["gene_finding"].label_names
    task = make_task(
        "turned",
        label_kind="per_nucleotide_class",
        label_names=names,
        turned_labels=(*names[4:8], *names[:4], names[8]),
        window=None,
    )
    labels = np.array([0, 1, 2, 3, 0, 8], np.int8)
    keys = {"chromosome": ["IV", "IV"], "start": [10, 30], "end": [16, 36], "strand": ["+", "-"]}
    scores = [np.eye(9)[labels] * 0.5 + np.arange(6)[:, None] / 100] * 2
    turned = on_plus_strand(make_predictions(task, keys, scores, [labels, labels]))
    assert turned.labels.tolist() == [0, 1, 2, 3, 0, 8, 8, 4, 7, 6, 5, 4]
    assert turned.scores.argmax(axis=1).tolist() == turned.labels.tolist()
    assert turned.scores[6:, 8].tolist() == pytest.approx([0.55, 0.04, 0.03, 0.02, 0.01, 0.0])
    assert turned.column("strand").tolist() == ["+", "+"]


def test_classes_of_windows_and_values(tmp_path):
    task = bend_hf.register(make_task("kinds", label_kind="window_class", label_names=("low", "mid", "a top")))
    rows = [("IV", 100, 200, "-"), ("IV", 200, 300, "+")]
    predictions = windows(task, rows, np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]), np.array([2, 1]))
    from bend_hf.tasks import to_document

    made = {"declaration": to_document(task), "files": {"build": "WBcel235", "build_known": "lengths"}}
    below = tracks_of(tmp_path, "kinds", predictions, provenance=PROVENANCE | made, toy=False)
    assert lines_of(below / "called.bed") == [
        ["IV", "100", "200", "a_top", "700", "-"],
        ["IV", "200", "300", "low", "500", "+"],
    ]
    assert [row[3] for row in lines_of(below / "true.bed")] == ["a_top", "mid"]
    assert pybigtools.open(str(below / "low.bw")).chroms() == {"IV": 30_000}
    value = bend_hf.register(make_task("values", label_kind="window_value", label_names=("value",), metric="pearson"))
    predictions = windows(value, rows, np.array([1e-7, -1234.5678]), np.array([1.0, 2.0], np.float32))
    made = {"declaration": to_document(value), "files": {"build": "WBcel235", "build_known": "lengths"}}
    below = tracks_of(tmp_path, "values", predictions, provenance=PROVENANCE | made, toy=False)
    assert [float(row[3]) for row in lines_of(below / "score.bedgraph")] == pytest.approx([1e-7, -1234.5678])
    assert not (below / "called.bed").exists()


def test_covers_agree_with_brute_force():
    rng = np.random.default_rng(1)
    task = TASKS["histone_modification"]
    starts = rng.integers(0, 3000, 40)
    rows = [("chr1" if k % 2 else "chr2", int(start), int(start) + 512, "+") for k, start in enumerate(starts)]
    scores = rng.random((40, 18))
    predictions = windows(task, rows, scores, np.zeros((40, 18), np.int8))
    places = Places({"chr1": "chr1", "chr2": "chr2"}, None, None, None)
    found = list(Cover(predictions, places).mean(scores[:, 5], digits=None))
    for chromosome in ("chr1", "chr2"):
        total, depth = np.zeros(4000), np.zeros(4000)
        for row, score in zip(rows, scores[:, 5], strict=True):
            if row[0] == chromosome:
                total[row[1] : row[2]] += score
                depth[row[1] : row[2]] += 1
        drawn = np.full(4000, np.nan)
        for _, start, end, value in (each for each in found if each[0] == chromosome):
            assert np.isnan(drawn[start:end]).all(), "places overlap"
            drawn[start:end] = value
        np.testing.assert_allclose(drawn, np.where(depth > 0, total / np.maximum(depth, 1), np.nan), rtol=1e-6)


def test_sessions_and_hubs_name_files_that_are_there(tmp_path):
    predictions = simulate("histone_modification", rows=8)
    tracks_of(tmp_path, "histone_modification", predictions, provenance=WHOLE, toy=False, model="simulated")
    session = ElementTree.parse(tmp_path / "tracks" / "igv_session.hg38.xml").getroot()
    assert session.attrib["genome"] == "hg38"
    assert session.attrib["locus"] == "chr1:1-512"
    resources = [each.attrib["path"] for each in session.iter("Resource")]
    assert len(resources) == 18 + 2
    assert all((tmp_path / "tracks" / path).is_file() for path in resources)
    stanzas = (tmp_path / "tracks" / "hub.hg38.txt").read_text().split("\n\n")
    assert "useOneFile on" in stanzas[0]
    assert stanzas[1] == "genome hg38"
    tracks = [dict(line.split(" ", 1) for line in stanza.splitlines()) for stanza in stanzas[2:]]
    assert len({track["track"] for track in tracks}) == len(tracks) == 20
    assert {track["type"] for track in tracks} == {"bigWig 0 1", "bigBed 6"}
    for track in tracks:
        assert (tmp_path / "tracks" / track["bigDataUrl"]).is_file()
        assert len(track["shortLabel"]) <= 17


def test_without_lengths_text_alone_is_written_and_said(tmp_path, caplog):
    below = tracks_of(tmp_path, "cpg_methylation", simulate("cpg_methylation", rows=6))
    assert "left out where nothing tells how long the chromosomes are" in caplog.text
    assert {path.suffix for path in below.iterdir()} == {".bedgraph", ".bed"}
    assert not list((tmp_path / "tracks").glob("*.*"))
    assert "TOY DATA" in (below / "called.bed").read_text().splitlines()[0]


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path):
    genome = tmp_path / "other.fa"
    genome.write_text(">chr1\n" + "A" * 700 + "\n>chr2\n" + "C" * 700 + "\n>chr3\nACGT\n")
    predictions = simulate("cpg_methylation", rows=6)
    files = {"build": "GRCh38", "build_known": "user", "genome": "0" * 64}
    with pytest.raises(BendError, match="is not the genome that simulated was evaluated with"):
        tracks_of(tmp_path, "cpg_methylation", predictions, genome, provenance=PROVENANCE | {"files": files})
    with pytest.raises(BendError, match=r"a row ends at 1,512 on chr1, which has 700 bp"):
        tracks_of(tmp_path, "cpg_methylation", predictions, genome)
    genome.write_text(">chr1\n" + "A" * 70_000 + "\n")
    with pytest.raises(BendError, match="nothing tells how long chr2 of GRCh38 is"):
        tracks_of(tmp_path, "cpg_methylation", predictions, genome)
    failed = make_result("cpg_methylation", score=None, failure="no memory")
    path = write_result(tmp_path / "failed", failed)
    with pytest.raises(BendError, match="No result has predictions"):
        write_tracks(bend_hf.read_results(path), tmp_path / "tracks")
    with pytest.raises(BendError, match="no predictions on disk"):
        write_tracks([scored("cpg_methylation", predictions)], tmp_path / "tracks")
    assert not (tmp_path / "tracks").exists()


def test_names_of_strangers_end_no_field(tmp_path):
    predictions = simulate("gene_finding", rows=4)
    ids = pytest.importorskip("pyarrow").array(["a;b=c\td", 'x"y', "ü&,", "t4"])
    at = predictions.table.column_names.index("transcript_id")
    predictions = dataclasses.replace(predictions, table=predictions.table.set_column(at, "transcript_id", ids))
    path = stored(tmp_path / "results", "gene_finding", predictions, model='m"x\ny', provenance=WHOLE, toy=False)
    written = write_tracks(bend_hf.read_results(path), tmp_path / "tracks")
    true = next(each for each in written if each.name == "true.gff3")
    assert {len(row) for row in lines_of(true)} == {9}
    names = [row[8].split("Name=")[1] for row in lines_of(true) if row[2] == "mRNA"]
    assert names == ["a%3Bb%3Dc%09d", "x%22y", "%C3%BC%26%2C", "t4"]
    assert {len(row) for row in lines_of(true.with_suffix(".bed"))} == {12}
    for each in (path for path in written if path.suffix in (".bed", ".bedgraph")):
        assert each.read_text().splitlines()[0].count('"') in (4, 6)
    ElementTree.parse(tmp_path / "tracks" / "igv_session.hg38.xml")


def test_no_calls_are_an_empty_file_with_its_head(tmp_path):
    path = tmp_path / "none.gff3"
    write_gff3(path, ["none"], [], Places({}, None, None, None))
    assert path.read_text() == "##gff-version 3\n# none\n"


def test_the_verb_and_results_write_the_same(tmp_path, capsys):
    path = stored(tmp_path / "results", "cpg_methylation", simulate("cpg_methylation", rows=6))
    words = ["export", str(path.parent), "--tracks", str(tmp_path / "a")]
    assert main(words) == 0
    short = capsys.readouterr().out.splitlines()
    assert main([*words, "--format", "quiet"]) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    made = bend_hf.read_results(path).tracks(tmp_path / "b")
    assert [each.relative_to(tmp_path / "a") for each in printed] == [each.relative_to(tmp_path / "b") for each in made]
    ends = [str(each) for each in printed if each.parent == tmp_path / "a"]
    assert short == [f"{len(printed)} files below {tmp_path / 'a'}", *ends]
    for one, other in zip(printed, made, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_genes_as_a_frame(tmp_path):
    stored(tmp_path, "gene_finding", simulate("gene_finding", signal=2.0, rows=60, chromosomes=20))
    frame = bend_hf.read_results(tmp_path).genes().set_index("level")
    assert list(frame.index) == ["exon", "intron_chain", "transcript"]
    exon = frame.loc["exon"]
    assert exon["recall"] == exon["matched"] / exon["true"]
    assert exon["recall_low"] < exon["recall"] < exon["recall_high"]
