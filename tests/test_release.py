"""What a release says of itself: one version, a citation, a README that stands alone, forms for issues."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import yaml
from packaging.requirements import Requirement

import bend_hf

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {PROJECT["project"]["version"], bend_hf.__version__, citation["version"]} == {bend_hf.__version__}
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == PROJECT["project"]["license"]
    paper = citation["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]][::6] == ["Marin", "Boomsma"]
    assert set(PROJECT["project"]["urls"]) == {"Paper", "Reference code"}


def test_the_readme_of_the_package_index_has_no_link_to_a_file_beside_it():
    """As hatch-fancy-pypi-readme makes it; relative links would lead nowhere there."""
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = "".join((ROOT / fragment["path"]).read_text() for fragment in hook["fragments"])
    assert "](docs/" in text
    for each in hook["substitutions"]:
        text = re.sub(each["pattern"], each["replacement"], text)
    assert not re.findall(r"\]\((?!https?://)", text)
    assert "Begin with the tutorial;" in text


def test_no_extra_is_empty_and_every_requirement_is_one():
    extras = PROJECT["project"]["optional-dependencies"]
    assert all(extras.values())
    for requirement in chain(PROJECT["project"]["dependencies"], *extras.values()):
        Requirement(requirement)


def test_classifiers_are_known():
    from trove_classifiers import classifiers

    assert set(PROJECT["project"]["classifiers"]) <= classifiers


def test_issue_forms_have_what_the_site_asks():
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 4
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= set(form)
        ids = [part["id"] for part in form["body"]]
        assert len(ids) == len(set(ids))
        assert any(part.get("validations", {}).get("required") for part in form["body"])
