"""`evaluate`, `plan`, `embed` and `doctor`: a model, measured, stored and examined."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bend_hf.cli.options import (
    RESULTS,
    Command,
    Either,
    chosen_tasks,
    data_arguments,
    data_options,
    loading,
    model_options,
    positive,
    processes_option,
    refuse,
    seeds,
    share,
    store_options,
    tasks_option,
    whole_number,
)
from bend_hf.cli.output import Answer, columns
from bend_hf.console import log
from bend_hf.errors import BendError


def add(command: Command) -> None:
    """Declare `evaluate`, `plan`, `embed`, `doctor`."""
    sub = command(
        "evaluate",
        evaluate,
        "evaluate a model (Hub id, folder, catalogue name or baseline) on the tasks",
        "evaluate LongSafari/hyenadna-tiny-1k-seqlen-hf",
        "evaluate onehot --tasks gene_finding variant_effects --data-dir DATA --genome GRCh38.fa --epochs 5",
        "evaluate nt-v2-500m --task my_task/ --genome my_genome.fa",
        "evaluate nt-v2-500m --protocol bend-2024 --seeds 5 --store /scratch/vectors",
        "evaluate --config run.yaml --epochs 5",
    )
    sub.add_argument("--dry-run", action="store_true", help="tell what it would take, as bend-hf plan does")
    sub.add_argument("--push", metavar="MODEL_ID", help="propose the results on this Hub model's page")
    _evaluate_options(sub)

    sub = command(
        "plan",
        plan,
        "tell what evaluating a model will take, and what differences it can show, from a few of the rows",
        "plan nt-v2-500m",
        "plan nt-v2-500m --tasks histone_modification --layers all --budget 2h",
    )
    _evaluate_options(sub)

    sub = command(
        "embed",
        embed,
        "fill the store with a model's token vectors, so that evaluate finds them there",
        "embed nt-v2-500m --tasks gene_finding --store /scratch/vectors",
        "embed nt-v2-500m --store /shared/vectors --shard 3/16",
    )
    sub.add_argument("model", help="Hub id, folder or catalogue name")
    tasks_option(sub)
    sub.add_argument("--shard", type=share, metavar="I/N", help="this process's share (0-based), one of N machines")
    data_options(sub)
    processes_option(sub)
    model_options(sub)
    store_options(sub)

    sub = command(
        "doctor",
        doctor,
        "load a model and tell how it will be handled, or what is missing",
        "doctor zhihan1996/DNABERT-2-117M",
        "doctor ./my-model --format json",
        "doctor nt-v2-500m --task my_task/",
    )
    sub.add_argument("model", help="Hub id, folder or catalogue name")
    sub.add_argument("--no-mock", action="store_true", help="without the mock task, which takes up to two minutes")
    tasks_option(sub)
    model_options(sub)


def _evaluate_options(sub: ArgumentParser) -> None:
    """Add the options of `evaluate`, which `plan` takes too."""
    sub.add_argument("model", help="Hub id, folder, catalogue name; onehot, composition, resnet-supervised, basset")
    text = "YAML with any of these flags by name; the command line wins"
    sub.add_argument("--config", dest="run_file", metavar="FILE", help=text)
    tasks_option(sub)
    sub.add_argument(
        "--seeds", type=seeds, default=3, metavar="N", help="heads to train side by side (3), or which: 0,7"
    )
    sub.add_argument("--epochs", type=positive, metavar="N", help="instead of the recipe's 100")
    sub.add_argument("--batch-size", type=positive, metavar="N", help="rows per step, instead of the recipe's")
    sub.add_argument("--patience", type=positive, metavar="N", help="stop after N epochs without a better one")
    sub.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto", help="of head training")
    sub.add_argument(
        "--sampling-seed",
        type=whole_number,
        default=0,
        metavar="N",
        help="seed of the order of samples (0)",
    )
    sub.add_argument(
        "--vary",
        choices=["init", "order", "both"],
        default="init",
        help="what differs from seed to seed: the initialisation, the order of samples, or both (init)",
    )
    sub.add_argument(
        "--standardize",
        action="store_true",
        help="give vectors mean 0 and deviation 1 over the training rows (a departure from the recipe)",
    )
    sub.add_argument(
        "--layers", metavar="LAYERS", help="a result for each layer, from one pass: all, 'every 4', 0,6,last"
    )
    sub.add_argument(
        "--limit", type=positive, metavar="N", help="a smoke test on at most N rows of each split: never compared"
    )
    sub.add_argument(
        "--train-rows", metavar="N,N,all", help="train on so many rows, nested, one result each: 100,1000,all"
    )
    sub.add_argument(
        "--scores", nargs="+", metavar="NAME", help="of variants: cosine, mean_l2@6, llr …, distances, distances@all"
    )
    sub.add_argument(
        "--track", metavar="BIGWIG", help="of conservation, say: its values at variants, beside the scores"
    )
    sub.add_argument(
        "--budget", metavar="TIME", help="leave out layers and rows, marked, where all take longer: 30min, 2h"
    )
    sub.add_argument("--trackers", nargs="+", default=[], metavar="NAME", help="tensorboard, trackio, wandb")
    sub.add_argument("-o", "--output", type=Path, default=RESULTS, help=f"folder for results ({RESULTS})")
    sub.add_argument(
        "--overwrite",
        "--resume",
        action=Either,
        help="make results again that are there already; or keep them and go on where a run was cut, as without either",
    )
    data_options(sub)
    processes_option(sub)
    model_options(sub)
    store_options(sub)


def evaluate(args: Namespace) -> Answer | None:
    """Evaluate a model, or tell what that would take."""
    if args.dry_run:
        refuse(args, "in a dry run", "push")
        return plan(args)
    from bend_hf.evaluation import evaluate
    from bend_hf.report.collection import Results

    results = evaluate(args.model, **_asked(args))
    if not results:  # a process that is not the first: the first one prints
        return None
    if args.push:
        from bend_hf.hub.push import push_results

        log.info("%s", push_results(results, args.push))
    return Answer(
        Results([*results, *_onehot_beside(results, args.output)]),
        [result.to_json() for result in results],
        [result.path for result in results if result.path],
        code=int(any(result.failure for result in results)),
        next=(f"bend-hf report {args.output} -o report.html",),
    )


def plan(args: Namespace) -> Answer:
    """Tell what `evaluate` would take."""
    from bend_hf.evaluation import plan

    found = plan(args.model, **_asked(args))
    return Answer(found, found.to_json(), [f"{found.seconds:.0f}"], next=(f"bend-hf evaluate {args.model}",))


def _asked(args: Namespace) -> dict[str, Any]:
    """Return the arguments of `bend_hf.evaluate` but the model."""
    same = (
        *("num_proc", "protocol", "seeds", "epochs", "batch_size", "patience", "precision", "sampling_seed", "vary"),
        *("standardize", "layers", "limit", "train_rows", "scores", "track", "budget", "trackers"),
        *("store", "store_limit", "vectors", "output", "overwrite"),
    )
    values = {name: getattr(args, name) for name in same}
    return {"tasks": chosen_tasks(args), **data_arguments(args), **values, **loading(args)}


def _onehot_beside(results: Sequence[Any], output: Path) -> list[Any]:
    """Return the one-hot baseline's results on the same rows, where `output` holds them."""
    from bend_hf.results.record import read_results

    def rows(result: Any) -> tuple[str, str, str]:
        return result.task, result.protocol, result.provenance["dataset_digest"]

    wanted = {rows(result) for result in results if result.model != "onehot"}
    folder = output / "onehot"
    return [result for result in read_results(folder) if rows(result) in wanted] if wanted and folder.is_dir() else []


def embed(args: Namespace) -> Answer:
    """Fill the store with a model's token vectors, for a later `evaluate`."""
    from bend_hf.data.builder import build
    from bend_hf.data.sources import locate
    from bend_hf.embed.estimate import parse_size, size_text
    from bend_hf.embed.filling import fill
    from bend_hf.embed.open import load_embedder
    from bend_hf.files import cache_dir
    from bend_hf.protocols import get_protocol
    from bend_hf.tasks import get_tasks
    from bend_hf.walk import merged

    chosen = [task for task in get_tasks(chosen_tasks(args)) if task.recipe is not None]
    if not chosen:
        raise BendError(f"{' '.join(chosen_tasks(args))}: variant tasks keep no vectors; name a supervised task.")
    rules = get_protocol(args.protocol)
    limit = parse_size(args.store_limit)
    embedder = load_embedder(args.model, protocol=rules, **loading(args))
    files = [locate(task, **data_arguments(args)) for task in chosen]
    rows: list[dict[str, Any]] = []
    for task, found in zip(chosen, files, strict=True):
        sequences = merged(build(found, num_proc=args.num_proc))["sequence"]
        plan = fill(
            embedder,
            sequences,
            store_dir=args.store or cache_dir("vectors"),
            share=args.shard,
            limit_bytes=limit,
            precision=rules.kept_vectors if args.vectors == "auto" else args.vectors,
        )
        size = sum(path.stat().st_size for path in plan.folder.glob("*.safetensors")) if plan.folder.is_dir() else 0
        state = "complete" if plan.complete else "incomplete"
        rows.append({"task": task.name, "state": state, "bytes": size, "folder": plan.folder})
    lines = [[row["task"], row["state"], size_text(row["bytes"]), str(row["folder"])] for row in rows]
    return Answer(
        columns([["task", "state", "size", "folder"], *lines]),
        rows,
        [row["folder"] for row in rows],
        next=(f"bend-hf evaluate {args.model}",),
    )


def doctor(args: Namespace) -> Answer:
    """Tell how a model will be handled."""
    from dataclasses import asdict

    from bend_hf.trial import examine

    found = examine(
        args.model, tasks=chosen_tasks(args), protocol=args.protocol, mock=not args.no_mock, **loading(args)
    )
    return Answer(found, asdict(found), [found.verdict], next=(f"bend-hf evaluate {args.model}",))
