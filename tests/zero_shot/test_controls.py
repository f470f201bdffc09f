"""Scores that need no model: conservation from a track, and distances that a task's own columns give."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pybigtools
import pytest

import bend_hf
from bend_hf.data.rows import features
from bend_hf.errors import BendError
from bend_hf.results.record import read_predictions
from bend_hf.tasks import TASKS
from bend_hf.tasks.task import Column
from bend_hf.zero_shot.controls import control_scores
from bend_hf.zero_shot.tracks import TrackValues

TASK = "variant_effects_disease"


@pytest.fixture
def track(tmp_path):
    path = tmp_path / "phyloP.bw"
    values = [("1", 10, 20, 1.5), ("1", 30, 31, -2.0), ("chr2", 5, 6, 3.0)]
    pybigtools.open(str(path), "w").write({"1": 1000, "chr2": 500}, values)
    return path


def test_a_track_is_read_at_the_variants_base_whatever_chromosomes_are_called(track):
    chromosomes = np.array(["chr1", "chr1", "1", "chr2", "chr2", "chr3", "chr1"])
    positions = np.array([10, 20, 30, 5, 6, 5, 5_000])
    values, uncovered = TrackValues(track).at(chromosomes, positions)
    assert values.tolist() == [1.5, 0.0, -2.0, 3.0, 0.0, 0.0, 0.0]  # 0-based: 10 is the first covered base, 20 behind
    assert uncovered == 4
    order = np.random.default_rng(0).permutation(7)
    assert TrackValues(track).at(chromosomes[order], positions[order])[0].tolist() == values[order].tolist()
    with pytest.raises(BendError, match=r"covers none of the 1 variant: .*\(1, chr2 …\)"):
        TrackValues(track).at(np.array(["chr7"]), np.array([10]))


def test_a_file_that_is_no_track_is_told_before_any_work(toy_dir, tmp_path):
    text = tmp_path / "phyloP.bw"
    text.write_text("chr1\t0\t1\t0.5\n")
    for path in (text, tmp_path / "absent.bw"):
        with pytest.raises(BendError, match=r"\(--track\) cannot be read as bigWig"):
            bend_hf.evaluate("composition", TASK, data_dir=toy_dir, track=path, output=tmp_path / "out")
    with pytest.raises(BendError, match="is for variant tasks"):
        bend_hf.evaluate("onehot", "cpg_methylation", data_dir=toy_dir, track=text, output=tmp_path / "out")


def test_processes_whose_share_of_variants_the_track_does_not_cover_go_on(toy_dir, tmp_path):
    data = bend_hf.load_dataset("variant_effects", "disease", data_dir=toy_dir, split="test")
    first, path = data[0], tmp_path / "first.bw"
    covered = [(first["chromosome"], first["start"], first["start"] + 1, 1.5)]
    pybigtools.open(str(path), "w").write({first["chromosome"]: first["start"] + 1}, covered)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    command += ["-m", "bend_hf", "evaluate", "composition", "--tasks", TASK, "--data-dir", str(toy_dir)]
    command += ["--track", str(path), "-o", str(tmp_path / "out"), "--format", "json"]
    environment = os.environ | {"PYTHONPATH": str(Path(bend_hf.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    [result] = json.loads(done.stdout)
    assert result["provenance"]["hardware"]["processes"] == 2
    assert result["secondary"]["track_uncovered"] == len(data) - 1


def test_a_track_that_knows_the_answer_scores_1_and_is_in_the_key(toy_dir, tmp_path):
    data = bend_hf.load_dataset("variant_effects", "disease", data_dir=toy_dir, split="test")
    rows = sorted(zip(data["chromosome"], data["start"], data["label"], strict=True))
    at = {(chromosome, start): float(label) for chromosome, start, label in rows}
    sizes = {chromosome: max(start for name, start in at if name == chromosome) + 1 for chromosome, _ in at}
    path = tmp_path / "truth.bw"
    pybigtools.open(str(path), "w").write(
        sizes, [(chromosome, start, start + 1, value + 0.5) for (chromosome, start), value in at.items()]
    )
    options = {"data_dir": toy_dir, "output": tmp_path / "out"}
    [with_track] = bend_hf.evaluate("composition", TASK, track=path, **options)
    assert with_track.secondary["by_score"]["track"] == 1.0
    assert with_track.secondary["track_uncovered"] == 0
    assert "track" in read_predictions(with_track).beside
    [without] = bend_hf.evaluate("composition", TASK, **options)
    assert "track" not in without.secondary["by_score"]
    assert without.score == with_track.score
    assert without.path != with_track.path


def test_distances_of_a_tasks_columns_are_controls(toy_dir):
    task = TASKS[TASK]
    more = dataclasses.replace(
        task, columns=(*task.columns, Column("tss_distance", "int64", "bp to the nearest start", row=True))
    )
    assert "tss_distance" in features(more)
    assert "tss_distance" not in features(task)
    data = bend_hf.load_dataset("variant_effects", "disease", data_dir=toy_dir, split="test").select(range(3))
    found = control_scores(data.add_column("tss_distance", [5, 0, 900]))
    assert found["tss_distance"].tolist() == [-5, 0, -900]  # nearer is a larger effect
    assert "splice_distance" not in found
