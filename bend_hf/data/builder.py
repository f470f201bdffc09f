"""Datasets of the tasks, built by `datasets` from coordinates and a genome.

    from bend_hf import load_dataset
    variants = load_dataset("variant_effects", "disease", data_dir="data", genome="GRCh38.fa")
    for row in load_dataset("histone_modification", split="train", streaming=True): ...

Built datasets lie in the Hugging Face datasets cache, keyed by the content of what they are built from.
`datasets` replaces functions in the modules of builders for streaming; so all that reads files lives elsewhere.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import datasets
import pyarrow as pa

from bend_hf import resources
from bend_hf.checks import path_of, switch, whole
from bend_hf.console import spoken
from bend_hf.data import rows
from bend_hf.data.builds import GenomeArgument, pinned
from bend_hf.data.sources import TaskFiles, locate
from bend_hf.errors import BendError, described
from bend_hf.tasks import BEND, Task, get_config, get_tasks

NAMESPACE = "bend_hf"
"""Datasets built here do not answer for ``load_dataset("bend/…")``; `bend-hf prepare` is what places those."""

CITATION = (
    "Marin et al., BEND: Benchmarking DNA Language Models on Biologically Meaningful Tasks, ICLR 2024, arXiv:2311.12570"
)


def configurations(dataset: str) -> list[datasets.BuilderConfig]:
    """Return one configuration per task of a dataset; the first is the default."""
    return [
        datasets.BuilderConfig(name=task.config, version=datasets.Version(task.version), description=task.summary)
        for task in get_tasks(dataset)
    ]


def explain(dataset: str) -> str:
    """Return what to do instead of running a loading script or passing it to `datasets.load_dataset`."""
    return (
        f"This is the builder of bend/{dataset}; it is not run, and datasets >= 4 loads no scripts. Two ways work:\n"
        f'  bend-hf prepare {dataset}    then, in Python:  datasets.load_dataset("bend/{dataset}")\n'
        f'  in Python:  bend_hf.load_dataset("{dataset}", data_dir=..., genome=...)'
    )


class TaskBuilder(datasets.ArrowBasedBuilder):
    """Builds one dataset; a subclass in ``dataset_scripts/`` names which.

    Args:
        cache_dir: Root of the built datasets; None for the Hugging Face datasets cache.
        config_name: Configuration, None for the first.
        data_dir: See `bend_hf.data.sources.locate`.
        genome: See `bend_hf.data.sources.locate`.
        genome_checked: See `bend_hf.data.sources.locate`.
        strict: See `bend_hf.data.sources.locate`.
        files: The files, where they were located before.
        **options: Of `datasets.DatasetBuilder`.
    """

    dataset: ClassVar[str]
    task: Task

    def __init__(
        self,
        cache_dir: str | os.PathLike[str] | None = None,
        *,
        config_name: str | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        genome: GenomeArgument = None,
        genome_checked: bool = False,
        strict: bool = False,
        files: TaskFiles | None = None,
        **options: Any,
    ) -> None:
        self.files = files or locate(
            get_config(self.dataset, config_name), data_dir, genome, genome_checked=genome_checked, strict=strict
        )
        self.task = self.files.task
        # The key is the content's digest alone: paths given to `datasets` would become part of the directory's name.
        defaults = {"dataset_name": self.dataset, "repo_id": f"{NAMESPACE}/{self.dataset}", "hash": self.files.digest}
        root = None if cache_dir is None else str(pinned(cache_dir))
        super().__init__(root, config_name=self.task.config, **(defaults | options))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.dataset, self.__dict__)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=rows.describe(self.files),
            **({"citation": CITATION, "homepage": "https://arxiv.org/abs/2311.12570"} if self.task in BEND else {}),
            features=rows.features(self.task),
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        path = rows.prepare(self.files)
        # A split without rows (of a subset) is left out: datasets cannot read it back.
        return [
            datasets.SplitGenerator(name=name, gen_kwargs={"coordinates": path, "batches": positions})
            for name, positions in rows.batches_per_split(path).items()
            if positions
        ]

    def _generate_tables(self, coordinates: Any, batches: list[int]) -> Iterator[tuple[int, pa.Table]]:
        order = list(self.info.features)
        for position, table in rows.generate(self.files, coordinates, batches):
            yield position, table.select(order)

    def _build_cache_dir(self) -> str:
        folder = str(super()._build_cache_dir())
        rows.discard_damaged(folder)  # before anything in it is read
        return folder

    def _save_info(self) -> None:
        super()._save_info()  # the last file of a build; the folder gets its name afterwards
        rows.seal(self._output_dir, self._output_dir.removesuffix(".incomplete"))

    def _download_and_prepare(self, *args: Any, **options: Any) -> None:
        # Called under the dataset's lock, with the output in a folder where a killed run may have left files.
        with os.scandir(self._output_dir) as leftovers:
            for leftover in leftovers:
                os.remove(leftover)  # noqa: PTH107 (pathlib is one of the things datasets replaces here)
        super()._download_and_prepare(*args, **options)


def _restore(dataset: str, state: dict[str, Any]) -> TaskBuilder:
    """Unpickle a builder in a process that has not imported its script."""
    kind = builder_class(dataset)
    builder = kind.__new__(kind)
    builder.__setstate__(state)
    return builder


def builder_class(dataset: str) -> type[TaskBuilder]:
    """Return the builder class of ``dataset_scripts/<dataset>/<dataset>.py``, or one for a task of one's own."""
    if all(task.dataset != dataset for task in BEND):
        return type("TaskBuilder", (TaskBuilder,), {"dataset": dataset, "__module__": __name__})
    module = resources.load_module("dataset_scripts", dataset)
    [kind] = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, TaskBuilder) and value is not TaskBuilder
    )
    return kind


def build(
    files: TaskFiles,
    *,
    num_proc: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    namespace: str = NAMESPACE,
) -> datasets.DatasetDict:
    """Build a task's dataset, or take it from the cache if it was built from the same content before.

    Args:
        files: What to build from.
        num_proc: Processes that gather sequences; rows and their order do not depend on it.
        cache_dir: Root of the built datasets; None for the Hugging Face datasets cache.
        namespace: Before the dataset's name in the cache; with ``"bend"`` it answers ``load_dataset("bend/…")``.

    Raises:
        BendError: Bad input, or a full disk; nothing partial is left that a later run would trust.
    """
    dataset = files.task.dataset
    builder = builder_class(dataset)(cache_dir, files=files, repo_id=f"{namespace}/{dataset}")
    prepare_builder(builder, num_proc=num_proc)
    return builder.as_dataset()


def prepare_builder(builder: TaskBuilder, *, num_proc: int | None = None) -> None:
    """Run ``download_and_prepare``, with the package's own errors instead of the library's wrapping.

    Raises:
        BendError: Bad input, or a full disk.
    """
    with _own_errors(builder):
        rows.prepare(builder.files)  # its warnings, and its errors with strict, do not depend on what is built already
        builder.download_and_prepare(num_proc=num_proc)


@contextmanager
def _own_errors(builder: TaskBuilder) -> Iterator[None]:
    try:
        yield
    except (datasets.exceptions.DatasetGenerationError, OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, BendError | OSError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, BendError):
            raise cause from None
        if isinstance(cause, OSError):
            raise BendError(f"{_explain_os_error(cause, builder)} Nothing partial was kept.") from error
        if "subprocesses has abruptly died" in str(error):
            raise BendError(
                f"{builder.task.name}: a process that gathered sequences was killed, perhaps for want of memory. "
                "Nothing partial was kept. Run it again with a smaller num_proc (--num-proc)."
            ) from error
        raise


def _explain_os_error(error: OSError, builder: TaskBuilder) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"The disk is full: {error}. Free space, or set HF_DATASETS_CACHE and BEND_HF_CACHE to folders on another "
            f"disk (datasets go to {builder.cache_dir})."
        )
    return f"{builder.task.name}: {error}. Is the file readable, and may {builder.cache_dir} be written?"


def load_dataset(
    name: str | os.PathLike[str],
    config: str | None = None,
    *,
    split: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    genome: GenomeArgument = None,
    genome_checked: bool = False,
    strict: bool = False,
    streaming: bool = False,
    num_proc: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    verbose: bool = False,
) -> Any:
    """Build (or stream) a dataset from coordinates and a genome.

    Args:
        name: ``"variant_effects"``, also with a namespace (``"bend/variant_effects"``) or as the path of its script,
            or the folder of a task of one's own (``"my_task/"``).
        config: Configuration, e.g. ``"disease"``; None for the first.
        split: One split, in the notation of `datasets`; None for all.
        data_dir: Folder with the label files; None for ``$BEND_HF_DATA``, else the download cache.
        genome: A FASTA, or a mapping from build to FASTA; None to look in the data folders, then the download cache.
        genome_checked: Whether you know that the genome is of the task's build, where its chromosomes do not tell.
        strict: Whether a window that lies in two splits is an error, instead of a warning.
        streaming: Make rows while they are read; nothing is written but the validated coordinates.
        num_proc: Processes that gather sequences.
        cache_dir: Root of the built datasets; None for the Hugging Face datasets cache.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        A `datasets.DatasetDict`, or a `datasets.Dataset` with `split`; their iterable forms with `streaming`.

    Raises:
        BendError: Unknown name, or bad input.
    """
    if not isinstance(name, str | os.PathLike):
        raise BendError(f"{name!r} is no name of a dataset.")
    whole("num_proc", num_proc)
    for option, value in (("genome_checked", genome_checked), ("strict", strict), ("streaming", streaming)):
        switch(option, value)
    if not isinstance(split, str | datasets.ReadInstruction | None):
        raise BendError(f"split={split!r} is no split: give one name, such as train or test[:100], or None for all.")
    if cache_dir is not None:
        path_of("cache_dir", cache_dir)
    task = get_config(os.fspath(name).rstrip("/").removesuffix(".py"), config)
    files = locate(task, data_dir, genome, genome_checked=genome_checked, strict=strict)
    try:
        builder = builder_class(task.dataset)(cache_dir, files=files)
    except OSError as error:
        raise described(error) from error
    if not streaming:
        with spoken(verbose):
            prepare_builder(builder, num_proc=num_proc)
    try:
        with _own_errors(builder):
            return builder.as_streaming_dataset(split=split) if streaming else builder.as_dataset(split=split)
    except BendError:
        raise
    except ValueError as error:  # a split that is none
        raise BendError(f"{name}, split={split!r}: {error}") from error
