"""Start-up: processor seconds until the package, its help, its first row and its first vectors are there.

    python tests/benchmarks/startup.py

Each is a process of its own, and what is measured is its processor time (user and system, of all its threads), which a
busy neighbour changes less than the time on the clock; the smallest of several turns. The "reference" is what the
process cannot do without: the bare interpreter, or the libraries that rows (`datasets`) and models (`torch`,
`transformers`) are made of, imported and nothing else. So a ratio of 1.0 is the best there can be. *To the first row's
vectors* opens cached rows, loads a model and embeds one row, as `evaluate` does before it says anything of a score.

    python -X importtime -c "import bend_hf.evaluation" 2>&1 | sort -t"|" -k2 -n | tail      # where imports go
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from table import Row, main

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tiny_models

TURNS = {"tiny": 1, "small": 5, "medium": 15}
ROWS = """
import sys
from bend_hf.data.builder import load_dataset
row = load_dataset("cpg_methylation", data_dir=sys.argv[1], split="test")[0]
"""
VECTORS = """
from bend_hf.embed.open import load_embedder
from bend_hf.protocols import get_protocol
embedder = load_embedder(sys.argv[2], protocol=get_protocol("default"), device="cpu")
next(embedder.embed([row["sequence"]]))
"""


def seconds(words: Sequence[str], turns: int) -> float:
    """Least processor time of a process of its own, warm."""
    found = []
    for _ in range(turns + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found[1:])


def run(size: str = "small") -> list[Row]:
    """Return rows of (what, the seconds of what it needs, ours, unit)."""
    from bend_hf.data import toy

    with tempfile.TemporaryDirectory(prefix="bend_hf_startup_") as name:
        folder = Path(name)
        os.environ |= {"BEND_HF_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
        where = [str(toy.make(folder / "toy")), str(tiny_models.esm(folder / "model"))]
        cases = [
            ("import bend_hf", ["-c", "pass"], ["-c", "import bend_hf"]),
            ("bend-hf --version", ["-c", "pass"], ["-m", "bend_hf", "--version"]),
            ("bend-hf --help", ["-c", "pass"], ["-m", "bend_hf", "--help"]),
            ("to the first row, cached", ["-c", "import datasets"], ["-c", ROWS, *where]),
            (
                "to the first row's vectors",
                ["-c", "import datasets, torch; from transformers import PreTrainedModel"],
                ["-c", ROWS + VECTORS, *where],
            ),
        ]
        return [(what, *(seconds(words, TURNS[size]) for words in sides), "s") for what, *sides in cases]


if __name__ == "__main__":
    main(run)
