"""What a checkpoint must hold, asked of the classes that own its tensors; and lengths that a forward takes."""

from __future__ import annotations

import json
from pathlib import Path

import architectures
import pytest
import tiny_models
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from bend_hf.embed.limits import limits
from bend_hf.embed.loading import load
from bend_hf.embed.network import Network
from bend_hf.embed.places import digest_of_files
from bend_hf.embed.tokens import character_scheme
from bend_hf.errors import BendError


def change(folder: Path, edit) -> None:
    path = folder / "model.safetensors"
    state = load_file(path)
    edit(state)
    path.unlink()
    save_file({key: value.contiguous() for key, value in state.items()}, path, metadata={"format": "pt"})


def without(part):
    def edit(state):
        gone = [key for key in state if part in key]
        assert gone
        for key in gone:
            del state[key]

    return edit


@pytest.mark.parametrize(
    ("kind", "part"),
    [("opt", "decoder.layers.1."), ("mixtral", "layers.1.block_sparse_moe.experts.3.w2"), ("t5", "encoder.block.1.")],
)
def test_a_trunk_that_lacks_a_layer_is_refused(kind, part, tmp_path):
    folder = architectures.build(kind, tmp_path)
    change(folder, without(part))
    with pytest.raises(BendError, match=r"does not fit|cannot be loaded"):
        load(str(folder))


def test_a_decoder_that_no_vector_depends_on_may_be_missing(tmp_path):
    folder = architectures.build("t5", tmp_path)
    whole = load(str(folder)).model.state_dict()
    change(folder, without("decoder."))
    found = load(str(folder))
    assert all(torch.equal(value, whole[key]) for key, value in found.model.state_dict().items())
    assert found.architecture.startswith("the encoder of")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "net.core."])
def test_a_wrappers_prefix_is_taken_off(prefix, tmp_path):
    folder = tiny_models.dnabert(tmp_path, k=3, lm=True)
    plain = load(str(folder)).model.state_dict()

    def wrap(state):
        for key in list(state):
            state[prefix + key] = state.pop(key)

    change(folder, wrap)
    found = load(str(folder)).model.state_dict()
    assert all(torch.equal(value, plain[key]) for key, value in found.items() if not key.startswith("pooler."))


def test_a_lightning_checkpoint_beside_a_configuration(tmp_path):
    folder = tiny_models.dnabert(tmp_path, k=3)
    plain = load(str(folder)).model.state_dict()
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({"state_dict": {f"model.{key}": value for key, value in state.items()}}, folder / "epoch=3.ckpt")
    assert all(torch.equal(value, plain[key]) for key, value in load(str(folder)).model.state_dict().items())


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "sub/model.safetensors"])
def test_an_index_names_files_beside_it_only(name, tmp_path):
    folder = tiny_models.dnabert(tmp_path, k=3)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(BendError, match="do not lie beside it"):
        load(str(folder))


def test_quantised_weights_and_gguf_are_refused(tmp_path):
    folder = tiny_models.dnabert(tmp_path / "int8", k=3)
    change(folder, lambda state: state.update({"pooler.dense.weight": torch.ones(32, 32, dtype=torch.int8)}))
    with pytest.raises(BendError, match=r"holds pooler\.dense\.weight in int8"):
        load(str(folder))
    for method, library in (("fp8", " on a GPU"), ("bitsandbytes", " and bitsandbytes"), ("unheard-of", "")):
        config = json.loads((folder / "config.json").read_text()) | {"quantization_config": {"quant_method": method}}
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(BendError, match=rf"quantised by '{method}' .* with transformers{library}, call model\.deq"):
            load(str(folder))
    with pytest.raises(BendError, match="is a GGUF file"):
        load("model.gguf")


def test_identity_covers_code_and_side_files(tmp_path):
    folder = tiny_models.dnabert(tmp_path, k=3)
    seen = [digest_of_files(str(folder), None)]
    for name in ("modeling.py", "merges.txt", "added_tokens.json", "tokenizer.model"):
        (folder / name).write_text("{}")
        seen.append(digest_of_files(str(folder), None))
    (folder / "trainer_state.json").write_text("{}")
    assert digest_of_files(str(folder), None) == seen[-1]
    assert len({found["files"] for found in seen}) == len(seen) == 5


def test_a_training_step_takes_the_tokenizer_above_it(tmp_path, caplog):
    folder = tiny_models.dnabert(tmp_path / "run", k=3)
    step = folder / "checkpoint-500"
    step.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).rename(step / name)
    loaded = load(str(step))
    assert loaded.scheme.k == 3
    assert "that of the folder above it" in caplog.text
    assert "tokenizer" in loaded.identity


def test_a_tokenizer_of_shorter_kmers_is_refused(tmp_path):
    folder = tiny_models.dnabert(tmp_path / "six", k=6)
    tiny_models.dnabert(tmp_path / "three", k=3)
    (tmp_path / "three" / "vocab.txt").replace(folder / "vocab.txt")
    with pytest.raises(BendError, match="reads 3-mers, but its embedding matrix has 4101 rows, as many as 6-mers need"):
        load(str(folder))


class Halving(nn.Module):
    """Adds neighbours in blocks of 8: only lengths that divide by 8 can be cut so."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(16, 4)

    def forward(self, input_ids, token_type_ids):
        x = self.embedding(input_ids) + token_type_ids[..., None]
        return x.view(len(x), -1, 8, 4).cumsum(2).view(x.shape)


class OneHot(nn.Module):
    def forward(self, x):
        return x


def test_lengths_of_a_multiple_are_padded_to():
    network = Network(Halving(), "halving", torch.device("cpu"))
    found = limits(network, {"max_position_embeddings": 100}, character_scheme())
    assert (network.multiple, found.context) == (8, 96)
    ids = torch.randint(7, 11, (1, 21))
    expected = network.model.embedding(ids)[0]
    blocks = [expected[i : i + 8].cumsum(0) for i in range(0, 21, 8)]
    assert torch.allclose(network(ids)[0], torch.cat(blocks), atol=1e-5)


def test_one_hot_input_is_refused():
    with pytest.raises(BendError, match=r"mine takes no ids of tokens: its forward takes x .*Wrap it as a callable"):
        Network(OneHot(), "mine", torch.device("cpu"))


class Switching(nn.Module):
    """A word of one of its parts is another once an input was short."""

    def __init__(self):
        super().__init__()
        self.embedding, self.part = nn.Embedding(16, 32), nn.Identity()
        self.part.kind = "sparse"

    def forward(self, input_ids):
        self.part.kind = "full"
        return self.embedding(input_ids)


def test_a_word_that_an_input_changes_for_good_is_refused():
    network = Network(Switching(), "switching", torch.device("cpu"))
    with pytest.raises(BendError, match=r"switching: an input changes its part\.kind for good"):
        limits(network, {"max_position_embeddings": 100}, character_scheme())


def test_a_word_that_is_set_anew_by_every_input_is_not():
    model = Switching()
    model.part.register_forward_pre_hook(lambda part, given: None)
    network = Network(model, "switching", torch.device("cpu"))
    assert limits(network, {"max_position_embeddings": 100}, character_scheme()).context == 100


def test_positions_end_with_their_table():
    with pytest.raises(BendError, match=r"has 38 positions: context=40 \(--context\) exceeds them"):
        _mpnet(40)


def _mpnet(context):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        loaded = load(str(architectures.build("mpnet", Path(folder) / "mpnet")))
    return limits(Network(loaded.model, "mpnet", torch.device("cpu")), loaded.config, loaded.scheme, context)
