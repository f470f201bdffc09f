"""`evaluate`: one line scores a model on the tasks of BEND, and leaves one JSON per task behind.

    import bend_hf
    results = bend_hf.evaluate("LongSafari/hyenadna-tiny-1k-seqlen-hf", tasks=["gene_finding", "variant_effects"])

The recipe walks one road: coordinates → rows → token vectors → head (or zero-shot distance) → score → record. Whatever
can be checked without the model is checked first, for all tasks. A task that fails then is recorded with its reason
and does not stop the others. A result that is there already, from the same data and settings, is not made again.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bend_hf import checks
from bend_hf.console import log, spoken
from bend_hf.errors import BendError, unknown
from bend_hf.work import Folder, Work, ready

if TYPE_CHECKING:
    from bend_hf.planning import Plan
    from bend_hf.report.collection import Results


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
    track: Folder | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    dtype: str = "auto",
    layer: int | str | Sequence[int] = -1,
    layers: int | str | Sequence[int | str] | None = None,
    config: Folder | None = None,
    tokenizer: Any = None,
    prefix: str | None = None,
    scheme: str | None = None,
    context: int | None = None,
    name: str | None = None,
    strand: str = "forward",
    device: str | None = None,
    device_map: str | Mapping[str, Any] | None = None,
    store: Folder | None = None,
    store_limit: str | int | None = "100GB",
    vectors: str = "auto",
    num_proc: int | None = None,
    trackers: Sequence[str] = (),
    output: Folder = "bend-results",
    overwrite: bool = False,
    budget: str | float | None = None,
    verbose: bool = False,
) -> Results:
    """Evaluate a model on the tasks, and write one record per task (and seed) below `output`.

    Args:
        model: A Hub id, a folder, a file of weights (see `config`), a name of the catalogue, a baseline (``"onehot"``,
            ``"composition"``, ``"resnet-supervised"``, ``"basset"``), a Python object by name
            (``"my_model.py:embed"``, ``"package.module:object"``), a torch model in memory with its tokenizer (or a
            pair of both, or a pipeline), an object with the interface of
            `bend_hf.embed.interface.SequenceEmbedder`, or a callable ``sequences -> (vectors, lengths)``.
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
        track: A bigWig, such as conservation, whose values at variants stand beside the scores.
        revision: Branch, tag or commit of a Hub model.
        trust_remote_code: Whether to run Python that comes with the model.
        dtype: Of the model's forward: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        layer: Hidden state to use; -1 for the last; several are concatenated.
        config: The configuration of weights that lie without one: its file, or a folder or Hub id that has it.
        tokenizer: Of a model in memory; folder or Hub id of that of a checkpoint without one.
        layers: Layers to evaluate each by itself, from one pass: ``"all"``, ``"every 4"``, ``[0, 6, "last"]``; a record
            each, equal to that of a run with this `layer`.
        prefix: Text before every sequence; None for the mark that the model's tokenizer is known to need.
        scheme: How DNA is read, where that is not found rightly.
        context: Most tokens the model is given at once, special ones included; by default what it states.
        name: The model's name in results, instead of its own.
        strand: ``"forward"``, or ``"average"`` over both strands.
        device: Torch device; None for the best there is.
        device_map: ``"auto"`` for a model larger than one device: its layers lie on all there are.
        store: Folder for token vectors; None for the package's cache.
        store_limit: Bytes (or ``"50GB"``) that vectors may take for a task; beyond it they are made in every epoch.
        vectors: How vectors are kept: ``auto`` (two bytes; float32 under ``bend-2024``), ``float32`` or ``int8``.
        num_proc: Processes that build rows.
        trackers: Names of Accelerate's trackers.
        output: Folder for results.
        overwrite: Make results again that are there already.
        budget: Seconds (or ``"30min"``, ``"2h"``) that the run may take, as measured on a few rows before: where that
            is too short, layers and rows are left out, which is said and marked.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        The results, in the order of the tasks; a failed task is a result with `failure` set. Under
        ``accelerate launch``, processes other than the first return an empty list.

    Raises:
        BendError: Unknown names, missing files or a model that cannot be loaded; nothing has been computed then.
    """
    arguments = dict(locals())
    from bend_hf.report.collection import Results
    from bend_hf.train.processes import process_state

    seconds = checks.seconds("budget", arguments.pop("budget"))
    with spoken(arguments.pop("verbose")):
        work = ready(**arguments)
        if seconds is not None:
            work, found = _within(work, seconds)
            log.info("%s", found)
        results = work.done()
    return Results(results if process_state().is_main_process else [])


def plan(model: Any, tasks: Folder | Iterable[Folder] = "all", **options: Any) -> Plan:
    """Tell what `evaluate` would take, and what it could show, from a few of the rows; nothing is recorded.

    Rows are built, and kept for the run. The smallest difference is that of models whose results lie in `output`
    already, else of assumptions, which the plan names.

    Args:
        model: As for `evaluate`.
        tasks: As for `evaluate`.
        **options: Other arguments of `evaluate`.

    Returns:
        The plan; its text is a table, `to_json` has all of it.

    Raises:
        BendError: As for `evaluate`; or an option is none of its.
    """
    parameters = inspect.signature(evaluate).parameters
    for name in options:
        if name not in parameters:
            raise unknown("option of evaluate", name, list(parameters))
    usual = {name: parameter.default for name, parameter in parameters.items()}
    arguments = usual | {"model": model, "tasks": tasks} | options
    seconds = checks.seconds("budget", arguments.pop("budget"))
    with spoken(arguments.pop("verbose")):
        work = ready(**arguments)
        return _within(work, seconds)[1]


def _within(work: Work, seconds: float | None) -> tuple[Work, Plan]:
    """Measure a run, and cut it to a length of time where one is given."""
    from bend_hf.budget import within
    from bend_hf.planning import measured
    from bend_hf.results.record import read_results
    from bend_hf.train.processes import process_state

    if process_state().num_processes > 1:
        raise BendError("A run is measured by one process: plan, and choose a budget, without accelerate launch.")
    try:
        results = read_results(work.output) if work.output.is_dir() else []
    except BendError as error:  # none, or a damaged one: the plan then says what it assumes instead
        log.info("%s The plan goes without results.", error)
        results = []
    return (work, measured(work, results)[0]) if seconds is None else within(work, seconds, results)
