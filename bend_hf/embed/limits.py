"""The longest input of a model, and the lengths that its forward takes: stated by its configuration, then tried.

    found = limits(network, config, scheme)
    found.context                # most tokens at once, special ones included

Positions that are looked up in a table end with the table, whatever the configuration says, and some models count them
from behind the padding id: the table is read, and an input of full length is run. A forward that takes only multiples
of some number of tokens (networks that halve their input n times) is found out too, and gets its input padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from bend_hf.console import log
from bend_hf.embed.measure import probe_ids
from bend_hf.embed.network import Network
from bend_hf.embed.tokens import Scheme
from bend_hf.errors import BendError

LONGEST = 131_072
"""Tokens given at once to models without a limit of their own whose cost grows with length, not its square."""
LONGEST_ATTENTION = 2_048
"""The same for models with attention."""
STATED = (
    "max_position_embeddings",
    "max_encoder_position_embeddings",
    "n_positions",
    "max_seq_len",
    "max_sequence_length",
)
"""Fields in which configurations state it."""
LINEAR = ("rwkv", "xlstm")
"""Model types whose attention costs as much as their length, not its square."""
PROBE = 128
SLACK = 4
"""Positions by which a table may be read too long before a model is refused."""
MOST_MULTIPLE = 4_096


@dataclass(frozen=True)
class Limits:
    """How long an input may be.

    Attributes:
        context: Most tokens at once, special ones included; None for any.
        content: The same without special tokens: the size of windows; None for any.
        alibi: Whether positions are biases of attention, so that no length is too long for the weights.
        reason: Where `context` is known from.
    """

    context: int | None
    content: int | None
    alibi: bool
    reason: str


def limits(
    network: Network,
    config: Mapping[str, Any],
    scheme: Scheme,
    context: int | None = None,
    known: int | None = None,
) -> Limits:
    """Return a model's longest input, and set the multiple of tokens that its forward takes.

    Args:
        network: The model; its `multiple` is set.
        config: ``config.json``.
        scheme: How it reads DNA.
        context: Overrides what the configuration says.
        known: What the catalogue says, which overrides the configuration too.

    Raises:
        BendError: `context` leaves no room for a token or exceeds the model's positions, no length runs, or the model
            keeps a state.
    """
    settings = _settings(network.model)
    parts = {f"{name} {type(part).__name__}".lower() for name, part in network.model.named_modules()}
    attention = config.get("model_type") not in LINEAR and any("attention" in part or "attn" in part for part in parts)
    found = stated_limits(config, scheme, context, known, attention=attention)
    held = _positions(network.model)
    if held is not None and found.context is not None and held < found.context:
        if context is not None:
            raise BendError(f"{network.name} has {held} positions: context={context} (--context) exceeds them.")
        found = _shortened(found, scheme, held, f"rows of its position table ({found.reason} says {found.context})")
    network.multiple = _multiple(network, scheme, found.context)
    if network.multiple > 1 and found.context is not None:
        most = found.context - found.context % network.multiple
        found = _shortened(found, scheme, most, f"{found.reason}, in multiples of {network.multiple}")
    looked_up = any("position" in name or ".wpe." in f".{name}" for name, _ in network.model.named_parameters())
    found = _tried(network, scheme, found) if looked_up and found.context is not None else found
    changed = [name for name, value in _settings(network.model).items() if value != settings.get(name)]
    if changed:
        raise BendError(
            f"{network.name}: an input changes its {', '.join(changed[:4])} for good, so that vectors would depend on "
            "what was embedded before: state it in config.json."
        )
    return found


def _settings(model: nn.Module) -> dict[str, Any]:
    """What a model is set to: its configuration, and the words in its parts."""
    config: Any = getattr(model, "config", None)
    found = dict(config.to_dict()) if hasattr(config, "to_dict") else {}
    hooked = [name for name, part in model.named_modules() if part._forward_pre_hooks]  # set anew by every input
    for name, part in model.named_modules():
        if not any(name == above or name.startswith(f"{above}.") or not above for above in hooked):
            found |= {f"{name}.{key}": value for key, value in vars(part).items() if isinstance(value, str)}
    return found


def stated_limits(
    config: Mapping[str, Any],
    scheme: Scheme,
    context: int | None = None,
    known: int | None = None,
    *,
    attention: bool = True,
) -> Limits:
    """Return the longest input that a configuration states, or one that memory suggests.

    Raises:
        BendError: `context` leaves no room for a token.
    """
    alibi = "alibi_starting_size" in config or config.get("position_embedding_type") == "alibi"
    layer = config.get("layer")
    if isinstance(layer, Mapping):  # HyenaDNA before its -hf repositories
        config = {"max_seq_len": layer.get("l_max"), **config}
    if isinstance(config.get("text_config"), Mapping):  # of several languages, of which this one is read
        config = {**config["text_config"], **config}
    stated = next((key for key in STATED if isinstance(config.get(key), int) and config[key] > 0), None)
    if context is not None:
        most, reason = context, "given"
    elif known is not None:
        most, reason = known, "of the catalogue"
    elif stated is not None and not alibi:
        most, reason = int(config[stated]), f"{stated} of config.json"
        if config.get("model_type") == "esm":
            most -= int(config.get("pad_token_id") or 1) + 1  # positions are counted from behind the padding id
    else:
        most = LONGEST_ATTENTION if attention else LONGEST
        why = "attention costs the square of the length" if attention else "cut for memory"
        reason = f"no limit of its own; {why}"
    return _shortened(Limits(most, None, alibi, reason), scheme, most, reason)


def _shortened(found: Limits, scheme: Scheme, most: int, reason: str) -> Limits:
    if most - scheme.specials < 1:
        raise BendError(
            f"A context of {most} tokens ({reason}) leaves no room beside {scheme.specials} special tokens: give a "
            "longer context= (--context)."
        )
    return replace(found, context=most, content=most - scheme.specials, reason=reason)


def _positions(model: nn.Module) -> int | None:
    """How many positions the model's tables hold; None where there is none."""
    held = []
    for name, part in model.named_modules():
        if isinstance(part, nn.Embedding) and ("position" in name or name.rpartition(".")[2] == "wpe"):
            behind = 0 if part.padding_idx is None else part.padding_idx + 1  # counted from behind the padding id
            held.append(part.num_embeddings - behind - int(getattr(part, "offset", 0)))
    return min(held, default=None)


def _runs(network: Network, scheme: Scheme, tokens: int) -> BendError | None:
    """Run an input of so many tokens, special ones included; None where that works, else what was wrong."""
    try:
        network.hidden(torch.from_numpy(probe_ids(scheme, max(1, tokens - scheme.specials), 3))[None], None, (-1,))
    except BendError as error:
        return error
    return None


def _multiple(network: Network, scheme: Scheme, most: int | None) -> int:
    """The number of tokens of which the forward takes multiples only; 1 for most models."""
    size = max(scheme.specials + 1, min(PROBE, (most or PROBE) // 2))  # well below where positions may end
    odd = size - 1 + size % 2
    network.multiple, network.pad = 1, scheme.pad
    reason = _runs(network, scheme, odd)
    if reason is None:
        return 1
    lengths = {size, odd, size // 2 + 1, size // 3 + 1}
    while network.multiple < min(MOST_MULTIPLE, most or MOST_MULTIPLE):
        network.multiple *= 2
        if all(_runs(network, scheme, length) is None for length in lengths):
            log.info("%s takes multiples of %d tokens only: inputs are padded.", network.name, network.multiple)
            return network.multiple
    network.multiple = 1
    raise reason


def _tried(network: Network, scheme: Scheme, found: Limits) -> Limits:
    """The longest input that runs, where positions are looked up: the full length, or a few less."""
    assert found.context is not None
    reason = _runs(network, scheme, found.context)
    if reason is None:
        return found
    for less in range(1, SLACK + 1):
        most = found.context - less * network.multiple
        if most > scheme.specials and _runs(network, scheme, most) is None:
            return _shortened(found, scheme, most, f"tried; {found.reason} says {found.context}, which does not run")
    raise BendError(
        f"{network.name} does not run at its full length of {found.context} tokens ({found.reason}); give a shorter "
        f"context= (--context). {reason}"
    )
