"""Attention in bfloat16 on CPUs that multiply bfloat16 numbers and have no matrix units (AMX).

    with whole_matrices(device, dtype):
        model(ids)

torch's fused attention multiplies small tiles, which without matrix units is no faster in bfloat16 than in float32.
Products of whole matrices are. Scores are rounded to bfloat16 on the way, as queries and keys were before.

Models come with code of their own, so it is a mode of torch's functions that does it: for the block and the thread
alone. It is the processor that decides, never a timing, so that processes of one run agree.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

SCORES = 1 << 21
"""Attention scores that are held at once: what caches like."""
TILE = 16
"""Keys are read up to a multiple of so many."""


def whole_matrices(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Compute a model's attention in the block, without gradients, as is fastest on this processor.

    Args:
        device: Where it computes.
        dtype: What it computes in, of itself or by autocast. In others every call would be looked at for nothing.
    """
    meant = device.type == "cpu" and dtype == torch.bfloat16 and no_matrix_units()
    return _WholeMatrices() if meant else nullcontext()


@cache
def no_matrix_units() -> bool:
    """Whether this processor multiplies bfloat16 numbers, and has no matrix units to do so in small tiles."""
    half, tiles = (getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in ("avx512_bf16", "amx_tile"))
    return half is not None and tiles is not None and half() and not tiles()


class _WholeMatrices(TorchFunctionMode):
    """Replaces one function where it can do better, and leaves every other call alone."""

    def __init__(self) -> None:
        super().__init__()
        self.last: tuple[Tensor, Tensor | None] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = self._attention(*args, **kwargs) if func is F.scaled_dot_product_attention else None
        return func(*args, **kwargs) if found is None else found

    def _attention(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Any = None, *more: Any, **options: Any
    ) -> Any:
        if more or any(options.get(name) for name in ("dropout_p", "is_causal", "enable_gqa")):
            return None
        if attn_mask is None:
            return attend(query, key, value, scale=options.get("scale"))
        if self.last is None or self.last[0] is not attn_mask:  # all layers share it
            self.last = attn_mask, keys_of(attn_mask, len(query))
        ends = self.last[1]
        return None if ends is None else attend(query, key, value, ends, options.get("scale"))


def keys_of(mask: Tensor, batch: int) -> Tensor | None:
    """Return how many keys each sequence's queries see, (B,), from an attention mask; None where it says more.

    That is a boolean one by which all queries of a sequence see the same keys, its first ones, at least one.
    """
    if mask.dtype != torch.bool or mask.ndim != 4 or mask.shape[0] not in (1, batch):
        return None
    ends = mask[:, 0, 0].sum(-1)
    first = torch.arange(mask.shape[-1]) < ends[:, None]
    return ends.expand(batch) if bool(ends.all()) and bool((mask == first[:, None, None]).all()) else None


def attend(
    query: Tensor, key: Tensor, value: Tensor, ends: Tensor | None = None, scale: float | None = None
) -> Tensor | None:
    """Return softmax(q kᵀ · scale) v in bfloat16 from products of whole matrices; None where that is not to be had.

    Args:
        query: (B, heads, T, d).
        key: (B, heads, S, d).
        value: (B, heads, S, d).
        ends: (B,) keys that each sequence sees; None for all.
        scale: By default 1 / √d.

    Returns:
        (B, heads, T, d), a view of (B, T, heads, d).
    """
    given = (query, key, value)
    lower = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    if torch.is_grad_enabled() or any(tensor.ndim != 4 or tensor.shape[:2] != query.shape[:2] for tensor in given):
        return None
    if any(tensor.device.type != "cpu" or (tensor.dtype != torch.bfloat16 and not lower) for tensor in given):
        return None
    query, key, value = (tensor.to(torch.bfloat16) for tensor in given)
    batch, heads, tokens, width = query.shape
    keys = key.shape[2]
    counts = [keys] * batch if ends is None else ends.tolist()
    query = query * (width**-0.5 if scale is None else scale)
    out = query.new_empty(batch, tokens, heads, value.shape[3]).transpose(1, 2)
    at_once = max(1, SCORES // max(1, heads * tokens * keys))
    rows = tokens if at_once > 1 else max(TILE, SCORES // (heads * keys))
    for start in range(0, batch, at_once):
        some = slice(start, start + at_once)
        least, most = min(counts[some]), min(keys, -(-max(counts[some]) // TILE) * TILE)
        seen, values = key[some, :, :most].mT, value[some, :, :most]
        unseen = None
        if least < most:
            unseen = torch.arange(least, most) >= torch.tensor(counts[some])[:, None, None, None]
        for row in range(0, tokens, rows):
            scores = torch.matmul(query[some, :, row : row + rows], seen)
            if unseen is not None:
                scores[..., least:].masked_fill_(unseen, -torch.inf)
            torch.softmax(scores, -1, out=scores)
            out[some, :, row : row + rows] = torch.matmul(scores, values)
    return out
