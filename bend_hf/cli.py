"""The command line, `bend-hf` (also `hf-bend`, `python -m bend_hf` and `accelerate launch -m bend_hf`).

Data go to standard output, messages to standard error, and the exit code is non-zero on any failure. What each command
does is in `bend_hf.commands`; here is how it is called.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bend_hf import __version__, commands
from bend_hf.console import log
from bend_hf.errors import BendError
from bend_hf.protocols import PROTOCOLS
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

    sub = command(
        "demo", commands.demo, "run all seven tasks on a toy genome, without any download", "demo -o /tmp/demo"
    )
    sub.add_argument("-o", "--output", type=Path, default=Path("bend-demo"), help="folder to write (bend-demo)")

    sub = command("tasks", commands.tasks, "list the tasks", "tasks", "tasks --format json")
    _format(sub)

    sub = command(
        "prepare",
        commands.prepare,
        'make load_dataset("bend/…") and evaluate.load("bend/…") work on this machine, or write a mirror',
        "prepare --toy",
        "prepare variant_effects --data-dir DATA --genome GRCh38.fa",
        "prepare --to mirror --namespace my-lab",
        "prepare --list",
        "prepare --remove gene_finding",
    )
    _tasks(sub, positional=True)
    _data(sub)
    sub.add_argument("--toy", action="store_true", help="the toy data; cards say so")
    sub.add_argument("--to", type=Path, metavar="DIR", help="write a mirror of the Hub namespace there instead")
    sub.add_argument("--namespace", help="instead of bend")
    sub.add_argument("--list", action="store_true", help="show what is prepared on this machine")
    sub.add_argument("--remove", action="store_true", help="remove what was prepared on this machine")
    _format(sub)

    sub = command(
        "evaluate",
        commands.evaluate,
        "evaluate a model (Hub id, folder, catalogue name or baseline) on the tasks",
        "evaluate LongSafari/hyenadna-tiny-1k-seqlen-hf",
        "evaluate onehot --tasks gene_finding variant_effects --data-dir DATA --genome GRCh38.fa --epochs 5",
        "evaluate nt-v2-500m --protocol bend-2024 --seeds 5 --store /scratch/vectors",
    )
    sub.add_argument("model", help="Hub id, folder, catalogue name; onehot, composition, resnet-supervised, basset")
    _tasks(sub)
    sub.add_argument("--seeds", type=_positive, default=1, metavar="N", help="heads to train, side by side (1)")
    sub.add_argument("--epochs", type=_positive, metavar="N", help="instead of the recipe's 100")
    sub.add_argument("--batch-size", type=_positive, metavar="N", help="rows per step, instead of the recipe's")
    sub.add_argument("--patience", type=_positive, metavar="N", help="stop after N epochs without a better one")
    sub.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto", help="of head training")
    sub.add_argument("--trackers", nargs="+", default=[], metavar="NAME", help="tensorboard, trackio, wandb")
    sub.add_argument(
        "-o", "--output", type=Path, default=Path("bend-results"), help="folder for results (bend-results)"
    )
    sub.add_argument("--overwrite", action="store_true", help="make results again that are there already")
    sub.add_argument("--push", metavar="MODEL_ID", help="propose the results on this Hub model's page")
    _format(sub)
    _data(sub)
    _model(sub)
    _store(sub)

    sub = command(
        "embed",
        commands.embed,
        "fill the store with a model's token vectors, so that evaluate finds them there",
        "embed nt-v2-500m --tasks gene_finding --store /scratch/vectors",
        "embed nt-v2-500m --store /shared/vectors --shard 3/16",
    )
    sub.add_argument("model", help="Hub id, folder or catalogue name")
    _tasks(sub)
    sub.add_argument("--shard", type=_share, metavar="I/N", help="this process's share (0-based), one of N machines")
    _data(sub)
    _model(sub)
    _store(sub)

    sub = command(
        "doctor",
        commands.doctor,
        "load a model and tell how it will be handled, or what is missing",
        "doctor zhihan1996/DNABERT-2-117M",
        "doctor ./my-model --format json",
    )
    sub.add_argument("model", help="Hub id, folder or catalogue name")
    _format(sub)
    _model(sub)

    sub = command(
        "compare",
        commands.compare,
        "compare models on the same test rows: paired differences, rankings with ties",
        "compare bend-results",
        "compare results/a results/b --tasks gene_finding",
    )
    sub.add_argument("results", nargs="+", type=Path, help="folders or files of results")
    _tasks(sub)
    sub.add_argument("--protocol", choices=list(PROTOCOLS), help="where results of both are there")
    sub.add_argument("--resamples", type=_positive, default=1000, metavar="N", help="of the bootstrap (1000)")

    sub = command(
        "report",
        commands.report,
        "write results as one page, or as a table for a paper",
        "report bend-results -o report.html",
        "report bend-results --format latex -o table.tex",
    )
    sub.add_argument("results", nargs="+", type=Path, help="folders or files of results")
    sub.add_argument("-o", "--output", type=Path, help="file to write (report.html, .md, .csv, .tex, .json)")
    sub.add_argument("--format", choices=["html", "markdown", "csv", "latex", "json"], default="html", help="html")

    sub = command(
        "plot",
        commands.plot,
        "draw predicted against true labels along one test window (gene finding, enhancers)",
        "plot bend-results/onehot/gene_finding.default.seed0.json --row 3",
    )
    sub.add_argument("result", type=Path, help="a result's JSON file, its predictions beside it")
    sub.add_argument("--row", type=int, default=0, metavar="N", help="test row, from 0 (0)")
    sub.add_argument("-o", "--output", type=Path, help="SVG file to write")

    sub = command(
        "rerun",
        commands.rerun,
        "make a recorded result again and compare",
        "rerun bend-results/onehot/gene_finding.default.seed0.json",
        "rerun RESULT.json --dry-run",
    )
    sub.add_argument("result", type=Path, help="a result's JSON file")
    sub.add_argument("--model", help="instead of the recorded one, e.g. the folder it lies in now")
    sub.add_argument("--data-dir", type=Path, help="data folder instead of the recorded one")
    sub.add_argument("--genome", type=Path, metavar="FASTA", help="genome instead of the recorded one")
    sub.add_argument("--dry-run", action="store_true", help="print the command only")

    sub = command(
        "publish",
        commands.publish,
        "upload datasets and metrics to a namespace of the Hub",
        "publish --namespace my-lab --dry-run",
        "publish --namespace my-lab --tasks gene_finding --private",
    )
    sub.add_argument("--namespace", required=True, help="user or organisation")
    _tasks(sub)
    sub.add_argument("--mirror", type=Path, metavar="DIR", help="folder written by prepare --to; else one is built")
    sub.add_argument("--toy", action="store_true", help="publish the toy data; cards say so")
    sub.add_argument("--incomplete", action="store_true", help="publish although rows are fewer than declared")
    sub.add_argument("--private", action="store_true", help="create repositories as private ones")
    sub.add_argument("--dry-run", action="store_true", help="list files, sizes and changes; upload nothing")
    _data(sub)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _share(text: str) -> tuple[int, int]:
    first, _, count = text.partition("/")
    if not (first.isdigit() and count.isdigit() and int(first) < int(count)):
        raise argparse.ArgumentTypeError(f"{text} is not I/N with 0 <= I < N")
    return int(first), int(count)


def _layers(text: str) -> int | str | list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        if text == "last":
            return text
        raise argparse.ArgumentTypeError(f"{text} is no layer: give last, an index, or indices as in 4,8,12") from None
    return numbers if len(numbers) > 1 else numbers[0]


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=["human", "json"], default="human", help="of standard output")


def _tasks(parser: argparse.ArgumentParser, *, positional: bool = False) -> None:
    text = "default: all; see bend-hf tasks"
    if positional:
        parser.add_argument("tasks", nargs="*", default=["all"], metavar="TASK", help=text)
    else:
        parser.add_argument("--tasks", nargs="+", default=["all"], metavar="TASK", help=text)


def _data(parser: argparse.ArgumentParser) -> None:
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
    group.add_argument("--num-proc", type=_positive, metavar="N", help="processes that build rows")


def _model(parser: argparse.ArgumentParser) -> None:
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
        "--layer", type=_layers, default=-1, help="hidden state: last (default), an index, or several: 4,8"
    )
    group.add_argument("--strand", choices=["forward", "average"], default="forward", help="average: of both strands")
    group.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the best there is)")


def _store(parser: argparse.ArgumentParser) -> None:
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
