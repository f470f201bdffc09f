"""The report in headless Chromium: sorting, pages, filters, themes and widths."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from result_factory import trained
from test_report import MODELS, write_run

from bend_hf.report.write import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for flag in (
        "headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars", "disable-background-networking",
        "disable-component-update", "disable-sync", "no-first-run", f"user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("browser")
    write_run(folder / "run", MODELS, rows=30)
    write_run(folder / "run", MODELS[:1], rows=30, protocol="bend-2024", provenance=trained(epochs=1))
    return write_report(folder / "run", folder / "report.html", resamples=20).as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Any:
    resize(browser, 1280)
    visit(browser, address)
    return browser


def visit(browser: Any, address: str) -> None:
    """Wait for the whole page: on a busy machine `get` now and then returns while it is still being read."""
    wait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait(browser, 60)
    browser.get("about:blank")
    browser.get(address)
    loaded = "return document.readyState === 'complete' && location.href === arguments[0]"
    wait.until(lambda page: page.execute_script(loaded, address))


def resize(browser: Any, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def names(page: Any) -> list[str]:
    return page.execute_script(
        "return [...document.querySelector('table.board').tBodies[0].rows].filter(r => r.offsetParent)"
        ".map(r => r.dataset.model)"
    )


def test_no_error_is_logged(page: Any) -> None:
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_column_header_sorts_by_click_and_by_key(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    header = page.find_element("css selector", "table.board th:nth-child(2)")
    button = header.find_element("tag name", "button")
    button.click()
    assert header.get_attribute("aria-sort") == "descending"
    assert names(page) == ["org/strong-model", "org/middle", "one-hot CNN"]
    button.send_keys(Keys.ENTER)
    assert header.get_attribute("aria-sort") == "ascending"
    assert names(page) == ["one-hot CNN", "org/middle", "org/strong-model"]
    page.find_element("css selector", "table.board th:first-child button").click()
    assert names(page) == ["one-hot CNN", "org/middle", "org/strong-model"]
    assert header.get_attribute("aria-sort") == "none"
    last = page.execute_script("return document.querySelector('table.board').tBodies[1].textContent")
    assert last.startswith("chance")


def test_a_task_link_opens_its_page(page: Any) -> None:
    page.find_element("link text", "Gene finding").click()
    shown = [s.get_attribute("id") for s in page.find_elements("css selector", "section.page") if s.is_displayed()]
    assert shown == ["gene_finding"]
    link = page.find_element("css selector", "nav a[aria-current]")
    assert link.text == "Gene finding"
    page.back()
    assert page.find_element("id", "overview").is_displayed()


def test_filters_hide_models_everywhere(page: Any) -> None:
    box = page.find_element("name", "model")
    box.send_keys("strong")
    assert names(page) == ["org/strong-model"]
    page.get(page.current_url.partition("#")[0] + "#histone_modification")
    legends = page.find_elements("css selector", "#histone_modification ul.legend li")
    assert {item.text for item in legends if item.is_displayed()} == {"strong-model"}
    box.clear()
    box.send_keys("nobody")
    assert page.find_element("id", "status").text == "No model has this in its name"


def test_baselines_and_published_values_can_be_hidden(page: Any) -> None:
    page.find_element("css selector", "input[value=baseline]").click()
    assert names(page) == ["org/strong-model", "org/middle"]
    page.find_element("link text", "Gene finding").click()
    page.execute_script("for (const d of document.querySelectorAll('details.elsewhere')) d.open = true")
    published = "#gene_finding tr[data-kind=published]"
    assert page.find_element("css selector", published).is_displayed()
    page.find_element("css selector", "input[value=published]").click()
    assert not page.find_element("css selector", published).is_displayed()


def test_one_protocol_can_be_chosen(page: Any) -> None:
    from selenium.webdriver.support.ui import Select

    groups = page.find_elements("css selector", "#overview [data-group]")
    assert [group.is_displayed() for group in groups] == [True, True]
    Select(page.find_element("name", "group")).select_by_value("bend-2024")
    assert [group.is_displayed() for group in groups] == [False, True]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_their_width_and_follow_the_scheme(page: Any, width: int, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    resize(page, width)
    for link in ("overview", "gene_finding", "enhancer_annotation", "chromatin_accessibility", "reading"):
        page.execute_script(f"location.hash = '{link}'")
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
    paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    button = page.find_element("css selector", "button.theme")
    button.click()
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") != paper


CONTRAST = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const read = text => {
  const values = text.match(/[\\d.]+/g).map(Number);
  return text.startsWith("color(srgb") ? values.slice(0, 3).map(v => v * 255).concat(values[3] ?? 1) : values;
};
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const low = [];
for (const element of document.querySelectorAll("h1, h2, h3, p, li, a, th, td, dd, dt, span, button, summary, text")) {
  if (!element.checkVisibility() || !element.textContent.trim()) continue;
  const style = getComputedStyle(element);
  let ground = element, colour = [0, 0, 0, 0];
  while (ground && (colour.length === 4 && colour[3] === 0)) {
    colour = read(getComputedStyle(ground).backgroundColor);
    ground = ground.parentElement;
  }
  const ink = element.tagName === "text" ? style.fill : style.color;
  const [a, b] = [light(read(ink)), light(colour)].sort((x, y) => y - x);
  const name = `${element.tagName} ${element.className} ${element.textContent.slice(0, 30)}`;
  if ((a + 0.05) / (b + 0.05) < 4.5) low.push(name);
}
return [...new Set(low)];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(page: Any, scheme: str) -> None:
    """At least 4.5 to 1 (WCAG AA) on every page."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for link in ("overview", "gene_finding", "histone_modification", "reading"):
        page.execute_script(f"location.hash = '{link}'")
        page.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
        assert page.execute_script(CONTRAST) == []


def test_without_scripts_everything_is_there(browser: Any, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    visit(browser, address)
    sections = browser.find_elements("css selector", "section.page")
    assert len(sections) > 7
    assert all(section.is_displayed() for section in sections)
    assert not browser.find_element("css selector", "form.filter").is_displayed()
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_print_shows_all_pages(page: Any) -> None:
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert all(section.is_displayed() for section in page.find_elements("css selector", "section.page"))
    tables = page.find_elements("css selector", "table.board, table.heat, section.page > div > .scroll > table")
    assert len(tables) > 7
    assert all(table.is_displayed() for table in tables)
    folded = page.find_elements(
        "css selector", "nav.pages, figure.locus, .provenance, section.page details:not(.notes)"
    )
    assert len(folded) > 10
    assert not any(each.is_displayed() for each in folded)
    assert page.find_element("css selector", ".paper").is_displayed()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_report_prints_on_few_pages(page: Any) -> None:
    document = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", document)) < 12


def test_test_rows_are_browsed_by_keys_and_buttons(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.find_element("link text", "Gene finding").click()
    figure = page.find_element("css selector", "#gene_finding figure.locus")
    tracks, said = (figure.find_element("css selector", name) for name in ("svg.tracks", "output"))
    titles = [one.text for one in figure.find_elements("css selector", "option")]
    whole = said.text
    assert titles[0].partition(": ")[2] in whole
    assert len(tracks.find_elements("css selector", "text.name")) == 1 + len(MODELS)
    page.execute_script("arguments[0].focus()", tracks)
    tracks.send_keys("+")
    inside = said.text
    assert inside != whole
    tracks.send_keys(Keys.ARROW_RIGHT)
    assert said.text not in (inside, whole)
    tracks.send_keys(Keys.HOME)
    assert said.text == whole
    tracks.send_keys(Keys.PAGE_DOWN)
    assert titles[1].partition(": ")[2] in said.text
    figure.find_element("css selector", "input[type=checkbox]").click()
    assert len(tracks.find_elements("css selector", "text.name")) == len(MODELS)
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
