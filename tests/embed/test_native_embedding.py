"""The package's own architectures, whole: original checkpoint layouts with their tokenizers, through the embedder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch

from bend_hf import models
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.places import read_config
from bend_hf.embed.rules import reverse_complement
from bend_hf.zero_shot.variants import score_variants

CHECKPOINTS = Path(__file__).resolve().parent.parent / "models" / "goldens"


def letters(**ids):
    return lambda folder: tiny_models.with_ids(folder, {"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, **ids})


def declared(name):
    return lambda folder: tiny_models.write(folder, "tokenizer_config.json", {"tokenizer_class": name})


TOKENIZERS = {
    "awd_lstm": letters(a=8, c=9, g=10, t=11),
    "convnet": letters(a=3, c=4, g=5, t=6),
    "gpn": letters(a=3, c=4, g=5, t=6),
    "hyenadna": declared("HyenaDNATokenizer"),
    "caduceus_ph": declared("CaduceusTokenizer"),
    "caduceus_ps": declared("CaduceusTokenizer"),
    "nt_v2": lambda folder: tiny_models.kmers(folder, k=2, context=62),
    "mosaic_bert": lambda folder: tiny_models.byte_pairs(folder, size=64),
    "gena_bert": lambda folder: tiny_models.byte_pairs(folder, size=64, gaps=True),
}
CAUSAL = {"awd_lstm", "hyenadna"}
FAMILIES = {
    "awd_lstm": "characters",
    "convnet": "characters",
    "gpn": "characters",
    "hyenadna": "characters",
    "caduceus_ph": "characters",
    "caduceus_ps": "characters",
    "nt_v2": "k-mers",
    "mosaic_bert": "subwords",
    "gena_bert": "subwords",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for name, write in TOKENIZERS.items():
        made[name] = shutil.copytree(CHECKPOINTS / name, tmp_path_factory.mktemp("native") / name)
        write(made[name])
    return made


def load(folder, **options):
    return Embedder.from_pretrained(str(folder), **{"dtype": "float32", "device": "cpu", **options})


SEQUENCES = [tiny_models.dna(n, n) for n in (40, 90, 17, 90)] + ["ACGTNNNNNNNNNNNNACGT"]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_vectors(folders, name):
    """Recognised, loaded and tokenised by what its files say; equal to the model itself on one sequence at a time."""
    embedder = load(folders[name])
    assert "of bend_hf" in embedder.loaded.architecture
    assert embedder.scheme.family == FAMILIES[name]
    assert embedder.scheme.vectorised == (FAMILIES[name] != "subwords")
    assert embedder.causal == (name in CAUSAL)
    config = read_config(str(folders[name]))
    model = models.load(folders[name], config)
    for sequence, found in zip(SEQUENCES, embedder.embed(SEQUENCES), strict=True):
        assert found.lengths.sum() == len(sequence)
        ids = embedder.scheme.encode([sequence])[0].ids
        whole = np.concatenate((embedder.scheme.prefix, ids, embedder.scheme.suffix)).astype(np.int64)
        if len(whole) > (embedder.limits.context or len(whole)):
            continue
        with torch.no_grad():
            hidden = model(torch.from_numpy(whole)[None]).last_hidden_state[0]
        start = len(embedder.scheme.prefix)
        assert torch.allclose(found.vectors, hidden[start : start + len(ids)], atol=2e-5)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_auto_precision_runs(folders, name):
    exact, auto = load(folders[name]), load(folders[name], dtype="auto")
    assert auto.network.autocast or auto.measured.held > 0.999
    assert not name.startswith("caduceus") or auto.dtype == "float32"
    for one, other in zip(exact.embed(SEQUENCES), auto.embed(SEQUENCES), strict=True):
        assert torch.cosine_similarity(one.vectors, other.vectors.float(), dim=-1).mean() > 0.995


def test_caduceus_ps_both_ways(folders):
    """Raw channels as the original gives them, or folded: then reverse-complement consistent, and half as wide."""
    raw, folded = load(folders["caduceus_ps"]), load(folders["caduceus_ps"], strand="average")
    assert (raw.dim, folded.dim) == (32, 16)
    sequence = SEQUENCES[1]
    found = next(folded.embed([sequence])).vectors
    assert torch.allclose(found, next(folded.embed([reverse_complement(sequence)])).vectors.flip(0), atol=1e-4)
    ids = torch.from_numpy(raw.scheme.encode([sequence])[0].ids)  # no [SEP]: it would tell the strands apart
    channels = raw.network(ids[None])[0]
    assert torch.allclose(found, (channels[:, :16] + channels[:, 16:].flip(-1)) / 2, atol=1e-5)


@pytest.mark.parametrize("name", ["convnet", "hyenadna", "caduceus_ph"])
def test_variants(folders, name):
    import datasets

    from bend_hf.protocols import get_protocol

    context = tiny_models.dna(1024, 5)
    rows = [
        {
            "chromosome": "chr1",
            "start": 700,
            "ref_sequence": context,
            "alt_sequence": context[:512] + alt + context[513:],
            "variant_offset": 512,
        }
        for alt in "ACGT"
        if alt != context[512]
    ]
    found = score_variants(
        load(folders[name]),
        datasets.Dataset.from_list(rows),
        protocol=get_protocol("default"),
        scores=("cosine", "llr"),
    )
    assert (found["cosine"] > 0).all()
    assert np.isfinite(found["llr"]).all()
    assert len(np.unique(found["llr"])) == 3


def test_older_hyenadna_layout(folders, tmp_path):
    """`weights.ckpt` without any tokenizer: the published characters between [CLS] and [SEP]."""
    from bend_hf.embed.tokenizer_files import load_scheme

    config = read_config(str(folders["hyenadna"]))
    (tmp_path / "weights.ckpt").touch()
    scheme = load_scheme(str(tmp_path), config, {}, None, False)
    assert (scheme.prefix, scheme.suffix, scheme.encode(["ACGTN"])[0].ids.tolist()) == ((0,), (1,), [7, 8, 9, 10, 11])


def test_hyenadna_holds_its_weights_in_half_precision_but_not_its_filter(folders):
    """Positions up to a million do not fit into half precision."""
    network = load(folders["hyenadna"], dtype="bfloat16").network
    assert not network.autocast
    types = {name: weight.dtype for name, weight in network.model.named_parameters()}
    assert {name for name, dtype in types.items() if dtype == torch.float32} == {n for n in types if "filter_fn" in n}
    assert torch.bfloat16 in types.values()


@pytest.mark.parametrize(("name", "most"), [("mosaic_bert", 2048), ("caduceus_ph", 131_072)])
def test_only_models_with_attention_are_cut_for_what_it_costs(folders, name, most):
    """Whatever their classes are called: DNABERT-2 states no limit, and its cost grows with the square."""
    assert load(folders[name]).limits.context == most
