"""The command line, `bend-hf` (also `hf-bend`, `python -m bend_hf` and `accelerate launch -m bend_hf`).

Data go to standard output, messages to standard error, and the exit code is non-zero on any failure. Each command is
one function here that calls one function of the package; what is heavy is imported there.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bend_hf import __version__
from bend_hf.console import log
from bend_hf.errors import BendError, unknown
from bend_hf.protocols import PROTOCOLS
from bend_hf.tasks import get_tasks


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.propagate = False
    if "BEND_HF_VERBOSITY" not in os.environ:
        log.setLevel(logging.INFO)
    try:
        return int(args.run(args) or 0)
    except BendError as error:
        print(f"bend-hf {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nbend-hf {args.command}: interrupted; the same command goes on where it stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="bend-hf",
        description="BEND (2024 tasks): benchmark DNA language models on seven biologically meaningful tasks.",
        epilog="Start with:  bend-hf demo   (no download)   then:  bend-hf evaluate MODEL --help",
    )
    parser.add_argument("--version", action="version", version=f"bend_hf {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Any], int | None], summary: str, *examples: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog="examples:\n" + "\n".join(f"  bend-hf {example}" for example in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    demo = command(
        "demo", _demo, "run all seven tasks on a toy genome, without any download", "demo", "demo -o /tmp/demo"
    )
    demo.add_argument(
        "-o", "--output", type=Path, default=Path("bend-demo"), help="folder to write (default: bend-demo)"
    )

    tasks = command("tasks", _tasks, "list the tasks", "tasks", "tasks --format json | jq '.[].name'")
    _format(tasks)

    evaluate = command(
        "evaluate",
        _evaluate,
        "evaluate a model (Hub id, folder, catalogue name, baseline) on the tasks",
        "evaluate LongSafari/hyenadna-tiny-1k-seqlen-hf",
        "evaluate onehot --tasks gene_finding variant_effects --data-dir DATA --genome GRCh38.fa --epochs 5",
        "evaluate nt-v2-500m --protocol bend-2024 --seeds 5 --store /scratch/vectors",
    )
    evaluate.add_argument("model", help="Hub id, folder, catalogue name, or a baseline (onehot, composition …)")
    _tasks_option(evaluate)
    _data(evaluate)
    _model(evaluate)
    evaluate.add_argument("--seeds", type=_positive, default=1, metavar="N", help="heads to train, side by side (1)")
    evaluate.add_argument("--epochs", type=_positive, metavar="N", help="instead of the recipe's 100")
    evaluate.add_argument("--patience", type=_positive, metavar="N", help="stop after N epochs without a better one")
    evaluate.add_argument(
        "--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto", help="of head training"
    )
    evaluate.add_argument("--trackers", nargs="+", default=[], metavar="NAME", help="tensorboard, trackio, wandb")
    evaluate.add_argument("-o", "--output", type=Path, default=Path("bend-results"), help="default: bend-results")
    evaluate.add_argument("--overwrite", action="store_true", help="make results again that are there already")
    evaluate.add_argument("--push", metavar="MODEL_ID", help="propose the results on this Hub model's page")
    _store(evaluate)
    _format(evaluate)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=["human", "json"], default="human", help="of standard output")


def _tasks_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", nargs="+", default=["all"], metavar="TASK", help="default: all; see bend-hf tasks")


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
    group.add_argument("--protocol", choices=list(PROTOCOLS), default="default", help="default, or the reference's own")
    group.add_argument("--revision", help="branch, tag or commit of a Hub model")
    group.add_argument("--trust-remote-code", action="store_true", help="run Python that comes with the model")
    group.add_argument(
        "--dtype", choices=["auto", "float32", "bfloat16", "float16"], default="auto", help="of the model's forward"
    )
    group.add_argument("--layer", type=int, default=-1, help="hidden state to use (-1: last)")
    group.add_argument("--strand", choices=["forward", "average"], default="forward", help="average: of both strands")
    group.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the best there is)")


def _store(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("storage")
    group.add_argument("--store", type=Path, metavar="DIR", help="where token vectors are kept (default: the cache)")
    group.add_argument("--store-limit", metavar="SIZE", help="e.g. 50GB; beyond it vectors are made in every epoch")


def genome_option(values: Sequence[str] | None) -> Path | dict[str, Path] | None:
    """Read ``--genome``: one FASTA for all, or ``BUILD=FASTA`` for each build."""
    if not values:
        return None
    if len(values) == 1 and "=" not in values[0]:
        return Path(values[0])
    pairs = dict(value.partition("=")[::2] for value in values)
    for build, path in pairs.items():
        if build not in ("GRCh38", "GRCh37"):
            raise unknown("genome build", build, ["GRCh38", "GRCh37"])
        if not path:
            raise BendError(f"--genome {build}: no path given; write {build}=FASTA.")
    return {build: Path(path) for build, path in pairs.items()}


def _demo(args: argparse.Namespace) -> int:
    from bend_hf.demo import run
    from bend_hf.results.table import table

    results = run(args.output)
    print(table(results))
    _hint(f"open {args.output / 'report.html'}", "bend-hf evaluate MODEL --help")
    return int(any(result.failure for result in results))


def _tasks(args: argparse.Namespace) -> None:
    rows: list[dict[str, Any]] = [
        {
            "name": task.name,
            "dataset": f"bend/{task.dataset}",
            "config": task.config,
            "labels": len(task.label_names),
            "metric": task.metric,
            "rows": sum(task.rows.values()),
            "build": task.build,
        }
        for task in get_tasks()
    ]
    if args.format == "json":
        print(json.dumps(rows, indent=1))
        return
    widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    for row in [{key: key for key in widths}, *rows]:
        print("  ".join(str(row[key]).ljust(width) for key, width in widths.items()).rstrip())
    _hint("bend-hf evaluate MODEL --tasks " + rows[0]["name"])


def _evaluate(args: argparse.Namespace) -> int:
    from bend_hf.evaluation import evaluate
    from bend_hf.results.table import table

    results = evaluate(
        args.model,
        tasks=args.tasks,
        data_dir=args.data_dir,
        genome=genome_option(args.genome),
        num_proc=args.num_proc,
        protocol=args.protocol,
        seeds=args.seeds,
        epochs=args.epochs,
        patience=args.patience,
        precision=args.precision,
        trackers=args.trackers,
        revision=args.revision,
        trust_remote_code=args.trust_remote_code,
        dtype=args.dtype,
        layer=args.layer,
        strand=args.strand,
        device=args.device,
        store=args.store,
        store_limit=args.store_limit,
        output=args.output,
        overwrite=args.overwrite,
    )
    if not results:  # a process that is not the first: the first one prints
        return 0
    print(json.dumps([result.to_json() for result in results], indent=1) if args.format == "json" else table(results))
    if args.push:
        from bend_hf.hub.publish import push_results

        print(push_results(results, args.push), file=sys.stderr)
    _hint(f"bend-hf report {args.output} -o report.html")
    return int(any(result.failure for result in results))


def _hint(*commands: str) -> None:
    if sys.stderr.isatty():
        print("Next: " + "   ".join(commands), file=sys.stderr)
