"""`bend-hf demo`: all seven tasks on a toy genome, without any download, in about two minutes.

The genome, its genes, motifs and variants are made here, and so is the language model: it is trained for a quarter of a
minute. The numbers show that every part works; they say nothing about biology.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.bars import steps
from bend_hf.files import atomic
from bend_hf.tasks import BEND, TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bend_hf.results.record import Result

# The toy splits have 20 to 500 rows: in the recipe's batches a head would take a step or two an epoch.
SETTINGS: dict[str, Any] = {"epochs": 4, "batch_size": 2, "seeds": 1, "standardize": True}
"""How heads are trained, the same for every task: other settings would be other models in tables."""
SCORES = ("cosine", "distances@all", "llr")
"""Scores of variants by the language model; baselines have their own."""

WORDS = ("[PAD]", "[MASK]", "[UNK]", "A", "C", "G", "T")
COMPLEMENT = (0, 1, 2, 6, 5, 4, 3)
STEPS = 300
WINDOW, BATCH, MASKED, RATE = 128, 32, 0.2, 6e-3


def write_untrained_model(folder: Path, *, seed: int = 0) -> Path:
    """Write a small language model with random weights: non-overlapping 6-mers, 2 layers, 64 wide, 1,000 tokens.

    Args:
        folder: Where the checkpoint goes, in the layout of a Hub repository; one that exists is kept.
        seed: Of the weights.
    """
    import torch
    from transformers import EsmConfig, EsmModel, EsmTokenizer
    from transformers.utils import logging

    if folder.exists():
        return folder
    words = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
    words += ["".join(kmer) for kmer in product("ATCG", repeat=6)] + list("ATCGN")
    config = EsmConfig(
        vocab_size=len(words),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=1002,
        position_embedding_type="absolute",
        pad_token_id=1,
        mask_token_id=2,
        emb_layer_norm_before=False,
        token_dropout=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = EsmModel(config, add_pooling_layer=False)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    with atomic(folder) as temporary:
        temporary.mkdir()
        vocabulary = temporary / "vocab.txt"
        vocabulary.write_text("\n".join(words) + "\n")
        EsmTokenizer(str(vocabulary), eos_token=None, model_max_length=1000).save_pretrained(temporary)
        model.save_pretrained(temporary)
    logging.set_verbosity(verbosity)
    return folder


def elements(data: Path) -> list[np.ndarray]:
    """Return the token ids of the elements of a toy genome, of the chromosomes that no fixed split tests on."""
    from bend_hf.data import toy
    from bend_hf.data.genome import Genome

    ids = np.full(256, WORDS.index("[UNK]"))
    ids[list(b"ACGT")] = [WORDS.index(letter) for letter in "ACGT"]
    tested = [f"chr{number}" for number, split in toy.SPLIT_OF.items() if split == "test"]
    genome = Genome(data / "genomes" / "GRCh38.toy.fa")
    found = []
    for line in (data / toy.ELEMENTS).read_text(encoding="utf-8").splitlines():
        chromosome, start, end = line.split("\t")
        if chromosome not in tested:
            sequence = genome.window(chromosome, int(start), int(end))
            found.append(ids[np.frombuffer(sequence.encode(), np.uint8)])
    return found


def train_toy_model(folder: Path, data: Path, *, steps: int = STEPS, seed: int = 0) -> float:
    """Train a language model of the toy genome by masked language modelling, on both strands, without any label.

    Four layers of dilated convolutions (GPN's architecture), 32 wide, one token per nucleotide. What it reads are the
    toy's elements, genes, peaks, enhancers and decoys alike, as GPN is trained where genomes are conserved; chromosomes
    1 and 8, on which tasks with fixed splits are tested, are left out.

    Args:
        folder: Where the checkpoint goes, in the layout of a Hub repository.
        data: The toy data.
        steps: Of `BATCH` windows of `WINDOW` nucleotides.
        seed: Of weights, windows and masks.

    Returns:
        The mean loss of the last twenty steps, in nats.
    """
    import torch
    import torch.nn.functional as F
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from bend_hf.models.gpn import GPNConfig, GPNForMaskedLM

    random, sequences = np.random.default_rng(seed), elements(data)
    config = GPNConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        architectures=["GPNForMaskedLM"],
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPNForMaskedLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    sizes = np.array([max(0, len(sequence) - WINDOW + 1) for sequence in sequences])
    losses = []
    for _ in range(steps):
        chosen = random.choice(len(sequences), BATCH, p=sizes / sizes.sum())
        starts = random.integers(0, sizes[chosen])
        ids = np.stack([sequences[k][start : start + WINDOW] for k, start in zip(chosen, starts, strict=True)])
        turned = random.random(BATCH) < 0.5
        ids[turned] = np.array(COMPLEMENT)[ids[turned]][:, ::-1]
        hidden = torch.from_numpy((random.random(ids.shape) < MASKED) & (ids > WORDS.index("[UNK]")))
        targets = torch.from_numpy(ids)
        logits = model(targets.masked_fill(hidden, WORDS.index("[MASK]"))).logits
        loss = F.cross_entropy(logits[hidden], targets[hidden])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    tokenizer = Tokenizer(models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    with atomic(folder) as temporary:
        temporary.mkdir()
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(temporary)
        model.save_pretrained(temporary)
    return float(np.mean(losses[-20:]))


def run(output: Path) -> list[Result]:
    """Train a small language model, evaluate it and two baselines on the toy tasks; write results and ``report.html``.

    Args:
        output: Folder for data, model, results and report; what an earlier demo left there is used again.

    Returns:
        The results of all three.
    """
    from bend_hf.data import toy
    from bend_hf.evaluation import evaluate
    from bend_hf.report.write import write_report

    data, model = toy.make(output / "toy"), output / "toy-lm"
    if not model.exists():
        train_toy_model(model, data)
    results = [
        result
        for name in steps(
            (str(model), "onehot", "composition"), "model", name=lambda name: Path(name).name, inside=len(BEND)
        )
        for result in evaluate(
            name,
            data_dir=data,
            scores=SCORES if name == str(model) else None,
            output=output / "results",
            store=output / "vectors",
            **SETTINGS,
        )
    ]
    write_report(output / "results", output / "report.html")
    return results


def said_of_variants(results: Sequence[Result]) -> str:
    """Return a line for each variant task that sets the language model's likelihood beside the headline."""
    return "\n".join(
        f"{TASKS[result.task].title}, {result.model}: {result.score:.3f} by the cosine at the variant (above), "
        f"{result.secondary['by_score']['llr']:.3f} by likelihood"
        for result in results
        if "llr" in result.secondary.get("by_score", {})
    )
