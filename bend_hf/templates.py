"""Pages and tables from templates (Jinja), which lie in the folder ``templates`` of a room.

    html = renderer("bend_hf.report", "html")
    html("page.html", title="a < b")

What is put in is text and is shown as it is: a template's ending says what is escaped for that. Only what is marked as
markup (``|safe`` in a template, `Markup` in code) goes in as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import jinja2
from markupsafe import Markup

from bend_hf import text

__all__ = ["Markup", "block", "cell", "code", "latex", "literal", "one_line", "prose", "renderer", "thousands"]


def one_line(value: str) -> str:
    """Text without line breaks and other control characters, which end a row of every kind of table."""
    return "".join(character if character.isprintable() else " " for character in value)


def literal(value: str) -> str:
    """Text that Markdown shows as it is: no HTML, link, picture, code, emphasis or cell begins in it.

    Names of models, titles of tasks and reasons of failures may be strangers'.
    """
    plain = one_line(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|!])", r"\\\1", plain)


def code(value: str) -> Markup:
    """A name as Markdown's code, whatever is in it."""
    plain = one_line(value)
    marks = _longer(1, plain)
    room = " " if "`" in plain else ""
    return Markup(f"{marks}{room}{plain}{room}{marks}")


def block(value: str) -> Markup:
    """Lines as a block of Markdown's code, which none of them ends."""
    plain = "\n".join(one_line(line) for line in str(value).split("\n"))
    marks = _longer(3, plain)
    return Markup(f"{marks}\n{plain}\n{marks}")


def _longer(least: int, plain: str) -> str:
    """More backticks than stand there in a row, and no fewer than the least."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", plain)), default=0))


def cell(value: str) -> Markup:
    """Markdown that stays within its cell of a table."""
    return Markup(one_line(value).replace("|", r"\|"))


def prose(value: str) -> Markup:
    """A stranger's sentences in Markdown, in one line: emphasis, code and links to the web, no HTML and no picture."""
    plain = one_line(value).replace("<", "&lt;")
    return Markup(re.sub(r"\](?=\((?!\s*https?://)|:|\[)|!(?=\[)", lambda found: f"\\{found[0]}", plain))


def thousands(count: int) -> str:
    """A whole number with commas."""
    return f"{count:,}"


_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "−": "$-$",
    "°": r"$^\circ$",
    "ρ": r"$\rho$",
    "²": "$^2$",
}


def latex(value: str) -> str:
    """Text in one line with LaTeX's special characters escaped; other characters outside ASCII become ``?``."""
    escaped = "".join(_SPECIAL.get(character, character) for character in one_line(value))
    return escaped.encode("ascii", "replace").decode()


LATEX: dict[str, Any] = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}
"""Marks of templates of LaTeX, in which braces are the text's own."""


def renderer(
    package: str,
    ending: str,
    *,
    filters: Mapping[str, Callable[..., Any]] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Callable[..., Markup]:
    """Return a function that fills in a room's templates of an ending: their file's name, then values by name.

    Args:
        package: Of the room, which has a folder ``templates``.
        ending: ``html``, ``md`` or ``tex``: how values are escaped.
        filters: Functions that templates know, by name, besides those of `bend_hf.text`.
        constants: Values that all templates know, by name.
    """
    escape = {"html": None, "md": literal, "tex": latex}[ending]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=escape is None,
        finalize=None if escape is None else lambda value: value if isinstance(value, Markup) else escape(str(value)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **(LATEX if ending == "tex" else {}),
    )
    known: list[Callable[..., Any]] = [text.number, text.interval, text.duration, text.size, text.p_value, thousands]
    known += [code, block, cell, prose] if ending == "md" else []
    environment.filters |= {function.__name__: function for function in known} | dict(filters or {})
    environment.globals |= constants or {}

    def render(name: str, /, **values: Any) -> Markup:
        return Markup(environment.get_template(name).render(values))

    return render
