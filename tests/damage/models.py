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
    Kind("a model without a configuration", cli(DOCTOR, without("config.json")), ""),
    Kind("a configuration that is empty", cli(DOCTOR, file("config.json", "")), ""),
    Kind("a configuration that is a list", cli(DOCTOR, file("config.json", "[]")), ""),
    Kind("a configuration that is a number", cli(DOCTOR, file("config.json", "3")), ""),
    Kind("a configuration that is null", cli(DOCTOR, file("config.json", "null")), ""),
    Kind("a configuration that is a text", cli(DOCTOR, file("config.json", '"bert"')), ""),
    Kind("a configuration nested a hundred thousand deep", cli(DOCTOR, file("config.json", "[" * 100_000)), ""),
    Kind("a configuration that is binary", cli(DOCTOR, file("config.json", b"\xff\xfe\x00")), ""),
    Kind("a configuration of an unknown type", cli(DOCTOR, setting(model_type="nothing")), ""),
    Kind("a model type that is a number", cli(DOCTOR, setting(model_type=3)), ""),
    Kind("a model type that is a list", cli(DOCTOR, setting(model_type=["gpt2"])), ""),
    Kind("architectures that are numbers", cli(DOCTOR, setting(architectures=[3])), ""),
    Kind("code that is a number", cli(DOCTOR, setting(auto_map=3)), ""),
    Kind("a width in words", cli(DOCTOR, setting(n_embd="wide")), ""),
    Kind("a width below 0", cli(DOCTOR, setting(n_embd=-8)), ""),
    Kind("layers beyond the weights", cli(DOCTOR, setting(n_layer=3)), ""),
    Kind("a model without weights", cli(DOCTOR, without("model.safetensors")), ""),
    Kind("weights that are empty", cli(DOCTOR, file("model.safetensors", b"")), ""),
    Kind("weights cut short", cli(DOCTOR, cut), ""),
    Kind("weights with a header of a terabyte", cli(DOCTOR, file("model.safetensors", struct.pack("<Q", 1 << 40))), ""),
    Kind("weights beyond their file", cli(DOCTOR, file("model.safetensors", struct.pack("<Q", len(HEADER)) + HEADER)), ""),
    Kind("weights whose header is a list", cli(DOCTOR, file("model.safetensors", struct.pack("<Q", 2) + b"[]")), ""),
    Kind("an index that leaves its folder", cli(DOCTOR, index("../secret.safetensors")), ""),
    Kind("an index with an absolute path", cli(DOCTOR, index("/etc/passwd")), ""),
    Kind("an index of numbers", cli(DOCTOR, index(3)), ""),
    Kind("an index of shards that are missing", cli(DOCTOR, index("model-00001-of-00002.safetensors")), ""),
    Kind("a model without a tokenizer", cli(DOCTOR, lambda b: [without(n)(b) for n in ("tokenizer.json", "tokenizer_config.json")]), ""),
    Kind("a tokenizer that is empty", cli(DOCTOR, file("tokenizer.json", "")), ""),
    Kind("a tokenizer that is a list", cli(DOCTOR, file("tokenizer.json", "[]")), ""),
    Kind("a tokenizer's configuration that is a list", cli(DOCTOR, file("tokenizer_config.json", "[]")), ""),
    Kind("a model that is a file", cli("doctor {model}/config.json"), ""),
    Kind("a model that is nowhere", cli("doctor {here}/nothing"), ""),
    Kind("a model that is an empty folder", cli("doctor {harmed}", lambda b: (b.here / "empty").mkdir() or b.here / "empty"), ""),
    Kind("a layer that is not there", cli(f"{DOCTOR} --layer 9"), ""),
    Kind("a layer in words", cli(f"{DOCTOR} --layer best"), ""),
    Kind("a device that is not there", cli(f"{DOCTOR} --device cuda:9"), ""),
    Kind("a device that is none", cli(f"{DOCTOR} --device tpux"), ""),
    Kind("a scheme that is none", cli(f"{DOCTOR} --scheme syllables"), ""),
    Kind("a revision of a folder", cli(f"{DOCTOR} --revision main"), ""),
    Kind("a damaged model, before rows are built", cli(EVALUATE, cut), ""),
)
