"""pytest in a forked process on a copy of the repository: which lines tests run, and whether they see a fault.

    slot = Slot(repository, folder)                            # a copy of it
    seen = slot(60, ["tests/test_kinds.py"], limit=20, lines=True)
    seen["lines"]["bend_hf/kinds/arrays.py"]["12"]             # tests that run the line

Libraries that take seconds to import are imported once, before the fork. The package itself and what looks at the
user's folders (datasets, transformers, huggingface_hub) are imported anew by every run.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

LIBRARIES = "numpy scipy.stats scipy.sparse scipy.optimize pandas pyarrow.parquet pyarrow.dataset h5py torch".split()
WATCHED = ("bend_hf", "metrics")
"""Folders whose lines are watched."""
NOTES, NAME = "WATCH_NOTES", "WATCH_NAME"
"""Environment variables: the folder in which processes that tests start note their lines, and under which name."""
CUSTOMIZE = f"""
import os
if {NOTES!r} in os.environ and {NAME!r} in os.environ:
    import atexit
    from coverage import Coverage
    here = os.path.dirname(__file__)
    watched = [os.path.join(here, name) for name in {WATCHED!r}]
    notes = os.path.join(os.environ[{NOTES!r}], str(os.getpid()))
    coverage = Coverage(data_file=notes, context=os.environ[{NAME!r}], source=watched, config_file=False)
    coverage.start()
    atexit.register(lambda: (coverage.stop(), coverage.save()))
"""
"""`sitecustomize.py` of a copy: what a process that a test starts runs first."""


def import_libraries() -> None:
    """Import what all runs share; before any fork."""
    for name in LIBRARIES:
        importlib.import_module(name)


class Watch:
    """A pytest plugin: runs the wanted tests in the wanted order; notes times, failures and, if asked, lines."""

    def __init__(self, wanted: Sequence[str] | None, part: tuple[int, int], coverage: Any) -> None:
        self.wanted, self.part, self.coverage = wanted, part, coverage
        self.seconds: dict[str, float] = {}
        self.fixtures: dict[str, list[str]] = {}
        self.unfit: set[str] = set()
        self.failed: str | None = None
        self.now = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.wanted is not None:
            by_name = {item.nodeid: item for item in items}
            items[:] = [by_name[name] for name in self.wanted if name in by_name]
        k, parts = self.part
        items[:] = items[len(items) * k // parts : len(items) * (k + 1) // parts]
        self.fixtures = {item.nodeid: list(getattr(item, "fixturenames", [])) for item in items}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = self.failed or f"collecting {report.nodeid}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed = self.failed or report.nodeid
        if not report.passed:
            self.unfit.add(report.nodeid)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.under(nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """What a fixture of several tests runs, all of them see."""
        before = self.now
        if fixturedef.scope != "function":
            self.under(f"fixture {fixturedef.argname}")
        try:
            return (yield)
        finally:
            self.under(before)

    def under(self, name: str) -> None:
        """Note lines under this name from here on."""
        self.now = os.environ[NAME] = name
        if self.coverage is not None:
            self.coverage.switch_context(name)


class Slot:
    """A copy of the repository for one process, with a folder for temporary files beside it."""

    def __init__(self, repository: Path, folder: Path) -> None:
        self.repository, self.copy, self.temporary = repository, folder / "copy", folder
        left_out = shutil.ignore_patterns(".*", "__pycache__", "*.pyc", "shared", "dist", "bend-results")
        shutil.copytree(repository, self.copy, ignore=left_out)
        (self.copy / "sitecustomize.py").write_text(CUSTOMIZE, encoding="utf-8")

    def __call__(
        self, seconds: float, files: Sequence[str], wanted: Sequence[str] | None = None, **options: Any
    ) -> Any:
        """Run tests in a process of its own (see `_run`); None if it took longer or ended without an answer."""
        self.temporary = Path(tempfile.mkdtemp(dir=self.copy.parent))  # what a process left behind may still write
        answer = self.temporary / "answer.json"
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                answer.write_text(json.dumps(self._run(files, wanted, **options)), encoding="utf-8")
            finally:
                os._exit(0)
        end = time.monotonic() + seconds
        while time.monotonic() < end and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.02)
        try:
            os.killpg(child, signal.SIGKILL)  # also what tests started and left behind
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        found = json.loads(answer.read_text(encoding="utf-8")) if answer.is_file() else None
        shutil.rmtree(self.temporary, ignore_errors=True)
        return found

    def _run(
        self,
        files: Sequence[str],
        wanted: Sequence[str] | None,
        *,
        limit: float,
        part: tuple[int, int] = (0, 1),
        lines: bool = False,
    ) -> dict:
        """Run tests of some files, up to the first failure unless lines are watched.

        Args:
            files: Of tests.
            wanted: Node ids of the tests; all where None.
            limit: Seconds that a test may take.
            part: Which part of how many of these tests.
            lines: Whether to note which tests run which lines.
        """
        os.chdir(self.copy)
        path = os.pathsep.join([str(self.copy), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        os.environ |= {"PYTHONPATH": path, "TMPDIR": str(self.temporary), "PYTHONDONTWRITEBYTECODE": "1"}
        os.environ.setdefault("BEND_HF_REAL_DATA", str(self.repository.parent / "shared" / "real"))
        tempfile.tempdir, sys.dont_write_bytecode = None, True
        sys.path.insert(0, str(self.copy))
        coverage = None
        if lines:
            from coverage import Coverage

            coverage = Coverage(data_file=None, source=[str(self.copy / name) for name in WATCHED], config_file=False)
            coverage.start()
            notes = self.temporary / "notes"
            notes.mkdir()
            os.environ[NOTES] = str(notes)
        watch = Watch(wanted, part, coverage)
        options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", f"--timeout={limit}", "--assert=plain"]
        options += [f"--basetemp={self.temporary / 'pytest'}", *([] if lines else ["-x"])]
        with (self.temporary / "log").open("w") as log, redirect_stdout(log), redirect_stderr(log):
            end = pytest.main([*options, *files], plugins=[watch])
        if end in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
            watch.failed = watch.failed or f"collecting {files[0]}"  # not even conftest.py can be imported
        package = sys.modules.get("bend_hf")
        if package is not None and not str(package.__file__).startswith(str(self.copy)):
            raise RuntimeError(f"the tests imported {package.__file__}")
        found = {"failed": watch.failed, "seconds": watch.seconds, "unfit": sorted(watch.unfit)}
        if coverage is not None:
            coverage.stop()
            found["lines"] = self._lines(coverage, watch.fixtures)
        return found

    def _lines(self, coverage: Any, fixtures: dict[str, list[str]]) -> dict[str, dict[str, list[str]]]:
        """Tests that run each line of each file; under "" what runs while tests are collected."""
        from coverage import CoverageData

        users: dict[str, list[str]] = {"": [""], **{test: [test] for test in fixtures}}
        for test, names in fixtures.items():
            for name in names:
                users.setdefault(f"fixture {name}", []).append(test)
        found: dict[str, dict[int, set[str]]] = {}
        noted = [CoverageData(basename=str(path)) for path in (self.temporary / "notes").iterdir()]
        for data in [coverage.get_data(), *noted]:
            data.read()
            for file in data.measured_files():
                lines = found.setdefault(Path(file).relative_to(self.copy).as_posix(), {})
                for line, names in data.contexts_by_lineno(file).items():
                    lines.setdefault(line, set()).update(test for name in names for test in users.get(name, []))
        return {file: {str(line): sorted(tests) for line, tests in lines.items()} for file, lines in found.items()}
