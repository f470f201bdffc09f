"""Every benchmark, one table: ``python tests/benchmarks [NAME…] [--size tiny|small|medium]``.

    python tests/benchmarks --save FILE             # five rounds of all files: medians, spread, and the machine
    python tests/benchmarks --compare OLD           # what FILE holds, five rounds again; 1 where something is slower
    python tests/benchmarks --compare OLD --saved NEW    # two files; nothing is run

How a row is judged stands in `kept.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kept import Kept, changes, collected, compared, machine
from table import SIZES, Row, text

FOLDER = Path(__file__).resolve().parent
ROUNDS = 5


def benchmark() -> int:
    """Run the chosen files, each in its own process; return 1 if one failed or became slower."""
    present = sorted(path.stem for path in FOLDER.glob("*.py") if "\ndef run(size" in path.read_text())
    parser = argparse.ArgumentParser(
        prog="python tests/benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(present)}; all if none is given")
    parser.add_argument("--size", choices=SIZES, help="(small; with --compare that of OLD)")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help=f"of all files ({ROUNDS} with --save or --compare, else 1)"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep all values and the machine here")
    parser.add_argument("--compare", type=Path, metavar="OLD", help="a file of --save, to compare with")
    parser.add_argument("--saved", type=Path, metavar="NEW", help="compare this file of --save, and run nothing")
    parser.add_argument("--noise", type=float, default=0.1, metavar="SHARE", help="least change that is none (0.1)")
    options = parser.parse_args()
    if unknown := set(options.names) - set(present):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; choose of {', '.join(present)}")
    if options.saved and not options.compare:
        parser.error("--saved NEW is compared with --compare OLD: give both")
    if options.saved and (options.save or options.names or options.rounds or options.size):
        parser.error("--saved runs nothing: leave out names, --size, --rounds and --save")
    usual = ROUNDS if options.save or options.compare else 1
    rounds = usual if options.rounds is None else options.rounds
    if rounds < 1:
        parser.error(f"--rounds {rounds} is below 1")
    try:
        old, new = (Kept.read(path) if path else None for path in (options.compare, options.saved))
    except ValueError as error:
        parser.error(str(error))
    size = options.size or (old.size if old else "small")
    names = options.names or [name for name in present if not old or name in {row.benchmark for row in old.rows}]
    if old and size != (new.size if new else old.size):
        parser.error(
            f"sizes differ: {options.compare} is of {old.size}, what it is compared with of {new.size if new else size}"
        )
    failed: list[str] = []
    if new is None:
        if old is None and options.save is None and rounds == 1:
            found, failed = _round(names, size)
            print(text([row for _, row in found]))
            return _told(failed)
        new, failed = _rounds(names, size, rounds)
        if options.save:
            new.save(options.save)
    print(new.header(), new.table(), sep="\n\n")
    slower = 0
    if old:
        found_changes, gone, added = changes(old, new, options.noise)
        print(f"\nbeside {options.compare}:\n{old.header()}\n\n{compared(found_changes)}")
        for what, listed in (("no longer there", gone), ("new", added)):
            if listed and not options.names:
                print(f"{what}: {'; '.join(listed)}")
        slower = sum(change.mark == "SLOWER" for change in found_changes)
        print(f"{slower} of {len(found_changes)} rows are slower beyond the noise.")
    return max(_told(failed), int(slower > 0))


def _rounds(names: Sequence[str], size: str, rounds: int) -> tuple[Kept, list[str]]:
    """Run the files again and again, all of them in each round, so that a slow hour is not one file's."""
    where, loads, found, failed = machine(), [], [], []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        loads.append(os.getloadavg()[0])
        rows, without = _round([name for name in names if name not in failed], size)
        found.append(rows)
        failed += without
    return Kept(where, size, tuple(loads), collected(found)), failed


def _round(names: Sequence[str], size: str) -> tuple[list[tuple[str, Row]], list[str]]:
    """Run each file once; return its rows with its name, and the names of those that failed."""
    found: list[tuple[str, Row]] = []
    failed = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        code = f"import json, {name}; print(json.dumps({name}.run({size!r})))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(FOLDER), str(FOLDER.parent.parent)])},
        )
        if done.returncode:
            failed.append(name)
        else:
            found += [(name, tuple(row)) for row in json.loads(done.stdout.splitlines()[-1])]
    return found, failed


def _told(failed: Sequence[str]) -> int:
    """Say what failed; return the exit code."""
    if failed:
        print(f"failed: {', '.join(failed)} (see above)", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(benchmark())
