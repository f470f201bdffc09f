"""Imports and calls of published checkpoints' own code (ESM, BERT, ConvNet of 2022 to 2024), under today's names."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from bend_hf.embed.remote import load_remote
from bend_hf.errors import BendError
from bend_hf.models.checkpoint import read_state_dict
from bend_hf.models.proof import compare

CODE = """
import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.file_utils import (
    ModelOutput, add_code_sample_docstrings, add_start_docstrings, add_start_docstrings_to_model_forward,
    replace_return_docstrings,
)
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions, MaskedLMOutput
from transformers.modeling_utils import (
    PreTrainedModel, apply_chunking_to_forward, find_pruneable_heads_and_indices, prune_linear_layer,
)
from transformers.models.bert.configuration_bert import BertConfig
from transformers.utils import is_torch_fx_available, logging


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.chunk_size_feed_forward = config.chunk_size_feed_forward
        self.is_decoder = config.is_decoder
        assert not config.add_cross_attention
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = ACT2FN[config.hidden_act]

    def prune_heads(self, heads):
        heads, index = find_pruneable_heads_and_indices(heads, 2, 4, set())
        return prune_linear_layer(self.dense, index)

    def forward(self, x):
        return apply_chunking_to_forward(lambda y: self.act(self.dense(y)), self.chunk_size_feed_forward, 1, x)


class OldBert(PreTrainedModel):
    config_class = BertConfig
    base_model_prefix = "bert"
    _keys_to_ignore_on_load_missing = [r"position_ids"]
    _tied_weights_keys = ["cls.decoder.weight"]

    def __init__(self, config, add_pooling_layer=True):
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.layer = nn.ModuleList([Layer(config) for _ in range(config.num_hidden_layers)])
        self.decay = torch.linspace(0, 1, config.hidden_size)
        self.init_weights()

    def forward(self, input_ids, attention_mask=None, head_mask=None, return_dict=None):
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        bias = self.get_extended_attention_mask(mask, input_ids.shape)
        assert self.get_head_mask(head_mask, len(self.layer)) == [None] * len(self.layer)
        assert self.invert_attention_mask(mask).shape == bias.shape == (len(mask), 1, 1, mask.shape[1])
        x = self.embeddings(input_ids) * self.decay
        for layer in self.layer:
            x = layer(x)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=x)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "modeling_bert.py").write_text(CODE)
    config = {
        "model_type": "bert",
        "auto_map": {"AutoModel": "modeling_bert.OldBert"},
        "hidden_size": 8,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "vocab_size": 16,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(0)
    state = {"bert.embeddings.weight": torch.randn(16, 8, generator=generator)}
    for layer in range(2):
        state[f"bert.layer.{layer}.dense.weight"] = torch.randn(8, 8, generator=generator)
        state[f"bert.layer.{layer}.dense.bias"] = torch.randn(8, generator=generator)
    save_file(state, tmp_path / "model.safetensors")
    return tmp_path


def test_old_code_computes_what_it_did(folder):
    config, state = json.loads((folder / "config.json").read_text()), read_state_dict(folder)
    model = load_remote(str(folder), None, config, state, False).eval()
    assert compare(model, state) == []
    ids = torch.tensor([[5, 7, 9]])
    expected = state["bert.embeddings.weight"][ids] * torch.linspace(0, 1, 8)
    for layer in range(2):
        weight, bias = (state[f"bert.layer.{layer}.dense.{part}"] for part in ("weight", "bias"))
        expected = torch.nn.functional.gelu(expected @ weight.T + bias)
    assert torch.allclose(model(ids).last_hidden_state, expected, atol=1e-5)
    kept = model.layer[0].prune_heads({0})
    assert torch.equal(kept.weight, state["bert.layer.0.dense.weight"][4:])


def test_no_name_stays_in_transformers(folder):
    from transformers import PreTrainedModel, modeling_utils, pytorch_utils

    before = PreTrainedModel.post_init, PreTrainedModel.init_weights
    config = json.loads((folder / "config.json").read_text())
    load_remote(str(folder), None, config, read_state_dict(folder), False)
    assert (PreTrainedModel.post_init, PreTrainedModel.init_weights) == before
    assert not hasattr(modeling_utils, "find_pruneable_heads_and_indices")
    assert not hasattr(pytorch_utils, "find_pruneable_heads_and_indices")


@pytest.mark.parametrize(
    ("named", "lm_head"),
    [("AutoModelForMaskedLM", False), ("AutoModelForCausalLM", False), ("AutoModelForMaskedLM", True)],
)
def test_code_with_a_head_alone_gives_the_model(folder, named, lm_head):
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {named: "modeling_bert.OldBert"}
    state = read_state_dict(folder)
    assert compare(load_remote(str(folder), None, config, state, lm_head), state) == []


def test_code_that_names_no_model_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoTokenizer": "modeling_bert.OldBert"}
    with pytest.raises(BendError, match=r"auto_map has no model \(AutoTokenizer\)"):
        load_remote(str(folder), None, config, read_state_dict(folder), False)
