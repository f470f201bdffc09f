"""The site builds without a warning, holds every page, and asks no other server for anything."""

import os
import re
import subprocess
import sys

import pytest
from blocks import ROOT

pytest.importorskip("mkdocs", reason="mkdocs is not installed (pip install 'bend_hf[docs]')")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_in_the_site_and_its_menu(site):
    menu = (site / "index.html").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        if page.stem != "index":
            assert (site / page.stem / "index.html").is_file()
            assert f'href="{page.stem}/"' in menu, page.name


def test_reference_pages_are_made_from_the_code(site):
    import bend_hf
    from bend_hf.results.schema import _FIELDS

    python = (site / "reference" / "api" / "index.html").read_text()
    for name in set(bend_hf.__all__) - {"TASKS", "Task", "__version__"}:
        assert f'id="{bend_hf._WHERE[name]}.{name}"' in python, name
    commands = (site / "reference" / "cli" / "index.html").read_text()
    assert all(f'id="bend-hf-{verb}"' in commands for verb in ("evaluate", "compare", "build-genes"))
    records = (site / "reference" / "schemas" / "index.html").read_text()
    assert all(f"<code>{name}</code>" in records for name in _FIELDS)


def test_no_page_asks_another_server(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert not loaded, page


def test_error_codes_are_all_explained():
    from bend_hf import errors

    page = (ROOT / "docs" / "errors.md").read_text()
    codes = {value.code for value in vars(errors).values() if isinstance(value, type) and hasattr(value, "code")}
    assert {code for code in codes | {"interrupted"} if f"| `{code}` |" not in page} == set()
