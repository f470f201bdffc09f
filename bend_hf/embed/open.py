"""What a user may name, as an embedder.

embedder = load_embedder("nt-v2-500m", protocol=get_protocol("default"))
embedder = load_embedder("my_model.py:embed", protocol=get_protocol("default"))
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.interface import SequenceEmbedder
from bend_hf.embed.memory import in_memory
from bend_hf.errors import BendError
from bend_hf.protocols import Protocol

GROUP = "bend_hf.models"
"""Group of entry points under which packages offer models: name = "module:object", as on the command line."""
PARTS = ("embed", "dim", "name", "causal", "provenance", "count_tokens")
"""What an object must have to be an embedder."""
USUAL: dict[str, Any] = {
    "revision": None,
    "trust_remote_code": False,
    "dtype": "auto",
    "layer": -1,
    "strand": "forward",
    "device_map": None,
    "config": None,
    "tokenizer": None,
    "prefix": None,
    "scheme": None,
    "context": None,
    "name": None,
}
"""Options of a model, and what they are where nobody gave them."""
BASELINES = ("onehot", "composition", "resnet-supervised", "basset")
"""Names that no model of somebody's own may bear, since results under them are taken for the baselines'."""


LONGEST = 300
"""Letters of a model's name."""


def load_embedder(model: Any, *, protocol: Protocol, **options: Any) -> SequenceEmbedder:
    """Return the embedder behind what a user may name.

    Args:
        model: ``"onehot"``, a catalogue name, a Hub id, a folder, a file of weights, ``"file.py:object"``,
            ``"package.module:object"``, the name of an entry point, an embedder (passed through), a torch module with
            its tokenizer (see `Embedder.from_model`), or any callable ``sequences -> (vectors, lengths)`` (see
            `bend_hf.embed.adapters`).
        protocol: How long inputs are cut, special tokens placed and overlapping k-mers upsampled.
        **options: Of `Embedder.from_pretrained` or `Embedder.from_model`.

    Raises:
        BendError: The model is unknown or cannot be loaded, or an option does not apply to it.
    """
    if hasattr(model, "__fspath__"):
        model = os.fspath(model)
    if isinstance(model, str):
        if in_python(model):
            thing = find_object(model)
            own = getattr(thing, "name", None)
            name = options.get("name") or (own if isinstance(own, str) else Path(model).name)
            return _of_object(thing, protocol, {**options, "name": name}, source=model)
        if model == "onehot":
            from bend_hf.embed.onehot import OneHotEmbedder

            refuse_options("onehot", options)
            return OneHotEmbedder()
        if model in BASELINES:
            raise BendError(f"{model} is a baseline, which has no vectors to look at or to keep: evaluate it.")
        return Embedder.from_pretrained(model, protocol=protocol, **options)
    return _of_object(model, protocol, options)


def _of_object(
    model: Any, protocol: Protocol, options: Mapping[str, Any], source: str | None = None
) -> SequenceEmbedder:
    """Return the embedder behind a Python object; `source` is what it was named by."""
    if isinstance(model, type):
        raise BendError(f"{model.__name__} is a class: give an object of it.")
    if all(hasattr(model, part) for part in PARTS):
        what = f"{model.name} is an embedder with settings of its own"
        refuse_options(what, options, ("name",) if source else ())
        own = getattr(model, "protocol", protocol)
        if isinstance(own, Protocol) and _reading(own) != _reading(protocol):
            raise BendError(
                f"{what}, and reads sequences as {own.name!r} does: make it with protocol={protocol.name!r}, or "
                "evaluate it with its own."
            )
        return _named(model)
    found = in_memory(model, options.get("tokenizer"))
    if found is not None:
        left_out = ("tokenizer", "revision", "trust_remote_code", "device_map", "config")
        refuse_options("A model in memory", options, ("tokenizer", *(set(USUAL) - set(left_out))))
        given = {name: value for name, value in options.items() if name not in left_out}
        return _named(Embedder.from_model(*found, protocol=protocol, **given))
    if callable(model):
        from bend_hf.embed.adapters import CallableEmbedder

        refuse_options("A function from sequences to vectors", options, ("name",))
        name = getattr(model, "name", None) or options.get("name") if source else options.get("name")
        return _named(CallableEmbedder(model, name=name, policy=protocol.windows, source=source))
    raise BendError(
        f"{model!r} is no model: give a name, a folder, an embedder, a model and its tokenizer, or a callable."
    )


def _reading(protocol: Protocol) -> tuple[Any, ...]:
    """The fields of a protocol that an embedder depends on."""
    return (
        protocol.windows,
        protocol.kmer_shift,
        protocol.split_specials,
        protocol.nucleotide_pieces,
        protocol.reference_specials,
        protocol.dtype,
    )


def check_name(name: Any) -> None:
    """Raise a BendError where a name is none that a model can have in results."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST:
        raise BendError(f"name={name!r} is no name of a model: a text of one line, {LONGEST} letters at most.")


def _named(embedder: SequenceEmbedder) -> SequenceEmbedder:
    from bend_hf.embed.onehot import OneHotEmbedder

    check_name(embedder.name)
    if embedder.name in BASELINES and not isinstance(embedder, OneHotEmbedder):
        raise BendError(f"A model of yours cannot be called {embedder.name!r}, which is a baseline's name: give name=.")
    return embedder


def refuse_options(what: str, options: Mapping[str, Any], allowed: tuple[str, ...] = ()) -> None:
    """Refuse options that would change nothing.

    Args:
        what: What they were given for.
        options: By name; those at their usual value were not given.
        allowed: Those that apply.

    Raises:
        BendError: Some do not apply; it names them.
    """
    usual = {name: (value, "last") if name == "layer" else (value,) for name, value in USUAL.items()}
    given = [name for name in usual if name not in allowed and options.get(name, USUAL[name]) not in usual[name]]
    if given:
        listed = ", ".join(f"{name}={options[name]!r}" for name in given)
        raise BendError(f"{what}: {listed} would change nothing there; leave that out.")


def in_python(name: str) -> bool:
    """Whether a name is that of a Python object: ``file.py:object``, ``package.module:object``, or an entry point."""
    where, _, attribute = name.rpartition(":")
    if where and attribute.replace(".", "").isidentifier():
        return where.endswith(".py") or all(part.isidentifier() for part in where.split("."))
    return bool(entry_points(group=GROUP, name=name))


def find_object(name: str) -> Any:
    """Return the Python object of a name; a class is called without arguments.

    Args:
        name: As `in_python` takes it.

    Raises:
        BendError: There is no such file, module or object, or its code fails.
    """
    if found := tuple(entry_points(group=GROUP, name=name)):
        name = found[0].value
    where, _, attribute = name.rpartition(":")
    try:
        with _importable(Path(where).expanduser().resolve().parent if where.endswith(".py") else Path.cwd()):
            thing: Any = _of_file(where) if where.endswith(".py") else importlib.import_module(where)
            for part in attribute.split("."):
                if not hasattr(thing, part):
                    public = ", ".join(sorted(key for key in vars(thing) if not key.startswith("_"))[:20])
                    raise BendError(f"{where} has no {attribute!r}; it has {public}.")
                thing = getattr(thing, part)
            return thing() if inspect.isclass(thing) else thing
    except BendError:
        raise
    except (Exception, SystemExit) as error:  # whatever somebody else's code raises
        raise BendError(f"{name}: importing it failed: {type(error).__name__}: {error}") from error


def _of_file(path: str) -> Any:
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise BendError(f"There is no file {path}.")
    name = f"bend_hf_model_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickles look for it
    spec.loader.exec_module(module)
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules beside a file, or in the working directory, be imported."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
