"""The script for Hugging Face Jobs: what uv reads of it, and that it runs without uv, keeps results and goes on."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import hub_server
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "hf_jobs" / "job.py"
BLOCK = r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$"
"""As PEP 723 defines it."""


def run(folder: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    own = {"PYTHONPATH": str(ROOT), "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "0"}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, words)],
        env=os.environ | own | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_uv_reads_fits_this_package() -> None:
    [block] = [found for found in re.finditer(BLOCK, SCRIPT.read_text()) if found["type"] == "script"]
    lines = block["content"].splitlines(keepends=True)
    metadata = tomllib.loads("".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["requires-python"] == project["requires-python"]
    needed = [Requirement(text) for text in metadata["dependencies"]]
    [own] = [requirement for requirement in needed if requirement.name == project["name"]]
    assert own.specifier.contains(project["version"])
    assert not own.specifier.contains("0.0.9")
    known = {Requirement(text).name: Requirement(text).specifier for text in project["dependencies"]}
    for requirement in needed:
        assert requirement.name in {project["name"], *known}
        assert requirement is own or requirement.specifier & SpecifierSet(str(known[requirement.name]))
    imported = set(re.findall(r"^(?:from|import) (\w+)", SCRIPT.read_text(), re.MULTILINE)) - set(
        sys.stdlib_module_names
    )
    assert imported - {"__future__"} <= {"bend_hf", *(name.replace("-", "_") for name in known)}


def test_results_are_kept_in_a_repository_and_not_made_again(toy_dir: Path, tmp_path: Path) -> None:
    words = ["composition", "--tasks", "histone_modification", "--data-dir", toy_dir, "--format", "json"]
    with hub_server.Hub() as hub:
        environment = hub.environment()
        wrong = run(tmp_path / "wrong", *words, "--results", "bend/results", "--no-such-option", **environment)
        assert wrong.returncode == 2
        assert "unknown option --no-such-option" in wrong.stderr
        foreign = run(tmp_path / "foreign", *words, "--results", "you/results", **environment)
        assert foreign.returncode == 1
        assert foreign.stderr.startswith("job.py: --results you/results")
        assert len(foreign.stderr.splitlines()) < 8
        first = run(tmp_path / "first", *words, "--results", "bend/results", **environment)
        assert first.returncode == 0, first.stderr
        kept = hub.files("dataset", "bend/results")
        assert {Path(name).suffix for name in kept if not name.startswith(".")} == {".json", ".parquet"}
        [score] = [result["score"] for result in json.loads(first.stdout)]
        second = run(tmp_path / "second", *words, "--results", "bend/results", **environment)  # a new machine
        assert second.returncode == 0, second.stderr
        assert [result["score"] for result in json.loads(second.stdout)] == [score]
        assert hub.files("dataset", "bend/results") == kept


def test_the_command_of_the_page_is_one_that_hf_takes() -> None:
    """As far as it goes without submitting a job."""
    lines = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line.startswith("$ hf jobs uv run ")]
    hf, *words = shlex.split(line.removeprefix("$ "))
    program = str(Path(sys.executable).parent / hf)
    if (
        "--dry-run"
        not in subprocess.run([program, *words[:3], "--help"], capture_output=True, text=True, check=False).stdout
    ):
        pytest.skip("this version of huggingface_hub has no dry run of jobs")
    with hub_server.Hub() as hub:
        environment = os.environ | {"HF_HUB_OFFLINE": "0"} | dict(hub.environment())
        words.insert(3, "--dry-run")
        done = subprocess.run([program, *words], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = {
        line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line[:2] == "  "
    }
    assert (said["script"], said["args"]) == ("examples/hf_jobs/job.py", "MODEL --results YOU/bend-results")
    assert said["timeout"] == "12h"
