"""Every benchmark, one table: ``python tests/benchmarks [NAME…] [--size tiny|small|medium]``.

    python tests/benchmarks --save FILE             # five rounds of all files: medians, spread, and the machine
    python tests/benchmarks --save FILE             # once more after Ctrl-C: goes on behind the rounds that FILE holds
    python tests/benchmarks --compare OLD           # what FILE holds, five rounds again; 1 where something is slower
    python tests/benchmarks --compare OLD --saved NEW    # two files; nothing is run

How a row is judged stands in `kept.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kept import Kept, changes, compared, machine
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
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="keep all values and the machine here, after each round"
    )
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
        try:
            begun = _begun(Kept(machine(), size, names=tuple(names)), options.save, rounds)
        except ValueError as error:
            parser.error(str(error))
        new, failed = _rounds(begun, options.save, rounds)
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


def _begun(new: Kept, path: Path | None, rounds: int) -> Kept:
    """Return the rounds that a file to save in holds already, or none.

    Raises:
        ValueError: It holds something else, or as many rounds as are wanted: it is not overwritten.
    """
    if path is None or not path.exists():
        return new
    remedy = "give another FILE, or remove this one to begin anew"
    try:
        held = Kept.read(path)
    except ValueError as error:
        raise ValueError(f"{error}. It is not overwritten: {remedy}.") from error
    if others := held.others(new):
        raise ValueError(
            f"{path} holds rounds that these cannot go on from: {'; '.join(others)}. It is not overwritten: {remedy}."
        )
    if len(held.loads) >= rounds:
        raise ValueError(f"{path} holds {len(held.loads)} rounds already: ask for more (--rounds), {remedy}.")
    print(f"{path} holds {len(held.loads)} of {rounds} rounds; going on", file=sys.stderr, flush=True)
    return held


def _rounds(kept: Kept, path: Path | None, rounds: int) -> tuple[Kept, list[str]]:
    """Run the files again and again, all of them in each round, so that a slow hour is not one file's.

    Args:
        kept: The rounds that are there.
        path: Where to keep them, after each.
        rounds: How many there are to be in all.

    Raises:
        KeyboardInterrupt: Ctrl-C; its text says what is kept.
    """
    failed: list[str] = []
    while (done := len(kept.loads)) < rounds:
        print(f"round {done + 1} of {rounds}", file=sys.stderr, flush=True)
        load = os.getloadavg()[0]
        try:
            rows, without = _round([name for name in kept.names if name not in failed], kept.size)
        except KeyboardInterrupt:
            held = f"{path} holds {done}: the same command goes on" if path and done else "nothing is kept"
            raise KeyboardInterrupt(f"stopped in round {done + 1} of {rounds}; {held}") from None
        kept = kept.with_round(load, rows)
        failed += without
        if path:
            kept.save(path)
    return kept, failed


def _round(names: Sequence[str], size: str) -> tuple[list[tuple[str, Row]], list[str]]:
    """Run each file once; return its rows with its name, and the names of those that failed."""
    found: list[tuple[str, Row]] = []
    failed = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        code, said = _alone(f"import json, {name}; print(json.dumps({name}.run({size!r})))")
        if code:
            failed.append(name)
        else:
            found += [(name, tuple(row)) for row in json.loads(said.splitlines()[-1])]
    return found, failed


def _alone(code: str) -> tuple[int, str]:
    """Run code in a process of its own; return its exit code and what it printed.

    Ctrl-C is the runner's: it ends the process and all that this has started, which then have nothing to say, and
    removes their temporary files.
    """
    path = os.pathsep.join([str(FOLDER), str(FOLDER.parent.parent)])
    with tempfile.TemporaryDirectory(prefix="bend_hf_benchmarks_", ignore_cleanup_errors=True) as scratch:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "TMPDIR": scratch},
            start_new_session=True,
        )
        try:
            said, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
    return process.returncode, said


def _told(failed: Sequence[str]) -> int:
    """Say what failed; return the exit code."""
    if failed:
        print(f"failed: {', '.join(failed)} (see above)", file=sys.stderr)
    return int(bool(failed))


def main() -> int:
    """Run the command; 130 after Ctrl-C, in one line."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # which are to end what was started, too
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        return benchmark()
    except KeyboardInterrupt as stopped:
        print(f"\n{stopped if stopped.args else 'stopped; nothing is kept'}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
