"""The record of a run: one JSON file per model, task, protocol and seed, with its predictions (Parquet) beside it.

    path = write_result("results", result, predictions)     # results/<model>/<task>.<protocol>.seed<k>.<run>.json
    results = read_results("results")                        # validated; old schema versions are brought up to date
    predictions = read_predictions(results[0])               # checked against the digest in the record

Both files are written whole or not at all, the JSON last. Reading refuses what it cannot trust: a truncated file, one
edited after it was written (the record holds a digest of itself), one of a newer schema. Nothing is pickled.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bend_hf import files
from bend_hf.checks import path_of
from bend_hf.console import log
from bend_hf.errors import BendError, DataError, MissingError, described
from bend_hf.identity import Key
from bend_hf.protocols import PROTOCOLS
from bend_hf.results.predictions import Predictions, check, make_predictions, to_parquet
from bend_hf.results.schema import validate
from bend_hf.results.shapes import whole
from bend_hf.results.verify import disagreement, summary_of
from bend_hf.tasks import TASKS
from bend_hf.text import counted

__all__ = [
    "SCHEMA",
    "Predictions",
    "Result",
    "make_predictions",
    "read_predictions",
    "read_result",
    "read_results",
    "record_files",
    "slug",
    "write_result",
]

SCHEMA = 3
"""Version of the record. A change that old readers would misread adds 1 and a function in `_UPGRADES`."""


@dataclass(frozen=True)
class Result:
    """One score and everything needed to believe it, to compare it and to run it again.

    Attributes:
        model: Name as given to `evaluate`: a Hub id, a folder, a baseline (``"onehot"``).
        task: Name of one of the seven tasks.
        protocol: ``"default"`` or ``"bend-2024"``.
        seed: Seed of the head's training; None where nothing is trained.
        metric: Headline metric of the task: one of `bend_hf.metric.METRICS`.
        score: Value of the metric on the test rows, computed from the predictions as recorded; over folds their mean.
            None where the task failed, or where the metric is undefined (a single class).
        interval: 95 % confidence interval ``[low, high]`` over test rows, not over seeds; None where undefined.
        chance: What a model that knows nothing scores.
        toy: Whether the data is the toy data: such a score says nothing about a model's worth.
        secondary: Further scores, by metric: per label, per class, per consequence.
        counts: ``rows`` (test rows) and, where they exist, ``positives``, ``positions``, ``clusters`` …
        folds: One entry per fold (``part``, ``score``, ``rows`` …); None without folds.
        history: One entry per epoch (``epoch``, ``train_loss``, ``validation_loss``, ``validation_score``, ``seconds``;
            with folds also ``part``).
        provenance: Digests, revisions, settings, packages, hardware, durations: see docs/results.md.
        failure: Why the task has no score; None for a run that ended well.
        key: The parts of the `bend_hf.identity.Key` of the run, seed left out: equal ones mean equal runs. None in
            records of schema 1.
        predictions: Set by `write_result`: ``file``, ``sha256`` and ``rows`` of the predictions beside the record.
        path: The file this was read from; not part of the record.
        variant: What tells it from other runs of its model, as `bend_hf.results.apart.told_apart` sets it; not part of
            the record.
    """

    model: str
    task: str
    protocol: str
    seed: int | None
    metric: str
    score: float | None
    interval: list[float] | None
    chance: float
    toy: bool
    secondary: dict[str, Any]
    counts: dict[str, Any]
    folds: list[dict[str, Any]] | None
    history: list[dict[str, Any]]
    provenance: dict[str, Any]
    failure: str | None = None
    key: dict[str, Any] | None = None
    predictions: dict[str, Any] | None = None
    path: Path | None = field(default=None, compare=False, repr=False)
    variant: str = field(default="", compare=False, repr=False)

    @property
    def name(self) -> str:
        """The file's stem: task, protocol, seed, and the short key of the run, which its seeds share."""
        seed = "" if self.seed is None else f".seed{self.seed}"
        run = "" if self.key is None else f".{Key('result', **self.key).short}"
        return f"{self.task}.{self.protocol}{seed}{run}"

    @property
    def label(self) -> str:
        """The model's name, with what tells this run of it from others."""
        return f"{self.model}{self.variant}"

    def __repr__(self) -> str:
        seed = "" if self.seed is None else f", seed={self.seed}"
        what = f"failure={self.failure!r}" if self.failure else f"{self.metric}={self.score}, interval={self.interval}"
        return (
            f"Result({self.label!r}, {self.task!r}, {self.protocol!r}{seed}, {what}{', toy=True' if self.toy else ''})"
        )

    def to_json(self) -> dict[str, Any]:
        """The record as written, without its digest."""
        own = ("path", "variant")
        fields = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name not in own}
        return {"schema": SCHEMA, **fields}


_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: lambda record: {**record, "key": None},
    2: lambda record: record,
}
"""Schema version → function from a record of that version to one of the next.

1 → 2: predictions hold float32 in place of float16, and intervals are made otherwise; 2 → 3: intervals of an AUROC are
made otherwise. `_checked` makes them anew.
"""
INTERVALS = 3
"""The schema since which intervals are made as they are now."""


def write_result(folder: str | Path, result: Result, predictions: Predictions | None = None) -> Path:
    """Write a result, and its predictions beside it, and return the path of the JSON file.

    A record of the same run (its `Result.name`) is replaced, and no other.

    Raises:
        BendError: The result is not valid, or the predictions are another task's.
    """
    where = f"result of {result.model} on {result.task}"
    path = Path(folder) / slug(result.model) / f"{result.name}.json"
    beside = path.with_suffix(".parquet")
    parquet = b""
    attached = None
    if predictions is not None:
        if predictions.task.name != result.task:
            raise BendError(f"{where}: the predictions are those of {predictions.task.name}.")
        check(predictions, where)
        parquet = to_parquet(predictions, SCHEMA)
        attached = {"file": beside.name, "sha256": hashlib.sha256(parquet).hexdigest(), "rows": len(predictions)}
    try:
        text = json.dumps({**result.to_json(), "predictions": attached}, default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BendError(f"{where}: cannot be written as JSON: {error}") from error
    document = json.loads(text)
    validate(document, where)
    if attached is not None:
        with files.atomic(beside) as temporary:
            temporary.write_bytes(parquet)
    else:
        beside.unlink(missing_ok=True)
    files.write_json(path, {**document, "digest": files.digest_of(document)})
    return path


def _plain(value: Any) -> Any:
    """What JSON does not know: numpy's scalars and arrays, and paths."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def slug(model: str) -> str:
    """A model's name as a folder's name, another for every name.

    ``/`` becomes ``--``, other unsafe characters ``_``; where the name could not be told back from that, digits of its
    digest follow.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", model.replace("/", "--")).lstrip(".")[:100]
    if plain and plain.replace("--", "/") == model:
        return plain
    return f"{plain or 'model'}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def read_results(where: str | Path | Iterable[str | Path]) -> list[Result]:
    """Read records from a folder (at any depth), a file, or several of either.

    In a folder, JSON files that are not named after a task and a protocol are left out with a warning.

    Returns:
        The results, sorted by model, task (in the order of declaration), protocol and seed.

    Raises:
        BendError: There are none; a file is truncated, was edited, is not a record or of a newer schema.
    """
    paths = record_files(where)
    seen: dict[str, Result] = {}
    for path in paths:
        result = read_result(path)
        content = files.digest_of(result.to_json())
        if content in seen:
            log.info("%s is a copy of %s: read once.", path, seen[content].path)
        seen.setdefault(content, result)
    order = list(TASKS)
    return sorted(
        seen.values(),
        key=lambda r: (r.model, order.index(r.task), r.protocol, -1 if r.seed is None else r.seed, str(r.path)),
    )


def record_files(where: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return the files of records in a folder (at any depth), a file, or several of either; see `read_results`."""
    paths: dict[Path, None] = {}
    if not isinstance(where, str | os.PathLike | Iterable) or isinstance(where, bytes):
        raise BendError(f"{where!r} is no folder or file of results, nor several.")
    for item in [where] if isinstance(where, str | os.PathLike) else where:
        item = path_of("results", item)
        if item.is_dir():
            found = sorted(path for path in item.rglob("*.json") if not path.name.startswith("."))
            foreign = [path for path in found if not _named_as_record(path)]
            if foreign:
                log.warning("%s: %d JSON files are no results: %s …", item, len(foreign), foreign[0].name)
            if len(foreign) == len(found):
                raise BendError(f"{item}: holds no results (<model>/<task>.<protocol>.seed<k>.<run>.json).")
            paths.update(dict.fromkeys(path for path in found if path not in foreign))
        elif item.exists():
            paths[item] = None
        else:
            raise MissingError(f"{item}: no such file or folder of results.")
    if not paths:
        raise BendError("No results are named: give folders or files of them.")
    return list(paths)


def _named_as_record(path: Path) -> bool:
    task, _, rest = path.name.partition(".")
    return task in TASKS or rest.partition(".")[0] in PROTOCOLS


def read_result(path: str | Path) -> Result:
    """Read one record; the errors are those of `read_results`."""
    path = path_of("path", path)
    record = files.read_json(path, "run it again")
    version = record.get("schema") if isinstance(record, dict) else None
    if not whole(version) or not version:
        raise BendError(f"{path}: is no result of bend_hf (there is no schema version in it).")
    if version > SCHEMA:
        raise BendError(
            f"{path}: written by a newer bend_hf (schema {version}; this one reads up to {SCHEMA}): upgrade bend_hf."
        )
    digest = record.pop("digest", None)
    if digest != files.digest_of(record):
        raise BendError(
            f"{path}: was changed after it was written (its digest does not match); restore it or run it again."
        )
    for old in range(version, SCHEMA):
        record = {**_UPGRADES[old](record), "schema": old + 1}
    validate(record, str(path))
    del record["schema"]
    return _checked(Result(**record, path=path), version)


def _checked(result: Result, version: int) -> Result:
    """Check a record against the predictions beside it, if any; before `INTERVALS` theirs replaces what it holds."""
    if result.path is None or result.predictions is None or result.failure is not None:
        return result
    if not (result.path.parent / result.predictions["file"]).is_file():
        return result
    predictions = read_predictions(result)
    made = result.secondary.get("interval")
    found = summary_of(predictions, result.predictions["sha256"], made if isinstance(made, dict) else {})
    if version < INTERVALS:
        wrong = disagreement(result.score, found["score"], "score")
        if wrong is not None:
            log.warning("%s: %s: those are used.", result.path, wrong)
        counts = {name: found["counts"].get(name, count) for name, count in result.counts.items()}
        return dataclasses.replace(
            result, **{**found, "secondary": result.secondary | found["secondary"], "counts": counts}
        )
    added = {name: value for name, value in found["secondary"].items() if name not in result.secondary}
    result = dataclasses.replace(result, secondary=result.secondary | added)  # what earlier versions did not compute
    wrong = disagreement({name: getattr(result, name) for name in found}, found)
    if wrong is not None:
        raise BendError(f"{result.path}: {wrong}; restore the files or run it again.")
    return result


def read_predictions(result: Result) -> Predictions:
    """Read the predictions beside a record.

    Raises:
        BendError: The record was not read from a file or has none, or the file is missing or is not the one recorded.
    """
    if not isinstance(result, Result):
        raise BendError(f"{result!r:.80} is no result: read one with read_result.")
    if result.path is None or result.predictions is None:
        raise BendError(f"The result of {result.model} on {result.task} has no predictions on disk.")
    path = result.path.parent / result.predictions["file"]
    if not path.is_file():
        raise BendError(f"{path}: the predictions of {result.path.name} are missing; copy them beside it.")
    if files.digest_file(path) != result.predictions["sha256"]:
        raise BendError(f"{path}: is not the file that {result.path.name} was written with (its digest differs).")
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        table.validate(full=True)  # texts that are none, lists that end before they begin
        predictions = Predictions(TASKS[result.task], table)
    except Exception as error:
        raise DataError(f"{path}: {described(error)}") from error
    check(predictions, str(path))
    if len(predictions) != result.predictions["rows"]:
        raise DataError(
            f"{path}: has {counted(len(predictions), 'row')}; its record says {result.predictions['rows']}."
        )
    return predictions
