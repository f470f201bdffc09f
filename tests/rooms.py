"""The rooms of the package and the imports between them, read from the source without running it.

python tests/rooms.py            # draw the rooms in CONTRIBUTING.md anew
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
DRAWING = re.compile(r"(?<=<!-- rooms -->\n).*?(?=<!-- /rooms -->)", re.DOTALL)

ROOMS = (
    (
        "bend_hf/__init__.py",
        "bend_hf/errors.py",
        "bend_hf/checks.py",
        "bend_hf/text.py",
        "bend_hf/bars.py",
        "bend_hf/console.py",
        "bend_hf/runtime.py",
        "bend_hf/files.py",
        "bend_hf/resources.py",
        "bend_hf/identity.py",
        "bend_hf/cache.py",
        "bend_hf/templates.py",
    ),
    ("bend_hf/provenance.py", "bend_hf/protocols.py"),
    ("bend_hf/kinds/",),
    ("bend_hf/tasks/",),
    ("bend_hf/metric.py",),
    ("bend_hf/data/",),
    ("bend_hf/build/",),
    ("bend_hf/models/",),
    ("bend_hf/embed/",),
    ("bend_hf/train/", "bend_hf/zero_shot/"),
    ("bend_hf/results/",),
    ("bend_hf/tracks/",),
    ("bend_hf/report/",),
    ("bend_hf/hub/",),
    (
        "bend_hf/subsets.py",
        "bend_hf/walk.py",
        "bend_hf/recording.py",
        "bend_hf/work.py",
        "bend_hf/probe.py",
        "bend_hf/planning.py",
        "bend_hf/budget.py",
        "bend_hf/evaluation.py",
        "bend_hf/trial.py",
        "bend_hf/demo.py",
    ),
    ("bend_hf/cli/", "bend_hf/__main__.py"),
)
"""Rows of CONTRIBUTING's table: a room imports from itself and from those before it, left to right and down."""

Imports = Mapping[str, set[str]]


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """Return module → modules of the package it imports, inside functions too; ``if TYPE_CHECKING:`` is left out."""
    paths = {_module(path.relative_to(root)): path for path in sorted((root / "bend_hf").rglob("*.py"))}
    return {
        name: {module for module in _imported(ast.parse(path.read_text(encoding="utf-8")), paths) if module != name}
        for name, path in paths.items()
    }


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imported(node: ast.AST, known: Iterable[str]) -> set[str]:
    found: set[str] = set()
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        children = list(node.orelse)
    elif isinstance(node, ast.Import):
        found = {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
        names = {f"{node.module}.{alias.name}": node.module or "" for alias in node.names}
        found = {name if name in known else module for name, module in names.items()}
    return {name for name in found if name in known}.union(*(_imported(child, known) for child in children))


def room_of(module: str, rooms: tuple[tuple[str, ...], ...] = ROOMS) -> str | None:
    """Return the room a module lies in, or None where the table has none for it."""
    path = module.replace(".", "/")
    for room in (room for row in rooms for room in row):
        inside = path.startswith(room) or f"{path}/" == room if room.endswith("/") else _module(Path(room)) == module
        if inside:
            return room
    return None


def circles(found: Imports) -> list[list[str]]:
    """Return one circle of modules that import each other, or none."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return [error.args[1]]
    return []


def upward(found: Imports, rooms: tuple[tuple[str, ...], ...] = ROOMS) -> list[tuple[str, str]]:
    """Return the imports of a module in a later room; one without a room is behind all."""
    order = [*(room for row in rooms for room in row), None]
    return sorted(
        (module, other)
        for module, others in found.items()
        for other in others
        if order.index(room_of(module, rooms)) < order.index(room_of(other, rooms))
    )


def drawing(found: Imports) -> str:
    """Return the rooms as a Mermaid graph: an arrow to each room imported that is not reached by way of another."""
    folders = [room for row in ROOMS for room in row if room.endswith("/")]
    uses = {
        room: {str(room_of(other)) for module, others in found.items() if room_of(module) == room for other in others}
        for room in folders
    }
    reached: dict[str, set[str]] = {}
    lines = ["```mermaid", "flowchart BT"]
    for room in folders:
        used = {other for other in uses[room] if other in folders and other != room}
        reached[room] = used.union(*(reached[other] for other in used))
        direct = used.difference(*(reached[other] for other in used))
        name = room.split("/")[1]
        lines += [f"    {name} --> {other.split('/')[1]}" for other in folders if other in direct]
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    text = CONTRIBUTING.read_text(encoding="utf-8")
    CONTRIBUTING.write_text(DRAWING.sub(drawing(imports()), text), encoding="utf-8")
