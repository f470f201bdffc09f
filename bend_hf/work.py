"""What a run is about to do, checked before anything is computed: tasks, rows, model and settings.

    work = ready(model="onehot", tasks="all", …)     # all arguments of `bend_hf.evaluate`
    work.data["gene_finding"]                        # its rows, or why there are none

`bend_hf.evaluation` does the work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf import checks, subsets
from bend_hf.bars import steps
from bend_hf.console import log
from bend_hf.data.builds import by_build, pinned
from bend_hf.data.sources import locate
from bend_hf.errors import BendError, described
from bend_hf.files import cache_dir
from bend_hf.protocols import Protocol, get_protocol
from bend_hf.recording import every_run
from bend_hf.runtime import keep_freed_memory
from bend_hf.tasks import Task, get_tasks
from bend_hf.walk import VARY, Road, check_splits, folds, numbered
from bend_hf.zero_shot.tracks import TrackValues

if TYPE_CHECKING:
    import datasets

    from bend_hf.data.sources import TaskFiles
    from bend_hf.results.record import Result

COMPOSITION = "composition"
"""The baseline that sees k-mer frequencies only, and base changes for variants."""
SUPERVISED: dict[str, tuple[Callable[[Task], bool], str]] = {
    "resnet-supervised": (lambda task: task.recipe is not None, "labels, and those of zero-shot tasks train nothing"),
    "basset": (lambda task: task.kind.whole_windows, "labels of whole windows"),
}
"""Baselines that train a whole network on one-hot input in the head's place, the tasks they are for, and in words."""

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
VECTORS = ("auto", "float32", "bfloat16", "float16", "int8")

Folder = str | os.PathLike[str]


@dataclass(frozen=True)
class Share:
    """The part of a task that is done.

    Attributes:
        limit: Most rows of each split; None for all.
        layers: Layers, a result each; None for the embedder's own alone.
        budget: Seconds that the run was cut to, which left out the rest; None where nobody cut it.
    """

    limit: int | None
    layers: tuple[int, ...] | None
    budget: float | None = None


@dataclass(frozen=True)
class Work:
    """A run before it begins.

    Attributes:
        tasks: The tasks, in order.
        files: Where the rows of each come from.
        data: All rows of each, or why there are none.
        road: The model and the settings of all tasks.
        seeds: Of the heads.
        sizes: Numbers of training rows, None for all.
        scores: Of variants, as asked for.
        shares: What is done of each task.
        output: Folder for results.
        overwrite: Whether results that are there are made again.
    """

    tasks: tuple[Task, ...]
    files: dict[str, TaskFiles]
    data: dict[str, datasets.DatasetDict | BendError]
    road: Road
    seeds: tuple[int, ...]
    sizes: tuple[int | None, ...]
    scores: str | Sequence[str] | None
    shares: dict[str, Share]
    output: Path
    overwrite: bool

    def rows(self, task: Task) -> datasets.DatasetDict | BendError:
        """Return the rows of a task that its share leaves, or why there are none."""
        data = self.data[task.name]
        try:
            return data if isinstance(data, BendError) else subsets.limited(task, data, self.shares[task.name].limit)
        except Exception as error:  # one task's files harm no other task
            if len(self.tasks) == 1:
                raise
            return described(error)

    def rows_or_error(self, task: Task) -> datasets.DatasetDict:
        """Return the same rows.

        Raises:
            BendError: There are none.
        """
        data = self.rows(task)
        if isinstance(data, BendError):
            raise data
        return data

    def road_of(self, task: Task) -> Road:
        """Return the road of a task: variants are scored in float32."""
        from bend_hf.zero_shot.variants import as_scored

        embedder = self.road.embedder
        embedder = embedder if task.recipe or embedder is None else as_scored(embedder)
        share = self.shares[task.name]
        return replace(self.road, embedder=embedder, limit=share.limit, budget=share.budget)

    def _nucleotides(self, task: Task) -> float:
        """Return about how many nucleotides of a task a model reads."""
        data, limit, total = self.data[task.name], self.shares[task.name].limit, 0.0
        for split in () if isinstance(data, BendError) else data.values():
            if task.recipe is None:  # both alleles
                length = 2.0 * len(split) * (task.window or 1)
            else:
                ends = split.with_format("numpy")
                length = float(np.sum(ends["end"][:]) - np.sum(ends["start"][:]))
            total += length if limit is None else length * min(1.0, limit / max(len(split), 1))
        return total

    def done(self) -> list[Result]:
        """Do it, and return the results in the order of the tasks."""
        results = []
        for task in steps(self.tasks, "task", name=lambda task: task.name, weight=self._nucleotides):
            results += every_run(
                task,
                self.files[task.name],
                self.rows(task),
                self.road_of(task),
                self.seeds,
                self.output,
                self.overwrite,
                layers=self.shares[task.name].layers,
                sizes=self.sizes,
                scores=self.scores,
            )
        return results


def ready(**arguments: Any) -> Work:
    """Check and bring together what a run needs: whatever can be checked without the model first, for all tasks.

    Args:
        **arguments: All of `bend_hf.evaluate`.

    Raises:
        BendError: Unknown names, missing files or a model that cannot be loaded; nothing has been computed then.
    """
    asked = SimpleNamespace(**arguments)
    with _as_one("the run was checked"):
        model = asked.model
        chosen = _applicable(model, asked.tasks)
        if asked.train_rows is not None and not any(task.recipe for task in chosen):
            raise BendError("train_rows= (--train-rows) is for tasks whose heads are trained: leave it out.")
        if asked.layers is not None and asked.layer not in (-1, "last"):
            raise BendError("Give layer= or layers= (--layer, --layers): one run, or one of each layer.")
        for name in ("revision", "scheme"):
            if not isinstance(arguments[name], str | None):
                raise BendError(f"{name}={arguments[name]!r} (--{name}) is no text.")
        rules = get_protocol(asked.protocol)
        seeds = checks.seed_numbers(asked.seeds)
        epochs, batch_size = checks.whole("epochs", asked.epochs), checks.whole("batch_size", asked.batch_size)
        patience, num_proc = checks.whole("patience", asked.patience), checks.whole("num_proc", asked.num_proc)
        checks.whole("sampling_seed", asked.sampling_seed, 0)
        for name in ("strict", "genome_checked", "standardize", "trust_remote_code", "overwrite"):
            checks.switch(name, arguments[name])
        limit, sizes = checks.whole("limit", asked.limit), subsets.sizes(asked.train_rows)
        trackers = checks.tracker_names(asked.trackers)
        track = None if asked.track is None else checks.path_of("track", asked.track).expanduser().absolute()
        if track is not None:
            if all(task.recipe for task in chosen):
                raise BendError("track= (--track) is for variant tasks: leave it out.")
            TrackValues(track)  # opens, or says why not
        checks.one_of("choice of what seeds vary", asked.vary, VARY)
        checks.one_of("precision", asked.precision, PRECISIONS)
        checks.one_of("precision of vectors", asked.vectors, VECTORS)
        # Paths mean what they mean now, whatever the working directory will be.
        output = checks.output_folder(asked.output)
        store = None if asked.store is None else pinned(asked.store)
        genome = by_build(asked.genome, [task.build for task in chosen])
        files = {
            task.name: locate(task, asked.data_dir, genome, genome_checked=asked.genome_checked, strict=asked.strict)
            for task in chosen
        }

        keep_freed_memory()
        # Imported below the checks above, which answer at once.
        from bend_hf.data.builder import build
        from bend_hf.embed.catalogue import resolve
        from bend_hf.embed.estimate import parse_size
        from bend_hf.embed.layers import layers_of
        from bend_hf.embed.open import BASELINES, check_name, in_python
        from bend_hf.train.processes import main_first, process_state, trained_in
        from bend_hf.zero_shot.variants import offered

        most = parse_size(str(asked.store_limit)) if asked.store_limit is not None else None
        checks.whole("context", asked.context)
        loading = ("revision", "trust_remote_code", "dtype", "layer", "config", "tokenizer", "prefix", "scheme", "name")
        options = {name: arguments[name] for name in (*loading, "context", "strand", "device", "device_map")}
        if asked.name is not None:
            check_name(asked.name)
        opened = None
        if isinstance(model, str | os.PathLike) and str(model) not in BASELINES and not in_python(str(model)):
            resolve(str(model))
        else:  # what lies in no folder is opened before any row is built
            opened = _open(model, rules, options)
        process_state()
        trained_in(asked.precision, asked.device, rules)
    data: dict[str, datasets.DatasetDict | BendError] = {}
    for task in chosen:
        log.info("%s: rows from %s", task.name, files[task.name].bed)
        try:
            rows = main_first(partial(build, files[task.name], num_proc=num_proc))
            check_splits(task, rows)
            if asked.train_rows is not None and task.recipe:
                subsets.check_sizes(task, folds(task, numbered(subsets.limited(task, rows, limit))), sizes)
            data[task.name] = rows
        except Exception as error:  # one task's files harm no other task
            if len(chosen) == 1:
                raise
            data[task.name] = described(error)

    with _as_one("the model was opened"):
        shown, embedder, network = opened or _open(model, rules, options)
        if asked.scores is not None and (embedder is None or all(task.recipe for task in chosen)):
            raise BendError("scores= (--scores) is for models on variant tasks: leave it out.")
        if embedder is not None:
            offered(asked.scores, embedder)
        layers = None if asked.layers is None else layers_of(asked.layers, embedder)
        if layers and embedder.dtype != "float32":  # half precision has to agree with float32 at every one of them
            shown, embedder, network = _open(model, rules, options | {"layer": layers})
    road = Road(
        name=shown,
        embedder=embedder,
        network=network,
        protocol=rules,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        precision=asked.precision,
        sampling_seed=asked.sampling_seed,
        vary=asked.vary,
        standardize=asked.standardize,
        scores=[],
        vectors=rules.kept_vectors if asked.vectors == "auto" else asked.vectors,
        device=asked.device,
        trackers=trackers,
        store=store or cache_dir("vectors"),
        stored=store is not None,
        store_limit=most,
        states=output,
        track=track,
    )
    share = Share(limit, None if layers is None else tuple(layers))
    shares = {task.name: share for task in chosen}
    return Work(chosen, files, data, road, seeds, sizes, asked.scores, shares, output, asked.overwrite)


@contextmanager
def _as_one(doing: str) -> Iterator[None]:
    """Leave the block as the worst of the processes does, where there are several; without their imports where not."""
    if checks.share_of_environment()[1] == 1:
        yield
        return
    from bend_hf.train.processes import together

    with together(doing):
        yield


def _applicable(model: Any, tasks: Folder | Iterable[Folder]) -> tuple[Task, ...]:
    """Return the tasks asked for; where that is all of them, those that a supervised baseline is meant for."""
    names = list(tasks) if isinstance(tasks, Iterator | list | tuple) else tasks
    chosen = get_tasks(names)
    if not (isinstance(model, str) and model in SUPERVISED):
        return chosen
    fits, what = SUPERVISED[model]
    left = tuple(task for task in chosen if fits(task))
    out = ", ".join(task.name for task in chosen if task not in left)
    if out and names not in ("all", ["all"]):
        raise BendError(f"{model} is no baseline for {out}: it is trained on {what}.")
    if out:
        log.warning("%s is no baseline for %s: left out.", model, out)
    return left


def _open(model: Any, rules: Protocol, options: dict[str, Any]) -> tuple[str, Any, Callable[..., Any] | None]:
    """Return a model's name in results, its embedder (None: letters only), and what is trained in the head's place."""
    from bend_hf.embed.open import load_embedder, refuse_options

    if isinstance(model, str) and model in (COMPOSITION, *SUPERVISED):
        refuse_options(model, options)
    if isinstance(model, str) and model == COMPOSITION:
        return model, None, None
    if isinstance(model, str) and model in SUPERVISED:
        from bend_hf.train import supervised as networks

        return model, load_embedder("onehot", protocol=rules), getattr(networks, model.replace("-", "_"))
    embedder = load_embedder(model, protocol=rules, **options)
    return embedder.name, embedder, None
