"""Models as data: the BEND paper's and newer ones, by short name; and what cannot be found out about them by trying.

    resolve("nt-v2-500m").source         # 'InstaDeepAI/nucleotide-transformer-v2-500m-multi-species'
    resolve("./my-model").source         # folders and Hub ids are themselves

What a model is good for, how it reads DNA and whether it is causal is found out when it is loaded (`network`); the
entries add where it lies, its licence and the context of models that do not state it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bend_hf.errors import BendError, unknown

if TYPE_CHECKING:
    from bend_hf.embed.tokens import Scheme

LONGEST = 131_072
"""Tokens given at once to models without a limit of their own whose cost grows with length, not its square."""
LONGEST_ATTENTION = 2_048
"""The same for models with attention."""
ALIBI_PIECE = 10_000
"""Nucleotides of DNABERT-2's pieces in the BEND reference."""
SHARE_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "pytorch_model.bin",
)
BEND_FILES = "https://sid.erda.dk/share_redirect/dbQM0pgSlM/pretrained_models"


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes:
        source: Hub id, or the URL of a folder of files.
        paper: Its name in the BEND paper's code; None for later models.
        width: Channels of a vector.
        causal: Whether tokens see their left side only.
        tokens: How it reads DNA.
        licence: Of the weights, as their authors state it; None where it has not been checked.
        context: Most tokens at once, where the checkpoint does not say it.
        revision: Commit to use; None for the newest (the result records which it was).
        notes: What a user should know.
    """

    source: str
    paper: str | None
    width: int
    causal: bool
    tokens: str
    licence: str | None = None
    context: int | None = None
    revision: str | None = None
    notes: str = ""


NT_LICENCE = "CC BY-NC-SA 4.0"
HYENA = "LongSafari/hyenadna-{}-seqlen-hf"

CATALOGUE: dict[str, Entry] = {
    "resnetlm": Entry(
        f"{BEND_FILES}/convnet",
        "resnetlm",
        256,
        False,
        "characters",
        notes="BEND's own dilated ConvNet; not on the Hub, downloaded from BEND's share",
    ),
    "awdlstm": Entry(
        f"{BEND_FILES}/awd_lstm",
        "awdlstm",
        64,
        True,
        "characters",
        notes="BEND's own recurrent model; not on the Hub, downloaded from BEND's share",
    ),
    "nt-500m-human-ref": Entry(
        "InstaDeepAI/nucleotide-transformer-500m-human-ref",
        "nt_transformer_human_ref",
        1280,
        False,
        "6-mers",
        NT_LICENCE,
    ),
    "nt-2.5b-1000g": Entry(
        "InstaDeepAI/nucleotide-transformer-2.5b-1000g", "nt_transformer_1000g", 2560, False, "6-mers", NT_LICENCE
    ),
    "nt-2.5b-multi-species": Entry(
        "InstaDeepAI/nucleotide-transformer-2.5b-multi-species", "nt_transformer_ms", 2560, False, "6-mers", NT_LICENCE
    ),
    "nt-v2-50m": Entry(
        "InstaDeepAI/nucleotide-transformer-v2-50m-multi-species", None, 512, False, "6-mers", NT_LICENCE
    ),
    "nt-v2-100m": Entry(
        "InstaDeepAI/nucleotide-transformer-v2-100m-multi-species", None, 512, False, "6-mers", NT_LICENCE
    ),
    "nt-v2-250m": Entry(
        "InstaDeepAI/nucleotide-transformer-v2-250m-multi-species", None, 768, False, "6-mers", NT_LICENCE
    ),
    "nt-v2-500m": Entry(
        "InstaDeepAI/nucleotide-transformer-v2-500m-multi-species",
        "nt_transformer_v2_500m",
        1024,
        False,
        "6-mers",
        NT_LICENCE,
    ),
    "dnabert-6": Entry("zhihan1996/DNA_bert_6", "dnabert6", 768, False, "overlapping 6-mers"),
    "dnabert-5": Entry("zhihan1996/DNA_bert_5", None, 768, False, "overlapping 5-mers"),
    "dnabert-4": Entry("zhihan1996/DNA_bert_4", None, 768, False, "overlapping 4-mers"),
    "dnabert-3": Entry("zhihan1996/DNA_bert_3", None, 768, False, "overlapping 3-mers"),
    "dnabert-2": Entry("zhihan1996/DNABERT-2-117M", "dnabert2", 768, False, "BPE", "Apache-2.0"),
    "dnabert-s": Entry("zhihan1996/DNABERT-S", None, 768, False, "BPE"),
    "gena-lm-bert-large-t2t": Entry(
        "AIRI-Institute/gena-lm-bert-large-t2t", "gena-lm-bert-large-t2", 1024, False, "BPE"
    ),
    "gena-lm-bigbird-base-t2t": Entry(
        "AIRI-Institute/gena-lm-bigbird-base-t2t",
        "gena-lm-bigbird-base-t2t",
        768,
        False,
        "BPE",
        notes="run with full attention, so that no result depends on what was embedded before",
    ),
    "hyenadna-tiny-1k": Entry(HYENA.format("tiny-1k"), "hyenadna-tiny-1k", 128, True, "characters"),
    "hyenadna-small-32k": Entry(HYENA.format("small-32k"), "hyenadna-small-32k", 256, True, "characters"),
    "hyenadna-medium-160k": Entry(HYENA.format("medium-160k"), "hyenadna-medium-160k", 256, True, "characters"),
    "hyenadna-medium-450k": Entry(HYENA.format("medium-450k"), "hyenadna-medium-450k", 256, True, "characters"),
    "hyenadna-large-1m": Entry(HYENA.format("large-1m"), "hyenadna-large-1m", 256, True, "characters"),
    "grover": Entry("PoetschLab/GROVER", "grover", 768, False, "BPE"),
    "caduceus-ph": Entry(
        "kuleshov-group/caduceus-ph_seqlen-131k_d_model-256_n_layer-16",
        None,
        256,
        False,
        "characters",
        context=131_072,
        notes="pure torch here: slow on a CPU",
    ),
    "caduceus-ps": Entry(
        "kuleshov-group/caduceus-ps_seqlen-131k_d_model-256_n_layer-16",
        None,
        512,
        False,
        "characters",
        context=131_072,
        notes='strand="average" folds the two strands of its channels into 256',
    ),
    "gpn-brassicales": Entry("songlab/gpn-brassicales", None, 512, False, "characters"),
    "generator-1.2b": Entry(
        "GenerTeam/GENERator-eukaryote-1.2b-base",
        None,
        2048,
        True,
        "6-mer blocks",
        notes="its tokenizer is code of its own: --trust-remote-code",
    ),
}


@dataclass(frozen=True)
class Found:
    """What a name stands for: a display name, a source to load, and what the catalogue adds to it."""

    name: str
    source: str
    revision: str | None = None
    context: int | None = None


def resolve(name: str) -> Found:
    """Return the model behind a catalogue name (or its name in the BEND paper's code), a Hub id or a folder.

    Raises:
        BendError: It is none of them; the message has the nearest catalogue name.
    """
    aliases = {entry.paper: key for key, entry in CATALOGUE.items() if entry.paper}
    key = aliases.get(name, name)
    if key not in CATALOGUE:
        hubs = {entry.source: known for known, entry in CATALOGUE.items()}
        if name in hubs:
            key = hubs[name]
        elif Path(name).expanduser().is_dir():
            return Found(Path(name).name or name, str(Path(name).expanduser()))
        elif "/" in name or "\\" in name:
            return Found(name, name)
        else:
            raise unknown("model", name, ["onehot", *CATALOGUE])
    entry = CATALOGUE[key]
    if entry.source.startswith("https://"):
        return Found(key, str(fetch(key)), context=entry.context)
    return Found(name if "/" in name else key, entry.source, entry.revision, entry.context)


def fetch(name: str) -> Path:
    """Download the files of a model that is on no Hub into the cache (once), and return their folder.

    Raises:
        BendError: The files cannot be had.
    """
    from bend_hf.data import download
    from bend_hf.files import cache_dir

    root, folder = CATALOGUE[name].source, cache_dir("models", name)
    for file in SHARE_FILES:
        download.fetch(f"{root}/{file}", folder / file)
    return folder


@dataclass(frozen=True)
class Limits:
    """How long an input may be.

    Attributes:
        context: Most tokens at once, special ones included; None for any.
        content: The same without special tokens: the size of windows; None for any.
        piece: Nucleotides of the pieces into which the BEND reference cuts; None where it cuts in tokens.
        reason: Where `context` is known from.
    """

    context: int | None
    content: int | None
    piece: int | None
    reason: str


def limits(
    config: Mapping[str, Any], tokenizer_config: Mapping[str, Any], scheme: Scheme, context: int | None = None
) -> Limits:
    """Return a model's longest input from its configuration.

    Args:
        config: ``config.json``.
        tokenizer_config: ``tokenizer_config.json``.
        scheme: How it reads DNA.
        context: Overrides what the configuration says.

    Raises:
        BendError: `context` leaves no room for a token.
    """
    attention = any(key in config for key in ("num_attention_heads", "n_head", "num_heads"))
    alibi = "alibi_starting_size" in config or config.get("position_embedding_type") == "alibi"
    stated = next((key for key in ("max_position_embeddings", "n_positions", "max_seq_len") if config.get(key)), None)
    if context is not None:
        most, reason = context, "given"
    elif stated is not None and not alibi:
        most, reason = int(config[stated]), f"{stated} of config.json"
        if config.get("model_type") in ("esm", "roberta", "xlm-roberta", "camembert"):
            most -= int(config.get("pad_token_id") or 1) + 1  # positions are counted from behind the padding id
    else:
        most = LONGEST_ATTENTION if attention else LONGEST
        reason = "no limit of its own; " + (
            "attention costs the square of the length" if attention else "cut for memory"
        )
    content = most - scheme.specials
    if content < max(1, scheme.k if scheme.family == "overlapping k-mers" else 1):
        raise BendError(f"A context of {most} tokens leaves no room beside {scheme.specials} special tokens.")
    piece = None
    if alibi:
        piece = ALIBI_PIECE
    elif scheme.family in ("k-mers", "k-mer blocks"):
        piece = content * scheme.k
    return Limits(most, content, piece, reason)
