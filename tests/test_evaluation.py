"""The one line: all tasks, records, resume, isolation of failures, and what must not change a number."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from result_factory import make_result

import bend_hf
from bend_hf.cli import main
from bend_hf.data.sources import locate
from bend_hf.demo import write_untrained_model
from bend_hf.errors import BendError
from bend_hf.identity import PARTS, Key
from bend_hf.recording import _existing
from bend_hf.report.table import table
from bend_hf.results.apart import told_apart
from bend_hf.results.conditions import departures
from bend_hf.results.record import read_predictions, read_results, write_result
from bend_hf.results.rerun import rerun_command
from bend_hf.tasks import FOLDS, TASKS
from bend_hf.walk import folds


@pytest.fixture(scope="module")
def first(toy_dir, tmp_path_factory):
    """One-hot on three kinds of task, one epoch."""
    output = tmp_path_factory.mktemp("first")
    tasks = ["gene_finding", "cpg_methylation", "variant_effects_disease"]
    return bend_hf.evaluate("onehot", tasks, data_dir=toy_dir, epochs=1, seeds=2, output=output), output


def test_records_hold_what_is_needed_to_believe_them(first, toy_dir):
    results, output = first
    assert [(r.task, r.seed) for r in results] == [
        ("gene_finding", 0),
        ("gene_finding", 1),
        ("cpg_methylation", 0),
        ("cpg_methylation", 1),
        ("variant_effects_disease", None),
    ]
    assert read_results(output) == sorted(
        read_results(output), key=lambda r: (list(TASKS).index(r.task), -1 if r.seed is None else r.seed)
    )
    for result in read_results(output):
        assert result.toy
        assert result.failure is None
        if result.interval is None:  # one epoch: every nucleotide may be called the same class
            assert result.secondary["interval"]["lack"]
        else:
            assert result.interval[0] <= result.score <= result.interval[1]
        assert {"dataset_digest", "run", "files", "packages", "hardware", "command", "seconds"} <= set(
            result.provenance
        )
        rows = locate(TASKS[result.task], toy_dir).digest
        assert result.provenance["dataset_digest"] == result.key["rows"] == rows
        assert result.provenance["trained_in"] == (None if result.seed is None else "float32")
        assert len(read_predictions(result)) == result.counts["rows"]
    assert len(results[0].history) == 1
    assert results[0].history != results[1].history
    # Equal vectors at every changed base: the one-hot distance cannot tell variants apart.
    assert results[-1].score == pytest.approx(0.5)
    assert set(results[-1].secondary["by_score"]) >= {"cosine", "l2", "gc_change", "cpg_created"}


def test_the_precision_of_training_is_recorded_as_it_was(toy_dir, tmp_path):
    [result] = bend_hf.evaluate(
        "onehot", "cpg_methylation", data_dir=toy_dir, epochs=1, precision="bf16", seeds=1, output=tmp_path
    )
    assert result.provenance["settings"]["precision"] == "bf16"
    assert result.provenance["trained_in"] == "bfloat16"


def test_a_result_that_is_there_is_not_made_again(first, toy_dir, tmp_path):
    results, output = first
    shutil.copytree(output, tmp_path / "results")
    path = next((tmp_path / "results").rglob("cpg_methylation.default.seed0.*.json"))
    before = path.stat().st_mtime_ns
    options = {"data_dir": toy_dir, "seeds": 2, "output": tmp_path / "results"}
    again = bend_hf.evaluate("onehot", "cpg_methylation", epochs=1, **options)
    assert [r.score for r in again] == [r.score for r in results[2:4]]
    assert path.stat().st_mtime_ns == before
    made = bend_hf.evaluate("onehot", "cpg_methylation", epochs=1, overwrite=True, **options)
    assert [r.score for r in made] == [r.score for r in results[2:4]]
    assert path.stat().st_mtime_ns > before
    other = bend_hf.evaluate("onehot", "cpg_methylation", epochs=2, **options)
    assert len(other[0].history) == 2


def test_a_context_that_was_asked_for_is_part_of_the_run_and_said(toy_dir, tmp_path):
    model, output = str(tiny_models.esm(tmp_path / "esm")), tmp_path / "out"
    options = {"data_dir": toy_dir, "output": output, "device": "cpu"}
    [whole] = bend_hf.evaluate(model, "variant_effects_disease", **options)
    [cut] = bend_hf.evaluate(model, "variant_effects_disease", context=32, **options)
    assert (whole.key["embedder"]["windows"]["fits"], cut.key["embedder"]["windows"]["fits"]) == (999, 31)
    assert whole.score != cut.score
    assert departures([whole]) == ""
    assert "at most 32 tokens at once" in departures([cut])
    assert {result.label for result in told_apart([whole, cut])} == {"esm [context 1000]", "esm [context 32]"}
    assert "--context=32" in rerun_command(cut, output="again")


def test_a_failed_task_does_not_lose_the_others(toy_dir, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(toy_dir, data)
    bed = data / "histone_modification" / "histone_modification.bed"
    lines = bed.read_text().splitlines()
    fields = lines[3].split("\t")
    lines[3] = "\t".join([*fields[:6], "99", fields[7]])
    bed.write_text("\n".join(lines) + "\n")
    command = [
        sys.executable,
        "-m",
        "bend_hf",
        "evaluate",
        "onehot",
        "--data-dir",
        str(data),
        "--epochs",
        "1",
        "--seeds",
        "1",
    ]
    command += ["--tasks", "histone_modification", "variant_effects_disease", "-o", str(tmp_path / "out")]
    run = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    failed, scored = json.loads(run.stdout)
    assert "histone_modification.bed" in failed["failure"]
    assert "line 4" in failed["failure"]
    assert failed["score"] is None
    assert scored["score"] is not None
    assert "Traceback" not in run.stderr
    stored = {result.task: result.failure for result in read_results(tmp_path / "out")}
    assert stored["histone_modification"] == failed["failure"]
    assert stored["variant_effects_disease"] is None


def test_a_failure_does_not_replace_an_earlier_score(first, toy_dir, tmp_path, monkeypatch):
    results, output = first
    shutil.copytree(output, tmp_path / "results")

    def broken(*_):
        raise RuntimeError("the disk went away")

    monkeypatch.setattr("bend_hf.recording.supervised", broken)
    [failed] = bend_hf.evaluate(
        "onehot", "cpg_methylation", data_dir=toy_dir, epochs=3, seeds=1, output=tmp_path / "results"
    )
    assert failed.failure == "RuntimeError: the disk went away"
    kept = [r.score for r in read_results(tmp_path / "results") if (r.task, r.seed) == ("cpg_methylation", 0)]
    assert sorted(kept, key=str) == sorted([results[2].score, None], key=str)


def test_a_failed_run_is_not_there_already(tmp_path):
    """Two seeds of the same run, one of which failed; and a run of another key with the same digits."""
    parts = dict.fromkeys(PARTS["result"], "x")
    key = Key("result", **parts)
    for seed, failure in ((0, None), (1, "the disk went away")):
        score = None if failure else 0.5
        result = make_result("cpg_methylation", seed=seed, score=score, failure=failure, key=parts)
        assert write_result(tmp_path, result).name.split(".")[-2] == key.short
    assert list(_existing(tmp_path / "simulated", key)) == [0]
    other = Key("result", **parts | {"rows": "y"})
    named = tmp_path / "simulated" / f"cpg_methylation.default.seed0.{other.short}.json"
    shutil.copy(next((tmp_path / "simulated").glob("*.seed0.*.json")), named)
    assert _existing(tmp_path / "simulated", other) == {}


def test_runs_that_differ_lie_side_by_side_and_damaged_ones_are_made_again(first, toy_dir, tmp_path, caplog):
    _, output = first
    folder = tmp_path / "results"
    shutil.copytree(output, folder)
    options = {"data_dir": toy_dir, "output": folder, "seeds": [0]}
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    [other] = bend_hf.evaluate("onehot", "cpg_methylation", epochs=2, **options)
    assert all(path.read_bytes() == text for path, text in before.items())
    shown = table(read_results(folder))
    assert "one-hot CNN [epochs 1]" in shown
    assert "one-hot CNN [epochs 2]" in shown
    for damaged in (other.path, other.path.with_suffix(".parquet")):
        damaged.write_bytes(damaged.read_bytes()[:-9])
        caplog.clear()
        [again] = bend_hf.evaluate("onehot", "cpg_methylation", epochs=2, **options)
        assert again.score == other.score
        assert "made again" in caplog.text
        assert damaged.name in caplog.text
    caplog.clear()
    [kept] = bend_hf.evaluate("onehot", "cpg_methylation", epochs=2, **options)
    assert "made again" not in caplog.text
    assert kept == again


def test_damaged_labels_do_not_stop_the_other_tasks(toy_dir, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(toy_dir, data)
    labels = data / "enhancer_annotation" / "enhancer_annotation.hdf5"
    labels.write_bytes(labels.read_bytes()[:-5_000])
    tasks = ["enhancer_annotation", "variant_effects_disease"]
    failed, scored = bend_hf.evaluate("composition", tasks, data_dir=data, output=tmp_path / "out")
    assert "enhancer_annotation.hdf5 is no readable HDF5 file" in failed.failure
    assert scored.failure is None
    [record] = (tmp_path / "out" / "composition").glob("enhancer_annotation*.json")
    assert json.loads(record.read_text())["failure"] == failed.failure


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "onehot", "--tasks", "gene_findin"], "Did you mean 'gene_finding'?"),
        (["evaluate", "onehott"], "Did you mean 'onehot'?"),
        (
            ["evaluate", "onehot", "--genome", "GRCh36=x.fa", "--tasks", "gene_finding"],
            "Did you mean 'GRCh38'? Choices: GRCh38, GRCh37",
        ),
        (["evaluate", "basset", "--tasks", "gene_finding"], "no baseline for gene_finding"),
        (["evaluate", "no/such/folder", "--tasks", "cpg_methylation"], "no/such/folder"),
        (["evaluate", "onehot", "--genome", "missing.fa", "--tasks", "gene_finding"], "missing.fa"),
    ],
)
def test_bad_input_is_one_clear_error(toy_dir, tmp_path, capsys, arguments, message):
    assert main([*arguments, "--data-dir", str(toy_dir), "-o", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_where_vectors_are_kept_and_who_builds_rows_changes_no_score(toy_dir, tmp_path):
    model = write_untrained_model(tmp_path / "model")
    ways = {
        "store": {"store": tmp_path / "store"},
        "fly": {"store": tmp_path / "none", "store_limit": 0},
        "processes": {"store": tmp_path / "store2", "num_proc": 2},
    }
    scores = {}
    for way, options in ways.items():
        [result] = bend_hf.evaluate(
            str(model), "histone_modification", data_dir=toy_dir, epochs=1, seeds=1, output=tmp_path / way, **options
        )
        scores[way] = read_predictions(result if result.path else read_results(tmp_path / way)[0]).scores
    np.testing.assert_array_equal(scores["store"], scores["processes"])
    np.testing.assert_allclose(scores["store"], scores["fly"], atol=2e-3)
    assert list((tmp_path / "store").iterdir())
    assert not (tmp_path / "none").exists()


def test_two_processes_and_two_machines_give_the_scores_of_one(toy_dir, tmp_path):
    """Machines are two rendezvous groups on the loopback, each with a process of its own; all see one store."""
    model = write_untrained_model(tmp_path / "model")
    arguments = ["-m", "bend_hf", "evaluate", str(model), "--data-dir", str(toy_dir), "--epochs", "2", "--seeds", "1"]
    arguments += ["--tasks", "cpg_methylation", "variant_effects_disease", "--format", "json"]
    # Without a GPU it is --multi_gpu that makes Accelerate start several processes; they talk by gloo.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    nodes = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    nodes += ["--master-addr", "127.0.0.1", "--master-port", str(free_port()), "--node-rank"]
    environment = {**os.environ, "PYTHONPATH": str(Path(bend_hf.__file__).parent.parent), "OMP_NUM_THREADS": "1"}

    def start(way: str, launcher: list[str]) -> subprocess.Popen[str]:
        command = [sys.executable, *launcher, *arguments, "--store", str(tmp_path / f"{way}_store")]
        command += ["-o", str(tmp_path / way)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    found = {}
    for way, launchers in {"one": [[]], "processes": [launch], "machines": [[*nodes, "0"], [*nodes, "1"]]}.items():
        running = [start(way, launcher) for launcher in launchers]
        ended = [process.communicate() for process in running]
        assert [process.returncode for process in running] == [0] * len(running), ended
        found[way] = json.loads(ended[0][0])
        assert not "".join(said for said, _ in ended[1:])  # the main process speaks for all
    processes = {way: [result["provenance"]["hardware"]["processes"] for result in found[way]] for way in found}
    assert processes == {"one": [1, 1], "processes": [2, 2], "machines": [2, 2]}
    scores = {way: [result["score"] for result in results] for way, results in found.items()}
    for way in ("processes", "machines"):  # float32 sums of gradients in another order
        np.testing.assert_allclose(scores["one"], scores[way], atol=2e-3)


def free_port() -> int:
    """Return a port of the loopback that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_protocols_are_kept_apart(toy_dir, tmp_path):
    model = str(tiny_models.dnabert(tmp_path / "model"))
    found = {}
    for protocol in ("default", "bend-2024"):
        [trained, variants] = bend_hf.evaluate(
            model,
            ["cpg_methylation", "variant_effects_disease"],
            data_dir=toy_dir,
            protocol=protocol,
            epochs=1,
            seeds=1,
            output=tmp_path / "out",
        )
        assert {trained.protocol, variants.protocol} == {protocol}
        assert trained.provenance["protocol"]["windows"] == ("abut" if protocol == "bend-2024" else "overlap")
        found[protocol] = (trained.score, variants.score)
    assert len(read_results(tmp_path / "out")) == 4
    assert found["default"][0] != found["bend-2024"][0]  # other order of samples, other place of the first k-mer


def test_composition_baseline_and_its_controls(toy_dir, tmp_path):
    tasks = ["cpg_methylation", "variant_effects_expression"]
    trained, controls = bend_hf.evaluate("composition", tasks, data_dir=toy_dir, output=tmp_path)
    assert trained.score > 0.6
    assert controls.score == controls.secondary["by_score"]["gc_change"]


def test_real_slice_counts_undefined_labels(real_dir, real_genome, tmp_path):
    tasks = ["chromatin_accessibility", "histone_modification"]
    results = bend_hf.evaluate(
        "onehot", tasks, data_dir=real_dir, genome=real_genome, genome_checked=True, epochs=1, seeds=1, output=tmp_path
    )
    chromatin, histone = results
    assert chromatin.secondary["n_labels_excluded"] >= 114
    assert chromatin.secondary["n_labels_scored"] + chromatin.secondary["n_labels_excluded"] == 125
    assert histone.secondary["n_labels_excluded"] == 7  # one class only in the test split: 5 6 9 10 13 16 17
    assert [i for i, value in enumerate(histone.secondary["per_label"]) if value is None] == [5, 6, 9, 10, 13, 16, 17]
    assert not chromatin.toy
    assert "Histone modification: mean over 11 labels; 7 with one class only" in table(results)


def test_fold_k_tests_on_part_k_and_validates_on_the_next():
    rows = {part: np.array([k]) for k, part in enumerate(FOLDS)}
    plans = folds(TASKS["enhancer_annotation"], rows)
    assert [plan.part for plan in plans] == list(FOLDS)
    for k, plan in enumerate(plans):
        assert plan.test.tolist() == [k]
        assert plan.validation.tolist() == [(k + 1) % 10]
        assert sorted([*plan.train, *plan.validation, *plan.test]) == list(range(10))
    with pytest.raises(BendError, match="split 'part4' has no rows"):
        folds(TASKS["enhancer_annotation"], {**rows, "part4": np.array([], int)})
