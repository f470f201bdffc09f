"""The command line, `bend-hf` (also `hf-bend`, `python -m bend_hf` and `accelerate launch -m bend_hf`).

Data go to standard output, messages to standard error, and the exit code is non-zero on any failure. Each command lies
in one file with its options: how it is called and what it does. The packages a command needs are imported in it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from bend_hf import __version__
from bend_hf.cli import building, demo, models, publishing, results, tasks
from bend_hf.console import log
from bend_hf.errors import BendError
from bend_hf.runtime import keep_freed_memory


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    args = build_parser().parse_args(argv)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.propagate = False
    if "BEND_HF_VERBOSITY" not in os.environ:
        log.setLevel(logging.INFO)
    if not sys.stderr.isatty():  # the libraries' bars would fill a log file
        for name in ("HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS"):
            os.environ.setdefault(name, "1")
    keep_freed_memory()
    try:
        return int(args.run(args) or 0)
    except BendError as error:
        print(f"bend-hf {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nbend-hf {args.command}: interrupted; the same command goes on where it stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="bend-hf",
        description="BEND (2024 tasks): benchmark DNA language models on seven biologically meaningful tasks.",
        epilog="start with:\n  bend-hf demo               all seven tasks, no download\n"
        "  bend-hf evaluate MODEL     a Hub id, a folder, or a name such as nt-v2-500m",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bend_hf {__version__}")
    group = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Any], int | None], summary: str, *examples: str) -> argparse.ArgumentParser:
        sub = group.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  bend-hf {example}" for example in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    for commands in (demo, tasks, models, results, publishing, building):
        commands.add(command)
    return parser
