"""Every native architecture against what the original code computed (``goldens/README.md`` says how), and alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bend_hf import models
from bend_hf.embed import loading
from bend_hf.embed.tokens import character_scheme
from bend_hf.errors import BendError
from bend_hf.models.families import FAMILIES, find

GOLDENS = Path(__file__).parent / "goldens"
CHECKPOINTS = sorted(path.parent.name for path in GOLDENS.glob("*/config.json"))
TOLERANCE = 1e-5


def config_of(name: str) -> dict:
    return json.loads((GOLDENS / name / "config.json").read_text())


def load(name: str, **options):
    return models.load(GOLDENS / name, config_of(name), **options)


def assert_close(ours: torch.Tensor, golden: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert tuple(ours.shape) == golden.shape
    assert (ours - torch.from_numpy(golden)).abs().max().item() < tolerance


def assert_reproduces(model: torch.nn.Module, golden: dict[str, np.ndarray]) -> None:
    """Compare hidden states with a golden: plain, with a mask (at the real tokens) and for a long input."""
    ids = {key: torch.from_numpy(golden[key]) for key in golden if golden[key].dtype.kind == "i"}
    assert_close(model(ids["input_ids"]).last_hidden_state, golden["hidden"])
    if "hidden_masked" in golden:
        masked = next((ids[key] for key in ids if key.startswith("input_ids") and "mask" in key), ids["input_ids"])
        real = ids["attention_mask"].bool()
        ours = model(masked, attention_mask=ids["attention_mask"]).last_hidden_state
        assert_close(ours[real], golden["hidden_masked"][real.numpy()])
    if "hidden_long" in golden:
        long = next(ids[key] for key in ids if "long" in key)
        assert_close(model(long).last_hidden_state, golden["hidden_long"])
    if "hidden_short" in golden:
        assert_close(model(ids["input_ids_short"]).last_hidden_state, golden["hidden_short"])
        assert_close(model(ids["input_ids"]).last_hidden_state, golden["hidden"])  # the short one has left no trace


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_hidden_states_and_logits_equal_the_originals(name):
    golden = dict(np.load(GOLDENS / name / "golden.npz"))
    assert_reproduces(load(name), golden)
    if "logits" in golden:
        with_head = load(name, lm_head=True)
        assert_close(with_head(torch.from_numpy(golden["input_ids"])).logits, golden["logits"])


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_padding_and_company_change_no_vector(name):
    model = load(name)
    ids = torch.from_numpy(np.load(GOLDENS / name / "golden.npz")["input_ids"])[:1]
    lengths = [ids.shape[1], ids.shape[1] // 2 + 1, 5]
    batch = torch.full((3, ids.shape[1]), config_of(name).get("pad_token_id") or 0)
    mask = torch.zeros_like(batch)
    for row, length in enumerate(lengths):
        batch[row, :length] = ids[0, :length]
        mask[row, :length] = 1
    together = model(batch, attention_mask=mask).last_hidden_state
    for row, length in enumerate(lengths):
        alone = model(batch[row : row + 1, :length]).last_hidden_state
        assert_close(together[row : row + 1, :length], alone.numpy(), 2e-6 * max(5, alone.abs().max().item()))


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_hidden_states_on_request_end_with_the_last(name):
    model = load(name)
    ids = torch.from_numpy(np.load(GOLDENS / name / "golden.npz")["input_ids"])
    out = model(ids, output_hidden_states=True)
    assert len(out.hidden_states) == model.config.num_hidden_layers + 1
    assert torch.equal(out.hidden_states[-1], out.last_hidden_state)
    assert model(ids).hidden_states is None


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_bfloat16_agrees(name):
    ids = torch.from_numpy(np.load(GOLDENS / name / "golden.npz")["input_ids"])
    exact = load(name)(ids).last_hidden_state
    rough = load(name, dtype=torch.bfloat16)(ids).last_hidden_state
    assert rough.dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mask = torch.ones_like(ids)
        mask[:, -3:] = 0
        assert load(name)(ids, attention_mask=mask).last_hidden_state.isfinite().all()
        mixed = load(name)(ids).last_hidden_state
    for half in (rough, mixed):
        assert torch.cosine_similarity(exact, half.float(), dim=-1).mean() > 0.995


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_saved_models_load_with_the_auto_class(name, tmp_path):
    from transformers import AutoModel

    models.register()
    models.register()
    model = load(name)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    assert type(again) is type(model)
    ids = torch.from_numpy(np.load(GOLDENS / name / "golden.npz")["input_ids"])
    assert torch.equal(again(ids).last_hidden_state, model(ids).last_hidden_state)
    assert models.claims(json.loads((tmp_path / "config.json").read_text())) is not None


@pytest.mark.parametrize("name", ["awd_lstm", "caduceus_ph", "convnet", "gpn", "gpn_bytenet", "hyenadna"])
def test_auto_classes_load_published_layouts(name):
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

    models.register()
    golden = np.load(GOLDENS / name / "golden.npz")
    ids = torch.from_numpy(golden["input_ids"])
    head = AutoModelForCausalLM if name in ("awd_lstm", "hyenadna") else AutoModelForMaskedLM
    assert_close(AutoModel.from_pretrained(GOLDENS / name).eval()(ids).last_hidden_state, golden["hidden"])
    assert_close(head.from_pretrained(GOLDENS / name).eval()(ids).logits, golden["logits"])


def test_a_loaded_model_does_not_depend_on_its_file(tmp_path):
    shutil.copytree(GOLDENS / "nt_v2", tmp_path / "model")
    model = models.load(tmp_path / "model", config_of("nt_v2"))
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    golden = np.load(GOLDENS / "nt_v2" / "golden.npz")
    assert_close(model(torch.from_numpy(golden["input_ids"])).last_hidden_state, golden["hidden"])


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_missing_tensor_is_refused_by_name(name, tmp_path):
    from safetensors.torch import save_file

    from bend_hf.models.checkpoint import read_state_dict
    from bend_hf.models.proof import align

    model = load(name)
    state = {key: value.clone() for key, value in align(read_state_dict(GOLDENS / name), model).items()}
    key = [key for key in model.state_dict() if "weight" in key][3]
    del state[key]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(BendError, match=key.replace(".", r"\.")):
        models.load(tmp_path, config_of(name))


def test_older_hyenadna_repositories_load(tmp_path):
    from bend_hf.models.checkpoint import read_state_dict

    config, state = config_of("hyenadna"), read_state_dict(GOLDENS / "hyenadna")
    layer = {"_name_": "hyena", "l_max": config["max_seq_len"], "modulate": True, "local_order": 3}
    layer |= {"emb_dim": config["emb_dim"], "filter_order": config["filter_order"], "w": config["activation_freq"]}
    names = ("d_model", "d_inner", "n_layer", "vocab_size", "pad_vocab_size_multiple")
    older = {name: config[name] for name in names} | {"layer": layer, "checkpoint_mixer": True, "checkpoint_mlp": True}
    weights = {}
    for key, value in state.items():
        key = key.removeprefix("hyena.").replace(".mixer.", ".mixer.layer.").replace(".mlp.", ".mlp.layer.")
        weights[f"model.{key}"] = value
        if key.endswith("1.freq"):  # the pickle holds the shared tensor under each of its names
            weights |= {f"model.{key}".replace("1.freq", f"{i}.freq"): value for i in (3, 5)}
    torch.save({"state_dict": weights | {"train/loss": torch.ones(())}, "global_step": 9}, tmp_path / "weights.ckpt")
    golden = np.load(GOLDENS / "hyenadna" / "golden.npz")
    assert_close(
        models.load(tmp_path, older)(torch.from_numpy(golden["input_ids"])).last_hidden_state, golden["hidden"]
    )
    logits = models.load(tmp_path, older, lm_head=True)(torch.from_numpy(golden["input_ids"])).logits
    assert_close(logits, golden["logits"])
    weights["model.backbone.layers.0.mixer.layer.filter_fn.implicit_filter.3.freq"] = torch.zeros(1, 12)
    torch.save({"state_dict": weights}, tmp_path / "weights.ckpt")
    with pytest.raises(BendError, match="share one frequency"):
        models.load(tmp_path, older)


@pytest.mark.parametrize("name", ["caduceus_ph", "caduceus_ps"])
def test_caduceus_is_differentiable_and_its_pieces_fit_together(name, monkeypatch):
    from bend_hf.models import caduceus

    model, golden = load(name), np.load(GOLDENS / name / "golden.npz")
    monkeypatch.setattr(caduceus, "SCAN_NUMBERS", 2**13)
    ids = torch.from_numpy(golden["input_ids"])
    assert_close(model(ids).last_hidden_state, golden["hidden"])
    with torch.inference_mode(False), torch.enable_grad():
        model = load(name)
        hidden = model(ids.clone()).last_hidden_state
        hidden.square().mean().backward()
    assert_close(hidden.detach(), golden["hidden"])
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("length", [1, 2, 48, 49, 101])
@pytest.mark.parametrize("numbers", [1, 700, 2**20])
def test_the_scan_by_stretches_is_the_scan_step_by_step(length, numbers, monkeypatch):
    """As a GPU does it, in pieces of memory of any size: stretches of all lengths and a rest."""
    from bend_hf.models import caduceus

    monkeypatch.setattr(caduceus, "GPU_SCAN_NUMBERS", numbers)
    random = torch.Generator().manual_seed(0)
    u, B, C = (torch.randn(2, length, size, generator=random) for size in (5, 3, 3))
    dt = torch.rand(2, length, 5, generator=random) * 0.3
    A = -torch.rand(2, 5, 3, generator=random) * 4
    expected = torch.zeros(2, length, 5, dtype=torch.float64)
    state = torch.zeros(2, 5, 3, dtype=torch.float64)
    for t in range(length):
        inflow = (dt[:, t] * u[:, t]).double()[..., None] * B[:, t, None]
        state = torch.exp(dt[:, t, :, None].double() * A) * state + inflow
        expected[:, t] = (state * C[:, t, None]).sum(-1)
    assert (caduceus.selective_scan(u, dt, A, B, C) - expected).abs().max() < 1e-5
    u, dt, B, C = (x.transpose(0, 1) for x in (u, dt, B, C))
    ours = caduceus._scan_by_stretches(u, dt, A.transpose(1, 2).contiguous(), B, C)
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() < 1e-5


def test_caduceus_wants_padding_on_the_right():
    mask = torch.ones(1, 9, dtype=torch.int64)
    mask[0, :2] = 0
    with pytest.raises(BendError, match="on the right"):
        load("caduceus_ph")(torch.full((1, 9), 7), attention_mask=mask)


def test_caduceus_ps_gives_the_reverse_complement_turned_round():
    model = load("caduceus_ps")
    ids = torch.from_numpy(np.load(GOLDENS / "caduceus_ps" / "golden.npz")["input_ids"])
    complement = torch.arange(16)
    complement[[7, 8, 9, 10]] = torch.tensor([10, 9, 8, 7])
    given, other = model(ids).last_hidden_state, model(complement[ids].flip(1)).last_hidden_state
    assert_close(other.flip(1, 2), given.numpy())


def test_hyena_in_pieces_equals_hyena_at_once(monkeypatch):
    from bend_hf.models import hyena

    monkeypatch.setattr(hyena, "PIECE_NUMBERS", 6 * 2 * 150 * 3)
    assert_reproduces(load("hyenadna"), dict(np.load(GOLDENS / "hyenadna" / "golden.npz")))


def test_lstm_in_stretches_equals_lstm_at_once(monkeypatch):
    model, ids = load("awd_lstm"), torch.from_numpy(np.load(GOLDENS / "awd_lstm" / "golden.npz")["input_ids"])
    whole = model(ids, output_hidden_states=True).hidden_states
    monkeypatch.setattr("bend_hf.models.awd_lstm.STRETCH", 5 * len(ids))
    for one, other in zip(model(ids, output_hidden_states=True).hidden_states, whole, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() < 1e-6


@pytest.mark.parametrize("most", [6 * 60 * 7, 2**29])
@pytest.mark.parametrize("kind", ["Alibi", "AlibiOnGpu"])
def test_alibi_in_pieces_and_for_a_gpu_equals_the_original(monkeypatch, kind, most):
    from bend_hf.models import mosaic_bert

    golden = dict(np.load(GOLDENS / "mosaic_bert" / "golden.npz"))
    monkeypatch.setattr(mosaic_bert, "Alibi", getattr(mosaic_bert, kind))
    monkeypatch.setattr(mosaic_bert.Alibi, "most", most)
    assert_reproduces(load("mosaic_bert"), golden)


def test_the_bias_of_a_gpu_is_one_for_the_batch_in_aligned_rows():
    from bend_hf.models.mosaic_bert import AlibiOnGpu

    real = torch.arange(13) < torch.tensor([[13], [4]])
    bias = AlibiOnGpu(12, torch.zeros(2, 13, 96), real).whole
    assert bias.shape == (1, 12, 13, 13)
    assert bias.stride(-2) == 16


def test_inputs_longer_than_the_positions_are_refused():
    for name in ("hyenadna", "gena_bert"):
        with pytest.raises(BendError, match="positions of this"):
            load(name)(torch.full((1, 900), 7))


def test_every_family_has_a_golden():
    assert {find(config_of(name))[0].name for name in CHECKPOINTS} == {family.name for family in FAMILIES}


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"model_type": "esm", "add_bias_fnn": False, "position_embedding_type": "rotary"}, "nt-v2"),
        (
            {
                "model_type": "esm",
                "position_embedding_type": "rotary",
                "auto_map": {"AutoModelForMaskedLM": "InstaDeepAI/some-model--modeling_esm.EsmForMaskedLM"},
            },
            "nt-v2",
        ),
        ({"model_type": "bert", "auto_map": {"AutoModel": "bert_layers.BertModel"}}, "mosaic-bert"),
        ({"model_type": "bert", "pre_layer_norm": True}, "gena-bert"),
        ({"d_model": 128, "n_layer": 2, "layer": {"_name_": "hyena", "l_max": 1026}}, "hyenadna"),
    ],
)
def test_checkpoints_are_recognised_by_their_config(config, family):
    assert models.claims(config).split()[0] == family


def test_stock_checkpoints_are_left_to_transformers():
    for config in (
        {"model_type": "bert"},
        {"model_type": "esm"},
        {"model_type": "big_bird"},
        {"model_type": "llama"},
        {},
    ):
        assert models.claims(config) is None
    with pytest.raises(BendError, match="AutoModel"):
        models.load("nowhere", {"model_type": "bert"})


def bundled(real_dir: Path, claimed: str | None) -> list[Path]:
    """Checkpoints of the real bundle that a family claims, or (None) that are left to transformers."""
    folder = real_dir / "goldens" / "models"
    if not folder.is_dir():
        pytest.skip(f"this bundle of the real data holds no model checkpoints ({folder})")
    configs = {path.parent: json.loads(path.read_text()) for path in sorted(folder.glob("*/config.json"))}
    claims = {path: models.claims(config) for path, config in configs.items()}
    found = [path for path, claim in claims.items() if (claim and claim.split()[0]) == claimed]
    if not found:
        pytest.skip(f"this bundle holds no checkpoint of {claimed or 'classes of transformers'}")
    return found


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_golden_checkpoints_of_the_real_bundle(family, real_dir):
    for path in bundled(real_dir, family):
        model = models.load(path, json.loads((path / "config.json").read_text()))
        assert_reproduces(model, dict(np.load(path / "golden.npz")))


def test_stock_golden_checkpoints_of_the_real_bundle(real_dir, monkeypatch):
    """NT v1, DNABERT, BigBird: no tokenizer lies beside them, so one of characters stands in."""
    monkeypatch.setattr(loading, "load_scheme", lambda *_, **__: character_scheme())
    for path in bundled(real_dir, None):
        assert_reproduces(loading.load(str(path)).model, dict(np.load(path / "golden.npz")))
