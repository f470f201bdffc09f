"""Checkpoints and tokenizers, loaded so that they cannot lie.

    loaded = load("InstaDeepAI/nucleotide-transformer-500m-human-ref")
    loaded.model, loaded.scheme, loaded.architecture, loaded.ignored

The order: an architecture of `bend_hf.models` that claims the configuration, else transformers' own class where the
checkpoint needs no code of its own, else that code, only with ``trust_remote_code=True``. After every load each
tensor of the checkpoint is compared with the model's (`bend_hf.models.proof`). An adapter is merged into its base.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from bend_hf import models
from bend_hf.console import log
from bend_hf.embed import lora
from bend_hf.embed.places import (
    Place,
    config_place,
    digest_of_files,
    read_config,
    read_json,
    refuse_no_folder,
    states,
    tokenizer_place,
)
from bend_hf.embed.stock import fuse_gelu, load_stock
from bend_hf.embed.tokenizer_files import has_tokenizer, load_scheme
from bend_hf.embed.tokens import Scheme
from bend_hf.errors import BendError
from bend_hf.files import digest_file, digest_of
from bend_hf.models.bigbird import attend_by_length
from bend_hf.models.checkpoint import find_file, read_state_dict, some
from bend_hf.models.proof import compare, unwrap

CODE_KEYS = ("AutoConfig", "AutoModel", "AutoModelForMaskedLM", "AutoModelForCausalLM")
STOCK_CODE = {"modeling_generator": "llama", "dnabert_layer": "bert"}
"""Modules that come with checkpoints, and the ``model_type`` whose classes in transformers give the same vectors:
GENERator's adds ways of generating, DNABERT's the classification of long sequences. They are not needed."""

MOST_OWNED = 64
"""Nucleotides that a token with an N may own before it is worth a word; the longest byte pairs of DNA own fewer."""

ROUNDED = 128
"""Embedding matrices are often rounded up to a multiple of this many rows."""


@dataclass(frozen=True)
class Loaded:
    """A model, how it reads DNA, and where both come from.

    Attributes:
        source: Folder, file of weights or Hub id, as given.
        model: In evaluation mode, float32, on CPU.
        scheme: Its tokens.
        config: ``config.json``.
        tokenizer_config: ``tokenizer_config.json``, empty where there is none.
        architecture: The class, and why it was chosen.
        ignored: Checkpoint keys without influence on embeddings that differ (heads, poolers).
        identity: What determines the weights and tokens: commit on the Hub, or digests of the files; the class that
            read them, the tokens, and the adapter merged into it.
        revision: As given.
        trusted: Whether code that came with the checkpoint was allowed to run.
        notes: What a user should know of how it was loaded.
        reading: What else was asked for: ``config``, ``tokenizer``, ``prefix`` and ``scheme`` of `load`.
        context: Most tokens at once, where the catalogue knows it and the checkpoint does not say it.
        borrowed: Whether the model is the caller's own (`bend_hf.embed.memory`), to be left as it is.
        head: The caller's model with its head, where `model` is its trunk.
    """

    source: str
    model: nn.Module
    scheme: Scheme
    config: dict[str, Any]
    tokenizer_config: dict[str, Any]
    architecture: str
    ignored: tuple[str, ...]
    identity: dict[str, Any]
    revision: str | None = None
    trusted: bool = False
    notes: tuple[str, ...] = ()
    reading: dict[str, str | None] = field(default_factory=dict)
    context: int | None = None
    borrowed: bool = False
    head: nn.Module | None = None


def needs_code(config: Mapping[str, Any]) -> bool:
    """Whether a checkpoint names Python files of its own for its model."""
    classes = config.get("auto_map")
    if not isinstance(classes, Mapping):  # damaged, or none
        return False
    modules = {str(name).rpartition("--")[2].partition(".")[0] for key, name in classes.items() if "AutoModel" in key}
    if modules and all(STOCK_CODE.get(module, "") == config.get("model_type") for module in modules):
        return False
    return any(key in CODE_KEYS for key in classes)


@torch.inference_mode(False)  # weights made in it could not be asked for gradients
def load(
    source: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    lm_head: bool = False,
    config: str | None = None,
    tokenizer: str | None = None,
    prefix: str | None = None,
    scheme: str | None = None,
) -> Loaded:
    """Load a checkpoint and its tokenizer.

    Args:
        source: A local folder, a file of weights or a Hub id; that of an adapter too, which is merged into its base.
        revision: Branch, tag or commit on the Hub.
        trust_remote_code: Whether Python code that comes with the checkpoint may run.
        lm_head: Whether to load the language-model head too (the model then gives ``logits``).
        config: The configuration, where it does not lie with the weights: a file, or a folder or Hub id that has it.
        tokenizer: Folder or Hub id of the tokenizer, where it does not lie with the weights or the configuration.
        prefix: Text before every sequence; None for the mark that the tokenizer is known to need, if any.
        scheme: How DNA is read, instead of what is found out; see `bend_hf.embed.reading.read_scheme`.

    Raises:
        BendError: Anything that would make the vectors wrong: files missing or damaged, tensors that do not fit, code
            that is needed and not trusted, a tokenizer of something else than DNA or of another model.
    """
    refuse_no_folder(source)
    of_config, name = config_place(source, revision, config)
    adapter = read_json(source, "adapter_config.json", revision)
    if adapter is not None and config is None and find_file(source, "config.json", revision) is None:
        base, base_revision = lora.base_of(source, adapter)
        own = source if has_tokenizer(source, revision) else None
        loaded = load(
            base,
            revision=base_revision,
            trust_remote_code=trust_remote_code,
            lm_head=lm_head,
            tokenizer=tokenizer or own,
            prefix=prefix,
            scheme=scheme,
        )
        return _adapted(replace(loaded, source=source, revision=revision), adapter)
    read = source, find_file(of_config.source, name, of_config.revision)
    before = states(*read)
    settings = read_config(*of_config, name)
    place, notes = tokenizer_place(source, revision, tokenizer, of_config)
    tokenizer_config = read_json(place.source, "tokenizer_config.json", place.revision) or {}
    # The tokenizer first: it is small, and most mistakes (a protein model, no tokenizer) show there.
    tokens = load_scheme(
        place.source, settings, tokenizer_config, place.revision, trust_remote_code, prefix=prefix, scheme=scheme
    )
    model, architecture, ignored = _load_model(source, settings, revision, of_config, trust_remote_code, lm_head)
    notes += vocabulary_notes(source, model, tokens)
    if ignored:
        log.info("%s: without influence on embeddings and left out: %s", source, some(ignored, 3))
    for note in notes:
        log.warning("%s: %s.", source, note)
    model = model.eval().requires_grad_(False)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()  # safetensors gives views of the file, which change (or crash) with it
    identity: dict[str, Any] = {
        **digest_of_files(source, revision),
        "class": f"{type(model).__module__}.{type(model).__qualname__}".removeprefix("transformers_modules."),
        "tokens": tokens.identity,
    }
    if of_config.source != source:
        identity["config"] = digest_of(settings)
        if needs_code(settings):
            identity["code"] = digest_of_files(*of_config, weights=False)
    if place.source != source:
        identity["tokenizer"] = digest_of_files(*place, weights=False)
    if states(*read) != before:
        raise BendError(f"{source!r} was changed while it was read. Start again when nothing writes to it any more.")
    loaded = Loaded(
        source,
        model,
        tokens,
        settings,
        tokenizer_config,
        architecture,
        tuple(ignored),
        identity,
        revision,
        trust_remote_code,
        tuple(notes),
        {"config": config, "tokenizer": tokenizer, "prefix": prefix, "scheme": scheme},
    )
    if adapter is not None:
        loaded = _adapted(loaded, adapter)
    fuse_gelu(loaded.model)
    attend_by_length(loaded.model)
    return loaded


def load_again(loaded: Loaded, *, lm_head: bool = False) -> Loaded:
    """Load a checkpoint once more, as it was loaded; `lm_head` as in `load`.

    Raises:
        BendError: As `load`; or its files are others than they were.
    """
    found = load(
        loaded.source,
        revision=loaded.revision,
        trust_remote_code=loaded.trusted,
        lm_head=lm_head,
        **loaded.reading,
    )
    for part in loaded.identity.keys() - {"class"}:  # that of a head is another
        if found.identity.get(part) != loaded.identity[part]:
            raise BendError(f"{loaded.source!r} was changed after it was loaded. Start again.")
    return replace(found, context=loaded.context)


def _adapted(loaded: Loaded, adapter: Mapping[str, Any]) -> Loaded:
    """The model with the adapter of its `source` merged into its weights."""
    path = lora.weights_of(loaded.source, loaded.revision)
    merged = lora.merge(loaded.model, adapter, path, loaded.source)
    return replace(
        loaded,
        model=merged.eval().requires_grad_(False),
        architecture=f"{loaded.architecture}, with the adapter of {loaded.source} merged",
        identity={**loaded.identity, "adapter": digest_of({"config": dict(adapter), "weights": digest_file(path)})},
    )


def _load_model(
    source: str, config: dict[str, Any], revision: str | None, code: Place, trust: bool, lm_head: bool
) -> tuple[nn.Module, str, list[str]]:
    """The model, how it was chosen, and the keys of the checkpoint that it does not need; `code` is where that lies."""
    claim = models.claims(config)
    if claim is not None:
        native = models.load(source, config, revision=revision, lm_head=lm_head)
        return native, f"{type(native).__name__} of bend_hf, {claim}", []
    state = read_state_dict(source, revision)
    refuse_quantised(source, state.items())
    if not needs_code(config):
        return load_stock(source, config, state, lm_head)
    if not trust:
        named = ", ".join(f"{key}: {name}" for key, name in config["auto_map"].items() if key in CODE_KEYS)
        raise BendError(
            f"{source!r} needs Python code that comes with it ({named}). Read it, then pass "
            "trust_remote_code=True (--trust-remote-code) to run it."
        )
    from bend_hf.embed.remote import load_remote

    model = load_remote(*code, config, state, lm_head)
    ignored = compare(model, unwrap(state, model), name=repr(source))
    return model, f"{type(model).__name__} of the checkpoint's own code (trusted)", ignored


def refuse_quantised(source: str, weights: Iterable[tuple[str, Tensor]]) -> None:
    """Refuse weights that are no numbers by themselves: of 8 bits or fewer, or of a library's own kind of tensor.

    Raises:
        BendError: There is one; it is named.
    """
    for key, value in weights:
        floating = value.is_floating_point() and value.element_size() > 1
        packed = not floating and value.ndim > 1 and key.endswith(("weight", "qweight", "weight_packed"))
        if packed or is_traceable_wrapper_subclass(value):
            kind = str(value.dtype).removeprefix("torch.") if packed else type(value).__name__
            raise BendError(
                f"{source!r} holds {key} in {kind}: weights quantised to 8 bits or fewer need the scales of the "
                "library that made them. Dequantise them there (model.dequantize(), or weight.dequantize() of each "
                "weight), or give the original."
            )


def vocabulary_notes(source: str, model: nn.Module, scheme: Scheme) -> list[str]:
    """Compare the tokenizer with the embedding matrix: an error where they belong to different models."""
    notes = _broken_by_n(scheme)
    rows = _embedding_rows(model)
    if rows is None:
        return notes
    if scheme.largest >= rows:
        raise BendError(
            f"{source!r}: its tokenizer gives ids up to {scheme.largest}, but its embedding matrix has {rows} rows: "
            "tokenizer and weights belong to different models."
        )
    other = max(k for k in range(1, 10) if k == 1 or 4**k < rows)  # the longest k-mers that find room
    if 1 < scheme.k < other and rows <= 4**other + 64:
        raise BendError(
            f"{source!r}: its tokenizer reads {scheme.k}-mers, but its embedding matrix has {rows} rows, as many as "
            f"{other}-mers need: tokenizer and weights belong to different models."
        )
    if scheme.size is not None and rows > -(-scheme.size // ROUNDED) * ROUNDED:
        notes += [
            f"its tokenizer has {scheme.size:,} tokens, its embedding matrix {rows:,} rows: are they of one model?"
        ]
    return notes


def _broken_by_n(scheme: Scheme) -> list[str]:
    """Say so where a single N costs the tokens around it, as with WordPiece, whose words end at spaces alone."""
    around = "ACGTTGCATTAGGCCATACG" * 10
    lengths = scheme.encode([f"{around}N{around}"])[0].lengths
    owned = int(lengths[np.searchsorted(np.cumsum(lengths), len(around), "right")])
    return [f"a single N makes {owned} nucleotides around it one unknown token"] if owned > MOST_OWNED else []


def _embedding_rows(model: nn.Module) -> int | None:
    try:
        table = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return None
    return getattr(table, "num_embeddings", None)
