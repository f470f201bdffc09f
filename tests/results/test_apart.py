"""Two runs of one name are two models to every table, whatever they differ in and whatever their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from result_factory import make_result, trained

from bend_hf.results.apart import told_apart
from bend_hf.results.record import Result

IDENTITY = {"files": "5ae2f6d5" * 8, "class": "EsmModel", "tokens": {"family": "k-mers", "k": 6}}
EMBEDDER = {"model": IDENTITY, "dtype": "float32", "layer": [-1], "strand": "forward", "windows": {"tokens": 991}}
CALLABLE = {"model": "embed", "version": "1", "computed": "c" * 32, "function": "f" * 32, "causal": False}


def run(seed: int, embedder: Any, *, source: str | None = None, code: str = "c" * 64, rows: str = "d" * 64) -> Result:
    key = {
        "rows": rows,
        "embedder": embedder,
        "network": None,
        "protocol": {},
        "recipe": {},
        "settings": {},
        "code": code,
    }
    provenance = trained()
    provenance["model"] = {"name": "ck", "source": source}
    return make_result("histone_modification", model="ck", seed=seed, key=key, provenance=provenance)


def labels(*results: Result) -> list[str]:
    return [result.label for result in told_apart(results)]


OTHERS: dict[str, tuple[Any, Any]] = {
    "weights": (EMBEDDER, EMBEDDER | {"model": IDENTITY | {"files": "0115ca91" * 8}}),
    "class": (EMBEDDER, EMBEDDER | {"model": IDENTITY | {"class": "Other"}}),
    "tokens": (EMBEDDER, EMBEDDER | {"model": IDENTITY | {"tokens": {"family": "k-mers", "k": 3}}}),
    "adapter": (EMBEDDER, EMBEDDER | {"model": IDENTITY | {"adapter": "a" * 64}}),
    "commit": (
        EMBEDDER | {"model": {"repository": "a/b", "commit": "1" * 40, "class": "x"}},
        EMBEDDER | {"model": {"repository": "a/b", "commit": "2" * 40, "class": "x"}},
    ),
    "what a model in memory computes": (
        EMBEDDER | {"model": IDENTITY | {"computed": "1" * 32}},
        EMBEDDER | {"model": IDENTITY | {"computed": "2" * 32}},
    ),
    "dtype": (EMBEDDER, EMBEDDER | {"dtype": "bfloat16"}),
    "layer": (EMBEDDER, EMBEDDER | {"layer": [3]}),
    "strand": (EMBEDDER, EMBEDDER | {"strand": "average"}),
    "windows": (EMBEDDER, EMBEDDER | {"windows": {"tokens": 500}}),
    "vectors of a callable": (CALLABLE, CALLABLE | {"computed": "e" * 32}),
    "code of a callable": (CALLABLE, CALLABLE | {"function": "e" * 32}),
    "version of a callable": (CALLABLE, CALLABLE | {"version": "2"}),
}


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)], ids=["one seed", "two seeds"])
@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_what_is_embedded_by_tells_runs_apart(one: Any, other: Any, seeds: Sequence[int]) -> None:
    assert len(set(labels(run(seeds[0], one), run(seeds[1], other)))) == 2
    assert labels(run(seeds[0], one), run(1 - seeds[0], one)) == ["ck", "ck"]


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)], ids=["one seed", "two seeds"])
@pytest.mark.parametrize("changed", [{"rows": "e" * 64}, {"code": "e" * 64}], ids=["rows", "code"])
def test_what_is_tested_on_and_by_tells_runs_apart(changed: dict[str, str], seeds: Sequence[int]) -> None:
    one, other = labels(run(seeds[0], EMBEDDER), run(seeds[1], EMBEDDER, **changed))
    [value] = changed.values()
    assert value[:8] in other
    assert value[:9] not in other
    assert one != other


def test_what_no_fact_shows_is_told_by_the_run() -> None:
    """The recipe is part of the key, and of no words."""
    one = run(0, EMBEDDER)
    assert one.key is not None
    other = make_result(
        "histone_modification", model="ck", key=one.key | {"recipe": {"hidden": 8}}, provenance=one.provenance
    )
    found = labels(one, other)
    assert found == [f"ck [run {result.name.rpartition('.')[2]}]" for result in (one, other)]


def test_a_place_is_said_and_not_compared() -> None:
    """A copy of a folder is the same model; of two models the folders are named."""
    copies = [run(seed, EMBEDDER, source=f"/models/run{seed}/ck") for seed in (0, 1)]
    assert labels(*copies) == ["ck", "ck"]
    other = run(1, EMBEDDER | {"model": IDENTITY | {"files": "0" * 64}}, source="/models/run1/ck")
    first, second = labels(copies[0], other)
    assert first.startswith("ck [run0/ck ")
    assert second.startswith("ck [run1/ck ")


def test_the_output_has_two_numbers_in_earlier_records() -> None:
    results = [run(0, EMBEDDER), run(1, EMBEDDER | {"layer": [12]}), run(1, EMBEDDER | {"layer": [11]})]
    for result in results:
        result.provenance["model"]["layers"] = 12
    assert labels(*results[:2]) == ["ck", "ck"]
    assert labels(results[0], results[2]) == ["ck [layer -1]", "ck [layer 11]"]


def test_another_context_is_told_over_tasks_and_its_windows_are_not() -> None:
    """The windows follow from it."""
    whole, cut = run(0, EMBEDDER), run(0, EMBEDDER | {"windows": {"tokens": 500}})
    whole.provenance["model"]["context"], cut.provenance["model"]["context"] = 1024, 512
    variants = make_result("variant_effects_disease", model="ck", key=cut.key, provenance=cut.provenance)
    for other in (cut, variants):
        assert labels(whole, other) == ["ck [context 1024]", "ck [context 512]"]


def test_a_model_in_memory_is_one_over_tasks_in_two_types() -> None:
    """Variants are scored in float32, heads trained on vectors in bfloat16."""
    one = run(0, EMBEDDER | {"dtype": "bfloat16", "model": IDENTITY | {"computed": "1" * 32}})
    other = run(0, EMBEDDER | {"model": IDENTITY | {"computed": "2" * 32}})
    variants = make_result("variant_effects_disease", model="ck", key=other.key, provenance=other.provenance)
    assert labels(one, variants) == ["ck", "ck"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [("limit", ("all rows", "limit 50")), ("train_rows", ("all training rows", "train rows 50"))],
)
def test_of_rows_that_were_not_cut_all_is_said(setting: str, words: tuple[str, str]) -> None:
    results = [run(seed, EMBEDDER) for seed in (0, 1)]
    for result, value in zip(results, (None, 50), strict=True):
        result.provenance["settings"][setting] = value
    assert labels(*results) == [f"ck [{said}]" for said in words]


def test_what_was_told_apart_is_not_told_again() -> None:
    """Of two layers one is shown alone, beside a model that has but one run: it keeps its words."""
    plain = make_result("histone_modification", model="other")
    told = told_apart([plain, run(0, EMBEDDER), run(0, EMBEDDER | {"layer": [3]})])
    assert [result.label for result in told] == ["other", "ck [layer -1]", "ck [layer 3]"]
    assert labels(*told[:2]) == ["other", "ck [layer -1]"]
