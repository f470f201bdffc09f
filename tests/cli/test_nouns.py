"""`tasks`, `models`, `results`, `cache`, `version`: what they list, what they refuse, and what they find damaged."""

import json

import pytest
from result_factory import simulate, stored

from bend_hf import cache, files
from bend_hf.cli import main
from bend_hf.embed.catalogue import CATALOGUE
from bend_hf.errors import BendError
from bend_hf.tasks import BEND, get_tasks


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BEND_HF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_tasks(capsys, tmp_path):
    assert main(["tasks"]) == 0
    alone = capsys.readouterr().out
    assert main(["tasks", "ls"]) == 0
    assert capsys.readouterr().out == alone
    assert [line.split() for line in alone.splitlines()] == [
        ["name", "dataset", "config", "labels", "metric", "rows", "build"],
        *(
            [
                *(task.name, f"bend/{task.dataset}", task.config, str(len(task.label_names))),
                *(task.metric, str(sum(task.rows.values())), task.build),
            ]
            for task in BEND
        ),
    ]
    assert main(["tasks", "info", "variant_effects"]) == 0
    told = capsys.readouterr().out
    for task in get_tasks("variant_effects"):
        rows = ", ".join(f"{split} {count:,}" for split, count in task.rows.items())
        for part in (task.name, task.summary, rows, *task.caveats, *(source.doi for source in task.sources)):
            assert part in told
    assert "none: scored without training" in told
    assert main(["tasks", "info", "cpg_methylation"]) == 0
    assert "100 epochs, batches of 256, learning rate 0.003" in capsys.readouterr().out
    assert main(["tasks", "info", "cpg_metylation"]) == 1
    assert "Did you mean 'cpg_methylation'" in capsys.readouterr().err


def test_models(capsys):
    assert main(["models", "ls"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CATALOGUE) + 1
    assert main(["models", "info", "dnabert-2"]) == 0
    assert "zhihan1996/DNABERT-2-117M" in capsys.readouterr().out
    assert main(["models", "info", "dnabret-2"]) == 1
    assert "Did you mean 'dnabert-2'?" in capsys.readouterr().err


def test_results(tmp_path, capsys):
    path = stored(tmp_path, "cpg_methylation", simulate("cpg_methylation"))
    other = stored(tmp_path, "histone_modification", simulate("histone_modification"))
    assert main(["results", "ls", str(tmp_path), "--format", "json"]) == 0
    assert [line["task"] for line in json.loads(capsys.readouterr().out)] == ["histone_modification", "cpg_methylation"]
    assert main(["results", "info", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["task"] == "cpg_methylation"
    assert main(["results", "verify", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 of 2 records are sound.\n"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1', 1))
    other.with_suffix(".parquet").write_bytes(b"PAR1")
    assert main(["results", "verify", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "was changed after it was written" in said
    assert "is not the file that" in said
    assert said.endswith("0 of 2 records are sound.\n")


def test_cache(own_cache, tmp_path, capsys):
    assert cache.contents() == []
    kept = files.kept(own_cache / "coordinates" / "a.arrow", lambda path: path.write_bytes(b"x" * 2000))
    (own_cache / "vectors").mkdir()
    (own_cache / "vectors" / "v.bin").write_bytes(b"y" * 9000)
    assert [(part.name, part.bytes >= 2000) for part in cache.contents()] == [("vectors", True), ("coordinates", True)]
    assert main(["cache", "ls"]) == 0
    assert "9.0 kB" in capsys.readouterr().out
    assert main(["cache", "verify"]) == 0
    kept.write_bytes(b"z" * 2000)
    assert main(["cache", "verify"]) == 1
    assert "coordinates/a.arrow: a.arrow does not match its SHA-256" in capsys.readouterr().out
    outside = tmp_path / "precious"
    outside.mkdir()
    for name in ("../precious", "vectros", str(outside)):
        with pytest.raises(BendError, match="Unknown part of the cache"):
            cache.remove(["coordinates", name])
    assert kept.exists()
    assert outside.exists()
    assert main(["cache", "rm", "coordinates", "coordinates"]) == 0
    assert {part.name for part in cache.contents()} == {"vectors"}


def test_a_link_in_the_cache_is_not_followed(own_cache, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("kept")
    cache.contents()
    (own_cache / "link").symlink_to(tmp_path / "mine")
    assert [part.name for part in cache.contents()] == []
    with pytest.raises(BendError):
        cache.remove(["link"])
    assert (tmp_path / "mine" / "file").read_text() == "kept"


def test_version(capsys):
    assert main(["version", "--format", "json"]) == 0
    assert {"bend_hf", "torch", "python"} <= set(json.loads(capsys.readouterr().out))
