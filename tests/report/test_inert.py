"""What strangers call their models and tasks is text in every export: no formula, markup, link, macro or script."""

from __future__ import annotations

import csv
import string
from html.parser import HTMLParser
from pathlib import Path

import pytest
from result_factory import PROVENANCE, make_result, simulate

from bend_hf.report.export import inert
from bend_hf.report.plot import plot
from bend_hf.report.write import write_report
from bend_hf.results.record import read_result, write_result
from bend_hf.results.statistics import summarise
from bend_hf.templates import block, code, latex, literal, prose

HOSTILE = (
    '=HYPERLINK("http://x","y")',
    "@SUM(1)",
    "+1",
    "-2",
    "\t=1",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "[x](javascript:alert(1))",
    "![x](http://x/y.png)",
    "a | b\n\n# heading",
    r"\input{/etc/passwd} $x$ %",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    predictions = simulate("gene_finding", rows=10)
    values = vars(summarise(predictions, resamples=10))
    for name in HOSTILE:
        provenance = PROVENANCE | {"command": ["bend-hf", "evaluate", name], "model": {"name": name}}
        write_result(
            folder, make_result("gene_finding", model=name, **values | {"provenance": provenance}), predictions
        )
        failed = make_result("cpg_methylation", model=name, score=None, failure=name, provenance=provenance)
        write_result(folder, failed)
    return folder


class Tags(HTMLParser):
    """Collects what a browser would run or follow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [(tag, name, value or "") for name, value in attrs] or [(tag, "", "")]


BASE64 = set(string.ascii_letters + string.digits + "+/=")


def test_no_browser_runs_a_name(results: Path, tmp_path: Path):
    pages = [write_report(results, tmp_path / "report.html", resamples=10)]
    pages.append(plot(read_result(sorted(results.rglob("gene_finding*.json"))[0]), output=tmp_path / "x.svg"))
    for page in pages:
        tags = Tags(page.read_text()).found
        assert tags
        assert not [tag for tag in tags if tag[1].startswith("on") or tag[0] in ("img", "iframe", "object")]
        saved = ("data:text/csv;charset=utf-8;base64,", "data:application/json;charset=utf-8;base64,")
        links = [tag for tag in tags if tag[1] in ("href", "src") and not tag[2].startswith(("#", "data:,"))]
        assert all(tag[2].startswith(saved) and set(tag[2].partition(",")[2]) <= BASE64 for tag in links)
    assert page.read_text().count("<script") == 0
    assert "alert(1)</script>" not in pages[0].read_text()


def test_no_spreadsheet_computes_a_name(results: Path, tmp_path: Path):
    rows = list(csv.reader(write_report(results, tmp_path / "x.CSV", resamples=10).open(newline="")))
    cells = [cell for row in rows for cell in row]
    assert "'" + HOSTILE[0] in cells
    for cell in cells:
        assert not cell.startswith(("=", "+", "@", "\t", "\r"))
        if cell.startswith("-"):
            float(cell)


@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\u200b", "\ufeff", "\0", "\r", "a;", "a\t", "a;\u00a0", "a\n"])
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_a_formula_is_none_wherever_a_cell_may_begin(before: str, sign: str):
    """In some countries signs of full width begin one, and semicolons or tabs end a cell."""
    cell = inert(f"{before}{sign}cmd|' /c calc'!A1")
    kept = before.rstrip(" \u00a0\u200b\ufeff\0\r\n") if before[:1] != "a" else before[:2]
    assert cell.removeprefix(kept).startswith("'")
    assert cell.replace("'", "", 1) == f"{before}{sign}cmd|' /c calc'!A1"


def test_markdown_and_latex_show_names_as_they_are(results: Path, tmp_path: Path):
    text = write_report(results, tmp_path / "x.md", resamples=10).read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "](" not in text.replace("\\](", "")
    assert "\n# heading" not in text
    tex = write_report(results, tmp_path / "x.tex", resamples=10).read_text()
    assert r"\input" not in tex
    assert r"\textbackslash{}input\{/etc/passwd\} \$x\$ \%" in tex


def test_the_three_ways_of_writing_text():
    assert [inert(value) for value in ("=1", " =1", "\n=1", -1, "a=1", "chr1")] == [
        "'=1",
        "' =1",
        "'\n=1",
        -1,
        "a=1",
        "chr1",
    ]
    assert literal("a|b [x](y) <b> & `c` \\") == r"a\|b \[x\](y) &lt;b&gt; &amp; \`c\` " + "\\\\"
    assert latex("50%\n_x") == r"50\% \_x"
    assert latex("Spearman ρ, R², 0.1°") == r"Spearman $\rho$, R$^2$, 0.1$^\circ$"


def test_a_strangers_sentences_are_markdown_without_html_or_scripts():
    said = "A **task** of `x`, see [here](https://x.org), <script>alert(1)</script> ![p](http://x/y.png)"
    assert prose(said) == said.replace("<", "&lt;").replace("![", r"\![")
    assert prose("[a](javascript:alert(1))") == r"[a\](javascript:alert(1))"
    assert prose("[a]( javascript:x) [b][c] [c]: javascript:x") == r"[a\]( javascript:x) [b\][c] [c\]: javascript:x"
    assert prose("one\n# two") == "one # two"


def test_code_ends_where_it_should():
    assert [code(name) for name in ("x", "a`b", "``", "a\n`")] == ["`x`", "`` a`b ``", "``` `` ```", "`` a ` ``"]
    assert block("a\n```\n<b>") == "````\na\n```\n<b>\n````"
    assert block("a\x1b[31m") == "```\na [31m\n```"
