"""A key changes with everything that decides a thing, and with nothing else."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sys
from typing import Any

import pytest
import tiny_models
from result_factory import simulate

from bend_hf import identity
from bend_hf.data.sources import locate
from bend_hf.embed.embedder import Embedder
from bend_hf.identity import PARTS, Key
from bend_hf.kinds import KINDS
from bend_hf.protocols import get_protocol
from bend_hf.recording import run_key
from bend_hf.results.record import slug
from bend_hf.results.summary import summary
from bend_hf.tasks import TASKS
from bend_hf.walk import Road


@pytest.mark.parametrize("kind", PARTS)
def test_every_part_decides_the_digest(kind):
    parts: dict[str, Any] = {name: {"of": name} for name in PARTS[kind]}
    key = Key(kind, **parts)
    assert Key(kind, **dict(reversed(parts.items()))).digest == key.digest
    digests = {Key(kind, **{**parts, name: {"of": "another"}}).digest for name in parts}
    assert len(digests | {key.digest}) == len(parts) + 1
    assert key.digest.startswith(key.short)
    assert dict(key) == parts


def test_kinds_do_not_meet_and_parts_are_those_declared():
    parts = dict.fromkeys(PARTS["rows"], 1)
    with pytest.raises(TypeError, match="reader"):
        Key("rows", **{name: value for name, value in parts.items() if name != "reader"})
    with pytest.raises(TypeError, match="path"):
        Key("rows", **parts, path="/data")
    assert Key("rows", **parts).digest != identity.files.digest_of(parts)


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_models.esm(folder)
    return Road(
        name="model",
        embedder=Embedder.from_pretrained(str(folder), dtype="float32"),
        network=None,
        protocol=get_protocol("default"),
        epochs=None,
        batch_size=None,
        patience=None,
        precision="auto",
        sampling_seed=0,
        vary="init",
        standardize=False,
        scores=["cosine"],
        vectors="auto",
        device="cpu",
        trackers=(),
        store=folder / "store",
        stored=False,
        store_limit=None,
        states=folder / "states",
    )


def test_a_result_is_known_by_what_decides_it(road, toy_dir, tmp_path, monkeypatch):
    task = TASKS["histone_modification"]
    files = locate(task, toy_dir)

    def digest(task=task, files=files, **changes: Any) -> str:
        return run_key(task, files, dataclasses.replace(road, **changes)).digest

    plain = digest()
    folder = road.embedder.loaded.source
    others = {
        "layer": Embedder.from_pretrained(folder, dtype="float32", layer=0),
        "strand": Embedder.from_pretrained(folder, dtype="float32", strand="average"),
        "dtype": Embedder.from_pretrained(folder, dtype="bfloat16"),
        "context": Embedder.from_pretrained(folder, dtype="float32", context=32),
    }
    recipe = dataclasses.replace(task.recipe, learning_rate=1e-4)
    changed = {
        "epochs": digest(epochs=1),
        "batch size of training": digest(batch_size=7),
        "patience": digest(patience=2),
        "precision": digest(precision="bf16"),
        "order of samples": digest(sampling_seed=1),
        "what seeds vary": digest(vary="both"),
        "standardised vectors": digest(standardize=True),
        "kept vectors": digest(vectors="int8"),
        "limit": digest(limit=5),
        "training rows": digest(train_rows=5),
        "protocol": digest(protocol=get_protocol("bend-2024")),
        "network": digest(network=lambda *_: None),
        "recipe": digest(task=dataclasses.replace(task, recipe=recipe)),
        "no embedder": digest(embedder=None),
        **{name: digest(embedder=embedder) for name, embedder in others.items()},
    }
    copy = tmp_path / "data"
    shutil.copytree(toy_dir, copy)
    assert digest(files=locate(task, copy)) == plain  # where files lie decides nothing
    bed = copy / f"{task.stem}.bed"
    bed.write_text(bed.read_text().replace("valid", "train", 1))
    changed["a row's split"] = digest(files=locate(task, copy))
    newer = dataclasses.replace(task, version="1.0.1")
    changed["version of the task"] = digest(task=newer, files=dataclasses.replace(files, task=newer))
    monkeypatch.setattr("bend_hf.recording.code_digest", lambda metric: "other code")
    changed["code"] = digest()
    monkeypatch.undo()
    assert not [name for name, value in changed.items() if value == plain]
    assert len(set(changed.values())) == len(changed)
    same = {
        "the recipe's epochs by name": digest(epochs=task.recipe.epochs),
        "precision resolved": digest(precision="fp32"),
        "batches of embedding": digest(embedder=Embedder.from_pretrained(folder, dtype="float32", batch_tokens=64)),
        "store": digest(store=tmp_path, store_limit=7, states=tmp_path, trackers=("tensorboard",)),
    }
    assert set(same.values()) == {plain}


@pytest.mark.parametrize("name", ["gene_finding", "enhancer_annotation", "variant_effects_disease"])
def test_a_byte_of_any_file_makes_other_rows(name, toy_dir, tmp_path):
    shutil.copytree(toy_dir, tmp_path / "data")
    files = locate(TASKS[name], tmp_path / "data")
    found = [locate(TASKS[name], toy_dir).digest, files.digest]
    assert len(files.paths) > 1  # labels, and the genome
    for path in files.paths.values():
        content = path.read_bytes()
        path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
        found.append(dataclasses.replace(files).digest)
    assert found[0] == found[1]
    assert len(set(found)) == 1 + len(files.paths)
    assert len({locate(TASKS[each], toy_dir).digest for each in TASKS}) == len(TASKS)


def test_code_that_scores_is_part_of_a_result(tmp_path, monkeypatch):
    metrics = tmp_path / "metrics"
    (metrics / "auroc").mkdir(parents=True)
    shutil.copy(identity.resources.folder("metrics") / "auroc" / "auroc.py", metrics / "auroc")
    before = identity.code_digest.__wrapped__(("auroc",))
    monkeypatch.setattr(identity.resources, "folder", lambda kind: metrics)
    assert identity.code_digest.__wrapped__(("auroc",)) == before
    module = metrics / "auroc" / "auroc.py"
    module.write_text(module.read_text() + "\n")
    assert identity.code_digest.__wrapped__(("auroc",)) != before
    package = identity.Path(identity.__file__).parent
    missing = [name for name in identity.CODE if not (package / name).exists() and name != "kinds"]
    assert not missing


@pytest.mark.parametrize("name", TASKS)
def test_all_code_that_makes_a_summary_is_part_of_a_result(name):
    """Whatever runs of the results' room and of the metrics is in the digest."""
    package = identity.Path(identity.__file__).parent
    predictions, ran = simulate(name), set()

    def watch(frame, event, argument):
        ran.add(frame.f_code.co_filename)

    sys.setprofile(watch)
    try:
        summary(predictions, resamples=20)
    finally:
        sys.setprofile(None)
    in_digest = {package / part for part in identity.CODE}
    room = {path for path in map(identity.Path, ran) if path.parent == package / "results"}
    assert package / "results" / "statistics.py" in room
    assert room <= in_digest


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_all_metrics_that_a_kind_is_scored_by_are_part_of_a_result(kind, tmp_path, monkeypatch):
    shutil.copytree(identity.resources.folder("metrics"), tmp_path / "metrics")
    monkeypatch.setattr(identity.resources, "folder", lambda name: tmp_path / name)
    digests = {identity.code_digest.__wrapped__(kind.metrics)}
    for metric in kind.metrics:
        module = tmp_path / "metrics" / metric / f"{metric}.py"
        module.write_text(module.read_text() + "\n")
        digests.add(identity.code_digest.__wrapped__(kind.metrics))
    assert len(digests) == 1 + len(kind.metrics)


def test_slugs_of_names_never_meet():
    names = [
        "a/b",
        "a--b",
        "a b",
        "a_b",
        "é",
        "è",
        "模型",
        "型模",
        "/a/b",
        "a/b/",
        "A",
        "a",
        ".a",
        "x" * 300,
        "x" * 301,
    ]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert slug("org/model") == "org--model"
    assert max(map(len, slugs)) < 120
    assert slug("m" * 100) == "m" * 100
    assert re.fullmatch("m{100}-[0-9a-f]{8}", slug("m" * 101))
