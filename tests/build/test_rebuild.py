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
    assert rebuild_bundle.genes(bundle)[:3] == (33, 33, 33)


@pytest.mark.parametrize(
    ("name", "rows", "built"),
    [
        ("chromatin_accessibility", 526, 526),
        ("histone_modification", 536, 536),
        ("cpg_methylation", 4000, 22094),  # the bundle's rows are a draw
        ("enhancer_annotation", 22, 22),
        ("variant_effects_expression", 676, 676),
        ("variant_effects_disease", 129, 129),
    ],
)
def test_all_rows_are_equal(bundle, name, rows, built):
    assert rebuild_bundle.REBUILD[name](bundle)[:3] == (rows, rows, built)


def test_gene_finding_agrees_with_the_windows_of_the_released_file(bundle):
    assert rebuild_bundle.released_windows(bundle) == (2, 2)
