"""One-line faults of Python source: which there are, and a sample of them.

    found = faults_of("bend_hf/results/ranks.py", text)
    found[0].applied(text)                 # the source with this fault
    str(found[0])                          # bend_hf/results/ranks.py:171: x < 1 - level  →  x <= 1 - level

A fault swaps an operator, moves a constant, negates a condition, drops a keyword argument, an entry of a list or
dictionary, a bound of a slice, a call or a `raise`, or returns nothing. Left out is what no behaviour depends on or
nobody would write: words for people (messages, help, logs), annotations, decorators, imports, assertions, `strict=` of
zip and `encoding=`.
"""

from __future__ import annotations

import ast
import bisect
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOMS = (
    *("bend_hf/data", "bend_hf/kinds", "bend_hf/train", "bend_hf/zero_shot", "bend_hf/results"),
    *("metrics", "bend_hf/embed", "bend_hf/hub", "bend_hf/cli"),
)
"""Folders that faults are planted in; of `metrics` the modules, not the Spaces' pages."""
COMPARED = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "is": "is not",
    "is not": "is",
    "in": "not in",
    "not in": "in",
}
COMPUTED = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "//", "**": "*", "&": "|", "|": "&", "@": "*"}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "argmax": "argmin", "argmin": "argmax"}
NAMES |= {"floor": "ceil", "ceil": "floor", "sorted": "list", "mean": "sum", "minimum": "maximum", "maximum": "minimum"}
WORDS = {"help", "metavar", "description", "epilog", "strict", "encoding", "stacklevel", "title"}
"""Keyword arguments that are words for people, or guard what no input reaches."""
SPEAKS = {"log", "console", "warnings"}
"""Names whose methods speak to people."""


@dataclass(frozen=True)
class Fault:
    """A change of one place.

    Attributes:
        path: Of the file, from the repository's root.
        line: That the change begins in, from 1.
        lines: First and last line of the statement (of its head, where it has a body).
        inside: Whether the statement lies in a function; what lies outside runs when the module is imported.
        begin: First byte that is replaced.
        end: The byte after the last.
        new: What replaces it.
        before: The line.
        after: The line with the fault.
    """

    path: str
    line: int
    lines: tuple[int, int]
    inside: bool
    begin: int
    end: int
    new: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  →  {self.after}"

    def applied(self, text: str) -> str:
        """The source with the fault."""
        data = text.encode()
        return (data[: self.begin] + self.new.encode() + data[self.end :]).decode()


def sample(root: Path, count: int, seed: int, only: str | tuple[str, ...] = "") -> list[Fault]:
    """Draw faults: `count` lines of all that can hold one, alike, and of each line's faults one.

    Args:
        root: Of the repository.
        count: How many lines; all where there are fewer.
        seed: Of the draw.
        only: Beginnings of the paths to draw from.
    """
    by_line: dict[tuple[str, int], list[Fault]] = {}
    texts = {}
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            if file.name != "app.py" and path.startswith(only):
                texts[path] = file.read_text(encoding="utf-8")
                for fault in faults_of(path, texts[path]):
                    by_line.setdefault((path, fault.line), []).append(fault)
    draw = random.Random(seed)
    drawn = []
    for line in draw.sample(sorted(by_line), len(by_line)):
        faults = draw.sample(by_line[line], len(by_line[line]))
        drawn += [next((fault for fault in faults if is_sound(fault, texts[fault.path])), None)]
        if len(drawn) - drawn.count(None) == count:
            break
    return [fault for fault in drawn if fault is not None]


def is_sound(fault: Fault, text: str) -> bool:
    """Whether source with a fault parses, and is other code."""
    try:
        return ast.dump(ast.parse(fault.applied(text))) != ast.dump(ast.parse(text))
    except SyntaxError:
        return False


def faults_of(path: str, text: str) -> list[Fault]:
    """All faults of a file, in its order, sound or not."""
    data = text.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for statement, inside in _statements(ast.parse(text).body, inside=False):
        last = statement.body[0].lineno - 1 if hasattr(statement, "body") else statement.end_lineno
        lines = (statement.lineno, max(int(last or 0), statement.lineno))
        for begin, end, new in _changes(statement, data, starts):
            number = bisect.bisect_right(starts, begin)
            first, past = starts[number - 1], data.find(b"\n", end) + 1 or len(data)
            before = data[first : starts[number]].decode().strip()
            after = (data[first:begin] + new.encode() + data[end:past]).decode().strip().partition("\n")[0]
            found.append(Fault(path, number, lines, inside, begin, end, new, before, after))
    return sorted(found, key=lambda fault: (fault.begin, fault.end, fault.new))


def _statements(body: list[ast.stmt], *, inside: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """Every statement with whether it lies in a function."""
    for statement in body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test):
            continue
        yield statement, inside
        within = inside or isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, name, []), inside=within)
        for part in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from _statements(part.body, inside=within)


def _changes(statement: ast.stmt, data: bytes, starts: list[int]) -> Iterator[tuple[int, int, str]]:
    """(begin, end, replacement) of every change of a statement, of its head alone where it has a body."""

    def begin(node: ast.AST) -> int:
        return starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]

    def end(node: ast.AST) -> int:
        return starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def between(left: ast.AST, right: ast.AST, swaps: dict[str, str]) -> Iterator[tuple[int, int, str]]:
        gap = data[end(left) : begin(right)].decode()
        found = re.search("|".join(sorted(map(_token, swaps), key=len, reverse=True)), gap)
        if found:
            offset = end(left) + len(gap[: found.start()].encode())
            yield offset, offset + len(found.group()), swaps[" ".join(found.group().split())]

    def without(first: int, last: int) -> tuple[int, int, str]:
        """What is left out, with the comma after it."""
        comma = re.match(rb"\s*,", data[last:])
        return first, last + (comma.end() if comma else 0), ""

    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and not _speaks(statement.value):
        yield begin(statement), end(statement), "pass"
    elif isinstance(statement, ast.Raise | ast.AugAssign):
        yield begin(statement), end(statement), "pass"
        if isinstance(statement, ast.AugAssign):
            swaps = {f"{old}=": f"{new}=" for old, new in COMPUTED.items()}
            yield from between(statement.target, statement.value, swaps)
    elif isinstance(statement, ast.Return) and not _is_nothing(statement.value):
        yield begin(statement.value), end(statement.value), "None"  # type: ignore[arg-type]
    elif isinstance(statement, ast.Break | ast.Continue):
        yield begin(statement), end(statement), "continue" if isinstance(statement, ast.Break) else "break"

    for node, parent in _expressions(statement):
        if isinstance(node, ast.Compare):
            for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
                yield from between(left, right, COMPARED)
        elif isinstance(node, ast.BinOp) and not (_is_text(node.left) or _is_text(node.right)):
            yield from between(node.left, node.right, COMPUTED)
        elif isinstance(node, ast.BoolOp):
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from between(left, right, {"and": "or", "or": "and"})
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
            yield begin(node), begin(node.operand), ""
        elif isinstance(node, ast.Constant):
            yield from ((begin(node), end(node), new) for new in _moved(node.value, parent))
        elif isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if isinstance(parent, ast.Call) and parent.func is node and name in NAMES:
                yield end(node) - len(name.encode()), end(node), NAMES[name]
        elif isinstance(node, ast.List | ast.Tuple | ast.Set) and len(node.elts) > 1 and isinstance(parent, ast.AST):
            unpacked = isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Tuple)
            stored = isinstance(getattr(node, "ctx", None), ast.Store)
            if not (stored or unpacked or isinstance(parent, ast.Subscript)):
                yield from (without(begin(part), end(part)) for part in node.elts)
        elif isinstance(node, ast.Dict) and len(node.keys) > 1 and None not in node.keys:
            pairs = zip(node.keys, node.values, strict=True)
            yield from (without(begin(key), end(value)) for key, value in pairs if key is not None)
        elif isinstance(node, ast.Slice):
            yield from ((begin(part), end(part), "") for part in (node.lower, node.upper) if part is not None)
        elif isinstance(node, ast.Call):
            for word in node.keywords:
                if word.arg is not None and word.arg not in WORDS:
                    yield without(begin(word), end(word))
        if isinstance(node, ast.IfExp):
            yield begin(node.test), end(node.test), f"not ({data[begin(node.test) : end(node.test)].decode()})"
        for test in getattr(node, "ifs", []):
            yield begin(test), end(test), "True"
    if isinstance(statement, ast.If | ast.While):
        test = statement.test
        yield begin(test), end(test), f"not ({data[begin(test) : end(test)].decode()})"


def _token(operator: str) -> str:
    """A pattern for an operator: words whole, spaces any."""
    if operator[0].isalpha():
        return r"\b" + operator.replace(" ", r"\s+") + r"\b"
    return re.escape(operator)


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and isinstance(value.value, str))


def _is_nothing(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _moved(value: object, parent: ast.AST) -> Iterator[str]:
    """What a constant becomes; words only where they are compared or looked up."""
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
    elif isinstance(value, float):
        yield repr(value * 2 if value else 1.0)
    elif isinstance(value, str) and isinstance(parent, ast.Compare | ast.Subscript):
        yield repr(value + "x")


def _expressions(statement: ast.stmt) -> Iterator[tuple[ast.AST, ast.AST]]:
    """(node, parent) of the expressions of a statement's head that behaviour depends on."""
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Assert | ast.Raise | ast.ClassDef):
        return
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        heads: list[ast.AST | None] = [*statement.args.defaults, *statement.args.kw_defaults]
    else:
        heads = []
        for name, value in ast.iter_fields(statement):
            if name not in ("annotation", "body", "orelse", "finalbody", "handlers", "cases", "type_comment"):
                heads += [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, ast.AST)]
    waiting: list[tuple[ast.AST, ast.AST]] = [(head, statement) for head in heads if head is not None]
    while waiting:
        node, parent = waiting.pop()
        if isinstance(node, ast.JoinedStr) or _speaks(node):
            continue
        yield node, parent
        skipped = {part.value for part in getattr(node, "keywords", []) if part.arg in WORDS}
        for child in ast.iter_child_nodes(node):
            inner = child.value if isinstance(child, ast.keyword) else child
            if inner not in skipped and not isinstance(inner, ast.arguments | ast.expr_context | ast.operator):
                waiting.append((inner, node))


def _speaks(node: ast.AST) -> bool:
    """Whether it is a call that speaks to people."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func
    while isinstance(name, ast.Attribute):
        name = name.value
    return isinstance(name, ast.Name) and (name.id in SPEAKS or name.id == "print" or name.id.endswith("Error"))
