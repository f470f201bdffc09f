"""What must hold of every variant, whatever reads it: two inputs that differ where they are looked at, or an error.

The models are in closed form (`toy_models`), so that every distance is known by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
import torch
import toy_models
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_models import SCHEMES, Toy

from bend_hf.embed.adapters import CallableEmbedder
from bend_hf.embed.interface import Tokens
from bend_hf.embed.rules import reverse_complement
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.zero_shot.variants import score_variants

DEFAULT = get_protocol("default")
SEEDED = settings(derandomize=True, deadline=None, max_examples=100)


@pytest.fixture(scope="module")
def schemes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schemes")
    return {name: toy_models.scheme(name, folder) for name in SCHEMES}


def context(seed: int, left: int = 0, right: int = 0) -> str:
    """1,024 bp around a variant, N beyond `left` and `right` bases from it (0: no N at all)."""
    text = tiny_models.dna(1024, seed)
    if left:
        text = "N" * (512 - left + 1) + text[512 - left + 1 :]
    if right:
        text = text[: 512 + right] + "N" * (512 - right)
    return text


def variants(*contexts: str, alts: str = "ACGT"):
    import datasets

    rows = []
    for number, text in enumerate(contexts):
        alt = next(base for base in alts if base != text[512])
        rows.append(
            {
                "chromosome": "chr7",
                "start": 1000 + number,
                "ref_sequence": text,
                "alt_sequence": text[:512] + alt + text[513:],
                "variant_offset": 512,
            }
        )
    return datasets.Dataset.from_list(rows)


def inputs(text: str, alt: str, scheme, causal: bool, reverse: bool, shift: int) -> tuple[str, str, int]:
    """The two sequences of a variant and its index in them, from the definition, with none of the package's code."""
    k = scheme.k if scheme.family == "k-mer blocks" or (causal and scheme.family == "k-mers") else 1
    length = 512 - 512 % k
    if not causal:
        first, at = 256, 256
    elif reverse:
        first, at = 512, 0
    else:
        first, at = 513 - shift - length, length - 1
    one = text[first : first + length]
    two = one[:at] + alt + one[at + 1 :]
    if reverse:
        return reverse_complement(one), reverse_complement(two), length - 1 - at
    return one, two, at


def readable(scheme, one: str, two: str, at: int) -> bool:
    """Whether some token that may be asked for tells two sequences apart, by the family's definition."""
    k = scheme.k
    if scheme.family == "k-mer blocks":
        block = slice(at // k * k, at // k * k + k)
        return any("N" not in text[block] for text in (one, two))
    if scheme.family == "overlapping k-mers":
        starts = range(max(0, at - k + 1), min(at, len(one) - k) + 1)
        return any("N" not in text[start : start + k] for start in starts for text in (one, two))
    return True


@SEEDED
@given(
    name=st.sampled_from(SCHEMES),
    causal=st.booleans(),
    averages=st.booleans(),
    protocol=st.sampled_from(["default", "bend-2024"]),
    left=st.sampled_from([0, 0, 1, 2, 4, 6, 8, 40]),
    right=st.sampled_from([0, 0, 1, 2, 4, 6, 8, 40]),
    alts=st.permutations("ACGT").map("".join),
    seed=st.integers(0, 50),
)
def test_inputs_differ_and_are_told_apart(schemes, name, causal, averages, protocol, left, right, alts, seed):
    """Every way of reading, causal or not, strand, protocol, and place: first and last base, near N, near the end."""
    scheme, rules = schemes[name], get_protocol(protocol)
    dataset = variants(context(seed, left, right), alts=alts)
    text, alt = dataset[0]["ref_sequence"], dataset[0]["alt_sequence"][512]
    strands = [(False, rules.causal_variant_shift if causal else 0), *([(True, 0)] if averages else [])]
    read = [inputs(text, alt, scheme, causal, reverse, shift) for reverse, shift in strands]
    same = read[0][0] == read[0][1]
    assert not same or strands[0][1]  # only the reference's own window, before the variant, may hide it
    if not all(readable(scheme, *pair) for pair in read if pair[0] != pair[1]):
        with pytest.raises(BendError, match=r"toy of id cannot tell the alleles of 1 of 1 variant .*chr7:1000"):
            score_variants(Toy(scheme, causal=causal, averages=averages), dataset, protocol=rules)
        return
    counts = Toy(scheme, causal=causal, vector="counts", averages=averages)
    found = score_variants(counts, dataset, protocol=rules, scores=("l2", "cosine"))
    # Two letters' counts differ by one each, wherever the variant is seen from.
    each = [found[name] for name in found if name.startswith("l2.")] or [found["l2"]]
    assert np.concatenate(each).tolist() == pytest.approx([0.0 if a == b else 2**0.5 for a, b, _ in read])
    # Each strand by itself: over both, A for T changes no count.
    each = [found[name] for name in found if name.startswith("cosine.")] or [found["cosine"]]
    assert (np.concatenate(each) > 0).tolist() == [a != b for a, b, _ in read]
    assert found.provenance["same_by_definition"] == same
    ids = score_variants(Toy(scheme, causal=causal, averages=averages), dataset, protocol=rules, scores=("l2",))
    each = [ids[name] for name in ids if name.startswith("l2.")] or [ids["l2"]]
    if scheme.family != "subwords":  # of which the same one may cover the variant elsewhere: G|AA and GA|G
        assert (np.concatenate(each) > 0).tolist() == [a != b for a, b, _ in read]
    silent = Toy(scheme, causal=causal, vector="constant", averages=averages)
    nothing = score_variants(silent, dataset, protocol=rules, scores=("l2", "cosine"))
    assert all((values == 0).all() for values in nothing.values())
    assert nothing.provenance["unmoved"] == 1


def test_blocks_read_whole_kmers_that_end_with_the_variant(schemes):
    """A window of 512 ends in 2 bp that 6-mers cannot read: both alleles would be the same tokens."""
    scheme = schemes["6-mer blocks"]
    dataset = variants(*(context(seed) for seed in range(20)))
    toy = Toy(scheme, causal=True)
    found = score_variants(toy, dataset, protocol=DEFAULT, scores=("l2",))["l2"]
    for row, value in zip(dataset, found, strict=True):
        blocks = [scheme.encode([row[column][507:513]])[0].ids for column in ("ref_sequence", "alt_sequence")]
        assert [len(block) for block in blocks] == [1, 1]
        assert value == abs(int(blocks[0][0]) - int(blocks[1][0])) > 0


def test_reverse_windows_of_causal_models_begin_at_the_right_context(schemes):
    """What a causal model knows of a variant on the reverse strand is what lies to its right, not its left."""
    toy = Toy(schemes["characters"], causal=True, vector="counts", averages=True)
    text = context(3)
    other_left, other_right = context(4)[:512] + text[512:], text[:513] + context(4)[513:]
    found = score_variants(toy, variants(text, other_left, other_right), protocol=DEFAULT)
    assert found["cosine.reverse"][0] == found["cosine.reverse"][1] != found["cosine.reverse"][2]
    assert found["cosine.forward"][0] == found["cosine.forward"][2] != found["cosine.forward"][1]


def test_averaged_strands_are_the_distance_of_mean_vectors(schemes):
    scheme = schemes["6-mers"]
    dataset = variants(context(5))
    found = score_variants(Toy(scheme, averages=True), dataset, protocol=DEFAULT, scores=("l2", "cosine", "mean_l2"))
    ids = []
    for column in ("ref_sequence", "alt_sequence"):
        window = dataset[0][column][256:768]
        forward, reverse = (scheme.encode([text])[0].ids for text in (window, reverse_complement(window)))
        ids.append((int(forward[256 // 6]) + int(reverse[255 // 6])) / 2)
    assert found["l2"][0] == abs(ids[0] - ids[1])
    one, two = (np.array([1.0, value]) for value in ids)
    assert found["cosine"][0] == pytest.approx(1 - one @ two / np.linalg.norm(one) / np.linalg.norm(two), rel=1e-6)


def test_a_silent_model_is_said_to_be_silent(schemes, caplog):
    toy = Toy(schemes["characters"], vector="constant")
    found = score_variants(toy, variants(context(1), context(2)), protocol=DEFAULT, scores="distances")
    assert "same vectors for both alleles of all 2 variants" in caplog.text
    assert all((values == 0).all() for name, values in found.items() if "inner_product" not in name)


def test_vectors_in_memory_that_the_next_are_written_into(schemes):
    class OneArray(Toy):
        def embed(self, sequences):
            held = torch.empty(1_024, self.dim)
            for vectors, lengths in super().embed(sequences):
                held[: len(vectors)] = vectors
                yield Tokens(held[: len(vectors)], lengths)

    dataset = variants(context(1), context(2))
    for scores in (["cosine", "l2"], "distances"):
        found, wanted = (
            score_variants(kind(schemes["characters"]), dataset, protocol=DEFAULT, scores=scores)
            for kind in (OneArray, Toy)
        )
        assert all((found[name] == wanted[name]).all() for name in wanted)
        assert wanted["l2"].all()


def test_nothing_is_embedded_before_alleles_are_told_apart(schemes):
    calls = []

    class Watched(Toy):
        def embed(self, sequences):
            calls.append(1)
            return super().embed(sequences)

    dataset = variants(context(1), context(2), context(3, left=2))
    with pytest.raises(BendError, match=r"of 1 of 3 variants.* chr7:1002 \(0-based\) [ACGT]>[ACGT].*unknown token"):
        score_variants(Watched(schemes["6-mer blocks"], causal=True), dataset, protocol=DEFAULT)
    assert not calls


def test_a_callable_with_equal_sequences_is_refused():
    model = CallableEmbedder(lambda texts: ([np.ones((len(text), 2)) for text in texts], None), name="mine")
    row = variants(context(1))[0]
    import datasets

    dataset = datasets.Dataset.from_list([row | {"alt_sequence": row["ref_sequence"]}])
    with pytest.raises(
        BendError, match=r"mine cannot tell the alleles of 1 of 1 variant .*both sequences are the same"
    ):
        score_variants(model, dataset, protocol=DEFAULT)


@pytest.mark.parametrize("name", SCHEMES)
def test_places_and_distances_by_hand(schemes, name):
    """Every distance at every place, of ids, against sums written out over nucleotides."""
    scheme = schemes[name]
    dataset = variants(context(11), context(12))
    found = score_variants(Toy(scheme), dataset, protocol=DEFAULT, scores="distances")
    assert len(found) == 12
    for row, record in enumerate(dataset):
        length = 510 if scheme.family == "k-mer blocks" else 512
        tracks = []
        for column in ("ref_sequence", "alt_sequence"):
            [(ids, lengths)] = scheme.encode([record[column][256 : 256 + length]])
            tracks.append(np.stack((np.ones(length), np.repeat(ids, lengths)), 1).astype(float))
        last = [track[-1] for track in tracks]
        pairs = {"": [t[256] for t in tracks], "mean_": [t.mean(0) for t in tracks], "last_": last}
        for place, (a, b) in pairs.items():
            apart = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert found[f"{place}cosine"][row] == pytest.approx(apart, abs=1e-12)
            assert found[f"{place}l2"][row] == pytest.approx(np.linalg.norm(a - b), abs=1e-9)
            assert found[f"{place}inner_product"][row] == pytest.approx(-(a @ b))
        gaps = np.linalg.norm(tracks[0] - tracks[1], axis=1)
        assert found["max_l2"][row] == pytest.approx(gaps.max())
        turned = [1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*tracks, strict=True)]
        assert found["max_cosine"][row] == pytest.approx(max(turned), abs=1e-12)
        assert found["max_inner_product"][row] == pytest.approx(-(tracks[0] * tracks[1]).sum(1).min())
        assert found["l2"][row] > 0


def test_any_score_alone_is_that_column_of_all(schemes):
    dataset = variants(*(context(seed) for seed in range(4)))
    for causal in (False, True):
        toy = Toy(schemes["byte pairs"], causal=causal, averages=True)
        together = score_variants(toy, dataset, protocol=DEFAULT, scores="distances")
        for name in [name for name in together if "." not in name]:
            alone = score_variants(toy, dataset, protocol=DEFAULT, scores=(name,))
            assert list(alone) == [name, f"{name}.forward", f"{name}.reverse"]
            assert all((alone[column] == together[column]).all() for column in alone)


def test_a_distance_is_registered_in_one_line(schemes, monkeypatch):
    from bend_hf.zero_shot.distances import DISTANCES

    monkeypatch.setitem(DISTANCES, "l1", lambda reference, alternate: (reference - alternate).abs().sum(-1))
    dataset = variants(context(1))
    found = score_variants(Toy(schemes["6-mers"]), dataset, protocol=DEFAULT, scores=("l1", "mean_l1", "l2"))
    assert found["l1"] == found["l2"] > 0
    assert found["mean_l1"] == pytest.approx(found["l1"] * 6 / 512)


@pytest.mark.parametrize("apart", [1.0, 1e-3, 1e-6])
def test_the_cosine_keeps_its_digits(apart):
    """Against decimal arithmetic of forty digits, down to distances that 1 - cos in float64 has no digit of."""
    from decimal import Decimal, getcontext

    import torch

    from bend_hf.zero_shot.distances import cosine

    getcontext().prec = 40
    random = np.random.default_rng(5)
    one = random.normal(size=64).astype(np.float32)
    two = (one * np.float32(1.5) + np.float32(apart) * random.normal(size=64)).astype(np.float32)
    a, b = ([Decimal(float(value)) for value in vector] for vector in (one, two))
    norms = [sum(value * value for value in vector).sqrt() for vector in (a, b)]
    exact = 1 - sum(x * y for x, y in zip(a, b, strict=True)) / norms[0] / norms[1]
    found = float(cosine(torch.from_numpy(one).double(), torch.from_numpy(two).double()))
    assert found == pytest.approx(float(exact), rel=1e-3 if apart < 1e-5 else 1e-8)
    zero = torch.zeros(3, dtype=torch.float64)
    assert [float(cosine(x, y)) for x in (zero, zero + 1) for y in (zero, zero + 1)] == [0, 1, 1, 0]
