"""The wheel carries everything: built, installed into a fresh environment, and the demo run from an empty folder."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import bend_hf
from bend_hf.results.record import read_predictions
from bend_hf.results.statistics import summarise

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment with the wheel, which borrows the dependencies (but not this checkout) from ours."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder / "dist"),
        str(REPOSITORY),
    ]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = (folder / "dist").glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    purelib = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    # A plain path entry: the .pth files of the borrowed folder, an editable install among them, are not followed.
    (purelib / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return folder / "venv" / "bin"


def run(environment, tmp_path, *command):
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables |= {"HF_HOME": str(tmp_path / "hf"), "BEND_HF_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    (tmp_path / "empty").mkdir(exist_ok=True)
    return subprocess.run(
        [environment / command[0], *command[1:]],
        cwd=tmp_path / "empty",
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_resources_are_inside_the_installed_package(environment, tmp_path):
    code = (
        "import bend_hf, bend_hf.resources as r; "
        "print(bend_hf.__file__); print(r.folder('metrics')); print(r.folder('dataset_scripts')); "
        "print(bend_hf.load_metric('mcc').compute(predictions=[0, 1, 1], references=[0, 1, 1])['mcc'])"
    )
    done = run(environment, tmp_path, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    *places, value = done.stdout.split()
    assert all(place.startswith(str(environment.parent)) for place in places)
    assert float(value) == 1.0


def test_templates_are_inside_the_installed_package(environment, tmp_path):
    code = (
        "from bend_hf.hub.cards import dataset_card; from bend_hf.report.export import latex, markdown; "
        "from bend_hf.report.page import page; "
        "print(dataset_card('gene_finding'), markdown([], []), latex([], []), page([], []))"
    )
    done = run(environment, tmp_path, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    for part in (
        "# BEND (2024 tasks): Gene finding",
        "# Results\n",
        "% needs",
        '<h2 tabindex="-1">Leaderboard</h2>',
    ):
        assert part in done.stdout


def test_demo_from_an_empty_folder(environment, tmp_path):
    done = run(environment, tmp_path, "hf-bend", "demo")
    assert done.returncode == 0, done.stderr
    assert "TOY DATA" in done.stdout
    for title in ("Gene finding", "Enhancer annotation", "CpG methylation"):
        assert done.stdout.count(title) == 1
    assert [done.stdout.count(name) for name in ("one-hot CNN", "composition", "toy-lm")] == [7, 7, 9]
    assert done.stdout.count("by likelihood") == 2
    assert (tmp_path / "empty" / "bend-demo" / "report.html").stat().st_size > 10_000
    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == ["bend-demo"]
    results = bend_hf.read_results(tmp_path / "empty" / "bend-demo" / "results")
    found = {(result.task, Path(result.model).name): result for result in results}
    for task in ("gene_finding", "enhancer_annotation"):
        low = found[task, "toy-lm"].interval[0]
        assert all(low > found[task, other].interval[1] for other in ("onehot", "composition")), task
    for task in ("variant_effects_expression", "variant_effects_disease"):
        assert found[task, "onehot"].score == found[task, "composition"].score == 0.5
        assert summarise(read_predictions(found[task, "toy-lm"]).by("llr"), resamples=200).interval[0] > 0.6
