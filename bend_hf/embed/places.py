"""Where the parts of a checkpoint lie, and what tells its files from others.

place, name = config_place("last.ckpt", None, "my-model/config.json")
read_config(*place, name)["model_type"]
digest_of_files("my-model", None)            # {"files": "…"}, or the commit of a Hub repository
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bend_hf import files
from bend_hf.embed.catalogue import resolve
from bend_hf.embed.tokenizer_files import TOKENIZER_FILES, has_tokenizer
from bend_hf.errors import BendError
from bend_hf.files import digest_file, digest_of
from bend_hf.files import identity as state_of
from bend_hf.models.checkpoint import TENSORS, find_file, weight_files

READ_FILES = (".py", ".json", ".txt", ".model")
"""Kinds of files beside the weights that may change how a folder's model computes or reads."""
WRITTEN_FILES = ("trainer_state.json", "generation_config.json", "results.json", "requirements.txt")
"""How the names of files end that training or generation leaves there and that no vector depends on."""


LIBRARIES = {
    "bitsandbytes": " and bitsandbytes",
    "torchao": " and torchao",
    "gptq": " and gptqmodel",
    "awq": " and gptqmodel",
    "compressed-tensors": " and compressed-tensors",
    "hqq": " and hqq",
    "quanto": " and optimum-quanto",
    "fp8": " on a GPU",
    "mxfp4": " on a GPU",
}
"""What transformers needs to read weights of a ``quant_method``."""


class Place(NamedTuple):
    """A folder or a Hub repository, and the branch, tag or commit there."""

    source: str
    revision: str | None = None


def read_json(source: str, name: str, revision: str | None) -> dict[str, Any] | None:
    """Return a JSON file of a checkpoint, or None where there is none.

    Raises:
        BendError: The file is no JSON object.
    """
    path = find_file(source, name, revision)
    if path is None:
        return None
    found = files.read_json(path, "download it again", object_hook=_number)
    if not isinstance(found, dict):
        raise BendError(f"{path} holds a {type(found).__name__}, not an object with fields: download it again.")
    return found


def _number(found: dict[str, Any]) -> Any:
    """A JSON object, or the number that transformers writes as one because JSON has no infinity."""
    return float(found["__float__"]) if found.keys() == {"__float__"} else found


def refuse_no_folder(source: str) -> None:
    """Refuse what looks like a folder or file and is none, and files that hold no tensors.

    Raises:
        BendError: It is such.
    """
    if source.endswith(".gguf"):
        raise BendError(
            f"{source!r} is a GGUF file, which is quantised for generating text: give the folder of the original "
            "weights (config.json and safetensors)."
        )
    if Path(source).is_file() and Path(source).suffix not in TENSORS:
        raise BendError(
            f"{source!r} is no file of weights that is read here ({', '.join(TENSORS)}): give one, or the folder of a "
            "model."
        )
    looks_like_path = source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source
    if (looks_like_path or source.endswith(TENSORS)) and not Path(source).exists():
        raise BendError(
            f"There is no model folder or file {source!r}: give the path of a folder with a config.json, or of a file "
            "of weights."
        )


def config_place(source: str, revision: str | None, config: str | None) -> tuple[Place, str]:
    """Return where the configuration of a checkpoint lies, and the name of its file there.

    Args:
        source: Folder, file of weights, or Hub id.
        revision: Of a Hub id.
        config: A file, or a folder or Hub id with a ``config.json``; None for that beside the weights.

    Raises:
        BendError: `config` is a path to nothing.
    """
    if config is None:
        return (Place(str(Path(source).parent)) if Path(source).is_file() else Place(source, revision)), "config.json"
    path = Path(config).expanduser()
    if path.is_file():
        return Place(str(path.parent)), path.name
    if path.is_dir():
        return Place(str(path)), "config.json"
    refuse_no_folder(config)
    found = resolve(config)
    return Place(found.source, found.revision), "config.json"


def read_config(source: str, revision: str | None = None, name: str = "config.json") -> dict[str, Any]:
    """Return the configuration of a checkpoint.

    Args:
        source: The folder or Hub id in which it lies.
        revision: Branch, tag or commit on the Hub.
        name: Its file's name.

    Raises:
        BendError: There is no such folder or repository, or it holds no such file, or one of quantised weights.
    """
    refuse_no_folder(source)
    config = read_json(source, name, revision)
    if config is None:
        raise BendError(
            f"{source!r} holds no {name}, so it is no model that can be loaded. Where its weights lie apart from the "
            "configuration, name that: config= (--model-config)."
        )
    quantised = config.get("quantization_config")
    if quantised:
        method = quantised.get("quant_method", "?") if isinstance(quantised, Mapping) else quantised
        way = "put weight.dequantize() in place of each weight" if method == "torchao" else "call model.dequantize()"
        raise BendError(
            f"{source!r} holds weights quantised by {method!r} (quantization_config of config.json): load it with "
            f"transformers{LIBRARIES.get(str(method), '')}, {way}, save it and give that folder, or give the original "
            "weights."
        )
    return config


def tokenizer_place(
    source: str, revision: str | None, tokenizer: str | None, of_config: Place
) -> tuple[Place, list[str]]:
    """Return where the tokenizer lies, and what to say of it.

    It lies with the weights, in the folder above those of a training step, or with the configuration; that of a file
    of weights with the configuration, or beside the file.

    Raises:
        BendError: There is none in `tokenizer`.
    """
    if tokenizer is not None and tokenizer != source:
        if not has_tokenizer(tokenizer, None):
            raise BendError(f"tokenizer={tokenizer!r} holds no tokenizer (none of {', '.join(TOKENIZER_FILES)}).")
        return Place(tokenizer), []
    weights = Path(source)
    folder = weights.parent if weights.is_file() else weights
    home = Place(str(folder)) if weights.is_file() else Place(source, revision)
    places = [of_config, home] if weights.is_file() else [home, of_config]
    if folder.resolve().name.startswith("checkpoint-") and folder.is_dir():
        places.insert(1, Place(str(folder.resolve().parent)))
    chosen = next((place for place in places if has_tokenizer(*place)), home)
    if chosen in (places[0], home):
        return chosen, []
    above = "the folder above it " if chosen != of_config else ""
    return chosen, [f"it has no tokenizer of its own; that of {above}({chosen.source}) is used"]


def digest_of_files(source: str, revision: str | None, *, weights: bool = True) -> dict[str, Any]:
    """Return the commit of a Hub checkpoint, or a digest of the files of a folder that may change its vectors.

    Args:
        source: A folder, a file of weights (which alone is digested), or a Hub id.
        revision: Of a Hub id.
        weights: Whether the folder's weights count, or only its tokenizer, configuration and code.
    """
    folder = Path(source)
    if folder.is_file():
        return {"files": digest_of({"weights": digest_file(folder)})}
    if not folder.is_dir():
        known = (find_file(source, name, revision) for name in ("config.json", *TOKENIZER_FILES))
        found = next((path for path in known if path is not None), None) or weight_files(source, revision)[0]
        return {"repository": source, "commit": found.parent.name}
    paths = _read_files(folder)
    if weights:
        paths |= {path.name: path for path in weight_files(source)}
    return {"files": digest_of({name: digest_file(path.resolve()) for name, path in sorted(paths.items())})}


def _read_files(folder: Path, *endings: str) -> dict[str, Path]:
    """The files of a folder that may change how its model computes or reads, those of other `endings` too."""
    paths = {path.name: path for path in folder.iterdir() if path.suffix in (*READ_FILES, *endings) and path.is_file()}
    return {name: path for name, path in paths.items() if not name.endswith(WRITTEN_FILES)}


def states(source: str, *others: Path | None) -> list[list[Any]]:
    """What tells the files of a folder (and others) from those of an earlier moment, without reading them."""
    place = Path(source)  # nothing of the Hub's
    paths = _read_files(place, *TENSORS).values() if place.is_dir() else [place] if place.is_file() else []
    return [[str(path), *state_of(path)] for path in sorted(paths) + [path for path in others if path is not None]]
