"""The metrics as `evaluate` modules: loading, accumulation, combination, pickling, and what they refuse."""

from __future__ import annotations

import inspect
import math
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest

import bend_hf
from bend_hf.errors import BendError
from bend_hf.resources import folder

NAMES = ["mcc", "auroc", "auprc", "macro_f1", "pearson", "spearman"]
ROOT = folder("metrics").parent

DATA: dict[str, tuple[np.ndarray, np.ndarray]] = {}
_rng = np.random.default_rng(5)
DATA["mcc"] = (_rng.integers(0, 4, 60), np.where(_rng.random(60) < 0.2, -100, _rng.integers(0, 4, 60)))
DATA["auroc"] = (_rng.normal(size=(60, 3)), _rng.integers(0, 2, (60, 3)))
DATA["auprc"] = (_rng.normal(size=60), np.where(_rng.random(60) < 0.2, -100, _rng.integers(0, 2, 60)))
DATA["macro_f1"] = DATA["mcc"]
DATA["pearson"] = DATA["spearman"] = (_rng.normal(size=60), _rng.normal(size=60))


@pytest.fixture(params=["evaluate.load", "bend_hf.load_metric"])
def load(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    if request.param == "bend_hf.load_metric":
        return bend_hf.load_metric
    monkeypatch.chdir(ROOT)
    return lambda name, **options: evaluate.load(f"metrics/{name}", **options)


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("_array", NAMES),
        ("_checked", ["auroc", "auprc"]),
        ("_checked", ["pearson", "spearman"]),
        *((function, ["mcc", "macro_f1"]) for function in ("_labels", "_pair", "confusion_matrix")),
    ],
)
def test_what_metrics_share_is_the_same_in_each(function: str, names: list[str]) -> None:
    """Each is one file that loads alone, so that what several need stands in each of them."""
    files = [(ROOT / "metrics" / name / f"{name}.py").read_text() for name in names]
    copies = [re.findall(rf"^def {function}\(.*?(?=\n\n\n)", text, flags=re.S | re.M) for text in files]
    assert len(copies[0]) == 1
    assert copies == [copies[0]] * len(copies)


@pytest.mark.parametrize("name", NAMES)
def test_accumulation_equals_one_call(load: Callable[..., Any], name: str) -> None:
    metric = load(name)
    predictions, references = DATA[name]
    expected = metric.compute(predictions=predictions, references=references)
    assert metric.name == name
    assert expected[name] is not None

    for p, r in zip(predictions, references, strict=True):
        metric.add(prediction=p, reference=r)
    assert metric.compute() == expected
    for start in range(0, 60, 7):
        metric.add_batch(
            predictions=predictions[start : start + 7].tolist(), references=references[start : start + 7].tolist()
        )
    assert metric.compute() == expected
    metric.add_batch(predictions=predictions[:20], references=references[:20])
    metric.add(predictions=predictions[20], references=references[20])
    assert metric.compute(predictions=predictions[21:], references=references[21:]) == expected


@pytest.mark.parametrize("name", NAMES)
def test_compute_begins_anew(name: str) -> None:
    metric = bend_hf.load_metric(name)
    predictions, references = DATA[name]
    first = metric.compute(predictions=predictions[:30], references=references[:30])
    assert len(metric) == 0
    with pytest.raises(ValueError, match="call `add` or `add_batch` first"):
        metric.compute()
    metric.compute(predictions=predictions, references=references)
    assert metric.compute(predictions=predictions[:30], references=references[:30]) == first


@pytest.mark.parametrize("name", NAMES)
def test_batches_are_copied(name: str) -> None:
    metric = bend_hf.load_metric(name)
    predictions, references = DATA[name]
    expected = metric.compute(predictions=predictions, references=references)
    p, r = np.empty_like(predictions[:30]), np.empty_like(references[:30])
    for start in (0, 30):
        p[:], r[:] = predictions[start : start + 30], references[start : start + 30]
        metric.add_batch(predictions=p, references=r)
    assert metric.compute() == expected


@pytest.mark.parametrize("name", NAMES)
def test_length_and_repr(name: str) -> None:
    metric = bend_hf.load_metric(name)
    predictions, references = DATA[name]
    metric.add_batch(predictions=predictions, references=references)
    assert len(metric) == (np.sum(references != -100) if name in ("mcc", "macro_f1") else 60)
    assert f'name: "{name}"' in repr(metric)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_series_and_shapes(name: str) -> None:
    import pandas as pd
    import torch

    metric = bend_hf.load_metric(name)
    predictions, references = DATA[name]
    expected = metric.compute(predictions=predictions, references=references)
    assert metric.compute(predictions=torch.tensor(predictions), references=torch.tensor(references)) == expected
    if name != "auroc":
        assert metric.compute(predictions=pd.Series(predictions), references=pd.Series(references)) == expected
        shaped = {"predictions": predictions.reshape(6, 10), "references": references.reshape(6, 10)}
        assert metric.compute(**shaped) == expected


class _Foreign:
    """An array of another library, as jax and others show it to numpy."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.values, dtype)


@pytest.mark.parametrize(
    ("name", "known"), [("auroc", 0.75), ("auprc", 5 / 6), ("pearson", 0.64758), ("spearman", 0.44721)]
)
def test_scores_of_any_tensor(name: str, known: float) -> None:
    import torch

    metric = bend_hf.load_metric(name)
    scores, labels = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
    exact = torch.tensor(scores)
    ways = {
        "gradient": exact.clone().requires_grad_(),
        "bfloat16": exact.to(torch.bfloat16),
        "half": exact.half(),
        "sparse": exact.to_sparse(),
        "sparse with gradient": exact.to_sparse().requires_grad_(),
        "complex view": torch.complex(torch.zeros(4), -exact).conj().imag,
        "bfloat16 with gradient": exact.to(torch.bfloat16).requires_grad_(),
        "list of tensors": list(exact.clone().requires_grad_()),
        "foreign": _Foreign(scores),
    }
    for way, values in ways.items():
        for references in (labels, torch.tensor(labels, dtype=torch.int8), torch.tensor(labels).bool()):
            assert metric.compute(predictions=values, references=references)[name] == pytest.approx(known, abs=1e-3), (
                way
            )
    for score, label in zip(exact.clone().requires_grad_(), labels, strict=True):
        metric.add(prediction=score, reference=label)
    assert metric.compute()[name] == pytest.approx(known, abs=1e-3)


@pytest.mark.parametrize("name", ["mcc", "macro_f1"])
def test_classes_of_any_tensor(name: str) -> None:
    import torch

    metric = bend_hf.load_metric(name)
    expected = metric.compute(predictions=[0, 1, 1, 2], references=[0, 1, 2, -100])
    for dtype in (torch.uint8, torch.int16, torch.int64):
        given = torch.tensor([0, 1, 1, 2], dtype=dtype)
        assert metric.compute(predictions=given, references=torch.tensor([0, 1, 2, -100])) == expected
    assert metric.compute(predictions=_Foreign([0, 1, 1, 2]), references=[0, 1, 2, -100]) == expected


class _Lost:
    """What can no longer be read, as a tensor of a device that is gone."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise RuntimeError("device lost\nat 0x1")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_array_is_refused_in_one_sentence(name: str) -> None:
    import torch

    metric = bend_hf.load_metric(name)
    given = {
        "no array can be made of this Tensor": torch.empty(2, device="meta"),
        r"no array can be made of this _Lost \(device lost\)\. Give": _Lost(),
        "no array can be made of this list": [[0, 1], [1]],
        "has masked values": np.ma.array([0, 1], mask=[True, False]),
        "got object": np.array([0, None], dtype=object),
        "got <U1": np.array(["0", "1"]),
    }
    for words, values in given.items():
        for data in (
            {"predictions": values, "references": [0, 1]},
            {"predictions": [0, 1], "references": values},
        ):
            with pytest.raises(ValueError, match=words):
                metric.compute(**data)


def test_a_masked_array_without_masked_values_is_an_array() -> None:
    whole = np.ma.array([0, 1, 1, 0], mask=False)
    assert bend_hf.load_metric("mcc").compute(predictions=whole, references=[0, 1, 1, 0])["mcc"] == 1


def test_classes_are_given_at_loading_too(load: Callable[..., Any]) -> None:
    data = {"predictions": [0, 1, 1], "references": [0, 1, 0]}
    assert load("mcc", n_classes=4).compute(**data) == load("mcc").compute(**data, n_classes=4)
    assert len(load("mcc", n_classes=4).compute(**data)["recall"]) == 4


@pytest.mark.parametrize("name", NAMES)
def test_options_that_do_not_exist_are_refused(load: Callable[..., Any], name: str) -> None:
    with pytest.raises(ValueError, match="no option avrage"):
        load(name, avrage="macro")


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_of_evaluates_own_modules(name: str) -> None:
    """Its common test asks for `_compute` without ** and runs it on the parts."""
    metric = bend_hf.load_metric(name)
    parameters = inspect.signature(metric._compute).parameters
    assert {"predictions", "references"} <= set(parameters)
    assert all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values())
    predictions, references = DATA[name]
    metric.add_batch(predictions=predictions[:9], references=references[:9])
    whole = metric._compute(predictions=predictions, references=references)
    assert whole == bend_hf.load_metric(name).compute(predictions=predictions, references=references)
    kept = bend_hf.load_metric(name).compute(predictions=predictions[:9], references=references[:9])
    assert metric.compute() == kept  # what was added before is untouched
    if "n_classes" in parameters:
        twelve = metric._compute(predictions=predictions, references=references, n_classes=12)
        assert twelve == metric.compute(predictions=predictions, references=references, n_classes=12)
        assert twelve != whole


@pytest.mark.parametrize("name", NAMES)
def test_pickle_keeps_what_was_added(load: Callable[..., Any], name: str) -> None:
    metric = load(name)
    predictions, references = DATA[name]
    expected = metric.compute(predictions=predictions, references=references)
    metric.add_batch(predictions=predictions[:40], references=references[:40])
    copy = pickle.loads(pickle.dumps(metric))
    for instance in (metric, copy):
        assert instance.compute(predictions=predictions[40:], references=references[40:]) == expected


def test_pickle_travels_to_another_process(tmp_path: Path) -> None:
    metric = bend_hf.load_metric("mcc")
    metric.add_batch(predictions=[0, 1, 1], references=[0, 1, 0])
    (tmp_path / "metric.pickle").write_bytes(pickle.dumps(metric))
    code = (
        "import pickle, bend_hf; bend_hf.load_metric('auroc'); "
        f"print(pickle.load(open({str(tmp_path / 'metric.pickle')!r}, 'rb')).compute())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == str(metric.compute())


def test_combine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    predictions, references = DATA["auprc"]
    expected = {
        **bend_hf.load_metric("auroc").compute(predictions=predictions, references=references),
        **bend_hf.load_metric("auprc").compute(predictions=predictions, references=references),
    }
    both = evaluate.combine(["metrics/auroc", "metrics/auprc"])
    assert both.compute(predictions=predictions, references=references) == expected
    for p, r in zip(predictions, references, strict=True):
        both.add(predictions=p, references=r)
    assert both.compute() == expected
    for p, r in zip(predictions, references, strict=True):
        both.add(p, r)
    assert both.compute() == expected
    both.add_batch(predictions=predictions, references=references)
    assert both.compute() == expected
    prefixed = evaluate.combine({"a": bend_hf.load_metric("mcc"), "b": bend_hf.load_metric("mcc")})
    assert set(prefixed.compute(predictions=[0, 1], references=[0, 1])) >= {"a_mcc", "b_mcc"}


def test_mcc_grows_with_the_classes_seen() -> None:
    metric = bend_hf.load_metric("mcc")
    metric.add(prediction=0, reference=1)
    metric.add_batch(predictions=[4, 2], references=[2, 2])
    result = metric.compute()
    assert result["recall"] == [None, 0.0, 0.5, None, None]
    assert result["precision"] == [0.0, None, 1.0, None, 0.0]
    assert len(metric.compute(predictions=[0], references=[0], n_classes=9)["recall"]) == 9
    for wrong in ("4", 4.0, True):
        with pytest.raises(ValueError, match="is no whole number"):
            metric.compute(predictions=[0], references=[0], n_classes=wrong)
    with pytest.raises(ValueError, match="n_classes=2, but class 3 was seen"):
        metric.compute(predictions=[3], references=[0], n_classes=2)


def test_mcc_memory_does_not_grow_with_labels() -> None:
    metric = bend_hf.load_metric("mcc")
    sizes = []
    for _ in range(3):
        metric.add_batch(predictions=np.zeros(100_000, dtype=np.int8), references=np.ones(100_000, dtype=np.int8))
        sizes.append(len(pickle.dumps(metric)))
    assert max(sizes) == min(sizes) < 20_000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given", [{"predictions": [0, 1]}, {"references": [0, 1]}, {}])
def test_half_of_the_input_is_refused(name: str, given: dict[str, list]) -> None:
    metric = bend_hf.load_metric(name)
    with pytest.raises(ValueError, match="predictions and references"):
        metric.add_batch(**given)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_input_is_refused(name: str) -> None:
    metric = bend_hf.load_metric(name)
    with pytest.raises(ValueError, match="labels"):
        metric.add_batch(predictions=[0, 1], references=[0, 1], labels=[0, 1])
    with pytest.raises(ValueError, match="label"):
        metric.add(prediction=0, reference=1, label=1)
    with pytest.raises(TypeError, match="average"):
        metric.compute(predictions=[0, 1], references=[0, 1], average="macro")


@pytest.mark.parametrize(
    ("name", "predictions", "said"),
    [
        ("mcc", [0.4, 1.6], "integer classes, got float64"),
        ("mcc", [0, 5000], "Class 5000 is beyond"),
        ("mcc", [0, -1], "from -1 to 0"),
        ("auroc", [0.1, math.nan], "1 NaN"),
        ("auprc", [0.1, math.nan], "1 NaN"),
        ("macro_f1", [0.4, 1.6], "integer classes, got float64"),
        ("macro_f1", [0, 5000], "Class 5000 is beyond"),
        ("pearson", [0.1, math.nan], r"not finite, the first at \(1,\)"),
        ("spearman", [0.1, math.inf], r"not finite, the first at \(1,\)"),
    ],
)
def test_refused_input_leaves_the_rest_alone(name: str, predictions: list, said: str) -> None:
    metric = bend_hf.load_metric(name)
    good = {"predictions": [0, 1, 1], "references": [0, 1, 0]}
    expected = metric.compute(**good)
    metric.add_batch(**good)
    with pytest.raises(ValueError, match=said):
        metric.add_batch(predictions=predictions, references=[0, 1])
    assert metric.compute() == expected


def test_auroc_refuses_another_number_of_labels() -> None:
    metric = bend_hf.load_metric("auroc")
    metric.add(prediction=[0.1, 0.2], reference=[0, 1])
    with pytest.raises(ValueError, match=r"\(1, 3\) follows one of shape \(1, 2\)"):
        metric.add(prediction=[0.1, 0.2, 0.3], reference=[0, 1, 1])
    with pytest.raises(ValueError, match=r"must be \(n,\) or \(n, labels\)"):
        metric.add_batch(predictions=np.zeros((2, 2, 2)), references=np.zeros((2, 2, 2), dtype=int))


@pytest.mark.parametrize("name", NAMES)
def test_several_processes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"num_process > 1 is not supported.*gather_for_metrics"):
        bend_hf.load_metric(name, num_process=2, process_id=0)


def test_unknown_metric() -> None:
    with pytest.raises(BendError, match=r"Did you mean 'auroc'\?"):
        bend_hf.load_metric("aurok")


@pytest.mark.parametrize("name", NAMES)
def test_documented_example(name: str) -> None:
    metric = bend_hf.load_metric(name)
    call, shown = re.search(r">>> (\w+\.compute.*)\n *(.*)", metric.inputs_description).groups()  # type: ignore[union-attr]
    assert str(eval(call, {name: metric})) == shown
    assert metric.inputs_description in metric.compute.__doc__
    assert metric.description.strip()
    assert metric.citation.startswith("@book{" if name == "macro_f1" else "@article{")


@pytest.mark.parametrize("name", NAMES)
def test_numerics_need_numpy_alone(name: str) -> None:
    source = (folder("metrics") / name / f"{name}.py").read_text()
    imports = set(re.findall(r"^(?:import|from) (\w+)", source, flags=re.MULTILINE))
    assert imports == {"__future__", "inspect", "typing", "datasets", "evaluate", "numpy"}
