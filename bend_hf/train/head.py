"""BEND's CNN head, computed on token vectors instead of upsampled ones, for one or several seeds at once.

    head = CNNHead(dim=768, hidden=64, outputs=9, pool=None, seeds=(0, 1, 2))
    logits = head(Batch(vectors, lengths))           # (seeds, sequences, positions, outputs)

The head is that of Marin et al. 2024: convolution of width 3 → GELU → convolution of width 3 → GELU → average pooling
(where a task has bins) → linear. Its input is upsampled to nucleotides: every token's vector is repeated `length`
times. A convolution over repeated vectors needs each vector multiplied once: Z = X · [W0|W1|W2] per token, after which
position p is Z0[token of p-1] + Z1[token of p] + Z2[token of p+1] + bias. That is the same function at a fraction
of the arithmetic and memory. With one token per nucleotide nothing is repeated, and a channels-last convolution is
fastest.

Any network that is trained in the head's place has the same forward: a `Batch` in, logits of shape
(heads, sequences, positions, outputs) out, with heads = 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from bend_hf.protocols import Protocol
from bend_hf.tasks import Task


class Batch(NamedTuple):
    """Sequences of token vectors, padded to a common number of tokens.

    Attributes:
        vectors: (B, T, D) floats; zeros where `lengths` is 0.
        lengths: (B, T) int64: nucleotides per token, 0 for padding behind the last token. They may stay on the CPU
            when the vectors are on a GPU, which spares the head from waiting for the GPU.
        width: Positions (nucleotides) to compute; None for those of the longest sequence.
    """

    vectors: torch.Tensor
    lengths: torch.Tensor
    width: int | None = None


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


def expand_and_add(projected: torch.Tensor, lengths: torch.Tensor, width: int) -> torch.Tensor:
    """Return the width-3 convolution of repeated vectors from the projections of the vectors.

    Args:
        projected: (B, T, 3h): each token times the kernel's left, middle and right slice.
        lengths: (B, T) nucleotides per token, 0 for padding.
        width: Positions to return, at least the longest sequence's nucleotides.

    Returns:
        (B, width, h), without bias. What lies outside a sequence counts as zeros.
    """
    batch, tokens = lengths.shape
    device = lengths.device
    ends = lengths.cumsum(1)
    positions = torch.arange(width, device=device)
    # The token of each position; `tokens`, a row of zeros, behind the sequence's end.
    owner = torch.searchsorted(ends, positions.expand(batch, width).contiguous(), right=True)
    owner = F.pad(owner, (1, 1), value=tokens) + torch.arange(batch, device=device)[:, None] * (tokens + 1)
    sources = 3 * torch.stack([owner[:, :-2], owner[:, 1:-1], owner[:, 2:]], -1) + torch.arange(3, device=device)
    inside = positions < ends[:, -1:]
    runs = (positions + torch.arange(batch, device=device)[:, None] * (width + 2))[inside]
    starts = lengths.flatten().cumsum(0) - lengths.flatten()
    indices = [index.to(projected.device, non_blocking=True) for index in (sources.view(-1, 3), runs, starts)]
    result: torch.Tensor = _ExpandAndAdd.apply(projected, *indices, width)
    return result


class _Convolve(torch.autograd.Function):
    """A width-3 convolution on a CPU in float32 whose weights' gradient is a product of matrices for each tap.

    That is one and a half to three times as fast as the convolution's own gradient, most where sequences are long.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.groups = groups
        return F.conv2d(x, weight.unsqueeze(2), bias, padding=(0, 1), groups=groups)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        to_x = None
        if ctx.needs_input_grad[0]:
            kernel = weight.unsqueeze(2)
            settings = ([1, 1], [0, 1], [1, 1], False, [0, 0], ctx.groups, [True, False, False])
            to_x = torch.ops.aten.convolution_backward(gradient, x, kernel, None, *settings)[0]
        inputs = x.squeeze(2).unflatten(1, (ctx.groups, -1)).unbind(1)  # (B, D, L) each
        outputs = gradient.squeeze(2).unflatten(1, (ctx.groups, -1)).unbind(1)
        left, middle, right = (
            torch.cat([torch.bmm(g[..., taps], v[..., seen].mT).sum(0) for g, v in zip(outputs, inputs, strict=True)])
            for taps, seen in (
                (slice(1, None), slice(None, -1)),
                (slice(None), slice(None)),
                (slice(None, -1), slice(1, None)),
            )
        )
        return to_x, torch.stack([left, middle, right], -1), gradient.sum((0, 2, 3)), None


def convolve(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int = 1) -> torch.Tensor:
    """Convolve channels-last sequences with a kernel of width 3, with zeros around them.

    Args:
        x: (B, D, 1, L), channels last in memory.
        weight: (channels, D / groups, 3).
        bias: (channels,).
        groups: Number of independent parts the channels are in.

    Returns:
        (B, channels, 1, L), channels last in memory.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu"):
        result: torch.Tensor = _Convolve.apply(x, weight, bias, groups)
        return result
    return F.conv2d(x, weight.unsqueeze(2), bias, padding=(0, 1), groups=groups)


class CNNHead(nn.Module):
    """One CNN head per seed, sharing each pass over the vectors.

    A head's parameters start as torch initialises `Conv1d`, `Conv1d` and `Linear` after ``torch.manual_seed(seed)``,
    whatever the other seeds are, and no head sees another: seeds trained together equal seeds trained alone.

    Args:
        dim: Width D of a token's vector.
        hidden: Channels h of the two convolutions.
        outputs: Logits per position.
        pool: Width and stride of the average pooling in nucleotides; None for one output per nucleotide. Nucleotides
            behind the last whole bin are left out, as in `torch.nn.AvgPool1d`.
        seeds: One head per seed.
        padding_reaches_head: Let what the convolutions make of the padding enter the last positions of shorter
            sequences, as the reference code does. Otherwise a sequence's end is an end, whatever it is batched with.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        outputs: int,
        pool: int | None = None,
        seeds: Sequence[int] = (0,),
        padding_reaches_head: bool = False,
    ) -> None:
        super().__init__()
        self.pool, self.heads, self.hidden, self.padding_reaches_head = pool, len(seeds), hidden, padding_reaches_head
        parts = []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                parts.append((nn.Conv1d(dim, hidden, 3), nn.Conv1d(hidden, hidden, 3), nn.Linear(hidden, outputs)))
        first, second, linear = zip(*parts, strict=True)
        self.conv1_weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in first]))  # (kh, D, 3)
        self.conv1_bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in first]))
        self.conv2_weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in second]))  # (kh, h, 3)
        self.conv2_bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in second]))
        self.linear_weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in linear]))  # (k, outputs, h)
        self.linear_bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in linear]))

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return logits of shape (k, B, positions, outputs), float32.

        Positions are nucleotides, or whole bins of the widest sequence; those behind a shorter sequence's own end
        mean nothing. Under autocast the convolutions run in the lower precision; pooling and linear layer do not.
        """
        totals = batch.lengths.sum(1)
        width = int(totals.max()) if batch.width is None else batch.width
        if bool((batch.lengths <= 1).all()):
            missing = width - batch.vectors.shape[1]
            x = F.pad(batch.vectors, (0, 0, 0, missing)) if missing else batch.vectors  # padding by 0 would copy
            x = convolve(x.transpose(1, 2).unsqueeze(2), self.conv1_weight, self.conv1_bias)
        else:
            kernel = self.conv1_weight.permute(2, 0, 1).flatten(0, 1)  # (3kh, D)
            projected = F.linear(batch.vectors, kernel)
            x = expand_and_add(projected, batch.lengths, width) + self.conv1_bias.to(projected.dtype)
            x = x.transpose(1, 2).unsqueeze(2)  # (B, kh, 1, L), channels last in memory
        x = F.gelu(x)
        if not self.padding_reaches_head and int(totals.min()) < width:
            inside = torch.arange(width, device=totals.device) < totals[:, None]
            x = x * inside[:, None, None].to(x.device, x.dtype, non_blocking=True)
        x = F.gelu(convolve(x, self.conv2_weight, self.conv2_bias, self.heads))
        x = x.squeeze(2).transpose(1, 2)  # (B, L, kh)
        if self.pool is not None:
            bins = width // self.pool
            x = x[:, : bins * self.pool].unflatten(1, (bins, self.pool)).sum(2, dtype=torch.float32) / self.pool
        with torch.autocast(x.device.type, enabled=False):
            x = x.float().unflatten(2, (self.heads, self.hidden))
            logits = torch.einsum("bpkh,koh->kbpo", x, self.linear_weight)
            return logits + self.linear_bias[:, None, None]

    def load_reference(self, weights: Mapping[str, torch.Tensor], head: int = 0) -> None:
        """Set one head's parameters from a state dict with the reference code's names (``conv1.1.weight`` …)."""
        with torch.no_grad():
            for name, parameter in self._reference(head).items():
                parameter.copy_(weights[name])

    def reference_state(self, head: int = 0) -> dict[str, torch.Tensor]:
        """Return one head's parameters under the reference code's names."""
        return {name: parameter.detach().clone() for name, parameter in self._reference(head).items()}

    def _reference(self, head: int) -> dict[str, torch.Tensor]:
        rows = slice(head * self.hidden, (head + 1) * self.hidden)
        return {
            "conv1.1.weight": self.conv1_weight[rows],
            "conv1.1.bias": self.conv1_bias[rows],
            "conv2.1.weight": self.conv2_weight[rows],
            "conv2.1.bias": self.conv2_bias[rows],
            "linear.0.weight": self.linear_weight[head],
            "linear.0.bias": self.linear_bias[head],
        }


def cnn_head(task: Task, dim: int, protocol: Protocol, seeds: Sequence[int] = (0,)) -> CNNHead:
    """Return the heads of a supervised task as its recipe says, one per seed."""
    recipe = task.recipe
    assert recipe is not None, f"{task.name} is zero-shot: it has no head"
    return CNNHead(dim, recipe.hidden, recipe.outputs, recipe.pool, seeds, protocol.padding_reaches_head)
