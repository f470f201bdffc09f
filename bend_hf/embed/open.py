"""What a user may name, as an embedder.

embedder = load_embedder("nt-v2-500m", protocol=get_protocol("default"))
"""

from __future__ import annotations

from typing import Any

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.interface import SequenceEmbedder
from bend_hf.errors import BendError


def load_embedder(model: Any, *, protocol: Any, **options: Any) -> SequenceEmbedder:
    """Return the embedder behind what a user may name.

    Args:
        model: ``"onehot"``, a catalogue name, a Hub id, a folder, an embedder (passed through), or any callable
            ``sequences -> (vectors, lengths)`` (see `bend_hf.embed.adapters`).
        protocol: `bend_hf.protocols.Protocol`: how long inputs are cut and overlapping k-mers upsampled.
        **options: Of `Embedder.from_pretrained`.

    Raises:
        BendError: The model is unknown or cannot be loaded.
    """
    if not isinstance(model, str):
        if hasattr(model, "__fspath__"):
            return load_embedder(str(model), protocol=protocol, **options)
        if all(hasattr(model, part) for part in ("embed", "dim", "name", "provenance", "count_tokens")):
            return model
        if callable(model):
            from bend_hf.embed.adapters import CallableEmbedder

            return CallableEmbedder(model)
        raise BendError(f"{model!r} is no model: give a name, a folder, an embedder or a callable.")
    if model == "onehot":
        from bend_hf.embed.onehot import OneHotEmbedder

        return OneHotEmbedder()
    return Embedder.from_pretrained(model, protocol=protocol, **options)
