"""What each command of `bend-hf` does: one function per command, from parsed arguments to an exit code.

Data go to standard output, everything else to standard error. The packages a command needs are imported in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bend_hf.console import log
from bend_hf.errors import BendError, unknown
from bend_hf.tasks import get_tasks


def demo(args: Namespace) -> int:
    """Run all seven tasks on a toy genome."""
    from bend_hf.demo import run
    from bend_hf.report.table import table

    results = run(args.output)
    print(table(results))
    _hint(f"open {args.output / 'report.html'}", "bend-hf evaluate MODEL --help")
    return int(any(result.failure for result in results))


def tasks(args: Namespace) -> None:
    """List the tasks."""
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
    _print_columns([list(rows[0]), *([f"{value}" for value in row.values()] for row in rows)])
    _hint(f"bend-hf evaluate MODEL --tasks {rows[0]['name']}")


def evaluate(args: Namespace) -> int:
    """Evaluate a model."""
    from bend_hf.evaluation import evaluate
    from bend_hf.report.table import table

    results = evaluate(
        args.model,
        tasks=args.tasks,
        data_dir=args.data_dir,
        genome=genome_option(args.genome),
        num_proc=args.num_proc,
        protocol=args.protocol,
        seeds=args.seeds,
        epochs=args.epochs,
        batch_size=args.batch_size,
        patience=args.patience,
        precision=args.precision,
        trackers=args.trackers,
        store=args.store,
        store_limit=args.store_limit,
        vectors=args.vectors,
        output=args.output,
        overwrite=args.overwrite,
        **_loading(args),
    )
    if not results:  # a process that is not the first: the first one prints
        return 0
    if args.format == "json":
        print(json.dumps([result.to_json() for result in results], indent=1))
    else:
        print(table([*results, *_onehot_beside(results, args.output)]))
    if args.push:
        from bend_hf.hub.push import push_results

        log.info("%s", push_results(results, args.push))
    _hint(f"bend-hf report {args.output} -o report.html")
    return int(any(result.failure for result in results))


def _onehot_beside(results: Sequence[Any], output: Path) -> list[Any]:
    """Return the one-hot baseline's results on the same rows, where `output` holds them."""
    from bend_hf.results.record import read_results

    def rows(result: Any) -> tuple[str, str, str]:
        return result.task, result.protocol, result.provenance["dataset_digest"]

    wanted = {rows(result) for result in results if result.model != "onehot"}
    folder = output / "onehot"
    return [result for result in read_results(folder) if rows(result) in wanted] if wanted and folder.is_dir() else []


def embed(args: Namespace) -> int:
    """Fill the store with a model's token vectors, for a later `evaluate`."""
    from bend_hf.data.builder import build
    from bend_hf.data.sources import locate
    from bend_hf.embed.estimate import parse_size, size_text
    from bend_hf.embed.filling import fill
    from bend_hf.embed.open import load_embedder
    from bend_hf.files import cache_dir
    from bend_hf.protocols import get_protocol
    from bend_hf.walk import merged

    chosen = [task for task in get_tasks(args.tasks) if task.recipe is not None]
    if not chosen:
        raise BendError(f"{' '.join(args.tasks)}: variant tasks keep no vectors; name a supervised task.")
    genome = genome_option(args.genome)
    files = [locate(task, args.data_dir, genome) for task in chosen]
    embedder = load_embedder(args.model, protocol=get_protocol(args.protocol), **_loading(args))
    rows = []
    for task, found in zip(chosen, files, strict=True):
        sequences = merged(build(found, num_proc=args.num_proc))["sequence"]
        plan = fill(
            embedder,
            sequences,
            store_dir=args.store or cache_dir("vectors"),
            share=args.shard,
            limit_bytes=parse_size(args.store_limit),
            precision=args.vectors,
        )
        size = sum(path.stat().st_size for path in plan.folder.glob("*.safetensors")) if plan.folder.is_dir() else 0
        rows.append([task.name, "complete" if plan.complete else "incomplete", size_text(size), str(plan.folder)])
    _print_columns([["task", "state", "size", "folder"], *rows])
    _hint(f"bend-hf evaluate {args.model}")
    return 0


def doctor(args: Namespace) -> None:
    """Tell how a model will be handled."""
    from dataclasses import asdict

    from bend_hf.embed.doctor import diagnose

    found = diagnose(args.model, protocol=args.protocol, **_loading(args))
    print(json.dumps(asdict(found), indent=1, default=str) if args.format == "json" else found)
    _hint(f"bend-hf evaluate {args.model}")


def compare(args: Namespace) -> None:
    """Compare results of models."""
    from bend_hf.results.compare import compare

    print(compare(args.results, tasks=args.tasks, protocol=args.protocol, resamples=args.resamples))


def report(args: Namespace) -> None:
    """Write a report of results."""
    from bend_hf.report.write import write_report

    endings = {"markdown": "md", "latex": "tex"}
    output = args.output or Path(f"report.{endings.get(args.format, args.format)}")
    write_report(args.results, output, format=args.format)
    print(output)


def plot(args: Namespace) -> None:
    """Draw predicted against true labels along a window."""
    from bend_hf.report.plot import plot
    from bend_hf.results.record import read_result

    print(plot(read_result(args.result), row=args.row, output=args.output))


def rerun(args: Namespace) -> int:
    """Make a result again, and compare."""
    from bend_hf.results.record import read_result, read_results
    from bend_hf.results.rerun import compare_rerun, rerun_command

    old = read_result(args.result)
    options = {"model": args.model, "data_dir": args.data_dir, "genome": args.genome}
    if args.dry_run:
        print(subprocess.list2cmdline(rerun_command(old, output="rerun", **options)))
        return 0
    with tempfile.TemporaryDirectory(prefix="bend_hf_rerun_") as folder:
        done = subprocess.run(rerun_command(old, output=folder, **options), stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            return done.returncode
        [new] = [result for result in read_results(folder) if result.seed == old.seed]
    outcome = compare_rerun(old, new)
    print(outcome)
    return int(not (outcome.same or outcome.inside))


def prepare(args: Namespace) -> None:
    """Place datasets and metrics where the plain lines find them, or list or remove what was placed."""
    from bend_hf.embed.estimate import size_text
    from bend_hf.hub import prepare as hub

    if args.list:
        found = hub.prepared(args.namespace)
    elif args.remove:
        found = hub.remove(args.tasks, namespace=args.namespace)
    else:
        found = hub.prepare(
            args.tasks,
            data_dir=args.data_dir,
            genome=genome_option(args.genome),
            toy=args.toy,
            to=args.to,
            namespace=args.namespace or "bend",
            num_proc=args.num_proc,
        )
    if args.format == "json":
        print(json.dumps([vars(item) | {"path": str(item.path)} for item in found], indent=1))
        return
    lines = [["kind", "name", "config", "rows", "data", "size", "folder"]]
    for item in found:
        rows = f"{sum(item.rows.values()):,}" if item.rows else "-"
        data = "toy" if item.toy else "real" if item.rows else "-"
        lines.append([item.kind, item.name, item.config or "-", rows, data, size_text(item.size), str(item.path)])
    _print_columns(lines)
    if found and not (args.list or args.remove):
        first = next((item.name for item in found if item.kind == "dataset"), found[0].name)
        where = f" (from {args.to})" if args.to else ""
        _hint(f"python -c 'from datasets import load_dataset; print(load_dataset(\"{first}\"))'{where}")


def publish(args: Namespace) -> None:
    """Upload datasets and metrics."""
    from bend_hf.hub.publish import describe, publish

    uploads = publish(
        args.namespace,
        tasks=args.tasks,
        mirror=args.mirror,
        data_dir=args.data_dir,
        genome=genome_option(args.genome),
        toy=args.toy,
        incomplete=args.incomplete,
        private=args.private,
        dry_run=args.dry_run,
    )
    print("\n".join(describe(upload) for upload in uploads))


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


def _loading(args: Namespace) -> dict[str, Any]:
    names = ("revision", "trust_remote_code", "dtype", "layer", "strand", "device")
    return {name: getattr(args, name) for name in names}


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _hint(*commands: str) -> None:
    if sys.stderr.isatty():
        print("Next: " + "   ".join(commands), file=sys.stderr)
