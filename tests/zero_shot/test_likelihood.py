"""Every likelihood against its formula written out: one forward pass per probability, no batches, float64."""

from __future__ import annotations

from functools import cache
from itertools import product
from types import SimpleNamespace
from typing import get_args
from unittest.mock import Mock

import numpy as np
import pytest
import tiny_models
import torch
from test_variant_properties import context, variants

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.open import load_embedder
from bend_hf.embed.rules import reverse_complement
from bend_hf.embed.tokens import Family
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.zero_shot.likelihood import language_model, of_model
from bend_hf.zero_shot.likelihood import masked as masked_scores
from bend_hf.zero_shot.likelihood import whole as whole_scores
from bend_hf.zero_shot.variants import score_variants
from bend_hf.zero_shot.windows import Windows

DEFAULT = get_protocol("default")
CLOSE = 1e-6


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    made = {
        "characters, causal": tiny_models.gpt2(root / "gpt2", lm=True),
        "6-mers": tiny_models.esm(root / "esm", lm=True),
        "blocks, causal": tiny_models.generator(root / "generator", lm=True),
        "byte pairs": tiny_models.moderngena(root / "moderngena"),
        "overlapping 6-mers": tiny_models.dnabert(root / "dnabert", lm=True),
        "characters": tiny_models.bert_of_characters(root / "characters"),
    }
    few = {"6-mers": 10}  # fewer tokens in a batch than a window has
    return {
        name: load_embedder(str(folder), protocol=DEFAULT, dtype="float32", device="cpu", batch_tokens=few.get(name))
        for name, folder in made.items()
    }


@cache
def exact(embedder):
    """The language model in float64, so that only the formula can differ."""
    model = language_model(embedder)
    return model and model.double()


@pytest.fixture(autouse=True)
def in_float64(monkeypatch):
    monkeypatch.setattr("bend_hf.zero_shot.variants.language_model", exact)


def log_probabilities(embedder, ids) -> np.ndarray:
    """(tokens, vocabulary) after a token, or at a masked one; of one input with its special tokens."""
    with torch.no_grad():
        return exact(embedder)(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1).numpy()


def whole(embedder, text) -> float:
    """Sum over tokens of the log probability of each given those before it."""
    front = list(embedder.scheme.prefix)
    ids = front + embedder.scheme.encode([text])[0].ids.tolist()
    logs = log_probabilities(embedder, ids)
    return float(sum(logs[at - 1, ids[at]] for at in range(max(1, len(front)), len(ids))))


def masked(embedder, text, at) -> np.ndarray:
    """Log probabilities at token `at`, masked."""
    scheme = embedder.scheme
    ids = [*scheme.prefix, *scheme.encode([text])[0].ids.tolist(), *scheme.suffix]
    ids[len(scheme.prefix) + at] = scheme.mask
    return log_probabilities(embedder, ids)[len(scheme.prefix) + at]


@pytest.mark.parametrize("name", ["characters, causal", "blocks, causal"])
def test_whole_windows_of_causal_models(models, name):
    embedder, dataset = models[name], variants(context(21), context(22))
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("llr", "llr_left", "llr_centred"))
    length = 510 if "blocks" in name else 512
    for row, record in enumerate(dataset):
        one, two = record["ref_sequence"], record["alt_sequence"]
        left = [whole(embedder, text[513 - length : 513]) for text in (one, two)]
        centred = [whole(embedder, text[256 : 256 + length]) for text in (one, two)]
        assert found["llr_left"][row] == found["llr"][row] == pytest.approx(left[0] - left[1], abs=CLOSE)
        assert found["llr_centred"][row] == pytest.approx(centred[0] - centred[1], abs=CLOSE)


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("name", ["characters, causal", "blocks, causal"])
def test_the_first_token_is_counted_where_a_special_token_stands_before_it(models, name, at):
    """In short windows, where the alleles differ there; elsewhere what is said of it cancels out."""
    embedder = models[name]
    text = "ACGTACGGATCC"
    window = Windows(text, f"{text[:at]}G{text[at + 1 :]}", at, at)
    found = whole_scores(embedder, exact(embedder), [window])
    expected = whole(embedder, window.reference) - whole(embedder, window.alternate)
    assert found == pytest.approx([expected], abs=CLOSE)


def test_a_block_is_marginalised_over_what_follows_the_allele(models):
    embedder, dataset = models["blocks, causal"], variants(context(23))
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("llr_block",))["llr_block"]
    text, alt = dataset[0]["ref_sequence"], dataset[0]["alt_sequence"][512]
    ids = [*embedder.scheme.prefix, *embedder.scheme.encode([text[2:512]])[0].ids.tolist()]
    logs = log_probabilities(embedder, ids)[-1]

    def probability(base: str) -> float:
        words = [base + "".join(rest) for rest in product("ACGT", repeat=5)]
        return sum(np.exp(logs[int(tokens.ids[0])]) for tokens in embedder.scheme.encode(words))

    assert found[0] == pytest.approx(np.log(probability(text[512]) / probability(alt)), abs=CLOSE)


def test_masked_kmers_by_themselves_and_marginalised(models):
    embedder, dataset = models["6-mers"], variants(context(24))
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("llr", "llr_block"))
    one, two = (dataset[0][name][256:768] for name in ("ref_sequence", "alt_sequence"))
    logs = masked(embedder, one, 42)  # nucleotides 252 to 257, of which the variant is the fifth
    ids = [int(embedder.scheme.encode([text[252:258]])[0].ids[0]) for text in (one, two)]
    assert found["llr"][0] == pytest.approx(logs[ids[0]] - logs[ids[1]], abs=CLOSE)

    def probability(base: str) -> float:
        words = ["".join(word) for word in product("ACGT", repeat=6) if word[4] == base]
        return sum(np.exp(logs[int(tokens.ids[0])]) for tokens in embedder.scheme.encode(words))

    assert found["llr_block"][0] == pytest.approx(np.log(probability(one[256]) / probability(two[256])), abs=CLOSE)


def test_overlapping_kmers_that_hold_the_variant_are_masked_together(models):
    embedder, dataset = models["overlapping 6-mers"], variants(context(28))
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("llr",))["llr"][0]
    scheme = embedder.scheme
    one, two = (scheme.encode([dataset[0][name][256:768]])[0].ids for name in ("ref_sequence", "alt_sequence"))
    holding = range(251, 257)  # k-mers that begin at 251 to 256 hold nucleotide 256
    ids = [*scheme.prefix, *(scheme.mask if at in holding else int(token) for at, token in enumerate(one))]
    logs = log_probabilities(embedder, [*ids, *scheme.suffix])[len(scheme.prefix) :]
    assert found == pytest.approx(sum(logs[at, one[at]] - logs[at, two[at]] for at in holding), abs=CLOSE)


def test_one_masked_character(models):
    embedder, dataset = models["characters"], variants(context(29), context(30))
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("llr",))["llr"]
    for row, record in enumerate(dataset):
        one, two = (record[name][256:768] for name in ("ref_sequence", "alt_sequence"))
        logs = masked(embedder, one, 256)
        ids = [int(embedder.scheme.encode([text[256]])[0].ids[0]) for text in (one, two)]
        assert found[row] == pytest.approx(logs[ids[0]] - logs[ids[1]], abs=CLOSE)


@pytest.mark.parametrize("name", ["6-mers", "byte pairs", "characters"])
def test_pseudo_likelihood_masks_every_token_in_turn(models, name):
    embedder, dataset = models[name], variants(context(25))
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("pll",))["pll"][0]
    sums = []
    for column in ("ref_sequence", "alt_sequence"):
        text = dataset[0][column][256:768]
        ids = embedder.scheme.encode([text])[0].ids
        sums.append(sum(masked(embedder, text, at)[token] for at, token in enumerate(ids)))
    assert found == pytest.approx(sums[0] - sums[1], abs=CLOSE)


@pytest.mark.parametrize(("name", "score"), [("6-mers", "llr"), ("blocks, causal", "llr_block")])
def test_strands_of_likelihoods_are_averaged(models, name, score):
    plain, dataset = models[name], variants(context(26))
    both = load_embedder(plain.loaded.source, protocol=DEFAULT, dtype="float32", device="cpu", strand="average")
    found = score_variants(both, dataset, protocol=DEFAULT, scores=(score,))
    forward = score_variants(plain, dataset, protocol=DEFAULT, scores=(score,))[score]
    assert found[f"{score}.forward"] == pytest.approx(forward, abs=1e-12)
    assert found[score][0] == pytest.approx((found[f"{score}.forward"][0] + found[f"{score}.reverse"][0]) / 2)
    if score == "llr":
        one, two = (reverse_complement(dataset[0][column][256:768]) for column in ("ref_sequence", "alt_sequence"))
        logs = masked(plain, one, 42)  # the variant is at 255 there, the fourth of that token
        ids = [int(plain.scheme.encode([text[252:258]])[0].ids[0]) for text in (one, two)]
        assert found["llr.reverse"][0] == pytest.approx(logs[ids[0]] - logs[ids[1]], abs=CLOSE)


def test_a_base_by_itself_has_no_block(models):
    with pytest.raises(BendError, match=r"no whole 6-mer.*score by llr"):
        score_variants(models["6-mers"], variants(context(27, right=1)), protocol=DEFAULT, scores=("llr_block",))


@pytest.mark.parametrize("causal", [False, True])
def test_a_callables_own_likelihoods(causal):
    """Whole windows, weighted by place, so that a window one base off gives another number."""

    def model(sequences):
        return [np.array([[ord(c), 1.0] for c in s]) for s in sequences], None

    def log_likelihood(sequences):
        sizes.append(len(sequences))
        return torch.tensor([-sum(at * "ACGTN".index(c) for at, c in enumerate(s)) / 100 for s in sequences])

    sizes: list[int] = []
    model.log_likelihood, model.causal = log_likelihood, causal
    embedder, dataset = load_embedder(model, protocol=DEFAULT), variants(*(context(seed) for seed in range(30, 42)))
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("llr",))["llr"]
    for row, record in enumerate(dataset):
        one, two = (
            record[name][1 if causal else 256 : 513 if causal else 768] for name in ("ref_sequence", "alt_sequence")
        )
        one, two = (float(log_likelihood([text])[0]) for text in (one, two))
        assert found[row] == pytest.approx(one - two, abs=1e-4)
    assert max(sizes) <= embedder.batch
    if not causal:
        with pytest.raises(BendError, match="gives llr"):
            score_variants(embedder, dataset, protocol=DEFAULT, scores=("llr_left",))
    del model.log_likelihood
    with pytest.raises(BendError, match=r"no language-model head.*log_likelihood"):
        score_variants(load_embedder(model, protocol=DEFAULT), dataset, protocol=DEFAULT, scores=("llr",))


@pytest.mark.parametrize("tokens", [1, 2, 3])
def test_alleles_of_other_numbers_of_tokens_are_refused(tokens):
    """The variant lies in the third and last token of the reference, which the alternate allele may lack."""
    reference = SimpleNamespace(ids=np.array([5, 6, 7]), lengths=np.array([2, 2, 2]))
    lengths = {1: [6], 2: [2, 4], 3: [2, 1, 3]}[tokens]
    alternate = SimpleNamespace(ids=np.array([5, 6, 8][:tokens]), lengths=np.array(lengths))
    scheme = SimpleNamespace(family="BPE", mask=9, encode=lambda texts: [reference, alternate])
    window = SimpleNamespace(at=5, reference="ACGTAC", alternate="ACGTAG")
    with pytest.raises(BendError, match="mine cuts the alleles of a variant into different tokens"):
        masked_scores(SimpleNamespace(scheme=scheme, name="mine"), None, [window])


MASKED, CAUSAL = ("llr", "pll"), ("llr", "llr_left", "llr_centred")
GIVEN = {
    (False, "characters"): MASKED,
    (False, "overlapping k-mers"): ("llr",),
    (False, "subwords"): ("pll",),
    (False, "k-mers"): (*MASKED, "llr_block"),
    (False, "k-mer blocks"): (*MASKED, "llr_block"),
    (True, "characters"): CAUSAL,
    (True, "overlapping k-mers"): CAUSAL,
    (True, "subwords"): CAUSAL,
    (True, "k-mers"): (*CAUSAL, "llr_block"),
    (True, "k-mer blocks"): (*CAUSAL, "llr_block"),
}


@pytest.mark.parametrize("causal", [False, True], ids=["masked", "causal"])
@pytest.mark.parametrize("family", get_args(Family))
def test_what_a_way_of_reading_dna_can_give(causal, family):
    """The table of docs/variants.md."""
    embedder = Mock(spec=Embedder, scheme=SimpleNamespace(family=family, mask=4), causal=causal)
    embedder.name = "mine"
    for name in ("llr", "llr_block", "pll", "llr_left", "llr_centred"):
        if name in GIVEN[causal, family]:
            found = of_model(name, embedder)
            assert (found.name, found.causal) == (name, causal)
        else:
            with pytest.raises(BendError, match=f"^{name}: mine .*it can give ") as error:
                of_model(name, embedder)
            said = str(error.value).partition("it can give ")[2].partition(", or score it")[0]
            assert set(said.split(", ")) == set(GIVEN[causal, family])
