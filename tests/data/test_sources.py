"""Files are found where they are named, and downloads survive a bad line or say what to do."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import gzip
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from data_folder import DataFolder
from tasks_of_ones_own import make_task, write_folder

from bend_hf.console import log
from bend_hf.data import download
from bend_hf.data.sources import label_file, locate
from bend_hf.errors import BendError
from bend_hf.files import content_digest
from bend_hf.tasks import TASKS, get_tasks


@dataclass
class Server:
    """Serves `content` by path; `faults` is what to do on each request before behaving."""

    content: dict[str, bytes] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    etag: str | None = '"one"'
    url: str = ""


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.requests.append((self.path, wanted))
            server.authorizations.append(self.headers.get("Authorization"))
            fault = server.faults.pop(0) if server.faults else ""
            body = server.content.get(self.path)
            if fault.isdigit():
                return self.answer(int(fault), b"sorry", Retry_After="0")
            if fault == "html":
                return self.answer(200, b"<!DOCTYPE html><html>Sign in</html>", Content_Type="text/html; charset=utf-8")
            if fault == "html as data":
                return self.answer(200, b"\n <!DOCTYPE html><html>Sign in</html>")
            if body is None:
                return self.answer(404, b"<html>no</html>", Content_Type="text/html")
            start, status = 0, 200
            headers = {"ETag": server.etag} if server.etag else {}
            if wanted and self.headers.get("If-Range") == server.etag and fault != "no ranges":
                start, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
                if start >= len(body):
                    return self.answer(416, b"", Content_Range=f"bytes */{len(body)}")
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                if fault == "wrong range":
                    headers["Content-Range"] = f"bytes 0-{len(body) - 1}/{len(body)}"
            body = body[start:]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if fault.startswith("drop"):
                self.wfile.write(body[: int(fault.split()[1])])
                self.close_connection = True
                self.connection.close()
                return None
            self.wfile.write(body)
            return None

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(state))
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(download, "PAUSE", 0.001)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


BED = b"chromosome\tstart\n" + b"".join(b"chr1\t%d\n" % i for i in range(50_000))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "task.bed"


def fetch(server: Server, target: Path, content: bytes = BED, **options: bool) -> Path:
    server.content["/task.bed"] = content
    return download.fetch(f"{server.url}/task.bed", target, offline=False, **options)


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {f"{target.name}.lock"}


def test_downloads_once_and_records_what_it_got(server: Server, target: Path) -> None:
    fetch(server, target)
    assert fetch(server, target).read_bytes() == BED
    assert server.requests == [("/task.bed", None)]
    record = json.loads((target.parent / "task.bed.json").read_text())
    assert record["url"] == f"{server.url}/task.bed"
    assert record["sha256"] == hashlib.sha256(BED).hexdigest()
    assert record["size"] == len(BED)
    assert left(target) == {"task.bed", "task.bed.json"}


def test_resumes_where_the_line_broke(server: Server, target: Path) -> None:
    server.faults = ["drop 100000", "503", "drop 50000", "429", "drop 1"]
    assert fetch(server, target).read_bytes() == BED
    resumed_at = [100_000, 100_000, 150_000, 150_000, 150_001]
    assert [wanted for _, wanted in server.requests] == [None, *(f"bytes={n}-" for n in resumed_at)]


def test_resumes_in_a_later_run(server: Server, target: Path) -> None:
    server.faults = ["drop 100000", *["500"] * 5]
    with pytest.raises(BendError, match=r"gave up after 6 attempts \(HTTP 500\). 100,000 bytes are kept; run again"):
        fetch(server, target)
    assert not target.exists()
    assert fetch(server, target).read_bytes() == BED
    assert server.requests[-1] == ("/task.bed", "bytes=100000-")


def test_killed_when_all_had_arrived(server: Server, target: Path) -> None:
    server.faults = ["drop 100000", *["500"] * 5]
    with pytest.raises(BendError):
        fetch(server, target)
    (target.parent / "task.bed.part").write_bytes(BED)
    assert fetch(server, target).read_bytes() == BED
    assert server.requests[-1] == ("/task.bed", f"bytes={len(BED)}-")


def test_a_part_that_is_longer_than_the_file_is_begun_anew(server: Server, target: Path) -> None:
    server.faults = ["drop 100000", *["500"] * 5]
    with pytest.raises(BendError):
        fetch(server, target)
    (target.parent / "task.bed.part").write_bytes(BED + b"more")
    assert fetch(server, target).read_bytes() == BED
    assert [wanted for _, wanted in server.requests[-2:]] == [f"bytes={len(BED) + 4}-", None]


def test_a_part_of_another_address_is_not_gone_on_with(server: Server, target: Path) -> None:
    """Though its server names what it has alike."""
    server.faults = ["drop 100000", *["500"] * 5]
    with pytest.raises(BendError):
        fetch(server, target)
    other = server.content["/other.bed"] = BED.replace(b"chr1", b"chrX")
    assert download.fetch(f"{server.url}/other.bed", target, offline=False).read_bytes() == other
    assert server.requests[-1] == ("/other.bed", None)


@pytest.mark.parametrize("etag", ['"two"', None])
def test_a_file_that_changed_meanwhile_is_not_patched_together(server: Server, target: Path, etag: str | None) -> None:
    server.faults = ["drop 100000", *["500"] * 5]
    with pytest.raises(BendError):
        fetch(server, target)
    server.etag = etag
    other = BED.replace(b"chr1", b"chrX")
    assert fetch(server, target, other).read_bytes() == other


@pytest.mark.parametrize("fault", ["no ranges", "wrong range"])
def test_servers_that_do_not_resume(server: Server, target: Path, fault: str) -> None:
    server.faults = ["drop 100000", fault]
    assert fetch(server, target).read_bytes() == BED


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (["404"], r"task\.bed: HTTP 404 .*BEND_HF_DATA_URL"),
        (["403"], r"task\.bed: HTTP 403"),
        (["html"], "answers with an HTML page instead of the file. Has the share moved"),
        (["html as data"], "gave an HTML page. Has the share moved"),
        (["500"] * 6, r"gave up after 6 attempts \(HTTP 500\)"),
        (["drop 0"] * 6, "gave up after 6 attempts"),
    ],
)
def test_failures_are_clear_and_leave_nothing_trusted(
    server: Server, target: Path, faults: list[str], message: str
) -> None:
    server.faults = faults
    with pytest.raises(BendError, match=message):
        fetch(server, target)
    assert not target.exists()
    assert fetch(server, target).read_bytes() == BED, "a later run is not misled"


def test_no_server(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.001)
    with pytest.raises(BendError, match=r"gave up after 6 attempts \(ConnectError"):
        download.fetch("http://127.0.0.1:9/task.bed", target, offline=False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("task.bed", BED[:-3], "no complete bed file"),
        ("task.bed", b"Not found", "no complete bed file"),
        ("task.bed", b"", "an empty file"),
        ("task.hdf5", b"\x89HDF\r\n\x1a\n torn", "no complete hdf5 file"),
    ],
)
def test_torn_files_are_refused(server: Server, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    server.content[f"/{name}"] = content
    with pytest.raises(BendError, match=message):
        download.fetch(f"{server.url}/{name}", tmp_path / name, offline=False)
    assert not (tmp_path / name).exists()


def test_a_truncated_hdf5_file_is_refused(server: Server, data: DataFolder, tmp_path: Path) -> None:
    content = data.hdf5("enhancer_annotation").read_bytes()
    for end in (len(content), len(content) // 2):
        server.content["/labels.hdf5"] = content[:end]
        target = tmp_path / str(end) / "labels.hdf5"
        if end == len(content):
            assert download.fetch(f"{server.url}/labels.hdf5", target, offline=False).read_bytes() == content
        else:
            with pytest.raises(BendError, match="no complete hdf5 file"):
                download.fetch(f"{server.url}/labels.hdf5", target, offline=False)


class TestSecrets:
    """A password or a signed query goes to the server, and nowhere else."""

    def fetch(self, server: Server, target: Path) -> Path:
        server.content["/task.bed?signature=abc"] = BED
        address = server.url.replace("://", "://somebody:p%40ss@word@")
        return download.fetch(f"{address}/task.bed?signature=abc", target, offline=False)

    def test_are_sent(self, server: Server, target: Path) -> None:
        assert self.fetch(server, target).read_bytes() == BED
        assert server.authorizations == ["Basic " + base64.b64encode(b"somebody:p@ss@word").decode()]

    @pytest.mark.parametrize(
        "faults", [[], ["404"], ["html"], ["html as data"], ["500"] * 6, ["drop 100000", *["503"] * 5], ["drop 0"] * 6]
    )
    def test_are_neither_printed_nor_kept(
        self, server: Server, target: Path, caplog: pytest.LogCaptureFixture, faults: list[str]
    ) -> None:
        server.faults = faults
        message = ""
        with pytest.raises(BendError, match=r"/task\.bed") if faults else contextlib.nullcontext() as error:
            self.fetch(server, target)
        cause = error.value if faults else None
        while cause is not None:
            message += str(cause)
            cause = cause.__cause__ or cause.__context__
        kept = "".join(path.read_text() for path in target.parent.iterdir())
        for secret in ("ss@word", "p%40ss", "somebody", "signature=abc"):
            assert secret not in message
            assert secret not in caplog.text
            assert secret not in kept

    @pytest.mark.parametrize(
        "url", ["https://somebody:pass/word@host/x.bed", "ftp://a:password@host/x.bed", "a:password@host", ""]
    )
    def test_of_addresses_that_are_none(self, target: Path, url: str) -> None:
        with pytest.raises(BendError) as error:
            download.fetch(url, target, offline=False)
        assert "pass" not in str(error.value)
        assert "word" not in str(error.value)

    def test_of_any_error_and_message(self, caplog: pytest.LogCaptureFixture) -> None:
        text = "Could not reach 'https://a:p@ss@host.org/data', nor http://b@c/d"
        assert str(BendError(text)) == "Could not reach 'https://host.org/data', nor http://c/d"
        log.warning("%s, says %s", text, "x@y")
        assert caplog.messages == ["Could not reach 'https://host.org/data', nor http://c/d, says x@y"]


class TestGenomes:
    def test_are_decompressed_whole(
        self, server: Server, caches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fasta = b">chr1\n" + b"ACGT" * 100_000 + b"\n"
        server.content["/g.fa.gz"] = gzip.compress(fasta)
        monkeypatch.setitem(download.GENOMES, "GRCh38", f"{server.url}/g.fa.gz")
        server.faults = ["drop 500"]
        path = download.genome("GRCh38", offline=False)
        assert path.read_bytes() == fasta
        assert path.name == "GRCh38.primary_assembly.fa"
        record = json.loads(path.with_name(f"{path.name}.json").read_text())
        assert record["sha256"] == hashlib.sha256(fasta).hexdigest()
        assert record["downloaded_sha256"] == hashlib.sha256(server.content["/g.fa.gz"]).hexdigest()
        assert left(path) == {path.name, f"{path.name}.json"}

    def test_truncated_gzip(self, server: Server, caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        server.content["/g.fa.gz"] = gzip.compress(b">chr1\n" + bytes(range(65, 90)) * 10_000)[:-20]
        monkeypatch.setitem(download.GENOMES, "GRCh38", f"{server.url}/g.fa.gz")
        with pytest.raises(BendError, match="damaged gzip file"):
            download.genome("GRCh38", offline=False)
        assert not list((caches.parent / "cache" / "data" / "genomes").glob("*.fa*[!k]")), "only the lock is left"


def test_what_was_changed_after_its_download_is_not_trusted(server: Server, target: Path) -> None:
    fetch(server, target)
    target.write_bytes(BED.replace(b"49999", b"49998"))
    with pytest.raises(BendError, match="was changed after its download"):
        fetch(server, target)


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"3", b'{"size": 1}'])
def test_a_damaged_record_is_one_clear_error(server: Server, target: Path, record: bytes) -> None:
    fetch(server, target)
    (target.parent / "task.bed.json").write_bytes(record)
    with pytest.raises(BendError, match=r"or task\.bed\.json was\. Delete both"):
        fetch(server, target)


def test_a_damaged_note_of_a_part_is_not_believed(server: Server, target: Path) -> None:
    server.faults = ["drop 100000", *["500"] * 5]
    with pytest.raises(BendError):
        fetch(server, target)
    (target.parent / "task.bed.part.json").write_bytes(b"{")
    assert fetch(server, target).read_bytes() == BED
    assert server.requests[-1] == ("/task.bed", None)


def test_a_file_put_there_by_hand_is_used(server: Server, target: Path, caplog: pytest.LogCaptureFixture) -> None:
    target.parent.mkdir()
    target.write_bytes(BED)
    fetch(server, target)
    assert not server.requests
    assert "has no record of a download" in caplog.text


@pytest.mark.parametrize("offline", [True, None], ids=["argument", "HF_HUB_OFFLINE"])
def test_offline_says_what_to_download_where(
    caches: Path, monkeypatch: pytest.MonkeyPatch, offline: bool | None
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BendError) as error:
        locate(TASKS["gene_finding"], offline=offline)
    message = str(error.value)
    assert f"Download {download.RELEASE}/gene_finding/gene_finding.bed on another machine" in message
    assert f"put it at {caches.parent / 'cache' / 'data' / 'gene_finding' / 'gene_finding.bed'}" in message
    with pytest.raises(
        BendError, match=r"GRCh37\.dna\.primary_assembly\.fa\.gz on another machine and decompress it to"
    ):
        download.genome("GRCh37", offline=offline)


def test_a_full_disk_while_downloading(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download.files, "write_json", full)
        with pytest.raises(BendError, match=r"cannot be written: .*No space left.*BEND_HF_CACHE"):
            fetch(server, target)
    assert not target.exists()
    assert fetch(server, target).read_bytes() == BED


checked = functools.partial(locate, genome_checked=True)


class TestLocate:
    def test_everything_from_the_release(
        self, server: Server, data: DataFolder, caches: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for path in data.folder.rglob("*.*"):
            server.content[f"/{path.relative_to(data.folder)}"] = path.read_bytes()
        server.content["/g.fa.gz"] = gzip.compress(data.fasta.read_bytes())
        monkeypatch.setenv("BEND_HF_DATA_URL", server.url)
        monkeypatch.setitem(download.GENOMES, "GRCh38", f"{server.url}/g.fa.gz")
        for task in ("gene_finding", "variant_effects_disease"):
            found = checked(TASKS[task], offline=False)
            assert found.digest == data.files(task).digest

    def test_order_explicit_then_environment(
        self, data: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = tmp_path / "other"
        shutil.copytree(data.folder, other)
        (other / "genomes" / "any.fa").rename(other / "genomes" / "GRCh38.toy.fa")
        monkeypatch.setenv("BEND_HF_DATA", str(other))
        task = TASKS["cpg_methylation"]
        assert checked(task).bed == other / "cpg_methylation" / "cpg_methylation.bed"
        assert checked(task).fasta == other / "genomes" / "GRCh38.toy.fa"
        assert checked(task, data.folder, data.fasta).bed == data.bed("cpg_methylation")
        shutil.rmtree(data.folder / "genomes")
        assert checked(task, data.folder).fasta == other / "genomes" / "GRCh38.toy.fa"

    def test_genomes_by_build(self, data: DataFolder) -> None:
        genomes = data.fasta.parent
        for name in ("GRCh38.one.fa", "GRCh37.two.fa"):
            shutil.copy(data.fasta, genomes / name)
        assert checked(TASKS["chromatin_accessibility"], data.folder).fasta == genomes / "GRCh37.two.fa"
        assert checked(TASKS["cpg_methylation"], data.folder).fasta == genomes / "GRCh38.one.fa"
        mapping = {"GRCh37": data.fasta}
        assert checked(TASKS["chromatin_accessibility"], data.folder, mapping).fasta == data.fasta
        assert checked(TASKS["cpg_methylation"], data.folder, mapping).fasta == genomes / "GRCh38.one.fa"
        shutil.copy(data.fasta, genomes / "GRCh38.three.fa")
        with pytest.raises(BendError, match=r"several genomes of GRCh38 \(GRCh38\.one\.fa, GRCh38\.three\.fa\)"):
            checked(TASKS["cpg_methylation"], data.folder)

    def test_errors_say_what_is_missing(self, data: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        task = TASKS["gene_finding"]
        with pytest.raises(BendError, match=r"has no genome of GRCh38 .*only any\.fa.*pass genome="):
            checked(task, data.folder)
        with pytest.raises(BendError, match=r"none\.fa \(genome for GRCh38\): there is no such FASTA"):
            checked(task, data.folder, "none.fa")
        with pytest.raises(BendError, match=r"nowhere \(data_dir\) is no folder"):
            checked(task, "nowhere")
        data.hdf5("gene_finding").unlink()
        with pytest.raises(
            BendError, match=r"gene_finding\.hdf5: there is no such file. gene_finding needs .*\.bed and"
        ):
            checked(task, data.folder, data.fasta)
        monkeypatch.setenv("BEND_HF_DATA", "nowhere")
        with pytest.raises(BendError, match=r"nowhere \(BEND_HF_DATA\) is no folder"):
            checked(task)


class TestLocateOwn:
    """Of a task that is none of BEND's: its labels and genome lie in its folder."""

    def test_on_the_genome_beside_its_labels(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path / "mine", make_task("placed"))
        [task] = get_tasks(folder)
        found = locate(task, offline=True)
        assert (found.bed, found.fasta) == (folder / "placed.bed", folder / "genomes" / "WBcel235.fa")
        (folder / "genomes").rename(tmp_path / "genomes")
        assert locate(task, tmp_path).fasta == tmp_path / "genomes" / "WBcel235.fa"

    @pytest.mark.parametrize("offline", [True, None], ids=["argument", "HF_HUB_OFFLINE"])
    def test_offline_no_genome_is_downloaded(
        self, tmp_path: Path, caches: Path, monkeypatch: pytest.MonkeyPatch, offline: bool | None
    ) -> None:
        folder = write_folder(tmp_path / "mine", make_task(f"asked_{offline}", build="GRCh38", chromosomes=None))
        shutil.rmtree(folder / "genomes")
        [task] = get_tasks(folder)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline is None)
        monkeypatch.setitem(download.GENOMES, "GRCh38", "http://127.0.0.1:9/GRCh38.fa.gz")
        with pytest.raises(BendError, match="nothing is downloaded offline"):
            locate(task, offline=offline)

    def test_labels_are_in_one_file(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path / "mine", make_task("labelled"))
        [task] = get_tasks(folder)
        for ending in (".parquet", ".csv", ".tsv", ".bed"):
            (path,) = folder.glob("labelled.*")
            path = path.rename(folder / f"labelled{ending}")
            assert label_file(task) == path
        (folder / "labelled.csv").write_text("")
        with pytest.raises(BendError, match=r"holds several of labelled\.bed, labelled\.csv: it needs one of them"):
            label_file(task)
        for path in folder.glob("labelled.*"):
            path.unlink()
        with pytest.raises(
            BendError, match=r"holds none of labelled\.bed, labelled\.parquet, labelled\.csv, labelled\.tsv: it needs"
        ):
            label_file(task)


def test_digests_of_large_files_are_remembered_until_they_change(
    tmp_path: Path, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bend_hf.files._REMEMBERED_FROM", 0)
    monkeypatch.setattr("bend_hf.files._SETTLED_NS", 0)
    path = tmp_path / "large"
    path.write_bytes(b"one")
    assert content_digest(path) == hashlib.sha256(b"one").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr("bend_hf.files.digest_file", None)
        assert content_digest(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"two")
    assert content_digest(path) == hashlib.sha256(b"two").hexdigest()


def test_the_digest_of_a_dataset_is_of_its_task_s_version_and_files(
    data: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = data.files("cpg_methylation")
    newer = dataclasses.replace(found.task, version="9.0.0")
    monkeypatch.setattr("bend_hf.data.sources.BEND", (found.task, newer, TASKS["histone_modification"]))
    digests = [
        dataclasses.replace(found, task=task).digest for task in (found.task, newer, TASKS["histone_modification"])
    ]
    assert digests[0] == found.digest
    assert len(set(digests)) == 3
    data.bed("cpg_methylation").write_text(data.bed("cpg_methylation").read_text() + "\n")
    assert data.files("cpg_methylation").digest not in digests
