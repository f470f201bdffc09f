"""What the documentation says can be done: commands are commands, names are there, the tutorial runs as written."""

import ast
import contextlib
import importlib
import importlib.util
import io
import os
import subprocess
import sys

import pytest
from blocks import NOT_RUN, PAGES, ROOT, blocks, commands

from bend_hf.cli import build_parser

TUTORIAL = ROOT / "docs" / "tutorial.md"
OTHERS = [page for page in PAGES if page != TUTORIAL]


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_a_page_whose_code_is_not_run_says_why(page):
    reasons = NOT_RUN.findall(page.read_text(encoding="utf-8"))
    assert len(reasons) == bool(blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one_that_the_program_takes(page, tmp_path, monkeypatch):
    """A block of YAML that begins with a comment is the file of that name."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        if block.language == "yaml" and block.text.startswith("# "):
            (tmp_path / block.text.splitlines()[0][2:]).write_text(block.text)
        for words in commands(block) if block.language in ("", "bash", "sh") else []:
            wrong = refusal(words)
            assert wrong is None, f"{page.name}:{block.line}: bend-hf {' '.join(words)}\n{wrong}"


def refusal(words):
    """Return what the parser says against a command; None where it takes it."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            build_parser().parse_args(words)
        except SystemExit as ended:
            return said.getvalue() if ended.code else None
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_that_is_imported_is_there(page):
    for block in blocks(page):
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bend_hf"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name) or importlib.util.find_spec(f"{node.module}.{alias.name}"), (
                        f"{page.name}:{block.line}: {node.module}.{alias.name}"
                    )
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "bend_hf":
                assert hasattr(importlib.import_module("bend_hf"), node.attr), f"{page.name}:{block.line}: {node.attr}"


@pytest.mark.timeout(1500)
def test_the_tutorial_runs_as_written(tmp_path):
    """Its blocks in order, in an empty folder with an empty home; those of Python in one process."""
    own = {"HOME": str(tmp_path / "home"), "EXAMPLES": str(ROOT / "examples"), "OMP_NUM_THREADS": "1"}
    own |= {"BEND_HF_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    found = [block for block in blocks(TUTORIAL) if block.language != "text"]  # what a run printed
    assert {block.language for block in found} == {"bash", "python"}
    python = ""
    for block in found:
        python += block.text if block.language == "python" else ""
        words = (
            [sys.executable, "-c", python]
            if block.language == "python"
            else ["bash", "-euo", "pipefail", "-c", block.text]
        )
        done = subprocess.run(
            words, cwd=tmp_path / "work", env=os.environ | own, capture_output=True, text=True, check=False
        )
        where = f"docs/tutorial.md:{block.line}"
        assert done.returncode == 0, f"{where}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        assert done.stdout.strip() or "tiny_model" in block.text or "build control" in block.text, where
    for made in ("report.html", "tracks/igv_session.genome1.xml", "permuted/task.json"):
        assert (tmp_path / "work" / made).is_file(), made
