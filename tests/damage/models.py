"""Folders of models that are damaged, odd or harmful."""

from __future__ import annotations

import json
import os
import struct

from damage.bench import Bench, Kind, cli

EVALUATE = "evaluate {model} --tasks cpg_methylation --data-dir {data} -o {out}"
DOCTOR = "doctor {model}"


def file(name: str, content: str | bytes):
    """Put a file in the model's folder."""
    return lambda bench: bench.put(f"model/{name}", content) if bench.model else None


def setting(**changes: object):
    """Change the configuration."""

    def harm(bench: Bench) -> None:
        found = json.loads((bench.model / "config.json").read_text())
        bench.put("model/config.json", json.dumps(found | changes))

    return harm


def without(name: str):
    """Remove a file."""
    return lambda bench: (bench.model / name).unlink()


def cut(bench: Bench) -> None:
    content = (bench.model / "model.safetensors").read_bytes()
    bench.put("model/model.safetensors", content[: len(content) // 2])


def index(*names: object):
    """Replace the weights by an index that names files."""

    def harm(bench: Bench) -> None:
        (bench.model / "model.safetensors").unlink()
        table = {"weight_map": {f"tensor{i}": name for i, name in enumerate(names)}}
        bench.put("model/model.safetensors.index.json", json.dumps(table))

    return harm


def pipe(name: str):
    """Put a pipe in a file's place."""

    def harm(bench: Bench) -> None:
        (bench.model / name).unlink()
        os.mkfifo(bench.model / name)

    return harm


HEADER = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
KINDS = (
    Kind(
        "a model without a configuration",
        cli(DOCTOR, without("config.json")),
        "holds no config.json, so it is no model that can be loaded.",
    ),
    Kind(
        "a configuration that is empty",
        cli(DOCTOR, file("config.json", "")),
        "config.json: is not JSON (Expecting value: line 1 column 1 (char 0)):",
        "data",
    ),
    Kind(
        "a configuration that is a list",
        cli(DOCTOR, file("config.json", "[]")),
        "holds a list, not an object with fields: download it again.",
    ),
    Kind(
        "a configuration that is a number",
        cli(DOCTOR, file("config.json", "3")),
        "holds a int, not an object with fields: download it again.",
    ),
    Kind(
        "a configuration that is null",
        cli(DOCTOR, file("config.json", "null")),
        "holds a NoneType, not an object with fields: download it again.",
    ),
    Kind(
        "a configuration that is a text",
        cli(DOCTOR, file("config.json", '"bert"')),
        "holds a str, not an object with fields: download it again.",
    ),
    Kind(
        "a configuration nested a hundred thousand deep",
        cli(DOCTOR, file("config.json", "[" * 100_000)),
        "config.json: is not JSON of ours (nested too deeply): download it",
        "data",
    ),
    Kind(
        "a configuration that is binary",
        cli(DOCTOR, file("config.json", b"\xff\xfe\x00")),
        "config.json: is not JSON ('utf-8' codec can't decode byte 0xff in",
        "data",
    ),
    Kind(
        "a configuration of an unknown type",
        cli(DOCTOR, setting(model_type="nothing")),
        "is of model_type 'nothing', which neither bend_hf nor transformers",
    ),
    Kind(
        "a model type that is a number",
        cli(DOCTOR, setting(model_type=3)),
        "is of model_type '3', which",
    ),
    Kind(
        "a model type that is a list",
        cli(DOCTOR, setting(model_type=["gpt2"])),
        "is of model_type \"['gpt2']\", which neither bend_hf nor transformers",
    ),
    Kind(
        "a width in words",
        cli(DOCTOR, setting(n_embd="wide")),
        "transformers cannot read its config.json (Validation error for field",
    ),
    Kind(
        "a width below 0",
        cli(DOCTOR, setting(n_embd=-8)),
        "no GPT2Model is made of its config.json (Trying to create tensor with",
    ),
    Kind(
        "layers beyond the weights",
        cli(DOCTOR, setting(n_layer=3)),
        "does not fit GPT2Model, so its vectors would be wrong: 24 missing",
    ),
    Kind(
        "a model without weights",
        cli(DOCTOR, without("model.safetensors")),
        "holds no weights: none of model.safetensors.index.json,",
    ),
    Kind(
        "weights that are empty",
        cli(DOCTOR, file("model.safetensors", b"")),
        "0 bytes) is truncated or damaged: Error while deserializing header:",
    ),
    Kind("weights cut short", cli(DOCTOR, cut), "18,908 bytes) is truncated or damaged: Error while deserializing"),
    Kind(
        "weights with a header of a terabyte",
        cli(DOCTOR, file("model.safetensors", struct.pack("<Q", 1 << 40))),
        "8 bytes) is truncated or damaged: Error while deserializing header:",
    ),
    Kind(
        "weights beyond their file",
        cli(DOCTOR, file("model.safetensors", struct.pack("<Q", len(HEADER)) + HEADER)),
        "93 bytes) is truncated or damaged: Error while deserializing header:",
    ),
    Kind(
        "weights whose header is a list",
        cli(DOCTOR, file("model.safetensors", struct.pack("<Q", 2) + b"[]")),
        "10 bytes) is truncated or damaged: Error while deserializing header:",
    ),
    Kind(
        "an index that leaves its folder",
        cli(DOCTOR, index("../secret.safetensors")),
        "names files that do not lie beside it (../secret.safetensors):",
    ),
    Kind(
        "an index with an absolute path",
        cli(DOCTOR, index("/etc/passwd")),
        "names files that do not lie beside it (/etc/passwd): download it",
    ),
    Kind("an index of numbers", cli(DOCTOR, index(3)), "is no index of weight shards (TypeError("),
    Kind(
        "an index of shards that are missing",
        cli(DOCTOR, index("model-00001-of-00002.safetensors")),
        "names shards that are not there: model-00001-of-00002.safetensors.",
    ),
    Kind(
        "a model without a tokenizer",
        cli(DOCTOR, lambda b: [without(n)(b) for n in ("tokenizer.json", "tokenizer_config.json")]),
        "has no tokenizer (none of tokenizer.json, vocab.txt, vocab.json,",
    ),
    Kind(
        "a tokenizer that is empty",
        cli(DOCTOR, file("tokenizer.json", "")),
        "its tokenizer cannot be loaded (Expecting value: line 1 column 1",
    ),
    Kind(
        "a tokenizer that is a list",
        cli(DOCTOR, file("tokenizer.json", "[]")),
        "its tokenizer cannot be loaded ('str' object cannot be interpreted as",
    ),
    Kind(
        "a tokenizer's configuration that is a list",
        cli(DOCTOR, file("tokenizer_config.json", "[]")),
        "holds a list, not an object with fields: download it again.",
    ),
    Kind(
        "a model that is a file",
        cli("doctor {model}/config.json"),
        "config.json' is no file of weights that is read here",
    ),
    Kind("a model that is nowhere", cli("doctor {here}/nothing"), "give the path of a folder with a config.json, or"),
    Kind(
        "a model that is an empty folder",
        cli("doctor {harmed}", lambda b: (b.here / "empty").mkdir() or b.here / "empty"),
        "holds no config.json, so it is no model that can be loaded.",
    ),
    Kind("a layer that is not there", cli(f"{DOCTOR} --layer 9"), "has no layer 9: it has 1 layers"),
    Kind(
        "a layer in words",
        cli(f"{DOCTOR} --layer best"),
        "argument --layer: best is no layer: give last, an index, or indices",
        "usage",
    ),
    Kind(
        "a device that is not there",
        cli(f"{DOCTOR} --device cuda:9"),
        "device='cuda:9' (--device) is not there (0 devices of that kind are): use",
    ),
    Kind(
        "a device that is none",
        cli(f"{DOCTOR} --device tpux"),
        "device='tpux' (--device) is none: give cpu, cuda, cuda:0, mps or xpu.",
    ),
    Kind(
        "a scheme that is none",
        cli(f"{DOCTOR} --scheme syllables"),
        "Unknown scheme 'syllables'. Choices: characters, k-mers, k-mer",
    ),
    Kind(
        "a revision of a folder",
        cli(f"{DOCTOR} --revision main"),
        "is a folder, which has no revision (--revision): leave it out.",
    ),
    Kind(
        "a damaged model, before rows are built",
        cli(EVALUATE, cut),
        "18,908 bytes) is truncated or damaged: Error while deserializing",
    ),
)
