"""Files written whole or not at all, a light import, and resources found in a clone."""

import subprocess
import sys

import pytest

from bend_hf.errors import BendError
from bend_hf.files import atomic, digest_file, digest_of, write_json
from bend_hf.resources import load_module


def test_atomic_leaves_nothing_behind_on_an_error(tmp_path):
    target = tmp_path / "folder" / "file.txt"
    with pytest.raises(OSError, match="disk full"):
        with atomic(target) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")
    assert list(target.parent.iterdir()) == []


def test_atomic_replaces_a_file_and_keeps_a_folder(tmp_path):
    for text in ("old", "new"):
        with atomic(tmp_path / "file") as temporary:
            temporary.write_text(text)
        with atomic(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / "content").write_text(text)
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "folder" / "content").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_write_json_refuses_what_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="nan"):
        write_json(tmp_path / "value.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_digests(tmp_path):
    (tmp_path / "empty").touch()
    assert digest_file(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})


def test_import_is_light():
    code = """
import sys
import bend_hf
assert not {"torch", "transformers", "datasets", "evaluate", "pandas"} & set(sys.modules), sorted(sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["evaluate", "--help"], ["build", "genes", "--help"]])
def test_the_command_line_answers_before_anything_heavy_is_loaded(arguments: list[str]) -> None:
    code = f"""
import sys
from bend_hf.cli import main
try:
    main({arguments})
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"numpy", "pyarrow", "torch", "transformers", "datasets", "h5py", "scipy", "httpx"}} & set(sys.modules)
assert not heavy, sorted(heavy)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_public_names_exist():
    import bend_hf

    assert all(getattr(bend_hf, name) is not None for name in bend_hf.__all__)
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        _ = bend_hf.evaluat


def test_an_unknown_metric_lists_the_choices():
    with pytest.raises(BendError, match=r"Unknown metric 'auro'. Did you mean 'auroc'\?"):
        load_module("metrics", "auro")
