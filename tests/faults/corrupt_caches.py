"""Flips one bit at seeded random places of every kind of file that is kept on disk, and builds again.

    python tests/faults/corrupt_caches.py --places 200

Every run has to end with the undisturbed rows, or with one `BendError`; a score follows from the rows. It prints how
many ended in which way, and exits with 1 if any ended with other rows or another error.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from block_gzip import bgzip

from bend_hf import files
from bend_hf.data import toy
from bend_hf.data.builder import build
from bend_hf.data.sources import locate
from bend_hf.errors import BendError
from bend_hf.files import digest_of
from bend_hf.hub.cards import tasks_of
from bend_hf.hub.mirror import write_mirror
from bend_hf.tasks import TASKS

TASK = TASKS["variant_effects_disease"]
SIZES = {"windows": 1, "genes": 1, "chromatin": 2, "histone": 2, "cpgs": 2, "variants": 4}


@dataclass(frozen=True)
class Kind:
    """A kind of kept file.

    Attributes:
        victims: The files, below the folder of a trial.
        forget: What is removed before building again, so that the victims are read.
        genome: The genome that is named.
        remembered: Whether digests are remembered from the first byte on, as those of large files are.
        mirror: Whether a mirror is written instead of a dataset built.
    """

    victims: str
    forget: tuple[str, ...] = ()
    genome: str = "data/genomes/GRCh38.toy.fa"
    remembered: bool = False
    mirror: bool = False


BUILT, COORDINATES = "datasets", "cache/coordinates"
KINDS = {
    "rows": Kind("datasets/**/*.arrow"),
    "description of rows": Kind("datasets/**/dataset_info.json"),
    "seal of rows": Kind("datasets/**/.seal"),
    "coordinates": Kind("cache/coordinates/*.arrow", (BUILT,)),
    "seal of coordinates": Kind("cache/coordinates/*.seal", (BUILT,)),
    "decompressed genome": Kind("cache/genomes/*.fa", (BUILT, COORDINATES), "data/genomes/GRCh38.bgzip.gz"),
    "index in the cache": Kind("cache/**/*.fai", (BUILT, COORDINATES), "data/genomes/GRCh38.bgzip.gz"),
    "index beside a genome": Kind("data/genomes/*.fai", (BUILT, COORDINATES)),
    "Parquet of a mirror": Kind("datasets/**/*.parquet", mirror=True),
    "other files of a mirror": Kind("datasets/bend/variant_effects/*.*", mirror=True),
    "memory of digests": Kind("cache/digests/*", (), remembered=True),
    "memory of digests, nothing built": Kind("cache/digests/*", (BUILT, COORDINATES), remembered=True),
}


def make_data(folder: Path) -> Path:
    """Write small data that are no toy, with a genome that is compressed as well."""
    data = toy.make(folder, **SIZES)
    (data / toy.MANIFEST).unlink()
    plain = data / "genomes" / "GRCh38.toy.fa"
    (data / "genomes" / "GRCh38.bgzip.gz").write_bytes(bgzip(plain.read_bytes()))
    return data


@contextmanager
def caches_in(folder: Path, remembered: bool) -> Iterator[None]:
    """Keep everything below a folder; with `remembered`, remember the digests of all files."""
    environment = mock.patch.dict(os.environ, {"BEND_HF_CACHE": str(folder / "cache")})
    limits = mock.patch.multiple(files, _REMEMBERED_FROM=0 if remembered else 1 << 26, _SETTLED_NS=0)
    with environment, limits:
        yield


def rows_of(folder: Path, kind: Kind) -> str:
    """Build the task (or write a mirror), or take what is kept, and return a digest of all rows (or files)."""
    with caches_in(folder, kind.remembered):
        if kind.mirror:
            both = [locate(task, folder / "data", genome_checked=True) for task in tasks_of(TASK.dataset)]
            write_mirror(folder / "datasets", {TASK.dataset: both}, namespace="bend", toy=False)
            written = sorted(path for path in (folder / "datasets").rglob("*") if path.is_file())
            return digest_of({str(path.relative_to(folder)): files.digest_file(path) for path in written})
        found = locate(TASK, folder / "data", folder / kind.genome, genome_checked=True)
        built = build(found, cache_dir=folder / "datasets")
        return digest_of({name: split.to_list() for name, split in built.items()})


def trials(kind: Kind, work: Path, places: int, seed: int = 0) -> Iterator[str]:
    """Yield how each trial ended: ``"undisturbed rows"``, ``"one clear error"``, or what else.

    Args:
        kind: What is harmed.
        work: An empty folder.
        places: Trials.
        seed: Of the places.
    """
    rng = random.Random(seed)
    folder = work / "trial"
    make_data(folder / "data")
    expected = rows_of(folder, kind)
    assert rows_of(folder, kind) == expected
    shutil.copytree(folder, work / "pristine")
    for _ in range(places):
        for part in ("cache", "datasets", "data/genomes"):
            shutil.rmtree(folder / part, ignore_errors=True)
            shutil.copytree(work / "pristine" / part, folder / part)
        if kind.remembered:  # a memory is of a file with its time stamps: it has to be made for the copies
            rows_of(folder, kind)
        for part in kind.forget:
            shutil.rmtree(folder / part, ignore_errors=True)
        victim = rng.choice(sorted(folder.glob(kind.victims)))
        content = bytearray(victim.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        victim.write_bytes(content)
        try:
            yield "undisturbed rows" if rows_of(folder, kind) == expected else f"other rows ({victim})"
        except BendError:
            yield "one clear error"
        except Exception as error:
            yield f"{type(error).__name__}: {error}"


GOOD = ("undisturbed rows", "one clear error")


def report(places: int, say: Callable[[str], None] = print) -> bool:
    """Run all kinds, and say how the trials ended; return whether all ended well."""
    logging.getLogger("bend_hf").setLevel(logging.ERROR)
    well = True
    say(f"{'kept file':<34} {'trials':>6} {GOOD[0]:>17} {GOOD[1]:>16} {'anything else':>14}")
    for name, kind in KINDS.items():
        with tempfile.TemporaryDirectory() as work:
            ends = Counter(trials(kind, Path(work), places))
        others = {end: count for end, count in ends.items() if end not in GOOD}
        say(f"{name:<34} {places:>6} {ends[GOOD[0]]:>17} {ends[GOOD[1]]:>16} {sum(others.values()):>14}")
        for end, count in others.items():
            say(f"    {count} x {end}")
        well &= not others
    return well


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--places", type=int, default=200, help="random places for each kind (200)")
    import datasets

    datasets.disable_progress_bars()
    sys.exit(not report(parser.parse_args().places))
