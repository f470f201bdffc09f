"""`Embedder.nucleotides`: every nucleotide has the vector of its token; and an embedder says what it is."""

from types import SimpleNamespace

import numpy as np
import torch

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.interface import Tokens


class TwoTokens(Embedder):
    """Two tokens, of two nucleotides and one."""

    def __init__(self):
        self.name, self.dim, self.causal = "two", 2, True
        self.scheme, self.network = SimpleNamespace(family="text"), SimpleNamespace(layers=(4,))

    def embed(self, sequences):
        for _ in sequences:
            yield Tokens(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.bfloat16), np.array([2, 1]))


def test_a_token_stands_for_its_nucleotides():
    [vectors] = TwoTokens().nucleotides(["ACG"])
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 2], [1, 2], [3, 4]]


def test_an_embedder_says_what_it_is():
    assert repr(TwoTokens()) == "Embedder('two', text, dim=2, layer=4, causal)"
