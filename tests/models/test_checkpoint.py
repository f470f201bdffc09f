from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bend_hf.errors import BendError
from bend_hf.models.checkpoint import read_state_dict
from bend_hf.models.proof import compare


class Tiny(nn.Module):
    base_model_prefix = "model"

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(3, 4)
        self.LayerNorm = nn.LayerNorm(4)


@pytest.fixture
def model():
    return Tiny()


def copies(model):
    return {key: value.detach().clone() for key, value in model.state_dict().items()}


def test_safetensors_bin_and_shards_read_alike(tmp_path, model):
    state = copies(model)
    for kind in ("safetensors", "bin", "shards", "ckpt"):
        folder = tmp_path / kind
        folder.mkdir()
        if kind == "safetensors":
            save_file(state, folder / "model.safetensors")
        elif kind == "bin":
            torch.save(state, folder / "pytorch_model.bin")
        elif kind == "ckpt":
            torch.save({"state_dict": state, "epoch": 3}, folder / "weights.ckpt")
        else:
            keys = sorted(state)
            parts = {"a.safetensors": keys[:2], "b.safetensors": keys[2:]}
            for name, part in parts.items():
                save_file({key: state[key] for key in part}, folder / name)
            weight_map = {key: name for name, part in parts.items() for key in part}
            (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        read = read_state_dict(folder)
        assert read.keys() == state.keys()
        assert all(torch.equal(read[key], state[key]) for key in state)


def test_damaged_files_are_named(tmp_path, model):
    with pytest.raises(BendError, match="holds no weights"):
        read_state_dict(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file(copies(model), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(BendError, match=r"model\.safetensors .* truncated or damaged"):
        read_state_dict(tmp_path)
    path.unlink()
    pickle = tmp_path / "pytorch_model.bin"
    torch.save(copies(model), pickle)
    pickle.write_bytes(pickle.read_bytes()[:100])
    with pytest.raises(BendError, match=r"pytorch_model\.bin"):
        read_state_dict(tmp_path)
    pickle.write_bytes(b"<html>Not found</html>")
    with pytest.raises(BendError, match=r"pytorch_model\.bin"):
        read_state_dict(tmp_path)
    pickle.unlink()
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"inner.weight": "gone.safetensors"}}')
    with pytest.raises(BendError, match=r"gone\.safetensors"):
        read_state_dict(tmp_path)


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def test_pickles_with_objects_are_never_executed(tmp_path, capsys):
    torch.save({"weight": torch.zeros(2), "other": Harmful()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(BendError, match="never executed"):
        read_state_dict(tmp_path)
    assert "executed" not in capsys.readouterr().out


def test_equal_tensors_pass_with_prefixes_old_names_and_heads(model):
    state = {f"model.{key}": value for key, value in copies(model).items()}
    state["model.LayerNorm.gamma"] = state.pop("model.LayerNorm.weight")
    state["model.LayerNorm.beta"] = state.pop("model.LayerNorm.bias")
    state["cls.decoder.weight"] = torch.zeros(2, 2)
    state["model.pooler.dense.weight"] = torch.zeros(2, 2)
    assert compare(model, state) == ["cls.decoder.weight", "model.pooler.dense.weight"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("inner.bias"), r"1 missing from the checkpoint: inner\.bias"),
        (lambda state: state.update({"more.weight": torch.zeros(1)}), r"1 unknown to the model: more\.weight"),
        (lambda state: state.update({"inner.bias": torch.zeros(7)}), r"wrong shape: inner\.bias \(\(7,\)"),
        (lambda state: state["inner.bias"].add_(1), r"re-initialised or changed\): inner\.bias"),
        (lambda state: state["inner.bias"].fill_(float("nan")), r"not finite in the checkpoint: inner\.bias"),
    ],
)
def test_every_difference_is_an_error_that_names_the_key(model, change, message):
    state = copies(model)
    compare(model, state)
    change(state)
    with pytest.raises(BendError, match=message):
        compare(model, state)


def test_values_are_compared_in_the_models_dtype(model):
    state = copies(model)
    compare(model.to(torch.bfloat16), state)
