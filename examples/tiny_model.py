"""A DNA language model of one's own, small enough for a laptop: a masked BERT that reads single nucleotides.

    python examples/tiny_model.py toy/genomes/GRCh38.toy.fa my-model                # a minute or less
    python examples/tiny_model.py toy/genomes/GRCh38.toy.fa my-control --steps 0    # the same, never trained
    bend-hf doctor my-model

It stands for the model you have: a folder that `transformers.AutoModel` loads. Chromosomes 1 and 8, on which the toy's
tasks are tested, are left out of its training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from bend_hf import Genome

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = {word: number for number, word in enumerate((*SPECIAL, *"ACGTN"))}
WINDOW, BATCH, MASKED = 254, 16, 0.15
HELD_OUT = ("chr1", "chr8")


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token per nucleotide, `[CLS]` before and `[SEP]` behind."""
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")
    ends = [(word, WORDS[word]) for word in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names)


def train(fasta: Path, steps: int, seed: int) -> BertForMaskedLM:
    """Mask 15 % of the nucleotides of random windows, and learn to tell them."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}
    model = BertForMaskedLM(BertConfig(vocab_size=len(WORDS), max_position_embeddings=512, **sizes))
    genome = Genome(fasta)
    names = [name for name in genome.names if name not in HELD_OUT]
    letters = {name: genome.window(name, 0, genome.lengths[name]).upper() for name in names}
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(steps):
        rows = []
        for _ in range(BATCH):
            text = letters[names[int(torch.randint(len(names), ()))]]
            start = int(torch.randint(len(text) - WINDOW, ()))
            rows.append([WORDS["[CLS]"], *(WORDS.get(c, 1) for c in text[start : start + WINDOW]), WORDS["[SEP]"]])
        ids = torch.tensor(rows)
        hidden = (torch.rand(ids.shape) < MASKED) & (ids >= WORDS["A"])
        loss = model(ids.masked_fill(hidden, WORDS["[MASK]"]), labels=ids.masked_fill(~hidden, -100)).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.3f}")
    return model.eval()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", type=Path, help="genome to train on")
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--steps", type=int, default=60, help="of training (60); 0 for random weights")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    train(arguments.fasta, arguments.steps, arguments.seed).save_pretrained(arguments.folder)
    make_tokenizer().save_pretrained(arguments.folder)
