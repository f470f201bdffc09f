"""The examples run as they stand."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import bend_hf
from bend_hf import Genome
from bend_hf.cli import main
from bend_hf.zero_shot.variants import every_distance

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_callable_model(tmp_path):
    done = run(EXAMPLES / "callable_model.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("composition-of-100") == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "needs", "shown"),
    [
        ("in_memory_model", "transformers", ["my-gpt2", "Histone modification", "still in training mode: True"]),
        ("lora_adapter", "peft", ["base", "adapter", "Histone modification"]),
        ("binned_model", "torch", ["binned-by-128", "Enhancer annotation"]),
    ],
)
def test_models_of_all_kinds(script, needs, shown, tmp_path):
    pytest.importorskip(needs, reason=f"{needs} is not installed")
    done = run(EXAMPLES / f"{script}.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in shown), done.stdout
    assert "nan" not in done.stdout
    assert "failed" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_untrained_control_is_a_model(tmp_path):
    from bend_hf.embed.embedder import Embedder

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [a + b + c for a in "ATCG" for b in "ATCG" for c in "ATCG"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    done = run(EXAMPLES / "untrained_control.py", "vocab.txt", "control", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    embedder = Embedder.from_pretrained(str(tmp_path / "control"))
    [tokens] = embedder.embed(["ACGTACGTAC"])
    assert tokens.vectors.shape == (8, 64)
    assert tokens.lengths.sum() == 10


def test_from_the_sources_of_any_species_to_a_score(tmp_path):
    assert run(EXAMPLES / "any_species" / "make_species.py", cwd=tmp_path).returncode == 0
    done = run(EXAMPLES / "any_species" / "score.py", "onehot", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "plant_genes" in done.stdout
    assert "plant_variants" in done.stdout
    rows = [line.split("\t") for line in (tmp_path / "plant_genes" / "plant_genes.bed").read_text().splitlines()[1:]]
    assert len(rows) == 57  # 60 genes, of which 3 are too near to an end of their chromosome
    effects = (tmp_path / "plant_variants" / "plant_variants.bed").read_text().splitlines()[1:]
    by_label = {label: {row.split("\t")[8] for row in effects if row.split("\t")[6] == label} for label in "01"}
    assert by_label["1"] == {"coding_sequence_variant"}
    assert "coding_sequence_variant" not in by_label["0"]
    sources = [json.loads((tmp_path / name / "sources.json").read_text()) for name in ("plant_genes", "plant_variants")]
    assert sources[0]["left_out"] == {"window leaves the chromosome": 3}
    assert sources[1]["left_out"] == {}
    audits = [json.loads((tmp_path / name / "audit.json").read_text()) for name in ("plant_genes", "plant_variants")]
    assert audits[0]["problems"] == []
    assert audits[1]["genes"]["of_genes"] == 60


@pytest.mark.parametrize(
    ("script", "files", "metric"),
    [
        ("promoters", ["gene_finding/gene_finding.bed", "genomes/GRCh38.toy.fa"], "mcc"),
        ("marks", ["histone_modification/histone_modification.bed"], "pearson"),
    ],
)
def test_a_task_of_ones_own(script, files, metric, toy_dir, tmp_path):
    done = run(
        EXAMPLES / "own_task" / f"{script}.py", *(toy_dir / name for name in files), f"my_{script}", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    genome, folder = toy_dir / "genomes" / "GRCh38.toy.fa", tmp_path / f"my_{script}"
    [result] = bend_hf.evaluate(
        "composition", tasks=folder, genome=genome, genome_checked=True, output=tmp_path / "results"
    )
    assert result.metric == metric
    assert result.score is not None
    assert result.counts["rows"] > 20


def test_a_toy_language_model_is_trained_and_its_layers_and_scores_are_chosen_unseen(tmp_path):
    """Hardly trained: what is tested is the road, and that permuted labels score chance only where no one looked."""
    sizes = ["--steps", "3", "--variants", "25", "--epochs", "1", "--limit", "24", "--times", "6"]
    done = run(EXAMPLES / "train_toy_lm.py", "toy-lm", *sizes, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    layers = [line.split()[0] for line in lines if " to " in line and not line.startswith("cross-fitted")]
    assert layers == ["0", "1", "2", "3", "last"]
    [chosen] = [line for line in lines if line.startswith("chosen on validation: layer ")]
    assert chosen.split()[4].rstrip(";") in layers
    [fitted] = [line for line in lines if line.startswith("cross-fitted: ")]
    assert fitted.split("chose ")[1].split(" and ")[0].partition("@")[0] in {*every_distance(), "llr"}
    [control] = [line for line in lines if line.startswith("permuted labels, mean of 6")]
    picked, fair = (float(word.strip(",")) for word in control.split() if word.startswith("0."))
    assert picked > 0.57
    assert abs(fair - 0.5) < 0.05


def test_promoters_and_marks_of_the_real_slice_by_one_command(real_dir, real_genome, tmp_path, capsys):
    sources = {
        "promoters": [real_dir / "gene_finding" / "gene_finding.bed", real_genome],
        "marks": [real_dir / "histone_modification" / "histone_modification.bed"],
    }
    for name, files in sources.items():
        done = run(EXAMPLES / "own_task" / f"{name}.py", *files, name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in (tmp_path / "promoters" / "promoters.bed").read_text().splitlines()[1:]]
    genome, share = Genome(real_genome), []
    for promoter, other in pairwise(rows):
        if promoter[4] == "promoter":
            sequences = [genome.window(row[0], int(row[1]), int(row[2])) for row in (promoter, other)]
            share.append([(text.count("G") + text.count("C")) / 512 for text in sequences])
            assert (other[4], other[5]) == ("other", promoter[5])
    assert len(share) == len(rows) / 2 == 24
    assert max(abs(one - other) for one, other in share) < 0.05
    folders = [word for name in sources for word in ("--task", str(tmp_path / name))]
    given = ["--genome", str(real_genome), "--genome-checked", "-o", str(tmp_path / "results")]
    assert main(["evaluate", "composition", *folders, *given]) == 0
    printed = capsys.readouterr().out
    assert "\nPromoters (mcc; chance " in printed
    assert "\nMarks (pearson; chance " in printed
    assert main(["report", str(tmp_path / "results"), "-o", str(tmp_path / "report.html")]) == 0
    assert "Tell windows around the start of a transcript" in (tmp_path / "report.html").read_text()
