"""Models in memory: functions that give what are no vectors, objects that are no models, files that hold none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from damage.arguments import asked
from damage.bench import At, Bench, Given, Kind


def gives(change: Callable[[list[np.ndarray], list[np.ndarray]], Any]) -> Given:
    """Evaluate a function that gives sound vectors, changed."""

    def model(sequences: list[str]) -> Any:
        vectors = [np.zeros((len(each), 4), np.float32) for each in sequences]
        return change(vectors, [np.ones(len(each), int) for each in sequences])

    return asked(model=model)


def written(name: str, content: str | bytes) -> Given:
    """Evaluate the object ``embed`` of a Python file."""
    return asked(model=At(lambda bench: f"{bench.put(name, content)}:embed"))


def pipe(bench: Bench) -> str:
    os.mkfifo(bench.here / "pipe.py")
    return f"{bench.here}/pipe.py:embed"


def loaded(change: Callable[[Any, Any], Any]) -> At:
    """A model of transformers and its tokenizer, changed."""

    def make(bench: Bench) -> Any:
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(bench.model)
        return change(transformers.AutoModel.from_pretrained(bench.model), tokenizer)

    return At(make)


def broken(model: Any, tokenizer: Any) -> Any:
    with torch.no_grad():
        next(iter(model.parameters())).fill_(float("nan"))
    return model, tokenizer


PAIR = "want (vectors, lengths) for 1 sequence, one of each."
SHAPE = "and T positive lengths that sum to"
NUMBERS = "sequence 0 gave no arrays of numbers ("
FAILED = "failed on sequence 0 (96 nucleotides, "
TOKENIZER = "Module is a model without a tokenizer: give it too, as"
KINDS = (
    Kind("a function that gives nothing", gives(lambda v, n: None), PAIR),
    Kind("a function that gives no lengths", gives(lambda v, n: v), PAIR),
    Kind("a function that gives a dictionary", gives(lambda v, n: {"v": v}), PAIR),
    Kind("a function that gives too few", gives(lambda v, n: (v[:-1], n[:-1])), PAIR),
    Kind("a function that gives generators", gives(lambda v, n: (iter(v), iter(n))), PAIR),
    Kind(
        "vectors that are NaN",
        gives(lambda v, n: ([x * np.nan for x in v], n)),
        "gives NaN or infinite vectors (torch.float32)",
    ),
    Kind(
        "vectors that are infinite", gives(lambda v, n: ([x + np.inf for x in v], n)), "gives NaN or infinite vectors"
    ),
    Kind(
        "vectors beyond float32", gives(lambda v, n: ([x.astype(float) + 1e300 for x in v], n)), "gives NaN or infinite"
    ),
    Kind("vectors that are texts", gives(lambda v, n: (["x"] * len(v), n)), NUMBERS),
    Kind("vectors that are objects", gives(lambda v, n: ([x.astype(object) for x in v], n)), NUMBERS),
    Kind("vectors of ragged lists", gives(lambda v, n: ([[[1, 2], [1]]] * len(v), n)), NUMBERS),
    Kind("vectors without memory", gives(lambda v, n: ([torch.empty(x.shape, device="meta") for x in v], n)), NUMBERS),
    Kind(
        "vectors that are masked",
        gives(lambda v, n: ([np.ma.array(x, mask=True) for x in v], n)),
        f"{NUMBERS}some are masked)",
    ),
    Kind("vectors that are complex", gives(lambda v, n: ([x * 1j for x in v], n)), "sequence 0 gave complex vectors."),
    Kind("vectors of no width", gives(lambda v, n: ([x[:, :0] for x in v], n)), SHAPE),
    Kind("vectors of one dimension", gives(lambda v, n: ([x[:, 0] for x in v], n)), SHAPE),
    Kind("vectors of three dimensions", gives(lambda v, n: ([x[None] for x in v], n)), SHAPE),
    Kind("vectors of several widths", gives(lambda v, n: ([x[:, : 1 + i % 2] for i, x in enumerate(v)], n)), SHAPE),
    Kind("lengths that are too few", gives(lambda v, n: (v, [x[:-1] for x in n])), SHAPE),
    Kind("lengths below 0", gives(lambda v, n: (v, [-x for x in n])), SHAPE),
    Kind("lengths beyond whole numbers", gives(lambda v, n: (v, [x + (1 << 62) for x in n])), SHAPE),
    Kind("lengths that are fractions", gives(lambda v, n: (v, [x / 2 for x in n])), NUMBERS),
    Kind("lengths that are texts", gives(lambda v, n: (v, ["a"] * len(n))), NUMBERS),
    Kind("a function that divides by 0", gives(lambda v, n: 1 / 0), FAILED),
    Kind("a function that leaves Python", gives(lambda v, n: sys.exit(3)), FAILED),
    Kind("a function of two arguments", asked(model=lambda a, b: 1), FAILED),
    Kind("a module without a tokenizer", asked(model=torch.nn.Module()), TOKENIZER),
    Kind("a module and None", asked(model=(torch.nn.Module(), None)), TOKENIZER),
    Kind("a class", asked(model=torch.nn.Module), "Module is a class: give an object of it."),
    Kind("a tuple of three", asked(model=(1, 2, 3)), "A tuple of 3 is no model: give (model, tokenizer)."),
    Kind("a dictionary", asked(model={"model": 1}), "{'model': 1} is no model: give a name, a folder, an embedder"),
    Kind(
        "a model whose weights are NaN",
        asked(model=loaded(broken)),
        "gives NaN or infinite vectors in float32 for plain DNA",
    ),
    Kind(
        "a model on no device",
        asked(model=loaded(lambda m, t: (m.to("meta"), t))),
        "has weights that are not in memory",
    ),
    Kind(
        "a model with a baseline's name",
        asked(model=loaded(lambda m, t: (m, t)), name="onehot"),
        "cannot be called 'onehot'",
    ),
    Kind(
        "a model whose name is a number",
        asked(model=loaded(lambda m, t: (m, t)), name=3),
        "name=3 is no name of a model",
    ),
    Kind(
        "a model whose name breaks lines",
        asked(model=loaded(lambda m, t: (m, t)), name="a\nb"),
        r"name='a\nb' is no name of",
    ),
    Kind("a file of Python that is missing", asked(model="nowhere.py:embed"), "There is no file nowhere.py."),
    Kind("a file of Python that is a pipe", asked(model=At(pipe)), "There is no file "),
    Kind("a file without the object", written("empty.py", "x = 1"), "empty.py has no 'embed'; it has x."),
    Kind("a file that is no Python", written("no_python.py", "def ("), "importing it failed: SyntaxError"),
    Kind("a file in UTF-16", written("wide.py", "x = 1".encode("utf-16")), "importing it failed: SyntaxError"),
    Kind(
        "a file that leaves Python",
        written("leaves.py", "import sys; sys.exit(4)"),
        "importing it failed: SystemExit: 4",
    ),
    Kind("a file whose object is a number", written("number.py", "embed = 3"), "3 is no model: give a name, a folder"),
    Kind(
        "a module of Python that is missing", asked(model="no.such:thing"), "importing it failed: ModuleNotFoundError"
    ),
)
