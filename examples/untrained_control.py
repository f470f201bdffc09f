"""A control for a pretrained model: the same tokenizer under a small BERT with random weights.

    python examples/untrained_control.py vocab.txt control-6mer           # k-mers, one word a line
    python examples/untrained_control.py tokenizer.json control-bpe       # a fast tokenizer
    bend-hf evaluate control-6mer --data-dir DATA

What such a model scores is owed to its tokens and the head, not to pretraining. Two layers, 64 wide, 512 tokens.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertModel


def write_control(source: Path, folder: Path, *, seed: int = 0) -> None:
    """Write the checkpoint: `source` is a ``vocab.txt`` of k-mers or a ``tokenizer.json``."""
    folder.mkdir(parents=True)
    if source.suffix == ".json":
        vocabulary = json.loads(source.read_text())["model"]["vocab"]
        tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast"}
        names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        tokenizer |= {name: token for name, token in names.items() if token in vocabulary}
        size = len(vocabulary)
        shutil.copyfile(source, folder / "tokenizer.json")
    else:
        size = len(source.read_text().split())
        tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
        shutil.copyfile(source, folder / "vocab.txt")
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "model_max_length": 512}))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=size,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=512,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="vocab.txt or tokenizer.json")
    parser.add_argument("folder", type=Path, help="folder to write")
    arguments = parser.parse_args()
    write_control(arguments.source, arguments.folder)
