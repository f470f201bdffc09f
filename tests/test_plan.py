"""What a run will take, and what it can show: counted and measured before it, cut to a budget, and marked."""

import dataclasses
import inspect
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_models
from result_factory import make_result

import bend_hf
from bend_hf import budget, planning
from bend_hf.budget import within
from bend_hf.cli import main
from bend_hf.data.builder import load_dataset
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.estimate import size_text
from bend_hf.errors import BendError
from bend_hf.planning import seconds_of
from bend_hf.probe import Rates, probe
from bend_hf.results.conditions import departures
from bend_hf.results.power import CORRELATION, smallest_difference
from bend_hf.results.record import read_results
from bend_hf.results.rerun import rerun_command
from bend_hf.results.statistics import bootstrap
from bend_hf.tasks import TASKS
from bend_hf.work import ready

METHYLATION, DISEASE = "cpg_methylation", "variant_effects_disease"
RATES = Rates(
    embedding=0.01, training=0.002, predicting=0.001, fixed=0.5, tokens=87, vectors=6_000, stored=False,
    memory=10**9, device_memory=None,
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_models.esm(tmp_path_factory.mktemp("plan") / "esm", layers=3))


@pytest.fixture
def fixed_rates(monkeypatch):
    """A machine whose speed is known."""
    monkeypatch.setattr(planning, "probe", lambda work, task: RATES)


def of(model, tasks, toy_dir, tmp_path, **options):
    usual = {name: one.default for name, one in inspect.signature(bend_hf.evaluate).parameters.items()}
    del usual["budget"]
    usual |= {"model": model, "tasks": tasks, "data_dir": toy_dir, "output": tmp_path / "out", "epochs": 2}
    return ready(**(usual | options))


def test_rows_tokens_and_results_are_those_of_the_run(model, toy_dir, tmp_path):
    options = {"data_dir": toy_dir, "output": tmp_path / "out", "epochs": 1, "batch_size": 64, "seeds": 2}
    options |= {"layers": "0,last", "train_rows": "30,all", "limit": 60}
    plan = bend_hf.plan(model, [METHYLATION], **options)
    [task] = plan.tasks
    splits = [load_dataset(METHYLATION, data_dir=toy_dir, split=name) for name in ("train", "validation", "test")]
    assert list(task.rows.values()) == [60, 60, 60]
    embedder = Embedder.from_pretrained(model)
    tokens = sum(int(embedder.count_tokens(split["sequence"][:60]).sum()) for split in splits)
    assert task.tokens == pytest.approx(tokens, rel=0.01)
    assert (task.results, task.there) == (2 * 2 * 2, 0)
    assert task.seconds["embedding"] > 0
    assert task.seconds["training"] > 0
    assert task.memory > 10**7
    assert not (tmp_path / "out").exists()  # nothing is recorded
    results = bend_hf.evaluate(model, [METHYLATION], **options)
    assert len(results) == task.results
    vectors = sum({tuple(one.key["embedder"]["layer"]): one.provenance["bytes_stored"] for one in results}.values())
    assert task.vectors == f"of {size_text(vectors)} are held in memory"
    [again] = bend_hf.plan(model, [METHYLATION], **options).tasks
    assert (again.there, again.total, again.disk) == (8, 0, 0)


def test_seconds_are_those_of_every_row_epoch_fold_layer_and_size(toy_dir, tmp_path):
    work = of("onehot", METHYLATION, toy_dir, tmp_path, train_rows="10,all", epochs=5)
    task = TASKS[METHYLATION]
    rows = {"train": 100, "validation": 20, "test": 30}
    found = seconds_of(work, task, RATES, rows, 3)
    assert found["embedding"] == pytest.approx(150 * 0.01)
    assert found["training"] == pytest.approx(3 * (5 * (110 * 0.002 + 2 * 20 * 0.001) + 2 * 30 * 0.001))
    folds = seconds_of(
        of("onehot", "enhancer_annotation", toy_dir, tmp_path, epochs=5),
        TASKS["enhancer_annotation"],
        RATES,
        dict.fromkeys(TASKS["enhancer_annotation"].rows, 2),
        1,
    )
    assert folds["training"] == pytest.approx(10 * (5 * (16 * 0.002 + 2 * 0.001) + 2 * 0.001))
    variants = seconds_of(of("onehot", DISEASE, toy_dir, tmp_path), TASKS[DISEASE], RATES, {"test": 200}, 2)
    assert variants == {"embedding": pytest.approx(0.5 + 200 * 0.01)}  # one pass for all layers


@pytest.mark.parametrize(
    ("limit", "said", "disk"),
    [("1GB", "stored on disk", 3_600_000), ("2MB", "2 passes", 1_200_000), ("1KB", "made again in every epoch", 0)],
)
def test_where_vectors_will_lie(model, toy_dir, tmp_path, fixed_rates, limit, said, disk):
    work = of(model, METHYLATION, toy_dir, tmp_path, layers="0,last", store=tmp_path / "store", store_limit=limit)
    rates = dataclasses.replace(RATES, vectors=3_000)
    plan = planning.planned(work, TASKS[METHYLATION], rates)
    assert said in plan.vectors
    rows = sum(plan.rows.values())
    predictions = plan.disk - {"1GB": rows * 6_000, "2MB": rows * 3_000, "1KB": 0}[limit]
    assert predictions == 2 * 3 * 4 * plan.rows["test"] * 7  # layers, seeds, bytes, rows, labels
    once = plan.seconds["embedding"] / (0.01 * rows)
    assert once == pytest.approx({"1GB": 1, "2MB": 2, "1KB": 2}[limit])


@pytest.mark.parametrize("name", ["onehot", "composition"])
def test_baselines_are_measured_too(toy_dir, tmp_path, name):
    tasks = [METHYLATION, DISEASE]
    plan = bend_hf.plan(name, tasks, data_dir=toy_dir, output=tmp_path / "out", epochs=1, seeds=1, batch_size=128)
    assert [task.task for task in plan.tasks] == tasks
    assert all(task.total > 0 for task in plan.tasks)
    assert plan.seconds == sum(task.total for task in plan.tasks)
    assert ("training seeds, not known yet" in str(plan)) == (name == "onehot")  # composition draws nothing


def test_the_command_prints_a_table_or_json_and_so_does_a_dry_run(toy_dir, tmp_path, fixed_rates, capsys):
    words = ["onehot", "--tasks", METHYLATION, "--data-dir", str(toy_dir), "-o", str(tmp_path / "out")]
    assert main(["plan", *words]) == 0
    text = capsys.readouterr().out
    for part in (METHYLATION, "smallest difference", "80 % power", "an assumed correlation of 0.5", "600"):
        assert part in text
    assert main(["evaluate", *words, "--dry-run", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tasks"][0]["rows"] == {"train": 420, "validation": 60, "test": 120}
    assert found["total"]["seconds"] == pytest.approx(found["tasks"][0]["total_seconds"])
    assert main(["evaluate", *words, "--dry-run", "--push", "lab/model"]) == 1
    assert "--push changes nothing in a dry run" in capsys.readouterr().err


def test_a_folder_without_readable_results_is_no_obstacle(toy_dir, tmp_path, fixed_rates):
    folder = tmp_path / "out" / "onehot"
    folder.mkdir(parents=True)
    for name in ("notes.json", f"{METHYLATION}.default.seed0.00000000.json"):
        (folder / name).write_text("{")
        plan = bend_hf.plan("onehot", METHYLATION, data_dir=toy_dir, output=tmp_path / "out")
        assert "made-up models" in plan.tasks[0].smallest.source


def test_a_task_without_files_does_not_stop_the_others(toy_dir, tmp_path, fixed_rates, monkeypatch):
    work = of("onehot", [METHYLATION, DISEASE], toy_dir, tmp_path)
    work.data[METHYLATION] = BendError("the file is damaged.")
    plan, rates = planning.measured(work)
    assert list(rates) == [DISEASE]
    assert plan.tasks[0].failure == "the file is damaged."
    assert f"{METHYLATION}: cannot be done: the file is damaged." in str(plan)


@pytest.mark.parametrize("asked", ["soon", "0", 0, -1, "2 weeks", True, ""])
def test_other_budgets_are_refused(asked):
    with pytest.raises(BendError, match="is no duration: write 90s, 30min, 2h"):
        bend_hf.plan("onehot", METHYLATION, budget=asked)


def test_options_that_evaluate_does_not_have_are_refused():
    with pytest.raises(BendError, match="Did you mean 'epochs'"):
        bend_hf.plan("onehot", METHYLATION, epoch=3)


# Budgets.


def test_a_budget_that_suffices_changes_nothing(toy_dir, tmp_path, fixed_rates):
    work = of("onehot", [METHYLATION, DISEASE], toy_dir, tmp_path)
    cut, plan = within(work, 1_000)
    assert cut is work
    assert "fits the budget of 16 min 40 s" in str(plan)


def test_layers_go_before_rows_and_small_tasks_stay_whole(model, toy_dir, tmp_path, fixed_rates):
    work = of(model, [METHYLATION, DISEASE], toy_dir, tmp_path, layers="all", epochs=100)
    [whole_methylation, whole_disease] = planning.measured(work)[0].tasks
    # One layer of methylation: 6 s of vectors and 90.1 s of heads; all layers of the variants: 2.5 s.
    assert whole_methylation.total == pytest.approx(6 + 4 * 90.12, abs=0.5)
    assert whole_disease.total == pytest.approx(2.5)
    cut, plan = within(work, 200)
    assert cut.shares[DISEASE] == work.shares[DISEASE]
    assert cut.shares[METHYLATION].limit is None
    assert cut.shares[METHYLATION].layers == (1, -1)
    assert f"{METHYLATION}: layers 1, last; the test rows show the same differences" in str(plan)
    cut, plan = within(work, 60)
    share = cut.shares[METHYLATION]
    assert (share.layers, share.limit, share.budget) == ((-1,), 200, 60)
    rows = {name: min(200, count) for name, count in whole_methylation.rows.items()}
    assert plan.tasks[0].rows == rows
    assert plan.tasks[0].total == pytest.approx(sum(seconds_of(work, TASKS[METHYLATION], RATES, rows, 1).values()))
    assert plan.seconds <= 60
    assert "at most 200 rows of each split" in str(plan)
    with pytest.raises(BendError, match="below the smallest plan: 20 rows of each split at one layer take about"):
        within(work, 5)


def test_what_is_there_already_is_not_counted_in_the_smallest_plan(model, toy_dir, tmp_path, fixed_rates, monkeypatch):
    work, runs = of(model, [METHYLATION, DISEASE], toy_dir, tmp_path), planning._runs
    monkeypatch.setattr(planning, "_runs", lambda *run: (1, 0) if run[1].name == METHYLATION else runs(*run))
    with pytest.raises(BendError, match=r"take about 0\.7 s\. Give more"):  # 20 variants, and the fixed part
        within(work, 0.01)


def test_results_of_a_budget_are_marked_and_made_again_alike(toy_dir, tmp_path, fixed_rates, capsys):
    options = {"data_dir": toy_dir, "output": tmp_path / "out", "epochs": 1, "seeds": 1}
    [plan] = bend_hf.plan("onehot", METHYLATION, budget=4, **options).tasks
    [result] = bend_hf.evaluate("onehot", METHYLATION, budget=4, **options)
    assert result.key["settings"]["limit"] == plan.limit
    assert result.counts["rows"] == plan.rows["test"]
    assert result.provenance["budget"] == 4
    assert f"at most {plan.limit} rows of each split, to fit a budget of 4.0 s" in departures([result])
    [alike] = bend_hf.evaluate("onehot", METHYLATION, limit=plan.limit, **options)
    assert alike.score == result.score
    assert alike.path == result.path  # the same rows: the same result, which is there
    words = f"bend-hf evaluate onehot --tasks {METHYLATION} --budget 4 --epochs 1"
    recorded = dataclasses.replace(result, provenance=result.provenance | {"command": words})
    command = rerun_command(recorded, output=tmp_path / "again")
    assert command[command.index("--limit") + 1] == str(plan.limit)
    assert "--budget" not in command


def test_numbers_of_rows_are_round(toy_dir, tmp_path, fixed_rates):
    work = of("onehot", METHYLATION, toy_dir, tmp_path, epochs=100)
    limits = [within(work, seconds)[0].shares[METHYLATION].limit for seconds in (10, 20, 21, 40, 80)]
    assert limits == sorted(limits)
    assert limits[1] == limits[2]
    assert set(limits) <= {20, 30, 50, 70, 100, 150, 200, 300}


# The smallest difference.


def variants(scores, labels, seed=0):
    random = np.random.default_rng(seed)
    count = len(labels)
    rows = {
        "chromosome": [f"chr{k}" for k in random.integers(1, 23, count)],
        "start": random.integers(0, 10**8, count).tolist(),
        "ref": ["A"] * count,
        "alt": ["C"] * count,
    }
    from bend_hf.results.predictions import make_predictions

    return make_predictions(TASKS[DISEASE], rows, scores, labels), rows


def test_the_smallest_difference_is_found_in_four_of_five_test_sets():
    """The meaning of 80 % power, tried: pairs of models that differ by it, and are correlated as assumed."""
    from scipy.special import ndtri

    from bend_hf.results.ranks import differences, over_seeds

    count, trials = 800, 120
    found = np.zeros(trials, bool)
    random = np.random.default_rng(1)
    labels = (np.arange(count) % 4 == 0).astype(np.int8)
    _, rows = variants(np.zeros(count) + labels, labels)
    import datasets

    least = smallest_difference(TASKS[DISEASE], datasets.Dataset.from_dict(rows), list(labels))
    assert "made-up models on the test rows' 22 chromosomes" in least.source
    low, high = 0.76 - least.value / 2, 0.76 + least.value / 2
    together = 0.0
    for trial in range(trials):
        noise = random.standard_normal((3, count))
        mixed = [np.sqrt(0.5) * noise[0] + np.sqrt(0.5) * noise[k] for k in (1, 2)]
        boots = []
        for area, one in zip((low, high), mixed, strict=True):
            predictions, _ = variants(one + np.sqrt(2) * ndtri(area) * labels, labels)
            boots.append(bootstrap(predictions, resamples=200))
        together += np.corrcoef(boots[0].scores, boots[1].scores)[0, 1] / trials
        [pair] = differences(DISEASE, {str(k): over_seeds([boot], random=False) for k, boot in enumerate(boots)})
        found[trial] = pair.p < 0.05
    assert together == pytest.approx(CORRELATION, abs=0.07)
    assert found.mean() == pytest.approx(0.8, abs=0.11)  # three standard errors of 120 trials


def test_a_difference_of_models_on_these_rows_is_better_known_than_an_assumed_one(model, toy_dir, tmp_path):
    options = {"data_dir": toy_dir, "output": tmp_path}
    for name in (model, "composition", "onehot"):  # one-hot vectors are all as far apart, which tells nothing
        bend_hf.evaluate(name, DISEASE, **options)
    data = load_dataset("variant_effects", "disease", data_dir=toy_dir, split="test")
    labels = list(np.asarray(data["label"]))
    results = read_results(tmp_path)
    task = TASKS[DISEASE]
    [pair] = bend_hf.compare([one for one in results if one.model != "onehot"]).differences
    both = smallest_difference(task, data, labels, results)
    assert both.source == "predictions of 2 models on these rows"
    assert both.value / pair.sampling_error == pytest.approx(2.8, abs=0.15)
    one = smallest_difference(task, data, labels, [one for one in results if one.model == "composition"])
    assert "predictions of composition on these rows, and an assumed correlation" in one.source
    none = smallest_difference(task, data, labels)
    assert "made-up models" in none.source
    assert none.training  # nothing is trained
    others = smallest_difference(task, data.select(range(150)), labels[:150], results)
    assert "made-up models" in others.source  # their rows are others
    assert others.value > none.value
    assert smallest_difference(task, data, labels, [make_result("gene_finding")]).source == none.source


def test_rows_that_bear_no_test_say_why(toy_dir):
    data = load_dataset("variant_effects", "disease", data_dir=toy_dir, split="test")
    labels = np.asarray(data["label"])
    keep = [*np.flatnonzero(labels == 0)[:40], np.flatnonzero(labels)[0]]
    some = data.select(keep)
    found = smallest_difference(TASKS[DISEASE], some, list(np.asarray(some["label"])))
    assert found.value is None
    assert "1 positives" in found.lack


def test_a_probe_tells_rows_trained_on_from_those_predicted(model, toy_dir, tmp_path, monkeypatch):
    """On a machine whose heads take 0.03 s for a row to train on, and 0.01 s for one to predict."""

    def fitted(task, plan, *rest):
        seconds = 0.03 * len(plan.train) + 0.01 * len(plan.validation)
        return [SimpleNamespace(history=[{"seconds": 99.0}, {"seconds": seconds}], failure=None)]

    monkeypatch.setattr("bend_hf.probe.fitted", fitted)
    rates = probe(of(model, METHYLATION, toy_dir, tmp_path, batch_size=64), TASKS[METHYLATION])
    assert (rates.training, rates.predicting) == (pytest.approx(0.03), pytest.approx(0.01))


def test_a_probe_leaves_no_trace(model, toy_dir, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    work = of(model, METHYLATION, toy_dir, tmp_path, batch_size=64, store=tmp_path / "store")
    with caplog.at_level("INFO", logger="bend_hf"):
        caplog.clear()
        rates = probe(work, TASKS[METHYLATION])
        assert not caplog.records
    assert min(rates.training, rates.predicting) >= 0
    assert max(rates.training, rates.predicting) > 0  # which is larger is chance where others compute beside
    assert list(tmp_path.iterdir()) == []
    assert budget.LEAST == 20
