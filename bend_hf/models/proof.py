"""The proof that a model holds what its file holds, tensor by tensor.

    state = unwrap(read_state_dict(folder), model)
    model.load_state_dict(…)
    compare(model, state, name=folder)               # BendError naming the keys, unless all agree

Nothing a library reports about its own loading is relied on: some versions re-initialise weights they had loaded, and
a class that lacks a checkpoint's tensors merely warns. What a key means is asked of the model's class, not of a list of
names: a tensor that the class owns must be in the file, equal in shape and value; a key of the file must be in the
class, unless it belongs to a head, which lies outside the class's trunk. A part of the model may be missing from the
file only if no vector depends on it, which is measured.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from bend_hf.console import log
from bend_hf.errors import BendError
from bend_hf.models.checkpoint import some

POOLERS = (r"(^|\.)(pooler|contact_head|seq_relationship)\.",)
"""Keys of parts that read the embeddings and that classes without them leave in the file."""

HEADS = (
    r"^(lm_head|cls|head|decoder|classifier|score|predictions|qa_outputs|mlm|mlm_head|embed_out|lm_loss"
    r"|final_logits_bias|discriminator_predictions|generator_predictions)(\.|$)",
)
"""How heads are called in files whose trunk bears no prefix that would tell it from them."""

DERIVED = (r"(^|\.)position_ids$", r"(^|\.)token_type_ids$", r"(^|\.)inv_freq$")
"""Buffers that follow from the configuration and are computed anew."""

WRAPPERS = re.compile(r"(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch's own wrappers put into names, wherever they stand."""

AVERAGES = re.compile(r"(^|_)ema(_|$)", re.IGNORECASE)
"""How modules are called that hold an average of another's weights."""

Probe = Callable[[], Tensor]


def _prefix(model: nn.Module) -> str:
    """The name of the base model with a dot, as in ``bert.``; empty where the class has none."""
    name = getattr(model, "base_model_prefix", "")
    return f"{name}." if name else ""


def _names(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters(remove_duplicate=False)} | model.state_dict().keys()


def align(state: Mapping[str, Tensor], model: nn.Module, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Return `state` under the model's own names (or `names`).

    The prefix of the base model (``bert.`` …) is taken off or put on as the model wants it, and the ``gamma``/``beta``
    of TensorFlow checkpoints become ``weight``/``bias``. Keys that fit nowhere keep their name.
    """
    known = _names(model) if names is None else set(names)
    prefix = _prefix(model)
    aligned = {}
    for key, value in state.items():
        modern = re.sub(r"\.beta$", ".bias", re.sub(r"\.gamma$", ".weight", key))
        candidates = [form for k in (key, modern) for form in (k, k.removeprefix(prefix), prefix + k)]
        aligned[next((name for name in candidates if name in known), key)] = value
    return aligned


def unwrap(state: Mapping[str, Tensor], model: nn.Module, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Return the tensors of a model out of what it was saved in: under their own names, where that makes more fit.

    Wrappers put ``module.``, ``model.``, ``net.`` … before every key. A larger module (of a trainer, say) holds the
    model as one of several parts; the others are left out, which is said, and averages of its weights (EMA) are others.

    Args:
        state: The checkpoint's tensors by key.
        model: Of the class they belong to; its weights may be anything, on the meta device too.
        names: Names under which its tensors are published, where they differ from its own.

    Raises:
        BendError: Two parts fit equally well.
    """
    known = _names(model) if names is None else set(names)

    def fitting(candidate: Mapping[str, Tensor]) -> int:
        return len(align(candidate, model, known).keys() & known)

    best = {WRAPPERS.sub("", key): value for key, value in state.items()}
    most, found, rivals = fitting(best), "", [""]
    waiting = [("", best)]
    for prefix, tensors in waiting:
        for part, inner in _parts(tensors).items():
            if len(inner) < max(most, 1):
                continue
            place, fits = f"{prefix}{part}.", fitting(inner)
            waiting.append((place, inner))
            if fits > most:
                best, most, found, rivals = inner, fits, place, [place]
            elif fits == most and found and not place.startswith(found):
                rivals.append(place)
    if len(rivals) > 1:
        raise BendError(
            f"The checkpoint holds several models of the kind, under {', '.join(rivals)}: save the one that is meant "
            "alone, with torch.save(model.state_dict(), FILE)."
        )
    others = Counter(_above(key, found) for key in map(partial(WRAPPERS.sub, ""), state) if not key.startswith(found))
    if others:
        left = ", ".join(f"{part} ({count})" for part, count in sorted(others.items()))
        log.warning("Of the checkpoint's tensors those of %r are the model's; left out: %s.", found[:-1], left)
    return best


def _above(key: str, place: str) -> str:
    """The highest module of a tensor that holds nothing of another place."""
    parts, others = key.split("."), place.split(".")
    shared = next(i for i, (part, other) in enumerate(zip(parts, others, strict=False)) if part != other)
    return ".".join(parts[: shared + 1])


def _parts(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The modules whose tensors these are, by name, and their tensors; averages only where there is nothing else."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        part, dot, rest = key.partition(".")
        if dot:
            found.setdefault(part, {})[rest] = value
    return found if len(found) == 1 else {part: inner for part, inner in found.items() if not AVERAGES.search(part)}


def compare(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    name: str = "the checkpoint",
    ignore: Iterable[str] = POOLERS,
    probe: Probe | None = None,
) -> list[str]:
    """Check that every tensor of a checkpoint is in the model, unchanged, and that the model has no others.

    Args:
        model: The model after loading, in any dtype; values are compared in that dtype.
        state: The checkpoint's tensors by key, from `read_state_dict` and `unwrap`.
        name: How messages call the checkpoint.
        ignore: Regular expressions; keys of the file in which one is found may be unknown to the model.
        probe: Computes the vectors of some input, to find out whether a part that is missing matters; without it
            every part does.

    Returns:
        The keys that differ and on which no vector depends, sorted (for a report to the user).

    Raises:
        BendError: Keys are missing, unexpected, of another shape or of another value, or hold NaN or infinity;
            the message names them.
    """
    own = model.state_dict(keep_vars=True)
    problems = _problems(model, own, state)
    published = as_published(model) if any(problems.values()) else None
    if published is not None:  # the library fuses or renames tensors as it loads them: undo that, and compare
        problems = min(problems, _problems(model, published, state), key=lambda found: sum(map(len, found.values())))
    derived, left_out = re.compile("|".join(DERIVED)), re.compile("|".join([*ignore, *_declared(model), "^$"]))
    prefixed = bool(_prefix(model)) and any(key.startswith(_prefix(model)) for key in state)
    reach = _Reach(model, probe)

    def harmless(what: str, key: str) -> bool:
        if derived.search(key):
            return True
        if what == UNKNOWN:
            return bool(left_out.search(key)) or _outside(key, model, prefixed)
        return not reach(key)

    listed = [(what, key, text) for what, found in problems.items() for key, text in found.items()]
    differing = sorted(key for what, key, _ in listed if harmless(what, key))
    serious = [(what, text) for what, key, text in listed if key not in differing]
    if serious:
        kinds = dict.fromkeys(what for what, _ in serious)
        texts = {kind: [text for what, text in serious if what == kind] for kind in kinds}
        listing = "; ".join(f"{len(found)} {what}: {some(found)}" for what, found in texts.items())
        raise BendError(
            f"{name} does not fit {type(model).__name__}, so its vectors would be wrong: {listing}. "
            "Use the architecture the checkpoint was made with (trust_remote_code=True if its own code is needed)."
        )
    return differing


MISSING = "missing from the checkpoint"
UNKNOWN = "unknown to the model"


def _problems(model: nn.Module, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, dict[str, str]]:
    """What differs between a model's tensors and a file's: by kind, by key, with the text for a message."""
    given = align(state, model, own)
    storages = {own[key].data_ptr() for key in given.keys() & own.keys()}
    problems: dict[str, dict[str, str]] = {}

    def add(what: str, key: str, text: str | None = None) -> None:
        problems.setdefault(what, {})[key] = text or key

    for key in own.keys() - given.keys():
        if own[key].data_ptr() not in storages or own[key].numel() == 0:  # else tied to one that is there
            add(MISSING, key)
    for key, value in given.items():
        if key not in own:
            add(UNKNOWN, key)
        elif own[key].shape != value.shape:
            shapes = f"{key} ({tuple(value.shape)} in the checkpoint, {tuple(own[key].shape)} in the model)"
            add("of the wrong shape", key, shapes)
        elif value.is_floating_point() and not torch.isfinite(value).all():
            add("not finite in the checkpoint", key)
        elif not torch.equal(own[key].detach().cpu(), value.to(own[key].dtype)):
            add("not as loaded (re-initialised or changed)", key)
    return problems


def as_published(model: nn.Module) -> dict[str, Tensor] | None:
    """Return a model's tensors under the names and in the form in which they are published.

    transformers stores some layers otherwise than their files do (the experts of a mixture in one tensor); it knows
    the way back. None where there is nothing to undo, or no way.
    """
    from transformers import PreTrainedModel
    from transformers.core_model_loading import revert_weight_conversion

    if not isinstance(model, PreTrainedModel):
        return None
    own = model.state_dict()
    try:
        published = revert_weight_conversion(model, own)
    except Exception:  # a step without inverse: what was compared before is what is reported
        return None
    return published if published.keys() != own.keys() else None


def _declared(model: nn.Module) -> tuple[str, ...]:
    """Keys of files of which the class itself says that it needs none of them (old buffers, mostly)."""
    return tuple(getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ())


def _outside(key: str, model: nn.Module, prefixed: bool) -> bool:
    """Whether a key of the file lies outside what the model's class owns, as heads do."""
    prefix, first = _prefix(model), key.partition(".")[0]
    if (prefix and key.startswith(prefix)) or any(name.partition(".")[0] == first for name in _names(model)):
        return False
    return prefixed or any(re.search(head, key) for head in HEADS)


class _Reach:
    """Whether the vectors depend on the part of the model in which a tensor lies.

    Asked of autograd: with nothing but that part's weights requiring a gradient, do the vectors require one? Parts are
    whole modules above any list of layers, so that an expert that the probe happens not to use counts with its layer.
    """

    def __init__(self, model: nn.Module, probe: Probe | None) -> None:
        self.model, self.probe = model, probe
        self.known: dict[str, bool] = {}

    def __call__(self, key: str) -> bool:
        parts = key.split(".")[:-1]
        stop = next((i for i, part in enumerate(parts) if part.isdigit()), len(parts))
        return all(self._part(".".join(parts[:i])) for i in range(1, stop + 1)) if self.probe is not None else True

    def _part(self, name: str) -> bool:
        if name not in self.known:
            inside = {weight for key, weight in self._weights() if key.startswith(f"{name}.")}
            shared = {weight for key, weight in self._weights() if not key.startswith(f"{name}.")}
            # What has no weights, or cannot be followed by autograd at all, counts as reached.
            self.known[name] = not inside or self._depends(inside - shared) or not self._depends(shared)
        return self.known[name]

    def _weights(self) -> list[tuple[str, nn.Parameter]]:
        return list(self.model.named_parameters(remove_duplicate=False))

    def _depends(self, weights: set[nn.Parameter]) -> bool:
        before = {weight: weight.requires_grad for weight in self.model.parameters()}
        assert self.probe is not None
        try:
            for weight in before:
                weight.requires_grad_(weight in weights)
            with torch.enable_grad():
                return self.probe().requires_grad
        except Exception:  # a forward that fails on the probe says nothing
            return True
        finally:
            for weight, required in before.items():
                weight.requires_grad_(required)
