"""What a kind of damage is, what it has at hand, and how it is tried.

Kind("a report from no results", cli("report {here}/nothing -o {here}/x.html"), "no such file or folder")
Kind("epochs as a fraction", python(evaluate, epochs=1.5), "epochs=1.5")

A kind is given a bench of its own: sound data, model and results to harm. What it then calls has to end in one clear
error, before expensive work, and leave every folder as it was.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny_models
from faults.corrupt_caches import SIZES
from result_factory import PROVENANCE, make_result, simulate

from bend_hf.data import toy
from bend_hf.data.genome import Genome
from bend_hf.files import digest_of
from bend_hf.results.record import write_result
from bend_hf.results.statistics import summarise

RESULT = "models--one/gene_finding.default.seed0.json"


@dataclass(frozen=True)
class Bench:
    """What a kind has at hand: copies of its own, below a folder of its own, made when they are asked for.

    Attributes:
        here: The folder.
        sound: Folder of the sound originals; never written to.
    """

    here: Path
    sound: Path

    @property
    def data(self) -> Path:
        """A data folder with all tasks (toy); its files may be replaced, and are not to be written to."""
        return self._copied("data", os.link)

    @property
    def model(self) -> Path:
        """The folder of a small model."""
        return self._copied("model", shutil.copy2)

    @property
    def results(self) -> Path:
        """Results of two models on four tasks, with their predictions."""
        return self._copied("results", shutil.copy2)

    @property
    def out(self) -> Path:
        """Where a command is told to write; it is not there."""
        return self.here / "out"

    def _copied(self, name: str, copy: Callable[[Any, Any], Any]) -> Path:
        folder = self.here / name
        if not folder.exists():
            shutil.copytree(self.sound / name, folder, copy_function=copy)
        return folder

    def put(self, name: str, content: str | bytes) -> Path:
        """Write a file of any content below the folder, in the place of what is there; return its path."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def make_sound(folder: Path) -> Path:
    """Write what kinds are given copies of."""
    data = toy.make(folder / "data", **SIZES)
    for genome in (data / "genomes").glob("*.fa"):  # the index is written now, so that no kind leaves one behind
        Genome(genome)
    tiny_models.gpt2(folder / "model", layers=1, width=8)
    for i, model in enumerate(("models/one", "models/two")):
        for name in ("gene_finding", "enhancer_annotation", "histone_modification", "variant_effects_disease"):
            predictions = simulate(name, signal=0.3 + i, rows=20, seed=i)
            values = vars(summarise(predictions, resamples=20)) | {"provenance": dict(PROVENANCE)}
            write_result(folder / "results", make_result(name, model=model, **values), predictions)
    return folder


Given = Callable[[Bench], Any]
"""Harms what it is given, and returns what is to be called: words of a command, or a function."""


@dataclass(frozen=True)
class Kind:
    """One kind of damage, and how it has to end.

    Attributes:
        name: What is damaged or given, in words.
        given: Harms, and returns what is called.
        words: Words that the error has.
        code: Of the error (`bend_hf.errors`); ``"usage"`` where the parser refuses.
    """

    name: str
    given: Given
    words: str
    code: str = "input"


def cli(words: str, harm: Callable[[Bench], Any] | None = None) -> Given:
    """Return a kind's command; ``{here}``, ``{data}`` … are parts of its bench, ``{harmed}`` is what `harm` gives."""

    def given(bench: Bench) -> list[str]:
        harmed = harm(bench) if harm else ""
        parts = _Parts(bench)
        return [word.format_map(parts | {"harmed": harmed}) for word in words.split()]

    return given


class _Parts(dict):
    """The parts of a bench by name, made when they are named."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench

    def __missing__(self, name: str) -> Any:
        return getattr(self.bench, name)

    def __or__(self, other: Any) -> Any:
        self.update(other)
        return self


def python(function: Callable[..., Any], *arguments: Any, **options: Any) -> Given:
    """Return a kind's call of a function; arguments that are functions of a bench are asked what to give."""

    def given(bench: Bench) -> Callable[[], Any]:
        def value(item: Any) -> Any:
            return item.make(bench) if isinstance(item, At) else item

        positional = [value(item) for item in arguments]
        named = {name: value(item) for name, item in options.items()}
        return lambda: function(*positional, **named)

    return given


@dataclass(frozen=True)
class At:
    """An argument that depends on the bench."""

    make: Callable[[Bench], Any]


def no_work(sequences: list[str]) -> Any:
    """A model that must not be asked for vectors: what is wrong is to be found before."""
    raise AssertionError("work began")


def record(bench: Bench, **changes: Any) -> Path:
    """Change fields of a record, and give it the digest that belongs to them, as a forger would; return its path."""
    path = bench.results / RESULT
    document = json.loads(path.read_text())
    del document["digest"]
    document |= changes
    path.write_text(json.dumps({**document, "digest": digest_of(document)}))
    return path


def predictions(bench: Bench, change: Callable[[Any], Any]) -> Path:
    """Change the table of a record's predictions, and give the record the digest that belongs to it."""
    import hashlib

    import pyarrow.parquet as pq

    path = bench.results / RESULT
    beside = path.with_suffix(".parquet")
    pq.write_table(change(pq.read_table(beside)), beside)
    attached = json.loads(path.read_text())["predictions"]
    return record(bench, predictions=attached | {"sha256": hashlib.sha256(beside.read_bytes()).hexdigest()})


def listing(folder: Path) -> dict[str, Any]:
    """Return what lies below a folder: path → size and time of change, or what it is."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns) if path.is_file() else ""
    return found
