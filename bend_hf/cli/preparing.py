"""`prepare`: the plain lines of datasets and evaluate on this machine."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bend_hf.cli.options import (
    Command,
    data_arguments,
    data_options,
    processes_option,
    refuse,
    tasks_option,
)
from bend_hf.cli.output import Answer, columns


def add(command: Command) -> None:
    """Declare `prepare`."""
    sub = command(
        "prepare",
        prepare,
        'make load_dataset("bend/…") and evaluate.load("bend/…") work on this machine, or write a mirror',
        "prepare --toy",
        "prepare variant_effects --data-dir DATA --genome GRCh38.fa",
        "prepare --to mirror --namespace my-lab",
        "prepare --list",
        "prepare --remove gene_finding",
    )
    tasks_option(sub, positional=True)
    data_options(sub)
    processes_option(sub)
    sub.add_argument("--toy", action="store_true", help="the toy data; cards say so")
    sub.add_argument("--to", type=Path, metavar="DIR", help="write a mirror of the Hub namespace there instead")
    sub.add_argument("--namespace", help="instead of bend")
    instead = sub.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="show what is prepared on this machine")
    instead.add_argument("--remove", action="store_true", help="remove what was prepared on this machine")


def prepare(args: Namespace) -> Answer:
    """Place datasets and metrics where the plain lines find them, or list or remove what was placed."""
    from bend_hf.embed.estimate import size_text
    from bend_hf.hub import prepare as hub

    if args.list or args.remove:
        making = ("data_dir", "genome", "genome_checked", "strict", "num_proc", "toy", "to")
        refuse(args, f"with --{'list' if args.list else 'remove'}", *making)
    if args.list:
        found = hub.prepared(args.namespace, args.tasks)
    elif args.remove:
        found = hub.remove(args.tasks, namespace=args.namespace)
    else:
        found = hub.prepare(
            args.tasks,
            **data_arguments(args),
            toy=args.toy,
            to=args.to,
            namespace=args.namespace or "bend",
            num_proc=args.num_proc,
        )
    lines = [["kind", "name", "config", "rows", "data", "size", "folder"]]
    for item in found:
        rows = f"{sum(item.rows.values()):,}" if item.rows else "-"
        data = "toy" if item.toy else "real" if item.rows else "-"
        lines.append([item.kind, item.name, item.config or "-", rows, data, size_text(item.size), str(item.path)])
    then: tuple[str, ...] = ()
    if found and not (args.list or args.remove):
        first = next((item.name for item in found if item.kind == "dataset"), found[0].name)
        where = f" (from {args.to})" if args.to else ""
        then = (f"python -c 'from datasets import load_dataset; print(load_dataset(\"{first}\"))'{where}",)
    return Answer(columns(lines), [vars(item) for item in found], [item.name for item in found], next=then)
