"""Tiny random checkpoints with their tokenizers, in the layout of a Hub repository, written on the spot.

    folder = tiny_models.esm(tmp_path / "esm")           # 6-mers, as the Nucleotide Transformer
    folder = tiny_models.FAMILIES["gpt2"](tmp_path / "gpt2")

Every function takes ``layers``, ``width`` and ``seed``, and returns the folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

HEADS = 4


def _words(k: int, letters: str = "ACGT") -> list[str]:
    return ["".join(word) for word in product(letters, repeat=k)]


def save(folder: Path, config: Any, seed: int, lm: bool = False) -> Path:
    """Write a model of a configuration with random weights."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    kinds = {
        "esm": "EsmForMaskedLM",
        "bert": "BertForMaskedLM",
        "gpt2": "GPT2LMHeadModel",
        "llama": "LlamaForCausalLM",
        "modernbert": "ModernBertForMaskedLM",
    }
    auto = getattr(transformers, kinds[config.model_type]) if lm else transformers.AutoModel.from_config
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = auto(config)
    with torch.no_grad():  # larger than usual weights, so that a wrong token or position shows in the vectors
        for name, tensor in model.named_parameters():
            if tensor.ndim > 1:
                tensor.mul_(3.0)
            elif name.endswith("bias"):
                tensor.normal_(0, 0.1, generator=torch.Generator().manual_seed(seed))
    model.save_pretrained(folder)
    return folder


def write(folder: Path, name: str, value: Any) -> None:
    """Write a text or JSON file of a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


def dnabert(
    folder: Path,
    *,
    k: int = 6,
    layers: int = 2,
    width: int = 32,
    seed: int = 0,
    context: int = 512,
    vocabulary: Path | None = None,
    lm: bool = False,
) -> Path:
    """BERT over overlapping k-mers, as DNABERT; `vocabulary` is a vocab.txt to use instead of one made here."""
    from transformers import BertConfig

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_words(k, "ATCG")]
    text = vocabulary.read_text() if vocabulary else "\n".join(words) + "\n"
    write(folder, "vocab.txt", text)
    write(folder, "tokenizer_config.json", {"do_lower_case": False, "tokenizer_class": "BertTokenizer"})
    config = BertConfig(
        vocab_size=len(text.split()),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=4 * width,
        max_position_embeddings=context,
    )
    return save(folder, config, seed, lm)


def kmers(folder: Path, *, k: int = 6, context: int = 1000) -> list[str]:
    """Write (and return) the vocabulary of the Nucleotide Transformer's tokenizer, in its published order."""
    words = ["<unk>", "<pad>", "<mask>", "<cls>", *_words(k, "ATCG"), *"ATCGN", "<eos>", "<bos>"]
    write(folder, "vocab.txt", "\n".join(words))
    write(
        folder,
        "tokenizer_config.json",
        {
            "tokenizer_class": "EsmTokenizer",
            "eos_token": None,
            "cls_token": "<cls>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "mask_token": "<mask>",
            "model_max_length": context,
        },
    )
    return words


def esm(
    folder: Path, *, layers: int = 2, width: int = 32, seed: int = 0, context: int = 1000, lm: bool = False
) -> Path:
    """ESM over 6-mers with single nucleotides for remainders, as the Nucleotide Transformer."""
    from transformers import EsmConfig

    words = kmers(folder, context=context)
    config = EsmConfig(
        vocab_size=len(words),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=4 * width,
        max_position_embeddings=context + 2,
        pad_token_id=1,
        mask_token_id=2,
        position_embedding_type="absolute",
        token_dropout=True,
        emb_layer_norm_before=False,
    )
    return save(folder, config, seed, lm)


def _fast_tokenizer(folder: Path, tokenizer: Any, **special: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder, "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **special})


def byte_pairs(folder: Path, *, size: int = 300, gaps: bool = False, tokenizer_json: Path | None = None) -> Any:
    """Write (and return) a fast tokenizer of `size` byte pairs, or the one in `tokenizer_json`."""
    import numpy as np
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    if tokenizer_json is not None:
        tokenizer = Tokenizer.from_file(str(tokenizer_json))
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        if gaps:
            tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex("N{10,}"), "-")])
        random = np.random.default_rng(7)
        corpus = ["".join(random.choice(list("ACGT"), 400, p=[0.35, 0.15, 0.15, 0.35])) for _ in range(50)]
        alphabet = [*"ACGT-"] if gaps else [*"ACGT"]
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(corpus, trainer)
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    names = dict(zip(("unk_token", "cls_token", "sep_token", "pad_token", "mask_token"), special, strict=True))
    _fast_tokenizer(folder, tokenizer, **names)
    return tokenizer


def bpe(
    folder: Path,
    *,
    layers: int = 2,
    width: int = 32,
    seed: int = 0,
    context: int = 512,
    gaps: bool = False,
    tokenizer_json: Path | None = None,
) -> Path:
    """BERT over byte pairs trained on random DNA; `gaps` writes ten or more N as one ``-``, as GENA-LM does.

    `tokenizer_json` is a tokenizer to use instead of one trained here.
    """
    from transformers import BertConfig

    tokenizer = byte_pairs(folder, gaps=gaps, tokenizer_json=tokenizer_json)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=4 * width,
        max_position_embeddings=context,
        pad_token_id=tokenizer.token_to_id("[PAD]"),
    )
    return save(folder, config, seed)


def characters(folder: Path, *, lower: bool = False, unknown_n: bool = False) -> int:
    """Write a fast single-character tokenizer (no special tokens around a sequence); return its vocabulary's size."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    letters = "acgt" if lower else "ACGT"
    words = ["[PAD]", "[UNK]", "[MASK]", *letters, *([] if unknown_n else ["n" if lower else "N"])]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    _fast_tokenizer(folder, tokenizer, unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]")
    return len(words)


def bert_of_characters(folder: Path, *, layers: int = 1, width: int = 32, seed: int = 0) -> Path:
    """BERT with its masked-language-model head over single nucleotides."""
    from transformers import BertConfig

    size = characters(folder)
    config = BertConfig(
        vocab_size=size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=4 * width,
        max_position_embeddings=512,
    )
    return save(folder, config, seed, lm=True)


def with_ids(folder: Path, vocabulary: dict[str, int]) -> Path:
    """Write a fast tokenizer of single lower-case letters with the ids given (and [UNK]), without a model."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    words = dict(vocabulary)
    words.setdefault("[UNK]", max(words.values()) + 1)
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    _fast_tokenizer(folder, tokenizer, **{key: word for key, word in special.items() if word in words})
    return folder


def gpt2(
    folder: Path, *, layers: int = 2, width: int = 32, seed: int = 0, context: int = 1024, lm: bool = False
) -> Path:
    """GPT-2 over single characters: causal, with absolute positions."""
    from transformers import GPT2Config

    size = characters(folder)
    config = GPT2Config(
        vocab_size=size, n_embd=width, n_layer=layers, n_head=HEADS, n_positions=context, bos_token_id=0, eos_token_id=0
    )
    return save(folder, config, seed, lm)


def llama(folder: Path, *, layers: int = 2, width: int = 32, seed: int = 0, context: int = 2048) -> Path:
    """Llama over single characters: causal, with rotary positions."""
    from transformers import LlamaConfig

    size = characters(folder, unknown_n=True)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=2 * width,
        max_position_embeddings=context,
        bos_token_id=0,
        eos_token_id=0,
    )
    return save(folder, config, seed)


GENERATOR_SPECIALS = ("oov", "s", "/s", "pad", "mask", *(f"sp{i}" for i in range(27)))


def generator(folder: Path, *, k: int = 6, layers: int = 2, width: int = 32, seed: int = 0, lm: bool = False) -> Path:
    """Llama over blocks of k, with GENERator's configuration and vocabulary, which name code that is not there."""
    from transformers import LlamaConfig

    words = [*(f"<{name}>" for name in GENERATOR_SPECIALS), *_words(k, "ATCG")]
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2,
        intermediate_size=2 * width,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
    )
    save(folder, config, seed, lm)
    settings = json.loads((folder / "config.json").read_text())
    settings["architectures"] = ["GENERatorForCausalLM"]
    settings["auto_map"] = {"AutoModelForCausalLM": "modeling_generator.GENERatorForCausalLM"}
    write(folder, "config.json", settings)
    write(folder, "vocab.txt", "".join(f"{word} {index}\n" for index, word in enumerate(words)))
    tokens = {"unk": "<oov>", "bos": "<s>", "eos": "</s>", "pad": "<pad>", "mask": "<mask>"}
    declared = {
        "add_bos_token": True,
        "add_eos_token": False,
        "auto_map": {"AutoTokenizer": ["tokenizer.DNAKmerTokenizer", None]},
        "k": k,
        "tokenizer_class": "DNAKmerTokenizer",
    }
    write(folder, "tokenizer_config.json", declared | {f"{role}_token": token for role, token in tokens.items()})
    return folder


def grover(folder: Path, *, layers: int = 2, width: int = 32, seed: int = 0) -> Path:
    """BERT over byte pairs with the oddities of GROVER's files.

    The last of the vocabulary is an empty piece that the embedding matrix has no row for, four merges with it stand in
    front, and neither [SEP] nor [UNK] is declared as a special token.
    """
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    merges = [("A", "A"), ("T", "T"), ("A", "C"), ("AC", "G"), ("AA", "AA"), ("TT", "TT"), ("C", "C"), ("T", "G")]
    words = [*special, *"ACGT", *(left + right for left, right in merges), ""]
    pairs = [*((letter, "") for letter in "ACGT"), *merges]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, pairs, unk_token="[UNK]"))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]"}
    _fast_tokenizer(folder, tokenizer, **named)
    write(folder, "special_tokens_map.json", named)
    config = BertConfig(
        vocab_size=len(words) - 1,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=4 * width,
        max_position_embeddings=512,
    )
    return save(folder, config, seed)


def moderngena(folder: Path, *, layers: int = 4, width: int = 32, seed: int = 0) -> Path:
    """ModernBERT with local and global attention over GENA-LM's kind of byte pairs; more rows than tokens."""
    from transformers import ModernBertConfig

    tokenizer = byte_pairs(folder, gaps=True)
    config = ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size() + 20,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        intermediate_size=2 * width,
        max_position_embeddings=1024,
        global_attn_every_n_layers=3,
        local_attention=16,
        pad_token_id=tokenizer.token_to_id("[PAD]"),
        bos_token_id=tokenizer.token_to_id("[CLS]"),
        eos_token_id=tokenizer.token_to_id("[SEP]"),
        cls_token_id=tokenizer.token_to_id("[CLS]"),
        sep_token_id=tokenizer.token_to_id("[SEP]"),
    )
    return save(folder, config, seed, lm=True)


def mamba(folder: Path, *, layers: int = 2, width: int = 32, seed: int = 0) -> Path:
    """Mamba over single lower-case characters: causal, recurrent, of any length."""
    from transformers import MambaConfig

    size = characters(folder, lower=True)
    config = MambaConfig(
        vocab_size=size,
        hidden_size=width,
        num_hidden_layers=layers,
        state_size=8,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return save(folder, config, seed)


FAMILIES: dict[str, Callable[..., Path]] = {
    "dnabert": dnabert,
    "esm": esm,
    "bpe": bpe,
    "gpt2": gpt2,
    "llama": llama,
    "mamba": mamba,
}


def dna(length: int, seed: int = 0, letters: str = "ACGT") -> str:
    """Random DNA."""
    import numpy as np

    return "".join(np.random.default_rng(seed).choice(list(letters), length))
