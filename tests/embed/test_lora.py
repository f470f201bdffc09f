"""Adapters: merged into their base, exactly, or refused; never the base's vectors in their place."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import tiny_models
import torch

from bend_hf.embed.loading import load
from bend_hf.errors import BendError

peft = pytest.importorskip("peft", reason="the extra 'adapters' is not installed")
WHERE = "encoder.layer.1.attention.self.query"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_models.dnabert(tmp_path_factory.mktemp("base"), k=3, lm=True)


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """A LoRA of a model with a head, its matrices filled with random numbers, as peft saves it."""
    from transformers import AutoModelForMaskedLM

    folder = tmp_path_factory.mktemp("lora")
    settings = peft.LoraConfig(r=2, lora_alpha=6, target_modules=["query", "value"], bias="none")
    adapted = peft.get_peft_model(AutoModelForMaskedLM.from_pretrained(base), settings)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(len(name)))
    adapted.save_pretrained(folder)
    return folder


def state_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def expected(base, trained):
    """The weight by hand: W + alpha / r · B A."""
    state = state_of(trained)
    a, b = (state[f"base_model.model.bert.{WHERE}.lora_{part}.weight"] for part in "AB")
    return load(str(base)).model.get_parameter(f"{WHERE}.weight") + 6 / 2 * b @ a


def test_alone(base, trained):
    loaded = load(str(trained))
    assert torch.allclose(loaded.model.get_parameter(f"{WHERE}.weight"), expected(base, trained), atol=1e-6)
    assert "with the adapter of" in loaded.architecture
    plain = load(str(base))
    assert loaded.identity != plain.identity
    assert loaded.identity["files"] == plain.identity["files"]
    assert not any("lora" in name for name, _ in loaded.model.named_parameters())


def test_beside_its_base(base, trained, tmp_path):
    folder = shutil.copytree(base, tmp_path / "both")
    for path in trained.glob("adapter_*"):
        shutil.copy(path, folder)
    merged = load(str(folder)).model.get_parameter(f"{WHERE}.weight")
    assert torch.allclose(merged, expected(base, trained), atol=1e-6)


def test_without_peft_it_is_refused(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(BendError, match=r"only the library peft can merge: pip install 'bend_hf\[adapters\]'"):
        load(str(trained))


def test_an_adapter_of_another_model_is_refused(trained, tmp_path):
    other = tiny_models.gpt2(tmp_path / "other")
    folder = shutil.copytree(trained, tmp_path / "lora")
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": str(other)}))
    with pytest.raises(BendError, match=r"does not fit GPT2Model: no place for bert\.encoder"):
        load(str(folder))


def test_an_adapter_that_names_no_base(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "lora")
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": None}))
    with pytest.raises(BendError, match="names no base model"):
        load(str(folder))


def test_an_adapter_of_zeros_is_refused(trained, tmp_path):
    from safetensors.torch import save_file

    folder = shutil.copytree(trained, tmp_path / "lora")
    save_file(
        {key: torch.zeros_like(value) for key, value in state_of(trained).items()}, folder / "adapter_model.safetensors"
    )
    with pytest.raises(BendError, match="changes no weight"):
        load(str(folder))


NAMED = {f"bert.{WHERE}": 48}  # as the module is called where the adapter was trained
ALSO_TRAINED = {
    "biases": {"bias": "all"},
    "biases of what is adapted": {"bias": "lora_only"},
    "embeddings": {"modules_to_save": ["word_embeddings"]},
    "norms": {"modules_to_save": ["LayerNorm"]},
    "a head": {"modules_to_save": ["cls"]},
    "one module's alpha": {"alpha_pattern": NAMED},
    "one module's rank and alpha": {"rank_pattern": {f"bert.{WHERE}": 1}, "alpha_pattern": NAMED},
    "alphas by the end of a name": {"alpha_pattern": {"query": 24}},
}
OF_TRUNKS = ("biases", "embeddings", "norms", "alphas by the end of a name")


@pytest.mark.parametrize(
    ("settings", "trunk"),
    [*((settings, False) for settings in ALSO_TRAINED.values()), *((ALSO_TRAINED[name], True) for name in OF_TRUNKS)],
    ids=[*ALSO_TRAINED, *(f"{name}, trunk alone" for name in OF_TRUNKS)],
)
def test_what_was_trained_beside_the_matrices(base, tmp_path, settings, trunk):
    """Every tensor is the one that peft has when it merges into the model that the adapter was trained on."""
    from transformers import AutoModel, AutoModelForMaskedLM

    model = (AutoModel if trunk else AutoModelForMaskedLM).from_pretrained(base)
    chosen = {"r": 2, "lora_alpha": 6, "target_modules": ["query", "value"], **settings}
    adapted = peft.get_peft_model(model, peft.LoraConfig(**chosen))
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(0.3 * torch.randn(weight.shape, generator=random))
    adapted.save_pretrained(tmp_path / "adapter")
    merged = adapted.merge_and_unload()
    wanted = (merged if trunk else merged.base_model).state_dict()
    found = load(str(tmp_path / "adapter")).model.state_dict()
    unlike = [name for name, value in found.items() if "pooler" not in name and not torch.equal(value, wanted[name])]
    assert unlike == []


def test_an_adapter_without_weights_is_refused(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "lora")
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(BendError, match=r"no weights of an adapter \(adapter_model\.safetensors"):
        load(str(folder))


def test_a_parameter_of_another_size_is_refused(base, trained, tmp_path):
    from safetensors.torch import save_file

    folder = shutil.copytree(trained, tmp_path / "lora")
    larger = {"base_model.model.bert.embeddings.word_embeddings.weight": torch.zeros(99, 32)}
    save_file(state_of(trained) | larger, folder / "adapter_model.safetensors")
    with pytest.raises(BendError, match=r"no place for bert\.embeddings\.word_embeddings\.weight"):
        load(str(folder))
