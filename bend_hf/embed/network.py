"""A model as a function of ids: which arguments its forward takes, and where it puts its hidden states.

    network = Network(model, "mine", torch.device("cpu"))
    vectors = network(ids, lengths)              # (B, T) padded on the right -> (B, T, D)

Nothing is taken from a model's name: all of it is looked up.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bend_hf.console import log
from bend_hf.embed.attention import whole_matrices
from bend_hf.embed.devices import out_of_memory
from bend_hf.embed.spread import is_spread
from bend_hf.embed.strands import fold
from bend_hf.errors import BendError
from bend_hf.runtime import exact_float32

Layer = int | str | Sequence[int] | Sequence[int | str]


SHAPED: dict[str, Callable[[Tensor], Tensor]] = {
    "attention_mask": torch.ones_like,
    "token_type_ids": torch.zeros_like,
    "position_ids": lambda ids: torch.arange(ids.shape[1], device=ids.device).expand_as(ids),
}
"""What is given of arguments that some models cannot do without, for ids of one sequence per row."""
PAST = ("past_key_values", "cache_params")
"""Names under which causal models give, and take, what they go on from."""


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
        self.model = model if there == device or is_spread(model) else model.to(device)
        self.name, self.device, self.dtype = name, device, dtype
        self.call: Callable[..., Any] = self.model
        self.autocast = True
        self.fold_strands = fold_strands
        accepted = inspect.signature(model.forward).parameters
        self.masked = "attention_mask" in accepted
        # transformers takes it among the keywords of most of its models, without naming it.
        keywords = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
        self.deep = "output_hidden_states" in accepted or (keywords and isinstance(model, PreTrainedModel))
        self.past = next((name for name in PAST if name in accepted and "use_cache" in accepted), None)
        self.fixed = fixed_arguments(model)
        self.required = required_arguments(model, name)
        self.multiple, self.pad = 1, 0  # ids are padded with `pad` to a multiple; see `limits`
        self.vocabulary = _vocabulary(model)
        self.n_layers: int | None = None
        self.late = False  # whether the states it gives begin behind its first layer, see `count_layers`
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
        with torch.inference_mode(), self.precision(), evaluating(self.model):
            found = self._hidden(arguments, layers)
            return [fold(vectors[:, :tokens]) if self.fold_strands else vectors[:, :tokens] for vectors in found]

    def behind(self, ids: Tensor, rows: Tensor, tails: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the hidden states (N, n, D) of a causal model for what follows on beginnings, each read once.

        Args:
            ids: Beginnings, (B, T), none of them padded.
            rows: Which one each tail follows on, (N,).
            tails: What follows, (N, n), padded on the right.
            layers: As `check_layers` gives them.

        Raises:
            BendError: The model gives nothing to go on from, or no such vectors.
        """
        with torch.inference_mode(), self.precision(), evaluating(self.model):
            past: Any = None
            if self.past is not None:
                past = _field(self._run(self._arguments(ids) | {"use_cache": True}), self.past)
            if self.past is None or not hasattr(past, "reorder_cache"):
                raise BendError(f"{self.name} gives nothing to go on from.")
            past.reorder_cache(rows.to(self.device))
            return self._hidden(self._arguments(tails) | {self.past: past, "use_cache": True}, layers)

    def _hidden(self, arguments: dict[str, Any], layers: Sequence[int]) -> list[Tensor]:
        """Call the model, and return its hidden states of some layers, one vector per token given."""
        inner = any(layer != -1 for layer in layers)
        if inner:
            arguments = arguments | {"output_hidden_states": True}
        output, shape = self._run(arguments), arguments["input_ids"].shape
        states = _states(output) if inner else None
        if states is not None and self.late:
            states = (_table(self.model)(arguments["input_ids"]), *states[:-2], states[-1])
        if inner and states is None:
            raise BendError(f"{self.name} gives no hidden states of inner layers: use layer=-1.")
        found = []
        for layer in layers:
            vectors = self._last(output, arguments) if layer == -1 or states is None else states[layer]
            if vectors.ndim != 3 or vectors.shape[:2] != shape:
                raise BendError(
                    f"{self.name} gives vectors of shape {tuple(vectors.shape)} for ids of shape {tuple(shape)}: want "
                    "one vector per token."
                )
            if not vectors.is_floating_point():
                kind = str(vectors.dtype).removeprefix("torch.")
                raise BendError(f"{self.name} gives vectors of {kind}: want floating-point numbers.")
            found.append(vectors.float() if vectors.dtype == torch.float64 else vectors)
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
                "another length (context=, --context), or wrap it as a callable that gives its vectors (see "
                "docs/embeddings.md)."
            ) from error

    def check_layers(self, layer: Layer) -> tuple[int, ...]:
        """Return layers by number: -1 for the model's output, which is the last one, else 0 (embeddings) and up.

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
            numbers = [-1 if number in (-1, last) else number % (last + 1) for number in numbers]
        return tuple(numbers)

    def count_layers(self, ids: Tensor) -> int | None:
        """Find out how many layers there are above the embeddings, by running ids (1, T); None where none are shown.

        Most models give the embeddings, then what each layer gives, the last one normalised. Some (Mamba, RWKV) begin
        with what the first layer gives, and give the last one before and after the norm. Here a number means the same
        of all models: 0 the embeddings, k what the k-th layer gives.
        """
        if self.deep:
            arguments = self._arguments(ids) | {"output_hidden_states": True}
            try:
                with torch.inference_mode(), self.precision(), evaluating(self.model):
                    with _first_layers(self.model) as firsts:
                        states = _states(self.call(**arguments))
                    self.late = states is not None and self._is_late(states, arguments["input_ids"], firsts)
            except Exception as error:  # whatever a model's own code raises
                log.info("%s does not run with output_hidden_states=True (%s).", self.name, error)
                states = None
            self.deep = states is not None
            self.n_layers = None if states is None else len(states) - 1
        self.layers = self.check_layers(self.layers)
        return self.n_layers

    def _is_late(self, states: Sequence[Tensor], ids: Tensor, firsts: Sequence[tuple[Tensor, Tensor]]) -> bool:
        """Whether states begin with what a first layer gives for the embeddings of ids."""
        table = _table(self.model)
        for given, found in firsts if table is not None else ():
            if found.shape == states[0].shape and torch.equal(found, states[0]):
                return torch.equal(given, table(ids)) and not torch.equal(given, found)
        return False

    def hold_weights_in(self, dtype: torch.dtype) -> None:
        """Hold the weights themselves in `dtype` and compute in it, without autocast; buffers stay as they are."""
        for _, weight in lowered(self.model):
            weight.data = weight.data.to(dtype)
        self.dtype, self.autocast = dtype, False

    @contextmanager
    def precision(self) -> Iterator[None]:
        """Compute in `dtype`; what of it is in float32 is so to its last bit."""
        lower = self.autocast and self.dtype != torch.float32
        autocast = torch.autocast(self.device.type, dtype=self.dtype, enabled=lower)
        with exact_float32(), autocast, whole_matrices(self.device, self.dtype):
            yield

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


@contextmanager
def _first_layers(model: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Gather what the first module of every list of modules is given, and what it gives."""
    found: list[tuple[Tensor, Tensor]] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = args[0] if args else kwargs.get("hidden_states")
        gives = output[0] if isinstance(output, tuple) else output
        if isinstance(given, Tensor) and isinstance(gives, Tensor) and given.is_floating_point():
            found.append((given, gives))

    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module)]
    hooks = [module[0].register_forward_hook(note, with_kwargs=True) for module in lists]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


class _Vocabulary(NamedTuple):
    """How wide logits may be, and how wide the embeddings of ids are (None where that is not known)."""

    sizes: frozenset[int]
    width: int | None


def _table(model: nn.Module) -> Any:
    """The module that gives the embeddings of ids, where a model says which one it is; else None."""
    try:
        return model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError, TypeError):
        return None


def _vocabulary(model: nn.Module) -> _Vocabulary:
    table = _table(model)
    if table is None:
        tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
        table = tables[0] if tables else None
    config = getattr(model, "config", None)
    sizes = (getattr(table, "num_embeddings", None), getattr(config, "vocab_size", None))
    return _Vocabulary(frozenset(filter(None, sizes)), getattr(table, "embedding_dim", None))


def lowered(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights that may be held in half precision: all but those that the model says are float32 in any case."""
    kept = tuple(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not any(f".{part}." in f".{name}." for part in kept):
            yield name, weight
