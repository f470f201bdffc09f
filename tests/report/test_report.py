"""The report in every format: complete, self-contained, honest about toy data, refused where records are damaged."""

from __future__ import annotations

import csv
import dataclasses
import html.parser
import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from result_factory import PROVENANCE, make_result, scored, simulate

from bend_hf.errors import BendError
from bend_hf.report.write import write_report
from bend_hf.results import record
from bend_hf.results.board import BASELINES
from bend_hf.tasks import TASKS

MODELS = (("org/strong-model", 1.6), ("org/middle", 0.8), ("onehot", 0.4))
VOID = {"meta", "link", "br", "wbr", "input", "line", "circle", "rect", "polyline", "polygon"}


def write_run(folder: Path, models=MODELS, *, rows: int = 40, **changes) -> Path:
    for k, (model, signal) in enumerate(models):
        for name, task in TASKS.items():
            predictions = simulate(name, signal=signal, seed=k, rows=rows)
            history = [{"epoch": e, "train_loss": 1 / (e + 1), "validation_score": 0.1 * e} for e in range(3)]
            result = scored(name, predictions, resamples=50, model=model, **{"toy": False, **changes})
            result = dataclasses.replace(result, history=history if task.recipe else [])
            record.write_result(folder, result, predictions)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_report(run, tmp_path_factory.mktemp("report") / "report.html", resamples=50)
    return path.read_text()


@pytest.mark.parametrize("toy", [False, True])
def test_what_is_said_of_the_released_data_is_not_said_of_toy_data(tmp_path: Path, toy: bool) -> None:
    record.write_result(tmp_path, make_result("gene_finding", toy=toy))
    page = write_report(tmp_path, tmp_path / "report.html", references=False, resamples=10).read_text()
    assert "18.3 % of the test windows overlap a training window" in page
    assert ("Of the released data, which the toy data here are not:" in page) is toy


@pytest.mark.parametrize(("signal", "coloured"), [(0.0, False), (1.6, True)])
def test_the_best_is_coloured_only_where_it_is_better_than_chance(
    tmp_path: Path, signal: float, coloured: bool
) -> None:
    name = "variant_effects_disease"
    for model, strength in (("a", signal), ("b", -1.6)):
        predictions = simulate(name, signal=strength, rows=200, chromosomes=20)
        record.write_result(tmp_path, scored(name, predictions, resamples=50, model=model), predictions)
    page = write_report(tmp_path, tmp_path / "report.html", references=False, resamples=50).read_text()
    assert '<span class="rank" title="rank">1</span>' in page
    assert ('<td class="best"' in page) is coloured


class Checker(html.parser.HTMLParser):
    """Collects ids, links and external references, and checks that elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.external: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [values["id"]] if values.get("id") else []
        if tag == "a" and (values.get("href") or "").startswith("#"):
            self.links.append(values["href"][1:])
        elif values.get("src") or not (values.get("href") or "data:").startswith("data:"):
            self.external.append(str(values.get("src") or values.get("href")))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element"


def test_page_is_whole_and_needs_no_network(page: str) -> None:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.external == []
    assert len(checker.ids) == len(set(checker.ids))
    assert set(checker.links) <= set(checker.ids)
    assert set(TASKS) | {"overview", "reading"} <= set(checker.ids)
    assert not re.search(r"url\(|@import|fetch\(|https?://(?!www\.w3\.org)", page)
    assert len(page.encode()) < 2_000_000


def test_charts_are_well_formed_and_named(page: str) -> None:
    charts = re.findall(r"<svg .*?</svg>", page, flags=re.S)
    assert len(charts) > 50
    for chart in charts:
        root = ET.fromstring(chart)
        assert root.get("aria-hidden") == "true" or root.get("aria-label")
        assert "nan" not in chart


def test_page_shows_what_a_number_is_worth(page: str) -> None:
    for name, signal in MODELS:
        del signal
        assert f'data-model="{BASELINES.get(name, name)}"' in page
    for text in ("Corrected p", "too few", "By chromosome", "By consequence", "distance to the nearest splice site"):
        assert text in page
    for text in ("Learning curve", "ROC curve", "Precision-recall curve", "Confusion of", "Every label", "Every fold"):
        assert text in page
    assert "40 test rows of the released 597: scores are not comparable with published ones" in page
    assert "Provenance: org/strong-model<" in page
    assert "The composition baseline is not among these results." in page


def test_published_values_are_marked_and_can_be_left_out(run: Path, page: str, tmp_path: Path) -> None:
    assert page.count('data-kind="published"') > 20
    assert "baillielab/BEND (independent re-run, 2025)" in page
    without = write_report(run, tmp_path / "r.html", references=False, resamples=10).read_text()
    assert 'data-kind="published"' not in without


def test_toy_data_is_announced_and_never_beside_published_values(tmp_path: Path) -> None:
    write_run(tmp_path / "toy", MODELS[:2], toy=True)
    page = write_report(tmp_path / "toy", tmp_path / "r.html", resamples=10).read_text()
    assert '<p class="toy" role="note">TOY DATA' in page
    assert 'data-kind="published"' not in page
    for format in ("md", "tex"):
        assert "TOY DATA" in write_report(tmp_path / "toy", tmp_path / f"r.{format}", resamples=10).read_text()


def test_protocols_are_tables_of_their_own(tmp_path: Path) -> None:
    write_run(tmp_path / "a", MODELS[:2])
    write_run(tmp_path / "a", MODELS[:2], protocol="bend-2024")
    page = write_report(tmp_path / "a", tmp_path / "r.html", resamples=10).read_text()
    assert 'data-group="default"' in page
    assert 'data-group="bend-2024"' in page
    for table in re.findall(r"<table.*?</table>", page, flags=re.S):
        assert table.count('<span class="key s0"') <= 1
    text = write_report(tmp_path / "a", tmp_path / "r.md", resamples=10).read_text()
    assert text.count("| org/strong-model |") == 2


def test_failures_and_missing_predictions_are_shown(tmp_path: Path) -> None:
    failed = make_result("gene_finding", model="<broken>", score=None, failure="out of memory & more")
    record.write_result(tmp_path / "a", failed)
    record.write_result(tmp_path / "a", make_result("cpg_methylation", model="<broken>", toy=False))
    page = write_report(tmp_path / "a", tmp_path / "r.html").read_text()
    assert "out of memory &amp; more" in page
    assert "<broken>" not in page
    assert "0.500" in page
    assert "failed" in write_report(tmp_path / "a", tmp_path / "r.md").read_text()


def test_damaged_predictions_are_an_error(tmp_path: Path) -> None:
    path = record.write_result(
        tmp_path / "a", scored("cpg_methylation", simulate("cpg_methylation")), simulate("cpg_methylation")
    )
    path.with_suffix(".parquet").write_bytes(b"PAR1")
    with pytest.raises(BendError, match="its digest differs"):
        write_report(tmp_path / "a", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_csv_has_one_line_per_row(run: Path, tmp_path: Path) -> None:
    text = write_report(run, tmp_path / "r.csv", resamples=10).read_text()
    lines = list(csv.DictReader(io.StringIO(text)))
    own = [line for line in lines if line["kind"] != "published"]
    assert len(own) == 3 * 7
    assert all(float(line["low"]) <= float(line["score"]) <= float(line["high"]) for line in own)
    assert all(line["source"] for line in lines if line["kind"] == "published")


def test_json_is_complete(run: Path, tmp_path: Path) -> None:
    document = json.loads(write_report(run, tmp_path / "r.json", resamples=10).read_text())
    (group,) = document["groups"]
    assert len(group["comparison"]["differences"]) == 3 * 7
    assert set(group["mean_centred"]["org/strong-model"]) == {"supervised", "zero_shot"}
    assert {row["kind"] for row in document["rows"]} == {"model", "baseline", "published"}


def test_markdown_table_is_rectangular(run: Path, tmp_path: Path) -> None:
    text = write_report(run, tmp_path / "r.md", resamples=10).read_text()
    table = [line for line in text.split("\n\n## Published")[0].splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert [line.split("|")[1].strip() for line in table[2:]] == [
        "org/strong-model",
        "org/middle",
        "one-hot CNN",
        "chance",
    ]


def test_latex_escapes(tmp_path: Path) -> None:
    record.write_result(tmp_path / "a", make_result("cpg_methylation", model="a_b/50%&x"))
    text = write_report(tmp_path / "a", tmp_path / "r.tex").read_text()
    assert r"a\_b/50\%\&x" in text
    assert text.isascii()
    assert text.count(r"\begin{") == text.count(r"\end{")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(run: Path, tmp_path: Path) -> None:
    table = write_report(run, tmp_path / "table.tex", resamples=10).name
    lines = (
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}",
        rf"\input{{{table}}}",
        r"\end{document}",
    )
    (tmp_path / "paper.tex").write_text("\n".join(lines))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "paper"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode()[-2000:]


def test_format_is_checked_before_reading(tmp_path: Path) -> None:
    with pytest.raises(BendError, match="no format has this ending"):
        write_report(tmp_path, tmp_path / "r.pdf")
    with pytest.raises(BendError, match=r"Unknown format 'htlm'\. Did you mean 'html'"):
        write_report(tmp_path, tmp_path / "r", format="htlm")
    with pytest.raises(BendError, match="no results"):
        write_report([], tmp_path / "r.html")


def test_provenance_is_shown_and_escaped(tmp_path: Path) -> None:
    provenance = {**PROVENANCE, "command": "bend-hf evaluate '<x>'"}
    record.write_result(tmp_path / "a", make_result("cpg_methylation", provenance=provenance))
    page = write_report(tmp_path / "a", tmp_path / "r.html").read_text()
    assert "bend-hf evaluate &#39;&lt;x&gt;&#39;" in page
    assert "<dt>dataset digest</dt>" in page


def test_what_an_audit_found_stands_beside_the_scores(tmp_path: Path) -> None:
    for model, said in (("org/a", "183 test windows <share> bases"), ("org/b", "no problem found"), ("org/c", None)):
        provenance = PROVENANCE | ({} if said is None else {"audit": said})
        result = scored("gene_finding", simulate("gene_finding"), model=model, provenance=provenance)
        record.write_result(tmp_path / "several", result)
        if model == "org/b":
            record.write_result(tmp_path / "one", result)
    text = write_report(tmp_path / "several", tmp_path / "several.html", resamples=50).read_text()
    assert "<p>Audit of Gene finding: 183 test windows &lt;share&gt; bases.</p>" in text
    assert '<p class="small">Audit of the rows (org/a): 183 test windows &lt;share&gt; bases.</p>' in text
    assert '<p class="small">Audit of the rows (org/b): no problem found.</p>' in text
    text = write_report(tmp_path / "one", tmp_path / "one.html", resamples=50).read_text()
    assert '<p class="small">Audit of the rows: no problem found.</p>' in text
    assert "Audit of Gene finding" not in text
