"""Changes files of every kind at seeded random places, and uses them: 2,000 times, or for hours.

    python tests/damage/fuzz.py                          # 2,560 mutations, in a minute or two
    python tests/damage/fuzz.py --long 8                 # hours, with other mutations in each round
    python tests/damage/fuzz.py --only "BED of variants" --seed 3

Each mutation has to end in one `BendError` that names the file, in the undisturbed result, or, where nothing but the
file says what is right, in what an independent reader makes of it (`damage.readers`). Anything else is told with what
is needed to see it again, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from unittest import mock

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "store")]
from damage import mutations  # noqa: E402
from damage.sources import SOURCES  # noqa: E402
from damage.subjects import SUBJECTS, Subject  # noqa: E402

from bend_hf import files  # noqa: E402
from bend_hf.errors import BendError  # noqa: E402

EVERY = SUBJECTS | SOURCES
REFUSED, UNDISTURBED, AS_READ = "one error", "undisturbed", "as others read it"
GOOD = (REFUSED, UNDISTURBED, AS_READ)


@contextmanager
def quiet(folder: Path) -> Iterator[None]:
    """Keep caches in a folder, write without waiting for the disk, and say nothing of what is refused or made again."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {"BEND_HF_CACHE": str(folder)}))
        stack.enter_context(mock.patch.object(files, "_fsync"))
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        loggers = [logging.getLogger(name) for name in ("bend_hf", "transformers", "datasets")]
        before = [(logger, logger.level) for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in before:
                logger.setLevel(level)


def end_of(subject: Subject, sound: object) -> str:
    """Use a file as it is now, and say how that ended."""
    try:
        found = subject.use()
    except BendError as error:
        told = str(error)
        named = subject.victim.name in told or subject.victim.parent.name in told
        return REFUSED if named and "\n" not in told else f"an unclear error: {told[:300]!r}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} ({str(error)[:120]!r}, {Path(where.filename).name}:{where.lineno})"
    if found == sound:
        return UNDISTURBED
    if subject.others is None:
        return "ANOTHER RESULT"
    try:
        expected = subject.others()
    except Exception as error:
        return f"ACCEPTED what no other reader takes ({type(error).__name__}: {str(error)[:100]})"
    return AS_READ if found == expected else "ANOTHER RESULT than others read"


def trials(name: str, count: int, seed: int, work: Path) -> Iterator[tuple[int, str]]:
    """Yield number and end of each mutation of a subject; `work` is an empty folder."""
    with quiet(work / "cache"):
        subject = EVERY[name][1](work / "files")
        content = subject.victim.read_bytes()
        beside = {path: path.read_bytes() for path in subject.victim.parent.iterdir() if path.is_file()}
        sound = subject.use()
        for number in range(count):
            for path, before in beside.items():
                if not path.is_file() or path.read_bytes() != before:
                    path.write_bytes(before)
            rng = Random(f"{name} {seed} {number}")
            subject.victim.write_bytes(mutations.mutated(content, subject.mutate, rng))
            subject.settle()
            yield number, end_of(subject, sound)


def run(names: list[str], seed: int, times: float, say: Callable[[str], None] = print) -> bool:
    """Try subjects, each its number of mutations times `times`; return whether all ended well."""
    well = True
    for name in names:
        began, ends = time.monotonic(), Counter[str]()
        with tempfile.TemporaryDirectory() as work:
            for number, end in trials(name, round(EVERY[name][0] * times), seed, Path(work)):
                ends[end if end in GOOD else "ANYTHING ELSE"] += 1
                if end not in GOOD:
                    say(f"    {name!r}, seed {seed}, number {number}: {end}")
        counts = " ".join(f"{ends[good]:>17}" for good in (*GOOD, "ANYTHING ELSE"))
        say(f"{name:<22} {sum(ends.values()):>6} {counts} {time.monotonic() - began:>7.1f} s")
        well &= not ends["ANYTHING ELSE"]
    return well


def main() -> int:
    """Print a line per subject."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the mutations (0); with --long the first one")
    parser.add_argument("--only", choices=EVERY, help="one subject")
    parser.add_argument("--times", type=float, default=1.0, help="times 2,560 mutations in a round (1)")
    parser.add_argument("--long", type=float, metavar="HOURS", help="round after round, each with the next seed")
    args = parser.parse_args()
    names = [args.only] if args.only else list(EVERY)
    began, well, seed = time.monotonic(), True, args.seed
    while True:
        heads = " ".join(f"{good:>17}" for good in (*GOOD, "anything else"))
        print(f"{f'seed {seed}':<22} {'tried':>6} {heads}", flush=True)
        well &= run(names, seed, args.times, lambda line: print(line, flush=True))
        seed += 1
        if args.long is None or time.monotonic() - began > 3600 * args.long:
            return int(not well)


if __name__ == "__main__":
    sys.exit(main())
