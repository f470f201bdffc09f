"""What the models are given under `bend-2024`, beside the reference's arithmetic stated anew (BEND at ac6e80c).

Every expected array is made here from ids alone, with numpy's own splitting, and never by the package's cutting.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny_models
import torch
from torch import nn

from bend_hf.embed.embedder import Embedder
from bend_hf.embed.loading import Loaded
from bend_hf.embed.tokens import character_scheme
from bend_hf.protocols import get_protocol

RULES = get_protocol("bend-2024")


def recorded(embedder):
    """Let an embedder's network note its inputs, without padding, in the order in which they come."""
    inputs, call = [], embedder.network.call

    def noting(**arguments):
        ids = arguments["input_ids"].numpy()
        mask = arguments.get("attention_mask")
        sizes = [ids.shape[1]] * len(ids) if mask is None else mask.sum(1).tolist()
        inputs.extend(row[:size].tolist() for row, size in zip(ids, sizes, strict=True))
        return call(**arguments)

    embedder.network.call = noting
    return inputs


def split(ids, every):
    """The reference's torch.split of a row of ids."""
    return [part.tolist() for part in np.split(np.asarray(ids), range(every, len(ids), every))]


def cut(text, every):
    return [text[start : start + every] for start in range(0, len(text), every)]


class Echo(nn.Module):
    """Each vector is its token's id and its place in the input."""

    def __init__(self, config):
        super().__init__()
        self.settings = config
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, input_ids, attention_mask=None):
        places = torch.arange(input_ids.shape[1]).expand_as(input_ids)
        return (torch.stack((input_ids, places), -1).float(),)


def echo(scheme, config, protocol=RULES, **options):
    loaded = Loaded("echo", Echo(config).eval(), scheme, config, {}, "a test", (), {"files": "none"})
    return Embedder(loaded, device="cpu", protocol=protocol, **options)


def same_inputs(found, expected):
    assert sorted(map(tuple, found)) == sorted(map(tuple, expected))


@pytest.fixture(scope="module")
def dnabert(tmp_path_factory):
    folder = tiny_models.dnabert(tmp_path_factory.mktemp("models") / "dnabert")
    return Embedder.from_pretrained(str(folder), device="cpu", protocol="bend-2024")


@pytest.mark.parametrize(
    ("nucleotides", "sizes"),
    [
        (511, [508]),
        (512, [509]),
        (513, [510]),
        (515, [512]),
        (516, [512, 1]),  # the second piece is [SEP] alone
        (517, [512, 2]),
        (900, [512, 385]),
        (7_330, [512] * 14 + [159]),
    ],
)
def test_dnabert_is_split_with_its_special_tokens(dnabert, nucleotides, sizes):
    """B4: ``[CLS] k-mers [SEP]`` every 512 ids: one [CLS] in the first piece, one [SEP] in the last."""
    words = (dnabert.loaded.scheme.prefix, dnabert.loaded.scheme.suffix)
    assert words == ((2,), (3,))  # [CLS] and [SEP] of vocab.txt
    text = tiny_models.dna(nucleotides, nucleotides)
    order = {letter: number for number, letter in enumerate("ATCG")}  # the order of its vocabulary
    numbers = [order[letter] for letter in text]
    kmers = [5 + sum(n * 4 ** (5 - j) for j, n in enumerate(numbers[i : i + 6])) for i in range(nucleotides - 5)]
    pieces = split([2, *kmers, 3], 512)
    assert [len(piece) for piece in pieces] == sizes
    inputs = recorded(dnabert)
    found = next(dnabert.embed([text]))
    same_inputs(inputs, [piece for piece in pieces if piece != [3]])

    with torch.inference_mode():
        whole = torch.cat([dnabert.loaded.model(torch.tensor([piece])).last_hidden_state[0] for piece in pieces])[1:-1]
    # The reference's upsampling of 6-mers: the second copy of the first vector lies behind the sequence (B3).
    order = [0, *range(len(whole)), 0, *[len(whole) - 1] * 3]
    upsampled = found.vectors.repeat_interleave(torch.from_numpy(found.lengths), 0)
    assert torch.allclose(upsampled, whole[order], atol=2e-5)


def test_default_dnabert_has_special_tokens_around_every_window(dnabert):
    plain = Embedder(dnabert.loaded, device="cpu", dtype="float32")
    inputs = recorded(plain)
    next(plain.embed([tiny_models.dna(900)]))
    assert {(ids[0], ids[-1]) for ids in inputs} == {(2, 3)}


@pytest.mark.parametrize("context", [40, 1000])
def test_nucleotide_transformer(tmp_path, context):
    """Texts of six times the tokens; one of more ids (single nucleotides around N) goes on without ``<cls>``."""
    embedder = Embedder.from_pretrained(
        str(tiny_models.esm(tmp_path, context=context)), device="cpu", protocol="bend-2024"
    )
    every = 6 * (context - 1)
    assert context != 1000 or every == 5_994
    text = tiny_models.dna(every - 20, 1) + "N" * 50 + tiny_models.dna(every, 2)
    pieces = []
    for part in cut(text, every):
        ids = [3, *embedder.scheme.encode([part])[0].ids.tolist()]  # <cls> is 3
        pieces += split(ids, context)
    inputs = recorded(embedder)
    found = next(embedder.embed([text]))
    same_inputs(inputs, pieces)
    assert sum(ids[0] == 3 for ids in inputs) == 3 < len(inputs)
    assert found.lengths.sum() == len(text)


@pytest.mark.parametrize(
    "config",
    [{"model_type": "hyenadna", "max_seq_len": 1026}, {"d_model": 8, "layer": {"_name_": "hyena", "l_max": 1026}}],
    ids=["-hf", "older"],
)
@pytest.mark.parametrize("scheme", [character_scheme(), character_scheme(prefix=(0,))], ids=["sep", "cls-sep"])
def test_hyenadna_reads_cls_and_sep_in_pieces_of_1024(config, scheme):
    text = tiny_models.dna(2_500, 3)
    letters = [7 + "ACGTN".index(letter) for letter in text]
    embedder = echo(scheme, config)
    inputs = recorded(embedder)
    found = next(embedder.embed([text]))
    same_inputs(inputs, [[0, *part, 1] for part in split(letters, 1_024)])
    assert found.vectors[:, 0].tolist() == letters
    assert found.vectors[:, 1].tolist() == [1 + i % 1_024 for i in range(2_500)]


@pytest.mark.parametrize(
    ("name", "stated", "piece"),
    [("tiny", 1026, 1024), ("small", 32770, 32768), ("160k", 160002, 160000), ("1m", 1000002, 1000000)],
)
def test_hyenadna_pieces_of_each_length(name, stated, piece):
    assert echo(character_scheme(), {"model_type": "hyenadna", "max_seq_len": stated}).cut.nucleotides == piece


def test_caduceus_reads_no_special_tokens_in_pieces_of_131072():
    embedder = echo(character_scheme(), {"model_type": "caduceus"}, context=131_072)
    assert (embedder.cut.nucleotides, embedder.cut.fits) == (131_072, None)
    inputs = recorded(embedder)
    next(embedder.embed(["ACGTN"]))
    assert inputs == [[7, 8, 9, 10, 11]]


def test_dnabert2_is_cut_in_nucleotides_only():
    """10,000 nt: never a second time by its tokens, however many they are."""
    embedder = echo(character_scheme(prefix=(0,)), {"model_type": "bert", "alibi_starting_size": 512})
    inputs = recorded(embedder)
    next(embedder.embed([tiny_models.dna(23_000)]))
    assert sorted(map(len, inputs)) == [3_002, 10_002, 10_002]


def test_byte_pairs_get_special_tokens_around_every_510(tmp_path):
    """GENA-LM and GROVER: tokenised whole, each 510 tokens between [CLS] and [SEP]."""
    embedder = Embedder.from_pretrained(str(tiny_models.bpe(tmp_path)), device="cpu", protocol="bend-2024")
    text = tiny_models.dna(6_000, 4)
    ids = embedder.scheme.encode([text])[0].ids.tolist()
    inputs = recorded(embedder)
    next(embedder.embed([text]))
    same_inputs(inputs, [[1, *part, 2] for part in split(ids, 510)])
    assert len(inputs) > 2


def test_vectors_are_float32_unless_a_type_is_named(tmp_path):
    folder = str(tiny_models.esm(tmp_path))
    assert Embedder.from_pretrained(folder, device="cpu", protocol="bend-2024").dtype == "float32"
    assert Embedder.from_pretrained(folder, device="cpu", protocol="bend-2024", dtype="bfloat16").dtype == "bfloat16"
    assert (RULES.dtype, RULES.kept_vectors) == ("float32", "float32")


@pytest.mark.parametrize("field", ["split_specials", "nucleotide_pieces", "reference_specials", "windows"])
def test_each_field_enters_the_key(tmp_path, field):
    config = {"model_type": "hyenadna", "max_seq_len": 30}
    made = echo(character_scheme(), config)
    if field == "split_specials":
        made = Embedder.from_pretrained(str(tiny_models.dnabert(tmp_path)), device="cpu", protocol="bend-2024")
    other = replace(RULES, **{field: getattr(get_protocol("default"), field)})
    again = Embedder(made.loaded, device="cpu", protocol=other, dtype="float32")
    assert made.provenance()["key"] != again.provenance()["key"]
