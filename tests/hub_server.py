"""A Hugging Face Hub for tests: an HTTP server on the loopback, in memory, spoken to by the unmodified clients.

    with hub_server.Hub() as hub:
        subprocess.run([sys.executable, "-c", code], env=os.environ | hub.environment())
        hub.fault("POST", r"/commit/", status=500, times=1)
        hub.files("dataset", "bend/variant_effects")      # {path: bytes} on main

It speaks what `datasets`, `evaluate` and `huggingface_hub` ask for: repositories with commits, branches, pull requests
and tags; `resolve` with ranges and ETags; LFS uploads; the validation of cards; results on model pages. A read of a
private repository, or any write, needs the token. As the real one it refuses a commit whose parent is no longer the
head, or that holds a card whose metadata is not valid, a large or binary file outside LFS, or an LFS file of another
content or size than was uploaded; `limit` makes it answer 429 to more requests in a window than it takes. Faults answer
requests with a status or a login page, break the connection, or cut the answer short; asked for a tunnel it refuses, as
a proxy does that wants to know who asks.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_test_write"
READ_TOKEN = "hf_test_read"
ANSWER_LOST = -1
"""A fault's status: the request is carried out, then the connection breaks."""
MEANWHILE = -2
"""A fault's status: `on_fault` is called, and the request carried out."""
LOGIN = -3
"""A fault's status: the request is sent on to a login page, as hotels and firms do."""
PAGE = -4
"""A fault's status: such a page is the answer itself."""
REGULAR = 10_000_000
"""Bytes from which on a file has to go by LFS."""
LFS = (".parquet", ".arrow", ".safetensors")
"""Endings of files that have to go by LFS, whatever their size."""
PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
LICENSES = {"apache-2.0", "bsd-3-clause", "cc-by-4.0", "cc0-1.0", "mit", "other", "unknown"}
DATE = "2024-05-07T12:00:00.000Z"

_API = r"/api/(?P<type>model|dataset|space)s/(?P<id>[^/]+/[^/]+)"
_GIT = r"/(?P<prefix>datasets/|spaces/)?(?P<id>[^/]+/[^/]+)"
ROUTES = (
    ("GET", "/login", "_login"),
    ("GET", "/api/whoami-v2", "_whoami"),
    ("POST", "/api/repos/create", "_create"),
    ("DELETE", "/api/repos/delete", "_delete"),
    ("POST", "/api/validate-yaml", "_validate"),
    ("GET", f"{_API}/leaderboard", "_leaderboard"),
    ("GET", f"{_API}(/revision/(?P<revision>[^/]+))?", "_info"),
    ("GET", f"{_API}/tree/(?P<revision>[^/]+)(/(?P<path>.*))?", "_tree"),
    ("GET", f"{_API}/refs", "_refs"),
    ("POST", f"{_API}/paths-info/(?P<revision>[^/]+)", "_paths_info"),
    ("POST", f"{_API}/tag/(?P<revision>[^/]+)", "_tag"),
    ("POST", f"{_API}/preupload/(?P<revision>[^/]+)", "_preupload"),
    ("POST", f"{_API}/commit/(?P<revision>[^/]+)", "_commit"),
    ("POST", rf"{_API}/discussions/(?P<number>\d+)/merge", "_merge"),
    ("POST", rf"{_GIT}\.git/info/lfs/objects/batch", "_lfs_batch"),
    ("PUT", "/lfs/(?P<oid>[0-9a-f]{64})", "_lfs_put"),
    ("GET", f"{_GIT}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "_resolve"),
)


class Answer(Exception):  # noqa: N818
    """An answer other than 200, raised from anywhere in a handler."""

    def __init__(self, status: int, message: str = "", code: str | None = None, **body: Any):
        self.status, self.body = status, {"error": message, **body}
        self.headers = {"X-Error-Message": message} if message else {}
        if code:
            self.headers["X-Error-Code"] = code


class Page(Exception):  # noqa: N818
    """A login page, raised from anywhere in a handler."""


@dataclass
class File:
    content: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """The id a client compares its own file with: SHA-256 for LFS, git's blob id otherwise."""
        return self.sha256 if self.lfs else _git_blob(self.content)

    def entry(self, path: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "type": "file",
            "path": path,
            "size": len(self.content),
            "oid": _git_blob(self.content),
        }
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 130}
        entry["lastCommit"] = {"id": "0" * 40, "title": "commit", "date": DATE}
        return entry


@dataclass
class Repo:
    type: str
    id: str
    private: bool = False
    refs: dict[str, str] = field(default_factory=dict)  # branch, tag or refs/pr/N -> commit
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)  # one per commit on main, oldest first
    pull_requests: int = 0

    def commit(self, ref: str, files: dict[str, File], message: str) -> str:
        parent = self.refs.get(ref, "")
        listing = [parent, message, len(self.commits), sorted((path, file.oid) for path, file in files.items())]
        sha = hashlib.sha1(json.dumps(listing).encode()).hexdigest()
        self.commits[sha] = files
        self.refs[ref] = sha
        if ref == "main":
            self.messages.append(message)
        return sha

    def resolve(self, revision: str) -> str:
        sha = self.refs.get(revision.removeprefix("refs/heads/"), revision)
        if sha not in self.commits:
            raise Answer(404, "Invalid rev id", "RevisionNotFound")
        return sha


@dataclass
class Fault:
    """What to do with requests whose method and path match, the first `times` times after `after` have passed."""

    method: str
    path: re.Pattern[str]
    status: int | None
    times: int
    after: int


@dataclass
class Limit:
    """How many requests the Hub takes in a window of so many seconds, as its headers say it."""

    requests: int
    seconds: float
    begun: float = 0.0
    taken: int = 0

    def take(self) -> dict[str, str] | None:
        """Take one more; the headers of the refusal where there are none left in this window."""
        now = time.monotonic()
        if now - self.begun >= self.seconds:
            self.begun, self.taken = now, 0
        self.taken += 1
        if self.taken <= self.requests:
            return None
        left = max(1, round(self.begun + self.seconds - now))
        policy = f'"fixed window";"api";q={self.requests};w={round(self.seconds)}'
        return {"RateLimit": f'"api";r=0;t={left}', "RateLimit-Policy": policy}


class Hub:
    """The server; a context manager. `requests` holds ``(method, path, status)`` in the order of answers."""

    def __init__(self, namespaces: tuple[str, ...] = ("bend",)):
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, int]] = []
        self.namespaces = namespaces
        self.limit: Limit | None = None
        self.on_fault: Callable[[], object] | None = None  # called when a fault strikes, with the lock held
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def environment(self, token: str | None = TOKEN) -> dict[str, str]:
        """What a client's process needs in its environment; without a token it reads anonymously."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_OFFLINE": "0",
            "HF_EVALUATE_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        } | ({"HF_TOKEN": token} if token else {})

    def fault(self, method: str, path: str, *, status: int | None, times: int = 1_000_000, after: int = 0) -> None:
        """Answer matching requests with `status`; None breaks the connection in the middle of the answer."""
        self.faults.append(Fault(method, re.compile(path), status, times, after))

    def repo(self, type_: str, id_: str) -> Repo:
        """The repository; a 404 answer (401 is what the real Hub says to the anonymous) where there is none."""
        if (type_, id_) not in self.repos:
            raise Answer(404, "Repository not found", "RepoNotFound")
        return self.repos[type_, id_]

    def create(self, type_: str, id_: str, files: Mapping[str, bytes] | None = None, private: bool = False) -> Repo:
        repo = self.repos[type_, id_] = Repo(type_, id_, private)
        repo.commit("main", {path: File(content) for path, content in (files or {}).items()}, "initial commit")
        return repo

    def files(self, type_: str, id_: str, revision: str = "main") -> dict[str, bytes]:
        repo = self.repo(type_, id_)
        return {path: file.content for path, file in sorted(repo.commits[repo.resolve(revision)].items())}

    def eval_results(self, repo: Repo, sha: str) -> list[dict[str, Any]]:
        """The entries of a model's `.eval_results/`, as its page shows them."""
        files = sorted(repo.commits[sha].items())
        found = [(path, file) for path, file in files if re.fullmatch(r"\.eval_results/[^/]+\.ya?ml", path)]
        return [{"filename": path, "data": entry} for path, file in found for entry in yaml.safe_load(file.content)]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _serve(self) -> None:
        self.raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.raw += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if self.command == "CONNECT":  # what a proxy is asked for
            self.send_error(407, "Proxy Authentication Required")
            return
        parts = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        self.all_query = parse_qs(parts.query)
        path, fault = parts.path, 0
        status, headers, body = 0, {}, b""
        try:
            with self.hub.lock:
                refused = self.hub.limit.take() if self.hub.limit is not None else None
                if refused is not None:
                    answer = Answer(429, "Too Many Requests")
                    answer.headers |= refused
                    raise answer
                fault = self._apply_faults(path)
                if fault is not None or self.command == "GET":
                    status, headers, body = self._answer(path)
        except Page:
            status, headers, body = self._login()
        except Answer as answer:
            status, headers, body = answer.status, answer.headers, json.dumps(answer.body).encode()
        with self.hub.lock:
            self.hub.requests.append((self.command, unquote(path), status if fault == 0 else 0))
        if fault != 0:
            # Half of the answer for a read, nothing at all for a write: then the connection is gone.
            if self.command == "GET":
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body) + 1)} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_CONNECT = _serve  # noqa: N815

    def _apply_faults(self, path: str) -> int | None:
        """Return 0, or None or `ANSWER_LOST` where the connection is to break."""
        for fault in self.hub.faults:
            if fault.method == self.command and fault.path.search(unquote(path)):
                if fault.after > 0:
                    fault.after -= 1
                elif fault.times > 0:
                    fault.times -= 1
                    if self.hub.on_fault is not None:
                        self.hub.on_fault()
                    if fault.status == MEANWHILE:
                        return 0
                    if fault.status in (None, ANSWER_LOST):
                        return fault.status
                    if fault.status == PAGE:
                        raise Page
                    if fault.status == LOGIN:
                        answer = Answer(302)
                        answer.headers["Location"] = f"{self.hub.url}/login"
                        raise answer
                    raise Answer(fault.status, f"injected {fault.status}")
        return 0

    def _login(self) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html><body>Accept our terms</body></html>"

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _may_write(self, namespace: str) -> None:
        if self._token() not in (TOKEN, READ_TOKEN):
            raise Answer(401, "Invalid credentials in Authorization header")
        if self._token() == READ_TOKEN or namespace not in ("tester", *self.hub.namespaces):
            raise Answer(403, f"You don't have the rights to write under the namespace {namespace!r}")

    def _repo(self, type_: str, id_: str) -> Repo:
        repo = self.hub.repo(type_, id_)
        if repo.private and self._token() not in (TOKEN, READ_TOKEN):
            raise Answer(401, "Repository not found", "RepoNotFound")
        return repo

    def _answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        method = "GET" if self.command == "HEAD" else self.command
        for verb, pattern, name in ROUTES:
            match = re.fullmatch(pattern, path) if verb == method else None
            if match:
                named = {key: unquote(value) if value else value for key, value in match.groupdict().items()}
                if "prefix" in named:
                    prefix = named.pop("prefix") or ""
                    named["type"] = next(type_ for type_, known in PREFIXES.items() if known == prefix)
                result = getattr(self, name)(**named)
                return result if isinstance(result, tuple) else (200, {}, json.dumps(result).encode())
        raise Answer(404, f"no such endpoint: {self.command} {path}")

    def _json(self) -> Any:
        return json.loads(self.raw)

    def _whoami(self) -> Any:
        if self._token() not in (TOKEN, READ_TOKEN):
            raise Answer(401, "Invalid credentials in Authorization header")
        role = "write" if self._token() == TOKEN else "read"
        orgs = [{"name": name, "roleInOrg": role, "type": "org"} for name in self.hub.namespaces]
        auth = {"accessToken": {"displayName": "test", "role": role}}
        return {"type": "user", "name": "tester", "orgs": orgs, "auth": auth}

    def _create(self) -> Any:
        body = self._json()
        namespace = body.get("organization") or "tester"
        self._may_write(namespace)
        type_, id_ = body.get("type", "model"), f"{namespace}/{body['name']}"
        url = f"{self.hub.url}/{PREFIXES[type_]}{id_}"
        if (type_, id_) in self.hub.repos:
            raise Answer(409, "You already created this repo", url=url)
        self.hub.create(type_, id_, {".gitattributes": b""}, private=body.get("visibility") == "private")
        return {"url": url, "name": id_}

    def _delete(self) -> Any:
        body = self._json()
        namespace = body.get("organization") or "tester"
        self._may_write(namespace)
        self.hub.repo(body.get("type", "model"), f"{namespace}/{body['name']}")
        del self.hub.repos[body.get("type", "model"), f"{namespace}/{body['name']}"]
        return {}

    def _validate(self) -> Any:
        body = self._json()
        errors, warnings = card_problems(body["content"], body["repoType"])
        if errors:
            listed = [{"message": message} for message in errors]
            raise Answer(400, "; ".join(errors), errors=listed, warnings=[])
        return {"errors": [], "warnings": [{"message": message} for message in warnings]}

    def _info(self, type: str, id: str, revision: str | None = None) -> Any:
        repo = self._repo(type, id)
        sha = repo.resolve(revision or "main")
        files = repo.commits[sha]
        card = front_matter(files["README.md"].content.decode())[0] if "README.md" in files else None
        info = {
            "_id": "0" * 24,
            "id": id,
            "sha": sha,
            "private": repo.private,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "lastModified": DATE,
            "createdAt": DATE,
            "siblings": [{"rfilename": path} for path in sorted(files)],
            "cardData": card,
        }
        if type == "model":
            info["modelId"] = id
        if "evalResults" in [*self.all_query.get("expand", []), *self.all_query.get("expand[]", [])]:
            info["evalResults"] = self.hub.eval_results(repo, sha)
        return info

    def _tree(self, type: str, id: str, revision: str, path: str | None = None) -> Any:
        repo = self._repo(type, id)
        files = repo.commits[repo.resolve(revision)]
        prefix = f"{path.rstrip('/')}/" if path else ""
        below = {name: file for name, file in files.items() if name.startswith(prefix)}
        if path and not below:
            raise Answer(404, "Entry not found", "EntryNotFound")
        recursive = self.query.get("recursive", "").lower() in ("true", "1")
        folders: dict[str, dict[str, Any]] = {}
        entries = []
        for name, file in sorted(below.items()):
            steps = name.removeprefix(prefix).split("/")
            for depth in range(1, len(steps) if recursive else min(len(steps), 2)):
                folder = prefix + "/".join(steps[:depth])
                folders[folder] = {"type": "directory", "path": folder, "size": 0, "oid": _git_blob(folder.encode())}
            if recursive or len(steps) == 1:
                entries.append(file.entry(name))
        return [*folders.values(), *entries]

    def _refs(self, type: str, id: str) -> Any:
        repo = self._repo(type, id)
        refs = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in repo.refs.items()]
        return {"branches": refs, "converts": [], "tags": [], "pullRequests": []}

    def _paths_info(self, type: str, id: str, revision: str) -> Any:
        repo = self._repo(type, id)
        files = repo.commits[repo.resolve(revision)]
        if "json" in self.headers.get("Content-Type", ""):
            paths = self._json()["paths"]
        else:
            paths = parse_qs(self.raw.decode()).get("paths", [])
        found = []
        for path in paths:
            if path in files:
                found.append(files[path].entry(path))
            elif any(name.startswith(f"{path}/") for name in files):
                found.append({"type": "directory", "path": path, "size": 0, "oid": _git_blob(path.encode())})
        return found

    def _tag(self, type: str, id: str, revision: str) -> Any:
        self._may_write(id.split("/")[0])
        repo = self._repo(type, id)
        repo.refs[self._json()["tag"]] = repo.resolve(revision)
        return {}

    def _preupload(self, type: str, id: str, revision: str) -> Any:
        repo = self._repo(type, id)
        if self._token() not in (TOKEN, READ_TOKEN):
            raise Answer(401, "Invalid credentials in Authorization header")
        files = repo.commits[repo.resolve(revision)]
        answers = []
        for item in self._json()["files"]:
            path, lfs = item["path"], item["path"].endswith(LFS) or item["size"] >= REGULAR
            answer = {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            if path in files:
                answer["oid"] = files[path].oid
            answers.append(answer)
        return {"files": answers}

    def _lfs_batch(self, type: str, id: str) -> Any:
        self._may_write(id.split("/")[0])
        objects = []
        for item in self._json()["objects"]:
            entry = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.hub.blobs:
                entry["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}", "header": {}}}
            objects.append(entry)
        return {"transfer": "basic", "objects": objects}

    def _lfs_put(self, oid: str) -> Any:
        if hashlib.sha256(self.raw).hexdigest() != oid:
            raise Answer(400, "content does not match its oid")
        self.hub.blobs[oid] = self.raw
        return {}

    def _commit(self, type: str, id: str, revision: str) -> Any:
        repo = self._repo(type, id)
        pull_request = self.query.get("create_pr") == "1"
        if not pull_request:
            self._may_write(id.split("/")[0])
        elif self._token() != TOKEN:
            raise Answer(403, "Opening a pull request needs a token with write access")
        base = repo.resolve(revision)
        files = dict(repo.commits[base])
        header: dict[str, Any] = {}
        for line in self.raw.splitlines():
            item = json.loads(line)
            key, value = item["key"], item["value"]
            if key == "header":
                header = value
                if value.get("parentCommit") not in (None, base):
                    raise Answer(412, "A commit has happened since. Please refresh and try again.")
            elif key == "file":
                content = base64.b64decode(value["content"])
                if value["path"].endswith(LFS) or len(content) >= REGULAR:
                    raise Answer(400, f"{value['path']} has to be uploaded by LFS")
                if value["path"] == "README.md":
                    errors, _ = card_problems(content.decode(), type)
                    if errors:
                        raise Answer(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
                files[value["path"]] = File(content)
            elif key == "lfsFile":
                if value["oid"] not in self.hub.blobs:
                    raise Answer(400, f"LFS pointer of {value['path']} points to a file that was not uploaded")
                if value.get("size") != len(self.hub.blobs[value["oid"]]):
                    raise Answer(400, f"LFS pointer of {value['path']} states another size than was uploaded")
                files[value["path"]] = File(self.hub.blobs[value["oid"]], lfs=True)
            elif key == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise Answer(404, "A file with this name doesn't exist", "EntryNotFound")
            elif key == "deletedFolder":
                files = {path: file for path, file in files.items() if not path.startswith(value["path"])}
            else:
                raise Answer(400, f"unknown operation {key}")
        url = f"{self.hub.url}/{PREFIXES[type]}{id}"
        answer = {"success": True, "pullRequestUrl": None}
        ref = revision
        if pull_request:
            repo.pull_requests += 1
            ref = f"refs/pr/{repo.pull_requests}"
            repo.refs[ref] = base
            answer["pullRequestUrl"] = f"{url}/discussions/{repo.pull_requests}"
        sha = repo.commit(ref, files, header.get("summary", ""))
        return answer | {"commitOid": sha, "commitUrl": f"{url}/commit/{sha}"}

    def _merge(self, type: str, id: str, number: str) -> Any:
        self._may_write(id.split("/")[0])
        repo = self._repo(type, id)
        merged = repo.commits[repo.resolve(f"refs/pr/{number}")]
        repo.commit("main", {**repo.commits[repo.refs["main"]], **merged}, f"merge pull request {number}")
        return {}

    def _leaderboard(self, type: str, id: str) -> Any:
        if "eval.yaml" not in self.hub.files(type, id):
            raise Answer(404, "This dataset has no leaderboard")
        tasks = {task["id"] for task in yaml.safe_load(self.hub.files(type, id)["eval.yaml"])["tasks"]}
        rows = []
        for repo in self.hub.repos.values():
            for entry in self.hub.eval_results(repo, repo.refs["main"]) if repo.type == "model" else []:
                data = entry["data"]
                if data["dataset"]["id"] == id and data["dataset"]["task_id"] in tasks:
                    rows.append((data["value"], repo.id, entry["filename"], data))
        return [
            {
                "rank": rank,
                "modelId": model,
                "value": value,
                "filename": filename,
                "verified": False,
                "notes": data.get("notes"),
                "author": {"_id": "0" * 24, "name": "tester", "fullname": "Tester", "avatarUrl": "", "type": "user"},
                "source": data.get("source"),
            }
            for rank, (value, model, filename, data) in enumerate(sorted(rows, key=lambda row: -row[0]), 1)
        ]

    def _resolve(self, type: str, id: str, revision: str, path: str) -> tuple[int, dict[str, str], bytes]:
        repo = self._repo(type, id)
        sha = repo.resolve(revision)
        if path not in repo.commits[sha]:
            answer = Answer(404, "Entry not found", "EntryNotFound")
            answer.headers["X-Repo-Commit"] = sha  # clients remember that this commit has no such file
            raise answer
        file = repo.commits[sha][path]
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Repo-Commit": sha,
            "ETag": f'"{file.oid}"',
            "Accept-Ranges": "bytes",
        }
        if file.lfs:
            headers |= {"X-Linked-Etag": f'"{file.oid}"', "X-Linked-Size": str(len(file.content))}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return 200, headers, file.content
        size = len(file.content)
        if wanted[1]:
            start, stop = int(wanted[1]), min(int(wanted[2]) + 1 if wanted[2] else size, size)
        else:
            start, stop = max(size - int(wanted[2]), 0), size
        if start >= size:
            raise Answer(416, "Requested range not satisfiable")
        return 206, headers | {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}, file.content[start:stop]


def _git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def front_matter(text: str) -> tuple[dict[str, Any], str | None]:
    """Return a card's metadata, and what is wrong with it as YAML."""
    match = re.match(r"---\n(.*?)\n---(\n|$)", text, flags=re.DOTALL)
    if not match:
        return {}, None
    try:
        data = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        return {}, f"invalid YAML: {error}"
    return (data, None) if isinstance(data, dict) else ({}, "metadata is not a mapping")


def card_problems(text: str, repo_type: str) -> tuple[list[str], list[str]]:
    """Return the errors and warnings of a card, by the rules that the Hub documents for its metadata."""
    data, broken = front_matter(text)
    if broken:
        return [broken], []
    if not data:
        return [], ["empty or missing yaml metadata in repo card"]
    errors = []
    for key in ("tags", "language", "task_categories", "size_categories", "source_datasets"):
        if key in data and not all(isinstance(item, str) for item in data[key]):
            errors.append(f'"{key}" must be a list of strings')
    licences = data.get("license", [])
    for licence in [licences] if isinstance(licences, str) else licences:
        if licence not in LICENSES:
            errors.append(f'"license" must be one of {sorted(LICENSES)}, not {licence!r}')
    if repo_type == "space":
        if data.get("sdk") not in ("gradio", "docker", "static"):
            errors.append('"sdk" must be one of [gradio, docker, static]')
        for key in ("colorFrom", "colorTo"):
            if data.get(key) not in COLORS:
                errors.append(f'"{key}" must be one of {sorted(COLORS)}')
        if len(str(data.get("short_description", ""))) > 60:
            errors.append('"short_description" length must be at most 60')
        if not re.fullmatch(r"[^\x00-\x7f]{1,4}", str(data.get("emoji", ""))):
            errors.append('"emoji" must be one emoji')
    if repo_type == "dataset":
        for size in data.get("size_categories", []):
            if not re.fullmatch(r"n<1K|1K<n<10K|10K<n<100K|100K<n<1M|1M<n<10M", str(size)):
                errors.append(f'"size_categories" holds {size!r}')
        names = []
        for config in data.get("configs", []):
            names.append(config.get("config_name"))
            if not isinstance(config.get("config_name"), str):
                errors.append('"configs" needs a "config_name" in each entry')
            files = config.get("data_files", [])
            for item in files if isinstance(files, list) else [{"split": "train", "path": files}]:
                if set(item) != {"split", "path"} or not re.fullmatch(r"\w+(\.\w+)*", str(item["split"])):
                    errors.append(f'"data_files" of {names[-1]} needs "split" and "path", the split without "-"')
        if len(names) != len(set(names)):
            errors.append('"configs" holds a config_name twice')
        if sum(bool(config.get("default")) for config in data.get("configs", [])) > 1:
            errors.append('"configs" holds more than one default')
    return errors, []
