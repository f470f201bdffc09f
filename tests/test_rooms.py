"""Rooms: who may import whom, and that the page which says so is right."""

import re
import textwrap

import pytest
from rooms import CONTRIBUTING, DRAWING, ROOMS, ROOT, circles, drawing, imports, room_of, upward

FOUND = imports()


def test_the_table_of_contributing_is_the_order_tested_here():
    rows = re.findall(r"^\| (`bend_hf/.*?) \|", CONTRIBUTING.read_text(encoding="utf-8"), re.MULTILINE)
    assert tuple(tuple(re.findall(r"`(.*?)`", row)) for row in rows) == ROOMS


def test_every_module_has_a_room():
    assert not [module for module in FOUND if room_of(module) is None]


def test_no_modules_import_each_other():
    assert not circles(FOUND)


def test_no_module_imports_from_a_later_room():
    assert not upward(FOUND)


def test_the_drawing_is_up_to_date():
    [drawn] = DRAWING.findall(CONTRIBUTING.read_text(encoding="utf-8"))
    assert drawn == drawing(FOUND), "draw it anew: python tests/rooms.py"


SMALL = (("bend_hf/low.py",), ("bend_hf/high/",))


@pytest.mark.parametrize(
    ("low", "arrows"),
    [
        ("import bend_hf.high.one", [("bend_hf.low", "bend_hf.high.one")]),
        ("def f():\n    from bend_hf.high import one", [("bend_hf.low", "bend_hf.high.one")]),
        ("from bend_hf.high import something", [("bend_hf.low", "bend_hf.high")]),
        ("if TYPE_CHECKING:\n    from bend_hf.high import one", []),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import bend_hf.high.one", [("bend_hf.low", "bend_hf.high.one")]),
        ("import numpy", []),
    ],
)
def test_an_import_is_found_wherever_it_stands(tmp_path, low, arrows):
    folder = tmp_path / "bend_hf"
    (folder / "high").mkdir(parents=True)
    (folder / "low.py").write_text(textwrap.dedent(low))
    (folder / "high" / "__init__.py").touch()
    (folder / "high" / "one.py").write_text("from bend_hf import low\n")
    found = imports(tmp_path)
    assert found["bend_hf.high.one"] == {"bend_hf.low"}
    assert upward(found, SMALL) == arrows
    assert bool(circles(found)) == any("one" in other for _, other in arrows)


KINDS_TOLD_APART = {
    "bend_hf/kinds/registry.py": "by name",
    "bend_hf/tasks/": "declarations",
    "bend_hf/report/details.py": "a table: curves",
    "bend_hf/report/plot.py": "a table: pictures",
    "bend_hf/hub/words.py": "a table: words of cards",
}
"""Where the name of a kind is read; all else asks the kind."""


def test_nothing_asks_what_kind_of_labels_these_are():
    branch = re.compile(
        r"label_kind (==|!=|in|not in) (?!CURVES|PICTURES|WORDS)|\.(loss|metric) (==|!=|in|not in) [\"(\[]"
    )
    sources = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "bend_hf").rglob("*.py"))}
    asked = {path.relative_to(ROOT).as_posix() for path, text in sources.items() if "label_kind" in text}
    assert not [path for path in asked if not path.startswith(tuple(KINDS_TOLD_APART))]
    assert not [(path.name, found[0]) for path, text in sources.items() if (found := branch.search(text))]
    outside = {path: text for path, text in sources.items() if path.parent.name not in ("tasks", "kinds")}
    assert not [path.name for path, text in outside.items() if re.search(r"split_scheme (==|!=|in|not in) ", text)]
    assert branch.search('if task.label_kind == "multilabel"')
    assert branch.search('if recipe.loss == "binary"')
    assert branch.search('if task.metric in ("mcc", "macro_f1")')
