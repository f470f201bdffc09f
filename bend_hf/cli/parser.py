"""The command line, `bend-hf` (also `hf-bend`, `python -m bend_hf` and `accelerate launch -m bend_hf`).

Data go to standard output, messages to standard error, and the exit code is non-zero on any failure. Each command lies
in one file with its options: how it is called and what it does. The packages a command needs are imported in it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from bend_hf import __version__
from bend_hf.cli import building, completion, demo, models, nouns, preparing, publishing, results
from bend_hf.cli.output import FORMS, Answer, show
from bend_hf.console import asked_level, told
from bend_hf.errors import BendError, InternalError, MissingError, described, nearest, printable
from bend_hf.runtime import keep_freed_memory


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 is success, 1 an error or a task without a score, 2 wrong usage, 70 a fault of the package, 130 Ctrl-C.
    """
    _stand_in()
    parser = build_parser()
    if not (sys.argv[1:] if argv is None else argv):
        parser.print_help()
        return 0
    args = parser.parse_args(argv)
    loudness = getattr(args, "loudness", None)
    if words := getattr(args, "words", None):  # what a record says of its command holds what a file said
        sys.argv = [sys.argv[0], args.command, *words]
    quiet = loudness == "warning"
    if quiet or not sys.stderr.isatty():  # the libraries' bars would fill a log file
        for name in ("HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS"):
            os.environ.setdefault(name, "1")
    if loudness == "debug":
        for name in LIBRARIES:
            os.environ.setdefault(f"{name}_VERBOSITY", "info")
    keep_freed_memory()
    form = getattr(args, "format", None) or ("quiet" if quiet else "human")
    with told(loudness or asked_level("info"), hidden=quiet):
        return _done(args, form)


def _stand_in() -> None:
    """Make closed streams of output swallow what is written, and those of few letters write the others as escapes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (it stays open)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _done(args: argparse.Namespace, form: str) -> int:
    """Do what a command does, print its answer or what went wrong, and return the exit code."""
    try:
        try:
            Path.cwd()  # libraries end the process where there is none
        except FileNotFoundError as error:
            raise MissingError("the folder one is in was removed meanwhile. Go to another.") from error
        answer: Answer | None = args.run(args)
        if answer is None:
            return 0
        show(answer, form)
        sys.stdout.flush()
        return answer.code
    except KeyboardInterrupt:
        _tell(args, "interrupted", "interrupted; the same command goes on where it stopped.")
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if getattr(args, "debug", False):
            traceback.print_exc()
        found = described(error)
        internal = isinstance(found, InternalError)
        advice = " This is a fault of bend_hf: please report it with what --debug prints." if internal else ""
        _tell(args, found.code, f"{found}{advice}")
        return 70 if internal else 1


def _tell(args: argparse.Namespace, code: str, message: str) -> None:
    """Say on standard error what went wrong, as JSON where the output is JSON."""
    if getattr(args, "format", None) == "json":
        text = json.dumps({"error": {"command": args.command, "code": code, "message": message}})
    else:
        text = f"bend-hf {args.command}: {message}"
    print(text, file=sys.stderr)


LIBRARIES = ("TRANSFORMERS", "DATASETS", "HF_HUB")
"""Whose own messages are shown with -v, by the beginnings of their variables."""


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and says what may have been meant."""

    def __init__(self, **options: Any) -> None:
        usual: dict[str, Any] = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(**(usual | options))
        self._words: list[str] = []
        self._file: Path | None = None
        group = self.add_argument_group("output")
        text = "of standard output: for people (human), for programs, or names and paths alone, one a line"
        group.add_argument("--format", choices=FORMS, default=argparse.SUPPRESS, help=text)
        how: dict[str, Any] = {"action": "store_const", "dest": "loudness", "default": argparse.SUPPRESS}
        text = "warnings and errors alone, no bars; --format quiet unless another is asked for"
        group.add_argument("-q", "--quiet", const="warning", help=text, **how)
        group.add_argument("-v", "--verbose", const="debug", help="more messages, the libraries' too", **how)
        text = "show where in the code an error arose"
        group.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=text)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse options that this command does not have, with the nearest one."""
        self._words = list(sys.argv[1:] if args is None else args)
        if "--config" in self._option_string_actions:
            from bend_hf.cli.config import with_file

            try:
                self._words, self._file = with_file(self, self._words)
            except BendError as error:
                self.error(str(error))
        found, rest = super().parse_known_args(self._words, namespace)
        if self._file is not None:
            found.words = self._words
        unknown = [word for word in rest if word.startswith("-")]
        near = nearest(unknown[0].partition("=")[0], self._option_string_actions) if unknown else None
        if unknown and self._subparsers is None:
            self.error(f"unknown option {unknown[0]}{f'. Did you mean {near}?' if near else ''}")
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Add the nearest choice to what argparse says of a wrong one; as JSON where the output is JSON."""
        wrong = re.match(r"argument (?:COMMAND|VERB|KIND): invalid choice: '(.*?)'", message)
        if wrong and self._subparsers is not None:
            commands = [name for action in self._subparsers._group_actions for name in action.choices or ()]
            near = nearest(wrong[1], commands)
            hint = f" Did you mean {near!r}?" if near else ""
            message = f"there is no command {wrong[1]!r}.{hint} Commands: {', '.join(commands)}"
        if self._file is not None:
            message = f"{message} (see {self._file})"
        if "--format=json" in self._words or ("--format", "json") in pairwise(self._words):
            said = {"command": self.prog.partition(" ")[2], "code": "usage", "message": message}
            self.exit(2, json.dumps({"error": said}) + "\n")
        super().error(printable(message))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="bend-hf",
        description="BEND (2024 tasks): benchmark DNA language models on seven biologically\nmeaningful tasks.",
        epilog="start with:\n  bend-hf demo               all seven tasks, no download\n"
        "  bend-hf evaluate MODEL     a Hub id, a folder, or a name such as nt-v2-500m",
    )
    parser.add_argument("--version", action="version", version=f"bend_hf {__version__}")
    group = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[Any], Answer | None], summary: str, *examples: str
    ) -> argparse.ArgumentParser:
        sub = group.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  bend-hf {example}" for example in examples),
        )
        sub.set_defaults(run=run)
        return sub

    for commands in (demo, preparing, models, results, publishing, building, nouns, completion):
        commands.add(command)
    parser.set_defaults(whole=parser)
    return parser
