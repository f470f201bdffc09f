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

from bend_hf.checks import path_of, switch
from bend_hf.errors import BendError
from bend_hf.results.record import Result
from bend_hf.tasks import BEND, TASKS
from bend_hf.tasks.document import NAME, read_document
from bend_hf.tasks.registry import bring

_PROGRAMS = ("bend-hf", "hf-bend", "__main__.py")
_LOOKED_AT = ("dataset_digest", "model", "protocol", "recipe", "settings", "task_version", "packages", "hardware")
REPEATED = {
    **dict.fromkeys(("--data-dir", "--prefix", "--scheme", "--layer", "--strand", "--dtype"), "one"),
    **dict.fromkeys(("--epochs", "--batch-size", "--patience", "--precision", "--sampling-seed", "--vary"), "one"),
    **dict.fromkeys(("--genome", "--scores"), "many"),
    **dict.fromkeys(("--genome-checked", "--standardize"), "none"),
    **dict.fromkeys(("--vectors", "--model-config", "--tokenizer", "--context", "--limit", "--track"), "one"),
}
"""Options of ``bend-hf evaluate`` that a record may bring back, as they decide a score; how many values each takes."""
LEFT_OUT = {
    **dict.fromkeys(
        ("--seeds", "--protocol", "--output", "-o", "--push", "--format", "--store", "--store-limit"), "one"
    ),
    **dict.fromkeys(
        ("--num-proc", "--device", "--device-map", "--revision", "--layers", "--train-rows", "--budget"), "one"
    ),
    **dict.fromkeys(("--tasks", "--trackers"), "many"),
    **dict.fromkeys(("--task", "--config"), "one"),
    **dict.fromkeys(("--overwrite", "--resume", "--strict", "--trust-remote-code", "--debug", "--dry-run"), "none"),
    **dict.fromkeys(("-q", "--quiet", "-v", "--verbose"), "none"),
}
"""Options that are said anew, belong to the other machine, or that no record may ask for."""


def rerun_command(
    result: Result,
    *,
    output: str | Path,
    model: str | Path | None = None,
    task: str | Path | None = None,
    data_dir: str | Path | None = None,
    genome: str | Path | None = None,
    trust_remote_code: bool = False,
) -> list[str]:
    """Return the command that makes a result again, as a list of arguments.

    It is made of the recorded command's options in `REPEATED`, restricted to the result's task, protocol and seed, with
    a model of the Hub pinned to the recorded commit, and writes to `output`. A run that was not started by ``bend-hf
    evaluate`` (Python, the demo) is rebuilt from the recorded settings; its data are then those of `data_dir`, or of
    ``$BEND_HF_DATA``, and a model from a folder has to be named by `model`.

    Args:
        result: With its provenance.
        output: Folder for the new result; not the one that holds the old one.
        model: Model instead of the recorded one, e.g. the folder it lies in now.
        task: Folder of a task of one's own, where it lies now.
        data_dir: Data folder instead of the recorded one.
        genome: FASTA instead of the recorded one.
        trust_remote_code: Whether to run Python that comes with the model; what the record says of it does not count.

    Raises:
        BendError: `output` holds the old result, the recorded command has an option that is not known, the model was a
            Python object and `model` is not given, or a task of one's own is not where the command says.
    """
    for name, value in (("model", model), ("task", task), ("data_dir", data_dir), ("genome", genome)):
        if value is not None:
            path_of(name, value)
    switch("trust_remote_code", trust_remote_code)
    if result.path is not None and path_of("output", output).resolve() in result.path.resolve().parents:
        raise BendError(f"{output} holds the result that is to be made again; choose another folder.")
    recorded = result.provenance.get("command", [])
    try:
        words = shlex.split(recorded) if isinstance(recorded, str) else list(recorded or [])
    except ValueError as error:
        raise BendError(f"The recorded command cannot be read ({error}): run it by hand.") from error
    if len(words) > 2 and Path(words[0]).name in _PROGRAMS and words[1] == "evaluate":
        named, options = _parsed(words[2:])
    else:
        named, options = result.model, _settings(result)
        if result.provenance.get("files", {}).get("build_known") == "user":
            options.append("--genome-checked")
    made_of = (result.provenance.get("model") or {}).get("object")
    if model is None and (made_of or ":" in named):  # a record may be a stranger's: nothing it names is imported
        raise BendError(
            f"{result.model} was {made_of or 'a Python object'}, which no record can bring back: name the object that "
            "gives it, as in --model my_model.py:embed."
        )
    if not named or named.startswith("-"):
        raise BendError("The record names no model that could be given on a command line; name it (model=, --model).")
    arguments = ["evaluate", str(model or named), *options]
    commit = _commit(result)
    if commit is not None and model is None:
        arguments += ["--revision", commit]
    if result.seed is not None:
        arguments += ["--seeds", f"{result.seed},"]
    arguments += [*_of_this_run(result, words), *_task_named(result, words, task)]
    arguments += ["--protocol", result.protocol, "--output", str(output)]
    for option, value in (("--data-dir", data_dir), ("--genome", genome)):
        arguments += [option, str(value)] if value is not None else []
    arguments += ["--trust-remote-code"] if trust_remote_code else []
    return [sys.executable, "-m", "bend_hf", *arguments]


def _parsed(words: list[str]) -> tuple[str, list[str]]:
    """Return the model of a recorded command, and of its options those that are repeated."""
    model, kept = "", []
    place = 0
    while place < len(words):
        word, place = words[place], place + 1
        if not word.startswith("-"):
            model = model or word
            continue
        option, equals, value = word.partition("=")
        takes = REPEATED.get(option) or LEFT_OUT.get(option)
        if takes is None:
            raise BendError(f"The record was made with {option}, which a rerun does not know: run it by hand.")
        values = [value] if equals else []
        while not equals and place < len(words) and not words[place].startswith("-"):
            if takes == "none" or (takes == "one" and values):
                break
            values.append(words[place])
            place += 1
        if option in REPEATED:
            kept += [word] if equals else [option, *values]
    return model, kept


def _task_named(result: Result, words: list[str], given: str | Path | None) -> list[str]:
    """How the one task is named: BEND's by its name, others by the folder that holds them."""
    if given is not None:
        return ["--task", str(given)]
    if any(task.name == result.task for task in BEND):
        return ["--tasks", result.task]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        folder = value if equals else following
        if option == "--task" and folder and _task_in(Path(folder)) == result.task:
            return ["--task", folder]
    bring()
    known = TASKS.get(result.task)
    if known is None or known.folder is None:
        raise BendError(
            f"{result.task} is none of BEND's tasks, and its folder is not where the record says: name the folder "
            "(task=, --task)."
        )
    return ["--task", str(known.folder)]


def _task_in(folder: Path) -> str | None:
    """Name of the task in a folder; None where there is none."""
    try:
        return read_document(folder / NAME).name
    except (BendError, OSError):
        return None


def _of_this_run(result: Result, words: list[str]) -> list[str]:
    """The layer and the rows of one of several runs of a command."""
    options = []
    settings = result.provenance.get("settings") or {}
    key = (result.provenance.get("model") or {}).get("key") or {}
    if any(word.partition("=")[0] == "--layers" for word in words) and key.get("layer"):
        options.append(f"--layer={','.join(map(str, key['layer']))}")
    if any(word.partition("=")[0] == "--budget" for word in words) and isinstance(settings.get("limit"), int):
        options += ["--limit", str(settings["limit"])]  # the last one counts
    rows = settings.get("train_rows")
    return [*options, *(["--train-rows", str(rows)] if isinstance(rows, int) else [])]


def _commit(result: Result) -> str | None:
    """The commit of a Hub model, as recorded."""
    key = (result.provenance.get("model") or {}).get("key")
    weights = key.get("model") if isinstance(key, dict) else None
    commit = weights.get("commit") if isinstance(weights, dict) else None
    return commit if isinstance(commit, str) and commit.isalnum() else None


def _settings(result: Result) -> list[str]:
    """The recorded settings as options."""
    options = []
    model = result.provenance.get("model") or {}
    key, asked = model.get("key") or {}, model["asked"] if isinstance(model.get("asked"), dict) else {}
    values = {**(result.provenance.get("settings") or {}), **{name: key.get(name) for name in ("dtype", "strand")}}
    values |= {"model_config" if name == "config" else name: value for name, value in asked.items()}
    if key.get("layer"):
        options.append(f"--layer={','.join(map(str, key['layer']))}")
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        takes = REPEATED.get(option)
        if takes == "none":
            options += [option] if value is True else []
        elif takes == "many" and isinstance(value, list) and value:
            options += [option, *map(str, value)]
        elif takes == "one" and isinstance(value, str | int | float) and not isinstance(value, bool):
            options.append(f"{option}={value}")
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
