"""Models from a Hub: found, downloaded at a commit, cached, used offline; and what is said where that cannot be."""

from __future__ import annotations

import shutil
import ssl
import subprocess
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
IMPATIENT = ("import time", "time.sleep = lambda seconds: None")
"""The client waits longer after each failed try."""


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
    for call, message in (
        ("embed('tester/esm', revision='1234')", "tester/esm has no revision 1234: --revision main is the newest"),
        ("embed('tester/esmm')", "There is no model tester/esmm on the Hub, or it is private"),
        ("embed('tester/empty')", r"'tester/empty' holds no config\.json"),
        ("embed('tester/es:m')", "tester/es:m cannot be had"),
    ):
        with pytest.raises(ClientError, match=message) as caught:
            client.run(call)
        assert caught.value.kind in ("BendError", "HubError", "ModelError")


def test_a_download_that_breaks_is_no_model(hub, client, folders):
    """A connection cut in the middle leaves nothing that passes for a checkpoint; the next try succeeds."""
    hub.fault("GET", r"tester/dnabert/resolve/.*safetensors", status=None)
    with pytest.raises(ClientError, match="dnabert") as caught:
        client.run("embed('tester/dnabert')")
    assert caught.value.kind in ("BendError", "HubError", "ModelError")
    hub.faults.clear()
    same(client.run("embed('tester/dnabert')"), folders["dnabert"])


def test_a_file_that_cannot_be_asked_for_does_not_pass_for_missing(hub, folders, tmp_path):
    """Without its tokenizer's configuration a model might be read in another way, and nobody would know."""
    hub.fault("HEAD", r"tester/dnabert/resolve/.*/tokenizer_config\.json", status=500)
    with Client(tmp_path, hub.environment(token=None)) as process:
        process.run(*IMPATIENT, *EMBED)
        with pytest.raises(ClientError, match=r"tokenizer_config\.json of tester/dnabert") as caught:
            process.run("embed('tester/dnabert')")
        assert caught.value.kind in ("BendError", "HubError", "ModelError")
        hub.faults.clear()
        same(process.run("embed('tester/dnabert')"), folders["dnabert"])


@pytest.mark.parametrize("downloaded", ["by use", "as a snapshot"])
def test_offline_after_the_first_time(hub, folders, tmp_path, downloaded):
    with Client(tmp_path, hub.environment(token=None)) as process:
        process.run(*EMBED)
        if downloaded == "by use":
            process.run("embed('tester/esm')", "None")
        else:
            process.run("import huggingface_hub", "huggingface_hub.snapshot_download('tester/esm')")
    asked = len(hub.requests)
    with Client(tmp_path, hub.environment(token=None) | {"HF_HUB_OFFLINE": "1"}) as process:
        process.run(*EMBED)
        same(process.run("embed('tester/esm')"), folders["newer"])
        for call, message in (
            (
                "embed('tester/never')",
                r"tester/never is not in the cache, and the Hub cannot be asked: (HF_HUB_OFFLINE|offline mode)",
            ),
            ("embed('tester/esm', revision='abc')", "tester/esm at revision abc is not in the cache"),
        ):
            with pytest.raises(ClientError, match=message):
                process.run(call)
    assert len(hub.requests) == asked


def test_without_a_connection_the_cache_serves(hub, folders, tmp_path):
    with Client(tmp_path, hub.environment(token=None)) as process:
        process.run(*EMBED)
        process.run("embed('tester/nt_v2')", "None")
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    with Client(tmp_path, hub.environment(token=None) | nowhere) as process:
        process.run(*IMPATIENT, *EMBED)
        same(process.run("embed('tester/nt_v2')"), folders["nt_v2"])
        with pytest.raises(
            ClientError, match=r"tester/esm is not in the cache, .* the connection to the Hub broke .*HF_HUB_OFFLINE=1"
        ):
            process.run("embed('tester/esm')")


def test_an_unreachable_hub_costs_one_question(hub, folders, tmp_path):
    """With everything in the cache a model is read without a single retry of the client, and it is said how."""
    with Client(tmp_path, hub.environment(token=None)) as process:
        process.run(*EMBED)
        process.run("embed('tester/nt_v2')", "None")
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    with Client(tmp_path, hub.environment(token=None) | nowhere) as process:
        process.run("import time", "waits = []", "time.sleep = waits.append", *EMBED)
        process.run("said = []", "from bend_hf.console import log", "log.warning = lambda *a: said.append(a)")
        same(process.run("embed('tester/nt_v2')"), folders["nt_v2"])
        assert process.run("[len(waits), len(said), 'HF_HUB_OFFLINE=1' in str(said)]") == [0, 1, True]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "hf auth login"),
        (403, r"may not read it \(403\)"),
        (407, "proxy wants to know"),
        (429, r"takes no more requests for now \(429\)"),
        (500, r"the Hub failed \(500\)"),
        (503, r"the Hub failed \(503\)"),
    ],
)
def test_answers_of_the_hub_are_told_apart(hub, tmp_path, status, words):
    hub.fault("HEAD", r"tester/dnabert/resolve/.*/config\.json", status=status)
    try:
        with Client(tmp_path, hub.environment(token=None)) as process:
            process.run(*IMPATIENT, *EMBED)
            with pytest.raises(ClientError, match=words) as caught:
                process.run("embed('tester/dnabert')")
        assert "Traceback" not in str(caught.value)
    finally:
        hub.faults.clear()


FIND = (*IMPATIENT, "from bend_hf.models.checkpoint import find_file, weight_files")
A_PAGE = r"a page that is no file of the Hub's \(a login page, .*log in, or check HTTPS_PROXY"


def test_a_login_page_is_told_however_it_comes(hub, tmp_path):
    """Sent on to it, or given it for an answer, or for the file itself; nothing of it passes for the model's."""
    with Client(tmp_path, hub.environment(token=None)) as process:
        process.run(*FIND, "None")
        for method, status in (("HEAD", hub_server.LOGIN), ("HEAD", hub_server.PAGE), ("GET", hub_server.PAGE)):
            hub.fault(method, r"tester/esm/resolve/", status=status)
            try:
                with pytest.raises(ClientError, match=A_PAGE) as caught:
                    process.run("find_file('tester/esm', 'config.json')")
            finally:
                hub.faults.clear()
            assert caught.value.kind == "HubError"
        found = process.run("open(find_file('tester/esm', 'config.json')).read()")
    assert found.encode() == hub.files("model", "tester/esm")["config.json"]


def test_a_proxy_that_wants_a_password_is_told_without_one(hub, tmp_path):
    proxy = {
        "HF_ENDPOINT": "https://hub.invalid",
        "HTTPS_PROXY": hub.url.replace("//", "//me:pass5word@"),
        "NO_PROXY": "",
    }
    with Client(tmp_path, hub.environment(token=None) | proxy) as process:
        with pytest.raises(
            ClientError, match=r"the proxy wants to know who asks \(407\)\. Give .* HTTPS_PROXY"
        ) as caught:
            process.run(*FIND, "find_file('tester/esm', 'config.json')")
    assert "pass5word" not in str(caught.value) + (tmp_path / "stderr.txt").read_text()


def test_a_part_of_a_model_in_the_cache_is_told_offline(hub, tmp_path):
    with Client(tmp_path, hub.environment(token=None)) as process:
        process.run(*FIND, "find_file('tester/esm', 'config.json')", "None")
    with Client(tmp_path, hub.environment(token=None) | {"HF_HUB_OFFLINE": "1"}) as process:
        with pytest.raises(ClientError, match=r"holds no weights: .* in the cache, .* \(unset HF_HUB_OFFLINE\)\.$"):
            process.run(*FIND, "weight_files('tester/esm')")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_nobody_has_signed_is_told(tmp_path):
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out own.pem -days 2 -subj /CN=localhost"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "key.pem")
    with hub_server.Hub() as server:
        server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
        secure = server.environment(token=None) | {"HF_ENDPOINT": server.url.replace("http:", "https:")}
        with Client(tmp_path, secure) as process:
            with pytest.raises(ClientError, match=r"a certificate that cannot be trusted\. Name .* SSL_CERT_FILE"):
                process.run(*FIND, "find_file('tester/esm', 'config.json')")


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
