"""Exactness of the native architectures: the largest difference from what the original code computed.

    python tests/benchmarks/exactness.py

The checkpoints are those of ``tests/models/goldens`` (its README says what computed them).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from bend_hf import models

GOLDENS = Path(__file__).resolve().parent.parent / "models" / "goldens"


def main() -> None:
    """Print one row per golden checkpoint."""
    torch.set_grad_enabled(False)
    print("| checkpoint | recognised as | largest value | largest difference | bf16: least cosine |")
    print("|---|---|---|---|---|")
    for folder in sorted(path.parent for path in GOLDENS.glob("*/config.json")):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        golden = np.load(folder / "golden.npz")
        ids, hidden = torch.from_numpy(golden["input_ids"]), torch.from_numpy(golden["hidden"])
        exact = models.load(folder, config)(ids).last_hidden_state
        rough = models.load(folder, config, dtype=torch.bfloat16)(ids).last_hidden_state.float()
        cosine = torch.cosine_similarity(exact, rough, dim=-1).min()
        difference = (exact - hidden).abs().max()
        print(
            f"| {folder.name} | {models.claims(config)} | {hidden.abs().max():.2f} | {difference:.1e} | {cosine:.4f} |"
        )


if __name__ == "__main__":
    main()
