"""Checkpoints as files: every tensor is read here, and compared with the model's after it was loaded.

    state = read_state_dict("path/or/hub-id", revision="…")     # safetensors first; .bin with weights_only=True
    model.load_state_dict(…)
    compare(model, state, name="path/or/hub-id")               # BendError naming the keys, unless all agree

Nothing a library reports about its own loading is relied on: some versions re-initialise weights they had loaded, and
a class that lacks a checkpoint's tensors merely warns. Heads, poolers and tensors that follow from the configuration
may differ; everything else must be equal, in name, shape and value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from bend_hf.errors import BendError

WEIGHT_FILES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "weights.ckpt",
)
"""Names under which weights are published, in the order in which they are tried."""

POOLERS = (r"(^|\.)(pooler|contact_head|seq_relationship)\.",)
"""Keys of parts that read the embeddings and that nothing here uses."""

HEADS = (r"^(lm_head|cls|head|decoder|classifier|score|predictions|qa_outputs|mlm|mlm_head)(\.|$)",)
"""Keys of language-model and task heads, which no embedding depends on."""

DERIVED = (r"(^|\.)position_ids$", r"(^|\.)token_type_ids$", r"(^|\.)inv_freq$")
"""Buffers that follow from the configuration and are computed anew."""


def find_file(source: str | Path, name: str, revision: str | None = None) -> Path | None:
    """Return the path of a file of a local folder or a Hub repository (downloaded and cached), or None.

    None is said only of a file that is known not to be there: a connection that breaks must not pass for it. Offline
    (``HF_HUB_OFFLINE``), what is cached is taken for the whole repository.

    Raises:
        BendError: There is no such repository or revision, or the Hub cannot be asked and the file is not cached.
    """
    if Path(source).is_dir():
        path = Path(source) / name
        return path if path.is_file() else None
    from huggingface_hub import _CACHED_NO_EXIST, constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    of = f"{source!s}" if revision is None else f"{source!s} at revision {revision}"
    fixed = revision is not None and re.fullmatch("[0-9a-f]{40}", revision)
    if fixed and try_to_load_from_cache(str(source), name, revision=revision) is _CACHED_NO_EXIST:
        return None  # a commit does not change: no need to ask again
    try:
        return Path(hf_hub_download(str(source), name, revision=revision))
    except LocalEntryNotFoundError as error:
        cached = [try_to_load_from_cache(str(source), file, revision=revision) for file in (name, "config.json")]
        if cached[0] is _CACHED_NO_EXIST or (constants.HF_HUB_OFFLINE and isinstance(cached[1], str)):
            return None
        reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "no connection"
        raise BendError(
            f"{name} of {of} is not in the cache, and the Hub cannot be asked ({reason}): connect, or give a folder."
        ) from error
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
        raise BendError(f"{name} of {of} cannot be had: {error}") from error


def weight_files(source: str | Path, revision: str | None = None) -> list[Path]:
    """Return the weight files of a checkpoint: safetensors where there are, all shards of an index.

    Args:
        source: A local folder or a Hub id.
        revision: Branch, tag or commit on the Hub.

    Raises:
        BendError: There are no weights, or an index names a shard that is not there.
    """
    for name in WEIGHT_FILES:
        path = find_file(source, name, revision)
        if path is None:
            continue
        if not name.endswith(".index.json"):
            return [path]
        try:
            names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise BendError(f"{path} is no index of weight shards ({error!r}): download it again.") from error
        shards = {shard: find_file(source, shard, revision) for shard in names}
        missing = [shard for shard, found in shards.items() if found is None]
        if missing:
            raise BendError(f"{path} names shards that are not there: {', '.join(missing)}. Download them again.")
        return [found for found in shards.values() if found is not None]
    raise BendError(f"{source} holds no weights: none of {', '.join(WEIGHT_FILES)} is there.")


def read_state_dict(source: str | Path, revision: str | None = None) -> dict[str, Tensor]:
    """Return every tensor of a checkpoint by its key as published, on CPU, in its stored dtype.

    Args:
        source: A local folder or a Hub id.
        revision: Branch, tag or commit on the Hub.

    Raises:
        BendError: No weights, a truncated or damaged file (named), a pickle that holds more than tensors, or a key
            that two shards hold.
    """
    state: dict[str, Tensor] = {}
    for path in weight_files(source, revision):
        part = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
        twice = state.keys() & part.keys()
        if twice:
            raise BendError(f"{path} repeats keys of another shard: {_some(twice)}.")
        state |= part
    return state


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
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen types for a damaged or unsafe pickle
        raise BendError(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read as a file of tensors alone "
            f"({str(error).splitlines()[0]}). It is truncated, or it holds Python objects, which are never executed "
            "here: download it again, or convert it to safetensors."
        ) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):  # a Lightning checkpoint
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping):
        raise BendError(f"{path} holds a {type(loaded).__name__}, not a dictionary of tensors.")
    return {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}


def align(state: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return `state` under the model's own names.

    The prefix of the base model (``bert.`` …) is taken off or put on as the model wants it, and the ``gamma``/``beta``
    of TensorFlow checkpoints become ``weight``/``bias``. Keys that fit nowhere keep their name.
    """
    names = {name for name, _ in model.named_parameters(remove_duplicate=False)} | model.state_dict().keys()
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    aligned = {}
    for key, value in state.items():
        modern = re.sub(r"\.beta$", ".bias", re.sub(r"\.gamma$", ".weight", key))
        candidates = [form for k in (key, modern) for form in (k, k.removeprefix(prefix), prefix + k)]
        aligned[next((name for name in candidates if name in names), key)] = value
    return aligned


def compare(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    name: str = "the checkpoint",
    ignore: Iterable[str] = (*POOLERS, *HEADS),
) -> list[str]:
    """Check that every tensor of a checkpoint is in the model, unchanged, and that the model has no others.

    Args:
        model: The model after loading, in any dtype; values are compared in that dtype.
        state: The checkpoint's tensors by key, from `read_state_dict`.
        name: How messages call the checkpoint.
        ignore: Regular expressions; keys in which one is found may be missing, unexpected or different.

    Returns:
        The ignored keys that differ, sorted (for a report to the user).

    Raises:
        BendError: Keys are missing, unexpected, of another shape or of another value, or hold NaN or infinity;
            the message names them.
    """
    ignored = re.compile("|".join((*ignore, *DERIVED)))
    own = model.state_dict(keep_vars=True)
    given = align(state, model)
    storages = {own[key].data_ptr() for key in given.keys() & own.keys()}
    problems: dict[str, list[str]] = {}
    for key in own.keys() - given.keys():
        if own[key].data_ptr() not in storages or own[key].numel() == 0:  # tied to one that is there otherwise
            problems.setdefault("missing from the checkpoint", []).append(key)
    for key, value in given.items():
        if key not in own:
            problems.setdefault("unknown to the model", []).append(key)
        elif own[key].shape != value.shape:
            shapes = f"{key} ({tuple(value.shape)} in the checkpoint, {tuple(own[key].shape)} in the model)"
            problems.setdefault("of the wrong shape", []).append(shapes)
        elif value.is_floating_point() and not torch.isfinite(value).all():
            problems.setdefault("not finite in the checkpoint", []).append(key)
        elif not torch.equal(own[key].detach().cpu(), value.to(own[key].dtype)):
            problems.setdefault("not as loaded (re-initialised or changed)", []).append(key)
    differing = sorted(key for keys in problems.values() for key in keys if ignored.search(key))
    serious = {what: sorted(key for key in keys if not ignored.search(key)) for what, keys in problems.items()}
    if any(serious.values()):
        listing = "; ".join(f"{len(keys)} {what}: {_some(keys)}" for what, keys in serious.items() if keys)
        raise BendError(
            f"{name} does not fit {type(model).__name__}, so its vectors would be wrong: {listing}. "
            "Use the architecture the checkpoint was made with (trust_remote_code=True if its own code is needed)."
        )
    return differing


def _some(keys: Iterable[str], most: int = 6) -> str:
    keys = sorted(keys)
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")
