"""A model as a function of ids, and what is found out about it by trying.

    network = Network(model, "cpu", torch.float32)
    hidden = network(ids, lengths)               # (B, T) padded on the right -> (B, T, D)
    measured = measure(network, scheme)          # causal? does padding change a vector? does bfloat16 agree?

Nothing is taken from a model's name: the arguments `forward` takes, where it puts its hidden states, whether a token
sees what follows it and whether padding reaches a vector are all looked up or measured.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel

from bend_hf.console import log
from bend_hf.embed.strands import fold
from bend_hf.embed.tokens import Scheme
from bend_hf.errors import BendError

Layer = int | str | Sequence[int] | Sequence[int | str]

REPEATS = 1e-5
"""How far two answers for one input may lie apart, relative to the vectors' root mean square."""
KINDS = ("cuda", "xpu", "mps")
"""Kinds of devices, best first; what runs on those behind the first is compared with the CPU before it is believed."""
WILD = (0.05, 2.0, 10.0)
"""Least and most median deviation of a channel, and most of any, within which the heads' recipe is at home (one-hot
vectors: 0.43)."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in main memory."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


SHAPED: dict[str, Callable[[Tensor], Tensor]] = {
    "attention_mask": torch.ones_like,
    "token_type_ids": torch.zeros_like,
    "position_ids": lambda ids: torch.arange(ids.shape[1], device=ids.device).expand_as(ids),
}
"""What is given of arguments that some models cannot do without, for ids of one sequence per row."""


def required_arguments(model: nn.Module, name: str) -> list[str]:
    """Return the arguments of `SHAPED` that a model's forward cannot do without.

    Raises:
        BendError: It takes no ids of tokens, or cannot do without something else.
    """
    accepted = inspect.signature(model.forward).parameters
    needed = [
        key
        for key, it in accepted.items()
        if it.default is it.empty and it.kind not in (it.VAR_KEYWORD, it.VAR_POSITIONAL)
    ]
    keywords = any(it.kind is it.VAR_KEYWORD for it in accepted.values())
    if "input_ids" not in accepted and not (keywords and not needed):
        raise BendError(
            f"{name} takes no ids of tokens: its forward takes {', '.join(accepted)} (one-hot letters, perhaps). "
            "Wrap it as a callable that gives its vectors for sequences (see docs/embeddings.md)."
        )
    foreign = [key for key in needed if key != "input_ids" and key not in SHAPED]
    if foreign:
        raise BendError(
            f"{name} cannot do without {', '.join(foreign)}, which DNA alone does not give. Wrap it as a callable that "
            "gives its vectors for sequences (see docs/embeddings.md)."
        )
    return [key for key in needed if key != "input_ids"]


def fixed_arguments(model: nn.Module) -> dict[str, Any]:
    """Return the arguments that every call gets: outputs by name, no cache for generation; where they are taken."""
    accepted = inspect.signature(model.forward).parameters
    return {key: value for key, value in (("return_dict", True), ("use_cache", False)) if key in accepted}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout and their like off, and on again where they were."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


class Network:
    """A model on a device, computing in a dtype.

    Args:
        model: Takes ``input_ids`` (B, T).
        name: For messages.
        device: Where it runs.
        dtype: float32, or bfloat16 / float16 by autocast.
        layer: ``"last"`` or -1 for the output, another index of ``hidden_states`` (0 = embeddings), or several, whose
            vectors are concatenated.
        fold_strands: Whether the second half of the channels is that of the reverse complement in reverse order
            (Caduceus-ps), to be averaged with the first.
    """

    def __init__(
        self,
        model: nn.Module,
        name: str,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        layer: Layer = -1,
        fold_strands: bool = False,
    ) -> None:
        there = next((weight.device for weight in model.parameters()), None)
        self.model = model if there == device else model.to(device)
        self.name, self.device, self.dtype = name, device, dtype
        self.call: Callable[..., Any] = self.model
        self.autocast = True
        self.fold_strands = fold_strands
        accepted = inspect.signature(model.forward).parameters
        self.masked = "attention_mask" in accepted
        # transformers takes it among the keywords of most of its models, without naming it.
        keywords = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
        self.deep = "output_hidden_states" in accepted or (keywords and isinstance(model, PreTrainedModel))
        self.fixed = fixed_arguments(model)
        self.required = required_arguments(model, name)
        self.multiple, self.pad = 1, 0  # ids are padded with `pad` to a multiple; see `limits`
        self.vocabulary = _vocabulary(model)
        self.n_layers: int | None = None
        self.layers = self.check_layers(layer)

    def __call__(self, ids: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the hidden states of the network's own layers, side by side, (B, T, D) on its device.

        Args:
            ids: (B, T), padded on the right.
            lengths: (B,) tokens per row; None where no row is padded.
        """
        return torch.cat(self.hidden(ids, lengths, self.layers), -1)

    def hidden(self, ids: Tensor, lengths: Tensor | None, layers: Sequence[int]) -> list[Tensor]:
        """Return the hidden states (B, T, D) of some layers from one pass.

        Args:
            ids: (B, T), padded on the right.
            lengths: (B,) tokens per row; None where no row is padded.
            layers: As `check_layers` gives them.

        Raises:
            BendError: The model gives no such vectors.
        """
        tokens = ids.shape[1]
        if tokens % self.multiple:
            lengths = torch.full((len(ids),), tokens) if lengths is None else lengths
            ids = nn.functional.pad(ids, (0, -tokens % self.multiple), value=self.pad)
        arguments = self._arguments(ids)
        if lengths is not None and self.masked:
            mask = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
            arguments["attention_mask"] = mask.to(self.device, torch.long)
        inner = any(layer != -1 for layer in layers)
        if inner:
            arguments["output_hidden_states"] = True
        with torch.inference_mode(), self.precision(), evaluating(self.model):
            output = self._run(arguments)
            states = _states(output) if inner else None
            if inner and states is None:
                raise BendError(f"{self.name} gives no hidden states of inner layers: use layer=-1.")
            found = []
            for layer in layers:
                vectors = self._last(output, arguments) if layer == -1 or states is None else states[layer]
                if vectors.ndim != 3 or vectors.shape[:2] != ids.shape:
                    raise BendError(
                        f"{self.name} gives vectors of shape {tuple(vectors.shape)} for ids of shape "
                        f"{tuple(ids.shape)}: want one vector per token."
                    )
                vectors = vectors[:, :tokens]
                found.append(fold(vectors) if self.fold_strands else vectors)
            return found

    def _arguments(self, ids: Tensor) -> dict[str, Any]:
        """What every call gets: ids (B, T), and the arguments that follow from their shape."""
        given = ids.to(self.device)
        return self.fixed | {"input_ids": given} | {key: SHAPED[key](given) for key in self.required}

    def _run(self, arguments: dict[str, Any]) -> Any:
        """Call the model; what it raises becomes an error that names it."""
        try:
            return self.call(**arguments)
        except Exception as error:  # whatever a model's own code raises
            if out_of_memory(error) or isinstance(error, BendError):
                raise
            rows, tokens = arguments["input_ids"].shape
            raise BendError(
                f"{self.name}: its forward fails for {rows} × {tokens} tokens ({type(error).__name__}: {error}). Give "
                "another length (context=), or wrap it as a callable that gives its vectors (see docs/embeddings.md)."
            ) from error

    def check_layers(self, layer: Layer) -> tuple[int, ...]:
        """Return layers by number: -1 for the model's output, else 0 (embeddings) to the number of its layers.

        Raises:
            BendError: One does not exist; the message says how many there are.
        """
        asked = list(layer) if isinstance(layer, Iterable) and not isinstance(layer, str) else [layer]
        if not asked or any(isinstance(x, bool) or not (isinstance(x, int) or x == "last") for x in asked):
            raise BendError(f'layer={layer!r} is none: give an index, "last", or a list of them.')
        numbers = [-1 if x == "last" else int(x) for x in asked]
        if not self.deep and any(number != -1 for number in numbers):
            raise BendError(f"{self.name} gives no hidden states of inner layers: use layer=-1.")
        if self.n_layers is not None:
            last = self.n_layers
            for number in numbers:
                if not -last - 1 <= number <= last:
                    raise BendError(
                        f"{self.name} has no layer {number}: it has {last} layers, 0 (embeddings) to {last}; -1 is its "
                        "output."
                    )
            numbers = [number if number >= -1 else number + last + 1 for number in numbers]
        return tuple(numbers)

    def count_layers(self, ids: Tensor) -> int | None:
        """Find out how many layers there are above the embeddings, by running ids (1, T); None where none are shown."""
        if self.deep:
            arguments = self._arguments(ids) | {"output_hidden_states": True}
            try:
                with torch.inference_mode(), self.precision(), evaluating(self.model):
                    states = _states(self.call(**arguments))
            except Exception as error:  # whatever a model's own code raises
                log.info("%s does not run with output_hidden_states=True (%s).", self.name, error)
                states = None
            self.deep = states is not None
            self.n_layers = None if states is None else len(states) - 1
        self.layers = self.check_layers(self.layers)
        return self.n_layers

    def hold_weights_in(self, dtype: torch.dtype) -> None:
        """Hold the weights themselves in `dtype` and compute in it, without autocast; buffers stay as they are."""
        for _, weight in _lowered(self.model):
            weight.data = weight.data.to(dtype)
        self.dtype, self.autocast = dtype, False

    def precision(self) -> Any:
        """Return the context in which the model computes in `dtype`."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.autocast and self.dtype != torch.float32)

    def _last(self, output: Any, arguments: dict[str, Any]) -> Tensor:
        """The output vectors, wherever this model puts them; never its logits."""
        found = _field(output, "last_hidden_state")
        if found is None:
            found = _field(output, "hidden_states")
        if found is None and isinstance(output, (Tensor, tuple, list)):
            given = [output] if isinstance(output, Tensor) else [part for part in output if isinstance(part, Tensor)]
            wide = (part for part in given if part.ndim == 3 and part.shape[-1] == self.vocabulary.width)
            found = next(wide, None) if not given or self._is_logits(given[0]) else given[0]
        if found is None and self.deep:
            found = _states(self.call(**arguments | {"output_hidden_states": True}))
        if isinstance(found, (tuple, list)) and found:
            found = found[-1]
        if not isinstance(found, Tensor):
            fields = ", ".join(output) if hasattr(output, "keys") else type(output).__name__
            raise BendError(
                f"{self.name} gives no hidden states (its output has: {fields}), and a head's logits are no embedding. "
                "Load the model without its head, or wrap it in a function that gives its vectors."
            )
        return found

    def _is_logits(self, tensor: Tensor) -> bool:
        """Whether an unnamed output is as wide as the vocabulary, which the embeddings are not."""
        width = tensor.shape[-1] if tensor.ndim == 3 else 0
        return width in self.vocabulary.sizes and width != self.vocabulary.width


def _field(output: Any, name: str) -> Any:
    """A named part of a model's output, which may be an object or a plain dictionary; None where it has none."""
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)


def _states(output: Any) -> Sequence[Tensor] | None:
    """All hidden states of an output: the field of that name, or the tuple of tensors in a tuple."""
    found = _field(output, "hidden_states")
    if found is None and isinstance(output, (tuple, list)):
        found = next((part for part in output if isinstance(part, (tuple, list))), None)
    whole = isinstance(found, (tuple, list)) and len(found) > 1 and all(isinstance(state, Tensor) for state in found)
    return found if whole else None


class _Vocabulary(NamedTuple):
    """How wide logits may be, and how wide the embeddings of ids are (None where that is not known)."""

    sizes: frozenset[int]
    width: int | None


def _vocabulary(model: nn.Module) -> _Vocabulary:
    try:
        table = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError, TypeError):
        tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
        table = tables[0] if tables else None
    config = getattr(model, "config", None)
    sizes = (getattr(table, "num_embeddings", None), getattr(config, "vocab_size", None))
    return _Vocabulary(frozenset(filter(None, sizes)), getattr(table, "embedding_dim", None))


@dataclass(frozen=True)
class Measured:
    """What trying a model showed.

    Attributes:
        dim: Width of a vector.
        layers: Layers above the embeddings; None where the model shows its output alone.
        causal: No token's output depends on what follows it.
        padding_safe: Padding on the right changes no vector (in float32, to 1e-4 of their root mean square).
        agreement: Mean cosine of vectors in half precision, by autocast, to those in float32 (of several layers, the
            least); None where not tried, or where the model has no half precision.
        held: The same with the weights held in half precision; None where not tried or where it does not run.
        deviations: Least, median and largest standard deviation of a channel over the tokens of a probe.
        scale: Root mean square of the vectors there.
    """

    dim: int
    layers: int | None
    causal: bool
    padding_safe: bool
    agreement: float | None
    held: float | None
    deviations: tuple[float, float, float]
    scale: float

    @property
    def wild(self) -> bool:
        """Whether the heads' recipe, meant for channels of about unit variance, meets another scale."""
        _, median, largest = self.deviations
        return not WILD[0] <= median <= WILD[1] or largest > WILD[2]


def probe_ids(scheme: Scheme, tokens: int, seed: int) -> np.ndarray:
    """Return `tokens` ids of random DNA, with the special tokens around them."""
    letters = np.random.default_rng(seed).choice(list("ACGT"), tokens * 12 * max(scheme.k, 1) + 64)
    ids = scheme.encode(["".join(letters)])[0].ids[:tokens]
    return np.concatenate((scheme.prefix, ids, scheme.suffix)).astype(np.int64)


def measure(network: Network, scheme: Scheme, half: torch.dtype | None = None, most: int | None = None) -> Measured:
    """Try a model in float32 on probes of up to 128 tokens.

    Args:
        network: The model.
        scheme: Its tokens.
        half: A dtype whose agreement is to be measured.
        most: Most tokens the model takes, special ones included.

    Raises:
        BendError: It gives no vectors, NaN or infinite ones, two answers for one input, or has no such layer.
    """
    own, network.dtype = network.dtype, torch.float32
    try:
        size = min(128, most or 128) - scheme.specials
        long, short = probe_ids(scheme, size, 1), probe_ids(scheme, max(1, size // 3), 2)
        ids = torch.from_numpy(long)[None]
        layers = network.count_layers(ids)

        def run(ids: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
            """The output, on which causal and padding-safe depend, then the network's own layers."""
            return network.hidden(ids, lengths, (-1, *network.layers))

        whole = [_finite(vectors, network) for vectors in run(ids)]
        if apart := _apart(run(ids), whole, REPEATS):
            raise BendError(
                f"{network.name} gives two answers for one input (they differ by {apart:.2g} of the vectors' root mean "
                "square): something random, such as dropout, is on in its forward. Switch it off."
            )
        changed = ids.clone()
        cut = len(scheme.prefix) + size // 2
        end = len(long) - len(scheme.suffix)
        changed[0, cut:end] = ids[0, cut:end].flip(0).roll(1)
        reached = (run(changed)[0][0, :cut] - whole[0][0, :cut]).abs().max()
        causal = bool(reached <= 1e-5 * _scale(whole[0]))

        batch = np.full((2, len(long)), scheme.pad, np.int64)
        batch[0, : len(short)], batch[1] = short, long
        alone = [vectors[0] for vectors in run(torch.from_numpy(short)[None])]
        lengths = torch.tensor([len(short), len(long)])
        padded = [vectors[0, : len(short)] for vectors in run(torch.from_numpy(batch), lengths)]
        # The last block of a sparse attention sees everything: behind a longer input it would be padding.
        sparse = getattr(getattr(network.model, "config", None), "attention_type", None) == "block_sparse"
        padding_safe = not sparse and not _apart(padded, alone, 1e-4)

        agreement = held = None
        if half is not None and not sparse:  # which transformers computes in float32 alone
            network.dtype = half
            agreement = _cosine(network.hidden(ids, None, network.layers), whole[1:])
            held = _held_in(network, half, ids, whole[1:])
        deviations, scale, dim = _spread(torch.cat(whole[1:], -1)[0, len(scheme.prefix) : end])
        return Measured(dim, layers, causal, padding_safe, agreement, held, deviations, scale)
    finally:
        network.dtype = own


def measure_layers(network: Network, scheme: Scheme, measured: Measured, most: int | None = None) -> Measured:
    """Return what was measured of a model with what differs at the network's own layers: width, deviations, scale."""
    long = probe_ids(scheme, min(128, most or 128) - scheme.specials, 1)
    vectors = network(torch.from_numpy(long)[None])[0, len(scheme.prefix) : len(long) - len(scheme.suffix)]
    deviations, scale, dim = _spread(vectors)
    return replace(measured, dim=dim, deviations=deviations, scale=scale)


def _spread(vectors: Tensor) -> tuple[tuple[float, float, float], float, int]:
    """Return the least, median and largest deviation of the channels of (T, D) vectors, their scale, and D."""
    content = vectors.float()
    spread = content.std(0, correction=0)
    least, median, largest = (float(f"{x:.4g}") for x in (spread.min(), spread.median(), spread.max()))
    return (least, median, largest), float(f"{_scale(content):.4g}"), content.shape[-1]


def _scale(vectors: Tensor) -> float:
    return float(vectors.float().square().mean().sqrt())


def answer(network: Network, scheme: Scheme, most: int | None = None) -> Tensor:
    """Return the vectors of a probe of 32 tokens or `most`, (T, D) float32 on CPU: what the network computes now."""
    room = min(32, most or 32) - scheme.specials
    return network(torch.from_numpy(probe_ids(scheme, max(1, room), 3))[None])[0].float().cpu()


def differs(some: Tensor, other: Tensor) -> bool:
    """Whether two answers are those of different models, and not of one model and its rounding."""
    return some.shape != other.shape or bool(_apart([some], [other], REPEATS))


def _apart(some: Sequence[Tensor], others: Sequence[Tensor], most: float) -> float:
    """The largest difference between vectors of some layers, relative to their scale; 0 where none exceeds `most`."""
    apart = [float((a - b).abs().max()) / (_scale(b) or 1.0) for a, b in zip(some, others, strict=True)]
    return max(apart) if max(apart) > most else 0.0


def _cosine(some: Sequence[Tensor], whole: Sequence[Tensor]) -> float:
    """Mean cosine of the vectors of one input, of several layers the least."""
    pairs = zip(some, whole, strict=True)
    found = [torch.cosine_similarity(a[0].float(), b[0].float(), dim=-1).nan_to_num(nan=0.0) for a, b in pairs]
    return min(float(cosines.mean()) for cosines in found)


def _lowered(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights that may be held in half precision: all but those that the model says are float32 in any case."""
    kept = tuple(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not any(f".{part}." in f".{name}." for part in kept):
            yield name, weight


def _held_in(network: Network, half: torch.dtype, ids: Tensor, whole: Sequence[Tensor]) -> float | None:
    """Agreement of a model whose weights are in half precision; the weights themselves are left as they are."""
    weights = {name: weight.data.to(half) for name, weight in _lowered(network.model)}
    network.dtype, network.call = torch.float32, lambda **kwargs: functional_call(network.model, weights, (), kwargs)
    try:
        return _cosine(network.hidden(ids, None, network.layers), whole)
    except (RuntimeError, BendError):
        return None
    finally:
        network.call = network.model


def _finite(hidden: Tensor, network: Network) -> Tensor:
    if not torch.isfinite(hidden).all():
        raise BendError(
            f"{network.name} gives NaN or infinite vectors in {str(network.dtype).removeprefix('torch.')} for plain "
            "DNA: its weights or its code are broken here."
        )
    return hidden


def native_half(device: torch.device) -> torch.dtype | None:
    """Return the half-precision dtype that the device computes natively, None where there is none.

    It depends on the hardware alone, never on a timing, so that processes of one run agree.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu":
        supports = [getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in ("amx_tile", "avx512_bf16")]
        return torch.bfloat16 if any(known is not None and known() for known in supports) else None
    return None


def pick_device(device: str | torch.device | None) -> torch.device:
    """Return the device asked for, or the best there is.

    Raises:
        BendError: It is not there.
    """
    if device is None:
        return torch.device(next((kind for kind in KINDS if _count(kind)), "cpu"))
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise BendError(f"device {device!r} is none: give cpu, cuda, cuda:0, mps or xpu.") from error
    there = _count(chosen.type)
    if chosen.type == "meta" or (chosen.index or 0) >= there:
        raise BendError(f"device {device!r} is not there ({there} devices of that kind are): use --device cpu.")
    return chosen


def _count(kind: str) -> int:
    """How many devices of a kind torch can use here."""
    if kind == "cpu":
        return 1
    module = getattr(torch, kind, None)
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return module.device_count() if module is not None and module.is_available() else 0


def agrees_with_cpu(model: nn.Module, name: str, scheme: Scheme, device: torch.device) -> bool:
    """Whether a device that is seldom tried gives a model's vectors as the CPU does, in float32."""
    ids = torch.from_numpy(probe_ids(scheme, 32, 1))[None]
    expected = Network(model, name, torch.device("cpu"))(ids)
    try:
        found = Network(model, name, device)(ids).cpu()
    except (RuntimeError, BendError) as error:
        log.warning("%s does not run on %s (%s): computing on the CPU.", name, device, error)
        return False
    if apart := _apart([found], [expected], 1e-3):
        log.warning("%s on %s differs from the CPU by %.2g: computing on the CPU.", name, device, apart)
    return not apart
