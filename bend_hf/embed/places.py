"""Where the parts of a checkpoint lie, and what tells its files from others.

read_config("my-model")["model_type"]
digest_of_files("my-model", None)            # {"files": "…"}, or the commit of a Hub repository
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bend_hf import files
from bend_hf.embed.tokenizer_files import TOKENIZER_FILES, has_tokenizer
from bend_hf.errors import BendError
from bend_hf.files import digest_file, digest_of
from bend_hf.files import identity as state_of
from bend_hf.models.checkpoint import find_file, weight_files

READ_FILES = (".py", ".json", ".txt", ".model")
"""Kinds of files beside the weights that may change how a folder's model computes or reads."""
WRITTEN_FILES = ("trainer_state.json", "generation_config.json", "results.json", "requirements.txt")
"""How the names of files end that training or generation leaves there and that no vector depends on."""

WEIGHTS = (".safetensors", ".bin", ".ckpt")
"""How the names of files of weights end."""


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
    """Refuse what looks like a folder and is none.

    Raises:
        BendError: It does; or it is a GGUF file.
    """
    if source.endswith(".gguf"):
        raise BendError(
            f"{source!r} is a GGUF file, which is quantised for generating text: give the folder of the original "
            "weights (config.json and safetensors)."
        )
    looks_like_path = source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source
    if looks_like_path and not Path(source).is_dir():
        raise BendError(f"There is no model folder {source!r}: give the path of a folder with a config.json.")


def read_config(source: str, revision: str | None = None) -> dict[str, Any]:
    """Return a checkpoint's ``config.json``.

    Raises:
        BendError: There is no such folder or repository, or it holds no ``config.json``.
    """
    refuse_no_folder(source)
    config = read_json(source, "config.json", revision)
    if config is None:
        raise BendError(f"{source!r} holds no config.json, so it is no model that can be loaded.")
    quantised = config.get("quantization_config")
    if quantised:
        method = quantised.get("quant_method", "?") if isinstance(quantised, Mapping) else quantised
        raise BendError(
            f"{source!r} holds weights quantised by {method!r} (quantization_config of config.json): load it with "
            "transformers, call model.dequantize(), save it and give that folder, or give the original weights."
        )
    return config


def tokenizer_place(source: str, revision: str | None, tokenizer: str | None) -> tuple[str, str | None, list[str]]:
    """Where the tokenizer lies, its revision, and what to say of it: a training step's may lie a folder above."""
    if tokenizer is not None and tokenizer != source:
        if not has_tokenizer(tokenizer, None):
            raise BendError(f"tokenizer={tokenizer!r} holds no tokenizer (none of {', '.join(TOKENIZER_FILES)}).")
        return tokenizer, None, []
    folder = Path(source)
    if folder.is_dir() and not has_tokenizer(source, None):
        parent = str(folder.resolve().parent)
        if folder.resolve().name.startswith("checkpoint-") and has_tokenizer(parent, None):
            return parent, None, [f"it has no tokenizer of its own; that of the folder above it ({parent}) is used"]
    return source, revision, []


def digest_of_files(source: str, revision: str | None) -> dict[str, Any]:
    """Return the commit of a Hub checkpoint, or a digest of the files of a folder that may change its vectors."""
    folder = Path(source)
    if not folder.is_dir():
        known = (find_file(source, name, revision) for name in ("config.json", *TOKENIZER_FILES))
        snapshot = next(path for path in known if path is not None).parent
        return {"repository": source, "commit": snapshot.name}
    paths = _read_files(folder)
    if (folder / "config.json").is_file():
        paths |= {path.name: path for path in weight_files(source)}
    return {"files": digest_of({name: digest_file(path.resolve()) for name, path in sorted(paths.items())})}


def _read_files(folder: Path, *endings: str) -> dict[str, Path]:
    """The files of a folder that may change how its model computes or reads, those of other `endings` too."""
    paths = {path.name: path for path in folder.iterdir() if path.suffix in (*READ_FILES, *endings) and path.is_file()}
    return {name: path for name, path in paths.items() if not name.endswith(WRITTEN_FILES)}


def states(source: str) -> dict[str, list[Any]]:
    """What tells the files of a folder from those of an earlier moment, without reading them; nothing of the Hub's."""
    folder = Path(source)
    return {name: state_of(path) for name, path in _read_files(folder, *WEIGHTS).items()} if folder.is_dir() else {}
