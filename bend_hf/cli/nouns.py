"""`tasks`, `models`, `results`, `cache`, `version`: what there is, what it is, if it is sound, how to be rid of it."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bend_hf.cli.options import Command, results_option
from bend_hf.cli.output import Answer, columns

Do = Callable[[Namespace], Answer]


def add(command: Command) -> None:
    """Declare `tasks`, `models`, `results`, `cache`, `version`."""
    verbs = {
        "ls": (tasks_ls, "list the tasks"),
        "info": (tasks_info, "tell what a task predicts, of which rows, how it is scored and what to mind"),
    }
    _, info = _verbs(
        command, "tasks", "what models are evaluated on", verbs, "tasks ls", "tasks info gene_finding", alone=tasks_ls
    )
    info.add_argument("name", metavar="TASK", help="name of a task or dataset, or the folder of one of your own")

    _, info = _verbs(
        command,
        "models",
        "the catalogue: models known by a short name",
        {
            "ls": (models_ls, "list the models of the catalogue"),
            "info": (models_info, "tell what the catalogue says of one"),
        },
        "models ls",
        "models info nt-v2-500m",
    )
    info.add_argument("name", help="name in the catalogue")

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
        "results ls",
        "results info RECORD.json",
        "results verify",
    )
    results_option(ls)
    info.add_argument("result", type=Path, help="a result's JSON file")
    results_option(verify)

    verbs = {
        "ls": (cache_ls, "list what is kept, with sizes"),
        "rm": (cache_rm, "remove parts of it; all can be made again"),
        "verify": (cache_verify, "prove what bears a seal"),
    }
    _, rm, _ = _verbs(
        command, "cache", "what is kept on this machine", verbs, "cache ls", "cache rm vectors", "cache verify"
    )
    rm.add_argument("parts", nargs="+", metavar="PART", help="as cache ls names them")

    command("version", version, "tell the versions that decide numbers", "version", "version --format json")


def _verbs(
    command: Command,
    noun: str,
    summary: str,
    verbs: Mapping[str, tuple[Do, str]],
    *examples: str,
    alone: Do | None = None,
) -> list[ArgumentParser]:
    """Declare a noun and its verbs, and what it does without one, if anything; return the verbs' parsers."""
    parser = command(noun, lambda args: args.do(args), summary, *examples)
    parser.set_defaults(do=alone)
    group = parser.add_subparsers(dest="verb", metavar="VERB", required=alone is None)
    found = []
    for name, (do, text) in verbs.items():
        sub = group.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", allow_abbrev=False)
        sub.set_defaults(do=do)
        found.append(sub)
    return found


def tasks_ls(args: Namespace) -> Answer:
    """List the tasks."""
    from bend_hf.tasks import get_tasks, to_document

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
    names = [row["name"] for row in rows]
    return Answer(
        columns([list(rows[0]), *([f"{value}" for value in row.values()] for row in rows)]),
        [to_document(task) for task in get_tasks()],
        names,
        next=(f"bend-hf tasks info {names[0]}", f"bend-hf evaluate MODEL --tasks {names[0]}"),
    )


def tasks_info(args: Namespace) -> Answer:
    """Tell what a task declares; a dataset's name tells of each of its tasks."""
    from bend_hf.tasks import get_tasks, to_document
    from bend_hf.text import counted

    found = get_tasks(args.name)
    blocks = []
    for task in found:
        rows = ", ".join(f"{name} {number:,}" for name, number in task.rows.items())
        recipe = task.recipe and (
            f"{counted(task.recipe.epochs, 'epoch')}, batches of {task.recipe.batch_size}, "
            f"learning rate {task.recipe.learning_rate}"
        )
        lines = [
            ["name", task.name],
            ["what", task.summary],
            ["rows", rows],
            ["genome", task.build],
            ["labels", f"of every {task.kind.unit}, {len(task.label_names)}: {', '.join(task.label_names)}"],
            ["metric", task.metric],
            ["head", recipe or "none: scored without training"],
            *(["mind", caveat] for caveat in task.caveats),
            *(["source", f"{source.name} ({source.doi})"] for source in task.sources),
        ]
        blocks.append(columns(lines))
    return Answer("\n\n".join(blocks), [to_document(task) for task in found], [task.name for task in found])


def models_ls(args: Namespace) -> Answer:
    """List the catalogue."""
    from bend_hf.embed.catalogue import CATALOGUE

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
    return Answer(
        columns([["name", "tokens", "width", "sees", "licence of the weights"], *rows]),
        [{"name": name, **asdict(entry)} for name, entry in CATALOGUE.items()],
        CATALOGUE,
    )


def models_info(args: Namespace) -> Answer:
    """Tell what the catalogue says of a model."""
    from bend_hf.embed.catalogue import CATALOGUE
    from bend_hf.errors import unknown

    if args.name not in CATALOGUE:
        raise unknown("model", args.name, CATALOGUE)
    return _fields({"name": args.name, **asdict(CATALOGUE[args.name])}, args.name)


def results_ls(args: Namespace) -> Answer:
    """List records."""
    from bend_hf.results.record import read_results
    from bend_hf.text import interval, number

    found = read_results(args.results)
    names = ("model", "task", "protocol", "seed", "metric", "score", "interval", "toy", "failure", "path")
    rows = []
    for r in found:
        seed = "-" if r.seed is None else str(r.seed)
        data = "toy" if r.toy else "real"
        rows.append([r.model, r.task, r.protocol, seed, number(r.score), interval(r.interval), data, str(r.path)])
    return Answer(
        columns([["model", "task", "protocol", "seed", "score", "95% interval", "data", "file"], *rows]),
        [{name: getattr(result, name) for name in names} for result in found],
        [result.path for result in found],
    )


def results_info(args: Namespace) -> Answer:
    """Show one record, whole."""
    from bend_hf.results.record import read_result

    found = read_result(args.result).to_json()
    return Answer(json.dumps(found, indent=1), found, [args.result])


def results_verify(args: Namespace) -> Answer:
    """Read every record with its predictions; 1 where one cannot be trusted."""
    from bend_hf.errors import BendError
    from bend_hf.results.record import read_predictions, read_result, record_files

    bad: list[tuple[Path, str]] = []
    files = record_files(args.results)
    for path in files:
        try:
            result = read_result(path)
            if result.predictions is not None:
                read_predictions(result)
        except (BendError, OSError) as error:
            bad.append((path, str(error)))
    said = f"{len(files) - len(bad)} of {len(files)} records are sound."
    return Answer(
        "\n".join([*(why for _, why in bad), said]),
        {"records": len(files), "damaged": [{"path": path, "problem": why} for path, why in bad]},
        [path for path, _ in bad],
        code=int(bool(bad)),
    )


def cache_ls(args: Namespace) -> Answer:
    """List what is kept."""
    from bend_hf.cache import contents
    from bend_hf.text import size

    found = contents()
    rows = [[part.name, f"{part.files:,}", size(part.bytes), str(part.folder)] for part in found]
    text = columns([["part", "files", "size", "folder"], *rows])
    return Answer(text, [asdict(part) for part in found], [part.name for part in found])


def cache_rm(args: Namespace) -> Answer:
    """Remove parts of what is kept."""
    from bend_hf.cache import remove
    from bend_hf.text import counted, size

    found = remove(args.parts)
    text = "\n".join(f"{part.name}: {counted(part.files, 'file')}, {size(part.bytes)} removed" for part in found)
    return Answer(text, [asdict(part) for part in found], [part.name for part in found])


def cache_verify(args: Namespace) -> Answer:
    """Prove what bears a seal; 1 where something is damaged."""
    from bend_hf.cache import damaged

    found = damaged()
    said = f"{len(found)} damaged; they are made again when they are needed" if found else "nothing is damaged"
    return Answer("\n".join([*found, said]), {"damaged": found}, found, code=int(bool(found)))


def version(args: Namespace) -> Answer:
    """Tell the versions that records hold."""
    from bend_hf.provenance import machine

    packages = machine()["packages"]
    return _fields(packages, packages["bend_hf"])


def _fields(fields: Mapping[str, Any], name: str) -> Answer:
    shown = [[field, "-" if value is None else str(value)] for field, value in fields.items()]
    return Answer(columns(shown), fields, [name])
