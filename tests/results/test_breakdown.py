"""Parts of a test set, and too few of them."""

from __future__ import annotations

import numpy as np
import pytest
from result_factory import simulate
from sklearn.metrics import average_precision_score, f1_score, matthews_corrcoef, roc_auc_score

from bend_hf.results.breakdown import breakdowns, splice_distances
from bend_hf.results.chance import expected_average_precision
from bend_hf.results.record import make_predictions
from bend_hf.tasks import TASKS, own_task


def test_variants_by_consequence_and_chromosome() -> None:
    predictions = simulate("variant_effects_disease", rows=300)
    found = breakdowns(predictions)
    assert set(found) == {"chromosome", "consequence"}
    consequence = predictions.column("consequence")
    for part in found["consequence"]:
        inside = consequence == part.name
        assert part.rows == inside.sum()
        assert part.positives == predictions.labels[inside].sum()
        assert part.score == pytest.approx(roc_auc_score(predictions.labels[inside], predictions.scores[inside]))


def test_too_few_is_no_number() -> None:
    found = breakdowns(simulate("variant_effects_disease", rows=30))
    assert all(part.score is None for part in found["consequence"])
    assert all(part.rows > 0 for part in found["consequence"])


def test_chromosomes_are_in_their_usual_order() -> None:
    found = breakdowns(simulate("cpg_methylation", rows=240, chromosomes=12))
    assert [part.name for part in found["chromosome"]] == [f"chr{k}" for k in range(1, 13)]
    assert {part.name for part in found["strand"]} == {"+", "-"}


def test_multilabel_parts_average_labels_with_enough() -> None:
    predictions = simulate("histone_modification", rows=200, chromosomes=2)
    part = breakdowns(predictions)["chromosome"][0]
    inside = predictions.column("chromosome") == part.name
    labels, scores = predictions.labels[inside], predictions.scores[inside]
    enough = [k for k in range(18) if 10 <= labels[:, k].sum() <= len(labels) - 10]
    assert part.positives == len(enough)
    assert part.score == pytest.approx(np.mean([roc_auc_score(labels[:, k], scores[:, k]) for k in enough]))


def brute_force_distances(labels: list[int]) -> list[int]:
    sites = [i for i, label in enumerate(labels) if label in (1, 3, 5, 7)]
    return [min(abs(i - site) for site in sites) if sites else -1 for i in range(len(labels))]


def test_distances_to_splice_sites_stay_in_their_window() -> None:
    rng = np.random.default_rng(0)
    windows = [rng.choice(9, n, p=[0.1, 0.03, 0.3, 0.03, 0.1, 0.02, 0.2, 0.02, 0.2]) for n in (40, 7, 25, 3)]
    windows += [np.full(5, 8), np.array([1, 8, 8])]
    keys = {"chromosome": ["chr1"] * 6, "start": range(6), "end": range(6), "strand": ["+"] * 6}
    scores = [np.full((len(window), 9), 0.1) for window in windows]
    predictions = make_predictions(TASKS["gene_finding"], keys, scores, windows)
    expected = [d for window in windows for d in brute_force_distances(window.tolist())]
    assert splice_distances(predictions).tolist() == expected


def test_gene_finding_by_distance() -> None:
    predictions = simulate("gene_finding", signal=0.4)
    parts = breakdowns(predictions)["distance to the nearest splice site"]
    distance = splice_distances(predictions)
    assert sum(part.rows for part in parts) == len(distance)
    near = (distance >= 1) & (distance <= 10)
    (part,) = [part for part in parts if part.name == "1–10 bp"]
    assert part.rows == near.sum()
    called = predictions.scores.argmax(1)
    assert part.score == pytest.approx(matthews_corrcoef(predictions.labels[near], called[near]))


def test_enhancers_by_distance_to_the_start() -> None:
    predictions = simulate("enhancer_annotation", signal=1.0, rows=40)
    parts = breakdowns(predictions)["distance to the gene's start"]
    assert sum(part.rows for part in parts) == 40 * 782
    assert parts[0].rows == 40 * 16  # bins whose centre is nearer than 1 kb: 8 on either side
    bins = np.arange(782)
    near = (np.abs(bins + 0.5 - 391) * 128 >= 25_000)[None, :].repeat(40, 0)
    labels, scores = predictions.labels.reshape(40, 782), predictions.scores.reshape(40, 782)
    part = predictions.column("part")
    folds = [
        average_precision_score(labels[part == p][near[part == p]], scores[part == p][near[part == p]])
        for p in sorted(set(part))
    ]
    assert parts[-1].score == pytest.approx(np.mean(folds))
    assert parts[-1].chance < parts[-1].score


def test_divisions_with_one_part_are_left_out() -> None:
    assert "chromosome" not in breakdowns(simulate("cpg_methylation", chromosomes=1))


def test_parts_of_classes_have_the_task_s_own_metric() -> None:
    task = own_task(
        "kinds_of_windows",
        label_kind="window_class",
        label_names=("a", "b", "c"),
        window=100,
        build="WBcel235",
        summary="Tell three kinds of windows.",
        rows={"train": 1, "validation": 1, "test": 80},
        metric="macro_f1",
    )
    rng = np.random.default_rng(2)
    labels, scores = rng.integers(0, 3, (80, 1)), rng.random((80, 3))
    chromosome = np.repeat(["I", "II"], 40)
    keys = {"chromosome": chromosome, "start": range(80), "end": range(80), "strand": ["+"] * 80}
    for part in breakdowns(make_predictions(task, keys, list(scores), list(labels)))["chromosome"]:
        inside = chromosome == part.name
        wanted = f1_score(labels[inside, 0], scores[inside].argmax(axis=1), average="macro")
        assert part.score == pytest.approx(wanted)
        assert part.chance == pytest.approx(1 / 3)


def test_parts_of_bins_have_the_task_s_own_metric() -> None:
    task = own_task(
        "bins_without_folds",
        label_kind="per_bin_binary",
        label_names=("open",),
        window=100,
        bin_size=10,
        build="WBcel235",
        summary="Tell which bins are open.",
        rows={"train": 1, "validation": 1, "test": 40},
        metric="auprc",
    )
    rng = np.random.default_rng(3)
    labels, scores = rng.integers(0, 2, (40, 10)), rng.random((40, 10))
    chromosome = np.repeat(["I", "II"], 20)
    keys = {"chromosome": chromosome, "start": range(40), "end": range(40), "strand": ["+"] * 40}
    for part in breakdowns(make_predictions(task, keys, list(scores), list(labels)))["chromosome"]:
        inside = chromosome == part.name
        stored = scores[inside].astype(np.float32).ravel()
        assert part.score == pytest.approx(average_precision_score(labels[inside].ravel(), stored))
        assert part.chance == pytest.approx(expected_average_precision(200, int(labels[inside].sum())))
