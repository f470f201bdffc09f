"""`publish`: datasets and metrics for everyone."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from bend_hf.cli.options import Command, chosen_tasks, data_arguments, data_options, tasks_option
from bend_hf.cli.output import Answer


def add(command: Command) -> None:
    """Declare `publish`."""
    sub = command(
        "publish",
        publish,
        "upload datasets and metrics to a namespace of the Hub",
        "publish --namespace my-lab --dry-run",
        "publish --namespace my-lab --tasks gene_finding --private",
    )
    sub.add_argument("--namespace", required=True, help="user or organisation")
    tasks_option(sub)
    sub.add_argument("--mirror", type=Path, metavar="DIR", help="folder written by prepare --to; else one is built")
    sub.add_argument("--toy", action="store_true", help="publish the toy data; cards say so")
    sub.add_argument("--incomplete", action="store_true", help="publish although rows are fewer than declared")
    sub.add_argument("--private", action="store_true", help="create repositories as private ones")
    sub.add_argument("--dry-run", action="store_true", help="list files, sizes and changes; upload nothing")
    data_options(sub)


def publish(args: Namespace) -> Answer:
    """Upload datasets and metrics."""
    from bend_hf.hub.publish import describe, publish

    uploads = publish(
        args.namespace,
        tasks=chosen_tasks(args),
        mirror=args.mirror,
        **data_arguments(args),
        toy=args.toy,
        incomplete=args.incomplete,
        private=args.private,
        dry_run=args.dry_run,
    )
    return Answer(
        "\n".join(map(describe, uploads)),
        [asdict(upload) for upload in uploads],
        [upload.repo_id for upload in uploads],
    )
