"""The one-hot embedder: the benchmark's baseline that knows nothing but the sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from bend_hf.embed.interface import Tokens
from bend_hf.embed.rules import check_several, read_bases

COLUMNS = torch.tensor([0, 1, 2, 4, 3])
"""Column of A, C, G, T and N by their code in `tokens` (A C G T N); the columns are A C G N T, as in BEND."""


class OneHotEmbedder:
    """One vector of five per nucleotide (A C G N T), float32, exact."""

    name = "onehot"
    dim = 5
    causal = False

    def embed(self, sequences: Iterable[str]) -> Iterator[Tokens]:
        """Give the one-hot vectors of each sequence, in order.

        Raises:
            BendError: A sequence is empty or no DNA.
        """
        check_several(sequences)
        table = torch.eye(5)[COLUMNS]
        for row, sequence in enumerate(sequences):
            codes = read_bases([sequence], row).codes
            yield Tokens(table[torch.from_numpy(codes.astype(np.int64))], np.ones(len(codes), np.int64))

    def count_tokens(self, sequences: Iterable[str]) -> np.ndarray:
        """Return the length of each sequence, (n,) int64."""
        check_several(sequences)
        return np.fromiter(map(len, sequences), np.int64)

    def provenance(self) -> dict[str, Any]:
        """Return what determines the vectors."""
        return {"key": {"model": "onehot", "columns": "ACGNT", "version": 1}, "name": self.name}
