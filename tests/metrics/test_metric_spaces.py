"""The metrics' cards and Space apps: valid metadata, examples that run, a page that starts and computes."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import evaluate
import pytest
from huggingface_hub import RepoCard, SpaceCard

from bend_hf.resources import folder

NAMES = ["mcc", "auroc", "auprc", "macro_f1", "pearson", "spearman"]
SECTIONS = [
    "Metric Description",
    "How to Use",
    "Limitations and Bias",
    "Citation",
    "Further References",
]
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@pytest.fixture(params=NAMES)
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A metric's folder alone, as it lies in its Space."""
    return Path(shutil.copytree(folder("metrics") / request.param, tmp_path / request.param))


def test_folder_is_complete(space: Path) -> None:
    files = {path.name for path in space.iterdir()} - {"__pycache__"}
    assert files == {f"{space.name}.py", "README.md", "app.py", "requirements.txt"}
    required = {re.split("[>=<]", line)[0] for line in (space / "requirements.txt").read_text().split()}
    imported = set(re.findall(r"^import (\w+)", (space / f"{space.name}.py").read_text(), flags=re.MULTILINE))
    assert imported - sys.stdlib_module_names == required


def test_card_metadata(space: Path) -> None:
    card = RepoCard.load(space / "README.md", repo_type="space")
    assert isinstance(SpaceCard(card.content), SpaceCard)
    data = card.data.to_dict()
    assert data["sdk"] == "gradio"
    assert re.fullmatch(r"\d+\.\d+\.\d+", data["sdk_version"])
    assert (space / data["app_file"]).is_file()
    assert data["pinned"] is False
    assert data["license"] == "apache-2.0"
    assert {data["colorFrom"], data["colorTo"]} <= COLOURS
    assert len(data["emoji"]) == 1
    assert data["tags"][:2] == ["evaluate", "metric"]
    assert evaluate.load(str(space)).description.split(".")[0].split()[:3] == data["description"].split()[:3]


def test_card_sections(space: Path) -> None:
    text = (space / "README.md").read_text()
    assert re.findall("^## (.+)$", text, flags=re.MULTILINE) == SECTIONS
    for heading in ("Inputs", "Output Values", "Examples"):
        assert f"### {heading}\n" in text
    assert evaluate.load(str(space)).citation.strip() in text
    assert "—" not in text


def test_card_examples_run(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of code ends in an expression and, as a comment, its value."""
    monkeypatch.syspath_prepend(space)
    text = (space / "README.md").read_text().replace(f'"bend/{space.name}"', repr(str(space)))
    names: dict[str, Any] = {}
    blocks = re.findall("```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        *lines, expression, value = block.strip().splitlines()
        exec("\n".join(lines), names)
        assert f"# {eval(expression, names)}" == value
    sys.modules.pop(space.name, None)


@pytest.fixture(scope="module", params=NAMES)
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A Space's app, run on the loopback interface: the metric's name and the app's address."""
    pytest.importorskip("gradio")
    scratch = tmp_path_factory.mktemp("space")
    space = shutil.copytree(folder("metrics") / request.param, scratch / request.param)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HOME": str(scratch / "hf"),
        "PYTHONPATH": "",
    }
    with (scratch / "app.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=space, env=environment, stdout=log, stderr=log)
        try:
            for _ in range(600):
                assert process.poll() is None, (scratch / "app.log").read_text()
                try:
                    urllib.request.urlopen(address, timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield request.param, address
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_app_answers(app: tuple[str, str]) -> None:
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    name, address = app
    client = Client(address, verbose=False)
    assert client.predict("[0, 1, 1, 0]", "[0, 1, 1, 0]", api_name="/compute")[name] == pytest.approx(1.0)
    with pytest.raises(AppError, match="differ in shape"):
        client.predict("[0, 1, 1]", "[0, 1]", api_name="/compute")
    assert client.predict("[1, 0]", "[1, 0]", api_name="/compute")[name] == pytest.approx(1.0)


@pytest.mark.parametrize("app", ["mcc"], indirect=True)
def test_page_computes_in_a_browser(app: tuple[str, str], tmp_path: Path) -> None:
    """The whole road a visitor takes: the page, its example, a click, the scores; then input of the visitor's own."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs chromium and chromedriver")
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
        "--disable-sync --no-first-run --disable-dev-shm-usage"
    ).split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    # Fonts and scripts of other hosts are out of reach, and not waited for.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.page_load_strategy = "eager"

    name, address = app
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        wait = WebDriverWait(browser, 60)
        browser.get(address)
        submit = wait.until(lambda b: b.find_element(By.XPATH, "//button[normalize-space()='Submit']"))
        page = browser.find_element(By.TAG_NAME, "body")
        assert f"Metric: {name}" in page.text
        assert "Limitations and Bias" in page.text

        def shown() -> str:
            return "".join(browser.find_element(By.ID, "scores").text.split())

        submit.click()
        wait.until(lambda _: '"mcc":0.61237' in shown())
        for label in ("predictions", "references"):
            box = browser.find_element(By.XPATH, f"//label[contains(., '{label}')]//textarea")
            box.clear()
            box.send_keys("[0, 1, 1]")
        submit.click()
        wait.until(lambda _: '"mcc":1,' in shown())
        box.send_keys(" and more")
        submit.click()
        wait.until(lambda _: "Extra data" in page.text)
    finally:
        browser.quit()
