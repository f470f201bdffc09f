"""What several rooms' tests share: the toy data, the real slice, and caches that belong to the test run alone."""

from __future__ import annotations

import codecs
import locale
import os
import signal
import tempfile
from pathlib import Path

import pytest
from tqdm.std import TqdmDefaultWriteLock

# The package writes UTF-8, and tests read it as the system reads text: elsewhere dozens would fail for that alone.
if codecs.lookup(locale.getpreferredencoding(False)).name != "utf-8":
    raise pytest.UsageError("The tests need a system whose text is UTF-8: set PYTHONUTF8=1.")

# Ctrl-C is ignored where the tests run in a shell's background; those that press it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests fork and kill: who is killed while a bar is drawn would keep the lock that all processes share.
TqdmDefaultWriteLock.mp_lock = None

# Set before anything of Hugging Face is imported: no network, and no trace in the user's caches.
_SCRATCH = tempfile.mkdtemp(prefix="bend_hf_tests_")
os.environ["HF_HOME"] = f"{_SCRATCH}/hf"
os.environ["BEND_HF_CACHE"] = f"{_SCRATCH}/cache"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_EVALUATE_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ.pop("BEND_HF_DATA", None)
# Workers side by side share the cores: teams of all cores in each wait for one another at every barrier.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

REPOSITORY = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("BEND_HF_REAL_DATA", REPOSITORY.parent / "shared" / "real"))


@pytest.fixture(scope="session")
def real_dir() -> Path:
    """The real slice of GRCh38 chr22 in BEND's file formats; tests that ask for it skip where it is absent."""
    if not (REAL / "SHA256SUMS").is_file():
        pytest.skip(f"no real data at {REAL} (set BEND_HF_REAL_DATA)")
    return REAL


@pytest.fixture(scope="session")
def real_genome(real_dir: Path) -> Path:
    return real_dir / "genomes" / "GRCh38.slice.fa"


@pytest.fixture(scope="session")
def toy_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small toy genome with all seven tasks in BEND's file formats; treat it as read-only."""
    from bend_hf.data import toy

    return toy.make(tmp_path_factory.mktemp("toy") / "data")


@pytest.fixture(autouse=True, scope="session")
def _remove_scratch() -> object:
    import shutil

    yield
    shutil.rmtree(_SCRATCH, ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def _own_registries() -> object:
    """Tasks and kinds that the tests of one module register are unknown to those of another."""
    from bend_hf.kinds.registry import KINDS
    from bend_hf.tasks.registry import TASKS

    known = [(registry, dict(registry)) for registry in (TASKS, KINDS)]
    yield
    for registry, before in known:
        registry.clear()
        registry.update(before)


@pytest.fixture(autouse=True)
def _own_logging() -> None:
    """The command line gives the package's logger a handler and a level; no test is to find those of another."""
    from bend_hf.console import log

    log.handlers[:], log.propagate = [], True
    log.setLevel("WARNING")
