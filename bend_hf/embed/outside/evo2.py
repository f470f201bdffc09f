"""Evo 2 (Brixi et al. 2025, doi 10.1101/2025.02.18.638918) by its own package `evo2`: a vector per nucleotide, causal.

bend-hf evaluate bend_hf.embed.outside.evo2:Evo2              # evo2_7b, needs a GPU
bend_hf.evaluate(Evo2(evo2.Evo2("evo2_1b_base"), layer="blocks.20.mlp.l3", context=8_192, name="evo2-1b-base"))

The layer decides much: the last ones are for the next letter, and those of about two thirds of the depth embed better.
The default is the one that the authors name for evo2_7b. Its own likelihoods rank variants (`--scores llr`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


def published() -> Any:
    """Return Evo 2 of seven billion weights, on the GPUs there are."""
    import evo2

    return evo2.Evo2("evo2_7b")


@dataclass
class Evo2:
    """A callable; its fields are what `bend_hf.embed.adapters` asks of one."""

    model: Any = field(default_factory=published)
    layer: str = "blocks.28.mlp.l3"
    context: int = 1_000_000
    name: str = "evo2-7b"
    causal: bool = True

    def __call__(self, sequences: Sequence[str]) -> tuple[list[Tensor], None]:
        """Return (L, D) vectors for each sequence, one sequence after the other: it has no mask for padding."""
        return [self._forward(sequence)[1][self.layer][0].float().cpu() for sequence in sequences], None

    def log_likelihood(self, sequences: Sequence[str]) -> list[float]:
        """Return the log-likelihood of each sequence behind its first letter, in nats."""
        found = []
        for sequence in sequences:
            logits, _ = self._forward(sequence)
            logits = logits[0] if isinstance(logits, tuple) else logits
            ids = self._ids(sequence)[0, 1:].to(logits.device)
            logs = logits[0, :-1].double().log_softmax(-1)
            found.append(float(logs.gather(1, ids[:, None]).sum()))
        return found

    def _ids(self, sequence: str) -> Tensor:
        return torch.tensor(self.model.tokenizer.tokenize(sequence), dtype=torch.long)[None]

    def _forward(self, sequence: str) -> tuple[Any, dict[str, Tensor]]:
        ids = self._ids(sequence).to(next(self.model.model.parameters()).device)
        with torch.inference_mode():
            answer: tuple[Any, dict[str, Tensor]] = self.model(ids, return_embeddings=True, layer_names=[self.layer])
        return answer
