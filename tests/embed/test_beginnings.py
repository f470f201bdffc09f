"""One token of each sequence: the vectors of whole sequences, from fewer tokens where inputs begin alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bend_hf.embed.beginnings import LONGEST_TAIL, begin_alike, goes_on
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.pieces import Piece
from bend_hf.errors import BendError
from bend_hf.models.parts import Carried

GOLDENS = Path(__file__).resolve().parent.parent / "models" / "goldens"


def native(name, write):
    def make(folder):
        shutil.copytree(GOLDENS / name, folder)
        write(folder)
        return folder

    return make


CAUSAL = {
    "gpt2": tiny_models.gpt2,
    "llama": tiny_models.llama,
    "mamba": tiny_models.mamba,
    "generator": tiny_models.generator,
    "awd_lstm": native(
        "awd_lstm",
        lambda folder: tiny_models.with_ids(folder, {"[PAD]": 0, "[UNK]": 1, "a": 8, "c": 9, "g": 10, "t": 11}),
    ),
    "hyenadna": native(
        "hyenadna",
        lambda folder: tiny_models.write(folder, "tokenizer_config.json", {"tokenizer_class": "HyenaDNATokenizer"}),
    ),
}


def causal_subwords(folder):
    from transformers import GPT2Config

    size = tiny_models.byte_pairs(folder).get_vocab_size()
    config = GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=256, bos_token_id=0, eos_token_id=0
    )
    return tiny_models.save(folder, config, 0)


OTHERS = {"subwords": causal_subwords, "dnabert": tiny_models.dnabert, "esm": tiny_models.esm, "bpe": tiny_models.bpe}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: make(root / name) for name, make in (CAUSAL | OTHERS).items()}


def load(folder, **options):
    return Embedder.from_pretrained(str(folder), **{"dtype": "float32", "device": "cpu", **options})


def alleles(size, references=5):
    """Sequences that differ in the last base, two of which are the same, and unrelated ones; what is asked for."""
    found = []
    for seed in range(references):
        text = tiny_models.dna(size, seed)
        found += [(text[:-1] + base, size - 1) for base in "ACGTA"]
        found.append((tiny_models.dna(size // 2 + seed, 100 + seed), size // 4))
    return found


def expected(embedder, places, layers):
    """The same from whole sequences, each by itself."""
    for text, nucleotide in places:
        tokens = next(embedder.embed_layers([text], layers))
        token = int(np.searchsorted(np.cumsum(tokens[0].lengths), nucleotide, "right"))
        yield [one.vectors[token] for one in tokens]


@pytest.mark.parametrize("name", [*CAUSAL, *OTHERS])
def test_vectors_are_those_of_whole_sequences(folders, name):
    """In float64: in float32 the order of sums alone takes the two as far apart as 5e-6, by processor."""
    embedder = load(folders[name])
    embedder.network.model.double()
    layers, places = range(embedder.n_layers + 1), alleles(60)
    assert (goes_on(embedder, layers) > 0) == (name in {*CAUSAL, "subwords"})
    found = list(embedder.embed_at(iter(places), layers))
    for some, others in zip(found, expected(embedder, places, layers), strict=True):
        for one, other in zip(some, others, strict=True):
            assert torch.allclose(one, other, rtol=0, atol=1e-6 * float(other.square().mean().sqrt()))
    assert all(torch.equal(*pair) for pair in zip(found[0], found[4], strict=True))  # one sequence


def tokens_read(embedder):
    """Count the tokens that a model is given from now on."""
    seen = []
    embedder.network.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    return seen


@pytest.mark.parametrize("name", CAUSAL)
def test_what_begins_alike_is_read_once(folders, name):
    embedder = load(folders[name], batch_tokens=4 * 60)
    sequences = [text for text, _ in alleles(60) if len(text) == 60]
    seen = tokens_read(embedder)
    goes_on(embedder, [-1])
    tried = sum(seen)
    list(embedder.embed_at([(text, 59) for text in sequences]))
    k = embedder.scheme.k or 1
    specials = len(embedder.scheme.prefix)
    assert sum(seen) == 2 * tried + 5 * (60 // k + specials - 1) + 5 * 4


def test_what_a_causal_model_does_not_see_is_not_read(folders):
    embedder = load(folders["gpt2"])
    seen = tokens_read(embedder)
    goes_on(embedder, [-1])
    tried = sum(seen)
    text = tiny_models.dna(500, 1)
    [[vector]] = embedder.embed_at([(text, 99)])
    assert sum(seen) == 2 * tried + 100
    assert torch.allclose(vector, next(embedder.embed([text])).vectors[99], atol=1e-5)


def test_the_token_asked_for_lies_in_one_window_of_several(folders):
    embedder = load(folders["esm"], context=20)
    text = tiny_models.dna(1000, 3)
    whole = next(embedder.embed([text]))
    places = [0, 5, 6, 333, 500, 999]
    for nucleotide, [vector] in zip(places, embedder.embed_at([(text, at) for at in places]), strict=True):
        assert torch.allclose(
            vector, whole.vectors[np.repeat(np.arange(len(whole.lengths)), whole.lengths)[nucleotide]], atol=1e-6
        )


def test_layers_side_by_side(folders):
    embedder = load(folders["gpt2"], layer=[1, -1])
    found = list(embedder.embed_at(alleles(30, 1)))
    for [one, other], (text, at) in zip(found, alleles(30, 1), strict=True):
        assert torch.allclose(torch.cat((one, other)), next(embedder.embed([text])).vectors[at], atol=1e-5)


@pytest.mark.parametrize("name", ["awd_lstm", "hyenadna"])
def test_a_model_that_goes_on_from_elsewhere_reads_every_input_whole(folders, name, monkeypatch):
    embedder, places = load(folders[name]), alleles(60, 2)
    assert goes_on(embedder, [-1]) == LONGEST_TAIL
    right = [vector for [vector] in embedder.embed_at(places)]
    own = Carried.reorder_cache

    def forget(self, beam_idx):
        own(self, beam_idx)
        self.layers = [tuple(part * 0.99 for part in layer) for layer in self.layers]

    monkeypatch.setattr(Carried, "reorder_cache", forget)
    assert goes_on(embedder, [-1]) == 0
    for one, [other] in zip(right, embedder.embed_at(places), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-5)


def test_models_that_give_nothing_to_go_on_from(folders, monkeypatch):
    embedder = load(folders["gpt2"])
    assert goes_on(embedder, [-1]) == LONGEST_TAIL
    forward = embedder.network.call
    monkeypatch.setattr(embedder.network, "call", lambda **given: forward(**given | {"use_cache": False}))
    assert goes_on(embedder, [-1]) == 0
    with pytest.raises(BendError, match="gives nothing to go on from"):
        embedder.network.behind(torch.tensor([[3, 4]]), torch.tensor([0]), torch.tensor([[5]]), [-1])


def test_smaller_batches_where_memory_runs_out(folders, monkeypatch, caplog):
    embedder, places = load(folders["gpt2"]), alleles(60)
    right = [vector for [vector] in embedder.embed_at(places)]
    behind = embedder.network.behind

    def hungry(ids, *rest):
        if len(ids) > 2:
            raise MemoryError
        return behind(ids, *rest)

    monkeypatch.setattr(embedder.network, "behind", hungry)
    assert all(
        torch.allclose(one, other, atol=1e-5) for one, [other] in zip(right, embedder.embed_at(places), strict=True)
    )
    assert "memory ran out; going on with" in caplog.text


def test_what_is_not_there_is_refused(folders):
    embedder = load(folders["gpt2"])
    with pytest.raises(BendError, match="Sequence 1 has 4 nucleotides, and none at index 4"):
        list(embedder.embed_at([("ACGT", 3), ("ACGT", 4)]))
    with pytest.raises(BendError, match="none at index -1"):
        list(embedder.embed_at([("ACGT", -1)]))
    for place in (("ACGT", "1"), ("ACGT", 1.0), ("ACGT", True), ("ACGT",), "ACGT", None):
        with pytest.raises(BendError, match=r"Place 1 is .*: give a sequence and the index of a nucleotide in it"):
            list(embedder.embed_at([("ACGT", np.int64(3)), place]))
    with pytest.raises(BendError):
        list(embedder.embed_at("ACGT"))
    embedder.network.model.wte.weight.data[embedder.scheme.encode(["T"])[0].ids[0]] = torch.nan
    with pytest.raises(BendError, match=r"NaN or infinite vectors for sequence 2 \(4 nucleotides, ACGT"):
        list(embedder.embed_at([("ACGA", 3), ("ACGC", 3), ("ACGT", 3)]))


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=12), min_size=1, max_size=12), st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_every_input_goes_on_from_its_beginning(inputs, longest):
    asked = [Piece(row, np.array(ids), slice(0, 1), slice(0, 1)) for row, ids in enumerate(inputs)]
    found = begin_alike(asked, longest)
    assert sorted(row for one in found for rows in one.askers for row in rows) == list(range(len(inputs)))
    for one in found:
        assert len({ids.tobytes() for ids in one.inputs}) == len(one.inputs)
        for tail, rows in zip(one.tails, one.askers, strict=True):
            assert 1 <= len(tail) <= longest
            assert all([*one.ids, *tail] == inputs[row] for row in rows)
