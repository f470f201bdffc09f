"""Results on model pages: pushed, proposed as a pull request, read back and parsed by `huggingface_hub`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_server
import pytest
import yaml
from hub_client import Client, ClientError
from huggingface_hub import EvalResultEntry, parse_eval_result_entries

from bend_hf.errors import BendError
from bend_hf.hub import cards
from bend_hf.hub import mirror as mirrors
from bend_hf.hub.push import push_results
from bend_hf.results.record import Result, write_result
from bend_hf.tasks import TASKS

MODEL = "tester/dna-model"
PROVENANCE = {"created": "2024-05-07T12:00:00+00:00", "packages": {}, "model": {}}
SHORT = {**PROVENANCE, "dataset_digest": "0" * 64, "settings": {"epochs": 2, "patience": None}}


@pytest.fixture(scope="module")
def hub() -> Iterator[hub_server.Hub]:
    with hub_server.Hub() as server:
        yield server


@pytest.fixture(scope="module")
def client(hub: hub_server.Hub, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client process, after the datasets were published."""
    with Client(tmp_path_factory.mktemp("client"), hub.environment()) as process:
        process.run("import bend_hf, huggingface_hub", "from bend_hf.hub.publish import publish")
        process.run(f"publish('bend', toy=True, mirror={str(mirror)!r})", "None")
        yield process


@pytest.fixture
def digests(mirror: Path) -> dict[str, str]:
    """Digest of the published rows, by task."""
    markers = {item.path.name: item.marker for item in mirrors.read_mirror(mirror, "bend") if item.kind == "dataset"}
    return {task.name: markers[task.dataset]["configs"][task.config]["digest"] for task in TASKS.values()}


def result(task: str, digest: str, **changes: Any) -> Result:
    declared = TASKS[task]
    given = Result(
        model=MODEL,
        task=task,
        protocol="default",
        seed=None if declared.recipe is None else 0,
        metric=declared.metric,
        score=0.625,
        interval=[0.5, 0.75],
        chance=0.5,
        toy=False,
        secondary={},
        counts={"rows": 10},
        folds=[{"part": "part1", "score": 0.625, "rows": 10}] if declared.split_scheme == "folds" else None,
        history=[],
        provenance={**PROVENANCE, "dataset_digest": digest},
    )
    return dataclasses.replace(given, **changes)


def push(folder: Path, results: list[Result], **options: Any) -> str:
    for item in results:
        write_result(folder, item)
    return f"bend_hf.push_results(bend_hf.read_results({str(folder)!r}), {MODEL!r}, **{options!r})"


def test_a_pull_request_with_one_value_per_entry(
    hub: hub_server.Hub, client: Client, digests: dict[str, str], tmp_path: Path
) -> None:
    hub.create("model", MODEL, {"README.md": b"# Model\n"})
    scored = [result(name, digest) for name, digest in digests.items()]
    scored += [result("gene_finding", digests["gene_finding"], seed=1, score=0.875)]
    scored += [result("gene_finding", digests["gene_finding"], protocol="bend-2024", score=0.25, interval=None)]
    failed = result("histone_modification", "x" * 64, seed=3, score=None, interval=None, failure="out of memory")
    url = client.run(push(tmp_path, [*scored, failed]))
    assert url == f"{hub.url}/{MODEL}/discussions/1"
    assert list(hub.files("model", MODEL)) == ["README.md"]

    proposed = hub.files("model", MODEL, "refs/pr/1")
    entries: dict[str, EvalResultEntry] = {}
    for path, content in proposed.items():
        if path.startswith(".eval_results/"):
            [entry] = parse_eval_result_entries(yaml.safe_load(content))
            entries[entry.task_id] = entry
    assert len(entries) == len(TASKS) + 1
    for task in TASKS.values():
        entry = entries[cards.task_id(task)]
        assert entry.dataset_id == f"bend/{task.dataset}"
        assert entry.dataset_revision == hub.repo("dataset", entry.dataset_id).refs["main"]
        assert entry.value == (0.75 if task.name == "gene_finding" else 0.625)
        assert entry.date == "2024-05-07T12:00:00+00:00"
        assert entry.source_url == f"{hub.url}/datasets/{entry.dataset_id}"
        assert entry.source_name is not None
        assert digests[task.name] in str(entry.notes)
        benchmark = yaml.safe_load(hub.files("dataset", entry.dataset_id)["eval.yaml"])
        assert entry.task_id in {item["id"] for item in benchmark["tasks"]}
    assert "mean of 2 seeds, standard deviation 0.1768" in str(entries["gene_finding_mcc"].notes)
    assert "95 % interval 0.5000 to 0.7500" in str(entries["cpg_methylation_auroc"].notes)
    assert entries["gene_finding_mcc_bend_2024"].value == 0.25
    assert str(entries["gene_finding_mcc_bend_2024"].notes).startswith("protocol bend-2024; seed 0;")

    # Read by the client, from the pull request and, once merged, from the model's page and the leaderboard.
    read = "huggingface_hub.model_info({!r}, expand=['evalResults'], revision={!r}).eval_results"
    before = client.run(f"len({read.format(MODEL, 'refs/pr/1')})")
    client.run(f"huggingface_hub.HfApi().merge_pull_request({MODEL!r}, 1)", "None")
    after = client.run(f"sorted([item.task_id, item.value] for item in {read.format(MODEL, None)})")
    assert before == len(after) == len(entries)
    assert ["gene_finding_mcc", 0.75] in after
    board = client.run(
        "[[row.model_id, row.value] for row in huggingface_hub.HfApi().get_dataset_leaderboard('bend/cpg_methylation')]"
    )
    assert board == [[MODEL, 0.625]]


def test_a_direct_commit_keeps_other_results(
    hub: hub_server.Hub, client: Client, digests: dict[str, str], tmp_path: Path
) -> None:
    hub.create("model", MODEL, {".eval_results/other.yaml": b"[]"})
    task = "cpg_methylation"
    results = [result(task, digests[task], provenance=SHORT | {"dataset_digest": digests[task]})]
    url = client.run(push(tmp_path, results, create_pr=False, source_url="https://example.org/log"))
    assert url.startswith(f"{hub.url}/{MODEL}/commit/")
    files = hub.files("model", MODEL)
    assert set(files) == {".eval_results/other.yaml", ".eval_results/bend-cpg_methylation_auroc.yaml"}
    [entry] = parse_eval_result_entries(yaml.safe_load(files[".eval_results/bend-cpg_methylation_auroc.yaml"]))
    assert entry.source_url == "https://example.org/log"
    assert "; trained for 2 epochs instead of the recipe's 100; 95 % interval" in str(entry.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([{"toy": True}], "say nothing about a model"),
        ([{"provenance": SHORT}], "has other rows"),
        ([{}, {"model": "other/model"}], "several models"),
        ([{}, {"seed": 1, "provenance": SHORT}], "differ in more than the seed"),
        ([{"score": None, "interval": None, "failure": "no memory"}], "no result with a score"),
    ],
)
def test_what_must_not_be_pushed(
    hub: hub_server.Hub, client: Client, digests: dict[str, str], tmp_path: Path, changes: list[Any], message: str
) -> None:
    repo = hub.create("model", MODEL)
    digest = digests["gene_finding"]
    with pytest.raises(ClientError, match=message) as failure:
        client.run(push(tmp_path, [result("gene_finding", digest, **change) for change in changes]))
    assert failure.value.kind in ("BendError", "HubError")
    assert repo.pull_requests == 0


@pytest.mark.parametrize("given", ["results", 3, [3], [{"task": "gene_finding"}], {"a": 1}], ids=repr)
def test_what_is_no_result_is_not_pushed(given: Any) -> None:
    """Nor is the Hub asked for anything."""
    with pytest.raises(BendError, match="are no results: read them with read_results"):
        push_results(given, MODEL)


def test_faults(hub: hub_server.Hub, client: Client, digests: dict[str, str], tmp_path: Path) -> None:
    line = push(tmp_path, [result("gene_finding", digests["gene_finding"])])
    hub.repos.pop(("model", MODEL), None)
    with pytest.raises(ClientError, match=f"Looking at {MODEL}: the Hub has no such repository"):
        client.run(line)
    repo = hub.create("model", MODEL)
    for status, message in (
        (403, "may not write there"),
        (429, "Wait"),
        (500, "failed"),
        (None, "connection to the Hub"),
    ):
        hub.fault("POST", "/commit/", status=status)
        with pytest.raises(ClientError, match=message) as failure:
            client.run(line)
        assert failure.value.kind in ("BendError", "HubError")
        hub.faults.clear()
    assert repo.pull_requests == 0
    with pytest.raises(ClientError, match="expected user/model"):
        client.run(line.replace(MODEL, "my model"))
    with pytest.raises(ClientError, match="Looking at the dataset nobody/gene_finding"):
        client.run(push(tmp_path, [], namespace="nobody"))
