"""`demo`: the whole benchmark on a toy genome."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bend_hf.cli.options import Command, hint


def add(command: Command) -> None:
    """Declare `demo`."""
    sub = command("demo", demo, "run all seven tasks on a toy genome, without any download", "demo -o /tmp/demo")
    sub.add_argument("-o", "--output", type=Path, default=Path("bend-demo"), help="folder to write (bend-demo)")


def demo(args: Namespace) -> int:
    """Run all seven tasks on a toy genome."""
    from bend_hf.demo import run
    from bend_hf.report.table import table

    results = run(args.output)
    print(table(results))
    hint(f"open {args.output / 'report.html'}", "bend-hf evaluate MODEL --help")
    return int(any(result.failure for result in results))
