"""`models`, `results`, `cache`, `version`: what there is, what it is, whether it is sound, and how to be rid of it."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bend_hf.cli.options import Command, format_option, print_columns

Do = Callable[[Namespace], "int | None"]


def add(command: Command) -> None:
    """Declare `models`, `results`, `cache`, `version`."""
    ls, info = _verbs(
        command,
        "models",
        "the catalogue: models known by a short name",
        {"ls": (models_ls, "list them"), "info": (models_info, "tell what the catalogue says of one")},
        "models ls",
        "models info nt-v2-500m",
    )
    format_option(ls)
    info.add_argument("name", help="name in the catalogue")
    format_option(info)

    verbs = {
        "ls": (results_ls, "list records"),
        "info": (results_info, "show one record"),
        "verify": (results_verify, "read every record and its predictions, and say which cannot be trusted"),
    }
    ls, info, verify = _verbs(
        command,
        "results",
        "records of runs",
        verbs,
        "results ls bend-results",
        "results info RECORD.json",
        "results verify bend-results",
    )
    ls.add_argument("results", nargs="+", type=Path, help="folders or files of results")
    format_option(ls)
    info.add_argument("result", type=Path, help="a result's JSON file")
    verify.add_argument("results", nargs="+", type=Path, help="folders or files of results")

    verbs = {
        "ls": (cache_ls, "list what is kept, with sizes"),
        "rm": (cache_rm, "remove parts of it; all can be made again"),
        "verify": (cache_verify, "prove what bears a seal"),
    }
    ls, rm, _ = _verbs(
        command, "cache", "what is kept on this machine", verbs, "cache ls", "cache rm vectors", "cache verify"
    )
    format_option(ls)
    rm.add_argument("parts", nargs="+", metavar="PART", help="as cache ls names them")

    sub = command("version", version, "tell the versions that decide numbers", "version", "version --format json")
    format_option(sub)


def _verbs(
    command: Command, noun: str, summary: str, verbs: Mapping[str, tuple[Do, str]], *examples: str
) -> list[ArgumentParser]:
    """Declare a noun and its verbs, and return the verbs' parsers."""
    parser = command(noun, lambda args: args.do(args), summary, *examples)
    group = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    found = []
    for name, (do, text) in verbs.items():
        sub = group.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        sub.set_defaults(do=do)
        found.append(sub)
    return found


def models_ls(args: Namespace) -> None:
    """List the catalogue."""
    from bend_hf.embed.catalogue import CATALOGUE

    if args.format == "json":
        print(json.dumps([{"name": name, **asdict(entry)} for name, entry in CATALOGUE.items()], indent=1))
        return
    rows = [
        [
            name,
            entry.tokens,
            str(entry.width),
            "causal" if entry.causal else "both sides",
            entry.licence or "not stated",
        ]
        for name, entry in CATALOGUE.items()
    ]
    print_columns([["name", "tokens", "width", "sees", "licence of the weights"], *rows])


def models_info(args: Namespace) -> None:
    """Tell what the catalogue says of a model."""
    from bend_hf.embed.catalogue import CATALOGUE
    from bend_hf.errors import unknown

    if args.name not in CATALOGUE:
        raise unknown("model", args.name, CATALOGUE)
    _print_fields({"name": args.name, **asdict(CATALOGUE[args.name])}, args.format)


def results_ls(args: Namespace) -> None:
    """List records."""
    from bend_hf.results.record import read_results
    from bend_hf.text import interval, number

    found = read_results(args.results)
    if args.format == "json":
        names = ("model", "task", "protocol", "seed", "metric", "score", "interval", "toy", "failure")
        print(json.dumps([{n: getattr(r, n) for n in names} | {"path": str(r.path)} for r in found], indent=1))
        return
    rows = []
    for r in found:
        seed = "-" if r.seed is None else str(r.seed)
        data = "toy" if r.toy else "real"
        rows.append([r.model, r.task, r.protocol, seed, number(r.score), interval(r.interval), data, str(r.path)])
    print_columns([["model", "task", "protocol", "seed", "score", "95% interval", "data", "file"], *rows])


def results_info(args: Namespace) -> None:
    """Show one record, whole."""
    from bend_hf.results.record import read_result

    print(json.dumps(read_result(args.result).to_json(), indent=1))


def results_verify(args: Namespace) -> int:
    """Read every record with its predictions; 1 where one cannot be trusted."""
    from bend_hf.errors import BendError
    from bend_hf.results.record import read_predictions, read_result, record_files

    bad = 0
    files = record_files(args.results)
    for path in files:
        try:
            result = read_result(path)
            if result.predictions is not None:
                read_predictions(result)
        except (BendError, OSError) as error:
            bad += 1
            print(error)
    print(f"{len(files) - bad} of {len(files)} records are sound.")
    return int(bad > 0)


def cache_ls(args: Namespace) -> None:
    """List what is kept."""
    from bend_hf.cache import contents
    from bend_hf.text import size

    found = contents()
    if args.format == "json":
        print(json.dumps([asdict(part) | {"folder": str(part.folder)} for part in found], indent=1))
        return
    rows = [[part.name, f"{part.files:,}", size(part.bytes), str(part.folder)] for part in found]
    print_columns([["part", "files", "size", "folder"], *rows])


def cache_rm(args: Namespace) -> None:
    """Remove parts of what is kept."""
    from bend_hf.cache import remove
    from bend_hf.text import size

    for part in remove(args.parts):
        print(f"{part.name}: {part.files:,} files, {size(part.bytes)} removed")


def cache_verify(args: Namespace) -> int:
    """Prove what bears a seal; 1 where something is damaged."""
    from bend_hf.cache import damaged

    found = damaged()
    for line in found:
        print(line)
    print("nothing is damaged" if not found else f"{len(found)} damaged; they are made again when they are needed")
    return int(bool(found))


def version(args: Namespace) -> None:
    """Tell the versions that records hold."""
    from bend_hf.provenance import machine

    _print_fields(machine()["packages"], args.format)


def _print_fields(fields: Mapping[str, Any], form: str) -> None:
    if form == "json":
        print(json.dumps(fields, indent=1))
        return
    shown: Sequence[Sequence[str]] = [[name, "-" if value is None else str(value)] for name, value in fields.items()]
    print_columns(shown)
