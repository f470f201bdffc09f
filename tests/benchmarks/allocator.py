"""What keeping freed memory saves: embedding and an epoch of a head, beside the same with the allocator as it is.

    python tests/benchmarks/allocator.py

Both sides are this package, each in a process of its own; the reference's has ``BEND_HF_KEEP_MEMORY=0``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from table import Row, main

from bend_hf.runtime import keep_freed_memory

FOLDER = Path(__file__).resolve().parent


def measure(size: str) -> dict[str, float]:
    """Nucleotides per second of two models, and epochs per second."""
    keep_freed_memory()  # as the command line does before anything else
    import embedding
    import numpy as np
    import torch
    import training

    from bend_hf.embed.embedder import Embedder

    torch.set_flush_denormal(True)
    rates = {}
    with tempfile.TemporaryDirectory() as root:
        for name in ("dnabert", "esm"):
            folder = embedding.CHECKPOINTS[name](Path(root) / name)
            embedder = Embedder.from_pretrained(str(folder), device="cpu")
            for what, (_, sequences) in embedding.inputs(name, size).items():
                embedding.exhaust(embedder.embed(sequences))
                amount = sum(map(len, sequences))
                found = embedding.rate(lambda e=embedder, s=sequences: embedding.exhaust(e.embed(s)), amount)
                rates[f"embed {embedding.TITLES[name]}, {what}, {embedder.dtype}"] = found
        count, width = {"tiny": (16, 16), "small": (512, 256), "medium": (2_560, 256)}[size]
        task = training.TASKS["chromatin_accessibility"]
        case = training.Case("512 bp, 1 nt per token", task, width, "1-nt", 256)
        rows, labels = training.make(case, count, np.random.default_rng(0))
        source = training.store(Path(root) / "store", rows, np.random.default_rng(1))
        for precision in training.precisions():
            seconds = training.our_epochs(case.task, source, labels, case.batch_size, 4, precision=precision)
            rates[f"epoch, {case.name}, {precision}"] = 1 / seconds
    return rates


def run(size: str = "small") -> list[Row]:
    """Return rows of (what, value with the allocator as it is, with memory kept, unit)."""
    code = f"import json, allocator; print(json.dumps(allocator.measure({size!r})))"
    path = os.pathsep.join([str(FOLDER), str(FOLDER.parent.parent)])
    sides = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env=os.environ | {"PYTHONPATH": path, "BEND_HF_KEEP_MEMORY": keep},
            ).stdout.splitlines()[-1]
        )
        for keep in ("0", "1")
    ]
    return [
        (what, sides[0][what], sides[1][what], "nt/s" if what.startswith("embed") else "epochs/s") for what in sides[0]
    ]


if __name__ == "__main__":
    main(run)
