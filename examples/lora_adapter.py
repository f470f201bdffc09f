"""A LoRA adapter beside its base: the folder that peft saves is a model, and is compared with the base.

    pip install "bend_hf[adapters]"
    python examples/lora_adapter.py

The adapter names its base in ``adapter_config.json``; both are loaded and merged. Random numbers stand for training.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import peft
import torch
from transformers import AutoModel

import bend_hf
from bend_hf.data import toy
from bend_hf.demo import write_untrained_model


def write_adapter(base: Path, folder: Path) -> Path:
    """Write a LoRA of rank 4 on the attention of a model."""
    settings = peft.LoraConfig(r=4, lora_alpha=16, target_modules=["query", "value"])
    adapted = peft.get_peft_model(AutoModel.from_pretrained(base), settings)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.2)
    adapted.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as root:
        base = write_untrained_model(Path(root) / "base")
        adapter = write_adapter(base, Path(root) / "adapter")
        options = {"data_dir": toy.make(Path(root) / "toy"), "epochs": 2, "batch_size": 16}
        for model in (base, adapter):
            bend_hf.evaluate(str(model), ["histone_modification"], output=Path(root) / "results", **options)
        print(bend_hf.read_results(Path(root) / "results"))
