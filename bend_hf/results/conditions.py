"""What two scores must share to be compared, and in words where a score departs from its task's recipe.

    departures([result])          # "trained for 1 epoch instead of the recipe's 100", or ""
    same_data(results)            # refuses other protocols or data,
    same_settings(results)        # … heads trained otherwise,
    same_seeds(results)           # … and with other seeds
    ranked, note = alike(results)

Settings are what a record's provenance holds, not what was typed: without ``--epochs`` a head is trained for the
recipe's. What is not trained (zero-shot scores, the composition baseline) goes with every training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bend_hf.errors import BendError
from bend_hf.protocols import PROTOCOLS
from bend_hf.results.record import Result
from bend_hf.results.schema import UNSEEDED
from bend_hf.tasks import TASKS
from bend_hf.text import counted, duration

UNKNOWN = "not recorded"
EXACT = {"precision": ("auto", "fp32"), "vectors": ("auto", "float32")}
"""Values without rounding to speak of; others are said."""
OWN = (*EXACT, "layer", "strand", "dtype", "context")
"""Settings that are said but may differ: how a model is read, and what rounds (``auto`` itself depends on the GPU)."""
SIZES = ("limit", "train_rows")
"""Settings that leave out rows, for smoke tests and for curves."""


def settings(result: Result) -> dict[str, tuple[Any, Any]]:
    """What a score depends on besides model, data and seed.

    Returns:
        Name → (value, the recipe's or the protocol's); the `SIZES` alone for the composition baseline, which sees
        letters only.
    """
    provenance, recipe = result.provenance, TASKS[result.task].recipe
    sizes = {name: (_dict(provenance.get("settings")).get(name), None) for name in SIZES}
    if _model(result) in UNSEEDED:
        return sizes
    model = _dict(provenance.get("model"))
    key = _dict(model.get("key"))
    usual: dict[str, Any] = asdict(PROTOCOLS[result.protocol])
    usual |= {"layer": "last", "strand": "forward", "context": None}
    used = usual | _dict(provenance.get("protocol"))
    if isinstance(context := _dict(model.get("asked")).get("context"), int):
        used["context"] = context
    if isinstance(key.get("windows"), dict):
        used["windows"] = key["windows"].get("policy", used["windows"])
    used |= {name: key[name] for name in ("kmer_shift", "strand") if name in key}
    if isinstance(key.get("layer"), list) and key["layer"] not in ([-1], ["last"], [model.get("layers")]):
        used["layer"] = ", ".join(map(str, key["layer"]))
    if recipe is None and isinstance(key.get("dtype"), str):  # distances of variants are differences, lost in halves
        usual["dtype"], used["dtype"] = "float32", key["dtype"]
    if recipe is not None:
        usual |= asdict(recipe) | {"patience": None, "standardize": False} | dict.fromkeys(EXACT, "auto")
        given = provenance.get("settings")
        used |= asdict(recipe) | {"patience": None, "standardize": False} | _dict(provenance.get("recipe"))
        used |= {name: value for name, value in _dict(given).items() if value is not None}
        used |= {name: "auto" for name, exact in EXACT.items() if used.get(name, "auto") in exact}
        if not isinstance(given, dict):
            used |= {"epochs": UNKNOWN, "batch_size": UNKNOWN, "patience": UNKNOWN}
    return {name: (used[name], standard) for name, standard in usual.items()} | sizes


def trained(result: Result) -> bool:
    """Whether another seed would give another score: not for zero-shot scores and the composition baseline."""
    return TASKS[result.task].recipe is not None and _model(result) not in UNSEEDED


def _model(result: Result) -> Any:
    return _dict(result.provenance.get("model")).get("name")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def departures(results: Sequence[Result]) -> str:
    """Say where one model's results on a task (one per seed) depart from its recipe and protocol; ``""``: nowhere."""
    said = {result.seed: _departures(result) for result in results}
    if len(set(said.values())) < 2:
        return next(iter(said.values()), "")
    return "seeds differ: " + "; ".join(f"seed {seed} {text or 'by the recipe'}" for seed, text in said.items())


def _departures(result: Result) -> str:
    found = {name: pair for name, pair in settings(result).items() if pair[0] != pair[1]}
    known = sorted((name for name in found if found[name][0] != UNKNOWN), key=lambda name: name != "epochs")
    unknown = [] if len(known) == len(found) else ["settings of training not recorded"]
    budget = result.provenance.get("budget")
    return ", ".join([*unknown, *(_words(name, *found[name], budget) for name in known)])


def _words(name: str, value: Any, standard: Any, budget: Any) -> str:
    if name == "epochs":
        return f"trained for {counted(value, 'epoch')} instead of the recipe's {standard}"
    if name == "limit" and isinstance(budget, int | float):
        return f"at most {counted(value, 'row')} of each split, to fit a budget of {duration(budget)}"
    if name == "limit":
        return f"a smoke test on at most {counted(value, 'row')} per split"
    if name == "train_rows":
        return f"trained on {counted(value, 'row')}"
    if name == "context":
        return f"given at most {counted(value, 'token')} at once instead of what the model states"
    if name == "standardize":
        return "vectors standardized over the training rows"
    return f"{_plain(name)} {_plain(value)} instead of {_plain(standard)}"


def _plain(value: Any) -> str:
    return "none" if value is None else str(value).replace("_", " ")


def same_data(results: Sequence[Result]) -> None:
    """Refuse results of one task under different protocols or on different data.

    Raises:
        BendError: The message names both models and values.
    """
    first = results[0]
    for other in results[1:]:
        digests = [one.provenance.get("dataset_digest") for one in (first, other)]
        for what, (one, another), remedy in (
            ("protocol", (first.protocol, other.protocol), "choose one (protocol=, --protocol) or evaluate again"),
            ("data digest", digests, "evaluate both on the same data"),
        ):
            if one != another:
                raise BendError(
                    f"{first.task}: {first.label} and {other.label} differ in their {what} "
                    f"({one}; {another}), so their difference means nothing: {remedy}."
                )


def same_settings(results: Sequence[Result]) -> None:
    """Refuse results of one task whose heads were trained, or whose inputs were cut, differently.

    Raises:
        BendError: The message names both models, every setting that differs with both values, and the recipe's.
    """
    bound = sorted(results, key=_untrained)  # so that the first has all the settings that any has
    for other in bound[1:]:
        first, mine, theirs = bound[0], _binding(bound[0]), _binding(other)
        unlike = [name for name in mine if mine[name] != theirs.get(name, mine[name])]
        if unlike:
            seeds = [f" (seed {result.seed})" if first.label == other.label else "" for result in (first, other)]
            values = [f"{_plain(name)} ({_plain(mine[name])}; {_plain(theirs[name])})" for name in unlike]
            standard = [f"{_plain(name)} {_plain(settings(first)[name][1])}" for name in unlike]
            raise BendError(
                f"{first.task}: {first.label}{seeds[0]} and {other.label}{seeds[1]} differ in their "
                f"{' and '.join(values)}, so their difference means nothing: evaluate both alike (the recipe's: "
                f"{', '.join(standard)}), or leave one out."
            )


def _binding(result: Result) -> dict[str, Any]:
    """The settings that compared results must share."""
    return {name: value for name, (value, _) in settings(result).items() if name not in OWN}


def _untrained(result: Result) -> bool:
    """Whether a result has no settings but those that leave out rows, so that it goes with every training."""
    return set(_binding(result)) <= set(SIZES)


def _left_out(result: Result) -> dict[str, Any]:
    return {name: settings(result)[name][0] for name in SIZES}


def of_all_rows(result: Result) -> bool:
    """Whether a result is of all of its task's rows: no smoke test, and no point of a curve over training rows."""
    return not any(_left_out(result).values())


def alike(results: Sequence[Result]) -> tuple[list[Result], str]:
    """Choose the results of one task that may be ranked together.

    Returns:
        The models made by the recipe where there are any, else the largest group made alike (on all rows before
        others), with what has no settings and as many rows; and a note that names the others, ``""`` for none.
    """
    models: dict[str, list[Result]] = {}
    for result in results:
        models.setdefault(result.label, []).append(result)
    groups: dict[str, list[str]] = {}
    for model, mine in models.items():
        if len(kinds := {repr(_binding(result)) for result in mine}) == 1:
            groups.setdefault(kinds.pop(), []).append(model)
    untrained = {model for model, mine in models.items() if _untrained(mine[0])}
    free = {kind: groups.pop(kind) for kind, group in list(groups.items()) if untrained.issuperset(group)}

    def preference(group: list[str]) -> tuple[bool, bool, int]:
        result = models[group[0]][0]
        by_recipe = all(settings(result)[name][1] == value for name, value in _binding(result).items())
        return of_all_rows(result), by_recipe, len(group)

    ranked = max((groups or free).values(), key=preference, default=[])
    rows = [_left_out(models[model][0]) for model in ranked[:1]]
    others = [m for m in models if m not in ranked and not (m in untrained and [_left_out(models[m][0])] == rows)]
    if not others:
        return list(results), ""
    named = ", ".join(f"{model} ({departures(models[model]) or 'by the recipe'})" for model in others)
    rest = f" with the others ({departures(models[ranked[0]]) or 'by the recipe'})" if ranked else ""
    note = f"not ranked{rest}: {named}."
    return [result for result in results if result.label not in others], note


def same_seeds(results: Sequence[Result]) -> None:
    """Refuse models on one task whose heads were trained with other seeds.

    Who may choose a model's seeds, or how many, may choose its best ones. So all have the same; but a model with one of
    the others' seeds goes with them, its training error borrowed (see `bend_hf.results.ranks`).

    Raises:
        BendError: The message names two models and the seeds of both.
    """
    chosen, others = _seeds_apart(results)
    if others:
        first = next(model for model, seeds in _seeds(results).items() if seeds == chosen)
        other, theirs = next(iter(others.items()))
        remedy = _numbers(chosen).replace(" ", "") if len(chosen) > 1 else "3"
        raise BendError(
            f"{results[0].task}: {first} and {other} were trained with other seeds ({_numbers(chosen)}; "
            f"{_numbers(theirs)}), so that the choice of seeds would rank them: evaluate both with the same "
            f"(--seeds {remedy}), or leave one out."
        )


def alike_in_seeds(results: Sequence[Result]) -> tuple[list[Result], str]:
    """Choose the results of one task that were trained with the same seeds, so that they may be ranked together.

    Returns:
        The largest group of models with the same several seeds, else the largest with the same one; with those that
        have one of these seeds or none; and a note that names the others, ``""`` for none.
    """
    chosen, others = _seeds_apart(results)
    if not others:
        return list(results), ""
    named = ", ".join(f"{model} ({_said(seeds)})" for model, seeds in others.items())
    kept = [result for result in results if result.label not in others]
    return kept, f"not ranked with those of {_said(chosen)}: {named}."


def _seeds_apart(results: Sequence[Result]) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """The seeds that models are ranked with, and the models that have others, with theirs."""
    models = _seeds(results)
    groups = Counter(models.values())

    def preference(seeds: tuple[int, ...]) -> tuple[bool, int, int, list[int]]:
        return len(seeds) > 1, groups[seeds], len(seeds), [-seed for seed in seeds]

    chosen = max(groups, key=preference, default=())
    fits = {chosen, *((seed,) for seed in chosen)}
    return chosen, {model: seeds for model, seeds in models.items() if seeds not in fits}


def _seeds(results: Sequence[Result]) -> dict[str, tuple[int, ...]]:
    """The seeds of every model whose training depends on them."""
    found: dict[str, set[int]] = {}
    for result in results:
        if result.seed is not None and trained(result):
            found.setdefault(result.label, set()).add(result.seed)
    return {model: tuple(sorted(seeds)) for model, seeds in found.items()}


def _said(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {_numbers(seeds)}"


def _numbers(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def footnotes(texts: Sequence[str]) -> dict[str, str]:
    """Letters for what is said of several rows: text → ``a``, ``b`` … ``z``, ``aa`` …, in order of appearance."""
    found = dict.fromkeys(text for text in texts if text)
    return {text: "abcdefghijklmnopqrstuvwxyz"[k % 26] * (k // 26 + 1) for k, text in enumerate(found)}


def marked(departures: str, marks: Mapping[str, str]) -> str:
    """What follows a name or score that departs from the recipe: its letter in ``marks``, in brackets; else nothing."""
    return f" [{marks[departures]}]" if departures else ""


def explained(marks: Mapping[str, str]) -> list[str]:
    """The lines that say what the letters mean."""
    return [f"[{letter}] {text}" for text, letter in marks.items()]
