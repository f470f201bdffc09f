"""`--config run.yaml`: a file of a command's flags, by their names. What the command line says wins.

    # run.yaml
    model: nt-v2-500m
    tasks: [gene_finding, variant_effects]
    layers: [0, 6, last]
    genome: {GRCh38: hg38.fa, GRCh37: hg19.fa}
    standardize: true

The file becomes words of the command line, so that its values are checked as flags are, and a record holds them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bend_hf.cli.options import Either
from bend_hf.errors import BendError, described, nearest

NOT_IN_A_FILE = ("--config", "--help")


def with_file(parser: argparse.ArgumentParser, words: Sequence[str]) -> tuple[list[str], Path | None]:
    """Return a command's words with those that its ``--config`` file adds, and the file; without one, the words.

    Raises:
        BendError: The file cannot be read, is no mapping, or has a key that is no flag, stands there twice, or whose
            value no flag could have.
    """
    alone = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    alone.add_argument("--config", type=Path)
    found, own = alone.parse_known_args(list(words))
    if found.config is None:
        return list(words), None
    options = {
        name[2:]: action
        for name, action in parser._option_string_actions.items()
        if name.startswith("--") and name not in NOT_IN_A_FILE
    }
    [positional] = [action for action in parser._actions if not action.option_strings]
    given = {options[word[2:]].dest for word in (each.partition("=")[0] for each in own) if word[2:] in options}
    given |= {action.dest for word in own for action in options.values() if word in action.option_strings}
    before, added = [], []
    for key, line, value in _entries(found.config):
        where = f"{found.config}, line {line}: {key}"
        name = key.replace("_", "-")
        if name == positional.dest:
            if not _has_positional(parser, own):
                before = [_word(value, where)]
        elif name not in options:
            near = nearest(name, [*options, positional.dest])
            hint = f" Did you mean {near}?" if near else f" Flags: {', '.join(sorted(options))}."
            raise BendError(f"{where} is no flag of {parser.prog}.{hint}")
        elif options[name].dest not in given:
            added += _words(f"--{name}", options[name], value, where)
    return [*before, *own, *added], found.config


def _entries(path: Path) -> list[tuple[str, int, Any]]:
    """Return key, line and value of each entry of a YAML mapping."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BendError(f"--config {path} cannot be read: {described(error)}") from error
    if (
        not isinstance(values, dict)
        or not isinstance(node, yaml.MappingNode)
        or not all(isinstance(key, str) for key in values)
    ):
        raise BendError(f"--config {path} is no mapping of flags to values, such as 'epochs: 5'.")
    lines: dict[str, int] = {}
    for key, _ in node.value:
        name, line = str(key.value).replace("_", "-"), key.start_mark.line + 1
        if key.tag == "tag:yaml.org,2002:merge":
            raise BendError(f"{path}, line {line}: << is no flag: write the flags out.")
        if name in lines:
            raise BendError(f"{path}, line {line}: {key.value} stands in line {lines[name]} already.")
        lines[name] = line
    return [(key, lines[key.replace("_", "-")], value) for key, value in values.items()]


def _has_positional(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    """Whether the words have a value for the one positional argument: a second one would be left over."""
    _, rest = argparse.ArgumentParser.parse_known_args(parser, ["MODEL", *words])
    return any(not word.startswith("-") for word in rest)


def _words(option: str, action: argparse.Action, value: Any, where: str) -> list[str]:
    """Return the words that give a flag a value; none for null and, where a flag stands alone, for false."""
    if value is None:
        return []
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise BendError(f"{where}={value!r} is neither true nor false.")
        other = [action.opposite(option)] if isinstance(action, Either) else []
        return [option] if value else other
    if isinstance(value, dict):
        values = [f"{name}={_scalar(each, where)}" for name, each in value.items()]
    else:
        values = [_scalar(each, where) for each in (value if isinstance(value, list) else [value])]
    if action.nargs == "+":
        return [option, *(_word(each, where) for each in values)]
    if isinstance(action, argparse._AppendAction):
        return [f"{option}={each}" for each in values]
    return [f"{option}={','.join(values)}{',' if isinstance(value, list) and len(values) == 1 else ''}"]


def _word(value: Any, where: str) -> str:
    """Return a value that stands for itself on the command line, where what begins with a dash is a flag."""
    word = _scalar(value, where)
    if word.startswith("-"):
        raise BendError(f"{where}: {word!r} begins as a flag does: write flags by their own names.")
    return word


def _scalar(value: Any, where: str) -> str:
    """Return a value as the command line would have it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BendError(f"{where}: {value!r} is neither a text nor a number. Put texts in quotes.")
    return str(value)
