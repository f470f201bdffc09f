"""Run a recorded result again, and say whether the number came out the same.

command = rerun_command(result, output="again")
# run it, then
print(compare_rerun(result, read_results("again")[0]))
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bend_hf.errors import BendError
from bend_hf.results.record import Result

_PROGRAMS = ("bend-hf", "hf-bend", "__main__.py")
_LOOKED_AT = ("dataset_digest", "model", "protocol", "recipe", "settings", "task_version", "packages", "hardware")


def rerun_command(
    result: Result,
    *,
    output: str | Path,
    model: str | Path | None = None,
    data_dir: str | Path | None = None,
    genome: str | Path | None = None,
) -> list[str]:
    """Return the command that makes a result again, as a list of arguments.

    It is the recorded command, restricted to the result's task and protocol and writing to `output`. A run that was
    not started by ``bend-hf evaluate`` (Python, the demo) is rebuilt from the recorded settings; its data are then
    those of `data_dir`, or of ``$BEND_HF_DATA``, and a model from a folder has to be named by `model`.

    Args:
        result: With its provenance.
        output: Folder for the new result; not the one that holds the old one.
        model: Model instead of the recorded one, e.g. the folder it lies in now.
        data_dir: Data folder instead of the recorded one.
        genome: FASTA instead of the recorded one.

    Raises:
        BendError: `output` holds the old result, or the model was a Python object and `model` is not given.
    """
    if result.path is not None and Path(output).resolve() in result.path.resolve().parents:
        raise BendError(f"{output} holds the result that is to be made again; choose another folder.")
    recorded = result.provenance.get("command", [])
    words = shlex.split(recorded) if isinstance(recorded, str) else list(recorded)
    if len(words) > 2 and Path(words[0]).name in _PROGRAMS and words[1] == "evaluate":
        arguments = _without(words[1:], "--push", "--format")
        if model is not None:
            name = Path(result.model).name
            arguments = [str(model) if Path(word).name == name else word for word in arguments]
    else:
        made_of = (result.provenance.get("model") or {}).get("object")
        if model is None and made_of:
            raise BendError(
                f"{result.model} was {made_of}, which no record can hold: name the object that gives it, as in --model "
                "my_model.py:embed."
            )
        arguments = ["evaluate", str(model or result.model), *_settings(result)]
        if result.provenance.get("files", {}).get("build_known") == "user":
            arguments.append("--genome-checked")
    arguments += ["--tasks", result.task, "--protocol", result.protocol, "--output", str(output)]
    for option, value in (("--data-dir", data_dir), ("--genome", genome)):
        arguments += [option, str(value)] if value is not None else []
    return [sys.executable, "-m", "bend_hf", *arguments]


def _without(words: list[str], *options: str) -> list[str]:
    """Drop options that take one value, in both their forms."""
    kept = []
    for i, word in enumerate(words):
        value_of_dropped = i > 0 and words[i - 1] in options
        if not value_of_dropped and word.partition("=")[0] not in options:
            kept.append(word)
    return kept


def _settings(result: Result) -> list[str]:
    options = [] if result.seed is None else ["--seeds", str(result.seed + 1)]
    key = result.provenance.get("model", {}).get("key", {})
    values = {**(result.provenance.get("settings") or {}), **{name: key.get(name) for name in ("dtype", "strand")}}
    if key.get("layer"):
        options.append(f"--layer={','.join(map(str, key['layer']))}")
    if isinstance(key.get("model"), dict) and key["model"].get("commit"):
        options += ["--revision", key["model"]["commit"]]
    if values.get("standardize"):
        options.append("--standardize")
    for name, value in values.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            options += [f"--{name.replace('_', '-')}", str(value)]
        elif isinstance(value, list) and value:
            options += [f"--{name.replace('_', '-')}", *map(str, value)]
    return options


@dataclass(frozen=True)
class Rerun:
    """What a second run gave.

    Attributes:
        old: The first score.
        new: The second score.
        same: Whether they are equal to the last digit.
        inside: Whether the second lies in the first one's interval; None without an interval.
        changed: What differs in the provenance: name → (old, new).
    """

    old: float | None
    new: float | None
    same: bool
    inside: bool | None
    changed: dict[str, tuple[Any, Any]]

    def __str__(self) -> str:
        if self.same:
            verdict = "the same score to the last digit"
        elif self.inside is None:
            verdict = "another score"
        else:
            verdict = f"another score, {'inside' if self.inside else 'OUTSIDE'} the first run's interval"
        lines = [f"{verdict}: {self.old} then, {self.new} now"]
        lines += [f"  {name}: {old} then, {new} now" for name, (old, new) in self.changed.items()]
        return "\n".join(lines)


def compare_rerun(old: Result, new: Result) -> Rerun:
    """Compare a result with a second run of it.

    Raises:
        BendError: They are not of the same model, task, protocol and seed, or the second run failed.
    """
    for name in ("model", "task", "protocol", "seed"):
        if getattr(old, name) != getattr(new, name):
            raise BendError(f"Not the same run: {name} is {getattr(old, name)!r} and {getattr(new, name)!r}.")
    if new.failure is not None:
        raise BendError(f"The second run of {new.task} failed: {new.failure}")
    inside = None
    if old.interval is not None and new.score is not None:
        inside = old.interval[0] <= new.score <= old.interval[1]
    changed: dict[str, tuple[Any, Any]] = {}
    for name in _LOOKED_AT:
        _collect(name, old.provenance.get(name), new.provenance.get(name), changed)
    return Rerun(old.score, new.score, old.score == new.score, inside, changed)


def _collect(name: str, old: Any, new: Any, changed: dict[str, tuple[Any, Any]]) -> None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            _collect(f"{name}.{key}", old.get(key), new.get(key), changed)
    elif old != new:
        changed[name] = (old, new)
