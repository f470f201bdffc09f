"""Sequences to ids and run lengths: exact against the real tokenizers, and partitions for every sequence."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from bend_hf.embed import own_tokenizer, rules, tokens
from bend_hf.embed.tokenizer_files import has_tokenizer, load_scheme
from bend_hf.errors import BendError

plain = st.text("ACGT", min_size=1, max_size=40)
gaps = st.integers(1, 14).map(lambda n: "N" * n)
messy = st.text("acgtnRYSWKMBDHVn", min_size=1, max_size=9)
dna = st.lists(st.one_of(plain, gaps, messy), min_size=1, max_size=5).map("".join)
several = st.lists(dna, min_size=1, max_size=4)
modest = settings(max_examples=60, deadline=None)


def scheme_of(folder):
    config = json.loads((folder / "config.json").read_text()) if (folder / "config.json").exists() else {}
    return load_scheme(str(folder), config, json.loads((folder / "tokenizer_config.json").read_text()), None, False)


@pytest.fixture(scope="module")
def schemes(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    folders = {name: make(root / name) for name, make in tiny_models.FAMILIES.items()}
    folders["gaps"] = tiny_models.bpe(root / "gaps", gaps=True)
    folders["dnabert3"] = tiny_models.dnabert(root / "dnabert3", k=3)
    return {name: scheme_of(folder) for name, folder in folders.items()}


def test_families(schemes):
    found = {name: (scheme.family, scheme.k, scheme.vectorised) for name, scheme in schemes.items()}
    assert found == {
        "dnabert": ("overlapping k-mers", 6, True),
        "dnabert3": ("overlapping k-mers", 3, True),
        "esm": ("k-mers", 6, True),
        "bpe": ("subwords", 1, False),
        "gaps": ("subwords", 1, False),
        "gpt2": ("characters", 1, True),
        "llama": ("characters", 1, True),
        "mamba": ("characters", 1, True),
    }


def test_what_decides_how_dna_is_read_is_in_the_identity(schemes):
    """Of overlapping 6-mers and 3-mers no more than the length differs, whose vectors are others."""
    six, three = schemes["dnabert"].identity, schemes["dnabert3"].identity
    assert {name: (value, three[name]) for name, value in six.items() if three[name] != value} == {"k": (6, 3)}
    assert schemes["esm"].identity != schemes["gpt2"].identity
    for field, value in (("family", "characters"), ("k", 4), ("stride", 2), ("prefix", (9,)), ("suffix", ())):
        assert dataclasses.replace(schemes["dnabert"], **{field: value}).identity != six


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "tokenizer_config.json"]
)
def test_any_file_of_a_tokenizer_is_one(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    assert not has_tokenizer(str(tmp_path), None)
    (tmp_path / name).write_text("{}")
    assert has_tokenizer(str(tmp_path), None)


@pytest.mark.parametrize("name", ["esm", "bpe", "gaps", "gpt2", "llama", "mamba"])
@modest
@given(sequences=several)
def test_partition(schemes, name, sequences):
    for sequence, (ids, lengths) in zip(sequences, schemes[name].encode(sequences), strict=True):
        assert len(ids) == len(lengths)
        assert lengths.sum() == len(sequence)
        assert (lengths > 0).all()
        if schemes[name].family == "characters":
            assert (lengths == 1).all()


@pytest.mark.parametrize(("name", "k"), [("dnabert", 6), ("dnabert3", 3)])
@modest
@given(sequences=several)
def test_overlapping_partition(schemes, name, k, sequences):
    sequences = [sequence + "ACGTAC"[:k] for sequence in sequences]
    for sequence, (ids, lengths) in zip(sequences, schemes[name].encode(sequences), strict=True):
        size = len(sequence)
        owner = np.repeat(np.arange(len(ids)), lengths)
        assert owner.tolist() == [min(max(p - (k - 1) // 2, 0), size - k) for p in range(size)]


@pytest.mark.parametrize("name", ["esm", "bpe", "gaps", "gpt2", "llama", "mamba", "dnabert"])
@modest
@given(sequences=several)
def test_case_iupac_and_company_change_nothing(schemes, name, sequences):
    sequences = [sequence + "ACGTAC" for sequence in sequences]
    clean = ["".join(c if c in "ACGT" else "N" for c in sequence.upper()) for sequence in sequences]
    together = schemes[name].encode(sequences)
    for sequence, found in zip(clean, together, strict=True):
        alone = schemes[name].encode([sequence])[0]
        assert alone.ids.tolist() == found.ids.tolist()
        assert alone.lengths.tolist() == found.lengths.tolist()


@pytest.mark.parametrize("length", [*range(1, 20), 509, 510, 511, 512, 513, 994, 999, 1000, 5994, 5999])
def test_lengths_around_multiples_and_contexts(schemes, length):
    sequence = tiny_models.dna(length, length)
    lengths = schemes["esm"].encode([sequence])[0].lengths
    assert lengths.tolist() == [6] * (length // 6) + [1] * (length % 6)
    for name in ("bpe", "gpt2", "mamba"):
        assert schemes[name].encode([sequence])[0].lengths.sum() == length
    if length >= 6:
        assert len(schemes["dnabert"].encode([sequence])[0].ids) == length - 5


@modest
@given(sequence=dna)
def test_esm_equals_its_tokenizer(schemes, tmp_path_factory, sequence):
    """Greedy 6-mers, single nucleotides around N, as the tokenizer of the Nucleotide Transformer does it."""
    tokenizer = _esm_tokenizer(tmp_path_factory)
    clean = "".join(c if c in "ACGT" else "N" for c in sequence.upper())
    scheme = schemes["esm"]
    ids, lengths = scheme.encode([sequence])[0]
    assert [*scheme.prefix, *ids, *scheme.suffix] == tokenizer(clean)["input_ids"]
    assert [len(piece) for piece in tokenizer.tokenize(clean)] == lengths.tolist()


_kept = []


def _esm_tokenizer(tmp_path_factory):
    from transformers import EsmTokenizer

    if not _kept:
        _kept.append(EsmTokenizer.from_pretrained(tiny_models.esm(tmp_path_factory.mktemp("esm"))))
    return _kept[0]


@modest
@given(sequence=dna)
def test_gaps_are_owned_by_their_token(schemes, sequence):
    """Ten or more N are one token of GENA-LM's, and it owns all of them."""
    scheme = schemes["gaps"]
    assert scheme.encode(["ACGT" + "N" * 25 + sequence])[0].lengths.max() >= 25


def test_only_n(schemes):
    for name in ("esm", "bpe", "gaps", "gpt2", "llama", "mamba", "dnabert"):
        assert schemes[name].encode(["N" * 31])[0].lengths.sum() == 31


# Tokenizers after their published files.


def generator_ids(sequence):
    """GENERator's rule: ids count the 6-mers over A T C G behind 32 special tokens; what is no 6-mer is <oov>, 0."""
    blocks = (sequence[i : i + 6] for i in range(0, len(sequence), 6))
    return [
        32 + sum("ATCG".index(c) * 4**i for i, c in enumerate(reversed(block)))
        if len(block) == 6 and "N" not in block
        else 0
        for block in blocks
    ]


def test_generator(tmp_path):
    """Ids that its own code gave for the published files: AAAAAA 32, TTTTTT 1397, GGGGGG 4127, a 6-mer with N 0."""
    scheme = scheme_of(tiny_models.generator(tmp_path))
    assert (scheme.family, scheme.k, scheme.vectorised) == ("k-mer blocks", 6, True)
    assert (scheme.prefix, scheme.suffix, scheme.pad, scheme.mask, scheme.unknown) == ((1,), (), 3, 4, 0)
    assert full(scheme, "AAAAAATTTTTT") == [1, 32, 1397]
    assert full(scheme, "ACGTNACGTNAC") == [1, 0, 0]
    assert full(scheme, "GGGGGGA") == [1, 4127, 0]
    for length in (1, 5, 6, 7, 997):
        sequence = tiny_models.dna(length, length, "ACGTN" if length % 2 else "ACGT")
        ids, lengths = scheme.encode([sequence])[0]
        assert ids.tolist() == generator_ids(sequence)
        assert lengths.tolist() == [len(sequence[i : i + 6]) for i in range(0, length, 6)]


def test_generator_by_its_configuration(tmp_path):
    folder = tiny_models.generator(tmp_path, k=3)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings |= {"add_bos_token": False, "add_eos_token": True, "pad_token": {"content": "</s>", "special": True}}
    path.write_text(json.dumps(settings))
    scheme = scheme_of(folder)
    assert (scheme.k, scheme.prefix, scheme.suffix, scheme.pad) == (3, (), (2,), 2)
    del settings["add_bos_token"]  # nothing is guessed: then its code decides
    path.write_text(json.dumps(settings))
    with pytest.raises(BendError, match=r"has a tokenizer of its own code .*DNAKmerTokenizer"):
        scheme_of(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("AAAAAA 32\n", ""), r"no vocabulary of DNA: 1 of the 4096 6-mers .*'AAAAAA'"),
        (lambda text: text.replace("<oov> 0", "<oov>"), r"vocab.txt, line 1: '<oov>' is no token and its id"),
        (lambda text: text.replace("<pad> 3", "<PAD> 3"), r"vocab.txt has no '<pad>', the pad_token"),
    ],
)
def test_damaged_generator(tmp_path, change, message):
    path = tiny_models.generator(tmp_path) / "vocab.txt"
    path.write_text(change(path.read_text()))
    with pytest.raises(BendError, match=message):
        scheme_of(tmp_path)


def test_grover(tmp_path):
    """Each N is one [UNK] though it is not declared; the empty piece behind the vocabulary is never given."""
    scheme = scheme_of(tiny_models.grover(tmp_path))
    assert (scheme.prefix, scheme.suffix, scheme.pad, scheme.mask, scheme.unknown) == ((2,), (3,), 0, 4, 1)
    assert scheme.largest == 16  # the embedding matrix has 17 rows, the tokenizer 18 tokens
    assert full(scheme, "ACGTNACGTNNT") == [2, 12, 8, 1, 12, 8, 1, 1, 8, 3]
    assert scheme.encode(["ACGTNACGTNNT"])[0].lengths.tolist() == [3, 1, 1, 3, 1, 1, 1, 1]


# Real tokenizers and real ids.


@pytest.fixture(scope="module")
def goldens(real_dir):
    return json.loads((real_dir / "goldens" / "tokenizers" / "tokenizer_goldens.json").read_text())


def full(scheme, piece):
    return [*scheme.prefix, *(int(i) for i in scheme.encode([piece])[0].ids), *scheme.suffix]


def unpadded(ids, pad):
    return [i for i in ids if i != pad]


def test_golden_dnabert2(goldens, real_dir, tmp_path):
    real = real_dir / "goldens" / "tokenizers" / "dnabert2_tokenizer.json"
    scheme = scheme_of(tiny_models.bpe(tmp_path, tokenizer_json=real))
    golden = goldens["dnabert2"]
    for (_, piece), ids in zip(golden["chunks"], golden["input_ids"], strict=True):
        assert full(scheme, piece) == unpadded(ids, 3)


def test_golden_nucleotide_transformer(goldens, schemes):
    golden = goldens["nt"]
    for (_, piece), ids in zip(golden["chunks"], golden["input_ids"], strict=True):
        assert full(schemes["esm"], piece) == unpadded(ids, 1)


@pytest.mark.parametrize(
    ("ids", "lengths", "marks", "fine"),
    [
        ([1, 2, 3], [2, 2, 1], (), True),
        ([9, 2, 3], [0, 4, 1], (9,), True),
        ([1, 2, 3], [0, 4, 1], (), False),
        ([1, 2, 3], [2, 4, -1], (), False),
        ([1, 2], [2, 2], (), False),
        ([1, 2], [4, 2], (), False),
        ([9, 9], [0, 5], (9,), False),
        ([], [], (), False),
    ],
)
def test_tokens_of_a_tokenizer_cover_every_nucleotide_once(schemes, ids, lengths, marks, fine):
    """None but marks owns none, and together they own all five."""
    found = tokens.Encoded(np.array(ids, np.int64), np.array(lengths, np.int64))
    scheme = dataclasses.replace(schemes["bpe"], rule=lambda bases, first: [found], marks=marks)
    if fine:
        assert scheme.encode(["ACGTA"]) == [found]
        return
    with pytest.raises(BendError, match=r"Sequence 7 \(5 nucleotides\) comes back from the tokenizer"):
        scheme.encode(["ACGTA"], first=7)


def test_ids_of_published_character_tokenizers():
    """[CLS] 0, [SEP] 1, [BOS] 2, [MASK] 3, [PAD] 4, [RESERVED] 5, [UNK] 6, then the characters."""
    scheme = tokens.character_scheme()
    assert (scheme.mask, scheme.pad, scheme.unknown) == (3, 4, 6)
    assert scheme.encode(["ACGTN"])[0].ids.tolist() == [7, 8, 9, 10, 11]
    assert tokens.character_scheme("TGCA").encode(["ACGTN"])[0].ids.tolist() == [10, 9, 8, 7, 6]


def test_golden_hyenadna(goldens):
    golden = goldens["hyenadna"]
    scheme = tokens.character_scheme(prefix=(0,))
    for (_, piece), ids in zip(golden["chunks"], golden["input_ids"], strict=True):
        assert full(scheme, piece) == unpadded(ids, 4)


@pytest.mark.parametrize("name", ["awdlstm", "resnetlm"])
def test_golden_bend_characters(goldens, name, tmp_path):
    """BEND's own models: a fast tokenizer of lower-case characters with the ids seen."""
    golden = goldens[name]
    scheme = scheme_of(tiny_models.with_ids(tmp_path, golden["vocabulary_seen"]))
    for sequence, ids in zip(golden["sequences"], golden["input_ids"], strict=True):
        assert full(scheme, sequence) == unpadded(ids, 0)


@pytest.mark.parametrize("k", [3, 4, 5, 6])
def test_real_dnabert_vocabularies(real_dir, tmp_path, k):
    from transformers import BertTokenizer

    vocabulary = real_dir / "goldens" / "tokenizers" / f"dnabert_{k}mer_vocab.txt"
    folder = tiny_models.dnabert(tmp_path, k=k, vocabulary=vocabulary)
    scheme = scheme_of(folder)
    assert (scheme.family, scheme.k, scheme.vectorised) == ("overlapping k-mers", k, True)
    tokenizer = BertTokenizer.from_pretrained(folder, do_lower_case=False)
    for sequence in (tiny_models.dna(300, k), "ACGTTNNACGTTGCANNNNNNNNACGTTTGAC"):
        spaced = " ".join(sequence[i : i + k] for i in range(len(sequence) - k + 1))
        assert full(scheme, sequence) == tokenizer(spaced)["input_ids"]


# Pieces.


def test_reference_overlap():
    """The BEND reference puts the second copy of the first k-mer's vector behind the sequence, for k of 5 and 6."""
    order, lengths = rules.reference_overlap(6, 7)
    assert np.repeat(order, lengths).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 0, 6, 6, 6]
    order, lengths = rules.reference_overlap(3, 10)
    assert np.repeat(order, lengths).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]


@pytest.mark.parametrize(
    ("text", "pieces", "want"),
    [
        ("ACGTACGT", ["ACGT", "ACGT"], [4, 4]),
        ("ACGTNNAC", ["ACGT", "[UNK]", "AC"], [4, 2, 2]),
        ("NNNNACGT", ["<oov>", "ACGT"], [4, 4]),
        ("ACNNNNNN", ["AC", "<oov>", "<oov>"], [2, 3, 3]),
        ("ACGT", ["AC", "##GT"], [2, 2]),
        ("NNACGT", ["ACGT"], [6]),
        ("NNNN", ["[UNK]"], [4]),
    ],
)
def test_walk(text, pieces, want):
    assert own_tokenizer.walk(text, pieces).tolist() == want


def test_owners():
    assert own_tokenizer.owners([(0, 1), (3, 4), (4, 6)], 9).tolist() == [1, 3, 5]


@modest
@given(sequence=dna)
def test_reverse_complement_is_its_own_inverse(sequence):
    assert rules.reverse_complement(rules.reverse_complement(sequence)) == sequence
    codes = rules.read_bases([rules.reverse_complement(sequence)]).codes[::-1]
    complement = np.array([3, 2, 1, 0, 4])[rules.read_bases([sequence]).codes]
    assert codes.tolist() == complement.tolist()


@modest
@given(sequences=several)
def test_blocks(sequences):
    table = np.arange(5**3)
    found = rules.read_blocks(rules.read_bases(sequences), 0, k=3, table=np.where(_with_n(3), -1, table), unknown=-1)
    for sequence, (ids, lengths) in zip(sequences, found, strict=True):
        clean = ["ACGTN".index(c if c in "ACGT" else "N") for c in sequence.upper()]
        blocks = [clean[i : i + 3] for i in range(0, len(clean), 3)]
        assert lengths.tolist() == [len(block) for block in blocks]
        assert ids.tolist() == [b[0] * 25 + b[1] * 5 + b[2] if len(b) == 3 and 4 not in b else -1 for b in blocks]


def _with_n(k):
    return (np.stack(np.unravel_index(np.arange(5**k), (5,) * k)) == 4).any(0)


def test_counts(schemes):
    sequences = [tiny_models.dna(n, n) for n in range(6, 80)]
    for scheme in schemes.values():
        exact = [len(found.ids) for found in scheme.encode(sequences)]
        assert scheme.count(sequences).tolist() == exact
        estimate = scheme.count(sequences * 5, most=30)
        assert abs(estimate.sum() / (5 * sum(exact)) - 1) < 0.1


# Bad input.


def test_empty_sequence(schemes):
    with pytest.raises(BendError, match="Sequence 1 is empty"):
        schemes["esm"].encode(["ACGT", ""])


def test_foreign_characters(schemes):
    with pytest.raises(BendError, match="Sequence 1 holds 'E' at position 3"):
        schemes["gpt2"].encode(["ACGT", "ACGEACGT"])
    with pytest.raises(BendError, match="position 2"):
        schemes["gpt2"].encode(["ACé"])


@pytest.mark.parametrize("name", ["gpt2", "esm", "dnabert"])
def test_rna_is_read_as_dna_and_said(schemes, caplog, name):
    rules._say_rna.cache_clear()
    dna, rna = "ACGTACTTGTCA", "ACGUACuTGUCA"
    [expected], [found] = schemes[name].encode([dna]), schemes[name].encode([rna])
    assert found.ids.tolist() == expected.ids.tolist()
    assert "sequences with U (RNA): it is read as T" in caplog.text
    assert rules.reverse_complement(rna) == rules.reverse_complement(dna.replace("CTTG", "CtTG"))


def test_shorter_than_a_kmer(schemes):
    with pytest.raises(BendError, match="Sequence 0 has 5 nucleotides, fewer than the 6"):
        schemes["dnabert"].encode(["ACGTA", "ACGTACGT"])


def test_protein_tokenizer_is_refused(tmp_path):
    words = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWC", "X", "<mask>"]
    tiny_models.write(tmp_path, "vocab.txt", "\n".join(words))
    tiny_models.write(tmp_path, "tokenizer_config.json", {"tokenizer_class": "EsmTokenizer"})
    with pytest.raises(BendError, match="protein model"):
        scheme_of(tmp_path)


def test_text_tokenizer_is_refused_with_the_share(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "gene", "##s"]
    tiny_models.write(tmp_path, "vocab.txt", "\n".join(words))
    tiny_models.write(tmp_path, "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    with pytest.raises(BendError, match=r"100% of plain A, C, G and T into the unknown token '\[UNK\]'"):
        scheme_of(tmp_path)


def test_no_tokenizer(tmp_path):
    tiny_models.write(tmp_path, "config.json", {"model_type": "bert"})
    with pytest.raises(BendError, match="has no tokenizer"):
        load_scheme(str(tmp_path), {"model_type": "bert"}, {}, None, False)


def test_tokenizer_that_reads_n_differently_is_used_itself(tmp_path, caplog):
    """An ESM vocabulary without N fuses unknown characters into one token: no table is used, and it is said."""
    folder = tiny_models.esm(tmp_path)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(word for word in vocabulary.read_text().split() if word != "N"))
    scheme = scheme_of(folder)
    assert not scheme.vectorised
    assert "used itself" in caplog.text
    assert scheme.encode(["ACGTACNNNNNACGTAC"])[0].lengths.tolist() == [6, 5, 6]
