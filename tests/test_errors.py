"""One sink: what other libraries raise is said in our words, with a stable code and exit code."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import errors_page
import h5py
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors
import torch
from huggingface_hub.errors import FileMetadataError, OfflineModeIsEnabled

import bend_hf
from bend_hf import checks, files
from bend_hf.cli import main
from bend_hf.errors import BendError, DiskError, InternalError, MissingError, described, hub_answer


def raised(action):
    with pytest.raises(BaseException) as caught:
        action()
    return caught.value


def damaged(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"PAR1" * 40)
    return path


@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        (lambda p: (p / "nothing").open(), "disk", "nothing: there is no such file"),
        (lambda p: p.open(), "disk", "it is a folder"),
        (lambda p: (p / ("x" * 300)).write_text(""), "disk", "name is too long"),
        (lambda p: p.mkdir(), "disk", "it is there already"),
        (lambda p: json.loads("[" * 100_000), "data", "nested too deeply"),
        (lambda p: json.loads("{"), "data", "no JSON"),
        (lambda p: b"\xff".decode(), "data", "no text in UTF-8"),
        (lambda p: pq.read_table(damaged(p, "x.parquet")), "data", "table cannot be read"),
        (lambda p: pa.ipc.open_file(damaged(p, "x.arrow")), "data", "table cannot be read"),
        (lambda p: safetensors.safe_open(damaged(p, "x.safetensors"), "pt"), "data", "tensor file cannot be read"),
        (lambda p: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA")), "memory", "--batch-size"),
        (lambda p: (_ for _ in ()).throw(MemoryError()), "memory", "memory ran out"),
        (lambda p: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full", str(p / "a"))), "disk", "a: the disk is full"),
        (lambda p: [][0], "internal", "IndexError: list index out of range"),
    ],
)
def test_what_other_libraries_raise_is_said_in_our_words(tmp_path, action, code, words):
    found = described(raised(lambda: list(action(tmp_path)) if code == "memory" else action(tmp_path)))
    assert found.code == code
    assert words in str(found)
    assert isinstance(found, ValueError)


def test_python_users_catch_what_they_are_used_to(tmp_path):
    missing = described(raised(lambda: (tmp_path / "nothing").open()))
    assert isinstance(missing, MissingError)
    assert isinstance(missing, FileNotFoundError)
    own = BendError("as it is")
    assert described(own) is own


def test_the_cause_is_found_behind_what_wraps_it(tmp_path):
    def wrapping():
        try:
            (tmp_path / "nothing").open()
        except OSError as error:
            raise RuntimeError("something went wrong") from error

    assert "nothing: there is no such file" in str(described(raised(wrapping)))


def test_a_temporary_name_is_not_shown(tmp_path):
    def write():
        with files.atomic(tmp_path / "file" / "report.html") as temporary:
            temporary.write_text("")

    (tmp_path / "file").write_text("")
    assert ".partial" not in str(described(raised(write)))


def test_outputs_that_are_no_files(tmp_path):
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    with pytest.raises(DiskError, match="device or a pipe"), files.atomic(pipe):
        pass
    target.write_text("old")
    link.symlink_to(target)
    with files.atomic(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError) as caught, files.atomic(loop):
        pass
    assert str(described(caught.value)) == f"{loop}: its links go round in a circle. Remove the link."


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("a\n  b\r\nc", "a b c"),
        ("\x1b[31mred\x00\u202e", r"\x1b[31mred\x00\u202e"),
        (os.fsdecode(b"chr\xff.fa"), r"chr\udcff.fa"),
        (f"name {'x' * 999} end", f"name {'x' * 999} end"),
        (f"name {'x' * 2_000_000} end", f"name {'x' * 400}…{'x' * 100} end"),
        ("https://me:secret@host/x", "https://host/x"),
        ("see https://cdn.co/a?X-Amz-Signature=abc&b=1.", "see https://cdn.co/a?…"),
        ("HTTPS://me:pass@word@host", "HTTPS://host"),
        (
            f"refused hf_{'aB3' * 12}, {{'Authorization': 'Bearer abc.def-123'}}",
            "refused hf_…, {'Authorization': 'Bearer …'}",
        ),
        ("authorization: Basic bWU6c2VjcmV0", "authorization: Basic …"),
        ("a basic model, hf_small: bearer statistics", "a basic model, hf_small: bearer statistics"),
    ],
)
def test_a_message_is_one_line_that_can_be_read(message, said):
    assert str(BendError(message)) == said
    said.encode()


def test_what_cannot_be_read_as_a_file_is_told_apart(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "sound").write_text("")
    assert files.no_file(tmp_path / "sound") is None
    assert files.no_file(tmp_path / "no", "FASTA file") == "there is no such FASTA file"
    assert files.no_file(tmp_path / "link") == "there is no such file, only a link to nothing"
    assert files.no_file(tmp_path) == (
        "it is a folder, a device or a pipe, where a file is meant. Give the path of a file"
    )


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("epochs", 0, "epochs=0 (--epochs) is no whole number of at least 1"),
        ("epochs", 1.5, "epochs=1.5"),
        ("epochs", True, "epochs=True"),
        ("batch_size", "16", "batch_size='16' (--batch-size)"),
        ("patience", -1, "patience=-1"),
        ("seeds", 0, "seeds=0"),
        ("seeds", [], "one seed or more"),
        ("seeds", [1, 1], "each once"),
        ("seeds", "12", "seeds='12'"),
        ("seeds", None, "seeds=None"),
        ("sampling_seed", -1, "sampling_seed=-1 (--sampling-seed)"),
        ("precision", "fp8", "Unknown precision 'fp8'"),
        ("precision", "fp16", "on a CPU train in bf16 or fp32"),
        ("store_limit", "much", "Size 'much' is not understood"),
        ("store_limit", -1, "Size '-1' is not understood"),
        ("device", "gpu0", "device='gpu0' (--device) is none"),
        ("trackers", ["tensorbord"], "Did you mean 'tensorboard'?"),
        ("output", None, "output=None"),
        ("protocol", "bend2024", "Did you mean 'bend-2024'?"),
    ],
)
def test_arguments_are_checked_before_any_work(option, value, words, toy_dir, tmp_path):
    options = {"output": tmp_path / "out", "data_dir": toy_dir, option: value}
    with pytest.raises(BendError) as caught:
        bend_hf.evaluate("onehot", "cpg_methylation", **options)
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_an_error_before_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"cannot be written: .*folder is meant"):
        checks.output_folder(tmp_path / "file" / "out")
    assert checks.output_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()


def test_an_output_is_tried_by_several_at_a_time(tmp_path):
    """Processes of one run, or of an array of jobs, ask for one folder, which none of them may take from another."""
    folders = [tmp_path / str(k // 8) / "a" / "b" for k in range(1600)]  # each for eight threads at about one time
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(checks.output_folder, folders)) == folders
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["evalute", "x"], 2, "Did you mean 'evaluate'?"),
        (["evaluate", "x", "--epohcs", "3"], 2, "unknown option --epohcs. Did you mean --epochs?"),
        (["evaluate", "x", "--epoch", "3"], 2, "unknown option --epoch. Did you mean --epochs?"),
        (["compare", "nowhere"], 1, "nowhere: no such file or folder"),
    ],
)
def test_the_command_line_says_what_was_meant(capsys, arguments, code, words):
    try:
        found = main(arguments)
    except SystemExit as stop:
        found = stop.code
    assert found == code
    assert words in capsys.readouterr().err


def test_errors_as_json_faults_and_debug(capsys, monkeypatch):
    assert main(["doctor", "no-such-model", "--format", "json"]) == 1
    error = json.loads(capsys.readouterr().err.splitlines()[-1])["error"]
    assert (error["command"], error["code"]) == ("doctor", "input")

    def broken(args):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("bend_hf.cli.nouns.tasks_ls", broken)
    assert main(["tasks"]) == 70
    err = capsys.readouterr().err
    assert "fault of bend_hf" in err
    assert "Traceback" not in err
    assert main(["tasks", "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err
    assert isinstance(described(ZeroDivisionError()), InternalError)


def test_a_closed_pipe_ends_quietly():
    command = f"{sys.executable} -m bend_hf tasks --format json | head -c 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert "Traceback" not in run.stderr


def test_hdf5_errors_without_a_number(tmp_path):
    found = described(raised(lambda: h5py.File(damaged(tmp_path, "x.hdf5"))))
    assert found.code == "data"
    assert "truncated, damaged" in str(found)


def test_the_page_of_errors_says_what_is_said():
    """Write it anew with: python tests/errors_page.py."""
    text = errors_page.PAGE.read_text(encoding="utf-8")
    assert errors_page.page(text) == text
    assert text.count("| `") > 20
    assert all(f"`{kind}`" in text for kind in ("input", "data", "model", "hub", "disk", "memory", "internal", "usage"))


@pytest.mark.parametrize("words", [["compare", "x", "--resample", "3"], ["compear"], ["report", "--level", "x", "y"]])
def test_wrong_usage_is_json_where_the_output_is(words, capsys):
    for form in (["--format", "json"], ["--format=json"]):
        with pytest.raises(SystemExit) as stop:
            main([*words, *form])
        assert stop.value.code == 2
        said = json.loads(capsys.readouterr().err)["error"]
        assert said["code"] == "usage"
        assert said["message"]
        assert said["command"] == (words[0] if words[0] != "compear" else "")


def test_the_hubs_own_header_says_how_long_to_wait():
    class RefusedError(Exception):
        response = httpx.Response(429, headers={"RateLimit": '"api";r=0;t=55'})

    assert "Wait 55 seconds and run the command again." in str(hub_answer(RefusedError()))


def chained(outer, inner):
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            chained(ValueError("see that SSL certificates are new"), FileMetadataError("no")),
            "no file of the Hub",
        ),
        (
            ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: own"),
            "cannot be trusted",
        ),
        (chained(ValueError("SSL certificates"), httpx.ProxyError("403 Forbidden")), "the proxy does not let"),
        (httpx.ProxyError("407 Proxy Authentication Required"), "the proxy wants to know who asks (407)"),
        (httpx.TooManyRedirects("20"), "no file of the Hub"),
        (OSError("Consistency check failed: file should be of size 810 but has size 57"), "no file of the Hub"),
        (httpx.UnsupportedProtocol("Request URL is missing a protocol"), "Check HF_ENDPOINT and HTTPS_PROXY."),
        (ValueError("Unknown scheme for proxy URL URL('nonsense://x')"), "Check HF_ENDPOINT and HTTPS_PROXY."),
        (chained(ValueError("SSL certificates"), httpx.ConnectError("refused")), "the connection to the Hub broke"),
        (OfflineModeIsEnabled("x"), "offline mode is on"),
    ],
)
def test_what_stands_between_here_and_the_hub_is_told_apart(error, words):
    assert words in hub_answer(error)
