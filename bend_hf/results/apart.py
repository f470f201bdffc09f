"""Runs of one model that differ in anything, told apart by what differs.

    for result in told_apart(read_results("bend-results")):
        result.label                    # "checkpoint-500 [run1/checkpoint-500 5ae2f6d5]", "nt-v2-50m [layer 6]"

Two records of the same task, protocol and seed that were not made from the same things are two models to every table,
ranking and report. A model that was read in one way everywhere keeps its plain name.
"""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bend_hf.errors import BendError
from bend_hf.files import digest_of
from bend_hf.identity import Key, flat
from bend_hf.results.record import Result, read_results

EVERYWHERE = ("model", "layer", "strand", "prefix", "context", "settings")
"""What tells runs apart though they are of different tasks; the rest (dtype, data, code) only where they meet."""

WORDS = {"layer": "layer", "strand": "strand", "dtype": "in", "data": "data", "code": "code", "folder": "in"}

OF_TASKS = ("windows", "code")
LAST = (*OF_TASKS, "folder", "run")
"""What is said only where nothing else tells two records apart, in this order: windows (which follow from the context)
and code of any two of a task (seeds of two versions are no seeds of one), the others of two of one seed."""

_WRONG = "{!r} is no folder, file or record of results, nor several."
WHOLE = {"limit": "all rows", "train rows": "all training rows"}


def gather(results: str | Path | Iterable[Result | Iterable[Result] | str | Path]) -> list[Result]:
    """Flatten folders, files, records and lists of records, and tell runs of one model apart.

    Raises:
        BendError: Something is none of these.
    """
    if isinstance(results, bytes) or not isinstance(results, str | os.PathLike | Iterable):
        raise BendError(_WRONG.format(results))
    found: list[Result] = []
    for item in [results] if isinstance(results, str | os.PathLike) else results:
        if isinstance(item, str | os.PathLike):
            found += read_results(item)
            continue
        found += _records([item] if isinstance(item, Result) else item)
    return told_apart(found)


def _records(results: Any) -> list[Result]:
    """Return records as a list, or raise a BendError where something is none."""
    if isinstance(results, str | bytes) or not isinstance(results, Iterable):
        raise BendError(_WRONG.format(results))
    found = list(results)
    if bad := [each for each in found if not isinstance(each, Result)]:
        raise BendError(_WRONG.format(bad[0]))
    return found


def told_apart(results: Iterable[Result]) -> list[Result]:
    """Return the results with `variant` set where runs of one model differ; those told apart already as they are.

    Protocols, and toy and real data, stand in tables of their own, so that what differs between those needs no word.
    """
    boards: dict[tuple[str, str, bool], list[Result]] = defaultdict(list)
    results = _records(results)
    if any(result.variant for result in results):
        return results
    for result in results:
        boards[result.model, result.protocol, result.toy].append(result)
    variants = {board: _variants(mine) for board, mine in boards.items()}
    return [
        dataclasses.replace(result, variant=variants[result.model, result.protocol, result.toy].pop(0))
        for result in results
    ]


def _variants(mine: Sequence[Result]) -> list[str]:
    """The variant of each of one model's results, ``""`` where they are all of one run."""
    facts = [_facts(result) for result in mine]
    names = _unlike(facts, lambda name: name.partition(".")[0] in EVERYWHERE)
    tasks: dict[Any, list[dict[str, str]]] = defaultdict(list)
    slots: dict[Any, list[dict[str, str]]] = defaultdict(list)
    for result, found in zip(mine, facts, strict=True):
        tasks[result.task].append(found)
        slots[result.task, result.seed].append(found)
    for together in tasks.values():  # whatever their seeds: those of two runs are no seeds of one
        names |= _unlike(together, lambda name: name not in (*LAST, "place"))
    for last in LAST:
        for together in (tasks if last in OF_TASKS else slots).values():
            alike: dict[str, list[dict[str, str]]] = defaultdict(list)
            for found in together:
                alike[_text(found, names)].append(found)
            if any(_unlike(some, lambda name, last=last: name == last) for some in alike.values()):
                names.add(last)
    return [_text(found, names) for found in facts]


def _unlike(facts: Sequence[dict[str, str]], asked: Any) -> set[str]:
    """Names of the facts asked for that have two values among those that state them."""
    values: dict[str, set[str]] = defaultdict(set)
    for found in facts:
        for name, value in found.items():
            if asked(name):
                values[name].add(value)
    return {name for name, some in values.items() if len(some) > 1}


def _text(found: dict[str, str], names: set[str]) -> str:
    said = [_words(name, found[name], found["place"]) for name in sorted(names) if name in found]
    return f" [{', '.join(dict.fromkeys(said))}]" if said else ""


def _words(name: str, value: str, place: str) -> str:
    if name == "model":
        return f"{place} {value}".strip()
    if name.startswith("settings."):
        setting = name.removeprefix("settings.").replace("_", " ")
        if value == "None" and setting in WHOLE:
            return WHOLE[setting]
        return f"{setting} {value}" if value != "None" else f"the recipe's {setting}"
    return f"{WORDS.get(name, name.replace('.', ' ').replace('_', ' '))} {value}"


def _facts(result: Result) -> dict[str, str]:
    """What a record says of how it was made, as far as it is worth naming."""
    key = result.key or {}
    model = result.provenance.get("model") or {}
    source = model.get("source")
    facts = {"place": "/".join(Path(str(source)).parts[-2:]) if source else ""}  # of the model: said, not compared
    embedder = key.get("embedder")
    if isinstance(embedder, dict):
        known = embedder.get("model")
        if isinstance(known, dict):  # of a model in memory its vectors too, which are others in float32
            facts["computed"] = _value(known.get("computed"))
            known = {name: value for name, value in known.items() if name != "computed"}
        facts["model"] = digest_of(known)[:8]
        rest = {name: value for name, value in embedder.items() if name not in ("model", "windows")}
        facts |= {name: _value(value) for name, value in flat(rest).items()}
        cut = embedder.get("windows")
        facts["windows"] = ", ".join(f"{name} {value}" for name, value in (cut or {}).items())
        if embedder.get("layer") == [model.get("layers")]:  # as earlier records name the output, besides -1
            facts["layer"] = "-1"
    if isinstance(model.get("context"), int):
        facts["context"] = str(model["context"])
    given = result.provenance.get("settings")
    if isinstance(given, dict):
        said = (
            given
            if result.seed is not None
            else {name: given[name] for name in ("limit", "train_rows") if name in given}
        )
        facts |= {f"settings.{name}": _value(value) for name, value in said.items()}
    for name, part in (("data", "rows"), ("code", "code")):
        if isinstance(key.get(part), str):
            facts[name] = key[part][:8]
    if result.key is not None:
        facts["run"] = Key("result", **result.key).short
    if result.path is not None:
        facts["folder"] = str(result.path.parent.parent)
    return facts


def _value(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
