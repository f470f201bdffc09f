"""The example of Ray Data: its stage alone, and with real Ray where that is installed, killed and resumed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bend_hf.data.builder import load_dataset
from bend_hf.embed.filling import fill
from bend_hf.embed.layout import _sound
from bend_hf.walk import merged

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "examples" / "ray" / "embed.py"
SLOW = """
import os, sys, time
sys.path.insert(0, {folder!r})
from fake_embedder import FakeEmbedder
from bend_hf.embed import layout
layout.SMALLEST_SHARD = 1 << 16  # several shards of little data
embedder = FakeEmbedder(pause=float(os.environ.get("PAUSE", 0)))
"""


@pytest.fixture
def model(tmp_path):
    """A made-up model, as a file that workers load; it makes shards small wherever it is loaded."""
    path = tmp_path / "slow.py"
    path.write_text(SLOW.format(folder=str(ROOT / "tests" / "store")))
    return f"{path}:embedder"


@pytest.fixture
def whole(toy_dir, model, tmp_path, monkeypatch):
    """The same store made in one go, without Ray."""
    from bend_hf.embed import layout
    from bend_hf.embed.open import load_embedder
    from bend_hf.protocols import get_protocol

    monkeypatch.setattr(layout, "SMALLEST_SHARD", layout.SMALLEST_SHARD)  # what loading the model sets is undone
    protocol = get_protocol("default")
    embedder = load_embedder(model, protocol=protocol)
    rows = load_dataset("cpg_methylation", data_dir=toy_dir)
    made = fill(embedder, merged(rows)["sequence"], store_dir=tmp_path / "whole", precision=protocol.kept_vectors)
    _sound.clear()
    assert made.complete
    assert made.count > 4
    return made.folder


def shards(folder):
    return {path.name: path.read_bytes() for path in folder.glob("shard-*")}


def test_shares_of_one_store_become_that_of_a_single_process(whole, model, toy_dir, tmp_path):
    spec = importlib.util.spec_from_file_location("ray_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    worker = module.Embed(model, tmp_path / "shared", {"data_dir": toy_dir})

    def batch(*shares):
        return {
            "task": np.array(["cpg_methylation"] * len(shares)),
            "share": np.array(shares),
            "of": np.full(len(shares), 3),
        }

    first = worker(batch(1))
    folder = Path(first["folder"][0])
    assert folder.name == whole.name
    assert set(shards(folder)) == set(sorted(shards(whole))[1::3])
    assert (first["there"][0], first["made"][0], first["shards"][0]) == (0, len(shards(folder)), len(shards(whole)))
    assert not (folder / "manifest.json").is_file()
    again = worker(batch(1, 0, 2))
    assert again["there"].tolist()[0] == first["made"][0]
    assert again["made"].tolist() == [0, len(sorted(shards(whole))[0::3]), len(sorted(shards(whole))[2::3])]
    assert shards(folder) == shards(whole)
    assert (folder / "manifest.json").read_bytes() == (whole / "manifest.json").read_bytes()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra ray)")
def test_two_workers_of_real_ray_are_killed_and_go_on(whole, model, toy_dir, tmp_path):
    words = [
        model,
        "--tasks",
        "cpg_methylation",
        "--data-dir",
        toy_dir,
        "--store",
        tmp_path / "shared",
        "--shares",
        "6",
    ]
    command = [sys.executable, str(SCRIPT), *map(str, words), "--cpus", "0.5"]
    folder = tmp_path / "shared" / whole.name
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(command, env=environment | {"PAUSE": "0.05"}) as killed:
        until = time.monotonic() + 300
        while not shards(folder) and killed.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        driver = psutil.Process(killed.pid)
        for process in [
            driver,
            *driver.children(recursive=True),
        ]:  # the workers, too: without a driver they go on a while
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    left = shards(folder)
    assert 0 < len(left) < len(shards(whole))
    assert all(shards(whole)[name] == content for name, content in left.items())
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"cpg_methylation: {len(shards(whole))} shards, complete" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("cpg_methylation  ")]
    assert [row[1] for row in rows] == [f"{share}/6" for share in range(6)]
    assert sum(int(row[2]) for row in rows) == len(left)
    assert sum(int(row[3]) for row in rows) == len(shards(whole)) - len(left)
    assert shards(folder) == shards(whole)
