"""Ways to change a file: blind ones, and ones that know lines, JSON or the header of safetensors.

content = mutated(content, lines, random.Random(0))     # one to three changes, never the same bytes

A mutator is a function ``(bytes, Random) -> bytes``. Equal seeds give equal mutations.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

Mutator = Callable[[bytes, Random], bytes]

NUMBERS = (
    "0 -0 -1 1 2 255 256 65536 2147483648 9223372036854775808 1e308 1e999 1e-400 NaN -Infinity 0x10 1_000 +1 1.0 ½ ٣"
)
SIGNS = """null true [] {} " ' \\ , : - > # chr1 chr2 chrX A U N train test é ı ../x /etc/passwd =1+1 <script>"""
SPACES = ("", " ", "\t", "\n", "\r", "\r\n", "\0", "\u00a0", "\u2028", "\ufeff", " 1", "a" * 300, "9" * 5000)
BYTES = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x89HDF\r\n\x1a\n", b"PAR1", b"GCOL\x01")
WORDS = (*(word.encode() for word in (*NUMBERS.split(), *SIGNS.split(), *SPACES)), *BYTES)

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 255, 1 << 31, 1 << 63, 10**400, 0.5, -0.5, 1e308, float("nan"), float("inf")),
    *("", "0", "x", "é", "\0", "\ud800", "../x", "/etc/passwd", "a" * 5000, "NaN"),
    *([], {}, [0], [[]], [None], {"": 0}, {"a": {"b": []}}, [1, 2, 3], ["x"] * 3),
)


def flip(content: bytes, rng: Random) -> bytes:
    """Flip one bit."""
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def put(content: bytes, rng: Random) -> bytes:
    """Write a word over what stands at a place, or between."""
    at = rng.randrange(len(content) + 1)
    word = rng.choice(WORDS)
    return content[:at] + word + content[at + rng.choice((0, len(word))) :]


def drop(content: bytes, rng: Random) -> bytes:
    """Leave out a range."""
    start, end = _range(content, rng)
    return content[:start] + content[end:]


def repeat(content: bytes, rng: Random) -> bytes:
    """Write a range twice."""
    start, end = _range(content, rng)
    return content[:end] + content[start:]


def clear(content: bytes, rng: Random) -> bytes:
    """Write zeros, or ones, over a range."""
    start, end = _range(content, rng)
    return content[:start] + rng.choice((b"\0", b"\xff")) * (end - start) + content[end:]


def move(content: bytes, rng: Random) -> bytes:
    """Write a range over another place."""
    start, end = _range(content, rng)
    at = rng.randrange(len(content))
    return content[:at] + content[start:end] + content[at + end - start :]


def cut(content: bytes, rng: Random) -> bytes:
    """Keep the beginning."""
    return content[: rng.randrange(len(content))]


def _range(content: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(content))
    return start, min(len(content), start + rng.choice((1, 2, 4, 8, 16, 64, 256)))


BLIND: tuple[Mutator, ...] = (flip, flip, put, drop, repeat, clear, move, cut)


def blind(content: bytes, rng: Random) -> bytes:
    """Change bytes, whatever they mean."""
    return rng.choice(BLIND if content else (put,))(content, rng)


def lines(content: bytes, rng: Random) -> bytes:
    """Change lines or tab-separated fields; now and then bytes."""
    parts = content.split(b"\n")
    i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
    fields = parts[i].split(b"\t")
    k = rng.randrange(len(fields))
    what = rng.randrange(10)
    if what == 0:
        del parts[i]
    elif what == 1:
        parts.insert(j, parts[i])
    elif what == 2:
        parts[i], parts[j] = parts[j], parts[i]
    elif what == 3:
        return content.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n")))
    elif what in (4, 5, 6):
        number = fields[k].isdigit() and len(fields[k]) < 20 and rng.random() < 0.5
        fields[k] = str(int(fields[k]) + rng.choice((-512, -1, 1, 512))).encode() if number else rng.choice(WORDS)
        parts[i] = b"\t".join(fields)
    elif what == 7:
        others = parts[j].split(b"\t")
        fields[k] = others[min(k, len(others) - 1)]
        parts[i] = b"\t".join(fields)
    elif what == 8:
        rng.shuffle(fields)
        parts[i] = b"\t".join(fields)
    else:
        return blind(content, rng)
    return b"\n".join(parts)


def json_nodes(content: bytes, rng: Random) -> bytes:
    """Change a value of a JSON document, leave it out, or give it twice; now and then bytes."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):  # of an earlier change
        return blind(content, rng)
    places = list(_places(document))
    if not places or rng.random() < 0.15:
        return blind(content, rng)
    holder, name = rng.choice(places)
    what = rng.randrange(8)
    if what == 0:
        del holder[name]
    elif what == 1:
        other, theirs = rng.choice(places)
        holder[name] = json.loads(json.dumps(other[theirs]))
    elif what == 2 and isinstance(holder, dict):
        holder[rng.choice(("x", name.upper(), f"{name} ", ""))] = holder[name]
    elif what == 3:
        return json.dumps(document).replace("{", '{"x": 1, "x": 2, ' if rng.random() < 0.5 else "{" * 3, 1).encode()
    elif what == 4:
        holder[name] = "DEEP"
        return json.dumps(document).replace('"DEEP"', "[" * 50_000 + "]" * 50_000).encode()
    else:
        holder[name] = rng.choice(VALUES)
    return json.dumps(document).encode()


def _places(value: Any) -> Any:
    """Yield (object or list, name or index) of every value in a document."""
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield value, name
        yield from _places(inner)


def safetensors_header(content: bytes, rng: Random) -> bytes:
    """Change the JSON that a safetensors file begins with, and mostly the length before it to fit."""
    length = int.from_bytes(content[:8], "little")
    if length > len(content) or rng.random() < 0.1:
        return flip(content[:9], rng) + content[9:]
    header = json_nodes(content[8 : 8 + length], rng)
    said = len(header) if rng.random() < 0.9 else rng.choice((0, 1, len(header) - 1, len(header) + 1, 1 << 40, 1 << 63))
    return said.to_bytes(8, "little") + header + content[8 + length :]


def mutated(content: bytes, mutate: Mutator, rng: Random) -> bytes:
    """Return a content changed one to three times."""
    changed = content
    while changed == content:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            changed = mutate(changed, rng)
    return changed
