"""Variant scores: windows, positions and distances as the benchmark defines them."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
import torch

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.interface import Tokens
from bend_hf.embed.open import load_embedder
from bend_hf.embed.rules import reverse_complement
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol
from bend_hf.zero_shot.controls import control_scores
from bend_hf.zero_shot.variants import score_variants
from bend_hf.zero_shot.windows import crop

DEFAULT, REFERENCE = get_protocol("default"), get_protocol("bend-2024")


def rows(n=12, seed=0):
    """Variants on one stretch of DNA, several of them at one position, in no order."""
    import datasets

    random = np.random.default_rng(seed)
    found = []
    for i in range(n):
        context = tiny_models.dna(1024, 100 + i // 3)
        alt = [base for base in "ACGT" if base != context[512]][i % 3]
        found.append(
            {
                "chromosome": f"chr{1 + i % 2}",
                "start": 5000 - i // 3,
                "ref": context[512],
                "alt": alt,
                "ref_sequence": context,
                "alt_sequence": context[:512] + alt + context[513:],
                "variant_offset": 512,
                "label": i % 2,
            }
        )
    return datasets.Dataset.from_list([found[i] for i in random.permutation(n)])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    made = {name: make(root / name) for name, make in tiny_models.FAMILIES.items()}
    made["dnabert"] = tiny_models.dnabert(root / "dnabert_lm", lm=True)
    made["esm"] = tiny_models.esm(root / "esm_lm", lm=True)
    made["gpt2"] = tiny_models.gpt2(root / "gpt2_lm", lm=True)
    return made


def load(folder, protocol=DEFAULT):
    return load_embedder(str(folder), protocol=protocol, dtype="float32", device="cpu")


def cosine(a, b):
    return 1 - float(torch.cosine_similarity(a.double(), b.double(), dim=0))


# Index of the variant's token in the tokens of one window, from the table of the reference's positions.
POSITION = {"dnabert": 254, "esm": 256 // 6, "gpt2": 511, "llama": 511, "mamba": 511}


@pytest.mark.parametrize("name", sorted(POSITION))
def test_position_and_window(folders, name):
    embedder, dataset = load(folders[name]), rows(6)
    scores = score_variants(embedder, dataset, protocol=DEFAULT)["cosine"]
    low = 1 if embedder.causal else 256
    for row, score in zip(dataset, scores, strict=True):
        ref, alt = (next(embedder.embed([row[key][low : low + 512]])) for key in ("ref_sequence", "alt_sequence"))
        at = POSITION[name]
        assert score == pytest.approx(cosine(ref.vectors[at], alt.vectors[at]), abs=1e-6)
        assert score > 0


def test_subwords_follow_each_alleles_own_tokens(folders):
    embedder, dataset = load(folders["bpe"]), rows(9)
    scores = score_variants(embedder, dataset, protocol=DEFAULT)["cosine"]
    differing = 0
    for row, score in zip(dataset, scores, strict=True):
        vectors = []
        lengths = []
        for key in ("ref_sequence", "alt_sequence"):
            tokens = next(embedder.embed([row[key][256:768]]))
            vectors.append(tokens.vectors.repeat_interleave(torch.from_numpy(tokens.lengths), 0)[256])
            lengths.append(tokens.lengths.tolist())
        differing += lengths[0] != lengths[1]
        assert score == pytest.approx(cosine(*vectors), abs=1e-6)
    assert differing


def test_reference_protocol_ends_causal_windows_before_the_variant(folders):
    """B1: the window is [start - 512, start), and its last base, before the variant, is replaced by the alternate."""
    embedder, dataset = load(folders["gpt2"], REFERENCE), rows(6)
    scores = score_variants(embedder, dataset, protocol=REFERENCE)["cosine"]
    for row, score in zip(dataset, scores, strict=True):
        window = row["ref_sequence"][:512]
        ref, alt = (next(embedder.embed([text])).vectors[-1] for text in (window, window[:511] + row["alt"]))
        assert score == pytest.approx(cosine(ref, alt), abs=1e-6)


def test_reference_protocol_reads_kmers_at_254_of_the_track(folders):
    """The shifted upsampling of k-mers does not reach variants: both protocols read the same k-mer."""
    dataset = rows(6)
    default = score_variants(load(folders["dnabert"]), dataset, protocol=DEFAULT)["cosine"]
    reference = score_variants(load(folders["dnabert"], REFERENCE), dataset, protocol=REFERENCE)["cosine"]
    assert np.allclose(default, reference, atol=1e-7)


def test_crop():
    context = tiny_models.dna(1024)
    other = context[:512] + "N" + context[513:]
    window = crop(context, other, 512, causal=False)
    assert (window.reference, window.alternate[256], window.at) == (context[256:768], "N", 256)
    window = crop(context, other, 512, causal=True)
    assert (window.reference, window.alternate[-1], window.at) == (context[1:513], "N", 511)
    window = crop(context, other, 512, causal=True, shift=1)
    assert (window.reference, window.alternate, window.at) == (context[:512], context[:511] + "N", 511)
    with pytest.raises(BendError, match="512 bp on either side"):
        crop(context[:700], other[:700], 512, causal=False)


@pytest.mark.parametrize("offset_of_n", [slice(0, 512), slice(513, 1024)])
@pytest.mark.parametrize("name", ["dnabert", "esm", "bpe", "gpt2"])
def test_first_and_last_base_of_a_chromosome(folders, name, offset_of_n):
    """What lies outside the chromosome is N; the variant still has a vector and a score."""
    import datasets

    context = np.array(list(tiny_models.dna(1024, 9)))
    context[offset_of_n] = "N"
    ref = "".join(context)
    alt = ref[:512] + ("A" if ref[512] != "A" else "C") + ref[513:]
    row = {"chromosome": "chr1", "start": 0, "ref_sequence": ref, "alt_sequence": alt, "variant_offset": 512}
    score = score_variants(load(folders[name]), datasets.Dataset.from_list([row]), protocol=DEFAULT)["cosine"]
    assert np.isfinite(score).all()
    assert name == "dnabert" or score[0] > 0  # six k-mers with N in them are all [UNK]


class Counting:
    """An embedder of fixed vectors that counts what it embeds."""

    name, dim, causal = "counting", 3, False

    def __init__(self):
        self.seen = []

    def provenance(self):
        return {"key": {"model": self.name}}

    def embed(self, sequences):
        for sequence in sequences:
            self.seen.append(sequence)
            random = np.random.default_rng(abs(hash(sequence)) % 2**32)
            yield Tokens(torch.from_numpy(random.normal(size=(len(sequence), 3))), np.ones(len(sequence), np.int64))


def test_shared_reference_windows_are_embedded_once():
    embedder, dataset = Counting(), rows(12)
    score_variants(embedder, dataset, protocol=DEFAULT)
    assert len(embedder.seen) == 4 + 12
    assert len(set(embedder.seen)) == len(embedder.seen)


def test_order_of_rows_does_not_matter(folders):
    embedder, dataset = load(folders["esm"]), rows(12)
    order = np.random.default_rng(3).permutation(12)
    scores = score_variants(embedder, dataset, protocol=DEFAULT, scores=("cosine", "l2"))
    shuffled = score_variants(embedder, dataset.select(order), protocol=DEFAULT, scores=("cosine", "l2"))
    for name in scores:
        assert scores[name].dtype == np.float64
        assert np.allclose(scores[name][order], shuffled[name], atol=1e-6)


def test_distances():
    dataset, embedder = rows(6), Counting()
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("cosine", "l2", "inner_product"))
    vector = {t: next(embedder.embed([t])).vectors[256] for t in embedder.seen[:]}
    for i, row in enumerate(dataset):
        a, b = (vector[row[key][256:768]] for key in ("ref_sequence", "alt_sequence"))
        assert found["l2"][i] == pytest.approx(float((a - b).norm()))
        assert found["inner_product"][i] == pytest.approx(-float(a @ b))
        assert found["cosine"][i] == pytest.approx(cosine(a, b))
    with pytest.raises(BendError, match="Did you mean 'cosine'"):
        score_variants(embedder, dataset, protocol=DEFAULT, scores=("cosin",))


@pytest.fixture
def halves(monkeypatch):
    """A machine on which models compute in bfloat16 unless told otherwise."""
    monkeypatch.setattr("bend_hf.embed.ready.native_half", lambda device: torch.bfloat16)
    monkeypatch.setattr("bend_hf.embed.ready.AGREEMENT", 0.5)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("name", ["esm", "gpt2"])
def test_variants_are_scored_in_float32_unless_a_dtype_is_named(folders, halves, monkeypatch, name, held):
    if not held:
        monkeypatch.setattr("bend_hf.embed.measure._held_in", lambda *arguments: (None, None))
    dataset, folder = rows(4), str(folders[name])
    exact = load_embedder(folder, protocol=DEFAULT, dtype="float32", device="cpu")
    left_open = load_embedder(folder, protocol=DEFAULT, device="cpu")
    named = load_embedder(folder, protocol=DEFAULT, dtype="bfloat16", device="cpu")
    assert (left_open.dtype, named.dtype) == ("bfloat16", "bfloat16")
    wanted = score_variants(exact, dataset, protocol=DEFAULT, scores=None)
    found = score_variants(left_open, dataset, protocol=DEFAULT, scores=None)
    assert left_open.dtype == "bfloat16"  # for everything else
    assert found.provenance["model"]["key"]["dtype"] == "float32"
    assert all((found[score] == wanted[score]).all() for score in wanted)
    rounded = score_variants(named, dataset, protocol=DEFAULT, scores=None)
    assert rounded.provenance["model"]["key"]["dtype"] == "bfloat16"
    assert (rounded["cosine"] != wanted["cosine"]).all()


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
def test_another_dtype_is_recorded_and_a_departure(toy_dir, folders, halves, tmp_path, dtype):
    import bend_hf
    from bend_hf.results.conditions import departures

    [result] = bend_hf.evaluate(
        str(folders["gpt2"]), "variant_effects_disease", data_dir=toy_dir, dtype=dtype, device="cpu", output=tmp_path
    )
    assert result.provenance["model"]["key"]["dtype"] == ("float32" if dtype == "auto" else dtype)
    assert departures([result]) == ("" if dtype == "auto" else "dtype bfloat16 instead of float32")


def test_strands_of_real_models_are_cropped_apart(folders):
    """Averaged strands of a causal model: the windows that end with the variant, on either strand."""
    folder, dataset = str(folders["gpt2"]), rows(3)
    both = load_embedder(folder, protocol=DEFAULT, dtype="float32", device="cpu", strand="average")
    found = score_variants(both, dataset, protocol=DEFAULT, scores=("cosine", "llr"))
    forward = score_variants(load(folders["gpt2"]), dataset, protocol=DEFAULT, scores=("cosine", "llr"))
    turned = dataset.map(
        lambda row: (
            {name: reverse_complement(row[name]) for name in ("ref_sequence", "alt_sequence")} | {"variant_offset": 511}
        )
    )
    reverse = score_variants(load(folders["gpt2"]), turned, protocol=DEFAULT, scores=("cosine", "llr"))
    for name in ("cosine", "llr"):
        assert np.allclose(found[f"{name}.forward"], forward[name], atol=1e-7)
        assert np.allclose(found[f"{name}.reverse"], reverse[name], atol=1e-7)
    assert np.allclose(found["llr"], (forward["llr"] + reverse["llr"]) / 2, atol=1e-9)
    for row, score in zip(dataset, found["cosine"], strict=True):
        vectors = []
        for column in ("ref_sequence", "alt_sequence"):
            texts = [row[column][1:513], reverse_complement(row[column][512:])]
            vectors.append(torch.stack([tokens.vectors[-1] for tokens in load(folders["gpt2"]).embed(texts)]).mean(0))
        assert score == pytest.approx(cosine(*vectors), abs=1e-6)


# Likelihoods.


def test_masked_likelihood_of_kmers(folders):
    from transformers import EsmForMaskedLM

    embedder, dataset = load(folders["esm"]), rows(4)
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("llr",))["llr"]
    model = EsmForMaskedLM.from_pretrained(folders["esm"]).eval()
    for row, score in zip(dataset, found, strict=True):
        ref, alt = (embedder.scheme.encode([row[key][256:768]])[0].ids for key in ("ref_sequence", "alt_sequence"))
        ids = torch.tensor([[3, *ref]])
        ids[0, 1 + 42] = embedder.scheme.mask
        with torch.no_grad():
            logs = model(ids).logits[0, 43].log_softmax(-1)
        assert score == pytest.approx(float(logs[ref[42]] - logs[alt[42]]), abs=1e-4)


def test_masked_likelihood_of_overlapping_kmers(folders):
    from transformers import BertForMaskedLM

    embedder, dataset = load(folders["dnabert"]), rows(3)
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("llr",))["llr"]
    model = BertForMaskedLM.from_pretrained(folders["dnabert"]).eval()
    for row, score in zip(dataset, found, strict=True):
        ref, alt = (embedder.scheme.encode([row[key][256:768]])[0].ids for key in ("ref_sequence", "alt_sequence"))
        ids = torch.tensor([[2, *ref, 3]])
        held = torch.arange(251, 257)
        ids[0, 1 + held] = embedder.scheme.mask
        with torch.no_grad():
            logs = model(ids).logits[0].log_softmax(-1)
        expected = sum(float(logs[1 + i, ref[i]] - logs[1 + i, alt[i]]) for i in held)
        assert score == pytest.approx(expected, abs=1e-4)
        assert (ref != alt).nonzero()[0].tolist() == held.tolist()


def test_causal_likelihood(folders):
    from transformers import GPT2LMHeadModel

    embedder, dataset = load(folders["gpt2"]), rows(4)
    found = score_variants(embedder, dataset, protocol=DEFAULT, scores=("cosine", "llr"))["llr"]
    model = GPT2LMHeadModel.from_pretrained(folders["gpt2"]).eval()
    for row, score in zip(dataset, found, strict=True):
        ref, alt = (embedder.scheme.encode([row[key][1:513]])[0].ids for key in ("ref_sequence", "alt_sequence"))
        with torch.no_grad():
            logs = model(torch.from_numpy(ref)[None]).logits[0, -2].log_softmax(-1)
        assert score == pytest.approx(float(logs[ref[-1]] - logs[alt[-1]]), abs=1e-4)


def test_likelihoods_need_tokens_and_a_head(folders, tmp_path):
    dataset = rows(3)
    with pytest.raises(BendError, match="subwords"):
        score_variants(load(folders["bpe"]), dataset, protocol=DEFAULT, scores=("llr",))
    with pytest.raises(BendError, match="no language-model head"):
        score_variants(load_embedder("onehot", protocol=DEFAULT), dataset, protocol=DEFAULT, scores=("llr",))
    headless = tiny_models.esm(tmp_path / "headless")
    with pytest.raises(BendError, match=r"missing from the checkpoint: .*lm_head"):
        score_variants(load(headless), dataset, protocol=DEFAULT, scores=("llr",))


def test_controls():
    import datasets

    def row(ref, alt):
        left, right = tiny_models.dna(511, 1) + ref[0], ref[2] + tiny_models.dna(510, 2)
        return {"ref_sequence": left + ref[1] + right, "alt_sequence": left + alt + right, "variant_offset": 512}

    cases = [("CAT", "G"), ("CGT", "A"), ("TCG", "T"), ("ACA", "G"), ("CGG", "C"), ("ATA", "A")]
    found = control_scores(datasets.Dataset.from_list([row(ref, alt) for ref, alt in cases]))
    assert found["gc_change"].tolist() == [1, -1, -1, 0, 0, 0]
    assert found["cpg_created"].tolist() == [1, 0, 0, 0, 0, 0]
    assert found["cpg_lost"].tolist() == [0, 1, 1, 0, 0, 0]
    assert all(values.dtype == np.float64 for values in found.values())


def test_onehot_scores_are_constant():
    scores = score_variants(load_embedder("onehot", protocol=DEFAULT), rows(6), protocol=DEFAULT)["cosine"]
    assert np.allclose(scores, 1.0)


def test_embedder_is_exported():
    import bend_hf

    assert bend_hf.Embedder is Embedder


def test_real_variants(real_dir, real_genome, tmp_path):
    """Real coordinates, genome and vocabularies: the k-mer read is the one whose third base is the variant."""
    import bend_hf

    dataset = bend_hf.load_dataset(
        "variant_effects",
        "disease",
        split="test",
        data_dir=real_dir,
        genome=real_genome,
        genome_checked=True,
        cache_dir=tmp_path / "cache",
    ).select(range(12))
    tokenizers = real_dir / "goldens" / "tokenizers"
    kmers = load(tiny_models.dnabert(tmp_path / "k", vocabulary=tokenizers / "dnabert_6mer_vocab.txt"))
    pairs = load(tiny_models.bpe(tmp_path / "b", tokenizer_json=tokenizers / "dnabert2_tokenizer.json"))
    for embedder in (kmers, pairs):
        scores = score_variants(embedder, dataset, protocol=DEFAULT, scores=("cosine", "l2"))
        assert all((values > 0).all() and np.isfinite(values).all() for values in scores.values())
    words = (tokenizers / "dnabert_6mer_vocab.txt").read_text().split()
    for row in dataset:
        ids = kmers.scheme.encode([row["ref_sequence"][256:768]])[0].ids
        assert words[ids[254]][2] == row["ref"]
    controls = control_scores(dataset)
    for i, row in enumerate(dataset):
        assert controls["gc_change"][i] == (row["alt"] in "GC") - (row["ref"] in "GC")


# Layers.


@pytest.mark.parametrize(("name", "strand"), [("esm", "forward"), ("gpt2", "average"), ("bpe", "average")])
def test_layers_from_one_pass_are_those_of_each_alone(folders, name, strand):
    folder, dataset = str(folders[name]), rows(6)
    options = {"protocol": DEFAULT, "dtype": "float32", "device": "cpu", "strand": strand}
    together = score_variants(
        load_embedder(folder, **options), dataset, protocol=DEFAULT, scores=["cosine", "distances@all"]
    )
    assert [name for name in together if "." not in name][:2] == ["cosine", "cosine@0"]
    for layer in (0, 1, 2):
        alone = score_variants(
            load_embedder(folder, layer=layer, **options), dataset, protocol=DEFAULT, scores="distances"
        )
        for score, values in alone.items():
            stem, dot, end = score.partition(".")
            assert np.allclose(together[f"{stem}@{layer}{dot}{end}"], values, atol=1e-9), (layer, score)
    own = score_variants(load_embedder(folder, **options), dataset, protocol=DEFAULT)["cosine"]
    assert np.allclose(together["cosine"], own, atol=1e-9)
    assert not np.allclose(together["cosine@1"], own, atol=1e-6)


def test_layers_that_are_not_there(folders):
    esm, dataset = load(folders["esm"]), rows(3)
    for scores, message in (
        ("cosine@3", "has no such layer; it has 2, 0"),
        ("cosine@last", "has no such layer"),
        ("llr@1", "of the whole model"),
    ):
        with pytest.raises(BendError, match=message):
            score_variants(esm, dataset, protocol=DEFAULT, scores=[scores])
    with pytest.raises(BendError, match="shows no layers but its output"):
        score_variants(Counting(), dataset, protocol=DEFAULT, scores=["cosine@1"])
    both = load_embedder(str(folders["esm"]), protocol=DEFAULT, dtype="float32", device="cpu", layer=[1, 2])
    with pytest.raises(BendError, match="several layers side by side"):
        score_variants(both, dataset, protocol=DEFAULT, scores=["cosine", "cosine@1"])
