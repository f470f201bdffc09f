"""Pairs of runs that must share no result file and no vectors, and pairs that must share them.

    python tests/identity/collisions.py            # a table; exit code 1 if a pair is not as it must be

Every side is a call of `evaluate` on toy data that stops where training would begin; what is compared are the name of
its result file and the folder in which its vectors would be kept.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import bend_hf
from bend_hf import recording
from bend_hf.data import toy
from bend_hf.embed.embedder import Embedder
from bend_hf.embed.layout import plan
from bend_hf.embed.vectors import distinct
from bend_hf.results.record import slug
from bend_hf.walk import Outcome

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tiny_models

TASK = "histone_modification"
SCRATCH = Path(tempfile.mkdtemp(prefix="bend_hf_collisions_"))
DATA, MODEL = SCRATCH / "toy", SCRATCH / "run1" / "checkpoint-500"
Run = tuple[Any, dict[str, Any]]
Pair = tuple[str, Run, Run]


@dataclass(frozen=True)
class Side:
    """A run: what it would write, and where its vectors would lie (None where it has none)."""

    file: str
    store: str | None


def side(model: Any, **options: Any) -> Side:
    """Run `evaluate` up to where heads would be trained."""
    found: list[str | None] = []
    code = options.pop("code", None)

    def stop(task: Any, data: Any, road: Any, seeds: Any) -> list[Outcome]:
        if road.embedder is None:
            found.append(None)
        else:
            texts = next(iter(data.values()))["sequence"]
            found.append(plan(road.embedder, distinct(texts), Path("store"), road.vectors).folder.name)
        return [Outcome(None, failure="not trained") for _ in seeds]

    arguments = {"tasks": TASK, "seeds": 1, "data_dir": DATA, "output": SCRATCH / "out"} | options
    with mock.patch.object(recording, "supervised", stop):
        with mock.patch.object(recording, "code_digest", return_value=code) if code else nullcontext():
            [result] = bend_hf.evaluate(model, **arguments)
    return Side(f"{slug(result.model)}/{result.name}", found[0] if found else None)


def copied(name: str, change: Callable[[Path], Any] | None = None) -> Run:
    """A copy of the model in a folder of its own, changed."""
    folder = SCRATCH / name
    if not folder.exists():
        shutil.copytree(MODEL, folder)
        if change is not None:
            change(folder)
    return str(folder), {}


def edit(name: str, **fields: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        document = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(document | fields))

    return change


def touched(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text("x = 1\n")


def data_with(name: str, change: Callable[[str], str]) -> Path:
    folder = SCRATCH / name
    if not folder.exists():
        shutil.copytree(DATA, folder)
        bed = folder / TASK / f"{TASK}.bed"
        bed.write_text(change(bed.read_text()))
    return folder


def counts(factor: float) -> Callable[..., Any]:
    """A callable named like every other of its making."""

    def embed(sequences: list[str]) -> tuple[list[np.ndarray], None]:
        letters = [np.frombuffer(text.encode(), np.uint8).astype(np.float32) for text in sequences]
        return [np.stack([row * factor, row], 1) for row in letters], None

    return embed


def heavier(embedder: Embedder) -> Embedder:
    """An embedder whose weights were replaced after it was loaded."""
    with torch.no_grad():
        for weight in embedder.loaded.model.parameters():
            weight.mul_(1.25)
    return embedder


def unlike() -> Iterator[Pair]:
    """Pairs that must share nothing, or (named with a star) vectors alone."""
    base: Run = (str(MODEL), {})

    def other(**options: Any) -> Run:
        return str(MODEL), options

    yield (
        "weights in two folders of one name",
        base,
        (str(tiny_models.esm(SCRATCH / "run2" / "checkpoint-500", seed=1)), {}),
    )
    yield "layer 0 and the last", base, other(layer=0)
    yield "layer 0 and 1", other(layer=0), other(layer=1)
    yield "one layer and two", other(layer=1), other(layer=[0, 1])
    yield "order of two layers", other(layer=[0, 1]), other(layer=[1, 0])
    yield "strand", base, other(strand="average")
    yield "float32 and bfloat16", other(dtype="float32"), other(dtype="bfloat16")
    yield "windows of bend-2024", base, other(protocol="bend-2024")
    yield "prefix", base, other(prefix="ACGTAC")
    yield "* epochs", base, other(epochs=1)
    yield "* batch size of training", base, other(batch_size=3)
    yield "* patience", base, other(patience=3)
    yield "* precision of training", base, other(precision="bf16")
    yield "* order of samples", base, other(sampling_seed=1)
    yield "* what seeds vary", base, other(vary="both")
    yield "* standardised vectors", base, other(standardize=True)
    yield "* seed", base, other(seeds=[1])
    yield "* changed code", other(code="a"), other(code="b")
    yield "kept as int8", base, other(vectors="int8")
    yield "kept as float32", base, other(vectors="float32")
    yield "onehot and a model", ("onehot", {}), base
    yield "onehot and composition", ("onehot", {}), ("composition", {})
    yield "* onehot and the supervised ResNet", ("onehot", {}), ("resnet-supervised", {})
    yield "* the supervised ResNet and Basset", ("resnet-supervised", {}), ("basset", {})
    yield "one weight", base, copied("w/checkpoint-500", one_weight)
    yield "configuration", base, copied("c/checkpoint-500", edit("config.json", layer_norm_eps=1e-3))
    yield (
        "a special token",
        base,
        copied("t/checkpoint-500", edit("special_tokens_map.json", eos_token="<cls>")),
    )
    yield "vocabulary", base, copied("v/checkpoint-500", swapped_words)
    yield "Python beside the weights", base, copied("p/checkpoint-500", touched("modeling_x.py"))
    yield "added tokens", base, copied("a/checkpoint-500", edit("added_tokens.json", **{"<x>": 3}))
    yield "merges", base, copied("m/checkpoint-500", touched("merges.txt"))
    yield "two functions of one name", (counts(1.0), {}), (counts(2.0), {})
    yield (
        "replaced weights",
        (Embedder.from_pretrained(str(MODEL)), {}),
        (heavier(Embedder.from_pretrained(str(MODEL))), {}),
    )
    yield "* a label", base, other(data_dir=data_with("label", one_label))
    yield (
        "a row's split",
        base,
        other(data_dir=data_with("split", other_split)),
    )
    yield "a row less", base, other(data_dir=data_with("row", one_less))
    yield "protocol of training", ("onehot", {}), ("onehot", {"protocol": "bend-2024"})
    yield "names that read alike", copied("é"), copied("è", one_weight)
    yield "a--b and a/b", copied("a--b", one_weight), copied("a/b")
    yield "in memory and its weights changed", in_memory(1.0), in_memory(1.5)


def alike() -> Iterator[Pair]:
    """Pairs that must share both."""
    base: Run = (str(MODEL), {})

    def other(**options: Any) -> Run:
        return str(MODEL), options

    yield "the same call", base, base
    yield "a relative path", base, (os.path.relpath(MODEL), {})
    yield "a slash at the end", base, (f"{MODEL}/", {})
    yield "a Path", base, (MODEL, {})
    yield "a copy of the folder", base, copied("copy/checkpoint-500")
    yield "a README beside the weights", base, copied("readme/checkpoint-500", touched("README.md"))
    yield "a copy of the data", base, other(data_dir=data_with("data", lambda text: text))
    yield "another output", base, other(output=SCRATCH / "elsewhere")
    yield "another store", base, other(store=SCRATCH / "store")
    yield "no room in the store", base, other(store_limit=0)
    yield "two processes that build rows", base, other(num_proc=2)
    yield "the recipe's epochs by number", base, other(epochs=100)
    yield "precision auto and fp32 on a CPU", base, other(precision="fp32", device="cpu")
    yield "the device by name", base, other(device="cpu")
    yield "the last layer by name", base, other(layer="last")
    yield "the default strand by name", base, other(strand="forward")
    yield "seeds as a list", base, other(seeds=[0])
    yield "made again", base, other(overwrite=True)
    yield "an embedder of the same folder", base, (Embedder.from_pretrained(str(MODEL)), {})
    yield "batches of embedding", base, (Embedder.from_pretrained(str(MODEL), batch_tokens=64), {})


def one_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = min(name for name in tensors if "dense.weight" in name)
    tensors[name][0, 0] += 0.5
    save_file(tensors, path, {"format": "pt"})


def swapped_words(folder: Path) -> None:
    path = folder / "vocab.txt"
    words = path.read_text().splitlines()
    words[-1], words[-2] = words[-2], words[-1]
    path.write_text("\n".join(words) + "\n")


def other_split(text: str) -> str:
    return text.replace("\tvalid", "\ttrain", 1)


def one_less(text: str) -> str:
    return text[: text.rstrip().rindex("\n") + 1]


def one_label(text: str) -> str:
    lines = text.splitlines()
    column = lines[0].split("\t").index("label")
    fields = lines[1].split("\t")
    fields[column] = "0" if fields[column] != "0" else "1"
    return "\n".join([lines[0], "\t".join(fields), *lines[2:]]) + "\n"


def in_memory(factor: float) -> Run:
    from transformers import AutoModel, EsmTokenizer

    model = AutoModel.from_pretrained(MODEL)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(factor)
    return (model, EsmTokenizer.from_pretrained(MODEL)), {"name": "mine"}


def judge(pair: Pair, differ: bool) -> tuple[list[str], bool]:
    """Whether results and vectors of a pair are shared, in words, and whether that is as it must be."""
    name, (one, options), (other, others) = pair
    a, b = side(one, **options), side(other, **others)
    results, vectors = a.file == b.file, a.store == b.store
    apart = not results and (name.startswith("*") or not vectors)
    return ["shared" if same else "apart" for same in (results, vectors)], apart if differ else results and vectors


def prepare() -> None:
    """Make the data and the model that the pairs are of."""
    toy.make(DATA)
    tiny_models.esm(MODEL, seed=0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="TEXT", help="pairs whose name has this in it")
    only = parser.parse_args().only or ""
    os.environ["BEND_HF_CACHE"] = str(SCRATCH / "cache")
    prepare()
    wrong = 0
    try:
        for differ, pairs in ((True, unlike()), (False, alike())):
            print("must differ" if differ else "must be shared", f"{'results':>45}  vectors")
            for pair in pairs:
                if only not in pair[0]:
                    continue
                words, fine = judge(pair, differ)
                wrong += not fine
                print(f"  {pair[0]:<45} {words[0]:>8}  {words[1]:>7}  {'' if fine else 'WRONG'}", flush=True)
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
    print(f"{wrong} pairs are not as they must be")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
