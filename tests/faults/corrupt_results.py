"""Flips one bit at seeded random places of vector shards, their manifest, training states, records and predictions.

    python tests/faults/corrupt_results.py --places 200

What is made again from them has to equal what was made undisturbed: vectors, the scores of a resumed training, and the
score that `evaluate` returns where a result is there already. It prints how each kind ended, and exits with 1 if any
ended with another number or an error that is not a `BendError`.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import bend_hf
from bend_hf.data import toy
from bend_hf.embed import layout, store
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.results.record import read_predictions
from bend_hf.train.fit import fit

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "store"), str(TESTS / "train")]
from fake_embedder import FakeEmbedder, sequences  # noqa: E402
from training_data import make, splits  # noqa: E402


@dataclass(frozen=True)
class Kind:
    """A kind of kept file.

    Attributes:
        victims: The files of an undisturbed folder that may be hit, as a pattern.
        make: Makes (or uses) what lies in a folder, and returns what must not change.
    """

    victims: str
    make: Callable[[Path], Any]


def vectors(folder: Path) -> bytes:
    """Vectors of 40 sequences from the store in `folder`, as a new process would read them."""
    layout._sound.clear()
    source = store.vectors_for(FakeEmbedder(), sequences(40), store_dir=folder, memory_bytes=0)
    found = source.read(list(range(40)))
    return b"".join(tokens.vectors.float().numpy().tobytes() + tokens.lengths.tobytes() for tokens in found)


def training(folder: Path) -> list[bytes]:
    """Test scores of a head whose training left its last state in `folder`."""
    task, source, labels = make("histone_modification", 24)
    options = {"epochs": 2, "batch_size": 8, "device": "cpu", "checkpoint_dir": folder, "checkpoint_seconds": 0.0}
    [head] = fit(task, protocol=get_protocol("default"), **options, **splits(source, labels))
    return [np.asarray(row).tobytes() for row in head.scores]


def record(folder: Path) -> tuple[Any, ...]:
    """The score, interval and predictions of a baseline on toy data, made or found in `folder`."""
    [result] = bend_hf.evaluate("composition", "variant_effects_disease", data_dir=DATA, output=folder)
    return result.score, result.interval, read_predictions(result).scores.tobytes()


SCRATCH = Path(tempfile.mkdtemp(prefix="bend_hf_faults_"))
DATA = SCRATCH / "toy"
KINDS = {
    "vector shards": Kind("*/shard-*", vectors),
    "a store's manifest": Kind("*/manifest.json", vectors),
    "training states": Kind("*.safetensors", training),
    "seals of states": Kind("*.seal", training),
    "records": Kind("*/*.json", record),
    "predictions": Kind("*/*.parquet", record),
}


def flip(path: Path, rng: random.Random) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def trials(name: str, places: int) -> Counter[str]:
    """Count how damaged runs of a kind end."""
    kind, ends = KINDS[name], Counter[str]()
    whole = SCRATCH / name.replace(" ", "-")
    expected = kind.make(whole)
    for seed in range(places):
        rng, folder = random.Random(f"{name} {seed}"), SCRATCH / "trial"
        shutil.copytree(whole, folder)
        flip(rng.choice(sorted(folder.glob(kind.victims))), rng)
        try:
            ends["undisturbed" if kind.make(folder) == expected else "ANOTHER NUMBER"] += 1
        except BendError:
            ends["one error"] += 1
        except Exception as error:
            ends[f"{type(error).__name__.upper()}: {error}"[:80]] += 1
        shutil.rmtree(folder)
    return ends


def main() -> int:
    """Print a line per kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=200, metavar="N", help="places per kind (200)")
    places = parser.parse_args().places
    logging.getLogger("bend_hf").setLevel(logging.ERROR)
    layout.SMALLEST_SHARD = 2048
    os.environ["BEND_HF_CACHE"] = str(SCRATCH / "cache")
    wrong = 0
    try:
        toy.make(DATA)
        for name in KINDS:
            ends = trials(name, places)
            wrong += sum(count for end, count in ends.items() if end not in ("undisturbed", "one error"))
            print(f"{name:<20} {', '.join(f'{end} {count}' for end, count in ends.items())}", flush=True)
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
