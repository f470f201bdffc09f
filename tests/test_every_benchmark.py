"""Every benchmark still runs: what it imports and calls is there, and it measures something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem != "__main__")
RUN_BY_OTHER_TESTS = {"embedding", "rows", "startup", "store", "training"}
"""Their smallest form takes half a minute; tests of their own run what they do."""
MEASURING = [name for name in NAMES if "\ndef run(size" in (BENCHMARKS / f"{name}.py").read_text()]


def printed(code: str) -> str:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent.parent)]),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def test_what_they_import_is_there() -> None:
    optional = "parasail"  # of homology.py, which says so itself
    code = f"""
import importlib
for name in {NAMES!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != {optional!r}:
            raise
    print(name)
"""
    assert printed(code).split() == NAMES


@pytest.mark.parametrize("name", [name for name in MEASURING if name not in RUN_BY_OTHER_TESTS])
def test_its_smallest_form_measures_something(name: str) -> None:
    code = f"import json, {name}; print(json.dumps({name}.run('tiny')))"
    rows = json.loads(printed(code).splitlines()[-1])
    assert rows
    for what, reference, ours, unit in rows:
        assert reference > 0, what
        assert ours > 0, what
        assert unit
