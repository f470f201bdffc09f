"""The test Hub refuses what the real one refuses, said to the unmodified client."""

from __future__ import annotations

from collections.abc import Iterator

import hub_server
import pytest
from hub_client import Client, ClientError

CARD = "---\\nlicense: mit\\n---\\n"


@pytest.fixture(scope="module")
def hub() -> Iterator[hub_server.Hub]:
    with hub_server.Hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def client(hub: hub_server.Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Client(tmp_path_factory.mktemp("client"), hub.environment()) as client:
        client.run(
            "import base64, json, httpx, os",
            "from huggingface_hub import HfApi, CommitOperationAdd, CommitOperationDelete",
            "url, token = os.environ['HF_ENDPOINT'], {'Authorization': 'Bearer ' + os.environ['HF_TOKEN']}",
            "api = HfApi()",
            "def add(content, path='README.md'): return [CommitOperationAdd(path, content)]",
            "def commit(*args, **more): return api.create_commit('bend/x', *args, commit_message='m', **more).oid",
        )
        yield client


@pytest.fixture(autouse=True)
def repository(hub: hub_server.Hub) -> Iterator[hub_server.Repo]:
    yield hub.create("model", "bend/x", {"README.md": b"---\nlicense: mit\n---\n"})
    hub.limit = None


def test_a_commit_on_another_head_is_refused(client: Client, repository: hub_server.Repo) -> None:
    head = repository.refs["main"]
    first = client.run(f"commit(add(b'{CARD}1'), parent_commit={head!r})")
    with pytest.raises(ClientError, match="412"):
        client.run(f"commit(add(b'{CARD}2'), parent_commit={head!r})")
    assert repository.refs["main"] == first
    assert client.run(f"commit(add(b'{CARD}2'), parent_commit={first!r})") == repository.refs["main"] != first


@pytest.mark.parametrize("card", ["license: mine", "license: [mit", "tags: [1]"])
def test_a_card_with_metadata_that_is_not_valid_is_refused(
    client: Client, repository: hub_server.Repo, card: str
) -> None:
    before = repository.refs["main"]
    with pytest.raises(ClientError, match=r"metadata|YAML|yaml|license|tags"):
        client.run(f"commit(add(b'---\\n{card}\\n---\\n'))")
    assert repository.refs["main"] == before


def test_large_and_binary_files_go_by_lfs_and_are_what_was_uploaded(
    hub: hub_server.Hub, client: Client, repository: hub_server.Repo
) -> None:
    client.run("commit(add(b'12345', 'a.parquet'))")
    client.run(f"commit(add(bytes({hub_server.REGULAR}), 'a.txt'))")
    files = repository.commits[repository.refs["main"]]
    assert (files["a.parquet"].lfs, files["a.txt"].lfs, files["README.md"].lfs) == (True, True, False)
    client.run(
        "head = {'key': 'header', 'value': {'summary': 'm'}}",
        "def send(*lines): return httpx.post(url + '/api/models/bend/x/commit/main', headers=token,"
        " content=chr(10).join(map(json.dumps, [head, *lines]))).status_code",
    )
    oid = files["a.parquet"].sha256
    pointer = "{'key': 'lfsFile', 'value': {'path': 'b.parquet', 'algo': 'sha256', 'oid': %r, 'size': %d}}"
    assert client.run(f"send({pointer % (oid, 5)})") == 200
    assert client.run(f"send({pointer % (oid, 6)})") == 400
    assert client.run(f"send({pointer % ('0' * 64, 5)})") == 400
    assert client.run("send({'key': 'file', 'value': {'path': 'c.parquet', 'content': 'MTIz'}})") == 400
    assert client.run(f"httpx.put(url + '/lfs/{oid}', content=b'1234').status_code") == 400
    assert "c.parquet" not in repository.commits[repository.refs["main"]]


def test_more_requests_than_it_takes_are_told_how_long_to_wait(hub: hub_server.Hub, client: Client) -> None:
    hub.limit = hub_server.Limit(requests=2, seconds=60)
    assert client.run("[httpx.get(url + '/api/models/bend/x').status_code for _ in range(4)]") == [200, 200, 429, 429]
    answer = client.run("dict(httpx.get(url + '/api/models/bend/x').headers)")
    assert answer["ratelimit"].startswith('"api";r=0;t=')
    assert answer["ratelimit-policy"] == '"fixed window";"api";q=2;w=60'
    hub.limit.begun -= 60
    assert client.run("httpx.get(url + '/api/models/bend/x').status_code") == 200
