"""The real slice's files, rebuilt from its primary tables: every row that can be equal is."""

from pathlib import Path

import pytest
import rebuild_bundle

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"
pytestmark = pytest.mark.skipif(
    not (REAL / "goldens" / "primary").is_dir(), reason="the real slice is not at ../shared/real"
)


@pytest.fixture
def bundle(tmp_path):
    return rebuild_bundle.Bundle(REAL, tmp_path)


def test_gene_finding(bundle):
    assert rebuild_bundle.genes(bundle)[:2] == (33, 33)


def test_gene_finding_agrees_with_the_windows_of_the_released_file(bundle):
    assert rebuild_bundle.released_windows(bundle) == (2, 2)
