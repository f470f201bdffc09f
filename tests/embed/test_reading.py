"""Toy tokenizers of every kind, with ids and run lengths known by hand."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import tiny_models
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from bend_hf.embed.reading import read_scheme
from bend_hf.embed.tokenizer_files import load_scheme
from bend_hf.errors import BendError


def fast(tokenizer, **special):
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def lengths(scheme, sequence):
    return scheme.encode([sequence])[0].lengths.tolist()


def ids(scheme, sequence):
    return scheme.encode([sequence])[0].ids.tolist()


def numbered(words):
    return {word: number for number, word in enumerate(words)}


def words(k, letters="ACGT"):
    return ["".join(word) for word in product(letters, repeat=k)]


def test_a_sentencepiece_mark_owns_nothing():
    """``▁ACGT`` may come as the mark and ACGT, or as one piece: the four letters belong to the piece either way."""
    pieces = [("<unk>", 0.0), ("▁", -1.0), ("ACGT", -1.0), ("▁TT", -1.0), *((x, -5.0) for x in "ACGTN")]
    model = Tokenizer(models.Unigram(pieces, unk_id=0))
    model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    model.decoder = decoders.Metaspace()
    scheme = read_scheme(fast(model, unk_token="<unk>"), "unigram")
    assert (scheme.family, scheme.marks) == ("subwords", (1,))
    assert ids(scheme, "ACGTACGTA") == [1, 2, 2, 4]
    assert lengths(scheme, "ACGTACGTA") == [0, 4, 4, 1]
    assert lengths(scheme, "TTACGT") == [2, 4]
    assert lengths(scheme, "TTNNACGTG") == [2, 1, 1, 4, 1]
    assert scheme.count(["ACGTACGTA", "TTACGT"]).tolist() == [3, 2]


def test_vectors_of_marks_are_left_out(tmp_path):
    from transformers import BertConfig

    from bend_hf import Embedder

    pieces = [["<unk>", 0.0], ["▁", -1.0], ["ACGT", -1.0], *([x, -5.0] for x in "ACGTN")]
    model = Tokenizer(models.Unigram([tuple(piece) for piece in pieces], unk_id=0))
    model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    fast(model, unk_token="<unk>", pad_token="<unk>").save_pretrained(tmp_path)
    config = BertConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    embedder = Embedder.from_pretrained(str(tiny_models.save(tmp_path, config, 1)), dtype="float32", device="cpu")
    found = next(embedder.embed(["ACGTACGTA"]))
    assert found.lengths.tolist() == [4, 4, 1]
    assert len(found.vectors) == 3
    assert embedder.count_tokens(["ACGTACGTA"]).tolist() == [3]


def wordpiece(pieces, longest):
    return fast(
        Tokenizer(models.WordPiece(numbered(pieces), unk_token="[UNK]", max_input_chars_per_word=longest)),
        unk_token="[UNK]",
    )


def test_wordpiece_continues_words():
    scheme = read_scheme(wordpiece(["[UNK]", *"ACGTN", "##AC", *(f"##{x}" for x in "ACGTN")], 10**6), "wordpiece")
    assert ids(scheme, "GACT") == [3, 6, 10]
    assert lengths(scheme, "GACT") == [1, 2, 1]


def test_wordpiece_that_takes_short_words_only_is_refused():
    with pytest.raises(BendError, match="max_input_chars_per_word"):
        read_scheme(wordpiece(["[UNK]", *"ACGT", *(f"##{x}" for x in "ACGT")], 100), "wordpiece")


def test_byte_level():
    tokenizer = Tokenizer(models.BPE(numbered(["A", "C", "G", "T", "N", "AC", "Ġ"]), [("A", "C")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    scheme = read_scheme(fast(tokenizer), "bytes")
    assert ids(scheme, "ACNG") == [5, 4, 2]
    assert lengths(scheme, "ACNG") == [2, 1, 1]


@pytest.mark.parametrize(("template", "around"), [("$A [SEP]", ((), (6,))), ("[CLS] $A", ((5,), ()))])
def test_special_tokens_on_one_side_and_left_padding(template, around):
    tokenizer = Tokenizer(models.WordLevel(numbered([*"acgtn", "[CLS]", "[SEP]", "[PAD]"]), "n"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("[CLS]", 5), ("[SEP]", 6)]
    )
    scheme = read_scheme(fast(tokenizer, pad_token="[PAD]", padding_side="left"), "characters")
    assert (scheme.family, (scheme.prefix, scheme.suffix), scheme.pad) == ("characters", around, 7)
    assert ids(scheme, "ACGTN") == [0, 1, 2, 3, 4]


def test_rna_is_written_with_u():
    tokenizer = Tokenizer(models.WordLevel(numbered([*"ACGUN", "[UNK]"]), "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    scheme = read_scheme(fast(tokenizer, unk_token="[UNK]"), "rna")
    assert ids(scheme, "ACGTN") == [0, 1, 2, 3, 4]
    assert "ACGUN" in scheme.origin


def spaced(k, letters="ACGT"):
    tokenizer = Tokenizer(models.WordLevel(numbered(["[UNK]", *words(k, letters)]), "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return fast(tokenizer, unk_token="[UNK]")


def test_codons_are_asked_for():
    """Nothing in a vocabulary of 3-mers says whether they overlap: they do, unless the user says otherwise."""
    found, asked = (read_scheme(spaced(3), "codons", scheme=scheme) for scheme in (None, "k-mer blocks"))
    assert (found.family, found.stride) == ("overlapping k-mers", 1)
    assert asked.family == "k-mer blocks"
    assert asked.identity == {"family": "k-mer blocks", "k": 3, "stride": 1, "prefix": [], "suffix": []}
    assert ids(asked, "AAAAACAAGGG") == [1, 2, 3, 0]
    assert lengths(asked, "AAAAACAAGGG") == [3, 3, 3, 2]


@pytest.mark.parametrize("stride", [1, 2, 3, 6])
def test_strides(stride):
    scheme = read_scheme(spaced(6), "strides", scheme=f"overlapping k-mers/{stride}")
    sequence = tiny_models.dna(41, 2)
    table = numbered(["[UNK]", *words(6)])
    starts = range(0, 41 - 6 + 1, stride)
    assert ids(scheme, sequence) == [table[sequence[start : start + 6]] for start in starts]
    owner = np.repeat(np.arange(len(starts)), lengths(scheme, sequence))
    middle = (6 - stride) // 2
    expected = [min(max((p - middle) // stride, 0), len(starts) - 1) for p in range(41)]
    assert owner.tolist() == expected
    assert scheme.count([sequence]).tolist() == [len(starts)]


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_prokbert_needs_no_code(tmp_path, shift):
    tiny_models.write(tmp_path, "vocab.txt", "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words(6)]))
    settings = {"tokenizer_class": "LCATokenizer", "kmer": 6, "shift": shift}
    settings["auto_map"] = {"AutoTokenizer": ["prokbert_tokenizer.LCATokenizer", None]}
    tiny_models.write(tmp_path, "tokenizer_config.json", settings)
    scheme = load_scheme(str(tmp_path), {}, settings, None, False)
    assert (scheme.prefix, scheme.suffix, scheme.stride, scheme.pad) == ((2,), (3,), shift, 0)
    assert ids(scheme, "AAAAAAAC") == {1: [5, 5, 6], 2: [5, 6], 3: [5]}[shift]
    assert sum(lengths(scheme, "AAAAAAAC")) == 8
    assert ids(scheme, "AAANAA") == [1]


def test_a_declared_tokenizer_is_not_replaced_by_a_file_beside_it(tmp_path):
    tiny_models.characters(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings["auto_map"] = {"AutoTokenizer": ["tokenizer.HybridTokenizer", None]}
    with pytest.raises(BendError, match=r"tokenizer of its own code .*HybridTokenizer"):
        load_scheme(str(tmp_path), {}, settings, None, False)


class Hybrid:
    """Carbon's manner: English pieces, and behind ``<dna>`` 6-mers, the last filled up with A, an N unknown."""

    is_fast, unk_token, unk_token_id, pad_token_id, eos_token_id, mask_token_id = False, None, None, 0, 0, None

    def __init__(self):
        self.vocabulary = numbered(["<pad>", "<dna>", "<oov>", *"ACGTN", "AC", "GA", *(f"the{i}" for i in range(9000))])
        self.kmers = {word: 20_000 + i for i, word in enumerate(words(6, "ATCG"))}

    def get_vocab(self):
        return self.vocabulary

    def tokenize(self, text):
        found = []
        while text:
            piece = text[:2] if text[:2] in self.vocabulary else text[0]
            found.append(piece)
            text = text[len(piece) :]
        return found

    def convert_tokens_to_ids(self, pieces):
        return [self.vocabulary[piece] for piece in pieces]

    def convert_ids_to_tokens(self, numbers):
        return [list(self.vocabulary)[number] for number in numbers]

    def __call__(self, text, add_special_tokens=True):
        if not text.startswith("<dna>"):
            return {"input_ids": self.convert_tokens_to_ids(self.tokenize(text))}
        dna = text.removeprefix("<dna>")
        blocks = [dna[i : i + 6].ljust(6, "A") for i in range(0, len(dna), 6)]
        return {"input_ids": [1, *(self.kmers.get(block, 2) for block in blocks)]}


def test_a_known_mark_is_put_in_front():
    scheme = read_scheme(Hybrid(), "carbon")
    assert (scheme.family, scheme.k, scheme.mark, scheme.prefix) == ("k-mer blocks", 6, "<dna>", (1,))
    assert ids(scheme, "AAAAAAAAAAATACGTNAAC") == [20_000, 20_001, 2, 20_000 + 2 * 4**4]
    assert lengths(scheme, "AAAAAAAAAAATACGTNAAC") == [6, 6, 6, 2]


def test_dna_as_text_is_refused_unless_asked_for():
    with pytest.raises(BendError, match=r"reads DNA as text: \d+ tokens per kilobase .*--prefix.*--scheme text"):
        read_scheme(Hybrid(), "carbon", prefix="")
    scheme = read_scheme(Hybrid(), "carbon", prefix="", scheme="text")
    assert lengths(scheme, "ACGAT") == [2, 2, 1]
    assert scheme.identity != read_scheme(Hybrid(), "carbon").identity


def test_unknown_schemes():
    with pytest.raises(BendError, match="scheme"):
        read_scheme(spaced(3), "codons", scheme="3-mers")
    with pytest.raises(BendError, match="does not read DNA as scheme='characters' says"):
        read_scheme(spaced(3), "codons", scheme="characters")


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        (["a", "c", "g", "t", "n"], "A, C, G, T would be unknown: the characters are a c g t n"),
        (["A", "C", "G", "U", "N"], "T would be unknown"),
        ([1, 2], "characters of tokenizer_config.json are"),
    ],
)
def test_characters_that_are_no_nucleotides_are_refused(tmp_path, characters, message):
    """Every nucleotide would be the unknown token, and every vector the same."""
    settings = {"tokenizer_class": "HyenaDNATokenizer", "characters": characters}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(BendError, match=message):
        load_scheme(str(tmp_path), {}, settings, None, False)


@pytest.mark.parametrize("dropout", [0.02, 0.5])
def test_byte_pairs_dropped_at_random_are_refused(tmp_path, dropout):
    folder = tiny_models.bpe(tmp_path)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["dropout"] = dropout
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(BendError, match=r"reads one sequence in two ways.*\"dropout\": null in tokenizer\.json"):
        load_scheme(str(folder), {}, json.loads((folder / "tokenizer_config.json").read_text()), None, False)


def letter_by_letter(special=(), **roles):
    names = [*special, *"ACGT"]
    model = Tokenizer(models.WordLevel(numbered(names), unk_token=roles.get("unk_token", "[UNK]")))
    model.pre_tokenizer = pre_tokenizers.Split(Regex("<[a-z]+>|."), "isolated")
    return fast(model, **roles)


def test_a_tokenizer_that_cannot_read_n_is_refused():
    with pytest.raises(BendError, match=r"mine: its tokenizer fails on .*N.*unk_token"):
        read_scheme(letter_by_letter(), "mine")


def test_a_prefix_that_is_no_token_is_refused():
    tokenizer = letter_by_letter(["[UNK]", "<human>"], unk_token="[UNK]")
    assert read_scheme(tokenizer, "mine", prefix="<human>").prefix == (1,)
    with pytest.raises(BendError, match=r"prefix='<yeti>' .*reads it as unknown"):
        read_scheme(tokenizer, "mine", prefix="<yeti>")


def test_an_n_that_makes_a_whole_sequence_unknown_is_said():
    """WordPiece ends words at spaces, of which DNA has none."""
    from torch import nn

    from bend_hf.embed.loading import vocabulary_notes

    pieces = ["[UNK]", *"ACGT", *(f"##{letter}" for letter in "ACGT"), "ACG", "##TT"]
    for suffix, expected in (
        ([], ["a single N makes 401 nucleotides around it one unknown token"]),
        (["N", "##N"], []),
    ):
        names = numbered([*pieces, *suffix])
        model = Tokenizer(models.WordPiece(names, unk_token="[UNK]", max_input_chars_per_word=10**6))
        model.pre_tokenizer = pre_tokenizers.Whitespace()
        scheme = read_scheme(fast(model, unk_token="[UNK]"), "wordpiece")
        assert vocabulary_notes("wordpiece", nn.Linear(1, 1), scheme) == expected
