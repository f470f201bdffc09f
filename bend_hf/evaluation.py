"""`evaluate`: one line scores a model on the tasks of BEND, and leaves one JSON per task behind.

    import bend_hf
    results = bend_hf.evaluate("LongSafari/hyenadna-tiny-1k-seqlen-hf", tasks=["gene_finding", "variant_effects"])

The recipe walks one road: coordinates → rows → token vectors → head (or zero-shot distance) → score → record. Whatever
can be checked without the model is checked first, for all tasks. A task that fails then is recorded with its reason
and does not stop the others. A result that is there already, from the same data and settings, is not made again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from bend_hf import checks, subsets
from bend_hf.console import log
from bend_hf.data.builds import by_build, pinned
from bend_hf.data.sources import locate
from bend_hf.errors import BendError, described
from bend_hf.files import cache_dir
from bend_hf.protocols import Protocol, get_protocol
from bend_hf.recording import every_run
from bend_hf.runtime import keep_freed_memory
from bend_hf.tasks import Task, get_tasks
from bend_hf.walk import VARY, Road, folds, numbered

if TYPE_CHECKING:
    import datasets

    from bend_hf.report.collection import Results

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


def evaluate(
    model: Any,
    tasks: Folder | Iterable[Folder] = "all",
    *,
    data_dir: Folder | None = None,
    genome: Folder | Mapping[str, Folder] | None = None,
    genome_checked: bool = False,
    strict: bool = False,
    protocol: str = "default",
    seeds: int | Sequence[int] = 3,
    epochs: int | None = None,
    batch_size: int | None = None,
    patience: int | None = None,
    precision: str = "auto",
    sampling_seed: int = 0,
    vary: str = "init",
    standardize: bool = False,
    limit: int | None = None,
    train_rows: int | str | Sequence[int | str] | None = None,
    scores: str | Sequence[str] | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    dtype: str = "auto",
    layer: int | str | Sequence[int] = -1,
    layers: int | str | Sequence[int | str] | None = None,
    tokenizer: Any = None,
    prefix: str | None = None,
    scheme: str | None = None,
    name: str | None = None,
    strand: str = "forward",
    device: str | None = None,
    store: Folder | None = None,
    store_limit: str | int | None = "100GB",
    vectors: str = "auto",
    num_proc: int | None = None,
    trackers: Sequence[str] = (),
    output: Folder = "bend-results",
    overwrite: bool = False,
) -> Results:
    """Evaluate a model on the tasks, and write one record per task (and seed) below `output`.

    Args:
        model: A Hub id, a folder, a name of the catalogue, a baseline (``"onehot"``, ``"composition"``,
            ``"resnet-supervised"``, ``"basset"``), a Python object by name (``"my_model.py:embed"``,
            ``"package.module:object"``), a torch model in memory with its tokenizer (or a pair of both, or a pipeline),
            an object with the interface of `bend_hf.embed.interface.SequenceEmbedder`, or a callable
            ``sequences -> (vectors, lengths)``.
        tasks: ``"all"``, a name, the folder of a task of one's own, or several; see `bend_hf.tasks.get_tasks`.
        data_dir: Folder in the layout of BEND's release; None for ``$BEND_HF_DATA``, else downloaded.
        genome: A FASTA for every task, or a mapping from build to FASTA.
        genome_checked: Whether you know that the genome is of the tasks' build, where its chromosomes do not tell.
        strict: Whether a window that lies in two splits is an error, instead of a warning.
        protocol: ``"default"``, or ``"bend-2024"`` to reproduce the reference code.
        seeds: Number of heads to train side by side in one pass over the vectors, or their seeds. With one, models
            cannot be ranked: nothing then says how much training again would change a score.
        epochs: Instead of the recipe's 100.
        batch_size: Rows per optimiser step, over all processes; instead of the recipe's.
        patience: Stop a head after that many epochs without a better validation score.
        precision: Of head training: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        sampling_seed: Seed of the order in which samples are seen.
        vary: What differs from seed to seed: the initialisation (``init``), the order of the samples (``order``) or
            ``both``.
        standardize: Give vectors mean 0 and deviation 1 over the training rows; a departure from the recipe.
        limit: At most that many rows of each split, for a smoke test: marked, and never compared, averaged or pushed.
        train_rows: Numbers of rows to train on (``"100,1000,all"``), nested: one record each from the same vectors.
        scores: Of variants, beside the headline (names in docs/variants.md); None for those that cost no further pass.
        revision: Branch, tag or commit of a Hub model.
        trust_remote_code: Whether to run Python that comes with the model.
        dtype: Of the model's forward: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        layer: Hidden state to use; -1 for the last; several are concatenated.
        tokenizer: Of a model in memory; folder or Hub id of that of a checkpoint without one.
        layers: Layers to evaluate each by itself, from one pass: ``"all"``, ``"every 4"``, ``[0, 6, "last"]``; a record
            each, equal to that of a run with this `layer`.
        prefix: Text before every sequence; None for the mark that the model's tokenizer is known to need.
        scheme: How DNA is read, where that is not found rightly.
        name: The model's name in results, instead of its own.
        strand: ``"forward"``, or ``"average"`` over both strands.
        device: Torch device; None for the best there is.
        store: Folder for token vectors; None for the package's cache.
        store_limit: Bytes (or ``"50GB"``) that vectors may take for a task; beyond it they are made in every epoch.
        vectors: How vectors are kept: ``auto`` (two bytes; float32 under ``bend-2024``), ``float32`` or ``int8``.
        num_proc: Processes that build rows.
        trackers: Names of Accelerate's trackers.
        output: Folder for results.
        overwrite: Make results again that are there already.

    Returns:
        The results, in the order of the tasks; a failed task is a result with `failure` set. Under
        ``accelerate launch``, processes other than the first return an empty list.

    Raises:
        BendError: Unknown names, missing files or a model that cannot be loaded; nothing has been computed then.
    """
    chosen = _applicable(model, tasks)
    if train_rows is not None and not any(task.recipe for task in chosen):
        raise BendError("train_rows= (--train-rows) is for tasks whose heads are trained: leave it out.")
    if layers is not None and layer not in (-1, "last"):
        raise BendError("Give layer= or layers= (--layer, --layers): one run, or one of each layer.")
    rules = get_protocol(protocol)
    numbers = checks.seed_numbers(seeds)
    epochs, batch_size = checks.whole("epochs", epochs), checks.whole("batch_size", batch_size)
    patience, num_proc = checks.whole("patience", patience), checks.whole("num_proc", num_proc)
    checks.whole("sampling_seed", sampling_seed, 0)
    limit, training = checks.whole("limit", limit), subsets.sizes(train_rows)
    trackers = checks.tracker_names(trackers)
    checks.one_of("choice of what seeds vary", vary, VARY)
    checks.one_of("precision", precision, PRECISIONS)
    checks.one_of("precision of vectors", vectors, VECTORS)
    # Paths mean what they mean now, whatever the working directory will be.
    output, store = checks.output_folder(output), None if store is None else pinned(store)
    genome = by_build(genome, [task.build for task in chosen])
    files = {task.name: locate(task, data_dir, genome, genome_checked=genome_checked, strict=strict) for task in chosen}

    keep_freed_memory()
    # Imported below the checks above, which answer at once.
    from bend_hf.data.builder import build
    from bend_hf.embed.catalogue import resolve
    from bend_hf.embed.estimate import parse_size
    from bend_hf.embed.layers import layers_of
    from bend_hf.embed.open import BASELINES, in_python
    from bend_hf.report.collection import Results
    from bend_hf.train.processes import main_first, process_state, trained_in
    from bend_hf.zero_shot.variants import as_scored, offered

    most = parse_size(str(store_limit)) if store_limit is not None else None
    loading = {"revision": revision, "trust_remote_code": trust_remote_code, "dtype": dtype, "layer": layer}
    reading = {"tokenizer": tokenizer, "prefix": prefix, "scheme": scheme, "name": name}
    options = loading | reading | {"strand": strand, "device": device}
    opened = None
    if isinstance(model, str | os.PathLike) and str(model) not in BASELINES and not in_python(str(model)):
        resolve(str(model))
    else:  # what lies in no folder is opened before any row is built
        opened = _open(model, rules, options)
    state = process_state()
    trained_in(precision, device, rules)
    data: dict[str, datasets.DatasetDict | BendError] = {}
    for task in chosen:
        log.info("%s: rows from %s", task.name, files[task.name].bed)
        try:
            rows = subsets.limited(task, main_first(partial(build, files[task.name], num_proc=num_proc)), limit)
            if train_rows is not None and task.recipe:
                subsets.check_sizes(task, folds(task, numbered(rows)), training)
            data[task.name] = rows
        except Exception as error:  # one task's files harm no other task
            if len(chosen) == 1:
                raise
            data[task.name] = described(error)

    shown, embedder, network = opened or _open(model, rules, options)
    if scores is not None and (embedder is None or all(task.recipe for task in chosen)):
        raise BendError("scores= (--scores) is for models on variant tasks: leave it out.")
    if embedder is not None:
        offered(scores, embedder)
    wanted = None if layers is None else layers_of(layers, embedder)
    if wanted and embedder.dtype != "float32":  # half precision has to agree with float32 at every one of them
        shown, embedder, network = _open(model, rules, options | {"layer": wanted})
    road = Road(
        name=shown,
        embedder=embedder,
        network=network,
        protocol=rules,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        precision=precision,
        sampling_seed=sampling_seed,
        vary=vary,
        standardize=standardize,
        scores=[],
        vectors=rules.kept_vectors if vectors == "auto" else vectors,
        device=device,
        trackers=trackers,
        store=store or cache_dir("vectors"),
        stored=store is not None,
        store_limit=most,
        states=output,
        limit=limit,
    )
    results = []
    for task in chosen:
        road.embedder = embedder if task.recipe or embedder is None else as_scored(embedder)
        results += every_run(
            task,
            files[task.name],
            data[task.name],
            road,
            numbers,
            output,
            overwrite,
            layers=wanted,
            sizes=training,
            scores=scores,
        )
    return Results(results if state.is_main_process else [])


def _applicable(model: Any, tasks: Folder | Iterable[Folder]) -> tuple[Task, ...]:
    """Return the tasks asked for; where that is all of them, those that a supervised baseline is meant for."""
    names = list(tasks) if isinstance(tasks, Iterable) and not isinstance(tasks, str) else tasks
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
