"""Publishing to a Hub, by a client in another process: plans, one commit per repository, faults, results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_server
import pyarrow.parquet as pq
import pytest
import yaml
from hub_client import Client, ClientError
from tasks_of_ones_own import make_task, write_folder

from bend_hf import __version__
from bend_hf import files as file_tools
from bend_hf.hub import cards
from bend_hf.hub import mirror as mirrors
from bend_hf.metric import METRICS

DATASET, SPACE = "bend/gene_finding", "bend/mcc"
IMPORTS = "from bend_hf.hub.publish import describe, publish"


@pytest.fixture(scope="module")
def hub() -> Iterator[hub_server.Hub]:
    with hub_server.Hub() as server:
        yield server


@pytest.fixture(scope="module")
def _client(hub: hub_server.Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Client(tmp_path_factory.mktemp("client"), hub.environment()) as client:
        client.run(IMPORTS, "import huggingface_hub", "from huggingface_hub import HfApi")
        yield client


@pytest.fixture
def client(hub: hub_server.Hub, _client: Client) -> Client:
    """The one client process, before an empty Hub without faults."""
    for held in (hub.repos, hub.blobs, hub.faults, hub.requests):
        held.clear()
    return _client


def publish(mirror: Path, tasks: str = "gene_finding", **options: Any) -> str:
    return f"done = publish('bend', tasks={tasks!r}, toy=True, mirror={str(mirror)!r}, **{options!r})"


COMMITS = "[[item.repo_id, item.commit, item.exists] for item in done]"


def test_every_repository_changes_in_one_commit(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    commits = client.run(publish(mirror, "all"), COMMITS)
    said = client.run("describe(done[0])")
    assert said.endswith(f"{hub.url}/datasets/{DATASET} is at {hub.repo('dataset', DATASET).refs['main']}")
    assert {repo_id for repo_id, _, _ in commits} == {f"bend/{name}" for name in (*cards.DATASETS, *METRICS)}
    for (_, repo_id), repo in hub.repos.items():
        assert len(repo.messages) == 2, repo_id  # the Hub's own, and ours
        assert repo.messages[1] == f"bend_hf {__version__}"
        assert [repo_id, repo.refs["main"], False] in commits
        assert not repo.private
    for dataset in cards.DATASETS:
        files = hub.files("dataset", f"bend/{dataset}")
        assert {"README.md", "eval.yaml"} < set(files)
        assert not any(path.endswith((".py", ".json")) for path in files)
        assert yaml.safe_load(files["eval.yaml"])["evaluation_framework"] == "bend-hf"
        local = mirror / "bend" / dataset
        assert all((local / path).read_bytes() == content for path, content in files.items() if path[0] != ".")
    assert {"app.py", "README.md", "requirements.txt", "mcc.py"} <= set(hub.files("space", SPACE))
    # Again: nothing changes, nothing is uploaded.
    before = len(hub.requests)
    assert client.run(publish(mirror, "all"), COMMITS) == [[name, commit, True] for name, commit, _ in commits]
    assert not [path for method, path, _ in hub.requests[before:] if method != "GET" and "validate" not in path]


def test_dry_run_lists_every_file_and_uploads_nothing(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    texts = client.run(publish(mirror, dry_run=True), "[describe(item) for item in done]")
    assert hub.repos == {}
    assert texts[0].startswith("dataset bend/gene_finding (new)\n")
    for path in (mirror / DATASET).rglob("*"):
        if path.is_file() and path.name not in (mirrors.MARKER, file_tools.FOLDER_SEAL):
            assert f"{path.stat().st_size:,} B  {path.relative_to(mirror / DATASET)}" in texts[0]
    client.run(publish(mirror))
    hub.create("dataset", DATASET, {**hub.files("dataset", DATASET), "README.md": b"---\nlicense: mit\n---\n"})
    [text] = client.run(publish(mirror, dry_run=True), "[describe(item) for item in done][:1]")
    assert "  changed" in text
    assert "README.md" in text
    assert "  1 file, " in text
    assert text.endswith(" B to upload")


def test_dry_run_needs_no_login(hub: hub_server.Hub, client: Client, mirror: Path, tmp_path: Path) -> None:
    with Client(tmp_path, hub.environment(token=None)) as anonymous:
        assert anonymous.run(IMPORTS, publish(mirror, dry_run=True), "len(done)") == 1 + len(METRICS)
        with pytest.raises(ClientError, match="hf auth login"):
            anonymous.run(publish(mirror))
    assert hub.repos == {}


def test_old_shards_and_scripts_go_and_other_files_stay(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    old = {"default/train-00000-of-00002.parquet": b"old", "gene_finding.py": b"raise", "figure.png": b"picture"}
    hub.create("dataset", DATASET, old)
    client.run(publish(mirror))
    files = hub.files("dataset", DATASET)
    assert "figure.png" in files
    assert "gene_finding.py" not in files
    assert [path for path in files if "train" in path] == ["default/train-00000-of-00001.parquet"]


def test_private(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    client.run(publish(mirror, private=True))
    assert all(repo.private for repo in hub.repos.values())
    assert client.run("from datasets import load_dataset", f"load_dataset('{DATASET}', split='test').num_rows") == 16


def broken(tmp_path: Path, mirror: Path) -> Path:
    shutil.copytree(mirror, tmp_path / "mirror")
    return tmp_path / "mirror"


def _truncated(folder: Path) -> str:
    path = folder / DATASET / "default" / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    return r"default/test-00000-of-00001\.parquet does not match its SHA-256 since bend-hf prepare wrote it"


def _swapped(folder: Path) -> str:
    """Whole Parquet of as many rows, so that nothing but its digest tells."""
    path = folder / DATASET / "default" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take(list(range(len(table)))[::-1]), path)
    return r"test-00000-of-00001\.parquet does not match its SHA-256"


def _missing_shard(folder: Path) -> str:
    (folder / DATASET / "default" / "test-00000-of-00001.parquet").unlink()
    return r"test-00000-of-00001\.parquet is missing"


def _card(folder: Path) -> str:
    path = folder / DATASET / "README.md"
    path.write_text(path.read_text().replace("license: unknown", "license: free"))
    return r"README\.md does not match"


def _app(folder: Path) -> str:
    (folder / SPACE / "app.py").unlink()
    return r"app\.py is missing"


def _edited_metric(folder: Path) -> str:
    """Sealed anew: what runs on other machines is compared with the package's own text."""
    path = folder / SPACE / f"{Path(SPACE).name}.py"
    path.write_text(path.read_text() + "\nimport os\n")
    file_tools.seal_folder(folder / SPACE)
    return "is not the metric of this version of bend_hf"


def _link(folder: Path) -> str:
    path = folder / DATASET / "eval.yaml"
    path.rename(folder / "secret.yaml")
    path.symlink_to(folder / "secret.yaml")
    return r"eval\.yaml is a symbolic link, which is not uploaded"


def _linked_folder(folder: Path) -> str:
    path = folder / DATASET / "default"
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    return "default is a symbolic link"


def _no_seal(folder: Path) -> str:
    (folder / DATASET / file_tools.FOLDER_SEAL).unlink()
    return r"its seal \.seal is missing"


def _marker(folder: Path) -> str:
    (folder / DATASET / mirrors.MARKER).write_text("{")
    return r"\.bend_hf\.json does not match"


def _smuggled(folder: Path) -> str:
    """Sealed anew by whoever made the mirror: a script beside the rows."""
    (folder / DATASET / "default" / "rows.py").write_text("import os")
    file_tools.seal_folder(folder / DATASET)
    return r"default/rows\.py is no file that bend-hf prepare writes for a dataset"


def _outside(folder: Path) -> str:
    """Sealed anew: a file beside the mirror whose content is known."""
    (folder / "known").write_text("known")
    digests = {name: [file_tools.digest_file(folder / DATASET / name)] for name in ("README.md", "../../known")}
    seal = {"sha256": digests, "check": file_tools.digest_of(digests)}
    (folder / DATASET / file_tools.FOLDER_SEAL).write_text(json.dumps(seal))
    return r"its seal \.seal is damaged"


def _benchmark(folder: Path, field: str) -> str:
    """Sealed anew: the benchmark's tasks name what the dataset has not."""
    path = folder / DATASET / "eval.yaml"
    benchmark = yaml.safe_load(path.read_text())
    benchmark["tasks"][0][field] = "another"
    path.write_text(yaml.safe_dump(benchmark))
    file_tools.seal_folder(folder / DATASET)
    return r"eval\.yaml: task \w+ names a configuration or split that is not there"


def _another_configuration(folder: Path) -> str:
    return _benchmark(folder, "config")


def _another_split(folder: Path) -> str:
    return _benchmark(folder, "split")


HARM = [_truncated, _swapped, _missing_shard, _card, _app, _edited_metric, _link, _linked_folder, _no_seal, _marker]
HARM += [_smuggled, _outside, _another_configuration, _another_split]


def test_nothing_is_uploaded_that_was_not_written_by_prepare(
    hub: hub_server.Hub, client: Client, mirror: Path, tmp_path: Path
) -> None:
    folder = broken(tmp_path, mirror)
    (folder / "secret").write_text("a password")
    for name in (".env", "gene_finding.py", "notes.txt", "default/extra.parquet", "default/test-00001.parquet"):
        (folder / DATASET / name).write_text("a stranger's")
    (folder / DATASET / "link").symlink_to(folder / "secret")
    client.run(publish(folder), "None")
    names = {
        "README.md",
        "eval.yaml",
        *(f"default/{split}-00000-of-00001.parquet" for split in ("train", "validation", "test")),
    }
    assert set(hub.files("dataset", DATASET)) - {".gitattributes"} == names


@pytest.mark.parametrize("damage", HARM)
def test_nothing_is_uploaded_when_a_check_fails(
    hub: hub_server.Hub, client: Client, mirror: Path, tmp_path: Path, damage: Any
) -> None:
    folder = broken(tmp_path, mirror)
    message = damage(folder)
    with pytest.raises(ClientError, match=message) as failure:
        client.run(publish(folder))
    assert failure.value.kind in ("BendError", "HubError")
    assert hub.repos == {}


def test_a_file_that_is_swapped_after_the_checks_is_not_uploaded(
    hub: hub_server.Hub, client: Client, mirror: Path, tmp_path: Path
) -> None:
    client.run("import bend_hf.hub.publish as module", "kept = module._plan")
    swap = "(repository.path / 'README.md').write_text('of a stranger')"
    client.run(f"module._plan = lambda api, repository: (kept(api, repository), {swap})[0]", "None")
    try:
        with pytest.raises(ClientError, match=r"README\.md does not match its SHA-256 since it was checked"):
            client.run(publish(broken(tmp_path, mirror)))
    finally:
        client.run("module._plan = kept", "None")
    assert hub.repos == {}


def test_incomplete_data_is_published_only_when_asked_for(
    hub: hub_server.Hub, client: Client, plain_data: dict[int, Path]
) -> None:
    data = f"publish('bend', tasks='gene_finding', genome_checked=True, data_dir={str(plain_data[0])!r}"
    with pytest.raises(ClientError, match="BEND's release 5,977"):
        client.run(f"{data})")
    assert hub.repos == {}
    client.run(f"{data}, incomplete=True)", "None")
    assert b"differ from those declared" in hub.files("dataset", DATASET)["README.md"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/api/whoami", 401, r"does not accept the token.*hf auth login"),
        ("POST", "/api/repos/create", 403, "may not write there"),
        ("POST", "/commit/", 401, "does not accept the token"),
        ("POST", "/commit/", 403, "may not write there"),
        ("POST", "/commit/", 404, "no such repository"),
        ("POST", "/commit/", 412, "changed meanwhile"),
        ("POST", "/commit/", 429, "Wait a few minutes"),
        ("POST", "/commit/", 500, "the Hub failed"),
        ("POST", "/commit/", 503, "the Hub failed"),
        ("POST", "/commit/", None, "connection to the Hub broke"),
        ("POST", "/info/lfs/", 403, "may not write there"),
    ],
)
def test_a_fault_leaves_no_half_published_repository(
    hub: hub_server.Hub, client: Client, mirror: Path, method: str, path: str, status: int | None, message: str
) -> None:
    hub.fault(method, path, status=status)
    with pytest.raises(ClientError, match=message) as failure:
        client.run(publish(mirror))
    assert failure.value.kind in ("BendError", "HubError")
    assert hub.repos == {}  # created for this, empty, and removed again
    hub.faults.clear()
    client.run(publish(mirror))
    assert hub.files("dataset", DATASET)


def test_a_fault_leaves_an_existing_repository_as_it_was(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    hub.create("dataset", DATASET, {"README.md": b"---\nlicense: mit\n---\n"})
    before = hub.files("dataset", DATASET)
    hub.fault("POST", "gene_finding/commit/", status=500)
    with pytest.raises(ClientError, match=r"gene_finding is as it was\. Published before it: nothing"):
        client.run(publish(mirror))
    assert hub.files("dataset", DATASET) == before
    assert len(hub.repos) == 1


def test_a_repository_that_someone_else_filled_meanwhile_is_not_removed(
    hub: hub_server.Hub, client: Client, mirror: Path
) -> None:
    hub.fault("POST", "gene_finding/commit/", status=500)
    hub.on_fault = lambda: hub.repo("dataset", DATASET).commit("main", {"data.txt": hub_server.File(b"theirs")}, "x")
    try:
        with pytest.raises(ClientError, match="is still there"):
            client.run(publish(mirror))
    finally:
        hub.on_fault = None
    assert hub.files("dataset", DATASET) == {"data.txt": b"theirs"}


@pytest.mark.parametrize("path", ["/preupload/", "/info/lfs/objects/batch", "/commit/"])
def test_a_commit_that_someone_else_makes_meanwhile_is_not_written_over(
    hub: hub_server.Hub, client: Client, mirror: Path, path: str
) -> None:
    hub.create("dataset", DATASET, {"README.md": b"---\nlicense: mit\n---\n"})
    theirs = {"README.md": hub_server.File(b"---\nlicense: mit\n---\ntheirs")}
    hub.fault("POST", f"gene_finding.*{path}", status=hub_server.MEANWHILE, times=1)
    hub.on_fault = lambda: hub.repo("dataset", DATASET).commit("main", theirs, "theirs")
    try:
        with pytest.raises(ClientError, match="changed meanwhile"):
            client.run(publish(mirror))
    finally:
        hub.on_fault = None
    assert hub.files("dataset", DATASET) == {"README.md": b"---\nlicense: mit\n---\ntheirs"}
    assert hub.repo("dataset", DATASET).messages == ["initial commit", "theirs"]


def test_requests_beyond_the_hub_s_limit_are_told(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    hub.limit = hub_server.Limit(requests=3, seconds=1000)
    try:
        with pytest.raises(ClientError, match=r"takes no more requests for now \(429\). Wait 1000 seconds"):
            client.run(publish(mirror))
    finally:
        hub.limit = None
    assert [status for _, _, status in hub.requests].count(429) == 1
    assert hub.repos == {}
    client.run(publish(mirror))
    assert hub.files("dataset", DATASET)["eval.yaml"] == (mirror / DATASET / "eval.yaml").read_bytes()


def test_an_empty_repository_that_cannot_be_removed_is_named(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    hub.fault("POST", "gene_finding/commit/", status=503)
    hub.fault("DELETE", "/api/repos/delete", status=503)
    with pytest.raises(ClientError, match=f"{DATASET} was created for this and is still there"):
        client.run(publish(mirror))


def test_the_repositories_before_a_fault_are_whole_and_named(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    assert cards.DATASETS[4] == "cpg_methylation"
    hub.fault("POST", "cpg_methylation/commit/", status=500)
    with pytest.raises(
        ClientError, match="Published before it: bend/gene_finding, bend/enhancer_annotation, bend/chrom"
    ):
        client.run(publish(mirror, "all"))
    assert list(hub.repos) == [("dataset", f"bend/{name}") for name in cards.DATASETS[:4]]
    assert all(len(repo.messages) == 2 for repo in hub.repos.values())


def test_passing_faults_are_ridden_out(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    hub.fault("PUT", "/lfs/", status=503, times=1)
    hub.fault("POST", "/preupload/", status=429, times=1)
    hub.fault("POST", "/info/lfs/", status=None, times=1)
    client.run(publish(mirror))
    assert hub.files("dataset", DATASET)["eval.yaml"] == (mirror / DATASET / "eval.yaml").read_bytes()


def test_a_commit_whose_answer_was_lost_counts(hub: hub_server.Hub, client: Client, mirror: Path) -> None:
    hub.fault("POST", "gene_finding/commit/", status=hub_server.ANSWER_LOST, times=1)
    [[_, commit, _]] = client.run(publish(mirror), f"[item for item in {COMMITS} if item[0] == '{DATASET}']")
    assert commit == hub.repo("dataset", DATASET).refs["main"]


def test_who_may_write_where(hub: hub_server.Hub, client: Client, mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="may not write to the namespace 'other' on the Hub, only to: bend, tester"):
        client.run(f"publish('other', toy=True, mirror={str(mirror)!r})")
    with pytest.raises(ClientError, match="is no namespace"):
        client.run("publish('a/b')")
    with Client(tmp_path, hub.environment(token=hub_server.READ_TOKEN)) as reader:
        with pytest.raises(ClientError, match="may not write to the namespace 'bend'"):
            reader.run(IMPORTS, publish(mirror))
    with Client(tmp_path, {**hub.environment(), "HF_HUB_OFFLINE": "1"}) as offline:
        with pytest.raises(ClientError, match="unset HF_HUB_OFFLINE"):
            offline.run(IMPORTS, publish(mirror))
    assert hub.repos == {}


def test_the_command_line(hub: hub_server.Hub, client: Client) -> None:
    """Prepared, published and results pushed by commands, as the documentation has them."""
    client.run("from bend_hf.cli import main", "codes = []")
    line = "codes.append(main(['publish', '--namespace', 'bend', '--tasks', 'gene_finding', '--toy'{}]))"
    client.run(line.format(", '--dry-run'"))
    assert hub.repos == {}
    client.run(line.format(", '--private'"))
    assert hub.repo("dataset", DATASET).private
    client.run("codes.append(main(['prepare', 'gene_finding', '--toy']))")
    client.run("codes.append(main(['prepare', '--list', '--format', 'json']))")
    client.run("codes.append(main(['prepare', '--remove']))")
    hub.fault("POST", "/commit/", status=500)
    client.run(line.format(""))
    assert client.run("codes") == [0, 0, 0, 0, 0, 0]
    hub.repos.clear()
    client.run(line.format(""))
    assert client.run("codes[-1]") == 1
    assert hub.repos == {}


@pytest.mark.parametrize("kind", ["window_class", "window_value"])
@pytest.mark.parametrize("by_mirror", [False, True])
def test_a_task_of_ones_own_is_published_and_read_back(
    hub: hub_server.Hub, client: Client, tmp_path: Path, kind: str, by_mirror: bool
) -> None:
    names = {"window_class": ("poor", "rich"), "window_value": ("content",)}[kind]
    name = f"{kind}_{by_mirror}"  # the client's process keeps the tasks that it has seen
    task = make_task(name, label_kind=kind, label_names=names)
    folder = str(write_folder(tmp_path / name, task))
    mirror = repr(str(tmp_path / "mirror"))
    if by_mirror:
        client.run(f"from bend_hf.hub.prepare import prepare; _ = prepare({folder!r}, to={mirror}, namespace='tester')")
    given = f", mirror={mirror}" if by_mirror else ""
    commits = client.run(f"done = publish('tester', tasks={folder!r}{given})", COMMITS)
    assert [f"tester/{name}", hub.repo("dataset", f"tester/{name}").refs["main"], False] in commits
    files = hub.files("dataset", f"tester/{name}")
    assert "config" in files["README.md"].decode()
    assert "BEND" not in files["README.md"].decode()
    benchmark = yaml.safe_load(files["eval.yaml"])
    assert [entry["id"] for entry in benchmark["tasks"]] == [f"{name}_{task.metric}"]
    read = f"rows = datasets.load_dataset('tester/{name}', split='test')"
    mine = f"import bend_hf; mine = bend_hf.load_dataset({folder!r}, split='test')"
    same = "[rows.to_list() == mine.to_list(), len(rows), rows.column_names[-1], str(rows.features['label'].dtype)]"
    dtype = {"window_class": "int64", "window_value": "float32"}[kind]
    assert client.run("import datasets", read, mine, same) == [True, 40, "label", dtype]
