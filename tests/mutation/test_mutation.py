"""The run of faults: what is planted, and a few faults through the command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from planted import faults_of, is_sound, sample

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = '''"""Words."""
LIMIT = 5


def area(width: int | None, *, height: float = 2.0) -> float:
    """Words."""
    if width is None and height > LIMIT:
        raise ValueError(f"too high: {height + 1}")
    sides = {"width": width, "height": height}
    return round(sides["width"] * max(height, 1.5), ndigits=3)
'''


def after(source):
    """Every sound fault of a source, as the lines it leaves."""
    return {fault.after for fault in faults_of("m.py", source) if is_sound(fault, source)}


def test_faults_of_a_source():
    assert after(SOURCE) == {
        "LIMIT = 6",
        "def area(width: int | None, *, height: float = 4.0) -> float:",
        "if width is not None and height > LIMIT:",
        "if width is None or height > LIMIT:",
        "if width is None and height >= LIMIT:",
        "if not (width is None and height > LIMIT):",
        "pass",
        'sides = { "height": height}',
        'sides = {"width": width, }',
        "return None",
        "return round(sides['widthx'] * max(height, 1.5), ndigits=3)",
        'return round(sides["width"] / max(height, 1.5), ndigits=3)',
        'return round(sides["width"] * min(height, 1.5), ndigits=3)',
        'return round(sides["width"] * max(height, 3.0), ndigits=3)',
        'return round(sides["width"] * max(height, 1.5), ndigits=4)',
        'return round(sides["width"] * max(height, 1.5), )',
    }


def test_a_fault_is_one_place_counted_in_bytes():
    source = 'name = "Ångström – √"  # not ASCII\nwide = -1 + 2\n'
    (swapped,) = [fault for fault in faults_of("m.py", source) if fault.after == "wide = -1 - 2"]
    assert swapped.applied(source) == source.replace("+", "-")
    assert swapped.line == 2


def test_the_draw_is_of_the_seed_and_a_longer_one_begins_with_a_shorter():
    draws = [sample(REPOSITORY, count, seed, "bend_hf/results/ranks.py") for count, seed in ((5, 0), (9, 0), (5, 1))]
    assert draws[1][:5] == draws[0] != draws[2]
    assert len({(fault.path, fault.line) for fault in draws[1]}) == 9


@pytest.mark.timeout(300)
def test_a_few_faults_are_seen(tmp_path):
    command = [sys.executable, "tests/mutation", "-o", str(tmp_path), "--jobs", "2", "--sample", "4", "--seed", "2"]
    command += ["--only", "metrics/auroc", "--tests", "tests/metrics/test_metric_values.py"]
    before = {path: path.read_bytes() for path in (REPOSITORY / "metrics/auroc").iterdir() if path.is_file()}
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert "of    4 seen" in ran.stdout, ran.stdout + ran.stderr
    results = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    whats = [result["what"] for result in results]
    assert set(whats) == {"seen", "survived"}, ran.stdout  # this one file of tests does not see every fault
    assert whats.count("seen") >= 2
    assert {path: path.read_bytes() for path in before} == before
    again = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert again.stdout == ran.stdout[ran.stdout.index("\nmetrics/auroc") :]  # nothing is run again
