"""Architectures that transformers lacks or gets wrong, as classes of its Auto mechanism.

    from bend_hf import models

    models.register()                                   # AutoModel knows ConvNet, AWDLSTM, GPN, hyenadna, …
    models.claims(config)                               # 'nt-v2 (gated feed-forward network: add_bias_fnn)', or None
    model = models.load("InstaDeepAI/nucleotide-transformer-v2-500m-multi-species", config)

A checkpoint is recognised by what its ``config.json`` says, never by its name, and is loaded under its own key names.
None of them needs remote code. Checkpoints that no family claims are for transformers' own classes.

To add a family, write its classes in a module of its own and declare it in `families.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["claims", "load", "register"]


def register() -> None:
    """Make the families known to transformers' Auto classes; calling it again does nothing."""
    from bend_hf.models import families

    families.register()


def claims(config: Mapping[str, Any]) -> str | None:
    """Return the native family that takes a checkpoint, and why, or None.

    Args:
        config: The checkpoint's ``config.json`` as a dictionary.
    """
    from bend_hf.models import families

    found = families.find(config)
    return None if found is None else f"{found[0].name} ({found[1]})"


def load(
    source: str | Path,
    config: Mapping[str, Any],
    *,
    revision: str | None = None,
    lm_head: bool = False,
    dtype: torch.dtype | None = None,
) -> PreTrainedModel:
    """Load a checkpoint of a native family, and compare every tensor with the file's.

    Args:
        source: A local folder or a Hub id.
        config: The checkpoint's ``config.json`` as a dictionary.
        revision: Branch, tag or commit on the Hub.
        lm_head: Whether to load the model with its language-model head, which then must be in the checkpoint.
        dtype: Of the model; None for float32.

    Returns:
        The model in evaluation mode on CPU. It takes ``input_ids`` (B, T) padded on the right, and
        ``attention_mask`` (B, T); it returns ``last_hidden_state`` (B, T, width), or ``logits`` with `lm_head`, and
        with ``output_hidden_states=True`` the ``hidden_states`` before the first and after each layer.

    Raises:
        BendError: No family claims the checkpoint, its files cannot be read, or tensors are missing, unexpected, of
            the wrong shape or not finite (the message names them).
    """
    from bend_hf.models import families

    return families.load(source, config, revision=revision, lm_head=lm_head, dtype=dtype)
