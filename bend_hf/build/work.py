"""A build under way: what it is made from, and what an earlier run of it, that was killed, has left.

    work = Work.begin(Path("my_task"), {"annotation": path, "genome": fasta}, options, command="bend-hf build genes …")
    arrays = work.step("track liver", counts, lambda: {"start": starts, "end": ends})

A *step* is a source that was read, or windows that were split. Its arrays are written to a sealed file in
``.<name>.reading`` beside the output, and read from there, so that the same build, killed and started again, takes them
instead of reading anew. What is damaged, or of other sources or options, is made again, aloud. The folder goes when the
rows are written, or when the build ends in an error.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import pyarrow as pa

from bend_hf import __version__, files
from bend_hf.build.counts import Counts
from bend_hf.console import log, spoken
from bend_hf.errors import BendError
from bend_hf.text import counted

STATE = "built.json"
_COUNTS = b"bend_hf.counts"
P = ParamSpec("P")


def check_output(output: Path) -> None:
    """Refuse an output folder that exists, or whose name cannot be a task's.

    Raises:
        BendError: So it is.
    """
    name = output.name
    if not name or not all(letter.isascii() and (letter.isalnum() or letter in "_-") for letter in name):
        raise BendError(f"{output}: the folder's name becomes the task's: letters, digits, - and _ only.")
    if output.exists() or output.is_symlink():
        raise BendError(f"{output} exists. Give another folder (-o), or remove it first.")


def digests(paths: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Return name, size and SHA-256 of files."""
    return {
        name: {"file": path.name, "bytes": path.stat().st_size, "sha256": files.digest_file(path)}
        for name, path in paths.items()
    }


def _plain(value: Any) -> Any:
    """Return dataclasses (of splits, of labels) as dictionaries, and paths as text, for JSON."""
    return vars(value) if dataclasses.is_dataclass(value) else str(value)


@dataclass(frozen=True)
class Work:
    """A build under way.

    Attributes:
        output: The folder to write; its name is the task's.
        paths: What → source file.
        states: What → what tells the source's present state from a later one.
        sources: What → file name, bytes and SHA-256, taken before the files are read.
        command: The command line, for the record.
        key: Digest of all that decides the folder: sources, options, command, version of the package.
    """

    output: Path
    paths: dict[str, Path]
    states: dict[str, list[Any]]
    sources: dict[str, dict[str, Any]]
    command: str | None
    key: str

    @classmethod
    def begin(
        cls, output: Path, paths: Mapping[str, str | Path | None], options: Mapping[str, Any], command: str | None
    ) -> Work:
        """Begin a build.

        Args:
            output: The folder to write.
            paths: The sources; those that are None are left out.
            options: Everything else that decides the rows.
            command: What to record as the command.

        Raises:
            BendError: The folder, or that of a control, exists, or its name cannot be a task's, or a source is missing.
        """
        left = building_of(output).exists()
        for each in (output, *(output.with_name(f"{output.name}_{kind}") for kind in options.get("controls", ()))):
            if not left:
                check_output(each)
        given = {name: Path(path) for name, path in paths.items() if path is not None}
        for path in given.values():
            if (problem := files.no_file(path)) is not None:
                raise BendError(f"{path}: {problem}.")
        states = {name: files.identity(path) for name, path in given.items()}
        sources = digests(given)
        decided = [__version__, sources, json.dumps(dict(options), default=_plain, sort_keys=True), command]
        work = cls(output, given, states, sources, command, files.digest_of(decided))
        if not work.is_named():
            check_output(output)
        return work

    @property
    def folder(self) -> Path:
        """Where rows lie until they are audited and the controls are built."""
        return building_of(self.output)

    @property
    def reading(self) -> Path:
        """Where steps lie until rows are written: in a folder of the key."""
        return reading_of(self.output)

    def is_named(self) -> bool:
        """Tell whether the output is that of this very build, which was killed when it had named it."""
        if not self.output.exists() or files.damage(self.folder) or self._built_by() != self.key:
            return False
        own = [name for name in files.sealed_files(self.folder) if name != STATE]
        return all(
            (self.output / name).is_file()
            and files.content_digest(self.output / name) == files.content_digest(self.folder / name)
            for name in own
        )

    def _built_by(self) -> str:
        return str(files.read_json(self.folder / STATE)["key"])

    def end(self) -> Path:
        """Remove what only a build under way needs, and return the output."""
        shutil.rmtree(self.reading, ignore_errors=True)
        if self.folder.exists():
            # The seal goes first: half a folder is no rows.
            (self.folder / files.FOLDER_SEAL).unlink(missing_ok=True)
            shutil.rmtree(self.folder)
        return self.output

    def has_rows(self) -> bool:
        """Tell whether an earlier build wrote the rows and was killed; others' or damaged ones are removed, aloud."""
        for place in (self.output, self.folder):
            for left in place.parent.glob(f".{place.name}.*.partial"):  # of a build that was killed while it wrote
                shutil.rmtree(left, ignore_errors=True)
        for left in self.reading.glob("*"):
            if left.name != self.key:
                log.warning("%s: what another build had read is not used: its sources or options were others.", left)
                shutil.rmtree(left)
        if steps := len(list((self.reading / self.key).glob("*.arrow"))):
            log.warning("%s: goes on from a build that did not end: %s kept.", self.output, counted(steps, "step"))
        if not self.folder.exists():
            return False
        problem = files.damage(self.folder)
        if problem is None and self._built_by() == self.key:
            log.warning("%s: its rows were written by a build that did not end; they are audited now.", self.output)
            shutil.rmtree(self.reading, ignore_errors=True)
            return True
        why = problem or "they are of other sources or options"
        log.warning("%s: rows of a build that did not end are not used: %s.", self.folder, why)
        shutil.rmtree(self.folder)
        return False

    def step(
        self, what: str, counts: Counts, make: Callable[[], Mapping[str, np.ndarray | pa.Array]]
    ) -> dict[str, pa.Array]:
        """Return what `make` gives, from the file of an earlier run where that is whole.

        Args:
            what: Name of the step, one of the build's own.
            counts: What `make` adds to them is added again where it is not called.
            make: Gives arrays of any lengths, by name.

        Returns:
            The arrays, mapped from the file: they cannot be changed.

        Raises:
            BendError: What `make` raises, or a source is not what it was when the build began.
        """
        path = self.reading / self.key / f"{files.digest_of(what)}.arrow"
        made = False

        def write(target: Path) -> None:
            nonlocal made
            made = True
            before = dict(counts.left_out), dict(counts.noted)
            columns = {name: pa.array(values) for name, values in make().items()}
            self.check_sources()
            added = [_grown(*pair) for pair in zip(before, (counts.left_out, counts.noted), strict=True)]
            lists = [pa.LargeListArray.from_arrays([0, len(values)], values) for values in columns.values()]
            table = pa.table(lists, list(columns)).replace_schema_metadata({_COUNTS: json.dumps(added)})
            with pa.OSFile(str(target), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)

        files.kept(path, write)
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        if not made:
            for added, dropped in zip(json.loads(table.schema.metadata[_COUNTS]), (True, False), strict=True):
                for reason, number in added.items():
                    counts.add(reason, number, dropped=dropped)
        return {name: table[name].chunk(0).values for name in table.column_names}

    def check_sources(self) -> None:
        """Refuse sources that were touched since the build began.

        Raises:
            BendError: One was.
        """
        for what, path in self.paths.items():
            if not path.is_file() or files.identity(path) != self.states[what]:
                raise BendError(f"{path} was changed while the task was built from it. Build again.")


def strings(values: pa.Array) -> np.ndarray:
    """Return strings as (n,) objects, equal ones as one object: a genome's rows have millions of a few."""
    encoded = values.dictionary_encode()
    texts: np.ndarray = np.array(encoded.dictionary.to_pylist(), object)[encoded.indices.to_numpy()]
    return texts


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {reason: number - before.get(reason, 0) for reason, number in after.items() if number != before.get(reason)}


def building_of(output: Path) -> Path:
    """Return the folder of the rows of a build that has not ended."""
    return output.with_name(f".{output.name}.building")


def reading_of(output: Path) -> Path:
    """Return the folder of the steps of a build."""
    return output.with_name(f".{output.name}.reading")


def builder(make: Callable[P, Path]) -> Callable[P, Path]:
    """Tell what a builder does, if `verbose`; remove its steps if it ends in an error, not if it is killed."""

    @wraps(make)
    def build(*args: P.args, **kwargs: P.kwargs) -> Path:
        try:
            with spoken(kwargs.get("verbose", False)):
                return make(*args, **kwargs)
        except Exception:
            given = signature(make).bind(*args, **kwargs).arguments
            shutil.rmtree(reading_of(Path(str(given["output"]))), ignore_errors=True)
            raise

    return build
