"""A model that is in memory, as after training: evaluated as it is, with its tokenizer, without a folder.

    python examples/in_memory_model.py

A GPT-2 of single letters with random weights stands for yours. Its vectors' key is a digest of its weights.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import bend_hf
from bend_hf.data import toy

WORDS = ("[PAD]", "[UNK]", *"ACGTN")


def letters() -> Any:
    """Return a tokenizer of single letters."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def small_gpt2() -> GPT2LMHeadModel:
    """Return a GPT-2 of two layers with its head, in training mode, as a trainer leaves it."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(WORDS), n_embd=32, n_layer=2, n_head=2, n_positions=512, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(config).train()


if __name__ == "__main__":
    model = small_gpt2()
    with tempfile.TemporaryDirectory() as folder:
        data = toy.make(Path(folder) / "toy")
        results = bend_hf.evaluate(
            model,  # or (model, tokenizer), a pipeline, a trainer, a PeftModel, a compiled or wrapped module
            ["histone_modification", "variant_effects_disease"],
            tokenizer=letters(),
            name="my-gpt2",
            scores=["cosine", "llr"],  # it has a head, so that it can rank variants by likelihood too
            data_dir=data,
            epochs=2,
            batch_size=16,
            output=Path(folder) / "results",
        )
        print(results)
    print("still in training mode:", model.training)
