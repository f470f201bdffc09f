"""The example Space: serves the report of a folder, and says what is wrong where there is none."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from result_factory import make_result, scored, simulate

from bend_hf.results.record import write_result

pytest.importorskip("fastapi")
FOLDER = Path(__file__).resolve().parents[2] / "examples" / "leaderboard"


@pytest.fixture(scope="module")
def app_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("leaderboard_app", FOLDER / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_serves_page_and_numbers_and_notices_new_results(app_module: ModuleType, tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    client = TestClient(app_module.make_app(str(tmp_path), refresh=0))
    missing = client.get("/")
    assert missing.status_code == 503
    assert "holds no results" in missing.text
    write_result(
        tmp_path, scored("cpg_methylation", simulate("cpg_methylation"), model="org/first"), simulate("cpg_methylation")
    )
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "org/first" in page.text
    write_result(tmp_path, make_result("gene_finding", model="org/second"))
    assert "org/second" in client.get("/").text
    assert client.get("/results.csv").text.startswith("model,kind,task")
    assert len(client.get("/results.json").json()["rows"]) >= 2


def test_card_names_the_app() -> None:
    card = (FOLDER / "README.md").read_text()
    settings = yaml.safe_load(card.split("---")[1])
    assert (settings["sdk"], settings["app_file"]) == ("gradio", "app.py")
    assert len(settings["short_description"]) <= 60
