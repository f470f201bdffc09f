"""The package is typed for those who use it: a script of theirs is checked, and each of its planted faults is seen."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
ROOT = Path(__file__).resolve().parent.parent

RIGHT = """
import bend_hf
from pathlib import Path
from bend_hf.report.collection import Results

results = bend_hf.evaluate("onehot", tasks=["gene_finding"], seeds=2, output=Path("out"))
for result in results.of(task="gene_finding"):
    score: float | None = result.score
first: Results = bend_hf.read_results("out")
best = max(result.score or 0.0 for result in first[:2])
text: str = repr(first[0])
comparison = bend_hf.compare(["a", "b"], level=0.9)
pairs = comparison.ranking["gene_finding"][0][1].upper()
task: bend_hf.Task = bend_hf.get_tasks("gene_finding")[0]
window: int | None = task.window
genome = bend_hf.Genome("genome.fa")
letters: str = genome.window("chr1", 0, 10).lower()
"""

FAULTS = (
    ('bend_hf.evaluate("onehot", taks=["gene_finding"])', "call-arg"),
    ('bend_hf.evaluate("onehot", seeds="three")', "arg-type"),
    ('bend_hf.read_results("out").of(layer="4")', "arg-type"),
    ('bend_hf.read_results("out")[0].scoer', "attr-defined"),
    ('bend_hf.read_results("out")[0].score + 1', "operator"),
    ('bend_hf.compare(["a"], level="0.9")', "arg-type"),
    ('bend_hf.get_tasks("gene_finding").window', "attr-defined"),
    ('bend_hf.Genome("g").window("chr1", 0, "10")', "arg-type"),
    ('bend_hf.evaluat("onehot")', "attr-defined"),
    ('bend_hf.read_results("out").genes().nothing()', "operator"),
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Line and code of every error that mypy finds in a right script and in one with faults: file → list of them."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "right.py").write_text(RIGHT)
    (folder / "faults.py").write_text("\n".join(["import bend_hf", *(fault for fault, _ in FAULTS)]) + "\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir", str(ROOT / ".mypy_cache")),
            *("--config-file", str(ROOT / "pyproject.toml"), "right.py", "faults.py"),
        ],
        cwd=folder,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    errors = re.findall(r"^(\w+)\.py:(\d+): error: (?:.*)\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    files = {"right": [], "faults": []}
    for name, line, code in errors:
        files[name].append((int(line), code))
    return files


def test_each_planted_fault_is_seen(found):
    assert found["faults"] == [(k + 2, code) for k, (_, code) in enumerate(FAULTS)]


def test_a_right_script_has_no_error(found):
    assert found["right"] == []


def test_every_public_name_is_known_to_type_checkers():
    """The names under TYPE_CHECKING are those that are imported when first used."""
    import bend_hf

    text = (ROOT / "bend_hf" / "__init__.py").read_text()
    declared = dict(re.findall(r"from (bend_hf\.[\w.]+) import (\w+) as \2", text))
    named = {(module, name) for module, name in re.findall(r"from (bend_hf[\w.]*) import (\w+) as \2", text)}
    assert declared
    assert named == {(module, name) for name, module in bend_hf._WHERE.items()}
