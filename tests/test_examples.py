"""The examples run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_callable_model(tmp_path):
    done = run(EXAMPLES / "callable_model.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("composition-of-100") == 2
    assert list(tmp_path.iterdir()) == []


def test_an_untrained_control_is_a_model(tmp_path):
    from bend_hf.embed.embedder import Embedder

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [a + b + c for a in "ATCG" for b in "ATCG" for c in "ATCG"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    done = run(EXAMPLES / "untrained_control.py", "vocab.txt", "control", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    embedder = Embedder.from_pretrained(str(tmp_path / "control"))
    [tokens] = embedder.embed(["ACGTACGTAC"])
    assert tokens.vectors.shape == (8, 64)
    assert tokens.lengths.sum() == 10
