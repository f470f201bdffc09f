"""BEND's CNN head, computed on token vectors instead of upsampled ones.

    head = CNNHead(dim=768, hidden=64, outputs=9, pool=None, seed=3)
    logits = head(Batch(vectors, lengths))           # (sequences, positions, outputs)

The head is that of Marin et al. 2024: convolution of width 3 → GELU → convolution of width 3 → GELU → average pooling
(where a task has bins) → linear. Its input is upsampled to nucleotides: every token's vector is repeated `length`
times. A convolution over repeated vectors needs each vector multiplied once: Z = X · [W0|W1|W2] per token, after which
position p is Z0[token of p-1] + Z1[token of p] + Z2[token of p+1] + bias. That is the same function at a fraction
of the arithmetic and memory. With one token per nucleotide nothing is repeated, and a channels-last convolution is
fastest.

Heads of several seeds share a batch, what is worked out of its run lengths (`with_expansion`), and nothing else: each
multiplies its own matrices, so that it comes out the same, bit for bit, beside any others.

Any network that is trained in the head's place has the same forward: a `Batch` in, logits of shape
(sequences, positions, outputs) out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from bend_hf.protocols import Protocol
from bend_hf.tasks import Task

STRETCH = 2**20
"""Numbers of a micro-batch of which one core computes the weights' gradients at once: 4 MB, fewer take longer."""


class Expansion(NamedTuple):
    """How the tokens of a batch repeat along its positions, as indices for `expand_and_add`.

    Attributes:
        sources: (B · width, 3) int64: for each position the rows, in the planes of projections, of the token of its
            left neighbour, its own and its right neighbour's.
        runs: (nucleotides,) int64: the positions that hold nucleotides.
        starts: (B · T,) int64: where each token's run of positions begins in `runs`.
        width: Positions.
    """

    sources: torch.Tensor
    runs: torch.Tensor
    starts: torch.Tensor
    width: int


class Batch(NamedTuple):
    """Sequences of token vectors, padded to a common number of tokens.

    Attributes:
        vectors: (B, T, D) floats; zeros where `lengths` is 0.
        lengths: (B, T) int64: nucleotides per token, 0 for padding behind the last token. They may stay on the CPU
            when the vectors are on a GPU, which spares the head from waiting for the GPU.
        width: Positions (nucleotides) to compute; None for those of the longest sequence.
        expansion: What `with_expansion` works out once for all heads; None: each head does.
    """

    vectors: torch.Tensor
    lengths: torch.Tensor
    width: int | None = None
    expansion: Expansion | None = None

    def with_expansion(self) -> Batch:
        """Return the batch with its tokens' expansion, where tokens are longer than a nucleotide."""
        if bool((self.lengths <= 1).all()):
            return self
        width = int(self.lengths.sum(1).max()) if self.width is None else self.width
        return self._replace(expansion=expansion(self.lengths, width, self.vectors.device))


class _ExpandAndAdd(torch.autograd.Function):
    """Sums three shifted, expanded planes; its backward is a sum over each token's run of positions."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: torch.Tensor,
        sources: torch.Tensor,
        runs: torch.Tensor,
        starts: torch.Tensor,
        width: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(runs, starts)
        batch, tokens, channels = projected.shape
        planes = F.pad(projected, (0, 0, 0, 1)).view(batch * (tokens + 1) * 3, channels // 3)
        return F.embedding_bag(sources, planes, mode="sum").view(batch, width, channels // 3)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        runs, starts = ctx.saved_tensors
        batch, _, channels = gradient.shape
        rows = F.pad(gradient, (0, 0, 1, 1)).view(-1, channels)  # position p of a sequence is its row p + 1
        planes = [F.embedding_bag(runs + shift, rows, starts, mode="sum") for shift in (2, 1, 0)]
        return torch.cat(planes, 1).view(batch, -1, 3 * channels), None, None, None, None


def expansion(lengths: torch.Tensor, width: int, device: torch.device) -> Expansion:
    """Work out the indices of `expand_and_add`, on `device`.

    Args:
        lengths: (B, T) nucleotides per token, 0 for padding.
        width: Positions to return, at least the longest sequence's nucleotides.
        device: Where the vectors are.
    """
    batch, tokens = lengths.shape
    here = lengths.device
    ends = lengths.cumsum(1)
    positions = torch.arange(width, device=here)
    # The token of each position; `tokens`, a row of zeros, behind the sequence's end.
    owner = torch.searchsorted(ends, positions.expand(batch, width).contiguous(), right=True)
    owner = F.pad(owner, (1, 1), value=tokens) + torch.arange(batch, device=here)[:, None] * (tokens + 1)
    sources = 3 * torch.stack([owner[:, :-2], owner[:, 1:-1], owner[:, 2:]], -1) + torch.arange(3, device=here)
    inside = positions < ends[:, -1:]
    runs = (positions + torch.arange(batch, device=here)[:, None] * (width + 2))[inside]
    starts = lengths.flatten().cumsum(0) - lengths.flatten()
    sources, runs, starts = (index.to(device, non_blocking=True) for index in (sources.view(-1, 3), runs, starts))
    return Expansion(sources, runs, starts, width)


def expand_and_add(projected: torch.Tensor, tokens: Expansion) -> torch.Tensor:
    """Return the width-3 convolution of repeated vectors from the projections of the vectors.

    Args:
        projected: (B, T, 3h): each token times the kernel's left, middle and right slice.
        tokens: How they repeat.

    Returns:
        (B, width, h), without bias. What lies outside a sequence counts as zeros.
    """
    result: torch.Tensor = _ExpandAndAdd.apply(projected, *tokens)
    return result


class _Convolve(torch.autograd.Function):
    """A width-3 convolution on a CPU in float32 whose weights' gradient is a product of matrices for each tap.

    That is one and a half to three times as fast as the convolution's own gradient, most where sequences are long.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight.unsqueeze(2), bias, padding=(0, 1))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x = None
        if ctx.needs_input_grad[0]:
            settings = ([1, 1], [0, 1], [1, 1], False, [0, 0], 1, [True, False, False])
            to_x = torch.ops.aten.convolution_backward(gradient, x, weight.unsqueeze(2), None, *settings)[0]
        inputs, outputs = (each.squeeze(2).transpose(1, 2) for each in (x, gradient))  # (B, L, D) and (B, L, channels)
        return to_x, _to_weights(inputs, outputs), gradient.sum((0, 2, 3))


def _to_weights(inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
    """Return the gradient of a width-3 convolution's weights: (channels, D, 3).

    Args:
        inputs: (B, L, D) what was convolved.
        outputs: (B, L, channels) the gradient of what came of it.
    """
    if torch.get_num_threads() > 1:  # which share the sequences
        left, middle, right = (
            torch.bmm(outputs[:, taps].mT, inputs[:, seen]).sum(0)
            for taps, seen in (
                (slice(1, None), slice(None, -1)),
                (slice(None), slice(None)),
                (slice(None, -1), slice(1, None)),
            )
        )
        return torch.stack([left, middle, right], -1)
    x, y = inputs.reshape(-1, inputs.shape[2]), outputs.reshape(-1, outputs.shape[2])
    left = middle = right = x.new_zeros(y.shape[1], x.shape[1])
    stretch = max(1, STRETCH // (x.shape[1] + y.shape[1]))
    for start in range(0, len(x), stretch):  # all three while it is in the core's cache
        end = min(start + stretch, len(x))
        before = max(start, 1)  # the first has no left neighbour
        left = torch.addmm(left, y[before:end].T, x[before - 1 : end - 1])
        middle = torch.addmm(middle, y[start:end].T, x[start:end])
        after = min(end, len(x) - 1)
        right = torch.addmm(right, y[start:after].T, x[start + 1 : after + 1])
    left = torch.addmm(left, outputs[1:, 0].T, inputs[:-1, -1], alpha=-1)  # neighbours across two sequences are none
    right = torch.addmm(right, outputs[:-1, -1].T, inputs[1:, 0], alpha=-1)
    return torch.stack([left, middle, right], -1)


def convolve(x: torch.Tensor, layer: nn.Conv1d) -> torch.Tensor:
    """Convolve channels-last sequences with a layer of width 3, with zeros around them.

    Args:
        x: (B, D, 1, L), channels last in memory.
        layer: D channels to any number.

    Returns:
        (B, channels, 1, L), channels last in memory.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu"):
        result: torch.Tensor = _Convolve.apply(x, layer.weight, layer.bias)
        return result
    return F.conv2d(x, layer.weight.unsqueeze(2), layer.bias, padding=(0, 1))


def _gelu(x: torch.Tensor) -> torch.Tensor:
    """GELU of (B, channels, 1, L), channels last in memory: on a CPU twice as fast where torch sees no gaps in it."""
    return F.gelu(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class CNNHead(nn.Module):
    """The CNN head.

    Args:
        dim: Width D of a token's vector.
        hidden: Channels h of the two convolutions.
        outputs: Logits per position.
        pool: Width and stride of the average pooling in nucleotides; None for one output per nucleotide. Nucleotides
            behind the last whole bin are left out, as in `torch.nn.AvgPool1d`.
        seed: Parameters start as torch initialises `Conv1d`, `Conv1d` and `Linear` after ``torch.manual_seed(seed)``;
            None: they are drawn from torch's present stream, behind what a network in front of the head has drawn.
        padding_reaches_head: Let what the convolutions make of the padding enter the last positions of shorter
            sequences, as the reference code does. Otherwise a sequence's end is an end, whatever it is batched with.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        outputs: int,
        pool: int | None = None,
        seed: int | None = 0,
        padding_reaches_head: bool = False,
    ) -> None:
        super().__init__()
        self.pool, self.padding_reaches_head = pool, padding_reaches_head
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.conv1 = nn.Conv1d(dim, hidden, 3, padding=1)
            self.conv2 = nn.Conv1d(hidden, hidden, 3, padding=1)
            self.linear = nn.Linear(hidden, outputs)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return logits of shape (B, positions, outputs), float32.

        Positions are nucleotides, or whole bins of the widest sequence; those behind a shorter sequence's own end
        mean nothing. Under autocast the convolutions run in the lower precision; pooling and linear layer do not.
        """
        totals = batch.lengths.sum(1)
        width = int(totals.max()) if batch.width is None else batch.width
        if bool((batch.lengths <= 1).all()):
            missing = width - batch.vectors.shape[1]
            x = F.pad(batch.vectors, (0, 0, 0, missing)) if missing else batch.vectors  # padding by 0 would copy
            x = convolve(x.transpose(1, 2).unsqueeze(2), self.conv1)
        else:
            kernel = self.conv1.weight.permute(2, 0, 1).flatten(0, 1)  # (3h, D)
            projected = F.linear(batch.vectors, kernel)
            tokens = batch.expansion or expansion(batch.lengths, width, projected.device)
            x = expand_and_add(projected, tokens) + self.conv1.get_parameter("bias").to(projected.dtype)
            x = x.transpose(1, 2).unsqueeze(2)  # (B, h, 1, L), channels last in memory
        x = _gelu(x)
        if not self.padding_reaches_head and int(totals.min()) < width:
            inside = torch.arange(width, device=totals.device) < totals[:, None]
            x = x * inside[:, None, None].to(x.device, x.dtype, non_blocking=True)
        x = _gelu(convolve(x, self.conv2))
        x = x.squeeze(2).transpose(1, 2)  # (B, L, h)
        if self.pool is not None:
            bins = width // self.pool
            x = x[:, : bins * self.pool].unflatten(1, (bins, self.pool)).sum(2, dtype=torch.float32) / self.pool
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.linear.weight, self.linear.bias)

    def load_reference(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Set the parameters from a state dict with the reference code's names (``conv1.1.weight`` …)."""
        self.load_state_dict({name: weights[theirs] for name, theirs in REFERENCE_NAMES.items()})

    def reference_state(self) -> dict[str, torch.Tensor]:
        """Return the parameters under the reference code's names."""
        return {theirs: self.get_parameter(name).detach().clone() for name, theirs in REFERENCE_NAMES.items()}


REFERENCE_NAMES = {
    "conv1.weight": "conv1.1.weight",
    "conv1.bias": "conv1.1.bias",
    "conv2.weight": "conv2.1.weight",
    "conv2.bias": "conv2.1.bias",
    "linear.weight": "linear.0.weight",
    "linear.bias": "linear.0.bias",
}
"""The head's parameters → their names in the reference code's state dict."""


def cnn_head(task: Task, dim: int, protocol: Protocol, seed: int | None = 0, hidden: int | None = None) -> CNNHead:
    """Return the head of a supervised task as its recipe says, or `hidden` wide."""
    recipe = task.recipe
    assert recipe is not None, f"{task.name} is zero-shot: it has no head"
    return CNNHead(dim, hidden or recipe.hidden, recipe.outputs, recipe.pool, seed, protocol.padding_reaches_head)
