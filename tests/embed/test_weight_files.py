"""Weights in a file of their own, as training leaves them: Lightning's `.ckpt`, `.pt` and `.pth`, with `config=`."""

from __future__ import annotations

import argparse
import json
import shutil
import warnings
from pathlib import Path

import pytest
import tiny_models
import torch
from safetensors.torch import load_file

from bend_hf.cli import main
from bend_hf.embed import doctor
from bend_hf.embed.embedder import Embedder
from bend_hf.errors import BendError

DNA = tiny_models.dna(50, 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder of a BERT with its head, and a tokenizer of 3-mers."""
    return tiny_models.dnabert(tmp_path_factory.mktemp("whole") / "model", k=3, lm=True)


@pytest.fixture(scope="module")
def state(model):
    return load_file(model / "model.safetensors")


def embed(source, **options) -> torch.Tensor:
    embedder = Embedder.from_pretrained(str(source), dtype="float32", device="cpu", **options)
    return next(embedder.embed([DNA])).vectors


@pytest.fixture(scope="module")
def expected(model):
    return embed(model)


def under(prefix: str, state) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in state.items()}


def lightning(state, **more):
    """What `Trainer.save_checkpoint` writes: weights, optimiser, callbacks, plain hyper-parameters."""
    adam = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3}]}
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": state,
        "optimizer_states": [adam],
        "lr_schedulers": [],
        "hyper_parameters": {"width": 32},
        **more,
    }


KINDS = {
    "lightning.ckpt": lambda state: lightning(under("model.", state)),
    "plain.pt": lambda state: dict(state),
    "loop.pth": lambda state: {"model_state_dict": under("module.", state), "optimizer": {"m": torch.zeros(2)}},
    "compiled.pt": lambda state: {"net": under("_orig_mod.net.", state)},
    "swa.pt": lambda state: {**under("module.", state), "n_averaged": torch.tensor(4)},
}


@pytest.mark.parametrize("name", KINDS)
def test_vectors_are_those_of_the_folder(name, model, state, expected, tmp_path):
    torch.save(KINDS[name](state), tmp_path / name)
    assert torch.equal(embed(tmp_path / name, config=model), expected)


def test_configuration_and_tokenizer_are_found_where_they_lie(model, state, expected, tmp_path):
    weights = tmp_path / "weights.pt"
    torch.save(state, weights)
    shutil.copy(model / "config.json", tmp_path / "bert.json")
    assert torch.equal(embed(weights, config=tmp_path / "bert.json", tokenizer=str(model)), expected)
    with pytest.raises(BendError, match=r"holds no config\.json.*config= \(--model-config\)"):
        embed(weights)
    (tmp_path / "bert.json").rename(tmp_path / "config.json")
    with pytest.raises(BendError, match="has no tokenizer"):
        embed(weights)
    shutil.copy(model / "vocab.txt", tmp_path)
    shutil.copy(model / "tokenizer_config.json", tmp_path)
    assert torch.equal(embed(weights), expected)  # beside it
    weights.rename(tmp_path / "odd")
    with pytest.raises(BendError, match="is no file of weights that is read here"):
        embed(tmp_path / "odd")
    with pytest.raises(BendError, match="There is no model folder or file"):
        embed("weights.pt")


def test_a_folder_whose_configuration_lies_elsewhere(model, state, expected, tmp_path):
    torch.save(lightning(under("model.", state)), tmp_path / "last.ckpt")
    assert torch.equal(embed(tmp_path, config=model), expected)


def test_what_else_is_in_the_file_is_said_and_not_used(model, state, expected, tmp_path, caplog):
    """Averaged weights beside the others, an optimiser's state, a head of one's own."""
    other = {key: value + 1 for key, value in state.items()}
    inside = under("model.", state) | under("ema_model.", other) | {"head.weight": torch.ones(3)}
    torch.save(lightning(inside, ema_state_dict=other), tmp_path / "last.ckpt")
    with caplog.at_level("INFO", logger="bend_hf"):
        assert torch.equal(embed(tmp_path / "last.ckpt", config=model), expected)
    assert "its weights are 'state_dict'; not used are ema_state_dict, optimizer_states." in caplog.text
    assert "those of 'model' are the model's; left out: ema_model (42), head (1)." in caplog.text


REFUSED = {
    "missing": (lambda state: {k: v for k, v in state.items() if "layer.1.output" not in k}, "missing from the checkp"),
    "extra": (lambda state: {**state, "bert.encoder.layer.0.gate": torch.ones(1)}, r"unknown to the model: bert\.enc"),
    "two": (lambda s: under("student.", s) | under("teacher.", s), r"several models of the kind, under student\., tea"),
    "entries": (lambda s: {"a": dict(s), "b": dict(s)}, r"does not tell which of its entries .* \(a, b\)"),
    "list": (lambda state: [state], "holds a list"),
    "objects": (lambda s: lightning(s, hyper_parameters=argparse.Namespace(x=1)), r"objects \(argparse\.Namespace\)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_right_is_refused(kind, model, state, tmp_path):
    make, message = REFUSED[kind]
    torch.save(make(state), tmp_path / "x.ckpt")
    with pytest.raises(BendError, match=message):
        embed(tmp_path / "x.ckpt", config=model)


def test_scripts_and_damaged_files_are_refused(model, tmp_path):
    with warnings.catch_warnings(action="ignore"):  # torch.jit is deprecated
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "script.pt")
    with (
        pytest.warns(UserWarning, match="TorchScript"),
        pytest.raises(BendError, match="is a TorchScript archive, which is code"),
    ):
        embed(tmp_path / "script.pt", config=model)
    (tmp_path / "cut.ckpt").write_bytes(b"PK")
    with pytest.raises(BendError, match=r"cut\.ckpt \(2 bytes\) is truncated or damaged"):
        embed(tmp_path / "cut.ckpt", config=model)


def test_identity_is_of_weights_configuration_and_tokenizer(model, state, tmp_path):
    def identity(edit=lambda state: state, **changes) -> str:
        torch.save(edit(dict(state)), tmp_path / "a.pt")
        config = json.loads((model / "config.json").read_text()) | changes
        (tmp_path / "config.json").write_text(json.dumps(config))
        return json.dumps(
            Embedder.from_pretrained(
                str(tmp_path / "a.pt"),
                config=tmp_path / "config.json",
                tokenizer=str(model),
                dtype="float32",
                device="cpu",
            ).identity()
        )

    first = identity()
    assert identity() == first
    assert identity(layer_norm_eps=1e-6) != first
    assert identity(lambda state: state | {"bert.encoder.layer.0.output.dense.bias": torch.ones(32)}) != first


def test_a_head_is_read_from_the_file_too(model, state, tmp_path):
    from bend_hf.zero_shot.likelihood import language_model

    torch.save(lightning(under("model.", state)), tmp_path / "last.ckpt")
    embedder = Embedder.from_pretrained(str(tmp_path / "last.ckpt"), config=model, dtype="float32", device="cpu")
    head = language_model(embedder).state_dict()
    assert torch.equal(head["cls.predictions.transform.dense.weight"], state["cls.predictions.transform.dense.weight"])
    torch.save(lightning(under("model.", {key: value + 1 for key, value in state.items()})), tmp_path / "last.ckpt")
    with pytest.raises(BendError, match="was changed after it was loaded"):
        language_model(embedder)


def test_the_command_line_takes_it(model, state, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    torch.save(lightning(under("model.", state)), tmp_path / "last.ckpt")
    words = [
        "doctor",
        str(tmp_path / "last.ckpt"),
        "--model-config",
        str(model / "config.json"),
        "--tokenizer",
        str(model),
    ]
    assert main([*words, "--no-mock"]) == 0
    assert "transformers' BertModel" in capsys.readouterr().out
    assert main(["doctor", str(model), "--model-config", str(Path("nowhere/config.json")), "--no-mock"]) == 1
    assert main(["doctor", "onehot", "--model-config", str(model), "--no-mock"]) == 1
    assert "would change nothing" in capsys.readouterr().err
