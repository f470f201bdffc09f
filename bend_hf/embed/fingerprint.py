"""What a model computes, in a few hex digits: two models of one name are told apart by it.

of_vectors(vectors)           # of what it gives for `PROBES`
of_weights(model)             # of all its parameters and buffers, bit for bit
of_bits(model)                # the same in a fraction of the time, to see a change within a process
of_code(function)             # of a callable's own code and of the plain values it holds on to
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import nn

from bend_hf.errors import BendError
from bend_hf.files import digest_of

PROBES = (
    "".join(np.random.default_rng(1).choice(list("ACGT"), 96)),
    "".join(np.random.default_rng(2).choice(list("ACGT"), 301)),
    "".join(np.random.default_rng(3).choice(list("ACGT"), 72, p=[0.1, 0.4, 0.4, 0.1])),
)
"""Sequences for which a model gives its fingerprint."""
HARD_PROBES = (
    "".join(np.random.default_rng(4).choice(list("ACGTN"), 700, p=[0.24, 0.24, 0.24, 0.24, 0.04])),
    "".join(np.random.default_rng(5).choice(list("ACGT"), 2_100)),
)
"""The same with N, and longer than many a model's windows; a model need not take them."""
PROJECTIONS = 16
WORDS = 1024
"""Numbers of 8 bytes in a row of `of_bits`."""
STEP = 1e-4
"""What a projection is rounded to, relative to the vectors' root mean square. Rounding of float32 (1e-7) changes one of
them in a few machines of a hundred, which only makes a result anew; another model changes nearly all."""


def of_vectors(vectors: Sequence[torch.Tensor]) -> str:
    """Return a digest of vectors that survives their rounding.

    It is that of `PROJECTIONS` sums of all values with fixed random signs, their root mean square, and the shapes.

    Args:
        vectors: (T, D) of any floating type, one per probe.
    """
    values = torch.cat([part.detach().cpu().double().flatten() for part in vectors]).numpy()
    scale = math.sqrt(float(np.square(values).mean())) or 1.0
    random = np.random.default_rng(2024)
    sums = [float(values @ (2.0 * random.integers(0, 2, len(values), dtype=np.int8) - 1)) for _ in range(PROJECTIONS)]
    rounded = [round(total / (scale * math.sqrt(len(values)) * STEP)) for total in sums]
    return digest_of([[list(part.shape) for part in vectors], round(math.log(scale) / STEP), rounded])[:32]


def of_weights(model: nn.Module) -> str:
    """Return the SHA-256 of a model's parameters and buffers, with their names, types and shapes."""
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):
            continue
        if tensor.is_meta:
            raise BendError(f"The weight {name} lies on the disk, where it cannot be compared: load the model again.")
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def of_bits(model: nn.Module) -> str:
    """Return a digest of sums over the bits of a model's parameters and buffers, in rows and in columns of `WORDS`.

    It changes with any one value, and is for comparisons within a process: nothing is known of who means to fool it.
    Weights that a device map put out of the way are not looked at.
    """
    sha = hashlib.sha256()
    for tensor in model.state_dict().values():
        if not isinstance(tensor, torch.Tensor) or tensor.is_meta:
            continue
        flat = tensor.detach().contiguous().flatten().view(torch.uint8)
        whole = len(flat) - len(flat) % (8 * WORDS)
        words = flat[:whole].clone() if flat.storage_offset() % 8 else flat[:whole]
        table = words.view(torch.int64).view(-1, WORDS)
        for part in (table.sum(0), table.sum(1), flat[whole:]):
            sha.update(part.cpu().numpy().tobytes())
    return sha.hexdigest()


def of_code(function: Callable[..., Any]) -> str:
    """Return a digest of a callable's code, its defaults, and the plain values in its closure or partial arguments.

    What it holds beside those (a model, a table) is not looked at: its vectors tell that.
    """
    return digest_of(list(_parts(function)))[:32]


def _parts(function: Any) -> Iterator[Any]:
    if isinstance(function, partial):
        yield from ([*map(_plain, function.args)], {name: _plain(value) for name, value in function.keywords.items()})
        yield from _parts(function.func)
        return
    own = getattr(function, "__func__", function)  # of a bound method
    own = own if hasattr(own, "__code__") else type(own).__call__
    if not hasattr(own, "__code__"):
        return
    yield _code(own.__code__)
    yield [_plain(value) for value in own.__defaults__ or ()]
    yield {name: _plain(value) for name, value in (own.__kwdefaults__ or {}).items()}
    for cell in own.__closure__ or ():
        try:
            yield _plain(cell.cell_contents)
        except ValueError:  # not set yet
            yield None


def _code(code: CodeType) -> list[Any]:
    held = [_code(value) if isinstance(value, CodeType) else _plain(value) for value in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), held]


def _plain(value: Any) -> str:
    """A value as text where that says all of it, else its type."""
    if isinstance(value, frozenset):
        return str(sorted(map(_plain, value)))
    if isinstance(value, tuple):
        return str([*map(_plain, value)])
    return repr(value) if value is None or isinstance(value, int | float | str | bytes) else type(value).__name__
