"""Tokenizers as strangers make them: each token and the nucleotides it owns, by hand."""

from __future__ import annotations

from itertools import product

import pytest
import tiny_models
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from bend_hf.embed.own_tokenizer import Fast
from bend_hf.embed.reading import read_scheme

UNKNOWN = "[UNK]"
LETTER = pre_tokenizers.Split(Regex("."), "isolated")
CORPUS = [tiny_models.dna(400, seed) for seed in range(40)]


def words(k: int, letters: str) -> list[str]:
    return ["".join(word) for word in product(letters, repeat=k)]


def listed(vocabulary, split=LETTER, *, normalizer=None, around=None, **special) -> PreTrainedTokenizerFast:
    """A tokenizer of a list of words; `around` is a special token in front or behind, as in "$A </s>"."""
    known = dict(zip([UNKNOWN, *vocabulary], range(10_000), strict=False))
    backend = Tokenizer(models.WordLevel(known, unk_token=UNKNOWN))
    backend.pre_tokenizer = split
    if normalizer is not None:
        backend.normalizer = normalizer
    if around is not None:
        names = [name for name in around.split() if name != "$A"]
        specials = [(name, known[name]) for name in names]
        backend.post_processor = processors.TemplateProcessing(single=around, special_tokens=specials)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=UNKNOWN, **special)


def blocks(k: int) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(f".{{1,{k}}}"), "isolated")


def learnt(kind: str, corpus, **options) -> PreTrainedTokenizerFast:
    """Byte pairs on bytes, or Unigram behind a mark, learnt from a corpus."""
    if kind == "bytes":
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(**options)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=320, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
        )
        special = {"eos_token": "<end>"}
    else:
        backend = Tokenizer(models.Unigram())
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=40, unk_token=UNKNOWN, special_tokens=[UNKNOWN], show_progress=False
        )
        special = {"unk_token": UNKNOWN}
    backend.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def owned(tokenizer, text: str, **options) -> str:
    """Tokens and the nucleotides they own, as in "ACG:3 T:1"."""
    ids, lengths = read_scheme(tokenizer, "mine", **options).encode([text])[0]
    assert lengths.sum() == len(text)
    names = tokenizer.convert_ids_to_tokens(ids.tolist())
    return " ".join(f"{name}:{length}" for name, length in zip(names, lengths, strict=True))


@pytest.mark.parametrize(
    ("make", "text", "expected"),
    [
        (lambda: listed("ACGUN"), "ACGTN", "A:1 C:1 G:1 U:1 N:1"),
        (lambda: listed("acgun"), "ACGTN", "a:1 c:1 g:1 u:1 n:1"),
        (lambda: listed("acgt"), "ACGTN", "a:1 c:1 g:1 t:1 [UNK]:1"),
        (lambda: listed("acgtn", normalizer=normalizers.Lowercase()), "acGTN", "a:1 c:1 g:1 t:1 n:1"),
        (lambda: listed("ACGTNacgtn"), "acgtN", "A:1 C:1 G:1 T:1 N:1"),
        (lambda: listed(words(3, "ACGT"), blocks(3)), "ACGTTGCANC", "ACG:3 TTG:3 [UNK]:3 [UNK]:1"),
        (lambda: listed(words(3, "acgu"), blocks(3)), "ACGTTGC", "acg:3 uug:3 [UNK]:1"),
        (lambda: listed(words(3, "ACGT"), pre_tokenizers.Whitespace()), "ACGTNA", "ACG:2 CGT:1 [UNK]:1 [UNK]:2"),
        (
            lambda: listed([*words(4, "ACGT"), *"ACGTN"], pre_tokenizers.Split(Regex("[ACGT]{4}|."), "isolated")),
            "ACGTACNACGTA",
            "ACGT:4 A:1 C:1 N:1 ACGT:4 A:1",
        ),
    ],
)
def test_each_nucleotide_has_the_token_it_should(make, text, expected):
    assert owned(make(), text) == expected


@pytest.mark.parametrize(
    ("around", "options", "prefix", "suffix"),
    [
        ("$A </s>", {"eos_token": "</s>"}, (), (1,)),
        ("<s> $A", {"bos_token": "<s>", "padding_side": "left", "model_max_length": 10**30}, (2,), ()),
    ],
)
def test_special_tokens_at_one_end(around, options, prefix, suffix):
    found = read_scheme(listed(["</s>", "<s>", *"ACGTN"], around=around, **options), "mine")
    assert (found.prefix, found.suffix) == (prefix, suffix)


def test_a_species_in_front():
    tokenizer = listed(["<human>", *"ACGTN"], pre_tokenizers.Split(Regex("<[a-z]+>|."), "isolated"))
    assert read_scheme(tokenizer, "mine", prefix="<human>").prefix == (1,)
    assert owned(tokenizer, "ACN", prefix="<human>") == "A:1 C:1 N:1"


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("space", [False, True])
def test_byte_pairs_on_bytes_are_read_in_the_case_they_learnt(lower, space):
    """Every letter is a token of such a vocabulary in either case; its words are in one."""
    corpus = [text.lower() for text in CORPUS] if lower else CORPUS
    tokenizer = learnt("bytes", corpus, add_prefix_space=space)
    text = CORPUS[0]
    expected = tokenizer.tokenize(text.lower() if lower else text)
    assert len(expected) < len(text) / 2
    found = owned(tokenizer, text)
    assert [token.rpartition(":")[0] for token in found.split()] == expected
    assert all(len(name.lstrip("Ġ")) == int(size) for name, _, size in (t.rpartition(":") for t in found.split()))


def test_a_mark_owns_nothing():
    found = owned(learnt("unigram", CORPUS[:8]), "ACGTTGCANACG").split()
    assert found[0] == "▁:0"
    assert "[UNK]:1" in found


@pytest.mark.parametrize("text", ["ACGT", "ACGNT", "N", "ANNNNC"])
def test_what_is_put_in_front_of_a_sequence_is_no_token_of_it(text):
    """With an unknown letter too, where the tokens' places in the text are looked up."""
    tokenizer = listed([*"ACGT", "<dna>"], pre_tokenizers.Split(Regex("<dna>|."), "isolated"))
    [plain], [marked] = Fast(tokenizer)([text]), Fast(tokenizer, "<dna>", 1)([text])
    assert marked.ids.tolist() == plain.ids.tolist() == [1 + "ACGT".index(c) if c in "ACGT" else 0 for c in text]
    assert marked.lengths.tolist() == plain.lengths.tolist() == [1] * len(text)
