"""Loading that cannot lie: what does not fit is an error that names it."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny_models
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.loading import load, refuse_quantised
from bend_hf.embed.measure import measure
from bend_hf.embed.network import Network
from bend_hf.embed.tokens import character_scheme
from bend_hf.errors import BendError


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return tiny_models.esm(tmp_path_factory.mktemp("esm"))


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "model")


def edit(folder, change):
    path = folder / "model.safetensors"
    state = load_file(path)
    change(state)
    save_file({key: value.contiguous() for key, value in state.items()}, path, metadata={"format": "pt"})


def test_loads(folder):
    loaded = load(str(folder))
    assert "EsmModel" in loaded.architecture
    assert set(loaded.identity) == {"files", "class", "tokens"}
    state = load_file(folder / "model.safetensors")
    own = loaded.model.state_dict()
    same = {key: value for key, value in state.items() if key in own}  # LayerNorm is published as gamma and beta
    assert len(same) > 20
    assert all(torch.equal(own[key], value) for key, value in same.items())


def test_a_loaded_model_does_not_depend_on_its_file(folder):
    loaded = load(str(folder))
    before = {key: value.clone() for key, value in loaded.model.state_dict().items()}
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(2000)
        file.write(bytes(2000))
    assert all(torch.equal(value, before[key]) for key, value in loaded.model.state_dict().items())


def test_missing_tensor(folder):
    key = "encoder.layer.1.attention.self.query.weight"
    edit(folder, lambda state: state.pop(key))
    with pytest.raises(BendError, match=f"1 missing from the checkpoint: {key}"):
        load(str(folder))


def test_extra_tensor(folder):
    edit(folder, lambda state: state.update({"encoder.layer.0.gate.weight": torch.zeros(3)}))
    with pytest.raises(BendError, match=r"unknown to the model: encoder\.layer\.0\.gate\.weight"):
        load(str(folder))


def test_wrong_shape(folder):
    key = "encoder.layer.0.intermediate.dense.weight"
    edit(folder, lambda state: state.update({key: torch.zeros(64, 32)}))
    with pytest.raises(BendError, match=rf"{key} \(\(64, 32\) in the checkpoint, \(128, 32\) in the model\)"):
        load(str(folder))


def test_heads_and_poolers_may_be_missing_or_extra(folder, original):
    def change(state):
        state.update({"lm_head.bias": torch.zeros(7)})
        for key in [key for key in state if key.startswith("pooler")]:
            del state[key]

    edit(folder, change)
    ignored = load(str(folder)).ignored
    assert "lm_head.bias" in ignored
    assert "pooler.dense.weight" in ignored
    one, other = (Embedder.from_pretrained(str(f), dtype="float32", device="cpu") for f in (folder, original))
    assert torch.equal(next(one.embed(["ACGTAC"])).vectors, next(other.embed(["ACGTAC"])).vectors)


def test_not_finite_weights(folder):
    key = "encoder.layer.0.output.dense.bias"
    edit(folder, lambda state: state[key].fill_(float("nan")))
    with pytest.raises(BendError, match=f"not finite in the checkpoint: {key}"):
        load(str(folder))


@pytest.mark.parametrize("size", [4, 1000, 100_000])
def test_truncated_safetensors(folder, size):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BendError, match=rf"model.safetensors \({size:,} bytes\) is truncated or damaged"):
        load(str(folder))


def test_pickle_with_code_is_not_run(folder):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was executed",))

    (folder / "model.safetensors").unlink()
    torch.save({"x": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(BendError, match=r"Python objects \(_pytest\.outcomes\._Fail\), which are never executed"):
        load(str(folder))


def test_pickle_of_tensors(folder, original):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    own = load(str(folder)).model.state_dict()
    assert all(torch.equal(own[key], value) for key, value in load(str(original)).model.state_dict().items())


def test_tokenizer_of_another_model(folder):
    vocabulary = folder / "vocab.txt"
    words = vocabulary.read_text().split()
    vocabulary.write_text("\n".join([*words[:4], *(f"word{i}" for i in range(500)), *words[4:]]))
    with pytest.raises(BendError, match="tokenizer gives ids up to 4604, but its embedding matrix has 4107 rows"):
        load(str(folder))


def test_missing_folder_and_files(folder, tmp_path):
    with pytest.raises(BendError, match="There is no model folder"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(BendError, match=r"config\.json"):
        load(str(tmp_path))
    (folder / "model.safetensors").unlink()
    with pytest.raises(BendError, match="holds no weights"):
        load(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(BendError, match="is not JSON"):
        load(str(folder))


def test_unknown_hub_id():
    with pytest.raises(BendError, match="nobody/nothing"):
        load("nobody/nothing")


def test_unknown_architecture(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "evo3"}))
    with pytest.raises(BendError, match="model_type 'evo3', which neither bend_hf nor transformers"):
        load(str(folder))


# Code that comes with a checkpoint.

CODE = """
import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.configuration_utils import PretrainedConfig
from transformers.pytorch_utils import find_pruneable_heads_and_indices, prune_linear_layer


class OldConfig(PretrainedConfig):
    model_type = "old-dna"

    def __init__(self, width=8, vocab_size=4107, **kwargs):
        self.width, self.vocab_size = width, vocab_size
        super().__init__(**kwargs)


class OldModel(PreTrainedModel):
    config_class = OldConfig
    _tied_weights_keys = ["decoder.weight"]

    def __init__(self, config):
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.mixing = nn.Linear(config.width, config.width)
        self.scale = torch.arange(1.0, config.width + 1)
        self.post_init()

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, input_ids, attention_mask=None):
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        bias = self.get_extended_attention_mask(mask, input_ids.shape)
        assert self.config.is_decoder is False and self.config.chunk_size_feed_forward == 0
        assert self.get_head_mask(None, 2) == [None, None]
        x = self.embedding(input_ids)
        weights = (x @ x.transpose(1, 2) + bias[:, 0]).softmax(-1)
        return (self.mixing(weights @ x) * self.scale,)
"""


@pytest.fixture
def remote(folder):
    (folder / "modeling_old.py").write_text(CODE)
    config = {
        "model_type": "old-dna",
        "width": 8,
        "auto_map": {"AutoConfig": "modeling_old.OldConfig", "AutoModel": "modeling_old.OldModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(0)
    state = {
        "embedding.weight": torch.randn(4107, 8, generator=generator),
        "mixing.weight": torch.randn(8, 8, generator=generator),
        "mixing.bias": torch.randn(8, generator=generator),
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_code_of_a_checkpoint_needs_trust(remote):
    with pytest.raises(BendError, match=r"needs Python code .*modeling_old\.OldModel.*trust_remote_code=True"):
        load(str(remote))


def test_trusted_code_runs_with_the_names_it_knew(remote):
    embedder = Embedder.from_pretrained(str(remote), trust_remote_code=True, dtype="float32", device="cpu")
    assert "own code" in embedder.loaded.architecture
    assert embedder.measured.padding_safe
    state = load_file(remote / "model.safetensors")
    assert all(torch.equal(embedder.loaded.model.state_dict()[key], value) for key, value in state.items())
    ids = torch.tensor([3, *embedder.scheme.encode(["ACGTACGT"])[0].ids])
    x = state["embedding.weight"][ids]
    hidden = ((x @ x.T).softmax(-1) @ x) @ state["mixing.weight"].T + state["mixing.bias"]
    expected = hidden * torch.arange(1.0, 9.0)
    assert torch.allclose(next(embedder.embed(["ACGTACGT"])).vectors, expected[1:], atol=1e-4)


def test_trusted_code_is_compared_too(remote):
    edit(remote, lambda state: state.pop("mixing.bias"))
    with pytest.raises(BendError, match=r"missing from the checkpoint: mixing\.bias"):
        load(str(remote), trust_remote_code=True)


def test_trusted_code_that_fails(remote):
    (remote / "modeling_old.py").write_text(CODE.replace("self.post_init()", "self.removed_method()"))
    with pytest.raises(BendError, match=r"does not run under this version of transformers .*removed_method"):
        load(str(remote), trust_remote_code=True)


def test_code_that_only_generates_is_not_needed(tmp_path):
    """GENERator is transformers' Llama, whatever its own class adds for generating."""
    from transformers import LlamaModel

    folder = tiny_models.generator(tmp_path)
    embedder = Embedder.from_pretrained(str(folder), dtype="float32", device="cpu")
    assert "transformers' LlamaModel" in embedder.loaded.architecture
    assert embedder.causal
    sequences = [tiny_models.dna(n, n) for n in (90, 33, 600)]
    model = LlamaModel.from_pretrained(folder, trust_remote_code=False).eval()
    for sequence, tokens in zip(sequences, embedder.embed(sequences), strict=True):
        ids = torch.tensor([[1, *embedder.scheme.encode([sequence])[0].ids]])
        assert torch.allclose(tokens.vectors, model(ids).last_hidden_state[0, 1:], atol=1e-5)


DNABERT_CODE = {
    "AutoConfig": "configuration_bert.BertConfig",
    "AutoModel": "dnabert_layer.BertModel",
    "AutoModelForMaskedLM": "zhihan1996/DNA_bert_6--dnabert_layer.BertForMaskedLM",
    "AutoModelForSequenceClassification": "dnabert_layer.DNABertForSequenceClassification",
}


@pytest.mark.parametrize("keys", [DNABERT_CODE, ["AutoConfig", "AutoModelForSequenceClassification"], ["AutoModel"]])
def test_code_that_only_classifies_is_not_needed(tmp_path, keys):
    """The DNABERT of the Hub names code of its own, but is transformers' BERT."""
    folder = tiny_models.dnabert(tmp_path)
    plain = load(str(folder))
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {key: DNABERT_CODE[key] for key in keys}
    (folder / "config.json").write_text(json.dumps(config))
    for trusted in (False, True):
        loaded = load(str(folder), trust_remote_code=trusted)
        assert "transformers' BertModel" in loaded.architecture
        assert all(torch.equal(a, b) for a, b in zip(loaded.model.parameters(), plain.model.parameters(), strict=True))


@pytest.mark.parametrize(
    "change",
    [
        {"auto_map": {"AutoModel": "modeling_other.Model"}},
        {"auto_map": {"AutoModel": "modeling_other.Model", "AutoModelForCausalLM": "modeling_generator.Model"}},
        {"auto_map": {"AutoConfig": "modeling_generator.Config"}},
        {"auto_map": {"AutoModel": "modeling_generator.Model"}, "model_type": "gpt2"},
        {"auto_map": {"AutoModel": "dnabert_layer.Model"}},
    ],
)
def test_other_code_is_needed(tmp_path, change):
    folder = tiny_models.generator(tmp_path, k=3)
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BendError, match="needs Python code that comes with it"):
        load(str(folder))


@pytest.mark.parametrize("make", [tiny_models.grover, tiny_models.moderngena])
def test_published_oddities(tmp_path, make):
    """A tokenizer with more tokens than rows, or fewer: vectors are those of each sequence alone."""
    embedder = Embedder.from_pretrained(str(make(tmp_path)), dtype="float32", device="cpu")
    assert embedder.measured.padding_safe
    sequences = [tiny_models.dna(40, 1), "ACGTNNACGT" + "N" * 12 + "ACG", tiny_models.dna(700, 2)]
    for sequence, tokens in zip(sequences, embedder.embed(sequences), strict=True):
        assert tokens.lengths.sum() == len(sequence)
        assert torch.allclose(tokens.vectors, next(embedder.embed([sequence])).vectors, atol=1e-5)


# What a model gives.


class Headed(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.embedding = nn.Embedding(16, 4)
        self.output = output

    def forward(self, input_ids):
        return self.output(self.embedding(input_ids))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda x: {"logits": x}, "gives no hidden states"),
        (lambda x: (x.mean(1),), "want one vector per token"),
        (lambda x: x * float("nan"), "NaN or infinite vectors in float32"),
    ],
)
def test_outputs_that_are_no_hidden_states(output, message):
    with pytest.raises(BendError, match=message):
        measure(Network(Headed(output), "mine", torch.device("cpu")), character_scheme())


@pytest.mark.parametrize("output", [lambda x: x, lambda x: (x, None), lambda x: (x, (x,))])
def test_places_of_hidden_states(output):
    assert measure(Network(Headed(output), "mine", torch.device("cpu")), character_scheme()).dim == 4


def test_of_several_layers_all_channels_are_measured(original):
    """Side by side, as they are given."""
    loaded = load(str(original))
    network = Network(loaded.model, "esm", torch.device("cpu"), layer=(1, 2))
    found = measure(network, loaded.scheme)
    one, two = (
        measure(Network(loaded.model, "esm", torch.device("cpu"), layer=layer), loaded.scheme) for layer in (1, 2)
    )
    assert (one.dim, two.dim, found.dim) == (32, 32, 64)
    assert found.deviations[0] == min(one.deviations[0], two.deviations[0])
    assert found.deviations[2] == max(one.deviations[2], two.deviations[2])
    assert found.scale == pytest.approx(((one.scale**2 + two.scale**2) / 2) ** 0.5, rel=1e-3)


def test_fused_gelu_is_the_same_function(original):
    from transformers import EsmModel

    fused = load(str(original)).model
    plain = EsmModel.from_pretrained(original).eval()
    ids = torch.randint(4, 4000, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(fused(ids).last_hidden_state, plain(ids).last_hidden_state, atol=1e-5)
    layer = fused.encoder.layer[0].intermediate
    assert layer.forward.func.__name__ == "_dense_gelu"


def test_a_folder_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    """Its digest would be that of other weights than were loaded."""
    from bend_hf.embed import loading

    folder = tiny_models.esm(tmp_path / "model")
    other = tiny_models.esm(tmp_path / "other", seed=1)
    made = loading._load_model

    def slow(*arguments):
        found = made(*arguments)
        shutil.copy(other / "model.safetensors", folder)
        return found

    monkeypatch.setattr(loading, "_load_model", slow)
    with pytest.raises(BendError, match="was changed while it was read"):
        load(str(folder))


@pytest.mark.parametrize("file", ["model.safetensors", "vocab.txt"])
def test_a_folder_that_changed_since_gives_no_head(tmp_path, file):
    """The likelihoods of variants would be another model's than their distances."""
    from bend_hf.zero_shot.likelihood import language_model

    folder = tiny_models.esm(tmp_path / "model", lm=True)
    embedder = Embedder.from_pretrained(str(folder), dtype="float32", device="cpu")
    assert language_model(embedder) is not None
    if file == "vocab.txt":
        (folder / file).write_text((folder / file).read_text() + "\n<x>")
    else:
        shutil.copy(tiny_models.esm(tmp_path / "other", seed=1, lm=True) / file, folder)
    with pytest.raises(BendError, match="was changed after it was loaded"):
        language_model(embedder)


@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        ("dense.weight", torch.zeros(2, 2), None),
        ("dense.weight", torch.zeros(2, 2, dtype=torch.bfloat16), None),
        ("dense.weight", torch.zeros(2, 2, dtype=torch.int8), "int8"),
        ("dense.weight", torch.zeros(2, 2).to(torch.float8_e4m3fn), "float8_e4m3fn"),
        ("dense.qweight", torch.zeros(2, 2, dtype=torch.int32), "int32"),
        ("dense.weight_packed", torch.zeros(2, 2, dtype=torch.uint8), "uint8"),
        ("loss.weight", torch.tensor([1, 2, 3]), None),  # a whole number of each class
        ("embeddings.position_ids", torch.zeros(1, 5, dtype=torch.int64), None),
    ],
)
def test_weights_that_are_no_numbers_by_themselves_are_refused(key, value, refused):
    weights = [("first.bias", torch.zeros(2)), (key, value)]
    if refused is None:
        refuse_quantised("org/model", weights)
        return
    with pytest.raises(BendError, match=f"'org/model' holds {key} in {refused}: .*Dequantise them there"):
        refuse_quantised("org/model", weights)
