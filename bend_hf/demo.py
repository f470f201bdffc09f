"""`bend-hf demo`: all seven tasks on a toy genome, without any download, in about a minute.

The genome, its genes, motifs and variants are made here, and so is the language model: two transformer layers with
random weights. The numbers show that every part works; they say nothing about biology.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from bend_hf.bars import steps
from bend_hf.files import atomic
from bend_hf.tasks import BEND

if TYPE_CHECKING:
    from bend_hf.results.record import Result

EPOCHS = 6
# The toy splits have 20 to 500 rows: in the recipe's batches a head would take a step or two an epoch.
BATCH_SIZES = {
    8: ["gene_finding"],
    1: ["enhancer_annotation"],
    16: ["chromatin_accessibility", "histone_modification", "cpg_methylation", "variant_effects"],
}


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


def run(output: Path) -> list[Result]:
    """Evaluate two baselines and an untrained model on the toy tasks; write results and ``report.html``.

    Args:
        output: Folder for data, model, results and report; what an earlier demo left there is used again.

    Returns:
        The results of all three.
    """
    from bend_hf.data import toy
    from bend_hf.evaluation import evaluate
    from bend_hf.report.write import write_report

    data = toy.make(output / "toy")
    model = write_untrained_model(output / "untrained-6mer")
    results = [
        result
        for name in steps(
            ("onehot", "composition", str(model)), "model", name=lambda name: Path(name).name, inside=len(BEND)
        )
        for size, tasks in BATCH_SIZES.items()
        for result in evaluate(
            name,
            tasks,
            data_dir=data,
            epochs=EPOCHS,
            batch_size=size,
            output=output / "results",
            store=output / "vectors",
        )
    ]
    write_report(output / "results", output / "report.html")
    return results
