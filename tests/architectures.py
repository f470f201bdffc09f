"""Architectures of transformers in tiny random form, built from their configurations, and what becomes of each.

folder = build("mixtral", tmp_path)          # weights as they are published, a tokenizer of single characters
python tests/architectures.py                # writes the table in docs/models.md
"""

from __future__ import annotations

import copy
import inspect
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny_models
import torch

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.stock import quiet
from bend_hf.errors import BendError

COMMON = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
"""What most configurations understand."""
GQA = {"num_key_value_heads": 2, "head_dim": 8}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40}
HALVES = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 4}
HALVES |= {"decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "decoder_start_token_id": 0}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
MOE = GQA | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}

OTHERWISE = {("funnel", "num_hidden_layers"), ("xlnet", "max_position_embeddings"), ("prophetnet", "num_hidden_layers")}
"""Common settings that a configuration refuses."""

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "bamba": GQA
    | {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 4, "mamba_n_groups": 1, "attn_layer_indices": [1]},
    "bart": HALVES,
    "bert": {},
    "bert-generation": {},
    "big_bird": {"block_size": 4, "num_random_blocks": 1, "max_position_embeddings": 64},
    "bigbird_pegasus": HALVES | {"block_size": 4, "num_random_blocks": 1, "attention_type": "original_full"},
    "biogpt": {},
    "bloom": {"n_layer": 2, "n_head": 4},
    "camembert": {"pad_token_id": 1},
    "canine": {
        "num_hash_buckets": 64,
        "downsampling_rate": 4,
        "local_transformer_stride": 8,
        "upsampling_kernel_size": 4,
    },
    "codegen": GPT | {"rotary_dim": 4},
    "cohere2": GQA | {"sliding_window": 16},
    "convbert": {"embedding_size": 32, "conv_kernel_size": 3},
    "ctrl": GPT | {"dff": 48},
    "data2vec-text": {"pad_token_id": 1},
    "deberta": {"pos_att_type": ["c2p", "p2c"], "relative_attention": True},
    "deberta-v2": {"pos_att_type": ["c2p", "p2c"], "relative_attention": True},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
    "electra": {"embedding_size": 16},
    "ernie": {},
    "esm": {"position_embedding_type": "rotary", "mask_token_id": 2, "emb_layer_norm_before": True},
    "eurobert": {},
    "falcon": {},
    "falcon_mamba": {"state_size": 4},
    "fnet": {},
    "funnel": {"block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48},
    "gemma": GQA,
    "gemma2": GQA,
    "gemma3_text": GQA,
    "glm": GQA,
    "gpt2": GPT,
    "gpt_bigcode": GPT,
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gpt_neox": {},
    "gpt_oss": GQA | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 16},
    "gptj": GPT | {"rotary_dim": 4},
    "granite": GQA,
    "granitemoe": GQA | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "helium": GQA,
    "ibert": {"pad_token_id": 1},
    "jamba": GQA | {"num_experts": 4, "mamba_d_state": 4, "use_mamba_kernels": False, "num_hidden_layers": 8},
    "led": HALVES | {"attention_window": 8, "max_encoder_position_embeddings": 40},
    "lfm2": GQA,
    "llama": GQA,
    "longformer": {"attention_window": 8, "pad_token_id": 1},
    "longt5": T5 | {"local_radius": 7},
    "luke": {"entity_vocab_size": 4, "entity_emb_size": 8, "pad_token_id": 1},
    "m2m_100": HALVES,
    "mamba": {"state_size": 4},
    "mamba2": {"num_heads": 4, "head_dim": 16, "state_size": 4, "n_groups": 1, "chunk_size": 8},
    "marian": HALVES,
    "mbart": HALVES,
    "megatron-bert": {},
    "mistral": GQA | {"sliding_window": 16},
    "mixtral": GQA | {"num_local_experts": 4},
    "mobilebert": {"embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32},
    "modernbert": {"local_attention": 8, "global_attn_every_n_layers": 2, "cls_token_id": 0, "sep_token_id": 0},
    "modernbert-decoder": {"local_attention": 8, "global_attn_every_n_layers": 2},
    "mpnet": {"pad_token_id": 1},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 40},
    "mra": {},
    "mt5": T5,
    "nanochat": GQA,
    "nemotron": GQA,
    "nomic_bert": {},
    "nystromformer": {},
    "olmo": GQA,
    "olmo2": GQA,
    "olmo3": GQA | {"sliding_window": 16},
    "olmoe": GQA | {"num_experts": 4, "num_experts_per_tok": 2},
    "openai-gpt": GPT,
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "pegasus": HALVES,
    "persimmon": {},
    "phi": {"num_key_value_heads": 4},
    "phi3": GQA,
    "plbart": HALVES,
    "prophetnet": {
        "num_encoder_layers": 2,
        "num_decoder_layers": 1,
        "num_encoder_attention_heads": 4,
        "num_decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
    },
    "qwen2": GQA,
    "qwen2_moe": MOE | {"shared_expert_intermediate_size": 16},
    "qwen3": GQA,
    "qwen3_moe": MOE,
    "recurrent_gemma": GQA | {"lru_width": 32, "attention_window_size": 16, "block_types": ["recurrent", "attention"]},
    "reformer": {
        "attn_layers": ["local", "lsh"],
        "attention_head_size": 8,
        "axial_pos_shape": [8, 8],
        "axial_pos_embds_dim": [16, 16],
        "feed_forward_size": 48,
        "max_position_embeddings": 64,
        "hash_seed": 0,
        "num_buckets": 4,
        "lsh_attn_chunk_length": 8,
        "local_attn_chunk_length": 8,
        "is_decoder": False,
    },
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "roberta": {"pad_token_id": 1},
    "roberta-prelayernorm": {"pad_token_id": 1},
    "roformer": {},
    "rwkv": {"attention_hidden_size": 32, "context_length": 40},
    "squeezebert": {"embedding_size": 32},
    "stablelm": GQA,
    "starcoder2": GQA,
    "switch_transformers": T5 | {"num_experts": 2},
    "t5": T5,
    "umt5": T5,
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "pad_index": 0, "eos_index": 0, "bos_index": 0},
    "xlm-roberta": {"pad_token_id": 1},
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "d_head": 8},
    "xlstm": {"num_heads": 4, "num_blocks": 2, "use_cache": False},
    "xmod": {"pad_token_id": 1, "default_language": "en_XX", "languages": ["en_XX"]},
    "yoso": {},
}


def build(kind: str, folder: Path) -> Path:
    """Write a random model of an architecture, with its head where it has one, and a tokenizer of characters."""
    import transformers
    from transformers.models.auto import modeling_auto as auto

    size = tiny_models.characters(folder)
    with quiet():
        config = transformers.CONFIG_MAPPING[kind](**{"vocab_size": size, **_understood(kind), **ARCHITECTURES[kind]})
        heads = (auto.MODEL_FOR_MASKED_LM_MAPPING, auto.MODEL_FOR_CAUSAL_LM_MAPPING, auto.MODEL_MAPPING)
        if config.is_encoder_decoder:
            heads = (auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, *heads)
        chosen = next(mapping[type(config)] for mapping in heads if type(config) in mapping)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model = (chosen[0] if isinstance(chosen, tuple) else chosen)(config)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim > 1:
                    weight.mul_(3.0)  # so that a wrong token or position shows in the vectors
        model.save_pretrained(folder)
    return folder


def _understood(kind: str) -> dict[str, Any]:
    """The common settings, where the configuration gives them no other meaning."""
    return {key: value for key, value in COMMON.items() if (kind, key) not in OTHERWISE}


@dataclass(frozen=True)
class Found:
    """What became of an architecture.

    Attributes:
        how: The class that read it, or the message that refused it.
        context: Most tokens at once.
        causal: Whether tokens see their left side only.
        padding_safe: Whether padding changes no vector.
        difference: Largest difference of a vector from AutoModel's, alone and in a batch of several lengths.
    """

    how: str
    context: int | None
    causal: bool
    padding_safe: bool
    difference: tuple[float, float]


def examine(folder: Path) -> Found:
    """Embed with an architecture at several lengths, the longest included, and compare with AutoModel.

    Raises:
        BendError: It is refused.
    """
    import transformers

    embedder = Embedder.from_pretrained(str(folder), dtype="float32", device="cpu")
    with quiet():
        whole = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    whole.requires_grad_(False)  # a product by weights that want gradients is folded, and rounds, otherwise
    reference = whole.get_encoder() if whole.config.is_encoder_decoder else whole
    # A cache for generation fails in models without attention.
    plain = {"use_cache": False} if "use_cache" in inspect.signature(reference.forward).parameters else {}
    longest = min(embedder.limits.content or 300, 300)
    sequences = [tiny_models.dna(size, size) for size in (7, 24, 33, longest, longest + 50)]
    together = list(embedder.embed(sequences))
    alone = [next(embedder.embed([sequence])) for sequence in sequences]
    differences = []
    for sequence, single in zip(sequences[:4], alone, strict=False):
        ids = torch.tensor([[*embedder.scheme.prefix, *embedder.scheme.encode([sequence])[0].ids]])
        with torch.inference_mode():  # a fresh copy: some models remember what came before
            expected = copy.deepcopy(reference)(input_ids=ids, **plain)[0][0]
        differences.append(float((single.vectors - expected).abs().max()))
    batched = max(float((a.vectors - b.vectors).abs().max()) for a, b in zip(together, alone, strict=True))
    return Found(
        embedder.loaded.architecture,
        embedder.limits.context,
        embedder.causal,
        embedder.measured.padding_safe,
        (max(differences), batched),
    )


BEGIN, END = "<!-- architectures -->", "<!-- /architectures -->"


def table() -> str:
    """Examine every architecture and return what was found as Markdown."""
    rows = ["| `model_type` | read by | sees | positions | padding | bits of AutoModel |", "|---|---|---|---|---|---|"]
    for kind in sorted(ARCHITECTURES):
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = examine(build(kind, Path(folder) / kind))
            except BendError as error:
                rows.append(f"| {kind} | refused: {str(error).replace(folder, '')} | | | | |")
                continue
        how = found.how.removesuffix(f", by model_type '{kind}'").replace("transformers' ", "")
        sees, padding = "left" if found.causal else "both", "safe" if found.padding_safe else "batches of one length"
        exact = "the same" if found.difference[0] == 0 else f"to {found.difference[0]:.0e}"
        rows.append(f"| {kind} | {how} | {sees} | {found.context:,} | {padding} | {exact} |")
    return "\n".join(rows)


if __name__ == "__main__":
    page = Path(__file__).parents[1] / "docs" / "models.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
