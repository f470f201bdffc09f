"""Models of published sizes with random weights, made where they run: nothing is written, loaded or downloaded.

    embedder = make("nt-v2-500m", torch.device("cuda"), folder)

Sizes are those of the published configurations: nucleotide-transformer-v2-500m-multi-species, DNABERT-2-117M,
hyenadna-medium-160k-seqlen, caduceus-ps_seqlen-131k_d_model-256_n_layer-16 and GENERator-eukaryote-1.2b-base.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.loading import Loaded
from bend_hf.embed.reading import read_scheme

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tiny_models

Size = dict[str, Any]


def _nt(folder: Path, tiny: bool) -> nn.Module:
    from bend_hf.models.nt_v2 import NTv2Config, NTv2Model

    tiny_models.kmers(folder, context=2048)
    size: Size = {"hidden_size": 1024, "num_hidden_layers": 29, "num_attention_heads": 16, "intermediate_size": 4096}
    small: Size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    settings = {"add_bias_fnn": False, "position_embedding_type": "rotary", "vocab_size": 4107}
    return NTv2Model(NTv2Config(**settings, **(small if tiny else size)))


def _dnabert2(folder: Path, tiny: bool) -> nn.Module:
    from bend_hf.models.mosaic_bert import MosaicBertConfig, MosaicBertModel

    tiny_models.byte_pairs(folder, size=4096)
    small: Size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    return MosaicBertModel(MosaicBertConfig(**(small if tiny else {})))  # its defaults are the published ones


def _hyena(folder: Path, tiny: bool) -> nn.Module:
    from bend_hf.models.hyena import HyenaDNAConfig, HyenaDNAModel

    tiny_models.characters(folder)
    size = {"d_model": 32, "n_layer": 2} if tiny else {"d_model": 256, "n_layer": 8}
    positions = 16_386 if tiny else 160_002
    config = HyenaDNAConfig(**size, d_inner=4 * size["d_model"], max_seq_len=positions, emb_dim=5, activation_freq=10)
    model = HyenaDNAModel(config)
    for name, buffer in model.named_buffers():  # a checkpoint holds them
        times = torch.linspace(0, 1, positions, device=buffer.device)
        if name.endswith(".t"):
            buffer.copy_(times[None, :, None])
        elif name.endswith(".z"):
            angles = 2 * math.pi * positions * times[:, None] / positions * torch.tensor([1e-4, 1.0]).to(times.device)
            buffer.copy_(torch.cat([times[:, None], angles.cos(), -angles.sin()], -1)[None])
        elif name.endswith(".deltas"):
            buffer.copy_(torch.linspace(3.07, 15.35, buffer.numel(), device=buffer.device)[None, None])
    return model


def _caduceus(folder: Path, tiny: bool) -> nn.Module:
    from bend_hf.models.caduceus import CaduceusConfig, CaduceusModel

    tiny_models.characters(folder)  # 3 to 6 are ACGT
    size = {"d_model": 32, "n_layer": 2} if tiny else {"d_model": 256, "n_layer": 16}
    complements = {3: 6, 4: 5, 5: 4, 6: 3} | {i: i for i in (0, 1, 2, 7)}
    model = CaduceusModel(CaduceusConfig(**size, vocab_size=8, rcps=True, complement_map=complements))
    for name, weight in model.named_parameters():
        if name.endswith("A_log"):
            weight.data.copy_(torch.arange(1.0, weight.shape[1] + 1, device=weight.device).log().expand_as(weight))
        elif name.endswith("dt_proj.bias"):
            weight.data.uniform_(-6.9, -2.3)  # steps from 0.001 to 0.1 behind the softplus
    return model


def _llama(folder: Path, tiny: bool) -> nn.Module:
    from transformers import LlamaConfig, LlamaModel

    tiny_models.kmers(folder, context=16_384)
    size: Size = {"hidden_size": 2048, "num_hidden_layers": 26, "num_attention_heads": 32, "intermediate_size": 5632}
    small: Size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    config = LlamaConfig(
        vocab_size=4128, num_key_value_heads=4, max_position_embeddings=16_384, **(small if tiny else size)
    )
    return LlamaModel(config)


MODELS: dict[str, Callable[[Path, bool], nn.Module]] = {
    "nt-v2-500m": _nt,
    "dnabert-2-117m": _dnabert2,
    "hyenadna-160k": _hyena,
    "caduceus-ps-131k": _caduceus,
    "llama-1.2b": _llama,
}


def make(name: str, device: torch.device, folder: Path, tiny: bool = False, **options: Any) -> Embedder:
    """Make a model on a device, as an embedder that has taken it from a checkpoint would hold it.

    Args:
        name: Of `MODELS`.
        device: Where it is made and runs.
        folder: For its tokenizer's files.
        tiny: Two narrow layers instead of the published size.
        **options: Of `Embedder`.
    """
    from transformers import AutoTokenizer

    where = folder / name
    where.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.device(device):
        torch.manual_seed(0)
        model = MODELS[name](where, tiny).eval()
    tokenizer = AutoTokenizer.from_pretrained(where)
    tokenizer.model_max_length = 10**30  # windows are cut by the embedder
    scheme = read_scheme(tokenizer, name)
    config = model.config.to_dict()
    loaded = Loaded(name, model, scheme, config, {}, type(model).__name__, (), {"weights": "random"})
    return Embedder(loaded, name=name, device=device, **options)
