"""The results of one task: those that are there already, and those made (and written) now.

results = results_of(task, files, data, road, seeds=(0, 1, 2), output=Path("bend-results"), overwrite=False)
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bend_hf.console import log
from bend_hf.errors import BendError, InternalError, described
from bend_hf.files import content_digest, digest_of
from bend_hf.identity import Key, code_digest
from bend_hf.tasks import BEND, Task, to_document
from bend_hf.walk import Outcome, Road, merged, supervised, zero_shot

if TYPE_CHECKING:
    import datasets

    from bend_hf.data.sources import TaskFiles
    from bend_hf.results.record import Result

SETTINGS = ("epochs", "batch_size", "patience", "precision", "sampling_seed", "vary", "standardize", "vectors")
"""What may be asked of the training of heads, and changes their numbers."""
ROWS = ("limit", "train_rows")
"""What leaves out rows."""


def every_run(
    task: Task,
    files: TaskFiles,
    data: datasets.DatasetDict | BendError,
    road: Road,
    seeds: tuple[int, ...],
    output: Path,
    overwrite: bool,
    *,
    layers: Sequence[int] | None,
    sizes: Sequence[int | None],
    scores: str | Sequence[str] | None,
) -> list[Result]:
    """Return one task's results at every layer (None: the embedder's own) and on every number of training rows.

    Heads share the vectors of a pass, and variants their scores. Scores that name layers themselves take a pass each.
    """
    from bend_hf.zero_shot.variants import offered

    embedder = road.embedder
    passes: list[list[Any]] = [[embedder]]
    if layers is not None:
        from bend_hf.embed.layers import in_passes

        views = [embedder.at(layer) for layer in layers]  # type: ignore[union-attr]
        passes = [[view] for view in views]
        if task.recipe is None and not any("@" in name for name in offered(scores, views[-1])):
            passes = [views]
        if task.recipe and not isinstance(data, BendError):
            sequences = merged(data)["sequence"]
            passes = in_passes(embedder, layers, sequences, limit_bytes=road.store_limit, precision=road.vectors)
    results = []
    for views in passes:
        road.views = views if len(views) > 1 else ()
        for view in views:
            road.embedder = view
            road.scores = [] if view is None else offered(scores, view)
            for size in sizes if task.recipe else (None,):
                road.train_rows = size
                results += results_of(task, files, data, road, seeds, output, overwrite)
        road.scored = None
        if road.shared is not None:
            road.shared.close(discard=len(passes) > 1)
            road.shared = None
    return results


def results_of(
    task: Task,
    files: TaskFiles,
    data: datasets.DatasetDict | BendError,
    road: Road,
    seeds: tuple[int, ...],
    output: Path,
    overwrite: bool,
) -> list[Result]:
    """Return one task's results by seed: those that are there, and those made (and written) now."""
    from bend_hf.results.record import Result, read_result, slug, write_result
    from bend_hf.results.summary import summary

    key = run_key(task, files, road)
    found = {} if overwrite else _existing(output / slug(road.name), key)
    results: dict[int | None, Result] = {}
    numbers = seeds if task.recipe and road.embedder is not None else (None,)
    for seed in numbers:
        if seed in found:
            log.info("%s: %s is there already (overwrite=True, --overwrite: anew)", task.name, found[seed].path)
            results[seed] = found[seed]
    missing = [seed for seed in numbers if seed not in results]
    road.seconds, road.bytes, road.trained_in, road.trained_rows = {}, 0, None, None
    road.states = output / ".states" / digest_of([slug(road.name), key.digest, missing])[:16]
    common: dict[str, Any] = {
        "model": road.name,
        "task": task.name,
        "protocol": road.protocol.name,
        "metric": task.metric,
        "toy": files.toy,
        "key": dict(key),
    }

    def fail(seed: int | None, reason: str, history: list[dict[str, Any]]) -> None:
        blank: dict[str, Any] = {"score": None, "interval": None, "secondary": {}, "counts": {}, "folds": None}
        provenance = _provenance(task, files, road, key, seed)
        results[seed] = Result(
            **common, **blank, chance=0.0, seed=seed, history=history, provenance=provenance, failure=reason
        )
        # A failure never takes the place of a score that an earlier run, with other settings, has left.
        if _is_main() and not _scored(output / slug(road.name) / f"{results[seed].name}.json"):
            write_result(output, results[seed])

    try:
        if isinstance(data, BendError):
            raise data
        outcomes: list[Outcome] = []
        if missing:
            trained = [seed or 0 for seed in missing]  # the composition baseline has none
            outcomes = supervised(task, data, road, trained) if task.recipe else zero_shot(task, data, road)
        for seed, outcome in zip(missing, outcomes, strict=True):
            if outcome.predictions is None:
                fail(seed, outcome.failure or "there are no predictions", outcome.history)
                continue
            with road.timed("scoring"):
                scored = summary(outcome.predictions)
            scored["secondary"] |= outcome.secondary
            provenance = _provenance(task, files, road, key, seed)
            result = Result(**common, **scored, seed=seed, history=outcome.history, provenance=provenance)
            results[seed] = read_result(write_result(output, result, outcome.predictions)) if _is_main() else result
        shutil.rmtree(road.states, ignore_errors=True)
        with suppress(OSError):  # other runs may have states there
            road.states.parent.rmdir()
    except Exception as error:
        reason = str(described(error))
        log.error("%s failed: %s", task.name, reason, exc_info=isinstance(described(error), InternalError))
        for seed in missing:
            if seed not in results:
                fail(seed, reason, [])
    return [results[seed] for seed in numbers]


def runs_there(
    task: Task, files: TaskFiles, road: Road, seeds: tuple[int, ...], output: Path
) -> tuple[list[int | None], list[int | None]]:
    """Return the seeds of a run's results, and those of which the result is there already."""
    from bend_hf.results.record import slug

    numbers: list[int | None] = list(seeds) if task.recipe and road.embedder is not None else [None]
    found = _existing(output / slug(road.name), run_key(task, files, road))
    return numbers, [seed for seed in numbers if seed in found]


def _is_main() -> bool:
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def run_key(task: Task, files: TaskFiles, road: Road) -> Key:
    """Return what decides a result but for its seed: equal keys give equal numbers, which are not made twice."""
    from bend_hf.train.processes import trained_in

    settings: dict[str, Any] = {"scores": road.scores} if task.recipe is None and road.embedder is not None else {}
    if task.recipe is not None and road.embedder is not None:
        settings = {
            "epochs": road.epochs or task.recipe.epochs,
            "batch_size": road.batch_size or task.recipe.batch_size,
            "precision": trained_in(road.precision, road.device, road.protocol),
            **{name: getattr(road, name) for name in SETTINGS if name not in ("epochs", "batch_size", "precision")},
        }
    settings |= {name: getattr(road, name) for name in (ROWS if task.recipe else ("limit",))}
    if task.recipe is None and road.track is not None:
        settings["track"] = content_digest(road.track)
    return Key(
        "result",
        rows=files.digest,
        embedder=road.name if road.embedder is None else road.embedder.provenance()["key"],
        network=None if road.network is None else road.name,
        protocol=asdict(road.protocol),
        recipe=None if task.recipe is None else asdict(task.recipe),
        settings=settings,
        code=code_digest(task.kind.metrics),
    )


def _existing(folder: Path, key: Key) -> dict[int | None, Result]:
    """Return the sound records of the same run, by seed. A damaged one is told of, and made again."""
    from bend_hf.results.record import read_predictions, read_result

    found: dict[int | None, Result] = {}
    for path in sorted(folder.glob(f"*.{key.short}.json")):
        try:
            result = read_result(path)
            if result.key is None or Key("result", **result.key).digest != key.digest or result.failure:
                continue
            if result.predictions is not None:
                read_predictions(result)
        except (BendError, OSError) as error:
            log.warning("%s It is made again.", error)
            continue
        found[result.seed] = result
    return found


def _scored(path: Path) -> bool:
    from bend_hf.results.record import read_result

    try:
        return path.is_file() and read_result(path).failure is None
    except BendError:  # damaged: nothing to keep
        return False


def _provenance(task: Task, files: TaskFiles, road: Road, key: Key, seed: int | None) -> dict[str, Any]:
    from bend_hf.data.audited import audited
    from bend_hf.provenance import machine, peak_memory

    model = {"name": road.name} if road.embedder is None else road.embedder.provenance()
    return {
        "dataset_digest": files.digest,
        "model": model,
        "network": key["network"],
        "protocol": key["protocol"],
        "recipe": key["recipe"],
        "settings": {name: getattr(road, name) for name in (*SETTINGS, *ROWS, *(() if task.recipe else ("scores",)))},
        **({} if road.budget is None else {"budget": road.budget}),
        "seed": seed,
        "run": digest_of([key.digest, seed]),
        "task_version": task.version,
        **({} if task in BEND else {"declaration": to_document(task)}),
        **({} if (audit := audited(files)) is None else {"audit": audit.line}),
        "files": {"build": task.build, "build_known": files.build_known, **files.digests},
        "seconds": {stage: round(seconds, 3) for stage, seconds in road.seconds.items()},
        "peak_memory": peak_memory(),
        "bytes_stored": road.bytes,
        "trained_in": road.trained_in,
        "trained_rows": road.trained_rows,
        **machine(),
    }
