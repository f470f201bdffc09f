"""Do the tests see faults? Plants one-line faults, one at a time, and runs the tests that run the line.

    python tests/mutation --sample 300 --seed 0 --jobs 16 --minutes 7 -o mutation   # 16 cores
    python tests/mutation --sample 20 --only bend_hf/results --tests tests/results -o mutation
    python tests/mutation --match ranks.py: --sample 10000 -o mutation     # faults with this in their line

First every test runs once without a fault, to note which lines it runs and how long it takes; tests that fail, skip or
take longer than `--slowest` seconds are not used. Then faults are drawn (see `planted.py`), each is planted in a copy
of the repository, and the tests that run its statement run there, the fast ones and those of its room first, until one
fails or the next would be beyond `--budget` seconds. The test that sees a fault must pass without it. Nothing is
written to the working tree but the folder `-o`, in which a run goes on where it was interrupted. What survives and why
it is harmless stands in `harmless.json`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from planted import Fault, sample
from watch import WATCHED, Slot, import_libraries

REPOSITORY = Path(__file__).resolve().parents[2]
LEFT_OUT = ("distributed", "killed", "interrupted", "browser", "wheel", "benchmark", "examples", "mutation", "faults/")
"""What names of files of tests hold that are too slow to be run for every fault."""
PART = 10_000
"""Bytes of a file of tests that one process runs."""
READING = ("test_what_metrics_share_is_the_same_in_each",)
"""Tests that compare source: they see every change, whether it changes what is computed or not."""
FIRST = 3.0
"""Seconds of tests that are run first for a fault, before all others."""
Seen = dict[str, Any]
"""`seconds` by test; `lines`: by file and line the number of one of `sets`, the tests that run it, by their numbers;
`imports`: by file those whose own file imports it; `early`: by file the lines that such an import runs."""

_slot: Slot
_options: argparse.Namespace


def main() -> int:
    """Plant faults and print what survives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="faults to plant (300)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (one per core)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for what is found")
    parser.add_argument("--only", nargs="+", default=[""], metavar="PATH", help="draw from files whose path begins so")
    parser.add_argument("--match", nargs="+", default=[""], metavar="TEXT", help="plant those drawn with one of these")
    parser.add_argument("--tests", nargs="+", default=["tests"], metavar="PATH", help="files or folders of tests")
    parser.add_argument("--slowest", type=float, default=20, metavar="S", help="seconds that a test may take (20)")
    parser.add_argument("--budget", type=float, default=40, metavar="S", help="seconds of tests per fault (40)")
    parser.add_argument("--minutes", type=float, default=1e9, metavar="M", help="start no more after so many minutes")
    global _options
    _options = parser.parse_args()
    end = time.monotonic() + 60 * _options.minutes
    _options.output.mkdir(parents=True, exist_ok=True)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # no thread runs where a process is forked
    import_libraries()
    with tempfile.TemporaryDirectory(prefix="mutation") as scratch:
        with multiprocessing.get_context("fork").Pool(_options.jobs, _start, (scratch,)) as pool:
            key = _digest()
            seen = _seen(pool, key)
            drawn = [
                fault
                for fault in sample(REPOSITORY, _options.sample, _options.seed, tuple(_options.only))
                if any(text in str(fault) for text in _options.match)
            ]
            found = _planted(pool, key, drawn, seen, end)
    return _table(drawn, found)


def _start(scratch: str) -> None:
    global _slot
    _slot = Slot(REPOSITORY, Path(tempfile.mkdtemp(dir=scratch)))


def _parts() -> list[tuple[str, tuple[int, int]]]:
    """(file of tests, which part of how many), large files in parts and first."""
    found = set()
    for name in _options.tests:
        path = REPOSITORY / name
        found |= set(path.rglob("test_*.py")) if path.is_dir() else {path}
    sizes = {path.resolve().relative_to(REPOSITORY).as_posix(): path.stat().st_size for path in found}
    kept = [name for name in sizes if not any(word in name for word in LEFT_OUT)]
    parts = {name: 1 + sizes[name] // PART for name in sorted(kept, key=lambda name: -sizes[name])}
    return [(name, (k, count)) for name, count in parts.items() for k in range(count)]


def _digest() -> str:
    """Of all that decides what is seen: source, tests, options and versions."""
    digest = hashlib.sha256(json.dumps([_options.tests, _options.slowest, _options.budget, sys.version]).encode())
    digest.update(" ".join(version(name) for name in ("torch", "transformers", "numpy", "pytest")).encode())
    for folder in (*WATCHED, "tests"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            digest.update(path.relative_to(REPOSITORY).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _seen(pool: Any, key: str) -> Seen:
    """Run all tests without a fault, or read what was seen of the same files."""
    path = _options.output / f"seen.{key}.json.gz"
    if path.is_file():
        return json.loads(gzip.decompress(path.read_bytes()))
    started = time.monotonic()
    seconds: dict[str, float] = {}
    lines: dict[str, dict[str, list[str]]] = {}
    imports: dict[str, set[str]] = {}
    early: dict[str, set[str]] = {}
    unfit: Counter[str] = Counter()
    for file, found in pool.imap_unordered(_watch, _parts()):
        if found is None:
            print(f"{file} gave no answer and is not used", flush=True)
            continue
        fit = {
            test: took
            for test, took in found["seconds"].items()
            if test not in found["unfit"] and not any(name in test for name in READING)
        }
        unfit[file] += len(found["unfit"])
        seconds |= fit
        for source, by_line in found["lines"].items():
            for line, tests in by_line.items():
                if "" in tests:  # run while the file was collected
                    imports.setdefault(source, set()).update(fit)
                    early.setdefault(source, set()).add(line)
                kept = [test for test in tests if test in fit]
                if kept:
                    lines.setdefault(source, {}).setdefault(line, []).extend(kept)
    number = {test: k for k, test in enumerate(seconds)}
    sets: dict[tuple[int, ...], int] = {}

    def numbered(tests: Iterable[str]) -> int:
        return sets.setdefault(tuple(sorted(number[test] for test in tests)), len(sets))

    numbers = {source: {line: numbered(tests) for line, tests in by.items()} for source, by in lines.items()}
    importing = {source: numbered(tests) for source, tests in imports.items()}
    at_import = {source: sorted(of) for source, of in early.items()}
    seen = {"seconds": seconds, "sets": list(sets), "lines": numbers, "imports": importing, "early": at_import}
    path.write_bytes(gzip.compress(json.dumps(seen).encode()))
    print(
        f"{len(seconds)} tests run without a fault in {time.monotonic() - started:.0f} s; not used, for they fail, skip"
        f" or are slow: {sum(unfit.values())} ({', '.join(f'{n} of {file}' for file, n in unfit.most_common() if n)})",
        flush=True,
    )
    return seen


def _watch(work: tuple[str, tuple[int, int]]) -> tuple[str, Any]:
    file, part = work
    return file, _slot(600, [file], part=part, limit=_options.slowest, lines=True)


def _planted(pool: Any, key: str, drawn: list[Fault], seen: Seen, end: float) -> dict[str, dict]:
    """What became of every fault, from the file of results or by planting it."""
    path = _options.output / "results.jsonl"
    found = {}
    if path.is_file():
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found = {line["fault"]: line for line in lines if line["key"] == key}
    todo = [(fault, _tests(fault, seen), end) for fault in drawn if str(fault) not in found]
    with path.open("a", encoding="utf-8") as file:
        for result in pool.imap_unordered(_plant, todo):
            if result is not None:
                found[result["fault"]] = result | {"key": key}
                file.write(json.dumps(found[result["fault"]], ensure_ascii=False) + "\n")
                file.flush()
                print(f"{result['what']:<9} {result['took']:5.1f} s  {result['fault'][:150]}", flush=True)
    return found


def _tests(fault: Fault, seen: Seen) -> list[tuple[str, float]]:
    """Tests that run a fault's statement, with their seconds: the fast ones and those of the same room first."""
    names = list(seen["seconds"])
    by_line = seen["lines"].get(fault.path, {})
    statement = [str(line) for line in range(fault.lines[0], fault.lines[1] + 1)]
    lines = statement if fault.inside else list(by_line)  # what runs at import, all that use the file depend on
    tests = {names[k] for line in lines if line in by_line for k in seen["sets"][by_line[line]]}
    importing = set()
    early = not fault.inside or not set(seen["early"].get(fault.path, ())).isdisjoint(statement)
    if early and fault.path in seen["imports"]:
        importing = {names[k] for k in seen["sets"][seen["imports"][fault.path]]}
    module = Path(fault.path).stem
    room = fault.path.split("/")[-2 if fault.path.startswith("bend_hf") else 0]
    if not tests | importing:  # evaluate runs a copy of a metric's file, whose lines are not watched
        tests = {name for name in names if f"/{room}/" in name}

    def cost(test: str) -> float:
        own = f"test_{module}" in test  # what is of the file alone comes before its whole room
        return (
            (seen["seconds"][test] + 0.05)
            * (0.1 if own else 1 if f"/{room}" in test else 3)
            * (1 if test in tests else 10)
        )

    chosen, total = [], 0.0
    for test in sorted(tests | importing, key=cost):
        total += seen["seconds"][test]
        if chosen and total > _options.budget:
            break
        chosen.append((test, seen["seconds"][test]))
    return chosen


def _plant(work: tuple[Fault, list[tuple[str, float]], float]) -> dict | None:
    """Run the tests with a fault, and the one that fails without; None when time is up."""
    fault, tests, end = work
    if time.monotonic() > end:
        return None
    started = time.monotonic()
    what, by = ("survived" if tests else "unseen"), ""
    if tests:
        path = _slot.copy / fault.path
        text = path.read_text(encoding="utf-8")
        for part in _stages(tests):
            names = [test for test, _ in part]
            limit = 5 * _options.slowest
            path.write_text(fault.applied(text), encoding="utf-8")
            try:
                found = _slot(60 + 5 * sum(took for _, took in part), _of(names), names, limit=limit)
            finally:
                path.write_text(text, encoding="utf-8")
            by = "no end" if found is None else found["failed"] or ""
            if found is not None and by and not by.startswith("collecting"):
                again = _slot(60 + limit, _of([by]), [by], limit=limit)
                by = by if again is not None and not again["failed"] else ""
            if by:
                what = "seen"
                break
    took = round(time.monotonic() - started, 1)
    return {"fault": str(fault), "what": what, "by": by, "tests": len(tests), "took": took}


def _stages(tests: list[tuple[str, float]]) -> list[list[tuple[str, float]]]:
    """The first tests, then the others: most faults are seen by the first, and few files are imported for them."""
    count, total = 0, 0.0
    for _, took in tests:
        total += took
        if count and total > FIRST:
            break
        count += 1
    return [part for part in (tests[:count], tests[count:]) if part]


def _of(tests: list[str]) -> list[str]:
    """The files of tests, each once."""
    return list(dict.fromkeys(test.partition("::")[0] for test in tests))


def _table(drawn: list[Fault], found: dict[str, dict]) -> int:
    """Print how many faults of every room are seen, and those that are not; 0 if all of these are known harmless."""
    harmless = json.loads((Path(__file__).parent / "harmless.json").read_text(encoding="utf-8"))
    reasons = {(entry["path"], entry["before"], entry["after"]): entry["why"] for entry in harmless}
    planted = [(fault, found[str(fault)]) for fault in drawn if str(fault) in found]
    rooms = Counter(fault.path.rpartition("/")[0] for fault, _ in planted)
    seen = Counter(fault.path.rpartition("/")[0] for fault, result in planted if result["what"] == "seen")
    print()
    for room in sorted(rooms):
        print(f"{room:<24} {seen[room]:4} of {rooms[room]:4} seen")
    total = f"{sum(seen.values())} of {len(planted)}"
    share = f" ({sum(seen.values()) / len(planted):.1%})" if planted else ""
    print(
        f"{'all':<24} {total} seen{share}, seed {_options.seed}; {len(drawn) - len(planted)} of the sample not planted"
    )
    left = 0
    for fault, result in planted:
        if result["what"] != "seen":
            why = reasons.get((fault.path, fault.before, fault.after))
            left += why is None
            print(f"{result['what']} ({result['tests']} tests) {fault}" + (f"\n    harmless: {why}" if why else ""))
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
