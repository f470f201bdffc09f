"""How a checkpoint reads DNA, from its tokenizer files.

    scheme = load_scheme("zhihan1996/DNA_bert_6", config, tokenizer_config, None, trust=False)

Tokenizers whose rule their files state (HyenaDNA's, Caduceus', GENERator's, ProkBERT's) are read without the code that
comes with them; any other tokenizer that names code of its own is that code, with trust, or an error: a file that lies
beside it never stands in for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bend_hf.embed.reading import read_scheme
from bend_hf.embed.stock import quiet
from bend_hf.embed.tokens import Scheme, block_scheme, character_scheme, overlapping_scheme
from bend_hf.errors import BendError, hub_answer
from bend_hf.models.checkpoint import cached_only, find_file, in_part

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
CHARACTER_TOKENIZERS = ("HyenaDNATokenizer", "CaduceusTokenizer", "CharacterTokenizer")
"""Tokenizers whose code lies with the checkpoints, but whose rule their configuration states."""
BLOCK_TOKENIZER = "DNAKmerTokenizer"
"""GENERator's tokenizer. Its code (which transformers 5 cannot run) does what its vocabulary and configuration say."""
STRIDE_TOKENIZER = "LCATokenizer"
"""ProkBERT's tokenizer: k-mers every `shift` nucleotides (Ligeti et al. 2024, doi 10.3389/fmicb.2023.1331233)."""


def has_tokenizer(source: str, revision: str | None) -> bool:
    """Whether any tokenizer file lies with a checkpoint."""
    return any(find_file(source, name, revision) is not None for name in TOKENIZER_FILES)


def load_scheme(
    source: str,
    config: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
    revision: str | None,
    trust: bool,
    *,
    prefix: str | None = None,
    scheme: str | None = None,
) -> Scheme:
    """Return how a checkpoint reads DNA, from its tokenizer files.

    Args:
        source: A local folder or a Hub id.
        config: ``config.json``.
        tokenizer_config: ``tokenizer_config.json``.
        revision: Branch, tag or commit on the Hub.
        trust: Whether Python code that comes with the checkpoint may run.
        prefix: As for `read_scheme`.
        scheme: As for `read_scheme`.

    Raises:
        BendError: No tokenizer, or one that needs code and is not trusted, or one of something else than DNA.
    """
    import transformers

    declared = str(tokenizer_config.get("tokenizer_class") or "")
    has = {name for name in TOKENIZER_FILES if find_file(source, name, revision) is not None}
    words = find_file(source, "vocab.txt", revision)
    if prefix is None and scheme is None:
        if declared in CHARACTER_TOKENIZERS and "tokenizer.json" not in has:
            return _read_characters(source, tokenizer_config.get("characters") or "ACGTN")
        if not has and find_file(source, "weights.ckpt", revision) is not None and "d_model" in config:
            return character_scheme(prefix=(0,))  # HyenaDNA before its -hf repositories: [CLS] … [SEP]
        if declared == BLOCK_TOKENIZER and words is not None and {"k", "add_bos_token"} <= tokenizer_config.keys():
            return _read_blocks(words, tokenizer_config)
        if declared == STRIDE_TOKENIZER and words is not None and {"kmer", "shift"} <= tokenizer_config.keys():
            return _read_strides(words, tokenizer_config)
    kind = config.get("model_type")
    code = (tokenizer_config.get("auto_map") or {}).get("AutoTokenizer")
    options: dict[str, Any] = {"revision": revision, "local_files_only": cached_only(source, revision)}
    if code and not trust:
        raise BendError(
            f"{source!r} has a tokenizer of its own code ({code}). Read it, then pass trust_remote_code=True "
            "(--trust-remote-code) to run it."
        )
    if code:
        builder: Any = transformers.AutoTokenizer
        options["trust_remote_code"] = True
    elif "tokenizer.json" in has:
        builder = transformers.PreTrainedTokenizerFast
    elif "vocab.txt" in has and (declared.startswith("Esm") or kind == "esm"):
        builder = transformers.EsmTokenizer
    elif "vocab.txt" in has and (declared.startswith("Bert") or (not declared and kind == "bert")):
        builder = transformers.BertTokenizer
        options["do_lower_case"] = bool(tokenizer_config.get("do_lower_case", False))
    elif has:
        builder = transformers.AutoTokenizer
    else:
        raise BendError(
            f"{source!r} has no tokenizer (none of {', '.join(TOKENIZER_FILES)}{in_part(source, revision)}): DNA "
            "cannot be turned into its tokens. Name the folder or model that has it with tokenizer=."
        )
    try:
        with quiet():
            tokenizer = builder.from_pretrained(source, **options)
    except Exception as error:  # tokenizers raise plain Exception for a damaged file
        raise BendError(f"{source!r}: its tokenizer cannot be loaded ({hub_answer(error) or error}).") from error
    tokenizer.model_max_length = 10**30  # windows are cut here; its warning about long text would be wrong
    return read_scheme(tokenizer, source, prefix=prefix, scheme=scheme)


def _read_characters(source: str, characters: Any) -> Scheme:
    """Return the scheme of a HyenaDNA or a Caduceus, whose ``tokenizer_config.json`` names its characters."""
    if not isinstance(characters, str | list) or not all(isinstance(one, str) for one in characters):
        raise BendError(f"{source!r}: characters of tokenizer_config.json are {characters!r}: download it again.")
    try:
        return character_scheme(characters)
    except BendError as error:
        raise BendError(f"{source!r}, characters of tokenizer_config.json: {error} Download it again.") from error


def _read_strides(path: Path, tokenizer_config: Mapping[str, Any]) -> Scheme:
    """Return the scheme of a ProkBERT, whose ``vocab.txt`` (at `path`) has a token per line: [CLS] k-mers [SEP]."""
    vocabulary = {word: number for number, word in enumerate(path.read_text(encoding="utf-8").split())}
    try:
        names = ("[UNK]", "[PAD]", "[MASK]", "[CLS]", "[SEP]")
        unknown, pad, mask, first, last = (vocabulary[name] for name in names)
        return overlapping_scheme(
            vocabulary,
            int(tokenizer_config["kmer"]),
            int(tokenizer_config["shift"]),
            unknown=unknown,
            pad=pad,
            mask=mask,
            prefix=(first,),
            suffix=(last,),
        )
    except (BendError, KeyError) as error:
        raise BendError(f"{path} is no vocabulary of DNA: {error} Download it again.") from error


def _read_blocks(path: Path, tokenizer_config: Mapping[str, Any]) -> Scheme:
    """Return the scheme of a GENERator, whose ``vocab.txt`` (at `path`) has a token and its id per line."""
    vocabulary: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        token, _, index = line.rpartition(" ")
        if not token or not index.isdecimal():
            raise BendError(f"{path}, line {number}: {line!r} is no token and its id: download the file again.")
        vocabulary[token] = int(index)

    def special(role: str) -> int:
        token = tokenizer_config.get(f"{role}_token")
        token = token.get("content") if isinstance(token, Mapping) else token
        if token not in vocabulary:
            raise BendError(f"{path} has no {token!r}, the {role}_token of tokenizer_config.json: download both again.")
        return vocabulary[str(token)]

    roles = {role: special(role) for role in ("unk", "pad", "mask", "bos", "eos")}
    try:
        return block_scheme(
            vocabulary,
            int(tokenizer_config["k"]),
            unknown=roles["unk"],
            pad=roles["pad"],
            mask=roles["mask"],
            prefix=[roles["bos"]] if tokenizer_config["add_bos_token"] else [],
            suffix=[roles["eos"]] if tokenizer_config.get("add_eos_token") else [],
        )
    except BendError as error:
        raise BendError(f"{path} is no vocabulary of DNA: {error} Download it again.") from error
