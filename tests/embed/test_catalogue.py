"""Names of models, what they stand for, and the longest input of those that state it and those that do not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import tiny_models
import torch

from bend_hf.embed import catalogue, embedder
from bend_hf.embed.catalogue import CATALOGUE, resolve
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.limits import stated_limits
from bend_hf.embed.open import load_embedder
from bend_hf.embed.tokens import character_scheme
from bend_hf.errors import BendError
from bend_hf.protocols import get_protocol

PAPER = {
    "resnetlm",
    "awdlstm",
    "nt_transformer_human_ref",
    "nt_transformer_1000g",
    "nt_transformer_ms",
    "nt_transformer_v2_500m",
    "dnabert6",
    "dnabert2",
    "gena-lm-bert-large-t2",
    "gena-lm-bigbird-base-t2t",
    "hyenadna-tiny-1k",
    "hyenadna-small-32k",
    "hyenadna-medium-160k",
    "hyenadna-medium-450k",
    "hyenadna-large-1m",
    "grover",
}


def test_every_model_of_the_paper_is_there():
    assert {entry.paper for entry in CATALOGUE.values()} - {None} == PAPER
    assert len({entry.source for entry in CATALOGUE.values()}) == len(CATALOGUE)


def test_names():
    assert resolve("nt-v2-500m").source == "InstaDeepAI/nucleotide-transformer-v2-500m-multi-species"
    assert resolve("nt_transformer_v2_500m") == resolve("nt-v2-500m")
    assert resolve("someone/some-model") == catalogue.Found("someone/some-model", "someone/some-model")
    assert resolve("kuleshov-group/caduceus-ph_seqlen-131k_d_model-256_n_layer-16").context == 131_072


def test_facts():
    for name, entry in CATALOGUE.items():
        hub = re.fullmatch(r"[\w.-]+/[\w.-]+", entry.source)
        assert hub or entry.source.startswith(catalogue.BEND_FILES), name
        assert entry.revision is None or (hub and re.fullmatch("[0-9a-f]{40}", entry.revision)), name
        assert entry.licence != "", name
    pins = [entry.revision for entry in CATALOGUE.values() if entry.revision]
    assert len(set(pins)) == len(pins) > 30


def test_the_page_lists_them_all():
    page = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    for name, entry in CATALOGUE.items():
        source = "BEND's share" if entry.source.startswith("https") else f"`{entry.source}`"
        commit = f"`{entry.revision[:10]}`" if entry.revision else "newest" if "`" in source else ""
        assert f"| `{name}` | {source} | {entry.width} | {entry.licence or 'not known'} | {commit} |" in page


def test_pins(tmp_path, monkeypatch):
    """The catalogue's commit is the default of its names and Hub ids, and of nothing else."""
    asked = []

    def load(source, *, revision, **options):
        asked.append((source, revision))
        raise BendError("asked")

    monkeypatch.setattr(embedder, "load", load)
    folder = tiny_models.esm(tmp_path / "grover")
    for name, revision in [
        ("dnabert2", None),
        ("zhihan1996/DNABERT-2-117M", None),
        ("dnabert-2", "main"),
        ("dnabert-3", None),
        ("someone/DNABERT-2-117M", None),
        (str(folder), None),
    ]:
        with pytest.raises(BendError, match="asked"):
            Embedder.from_pretrained(name, revision=revision)
    pin = CATALOGUE["dnabert-2"].revision
    assert [revision for _, revision in asked] == [pin, pin, "main", None, None, None]
    assert asked[-1][0] == str(folder)


@pytest.mark.parametrize(
    ("name", "near"), [("nt-v2-500", "nt-v2-500m"), ("dnabert2", None), ("hyenadna-tiny", "hyenadna-tiny-1k")]
)
def test_did_you_mean(name, near):
    if near is None:
        assert resolve(name).name == "dnabert-2"
        return
    with pytest.raises(BendError, match=f"Did you mean '{near}'"):
        resolve(name)
    with pytest.raises(BendError, match=f"Did you mean '{near}'"):
        load_embedder(name, protocol=get_protocol("default"))


def test_folders(tmp_path):
    folder = tiny_models.esm(tmp_path / "my-model")
    found = resolve(str(folder))
    assert (found.name, found.source) == ("my-model", str(folder))


def convnet(folder):
    """BEND's ConvNet in the layout of its share: a pickle, and a tokenizer of lower-case characters."""
    from bend_hf.models.convnet import ConvNetConfig, ConvNetModel

    tiny_models.with_ids(folder, {"[PAD]": 0, "a": 3, "c": 4, "g": 5, "t": 6})
    config = ConvNetConfig(vocab_size=9, hidden_size=9, n_layers=3)
    torch.manual_seed(0)
    torch.save(ConvNetModel(config).state_dict(), folder / "pytorch_model.bin")
    config.save_pretrained(folder)
    tiny_models.write(folder, "special_tokens_map.json", {"pad_token": "[PAD]", "unk_token": "[UNK]"})
    return folder


@pytest.mark.parametrize("name", ["grover", "dnabert6", "resnetlm"])
def test_a_folder_named_like_the_catalogue_s_model_is_no_other(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    if name != "resnetlm":  # which would be downloaded
        assert not resolve(name).source.startswith(".")  # results, say
    (tmp_path / name / "config.json").write_text("{}")
    with pytest.raises(BendError, match=rf"write \./{name} for the folder, or rename it"):
        resolve(name)
    assert resolve(f"./{name}").source == name


def test_bend_s_own_models_are_downloaded(tmp_path, monkeypatch):
    from bend_hf.data import download

    share = convnet(tmp_path / "share")
    asked = []

    def fetch(url, target, **options):
        asked.append(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(share / url.rpartition("/")[2], target)
        return target

    monkeypatch.setattr(download, "fetch", fetch)
    monkeypatch.setenv("BEND_HF_CACHE", str(tmp_path / "cache"))
    embedder = Embedder.from_pretrained("resnetlm", dtype="float32", device="cpu")
    assert all(url.startswith(catalogue.BEND_FILES + "/convnet/") for url in asked)
    assert {url.rpartition("/")[2] for url in asked} == set(catalogue.SHARE_FILES)
    assert embedder.name == "resnetlm"
    assert "bend_hf, convnet" in embedder.loaded.architecture
    assert embedder.scheme.encode(["ACGT"])[0].ids.tolist() == [3, 4, 5, 6]
    sequences = [tiny_models.dna(n, n) for n in (40, 90, 3)]
    for sequence, tokens in zip(sequences, embedder.embed(sequences), strict=True):
        alone = next(embedder.embed([sequence])).vectors
        assert tokens.vectors.shape == (len(sequence), 9)
        assert torch.allclose(tokens.vectors, alone, atol=1e-5)


CHARACTERS = character_scheme(prefix=(0,))  # two special tokens


@pytest.mark.parametrize(
    ("config", "context", "reason"),
    [
        ({"max_position_embeddings": 512, "num_attention_heads": 12}, 512, "max_position_embeddings"),
        ({"model_type": "esm", "max_position_embeddings": 1002, "pad_token_id": 1}, 1000, "max_position_embeddings"),
        ({"n_positions": 1024, "n_head": 4}, 1024, "n_positions"),
        ({"max_seq_len": 1026, "d_model": 128}, 1026, "max_seq_len"),
        ({"alibi_starting_size": 512, "max_position_embeddings": 512, "num_attention_heads": 12}, 2048, "no limit"),
        ({"hidden_size": 256}, 131_072, "no limit"),
    ],
)
def test_limits(config, context, reason):
    found = stated_limits(config, CHARACTERS, attention="hidden_size" not in config)
    assert (found.context, found.content) == (context, context - 2)
    assert reason in found.reason
    assert stated_limits(config, CHARACTERS, 100).content == 98
    known = stated_limits(config, CHARACTERS, None, 200)
    assert (known.context, known.reason) == (200, "of the catalogue")
    assert stated_limits(config, CHARACTERS, 100, 200).context == 100
