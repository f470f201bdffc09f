"""Cards: golden texts, up to date beside the scripts, valid for the Hub, and true to the declarations."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import hub_server
import huggingface_hub
import pytest
import yaml
from huggingface_hub import DatasetCard, HfApi

from bend_hf.errors import BendError
from bend_hf.hub import cards
from bend_hf.hub.mirror import METRICS, metric_files
from bend_hf.tasks import TASKS

GOLDENS = Path(__file__).parent / "goldens"
SHA = {"bed": "b" * 64, "hdf5": "d" * 64, "genome": "a" * 64}


def built(name: str, *, toy: bool = False, missing: int = 0) -> cards.Built:
    task = TASKS[name]
    rows = {split: count - missing for split, count in task.rows.items()}
    digests = SHA if task.labels_in_hdf5 else {key: value for key, value in SHA.items() if key != "hdf5"}
    return cards.Built(task, rows, task.positives, "c" * 64, digests, toy)


PUBLISHED = {
    "gene_finding": [built("gene_finding")],
    "chromatin_accessibility": [built("chromatin_accessibility", missing=5)],
    "variant_effects": [built("variant_effects_expression", toy=True), built("variant_effects_disease", toy=True)],
}


def check_golden(name: str, text: str) -> None:
    """Compare with a golden file; BEND_HF_UPDATE_GOLDENS=1 writes it instead."""
    path = GOLDENS / name
    if os.environ.get("BEND_HF_UPDATE_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), (
        f"{path.name} differs: BEND_HF_UPDATE_GOLDENS=1 accepts the new text"
    )


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_published_card_is_as_before(dataset: str) -> None:
    check_golden(f"{dataset}.md", cards.dataset_card(dataset, namespace="someone", built=PUBLISHED[dataset]))


def test_an_audit_of_the_rows_is_a_section():
    said = dataclasses.replace(built("gene_finding"), audit="gene_finding: 3 rows\n  no problem found")
    card = cards.dataset_card("gene_finding", built=[said])
    assert "## Audit of the rows\n\n```\ngene_finding: 3 rows\n  no problem found\n```\n" in card
    assert "Audit of the rows" not in cards.dataset_card("gene_finding", built=[built("gene_finding")])


@pytest.mark.parametrize("dataset", cards.DATASETS)
def test_eval_yaml_is_as_before(dataset: str) -> None:
    check_golden(f"{dataset}.eval.yaml", cards.eval_yaml(dataset))


def test_cards_beside_the_scripts_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert cards.outdated() == [], "python -m bend_hf.hub.cards writes them"
    assert cards.main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_outdated_cards_are_found_and_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cards.resources, "folder", lambda kind: tmp_path)
    assert cards.main(["--check"]) == 1
    assert not list(tmp_path.iterdir())
    assert cards.main([]) == 0
    assert cards.main(["--check"]) == 0
    (tmp_path / "gene_finding" / "README.md").write_text("old")
    capsys.readouterr()
    assert cards.main(["--check"]) == 1
    assert capsys.readouterr().out == f"{tmp_path / 'gene_finding' / 'README.md'}: out of date\n"
    with pytest.raises(BendError, match=r"--check"):
        cards.main(["--force"])


@pytest.mark.parametrize("dataset", cards.DATASETS)
def test_a_card_says_what_a_reader_needs(dataset: str) -> None:
    text = cards.dataset_card(dataset)
    assert text.count("BEND (2024 tasks)") >= 2
    assert "arxiv.org/abs/2311.12570" in text
    assert "BEND 2.0" in text
    assert "arxiv.org/abs/2611.03806" in text
    assert "0-based and half-open" in text
    assert "No licence file accompanies the data" in text
    for task in cards.tasks_of(dataset):
        assert task.build in text
        assert cards.task_id(task) in text
        for caveat in task.caveats:
            assert caveat in text
        for split, count in task.rows.items():
            assert f"| `{split}` | {count:,} |" in text
        for source in task.sources:
            assert f"https://doi.org/{source.doi}" in text
            assert f"doi = {{{source.doi}}}" in text
        for name in cards.row_columns(task):
            assert f"| `{name}` |" in text
        if task.label_naming != "unnamed":
            assert all(f"`{name}`" in text for name in task.label_names)
        assert ("inferred**" in text) == (task.label_naming == "inferred")
        assert ("carries no names**" in text) == (task.label_naming == "unnamed")
        if task.paper_rows:
            assert f"{task.paper_rows:,}" in text


def test_columns_without_a_meaning_do_not_exist() -> None:
    for task in TASKS.values():
        assert all(meaning for _, meaning in cards.row_columns(task).values())
    types = {name: kind for name, (kind, _) in cards.row_columns(TASKS["histone_modification"]).items()}
    assert types["labels"] == "List(ClassLabel)"
    assert types["start"] == "int64"


def test_found_and_declared_counts() -> None:
    text = cards.dataset_card("chromatin_accessibility", built=PUBLISHED["chromatin_accessibility"])
    assert "| `train` | 1,410,554 | 1,410,549 |" in text
    assert "differ from those declared" in text
    assert "a" * 64 in text
    whole = cards.dataset_card("gene_finding", built=PUBLISHED["gene_finding"])
    assert "differ from those declared" not in whole
    assert "toy" not in whole
    assert "These are toy data" in cards.dataset_card("variant_effects", built=PUBLISHED["variant_effects"])


def test_every_bibtex_entry_has_its_key_and_balances() -> None:
    entries = cards.citations()
    assert {source.key for task in TASKS.values() for source in task.sources} | {"marin2024bend"} == set(entries)
    for key, entry in entries.items():
        assert re.match(rf"@\w+\{{{key},\n", entry)
        assert entry.count("{") == entry.count("}")
    for task in TASKS.values():
        for source in task.sources:
            assert source.doi in entries[source.key]


def test_task_ids_are_unique_and_those_of_eval_yaml() -> None:
    ids = [entry["id"] for dataset in cards.DATASETS for entry in yaml.safe_load(cards.eval_yaml(dataset))["tasks"]]
    assert len(ids) == len(set(ids)) == 2 * len(TASKS)
    assert {cards.task_id(task) for task in TASKS.values()} < set(ids)
    assert {cards.task_id(task, "bend-2024") for task in TASKS.values()} < set(ids)


def test_cards_pass_the_validation_of_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with hub_server.Hub() as hub:
        api = HfApi(endpoint=hub.url)
        for dataset in cards.DATASETS:
            text = cards.dataset_card(dataset, built=PUBLISHED.get(dataset, ()))
            api._validate_yaml(text, repo_type="dataset")
            data = DatasetCard(text).data
            assert data.pretty_name.startswith("BEND (2024 tasks)")
            assert data.license == "unknown"
        with pytest.raises(ValueError, match="license"):
            api._validate_yaml("---\nlicense: free\n---\n", repo_type="dataset")


def test_metric_cards_are_valid_and_follow_the_template_of_evaluate() -> None:
    sections = ["Metric Description", "How to Use", "Inputs", "Output Values", "Limitations and Bias", "Citation"]
    for name in METRICS:
        text = metric_files(name, "bend")["README.md"]
        assert hub_server.card_problems(text, "space") == ([], [])
        places = [text.index(f"# {section}\n") for section in sections]
        assert places == sorted(places)
        data = DatasetCard(text).data
        assert {"evaluate", "metric"} <= set(data.tags)
        assert data.to_dict()["app_file"] == "app.py"


def test_unknown_dataset() -> None:
    with pytest.raises(BendError, match="Did you mean 'gene_finding'"):
        cards.dataset_card("gene_findin")
