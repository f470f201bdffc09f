"""Vectors: equal to one sequence at a time, in order, whatever they are batched, cut or buffered with."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import tiny_models
import torch
from torch import nn

from bend_hf.embed import ready as module
from bend_hf.embed import stream as streaming
from bend_hf.embed.adapters import CallableEmbedder
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.interface import Tokens
from bend_hf.embed.onehot import OneHotEmbedder
from bend_hf.embed.open import load_embedder
from bend_hf.embed.rules import reverse_complement
from bend_hf.embed.store import vectors_for
from bend_hf.embed.strands import average_strands
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol

FAMILIES = tuple(tiny_models.FAMILIES)
TOLERANCE = {"mamba": 1e-4}  # its recurrence, with these large random weights, magnifies rounding


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: make(root / name) for name, make in tiny_models.FAMILIES.items()}


def load(folder, **options):
    return Embedder.from_pretrained(str(folder), **{"dtype": "float32", "device": "cpu", **options})


SEQUENCES = [tiny_models.dna(n, n) for n in (61, 13, 700, 512, 20, 512, 233)] + ["ACGTN" * 9, "N" * 30]


def same(found, expected, tolerance=1e-5):
    assert found.lengths.tolist() == expected.lengths.tolist()
    assert found.vectors.shape == expected.vectors.shape
    scale = max(1.0, float(expected.vectors.float().square().mean().sqrt()))
    assert (found.vectors.float() - expected.vectors.float()).abs().max() <= tolerance * scale


@pytest.mark.parametrize("name", FAMILIES)
def test_batching_changes_no_vector(folders, name):
    embedder = load(folders[name])
    together = list(embedder.embed(SEQUENCES))
    for sequence, found in zip(SEQUENCES, together, strict=True):
        assert found.lengths.sum() == len(sequence)
        assert found.vectors.shape == (len(found.lengths), embedder.dim)
        same(found, next(embedder.embed([sequence])), TOLERANCE.get(name, 1e-5))
    small = load(folders[name], batch_tokens=1)
    for found, expected in zip(small.embed(iter(SEQUENCES)), together, strict=True):
        same(found, expected, TOLERANCE.get(name, 1e-5))


@pytest.mark.parametrize("name", FAMILIES)
def test_equals_the_plain_loop(folders, name):
    """One sequence at a time through transformers' own tokenizer and model, specials cut off."""
    from transformers import AutoModel, AutoTokenizer

    embedder = load(folders[name])
    tokenizer = AutoTokenizer.from_pretrained(folders[name])
    model = (
        AutoModel.from_pretrained(folders[name], dtype=torch.float32, attn_implementation="eager").eval()
        if name != "mamba"
        else AutoModel.from_pretrained(folders[name]).eval()
    )
    front, behind = len(embedder.scheme.prefix), len(embedder.scheme.suffix)
    for sequence in SEQUENCES[:2] + SEQUENCES[3:5]:
        text = " ".join(sequence[i : i + 6] for i in range(len(sequence) - 5)) if name == "dnabert" else sequence
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            hidden = model(input_ids=ids).last_hidden_state[0]
        assert torch.allclose(hidden[front : len(hidden) - behind], next(embedder.embed([sequence])).vectors, atol=2e-5)


def test_measured(folders):
    found = {name: load(folders[name]).measured for name in FAMILIES}
    assert {name for name, measured in found.items() if measured.causal} == {"gpt2", "llama", "mamba"}
    assert all(measured.padding_safe for measured in found.values())


class Unmasked(nn.Module):
    """A bidirectional convolution without an attention mask: padding reaches its vectors."""

    def __init__(self, dim=8):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(24, dim)
        self.convolution = nn.Conv1d(dim, dim, 9, padding=4)
        self.widest = 0

    def forward(self, input_ids):
        self.widest = max(self.widest, len(input_ids))
        return (self.convolution(self.embedding(input_ids).transpose(1, 2)).transpose(1, 2),)


def of_model(model, **options):
    from bend_hf.embed.loading import Loaded
    from bend_hf.embed.tokens import character_scheme

    loaded = Loaded("test", model.eval(), character_scheme(suffix=()), {}, {}, "a test", (), {"files": "none"})
    return Embedder(loaded, **{"dtype": "float32", "device": "cpu", **options})


def test_models_that_padding_reaches_get_batches_of_one_length():
    model = Unmasked()
    embedder = of_model(model)
    assert not embedder.measured.padding_safe
    model.widest = 0
    together = list(embedder.embed(SEQUENCES))
    assert model.widest == 2  # the two sequences of 512
    for sequence, found in zip(SEQUENCES, together, strict=True):
        same(found, next(embedder.embed([sequence])))


class NoNumbersBesidePadding(nn.Module):
    """Gives NaN for an input of several rows, of which one is padded; right vectors for each alone."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(24, 8)

    def forward(self, input_ids):
        ends = (input_ids == input_ids[0, -1]).all()
        return (self.embedding(input_ids) * (1 if len(input_ids) == 1 or ends else torch.nan),)


def test_models_whose_padded_vectors_are_no_numbers_get_batches_of_one_length():
    assert not of_model(NoNumbersBesidePadding()).measured.padding_safe


class Hungry(Unmasked):
    def forward(self, input_ids):
        if input_ids.numel() > 1500:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(input_ids)


def test_out_of_memory_halves_the_batch_and_goes_on(caplog):
    embedder = of_model(Hungry(), batch_tokens=100_000)
    sequences = [tiny_models.dna(400, n) for n in range(12)]
    found = list(embedder.embed(sequences))
    assert "memory ran out" in caplog.text
    assert embedder.batch_tokens <= 1500
    for one, other in zip(found, of_model(Unmasked()).embed(sequences), strict=True):
        same(one, other)
    with pytest.raises(BendError, match="one input of 2000 tokens"):
        list(embedder.embed([tiny_models.dna(2000)]))


# Long input.


@pytest.mark.parametrize("context", [66, 263])
@pytest.mark.parametrize("name", ["dnabert", "esm", "bpe", "gpt2"])
@pytest.mark.parametrize("policy", ["overlap", "abut"])
def test_windows_equal_one_at_a_time(tmp_path, name, policy, context):
    """Long input is cut, batched and stitched; done by hand, one window after the other, it is the same."""
    from bend_hf.embed.windows import plan

    rules = replace(get_protocol("default"), windows=policy)
    embedder = load(tiny_models.FAMILIES[name](tmp_path, context=context), protocol=rules)
    size, scheme = embedder.cut.tokens, embedder.scheme
    assert (size + scheme.specials) % 16 == 0 or policy == "abut" or context < 256
    sequence = tiny_models.dna(1100 if context < 256 else 3000, 5)
    found = next(embedder.embed([sequence]))
    assert found.lengths.sum() == len(sequence)
    tokens = scheme.encode([sequence])[0]
    for window in plan(len(tokens.ids), size, policy, embedder.causal):
        ids = np.concatenate((scheme.prefix, tokens.ids[window.start : window.stop], scheme.suffix)).astype(np.int64)
        hidden = embedder.network(torch.from_numpy(ids)[None])[0]
        at = len(scheme.prefix) - window.start
        expected = hidden[at + window.keep_start : at + window.keep_stop]
        assert torch.allclose(found.vectors[window.keep_start : window.keep_stop], expected, atol=1e-5)


def test_reference_pieces_of_kmers_are_cut_in_nucleotides(folders, tmp_path):
    """NT's pieces are tokens times six nucleotides: an N in one piece does not move the next."""
    embedder = load(tiny_models.esm(tmp_path, context=21), protocol="bend-2024")
    assert embedder.cut.nucleotides == 120
    sequence = tiny_models.dna(60, 1) + "N" + tiny_models.dna(300, 2)
    found = next(embedder.embed([sequence]))
    pieces = [next(embedder.embed([sequence[i : i + 120]])) for i in range(0, 361, 120)]
    assert found.lengths.tolist() == [n for piece in pieces for n in piece.lengths]
    assert torch.allclose(found.vectors, torch.cat([piece.vectors for piece in pieces]), atol=1e-5)


def test_overlap_is_nearer_to_the_whole_than_abutting(tmp_path):
    """A bidirectional model of local context gives the vectors of uncut input where windows overlap enough."""
    whole = of_model(Unmasked())
    cut = of_model(Unmasked(), context=160)
    sequence = tiny_models.dna(1500, 3)
    same(next(cut.embed([sequence])), next(whole.embed([sequence])), 1e-6)
    rules = replace(get_protocol("default"), windows="abut")
    abut = next(of_model(Unmasked(), context=160, protocol=rules).embed([sequence]))
    assert (abut.vectors - next(whole.embed([sequence])).vectors).abs().max() > 1e-3


@pytest.mark.parametrize("length", [100_096, 1_000_000])
def test_very_long_input(length):
    embedder = of_model(Unmasked(4))
    found = next(embedder.embed([tiny_models.dna(length)]))
    assert found.vectors.shape == (length, 4)
    assert found.lengths.sum() == length


def test_a_stream_is_read_as_far_as_needed(folders, monkeypatch):
    """Memory does not grow with the number of sequences: a generator is read in chunks."""
    monkeypatch.setattr(streaming, "BUFFER_BYTES", 2**16)
    embedder = load(folders["esm"], batch_tokens=64)
    read = 0

    def stream():
        nonlocal read
        for n in range(1200):
            read += 1
            yield tiny_models.dna(120, n % 7)

    for _ in embedder.embed(stream()):  # what libraries make once is not counted
        pass
    read = 0
    tracemalloc.start()
    peaks = []
    for n, tokens in enumerate(embedder.embed(stream())):
        assert read - n < 200
        assert len(tokens.lengths) == 20
        if n in (300, 1199):
            peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] - peaks[0] < 200_000  # the 900 sequences between would take 2,400,000 bytes of vectors


def test_messages_number_sequences_not_pieces(tmp_path):
    embedder = load(tiny_models.esm(tmp_path, context=21), protocol="bend-2024")
    with pytest.raises(BendError, match="Sequence 2 holds 'X' at position 130"):
        list(embedder.embed([tiny_models.dna(500), "ACGT", tiny_models.dna(130) + "X"]))


# Layers, strands, precision.


def test_layers(folders):
    from transformers import AutoModel

    one, several, last = (load(folders["esm"], layer=layer) for layer in (1, [0, 1, "last"], "last"))
    sequence = tiny_models.dna(60)
    found = next(several.embed([sequence])).vectors
    assert found.shape == (10, 96)
    assert several.dim == 96
    assert torch.allclose(found[:, 32:64], next(one.embed([sequence])).vectors, atol=1e-6)
    assert torch.allclose(found[:, 64:], next(last.embed([sequence])).vectors, atol=1e-6)
    model = AutoModel.from_pretrained(folders["esm"], dtype=torch.float32).eval()
    ids = torch.tensor([[*one.scheme.prefix, *one.scheme.encode([sequence])[0].ids]])
    states = model(ids, output_hidden_states=True).hidden_states
    assert torch.allclose(found[:, 32:64], states[1][0, 1:], atol=1e-5)
    with pytest.raises(BendError, match="no layer 9: it has 2 layers"):
        load(folders["esm"], layer=9)
    with pytest.raises(BendError, match="layer='first'"):
        load(folders["esm"], layer="first")
    assert load(folders["esm"], layer=1).provenance()["key"] != load(folders["esm"], layer=0).provenance()["key"]


@pytest.mark.parametrize("name", ["esm", "bpe", "gpt2", "dnabert"])
def test_strand_average(folders, name):
    """At every nucleotide the mean of both strands; reverse complementing the input reverses the result."""
    embedder, forward = load(folders[name], strand="average"), load(folders[name])
    sequence = tiny_models.dna(157, 8)

    def per_nucleotide(tokens):
        return tokens.vectors.repeat_interleave(torch.from_numpy(tokens.lengths), 0)

    found = per_nucleotide(next(embedder.embed([sequence])))
    one, other = (per_nucleotide(next(forward.embed([text]))) for text in (sequence, reverse_complement(sequence)))
    assert torch.allclose(found, (one + other.flip(0)) / 2, atol=1e-5)
    flipped = per_nucleotide(next(embedder.embed([reverse_complement(sequence)]))).flip(0)
    assert torch.allclose(found, flipped, atol=1e-5)
    assert embedder.count_tokens([sequence])[0] >= len(next(embedder.embed([sequence])).lengths)


def test_average_of_partitions():
    forward = Tokens(torch.tensor([[0.0], [2.0]]), np.array([2, 3]))
    reverse = Tokens(torch.tensor([[10.0], [20.0]]), np.array([4, 1]))
    found = average_strands(forward, reverse)
    assert found.lengths.tolist() == [1, 1, 3]
    assert found.vectors[:, 0].tolist() == [10.0, 5.0, 6.0]


class BothStrands(Unmasked):
    """Channels of both strands, as Caduceus-ps: the second half is the reverse complement's, channels reversed."""

    def forward(self, input_ids):
        paired = torch.tensor([0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15])
        one = super().forward(input_ids)[0]
        other = super().forward(paired[input_ids].flip(1))[0]
        return (torch.cat([one, other.flip(1).flip(2)], -1),)


def test_channels_of_both_strands():
    from dataclasses import replace

    sequence = tiny_models.dna(80, 4)
    whole = of_model(BothStrands())
    assert whole.dim == 16
    loaded = replace(whole.loaded, config={"rcps": True})
    folded = Embedder(loaded, dtype="float32", device="cpu", strand="average")
    assert folded.dim == 8
    found = next(folded.embed([sequence])).vectors
    assert torch.allclose(found, next(folded.embed([reverse_complement(sequence)])).vectors.flip(0), atol=1e-6)
    same(Tokens(found, np.ones(80)), next(of_model(Unmasked(), strand="average").embed([sequence])), 1e-5)


@pytest.mark.parametrize("name", ["dnabert", "esm", "bpe"])
@pytest.mark.parametrize("tokens", [(100, 90), (191, 191), (17, 16)])
def test_half_precision_fills_matrix_units(folders, name, tokens, monkeypatch):
    """Batches are padded to multiples of 16 tokens where that costs little, never past the context."""
    half, exact = load(folders[name], dtype="bfloat16"), load(folders[name])
    widths, call = [], type(half.network).hidden

    def spy(network, ids, lengths, layers):
        widths.append(ids.shape[1])
        return call(network, ids, lengths, layers)

    monkeypatch.setattr(type(half.network), "hidden", spy)
    sequences = [tiny_models.dna(n * {"dnabert": 1, "esm": 6, "bpe": 5}[name], n) for n in tokens]
    sizes = [len(ids) + half.scheme.specials for ids, _ in half.scheme.encode(sequences)]
    found = list(half.embed(sequences))
    longest, (width,) = max(sizes), widths
    full = -(-longest // 16) * 16
    worth = len(set(sizes)) > 1 or full - longest <= longest // 64
    assert width == (full if worth and full <= half.limits.context else longest)
    for given, sequence in zip(found, sequences, strict=True):
        (alone,) = exact.embed([sequence])
        assert torch.cosine_similarity(given.vectors.float(), alone.vectors, dim=1).min() > 0.999


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_agrees(folders, name):
    exact, half = load(folders[name]), load(folders[name], dtype="bfloat16")
    assert half.dtype == "bfloat16"
    assert half.measured.agreement > 0.99
    sequence = [tiny_models.dna(300, 2)]
    cosine = torch.cosine_similarity(
        next(exact.embed(sequence)).vectors, next(half.embed(sequence)).vectors.float(), dim=-1
    )
    assert cosine.mean() > 0.995


def test_auto_precision_falls_back(monkeypatch):
    monkeypatch.setattr(module, "native_half", lambda device: torch.bfloat16)
    assert of_model(Unmasked(), dtype="auto").dtype == "bfloat16"
    monkeypatch.setattr(module, "AGREEMENT", 1.1)
    assert of_model(Unmasked(), dtype="auto").dtype == "float32"


@pytest.mark.parametrize("factor", [1e-25, 1.0, 1e25])
def test_what_is_measured_does_not_depend_on_the_scale(factor):
    """However large or small vectors are: against an infinite scale no difference would count."""

    class Scaled(Unmasked):
        def forward(self, input_ids):
            return (super().forward(input_ids)[0] * factor,)

    found = of_model(Scaled(), dtype="float32").measured
    assert (found.causal, found.padding_safe, found.isolated) == (False, False, False)
    assert found.scale / factor == pytest.approx(of_model(Unmasked(), dtype="float32").measured.scale, rel=1e-3)


def test_auto_precision_falls_back_where_what_tells_tokens_apart_is_lost(monkeypatch, caplog):
    """A large part that all vectors share makes them agree in half precision, whatever is rounded away beside it."""

    class Shifted(Unmasked):
        def forward(self, input_ids):
            (vectors,) = super().forward(input_ids)
            return (nn.functional.linear(vectors, torch.eye(vectors.shape[-1])) + self.shift,)

    monkeypatch.setattr(module, "native_half", lambda device: torch.bfloat16)
    caplog.set_level("INFO", "bend_hf")
    for shift, dtype in ((0.0, "bfloat16"), (1000.0, "float32")):
        model = Shifted()
        model.shift = shift
        found = of_model(model, dtype="auto")
        assert found.measured.agreement > 0.999
        assert found.dtype == dtype
    assert "to float32 of what tells tokens apart; computing in float32" in caplog.text


@pytest.mark.parametrize("name", ["dnabert", "esm", "bpe", "gpt2", "llama"])
def test_weights_in_half_precision(folders, name):
    """Where it agrees, stock models hold their weights in half precision; where not, autocast does it."""
    held = load(folders[name], dtype="bfloat16")
    assert held.measured.held is not None
    weights = {weight.dtype for weight in held.network.model.parameters()}
    assert held.network.autocast == (held.measured.held < module.AGREEMENT)
    assert weights == ({torch.float32} if held.network.autocast else {torch.bfloat16})
    buffers = {b.dtype for b in held.network.model.buffers() if b.is_floating_point()}
    assert buffers <= {torch.float32}
    exact = load(folders[name])
    assert {weight.dtype for weight in exact.network.model.parameters()} == {torch.float32}
    assert exact.provenance()["key"] != held.provenance()["key"]


class Overflowing(Unmasked):
    def forward(self, input_ids):
        hidden = super().forward(input_ids)[0]
        return (hidden.masked_fill((input_ids == 11)[..., None], torch.inf),)


def test_infinite_vectors_name_model_sequence_and_dtype():
    embedder = of_model(Overflowing())
    with pytest.raises(
        BendError, match=r"test in float32 gives NaN or infinite vectors for sequence 2 \(6 nucleotides"
    ):
        list(embedder.embed(["ACGT", "ACGTT", "ACGTNN", "ACG"]))


@pytest.mark.parametrize("wrong", [0, 1])
def test_vectors_of_any_layer_that_are_not_finite_are_refused(tmp_path, monkeypatch, wrong):
    embedder = Embedder.from_pretrained(tiny_models.esm(tmp_path), dtype="float32", device="cpu")
    hidden = embedder.network.hidden

    def poisoned(*batch):
        found = [layer.clone() for layer in hidden(*batch)]
        found[wrong][0, 1, 0] = float("nan")
        return found

    monkeypatch.setattr(embedder.network, "hidden", poisoned)
    with pytest.raises(BendError, match="gives NaN or infinite vectors for sequence 0"):
        list(embedder.embed_layers(["ACGTTGCAACGT"], [0, -1]))


# One-hot, adapters, loading by name, provenance.


def test_onehot():
    found = next(OneHotEmbedder().embed(["ACGNTa"]))
    assert found.vectors.argmax(1).tolist() == [0, 1, 2, 3, 4, 0]  # A C G N T
    assert found.vectors.sum() == 6
    assert found.lengths.tolist() == [1] * 6
    assert OneHotEmbedder().count_tokens(["ACG", "A"]).tolist() == [3, 1]
    with pytest.raises(BendError, match="Sequence 1 is empty"):
        list(OneHotEmbedder().embed(["A", ""]))


def halves(sequences):
    return [np.full((2, 3), len(s), np.float32) for s in sequences], [
        [len(s) // 2, len(s) - len(s) // 2] for s in sequences
    ]


def test_callables():
    embedder = load_embedder(halves, protocol=get_protocol("default"))
    assert (embedder.name, embedder.dim, embedder.causal) == ("halves", 3, False)
    found = list(embedder.embed(tiny_models.dna(n) for n in (5, 8)))
    assert [tokens.lengths.tolist() for tokens in found] == [[2, 3], [4, 4]]
    per_nucleotide = CallableEmbedder(lambda s: ([torch.zeros(len(x), 7) for x in s], None), name="evo2", causal=True)
    assert (per_nucleotide.dim, per_nucleotide.causal) == (7, True)
    assert per_nucleotide.count_tokens(["ACGT"]).tolist() == [4]
    assert per_nucleotide.provenance()["key"]["model"] == "evo2"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda s: [np.zeros((4, 2)) for _ in s], "want \\(vectors, lengths\\)"),
        (lambda s: ([np.zeros((2, 2)) for _ in s], [[1, 1] for _ in s]), "run lengths that sum to 2"),
        (lambda s: ([np.full((len(x), 2), np.nan) for x in s], None), "NaN"),
        (lambda s: ([np.zeros(len(x)) for x in s], None), "shape"),
    ],
)
def test_callables_that_are_not_as_described(result, message):
    with pytest.raises(BendError, match=message):
        CallableEmbedder(result, name="mine")


def test_load_embedder(folders):
    protocol = get_protocol("bend-2024")
    assert load_embedder("onehot", protocol=protocol).name == "onehot"
    embedder = load_embedder(folders["dnabert"], protocol=protocol, dtype="float32")
    assert embedder.provenance()["key"]["windows"]["policy"] == "abut"
    assert load_embedder(embedder, protocol=protocol) is embedder
    found = next(embedder.embed(["ACGTTGCAACGT"]))
    plain = next(embedder.plain().embed(["ACGTTGCAACGT"]))
    assert found.lengths.sum() == 12
    upsampled = found.vectors.repeat_interleave(torch.from_numpy(found.lengths), 0)
    assert torch.equal(upsampled, plain.vectors[[0, 0, 1, 2, 3, 4, 5, 6, 0, 6, 6, 6]])
    assert embedder.count_tokens(["ACGTTGCAACGT"])[0] == len(found.lengths)
    with pytest.raises(BendError, match="is no model"):
        load_embedder(7, protocol=protocol)


def test_key_ignores_path_and_batch_but_not_weights(tmp_path, folders):
    import shutil

    copied = shutil.copytree(folders["esm"], tmp_path / "elsewhere")
    one, other = load(folders["esm"]), load(copied, batch_tokens=100)
    assert one.provenance()["key"] == other.provenance()["key"]
    different = load(tiny_models.esm(tmp_path / "seed", seed=1))
    assert different.provenance()["key"] != one.provenance()["key"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strand": "both"}, "Unknown strand"),
        ({"protocol": "bend-2042"}, "Did you mean 'bend-2024'"),
        ({"dtype": "float61"}, "Unknown dtype"),
        ({"device": "cuda:7"}, "is not there"),
        ({"device": "gpu"}, "is none"),
        ({"context": 1}, "leaves no room"),
        ({"name": 3}, "name=3 is no name of a model: give a text"),
        ({"batch_tokens": 0}, r"batch_tokens=0 \(--batch-tokens\) is no whole number of at least 1"),
        ({"batch_tokens": True}, r"batch_tokens=True \(--batch-tokens\) is no whole number"),
        ({"trust_remote_code": "no"}, r"trust_remote_code='no' \(--trust-remote-code\) is neither"),
        ({"context": 0}, r"context=0 \(--context\) is no whole number of at least 1"),
        ({"context": 2.5}, r"context=2.5 \(--context\) is no whole number of at least 1"),
    ],
)
def test_bad_options(folders, options, message):
    with pytest.raises(BendError, match=message):
        load(folders["esm"], **options)


@pytest.mark.parametrize("name", [None, b"esm", 3, ["esm"]])
def test_what_is_no_name_of_a_model(name):
    with pytest.raises(BendError, match="is no name of a model, and no path of one"):
        Embedder.from_pretrained(name)


@pytest.mark.parametrize("context", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("name", "causal"), [("gpt2", True), ("esm", False), ("bert_of_characters", False)])
def test_a_context_of_a_few_tokens_is_one(name, causal, context, tmp_path):
    """What sees both sides is not taken for causal where two tokens fit, or one beside a special token."""
    path = getattr(tiny_models, name)(tmp_path)
    if name == "esm" and context == 1:
        with pytest.raises(BendError, match="leaves no room beside 1 special tokens: give a longer context="):
            load(path, context=1)
        return
    embedder = load(path, context=context)
    assert embedder.causal == causal
    sequence = tiny_models.dna(23)
    [(vectors, lengths)] = embedder.embed([sequence])
    assert lengths.sum() == len(sequence)
    if context == 1:
        alone = torch.cat([next(embedder.embed([letter])).vectors for letter in sequence])
        assert (vectors - alone).abs().max() < 1e-5


@pytest.mark.parametrize("given", [None, b"ACGT", 7])
def test_what_is_no_text_is_refused(folders, given):
    for embedder in (
        load(folders["esm"]),
        CallableEmbedder(lambda texts: ([np.ones((len(t), 2)) for t in texts], None)),
    ):
        with pytest.raises(BendError, match=f"Sequence 1 is of type {type(given).__name__}: give DNA as text"):
            list(embedder.embed(["ACGTACGT", given]))


def test_what_has_no_order_is_no_row_of_sequences(folders):
    """Nor is one alone: its letters would be counted as sequences."""
    own = CallableEmbedder(lambda texts: ([np.ones((len(t), 2)) for t in texts], None))
    for embedder in (load(folders["esm"]), own, OneHotEmbedder()):
        for use in (lambda texts, e=embedder: next(e.embed(texts)), embedder.count_tokens):
            with pytest.raises(BendError, match="into a list"):
                use("ACGT")
            for given in ({"ACGT"}, {"ACGT": 1}, b"ACGT", 3, None):
                with pytest.raises(BendError, match=f"A {type(given).__name__} is no row of sequences in order"):
                    use(given)
    with pytest.raises(BendError, match="A set is no row of sequences"):
        vectors_for(embedder, {"ACGT"})
    with pytest.raises(BendError, match="Sequence 1 is of type NoneType"):
        vectors_for(embedder, ["ACGT", None])
    with pytest.raises(BendError, match=r"limit_bytes=nan \(--limit-bytes\) is no whole number"):
        vectors_for(embedder, ["ACGT"], limit_bytes=float("nan"))


def test_bigbird_attends_as_published_whatever_came_before(tmp_path):
    """Sparse for long input, full for short; transformers alone stays with full attention after its first short one."""
    from transformers import BigBirdConfig, BigBirdModel

    tokenizer = tiny_models.byte_pairs(tmp_path)
    config = BigBirdConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=1024,
        block_size=16,
        num_random_blocks=1,
        pad_token_id=3,
        attention_type="block_sparse",
    )
    tiny_models.save(tmp_path, config, 0)
    texts = [tiny_models.dna(size, seed) for seed, size in enumerate((60, 2600, 180, 2300, 2600))]
    embedder = load(tmp_path)
    assert not embedder.measured.padding_safe
    assert embedder.dtype == Embedder.from_pretrained(str(tmp_path), dtype="auto").dtype == "float32"
    with pytest.raises(BendError, match="cannot compute in bfloat16"):
        Embedder.from_pretrained(str(tmp_path), dtype="bfloat16")
    scheme = embedder.scheme
    encoded = [np.concatenate((scheme.prefix, scheme.encode([text])[0].ids, scheme.suffix)) for text in texts]
    assert len(encoded[0]) <= 112 < len(encoded[3])  # seven blocks of 16: where sparse attention begins
    for kind in ("first", "after the short ones"):
        for text, ids, tokens in zip(texts, encoded, embedder.embed(texts), strict=True):
            attention = "block_sparse" if len(ids) > 112 else "original_full"
            stock = BigBirdModel.from_pretrained(tmp_path, attention_type=attention).eval()
            with torch.no_grad():
                hidden = stock(torch.from_numpy(ids)[None]).last_hidden_state[0]
            inner = hidden[len(scheme.prefix) : len(hidden) - len(scheme.suffix)]
            assert (tokens.vectors - inner).abs().max() < 1e-5, (kind, len(text))


def test_a_name_is_no_loaded_model() -> None:
    with pytest.raises(BendError, match=r"^Embedder\('my-model'\): give a name or folder to Embedder\.from_pretrained"):
        Embedder("my-model")
