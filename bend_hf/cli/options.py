"""Options that several commands share, and how every command is declared."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from bend_hf.cli.output import Answer
from bend_hf.errors import BendError
from bend_hf.protocols import PROTOCOLS

RESULTS = Path("bend-results")
"""Folder that `evaluate` writes results to, and that other commands read, where none is named."""


class Command(Protocol):
    """Declares one command and returns its parser, to which options are added."""

    def __call__(
        self, name: str, run: Callable[[Any], Answer | None], summary: str, /, *examples: str
    ) -> argparse.ArgumentParser:
        """Take its name, what it does, a summary and examples without the leading ``bend-hf``."""
        ...


def positive(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def whole_number(text: str) -> int:
    """A whole number, 0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def level(text: str) -> float:
    """A level of confidence, such as 0.95."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no level: give a number between 0 and 1, such as 0.95")
    return value


def seeds(text: str) -> int | list[int]:
    """How many training seeds, or which: ``3`` are seeds 0, 1 and 2; ``0,7`` and ``42,`` are these."""
    if "," not in text:
        return positive(text)
    return [whole_number(part) for part in text.split(",") if part.strip()]


def share(text: str) -> tuple[int, int]:
    """``I/N``: share I, from 0, of N."""
    first, _, count = text.partition("/")
    if not (first.isdigit() and count.isdigit() and int(first) < int(count)):
        raise argparse.ArgumentTypeError(f"{text} is not I/N with 0 <= I < N")
    return int(first), int(count)


def layers(text: str) -> int | str | list[int]:
    """``last``, an index of the hidden states, or several."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        if text == "last":
            return text
        raise argparse.ArgumentTypeError(f"{text} is no layer: give last, an index, or indices as in 4,8,12") from None
    return numbers if len(numbers) > 1 else numbers[0]


class Either(argparse.Action):
    """Two words for yes and no, such as ``--overwrite`` and ``--resume``; no where neither is given, else the last."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=False, help=help)

    def __call__(self, parser: Any, namespace: Namespace, values: Any, option_string: str | None = None) -> None:
        """Set yes for the first word, no for the second."""
        setattr(namespace, self.dest, option_string == self.option_strings[0])

    def opposite(self, word: str) -> str:
        """Return the other word."""
        yes, no = self.option_strings
        return no if word == yes else yes


def refuse(args: Namespace, reason: str, *names: str) -> None:
    """Refuse options that would change nothing.

    Raises:
        BendError: One of them is given; the message ends with `reason`.
    """
    for name in names:
        value = getattr(args, name)
        if value is not None and value is not False and value != []:
            raise BendError(f"--{name.replace('_', '-')} changes nothing {reason}: leave out what is not meant.")


def results_option(parser: argparse.ArgumentParser) -> None:
    """Add the results that a command reads: by default those that `evaluate` writes."""
    text = f"folders or files of results ({RESULTS})"
    parser.add_argument("results", nargs="*", type=Path, default=[RESULTS], help=text)


def tasks_option(parser: argparse.ArgumentParser, *, positional: bool = False) -> None:
    """Add ``--tasks``, or the names alone."""
    text = "default: all; see bend-hf tasks"
    if positional:
        parser.add_argument("tasks", nargs="*", default=["all"], metavar="TASK", help=text)
    else:
        parser.add_argument("--tasks", nargs="+", default=["all"], metavar="TASK", help=text)
        own = "folder of a task of your own, alone or beside those of --tasks"
        parser.add_argument("--task", action="append", default=[], metavar="FOLDER", help=own)


def chosen_tasks(args: argparse.Namespace) -> list[str]:
    """Return what ``--tasks`` and ``--task`` name; folders alone mean none of BEND's tasks."""
    own = getattr(args, "task", [])
    return [*([] if own and args.tasks == ["all"] else args.tasks), *own]


def data_options(parser: argparse.ArgumentParser) -> None:
    """Add where files and genomes lie."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data-dir", type=Path, help="folder in BEND's layout (default: $BEND_HF_DATA, else downloaded)"
    )
    group.add_argument(
        "--genome",
        nargs="+",
        metavar="FASTA",
        help="FASTA for every task, or BUILD=FASTA for each build (GRCh38=… GRCh37=…)",
    )
    group.add_argument(
        "--genome-checked",
        action="store_true",
        help="you know that the genome is of the tasks' build, where its chromosomes do not tell (a slice)",
    )
    group.add_argument("--strict", action="store_true", help="a window that lies in two splits is an error")


def processes_option(parser: argparse.ArgumentParser) -> None:
    """Add how many processes build rows."""
    parser.add_argument("--num-proc", type=positive, metavar="N", help="processes that build rows")


def model_options(parser: argparse.ArgumentParser) -> None:
    """Add how a model is loaded and read."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--protocol", choices=list(PROTOCOLS), default="default", help="bend-2024: as the reference code"
    )
    group.add_argument("--revision", help="branch, tag or commit of a Hub model")
    group.add_argument("--trust-remote-code", action="store_true", help="run Python that comes with the model")
    group.add_argument(
        "--dtype", choices=["auto", "float32", "bfloat16", "float16"], default="auto", help="of the model's forward"
    )
    group.add_argument(
        "--layer", type=layers, default=-1, help="hidden state: last (default), an index, or several: 4,8"
    )
    group.add_argument("--strand", choices=["forward", "average"], default="forward", help="average: of both strands")
    group.add_argument(
        "--model-config",
        dest="config",
        metavar="FILE",
        help="of weights that lie without one: its file, or a folder or Hub id",
    )
    group.add_argument("--tokenizer", metavar="DIR", help="of a checkpoint that lies without one: a folder or Hub id")
    group.add_argument("--prefix", metavar="TEXT", help="before every sequence, as '<dna>' (default: what it needs)")
    group.add_argument("--scheme", metavar="NAME", help="how DNA is read, if found wrongly: characters, k-mers, text …")
    group.add_argument(
        "--context", type=positive, metavar="N", help="most tokens the model is given at once (default: what it states)"
    )
    group.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    group.add_argument("--device-map", metavar="MAP", help="auto: the layers of a large model on all devices there are")


def store_options(parser: argparse.ArgumentParser) -> None:
    """Add where token vectors are kept."""
    group = parser.add_argument_group("storage")
    group.add_argument("--store", type=Path, metavar="DIR", help="where token vectors are kept (default: the cache)")
    group.add_argument(
        "--store-limit", default="100GB", metavar="SIZE", help="beyond it, vectors are made in every epoch (100GB)"
    )
    group.add_argument(
        "--vectors",
        choices=["auto", "float32", "bfloat16", "float16", "int8"],
        default="auto",
        help="how token vectors are kept (auto: two bytes)",
    )


def data_arguments(args: Namespace) -> dict[str, Any]:
    """Return the options of `data_options` that say what rows are made of."""
    names = ("data_dir", "genome_checked", "strict")
    return {"genome": _genome(args.genome)} | {name: getattr(args, name) for name in names}


def _genome(values: Sequence[str] | None) -> Path | dict[str, Path] | None:
    """Read ``--genome``: one FASTA for all, or ``BUILD=FASTA`` for each build."""
    if not values:
        return None
    if len(values) == 1 and "=" not in values[0]:
        return Path(values[0])
    pairs: dict[str, Path] = {}
    for value in values:
        build, _, path = value.partition("=")
        if not path:
            raise BendError(f"--genome {value}: write BUILD=FASTA for each of several genomes, such as GRCh38=hg38.fa.")
        if build in pairs:
            raise BendError(f"--genome: {build} is given twice.")
        pairs[build] = Path(path)
    return pairs


def loading(args: Namespace) -> dict[str, Any]:
    """Return the options that loading a model takes."""
    names = ("revision", "trust_remote_code", "dtype", "layer", "strand", "config", "tokenizer", "prefix", "scheme")
    return {name: getattr(args, name) for name in (*names, "context", "device", "device_map")}
