"""Weights that bitsandbytes and torchao quantised: refused with a remedy that is then followed."""

from __future__ import annotations

import shutil

import pytest
import tiny_models
import torch
import transformers
from torch import nn

from bend_hf.embed.embedder import Embedder
from bend_hf.errors import BendError


def _int8(weight):
    return nn.Parameter(weight.to(torch.int8), requires_grad=False)


def _float8(weight):
    return nn.Parameter(weight.to(torch.float8_e4m3fn), requires_grad=False)


@pytest.mark.parametrize(("packed", "kind"), [(_int8, "int8"), (_float8, "float8_e4m3fn")])
def test_in_memory_they_are_refused(packed, kind, tmp_path):
    folder = tiny_models.bert_of_characters(tmp_path)
    model = transformers.AutoModel.from_pretrained(folder)
    dense = model.encoder.layer[0].output.dense
    dense.weight = packed(dense.weight)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with pytest.raises(BendError, match=rf"output\.dense\.weight in {kind}: .* \(model\.dequantize\(\)"):
        Embedder.from_model(model, tokenizer)


def _four_bits(folder):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    settings = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32)
    return transformers.AutoModel.from_pretrained(folder, quantization_config=settings, dtype=torch.float32)


def _eight_bits(folder):
    quantization = pytest.importorskip("torchao.quantization", reason="torchao is not installed")
    settings = transformers.TorchAoConfig(quantization.Int8WeightOnlyConfig())
    return transformers.AutoModel.from_pretrained(folder, quantization_config=settings, dtype=torch.float32)


def _by_the_model(model):
    return model.dequantize()


def _by_the_weights(model):
    for part in model.modules():
        weight = getattr(part, "weight", None)
        if hasattr(weight, "dequantize") and type(weight) is not nn.Parameter:
            part.weight = nn.Parameter(weight.dequantize(), requires_grad=False)
    return model


@pytest.mark.parametrize(
    ("quantise", "library", "dequantise", "most"),
    [
        (_four_bits, "bitsandbytes, call model", _by_the_model, 0.1),  # some CPUs compute it in bfloat16
        (_eight_bits, "torchao, put weight", _by_the_weights, 1e-5),
    ],
)
def test_what_is_advised_gives_the_vectors_of_the_library(quantise, library, dequantise, most, tmp_path):
    folder = tiny_models.llama(tmp_path / "whole", width=64)
    model = quantise(folder).eval()
    packed = tmp_path / "packed"
    model.save_pretrained(packed)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, packed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with pytest.raises(BendError, match=rf"with transformers and {library}.*dequantize\(\)"):
        Embedder.from_pretrained(str(packed))
    with pytest.raises(BendError, match="need the scales of the library that made them"):
        Embedder.from_model(model, tokenizer)
    sequence = tiny_models.dna(90)
    with torch.inference_mode():
        expected = model(**tokenizer(sequence, return_tensors="pt")).last_hidden_state[0]
        exact = transformers.AutoModel.from_pretrained(folder)(**tokenizer(sequence, return_tensors="pt"))[0][0]
    plain = dequantise(quantise(folder))
    embedder = Embedder.from_model(plain, tokenizer, dtype="float32", device="cpu")
    [tokens] = embedder.embed([sequence])
    assert (tokens.vectors - expected).abs().max() <= most < (exact - expected).abs().max()
