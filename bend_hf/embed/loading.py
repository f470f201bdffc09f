"""Checkpoints and tokenizers, loaded so that they cannot lie.

    loaded = load("InstaDeepAI/nucleotide-transformer-500m-human-ref")
    loaded.model, loaded.scheme, loaded.architecture, loaded.ignored

The order: an architecture of `bend_hf.models` that claims the configuration, else transformers' own class where the
checkpoint needs no code of its own, else that code, only with ``trust_remote_code=True``. After every load each
tensor of the checkpoint is compared with the model's (`bend_hf.models.checkpoint.compare`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bend_hf import models
from bend_hf.console import log
from bend_hf.embed.tokens import Scheme, block_scheme, character_scheme, read_scheme
from bend_hf.errors import BendError
from bend_hf.files import digest_file, digest_of
from bend_hf.models.bigbird import attend_by_length
from bend_hf.models.checkpoint import HEADS, POOLERS, align, compare, find_file, read_state_dict, weight_files

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer_config.json", "special_tokens_map.json")
CHARACTER_TOKENIZERS = ("HyenaDNATokenizer", "CaduceusTokenizer", "CharacterTokenizer")
"""Tokenizers whose code lies with the checkpoints, but whose rule their configuration states."""

CODE_KEYS = ("AutoConfig", "AutoModel", "AutoModelForMaskedLM", "AutoModelForCausalLM")
STOCK_CODE = {"modeling_generator": "llama", "dnabert_layer": "bert"}
"""Modules that come with checkpoints, and the ``model_type`` whose classes in transformers give the same vectors:
GENERator's adds ways of generating, DNABERT's the classification of long sequences. They are not needed."""
BLOCK_TOKENIZER = "DNAKmerTokenizer"
"""GENERator's tokenizer. Its code (which transformers 5 cannot run) does what its vocabulary and configuration say."""


@dataclass(frozen=True)
class Loaded:
    """A model, how it reads DNA, and where both come from.

    Attributes:
        source: Folder or Hub id, as given.
        model: In evaluation mode, float32, on CPU.
        scheme: Its tokens.
        config: ``config.json``.
        tokenizer_config: ``tokenizer_config.json``, empty where there is none.
        architecture: The class, and why it was chosen.
        ignored: Checkpoint keys without influence on embeddings that differ (heads, poolers).
        identity: What determines the weights and tokens: commit on the Hub, or digests of the files.
        revision: As given.
        trusted: Whether code that came with the checkpoint was allowed to run.
    """

    source: str
    model: nn.Module
    scheme: Scheme
    config: dict[str, Any]
    tokenizer_config: dict[str, Any]
    architecture: str
    ignored: tuple[str, ...]
    identity: dict[str, Any]
    revision: str | None = None
    trusted: bool = False


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' warnings and progress bars away while it loads."""
    from transformers import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def read_json(source: str, name: str, revision: str | None) -> dict[str, Any] | None:
    """Return a JSON file of a checkpoint, or None where there is none.

    Raises:
        BendError: The file is no JSON.
    """
    path = find_file(source, name, revision)
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BendError(f"{path} is no JSON ({error}): download it again.") from error


def read_config(source: str, revision: str | None = None) -> dict[str, Any]:
    """Return a checkpoint's ``config.json``.

    Raises:
        BendError: There is no such folder or repository, or it holds no ``config.json``.
    """
    looks_like_path = source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source
    if looks_like_path and not Path(source).is_dir():
        raise BendError(f"There is no model folder {source!r}: give the path of a folder with a config.json.")
    config = read_json(source, "config.json", revision)
    if config is None:
        raise BendError(f"{source!r} holds no config.json, so it is no model that can be loaded.")
    return config


def needs_code(config: Mapping[str, Any]) -> bool:
    """Whether a checkpoint names Python files of its own for its model."""
    classes: Mapping[str, Any] = config.get("auto_map") or {}
    modules = {str(name).rpartition("--")[2].partition(".")[0] for key, name in classes.items() if "AutoModel" in key}
    if modules and all(STOCK_CODE.get(module, "") == config.get("model_type") for module in modules):
        return False
    return any(key in CODE_KEYS for key in classes)


def load(
    source: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    lm_head: bool = False,
) -> Loaded:
    """Load a checkpoint and its tokenizer.

    Args:
        source: A local folder or a Hub id.
        revision: Branch, tag or commit on the Hub.
        trust_remote_code: Whether Python code that comes with the checkpoint may run.
        lm_head: Whether to load the language-model head too (the model then gives ``logits``).

    Raises:
        BendError: Anything that would make the vectors wrong: files missing or damaged, tensors that do not fit, code
            that is needed and not trusted, a tokenizer of something else than DNA or of another model.
    """
    config = read_config(source, revision)
    tokenizer_config = read_json(source, "tokenizer_config.json", revision) or {}
    # The tokenizer first: it is small, and most mistakes (a protein model, no tokenizer) show there.
    scheme = load_scheme(source, config, tokenizer_config, revision, trust_remote_code)
    claim = models.claims(config)
    ignored: list[str] = []
    if claim is not None:
        model: nn.Module = models.load(source, config, revision=revision, lm_head=lm_head)
        architecture = f"{type(model).__name__} of bend_hf, {claim}"
    else:
        state = read_state_dict(source, revision)
        if needs_code(config):
            if not trust_remote_code:
                code = ", ".join(f"{k}: {v}" for k, v in config["auto_map"].items() if k in CODE_KEYS)
                raise BendError(
                    f"{source!r} needs Python code that comes with it ({code}). Read it, then pass "
                    "trust_remote_code=True (--trust-remote-code) to run it."
                )
            from bend_hf.embed.remote import load_remote

            model, architecture = (
                load_remote(source, config, state, revision, lm_head),
                "the checkpoint's own code (trusted)",
            )
        else:
            model = _load_stock(source, config, state, revision, lm_head)
            architecture = f"transformers' {type(model).__name__}, by model_type {config.get('model_type')!r}"
        ignore = POOLERS if lm_head else (*POOLERS, *HEADS)
        ignored = compare(model, state, name=repr(source), ignore=ignore)
    rows = _embedding_rows(model)
    if rows is not None and scheme.largest >= rows:
        raise BendError(
            f"{source!r}: its tokenizer gives ids up to {scheme.largest}, but its embedding matrix has {rows} rows: "
            "tokenizer and weights belong to different models."
        )
    if ignored:
        log.info("%s: without influence on embeddings and left out: %s", source, ", ".join(ignored))
    model = model.eval().requires_grad_(False)
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()  # safetensors gives views of the file, which change (or crash) with it
    fuse_gelu(model)
    attend_by_length(model)
    return Loaded(
        source,
        model,
        scheme,
        config,
        tokenizer_config,
        architecture,
        tuple(ignored),
        _identity(source, revision),
        revision,
        trust_remote_code,
    )


def _load_stock(
    source: str, config: Mapping[str, Any], state: Mapping[str, Tensor], revision: str | None, lm_head: bool
) -> nn.Module:
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES as PLAIN

    kind = config.get("model_type")
    if kind not in PLAIN:
        raise BendError(
            f"{source!r} is of model_type {kind!r}, which neither bend_hf nor transformers "
            f"{transformers.__version__} knows; wrap it as a callable (see docs/embeddings.md) or upgrade."
        )
    auto: Any = transformers.AutoModel
    if lm_head:
        if kind in MASKED and not config.get("is_decoder"):
            auto = transformers.AutoModelForMaskedLM
        elif kind in CAUSAL:
            auto = transformers.AutoModelForCausalLM
        else:
            raise BendError(f"{source!r} (model_type {kind!r}) has no language-model head: use the distance scores.")
    try:
        with quiet():  # what loading reports is checked here, tensor by tensor
            return auto.from_pretrained(
                source,
                revision=revision,
                dtype=torch.float32,
                trust_remote_code=False,
            )
    except Exception as error:  # a dozen types, from a wrong field of the configuration to a missing file
        reason = _shape_report(config, state) or str(error)
        raise BendError(f"{source!r} cannot be loaded: {reason}") from error


def fuse_gelu(model: nn.Module) -> None:
    """Let ESM's feed-forward layers call torch's GELU, the same function in one step instead of five.

    Those five take a third of an ESM's time in float32, and more in bfloat16. A layer that would give another result
    (of a transformers version that writes it differently) is left alone.
    """
    layers: list[Any] = [module for module in model.modules() if type(module).__name__ == "EsmIntermediate"]
    for layer in layers:
        probe = torch.linspace(-4, 4, layer.dense.in_features)[None]
        with torch.inference_mode():
            if torch.allclose(layer(probe), functional.gelu(layer.dense(probe)), atol=1e-5):
                layer.forward = partial(_dense_gelu, layer)


def _dense_gelu(module: Any, hidden_states: Tensor) -> Tensor:
    return functional.gelu(module.dense(hidden_states))


def _shape_report(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> str | None:
    """The tensors whose shape keeps a checkpoint from loading, where they are the reason."""
    import transformers

    try:
        fields = {key: value for key, value in config.items() if key != "model_type"}
        with torch.device("meta"):
            model = transformers.AutoModel.from_config(
                transformers.AutoConfig.for_model(config["model_type"], **fields)
            )
    except Exception:  # the configuration itself is at fault: the first error is the one to show
        return None
    own = model.state_dict()
    wrong = [
        f"{key} ({tuple(value.shape)} in the checkpoint, {tuple(own[key].shape)} in the model)"
        for key, value in align(state, model).items()
        if key in own and own[key].shape != value.shape
    ]
    return f"tensors of the wrong shape: {', '.join(wrong[:6])}" if wrong else None


def _embedding_rows(model: nn.Module) -> int | None:
    try:
        table = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return None
    return getattr(table, "num_embeddings", None)


def load_scheme(
    source: str, config: Mapping[str, Any], tokenizer_config: Mapping[str, Any], revision: str | None, trust: bool
) -> Scheme:
    """Return how a checkpoint reads DNA, from its tokenizer files.

    Raises:
        BendError: No tokenizer, or one that needs code and is not trusted, or one of something else than DNA.
    """
    import transformers

    declared = str(tokenizer_config.get("tokenizer_class") or "")
    has = {name for name in TOKENIZER_FILES if find_file(source, name, revision) is not None}
    if declared in CHARACTER_TOKENIZERS and "tokenizer.json" not in has:
        return character_scheme(tokenizer_config.get("characters") or "ACGTN")
    if not has and find_file(source, "weights.ckpt", revision) is not None and "d_model" in config:
        return character_scheme(prefix=(0,))  # HyenaDNA before its -hf repositories: [CLS] … [SEP]
    words = find_file(source, "vocab.txt", revision)
    if declared == BLOCK_TOKENIZER and words is not None and {"k", "add_bos_token"} <= tokenizer_config.keys():
        return _read_blocks(words, tokenizer_config)
    kind = config.get("model_type")
    options: dict[str, Any] = {"revision": revision}
    if "tokenizer.json" in has:
        builder: Any = transformers.PreTrainedTokenizerFast
    elif "vocab.txt" in has and (declared.startswith("Esm") or kind == "esm"):
        builder = transformers.EsmTokenizer
    elif "vocab.txt" in has and (declared.startswith("Bert") or (not declared and kind == "bert")):
        builder = transformers.BertTokenizer
        options["do_lower_case"] = bool(tokenizer_config.get("do_lower_case", False))
    elif has:
        remote = "AutoTokenizer" in (tokenizer_config.get("auto_map") or {})
        if remote and not trust:
            raise BendError(
                f"{source!r} has a tokenizer of its own code ({tokenizer_config['auto_map']['AutoTokenizer']}). Read "
                "it, then pass trust_remote_code=True (--trust-remote-code) to run it."
            )
        builder, options["trust_remote_code"] = transformers.AutoTokenizer, trust
    else:
        raise BendError(
            f"{source!r} has no tokenizer (none of {', '.join(TOKENIZER_FILES)}): DNA cannot be turned into its tokens."
        )
    try:
        with quiet():
            tokenizer = builder.from_pretrained(source, **options)
    except Exception as error:  # tokenizers raise plain Exception for a damaged file
        raise BendError(f"{source!r}: its tokenizer cannot be loaded ({error}).") from error
    tokenizer.model_max_length = 10**30  # windows are cut here; its warning about long text would be wrong
    return read_scheme(tokenizer, source)


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


def _identity(source: str, revision: str | None) -> dict[str, Any]:
    """The commit of a Hub checkpoint, or digests of a folder's files."""
    found = {name: find_file(source, name, revision) for name in ("config.json", *TOKENIZER_FILES)}
    paths = {name: path for name, path in found.items() if path is not None}
    config = paths["config.json"]
    if not Path(source).is_dir() and config.parent.parent.name == "snapshots":
        return {"repository": source, "commit": config.parent.name}
    paths |= {path.name: path for path in weight_files(source, revision)}
    digests = {name: digest_file(path.resolve()) for name, path in sorted(paths.items())}
    # The configuration's own name of the model does not change a vector; everything else may.
    return {"files": digest_of(digests)}
