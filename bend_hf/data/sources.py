"""Where a task's files are: named by the caller, in ``$BEND_HF_DATA``, or downloaded once into the cache.

    files = locate(get_config("variant_effects", "disease"), data_dir="data", genome="GRCh38.fa")
    files.bed, files.hdf5, files.fasta, files.digest

A data folder is laid out like BEND's: ``<dataset>/<dataset>.bed`` (and ``.hdf5``), genomes as ``genomes/<build>*.fa``.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bend_hf import files
from bend_hf.data import download
from bend_hf.data.builds import GenomeArgument, Known, by_build, judge, pinned
from bend_hf.data.tables import ENDINGS
from bend_hf.errors import BendError
from bend_hf.identity import Key
from bend_hf.runtime import side_by_side
from bend_hf.tasks import BEND, TASKS, Build, Task, to_document

# Raised whenever the same files give other rows, so that datasets built before are not served.
ROWS_VERSION = 2


@dataclass(frozen=True)
class TaskFiles:
    """The files one task is built from.

    Attributes:
        task: The task.
        bed: Coordinates and labels.
        hdf5: Labels too complex for a column, or None.
        fasta: The reference genome.
        strict: Whether a window that lies in two splits is an error, instead of a warning.
        build_known: How it is known that the genome is of the task's build.
    """

    task: Task
    bed: Path
    hdf5: Path | None
    fasta: Path
    strict: bool = False
    build_known: Known = "user"

    @property
    def in_toy(self) -> bool:
        """Whether they lie in a folder of the toy data (`bend_hf.data.toy`)."""
        from bend_hf.data.toy import MANIFEST

        return (self.bed.parent.parent / MANIFEST).is_file()

    @cached_property
    def toy(self) -> bool:
        """Whether they are toy data: files of it, a task of its genome, or a control of it with a genome of its own."""
        from bend_hf.data.toy import MANIFEST

        made = self.bed.parent / "sources.json"
        record = files.read_json(made) if made.is_file() else {}
        choices = record.get("choices") if isinstance(record, dict) else None
        of_toy = isinstance(choices, dict) and choices.get("toy") is True
        return self.in_toy or of_toy or (self.fasta.parent.parent / MANIFEST).is_file()

    @property
    def paths(self) -> dict[str, Path]:
        """The files by what they are: ``bed``, ``hdf5`` (where there is one) and ``genome``."""
        paths = {"bed": self.bed, "hdf5": self.hdf5, "genome": self.fasta}
        return {name: path for name, path in paths.items() if path is not None}

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each file's bytes, as they were when they were first looked at."""
        return dict(zip(self.paths, side_by_side(files.content_digest, self.paths.values()), strict=True))

    def unchanged(self, *names: str) -> AbstractContextManager[None]:
        """Guard a block that reads the named files (all of them without names); see `bend_hf.files.unchanged`."""
        return files.unchanged({self.paths[name]: self.digests[name] for name in names or self.paths})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what decides the rows: the task and its version, the label files and the genome; no paths."""
        named = self.task.name if self.task in BEND else to_document(self.task)
        return Key("rows", task=named, version=self.task.version, files=self.digests, reader=ROWS_VERSION).digest


def locate(
    task: Task,
    data_dir: str | os.PathLike[str] | None = None,
    genome: GenomeArgument = None,
    *,
    genome_checked: bool = False,
    strict: bool = False,
    offline: bool | None = None,
) -> TaskFiles:
    """Find a task's files, downloading what no folder has.

    Args:
        task: The task.
        data_dir: A data folder; None for ``$BEND_HF_DATA``, else the download cache.
        genome: A FASTA for every task, or a mapping from build (``GRCh38`` or ``hg38``, ``GRCh37`` or ``hg19``) to
            FASTA; None for ``genomes/<build>*.fa`` (or ``.fa.gz``, compressed with bgzip) in the data folder, in
            ``$BEND_HF_DATA`` or in the download cache.
        genome_checked: Whether you know that the genome is of the task's build, where its chromosomes do not tell.
        strict: Whether a window that lies in two splits is an error, instead of a warning.
        offline: Download nothing; None to follow ``HF_HUB_OFFLINE``.

    Raises:
        BendError: A file is missing, a genome is ambiguous or not of the task's build, or a download failed; the
            message says what to put where.
    """
    genome = by_build(genome, [task.build, *(other.build for other in TASKS.values())])
    folders = [pinned(folder) for folder in (data_dir, os.environ.get("BEND_HF_DATA")) if folder]
    if task not in BEND:
        return _locate_own(task, folders, genome, genome_checked, strict, offline)
    for folder in folders:
        if not folder.is_dir():
            source = "data_dir" if data_dir else "BEND_HF_DATA"
            raise BendError(f"{folder} ({source}) is no folder. It should hold {task.stem}.bed.")
    endings = (".bed", ".hdf5") if task.labels_in_hdf5 else (".bed",)
    if folders:
        labels = [folders[0] / f"{task.stem}{ending}" for ending in endings]
        for path in labels:
            if (problem := files.no_file(path)) is not None:
                raise BendError(
                    f"{path}: {problem}. {task.name} needs "
                    f"{' and '.join(task.stem + ending for ending in endings)} in the data folder {folders[0]}."
                )
    else:
        labels = [download.released(f"{task.stem}{ending}", offline=offline) for ending in endings]
    fasta = _find_genome(task.build, folders, genome) or download.genome(task.build, offline=offline)
    hdf5 = labels[1] if task.labels_in_hdf5 else None
    found = TaskFiles(task=task, bed=labels[0], hdf5=hdf5, fasta=fasta, strict=strict)
    return replace(found, build_known=_build_known(found, genome_checked))


def label_file(task: Task) -> Path:
    """Return the file of the rows of a task that is none of BEND's.

    Raises:
        BendError: The task has no folder, or there is none or more than one in it.
    """
    if task.folder is None:
        raise BendError(f"{task.name} has no folder: register the folder of {task.name}.bed and task.json.")
    labels = [task.folder / f"{task.name}{ending}" for ending in ENDINGS]
    found = [path for path in labels if path.is_file()]
    if len(found) != 1:
        names = ", ".join(path.name for path in found or labels)
        raise BendError(f"{task.folder} holds {'several of' if found else 'none of'} {names}: it needs one of them.")
    return found[0]


def _locate_own(
    task: Task,
    folders: list[Path],
    genome: Path | dict[str, Path] | None,
    checked: bool,
    strict: bool,
    offline: bool | None,
) -> TaskFiles:
    """Find the files of a task that is none of BEND's: labels in its folder, the genome there or in a data folder."""
    labels = label_file(task)
    assert task.folder is not None
    hdf5 = task.folder / f"{task.name}.hdf5" if task.labels_in_hdf5 else None
    if hdf5 is not None and (problem := files.no_file(hdf5)) is not None:
        raise BendError(f"{hdf5}: {problem}; {task.name} has its labels in HDF5 (labels_in_hdf5).")
    fasta = _find_genome(
        task.build, [folder for folder in (task.folder, *folders) if (folder / "genomes").is_dir()], genome
    )
    if fasta is None and task.build not in download.GENOMES:
        raise BendError(
            f"{task.name} is on the genome {task.build}, which cannot be downloaded: pass its FASTA with genome= "
            f"(--genome), or put it at {task.folder / 'genomes' / task.build}.fa."
        )
    fasta = fasta or download.genome(task.build, offline=offline)
    own = TaskFiles(task=task, bed=labels, hdf5=hdf5, fasta=fasta, strict=strict)
    return replace(own, build_known=_build_known(own, checked))


def _build_known(found: TaskFiles, checked: bool) -> Known:
    """Return how it is known that the genome is of the task's build; the toy data is known by its manifest."""
    from bend_hf.data.genome import Genome
    from bend_hf.data.toy import genome_digest

    if not found.in_toy:
        return judge(Genome(found.fasta), found.task.build, checked=checked, lengths=found.task.chromosomes)
    folder, build = found.bed.parent.parent, found.task.build
    if found.digests["genome"] != genome_digest(folder, build):
        raise BendError(f"{found.fasta} is not the genome of {build} that {folder} was made with: leave out genome=.")
    return "toy"


def _find_genome(build: Build, folders: list[Path], genome: Path | dict[str, Path] | None) -> Path | None:
    path = genome.get(build) if isinstance(genome, dict) else genome
    if path is not None:
        if (problem := files.no_file(path, "FASTA file")) is not None:
            raise BendError(f"{path} (genome for {build}): {problem}.")
        return path
    for folder in (folder / "genomes" for folder in folders):
        found = sorted(path for path in folder.glob(f"{build}*") if path.name.endswith((".fa", ".fasta", ".fa.gz")))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise BendError(f"{folder} has several genomes of {build} ({names}): pass genome= (--genome) to name one.")
        if found:
            return found[0]
        if folder.is_dir():
            names = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
            raise BendError(
                f"{folder} has no genome of {build} ({build}*.fa or {build}*.fa.gz), only {names}. "
                f"Put it there, or pass genome= (--genome) if one of these is right for this data."
            )
    return None
