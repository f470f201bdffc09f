"""Models from a Hub: found, downloaded at a commit, cached, used offline; and what is said where that cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import hub_server
import numpy as np
import pytest
import tiny_models
from hub_client import Client, ClientError

from bend_hf.embed.embedder import Embedder

NATIVE = Path(__file__).resolve().parent.parent / "models" / "goldens" / "nt_v2"
SEQUENCES = [tiny_models.dna(200, 1), tiny_models.dna(61, 2)]
EMBED = (
    "from bend_hf.embed.embedder import Embedder",
    "def embed(name, **options):",
    "    embedder = Embedder.from_pretrained(name, dtype='float32', **options)",
    "    vectors = [vectors.tolist() for vectors, _ in embedder.embed(SEQUENCES)]",
    "    return {'identity': embedder.provenance()['key']['model'], 'vectors': vectors}",
    f"SEQUENCES = {SEQUENCES!r}",
    "None",
)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    native = shutil.copytree(NATIVE, root / "nt_v2")
    (native / "golden.npz").unlink()
    tiny_models.kmers(native, k=2, context=62)
    made = {"esm": tiny_models.esm(root / "esm"), "newer": tiny_models.esm(root / "newer", seed=1), "nt_v2": native}
    return made | {"dnabert": tiny_models.dnabert(root / "dnabert")}


@pytest.fixture(scope="module")
def hub(folders: dict[str, Path]) -> Iterator[hub_server.Hub]:
    """Two commits of one model, one model that is native here, and one that only later tests ask for."""
    with hub_server.Hub() as server:
        repo = server.create("model", "tester/esm", contents(folders["esm"]))
        files = {name: hub_server.File(content) for name, content in contents(folders["newer"]).items()}
        repo.commit("main", files, "other weights")
        for name in ("nt_v2", "dnabert"):
            server.create("model", f"tester/{name}", contents(folders[name]))
        server.create("model", "tester/empty", {"README.md": b"nothing here"})
        yield server


@pytest.fixture(scope="module")
def client(hub: hub_server.Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Client(tmp_path_factory.mktemp("client"), hub.environment(token=None)) as process:
        process.run(*EMBED)
        yield process


def here(folder: Path) -> list[np.ndarray]:
    embedder = Embedder.from_pretrained(str(folder), dtype="float32")
    return [vectors.numpy() for vectors, _ in embedder.embed(SEQUENCES)]


def same(found: dict, folder: Path) -> None:
    for vectors, expected in zip(found["vectors"], here(folder), strict=True):
        np.testing.assert_allclose(np.array(vectors), expected, atol=1e-6)


def test_a_model_of_the_hub_is_the_model_of_its_folder(hub, client, folders):
    repo = hub.repo("model", "tester/esm")
    first, newest = list(repo.commits)
    found = client.run("embed('tester/esm')")
    same(found, folders["newer"])
    assert newest in str(found["identity"])
    pinned = client.run(f"embed('tester/esm', revision={first!r})")
    same(pinned, folders["esm"])
    assert first in str(pinned["identity"])


def test_a_native_model_of_the_hub_needs_no_code(client, folders):
    same(client.run("embed('tester/nt_v2')"), folders["nt_v2"])


def test_a_catalogue_name_loads_its_pinned_commit(hub, client, folders):
    first = next(iter(hub.repo("model", "tester/esm").commits))
    client.run(
        "from bend_hf.embed import catalogue",
        f"entry = catalogue.Entry('tester/esm', None, 32, False, '6-mers', revision={first!r})",
        "catalogue.CATALOGUE['tiny-esm'] = entry",
    )
    same(client.run("embed('tiny-esm')"), folders["esm"])
    same(client.run("embed('tiny-esm', revision='main')"), folders["newer"])


def test_what_is_not_there_is_said(client):
    with pytest.raises(ClientError, match=r"tester/esm.*revision 1234; --revision main is the newest") as caught:
        client.run("embed('tester/esm', revision='1234')")
    assert caught.value.kind == "BendError"
    with pytest.raises(ClientError, match=r"tester/esmm.*cannot be had") as caught:
        client.run("embed('tester/esmm')")
    assert caught.value.kind == "BendError"
    with pytest.raises(ClientError, match=r"tester/empty.*holds no config\.json"):
        client.run("embed('tester/empty')")


def test_a_download_that_breaks_is_no_model(hub, client, folders):
    """A connection cut in the middle leaves nothing that passes for a checkpoint; the next try succeeds."""
    hub.fault("GET", r"tester/dnabert/resolve/.*safetensors", status=None)
    with pytest.raises(ClientError, match="dnabert") as caught:
        client.run("embed('tester/dnabert')")
    assert caught.value.kind == "BendError"
    hub.faults.clear()
    same(client.run("embed('tester/dnabert')"), folders["dnabert"])


def test_offline_after_the_first_time(hub, client, folders, tmp_path):
    client.run("embed('tester/esm')")
    asked = len(hub.requests)
    home = client.run("import os", "os.environ['HF_HOME']")
    offline = {**hub.environment(token=None), "HF_HUB_OFFLINE": "1", "HF_HOME": home}
    with Client(tmp_path, offline) as process:
        process.run(*EMBED)
        same(process.run("embed('tester/esm')"), folders["newer"])
        with pytest.raises(ClientError, match=r"tester/never-seen' is not in the cache, and the Hub cannot be asked"):
            process.run("embed('tester/never-seen')")
        with pytest.raises(ClientError, match=r"tester/esm' at revision abc is not in the cache"):
            process.run("embed('tester/esm', revision='abc')")
    assert len(hub.requests) == asked


def test_one_line_evaluates_a_model_of_the_hub(client, toy_dir, tmp_path):
    scores = client.run(
        "import bend_hf",
        f"results = bend_hf.evaluate('tester/esm', tasks=['cpg_methylation', 'variant_effects_disease'], epochs=1, "
        f"data_dir={str(toy_dir)!r}, output={str(tmp_path)!r}, seeds=1)",
        "[[result.model, result.task, result.score, result.failure] for result in results]",
    )
    assert [(model, task, failure) for model, task, _, failure in scores] == [
        ("tester/esm", "cpg_methylation", None),
        ("tester/esm", "variant_effects_disease", None),
    ]
    assert all(0 <= score <= 1 for _, _, score, _ in scores)
