"""Models that are in memory: embedded as the same checkpoint from a folder is, and left as they were found."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import tiny_models
import torch
import transformers
from torch import nn

from bend_hf.embed import fingerprint
from bend_hf.embed.attention import whole_matrices
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.memory import in_memory, unwrap
from bend_hf.embed.open import load_embedder
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.zero_shot.likelihood import language_model

RULES = get_protocol("default")
SEQUENCES = [tiny_models.dna(n, n) for n in (60, 90)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_models.esm(tmp_path_factory.mktemp("models") / "esm", lm=True))


@pytest.fixture
def tokenizer(folder):
    return transformers.EsmTokenizer.from_pretrained(folder)


@pytest.fixture
def model(folder):
    return transformers.EsmForMaskedLM.from_pretrained(folder)


def vectors(embedder):
    return torch.cat([tokens.vectors for tokens in embedder.embed(SEQUENCES)])


@pytest.fixture(scope="module")
def expected(folder):
    return vectors(Embedder.from_pretrained(folder, dtype="float32", device="cpu"))


def ways(model, tokenizer):
    trunk = model.base_model
    return {
        "pair": ((model, tokenizer), {}),
        "pair, the other way round": ((tokenizer, model), {}),
        "tokenizer apart": (model, {"tokenizer": tokenizer}),
        "trunk": ((trunk, tokenizer), {}),
        "in parallel": ((nn.DataParallel(model), tokenizer), {}),
        "compiled": ((torch.compile(model), tokenizer), {}),
        "compiled in parallel": ((torch.compile(nn.DataParallel(model)), tokenizer), {}),
        "trainer": (SimpleNamespace(model=model, processing_class=tokenizer), {}),
        "pipeline": (transformers.pipeline("fill-mask", model=model, tokenizer=tokenizer), {}),
    }


def test_every_way_gives_the_vectors_of_the_folder(model, tokenizer, expected):
    keys = set()
    for way, (given, options) in ways(model, tokenizer).items():
        embedder = load_embedder(given, protocol=RULES, dtype="float32", **options)
        assert torch.allclose(vectors(embedder), expected, atol=1e-5), way
        assert embedder.causal is False
        assert embedder.name in ("EsmForMaskedLM", "EsmModel")
        keys.add(str(embedder.provenance()["key"]))
    assert len(keys) == 1  # the same weights, however they were wrapped


def test_the_model_is_left_as_it_was(model, tokenizer):
    model.train()
    model.esm.encoder.layer[0].eval()
    before = {name: (tensor, tensor.clone()) for name, tensor in model.state_dict(keep_vars=True).items()}
    modes = [module.training for module in model.modules()]
    padding = tokenizer.model_max_length
    found = vectors(Embedder.from_model(model, tokenizer, dtype="bfloat16"))
    assert torch.equal(found, vectors(Embedder.from_model(model, tokenizer, dtype="bfloat16")))  # dropout was off
    assert [module.training for module in model.modules()] == modes
    assert tokenizer.model_max_length == padding
    for name, tensor in model.state_dict(keep_vars=True).items():
        assert tensor is before[name][0]
        assert tensor.requires_grad == before[name][0].requires_grad
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, before[name][1])


def test_half_precision_weights_compute_as_they_are_and_in_float32_where_asked(model, tokenizer, expected):
    half = copy.deepcopy(model).bfloat16()
    as_found = Embedder.from_model(half, tokenizer)
    assert as_found.dtype == "bfloat16"
    with torch.inference_mode(), whole_matrices(torch.device("cpu"), torch.bfloat16):
        ids = tokenizer(SEQUENCES[0], return_tensors="pt")["input_ids"]
        plain = half.eval().esm(input_ids=ids).last_hidden_state[0, 1:]
    assert torch.equal(next(as_found.embed(SEQUENCES[:1])).vectors, plain)
    exact = as_found.in_float32()
    upcast = vectors(Embedder.from_model(copy.deepcopy(half).float(), tokenizer, dtype="float32"))
    assert exact.dtype == "float32"
    assert torch.equal(vectors(exact), upcast)
    assert half.dtype == torch.bfloat16
    assert not torch.allclose(upcast, expected, atol=1e-6)
    assert Embedder.from_model(half, tokenizer, protocol="bend-2024").dtype == "float32"


def test_adapters_stay_in_force(model, tokenizer, expected):
    peft = pytest.importorskip("peft")
    torch.manual_seed(1)
    config = peft.LoraConfig(target_modules=["query", "value"], init_lora_weights=False)
    adapted = peft.get_peft_model(copy.deepcopy(model), config)
    found = vectors(Embedder.from_model(adapted, tokenizer, dtype="float32"))
    assert (found - expected).abs().max() > 0.01
    merged = copy.deepcopy(adapted).merge_and_unload()
    assert torch.allclose(found, vectors(Embedder.from_model(merged, tokenizer, dtype="float32")), atol=1e-4)
    learnt = peft.PromptTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=4)
    adapted.peft_config["default"] = learnt
    with pytest.raises(BendError, match="learnt prompts"):
        unwrap(adapted)


def test_weights_decide_the_key_and_the_name_does_not(model, tokenizer):
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.esm.encoder.layer[1].output.dense.weight[0, 0] += 0.5
    key = Embedder.from_model(model, tokenizer, name="a").provenance()["key"]
    assert key == Embedder.from_model(copy.deepcopy(model), tokenizer, name="b").provenance()["key"]
    assert key != Embedder.from_model(other, tokenizer, name="a").provenance()["key"]


def test_the_same_weights_in_another_class_have_another_key(tokenizer):
    def made(factor):
        class Mine(nn.Module):
            def __init__(self):
                super().__init__()
                torch.manual_seed(0)
                self.embedding = nn.Embedding(4_200, 8)

            def forward(self, input_ids):
                return (self.embedding(input_ids) * factor,)

        return Mine()

    one, same, other = (Embedder.from_model(made(factor), tokenizer).provenance()["key"] for factor in (1, 1, 2))
    assert one == same
    assert one != other


def only(embedder, name, change):
    """Change a part of the weights that no short probe reaches."""
    table = dict(embedder.network.model.named_parameters())[f"embeddings.{name}_embeddings.weight"]
    if name == "position":
        table.data[-1] += change
    else:  # a token's alone
        table.data[embedder.scheme.unknown, 0] += change


@pytest.mark.parametrize("part", ["position", "word"])
def test_a_weight_out_of_reach_of_probes_is_seen(folder, model, tokenizer, part):
    """One float32 of the table of tokens or positions: of a folder's model, and of one in memory."""
    for embedder in (
        Embedder.from_pretrained(folder, device="cpu", dtype="float32"),
        Embedder.from_model(copy.deepcopy(model), tokenizer),
    ):
        key = embedder.provenance()["key"]
        only(embedder, part, 1e-3)
        assert embedder.replaced
        assert embedder.provenance()["key"] != key
        assert embedder.at(0).provenance()["key"] != key | {"layer": [0]}
        assert embedder.plain().replaced


def test_the_words_of_a_tokenizer_in_memory_are_part_of_the_key(model, tokenizer, tmp_path):
    """Two tokens change places, neither of which a probe need have."""
    tokenizer.save_pretrained(tmp_path)
    words = (tmp_path / "vocab.txt").read_text().split("\n")
    at = [words.index(word) for word in ("AAAAAA", "AAAAAC")]
    words[at[0]], words[at[1]] = words[at[1]], words[at[0]]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    other = type(tokenizer).from_pretrained(tmp_path)
    keys = [Embedder.from_model(model, each).provenance()["key"]["model"] for each in (tokenizer, other, tokenizer)]
    assert keys[0] == keys[2]
    assert keys[0]["tokenizer"] != keys[1]["tokenizer"]


@pytest.mark.parametrize("change", ["load_state_dict", "data", "other model"])
def test_replaced_weights_lose_the_checkpoints_key(folder, change):
    embedder = Embedder.from_pretrained(folder, device="cpu", dtype="float32")
    key = embedder.provenance()["key"]
    assert key == Embedder.from_pretrained(folder, device="cpu", dtype="float32").provenance()["key"]
    kept = copy.deepcopy(embedder.network.model.state_dict())
    if change == "load_state_dict":
        embedder.loaded.model.load_state_dict({name: 1.01 * tensor for name, tensor in kept.items()})
    elif change == "data":
        embedder.loaded.model.encoder.layer[0].output.dense.weight.data[0, 0] += 1
    else:
        embedder.network.call = embedder.network.model = copy.deepcopy(embedder.network.model)
        embedder.network.model.encoder.layer[0].output.dense.weight.data.mul_(2)
    replaced = embedder.provenance()["key"]
    assert replaced != key
    with pytest.raises(BendError, match="weights were replaced since it was loaded"):
        language_model(embedder)
    assert "files" not in replaced["model"]
    if change == "load_state_dict":
        embedder.loaded.model.load_state_dict(kept)
        assert embedder.provenance()["key"] == key


def test_a_module_alone_needs_its_tokenizer(model, toy_dir, tmp_path, monkeypatch):
    import bend_hf
    from bend_hf.data import builder

    monkeypatch.setattr(builder, "build", lambda *args, **kwargs: pytest.fail("a row was built"))
    with pytest.raises(BendError, match=r"EsmForMaskedLM is a model without a tokenizer.*tokenizer=tokenizer"):
        bend_hf.evaluate(model, ["cpg_methylation"], data_dir=toy_dir, output=tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda model, tokenizer: (model, 7), "a int is no tokenizer"),
        (lambda model, tokenizer: (model,), "give \\(model, tokenizer\\)"),
        (lambda model, tokenizer: (model, model, tokenizer), "give \\(model, tokenizer\\)"),
        (lambda model, tokenizer: (nn.Linear(3, 3), tokenizer), "takes no input_ids"),
        (lambda model, tokenizer: (model, "./nowhere"), "cannot be loaded"),
    ],
)
def test_what_is_no_model(model, tokenizer, given, message):
    with pytest.raises(BendError, match=message):
        load_embedder(given(model, tokenizer), protocol=RULES)


def test_tokenizers_library(tmp_path):
    """A tokenizer of ``tokenizers`` itself, which transformers wraps."""
    from tokenizers import Tokenizer

    folder = tiny_models.bpe(tmp_path)
    model = transformers.AutoModel.from_pretrained(folder)
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    one = Embedder.from_model(model, backend, dtype="float32")
    other = Embedder.from_pretrained(str(folder), dtype="float32", device="cpu")
    assert torch.allclose(vectors(one), vectors(other), atol=1e-5)


def test_evaluate_in_memory(model, tokenizer, toy_dir, tmp_path):
    """A task and the zero-shot likelihoods of a model in memory are those of its folder."""
    import bend_hf

    options = {"data_dir": toy_dir, "output": tmp_path, "device": "cpu", "genome_checked": True}
    [found] = bend_hf.evaluate(model, ["variant_effects_disease"], tokenizer=tokenizer, name="mine", **options)
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    [other] = bend_hf.evaluate(str(tmp_path / "saved"), ["variant_effects_disease"], **options)
    assert found.model == "mine"
    assert found.score == pytest.approx(other.score, abs=1e-6)
    assert found.provenance["model"]["object"] == "a model in memory"
    assert language_model(Embedder.from_model(model, tokenizer)) is model
    trunk = Embedder.from_model(model.esm, tokenizer)
    with pytest.raises(BendError, match="has no language-model head"):
        language_model(trunk)


# Fingerprints.


def test_fingerprints_survive_rounding_and_tell_models_apart():
    torch.manual_seed(0)
    given = [torch.randn(50, 16), torch.randn(70, 16)]
    base = fingerprint.of_vectors(given)
    assert base == fingerprint.of_vectors([part * (1 + 1e-9) for part in given])
    others = [
        [part * 1.001 for part in given],
        [part.flip(0) for part in given],
        [part.flip(1) for part in given],
        [part + 0.001 for part in given],
        [part[:, :8] for part in given],
        [torch.zeros_like(part) for part in given],
    ]
    assert len({base, *map(fingerprint.of_vectors, others)}) == 7


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8], ids=str)
def test_sums_of_bits_are_the_same_wherever_weights_lie_in_memory(dtype):
    """Of weights that are parts of one large tensor, and begin at any of its bytes."""
    count = 8 * fingerprint.WORDS + 3
    whole = torch.arange(count + 40).to(dtype)
    for first in range(40):
        kept, moved = torch.nn.Module(), torch.nn.Module()
        kept.register_buffer("weight", whole[first : first + count].clone())
        moved.register_buffer("weight", whole[first : first + count])
        assert fingerprint.of_bits(moved) == fingerprint.of_bits(kept)


def test_sums_of_bits_see_every_bit_and_every_place():
    class Odd(nn.Module):
        """Tensors of every type, shorter and longer than the sums' rows, one of them a view at an odd place."""

        def __init__(self):
            super().__init__()
            whole = torch.arange(5_001, dtype=torch.float32)
            self.register_buffer("part", whole[1:])
            self.register_buffer("halves", torch.arange(3_000).to(torch.bfloat16))
            self.register_buffer("flags", torch.zeros(9_000, dtype=torch.bool))
            self.register_buffer("count", torch.tensor(3))
            self.table = nn.Parameter(torch.randn(60, 70))

    torch.manual_seed(0)
    model = Odd()
    seen = {fingerprint.of_bits(model)}
    assert fingerprint.of_bits(copy.deepcopy(model)) in seen
    for name, place in (
        ("part", 4_999),
        ("halves", 2),
        ("halves", 2_999),
        ("flags", 8_193),
        ("count", ()),
        ("table", (3, 4)),
    ):
        other = copy.deepcopy(model)
        tensor = other.state_dict()[name]
        tensor[place] = not tensor[place] if name == "flags" else tensor[place] + 64
        seen.add(fingerprint.of_bits(other))
    swapped = copy.deepcopy(model)
    swapped.part[[1, 2_500]] = model.part[[2_500, 1]]
    seen.add(fingerprint.of_bits(swapped))
    assert len(seen) == 8


def test_digests_of_weights_see_every_bit(model):
    base = fingerprint.of_weights(model)
    assert base == fingerprint.of_weights(copy.deepcopy(model))
    model.lm_head.bias.data[3] = torch.nextafter(model.lm_head.bias.data[3], torch.tensor(9.0))
    assert base != fingerprint.of_weights(model)
    assert in_memory("a name") is None


def test_weights_that_are_elsewhere_are_refused():
    """In pieces, as FSDP's second form has them, or offloaded; the message says what to do."""
    from bend_hf.embed.memory import unwrap

    sharded = torch.nn.Linear(2, 2)
    sharded.weight.full_tensor = lambda: None  # what tells a distributed tensor
    with pytest.raises(BendError, match="sharded by FSDP"):
        unwrap(sharded)
    with pytest.raises(BendError, match=r"not in memory.*device_map"):
        unwrap(torch.nn.Linear(2, 2, device="meta"))
