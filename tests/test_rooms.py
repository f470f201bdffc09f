"""Rooms: who may import whom, and that the page which says so is right."""

import re
import textwrap

import pytest
from rooms import CONTRIBUTING, DRAWING, ROOMS, circles, drawing, imports, room_of, upward

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
