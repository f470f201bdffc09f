"""The plain lines give the same rows however they come: prepared, from a mirror, from the Hub, offline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_server
import pytest
from hub_client import Client, ClientError

import bend_hf
from bend_hf.data import toy
from bend_hf.metric import METRICS
from bend_hf.tasks import TASKS

DIGESTS = """
import hashlib, json
def digest(dataset):
    rows = hashlib.sha256()
    for row in dataset:
        rows.update(json.dumps(row, sort_keys=True).encode())
    return [dataset.num_rows, rows.hexdigest(), sorted(f"{name} {kind}" for name, kind in dataset.features.items())]
def digests(splits):
    return {name: digest(dataset) for name, dataset in splits.items()}
"""
LINES = f"""{DIGESTS}
from datasets import load_dataset
import evaluate
rows = {{
    "variant_effects": digests(load_dataset("bend/variant_effects")),
    "disease": digests(load_dataset("bend/variant_effects", "disease")),
    "gene_finding": digest(load_dataset("bend/gene_finding", split="test")),
    "enhancer_annotation": digest(load_dataset("bend/enhancer_annotation")["part3"]),
    "chromatin_accessibility": digests(load_dataset("bend/chromatin_accessibility")),
    "histone_modification": digests(load_dataset("bend/histone_modification")),
    "cpg_methylation": digests(load_dataset("bend/cpg_methylation")),
}}
mcc, auroc, auprc = (evaluate.load(name) for name in ("bend/mcc", "bend/auroc", "bend/auprc"))
scores = [
    mcc.compute(predictions=[0, 1, 1, 0], references=[0, 1, 0, 0])["mcc"],
    auroc.compute(predictions=[0.1, 0.9, 0.8, 0.2], references=[0, 1, 0, 0])["auroc"],
    auprc.compute(predictions=[0.1, 0.9, 0.8, 0.2], references=[0, 1, 0, 1])["auprc"],
]
[rows, scores]
"""
PREPARE = "from bend_hf.hub.prepare import prepare", "len(prepare(toy=True, namespace='bend'))"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Rows of `bend_hf.load_dataset` from coordinates, and scores of the metrics' own files."""
    folder = toy.make(tmp_path_factory.mktemp("toy") / "data")
    names: dict[str, Any] = {"load": lambda *args: bend_hf.load_dataset(*args, data_dir=folder)}
    exec(DIGESTS, names)
    digest, digests, load = names["digest"], names["digests"], names["load"]
    rows = {
        "variant_effects": digests(load("variant_effects")),
        "disease": digests(load("variant_effects", "disease")),
        "gene_finding": digest(load("gene_finding")["test"]),
        "enhancer_annotation": digest(load("enhancer_annotation")["part3"]),
        **{
            name: digests(load(name)) for name in ("chromatin_accessibility", "histone_modification", "cpg_methylation")
        },
    }
    return json.loads(json.dumps(rows))


@pytest.fixture(scope="module", autouse=True)
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client at work after `prepare`, whose Hub cannot be reached: it waits long, while other tests run."""
    home = tmp_path_factory.mktemp("unreachable")
    with Client(home, {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DISABLE_TELEMETRY": "1"}) as client:
        client.send(
            PREPARE[0],
            "prepare('variant_effects', toy=True)",
            DIGESTS,
            "from datasets import load_dataset",
            "import evaluate",
            "rows = digests(load_dataset('bend/variant_effects'))",
            "[rows, evaluate.load('bend/mcc').compute(predictions=[0, 1], references=[0, 1])['mcc']]",
        )
        yield client


def check(answer: Any, expected: Any) -> None:
    rows, scores = answer
    assert rows == expected
    assert scores == pytest.approx([1 / 3**0.5, 1.0, 5 / 6], abs=1e-12)


def test_after_prepare(tmp_path: Path, expected: Any) -> None:
    """With a Hub that has no such repositories, offline, and with a Hub that cannot be reached."""
    with hub_server.Hub() as hub, Client(tmp_path, hub.environment()) as client:
        assert client.run(*PREPARE) == len(TASKS) + len(METRICS)
        check(client.run(LINES), expected)
        assert any(status == 404 for _, path, status in hub.requests if "bend/gene_finding" in path)
    offline = {"HF_HUB_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1"}
    (tmp_path / "elsewhere").mkdir()
    with Client(tmp_path, offline, cwd=tmp_path / "elsewhere") as client:
        check(client.run(LINES), expected)


def test_from_a_mirror(tmp_path: Path, mirror: Path, expected: Any) -> None:
    with Client(tmp_path, {"HF_HUB_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1"}, cwd=mirror) as client:
        check(client.run(LINES), expected)
        assert client.run(
            "rows = load_dataset('bend/histone_modification', split='train', streaming=True)",
            "next(iter(rows))['labels'] == load_dataset('bend/histone_modification', split='train')[0]['labels']",
        )


def test_from_the_hub(tmp_path: Path, mirror: Path, expected: Any) -> None:
    """Published by one process, read by another: map-style, streaming, projected, pinned."""
    with hub_server.Hub() as hub:
        with Client(tmp_path / "author", hub.environment()) as client:
            commits = client.run(
                "from bend_hf.hub.publish import publish",
                f"done = publish('bend', toy=True, mirror={str(mirror)!r})",
                "{item.repo_id: item.commit for item in done}",
            )
        assert len(commits) == 6 + len(METRICS)  # datasets and metrics
        with Client(tmp_path / "reader", hub.environment(token=None)) as client:
            check(client.run(LINES), expected)
            moved = hub.repo("dataset", "bend/gene_finding")
            moved.commit("main", {"README.md": hub_server.File(b"# emptied")}, "later")
            one = client.run(
                "from datasets import load_dataset_builder, get_dataset_config_names",
                "rows = load_dataset('bend/histone_modification', split='train', streaming=True)",
                "first = next(iter(rows))",
                "labels = next(iter(rows.select_columns(['labels'])))",
                f"pinned = load_dataset('bend/gene_finding', split='test', revision='{commits['bend/gene_finding']}')",
                "names = get_dataset_config_names('bend/variant_effects')",
                "[first, labels, pinned.num_rows, names]",
            )
            before = len(hub.requests)
            lazy = client.run(
                "rows = load_dataset('bend/histone_modification', split='train', streaming=True, columns=['labels'])",
                "next(iter(rows))",
            )
        read = [path for method, path, _ in hub.requests[before:] if method == "GET" and "/resolve/" in path]
    reference = bend_hf.load_dataset("histone_modification", split="train", data_dir=toy.make(tmp_path / "again"))
    assert one[0] == reference[0]
    assert one[1] == lazy == {"labels": reference[0]["labels"]}
    assert one[2] == expected["gene_finding"][0]
    assert one[3] == ["expression", "disease"]
    assert not any("test-" in path for path in read)


def test_readers_ride_out_faults(tmp_path: Path, mirror: Path, expected: Any) -> None:
    with hub_server.Hub() as hub:
        for name in ("gene_finding", "variant_effects"):
            local = mirror / "bend" / name
            files = {path.relative_to(local).as_posix(): path for path in local.rglob("*.*") if path.is_file()}
            hub.create("dataset", f"bend/{name}", {name: path.read_bytes() for name, path in files.items()})
        hub.fault("GET", r"gene_finding/resolve/.*test.*\.parquet", status=None, times=1)
        hub.fault("GET", r"gene_finding/resolve/.*validation.*\.parquet", status=503, times=1)
        hub.fault("GET", r"variant_effects/resolve/.*\.parquet", status=None, times=1)
        with Client(tmp_path, hub.environment(token=None)) as client:
            client.run("from datasets import load_dataset", DIGESTS)
            with pytest.raises(ClientError, match="503 Service Unavailable"):
                client.run("load_dataset('bend/gene_finding')")
            genes, variants = client.run(
                "rows = load_dataset('bend/variant_effects', 'disease', split='test', streaming=True)",
                "[digest(load_dataset('bend/gene_finding', split='test')), [row['start'] for row in rows]]",
            )
        assert genes == expected["gene_finding"]
        assert len(variants) == expected["disease"]["test"][0]
        assert all(fault.times == 0 for fault in hub.faults)


def test_after_prepare_with_an_unreachable_hub(unreachable: Client, expected: Any) -> None:
    rows, score = unreachable.receive()
    assert rows == expected["variant_effects"]
    assert score == pytest.approx(1.0)
