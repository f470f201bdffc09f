"""Checkpoints as files: every tensor of a model, read as tensors alone.

    state = read_state_dict("path/or/hub-id", revision="…")     # safetensors first; .bin with weights_only=True

`bend_hf.models.proof` compares them with the model's after it was loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from bend_hf.console import log
from bend_hf.errors import BendError, HubError, hub_answer
from bend_hf.files import read_json

WEIGHT_FILES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "weights.ckpt",
)
"""Names under which weights are published, in the order in which they are tried."""

TENSORS = (".safetensors", ".bin", ".ckpt", ".pt", ".pth")
NO_WEIGHTS = ("adapter_model", "training_args", "optimizer", "scheduler", "scaler", "rng_state")
"""How the names of files begin that lie beside weights and hold none of the model's."""
CONTAINERS = ("state_dict", "model_state_dict", "module", "model")
"""Where Lightning, plain training loops and DeepSpeed put the weights in the files they write."""


def find_file(source: str | Path, name: str, revision: str | None = None) -> Path | None:
    """Return the path of a file of a local folder or a Hub repository (downloaded and cached), or None.

    None is said only of a file that is known not to be there: a connection that breaks must not pass for it. Offline
    (``HF_HUB_OFFLINE``), what is cached is taken for the whole repository.

    Raises:
        BendError: There is no such repository or revision, or the Hub cannot be asked and the file is not cached.
    """
    if Path(source).exists():  # in a file of weights lies nothing
        path = Path(source) / name
        return path if path.is_file() else None
    from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    of = f"{source!s}" if revision is None else f"{source!s} at revision {revision}"
    fixed = revision is not None and re.fullmatch("[0-9a-f]{40}", revision)
    try:
        cached = [try_to_load_from_cache(str(source), file, revision=revision) for file in (name, "config.json")]
        if fixed and cached[0] is _CACHED_NO_EXIST:
            return None  # a commit does not change: no need to ask again
        offline = cached_only(source, revision)
        return Path(hf_hub_download(str(source), name, revision=revision, local_files_only=offline))
    except LocalEntryNotFoundError as error:
        if cached[0] is _CACHED_NO_EXIST or (offline and isinstance(cached[1], str)):
            return None
        reason = hub_answer(error) or "HF_HUB_OFFLINE is set; unset it, connect, or give a folder."
        raise HubError(f"{name} of {of} is not in the cache, and the Hub cannot be asked: {reason}") from error
    except EntryNotFoundError:
        return None
    except GatedRepoError as error:
        raise BendError(f"{of} is gated: ask for access on its page, then log in with: hf auth login.") from error
    except RepositoryNotFoundError as error:
        raise BendError(
            f"There is no model {source!s} on the Hub, or it is private: check the name, or log in with: hf auth login."
        ) from error
    except RevisionNotFoundError as error:
        raise BendError(f"{source!s} has no revision {revision}: --revision main is the newest.") from error
    except Exception as error:  # of an invalid name, or of the HTTP library where a connection breaks
        raise HubError(f"{name} of {of} cannot be had: {hub_answer(error) or error}") from error


def cached_only(source: str | Path, revision: str | None = None) -> bool:
    """Whether what is cached of a Hub's model is to be taken for all there is: the Hub may not or cannot be asked.

    The client would try an unreachable Hub for half a minute per file before it takes what is cached.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if constants.HF_HUB_OFFLINE or Path(source).is_dir():
        return constants.HF_HUB_OFFLINE
    known = isinstance(try_to_load_from_cache(str(source), "config.json", revision=revision), str)
    return known and not _reachable(constants.ENDPOINT)


def in_part(source: str | Path, revision: str | None = None) -> str:
    """Return what to say of a missing file where what is cached may be a part of the repository, else nothing."""
    if Path(source).is_dir() or not cached_only(source, revision):
        return ""
    return " in the cache, which may hold a part of it: load it once with a connection (unset HF_HUB_OFFLINE)"


@cache
def _reachable(endpoint: str) -> bool:
    """Whether the Hub answers at all, asked once in a process."""
    import httpx

    try:
        httpx.head(endpoint, timeout=5)
    except httpx.TransportError as error:
        kind = type(error).__name__
        log.warning("The Hub cannot be reached (%s): what is cached is used, as with HF_HUB_OFFLINE=1.", kind)
        return False
    return True


def weight_files(source: str | Path, revision: str | None = None) -> list[Path]:
    """Return the weight files of a checkpoint: safetensors where there are, all shards of an index.

    Args:
        source: A local folder, a file of tensors, or a Hub id.
        revision: Branch, tag or commit on the Hub.

    Raises:
        BendError: There are no weights, or an index names a shard that is not there.
    """
    if Path(source).is_file():
        return [Path(source)]
    for name in WEIGHT_FILES:
        path = find_file(source, name, revision)
        if path is None:
            continue
        if not name.endswith(".index.json"):
            return [path]
        try:
            names = sorted(set(read_json(path)["weight_map"].values()))
            foreign = [name for name in names if Path(name).name != name or "\\" in name]
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise BendError(f"{path} is no index of weight shards ({error!r}): download it again.") from error
        if foreign:
            raise BendError(f"{path} names files that do not lie beside it ({some(foreign)}): download it again.")
        shards = {shard: find_file(source, shard, revision) for shard in names}
        missing = [shard for shard, found in shards.items() if found is None]
        if missing:
            raise BendError(f"{path} names shards that are not there: {', '.join(missing)}. Download them again.")
        return [found for found in shards.values() if found is not None]
    found = _only_file_of_tensors(Path(source))
    if found is not None:
        return [found]
    if Path(source).is_dir() and any(Path(source).glob("*.gguf")):
        raise BendError(
            f"{source} holds its weights as GGUF, which is quantised for generating text: give the folder of the "
            "original weights (safetensors)."
        )
    part = in_part(source, revision)
    raise BendError(f"{source} holds no weights: none of {', '.join(WEIGHT_FILES)} is there{part}.")


def _only_file_of_tensors(folder: Path) -> Path | None:
    """The one file of tensors of a local folder, where it has another name than published ones."""
    if not folder.is_dir():
        return None
    files = [path for path in folder.iterdir() if path.suffix in TENSORS and path.is_file()]
    files = [path for path in files if not path.name.startswith(NO_WEIGHTS)]
    return files[0] if len(files) == 1 else None


def read_state_dict(source: str | Path, revision: str | None = None) -> dict[str, Tensor]:
    """Return every tensor of a checkpoint by its key as published, on CPU, in its stored dtype.

    Args:
        source: A local folder, a file of tensors, or a Hub id.
        revision: Branch, tag or commit on the Hub.

    Raises:
        BendError: No weights, a truncated or damaged file (named), a pickle that holds more than tensors, or a key
            that two shards hold.
    """
    state: dict[str, Tensor] = {}
    for path in weight_files(source, revision):
        part = read_tensors(path)
        twice = state.keys() & part.keys()
        if twice:
            raise BendError(f"{path} repeats keys of another shard: {some(twice)}.")
        state |= part
    return state


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of one file, safetensors or pickle.

    Raises:
        BendError: It is damaged, or a pickle that holds more than tensors.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise BendError(
            f"{path} ({path.stat().st_size:,} bytes) is truncated or damaged: {error}. Download it again."
        ) from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickle. Of a trainer's file its weights are taken; what else holds tensors there is said."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen types for a damaged or unsafe pickle
        raise BendError(_unreadable(path, str(error))) from error
    if not isinstance(loaded, Mapping):
        raise BendError(f"{path} holds a {type(loaded).__name__}, not a dictionary of tensors.")
    name = _container(loaded)
    if name is None and not any(isinstance(value, Tensor) for value in loaded.values()):
        entries = some(map(str, loaded)) or "none"
        raise BendError(
            f"{path} does not tell which of its entries are a model's weights ({entries}): save these alone, with "
            "torch.save(model.state_dict(), FILE)."
        )
    if name is not None:
        beside = [str(key) for key, value in loaded.items() if key != name and _holds_tensors(value)]
        if beside:
            log.info("%s: its weights are %r; not used are %s.", path, name, some(beside))
        loaded = loaded[name]
    return {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}


def _unreadable(path: Path, reason: str) -> str:
    """What to say of a pickle that torch does not read as tensors."""
    about = f"{path} ({path.stat().st_size:,} bytes)"
    if "TorchScript" in reason:
        return f"{about} is a TorchScript archive, which is code: save model.state_dict() with torch.save instead."
    objects = re.search(r"GLOBAL (\S+) was not an allowed global", reason)
    if objects:
        return (
            f"{about} holds Python objects ({objects[1]}), which are never executed here: where you trust the file, "
            "load it yourself and save its tensors alone (torch.save of the state_dict, or safetensors)."
        )
    return f"{about} is truncated or damaged, or no file of tensors: download or save it again."


def _container(found: Mapping[str, object]) -> str | None:
    """Under which name a file holds its weights; None where they lie open, or nothing tells."""
    inner = [name for name in CONTAINERS if isinstance(found.get(name), Mapping)]
    if inner:
        return inner[0]
    held = [key for key, value in found.items() if isinstance(value, Mapping) and _holds_tensors(value)]
    return held[0] if len(held) == 1 and not any(isinstance(value, Tensor) for value in found.values()) else None


def _holds_tensors(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_tensors, value.values()))
    return any(map(_holds_tensors, value)) if isinstance(value, (list, tuple)) else isinstance(value, Tensor)


def some(names: Iterable[str], most: int = 6) -> str:
    """Return some names in order for a message, and how many more there are."""
    names = sorted(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
