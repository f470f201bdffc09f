"""Every benchmark, one table: ``python tests/benchmarks [NAME…] [--size tiny|small|medium]``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from table import SIZES, text

FOLDER = Path(__file__).resolve().parent


def benchmark() -> int:
    """Run the chosen files, each in its own process; return 1 if one failed."""
    present = sorted(path.stem for path in FOLDER.glob("*.py") if "\ndef run(size" in path.read_text())
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(present)}; all if none is given")
    parser.add_argument("--size", choices=SIZES, default="small")
    options = parser.parse_args()
    if unknown := set(options.names) - set(present):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; choose of {', '.join(present)}")
    rows, failed = [], []
    for name in options.names or present:
        print(f"{name} …", file=sys.stderr, flush=True)
        code = f"import json, {name}; print(json.dumps({name}.run({options.size!r})))"
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
            rows += [tuple(row) for row in json.loads(done.stdout.splitlines()[-1])]
    print(text(rows))
    if failed:
        print(f"failed: {', '.join(failed)} (see above)", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(benchmark())
