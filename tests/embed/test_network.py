"""What is found out about a model by trying: its vectors among its outputs, its layers, chance in its forward."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import architectures
import numpy as np
import pytest
import tiny_models
import torch
from torch import nn

from bend_hf.embed import devices
from bend_hf.embed.devices import pick_device
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.examination import scale_text, verdict
from bend_hf.embed.loading import Loaded
from bend_hf.embed.measure import agrees_with_cpu
from bend_hf.embed.strands import average_strands, fold
from bend_hf.embed.tokens import character_scheme
from bend_hf.errors import BendError

VOCABULARY, WIDTH = 12, 6


class Toy(nn.Module):
    """Embeddings, and logits of them; `output` says in which form they come."""

    def __init__(self, output, width=WIDTH):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.head = nn.Linear(width, VOCABULARY)
        self.output = output

    def forward(self, input_ids):
        hidden = self.embedding(input_ids)
        return self.output(self.head(hidden), hidden)


class Deep(Toy):
    """The same with inner states on request, the last of them its vectors."""

    def forward(self, input_ids, output_hidden_states=False):
        hidden = self.embedding(input_ids)
        states = (hidden, 2 * hidden, 3 * hidden)
        return (self.head(hidden), states) if output_hidden_states else (self.head(hidden),)


def of_model(model, config=None, **options):
    loaded = Loaded("toy", model.eval(), character_scheme(suffix=()), config or {}, {}, "a test", (), {"files": "none"})
    return Embedder(loaded, **{"dtype": "float32", "device": "cpu", **options})


def expected(model, factor=1.0):
    return factor * model.embedding.weight.detach()[[7, 8, 9, 10]]


@pytest.mark.parametrize(
    "output",
    [
        lambda logits, hidden: (logits, hidden),
        lambda logits, hidden: (hidden, logits),
        lambda logits, hidden: hidden,
        lambda logits, hidden: [hidden],
        lambda logits, hidden: {"logits": logits, "last_hidden_state": hidden},
        lambda logits, hidden: {"hidden_states": (logits, hidden)},
        lambda logits, hidden: SimpleNamespace(logits=logits, last_hidden_state=hidden),
    ],
)
def test_vectors_are_the_hidden_states_wherever_they_are(output):
    model = Toy(output)
    assert torch.equal(next(of_model(model).embed(["ACGT"])).vectors, expected(model))


@pytest.mark.parametrize(
    "output",
    [
        lambda logits, hidden: (logits,),
        lambda logits, hidden: logits,
        lambda logits, hidden: {"logits": logits},
        lambda logits, hidden: (logits, hidden[..., :3]),  # of another width than the embeddings: who knows what
    ],
)
def test_logits_are_no_vectors(output):
    with pytest.raises(BendError, match="head's logits are no embedding"):
        of_model(Toy(output))


@pytest.mark.parametrize("kind", [torch.int64, torch.complex64, torch.bool])
def test_vectors_are_floating_point(kind):
    """The imaginary part of complex ones would be dropped without a word."""
    with pytest.raises(BendError, match=f"gives vectors of {str(kind).removeprefix('torch.')}: want floating-point"):
        of_model(Toy(lambda logits, hidden: (hidden.to(kind),)))


def test_double_precision_is_rounded_to_float32():
    model = Toy(lambda logits, hidden: (hidden.double(),))
    vectors = next(of_model(model).embed(["ACGT"])).vectors
    assert vectors.dtype == torch.float32
    assert torch.equal(vectors, expected(model))


def test_hidden_states_are_asked_for_where_logits_come():
    model = Deep(None)
    assert torch.equal(next(of_model(model).embed(["ACGT"])).vectors, expected(model, 3))
    assert of_model(model).n_layers == 2


def test_as_wide_as_the_vocabulary_is_fine_where_embeddings_are():
    model = Toy(lambda logits, hidden: (hidden,), width=VOCABULARY)
    assert torch.equal(next(of_model(model).embed(["ACGT"])).vectors, expected(model))


@pytest.mark.parametrize("tokens", [5, 40])
def test_a_state_that_a_short_input_leaves_is_refused(tokens):
    class Switched(Toy):
        """Another attention for good once an input is short, as a flag that no configuration shows."""

        full = False

        def forward(self, input_ids):
            self.full = self.full or input_ids.shape[1] < tokens
            return (self.embedding(input_ids) * (2 if self.full else 1),)

    with pytest.raises(BendError, match="gives another answer for an input once it has seen others"):
        of_model(Switched(None))


def test_a_forward_with_two_answers_is_refused():
    class Dropping(Toy):
        def forward(self, input_ids):
            return (nn.functional.dropout(self.embedding(input_ids), 0.1, training=True),)

    with pytest.raises(BendError, match="toy gives two answers for one input"):
        of_model(Dropping(None))


# Layers.


FAMILIES = ("esm", "gpt2", "bpe", "dnabert")


@pytest.mark.parametrize("protocol", ["default", "bend-2024"])
@pytest.mark.parametrize("name", FAMILIES)
def test_layers_of_one_pass_are_those_of_each_alone(tmp_path, name, protocol):
    """Bit for bit, windows and upsampled k-mers included."""
    folder = str(tiny_models.FAMILIES[name](tmp_path))
    options = {"dtype": "float32", "device": "cpu", "protocol": protocol}
    sequences = [tiny_models.dna(n, n) for n in (300, 40, 1_500, 300)]
    together = Embedder.from_pretrained(folder, **options)
    assert together.n_layers == 2
    layers = (0, 1, 2, -1)
    found = list(together.embed_layers(sequences, layers))
    for place, layer in enumerate(layers):
        alone = Embedder.from_pretrained(folder, layer=layer, **options)
        assert alone.causal == together.causal  # the embeddings of a causal model alone depend on nothing
        for tokens, one in zip(found, alone.embed(sequences), strict=True):
            assert np.array_equal(tokens[place].lengths, one.lengths)
            assert torch.equal(tokens[place].vectors, one.vectors)
    several = next(Embedder.from_pretrained(folder, layer=[0, -1], **options).embed(sequences))
    assert torch.equal(several.vectors, torch.cat([found[0][0].vectors, found[0][3].vectors], -1))


@pytest.mark.parametrize("kind", ["bert", "falcon_mamba", "gpt2", "llama", "mamba", "mamba2", "rwkv"])
def test_a_layers_number_is_that_of_its_block(kind, tmp_path):
    """0 the embeddings, k what the k-th block gives, whatever the states begin with that a model gives itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architectures.ARCHITECTURES, kind, architectures.ARCHITECTURES[kind] | {"num_hidden_layers": 3})
        folder = architectures.build(kind, tmp_path / kind)
    embedder = Embedder.from_pretrained(str(folder), dtype="float32", device="cpu")
    model = embedder.network.model
    [blocks] = (part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == embedder.n_layers)
    assert len(blocks) == 3 or kind == "gpt2"
    given, found = [], []
    blocks[0].register_forward_pre_hook(
        lambda _, args, kwargs: given.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    for block in blocks:
        block.register_forward_hook(lambda _, args, out: found.append(out[0] if isinstance(out, tuple) else out))
    layers = embedder.network.hidden(torch.randint(3, 7, (2, 20)), None, range(embedder.n_layers))
    for layer, expected in zip(layers, [given[0], *found[:-1]], strict=True):
        assert torch.equal(layer, expected)
    late = kind in ("falcon_mamba", "mamba", "mamba2", "rwkv")
    assert ["layers" in embedder.at(layer).provenance()["key"] for layer in (-1, 1)] == [False, late]


@pytest.mark.parametrize(
    ("one", "other", "key"), [(-2, 1, [1]), (-3, 0, [0]), (2, "last", [-1]), ([0, 2], [-3, -1], [0, -1])]
)
def test_a_layer_has_one_number_in_keys(one, other, key, tmp_path):
    folder = str(tiny_models.esm(tmp_path))
    found = [Embedder.from_pretrained(folder, layer=layer, device="cpu") for layer in (one, other)]
    assert [each.provenance()["key"]["layer"] for each in found] == [key, key]
    assert found[0].provenance() == found[1].provenance()


def test_states_of_a_module_that_names_no_embeddings_are_taken_as_they_come():
    class Blocks(Toy):
        def __init__(self):
            super().__init__(None)
            self.blocks = nn.ModuleList([nn.Linear(WIDTH, WIDTH)])

        def forward(self, input_ids, output_hidden_states=False):
            first = self.blocks[0](self.embedding(input_ids))
            return {"last_hidden_state": 2 * first, "hidden_states": (first, 2 * first)}

    model = Blocks()
    embedder = of_model(model, layer=0)
    ids = torch.from_numpy(embedder.scheme.encode(["ACGT"])[0].ids)
    assert (embedder.n_layers, embedder.network.late) == (1, False)
    assert torch.allclose(next(embedder.embed(["ACGT"])).vectors, model.blocks[0](model.embedding(ids)), atol=1e-6)


def test_the_last_layer_is_the_output_where_its_hidden_state_is_another():
    class Normed(Toy):
        def forward(self, input_ids, output_hidden_states=False):
            hidden = self.embedding(input_ids)
            return {"last_hidden_state": 5 * hidden, "hidden_states": (hidden, 2 * hidden)}

    model = Normed(None)
    assert torch.equal(next(of_model(model, layer=1).embed(["ACGT"])).vectors, expected(model, 5))


@pytest.mark.parametrize("layer", [3, -4, [0, 3]])
def test_layers_that_do_not_exist(tmp_path, layer):
    folder = str(tiny_models.esm(tmp_path))
    with pytest.raises(BendError, match=r"has no layer -?\d: it has 2 layers, 0 \(embeddings\) to 2"):
        Embedder.from_pretrained(folder, layer=layer, device="cpu")
    with pytest.raises(BendError, match="it has 2 layers"):
        next(Embedder.from_pretrained(folder, device="cpu").embed_layers(["ACGT"], [layer] if layer == 3 else [9]))


def test_an_embedding_matrix_does_not_make_a_model_causal(tmp_path):
    assert not Embedder.from_pretrained(str(tiny_models.esm(tmp_path)), layer=0, device="cpu").causal


# Strands.


class TwoStrands(nn.Module):
    """Caduceus-ps in miniature: each layer's second half of channels is the reverse complement's, reversed."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 2 * WIDTH)

    def forward(self, input_ids, output_hidden_states=False):
        hidden = self.embedding(input_ids)
        states = (hidden, hidden.square() + 1, -3 * hidden.exp())
        return {"last_hidden_state": states[-1], "hidden_states": states}


@pytest.mark.parametrize("layer", [[0, -1], [2, 1, 0]])
def test_strands_of_several_layers_are_folded_layer_by_layer(layer):
    torch.manual_seed(3)
    model = TwoStrands()
    config = {"rcps": True}
    found = next(of_model(model, config, strand="average", layer=layer).embed(["ACGTN"])).vectors
    alone = [next(of_model(model, config, strand="average", layer=one).embed(["ACGTN"])).vectors for one in layer]
    assert torch.equal(found, torch.cat(alone, -1))
    raw = next(of_model(model, config, layer=layer[0]).embed(["ACGTN"])).vectors
    assert torch.equal(alone[0], (raw[:, :WIDTH] + raw[:, WIDTH:].flip(-1)) / 2)
    assert torch.equal(fold(raw), alone[0])


def test_averaged_strands_of_several_layers(tmp_path):
    folder = str(tiny_models.esm(tmp_path))
    embedder = Embedder.from_pretrained(folder, device="cpu", dtype="float32", strand="average")
    forward = Embedder.from_pretrained(folder, device="cpu", dtype="float32")
    sequence, reverse = "ACGTTACCAGGT", "ACCTGGTAACGT"
    [found] = embedder.embed_layers([sequence], [0, -1])
    pairs = zip(*forward.embed_layers([sequence, reverse], [0, -1]), strict=True)
    for tokens, pair in zip(found, pairs, strict=True):
        assert torch.allclose(tokens.vectors, average_strands(*pair).vectors, atol=1e-6)


# Scale, and devices.


@pytest.mark.parametrize(("factor", "wild"), [(1.0, False), (100.0, True), (0.001, True)])
def test_wild_scales_are_said(factor, wild):
    model = Toy(lambda logits, hidden: (factor * hidden,))
    measured = of_model(model).measured
    assert measured.wild == wild
    assert ("standardised" in scale_text(measured)) == wild
    letters = expected(model, factor).std(0, correction=0)
    assert measured.deviations[0] == pytest.approx(float(letters.min()), rel=0.3)
    assert of_model(model).provenance()["deviations"] == measured.deviations


@pytest.mark.parametrize("device", ["mps", "xpu", "cuda", "cuda:7", "meta", "nonsense"])
def test_absent_devices_are_refused_in_a_sentence(device, monkeypatch):
    monkeypatch.setattr(devices, "_count", lambda kind: int(kind == "cpu"))
    with pytest.raises(BendError, match=rf"device='{device}' \(--device\) is (not there|none)"):
        pick_device(device)


@pytest.mark.parametrize(("there", "picked"), [((), "cpu"), (("mps",), "mps"), (("xpu", "mps"), "xpu")])
def test_the_best_device_there_is(there, picked, monkeypatch):
    monkeypatch.setattr(devices, "_count", lambda kind: int(kind == "cpu" or kind in there))
    assert pick_device(None).type == picked


def test_a_device_that_computes_something_else_is_not_believed(caplog):
    class Turning(Toy):
        calls = 0

        def forward(self, input_ids):
            self.calls += 1
            return (self.embedding(input_ids) * self.calls,)

    class Failing(Toy):
        device = torch.device("cpu")

        def to(self, device):
            self.device = device
            return self

        def forward(self, input_ids):
            if self.device.type == "meta":
                raise NotImplementedError("no kernel")
            return (self.embedding(input_ids),)

    scheme = character_scheme()
    assert agrees_with_cpu(Toy(lambda logits, hidden: (hidden,)), "toy", scheme, torch.device("cpu"))
    assert not agrees_with_cpu(Turning(None), "toy", scheme, torch.device("cpu"))
    assert not agrees_with_cpu(Failing(None), "toy", scheme, torch.device("meta"))
    assert "toy does not run on meta" in caplog.text


def test_float32_is_no_tf32_while_a_model_runs():
    seen = []

    def output(logits, hidden):
        seen.append(torch.backends.cudnn.allow_tf32)
        return hidden

    next(of_model(Toy(output)).embed(["ACGT"]))
    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32


class Neighbours(Toy):
    """Each vector is the sum of those up to its own."""

    def forward(self, input_ids):
        return (self.embedding(input_ids).cumsum(1),)


class Attention(Toy):
    """Named so, and sees nothing else: what computes it is missing."""


def test_a_model_whose_tokens_see_nothing_else():
    alone = of_model(Toy(lambda logits, hidden: hidden))
    assert (alone.measured.isolated, alone.measured.causal) == (True, True)
    assert "no token's vector depends on any other token" in verdict(alone, 6, None)
    assert not of_model(Neighbours(None)).measured.isolated
    assert not of_model(Toy(lambda logits, hidden: hidden), context=8).measured.isolated  # too short to tell
    with pytest.raises(BendError, match="toy has attention, but no token's vector depends on any other token"):
        of_model(Attention(lambda logits, hidden: hidden))


def test_the_verdict_names_all_that_wants_care():
    model = of_model(Neighbours(None))
    model.measured = replace(model.measured, deviations=(1.0, 1.0, 1.0))
    assert verdict(model, 6, None) == "ready"
    assert verdict(model, 0, None) == "not usable: its vectors are the same for every nucleotide"
    model.measured = replace(model.measured, deviations=(90.0, 90.0, 90.0))
    model.network.multiple = 4
    model.loaded = replace(model.loaded, trusted=True, reading={"scheme": "text"}, notes=("it is old",))
    assert verdict(model, 1, "2 of 6 channels never change") == (
        "ready with care: it is old; 2 of 6 channels never change; its vectors have only 1 direction; the scale of its "
        "vectors is far from the recipe's: try standardize; inputs are padded to multiples of 4 tokens; DNA is read as "
        "text; code that came with it has run"
    )
