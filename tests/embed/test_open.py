"""What a user may name: files and modules of Python, entry points, objects; and options that would change nothing."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import tiny_models

import bend_hf
from bend_hf.cli import main
from bend_hf.embed import open as opening
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.open import find_object, in_python, load_embedder
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol

RULES = get_protocol("default")
CODE = """
import numpy as np
from helper import WIDTH

def embed(sequences):
    return [np.array([[ord(c) / 100] * WIDTH for c in s]) for s in sequences], None

class Model:
    name = "a-class"
    causal = True
    def __call__(self, sequences):
        return embed(sequences)

model = Model()
number = 7

class Broken:
    def __init__(self):
        raise RuntimeError("no weights here")
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "helper.py").write_text("WIDTH = 3\n")
    (tmp_path / "my_model.py").write_text(CODE)
    yield tmp_path / "my_model.py"
    for name in ("helper", "my_model", "bend_hf_model_my_model"):
        sys.modules.pop(name, None)


def test_a_function_in_a_file(file):
    embedder = load_embedder(f"{file}:embed", protocol=RULES)
    assert embedder.name == "my_model.py:embed"
    assert np.allclose(next(embedder.embed(["AC"])).vectors, [[0.65] * 3, [0.67] * 3])
    assert embedder.provenance()["source"] == f"{file}:embed"
    assert str(file.parent) not in sys.path


@pytest.mark.parametrize("name", ["model", "Model"])
def test_objects_and_classes_in_a_file(file, name):
    embedder = load_embedder(f"{file}:{name}", protocol=RULES)
    assert (embedder.name, embedder.causal, embedder.dim) == ("a-class", True, 3)


def test_an_object_of_a_module_in_the_working_directory(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert load_embedder("my_model:embed", protocol=RULES).name == "my_model:embed"
    assert load_embedder("my_model:model.__call__", protocol=RULES).dim == 3
    assert load_embedder("my_model:embed", protocol=RULES, name="renamed").name == "renamed"


def test_an_entry_point_of_a_package(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    point = EntryPoint("offered", "my_model:embed", opening.GROUP)

    def entry_points(group, name):
        return [point] if (group, name) == (opening.GROUP, "offered") else []

    monkeypatch.setattr(opening, "entry_points", entry_points)
    assert in_python("offered")
    assert not in_python("onehot")
    assert load_embedder("offered", protocol=RULES).name == "offered"


@pytest.mark.parametrize(
    ("name", "python"),
    [
        ("my_model.py:embed", True),
        ("package.module:object.part", True),
        ("./dir/my.model.py:f", True),
        ("nt-v2-500m", False),
        ("a/b", False),
        ("C:\\models\\mine", False),
        ("https://host/x", False),
        ("model:", False),
        (":embed", False),
    ],
)
def test_names_of_python_objects(name, python):
    assert in_python(name) == python


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("embbed", "has no 'embbed'; it has .*embed"),
        ("number", "7 is no model"),
        ("Broken", "importing it failed: RuntimeError: no weights here"),
    ],
)
def test_bad_objects(file, attribute, message):
    with pytest.raises(BendError, match=message):
        load_embedder(f"{file}:{attribute}", protocol=RULES)


def test_bad_files_and_modules(tmp_path):
    with pytest.raises(BendError, match="There is no file"):
        find_object(f"{tmp_path}/absent.py:embed")
    (tmp_path / "wrong.py").write_text("def embed(:\n")
    with pytest.raises(BendError, match="SyntaxError"):
        find_object(f"{tmp_path}/wrong.py:embed")
    with pytest.raises(BendError, match="No module named 'no_such_module'"):
        find_object("no_such_module:embed")


def test_the_command_line_takes_a_function(file, toy_dir, tmp_path, capsys):
    """Evaluate, doctor, embed, and the rerun of what was recorded."""
    output = tmp_path / "results"
    common = ["--data-dir", str(toy_dir), "--genome-checked"]
    tasks = ["--tasks", "variant_effects_disease"]
    assert main(["evaluate", f"{file}:embed", *tasks, *common, "--output", str(output)]) == 0
    [result] = bend_hf.read_results(output)
    assert result.model == "my_model.py:embed"
    assert main(["doctor", f"{file}:embed"]) == 0
    assert "my_model.py:embed" in capsys.readouterr().out
    store = tmp_path / "store"
    assert main(["embed", f"{file}:embed", "--tasks", "cpg_methylation", *common, "--store", str(store)]) == 0
    assert list(store.glob("*/manifest.json"))
    assert main(["rerun", str(result.path), "--dry-run", "--model", f"{file}:embed"]) == 0
    assert f"{file}:embed" in capsys.readouterr().out


def test_a_rerun_of_a_python_object_says_what_is_missing(toy_dir, tmp_path, capsys):
    def mine(sequences):
        return [np.full((len(s), 2), len(s)) for s in sequences], None

    options = {"data_dir": toy_dir, "output": tmp_path, "genome_checked": True}
    [result] = bend_hf.evaluate(mine, ["variant_effects_disease"], **options)
    assert main(["rerun", str(result.path), "--dry-run"]) == 1
    assert "mine was a Python callable" in capsys.readouterr().err


def test_vectors_of_a_callable_are_kept_where_a_store_is_named(toy_dir, tmp_path):
    """The second run reads them: the callable sees no row again, only its probes."""
    seen = []

    def counting(sequences):
        seen.extend(sequences)
        return [np.array([[ord(c) / 100] for c in s], np.float32) for s in sequences], None

    common = {
        "data_dir": toy_dir,
        "genome_checked": True,
        "epochs": 1,
        "store": tmp_path / "store",
        "device": "cpu",
        "seeds": 1,
    }
    [first] = bend_hf.evaluate(counting, ["cpg_methylation"], output=tmp_path / "one", **common)
    rows = len(seen)
    seen.clear()
    [second] = bend_hf.evaluate(counting, ["cpg_methylation"], output=tmp_path / "two", **common)
    assert first.score == second.score
    assert len(set(map(len, seen))) == 5  # the probes
    assert len(seen) < 10 < rows


# Options that do not apply, and names that are taken.


@pytest.mark.parametrize(
    "options",
    [
        {"layer": 0},
        {"layer": [-1]},
        {"strand": "average"},
        {"dtype": "bfloat16"},
        {"revision": "main"},
        {"trust_remote_code": True},
        {"prefix": "<dna>"},
        {"context": 64},
        {"tokenizer": "x"},
    ],
)
def test_options_that_would_change_nothing_are_refused(options, tmp_path, toy_dir):
    [name] = options
    own = Embedder.from_pretrained(str(tiny_models.esm(tmp_path / "esm")), device="cpu")

    def mine(sequences):
        return [np.zeros((len(s), 2)) for s in sequences], None

    for model in ("onehot", own, mine):
        with pytest.raises(BendError, match=f"{name}=.* would change nothing"):
            load_embedder(model, protocol=RULES, **options)
    for model in ("composition", "basset"):
        with pytest.raises(BendError, match=f"{name}=.* would change nothing"):
            bend_hf.evaluate(model, ["chromatin_accessibility"], data_dir=toy_dir, output=tmp_path, **options)
    assert load_embedder("onehot", protocol=RULES, layer="last", dtype="auto").name == "onehot"
    if name in ("revision", "trust_remote_code"):
        with pytest.raises(BendError, match=f"A model in memory: {name}=.* would change nothing"):
            load_embedder((own.loaded.model, _tokenizer(tmp_path)), protocol=RULES, **options)


def _tokenizer(tmp_path):
    from transformers import EsmTokenizer

    return EsmTokenizer.from_pretrained(tmp_path / "esm")


def test_an_embedder_of_another_protocol_is_refused(tmp_path):
    own = Embedder.from_pretrained(str(tiny_models.esm(tmp_path)), device="cpu")
    with pytest.raises(BendError, match="reads sequences as 'default' does: make it with protocol='bend-2024'"):
        load_embedder(own, protocol=get_protocol("bend-2024"))
    right = Embedder.from_pretrained(str(tmp_path), device="cpu", protocol="bend-2024")
    assert load_embedder(right, protocol=get_protocol("bend-2024")) is right


@pytest.mark.parametrize("name", ["onehot", "composition", "basset"])
def test_baselines_names_are_taken(name):
    def mine(sequences):
        return [np.zeros((len(s), 2)) for s in sequences], None

    with pytest.raises(BendError, match=f"cannot be called '{name}'"):
        load_embedder(mine, protocol=RULES, name=name)
