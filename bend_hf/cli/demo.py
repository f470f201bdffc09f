"""`demo`: the whole benchmark on a toy genome."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bend_hf.cli.options import Command
from bend_hf.cli.output import Answer


def add(command: Command) -> None:
    """Declare `demo`."""
    sub = command("demo", demo, "run all seven tasks on a toy genome, without any download", "demo -o /tmp/demo")
    sub.add_argument("-o", "--output", type=Path, default=Path("bend-demo"), help="folder to write (bend-demo)")


def demo(args: Namespace) -> Answer:
    """Run all seven tasks on a toy genome."""
    from bend_hf.demo import run, said_of_variants
    from bend_hf.report.collection import Results

    results = run(args.output)
    page = args.output / "report.html"
    return Answer(
        f"{Results(results)}\n\n{said_of_variants(results)}",
        {"report": page, "results": [result.to_json() for result in results]},
        [page],
        code=int(any(result.failure for result in results)),
        next=(f"open {page}", "bend-hf evaluate MODEL --help"),
    )
